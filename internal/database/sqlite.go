package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/semaphore"
	sqlitedialect "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	sqlitedriver "modernc.org/sqlite"

	"kfactor/internal/fault"
)

// SQLite's result codes, primary and extended (https://sqlite.org/rescode.html).
const (
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteCheck      = 275
	sqliteForeignKey = 787
	sqlitePrimaryKey = 1555
	sqliteUnique     = 2067
	sqliteRowID      = 2579
)

// openSQLite opens the file at path for one writer connection and several
// readers beside it. A write-ahead log lets the two go on at the same time, and
// synchronous=FULL makes a commit durable before it returns.
func openSQLite(ctx context.Context, path string) (*gorm.DB, error) {
	switch {
	case path == "":
		return nil, fault.New(fault.Invalid, "database address: sqlite:// names no file; write sqlite://data/kfactor.db")
	case strings.ContainsAny(path, "?#"):
		return nil, fault.New(fault.Invalid, "database address: sqlite://%s: a path holds no ? or #, and sqlite takes no parameters", path)
	case strings.HasPrefix(path, ":"):
		return nil, fault.New(fault.Invalid, "database address: sqlite://%s: there is no database in memory here, since it could not be shared; name a file", path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "database address: the folder %s cannot be made: %v", filepath.Dir(path), err)
	}

	// The file holds what people did: it is its owner's alone. What SQLite makes beside it gets the same mode.
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the database file %s cannot be opened: %v", path, err)
	}
	if err := file.Close(); err != nil {
		return nil, err
	}

	shared := url.Values{"_pragma": {
		"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(1)",
		"temp_store(MEMORY)", "cache_size(-16000)", "journal_size_limit(67108864)",
		// In pages. With SQLite's own 1,000 each large commit would copy what the next one writes anew.
		"wal_autocheckpoint(16000)",
		// A connection's own cache is void as soon as another commits, and readers would read all anew.
		"mmap_size(1073741824)",
	}}
	name := sqliteName(path) + "?" + shared.Encode()
	writer, err := sql.Open("sqlite", name+"&_txlock=immediate")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	readers, err := sql.Open("sqlite", name+"&_query_only=1")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), writer.Close())
	}
	p := &pools{writer: writer, readers: readers, turn: semaphore.NewWeighted(1)}
	writer.SetMaxOpenConns(1)
	readers.SetMaxOpenConns(max(4, runtime.NumCPU()))
	readers.SetMaxIdleConns(max(4, runtime.NumCPU()))

	// The writer goes first: it makes the file and turns on the write-ahead log.
	// Two programs doing that to a new file at once can meet a lock that no
	// timeout covers.
	err = retry(ctx, func() error { return writer.PingContext(ctx) })
	if err != nil {
		return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "the database file %s cannot be opened: %v", path, err), p.close())
	}
	db, err := gorm.Open(sqliteDialect{&sqlitedialect.Dialector{DriverName: "sqlite", Conn: p}}, config())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), p.close())
	}
	return db, nil
}

// OpenScratch makes a SQLite database in a new file for work that is thrown away: it has one connection, so that what
// one statement writes is still in memory for the next that reads it, and nothing is safe from a crash. A cursor must be
// closed before the next statement.
func OpenScratch(ctx context.Context, path string) (*gorm.DB, error) {
	pragmas := url.Values{"_pragma": {
		"journal_mode(MEMORY)", "synchronous(OFF)", "locking_mode(EXCLUSIVE)", "temp_store(MEMORY)", "cache_size(-65536)",
	}}
	pool, err := sql.Open("sqlite", sqliteName(path)+"?"+pragmas.Encode())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	pool.SetMaxOpenConns(1)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "the scratch file %s cannot be opened: %v", path, err), pool.Close())
	}
	db, err := gorm.Open(sqliteDialect{&sqlitedialect.Dialector{DriverName: "sqlite", Conn: pool}}, config())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), pool.Close())
	}
	return db, nil
}

// sqliteName writes a path as the URI that SQLite reads, before its parameters.
func sqliteName(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// sqliteDialect is gorm's, with the errors of the pure Go driver translated.
type sqliteDialect struct{ *sqlitedialect.Dialector }

// Translate gives constraint failures gorm's names and keeps the driver's error below.
func (sqliteDialect) Translate(err error) error {
	var known *sqlitedriver.Error
	if !errors.As(err, &known) {
		return err
	}
	var name error
	switch known.Code() {
	case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
		name = gorm.ErrDuplicatedKey
	case sqliteForeignKey:
		name = gorm.ErrForeignKeyViolated
	case sqliteCheck:
		name = gorm.ErrCheckConstraintViolated
	}
	if name == nil || errors.Is(err, name) {
		return nameAway(err)
	}
	return fmt.Errorf("%w: %w", name, err)
}

// pools sends every statement to the connections it belongs to, so that reading
// never waits for the one writer: writes and transactions to the writer, plain
// SELECTs and read-only transactions to the readers. What runs inside a
// transaction stays on that transaction's connection.
type pools struct {
	writer, readers *sql.DB
	turn            *semaphore.Weighted // to write, in the order of asking: database/sql lets one of those who wait go at random
}

func (p *pools) PrepareContext(ctx context.Context, query string) (*sql.Stmt, error) {
	return p.pick(query).PrepareContext(ctx, query)
}

func (p *pools) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	return p.writer.ExecContext(ctx, query, args...)
}

func (p *pools) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return p.pick(query).QueryContext(ctx, query, args...)
}

func (p *pools) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	return p.pick(query).QueryRowContext(ctx, query, args...)
}

// BeginTx begins on the writer unless the caller promises only to read.
func (p *pools) BeginTx(ctx context.Context, opts *sql.TxOptions) (*sql.Tx, error) {
	if opts != nil && opts.ReadOnly {
		return p.readers.BeginTx(ctx, nil)
	}
	return p.writer.BeginTx(ctx, nil)
}

// GetDBConn gives gorm's DB() the writer, which may do everything.
func (p *pools) GetDBConn() (*sql.DB, error) { return p.writer, nil }

// pick goes by the first word: only SELECT surely reads (INSERT … RETURNING is
// a query as well, and WITH may begin a write).
func (p *pools) pick(query string) *sql.DB {
	query = strings.TrimLeft(query, " \t\r\n")
	if len(query) >= 6 && strings.EqualFold(query[:6], "SELECT") {
		return p.readers
	}
	return p.writer
}

func (p *pools) close() error { return errors.Join(p.readers.Close(), p.writer.Close()) }
