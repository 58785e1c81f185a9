package funnel_test

import (
	"maps"
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
			var counters []funnel.Counter
			for range rapid.IntRange(0, 20).Draw(t, "counters") {
				counters = append(counters, funnel.Counter{
					Stage: rapid.SampledFrom([]string{"scan", "subscribe"}).Draw(t, "stage"), Day: rapid.IntRange(20260301, 20260303).Draw(t, "day"),
					Variant: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "variant"), Depth: rapid.IntRange(0, 20).Draw(t, "depth"),
					Source: rapid.SampledFrom([]string{"", "poster", "海报"}).Draw(t, "source"),
					Events: rapid.Int64Range(0, 1e9).Draw(t, "events"), Users: rapid.Int64Range(0, 1e9).Draw(t, "users"),
				})
			}
			whole := funnel.Sum(counters)
			for _, by := range funnel.Groupings {
				sum := map[string]funnel.Count{}
				names := map[string]bool{}
				for _, g := range funnel.GroupBy(by, counters) {
					if names[g.Name] {
						t.Fatalf("%s %q stands twice", by, g.Name)
					}
					names[g.Name] = true
					for stage, n := range g.Stages {
						sum[stage] = funnel.Count{Events: sum[stage].Events + n.Events, Users: sum[stage].Users + n.Users}
					}
				}
				if !maps.Equal(sum, whole) {
					t.Fatalf("by %s the groups give %v, the whole is %v", by, sum, whole)
				}
			}
		})
	})

	t.Run("DepthsStandInTheOrderOfNumbersAndDaysAreDates", func(t *testing.T) {
		counters := []funnel.Counter{{Stage: "scan", Depth: 10, Day: 20260302}, {Stage: "scan", Depth: 9, Day: 20260301}}
		if g := funnel.GroupBy("depth", counters); g[0].Name != "9" || g[1].Name != "10" {
			t.Errorf("%+v", g)
		}
		if g := funnel.GroupBy("day", counters); g[0].Name != "2026-03-01" || g[1].Name != "2026-03-02" {
			t.Errorf("%+v", g)
		}
	})
}
