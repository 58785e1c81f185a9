package faulttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"
)

var soakFor = flag.Duration("soak", 0, "how long everything at once goes on, on each kind of store; 0: not at all")

// soakDefinition is long enough for any soak: nothing runs out.
const soakDefinition = `campaign: %s
name: Soak
schedule: {starts: 2026-01-01T00:00:00Z, ends: 2036-01-01T00:00:00Z, timezone: Asia/Shanghai}
poster:
  size: [750, 1334]
  background: "#FFFFFF"
  layers:
    - text: {value: "{{nickname}}", at: [80, 120], size: 46, max_width: 480}
    - text: {value: "邀请码 {{code}}", at: [80, 200], size: 30}
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: Invite, on: subscribe, credit: inviter, revoke_on: unsubscribe}
  stay: {title: Stay, on: subscribe, credit: inviter, hold: 2s}
  order: {title: Order, on: purchase, credit: actor, when: "data.amount >= 9900", revoke_on: refund}
tiers:
  - {name: bronze, requires: {invite: 2}, rewards: [cash]}
  - {name: silver, requires: {invite: 4}, rewards: [mug]}
  - {name: gold, requires: {order: 1}, rewards: [points]}
welcome: {rewards: [points]}
rewards:
  points: {kind: points, title: Points, points: 10, unit_cost: "0.01", stock: 1000000}
  cash: {kind: cash, title: Cash, amount: "2.00", unit_cost: "2.00", stock: 1000000}
  mug: {kind: physical, title: Mug, unit_cost: "35.00", stock: 1000000, review: true}
budget: {currency: CNY, limit: "%d.00"}
funnel: [scan, subscribe, purchase]
`

var soakCampaigns = []string{"soak-a", "soak-b", "soak-c"}

// TestSoak is everything at once, at a steady pace, for as long as -soak says: at the end the server holds no more
// than after its first half, every answered event was applied once, and nothing that is stored contradicts the journal.
func TestSoak(t *testing.T) {
	if *soakFor == 0 {
		t.Skip("make soak")
	}
	for _, kind := range both {
		t.Run(kind, func(t *testing.T) {
			told := results.add("soak", kind)
			began := time.Now()
			s := newSoak(t, told, kind)
			s.goOn(*soakFor)
			s.applied()
			told.took, told.verdict = time.Since(began), "kept"
			if t.Failed() {
				told.verdict = "BROKEN"
			}
		})
	}
}

// soak is a server under everything at once.
type soak struct {
	st     *stage
	client *http.Client
	began  time.Time
	stop   context.Context
	ids    atomic.Int64
	wrong  atomic.Int64 // answers that should not be

	mu    sync.Mutex
	codes map[string][]string // the latest participants of each campaign
	told  map[string]bool     // answered events, by campaign and id
	calls map[string]int      // answered calls, by what they do
}

// sample is what the server held at a moment.
type sample struct {
	at                                            time.Duration
	rss, heap, goroutines, files, conns, answered float64
}

func newSoak(t *testing.T, told *result, kind string) *soak {
	t.Helper()
	s := &soak{
		st: newStage(t, told, kind, t.TempDir(), 1), codes: map[string][]string{}, told: map[string]bool{}, calls: map[string]int{},
		client: &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}},
	}
	for _, id := range soakCampaigns {
		file := filepath.Join(t.TempDir(), id+".yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, soakDefinition, id, 10_000_000), 0o600); err != nil {
			t.Fatal(err)
		}
		s.st.must("campaign", "apply", file, "--launch")
	}
	return s
}

// call makes a call that must be answered with one of the statuses, and gives the answer. It is made again while the
// server says that it is too busy.
func (s *soak) call(what, method, path, kind string, body []byte, wanted ...int) []byte {
	var said string
	for range 20 {
		req, err := http.NewRequestWithContext(context.Background(), method, "http://"+s.st.servers[0].addr+path, bytes.NewReader(body))
		if err != nil {
			s.st.t.Error(err)
			return nil
		}
		req.Header.Set("Authorization", "Bearer "+s.st.key)
		if kind != "" {
			req.Header.Set("Content-Type", kind)
		}
		answer, err := s.client.Do(req)
		if err != nil {
			said = err.Error()
			continue
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err == nil && slices.Contains(wanted, answer.StatusCode) {
			s.mu.Lock()
			s.calls[what]++
			s.mu.Unlock()
			return text
		}
		said = fmt.Sprintf("%d %v %.300s", answer.StatusCode, err, text)
		if answer.StatusCode != http.StatusServiceUnavailable {
			break
		}
		s.st.told.failed++
		time.Sleep(100 * time.Millisecond)
	}
	if s.wrong.Add(1) <= 10 {
		s.st.t.Errorf("%s: %s %s was answered with %s", what, method, path, said)
	}
	return nil
}

func (s *soak) read(what, path string) []byte {
	return s.call(what, http.MethodGet, path, "", nil, http.StatusOK)
}

// every does something again and again, at a pace that does not depend on how long it takes.
func (s *soak) every(group *sync.WaitGroup, pace time.Duration, do func(n int, rng *rand.Rand)) {
	lane := s.ids.Add(1)
	group.Go(func() {
		rng := rand.New(rand.NewPCG(*seed, uint64(lane)))
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-s.stop.Done():
				return
			case <-tick.C:
				do(n, rng)
			}
		}
	})
}

