package faulttest

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"kfactor/internal/database"
)

// fault is something that happens to servers or stores under load.
type fault struct {
	name    string
	on      []string // the stores it is played on
	short   string   // the store of the short round; "" for the sweep alone
	servers int
	strike  func(st *stage)
}

var both = []string{embedded, outside}

// times is how often a fault strikes.
func times(short, whole int) int {
	if *sweep {
		return whole
	}
	return short
}

// points are the moments that a process is lost at, and how often they are passed at most before that.
var points = []struct {
	name string
	most int
}{
	{"intake.half-written", 5},
	{"intake.before-commit", 5},
	{"intake.before-answer", 5},
	{"intake.before-wake", 5},
	{"apply.before-save", 5},
	{"apply.half-saved", 35}, // seven times in each save
	{"apply.before-commit", 5},
	{"apply.after-commit", 5},
	{"order.before-drain", 3},
	{"order.before-answer", 3},
}

var faults = []fault{
	{"nothing but duplicates, delays and disorder", both, "", 1, func(st *stage) {
		st.under(func() {})
	}},
	{"kill -9 at any moment", both, embedded, 1, func(st *stage) {
		for range times(2, 12) {
			st.under(func() {
				st.flows(st.rng.IntN(80))
				st.servers[0].kill()
				st.servers[0].start()
			})
		}
	}},
	{"kill -9 at named points", both, "", 1, func(st *stage) {
		for _, p := range points {
			for range times(1, 4) {
				st.crash(p.name, 1+st.rng.IntN(p.most))
			}
		}
	}},
	{"SIGTERM under load", both, embedded, 1, func(st *stage) {
		for range times(1, 4) {
			st.under(func() {
				if code, took := st.servers[0].terminate(); code != 0 || took > 15*time.Second {
					st.t.Errorf("SIGTERM ended with %d after %s: %s", code, took, st.servers[0].said)
				}
				st.servers[0].start()
			})
		}
	}},
	{"two servers, one and the other killed", []string{outside}, "", 2, func(st *stage) {
		for i := range times(2, 8) {
			st.under(func() {
				st.flows(st.rng.IntN(80))
				st.servers[i%2].kill()
				st.flows(40) // the other one carries on
				st.servers[i%2].start()
			})
		}
	}},
	{"Redis emptied", []string{outside}, "", 1, func(st *stage) {
		for range times(2, 8) {
			st.under(func() { st.emptyRedis() })
		}
	}},
	{"Redis killed and started again", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 3) {
			st.under(func() {
				stores.redis.Kill()
				st.flows(100) // without Redis
				st.load.joinNow()
				if err := stores.redis.Restart(); err != nil {
					st.t.Fatal(err)
				}
			})
		}
	}},
	{"Redis hangs", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 2) {
			st.under(func() {
				st.toRedis.freeze()
				st.flows(100) // without Redis
				began := time.Now()
				st.load.joinNow()
				if took := time.Since(began); took > recovery {
					st.t.Errorf("a join took %s beside a Redis that hangs", took)
				}
				st.toRedis.thaw()
			})
		}
	}},
	{"MariaDB killed and started again", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 4) {
			st.under(func() {
				stores.maria.Kill()
				if err := stores.maria.Restart(); err != nil {
					st.t.Fatal(err)
				}
			})
		}
	}},
	{"MariaDB stopped and started again", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 2) {
			st.under(func() {
				if err := stores.maria.Restart(); err != nil {
					st.t.Fatal(err)
				}
			})
		}
	}},
	{"connection cut before or after a commit", []string{outside}, "", 2, func(st *stage) {
		for range times(2, 10) {
			st.under(func() {
				for range 6 {
					st.toMaria.cutCommits(commitCut(st.rng.IntN(2)))
				}
				st.until("the cuts", patience, func() bool { return st.toMaria.left() == 0 })
			})
		}
	}},
	{"all connections cut", []string{outside}, "", 1, func(st *stage) {
		for range times(2, 10) {
			st.under(func() {
				st.toMaria.cutAll()
				st.toRedis.cutAll()
				st.flows(st.rng.IntN(40))
				st.toMaria.lock(true)
				st.toMaria.cutAll()
				refused := st.load.fails.Load()
				st.until("a request that was put off", patience, func() bool { return st.load.fails.Load() > refused })
				st.toMaria.lock(false)
			})
		}
	}},
	{"the database hangs", []string{outside}, "", 1, func(st *stage) {
		st.under(func() {
			st.toMaria.freeze()
			refused := st.load.fails.Load()
			st.until("a request that was put off", patience, func() bool { return st.load.fails.Load() > refused })
			st.toMaria.thaw()
		})
	}},
	{"connections that end without a word", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 2) {
			st.under(func() {
				st.toMaria.bury()
				st.toRedis.bury()
			})
		}
	}},
	{"commits whose answer never comes", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 2) {
			st.under(func() {
				st.toMaria.cutCommits(silentCommit, silentCommit, silentCommit)
				st.until("the cuts", patience, func() bool { return st.toMaria.left() == 0 })
			})
		}
	}},
	{"SIGTERM while the stores hang", []string{outside}, "", 1, func(st *stage) {
		st.under(func() {
			st.toMaria.freeze()
			st.toRedis.freeze()
			if _, took := st.servers[0].terminate(); took > 15*time.Second {
				st.t.Errorf("SIGTERM took %s: %s", took, st.servers[0].said)
			}
			st.toMaria.thaw()
			st.toRedis.thaw()
			st.servers[0].start()
		})
	}},
	{"a call cut off and made again under its key", both, "", 1, func(st *stage) {
		for range times(1, 2) {
			st.under(st.again)
		}
	}},
	{"locks held by somebody else", both, "", 1, func(st *stage) {
		for range times(1, 3) {
			st.under(st.holdLocks)
		}
	}},
	{"deadlocks", []string{outside}, "", 1, func(st *stage) {
		for range times(1, 4) {
			st.under(st.deadlock)
		}
	}},
	{"a poisonous event", both, "", 1, func(st *stage) {
		for range times(1, 3) {
			st.under(st.poison)
		}
	}},
}

