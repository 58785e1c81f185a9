package engine

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// gather answers many callers that ask for one thing each by few queries: while one is under way, the next gathers.
// What a caller is given was read after they asked.
type gather[K comparable, V any] struct {
	fetch func(ctx context.Context, keys []K) (map[K]V, error) // gives what there is; at most inChunk keys

	mu      sync.Mutex
	running bool
	waiting []*gathering[K, V]
}

// gathering is one query and those who wait for it.
type gathering[K comparable, V any] struct {
	keys  map[K]bool
	done  chan struct{}
	found map[K]V
	err   error
}

// gatherTimeout bounds one query, like that of a batch.
const gatherTimeout = applyTimeout

// get gives what stands under a key, and whether there is anything.
func (g *gather[K, V]) get(ctx context.Context, key K) (V, bool, error) {
	mine := g.join(key)
	select {
	case <-mine.done:
		v, ok := mine.found[key]
		return v, ok, mine.err
	case <-ctx.Done():
		var none V
		return none, false, ctx.Err()
	}
}

// join adds a key to the last query that has not begun.
func (g *gather[K, V]) join(key K) *gathering[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.waiting) - 1
	if last < 0 || len(g.waiting[last].keys) >= inChunk {
		g.waiting = append(g.waiting, &gathering[K, V]{keys: map[K]bool{}, done: make(chan struct{})})
		last++
	}
	g.waiting[last].keys[key] = true
	if !g.running {
		g.running = true
		go g.run()
	}
	return g.waiting[last]
}

// run makes the queries that were asked for, one after the other, and ends when there is none.
func (g *gather[K, V]) run() {
	for {
		g.mu.Lock()
		if len(g.waiting) == 0 {
			g.running = false
			g.mu.Unlock()
			return
		}
		next := g.waiting[0]
		g.waiting = g.waiting[1:]
		g.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), gatherTimeout)
		next.found, next.err = g.fetch(ctx, slices.Collect(maps.Keys(next.keys)))
		cancel()
		close(next.done)
	}
}
