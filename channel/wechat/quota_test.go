package wechat

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"pgregory.net/rapid"

	"kfactor/internal/database/databasetest"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 9, 2, 4, 0, 0, 0, time.UTC)

	t.Run("SeveralProcessesTogetherNeverTakeMoreThanThereIs", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			case_ := 0
			rapid.Check(t, func(t *rapid.T) {
				case_++
				limit := rapid.Int64Range(0, 60).Draw(t, "limit")
				block := rapid.Int64Range(1, 12).Draw(t, "block")
				account := fmt.Sprintf("a%d", case_)
				processes := make([]*quota, rapid.IntRange(1, 4).Draw(t, "processes"))
				for i := range processes {
					processes[i] = newQuota(db, account, apiSend, func() time.Time { return at })
					processes[i].limit, processes[i].block = limit, block
				}
				ranks := []rank{rankChatter, rankProgress, rankReward, rankPoster}
				wishes := rapid.SliceOfN(rapid.SampledFrom(ranks), 1, 8).Draw(t, "wishes")
				rounds := rapid.IntRange(1, 6).Draw(t, "rounds")
				var mu sync.Mutex
				taken := map[rank]int64{}
				var group sync.WaitGroup
				for _, q := range processes {
					group.Go(func() {
						for i := range rounds * len(wishes) {
							r := wishes[i%len(wishes)]
							err := q.take(context.Background(), r)
							var spent *spentError
							if err != nil && !errors.As(err, &spent) {
								t.Errorf("%v", err)
							}
							if err == nil {
								mu.Lock()
								taken[r]++
								mu.Unlock()
							}
						}
					})
				}
				group.Wait()
				var all int64
				for i := range ranks { // from the lowest up: each is within its own edge, with all below it
					all += taken[ranks[i]]
					if all > edge(limit, ranks[i]) {
						t.Fatalf("%d calls of rank %d and below, of %d", all, ranks[i], edge(limit, ranks[i]))
					}
				}
			})
		})
	})

	t.Run("AllThatMayBeTakenIs", func(t *testing.T) {
		t.Parallel()
		db := databasetest.SQLite(t)
		one := newQuota(db, "a", apiSend, func() time.Time { return at })
		one.allow(2500)
		var n int64
		for one.take(t.Context(), rankPoster) == nil {
			n++
		}
		if n != 2250 {
			t.Errorf("%d", n)
		}
	})

	t.Run("ADayInChinaBeginsAnew", func(t *testing.T) {
		t.Parallel()
		now := time.Date(2026, 9, 2, 15, 59, 59, 0, time.UTC)
		q := newQuota(databasetest.SQLite(t), "a", apiSend, func() time.Time { return now })
		q.allow(2)
		if err := q.take(t.Context(), rankPoster); err != nil {
			t.Fatal(err)
		}
		var spent *spentError
		if err := q.take(t.Context(), rankPoster); !errors.As(err, &spent) || !spent.until.Equal(now.Add(time.Second)) {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
		if err := q.take(t.Context(), rankPoster); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("WhatCountsForEverDoesNotBeginAnew", func(t *testing.T) {
		t.Parallel()
		now := at
		q := newQuota(databasetest.SQLite(t), "a", apiForever, func() time.Time { return now })
		q.allow(2)
		if err := q.take(t.Context(), rankPoster); err != nil {
			t.Fatal(err)
		}
		now = now.AddDate(1, 0, 0)
		if err := q.take(t.Context(), rankPoster); err == nil {
			t.Error("one more")
		}
	})

	t.Run("CallsOfOthersCount", func(t *testing.T) {
		t.Parallel()
		q := newQuota(databasetest.SQLite(t), "a", apiSend, func() time.Time { return at })
		q.allow(100)
		for _, used := range []int64{80, 0, 40} { // what is less than we know of is no news
			if err := q.catchUp(t.Context(), used); err != nil {
				t.Fatal(err)
			}
		}
		n := 0
		for q.take(t.Context(), rankPoster) == nil {
			n++
		}
		if n != 10 {
			t.Errorf("%d calls of the 10 that are left", n)
		}
	})

	t.Run("APauseHoldsForOtherProcesses", func(t *testing.T) {
		t.Parallel()
		db := databasetest.SQLite(t)
		now := func() time.Time { return at }
		one, other := newQuota(db, "a", apiSend, now), newQuota(db, "a", apiSend, now)
		if err := one.pause(t.Context(), at.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		var spent *spentError
		for _, q := range []*quota{one, other} {
			if err := q.take(t.Context(), rankPoster); !errors.As(err, &spent) || !spent.paused || !spent.until.Equal(at.Add(time.Hour)) {
				t.Error(err)
			}
		}
	})
}

func TestEdge(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int64][4]int64{
		500_000: {450_000, 405_000, 360_000, 315_000}, 10: {9, 8, 7, 6}, 1: {0, 0, 0, 0}, 0: {0, 0, 0, 0},
	} {
		got := [4]int64{edge(limit, rankPoster), edge(limit, rankReward), edge(limit, rankProgress), edge(limit, rankChatter)}
		if got != want {
			t.Errorf("%d: %v, not %v", limit, got, want)
		}
	}
}

func TestNonces(t *testing.T) {
	t.Parallel()
	n := newNonces(100)
	now := time.Date(2026, 9, 2, 4, 0, 0, 0, time.UTC)
	for range 2 {
		if !n.taken("1", "a", []byte("x"), now) {
			t.Error("a body that came before is refused")
		}
	}
	if n.taken("1", "a", []byte("y"), now) || !n.taken("1", "b", []byte("y"), now) {
		t.Error("a nonce is good for one body")
	}
	if n.taken("1", "a", []byte("y"), now.Add(2*stampWindow)) {
		t.Error("it is forgotten while its time stamp may still come")
	}
	for i := range 1000 {
		n.taken("1", fmt.Sprint(i), nil, now)
	}
	if held := len(n.young) + len(n.old); held > 200 {
		t.Errorf("%d are held", held)
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	var b bodies
	entered := 0
	for n := range mostReading {
		for b.enter(fmt.Sprint(n)) {
			entered++
		}
	}
	if entered != mostReading || b.enter("another") {
		t.Errorf("%d bodies are read at once", entered)
	}
	b.leave("0")
	if b.by["1"] != readingEach || b.enter("1") || !b.enter("another") {
		t.Errorf("%d bodies are read under one signature, where another has a place", b.by["1"])
	}
	for signature, n := range b.by {
		for range n {
			b.leave(signature)
		}
	}
	if b.all != 0 || len(b.by) != 0 {
		t.Errorf("%d bodies of %d signatures are left", b.all, len(b.by))
	}
}

func TestAllowance(t *testing.T) {
	t.Parallel()
	const minute, hour = 60_000, 3_600_000
	f := &fan{}
	f.open(afterAction, 0, 0)
	if f.left(rankChatter, 1000) != 3 || f.left(rankPoster, minute-1000) != 0 {
		t.Errorf("%+v", f)
	}
	f.Allowance = 1
	f.open(afterText, 10_000, 10_000)
	if f.left(rankPoster, hour) != 5 || f.left(rankProgress, hour) != 4 || f.left(rankChatter, hour) != 3 {
		t.Errorf("%+v", f)
	}
	f.Allowance = 1
	f.open(afterAction, hour, hour)
	if f.left(rankPoster, hour) != 3 || f.AllowanceUntil != 10_000+48*hour {
		t.Errorf("%+v", f)
	}
	late := &fan{}
	late.open(afterAction, 0, 2*minute)
	if late.Allowance != 0 {
		t.Errorf("a window that is over opened: %+v", late)
	}
}
