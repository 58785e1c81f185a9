package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kfactor/engine/step"
	"kfactor/event"
)

const (
	// sweepEvery is how often lost wakes and due moments are looked for.
	sweepEvery = time.Second

	// share is how long a campaign with more and more to apply keeps a worker from the others, and longestTurn how long
	// where no other waits for its turn.
	share       = 200 * time.Millisecond
	longestTurn = 2 * time.Second

	mostPassing = 256              // campaigns that are let pass time at once
	longestPass = 10 * time.Minute // for one of them, under a flood: its event waits for its turn in the journal

	// A campaign whose time cannot pass is tried again after these, the first doubled each time.
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// sweep gives again what was lost until ctx ends: campaigns with events that are not applied, and campaigns for which
// something falls due, and channels that have something to send. The database is the truth; wakes are hints that Redis
// may lose. None of them waits for another.
func (e *Engine) sweep(ctx context.Context) error {
	var group sync.WaitGroup
	group.Go(func() {
		var passing sync.WaitGroup
		defer passing.Wait()
		each(ctx, sweepEvery, func() {
			if err := e.passDue(ctx, &passing, e.logLate(ctx)); err != nil && ctx.Err() == nil {
				e.Log.Error("sweep", "err", err)
			}
		})
	})
	group.Go(func() {
		each(ctx, sweepEvery, func() {
			if err := e.catchUp(ctx, sweepEvery); err != nil && ctx.Err() == nil {
				e.Log.Error("sweep", "err", err)
			}
		})
	})
	group.Go(func() {
		var sending sync.WaitGroup
		defer sending.Wait()
		each(ctx, sweepEvery, func() { e.sendDue(ctx, &sending) })
	})
	group.Go(func() {
		each(ctx, forgetEvery, func() {
			if err := e.forgetMessages(ctx); err != nil && ctx.Err() == nil {
				e.Log.Error("old messages stay", "err", err)
			}
		})
	})
	group.Wait()
	return ctx.Err()
}

// each calls look at once and at every tick until ctx ends.
func each(ctx context.Context, every time.Duration, look func()) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		look()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) logLate(ctx context.Context) func(error) {
	return func(err error) {
		if ctx.Err() == nil {
			e.Log.Error("sweep", "err", err)
		}
	}
}

// SweepOnce looks once for campaigns with something to do, works on them, and returns when that is done.
func (e *Engine) SweepOnce(ctx context.Context) error {
	var mu sync.Mutex
	var late error
	var passing sync.WaitGroup
	err := e.passDue(ctx, &passing, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if late == nil {
			late = err
		}
	})
	passing.Wait()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(late, e.catchUp(ctx, drainTimeout), e.sendOnce(ctx), e.forgetMessages(ctx))
}

// catchUp applies what no wake came for: the campaigns take turns of a share each, until nothing is left of what was
// there or the time is up.
func (e *Engine) catchUp(ctx context.Context, most time.Duration) error {
	waiting, err := e.waiting(ctx)
	for began := time.Now(); err == nil && len(waiting) > 0 && ctx.Err() == nil; {
		var mu sync.Mutex
		var more []int64
		var group errgroup.Group
		group.SetLimit(workers)
		for _, no := range waiting {
			group.Go(func() error {
				again, err := e.applyShare(ctx, no)
				if err != nil && ctx.Err() == nil {
					e.Log.Error("apply", "campaign", no, "err", err)
				}
				if again {
					mu.Lock()
					defer mu.Unlock()
					more = append(more, no)
				}
				return nil // one campaign that cannot go on must not stop the others
			})
		}
		_ = group.Wait()
		if waiting = more; time.Since(began) > most {
			break
		}
	}
	return err
}

// waiting are the campaigns with events that are not applied.
func (e *Engine) waiting(ctx context.Context) (numbers []int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err = e.DB.WithContext(ctx).Raw("SELECT c.no FROM campaigns c JOIN tails t ON t.campaign = c.no WHERE t.seq > c.seq ORDER BY c.no LIMIT 1000").
		Scan(&numbers).Error
	return numbers, err
}

// applyShare applies what is pending for the length of a share, and says whether there may be more.
func (e *Engine) applyShare(ctx context.Context, no int64) (more bool, err error) {
	for began := time.Now(); time.Since(began) < share; {
		if more, err = e.applyTurn(ctx, no, began.Add(longestTurn)); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// passing are the campaigns that are let pass time just now, and those whose time would not pass.
type passing struct {
	mu      sync.Mutex
	busy    map[int64]bool
	failing map[int64]failing
}

// failing is a campaign whose time did not pass.
type failing struct {
	until time.Time // not tried before
	pause time.Duration
}

// begin takes a campaign, unless somebody has it or it is to be left alone for a while.
func (p *passing) begin(no int64, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy[no] || now.Before(p.failing[no].until) {
		return false
	}
	if p.busy == nil {
		p.busy, p.failing = map[int64]bool{}, map[int64]failing{}
	}
	p.busy[no] = true
	return true
}

func (p *passing) end(no int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, no)
}

// count is how many campaigns are taken or left alone.
func (p *passing) count() (busy, failing int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.busy), len(p.failing)
}

// failed leaves a campaign alone for twice as long as the last time, and says how long.
func (p *passing) failed(no int64, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := min(max(2*p.failing[no].pause, firstRetry), lastRetry)
	p.failing[no] = failing{now.Add(pause), pause}
	return pause
}

func (p *passing) passed(no int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.failing, no)
}

// passDue lets each campaign that is due pass time in a goroutine of its own, which all counts: one whose event waits
// behind a flood keeps no other. late is told what went wrong.
func (e *Engine) passDue(ctx context.Context, all *sync.WaitGroup, late func(error)) error {
	busy, left := e.passing.count()
	if busy >= mostPassing {
		return nil
	}
	look, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	var due []campaignRow
	err := e.DB.WithContext(look).Select("no", "id", "seq", "due_at").Where("due_at <= ?", e.now()).
		Order("due_at").Limit(mostPassing + left).Find(&due).Error
	if err != nil {
		return err
	}
	for _, c := range due {
		if !e.passing.begin(c.No, e.Now()) {
			continue
		}
		all.Go(func() {
			defer e.passing.end(c.No)
			if err := e.passTime(ctx, c); err != nil {
				late(fmt.Errorf("campaign %s: %w", c.ID, err))
			}
		})
		if busy++; busy >= mostPassing {
			break
		}
	}
	return nil
}

// passTime appends the event that lets a campaign do what is due, and applies it, as often as more is due at once.
// The event's id comes from the campaign's position, so that of several processes that notice only one has its way.
func (e *Engine) passTime(ctx context.Context, row campaignRow) error {
	const rounds = 50 // what is left then is found by the next sweep
	for range rounds {
		d, err := orderDraft(row.No, event.TimePassed, step.Order{}, e.now())
		if err != nil {
			return err
		}
		d.ID = fmt.Sprintf("%s-%d", event.TimePassed, row.Seq)
		done, err := e.putThrough(ctx, d, longestPass)
		if err != nil {
			return err
		}
		if done.Outcome == event.Failed { // what was due still is
			return fmt.Errorf("time does not pass, see the event %s; it is tried again in %s", d.ID, e.passing.failed(row.No, e.Now()))
		}
		e.passing.passed(row.No)
		if row, err = e.campaignRow(ctx, row.ID); err != nil {
			return err
		}
		if row.DueAt == nil || *row.DueAt > e.now() {
			return nil
		}
	}
	return nil
}
