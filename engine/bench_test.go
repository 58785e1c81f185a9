package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/services"
)

// The benchmarks measure the whole way of events: accepted, on disk, woken over asynq, applied with every rule, posted
// to the ledger. Two others stand beside them in the same run: the naive pipeline, with one asynq task and one transaction
// an event, and asynq by itself, whose tasks do nothing.
//
//	make bench
const (
	benchFriends  = 60_000
	benchInviters = 1_000
	benchEmpty    = 72_000 // tasks that do nothing: as many as there are events
	benchNaive    = 6_000
	benchRounds   = 3
)

// full is a definition with every feature on, long enough for the clock of the machine.
const full = `tiers:
  - {name: bronze, requires: {invite: 3}, rewards: [coupon]}
  - {name: silver, requires: {invite: 10, bind: 1}, rewards: [cash]}
  - {name: gold, requires: {invite: 15, bind: 1, order: 1}, rewards: [mug, points]}
welcome: {rewards: [newbie]}
rewards:
  newbie: {kind: coupon, title: Newbie, unit_cost: "5.00", stock: 30000}
  coupon: {kind: coupon, title: Coupon, unit_cost: "10.00", stock: 15000}
  cash: {kind: cash, title: Cash, amount: "2.00", unit_cost: "2.00", stock: 3000, review: true}
  mug: {kind: physical, title: Mug, unit_cost: "35.00", stock: 600, review: true, needs_address: true}
  points: {kind: points, title: Points, points: 500, unit_cost: "0.50", stock: 300000}
budget: {currency: CNY, limit: "240000.00", on_exhausted: waitlist}
limits: {participants: 200000, invites_per_inviter_per_hour: 3000}
funnel: [expose, scan, subscribe, bind, purchase]
`

func fullDefinition() string {
	return definition(full, "  invite: {title: Invite, on: subscribe, credit: inviter, revoke_on: unsubscribe}\n",
		`  invite: {title: Invite, on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe, hold: 24h, per_day: 5000}
  bind: {title: Bind, on: bind, credit: actor}
  order: {title: Order, on: purchase, credit: actor, when: "data.amount >= 9900", revoke_on: refund}
`, "2027-01-01", "2046-01-01")
}

// BenchmarkCreditedEvents measures in rounds, each of which has everything once, and tells the medians: the speed of the
// machine is not the same from one minute to the next, and what is compared is measured side by side.
func BenchmarkCreditedEvents(b *testing.B) {
	for b.Loop() {
		rounds := map[string][]float64{}
		for range benchRounds {
			naive := naivePipeline(b)
			empty := taskPipeline(b, benchEmpty, func(context.Context, string, string) error { return nil })
			rounds["naive/s"] = append(rounds["naive/s"], naive)
			rounds["empty-tasks/s"] = append(rounds["empty-tasks/s"], empty)
			for _, on := range []struct {
				name  string
				db    *gorm.DB
				redis string
			}{{"mariadb", databasetest.MySQL(b), services.Redis(b)}, {"embedded", databasetest.SQLite(b), queue.Embedded}} {
				c := credited(b, on.db, on.redis)
				for what, n := range map[string]float64{
					"credited/s": c.rate, "accepted/s": c.accepted, "joins/s": c.joins, "us-cpu": c.own.cpu(), "x-naive": c.rate / naive, "x-empty": c.rate / empty,
				} {
					rounds[on.name+"-"+what] = append(rounds[on.name+"-"+what], n)
				}
			}
		}
		for what, n := range rounds {
			slices.Sort(n)
			b.ReportMetric(n[len(n)/2], what)
		}
		b.ReportMetric(0, "ns/op") // of all rounds together: it tells nothing
	}
}

