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

func take(t *testing.T, on *fair.Turns, who int64) *fair.Place {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	place, err := on.Take(ctx, who)
	if err != nil {
		t.Fatalf("%d did not get a place: %v", who, err)
	}
	return place
}

// line lets them wait in this order while the only place is taken, and gives the order in which they get it when each
// gives it back at once.
func line(t *testing.T, on *fair.Turns, held *fair.Place, who ...int64) []int64 {
	t.Helper()
	type given struct {
		who   int64
		place *fair.Place
	}
	got := make(chan given)
	for i, w := range who {
		go func() {
			place, err := on.Take(t.Context(), w)
			if err != nil {
				t.Error(err)
			}
			got <- given{w, place}
		}()
		for deadline := time.Now().Add(10 * time.Second); on.Waiting() != i+1; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nobody waits")
			}
		}
	}
	held.GiveBack()
	var order []int64
	for range who {
		g := <-got
		order = append(order, g.who)
		g.place.GiveBack()
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
			place := take(t, on, who)
			c.now = c.now.Add(took)
			place.GiveBack()
		}
		want(t, line(t, on, take(t, on, 9), 1, 2, 3, 4), 3, 4, 2, 1)
	})

	t.Run("TimeHadIsForgotten", func(t *testing.T) {
		t.Parallel()
		c := &clock{time.Unix(0, 0)}
		on := fair.New(1, c.Now)
		place := take(t, on, 1)
		c.now = c.now.Add(time.Second)
		place.GiveBack()
		c.now = c.now.Add(10 * time.Second)
		place = take(t, on, 2)
		c.now = c.now.Add(10 * time.Millisecond)
		place.GiveBack()
		want(t, line(t, on, take(t, on, 9), 2, 1), 1, 2)
	})

	t.Run("WhereAllAlwaysWantMoreEachGetsAsMuchTime", func(t *testing.T) {
		t.Parallel()
		c := &clock{time.Unix(0, 0)}
		on := fair.New(1, c.Now)
		const many = 10
		type given struct {
			who   int64
			place *fair.Place
		}
		granted := make(chan given)
		want := func(who int64) {
			place, err := on.Take(t.Context(), who)
			if err == nil {
				granted <- given{who, place}
			}
		}
		for who := range int64(many) {
			go want(who)
		}
		had := map[int64]time.Duration{}
		for range 3000 {
			g := <-granted
			for deadline := time.Now().Add(10 * time.Second); on.Waiting() < many-1; time.Sleep(10 * time.Microsecond) {
				if time.Now().After(deadline) {
					t.Fatal("not all are back")
				}
			}
			took := 5 * time.Millisecond
			if g.who == 0 {
				took = 100 * time.Millisecond
			}
			had[g.who] += took
			c.now = c.now.Add(took)
			g.place.GiveBack()
			go want(g.who)
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
		place := take(t, on, 1)
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
		place.GiveBack()
		take(t, on, 3).GiveBack()
	})
}

func TestPieces(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(0, 0)}
	on := fair.New(1, c.Now)
	pieces := func() int { return on.Pieces(1, 100*time.Millisecond, 50, 1000) }
	work := func(who int64, took time.Duration, did ...int) {
		place := take(t, on, who)
		for _, n := range did {
			c.now = c.now.Add(took)
			place.Did(n)
		}
		place.GiveBack()
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
	work(1, 100*time.Millisecond, 400)
	work(2, time.Millisecond, 1)
	if n := pieces(); n < 250 || n > 300 {
		t.Errorf("%d when each takes a quarter of a millisecond of late", n)
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

// What comes one by one takes longer each than what comes in numbers.
func TestPiecesAfterManyThatCameAlone(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(0, 0)}
	on := fair.New(2, c.Now)
	company := take(t, on, 2)
	place := take(t, on, 1)
	for range 20 {
		c.now = c.now.Add(5 * time.Millisecond)
		place.Did(1)
	}
	for i, want := range []int{100, 400, 700} {
		c.now = c.now.Add(10 * time.Millisecond)
		company.Did(1)
		n := on.Pieces(1, 100*time.Millisecond, 100, 3000)
		if n < want {
			t.Fatalf("%d in round %d, when many take a tenth of a millisecond", n, i)
		}
		c.now = c.now.Add(time.Duration(n) * time.Millisecond / 10)
		place.Did(n)
	}
}