// goOn keeps the server busy, looks at it every second, and tells whether it holds ever more.
func (s *soak) goOn(length time.Duration) {
	t := s.st.t
	rested := s.look()
	for _, id := range soakCampaigns {
		for range 20 {
			s.join(id, "")
		}
	}
	var end context.CancelFunc
	s.stop, end = context.WithTimeout(context.Background(), length)
	defer end()
	s.began = time.Now()
	var all sync.WaitGroup
	s.every(&all, 50*time.Millisecond, s.fans)
	s.every(&all, 50*time.Millisecond, s.fans)
	s.every(&all, 250*time.Millisecond, func(n int, rng *rand.Rand) { s.join(pick(rng, soakCampaigns), s.code(rng)) })
	s.every(&all, 100*time.Millisecond, s.reader)
	s.every(&all, 500*time.Millisecond, s.visitor)
	s.every(&all, 500*time.Millisecond, s.reviewer)
	s.every(&all, 10*time.Second, s.treasurer)
	s.every(&all, 7*time.Second, s.operator)

	var samples []sample
	s.every(&all, time.Second, func(int, *rand.Rand) { samples = append(samples, s.look()) })
	all.Wait()
	s.client.CloseIdleConnections()

	out := &strings.Builder{}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "AFTER\tRSS MIB\tHEAP MIB\tGOROUTINES\tFILES\tDB CONNS\tEVENTS\t")
	line := func(name string, m sample) {
		fmt.Fprintf(w, "%s\t%.1f\t%.1f\t%.0f\t%.0f\t%.0f\t%.0f\t\n", name, m.rss, m.heap, m.goroutines, m.files, m.conns, m.answered)
	}
	line("rest", rested)
	const lines = 20
	for i := range lines {
		part := samples[i*len(samples)/lines : (i+1)*len(samples)/lines]
		if len(part) > 0 {
			line(part[len(part)-1].at.Round(time.Second).String(), mean(part))
		}
	}
	quarter := len(samples) / 4
	if quarter == 0 {
		t.Fatal("a soak takes some seconds")
	}
	second, last := mean(samples[quarter:2*quarter]), mean(samples[len(samples)-quarter:])
	line("2nd quarter", second)
	line("4th quarter", last)
	_ = w.Flush()
	fmt.Fprintf(out, "calls: %v\n", s.calls)
	t.Log("\n" + out.String())

	// The first quarter warms up: fonts are read, connections opened, caches filled. After it a tenth more is noise of
	// the collector's; the room beside it is for the cache of people's numbers and SQLite's pages, which have an end
	// that a short soak does not reach.
	for _, held := range []struct {
		what           string
		before, after  float64
		share, allowed float64
	}{
		{"MiB resident", second.rss, last.rss, .10, 24},
		{"MiB of heap", second.heap, last.heap, .10, 12},
		{"goroutines", second.goroutines, last.goroutines, .10, 10},
		{"open files", second.files, last.files, .10, 10},
		{"connections to the database", second.conns, last.conns, .10, 4},
	} {
		if most := held.before*(1+held.share) + held.allowed; held.after > most {
			t.Errorf("%.1f %s in the last quarter, %.1f in the second: more than %.1f", held.after, held.what, held.before, most)
		}
	}
	s.st.until("as many goroutines as before", patience, func() bool { return s.look().goroutines <= rested.goroutines+10 })
}

func mean(list []sample) sample {
	m := sample{}
	for _, s := range list {
		m.rss += s.rss / float64(len(list))
		m.heap += s.heap / float64(len(list))
		m.goroutines += s.goroutines / float64(len(list))
		m.files += s.files / float64(len(list))
		m.conns += s.conns / float64(len(list))
		m.answered = max(m.answered, s.answered)
	}
	return m
}

