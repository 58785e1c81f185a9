package database

import (
	"context"
	"errors"
	"math/rand/v2"
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
	err := retry(ctx, func() error { return db.WithContext(ctx).Transaction(fn) })
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
