package engine_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/services"
)

// BenchmarkFairness runs 200 live campaigns, lets visitors of all but one come at a steady pace, and then floods that
// one with more than can be applied. It tells how long an event of the others takes from the answer until it is
// credited, without and with the flood, how long its acceptance takes, and what joins take there and in the flood.
//
//	make bench
func BenchmarkFairness(b *testing.B) {
	b.Run("MariaDB", func(b *testing.B) {
		for b.Loop() {
			fairness(b, databasetest.MySQL(b), services.Redis(b))
		}
	})
	b.Run("Embedded", func(b *testing.B) {
		for b.Loop() {
			fairness(b, databasetest.SQLite(b), queue.Embedded)
		}
	})
}

const (
	fairCampaigns = 200
	fairLanes     = 8 // senders of single events to the others
	fairPause     = 150 * time.Millisecond
	fairTime      = 15 * time.Second // of each half
	fairFlooders  = 2                // each sends batches of 500, one after the other
)

// crowd is many campaigns and those who come to them.
type crowd struct {
	b       *testing.B
	db      *gorm.DB
	e       *engine.Engine
	ids     []string
	numbers map[string]int64
	codes   []string // one of each campaign
	users   atomic.Int64
	watched *watched
}

// timings of one half.
type timings struct {
	mu                              sync.Mutex
	accepted, credited, joins, deep []time.Duration
}

func (t *timings) note(list *[]time.Duration, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*list = append(*list, took)
}

// percentile sorts the list.
func percentile(list []time.Duration, p float64) float64 {
	if len(list) == 0 {
		return -1
	}
	slices.Sort(list)
	return float64(list[int(p*float64(len(list)-1))].Microseconds()) / 1000
}

func fairness(b *testing.B, db *gorm.DB, redisURL string) {
	b.Helper()
	ctx, e, stop := running(b, db, redisURL)
	defer stop()
	ctx, end := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer end()

	c := &crowd{b: b, db: db, e: e, numbers: map[string]int64{}, watched: &watched{db: db, waiting: map[string]*sighting{}}}
	c.open(ctx)
	beside.Go(func() { c.watched.run(ctx) })

	quiet, flooded := &timings{}, &timings{}
	c.half(ctx, quiet)
	var backlog []int64
	count := func() (applied, pending int64) {
		db.Raw("SELECT seq FROM campaigns WHERE id = ?", c.ids[0]).Scan(&applied)
		db.Raw("SELECT t.seq - c.seq FROM tails t JOIN campaigns c ON c.no = t.campaign WHERE c.id = ?", c.ids[0]).Scan(&pending)
		return applied, pending
	}
	before, _ := count()
	ctxFlood, endFlood := context.WithCancel(ctx)
	var flood sync.WaitGroup
	var sent atomic.Int64
	for range fairFlooders {
		flood.Go(func() { c.flood(ctxFlood, &sent) })
	}
	began := time.Now()
	c.half(ctx, flooded)
	after, pending := count()
	took := time.Since(began).Seconds()
	endFlood()
	flood.Wait()
	backlog = append(backlog, pending)

	b.Logf("flood: %.0f accepted/s, %.0f applied/s, %d waited at the end", float64(sent.Load())/took, float64(after-before)/took, backlog[0])
	for _, line := range []struct {
		name   string
		of     *timings
		events []time.Duration
	}{
		{"others accepted", quiet, quiet.accepted},
		{"others accepted, flood", flooded, flooded.accepted},
		{"others credited", quiet, quiet.credited},
		{"others credited, flood", flooded, flooded.credited},
		{"joins of others", quiet, quiet.joins},
		{"joins of others, flood", flooded, flooded.joins},
		{"joins of the one", quiet, quiet.deep},
		{"joins of the one, flood", flooded, flooded.deep},
	} {
		b.Logf("%-24s %6d times: p50 %8.1f ms, p90 %8.1f ms, p99 %8.1f ms, most %8.1f ms", line.name, len(line.events),
			percentile(line.events, .5), percentile(line.events, .9), percentile(line.events, .99), percentile(line.events, 1))
	}
	b.ReportMetric(percentile(quiet.credited, .99), "quiet-p99-ms")
	b.ReportMetric(percentile(flooded.credited, .5), "flood-p50-ms")
	b.ReportMetric(percentile(flooded.credited, .99), "flood-p99-ms")
	b.ReportMetric(percentile(flooded.credited, .99)/percentile(quiet.credited, .99), "x-quiet-p99")
	b.ReportMetric(percentile(flooded.deep, 1)/1000, "flooded-join-s")
}

