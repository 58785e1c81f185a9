package engine_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"gorm.io/gorm"

	"kfactor/api"
	"kfactor/engine"
	"kfactor/internal/database"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/services"
)

// BenchmarkGrowth fills one campaign with as many events as EVENTS says and tells at each size what an event costs
// against one of a campaign that has just begun, what this process holds and how long the reports take; at the end,
// what a replay takes. There is a person for every five events.
//
//	make bench-growth EVENTS=500000
func BenchmarkGrowth(b *testing.B) {
	events, err := strconv.Atoi(os.Getenv("EVENTS"))
	if err != nil || events < growthMarks[1] {
		b.Skipf("EVENTS says how many events to grow to, at least %d", growthMarks[1])
	}
	b.Run("MariaDB", func(b *testing.B) {
		for b.Loop() {
			db := databasetest.MySQL(b)
			// As a server of its own would have (docs/operations.md): what is looked up at random stays in memory, and pages
			// that are changed again and again are not written out each time the log has gone round.
			for _, setting := range []string{"innodb_buffer_pool_size = 6442450944", "innodb_log_file_size = 2147483648"} {
				if err := db.Exec("SET GLOBAL " + setting).Error; err != nil {
					b.Logf("it stays without %s: %v", setting, err)
				}
			}
			grow(b, db, services.Redis(b), events)
		}
	})
	b.Run("Embedded", func(b *testing.B) {
		for b.Loop() {
			grow(b, databasetest.SQLite(b), queue.Embedded, events)
		}
	})
}

// growthMarks are the sizes at which a campaign is looked at. What happens up to the first one warms everything up; the
// stretch to the second is what later ones are held against.
var growthMarks = []int{10_000, 100_000, 250_000, 500_000, 1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000, 7_500_000, 10_000_000}

const (
	growthSenders = 4
	growthBatch   = 500
	growthBacklog = 20_000 // accepted events that wait to be applied; past that senders wait too
	growthLook    = 100 * time.Millisecond
	growthActive  = 20_000 // participants who bring friends: those who joined last
	growthFew     = 200    // of a campaign that few share
	growthJoining = 10     // of so many friends one joins
	growthReads   = 300    // calls of each report
	growthSlice   = 50_000 // events of which the costs are compared, at most, so many times
	growthSlices  = 3
)

// growing is a campaign on its way.
type growing struct {
	*engine.Engine
	b       *testing.B
	db      *gorm.DB
	id      string
	http    http.Handler
	key     string
	total   int
	start   time.Time // of the campaign's first event
	active  int       // participants who bring friends, the latest of all
	codes   []string  // of participants, the oldest first
	joined  int       // friends who were asked whether they join
	servers []string  // process ids of the database

	reads []time.Duration // medians of the reports at the first mark
}

func grow(b *testing.B, db *gorm.DB, redisURL string, events int) {
	ctx, e, stop := running(b, db, redisURL)
	defer stop()
	var err error

	g := growing{Engine: e, b: b, db: db, total: events, start: time.Now().Add(-30 * 24 * time.Hour), servers: stores(db)}
	if g.http, err = api.New(api.Config{Engine: e, Secret: make([]byte, 32), PublicURL: "https://k.example", Log: quietLog()}); err != nil {
		b.Fatal(err)
	}
	if g.key, _, err = e.CreateKey(ctx, "owner", "bench"); err != nil {
		b.Fatal(err)
	}

	fmt.Println()
	out := tabwriter.NewWriter(os.Stdout, 9, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(out, "events\tpeople\tevents/s\tCPU µs each\tof it store\tfresh: events/s\tCPU µs each\tof it store\tratio CPU\tratio time\theap MiB\tmemory MiB\tdatabase MiB\t\t"+
		strings.Join(growthReports, "\t")+"\t")
	out.Flush() // each line is told when it is there
	c := g.launch("c", growthActive)
	at := 0
	for _, mark := range append(slices.Clone(growthMarks), events) {
		if mark = min(mark, events); mark > at {
			c.stretch(out, at, mark)
			at = mark
		}
	}
	g.breadth()
	c.verify(out)
}

// launch begins a campaign, in which as many participants are who came by themselves.
func (g growing) launch(id string, active int) *growing {
	more := strings.Replace(full, "participants: 200000", "participants: 2000000", 1)
	source := definition(more, "campaign: c\n", "campaign: "+id+"\n",
		"  invite: {title: Invite, on: subscribe, credit: inviter, revoke_on: unsubscribe}\n",
		`  invite: {title: Invite, on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe, hold: 24h, per_day: 5000}
  bind: {title: Bind, on: bind, credit: actor}
  order: {title: Order, on: purchase, credit: actor, when: "data.amount >= 9900", revoke_on: refund}
`, "2026-01-01", "2020-01-01", "2027-01-01", "2046-01-01")
	if _, err := g.CreateCampaign(g.b.Context(), []byte(source), "bench.yaml", "bench"); err != nil {
		g.b.Fatal(err)
	}
	if _, err := g.Turn(g.b.Context(), id, "launch", "bench"); err != nil {
		g.b.Fatal(err)
	}
	g.id, g.active, g.codes = id, active, make([]string, active)
	g.join(0, func(i int) engine.Joining {
		return engine.Joining{User: "seed-" + strconv.Itoa(i), Nickname: "Seed " + strconv.Itoa(i)}
	})
	return &g
}

// join makes participants of the codes from the given one on.
func (g *growing) join(from int, who func(i int) engine.Joining) {
	var next atomic.Int64
	next.Store(int64(from))
	var joiners sync.WaitGroup
	for range 64 {
		joiners.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(g.codes); i = int(next.Add(1)) - 1 {
				v, _, err := g.Join(g.b.Context(), g.id, who(i))
				if err != nil {
					g.b.Error(err)
					return
				}
				g.codes[i] = v.Code
			}
		})
	}
	joiners.Wait()
}

