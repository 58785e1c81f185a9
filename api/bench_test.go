package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/api"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/services"
	"kfactor/internal/telemetry"
)

// The benchmarks measure the edge: real HTTP on kept connections, with keys, metrics and a line of log for each
// request, its client in the same process. What an empty answer costs stands beside it in the same run.
//
//	make bench
const (
	benchConnections = 64
	benchEmpty       = 30_000 // requests
	benchSingles     = 12_000 // requests of one event each
	benchBatched     = 100_000
	benchBatch       = 500
	benchJoins       = 6_000
	benchSteady      = 1000 // events a second
	benchSteadyFor   = 15 * time.Second
)

// edge is a server with a campaign that runs.
type edge struct {
	*httptest.Server
	b      *testing.B
	db     *gorm.DB
	engine *engine.Engine
	key    string
}

// eachEdge runs a benchmark on MariaDB with durable commits and a real Redis, and on the embedded default.
func eachEdge(b *testing.B, works bool, measure func(b *testing.B, e *edge)) {
	b.Run("MariaDB", func(b *testing.B) {
		for b.Loop() {
			measure(b, openEdge(b, databasetest.MySQL(b), services.Redis(b), works))
		}
	})
	b.Run("Embedded", func(b *testing.B) {
		for b.Loop() {
			measure(b, openEdge(b, databasetest.SQLite(b), queue.Embedded, works))
		}
	})
}

// openEdge starts a server; one that works applies what it accepts.
func openEdge(b *testing.B, db *gorm.DB, redisURL string, works bool) *edge {
	b.Helper()
	quiet := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	q, err := queue.Open(redisURL, quiet)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { q.Close() })
	s := &edge{Server: httptest.NewUnstartedServer(nil), b: b, db: db}
	public, secret, metrics := "http://"+s.Listener.Addr().String(), make([]byte, 32), telemetry.New()
	s.engine, err = engine.New(engine.Config{DB: db, Queue: q, Metrics: metrics, Log: quiet, Secret: secret, DataDir: b.TempDir(), PublicURL: public})
	if err != nil {
		b.Fatal(err)
	}
	s.Config.Handler, err = api.New(api.Config{
		Engine: s.engine, Metrics: metrics, PublicURL: public, Secret: secret, Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
	})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	if works {
		running.Go(func() { _ = s.engine.Run(ctx) })
	}
	b.Cleanup(func() {
		s.Close()
		stop()
		running.Wait()
		s.engine.Close()
	})
	if _, err := s.engine.CreateCampaign(ctx, []byte(spring), "spring.yaml", "bench"); err != nil {
		b.Fatal(err)
	}
	if _, err := s.engine.Turn(ctx, "spring", "launch", "bench"); err != nil {
		b.Fatal(err)
	}
	if s.key, _, err = s.engine.CreateKey(ctx, "ingest", "bench"); err != nil {
		b.Fatal(err)
	}
	return s
}

// line is a kept connection, read and written by hand so that the client costs little.
type line struct {
	net.Conn
	answers *bufio.Reader
	head    string
}

func (s *edge) dial() *line {
	conn, err := new(net.Dialer).DialContext(s.b.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		s.b.Fatal(err)
	}
	return &line{conn, bufio.NewReader(conn), "Host: k.example\r\nAuthorization: Bearer " + s.key + "\r\nContent-Type: application/json\r\n"}
}

// ask sends a request and gives the answer's body when it has the status.
func (l *line) ask(method, path, body string, status int) ([]byte, error) {
	if _, err := fmt.Fprintf(l, "%s %s HTTP/1.1\r\n%sContent-Length: %d\r\n\r\n%s", method, path, l.head, len(body), body); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != status {
		err = fmt.Errorf("status %d, want %d: %s", res.StatusCode, status, raw)
	}
	return raw, err
}

// rate has n requests made over all connections, and gives how many there were a second.
func (s *edge) rate(n, connections int, ask func(l *line, i int) error) float64 {
	s.b.Helper()
	var next atomic.Int64
	var callers sync.WaitGroup
	lines := make([]*line, connections)
	for i := range lines {
		lines[i] = s.dial()
		defer lines[i].Close()
	}
	began := time.Now()
	for _, l := range lines {
		callers.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := ask(l, i); err != nil {
					s.b.Error(err)
					return
				}
			}
		})
	}
	callers.Wait()
	return float64(n) / time.Since(began).Seconds()
}

// empty is how many requests a second are answered that ask for nothing, over the same connections.
func (s *edge) empty() float64 {
	return s.rate(benchEmpty, benchConnections, func(l *line, _ int) error {
		_, err := l.ask("GET", "/healthz", "", http.StatusOK)
		return err
	})
}

// follows is an event of friend i, as JSON.
func follows(i int, code string) string {
	user := "friend-" + strconv.Itoa(i)
	return `{"id":"s-` + user + `","campaign":"spring","type":"subscribe","user":"` + user + `","code":"` + code + `"}`
}

func allAccepted(raw []byte, want int) error {
	var r engine.Receipt
	if err := json.Unmarshal(raw, &r); err != nil {
		return err
	}
	if r.Accepted != want {
		return fmt.Errorf("%d of %d accepted: %s", r.Accepted, want, raw)
	}
	return nil
}

