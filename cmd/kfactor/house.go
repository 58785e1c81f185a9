package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"

	"github.com/mattn/go-isatty"
	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database"
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
	secret  []byte
	proxies []netip.Prefix // whose word about addresses is believed
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

// openHouse opens everything a server needs, link being the address that goes into codes. Without a queue the engine
// applies what it is asked to and leaves the rest to a running server.
func openHouse(ctx context.Context, s settings.Settings, link string, log *slog.Logger, behind whenBehind, withQueue bool) (_ *house, err error) {
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
	h.engine, err = engine.New(engine.Config{
		DB: h.db, Queue: h.queue, Metrics: h.metrics, Log: log,
		Secret: h.secret, DataDir: s.DataDir, PublicURL: link,
	})
	return h, err
}

// close ends what is open, the engine's intake first: what it has accepted is still written.
func (h *house) close() error {
	var errs []error
	if h.engine != nil {
		errs = append(errs, h.engine.Close())
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
		return work(ctx, h.engine, args)
	}
}

func (a *app) logger() *slog.Logger {
	return telemetry.Logger(a.settings.Log, a.stderr, isTerminal(a.stderr))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
