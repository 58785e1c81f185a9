package wechat

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// vault keeps an account's tokens where all processes find them. Of all who find one missing, used up or refused, one
// fetches another: the one whose conditional update sets the lease. A lease runs out, so that a process that dies while
// it fetches holds nobody up for long.
type vault struct {
	accounts *Accounts
	account  string

	mu   sync.Mutex
	kept map[string]client.Token
	last map[string]failure
}

// failure is the last fetch that failed. Those who come right after it are told the same: a wrong secret does not get
// better by being sent again and again.
type failure struct {
	err error
	at  time.Time
}

// token is a token as the database keeps it.
type token struct {
	Channel     string `gorm:"primaryKey"`
	Name        string `gorm:"primaryKey"`
	ValueEnc    []byte
	ExpiresAt   int64
	FetchedAt   int64
	LockedUntil int64
}

func (token) TableName() string { return "channel_tokens" }

const (
	tokenLease = 20 * time.Second // for a fetch, in the clocks of all processes
	tokenFetch = 15 * time.Second // it may take; under the lease
	tokenPoll  = 100 * time.Millisecond
	tokenSulk  = time.Second // after a fetch that failed

	// tokenGrace is how long after its time a token is still used while somebody fetches the next. The client has it
	// end minutes before the platform does.
	tokenGrace = time.Minute
)

func newVault(a *Accounts, account string) *vault {
	return &vault{accounts: a, account: account, kept: map[string]client.Token{}, last: map[string]failure{}}
}

// Token gives the account's token of that name. stale is a value that the platform refused, "" for none.
func (v *vault) Token(ctx context.Context, name, stale string, fetch func(context.Context) (client.Token, error)) (client.Token, error) {
	if t, ok := v.local(name); ok && v.fresh(t, stale) {
		return t, nil
	}
	for {
		row, err := v.row(ctx, name)
		if err != nil {
			return client.Token{}, err
		}
		value, err := v.accounts.sealer.Open(row.ValueEnc)
		if err != nil {
			return client.Token{}, err
		}
		there := client.Token{Value: value, Expires: time.UnixMilli(row.ExpiresAt)}
		if v.fresh(there, stale) {
			v.keep(name, there)
			return there, nil
		}
		if err := v.sulking(name); err != nil && !v.usable(there, stale) {
			return client.Token{}, err
		}
		mine, err := v.lock(ctx, &row)
		if err != nil {
			return client.Token{}, err
		}
		if mine {
			got, err := v.renew(ctx, &row, fetch)
			if err != nil && v.usable(there, stale) {
				v.accounts.Log.Warn("token", "channel", v.account, "name", name, "err", err)
				return there, nil
			}
			return got, err
		}
		if v.usable(there, stale) { // somebody is fetching the next; this one still works
			return there, nil
		}
		select {
		case <-time.After(tokenPoll/2 + rand.N(tokenPoll)):
		case <-ctx.Done():
			return client.Token{}, fault.Wrap(fault.Unavailable, ctx.Err(), "no token of the account came in time")
		}
	}
}

func (v *vault) local(name string) (client.Token, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.kept[name]
	return t, ok
}

func (v *vault) keep(name string, t client.Token) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.kept[name] = t
	delete(v.last, name)
}

// sulking is the error of a fetch that has just failed.
func (v *vault) sulking(name string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f, ok := v.last[name]; ok && v.accounts.Now().Sub(f.at) < tokenSulk {
		return f.err
	}
	return nil
}

func (v *vault) fresh(t client.Token, stale string) bool {
	return t.Value != "" && t.Value != stale && t.Expires.After(v.accounts.Now())
}

func (v *vault) usable(t client.Token, stale string) bool {
	return t.Value != "" && t.Value != stale && t.Expires.Add(tokenGrace).After(v.accounts.Now())
}

// row is the token as it stands, an empty one where there was none.
func (v *vault) row(ctx context.Context, name string) (token, error) {
	db := v.accounts.DB.WithContext(ctx)
	there := db.Where("channel = ? AND name = ?", v.account, name)
	var rows []token
	if err := there.Session(&gorm.Session{}).Find(&rows).Error; err != nil || len(rows) > 0 {
		return first(rows), err
	}
	if _, err := database.InsertNew(db, []token{{Channel: v.account, Name: name}}, "channel", "name"); err != nil {
		return token{}, err
	}
	err := there.Session(&gorm.Session{}).Find(&rows).Error
	return first(rows), err
}

func first[T any](rows []T) T {
	var none T
	if len(rows) == 0 {
		return none
	}
	return rows[0]
}

// lock makes us the one who fetches, if nobody is and nobody did since the row was read.
func (v *vault) lock(ctx context.Context, row *token) (bool, error) {
	// Not cut short by a caller who leaves: the lock might stand, and nobody know whose it is.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenFetch)
	defer cancel()
	now := v.accounts.now()
	until := max(now+tokenLease.Milliseconds(), row.LockedUntil+1) // a row that does not change counts as none on MySQL
	got := v.accounts.DB.WithContext(ctx).Model(&token{}).
		Where("channel = ? AND name = ? AND fetched_at = ? AND locked_until = ? AND locked_until < ?", v.account, row.Name, row.FetchedAt, row.LockedUntil, now).
		Update("locked_until", until)
	row.LockedUntil = until
	return got.RowsAffected == 1, got.Error
}

// renew fetches and stores, whatever becomes of the caller: others may be waiting for it.
func (v *vault) renew(ctx context.Context, row *token, fetch func(context.Context) (client.Token, error)) (client.Token, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenFetch)
	defer cancel()
	got, err := fetch(ctx)
	ours := v.accounts.DB.WithContext(context.WithoutCancel(ctx)).Model(&token{}).
		Where("channel = ? AND name = ? AND locked_until = ?", v.account, row.Name, row.LockedUntil)
	if err != nil {
		v.mu.Lock()
		v.last[row.Name] = failure{err, v.accounts.Now()}
		v.mu.Unlock()
		if unlocked := ours.Update("locked_until", 0); unlocked.Error != nil {
			v.accounts.Log.Warn("token", "channel", v.account, "name", row.Name, "err", unlocked.Error)
		}
		return got, err
	}
	v.keep(row.Name, got)
	stored := ours.Updates(map[string]any{
		"value_enc": v.accounts.sealer.Seal(got.Value), "expires_at": got.Expires.UnixMilli(),
		"fetched_at": max(v.accounts.now(), row.FetchedAt+1), "locked_until": 0,
	})
	return got, stored.Error
}
