// Package database opens the store, SQLite or MySQL, and holds what differs
// between the two: addresses, transactions and when to try them again, bulk
// writes, migrations. It knows no table and no word of the product.
//
// Two things hold on both stores and are worth knowing. Times are int64 UTC
// milliseconds, so neither driver's idea of a date matters. And RowsAffected of
// an UPDATE counts the rows that changed on MySQL but those that matched on
// SQLite: a condition that settles a race must change something when it wins.
package database

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/fault"
)

// The dialects, as Dialect names them and as the migrations' folders are called.
const (
	SQLite = "sqlite"
	MySQL  = "mysql"
)

// openTimeout bounds the first connection, so that a wrong address is told and not waited for.
const openTimeout = 10 * time.Second

// Open opens "sqlite://path" (the folder is made where it is missing) or
// "mysql://user:password@host:3306/name[?tls=true]", where user and password
// are written as in any URL (@ as %40). It answers fault.Invalid for an address
// that cannot be meant, and fault.Unavailable where nothing answers. No error
// holds the password.
func Open(ctx context.Context, rawURL string) (*gorm.DB, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	scheme, rest, found := strings.Cut(rawURL, "://")
	switch {
	case found && scheme == SQLite:
		return openSQLite(ctx, rest)
	case found && scheme == MySQL:
		return openMySQL(ctx, rawURL)
	case found:
		return nil, fault.New(fault.Invalid, "database address: %q is not a database kfactor knows; write sqlite://path or mysql://user:password@host:3306/name", scheme)
	default:
		return nil, fault.New(fault.Invalid, "database address: no scheme; write sqlite://path or mysql://user:password@host:3306/name")
	}
}

// Close closes every connection of db.
func Close(db *gorm.DB) error {
	if p, ok := db.Config.ConnPool.(*pools); ok {
		return p.close()
	}
	pool, err := db.DB()
	if err != nil {
		return fmt.Errorf("close database: %w", err)
	}
	return pool.Close()
}

// DropIdle closes the connections that wait for work. Call it when a statement got no answer in its time: where one
// connection ended without a word, as behind a firewall that forgot it, those beside it have too, and each would cost
// as long again.
func DropIdle(db *gorm.DB) {
	if Dialect(db) != MySQL {
		return
	}
	if pool, err := db.DB(); err == nil {
		pool.SetMaxIdleConns(0)
		pool.SetMaxIdleConns(mysqlConns())
	}
}

// Dialect tells which store db is: SQLite or MySQL (which MariaDB and TiDB are too).
func Dialect(db *gorm.DB) string { return db.Dialector.Name() }

// config is what both stores share. Transactions are always explicit (Transact),
// and nothing logs a statement's values: they are people's data.
func config() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		DisableAutomaticPing:   true,
		Logger:                 slowLog{slog.Default()},
		NowFunc:                func() time.Time { return time.Now().UTC() },
	}
}