// quietLog tells what goes wrong and nothing else.
func quietLog() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// running is an engine at work on its stores until stop is called; ctx ends then.
func running(b *testing.B, db *gorm.DB, redisURL string) (ctx context.Context, e *engine.Engine, stop func()) {
	b.Helper()
	q, err := queue.Open(redisURL, quietLog())
	if err != nil {
		b.Fatal(err)
	}
	e, err = engine.New(engine.Config{DB: db, Queue: q, Secret: make([]byte, 32), DataDir: b.TempDir(), PublicURL: "https://k.example", Log: quietLog()})
	if err != nil {
		b.Fatal(err)
	}
	ctx, end := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() { _ = e.Run(ctx) })
	return ctx, e, func() {
		end()
		work.Wait()
		_ = e.Close()
		_ = q.Close()
	}
}

// crediting is how many events a second were credited, from the first that was sent to the last that was applied, how
// many a second were accepted and how many joined before, and what each event cost.
type crediting struct {
	rate, accepted, joins float64
	own                   cost
}

// credited has a campaign credit events.
func credited(b *testing.B, db *gorm.DB, redisURL string) crediting {
	b.Helper()
	ctx, e, stop := running(b, db, redisURL)
	defer stop()

	if _, err := e.CreateCampaign(ctx, []byte(fullDefinition()), "bench.yaml", "bench"); err != nil {
		b.Fatal(err)
	}
	if _, err := e.Turn(ctx, "c", "launch", "bench"); err != nil {
		b.Fatal(err)
	}
	codes, joins := joinAll(b, e, benchInviters)
	events := benchEvents(codes)

	servers := stores(db)
	began, server, store := time.Now(), processorTime("self"), processorTime(servers...)
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for {
				from := int(next.Add(500)) - 500
				if from >= len(events) {
					return
				}
				r, err := e.Accept(ctx, events[from:min(from+500, len(events))])
				if err != nil || len(r.Rejected) > 0 {
					b.Error(err, r.Rejected)
					return
				}
			}
		})
	}
	senders.Wait()
	accepted := time.Since(began)
	waitApplied(b, db)
	took := time.Since(began)
	server, store = processorTime("self")-server, processorTime(servers...)-store

	var n int64
	db.Raw("SELECT COUNT(*) FROM outcomes WHERE outcome = 'credited'").Scan(&n)
	if int(n) != len(events) {
		b.Fatalf("%d of %d events were credited", n, len(events))
	}
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(n) }
	return crediting{
		rate: float64(n) / took.Seconds(), accepted: float64(n) / accepted.Seconds(), joins: joins, own: cost{each(took), each(server), each(store)},
	}
}

func joinAll(b *testing.B, e *engine.Engine, n int) (codes []string, rate float64) {
	b.Helper()
	began := time.Now()
	codes = make([]string, n)
	var next atomic.Int64
	var joiners sync.WaitGroup
	for range 64 {
		joiners.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				v, _, err := e.Join(b.Context(), "c", engine.Joining{User: "inviter-" + strconv.Itoa(i)})
				if err != nil {
					b.Error(err)
					return
				}
				codes[i] = v.Code
			}
		})
	}
	joiners.Wait()
	return codes, float64(n) / time.Since(began).Seconds()
}

// benchEvents are friends who follow through a code, a tenth of whom bind and a tenth buy. They happened two days
// ago, so that holds are over.
func benchEvents(codes []string) []engine.Incoming {
	at := time.Now().Add(-48 * time.Hour)
	var events []engine.Incoming
	for i := range benchFriends {
		user := "friend-" + strconv.Itoa(i)
		events = append(events, engine.Incoming{ID: "s" + user, Campaign: "c", Type: "subscribe", User: user, Code: codes[i%len(codes)], Time: &at})
		switch i % 10 {
		case 0:
			events = append(events, engine.Incoming{ID: "b" + user, Campaign: "c", Type: "bind", User: user, Time: &at})
		case 1:
			data := json.RawMessage(`{"amount": 9900, "currency": "CNY", "order": "o` + strconv.Itoa(i) + `"}`)
			events = append(events, engine.Incoming{ID: "p" + user, Campaign: "c", Type: "purchase", User: user, Time: &at, Data: data})
		}
	}
	return events
}

