// Package engine is the shell around the rules: it takes events in, applies them in batches, one writer per campaign,
// and answers what stands. It is the only room that knows campaigns, rewards, the funnel and posters together.
package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/database"
	"kfactor/internal/fair"
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

	Channels map[string]Channel // by name, beside the web

	// Deliver sends what a channel's people are owed (see TakeOwed), for half a minute at most, and says whether more
	// may be due. nil: that is for other processes.
	Deliver func(ctx context.Context, channel string) (more bool, err error)

	IntakeBytes int64 // of events that wait for the database, in memory; 0: 64 MiB
}

// Engine runs campaigns.
type Engine struct {
	Config
	sealer        *seal.Sealer
	catalog       catalog
	intake        *intake
	drains        drains
	passing       passing
	applying      campaignLocks
	memories      memories
	batches       *fair.Turns // by campaign number
	keys          keyCache
	presses       presses
	posterSources posterSources
	running       running
	outbox

	joiners      gather[lookup, campaign.Person] // users who have joined
	faces        gather[personNo, face]
	posterOwners gather[string, PosterOwner] // by code
	leavers      gather[lookup, struct{}]    // users whose names and pictures are to be forgotten

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
	e.joiners.fetch, e.faces.fetch, e.posterOwners.fetch = e.participantsAmong, e.readFaces, e.readPosterOwners
	e.leavers.fetch = e.undress
	e.owing.fetch, e.windows.fetch = e.oweAll, e.openWindows
	e.batches = fair.New(batchesAtOnce(c.DB), time.Now)
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

// workers is how many campaigns with a wake one process looks at at once. Far fewer are applied at a time; who of
// them is next is for the turns to say, which know who had how much, and not for the queue.
const workers = 32

// batchesAtOnce is how many batches one process works on at a time: enough to keep the machine busy while some wait
// for the disk, few enough that a campaign that comes now and then has little company, and connections are left for
// others (see internal/database). On SQLite one writes while the others read.
func batchesAtOnce(db *gorm.DB) int {
	if database.Dialect(db) == database.SQLite {
		return 4
	}
	return max(8, 4*runtime.NumCPU())
}

// Run works until ctx ends: it applies what it is woken for and sweeps for what no wake came for. It returns when the
// work under way is done.
func (e *Engine) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return e.sweep(ctx) })
	group.Go(func() error {
		each(ctx, idempotencyTidied, func() {
			if err := e.forgetAnswers(ctx); err != nil && ctx.Err() == nil {
				e.Log.Error("old answers stay", "err", err)
			}
		})
		return ctx.Err()
	})
	if e.Queue != nil {
		group.Go(func() error {
			return e.Queue.Run(ctx, workers, queue.Workers{Apply: e.applyShare, Deliver: e.Deliver})
		})
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
