package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fair"
	"kfactor/internal/fault"
	"kfactor/notify"
	"kfactor/reward"
)

const (
	// batchSize is the most events applied in one transaction. Under load batches fill up by themselves.
	batchSize = 3000

	// turnLength is about how long a batch may take where other campaigns have something to apply now and then, down
	// to leastBatch events: it holds their batches up.
	turnLength = 100 * time.Millisecond
	leastBatch = 100
)

// applyTimeout bounds one try at a batch, which takes a fraction of a second: whoever waits longer for the database
// waits for a connection that is dead, and holds the campaign's lock meanwhile.
const applyTimeout = 10 * time.Second

// errOvertaken says that another writer moved the campaign on while a batch was worked out.
var errOvertaken = fault.New(fault.Unavailable, "another writer was faster; try again in a moment")

// applyTurn applies what is pending in a campaign, batch after batch, until nothing is, the time is up, or another
// campaign waits for its turn. more says that some may be left.
func (e *Engine) applyTurn(ctx context.Context, no int64, until time.Time) (more bool, err error) {
	unlock := e.applying.lock(no)
	defer unlock()
	// The campaigns take turns, so that one with a flood gets what the others leave.
	place, err := e.batches.Take(ctx, no)
	if err != nil {
		return false, err
	}
	defer place.GiveBack()
	w := &writer{Engine: e, no: no, place: place, most: batchSize}
	defer func() { e.memories.keep(w.world) }()
	if err := w.recall(ctx); err != nil {
		return false, fmt.Errorf("apply campaign %d: %w", no, err)
	}

	for overtaken := 0; ; {
		more, err := w.next(ctx)
		if err == nil && (!more || time.Now().After(until) || e.batches.Waiting() > 0) {
			if err = w.settle(); err == nil {
				return more, nil
			}
		}
		var bad poisonError
		switch {
		case err == nil:
			overtaken = 0
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && w.most > 1:
			w.most /= 10 // a slow database gets less at a time
		case errors.Is(err, errOvertaken) && overtaken < 10:
			overtaken++
		case errors.As(err, &bad):
			if err := w.isolate(ctx, bad.events); err != nil {
				return false, fmt.Errorf("apply campaign %d: %w", no, err)
			}
		default:
			return false, fmt.Errorf("apply campaign %d: %w", no, err)
		}
	}
}

// poisonError says that a batch cannot be applied because of what is in it.
type poisonError struct {
	events int // in the batch
	cause  error
}

func (p poisonError) Error() string { return p.cause.Error() }
func (p poisonError) Unwrap() error { return p.cause }

// batch is events to apply, with the world they touch.
type batch struct {
	row    campaignRow // as it stands before them
	events []event.Event
	more   bool // there may be events after these
	world  *step.World
}

// writer applies the events of one campaign. While one batch is being saved it works out the next, over the people and
// credits it has in memory by then: nobody else can have changed them, for another writer would have moved the campaign
// on, and saving would fail. After any failure it begins with what is committed. The campaign's next writer begins with
// what this one has in memory at the end.
type writer struct {
	*Engine
	no     int64
	place  *fair.Place
	most   int         // events in a batch
	world  *step.World // after the last batch that was worked out; nil: to be read, and nothing is being saved
	saving chan saved  // what becomes of the batch that is being saved; nil when none is
}

// saved is what became of a batch.
type saved struct {
	events int
	err    error
}

// maxWorld is the number of people at which a writer begins with an empty world again.
const maxWorld = 50_000