// BenchmarkSingleEvents posts events one by one; nothing is applied meanwhile.
func BenchmarkSingleEvents(b *testing.B) {
	eachEdge(b, false, func(b *testing.B, s *edge) {
		empty := s.empty()
		rate := s.rate(benchSingles, benchConnections, func(l *line, i int) error {
			raw, err := l.ask("POST", "/v1/events", follows(i, "7K2M9QX4TB"), http.StatusAccepted)
			if err != nil {
				return err
			}
			return allAccepted(raw, 1)
		})
		b.ReportMetric(rate, "requests/s")
		b.ReportMetric(empty, "empty/s")
		b.ReportMetric(empty/rate, "x-empty")
	})
}

// BenchmarkBatchedEvents posts events by the hundreds; nothing is applied meanwhile.
func BenchmarkBatchedEvents(b *testing.B) {
	eachEdge(b, false, func(b *testing.B, s *edge) {
		bodies := make([]string, benchBatched/benchBatch)
		for i := range bodies {
			events := make([]string, benchBatch)
			for j := range events {
				events[j] = follows(i*benchBatch+j, "7K2M9QX4TB")
			}
			bodies[i] = `{"events":[` + strings.Join(events, ",") + "]}"
		}
		rate := s.rate(len(bodies), 8, func(l *line, i int) error {
			raw, err := l.ask("POST", "/v1/events", bodies[i], http.StatusAccepted)
			if err != nil {
				return err
			}
			return allAccepted(raw, benchBatch)
		})
		b.ReportMetric(rate*benchBatch, "events/s")
	})
}

// BenchmarkJoins has users join and gives them their codes, by the engine's own call and over HTTP.
func BenchmarkJoins(b *testing.B) {
	eachEdge(b, true, func(b *testing.B, s *edge) {
		own := s.rate(benchJoins, benchConnections, func(_ *line, i int) error {
			v, created, err := s.engine.Join(b.Context(), "spring", engine.Joining{User: "fan-" + strconv.Itoa(i)})
			if err == nil && (!created || v.Code == "") {
				err = fmt.Errorf("joined with the code %q, as somebody new: %t", v.Code, created)
			}
			return err
		})
		sent := s.rate(benchJoins, benchConnections, func(l *line, i int) error {
			raw, err := l.ask("POST", "/v1/campaigns/spring/participants", `{"user":"friend-`+strconv.Itoa(i)+`","nickname":"小明"}`, http.StatusCreated)
			if err == nil && !strings.Contains(string(raw), `"code":"`) {
				err = fmt.Errorf("no code: %s", raw)
			}
			return err
		})
		b.ReportMetric(own, "joins/s")
		b.ReportMetric(sent, "http-joins/s")
	})
}

// BenchmarkSteadyEvents sends events at an even pace, whatever becomes of them, and measures how long each one takes
// from the moment its sender knows that it was accepted until it has its outcome.
func BenchmarkSteadyEvents(b *testing.B) {
	eachEdge(b, true, func(b *testing.B, s *edge) {
		v, _, err := s.engine.Join(b.Context(), "spring", engine.Joining{User: "inviter"})
		if err != nil {
			b.Fatal(err)
		}
		const n = int(benchSteady * benchSteadyFor / time.Second)
		known := make([]atomic.Int64, n) // when the sender of each was answered, in nanoseconds
		seen := make([]time.Time, n)
		due := make(chan int, n)
		var callers sync.WaitGroup
		for range benchConnections {
			l := s.dial()
			defer l.Close()
			callers.Go(func() {
				for i := range due {
					raw, err := l.ask("POST", "/v1/events", follows(i, v.Code), http.StatusAccepted)
					if err == nil {
						err = allAccepted(raw, 1)
					}
					if err != nil {
						b.Error(err)
						return
					}
					known[i].Store(time.Now().UnixNano())
				}
			})
		}
		began := time.Now()
		callers.Go(func() {
			defer close(due)
			for sent := 0; sent < n; {
				for now := min(n, int(time.Since(began)*benchSteady/time.Second)); sent < now; sent++ {
					due <- sent
				}
				time.Sleep(time.Millisecond)
			}
		})
		s.watch(n, seen)
		callers.Wait()
		if b.Failed() {
			return
		}
		waits := make([]time.Duration, n)
		for i := range waits {
			waits[i] = max(0, seen[i].Sub(time.Unix(0, known[i].Load())))
		}
		slices.Sort(waits)
		ms := func(part int) float64 { return float64(waits[n*part/1000].Microseconds()) / 1000 }
		b.ReportMetric(ms(500), "ms-p50")
		b.ReportMetric(ms(990), "ms-p99")
		b.ReportMetric(ms(999), "ms-p99.9")
	})
}

// watch notes when each of n friends' events is seen to have an outcome. It looks a hundred times a second.
func (s *edge) watch(n int, seen []time.Time) {
	var last int64
	deadline := time.Now().Add(benchSteadyFor + time.Minute)
	for found := 0; found < n; {
		var rows []struct {
			Seq int64
			ID  string
		}
		if err := s.db.Raw("SELECT seq, id FROM journal WHERE campaign = 1 AND seq > ? AND outcome IS NOT NULL ORDER BY seq", last).Scan(&rows).Error; err != nil {
			s.b.Fatal(err)
		}
		now := time.Now()
		for _, r := range rows {
			last = r.Seq
			if no, friend := strings.CutPrefix(r.ID, "s-friend-"); friend {
				i, _ := strconv.Atoi(no)
				seen[i] = now
				found++
			}
		}
		if now.After(deadline) {
			s.b.Fatalf("%d of %d events have an outcome", found, n)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
