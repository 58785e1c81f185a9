package wechat

import (
	"context"
	"maps"
	"slices"
	"time"

	"kfactor/internal/database"
)

// limit is what the platform said an account may call of an API in a day. One process asks, all know.
type limit struct {
	Channel   string `gorm:"primaryKey"`
	API       string `gorm:"primaryKey;column:api"`
	Daily     int64  // 0 before it was told
	LearnedAt int64  // 0 before it was told
	AskAt     int64  // nobody asks before
	Failures  int    // of asking, in a row
}

func (limit) TableName() string { return "channel_limits" }

const (
	limitKnown  = time.Hour       // until the platform is asked again
	limitShared = time.Minute     // within which a process knows what another was told
	limitPause  = time.Minute     // after asking failed, doubled each time up to limitKnown
	limitTime   = 3 * time.Second // to ask, for whoever wants to call
	limitPoll   = 100 * time.Millisecond
)

// know sees to it that the limit of an API is known before it is called, whichever process calls. It is asked for anew
// now and then, with what the account has called: other programs call too. Where it cannot be known now, that of a new
// account is taken.
func (s *station) know(ctx context.Context, a api) error {
	q := s.quotas[a]
	if a == apiForever || !q.uncertain() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, limitTime)
	defer cancel()
	asked := s.flights.DoChan("limit "+string(a), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limitTime)
		defer cancel()
		return nil, s.learnLimit(ctx, q)
	})
	select {
	case done := <-asked:
		return done.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// learnLimit takes over what another process was told, waits for one that is the first to ask, or asks.
func (s *station) learnLimit(ctx context.Context, q *quota) error {
	now := s.accounts.now()
	claimed, mine, err := s.claimLimit(ctx, q, now)
	for err == nil && !mine && claimed.LearnedAt == 0 && claimed.Failures == 0 {
		select {
		case <-time.After(limitPoll):
			claimed, mine, err = s.claimLimit(ctx, q, now)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil || !mine {
		q.look(min(max(claimed.AskAt, now+sendTime.Milliseconds()), now+limitShared.Milliseconds()))
		return err
	}
	got, err := s.client.Quota(ctx, string(q.api))
	told := claimed
	if err != nil {
		told.Failures++
		told.AskAt = now + min(limitPause<<min(claimed.Failures, 6), limitKnown).Milliseconds()
		s.accounts.Log.Debug("a limit is not known", "channel", s.name, "api", string(q.api), "err", err)
	} else {
		told.Daily, told.LearnedAt, told.Failures, told.AskAt = got.Daily, now, 0, now+limitKnown.Milliseconds()
		s.adopt(q, told)
		if settled := dayOf(s.accounts.Now()).Add(dayDoubt); s.accounts.Now().Before(settled) {
			told.AskAt = settled.UnixMilli() // what was called may have been called on the day before
		} else if err := q.catchUp(ctx, got.Used); err != nil {
			return err
		}
	}
	q.look(min(told.AskAt, now+limitShared.Milliseconds()))
	_, failed := s.moveLimit(context.WithoutCancel(ctx), true, claimed, told)
	if failed != nil {
		return failed
	}
	return err
}

// claimLimit gives what is known of a limit, and says whether it is ours to ask for it.
func (s *station) claimLimit(ctx context.Context, q *quota, now int64) (limit, bool, error) {
	var rows []limit
	if err := s.accounts.DB.WithContext(ctx).Where("channel = ? AND api = ?", s.name, string(q.api)).Find(&rows).Error; err != nil {
		return limit{}, false, err
	}
	row := first(rows)
	s.adopt(q, row)
	if row.AskAt > now {
		return row, false, nil
	}
	claim := limit{
		Channel: s.name, API: string(q.api), Daily: row.Daily, LearnedAt: row.LearnedAt, AskAt: now + limitPause.Milliseconds(), Failures: row.Failures,
	}
	mine, err := s.moveLimit(ctx, len(rows) > 0, row, claim)
	return claim, mine, err
}

// moveLimit writes a limit if nobody did since it was read.
func (s *station) moveLimit(ctx context.Context, there bool, from, to limit) (bool, error) {
	db := s.accounts.DB.WithContext(ctx)
	if !there {
		n, err := database.InsertNew(db, []limit{to}, "channel", "api")
		return n == 1, err
	}
	got := db.Model(&limit{}).Where("channel = ? AND api = ? AND ask_at = ?", to.Channel, to.API, from.AskAt).
		Updates(map[string]any{"daily": to.Daily, "learned_at": to.LearnedAt, "ask_at": to.AskAt, "failures": to.Failures})
	return got.RowsAffected == 1, got.Error
}

// adopt keeps to a limit, unless the settings name another.
func (s *station) adopt(q *quota, l limit) {
	if _, set := s.settings.DailyLimits[string(q.api)]; !set {
		q.allow(l.Daily)
	}
}

// doubt has the limit of an API asked for before its next call: the platform refused one that should have been left.
func (s *station) doubt(ctx context.Context, a api) error {
	s.quotas[a].look(0)
	return s.accounts.DB.WithContext(ctx).Model(&limit{}).Where("channel = ? AND api = ?", s.name, string(a)).Update("ask_at", 0).Error
}

// AskLimits has what the accounts may call in a day be known where it has not been for a while.
func (c *Channels) AskLimits(ctx context.Context) {
	for _, name := range slices.Sorted(maps.Keys(c.stations)) {
		c.stations[name].askLimits(ctx)
	}
}

func (s *station) askLimits(ctx context.Context) {
	for _, a := range slices.Sorted(maps.Keys(s.quotas)) {
		if s.know(ctx, a) != nil {
			return // of the others the platform would not tell either
		}
	}
}