func waitApplied(b *testing.B, db *gorm.DB) {
	b.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; {
		var pending []int64 // looked for by the index, so that watching costs nothing
		if err := db.Raw("SELECT t.seq FROM tails t JOIN campaigns c ON c.no = t.campaign WHERE t.seq > c.seq LIMIT 1").Scan(&pending).Error; err != nil {
			b.Fatal(err)
		}
		if len(pending) == 0 {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal("events are still pending")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// naivePipeline is what one would write first: a task per event, a transaction per task, on the same servers. It knows
// one rule and writes four rows; there are no tiers, rewards, budget, funnel or ledger.
func naivePipeline(b *testing.B) float64 {
	b.Helper()
	db, err := database.Open(b.Context(), services.MySQL(b))
	if err != nil {
		b.Fatal(err)
	}
	defer database.Close(db)
	for _, ddl := range []string{
		"CREATE TABLE naive_events (id VARCHAR(64) PRIMARY KEY, type VARCHAR(16), user VARCHAR(64), code VARCHAR(16), outcome VARCHAR(16))",
		"CREATE TABLE naive_credits (user VARCHAR(64) PRIMARY KEY, code VARCHAR(16))",
		"CREATE TABLE naive_people (code VARCHAR(16) PRIMARY KEY, count INT NOT NULL)",
	} {
		if err := db.Exec(ddl).Error; err != nil {
			b.Fatal(err)
		}
	}
	for i := range benchInviters {
		if err := db.Exec("INSERT INTO naive_people VALUES (?, 0)", naiveCode(i)).Error; err != nil {
			b.Fatal(err)
		}
	}
	return taskPipeline(b, benchNaive, func(ctx context.Context, user, code string) error {
		return database.Transact(ctx, db, func(tx *gorm.DB) error {
			if err := tx.Exec("INSERT INTO naive_events VALUES (?, 'subscribe', ?, ?, 'credited')", "e"+user, user, code).Error; err != nil {
				return err
			}
			var count int
			if err := tx.Raw("SELECT count FROM naive_people WHERE code = ? FOR UPDATE", code).Scan(&count).Error; err != nil {
				return err
			}
			if err := tx.Exec("INSERT IGNORE INTO naive_credits VALUES (?, ?)", user, code).Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE naive_people SET count = count + 1 WHERE code = ?", code).Error
		})
	})
}

func naiveCode(i int) string { return fmt.Sprintf("CODE%06d", i) }

// taskPipeline gives how many events a second get through asynq with a task for each, which handle is called for.
func taskPipeline(b *testing.B, tasks int64, handle func(ctx context.Context, user, code string) error) float64 {
	b.Helper()
	options, err := redis.ParseURL(services.Redis(b))
	if err != nil {
		b.Fatal(err)
	}
	client := asynq.NewClientFromRedisClient(redis.NewClient(options))
	defer client.Close()
	server := asynq.NewServerFromRedisClient(redis.NewClient(options), asynq.Config{
		Concurrency: 16, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	var done atomic.Int64
	finished := make(chan struct{})
	handler := func(ctx context.Context, t *asynq.Task) error {
		user, code, _ := strings.Cut(string(t.Payload()), " ")
		err := handle(ctx, user, code)
		if err != nil {
			b.Error(err)
		} else if done.Add(1) == tasks {
			close(finished)
		}
		return err
	}
	if err := server.Start(asynq.HandlerFunc(handler)); err != nil {
		b.Fatal(err)
	}
	defer server.Shutdown()

	began := time.Now()
	var next atomic.Int64
	var senders sync.WaitGroup
	for range 16 {
		senders.Go(func() {
			for i := next.Add(1) - 1; i < tasks; i = next.Add(1) - 1 {
				payload := fmt.Sprintf("friend-%d %s", i, naiveCode(int(i)%benchInviters))
				if _, err := client.Enqueue(asynq.NewTask("credit", []byte(payload))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	senders.Wait()
	select {
	case <-finished:
	case <-time.After(2 * time.Minute):
		b.Fatalf("%d of %d", done.Load(), tasks)
	}
	return float64(tasks) / time.Since(began).Seconds()
}
