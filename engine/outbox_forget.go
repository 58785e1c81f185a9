package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/notify"
)

// MessagesKept is how long a message is kept after it was sent, merged or given up.
const MessagesKept = 90 * 24 * time.Hour

const (
	forgetEvery = 10 * time.Minute
	forgetMost  = 500 // messages of one statement
	forgetTrips = 20  // statements for one campaign and state at a time; the rest is left for the next
)

// forgotten says up to when settled messages of a campaign were deleted, by when they were written down. Of what was
// written down later all is there.
type forgotten struct {
	Campaign int64 `gorm:"primaryKey;autoIncrement:false"`
	UpTo     int64 // UTC milliseconds
}

func (forgotten) TableName() string { return "messages_forgotten" }

// forgottenUpTo is up to when messages of a campaign may be gone; 0 where all are there.
func forgottenUpTo(db *gorm.DB, campaign int64) (int64, error) {
	var rows []forgotten
	err := db.Where("campaign = ?", campaign).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	return rows[0].UpTo, nil
}

// forgetMessages deletes messages that were settled long ago, a bounded number of them.
func (e *Engine) forgetMessages(ctx context.Context) error {
	var campaigns []int64
	if err := e.DB.WithContext(ctx).Model(&campaignRow{}).Order("no").Pluck("no", &campaigns).Error; err != nil {
		return err
	}
	var all error
	for _, no := range campaigns {
		for _, state := range notify.States {
			if !state.Final() {
				continue
			}
			for n := 0; n < forgetTrips; n++ {
				more, err := e.forgetSome(ctx, no, state)
				if err != nil {
					all = errors.Join(all, fmt.Errorf("messages of campaign %d: %w", no, err))
				}
				if err != nil || !more {
					break
				}
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return all
}

// forgetSome deletes the old ones among the first messages of a campaign that ended in a state, and says whether there
// may be more.
func (e *Engine) forgetSome(ctx context.Context, campaign int64, state notify.State) (more bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var first []messageRow
	err = e.messagesInState(ctx).Select("no", "created_at", "updated_at").
		Where("campaign = ? AND state = ?", campaign, state).Order("no").Limit(forgetMost).Find(&first).Error
	if err != nil {
		return false, err
	}
	before := e.now() - MessagesKept.Milliseconds()
	var old []int64
	var upTo int64
	for _, m := range first {
		if m.UpdatedAt < before {
			old, upTo = append(old, m.No), max(upTo, m.CreatedAt)
		}
	}
	if len(old) == 0 {
		return false, nil
	}
	err = database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		if _, err := database.InsertNew(tx, []forgotten{{campaign, upTo}}, "campaign"); err != nil {
			return err
		}
		raised := tx.Model(&forgotten{}).Where("campaign = ? AND up_to < ?", campaign, upTo).Update("up_to", upTo)
		if raised.Error != nil {
			return raised.Error
		}
		return tx.Where("no IN ?", old).Delete(&messageRow{}).Error // what has ended stays as it is
	})
	return len(old) == forgetMost, err
}