// next works out one batch and begins to save it. more says that there may be another.
func (w *writer) next(ctx context.Context) (more bool, err error) {
	began := time.Now()
	b, err := w.work(ctx)
	var p prepared
	if err == nil && len(b.events) > 0 {
		p, err = prepare(w.DB, b, w.now())
	}
	if before := w.settle(); before != nil {
		return false, before
	}
	if err != nil {
		w.world = nil
		return false, err
	}
	if len(b.events) == 0 {
		return false, nil
	}
	crash.Point("apply.before-save")
	w.saving = make(chan saved, 1)
	go func(became chan<- saved) {
		err := w.saveBounded(ctx, p)
		if err == nil {
			crash.Point("apply.after-commit")
			w.Metrics.Batch(len(b.events), time.Since(began))
			w.announce(w.no, b.events)
			w.owes(p)
		}
		became <- saved{len(b.events), err}
	}(w.saving)
	w.world.Written()
	if step.Wide(b.events[0].Type) || len(w.world.People) > maxWorld {
		err = w.settle()
		w.world = nil
	}
	return b.more, err
}

// settle waits for the batch that is being saved, if any.
func (w *writer) settle() error {
	if w.saving == nil {
		return nil
	}
	became := <-w.saving
	w.saving = nil
	if became.err != nil {
		w.world = nil
		return became.err
	}
	w.place.Did(became.events)
	return nil
}

// saveBounded saves a batch in bounded time and says of a batch that the database refuses that it is poison.
func (w *writer) saveBounded(ctx context.Context, p prepared) error {
	ctx, done := w.bounded(ctx)
	defer done()
	err := w.save(ctx, p)
	if database.IsRefused(err) {
		err = poisonError{p.events, err}
	}
	return err
}

// bounded gives a try at the database an end, and lets idle connections go after one that took as long as that.
func (w *writer) bounded(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	return ctx, func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			database.DropIdle(w.DB)
		}
		cancel()
	}
}

// work takes the next events and runs the rules over them.
func (w *writer) work(ctx context.Context) (*batch, error) {
	ctx, done := w.bounded(ctx)
	defer done()
	if w.world != nil {
		b, err := w.read(ctx)
		if err != nil || len(b.events) == 0 {
			return b, err
		}
		if !step.Wide(b.events[0].Type) {
			if err := w.load(ctx, b, nil); err != nil {
				return nil, err
			}
			if decide(b) == nil {
				return b, nil
			}
		}
		// These need more than is at hand, or fail: that is found out over what is committed.
		if err := w.settle(); err != nil {
			return nil, err
		}
		w.world = nil
	}
	b, err := w.read(ctx)
	if err != nil || len(b.events) == 0 {
		return b, err
	}
	err = w.Engine.work(ctx, b)
	w.world = b.world
	return b, err
}

// read takes the next pending events. One that may touch everything comes alone.
func (w *writer) read(ctx context.Context) (*batch, error) {
	b := &batch{world: w.world}
	if w.world != nil {
		b.row = campaignRow{No: w.no, ID: w.world.ID, Seq: w.world.Campaign.Seq}
	} else {
		if err := w.DB.WithContext(ctx).Where("no = ?", w.no).Take(&b.row).Error; err != nil {
			return nil, err
		}
		d, err := w.definition(ctx, w.no, b.row.Revision)
		if err != nil {
			return nil, err
		}
		b.world = newWorld(&b.row, d)
	}
	var err error
	limit := min(w.most, w.batches.Pieces(w.no, turnLength, leastBatch, batchSize))
	if b.events, err = pending(w.DB.WithContext(ctx), w.no, b.row.Seq, limit); err != nil {
		return nil, err
	}
	b.more = len(b.events) == limit
	if wide := slices.IndexFunc(b.events, func(ev event.Event) bool { return step.Wide(ev.Type) }); wide >= 0 && len(b.events) > 1 {
		b.events, b.more = b.events[:max(wide, 1)], true
	}
	return b, nil
}

