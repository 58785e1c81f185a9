package wechat

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// AccountStatus is an account as operators see it. What only this process knows is said of this process.
type AccountStatus struct {
	Name     string   `json:"name"`
	AppID    string   `json:"app_id"`
	Mode     string   `json:"mode"`     // of callbacks: plain or encrypted
	Channels []string `json:"channels"` // that it serves
	MovedTo  string   `json:"moved_to,omitempty"`

	Alarm         string     `json:"alarm,omitempty"` // what somebody has to look at
	AlarmAt       *time.Time `json:"alarm_at,omitempty"`
	PausedUntil   *time.Time `json:"paused_until,omitempty"` // no call is made before
	LastCallAt    *time.Time `json:"last_call_at,omitempty"` // that was answered
	LastPushAt    *time.Time `json:"last_push_at,omitempty"`
	LastRefusal   string     `json:"last_refused_push,omitempty"` // why it was
	LastFailure   string     `json:"last_failure,omitempty"`
	LastFailureAt *time.Time `json:"last_failure_at,omitempty"`

	TokenExpiresAt *time.Time    `json:"token_expires_at,omitempty"`
	Fans           int64         `json:"fans"`
	Followers      int64         `json:"followers"`
	Codes          int64         `json:"codes"`          // made and kept; those that ran out are replaced
	Permanent      int64         `json:"permanent"`      // of them, that never run out
	Held           int64         `json:"held"`           // pushes that wait until the platform says who their fans are
	Setup          int           `json:"setup_revision"` // 0 for none
	Quotas         []QuotaStatus `json:"quotas"`
}

// QuotaStatus is how much of a quota all processes have used.
type QuotaStatus struct {
	API         string     `json:"api"`
	Day         int        `json:"day"`       // yyyymmdd in China; 0 for what counts for ever
	Used        int64      `json:"used"`      // calls that were made
	SetAside    int64      `json:"set_aside"` // by processes, to be made without asking the others; what one does not make is lost at its end
	Limit       int64      `json:"limit"`
	LimitFrom   string     `json:"limit_from"`         // platform, settings, or assumed: that of a new account
	LimitAt     *time.Time `json:"limit_at,omitempty"` // when the platform told it
	Usable      int64      `json:"usable"`             // of the limit, by this program
	PausedUntil *time.Time `json:"paused_until,omitempty"`
}

// Where a limit is from.
const (
	LimitPlatform = "platform"
	LimitSettings = "settings"
	LimitAssumed  = "assumed"
)

