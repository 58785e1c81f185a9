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

	// What was done of late and how long that took, each report counting half as much as the next. Their quotient is what a
	// piece takes: one that comes alone, and so costs more, says little of many.
	pieces, took float64
}

// Place is a place that somebody has.
type Place struct {
	turns *Turns
	who   int64
	since time.Time // when it was given, or the last Did
}

// New makes turns with so many places. now is the clock that time had is measured by.
func New(places int, now func() time.Time) *Turns {
	return &Turns{now: now, free: places, had: map[int64]had{}}
}

// Take waits for a place. Of those who wait, the next is who had the least time lately, and among equals who came first.
func (t *Turns) Take(ctx context.Context, who int64) (*Place, error) {
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
	return &Place{t, who, t.now()}, nil
}

// Did tells how many pieces of work were done on a place since it was taken or since the last Did.
func (p *Place) Did(pieces int) {
	p.turns.mu.Lock()
	defer p.turns.mu.Unlock()
	p.note(pieces)
}

// GiveBack lets somebody else have the place.
func (p *Place) GiveBack() {
	p.turns.mu.Lock()
	defer p.turns.mu.Unlock()
	p.note(0)
	p.turns.free++
	p.turns.next()
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

// note counts the time since the last note, and what was done in it.
func (p *Place) note(pieces int) {
	t, now := p.turns, p.turns.now()
	took := max(0, now.Sub(p.since))
	p.since = now
	h := t.had[p.who]
	h.time, h.at = time.Duration(t.lately(p.who, now))+took, now
	if pieces > 0 {
		h.pieces = h.pieces/2 + float64(pieces)
		h.took = h.took/2 + float64(took)
	}
	t.had[p.who] = h
	if len(t.had) > mostKept {
		for other, h := range t.had {
			if now.Sub(h.at) > forgotten {
				delete(t.had, other)
			}
		}
	}
}

// Pieces is how many pieces of work somebody should do at once, most at the utmost: so many as take about as long
// as length where others had time lately, who may come back any moment. least bounds it from below.
func (t *Turns) Pieces(who int64, length time.Duration, least, most int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.had[who]
	if h.took == 0 || len(t.waiting) == 0 && !t.company(who) {
		return most
	}
	return int(min(float64(most), max(float64(least), float64(length)*h.pieces/h.took)))
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
