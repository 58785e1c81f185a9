package engine

import (
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"kfactor/event"
	"kfactor/internal/database"
)

// The journal of a campaign is numbered from 1 without gaps, in the order in which its events were committed: an event
// that is seen has all before it seen, so that one number, the campaign's own, says what is applied. Neither of the
// journal's two tables is ever written to again. event.Event reads them as one, through the view over both.

// tail is the number of the last event that a campaign accepted. Its row is locked from numbering to commit.
type tail struct {
	Campaign int64 `gorm:"primaryKey;autoIncrement:false"`
	Seq      int64
}

func (tail) TableName() string { return "tails" }

// accepted is an event as intake writes it.
type accepted struct {
	Campaign   int64 `gorm:"primaryKey;autoIncrement:false"`
	Seq        int64 `gorm:"primaryKey;autoIncrement:false"`
	System     bool
	ID         string
	Type       string
	Person     int64
	Code       string
	Time       int64
	ReceivedAt int64
	Data       *string
}

func (accepted) TableName() string { return "events" }

func acceptedRow(e *event.Event) accepted {
	return accepted{e.Campaign, e.Seq, e.System, e.ID, e.Type, e.Person, e.Code, e.Time, e.ReceivedAt, e.Data}
}

// pending reads the events after a position, in order. A hole would be one that was taken out, and nothing may be
// applied over it.
func pending(db *gorm.DB, campaign, after int64, limit int) ([]event.Event, error) {
	var events []event.Event
	err := database.Each(db, func(rows *sql.Rows) error {
		e := event.Event{Campaign: campaign}
		if err := rows.Scan(&e.Seq, &e.System, &e.ID, &e.Type, &e.Person, &e.Code, &e.Time, &e.ReceivedAt, &e.Data); err != nil {
			return err
		}
		if after++; e.Seq != after {
			return fmt.Errorf("the journal of campaign %d has no event %d", campaign, after)
		}
		events = append(events, e)
		return nil
	}, "SELECT seq, system, id, type, person, code, time, received_at, data FROM events"+
		" WHERE campaign = ? AND seq > ? ORDER BY seq LIMIT ?", campaign, after, limit)
	return events, err
}

// outcome is what applying made of an event, as apply writes it.
type outcome struct {
	Campaign int64 `gorm:"primaryKey;autoIncrement:false"`
	Seq      int64 `gorm:"primaryKey;autoIncrement:false"`
	Owner    int64
	Outcome  event.Outcome
	Detail   *string
	Hash     []byte
}

func outcomeRow(e *event.Event) outcome {
	return outcome{e.Campaign, e.Seq, e.Owner, e.Outcome, e.Detail, e.Hash}
}

// numberAll numbers drafts, none of which is thought to be in the journal.
func numberAll(tx *gorm.DB, drafts []*draft) ([]*draft, error) {
	more := map[int64]int64{}
	for _, d := range drafts {
		more[d.Campaign]++
	}
	last, err := moveTails(tx, more)
	if err != nil {
		return nil, err
	}
	for _, d := range drafts {
		d.fresh = true
		more[d.Campaign]--
		d.Seq = last[d.Campaign] - more[d.Campaign]
	}
	return drafts, nil
}

// numberFresh numbers those drafts that are not in the journal, and gives them. It takes the tails' locks first: what
// is not there then cannot come before this is committed.
func numberFresh(tx *gorm.DB, drafts []*draft) ([]*draft, error) {
	type place struct {
		system bool
		id     string
	}
	ids := map[int64][]string{}
	still := map[int64]int64{}
	for _, d := range drafts {
		ids[d.Campaign] = append(ids[d.Campaign], d.ID)
		still[d.Campaign] = 0
	}
	if _, err := moveTails(tx, still); err != nil {
		return nil, err
	}
	there := map[int64]map[place]bool{}
	for campaign, ids := range ids {
		there[campaign] = map[place]bool{}
		for part := range slices.Chunk(ids, 1000) {
			var rows []accepted
			if err := tx.Select("system", "id").Where("campaign = ? AND id IN ?", campaign, part).Find(&rows).Error; err != nil {
				return nil, err
			}
			for _, r := range rows {
				there[campaign][place{r.System, r.ID}] = true
			}
		}
	}
	var fresh []*draft
	for _, d := range drafts {
		at := place{d.System, d.ID}
		if d.fresh = !there[d.Campaign][at]; d.fresh {
			there[d.Campaign][at] = true
			fresh = append(fresh, d)
		}
	}
	if len(fresh) == 0 {
		return nil, nil
	}
	all, err := numberAll(tx, fresh)
	return all, err
}

// moveTails moves the campaigns' tails on and gives where they are then.
func moveTails(tx *gorm.DB, more map[int64]int64) (map[int64]int64, error) {
	rows := make([]tail, 0, len(more))
	for _, campaign := range slices.Sorted(maps.Keys(more)) {
		rows = append(rows, tail{campaign, more[campaign]})
	}
	added := gorm.Expr("seq + VALUES(seq)")
	if database.Dialect(tx) == database.SQLite {
		added = gorm.Expr("tails.seq + excluded.seq")
	}
	err := tx.Clauses(clause.OnConflict{
		Columns: []clause.Column{{Name: "campaign"}}, DoUpdates: clause.Assignments(map[string]any{"seq": added}),
	}).CreateInBatches(rows, 1000).Error
	if err != nil {
		return nil, err
	}
	var now []tail
	if err := tx.Where("campaign IN ?", slices.Collect(maps.Keys(more))).Find(&now).Error; err != nil {
		return nil, err
	}
	last := make(map[int64]int64, len(now))
	for _, t := range now {
		last[t.Campaign] = t.Seq
	}
	return last, nil
}

// NewEventID makes an id for an event that has none of its own, such as "scan-01932f0c-…". It cannot be guessed, and later
// ones sort after earlier ones (UUID version 7, RFC 9562): they come to lie side by side in the journal's index of ids,
// where random ones would each touch a page of their own, the more so the larger a campaign is.
func NewEventID(kind string) string { return kind + "-" + uuid.Must(uuid.NewV7()).String() }
