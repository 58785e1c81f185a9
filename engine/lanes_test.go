package engine

import (
	"testing"

	"kfactor/event"
)

func TestLanes(t *testing.T) {
	t.Parallel()

	from := func(campaign int64, drafts int) *delivery {
		d := &delivery{}
		for range drafts {
			d.drafts = append(d.drafts, &draft{Event: event.Event{Campaign: campaign}})
		}
		return d
	}

	t.Run("AFloodKeepsNobodyWaiting", func(t *testing.T) {
		l := newLanes()
		for range 100 {
			l.put(from(1, 10))
		}
		l.put(from(2, 1))
		l.put(from(3, 1))
		in := map[int64]int{}
		for _, d := range l.take(50) {
			in[d.drafts[0].Campaign]++
		}
		if in[1] < 4 || in[2] != 1 || in[3] != 1 {
			t.Errorf("the first group holds %v", in)
		}
	})

	t.Run("ALaneKeepsItsOrderAndNothingIsLost", func(t *testing.T) {
		l := newLanes()
		var put []*delivery
		for range 20 {
			d := from(1, 3)
			put = append(put, d)
			l.put(d)
			l.put(from(2, 1))
		}
		var taken []*delivery
		for range 100 {
			if len(taken) == len(put) {
				break
			}
			for _, d := range l.take(5) {
				if d.drafts[0].Campaign == 1 {
					taken = append(taken, d)
				}
			}
		}
		for i := range put {
			if i >= len(taken) || taken[i] != put[i] {
				t.Fatalf("delivery %d is missing or out of order", i)
			}
		}
	})

	t.Run("WhatWaitsAtTheEndIsStillTaken", func(t *testing.T) {
		l := newLanes()
		l.put(from(1, 1))
		l.end()
		if l.put(from(1, 1)) {
			t.Error("something was let in after the end")
		}
		if n := len(l.take(10)); n != 1 {
			t.Errorf("%d were taken", n)
		}
		if l.take(10) != nil {
			t.Error("something is left")
		}
	})
}
