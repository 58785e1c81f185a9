package client

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Names under which a vault keeps things.
const (
	TokenName  = "access_token"
	TicketName = "jsapi_ticket"
)

// Vault keeps tokens where everybody who needs one finds it, and lets one caller at a time
// fetch another.
type Vault interface {
	// Token gives the value kept under name while it has not expired and is not stale,
	// the value that the platform has just refused ("" for none). Otherwise fetch is
	// called, by one caller at a time; those who waited get what that one got.
	Token(ctx context.Context, name, stale string, fetch func(context.Context) (Token, error)) (Token, error)
}

// Token is a value and when a vault stops giving it out, some time before the platform
// stops taking it.
type Token struct {
	Value   string
	Expires time.Time
}

// MemoryVault is the vault of a single process.
type MemoryVault struct {
	now func() time.Time

	mu      sync.Mutex
	kept    map[string]Token
	fetches map[string]*fetching
}

// fetching is a fetch on its way; token and err are set when done is closed.
type fetching struct {
	done  chan struct{}
	token Token
	err   error
}

// NewMemoryVault keeps tokens in this process; now is time.Now where nil.
func NewMemoryVault(now func() time.Time) *MemoryVault {
	if now == nil {
		now = time.Now
	}
	return &MemoryVault{now: now, kept: map[string]Token{}, fetches: map[string]*fetching{}}
}

// Token is the vault's promise kept for one process.
func (v *MemoryVault) Token(ctx context.Context, name, stale string, fetch func(context.Context) (Token, error)) (Token, error) {
	for {
		v.mu.Lock()
		if kept, ok := v.kept[name]; ok && kept.Value != stale && v.now().Before(kept.Expires) {
			v.mu.Unlock()
			return kept, nil
		}
		f, running := v.fetches[name]
		if !running {
			f = &fetching{done: make(chan struct{}), err: errors.New("fetching a token was cut short")}
			v.fetches[name] = f
			v.mu.Unlock()
			return v.fetch(ctx, name, f, fetch)
		}
		v.mu.Unlock()

		select {
		case <-ctx.Done():
			return Token{}, ctx.Err()
		case <-f.done:
		}
		// The one who fetched may have gone away meanwhile; that is no reason for us to.
		gone := errors.Is(f.err, context.Canceled) || errors.Is(f.err, context.DeadlineExceeded)
		if f.err != nil && !gone {
			return Token{}, f.err
		}
	}
}

func (v *MemoryVault) fetch(ctx context.Context, name string, f *fetching, fetch func(context.Context) (Token, error)) (Token, error) {
	defer func() {
		v.mu.Lock()
		if f.err == nil {
			v.kept[name] = f.token
		}
		delete(v.fetches, name)
		v.mu.Unlock()
		close(f.done)
	}()
	f.token, f.err = fetch(ctx)
	return f.token, f.err
}
