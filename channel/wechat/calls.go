package wechat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kfactor/channel/wechat/client"
)

// health is what a process knows of an account's standing with the platform.
type health struct {
	mu      sync.Mutex
	lost    int       // calls in a row that nobody answered
	until   time.Time // no call is made before
	alarms  map[api]alarm
	called  time.Time // the last call that was answered
	pushed  time.Time // the last push that was taken
	refused string    // why the last push that was refused was
	worst   string    // the last failure
	failed  time.Time
}

// alarm is what an operator has to look at: the platform refuses an API, or the account.
type alarm struct {
	code int    // by which the same is known again: what the platform says has the call's id in it, and addresses
	what string // as it was said last
	at   time.Time
}

// wholeAccount is what an alarm is about that is about no single API.
const wholeAccount api = ""

const (
	mostLost    = 4               // calls in a row without an answer until all calls pause
	firstAway   = 2 * time.Second // how long, doubled each time
	longestAway = 30 * time.Second
	minutePause = time.Minute      // after a minute's quota is used up
	alarmPause  = 30 * time.Minute // until an API or account that the platform has closed is tried again
	fixPause    = time.Minute      // until wrong settings are tried again: somebody may be mending them
)

// awayError says that the platform, or the account on it, takes no calls for now.
type awayError struct {
	until  time.Time
	paused bool // the platform said so; otherwise it does not answer
}

func (e *awayError) Error() string {
	if e.paused {
		return fmt.Sprintf("the account's calls are paused until %s", e.until.In(china).Format(time.DateTime))
	}
	return fmt.Sprintf("WeChat does not answer; it is tried again at %s", e.until.In(china).Format(time.DateTime))
}

// may says whether a call makes sense now.
func (h *health) may(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.until.After(now) {
		return &awayError{h.until, h.lost == 0}
	}
	return nil
}

// away says whether calls are known to be in vain now.
func (h *health) away(now time.Time) bool { return h.may(now) != nil }

// doubtful says that the last calls were not answered, and the next is to find out whether that is over.
func (h *health) doubtful() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.lost >= mostLost
}

// lostCall is a call that nobody answered. It says whether calls pause from now on.
func (h *health) lostCall(now time.Time, err error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lost++
	h.worst, h.failed = err.Error(), now
	if h.lost < mostLost || h.until.After(now) {
		return false
	}
	h.until = now.Add(min(firstAway<<min(h.lost-mostLost, 5), longestAway))
	return true
}

func (h *health) answered(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lost > 0 {
		h.lost, h.until = 0, time.Time{}
	}
	h.called = now
}

// raise keeps an alarm. It says whether it is a new one.
func (h *health) raise(now time.Time, about api, said *client.Error) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.alarms == nil {
		h.alarms = map[api]alarm{}
	}
	before, known := h.alarms[about]
	h.alarms[about] = alarm{said.Code, said.Error(), now}
	h.worst, h.failed = said.Error(), now
	return !known || before.code != said.Code
}

// calm ends the alarms about an API that the platform took a call of, and about the account. It says whether those were
// the last.
func (h *health) calm(a api) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := len(h.alarms)
	delete(h.alarms, a)
	delete(h.alarms, wholeAccount)
	return before > 0 && len(h.alarms) == 0
}

func (h *health) pause(until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.until, h.lost = until, 0
}

// call makes a call that counts, if there is one left for the rank, and draws the consequences of its failure. Errors
// are the client's, a *spentError or an *awayError.
func (s *station) call(ctx context.Context, a api, r rank, do func() error) error {
	if err := s.health.may(s.accounts.Now()); err != nil {
		return err
	}
	_ = s.know(ctx, a) // where that fails what was known holds
	if err := s.quotas[a].take(ctx, r); err != nil {
		return err
	}
	err := do()
	s.judge(ctx, a, err)
	return err
}

// judge draws the consequences of a call's answer for those that come after it.
func (s *station) judge(ctx context.Context, a api, err error) {
	ctx, now, log := context.WithoutCancel(ctx), s.accounts.Now(), s.accounts.Log.With("channel", s.name, "api", string(a))
	var said *client.Error
	switch {
	case err == nil:
		s.health.answered(now)
		if s.health.calm(a) {
			log.Info("the platform takes calls again")
			s.accounts.Metrics.ChannelAlarm(s.name, false)
		}
		return
	case errors.Is(err, context.Canceled): // it is us who left
		return
	case !errors.As(err, &said) || said.Code == client.CodeBusy:
		var lost *client.Unreachable
		if (said != nil || errors.As(err, &lost)) && s.health.lostCall(now, err) {
			log.Warn("WeChat does not answer", "err", err)
		}
		return
	}
	s.health.answered(now)
	var until time.Time
	switch {
	case said.Path != string(a) && (said.Code == client.CodeDailyQuota || said.Code == client.CodeMinuteQuota):
		// It was the token that could not be had: no call of the account can be made, and this one was not.
		s.alarm(now, wholeAccount, said)
		s.health.pause(now.Add(fixPause))
		return
	case said.Code == client.CodeDailyQuota:
		until = refusedUntil(now)
		log.Warn("the platform says that the day's quota is used up; others than this program use it too", "until", until, "err", err)
		if err := s.doubt(ctx, a); err != nil {
			log.Error("limit", "err", err)
		}
	case said.Code == client.CodeMinuteQuota:
		until = now.Add(minutePause)
	case said.Code == client.CodeForbidden, said.Code == client.CodeUnauthorized:
		until = now.Add(alarmPause)
		s.alarm(now, a, said)
	case said.Code == client.CodeTooManyCodes:
		if err := s.quotas[apiForever].pause(ctx, now.Add(alarmPause)); err != nil {
			log.Error("pause", "err", err)
		}
		return
	case said.Class() == client.Pause: // it is the account and not the API
		s.alarm(now, wholeAccount, said)
		s.health.pause(now.Add(fixPause))
		return
	case said.Class() == client.Refresh: // and a new token did not help
		s.alarm(now, wholeAccount, said)
		return
	}
	if until.IsZero() {
		return
	}
	if err := s.quotas[a].pause(ctx, until); err != nil {
		log.Error("pause", "err", err)
	}
}

// alarm tells operators what only they can mend: once in the log, and as long as it lasts in the metrics and the status.
func (s *station) alarm(now time.Time, about api, said *client.Error) {
	if s.health.raise(now, about, said) {
		s.accounts.Log.Error("the platform refuses this account's calls; look at the account's console", "channel", s.name, "err", said)
	}
	s.accounts.Metrics.ChannelAlarm(s.name, true)
}

// observe counts the calls that the client makes.
func (s *station) observe(path string, code int, took time.Duration) {
	s.accounts.Metrics.ChannelCall(s.name, path, code, took)
}

// heard notes a push, and refusePush one that was none.
func (h *health) heard(now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pushed = now
}

func (h *health) refusePush(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = why
}
