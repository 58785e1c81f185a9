package database

import (
	"cmp"
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	mysqldialect "gorm.io/driver/mysql"
	"gorm.io/gorm"

	"kfactor/internal/fault"
)

// Errors of MySQL, MariaDB and TiDB by number
// (https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html,
// https://docs.pingcap.com/tidb/stable/error-codes/).
const (
	mysqlDuplicate       = 1062
	mysqlLockWaitTimeout = 1205
	mysqlDeadlock        = 1213
	mariaRecordChanged   = 1020 // MariaDB with innodb_snapshot_isolation
	tidbWriteConflict    = 9007
	tidbTransactionRetry = 8002
	tidbSchemaChanged    = 8028
)

// sqlMode refuses what MySQL would otherwise bend to fit.
const sqlMode = "'STRICT_TRANS_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'"

func openMySQL(ctx context.Context, rawURL string) (*gorm.DB, error) {
	settings, err := mysqlSettings(rawURL)
	if err != nil {
		return nil, err
	}
	connector, err := mysqldriver.NewConnector(settings)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database address: %s: these settings do not go together", settings.Addr)
	}
	pool := sql.OpenDB(readCommitted{connector})
	pool.SetMaxOpenConns(mysqlConns())
	pool.SetMaxIdleConns(mysqlConns())
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(30 * time.Minute) // under any server's or proxy's own limit, so that they do not cut first

	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(fault.Wrap(fault.Unavailable, err, "the database at %s does not let us in: %v", settings.Addr, err), pool.Close())
	}
	db, err := gorm.Open(mysqlDialect{&mysqldialect.Dialector{Config: &mysqldialect.Config{Conn: pool}}}, config())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", settings.Addr, err), pool.Close())
	}
	return db, nil
}

// mysqlConns is the most connections that one process holds.
func mysqlConns() int { return max(16, 8*runtime.NumCPU()) }

// mysqlDialect is gorm's, with the store's absence named.
type mysqlDialect struct{ *mysqldialect.Dialector }

// Translate gives errors gorm's names, or the word for a store that is away, and keeps the driver's error below the latter.
func (d mysqlDialect) Translate(err error) error { return nameAway(d.Dialector.Translate(err)) }

// mysqlSettings reads the address. It never repeats what url.Parse complains
// about, for that would be the whole address with its password.
func mysqlSettings(rawURL string) (*mysqldriver.Config, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fault.New(fault.Invalid, "database address: it is no URL; write mysql://user:password@host:3306/name with special characters of the password as %%XX (@ is %%40, / is %%2F)")
	}
	name := strings.TrimPrefix(u.Path, "/")
	password, _ := u.User.Password()
	wrong := func(what string) error {
		return fault.New(fault.Invalid, "database address: %s; write mysql://user:password@host:3306/name", what)
	}
	switch {
	case u.Hostname() == "":
		return nil, wrong("it names no host")
	case u.User.Username() == "":
		return nil, wrong("it names no user")
	case name == "" || strings.Contains(name, "/"):
		return nil, wrong("it must name one database after the host")
	}

	settings := mysqldriver.NewConfig()
	settings.User, settings.Passwd, settings.DBName = u.User.Username(), password, name
	settings.Net, settings.Addr = "tcp", net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), "3306"))
	settings.Collation = "utf8mb4_bin"
	settings.ParseTime, settings.Loc = true, time.UTC
	settings.InterpolateParams = true // one round trip for a statement, and no limit of 65,535 placeholders
	settings.MaxAllowedPacket = 0     // as the server says
	settings.Timeout = 5 * time.Second
	settings.Params = map[string]string{
		"sql_mode":                 sqlMode,
		"time_zone":                "'+00:00'",
		"innodb_lock_wait_timeout": "10", // seconds; Transact then tries again
	}
	settings.Logger = driverLog{}

	for key, values := range u.Query() {
		allowed := []string{"true", "false", "preferred", "skip-verify"}
		switch {
		case key != "tls":
			return nil, fault.New(fault.Invalid, "database address: unknown parameter %q; the only one is tls", key)
		case len(values) != 1 || !slices.Contains(allowed, values[0]):
			return nil, fault.New(fault.Invalid, "database address: tls is one of %s", strings.Join(allowed, ", "))
		}
		settings.TLSConfig = values[0]
	}
	return settings, nil
}

// readCommitted sets each new connection's isolation once, which the server's
// variants name differently as a variable and alike as a statement. Reads then
// see what is committed and bulk writes lock no gaps.
type readCommitted struct{ driver.Connector }

func (c readCommitted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	session, ok := conn.(mysqlConn)
	if !ok {
		return nil, errors.Join(errors.New("the MySQL driver is not the one that is known here"), conn.Close())
	}
	if _, err := session.ExecContext(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", nil); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return boundedConn{session}, nil
}

// mysqlConn is all that database/sql makes use of in the driver's connection.
type mysqlConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	driver.NamedValueChecker
}

// boundedConn ends its transactions in a bounded time. database/sql gives a commit no context, and the driver would
// wait for its answer as long as the connection seems to be there, which one that ended without a word always does.
type boundedConn struct{ mysqlConn }

// endTimeout is how long a commit or a rollback may take.
const endTimeout = 10 * time.Second

func (c boundedConn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if _, err := c.mysqlConn.BeginTx(ctx, opts); err != nil {
		return nil, err
	}
	return boundedTx{c.mysqlConn}, nil
}

// boundedTx is the transaction that its connection is in.
type boundedTx struct{ conn mysqlConn }

func (t boundedTx) Commit() error   { return t.end("COMMIT") }
func (t boundedTx) Rollback() error { return t.end("ROLLBACK") }

func (t boundedTx) end(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	_, err := t.conn.ExecContext(ctx, statement, nil)
	return err
}

// driverLog takes the driver's remarks on broken connections.
type driverLog struct{}

func (driverLog) Print(said ...any) { slog.Debug("mysql: " + strings.TrimSpace(fmt.Sprintln(said...))) }
