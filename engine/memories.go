package engine

import (
	"bytes"
	"context"
	"sync"

	"kfactor/engine/step"
)

// mostRemembered is how many people the worlds that writers left behind may hold together.
const mostRemembered = 2 * maxWorld

// memories are the worlds that writers left behind, by campaign: the next turn of a campaign begins with the people
// whom the last one knew. One is as good as what is stored while the campaign is where the writer left it, for nobody
// changes what it holds without moving the campaign on.
type memories struct {
	mu     sync.Mutex
	worlds map[int64]memory
	people int   // in all of them
	clock  int64 // moves on with each that is kept
}

type memory struct {
	world  *step.World
	people int
	at     int64 // of the clock, when it was kept
}

// recall begins with what the last writer of this campaign left behind, where the campaign still stands as it was then.
func (w *writer) recall(ctx context.Context) error {
	world := w.memories.take(w.no)
	if world == nil {
		return nil
	}
	ctx, done := w.bounded(ctx)
	defer done()
	var row campaignRow
	if err := w.DB.WithContext(ctx).Select("seq", "state").Where("no = ?", w.no).Take(&row).Error; err != nil {
		return err
	}
	if row.Seq == world.Campaign.Seq && bytes.Equal(row.State.Head, world.Campaign.Head) {
		w.world = world
	}
	return nil
}

// take gives what is remembered of a campaign and forgets it; nil for nothing.
func (m *memories) take(no int64) *step.World {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.worlds[no]
	delete(m.worlds, no)
	m.people -= kept.people
	return kept.world
}

// keep remembers a world in which everything is saved. The ones that were kept first are let go where that is too much.
func (m *memories) keep(world *step.World) {
	if world == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.worlds == nil {
		m.worlds = map[int64]memory{}
	}
	m.clock++
	m.worlds[world.Number] = memory{world, len(world.People), m.clock}
	m.people += len(world.People)
	for m.people > mostRemembered {
		oldest := world.Number
		for no, kept := range m.worlds {
			if kept.at < m.worlds[oldest].at {
				oldest = no
			}
		}
		m.people -= m.worlds[oldest].people
		delete(m.worlds, oldest)
	}
}