// cost is what some events took, each.
type cost struct {
	time, server, store float64 // microseconds: by the clock, of processors here, of processors at the database
}

// add makes c the mean of as many slices, one more.
func (c *cost) add(slice cost) {
	c.time += slice.time / growthSlices
	c.server += slice.server / growthSlices
	c.store += slice.store / growthSlices
}

func (c cost) cpu() float64  { return c.server + c.store }
func (c cost) rate() float64 { return 1e6 / c.time }

// feed sends a campaign its events from one number to another, as fast as they are applied, after those have joined
// who will by then.
func (g *growing) feed(from, to int) cost {
	before := len(g.codes)
	var friends []int
	for ; g.joined+2_500 < from/5; g.joined += growthJoining { // the last ones have not been heard of in full
		friends = append(friends, g.joined)
	}
	g.codes = append(g.codes, make([]string, len(friends))...)
	g.join(before, func(i int) engine.Joining {
		return engine.Joining{User: growthUser(friends[i-before]), Nickname: "Friend"}
	})
	applied := g.applied()

	began, server, store := time.Now(), processorTime("self"), processorTime(g.servers...)
	var reached, next atomic.Int64
	reached.Store(applied)
	next.Store(int64(from))
	var senders sync.WaitGroup
	for range growthSenders {
		senders.Go(func() {
			for !g.b.Failed() {
				first := int(next.Add(growthBatch)) - growthBatch
				if first >= to {
					return
				}
				for reached.Load() < applied+int64(first-from-growthBacklog) && !g.b.Failed() {
					time.Sleep(growthLook / 5)
				}
				events := make([]engine.Incoming, 0, growthBatch)
				for n := first; n < min(first+growthBatch, to); n++ {
					events = append(events, g.event(n))
				}
				r, err := g.Accept(g.b.Context(), events)
				if err != nil || len(r.Rejected)+r.Duplicates > 0 {
					g.b.Error(err, r.Rejected[:min(1, len(r.Rejected))])
					return
				}
			}
		})
	}
	// Few looks: they cost as much as an event each.
	for moved := began; reached.Load() < applied+int64(to-from); time.Sleep(growthLook) {
		now := g.applied()
		switch {
		case now > reached.Load():
			reached.Store(now)
			moved = time.Now()
		case time.Since(moved) > 2*time.Minute:
			g.b.Errorf("the campaign stands still at event %d", now)
		}
		if g.b.Failed() {
			senders.Wait()
			g.b.FailNow()
		}
	}
	senders.Wait()
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(to-from) }
	return cost{each(time.Since(began)), each(processorTime("self") - server), each(processorTime(g.servers...) - store)}
}

// stretch grows the campaign from one size to the next. The last part of it is held against a fresh campaign that as
// many people share, slice by slice in turn: the machine's speed is not the same from one moment to the next.
func (g *growing) stretch(out *tabwriter.Writer, from, to int) {
	var here, fresh cost
	beside := "\t\t\t\t"
	if from == 0 {
		here = g.feed(from, to)
	} else {
		slice := min(growthSlice, (to-from)/growthSlices)
		sample := to - growthSlices*slice
		g.feed(from, sample)
		other := g.begun(fmt.Sprintf("fresh-%d", to), growthActive)
		for n := range growthSlices {
			fresh.add(other.slice(n, slice))
			here.add(g.feed(sample+n*slice, sample+(n+1)*slice))
		}
		beside = fmt.Sprintf("%.0f\t%.0f\t%.0f\tx%.2f\tx%.2f", fresh.rate(), fresh.cpu(), fresh.store, here.cpu()/fresh.cpu(), here.time/fresh.time)
		g.b.ReportMetric(here.rate(), "events/s")
		g.b.ReportMetric(here.cpu()/fresh.cpu(), "x-fresh")
	}
	debug.FreeOSMemory()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	fmt.Fprintf(out, "%d\t%d\t%.0f\t%.0f\t%.0f\t%s\t%.1f\t%.0f\t%.0f\t\t%s\t\n",
		to, g.count("SELECT COUNT(*) FROM people JOIN campaigns ON no = campaign WHERE id = ?", g.id), here.rate(), here.cpu(), here.store, beside,
		float64(memory.HeapAlloc)/(1<<20), resident(), g.stored(), g.report())
	out.Flush()
}

