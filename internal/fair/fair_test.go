package fair_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kfactor/internal/fair"
)

// clock is a clock that a test moves.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func take(t *testing.T, on *fair.Turns, who int64) func(int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	back, err := on.Take(ctx, who)
	if err != nil {
		t.Fatalf("%d did not get a place: %v", who, err)
	}
	return back
}

// line lets them wait in this order while the only place is taken, and gives the order in which they get it when each
// gives it back at once.
func line(t *testing.T, on *fair.Turns, release func(int), who ...int64) []int64 {
	t.Helper()
	type place struct {
		who  int64
		back func(int)
	}
	got := make(chan place)
	for i, w := range who {
		go func() {
			back, err := on.Take(t.Context(), w)
			if err != nil {
				t.Error(err)
			}
			got <- place{w, back}
		}()
		for deadline := time.Now().Add(10 * time.Second); on.Waiting() != i+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody waits")
			}
		}
	}
	release(0)
	var order []int64
	for range who {
		p := <-got
		order = append(order, p.who)
		p.back(0)
	}
	return order
}

func want(t *testing.T, got []int64, want ...int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

func TestTake(t *testing.T) {
	t.Parallel()

	t.Run("WhoHadTheLeastTimeComesFirstAndAmongEqualsWhoCameFirst", func(t *testing.T) {
		t.Parallel()
		c := &clock{time.Unix(0, 0)}
		on := fair.New(1, c.Now)
		for who, took := range map[int64]time.Duration{1: 300 * time.Millisecond, 2: 20 * time.Millisecond} {
			back := take(t, on, who)
			c.now = c.now.Add(took)
			back(1)
		}
		want(t, line(t, on, take(t, on, 9), 1, 2, 3, 4), 3, 4, 2, 1)
	})

	t.Run("TimeHadIsForgotten", func(t *testing.T) {
		t.Parallel()
		c := &clock{time.Unix(0, 0)}
		on := fair.New(1, c.Now)
		back := take(t, on, 1)
		c.now = c.now.Add(time.Second)
		back(1)
		c.now = c.now.Add(10 * time.Second)
		back = take(t, on, 2)
		c.now = c.now.Add(10 * time.Millisecond)
		back(1)
		want(t, line(t, on, take(t, on, 9), 2, 1), 1, 2)
	})

	t.Run("WhereAllAlwaysWantMoreEachGetsAsMuchTime", func(t *testing.T) {
		t.Parallel()
		c := &clock{time.Unix(0, 0)}
		on := fair.New(1, c.Now)
		const many = 10
		type place struct {
			who  int64
			back func(int)
		}
		granted := make(chan place)
		want := func(who int64) {
			back, err := on.Take(t.Context(), who)
			if err == nil {
				granted <- place{who, back}
			}
		}
		for who := range int64(many) {
			go want(who)
		}
		had := map[int64]time.Duration{}
		for range 3000 {
			p := <-granted
			for deadline := time.Now().Add(10 * time.Second); on.Waiting() < many-1; time.Sleep(10 * time.Microsecond) {
				if time.Now().After(deadline) {
					t.Fatal("not all are back")
				}
			}
			took := 5 * time.Millisecond
			if p.who == 0 {
				took = 100 * time.Millisecond
			}
			had[p.who] += took
			c.now = c.now.Add(took)
			p.back(1)
			go want(p.who)
		}
		fewest, most := had[0], had[0]
		for _, time := range had {
			fewest, most = min(fewest, time), max(most, time)
		}
		if float64(fewest) < 0.7*float64(most) {
			t.Errorf("%v", had)
		}
	})

	t.Run("WhoGoesAwayLosesNoPlace", func(t *testing.T) {
		t.Parallel()
		on := fair.New(1, time.Now)
		back := take(t, on, 1)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := on.Take(ctx, 2)
			gone <- err
		}()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		back(0)
		take(t, on, 3)(0)
	})
}

func TestPieces(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(0, 0)}
	on := fair.New(1, c.Now)
	pieces := func() int { return on.Pieces(1, 100*time.Millisecond, 50, 1000) }
	work := func(who int64, took time.Duration, n int) {
		back := take(t, on, who)
		c.now = c.now.Add(took)
		back(n)
	}
	if n := pieces(); n != 1000 {
		t.Errorf("%d before anything is known", n)
	}
	work(1, 500*time.Millisecond, 1000)
	if n := pieces(); n != 1000 {
		t.Errorf("%d when alone", n)
	}
	work(2, time.Millisecond, 1)
	if n := pieces(); n != 200 {
		t.Errorf("%d in company, when each takes half a millisecond", n)
	}
	work(1, time.Minute, 1)
	work(2, time.Millisecond, 1)
	if n := pieces(); n != 50 {
		t.Errorf("%d when each takes ages", n)
	}
	c.now = c.now.Add(time.Minute)
	if n := pieces(); n != 1000 {
		t.Errorf("%d when alone again", n)
	}
}
