package faulttest

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"gorm.io/gorm"

	"kfactor/internal/database"
	"kfactor/internal/services"
)

var (
	sweep = flag.Bool("sweep", false, "the whole sweep instead of a short round")
	seed  = flag.Uint64("seed", 1, "of the moments at which faults strike and of the load")
)

const (
	patience  = 60 * time.Second // for what must happen at some time
	recovery  = 15 * time.Second // for the next join, after a fault has ended
	secretKey = "QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
)

// The two ways to keep things: everything in one process, or MariaDB and Redis.
const (
	embedded = "embedded"
	outside  = "services"
)

// stores are the real servers, started once and hurt by one test after the other.
var stores sharedStores

type sharedStores struct {
	once  sync.Once
	err   error
	maria *services.MariaDB
	redis *services.RedisServer
	names int
}

func (s *sharedStores) start(t testing.TB) {
	t.Helper()
	if os.Getenv(services.WithVariable) == "none" {
		t.Skip("SERVICES=none: no faults of MariaDB and Redis")
	}
	s.once.Do(func() {
		if s.maria, s.err = services.StartMariaDB("--innodb-log-file-size=64M"); s.err == nil {
			s.redis, s.err = services.StartRedis()
		}
	})
	if s.err != nil {
		t.Skipf("no MariaDB and Redis: %v", s.err)
	}
}

func (s *sharedStores) close() {
	if s.maria != nil {
		s.maria.Stop()
	}
	if s.redis != nil {
		s.redis.Stop()
	}
}

// mysql opens a connection pool of the test's own on the real server.
func (s *sharedStores) mysql(t testing.TB, name string) *sql.DB {
	t.Helper()
	u, err := url.Parse(s.maria.URL())
	if err != nil {
		t.Fatal(err)
	}
	pool, err := sql.Open("mysql", fmt.Sprintf("root@tcp(%s)/%s", u.Host, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return pool
}

// stage is where one fault plays: stores of its own, servers on them, and a load.
type stage struct {
	t        testing.TB
	rng      *rand.Rand
	dir      string   // the servers' working directory
	environ  []string // the servers' settings
	database string   // the database's address past the wire, for looking at what is there
	toMaria  *wire    // nil on the embedded stores
	toRedis  *wire
	servers  []*server
	db       *gorm.DB
	key      string
	load     *load
	told     *result
}

// newStage sets up stores with a live campaign and count servers.
func newStage(t testing.TB, told *result, kind, dir string, count int) *stage {
	t.Helper()
	st := &stage{t: t, dir: dir, told: told, rng: rand.New(rand.NewPCG(*seed, uint64(len(t.Name()))))}
	st.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + t.TempDir(), "KFACTOR_LOG=warn",
		"KFACTOR_SECRET_KEY=" + secretKey, "KFACTOR_DATA_DIR=" + dir,
	}
	if kind == embedded {
		st.database = "sqlite://" + filepath.Join(dir, "kfactor.db")
		st.environ = append(st.environ, "KFACTOR_DATABASE_URL="+st.database)
	} else {
		st.onServices()
	}
	st.onlyNow("migrate", "up")
	st.key = strings.TrimSpace(st.must("key", "create", "--role", "owner"))
	file := filepath.Join(t.TempDir(), "campaign.yaml")
	if err := os.WriteFile(file, []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	st.must("campaign", "apply", file, "--launch")
	for range count {
		st.newServer().start()
	}
	for _, s := range st.servers {
		s.ready()
	}
	t.Cleanup(func() {
		for _, s := range st.servers {
			s.kill()
		}
	})
	var err error
	if st.db, err = database.Open(context.Background(), st.database); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = database.Close(st.db) })
	st.load = newLoad(st)
	return st
}

func (st *stage) onlyNow(args ...string) {
	st.t.Helper()
	if _, err := st.command(args...); err != nil {
		st.t.Fatal(err)
	}
}

func (st *stage) onServices() {
	st.t.Helper()
	stores.start(st.t)
	stores.names++
	name := fmt.Sprintf("fault_%d", stores.names)
	if _, err := stores.mysql(st.t, "").Exec("CREATE DATABASE " + name + " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"); err != nil {
		st.t.Fatal(err)
	}
	u, err := url.Parse(stores.maria.URL())
	if err != nil {
		st.t.Fatal(err)
	}
	st.toMaria, st.toRedis = newWire(st.t, u.Host), newWire(st.t, stores.redis.Addr())
	u.Path = "/" + name
	st.database = u.String()
	u.Host = st.toMaria.addr()
	st.environ = append(
		st.environ, "KFACTOR_DATABASE_URL="+u.String(),
		fmt.Sprintf("KFACTOR_REDIS_URL=redis://%s/%d", st.toRedis.addr(), stores.names),
	)
}

// name is the database's name on MariaDB.
func (st *stage) name() string { return st.database[strings.LastIndexByte(st.database, '/')+1:] }

// number asks the store for one number.
func (st *stage) number(query string) (n int64) {
	st.t.Helper()
	if err := st.db.Raw(query).Scan(&n).Error; err != nil {
		st.t.Fatal(err)
	}
	return n
}

// under plays a fault under load: it waits until the load flows, strikes, measures how long the next join takes from
// the end of the fault, and lets the load go on for a while.
func (st *stage) under(strike func()) {
	st.t.Helper()
	st.flows(60)
	strike()
	st.recovers()
	st.flows(60)
}

// flows waits until the servers have answered for some more events.
func (st *stage) flows(events int) {
	st.t.Helper()
	goal := st.load.answered() + events
	st.until(fmt.Sprintf("%d more answered events", events), patience, func() bool { return st.load.answered() >= goal })
}

// recovers measures how long it takes from now until somebody who was not there before has joined.
func (st *stage) recovers() {
	st.t.Helper()
	began := time.Now()
	st.load.joinNow()
	took := time.Since(began)
	st.told.recovered = max(st.told.recovered, took)
	st.told.rounds++
	if took > recovery {
		st.t.Errorf("a join took %s after the end of the fault", took.Round(time.Millisecond))
	}
}

// result is one line of the table.
type result struct {
	fault, store  string
	rounds        int
	events, joins int
	failed        int // requests that were not answered with success, and sent again
	recovered     time.Duration
	took          time.Duration
	verdict       string
}

type table struct {
	mu    sync.Mutex
	lines []*result
}

var results table

func (r *table) add(fault, store string) *result {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := &result{fault: fault, store: store, verdict: "-"}
	r.lines = append(r.lines, line)
	return line
}

func (r *table) print() {
	if len(r.lines) == 0 {
		return
	}
	printTable(os.Stdout, r.lines)
}

func printTable(out io.Writer, lines []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FAULT\tSTORES\tTIMES\tEVENTS\tJOINS\tSENT AGAIN\tNEXT JOIN AFTER\tTOOK\tPROMISES")
	for _, l := range lines {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%s\n", l.fault, l.store, l.rounds, l.events, l.joins, l.failed,
			l.recovered.Round(time.Millisecond), l.took.Round(100*time.Millisecond), l.verdict)
	}
	_ = w.Flush()
}

// exclusive runs statements on a connection of its own in one transaction, calls while, and ends the transaction.
func exclusive(db *sql.DB, while func(), statements ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for i, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			_, rolled := conn.ExecContext(ctx, "ROLLBACK")
			return errors.Join(fmt.Errorf("statement %d: %w", i, err), rolled)
		}
	}
	while()
	_, err = conn.ExecContext(ctx, "ROLLBACK")
	return err
}

// sorted are a map's keys in order.
func sorted[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