// begun is a fresh campaign that has its first events.
func (g growing) begun(id string, active int) *growing {
	c := g.launch(id, active)
	c.feed(0, growthMarks[0])
	return c
}

// slice sends a campaign that has begun the n-th so many events.
func (g *growing) slice(n, events int) cost {
	return g.feed(growthMarks[0]+n*events, growthMarks[0]+(n+1)*events)
}

// breadth tells what an event costs where many people share, against one where few do: the row of somebody who brought
// many friends of a batch is written once.
func (g growing) breadth() {
	few, many := g.begun("few", growthFew), g.begun("many", growthActive)
	var ofFew, ofMany cost
	for n := range growthSlices {
		ofFew.add(few.slice(n, growthSlice))
		ofMany.add(many.slice(n, growthSlice))
	}
	fmt.Printf("%d share: %.0f µs an event, %d share: %.0f, x%.2f\n", growthFew, ofFew.cpu(), growthActive, ofMany.cpu(), ofMany.cpu()/ofFew.cpu())
}

// growthUser is the n-th friend.
func growthUser(n int) string { return "friend-" + strconv.Itoa(n) }

// event is the n-th event of all. Everybody sees a poster, scans it and follows; then some leave, bind, buy or come by
// again. The five events of one are spread over those of others, and some come long after. People share when they have
// just joined, and are met as posts are: a few bring most.
func (g *growing) event(n int) engine.Incoming {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	person, turn := n/5, n%5
	if apart := 500 * turn; person >= apart { // at the very beginning nobody came before
		person -= apart
	}
	user := growthUser(person)
	own := rand.New(rand.NewPCG(2, uint64(person)))
	inviter := g.codes[len(g.codes)-1-int(math.Pow(own.Float64(), 3)*float64(g.active))]
	var ev engine.Incoming
	at := g.start.Add(28 * 24 * time.Hour / time.Duration(g.total) * time.Duration(n))
	source := []string{"", "moments", "group", "friend", "offline"}[own.IntN(5)]
	switch turn {
	case 0:
		ev = engine.Incoming{Type: "expose", Code: inviter}
	case 1:
		ev = engine.Incoming{Type: "scan", Code: inviter}
	case 2:
		ev = engine.Incoming{Type: "subscribe"}
		if person%20 == 0 { // just now: it is held for a day
			ev.Code, at = inviter, time.Now()
		}
	case 3:
		ev = engine.Incoming{Type: []string{"bind", "scan", "scan", "purchase", "unsubscribe"}[person%5], Code: inviter}
	case 4:
		ev = engine.Incoming{Type: []string{"purchase", "expose", "scan", "bind", "subscribe"}[person%5], Code: inviter}
		if person%10 == 1 { // somebody of long ago
			user = growthUser(r.IntN(person + 1))
		}
	}
	if ev.Type == "expose" || ev.Type == "scan" {
		ev.ID = engine.NewEventID(ev.Type) // as the public pages make them
	} else {
		ev.ID = strconv.Itoa(7_300_000_000_000_000_000 + n) // as channels number messages
	}
	data := map[string]any{"source": source}
	if ev.Type == "purchase" {
		data = map[string]any{"amount": 5000 + own.IntN(20_000), "currency": "CNY", "order": "o" + strconv.Itoa(n)}
	}
	if source != "" || ev.Type == "purchase" {
		ev.Data, _ = json.Marshal(data)
	}
	ev.Campaign, ev.User, ev.Time = g.id, user, &at
	return ev
}

func (g *growing) count(query string, args ...any) int64 {
	var n int64
	if err := g.db.Raw(query, args...).Scan(&n).Error; err != nil {
		g.b.Fatal(err)
	}
	return n
}

// applied is how far the campaign has come.
func (g *growing) applied() int64 { return g.count("SELECT seq FROM campaigns WHERE id = ?", g.id) }