func TestFaults(t *testing.T) {
	for _, f := range faults {
		for _, store := range f.on {
			if !*sweep && store != f.short {
				continue
			}
			t.Run(f.name+"/"+store, func(t *testing.T) {
				told := results.add(f.name, store)
				f.play(newStage(t, told, store, t.TempDir(), f.servers))
			})
		}
	}
}

// crash plays the loss of the first server at a named point, and its return.
func (st *stage) crash(point string, n int) {
	st.t.Helper()
	st.flows(20)
	s := st.servers[0]
	s.kill()
	s.start(fmt.Sprintf("CRASH_AT=%s:%d", point, n))
	if !s.fell(patience) {
		st.t.Errorf("%s was not passed %d times in %s", point, n, patience)
		s.kill()
	}
	s.start()
	st.recovers()
}

// again loses the server while it answers a call with an Idempotency-Key, and makes the same call on the next.
func (st *stage) again() {
	st.t.Helper()
	s := st.servers[0]
	s.kill()
	s.start("CRASH_AT=order.before-answer:4")
	key := fmt.Sprint("key-", st.rng.Int64())
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() { st.load.joinUnder(fmt.Sprint(key, i), fmt.Sprint("probe-", key, i)) })
	}
	if !s.fell(patience) {
		st.t.Error("the server lives on")
		s.kill()
	}
	s.start()
	began := time.Now()
	calls.Wait()
	st.told.recovered = max(st.told.recovered, time.Since(began))
	if took := time.Since(began); took > recovery {
		st.t.Errorf("the same call was answered %s after the server was back", took)
	}
}

func (st *stage) emptyRedis() {
	st.t.Helper()
	client := redis.NewClient(&redis.Options{Addr: stores.redis.Addr()})
	defer func() { _ = client.Close() }()
	for range 5 {
		if err := client.FlushAll(st.t.Context()).Err(); err != nil {
			st.t.Fatal(err)
		}
		st.flows(10)
	}
}

