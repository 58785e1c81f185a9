package campaign_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/campaign"
)

func TestLastTouch(t *testing.T) {
	t.Parallel()

	t.Run("TouchesInAnyOrderGiveTheLastBeforeTheMoment", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1000), 0, 8, rapid.ID[int64]).Draw(t, "touched at")
			p := campaign.Person{Person: 1}
			for _, ms := range at {
				p.Touch(ms+1, ms) // each touch is of another owner
			}
			moment, window := rapid.Int64Range(0, 1100).Draw(t, "moment"), rapid.Int64Range(0, 500).Draw(t, "window")
			var want int64
			for _, ms := range at {
				if ms <= moment && ms > want {
					want = ms
				}
			}
			owner, found, late := p.LastTouch(moment, time.Duration(window)*time.Millisecond)
			if in := want > 0 && moment-want <= window; found != in || late != (want > 0 && !in) || want > 0 && owner != want+1 {
				t.Fatalf("owner %d, found %v, late %v; the last touch is at %d", owner, found, late, want)
			}
		})
	})

	t.Run("OnesOwnCodeIsNoTouchAndTheSameTouchTwiceIsOne", func(t *testing.T) {
		p := campaign.Person{Person: 1}
		p.Touch(1, 5)
		p.Touch(2, 6)
		p.Touch(2, 6)
		if len(p.Facts.Touches) != 1 {
			t.Errorf("%v", p.Facts.Touches)
		}
	})

	t.Run("OnlyTheLatestAreRemembered", func(t *testing.T) {
		p := campaign.Person{Person: 1}
		for i := range int64(100) {
			p.Touch(i+2, 1000-i)
		}
		if n := len(p.Facts.Touches); n > 10 {
			t.Errorf("%d touches are kept", n)
		}
		if owner, found, _ := p.LastTouch(2000, time.Hour); !found || owner != 2 {
			t.Errorf("the last is %d", owner)
		}
	})
}

func TestLeft(t *testing.T) {
	t.Parallel()
	p := campaign.Person{Person: 1}
	p.Left("unsubscribe", 1)
	for i := range 100 {
		p.Left(fmt.Sprintf("refund/%03d", i), int64(i+2))
	}
	if len(p.Facts.Left) > 20 {
		t.Errorf("%d leavings are kept", len(p.Facts.Left))
	}
	if p.Facts.Left.Of("unsubscribe") != 1 || p.Facts.Left.Of("refund/099") == 0 {
		t.Errorf("the unfollowing and the latest refund stay: %v", p.Facts.Left)
	}
	p.Left("refund/099", 3)
	if p.Facts.Left.Of("refund/099") != 101 {
		t.Error("an earlier leaving replaced a later one")
	}
}

func TestOrphan(t *testing.T) {
	t.Parallel()

	t.Run("OfEachTaskTheEarliestAndTheLatestStay", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.SliceOfN(rapid.Int64Range(1, 100), 1, 10).Draw(t, "at")
			p := campaign.Person{Person: 1}
			for i, ms := range at {
				p.Orphan(campaign.Orphan{Task: "invite", At: ms, Event: fmt.Sprint(i)})
			}
			kept := p.Facts.Orphans
			if kept[0].At != slices.Min(at) || kept[len(kept)-1].At != slices.Max(at) || len(kept) != min(len(at), 2) {
				t.Fatalf("of %v are kept %+v", at, kept)
			}
		})
	})

	t.Run("TheirNumberIsBounded", func(t *testing.T) {
		p := campaign.Person{Person: 1}
		for i := range 100 {
			p.Orphan(campaign.Orphan{Task: fmt.Sprint(i), At: int64(i)})
		}
		if len(p.Facts.Orphans) > 10 {
			t.Errorf("%d wait", len(p.Facts.Orphans))
		}
	})
}

func TestUse(t *testing.T) {
	t.Parallel()
	p := campaign.Person{Person: 1}
	use := func(day, hour int) bool {
		if !p.Use(fmt.Sprintf("2026-03-%02d/invite", day), 10) {
			return false
		}
		return p.Use(fmt.Sprintf("2026-03-%02dT%02d", day, hour), 1)
	}
	for day := 1; day <= 9; day++ {
		given := 0
		for hour := range 24 {
			if use(day, hour) {
				given++
			}
		}
		if given != 10 {
			t.Errorf("on day %d, %d were given of 10", day, given)
		}
	}
	if len(p.Facts.Used) > 30 {
		t.Errorf("%d buckets are kept", len(p.Facts.Used))
	}
}

func TestKnownBefore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		known func(p *campaign.Person)
		want  bool
	}{
		{"nobody knows a stranger", func(*campaign.Person) {}, false},
		{"this very follow", func(p *campaign.Person) { p.Followed(100) }, false},
		{"an earlier follow that came in later", func(p *campaign.Person) { p.Followed(100); p.Followed(99) }, true},
		{"a later follow", func(p *campaign.Person) { p.Followed(101) }, false},
		{"a refund", func(p *campaign.Person) { p.Left("refund", 99) }, false},
		{"a participant", func(p *campaign.Person) { p.JoinedAt = 99 }, true},
		{"a participant who came by a code", func(p *campaign.Person) { p.Touch(2, 98); p.JoinedAt = 99 }, false},
		{"a participant who came by a code, and by many since", func(p *campaign.Person) {
			p.Touch(2, 1)
			p.JoinedAt = 2
			for i := range int64(50) {
				p.Touch(i+2, i+3)
			}
		}, false},
	} {
		p := campaign.Person{Person: 1}
		c.known(&p)
		if got := p.KnownBefore(100); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
