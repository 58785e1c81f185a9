package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"
	sqlitedriver "modernc.org/sqlite"

	"kfactor/internal/fault"
)

const (
	attempts     = 8
	firstBackoff = 5 * time.Millisecond
	lastBackoff  = 250 * time.Millisecond
)

// Transact runs fn in a transaction: committed when fn returns nil, rolled back
// when it returns an error or panics. When the database says that another
// transaction was in the way (a deadlock, a lock that took too long, a busy
// file) everything is rolled back and fn runs again, a few times at most, so fn
// must begin from nothing each time. On MySQL the isolation is READ COMMITTED;
// on SQLite the write lock is taken at the start.
//
// Inside fn use tx alone. A write through db would wait for the transaction on
// SQLite, where there is one writer.
func Transact(ctx context.Context, db *gorm.DB, fn func(tx *gorm.DB) error) error {
	if _, inside := db.Statement.ConnPool.(gorm.TxCommitter); inside {
		return errors.New("database: a transaction inside a transaction")
	}
	err := retry(ctx, func() error {
		if p, ok := db.Config.ConnPool.(*pools); ok {
			if err := p.turn.Acquire(ctx, 1); err != nil {
				return nameAway(err)
			}
			defer p.turn.Release(1)
		}
		return db.WithContext(ctx).Transaction(fn)
	})
	if err != nil && IsRetryable(err) {
		return fault.Wrap(fault.Unavailable, err, "the database is busy; try again")
	}
	return err
}

// retry runs fn until it succeeds, fails for good, has been tried often enough, or ctx ends.
func retry(ctx context.Context, fn func() error) error {
	wait := firstBackoff
	for attempt := 1; ; attempt++ {
		err := fn()
		if err == nil || !IsRetryable(err) || attempt == attempts {
			return err
		}
		// Jitter, or the two that collided would meet again.
		timer := time.NewTimer(wait/2 + rand.N(wait))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(ctx.Err(), err)
		}
		wait = min(2*wait, lastBackoff)
	}
}

// IsDuplicate tells whether err is a unique or primary key that was there already.
func IsDuplicate(err error) bool {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return true
	}
	if my := (*mysqldriver.MySQLError)(nil); errors.As(err, &my) {
		return my.Number == mysqlDuplicate
	}
	if lite := (*sqlitedriver.Error)(nil); errors.As(err, &lite) {
		return lite.Code() == sqliteUnique || lite.Code() == sqlitePrimaryKey || lite.Code() == sqliteRowID
	}
	return false
}

// IsRefused tells whether the database refuses the rows themselves: a key or a check they break, a value that does
// not fit. The same rows will be refused again.
func IsRefused(err error) bool {
	if IsDuplicate(err) || errors.Is(err, gorm.ErrForeignKeyViolated) || errors.Is(err, gorm.ErrCheckConstraintViolated) {
		return true
	}
	if my := (*mysqldriver.MySQLError)(nil); errors.As(err, &my) {
		switch my.Number {
		case 1048, 1264, 1364, 1366, 1406, 3819, 4025: // null, out of range, missing, bad string, too long, check (MySQL, MariaDB)
			return true
		}
		return false
	}
	if lite := (*sqlitedriver.Error)(nil); errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case 18, 19, 20: // too big, constraint, type mismatch
			return true
		}
	}
	return false
}

// IsRetryable tells whether the same transaction, run again from its start, may
// well succeed. A lost connection is not among them: whether its commit took
// place is unknown.
func IsRetryable(err error) bool {
	if my := (*mysqldriver.MySQLError)(nil); errors.As(err, &my) {
		switch my.Number {
		case mysqlDeadlock, mysqlLockWaitTimeout, mariaRecordChanged, tidbWriteConflict, tidbTransactionRetry, tidbSchemaChanged:
			return true
		}
		return false
	}
	if lite := (*sqlitedriver.Error)(nil); errors.As(err, &lite) {
		primary := lite.Code() & 0xff
		return primary == sqliteBusy || primary == sqliteLocked
	}
	return false
}

// isAway tells whether the store did not answer, or could not work at all: it is gone, going or full. What was asked
// may be asked again; whether a commit among it took place is unknown.
func isAway(err error) bool {
	for _, lost := range []error{context.DeadlineExceeded, driver.ErrBadConn, mysqldriver.ErrInvalidConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF} {
		if errors.Is(err, lost) {
			return true
		}
	}
	if _, network := errors.AsType[*net.OpError](err); network {
		return true
	}
	if my := (*mysqldriver.MySQLError)(nil); errors.As(err, &my) {
		switch my.Number {
		case 1021, 1040, 1053, 1114, 1205, 1213, 1290, 1317, 1836, 1927: // disk full, too many connections, shutdown, table full, lock, deadlock, read-only, interrupted, read-only, killed
			return true
		}
		return false
	}
	if lite := (*sqlitedriver.Error)(nil); errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqliteBusy, sqliteLocked, 8, 10, 13, 14: // read-only, input and output, full, cannot open
			return true
		}
	}
	return false
}

// nameAway gives a store's absence the word that callers know.
func nameAway(err error) error {
	if !isAway(err) || fault.KindOf(err) == fault.Unavailable {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "the database does not answer or cannot write now; try again in a moment")
}
