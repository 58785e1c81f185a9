package funnel_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/funnel"
)

func TestDay(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	midnight := time.Date(2026, 3, 2, 0, 0, 0, 0, shanghai).UnixMilli()
	for at, want := range map[int64]int{midnight - 1: 20260301, midnight: 20260302, midnight + 24*3600*1000: 20260303} {
		if got := funnel.Day(at, shanghai); got != want {
			t.Errorf("%d is on %d, want %d", at, got, want)
		}
	}
	if got := funnel.Day(midnight, time.UTC); got != 20260301 {
		t.Errorf("in UTC it is %d", got)
	}
}

func TestGroupBy(t *testing.T) {
	t.Parallel()

	t.Run("GroupsAddUpToTheWholeInOrder", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			counts := map[funnel.Key]funnel.Count{}
			whole := map[string]funnel.Count{}
			for range rapid.IntRange(0, 20).Draw(t, "keys") {
				k := funnel.Key{
					Stage: rapid.SampledFrom([]string{"scan", "subscribe"}).Draw(t, "stage"), Day: rapid.IntRange(20260301, 20260303).Draw(t, "day"),
					Variant: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "variant"), Depth: rapid.IntRange(0, 20).Draw(t, "depth"),
					Source: rapid.SampledFrom([]string{"", "poster", "海报"}).Draw(t, "source"),
				}
				n := funnel.Count{Events: rapid.Int64Range(0, 1e9).Draw(t, "events"), Users: rapid.Int64Range(0, 1e9).Draw(t, "users")}
				counts[k] = add(counts[k], n)
				whole[k.Stage] = add(whole[k.Stage], n)
			}
			counters := funnel.Counters(7, counts)
			if !slices.IsSortedFunc(counters, funnel.Counter.Compare) {
				t.Fatalf("%v are not in order", counters)
			}
			for _, by := range funnel.Groupings {
				split := slices.DeleteFunc(slices.Clone(counters), func(c funnel.Counter) bool { return c.Split != by || c.Campaign != 7 })
				sum, names := map[string]funnel.Count{}, map[string]bool{}
				for _, g := range funnel.GroupBy(by, split) {
					if names[g.Name] {
						t.Fatalf("%s %q stands twice", by, g.Name)
					}
					names[g.Name] = true
					for stage, n := range g.Stages {
						sum[stage] = add(sum[stage], n)
					}
				}
				if !maps.Equal(sum, whole) || !maps.Equal(funnel.Sum(split), whole) {
					t.Fatalf("by %s the groups give %v, the sum is %v, the whole is %v", by, sum, funnel.Sum(split), whole)
				}
			}
		})
	})

	t.Run("CountersAreAsManyAsWhatTheySplitByAndNotAsItsCombinations", func(t *testing.T) {
		counts := map[funnel.Key]funnel.Count{}
		for depth := range 20 {
			for _, source := range []string{"a", "b", "c", "d", "e"} {
				counts[funnel.Key{Stage: "scan", Day: 20260301, Depth: depth, Source: source}] = funnel.Count{Events: 2, Users: 1}
			}
		}
		if n := len(funnel.Counters(1, counts)); n != 1+1+20+5 { // the day, the variant, depths, sources
			t.Errorf("%d counters", n)
		}
	})

	t.Run("DepthsStandInTheOrderOfNumbersAndDaysAreDates", func(t *testing.T) {
		if g := funnel.GroupBy("depth", []funnel.Counter{{Stage: "scan", Name: "10"}, {Stage: "scan", Name: "9"}}); g[0].Name != "9" || g[1].Name != "10" {
			t.Errorf("%+v", g)
		}
		if g := funnel.GroupBy("day", []funnel.Counter{{Stage: "scan", Day: 20260302}, {Stage: "scan", Day: 20260301}}); g[0].Name != "2026-03-01" || g[1].Name != "2026-03-02" {
			t.Errorf("%+v", g)
		}
	})
}

func add(a, b funnel.Count) funnel.Count {
	return funnel.Count{Events: a.Events + b.Events, Users: a.Users + b.Users}
}