// isolate goes through n events, a batch that failed, one by one. The one that fails alone is marked with its error
// and has no effect; the others are applied.
func (w *writer) isolate(ctx context.Context, n int) error {
	defer func(most int) { w.most = most }(w.most)
	w.most = 1
	for range n {
		_, err := w.next(ctx)
		if err == nil {
			err = w.settle()
		}
		var alone poisonError
		if errors.As(err, &alone) {
			w.Log.Error("an event cannot be applied and is set aside", "campaign", w.no, "err", alone.cause)
			err = w.fail(ctx, alone.cause)
		}
		if errors.Is(err, errOvertaken) {
			return nil // somebody else goes on with it
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// fail marks the next pending event as failed.
func (w *writer) fail(ctx context.Context, cause error) error {
	b, err := w.read(ctx)
	if err != nil || len(b.events) == 0 {
		return err
	}
	b.world.Fail(&b.events[0], cause)
	p, err := prepare(w.DB, b, w.now())
	if err != nil {
		return err
	}
	if err := w.saveBounded(ctx, p); err != nil {
		return err
	}
	w.announce(w.no, b.events)
	return nil
}

// work loads what a batch touches and runs the rules over it. When they come upon somebody who is not loaded, it
// begins again with them and everybody above them.
func (e *Engine) work(ctx context.Context, b *batch) error {
	before, err := json.Marshal(b.row.State)
	if err != nil {
		return err
	}
	var missing []int64
	for {
		if err := e.load(ctx, b, missing); err != nil {
			return err
		}
		var unloaded step.MissingError
		err := decide(b)
		switch {
		case err == nil:
			return nil
		case !errors.As(err, &unloaded) || slices.Contains(missing, unloaded.Person):
			return poisonError{len(b.events), err}
		}
		chain, err := e.ancestors(ctx, b.row.No, unloaded.Person)
		if err != nil {
			return err
		}
		missing = append(missing, chain...)
		b.row.State = step.Campaign{}
		if err := json.Unmarshal(before, &b.row.State); err != nil {
			return err
		}
		b.world = newWorld(&b.row, b.world.Definition)
	}
}

// decide runs the rules over a batch, in order.
func decide(b *batch) error {
	for i := range b.events {
		ev := &b.events[i]
		ev.Owner, ev.Detail = 0, nil // an earlier try of this batch may have set them
		if err := b.world.Apply(ev); err != nil {
			return err
		}
	}
	return nil
}

// announce says what is applied: to the metrics, and to those who wait for it.
func (e *Engine) announce(no int64, events []event.Event) {
	e.drains.applied(no, events)
	now := e.now()
	for i := range events {
		ev := &events[i]
		e.Metrics.Applied(string(ev.Outcome), time.Duration(now-ev.ReceivedAt)*time.Millisecond)
	}
}

// owes says that a batch that is saved owes messages.
func (e *Engine) owes(p prepared) {
	if p.owed > 0 {
		e.Metrics.Messages(string(notify.Owed), p.owed)
		e.wakeSenders(p.channel)
	}
}

// newWorld is a world in which nobody is loaded yet.
func newWorld(row *campaignRow, d *campaign.Definition) *step.World {
	return &step.World{
		Number: row.No, ID: row.ID, Campaign: &row.State, GrantsBefore: row.State.Grants, Definition: d,
		Revisions: map[int]*campaign.Definition{}, People: map[int64]*campaign.Person{}, Owners: map[string]int64{},
		Credits: map[step.CreditKey]*campaign.Credit{}, Shelves: map[string]*reward.Shelf{}, CreditsOf: map[int64]bool{}, Grants: map[int64]*reward.Grant{},
	}
}

// campaignLocks lets one goroutine of this process at a time work on a campaign; between processes the guard decides.
type campaignLocks struct {
	mu  sync.Mutex
	per map[int64]*campaignLock
}

type campaignLock struct {
	sync.Mutex
	users int
}

func (c *campaignLocks) lock(no int64) (unlock func()) {
	c.mu.Lock()
	if c.per == nil {
		c.per = map[int64]*campaignLock{}
	}
	l := c.per[no]
	if l == nil {
		l = &campaignLock{}
		c.per[no] = l
	}
	l.users++
	c.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(c.per, no)
		}
	}
}
