// Package engine is the shell around the rules: it takes events in, applies them in batches, one writer per campaign,
// and answers what stands. It is the only room that knows campaigns, rewards, the funnel and posters together.
package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/fetch"
	"kfactor/internal/queue"
	"kfactor/internal/seal"
	"kfactor/internal/telemetry"
	"kfactor/migrations"
)

// Config is what an engine stands on.
type Config struct {
	DB        *gorm.DB
	Queue     *queue.Queue // nil: this process applies only what it drains itself
	Metrics   *telemetry.Metrics
	Log       *slog.Logger
	Secret    []byte           // seal.KeySize bytes
	DataDir   string           // uploaded files
	PublicURL string           // goes into codes and links, without a slash at the end
	Now       func() time.Time // nil: time.Now
	Avatars   *fetch.Fetcher   // nil: one that reaches public addresses only
}

// Engine runs campaigns.
type Engine struct {
	Config
	sealer   *seal.Sealer
	catalog  catalog
	intake   *intake
	drains   drains
	applying campaignLocks
	keys     keyCache
	presses  presses

	joiners gather[lookup, campaign.Person] // users who have joined
	faces   gather[personNo, face]

	unwakeable atomic.Int64 // UTC milliseconds until which no wake is tried
}

// New makes an engine over a migrated database. Run makes it work on its own; without Run it still takes events in
// and drains what it is asked to.
func New(c Config) (*Engine, error) {
	sealer, err := seal.New(c.Secret)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = telemetry.New()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Avatars == nil {
		c.Avatars = fetch.New(maxAvatar, maxAvatarsCache)
	}
	e := &Engine{Config: c, sealer: sealer}
	if err := e.checkSecret(); err != nil {
		return nil, err
	}
	e.joiners.fetch, e.faces.fetch = e.participantsAmong, e.readFaces
	e.intake = newIntake(e)
	return e, nil
}

// secretMark is what a database keeps of the secret it was first used with: enough to know it again.
type secretMark struct {
	Name string `gorm:"primaryKey"`
	Mark []byte
}

func (secretMark) TableName() string { return "secret_marks" }

// checkSecret refuses another secret than the one that people in this database were sealed with: everybody would be a
// stranger and count again.
func (e *Engine) checkSecret() error {
	mark := e.sealer.Lookup(0, "kfactor secret mark")
	ours := secretMark{Name: "secret", Mark: mark[:]}
	if _, err := database.InsertNew(e.DB, []secretMark{ours}, "name"); err != nil {
		return err
	}
	var there secretMark
	if err := e.DB.Where("name = ?", ours.Name).Take(&there).Error; err != nil {
		return err
	}
	if !bytes.Equal(there.Mark, ours.Mark) {
		return fault.New(fault.Conflict, "KFACTOR_SECRET_KEY is not the key that this database was first used with; start with that one")
	}
	return nil
}

// workers is how many campaigns one process applies at once.
const workers = 4

// Run works until ctx ends: it applies what it is woken for and sweeps for what no wake came for. It returns when the
// work under way is done.
func (e *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.sweep(ctx) })
	if e.Queue != nil {
		group.Go(func() error { return e.Queue.Run(ctx, workers, e.applySome) })
	}
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Close ends intake after what it has accepted is written.
func (e *Engine) Close() error {
	e.intake.close()
	return nil
}

// Ready says whether the engine can work: the database answers and its schema is up to date, the queue answers.
func (e *Engine) Ready(ctx context.Context) error {
	pending, err := database.Pending(ctx, e.DB, migrations.FS)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "the database does not answer")
	}
	if pending > 0 {
		return fault.New(fault.Unavailable, "the database schema is behind; run `kfactor migrate up`")
	}
	if e.Queue == nil {
		return nil
	}
	if err := e.Queue.Ping(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "redis does not answer")
	}
	return nil
}

// now is the moment in UTC milliseconds.
func (e *Engine) now() int64 { return e.Now().UnixMilli() }

