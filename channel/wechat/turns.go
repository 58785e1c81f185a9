package wechat

import (
	"context"
	"sync"
)

// turns has what one fan does worked on one after the other in this process, as people expect it.
type turns struct {
	mu  sync.Mutex
	per map[string]*turn
}

type turn struct {
	taken chan struct{} // holds one while somebody is at work
	users int
}

// enter waits for a fan's turn. leave ends it.
func (t *turns) enter(ctx context.Context, key string) (leave func(), err error) {
	t.mu.Lock()
	one := t.per[key]
	if one == nil {
		if t.per == nil {
			t.per = map[string]*turn{}
		}
		one = &turn{taken: make(chan struct{}, 1)}
		t.per[key] = one
	}
	one.users++
	t.mu.Unlock()
	forget := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(t.per, key)
		}
	}
	select {
	case one.taken <- struct{}{}:
		return func() { <-one.taken; forget() }, nil
	case <-ctx.Done():
		forget()
		return nil, ctx.Err()
	}
}
