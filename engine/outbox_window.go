package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/database"
	"kfactor/internal/seal"
	"kfactor/notify"
)

// window is a user to whom a channel may send messages again.
type window struct{ channel, user string }

// WindowOpened says that a channel may send messages to a user again: what waits for them is due now. It is to be
// called when what lets the messages through is on disk, or whoever sends them might still find it shut.
func (e *Engine) WindowOpened(ctx context.Context, channel, user string) error {
	_, _, err := e.windows.get(ctx, window{channel, user})
	return err
}

// openWindows makes due what waits for a number of users. Mostly nothing does, and nothing is written.
func (e *Engine) openWindows(ctx context.Context, opened []window) (none map[window]struct{}, err error) {
	people, err := e.usersOn(ctx, opened)
	if err != nil || len(people) == 0 {
		return none, err
	}
	var found []int64
	channels := map[string]bool{}
	for part := range slices.Chunk(people, inChunk) {
		var rows []messageRow
		err := e.DB.WithContext(ctx).Select("no", "channel").
			Where("person IN ? AND kind IN ? AND state IN ?", part, notify.Kinds, []notify.State{notify.Waiting, notify.Taken}).Order("no").Find(&rows).Error
		if err != nil {
			return none, err
		}
		for _, m := range rows {
			found = append(found, m.No)
			channels[m.Channel] = true
		}
	}
	if len(found) == 0 {
		return none, nil
	}
	now := e.now()
	err = database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		for part := range slices.Chunk(found, inChunk) {
			// Who sends it may have looked before: see SettleOwed. What they settle meanwhile is caught by the second.
			done := tx.Exec("UPDATE messages SET reason = ? WHERE no IN ? AND state = ?", notify.WindowOpened, part, notify.Taken)
			if done.Error != nil {
				return done.Error
			}
			done = tx.Exec("UPDATE messages SET state = ?, due_at = ?, reason = '', updated_at = ? WHERE no IN ? AND state = ?",
				notify.Owed, now, now, part, notify.Waiting)
			if done.Error != nil {
				return done.Error
			}
		}
		return nil
	})
	if err != nil {
		return none, err
	}
	for channel := range channels {
		e.wakeSenders(channel)
	}
	return none, nil
}

// usersOn are the numbers that users have in the campaigns of a channel that may owe them something.
func (e *Engine) usersOn(ctx context.Context, opened []window) ([]int64, error) {
	byChannel, err := e.senders.campaigns(ctx, e)
	if err != nil {
		return nil, err
	}
	var people []int64
	unknown := map[int64][]lookup{}
	for _, w := range opened {
		for _, no := range byChannel[w.channel] {
			l := e.lookup(no, w.user)
			if person, ok := e.intake.people.get(l); ok {
				people = append(people, person)
			} else {
				unknown[no] = append(unknown[no], l)
			}
		}
	}
	found := map[lookup]int64{}
	for _, no := range slices.Sorted(maps.Keys(unknown)) {
		for part := range slices.Chunk(unknown[no], inChunk) {
			keys := make([][]byte, 0, len(part))
			for _, l := range part {
				keys = append(keys, l.key[:])
			}
			var rows []identity
			if err := e.DB.WithContext(ctx).Select("no", "user_key").Where("campaign = ? AND user_key IN ?", no, keys).Find(&rows).Error; err != nil {
				return nil, err
			}
			for _, r := range rows {
				found[lookup{no, [seal.LookupSize]byte(r.UserKey)}] = r.No
				people = append(people, r.No)
			}
		}
	}
	e.intake.people.add(found)
	return people, nil
}

// senders keeps which campaigns may owe something, by channel, and for which channels the sweep sends.
type senders struct {
	mu   sync.Mutex // also held while they are read, so that it happens once
	per  map[string][]int64
	read time.Time
	busy map[string]bool
}

// begin takes a channel, unless it is taken.
func (s *senders) begin(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy[channel] {
		return false
	}
	if s.busy == nil {
		s.busy = map[string]bool{}
	}
	s.busy[channel] = true
	return true
}

func (s *senders) end(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, channel)
}

// campaigns are the numbers of those that run, and of those that ended and still owe something.
func (s *senders) campaigns(ctx context.Context, e *Engine) (map[string][]int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.read) <= runningFresh {
		return s.per, nil
	}
	var rows []campaignRow // their states are large and no matter here
	err := e.DB.WithContext(ctx).Select("no", "revision").
		Where("status IN ? OR EXISTS (SELECT 1 FROM messages m WHERE m.campaign = campaigns.no AND m.state IN ?)",
			[]campaign.Status{campaign.Live, campaign.Paused}, []notify.State{notify.Owed, notify.Taken, notify.Waiting}).
		Order("no").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	per := map[string][]int64{}
	for _, row := range rows {
		d, err := e.definition(ctx, row.No, row.Revision)
		if err != nil {
			return nil, err
		}
		per[d.Channel] = append(per[d.Channel], row.No)
	}
	s.per, s.read = per, time.Now()
	return per, nil
}

// note adds a campaign that a message of was taken, which may be about to wait.
func (s *senders) note(channel string, no int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.per[channel], no) {
		return
	}
	per := maps.Clone(s.per) // others may be reading it
	if per == nil {
		per = map[string][]int64{}
	}
	per[channel] = append(slices.Clone(per[channel]), no)
	s.per = per
}
