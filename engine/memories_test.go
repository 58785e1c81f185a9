package engine

import (
	"testing"

	"kfactor/campaign"
	"kfactor/engine/step"
)

func TestMemories(t *testing.T) {
	t.Parallel()

	world := func(no int64, people int) *step.World {
		w := &step.World{Number: no, People: map[int64]*campaign.Person{}}
		for n := range people {
			w.People[int64(n)] = nil
		}
		return w
	}

	t.Run("WhatIsTakenIsForgotten", func(t *testing.T) {
		t.Parallel()
		var m memories
		w := world(1, 3)
		m.keep(w)
		if m.take(2) != nil || m.take(1) != w || m.take(1) != nil || m.people != 0 {
			t.Errorf("%+v", &m)
		}
	})

	t.Run("TheOldestAreLetGoWhenItIsTooMuch", func(t *testing.T) {
		t.Parallel()
		var m memories
		for no := range int64(4) {
			m.keep(world(no, mostRemembered/3))
		}
		m.keep(m.take(1)) // which is the youngest then
		m.keep(world(9, mostRemembered/3))
		for no, there := range map[int64]bool{0: false, 1: true, 2: false, 3: true, 9: true} {
			if (m.take(no) != nil) != there {
				t.Errorf("campaign %d", no)
			}
		}
	})

	t.Run("WhatIsTooMuchByItselfIsNotKept", func(t *testing.T) {
		t.Parallel()
		var m memories
		m.keep(world(1, mostRemembered+1))
		if m.take(1) != nil || m.people != 0 {
			t.Errorf("%+v", &m)
		}
	})
}
