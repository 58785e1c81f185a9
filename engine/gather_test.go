package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
)

func TestGather(t *testing.T) {
	t.Parallel()

	t.Run("WhoComesWhileAQueryIsUnderWaySharesTheNextAndSeesWhatIsNew", func(t *testing.T) {
		t.Parallel()
		began, goOn := make(chan []int), make(chan struct{})
		var version int // what is stored; changed while nothing reads it
		g := gather[int, int]{fetch: func(_ context.Context, keys []int) (map[int]int, error) {
			read := map[int]int{}
			for _, k := range keys {
				if k >= 0 {
					read[k] = version
				}
			}
			began <- keys
			<-goOn
			return read, nil
		}}
		var callers sync.WaitGroup
		ask := func(key, want int, there bool) {
			mine := g.join(key)
			callers.Go(func() {
				<-mine.done
				if got, ok := mine.found[key]; got != want || ok != there {
					t.Errorf("key %d: got %d %t, want %d %t", key, got, ok, want, there)
				}
			})
		}
		ask(1, 0, true)
		<-began
		version = 7
		ask(1, 7, true) // the query that is under way may have read before
		ask(2, 7, true)
		ask(2, 7, true)
		ask(-1, 0, false)
		goOn <- struct{}{}
		if keys := <-began; len(keys) != 3 {
			t.Errorf("the second query asks for %v", keys)
		}
		goOn <- struct{}{}
		callers.Wait()
	})

	t.Run("AQueryAsksForSoMuchAndNotMore", func(t *testing.T) {
		t.Parallel()
		goOn := make(chan struct{})
		var most, queries int
		g := gather[int, int]{fetch: func(_ context.Context, keys []int) (map[int]int, error) {
			<-goOn
			most, queries = max(most, len(keys)), queries+1
			return nil, nil
		}}
		last := g.join(0)
		for k := range 3 * inChunk {
			last = g.join(k)
		}
		close(goOn)
		<-last.done
		if most > inChunk || queries < 3 {
			t.Errorf("%d queries, of up to %d keys", queries, most)
		}
	})

	t.Run("AFailureReachesThoseWhoAskedAndNobodyLater", func(t *testing.T) {
		t.Parallel()
		no := errors.New("no")
		g := gather[int, int]{fetch: func(context.Context, []int) (map[int]int, error) { return nil, no }}
		if _, _, err := g.get(t.Context(), 1); !errors.Is(err, no) {
			t.Errorf("got %v", err)
		}
		g.fetch = func(context.Context, []int) (map[int]int, error) { return map[int]int{1: 5}, nil }
		if v, ok, err := g.get(t.Context(), 1); v != 5 || !ok || err != nil {
			t.Errorf("got %d %t %v", v, ok, err)
		}
	})

	t.Run("NobodyWaitsLongerThanTheirCaller", func(t *testing.T) {
		t.Parallel()
		goOn := make(chan struct{})
		defer close(goOn)
		g := gather[int, int]{fetch: func(context.Context, []int) (map[int]int, error) {
			<-goOn
			return nil, nil
		}}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := g.get(gone, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}