// look reads what the server says about itself.
func (s *soak) look() sample {
	m := sample{at: time.Since(s.began)}
	const mib = 1 << 20
	for metric, into := range map[string]struct {
		value *float64
		unit  float64
	}{
		"process_resident_memory_bytes": {&m.rss, mib}, "go_memstats_heap_inuse_bytes": {&m.heap, mib},
		"go_goroutines": {&m.goroutines, 1}, "process_open_fds": {&m.files, 1},
	} {
		lines := bufio.NewScanner(bytes.NewReader(s.metrics()))
		for lines.Scan() {
			if value, found := strings.CutPrefix(lines.Text(), metric+" "); found {
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					s.st.t.Error(err)
				}
				*into.value = n / into.unit
			}
		}
	}
	if s.st.toMaria != nil {
		m.conns = float64(s.st.number("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '" + s.st.name() + "'"))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m.answered = float64(len(s.told))
	return m
}

func (s *soak) metrics() []byte { return s.read("metrics", "/metrics") }

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

// code is of one of the latest participants, whose campaign it is too.
func (s *soak) code(rng *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pick(rng, s.codes[pick(rng, soakCampaigns)])
}

func (s *soak) codeOf(id string, rng *rand.Rand) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return pick(rng, s.codes[id])
}

// join lets somebody join, while the campaign is not paused.
func (s *soak) join(id, invitedBy string) {
	body, err := json.Marshal(map[string]string{"user": fmt.Sprintf("host-%d", s.ids.Add(1)), "nickname": "金秋 🍂 Host", "invited_by": invitedBy})
	if err != nil {
		panic(err)
	}
	var p struct{ Code string }
	answer := s.call("join", http.MethodPost, "/v1/campaigns/"+id+"/participants", "application/json", body, http.StatusCreated, http.StatusConflict)
	if answer == nil || json.Unmarshal(answer, &p) != nil || p.Code == "" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.codes[id] = append(s.codes[id], p.Code)
	if extra := len(s.codes[id]) - 500; extra > 0 {
		s.codes[id] = slices.Delete(s.codes[id], 0, extra)
	}
}