// holdLocks keeps others from writing what the servers write, for some seconds.
func (st *stage) holdLocks() {
	st.t.Helper()
	hold := func() { time.Sleep(time.Duration(times(2, 12)) * time.Second) } // the sweep outlasts the time for a lock
	var err error
	if st.toMaria == nil {
		writer, dbErr := st.db.DB()
		if dbErr != nil {
			st.t.Fatal(dbErr)
		}
		err = exclusive(writer, hold, "BEGIN IMMEDIATE")
	} else {
		err = exclusive(stores.mysql(st.t, st.name()), hold, "BEGIN", "SELECT * FROM campaigns FOR UPDATE", "SELECT * FROM codes FOR UPDATE")
	}
	if err != nil {
		st.t.Fatal(err)
	}
}

// deadlock takes the rows that a save writes in the other order, again and again, until the store had to choose.
func (st *stage) deadlock() {
	st.t.Helper()
	db := stores.mysql(st.t, st.name())
	count := func() (n int) {
		var name string
		if err := db.QueryRow("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").Scan(&name, &n); err != nil {
			st.t.Fatal(err)
		}
		return n
	}
	before := count()
	st.until("a deadlock", patience, func() bool {
		// Many rows written make this transaction the dearer one, so that the server's is given up.
		_ = exclusive(db, func() {}, "BEGIN", "UPDATE people SET score = score + 1", "UPDATE rewards SET stock = stock + 1",
			"UPDATE funnel_counts SET events = events + 1", "UPDATE campaigns SET updated_at = updated_at + 1")
		return count() >= before+times(3, 10)
	})
}

// poisonous begins the ids of events that nobody sent.
const poisonous = "poison-"

// poison puts something into the journal that no rule can digest.
func (st *stage) poison() {
	st.t.Helper()
	now := time.Now().UnixMilli()
	err := database.Transact(st.t.Context(), st.db, func(tx *gorm.DB) error {
		if err := tx.Exec("UPDATE tails SET seq = seq + 1 WHERE campaign = 1").Error; err != nil {
			return err
		}
		return tx.Exec("INSERT INTO events (campaign, seq, system, id, type, person, code, time, received_at, data)"+
			" SELECT campaign, seq, ?, ?, 'subscribe', 1, '', ?, ?, '{not json' FROM tails WHERE campaign = 1",
			false, fmt.Sprint(poisonous, now), now, now).Error
	})
	if err != nil {
		st.t.Fatal(err)
	}
	st.until("the poison being set aside", patience, func() bool {
		return st.number("SELECT COUNT(*) FROM journal WHERE id LIKE 'poison-%' AND COALESCE(outcome, '') <> 'failed'") == 0
	})
}

// TestAFullDisk plays the embedded stores on a file system of its own that fills up.
func TestAFullDisk(t *testing.T) {
	if !*sweep {
		t.Skip("make fault plays it")
	}
	told := results.add("a full disk", embedded)
	dir := filepath.Join(t.TempDir(), "small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=16m"); err != nil {
		told.verdict = "skipped"
		t.Skipf("a file system of its own needs more rights: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	f := fault{strike: func(st *stage) {
		for range times(1, 4) {
			st.under(func() {
				ballast := filepath.Join(dir, "ballast")
				fill(t, ballast)
				refused := st.load.fails.Load()
				st.until("a request that was put off", patience, func() bool { return st.load.fails.Load() > refused+10 })
				if err := os.Remove(ballast); err != nil {
					t.Fatal(err)
				}
			})
		}
	}}
	f.play(newStage(t, told, embedded, dir, 1))
}

// fill writes a file until the file system is full.
func fill(t *testing.T, path string) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	chunk := make([]byte, 64<<10)
	for {
		if _, err := file.Write(chunk); err != nil {
			return
		}
	}
}
