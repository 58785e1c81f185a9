package api

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPrints(t *testing.T) {
	t.Parallel()

	t.Run("ABurstIsPrintedOnce", func(t *testing.T) {
		t.Parallel()
		var p prints
		var made atomic.Int64
		begun, goOn := make(chan struct{}), make(chan struct{})
		draw := func(_ context.Context, dst []byte) ([]byte, error) {
			made.Add(1)
			close(begun)
			<-goOn
			return append(dst, "poster"...), nil
		}
		var callers sync.WaitGroup
		ask := func() {
			callers.Go(func() {
				body, done, err := p.get(t.Context(), "a", draw)
				if err != nil || string(body) != "poster" {
					t.Errorf("%q %v", body, err)
					return
				}
				done()
			})
		}
		ask()
		<-begun
		for range 50 {
			ask()
		}
		for p.holders("a") < 51 { // all of them wait
			select {
			case <-t.Context().Done():
				t.Fatal("they never came")
			default:
			}
		}
		close(goOn)
		callers.Wait()
		if made.Load() != 1 || len(p.now) != 0 {
			t.Errorf("printed %d times, %d kept", made.Load(), len(p.now))
		}
	})

	t.Run("WhoLeavesSpoilsItForNobody", func(t *testing.T) {
		t.Parallel()
		var p prints
		begun, goOn := make(chan struct{}), make(chan struct{})
		ctx, leave := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			_, done, err := p.get(ctx, "a", func(ctx context.Context, dst []byte) ([]byte, error) {
				close(begun)
				<-goOn
				return append(dst, "poster"...), ctx.Err()
			})
			if err != nil {
				t.Error(err)
				return
			}
			done()
		})
		<-begun
		leave() // the one who prints
		if _, _, err := p.get(ctx, "a", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("one who waited and left: %v", err)
		}
		close(goOn)
		body, done, err := p.get(t.Context(), "a", func(_ context.Context, dst []byte) ([]byte, error) { return append(dst, "poster"...), nil })
		if err != nil || string(body) != "poster" {
			t.Fatalf("%q %v", body, err)
		}
		done()
		first.Wait()
	})

	t.Run("AFailureOrAPanicIsNotKept", func(t *testing.T) {
		t.Parallel()
		var p prints
		broken := errors.New("broken")
		if _, _, err := p.get(t.Context(), "a", func(_ context.Context, dst []byte) ([]byte, error) { return dst, broken }); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		func() {
			defer func() { recover() }()
			_, _, _ = p.get(t.Context(), "a", func(context.Context, []byte) ([]byte, error) { panic("oops") })
		}()
		body, done, err := p.get(t.Context(), "a", func(_ context.Context, dst []byte) ([]byte, error) { return append(dst, 'x'), nil })
		if err != nil || string(body) != "x" {
			t.Fatalf("%q %v", body, err)
		}
		done()
	})

	t.Run("BytesAreNotOverwrittenWhileSomebodyReadsThem", func(t *testing.T) {
		t.Parallel()
		var p prints
		var callers sync.WaitGroup
		for i := range 8 {
			callers.Go(func() {
				for j := range 500 {
					name := string(rune('a' + (i+j)%5))
					body, done, err := p.get(t.Context(), name, func(_ context.Context, dst []byte) ([]byte, error) {
						return append(dst, strings.Repeat(name, 1000)...), nil
					})
					if err != nil || string(body) != strings.Repeat(name, 1000) {
						t.Errorf("%s is %.9q, %v", name, body, err)
						return
					}
					done()
				}
			})
		}
		callers.Wait()
	})
}

// holders is how many hold a picture now.
func (p *prints) holders(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.now[name]; one != nil {
		return one.holders
	}
	return 0
}
