package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"kfactor/event"
	"kfactor/internal/crash"
	"kfactor/internal/fault"
)

// drains are the callers who wait for an event of the engine's own, by campaign. While anybody waits, one goroutine
// applies the campaign batch by batch, beside whoever else does: a caller is let go as soon as the own event is
// applied, whatever came after it.
type drains struct {
	mu  sync.Mutex
	per map[int64]*drain
}

type drain struct {
	running bool
	waiting map[string][]*awaited // by the event's id
}

// awaited is one caller's wait for one event. Its fields but campaign, id and done are the drains' own until done is
// closed.
type awaited struct {
	campaign int64
	id       string
	written  bool // the event is in the journal
	done     chan struct{}
	event    event.Event // as applied
	err      error
}

// expect begins to wait for a draft of the engine's own, before it is in the journal, so that nobody can apply it
// unseen. forget ends it.
func (d *drains) expect(of *draft) *awaited {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := &awaited{campaign: of.Campaign, id: of.ID, done: make(chan struct{})}
	if d.per == nil {
		d.per = map[int64]*drain{}
	}
	c := d.per[w.campaign]
	if c == nil {
		c = &drain{waiting: map[string][]*awaited{}}
		d.per[w.campaign] = c
	}
	c.waiting[w.id] = append(c.waiting[w.id], w)
	return w
}

func (d *drains) forget(w *awaited) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.per[w.campaign]
	if c == nil {
		return
	}
	c.waiting[w.id] = slices.DeleteFunc(c.waiting[w.id], func(other *awaited) bool { return other == w })
	if len(c.waiting[w.id]) == 0 {
		delete(c.waiting, w.id)
	}
	d.tidy(w.campaign)
}

// tidy drops a campaign that nobody waits for.
func (d *drains) tidy(no int64) {
	if c := d.per[no]; c != nil && !c.running && len(c.waiting) == 0 {
		delete(d.per, no)
	}
}

// written says that the event is in the journal; begin is true when the caller has to start the goroutine.
func (d *drains) written(w *awaited) (begin bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w.written = true
	c := d.per[w.campaign]
	if c == nil { // it was applied at once, and nobody else waits
		return false
	}
	begin = !c.running && len(c.waiting[w.id]) > 0
	c.running = c.running || begin
	return begin
}

// asked gives the waits for events that are in the journal; where there is none the goroutine ends.
func (d *drains) asked(no int64) []*awaited {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.per[no]
	var list []*awaited
	for _, of := range c.waiting {
		for _, w := range of {
			if w.written {
				list = append(list, w)
			}
		}
	}
	if len(list) == 0 {
		c.running = false
		d.tidy(no)
	}
	return list
}

// applied lets those go who wait for one of the events.
func (d *drains) applied(no int64, events []event.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.per[no]
	if c == nil {
		return
	}
	for i := range events {
		if !events[i].System {
			continue
		}
		for _, w := range c.waiting[events[i].ID] {
			w.event = events[i]
			close(w.done)
		}
		delete(c.waiting, events[i].ID)
	}
	d.tidy(no)
}

// failed lets callers go with an error.
func (d *drains) failed(list []*awaited, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range list {
		c := d.per[w.campaign]
		if c == nil || !slices.Contains(c.waiting[w.id], w) {
			continue // let go before
		}
		for _, w := range c.waiting[w.id] {
			w.err = err
			close(w.done)
		}
		delete(c.waiting, w.id)
	}
}

// drainTimeout is how long a caller waits for the own event; under a flood what came before it may take longer.
const drainTimeout = 30 * time.Second

// errNotYet is for callers whose event waits behind more than can be applied while they wait.
var errNotYet = fault.New(fault.Unavailable, "this was written down and is not applied yet; look again in a moment")

// putThrough puts a draft of the engine's own into the journal and gives it back applied. It works on the campaign
// until the event's turn has come, for as long as the caller has patience: what comes after it is for others.
func (e *Engine) putThrough(ctx context.Context, d *draft, patience time.Duration) (event.Event, error) {
	w := e.drains.expect(d)
	defer e.drains.forget(w)
	one := &delivery{drafts: []*draft{d}, done: make(chan error, 1), drained: true}
	if err := e.intake.deliver(ctx, one); err != nil {
		return event.Event{}, err
	}
	crash.Point("order.before-drain")
	if e.drains.written(w) {
		go e.runDrain(w.campaign)
	}
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-w.done:
	case <-enough.C:
		return event.Event{}, errNotYet
	case <-ctx.Done():
		return event.Event{}, ctx.Err()
	}
	crash.Point("order.before-answer")
	return w.event, w.err
}

// runDrain applies a campaign until nobody waits for it.
func (e *Engine) runDrain(no int64) {
	ctx := context.Background() // of nobody's call; every batch has its own end
	for {
		asked := e.drains.asked(no)
		if len(asked) == 0 {
			return
		}
		_, err := e.applyShare(ctx, no)
		if err == nil {
			err = e.appliedElsewhere(ctx, no, asked)
		}
		if err != nil {
			e.drains.failed(asked, err)
		}
	}
}

// appliedElsewhere looks for events that were waited for before a batch and were not in it: another process may have
// applied them, or somebody here before the wait began.
func (e *Engine) appliedElsewhere(ctx context.Context, no int64, asked []*awaited) error {
	asked = slices.DeleteFunc(asked, func(w *awaited) bool {
		select {
		case <-w.done:
			return true
		default:
			return false
		}
	})
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	for part := range slices.Chunk(asked, inChunk) {
		ids := make([]string, 0, len(part))
		for _, w := range part {
			ids = append(ids, w.id)
		}
		var rows []event.Event
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND system = ? AND id IN ?", no, true, ids).Find(&rows).Error; err != nil {
			return err
		}
		there := make(map[string]bool, len(rows))
		var done []event.Event
		for _, row := range rows {
			there[row.ID] = true
			if row.Outcome != "" {
				done = append(done, row)
			}
		}
		e.drains.applied(no, done)
		for _, w := range part {
			if !there[w.id] {
				e.drains.failed([]*awaited{w}, fmt.Errorf("event %s of campaign %d is gone from the journal", w.id, no))
			}
		}
	}
	return nil
}
