package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/reward"
)

const (
	// batchSize is the most events applied in one transaction. Under load batches fill up by themselves.
	batchSize = 1000

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

// applyBatch applies one batch of what is pending in a campaign and says whether there may be more.
func (e *Engine) applyBatch(ctx context.Context, no int64) (more bool, err error) {
	unlock := e.applying.lock(no)
	defer unlock()
	// The campaigns take turns, so that one with a flood gets what the others leave.
	applied := 0
	giveBack, err := e.batches.Take(ctx, no)
	if err != nil {
		return false, err
	}
	defer func() { giveBack(applied) }()

	began := time.Now()
	limit := e.batches.Pieces(no, turnLength, leastBatch, batchSize)
	for attempt := 0; ; attempt++ {
		n, full, err := e.applyOnce(ctx, no, limit)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil && limit > 1 {
			limit /= 10 // a slow database gets less at a time
			continue
		}
		if errors.Is(err, errOvertaken) && attempt < 10 {
			continue
		}
		var bad poisonError
		if errors.As(err, &bad) {
			n, err = e.isolate(ctx, no, bad)
			full = true
		}
		if err != nil {
			return false, fmt.Errorf("apply campaign %d: %w", no, err)
		}
		if applied = n; n > 0 {
			e.Metrics.Batch(n, time.Since(began))
		}
		return full, nil
	}
}

// poisonError says that a batch cannot be applied because of what is in it.
type poisonError struct {
	events int // in the batch
	cause  error
}

func (p poisonError) Error() string { return p.cause.Error() }
func (p poisonError) Unwrap() error { return p.cause }

// isolate goes through a batch that failed event by event. The one that fails alone is marked with its error and
// has no effect; the others are applied.
func (e *Engine) isolate(ctx context.Context, no int64, bad poisonError) (int, error) {
	for i := range bad.events {
		_, _, err := e.applyOnce(ctx, no, 1)
		var alone poisonError
		if errors.As(err, &alone) {
			e.Log.Error("an event cannot be applied and is set aside", "campaign", no, "err", alone.cause)
			err = e.fail(ctx, no, alone.cause)
		}
		if errors.Is(err, errOvertaken) {
			return i, nil // somebody else goes on with it
		}
		if err != nil {
			return i, err
		}
	}
	return bad.events, nil
}

// fail marks the next pending event as failed.
func (e *Engine) fail(ctx context.Context, no int64, cause error) error {
	batch, err := e.read(ctx, no, 1)
	if err != nil || len(batch.events) == 0 {
		return err
	}
	batch.world.Fail(&batch.events[0], cause)
	if err := e.save(ctx, batch); err != nil {
		return err
	}
	e.applied(batch)
	return nil
}

// batch is a campaign's row and the events to apply, with the world they touch.
type batch struct {
	row    campaignRow
	events []event.Event
	more   bool // there may be events after these
	world  *step.World
}

// applyOnce reads, decides and writes: at most limit events in one transaction. It gives how many it applied and
// whether there may be more.
func (e *Engine) applyOnce(ctx context.Context, no int64, limit int) (int, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	defer func() {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			database.DropIdle(e.DB)
		}
	}()
	b, err := e.read(ctx, no, limit)
	if err != nil || len(b.events) == 0 {
		return 0, false, err
	}
	if err := e.work(ctx, b); err != nil {
		return 0, false, err
	}
	crash.Point("apply.before-save")
	if err := e.save(ctx, b); err != nil {
		if database.IsRefused(err) {
			err = poisonError{len(b.events), err}
		}
		return 0, false, err
	}
	crash.Point("apply.after-commit")
	e.applied(b)
	return len(b.events), b.more, nil
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

// applied tells the metrics what was done, and those who wait for it.
func (e *Engine) applied(b *batch) {
	e.drains.applied(b.row.No, b.events)
	now := e.now()
	for i := range b.events {
		ev := &b.events[i]
		e.Metrics.Applied(string(ev.Outcome), time.Duration(now-ev.ReceivedAt)*time.Millisecond)
	}
}

// read takes the campaign's row and the next pending events. An event that may touch everything comes alone.
func (e *Engine) read(ctx context.Context, no int64, limit int) (*batch, error) {
	db := e.DB.WithContext(ctx)
	b := &batch{}
	if err := db.Where("no = ?", no).Take(&b.row).Error; err != nil {
		return nil, err
	}
	if err := db.Where("campaign = ? AND seq IS NULL", no).Order("pos").Limit(limit).Find(&b.events).Error; err != nil {
		return nil, err
	}
	b.more = len(b.events) == limit
	if wide := slices.IndexFunc(b.events, func(ev event.Event) bool { return step.Wide(ev.Type) }); wide >= 0 && len(b.events) > 1 {
		b.events, b.more = b.events[:max(wide, 1)], true
	}
	d, err := e.definition(ctx, no, b.row.Revision)
	if err != nil {
		return nil, err
	}
	b.world = newWorld(&b.row, d)
	return b, nil
}

// newWorld is a world in which nobody is loaded yet.
func newWorld(row *campaignRow, d *campaign.Definition) *step.World {
	return &step.World{
		Number: row.No, ID: row.ID, Campaign: &row.State, GrantsBefore: row.State.Grants, Definition: d,
		Revisions: map[int]*campaign.Definition{}, People: map[int64]*campaign.Person{}, Owners: map[string]int64{},
		Credits: map[step.CreditKey]*campaign.Credit{}, Shelves: map[string]*reward.Shelf{}, Grants: map[int64]*reward.Grant{},
	}
}

// save writes a batch in one transaction. The campaign's position is the guard: it moves only from where the batch
// was read, so of two writers one wins and the other begins again.
func (e *Engine) save(ctx context.Context, b *batch) error {
	w := b.world
	now := e.now()
	var due *int64
	if at := w.Campaign.DueAt(w.Definition); at != 0 {
		due = &at
	}
	return database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		moved := tx.Model(&campaignRow{}).Where("no = ? AND seq = ?", b.row.No, b.row.Seq).
			Select("status", "revision", "seq", "due_at", "state", "updated_at").
			Updates(&campaignRow{
				Status: w.Campaign.Status, Revision: w.Campaign.Revision, Seq: w.Campaign.Seq, DueAt: due, State: *w.Campaign, UpdatedAt: now,
			})
		if moved.Error != nil {
			return moved.Error
		}
		if moved.RowsAffected != 1 {
			return errOvertaken
		}
		// One after the other: after a deadlock the transaction is gone, and nothing more may be written outside it.
		for _, write := range []func() error{
			func() error {
				return database.Upsert(tx, w.ChangedPeople(), []string{"campaign", "person"},
					[]string{"code", "inviter", "depth", "score", "scored_seq", "joined_at", "facts"})
			},
			func() error {
				return database.Upsert(tx, w.ChangedCredits(), []string{"campaign", "person", "task", "n"},
					[]string{"owner", "state", "on_at", "off_at", "due_at", "ref", "event"})
			},
			func() error {
				return database.Upsert(tx, w.ChangedShelves(), []string{"campaign", "reward"},
					[]string{"stock", "granted", "delivered", "waitlisted", "coupons", "coupons_used"})
			},
			func() error { return saveGrants(tx, w.ChangedGrants(), w.GrantsBefore) },
			func() error { return create(tx, w.Entries()) },
			func() error { return addCounters(tx, w.Counters()) },
			func() error {
				return database.Upsert(tx, b.events, []string{"pos"}, []string{"seq", "owner", "outcome", "detail", "hash"})
			},
		} {
			if err := write(); err != nil {
				return err
			}
			crash.Point("apply.half-saved")
		}
		crash.Point("apply.before-commit")
		return nil
	})
}

