package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"gorm.io/gorm"

	"kfactor/internal/fault"
)

// migrateWait bounds how long one program waits for another that migrates the same database.
const migrateWait = 2 * time.Minute

// Migration is one numbered change of the schema.
type Migration struct {
	Version   int64
	Name      string    // the file's name
	AppliedAt time.Time // zero while it is pending
}

// Migrate brings the schema up to date with the migrations of fsys, which holds
// a folder per dialect ("sqlite", "mysql"). Several programs may do so at once:
// they take turns, and the later ones find nothing left to do.
func Migrate(ctx context.Context, db *gorm.DB, fsys fs.FS) error {
	// Every command of the embedded default comes here; most find nothing to do
	// and need not wait for anyone.
	if pending, err := Pending(ctx, db, fsys); err == nil && pending == 0 {
		return nil
	}
	return migrating(ctx, db, fsys, func(p *goose.Provider) error {
		_, err := p.Up(ctx)
		return err
	})
}

// MigrateDown takes the newest applied migration back, and is fault.Conflict when none is applied.
func MigrateDown(ctx context.Context, db *gorm.DB, fsys fs.FS) error {
	return migrating(ctx, db, fsys, func(p *goose.Provider) error {
		_, err := p.Down(ctx)
		if errors.Is(err, goose.ErrNoNextVersion) {
			return fault.New(fault.Conflict, "no migration is applied, so there is none to take back")
		}
		return err
	})
}

// MigrationStatus lists every migration of fsys, oldest first, and when it was applied here.
func MigrationStatus(ctx context.Context, db *gorm.DB, fsys fs.FS) ([]Migration, error) {
	p, err := provider(db, fsys)
	if err != nil {
		return nil, err
	}
	known, err := p.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	list := make([]Migration, len(known))
	for i, m := range known {
		list[i] = Migration{Version: m.Source.Version, Name: m.Source.Path, AppliedAt: m.AppliedAt}
	}
	return list, nil
}

// Pending counts the migrations of fsys that are not applied yet.
func Pending(ctx context.Context, db *gorm.DB, fsys fs.FS) (int, error) {
	list, err := MigrationStatus(ctx, db, fsys)
	if err != nil {
		return 0, err
	}
	pending := 0
	for _, m := range list {
		if m.AppliedAt.IsZero() {
			pending++
		}
	}
	return pending, nil
}

// migrating runs step while no other program migrates this database.
func migrating(ctx context.Context, db *gorm.DB, fsys fs.FS, step func(*goose.Provider) error) error {
	p, err := provider(db, fsys)
	if err != nil {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, migrateWait)
	defer cancel()
	release, err := lockMigrations(waiting, db)
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "migrations: another program is migrating this database, or died doing it: %v", err)
	}
	defer release()
	if err := step(p); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return nil
}

func provider(db *gorm.DB, fsys fs.FS) (*goose.Provider, error) {
	dialect, folder := goose.DialectMySQL, MySQL
	if Dialect(db) == SQLite {
		dialect, folder = goose.DialectSQLite3, SQLite
	}
	files, err := fs.Sub(fsys, folder)
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(dialect, pool, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("migrations for %s: %w", folder, err)
	}
	return p, nil
}

// lockMigrations waits for its turn to migrate. Both locks end with the program
// that holds them, however it ends.
func lockMigrations(ctx context.Context, db *gorm.DB) (release func(), err error) {
	if Dialect(db) == SQLite {
		return lockBesideFile(ctx, db)
	}
	pool, err := db.DB()
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, err
	}
	// Named after the database, since a server's locks are common to all of its databases.
	const name = "CONCAT(LEFT(DATABASE(), 48), '.kfactor.schema')"
	var got sql.NullInt64
	err = conn.QueryRowContext(ctx, "SELECT GET_LOCK("+name+", ?)", int(migrateWait.Seconds())).Scan(&got)
	if err == nil && got.Int64 != 1 {
		err = fmt.Errorf("waited %s for it", migrateWait)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() {
		// Closing gives the connection back to the pool, lock and all, so it is let go of first.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK("+name+")")
		_ = conn.Close()
	}, nil
}

// lockBesideFile holds the write lock of an empty second database beside the
// first, whose own lock the migrations come to need themselves.
func lockBesideFile(ctx context.Context, db *gorm.DB) (release func(), err error) {
	var file string
	row := db.WithContext(ctx).Raw("SELECT file FROM pragma_database_list WHERE name = 'main'").Row()
	if err := row.Scan(&file); err != nil {
		return nil, err
	}
	locks, err := sql.Open("sqlite", sqliteName(file+".migrate")+"?_txlock=immediate&_pragma=busy_timeout(100)")
	if err != nil {
		return nil, err
	}
	for {
		tx, err := locks.BeginTx(ctx, nil)
		if err == nil {
			return func() {
				_ = tx.Rollback()
				_ = locks.Close()
			}, nil
		}
		if !IsRetryable(err) || ctx.Err() != nil {
			return nil, errors.Join(err, locks.Close())
		}
	}
}
