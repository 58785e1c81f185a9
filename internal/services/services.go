// Package services gives tests and benchmarks real databases and a real Redis:
// private ones, started from the binaries of this machine, or those that
// KFACTOR_TEST_MYSQL_URL and KFACTOR_TEST_REDIS_URL name (as "make test" does,
// so that a whole run shares one of each). SERVICES=none does without.
package services

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mysqldriver "github.com/go-sql-driver/mysql"
	"github.com/redis/go-redis/v9"
)

// The variables that name servers already running, of which each test takes a
// part of its own, and the one that says to do without.
const (
	MySQLVariable = "KFACTOR_TEST_MYSQL_URL"
	RedisVariable = "KFACTOR_TEST_REDIS_URL"
	WithVariable  = "SERVICES"
)

// Missing says what to install where a server's binary is not found.
const Missing = "install it (on Debian: apt-get install mariadb-server redis-server), or set SERVICES=none to test the embedded part alone"

var (
	sharedMariaDB = sync.OnceValues(func() (*MariaDB, error) { return StartMariaDB() })
	sharedRedis   = sync.OnceValues(func() (*RedisServer, error) { return StartRedis() })
)

// MySQL gives the address of an empty database that this test has to itself and
// that is dropped after it. It skips the test under SERVICES=none, or where
// there is no server to be had.
func MySQL(t testing.TB) string {
	t.Helper()
	server := os.Getenv(MySQLVariable)
	if server == "" {
		skipWithout(t, "MySQL")
		own, err := sharedMariaDB()
		if err != nil {
			t.Skipf("no MySQL: %v", err)
		}
		server = own.URL()
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL", MySQLVariable)
	}
	admin, err := adminOf(u)
	if err != nil {
		t.Fatal(err)
	}
	name := "kfactor_test_" + randomName()
	if _, err := admin.Exec("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		t.Fatalf("create a database for the test: %v", err)
	}
	t.Cleanup(func() {
		if _, err := admin.Exec("DROP DATABASE " + name); err != nil {
			t.Logf("drop the test's database: %v", err)
		}
		_ = admin.Close()
	})
	u.Path = "/" + name
	return u.String()
}

// Redis gives the address of an empty Redis database that this test has to
// itself. It skips the test under SERVICES=none, or where there is no server to be had.
func Redis(t testing.TB) string {
	t.Helper()
	server := os.Getenv(RedisVariable)
	if server == "" {
		skipWithout(t, "Redis")
		own, err := sharedRedis()
		if err != nil {
			t.Skipf("no Redis: %v", err)
		}
		server = own.URL()
	}
	options, err := redis.ParseURL(server)
	if err != nil {
		t.Fatalf("%s is no Redis address", RedisVariable)
	}
	options.DB = 0
	client := redis.NewClient(options)
	defer func() { _ = client.Close() }()

	// Database 0 counts, for tests of several packages, that is processes, ask at once.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	databases, err := client.ConfigGet(ctx, "databases").Result()
	if err != nil {
		t.Fatalf("ask redis for its databases: %v", err)
	}
	count, err := strconv.ParseInt(databases["databases"], 10, 64)
	if err != nil || count < 2 {
		t.Fatalf("redis has %q databases; tests need at least 2", databases["databases"])
	}
	turn, err := client.Incr(ctx, "kfactor:test:database").Result()
	if err != nil {
		t.Fatalf("take a redis database: %v", err)
	}
	options.DB = int(1 + turn%(count-1))
	mine := redis.NewClient(options)
	defer func() { _ = mine.Close() }()
	if err := mine.FlushDB(ctx).Err(); err != nil {
		t.Fatalf("empty the test's redis database: %v", err)
	}
	u, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is no URL", RedisVariable)
	}
	u.Path = "/" + strconv.Itoa(options.DB)
	return u.String()
}

func skipWithout(t testing.TB, service string) {
	t.Helper()
	if os.Getenv(WithVariable) == "none" {
		t.Skipf("SERVICES=none: nothing is tested against %s", service)
	}
}

// adminOf opens a pool on the server of u, on no database in particular.
func adminOf(u *url.URL) (*sql.DB, error) {
	settings := mysqldriver.NewConfig()
	settings.User = u.User.Username()
	settings.Passwd, _ = u.User.Password()
	settings.Net, settings.Addr = "tcp", u.Host
	settings.Timeout = 10 * time.Second
	connector, err := mysqldriver.NewConnector(settings)
	if err != nil {
		return nil, fmt.Errorf("the MySQL server's address: %w", err)
	}
	pool := sql.OpenDB(connector)
	pool.SetMaxOpenConns(1)
	return pool, nil
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return strings.ToLower(hex.EncodeToString(b[:]))
}
