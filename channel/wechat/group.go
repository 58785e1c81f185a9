package wechat

import (
	"context"
	"sync"
	"time"

	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// group lets many callers share trips to the database: while one is under way, what comes gathers for the next.
type group[T any] struct {
	work  func(ctx context.Context, items []*T) error // an error is everybody's
	most  int                                         // items of one trip
	trips int                                         // at once

	mu      sync.Mutex
	running int
	waiting []waiter[T]
}

type waiter[T any] struct {
	item *T
	done chan error
}

const (
	mostGathered = 20_000           // that wait in one group; more are told to come again
	tripTimeout  = 10 * time.Second // of one trip, whatever became of those who wait for it
)

var errFull = fault.New(fault.Unavailable, "too many wait for the database; try again in a moment")

// do has an item worked on and waits for it. After an error the item may still be in work: the caller leaves it alone.
func (g *group[T]) do(ctx context.Context, item *T) error {
	w := waiter[T]{item, make(chan error, 1)}
	g.mu.Lock()
	if len(g.waiting) >= mostGathered {
		g.mu.Unlock()
		return errFull
	}
	g.waiting = append(g.waiting, w)
	if g.running < g.trips {
		g.running++
		go g.run()
	}
	g.mu.Unlock()
	select {
	case err := <-w.done:
		return err
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the database is too slow now; try again in a moment")
	}
}

// run makes trips until nobody waits.
func (g *group[T]) run() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.running--
			g.waiting = nil // what a burst has left
			g.mu.Unlock()
			return
		}
		n := min(len(g.waiting), g.most)
		now := g.waiting[:n:n]
		g.waiting = g.waiting[n:]
		g.mu.Unlock()
		g.trip(now)
	}
}

func (g *group[T]) trip(waiters []waiter[T]) {
	ctx, cancel := context.WithTimeout(context.Background(), tripTimeout)
	defer cancel()
	items := make([]*T, len(waiters))
	for i, w := range waiters {
		items[i] = w.item
	}
	err := g.work(ctx, items)
	if err != nil && len(waiters) > 1 && database.IsRefused(err) {
		for i := range waiters { // one of them spoilt it for the others
			g.trip(waiters[i : i+1])
		}
		return
	}
	for _, w := range waiters {
		w.done <- err
	}
}
