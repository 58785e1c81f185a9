// Package fair shares few places among many who want to work again and again: whoever has had the least time lately
// comes next, so one that always wants more gets what the others leave.
package fair

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	halfLife  = time.Second // time had counts half after this
	forgotten = 10 * time.Second
	mostKept  = 1024 // of those who had time lately, before the forgotten are looked for
)

// Turns hands out places. The zero value has none; see New.
type Turns struct {
	now func() time.Time

	mu      sync.Mutex
	free    int
	waiting []*wait // in the order they came
	had     map[int64]had
}

// wait is one who waits for a place.
type wait struct {
	who   int64
	given chan struct{}
}

// had is what somebody had lately.
type had struct {
	time time.Duration // as of at
	at   time.Time
	each time.Duration // what one piece of work took, lately; 0: not known
}

// New makes turns with so many places. now is the clock that time had is measured by.
func New(places int, now func() time.Time) *Turns {
	return &Turns{now: now, free: places, had: map[int64]had{}}
}

// Take waits for a place and returns what gives it back, with the number of pieces of work that were done on it. Of
// those who wait, the next is who had the least time lately, and among equals who came first.
func (t *Turns) Take(ctx context.Context, who int64) (giveBack func(pieces int), err error) {
	w := &wait{who, make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, w)
	t.next()
	t.mu.Unlock()
	select {
	case <-w.given:
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		if i := slices.Index(t.waiting, w); i >= 0 {
			t.waiting = slices.Delete(t.waiting, i, i+1)
		} else {
			t.free++
			t.next()
		}
		return nil, ctx.Err()
	}
	began := t.now()
	return func(pieces int) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.note(who, t.now().Sub(began), pieces)
		t.free++
		t.next()
	}, nil
}

// Waiting is how many wait for a place.
func (t *Turns) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting)
}

// next gives free places to those who wait.
func (t *Turns) next() {
	now := t.now()
	for t.free > 0 && len(t.waiting) > 0 {
		best, least := 0, math.Inf(1)
		for i, w := range t.waiting {
			if lately := t.lately(w.who, now); lately < least {
				best, least = i, lately
			}
		}
		close(t.waiting[best].given)
		t.waiting = slices.Delete(t.waiting, best, best+1)
		t.free--
	}
}

// lately is what somebody had, in nanoseconds, the older the less.
func (t *Turns) lately(who int64, now time.Time) float64 {
	h, ok := t.had[who]
	if !ok {
		return 0
	}
	return float64(h.time) * math.Exp2(-float64(max(0, now.Sub(h.at)))/float64(halfLife))
}

func (t *Turns) note(who int64, took time.Duration, pieces int) {
	now := t.now()
	h := had{time: time.Duration(t.lately(who, now)) + max(0, took), at: now, each: t.had[who].each}
	if pieces > 0 {
		each := max(0, took) / time.Duration(pieces)
		if h.each != 0 {
			each = (each + h.each) / 2
		}
		h.each = each
	}
	t.had[who] = h
	if len(t.had) > mostKept {
		for other, h := range t.had {
			if now.Sub(h.at) > forgotten {
				delete(t.had, other)
			}
		}
	}
}

// Pieces is how many pieces of work somebody should do in one turn, most at the utmost: so many as take about as long
// as length where others had time lately, who may come back any moment. least bounds it from below.
func (t *Turns) Pieces(who int64, length time.Duration, least, most int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.had[who]
	if h.each == 0 {
		return most
	}
	if len(t.waiting) == 0 && !t.company(who) {
		return most
	}
	return min(most, max(least, int(length/h.each)))
}

// company says whether anybody else had time within the last moment.
func (t *Turns) company(who int64) bool {
	now := t.now()
	for other, h := range t.had {
		if other != who && now.Sub(h.at) < halfLife {
			return true
		}
	}
	return false
}