// fans scan, follow, leave, come back, buy and bring back; some of it is sent twice.
func (s *soak) fans(n int, rng *rand.Rand) {
	type told struct {
		event
		Data any `json:"data,omitempty"`
	}
	id := pick(rng, soakCampaigns)
	var batch []told
	for range 1 + rng.IntN(4) {
		fan := s.ids.Add(1)
		code := s.codeOf(id, rng)
		tell := func(kind, what string, data any) {
			batch = append(batch, told{event{fmt.Sprintf("%s-%d", what, fan), id, kind, fmt.Sprintf("fan-%d", fan), code}, data})
		}
		tell("scan", "scan", nil)
		tell("subscribe", "follow", nil)
		if rng.IntN(3) == 0 {
			order := map[string]any{"amount": 9000 + rng.IntN(2000), "currency": "CNY", "order": fmt.Sprintf("o-%d", fan)}
			tell("purchase", "buy", order)
			if rng.IntN(3) == 0 {
				tell("refund", "refund", order)
			}
		}
		if rng.IntN(4) == 0 {
			tell("unsubscribe", "leave", nil)
			if rng.IntN(2) == 0 {
				tell("subscribe", "back", nil)
			}
		}
	}
	body, err := json.Marshal(map[string]any{"events": batch})
	if err != nil {
		panic(err)
	}
	for range 1 + rng.IntN(5)/4 {
		answer := s.call("events", http.MethodPost, "/v1/events", "application/json", body, http.StatusAccepted)
		var receipt struct {
			Accepted, Duplicates int
			Rejected             []any
		}
		if answer == nil {
			return
		}
		if err := json.Unmarshal(answer, &receipt); err != nil || receipt.Accepted+receipt.Duplicates != len(batch) || len(receipt.Rejected) > 0 {
			s.st.t.Errorf("%d events were answered with %s", len(batch), answer)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range batch {
		s.told[e.Campaign+" "+e.ID] = true
	}
}

func (s *soak) reader(n int, rng *rand.Rand) {
	id := pick(rng, soakCampaigns)
	of := "/v1/campaigns/" + id
	code := s.codeOf(id, rng)
	what := []string{"funnel", "leaderboard", "rewards", "participant", "explain", "journal", "grants", "balances"}[n%8]
	s.read(what, map[string]string{
		"funnel": of + "/funnel?by=day", "leaderboard": of + "/leaderboard?limit=100", "rewards": of + "/rewards",
		"participant": of + "/participants/" + code, "explain": of + "/participants/" + code + "/explain",
		"journal": of + "/events?limit=100", "grants": "/v1/grants?limit=100&campaign=" + id, "balances": "/v1/ledger/balances?campaign=" + id,
	}[what])
}

func (s *soak) visitor(n int, rng *rand.Rand) {
	code := s.code(rng)
	s.read("poster", "/p/"+code+[]string{".jpg", ".jpg", ".jpg", ".png"}[n%4])
	s.read("qr", "/q/"+code+".png")
	s.read("page", "/r/"+code)
}

func (s *soak) reviewer(n int, rng *rand.Rand) {
	id := pick(rng, soakCampaigns)
	var list struct{ Items []struct{ ID string } }
	decide := func(state, verb string) {
		answer := s.read("grants in "+state, "/v1/grants?limit=5&state="+state+"&campaign="+id)
		if answer == nil || json.Unmarshal(answer, &list) != nil {
			return
		}
		for _, g := range list.Items {
			s.call(verb, http.MethodPost, "/v1/grants/"+url.PathEscape(g.ID)+"/"+verb, "application/json", []byte("{}"), http.StatusOK, http.StatusConflict)
		}
	}
	decide("review", []string{"approve", "reject"}[n%2])
	decide("granted", []string{"deliver", "deliver", "revoke"}[n%3])
}

func (s *soak) treasurer(n int, _ *rand.Rand) {
	s.read("export", "/v1/ledger/export?format="+[]string{"csv", "xlsx", "parquet"}[n%3]+"&campaign="+soakCampaigns[n%len(soakCampaigns)])
}

func (s *soak) operator(n int, rng *rand.Rand) {
	id := pick(rng, soakCampaigns)
	of := "/v1/campaigns/" + id
	if n%2 == 0 {
		s.call("revise", http.MethodPut, of, "application/yaml", fmt.Appendf(nil, soakDefinition, id, 10_000_001+n), http.StatusOK)
		return
	}
	s.call("pause", http.MethodPost, of+"/pause", "application/json", []byte("{}"), http.StatusOK)
	s.call("resume", http.MethodPost, of+"/resume", "application/json", []byte("{}"), http.StatusOK)
}

// applied checks that all that was answered is in the journals, once and applied, and that what is stored follows from
// them.
func (s *soak) applied() {
	t := s.st.t
	s.st.until("the end of all holds and an empty journal tail", 5*patience, func() bool {
		return s.st.number("SELECT (SELECT COUNT(*) FROM credits WHERE state = 'held') + (SELECT COUNT(*) FROM journal WHERE outcome IS NULL)") == 0
	})
	seen := 0
	for _, id := range soakCampaigns {
		entries := all[entry](s.st, "/v1/campaigns/"+id+"/events", url.Values{"system": {"true"}})
		place := map[int64]bool{}
		once := map[string]bool{}
		for _, e := range entries {
			if e.Seq == 0 || e.Outcome == "" || e.Outcome == "failed" || place[e.Seq] {
				t.Errorf("event %s of %s stands as %q at %d", e.ID, id, e.Outcome, e.Seq)
			}
			place[e.Seq] = true
			if e.System || !s.told[id+" "+e.ID] {
				continue // the pages record scans of their own
			}
			if once[e.ID] {
				t.Errorf("event %s stands in the journal of %s twice", e.ID, id)
			}
			once[e.ID] = true
		}
		if !place[1] || !place[int64(len(entries))] {
			t.Errorf("the journal of %s has holes", id)
		}
		seen += len(once)
	}
	if seen != len(s.told) {
		t.Errorf("%d events were answered, the journals have %d of them", len(s.told), seen)
	}
	s.st.told.events, s.st.told.joins, s.st.told.rounds = len(s.told), s.calls["join"], 1
	for _, args := range [][]string{{"ledger", "verify"}, {"verify"}} {
		if said, err := s.st.commandWithin(10*patience, args...); err != nil {
			t.Errorf("kfactor %s: %v %s", strings.Join(args, " "), err, said)
		}
	}
	if said := s.st.servers[0].said.String(); said != "" {
		t.Logf("the server said: %s", said)
	}
	if code, _ := s.st.servers[0].terminate(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}
