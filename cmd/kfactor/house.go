package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/engine"
	"kfactor/internal/database"
	"kfactor/internal/fetch"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
	"kfactor/internal/telemetry"
	"kfactor/migrations"
)

// house is what one process has opened.
type house struct {
	db      *gorm.DB
	queue   *queue.Queue // nil in commands that do one thing
	metrics *telemetry.Metrics
	engine  *engine.Engine
	// channels are the accounts beside the web; nil where none is configured.
	channels *wechat.Channels
	secret   []byte
	proxies  []netip.Prefix // whose word about addresses is believed
}

// whenBehind is what to do about a schema that is not up to date.
type whenBehind bool

const (
	refuse  whenBehind = false
	migrate whenBehind = true
)

// openDatabase opens the database and sees to its schema: the embedded one is brought up to date by whoever comes,
// another one only on demand, since others share it.
func openDatabase(ctx context.Context, s settings.Settings, behind whenBehind) (*gorm.DB, error) {
	db, err := database.Open(ctx, s.DatabaseURL)
	if err != nil {
		return nil, fmt.Errorf("KFACTOR_DATABASE_URL: %w", err)
	}
	if s.SQLite() || behind == migrate {
		err = database.Migrate(ctx, db, migrations.FS)
	} else {
		var pending int
		if pending, err = database.Pending(ctx, db, migrations.FS); err == nil && pending > 0 {
			err = fmt.Errorf("the database's schema is behind by %s; run `kfactor migrate up`", counted(pending, "migration"))
		}
	}
	if err != nil {
		return nil, errors.Join(err, database.Close(db))
	}
	return db, nil
}

// surroundings are what a house stands in: the real world where nothing else is said.
type surroundings struct {
	now     func() time.Time // nil: time.Now
	avatars *fetch.Fetcher   // nil: one that reaches public addresses only
}

// openHouse opens everything a server needs, link being the address that goes into codes. Without a queue the engine
// applies what it is asked to and leaves the rest to a running server.
func openHouse(ctx context.Context, s settings.Settings, link string, log *slog.Logger, behind whenBehind, withQueue bool) (*house, error) {
	return openHouseIn(ctx, surroundings{}, s, link, log, behind, withQueue)
}

func openHouseIn(ctx context.Context, around surroundings, s settings.Settings, link string, log *slog.Logger, behind whenBehind, withQueue bool) (_ *house, err error) {
	slog.SetDefault(log) // for what knows no other log
	h := &house{metrics: telemetry.New(), proxies: s.TrustedProxies}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close())
		}
	}()
	if h.secret, err = s.Secret(); err != nil {
		return nil, err
	}
	if h.db, err = openDatabase(ctx, s, behind); err != nil {
		return nil, err
	}
	if withQueue {
		if h.queue, err = queue.Open(s.RedisURL, log); err != nil {
			return nil, fmt.Errorf("KFACTOR_REDIS_URL: %w", err)
		}
	}
	c := engine.Config{
		DB: h.db, Queue: h.queue, Metrics: h.metrics, Log: log,
		Secret: h.secret, DataDir: s.DataDir, PublicURL: link, Now: around.now, Avatars: around.avatars,
	}
	if len(s.Channels) == 0 {
		h.engine, err = engine.New(c)
		return h, err
	}
	return h, h.openChannels(ctx, c, s.Channels)
}

// openChannels opens the engine with its channels: codes come from the accounts, which need the engine to answer and
// to send.
func (h *house) openChannels(ctx context.Context, c engine.Config, configured map[string]settings.Channel) error {
	accounts, err := wechat.Open(wechat.Config{
		DB: h.db, Secret: h.secret, Accounts: configured, PublicURL: c.PublicURL, Now: c.Now, Log: c.Log, Metrics: h.metrics,
	})
	if err != nil {
		return err
	}
	if c.Channels, err = accounts.Channels(ctx); err != nil {
		return err
	}
	c.Deliver = func(ctx context.Context, channel string) (more bool, err error) {
		return h.channels.Deliver(ctx, channel)
	}
	if h.engine, err = engine.New(c); err != nil {
		return err
	}
	h.channels = accounts.Serve(h.engine)
	return nil
}

// close ends what is open, the engine's intake first: what it has accepted is still written.
func (h *house) close() error {
	var errs []error
	if h.engine != nil {
		errs = append(errs, h.engine.Close())
	}
	if h.channels != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		errs = append(errs, h.channels.Close(ctx))
		cancel()
	}
	if h.queue != nil {
		errs = append(errs, h.queue.Close())
	}
	if h.db != nil {
		errs = append(errs, database.Close(h.db))
	}
	return errors.Join(errs...)
}

// withEngine is the work of a command that needs the engine once, beside a server that may be running.
func (a *app) withEngine(work func(ctx context.Context, e *engine.Engine, args []string) error) func(context.Context, []string) error {
	return a.withHouse(func(ctx context.Context, h *house, args []string) error { return work(ctx, h.engine, args) })
}

// withHouse is the work of a command that needs more than the engine.
func (a *app) withHouse(work func(ctx context.Context, h *house, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) (err error) {
		log := a.logger()
		if a.settings.Log == "info" {
			log = telemetry.Logger("warn", a.stderr, isTerminal(a.stderr)) // one answer, not the story of it
		}
		h, err := openHouse(ctx, a.settings, a.settings.Link(nil), log, refuse, false)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, h.close()) }()
		return work(ctx, h, args)
	}
}

func (a *app) logger() *slog.Logger {
	return telemetry.Logger(a.settings.Log, a.stderr, isTerminal(a.stderr))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