// Status tells how the accounts stand, by name.
func (c *Channels) Status(ctx context.Context) ([]AccountStatus, error) {
	moves, err := c.moved(ctx)
	if err != nil {
		return nil, err
	}
	all := []AccountStatus{}
	for _, name := range slices.Sorted(maps.Keys(c.stations)) {
		s := c.stations[name]
		v := AccountStatus{Name: name, AppID: s.settings.AppID, Mode: "plain"}
		if moves[name] != name {
			v.MovedTo = moves[name]
		}
		if s.crypt.Encrypted() {
			v.Mode = "encrypted"
		}
		v.Channels = moves.served(name)
		s.health.tell(&v, c.Now())
		if err := s.tell(ctx, &v); err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	utc := at.UTC()
	return &utc
}

func (h *health) tell(v *AccountStatus, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var last alarm
	for _, a := range h.alarms {
		if !a.at.Before(last.at) {
			last = a
		}
	}
	v.Alarm, v.AlarmAt = last.what, moment(last.at)
	if h.until.After(now) {
		v.PausedUntil = moment(h.until)
	}
	v.LastCallAt, v.LastPushAt, v.LastRefusal = moment(h.called), moment(h.pushed), h.refused
	v.LastFailure, v.LastFailureAt = h.worst, moment(h.failed)
}

// tell reads what all processes know.
func (s *station) tell(ctx context.Context, v *AccountStatus) error {
	db, now := s.accounts.DB.WithContext(ctx), s.accounts.Now()
	var tokens []token
	if err := db.Where("channel = ? AND name = ?", s.name, client.TokenName).Find(&tokens).Error; err != nil {
		return err
	}
	if t := first(tokens); t.ExpiresAt > 0 {
		v.TokenExpiresAt = moment(time.UnixMilli(t.ExpiresAt))
	}
	var counts struct{ Fans, Followers int64 }
	err := db.Model(&fan{}).Select("COUNT(*) AS fans, COALESCE(SUM(CASE WHEN follows THEN 1 ELSE 0 END), 0) AS followers").
		Where("channel = ?", s.name).Scan(&counts).Error
	if err != nil {
		return err
	}
	v.Fans, v.Followers = counts.Fans, counts.Followers
	if err := db.Model(&code{}).Where("channel = ?", s.name).Count(&v.Codes).Error; err != nil {
		return err
	}
	if err := db.Model(&code{}).Where("channel = ? AND expires_at = 0", s.name).Count(&v.Permanent).Error; err != nil {
		return err
	}
	if err := db.Model(&held{}).Where("channel = ?", s.name).Count(&v.Held).Error; err != nil {
		return err
	}
	if _, v.Setup, err = s.accounts.setup(ctx, s.name); err != nil {
		return err
	}
	v.Quotas, err = s.tellQuotas(ctx, now)
	return err
}

// tellQuotas reads what all processes have used, and what they were told.
func (s *station) tellQuotas(ctx context.Context, now time.Time) ([]QuotaStatus, error) {
	db, days := s.accounts.DB.WithContext(ctx), []int{0, chinaDay(now)}
	var used []usage
	var calls []made
	var limits []limit
	err := errors.Join(
		db.Where("channel = ? AND day IN ?", s.name, days).Find(&used).Error,
		db.Where("channel = ? AND day IN ?", s.name, days).Find(&calls).Error,
		db.Where("channel = ?", s.name).Find(&limits).Error,
	)
	all := []QuotaStatus{}
	for _, a := range slices.Sorted(maps.Keys(s.quotas)) {
		one := QuotaStatus{API: string(a), Day: chinaDay(now), Limit: dailyLimits[a], LimitFrom: LimitAssumed}
		if a == apiForever {
			one.Day = 0
		}
		for _, l := range limits {
			if l.API == one.API && l.Daily > 0 {
				one.Limit, one.LimitFrom, one.LimitAt = l.Daily, LimitPlatform, moment(time.UnixMilli(l.LearnedAt))
			}
		}
		if set := s.settings.DailyLimits[one.API]; set > 0 {
			one.Limit, one.LimitFrom, one.LimitAt = set, LimitSettings, nil
		}
		one.Usable = edge(one.Limit, rankPoster)
		for _, c := range calls {
			if c.API == one.API && c.Day == one.Day {
				one.Used = c.Calls
			}
		}
		for _, u := range used {
			if u.API == one.API && u.Day == one.Day {
				if a == apiForever { // what is set aside, one at a time, is made
					one.Used = u.Used
				}
				one.SetAside = max(u.Used-one.Used, 0)
				if until := time.UnixMilli(u.BlockedUntil); until.After(now) {
					one.PausedUntil = moment(until)
				}
			}
		}
		all = append(all, one)
	}
	return all, err
}

// Move has another account serve a channel from now on: campaigns, people and credits stay, codes are made anew at the
// next touch, and people are known again by their unionid, of which it asks the platform first where that was not done.
// A channel that is moved to itself is served by its own account again.
func (c *Channels) Move(ctx context.Context, from, to string) error {
	if c.stations[to] == nil {
		return fault.New(fault.NotFound, "no account %q is configured; name it under channels in the settings file", to)
	}
	known, err := c.Names(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(known, from) {
		return fault.New(fault.NotFound, "there is no channel %q", from)
	}
	c.forgetMoves()
	moves, err := c.moved(ctx)
	if err != nil {
		return err
	}
	serving := cmp.Or(moves[from], from)
	if serving == to {
		return nil
	}
	c.learnAll(ctx, serving)
	row := move{Channel: from, Account: to, MovedAt: c.now()}
	if err := database.Upsert(c.DB.WithContext(ctx), []move{row}, []string{"channel"}, []string{"account", "moved_at"}); err != nil {
		return err
	}
	c.forgetMoves()
	select {
	case <-time.After(movesFresh):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