// saveGrants writes grants: those numbered after the last one before the batch are new and must not meet another of
// the same person, tier and reward.
func saveGrants(tx *gorm.DB, grants []reward.Grant, before int64) error {
	fresh := slices.IndexFunc(grants, func(g reward.Grant) bool { return g.No > before }) // they come in order
	if fresh < 0 {
		fresh = len(grants)
	}
	err := database.Upsert(tx, grants[:fresh], []string{"campaign", "no"},
		[]string{"state", "reason", "cost", "points", "coupon", "promised_by", "delivered_by", "updated_at"})
	if err != nil {
		return err
	}
	return create(tx, grants[fresh:])
}

// create inserts rows that must not be there yet.
func create[T any](tx *gorm.DB, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	return tx.CreateInBatches(rows, 1000).Error
}

// addCounters adds increments to the funnel's counters.
func addCounters(tx *gorm.DB, counters []funnel.Counter) error {
	if len(counters) == 0 {
		return nil
	}
	added := map[string]any{"events": gorm.Expr("events + VALUES(events)"), "users": gorm.Expr("users + VALUES(users)")}
	if database.Dialect(tx) == database.SQLite {
		added = map[string]any{
			"events": gorm.Expr("funnel_counters.events + excluded.events"),
			"users":  gorm.Expr("funnel_counters.users + excluded.users"),
		}
	}
	key := []clause.Column{{Name: "campaign"}, {Name: "stage"}, {Name: "day"}, {Name: "variant"}, {Name: "depth"}, {Name: "source"}}
	return tx.Clauses(clause.OnConflict{Columns: key, DoUpdates: clause.Assignments(added)}).CreateInBatches(counters, 500).Error
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
