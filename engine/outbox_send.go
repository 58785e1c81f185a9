package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/notify"
)

// wakeSenders says that a channel has messages to send. It is false where nobody heard it: the sweep finds them.
func (e *Engine) wakeSenders(channel string) bool {
	if e.Queue == nil || e.Channels[channel] == nil {
		return false
	}
	now := time.Now().UnixMilli()
	if now < e.unwakeable.Load() {
		return false
	}
	if err := e.Queue.WakeChannel(context.Background(), channel); err != nil { // which bounds the time itself
		e.unwakeable.Store(now + wakePause.Milliseconds())
		e.Log.Warn("wake", "channel", channel, "err", err)
		return false
	}
	return true
}

// sendDue wakes those who send for channels that have something due. Where no wake goes through it sends itself.
func (e *Engine) sendDue(ctx context.Context, all *sync.WaitGroup) {
	for _, channel := range slices.Sorted(maps.Keys(e.Channels)) {
		due, err := e.settleWaiting(ctx, channel)
		if err != nil && ctx.Err() == nil {
			e.Log.Error("sweep", "channel", channel, "err", err)
		}
		if err != nil || !due || e.wakeSenders(channel) || e.Deliver == nil || !e.senders.begin(channel) {
			continue
		}
		all.Go(func() {
			defer e.senders.end(channel)
			if err := e.send(ctx, channel); err != nil && ctx.Err() == nil {
				e.Log.Error("sending failed", "channel", channel, "err", err)
			}
		})
	}
}

// sendOnce sends what is due, and returns when that is done.
func (e *Engine) sendOnce(ctx context.Context) error {
	var all error
	for _, channel := range slices.Sorted(maps.Keys(e.Channels)) {
		due, err := e.settleWaiting(ctx, channel)
		if err == nil && due && e.Deliver != nil {
			err = e.send(ctx, channel)
		}
		if err != nil {
			all = errors.Join(all, fmt.Errorf("channel %s: %w", channel, err))
		}
	}
	return all
}

// send sends for a channel until nothing is due.
func (e *Engine) send(ctx context.Context, channel string) error {
	for more := true; more; {
		var err error
		if more, err = e.Deliver(ctx, channel); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// settleWaiting gives up messages that waited until they were not worth sending any more, and says whether a channel
// has anything to send.
func (e *Engine) settleWaiting(ctx context.Context, channel string) (due bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var gone []int64
	for _, kind := range notify.Kinds {
		var part []int64
		if err := e.overdue(ctx, channel, kind, notify.Waiting).Limit(inChunk).Pluck("no", &part).Error; err != nil {
			return false, err
		}
		gone = append(gone, part...)
	}
	if len(gone) > 0 {
		var n int64
		err := database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
			var err error
			n, err = endMessages(tx, gone, notify.Unsent, notify.Expired, e.now())
			return err
		})
		if err != nil {
			return false, err
		}
		e.Metrics.Messages(string(notify.Unsent), int(n))
	}
	for _, state := range []notify.State{notify.Owed, notify.Taken} {
		for _, kind := range notify.Kinds {
			var found []int64
			if err := e.overdue(ctx, channel, kind, state).Limit(1).Pluck("no", &found).Error; err != nil {
				return false, err
			}
			if len(found) > 0 {
				return true, nil
			}
		}
	}
	return false, nil
}

// overdue asks for messages of a channel whose time has come; by one kind and state, which its index answers.
func (e *Engine) overdue(ctx context.Context, channel string, kind notify.Kind, state notify.State) *gorm.DB {
	return e.DB.WithContext(ctx).Model(&messageRow{}).
		Where("channel = ? AND state = ? AND priority = ? AND due_at <= ?", channel, state, kind.Priority(), e.now())
}