// stores are the process ids of the database's server, where it has one that runs on the same machine.
func stores(db *gorm.DB) []string {
	var file string
	if database.Dialect(db) != database.MySQL || db.Raw("SELECT @@pid_file").Scan(&file).Error != nil {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	return []string{strings.TrimSpace(string(text))}
}

// processorTime is what processes have taken of the processors, where the system tells. Unlike the clock it says
// nearly the same whatever else the machine does.
func processorTime(ids ...string) time.Duration {
	const tick = 10 * time.Millisecond
	var sum time.Duration
	for _, id := range ids {
		text, _ := os.ReadFile("/proc/" + id + "/stat")
		_, rest, _ := strings.Cut(string(text), ") ")
		if fields := strings.Fields(rest); len(fields) > 12 {
			user, _ := strconv.Atoi(fields[11])
			system, _ := strconv.Atoi(fields[12])
			sum += time.Duration(user+system) * tick
		}
	}
	return sum
}

// stored is the size of the database in MiB.
func (g *growing) stored() float64 {
	query := "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"
	if database.Dialect(g.db) == database.SQLite {
		query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	}
	return float64(g.count(query)) / (1 << 20)
}

// resident is what this process holds of the machine's memory in MiB, files that it reads left out, where the system
// tells; 0 elsewhere.
func resident() float64 {
	text, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kib, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib / 1024
		}
	}
	return 0
}

// growthReports are the reports as the table heads them: times in milliseconds.
var growthReports = []string{
	"funnel p50", "p99", "by day p50", "p99", "leaderboard p50", "p99", "participant p50", "p99", "rewards p50", "p99", "HTTP: funnel p50", "p99", "participant p50", "p99",
}

// report measures the reports, one call after the other on a campaign at rest.
func (g *growing) report() string {
	ctx := g.b.Context()
	code := func() string { return g.codes[rand.IntN(len(g.codes))] }
	get := func(path string) error {
		r := httptest.NewRequest(http.MethodGet, "/v1/campaigns/"+g.id+"/"+path, nil)
		r.Header.Set("Authorization", "Bearer "+g.key)
		w := httptest.NewRecorder()
		g.http.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			return fmt.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		return nil
	}
	var told []string
	for _, call := range []func() error{
		func() error { _, err := g.Funnel(ctx, g.id, engine.FunnelQuery{}); return err },
		func() error { _, err := g.Funnel(ctx, g.id, engine.FunnelQuery{By: "day"}); return err },
		func() error { _, err := g.Leaderboard(ctx, g.id, 100, true); return err },
		func() error { _, err := g.Participant(ctx, g.id, code(), true); return err },
		func() error { _, err := g.Rewards(ctx, g.id); return err },
		func() error { return get("funnel") },
		func() error { return get("participants/" + code()) },
	} {
		times := make([]time.Duration, 0, growthReads)
		for i := range growthReads + growthReads/3 { // the first ones warm up
			began := time.Now()
			if err := call(); err != nil {
				g.b.Fatal(err)
			}
			if i >= growthReads/3 {
				times = append(times, time.Since(began))
			}
		}
		slices.Sort(times)
		median, late := times[len(times)/2], times[len(times)*99/100]
		ratio := ""
		if i := len(told) / 2; i < len(g.reads) {
			ratio = fmt.Sprintf(" (x%.1f)", float64(median)/float64(g.reads[i]))
		} else {
			g.reads = append(g.reads, median)
		}
		told = append(told, fmt.Sprintf("%.2f%s", median.Seconds()*1000, ratio), fmt.Sprintf("%.2f", late.Seconds()*1000))
	}
	return strings.Join(told, "\t")
}

// verify replays everything and tells how long that took, and the most memory and disk that were held meanwhile.
func (g *growing) verify(out *tabwriter.Writer) {
	folder := g.b.TempDir()
	g.b.Setenv("TMPDIR", folder)
	debug.FreeOSMemory()
	held := resident()
	done := make(chan struct{})
	var disk int64
	var memory float64
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			var size int64
			_ = filepath.WalkDir(folder, func(_ string, d os.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					if info, err := d.Info(); err == nil {
						size += info.Size()
					}
				}
				return nil
			})
			disk, memory = max(disk, size), max(memory, resident())
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	began := time.Now()
	report, err := g.Verify(g.b.Context(), g.id)
	took := time.Since(began)
	close(done)
	watch.Wait()
	if err != nil || !report.OK {
		g.b.Fatalf("%+v %v", report, err)
	}
	fmt.Fprintf(out, "verify: %d events in %s, %.0f events/s; memory %.0f MiB, at most %.0f MiB; disk at most %.0f MiB\n\n",
		report.Events, took.Round(time.Second), float64(report.Events)/took.Seconds(), held, memory, float64(disk)/(1<<20))
	out.Flush()
}
