package wechat

import (
	"context"
	"errors"
	"sync"
	"time"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// code is the platform's code for a participant's: what its QR holds. It leads to one account.
type code struct {
	Channel   string `gorm:"primaryKey"` // the account
	Code      string `gorm:"primaryKey"`
	URL       string
	ExpiresAt int64 // 0 for ever
	CreatedAt int64 `gorm:"autoCreateTime:false"`
}

func (code) TableName() string { return "channel_codes" }

// codeRenewed is how long before its end a code is replaced at its next touch, so that nobody is handed a poster that
// ends tomorrow.
const codeRenewed = 3 * 24 * time.Hour

// codes keeps an account's codes in memory: two generations, of which the older is dropped when the younger is full.
type codes struct {
	mu         sync.Mutex
	young, old map[string]code
}

const mostCodes = 50_000 // of a generation, about 10 MB

func (c *codes) get(text string) (code, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.young[text]
	if !ok {
		found, ok = c.old[text]
	}
	return found, ok
}

func (c *codes) keep(one code) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= mostCodes {
		c.young, c.old = make(map[string]code), c.young
	}
	c.young[one.Code] = one
}

// front is a channel as campaigns on it see it, whichever account serves it.
type front struct {
	accounts *Accounts
	channel  string
}

// CodeLink is what the QR of a participant's code holds, and until when the platform knows it.
func (f front) CodeLink(ctx context.Context, text string) (string, time.Time, error) {
	s, err := f.accounts.serving(ctx, f.channel)
	if err != nil {
		return "", time.Time{}, err
	}
	found, err := s.code(ctx, text)
	return found.URL, found.until(), err
}

func (c code) until() time.Time {
	if c.ExpiresAt == 0 {
		return time.Time{}
	}
	return time.UnixMilli(c.ExpiresAt)
}

// lasts says whether a code outlives a moment.
func (c code) lasts(moment int64) bool {
	return c.URL != "" && (c.ExpiresAt == 0 || c.ExpiresAt > moment)
}

// code is the account's code for a participant's, made or renewed where it has to be. Those who ask for the same at the
// same time make it once.
func (s *station) code(ctx context.Context, text string) (code, error) {
	renewed := s.accounts.now() + codeRenewed.Milliseconds()
	if kept, ok := s.codes.get(text); ok && kept.lasts(renewed) {
		return kept, nil
	}
	answer := s.flights.DoChan("code "+text, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flightTimeout)
		defer cancel()
		return s.freshCode(ctx, text, false)
	})
	select {
	case a := <-answer:
		made, _ := a.Val.(code)
		return made, a.Err
	case <-ctx.Done():
		return code{}, ctx.Err()
	}
}

// flightTimeout bounds what is done once for several who wait.
const flightTimeout = time.Minute

// freshCode reads a code, and makes one where there is none that lasts. One that still works for a while is better than
// none: it is given when no other is to be had.
func (s *station) freshCode(ctx context.Context, text string, forever bool) (code, error) {
	var rows []code
	db := s.accounts.DB.WithContext(ctx)
	if err := db.Where("channel = ? AND code = ?", s.name, text).Find(&rows).Error; err != nil {
		return code{}, err
	}
	there, now := first(rows), s.accounts.now()
	if there.lasts(now+codeRenewed.Milliseconds()) && (!forever || there.ExpiresAt == 0) {
		s.codes.keep(there)
		return there, nil
	}
	made, err := s.makeCode(ctx, text, forever)
	if err != nil {
		if there.lasts(now+sendTime.Milliseconds()) && !forever {
			return there, nil
		}
		if forever && errors.As(err, new(*spentError)) {
			return code{}, err
		}
		return code{}, s.named(err, "no code can be had from WeChat now")
	}
	err = database.Upsert(db, []code{made}, []string{"channel", "code"}, []string{"url", "expires_at", "created_at"})
	if err != nil {
		return code{}, err
	}
	s.codes.keep(made)
	return made, nil
}

func (s *station) makeCode(ctx context.Context, text string, forever bool) (code, error) {
	if forever {
		if err := s.quotas[apiForever].take(ctx, rankPoster); err != nil {
			return code{}, err
		}
	}
	var qr client.QR
	err := s.call(ctx, apiCode, rankPoster, func() (err error) {
		if forever {
			qr, err = s.client.CreatePermanentQR(ctx, text)
		} else {
			qr, err = s.client.CreateQR(ctx, text, client.MaxQRLife)
		}
		return err
	})
	if err != nil {
		return code{}, err
	}
	made := code{Channel: s.name, Code: text, URL: qr.URL, CreatedAt: s.accounts.now()}
	if !qr.Expires.IsZero() {
		made.ExpiresAt = qr.Expires.UnixMilli()
	}
	return made, nil
}

// PermanentLink is what the QR of a participant's code holds when it is to work for ever, as on something that is
// printed and hung up. An account has 100,000 such codes in all, of which a tenth is left alone, and none comes back;
// whose code is permanent already gets the same again.
func (a *Accounts) PermanentLink(ctx context.Context, channel, text string) (string, error) {
	s, err := a.serving(ctx, channel)
	if err != nil {
		return "", err
	}
	answer, err, _ := s.flights.Do("permanent code "+text, func() (any, error) { return s.freshCode(ctx, text, true) })
	if spent, ok := errors.AsType[*spentError](err); ok && spent.api == apiForever && !spent.paused {
		return "", fault.New(fault.Conflict, "account %s has no permanent code left: %d of its %d are used, and the rest is kept for codes made elsewhere; "+
			"let the campaign's posters lead to the page behind the code (`qr: link`), which works for ever too",
			s.name, edge(dailyLimits[apiForever], rankPoster), dailyLimits[apiForever])
	}
	made, _ := answer.(code)
	return made.URL, err
}

// named gives a failure of the platform's the word that callers know.
func (s *station) named(err error, what string) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "%s; try again later", what)
}