// open makes the campaigns, with somebody in each.
func (c *crowd) open(ctx context.Context) {
	c.b.Helper()
	c.ids, c.codes = make([]string, fairCampaigns), make([]string, fairCampaigns)
	for i := range c.ids {
		c.ids[i] = fmt.Sprintf("c%d", i)
		yaml := strings.Replace(fullDefinition(), "campaign: c\n", "campaign: "+c.ids[i]+"\n", 1)
		if _, err := c.e.CreateCampaign(ctx, []byte(yaml), "bench.yaml", "bench"); err != nil {
			c.b.Fatal(err)
		}
		if _, err := c.e.Turn(ctx, c.ids[i], "launch", "bench"); err != nil {
			c.b.Fatal(err)
		}
		v, _, err := c.e.Join(ctx, c.ids[i], engine.Joining{User: "host"})
		if err != nil {
			c.b.Fatal(err)
		}
		c.codes[i] = v.Code
		var no int64
		if err := c.db.Raw("SELECT no FROM campaigns WHERE id = ?", c.ids[i]).Scan(&no).Error; err != nil {
			c.b.Fatal(err)
		}
		c.numbers[c.ids[i]] = no
	}
}

// half sends single events and joins for a while and waits until all of them are done.
func (c *crowd) half(ctx context.Context, t *timings) {
	end := time.Now().Add(fairTime)
	var lanes sync.WaitGroup
	others := atomic.Int64{}
	next := func() int { return 1 + int(others.Add(1))%(fairCampaigns-1) }
	for range fairLanes {
		lanes.Go(func() {
			for time.Now().Before(end) {
				i := next()
				in, at := c.follow(i), time.Now()
				if r, err := c.e.Accept(ctx, []engine.Incoming{in}); err != nil || r.Accepted != 1 {
					c.b.Error(err, r.Rejected)
					return
				}
				t.note(&t.accepted, time.Since(at))
				at = time.Now()
				c.watched.credited(c.numbers[c.ids[i]], in.ID, func() { t.note(&t.credited, time.Since(at)) })
				time.Sleep(fairPause)
			}
		})
	}
	join := func(i int, list *[]time.Duration) {
		at := time.Now()
		if _, _, err := c.e.Join(ctx, c.ids[i], engine.Joining{User: "visitor-" + strconv.FormatInt(c.users.Add(1), 10)}); err != nil {
			c.b.Error(err)
		}
		t.note(list, time.Since(at))
	}
	for range 2 {
		lanes.Go(func() {
			for time.Now().Before(end) {
				join(next(), &t.joins)
				time.Sleep(fairPause)
			}
		})
	}
	lanes.Go(func() {
		for time.Now().Before(end) {
			join(0, &t.deep)
			time.Sleep(fairPause)
		}
	})
	lanes.Wait()
	c.watched.all.Wait()
}

func (c *crowd) follow(i int) engine.Incoming {
	user := "fan-" + strconv.FormatInt(c.users.Add(1), 10)
	at := time.Now().Add(-48 * time.Hour)
	return engine.Incoming{ID: "s" + user, Campaign: c.ids[i], Type: "subscribe", User: user, Code: c.codes[i], Time: &at}
}

// flood sends batches to the first campaign as fast as they are taken.
func (c *crowd) flood(ctx context.Context, sent *atomic.Int64) {
	for ctx.Err() == nil {
		batch := make([]engine.Incoming, 500)
		for i := range batch {
			batch[i] = c.follow(0)
		}
		if _, err := c.e.Accept(ctx, batch); err != nil {
			if ctx.Err() == nil {
				c.b.Error(err)
			}
			return
		}
		sent.Add(int64(len(batch)))
	}
}

// watched looks every few milliseconds, in one query, which events have been applied.
type watched struct {
	db      *gorm.DB
	all     sync.WaitGroup
	mu      sync.Mutex
	waiting map[string]*sighting
}

type sighting struct {
	campaign int64
	seen     func()
}

func (w *watched) credited(campaign int64, id string, seen func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all.Add(1)
	w.waiting[id] = &sighting{campaign, seen}
}

func (w *watched) run(ctx context.Context) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var terms []string
		var values []any
		w.mu.Lock()
		for id, s := range w.waiting {
			terms = append(terms, "(campaign = ? AND `system` = ? AND id = ?)")
			values = append(values, s.campaign, false, id)
		}
		w.mu.Unlock()
		if len(terms) == 0 {
			continue
		}
		var done []string
		w.db.WithContext(ctx).Raw("SELECT id FROM journal WHERE ("+strings.Join(terms, " OR ")+") AND outcome IS NOT NULL", values...).Scan(&done)
		w.mu.Lock()
		for _, id := range done {
			if s := w.waiting[id]; s != nil {
				s.seen()
				delete(w.waiting, id)
				w.all.Done()
			}
		}
		w.mu.Unlock()
	}
}