// sweepEvery is how often lost wakes and due moments are looked for.
const sweepEvery = time.Second

// sweep gives again what was lost: campaigns with events that are not applied, and campaigns for which something
// falls due. The database is the truth; wakes are hints that Redis may lose.
func (e *Engine) sweep(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		if err := e.SweepOnce(ctx); err != nil && ctx.Err() == nil {
			e.Log.Error("sweep", "err", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// SweepOnce looks once for campaigns with something to do and works on them.
func (e *Engine) SweepOnce(ctx context.Context) error {
	look, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	db := e.DB.WithContext(look)
	var due []campaignRow
	if err := db.Where("due_at <= ?", e.now()).Order("due_at").Limit(1000).Find(&due).Error; err != nil {
		return err
	}
	var late error
	began := time.Now()
	for _, c := range due {
		err := e.passTimeBounded(ctx, c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil && late == nil { // one campaign that cannot go on must not stop the others
			late = fmt.Errorf("campaign %s: %w", c.ID, err)
		}
		if err != nil && time.Since(began) > applyTimeout { // it is none of the campaigns, then
			break
		}
	}
	var waiting []int64
	look, cancel = context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	err := e.DB.WithContext(look).Raw("SELECT c.no FROM campaigns c WHERE EXISTS (SELECT 1 FROM events e WHERE e.campaign = c.no AND e.seq IS NULL) ORDER BY c.no LIMIT 1000").Scan(&waiting).Error
	if err != nil {
		return errors.Join(late, err)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for _, no := range waiting {
		group.Go(func() error {
			if err := e.applySome(ctx, no); err != nil && ctx.Err() == nil {
				e.Log.Error("apply", "campaign", no, "err", err)
			}
			return nil
		})
	}
	return errors.Join(late, group.Wait())
}

// drains lets callers that need a campaign applied share runs: who comes while one is under way waits for the next.
type drains struct {
	mu  sync.Mutex
	per map[int64]*drain
}

type drain struct {
	running bool
	next    *drainRun
}

type drainRun struct {
	done chan struct{}
	err  error
}

// drain applies everything that is pending in the campaign when it is called, and what comes meanwhile.
func (e *Engine) drain(ctx context.Context, no int64) error {
	d := &e.drains
	d.mu.Lock()
	if d.per == nil {
		d.per = map[int64]*drain{}
	}
	c := d.per[no]
	if c == nil {
		c = &drain{}
		d.per[no] = c
	}
	if c.next == nil {
		c.next = &drainRun{done: make(chan struct{})}
	}
	run := c.next
	if !c.running {
		c.running = true
		go e.runDrains(context.WithoutCancel(ctx), no, c)
	}
	d.mu.Unlock()
	select {
	case <-run.done:
		return run.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// runDrains works off the runs that were asked for, one after the other, and ends when there is none.
func (e *Engine) runDrains(ctx context.Context, no int64, c *drain) {
	for {
		e.drains.mu.Lock()
		run := c.next
		c.next = nil
		if run == nil {
			c.running = false
			delete(e.drains.per, no)
			e.drains.mu.Unlock()
			return
		}
		e.drains.mu.Unlock()
		ctx, cancel := context.WithTimeout(ctx, drainTimeout)
		for more := true; more && run.err == nil; {
			more, run.err = e.applyBatch(ctx, no)
		}
		cancel()
		close(run.done)
	}
}

// drainTimeout bounds one run; what is left is found by the sweep.
const drainTimeout = 60 * time.Second

// applySome applies a share of what is pending and leaves the rest for another turn, so that a flood in one campaign
// does not keep the workers from the others.
func (e *Engine) applySome(ctx context.Context, no int64) error {
	const share = 16 // batches
	for range share {
		more, err := e.applyBatch(ctx, no)
		if err != nil || !more {
			return err
		}
	}
	e.wake(ctx, no)
	return nil
}
