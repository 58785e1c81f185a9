package faulttest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	words "kfactor/internal/fault"
)

// hand is the hand of a clock that a test moves, in UTC milliseconds.
type hand struct{ at atomic.Int64 }

func (h *hand) now() time.Time { return time.UnixMilli(h.at.Load()) }

// newEngine is an engine in this process with the campaign live and its hosts joined.
func newEngine(t *testing.T, db *gorm.DB, now func() time.Time) (*engine.Engine, []string) {
	t.Helper()
	e, err := engine.New(engine.Config{DB: db, Secret: make([]byte, 32), DataDir: t.TempDir(), PublicURL: "http://k.example", Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	if _, err := e.CreateCampaign(t.Context(), []byte(definition), "fault.yaml", "t"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Turn(t.Context(), campaignID, "launch", "t"); err != nil {
		t.Fatal(err)
	}
	var codes []string
	for i := range hosts {
		v, _, err := e.Join(t.Context(), campaignID, engine.Joining{User: fmt.Sprint("host-", i)})
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, v.Code)
	}
	return e, codes
}

// clean checks what an engine in this process says of its own books and journal, and counts what was credited.
func clean(t *testing.T, e *engine.Engine, db *gorm.DB, fans int) {
	t.Helper()
	if report, err := e.Verify(t.Context(), ""); err != nil || !report.OK {
		t.Errorf("verify: %v %q", err, report.Problems)
	}
	if report, err := e.VerifyLedger(t.Context(), ""); err != nil || !report.OK {
		t.Errorf("ledger: %v %q", err, report.Problems)
	}
	for query, want := range map[string]int{
		"SELECT COUNT(*) FROM journal WHERE type = 'subscribe' AND outcome = 'credited'": fans,
		"SELECT COUNT(*) FROM events WHERE type = 'subscribe'":                           fans,
		"SELECT COUNT(*) FROM journal WHERE outcome IS NULL":                             0,
		"SELECT COUNT(*) - MAX(seq) FROM events":                                         0,
		"SELECT COUNT(*) FROM credits WHERE task = 'stay' AND state = 'held'":            0,
		"SELECT COUNT(*) FROM credits WHERE task = 'stay'":                               fans,
	} {
		var n int
		if err := db.Raw(query).Scan(&n).Error; err != nil || n != want {
			t.Errorf("%s: %d instead of %d, %v", query, n, want, err)
		}
	}
}

func TestAClockThatStepsBack(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		told := results.add("the clock stepping back", t.Name()[strings.LastIndexByte(t.Name(), '/')+1:])
		began := time.Now()
		h := &hand{}
		start := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
		h.at.Store(start.UnixMilli())
		e, codes := newEngine(t, db, h.now)
		rng := rand.New(rand.NewPCG(*seed, 7))
		fans := 0
		for range times(60, 600) {
			h.at.Add(rng.Int64N(2*3_600_000) - 3_600_000) // up to an hour, either way
			told.rounds++
			var batch []engine.Incoming
			for range 1 + rng.IntN(4) {
				fans++
				batch = append(batch, engine.Incoming{
					ID: fmt.Sprint("follow-", fans), Campaign: campaignID, Type: "subscribe", User: fmt.Sprint("fan-", fans), Code: codes[fans%len(codes)],
				})
			}
			if r, err := e.Accept(t.Context(), batch); err != nil || r.Accepted != len(batch) {
				t.Fatal(r, err)
			}
			if rng.IntN(3) == 0 {
				if err := e.SweepOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if rng.IntN(8) == 0 {
				if _, _, err := e.Join(t.Context(), campaignID, engine.Joining{User: fmt.Sprint("visitor-", fans)}); err != nil {
					t.Fatal(err)
				}
				told.joins++
			}
		}
		h.at.Store(start.Add(1000 * time.Hour).UnixMilli()) // all holds have passed
		for range 2 {
			if err := e.SweepOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		clean(t, e, db, fans)
		told.events, told.took, told.verdict = fans, time.Since(began), "kept"
		if t.Failed() {
			told.verdict = "BROKEN"
		}
	})
}

func TestAFullDatabaseFile(t *testing.T) {
	told := results.add("a full database file", "SQLite")
	began := time.Now()
	db := databasetest.SQLite(t)
	e, codes := newEngine(t, db, time.Now)
	limit := func(pages int) {
		if err := db.Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)).Error; err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	worked := make(chan error, 1)
	go func() { worked <- e.Run(ctx) }()
	fans := 0
	for range times(2, 6) {
		var pages int
		if err := db.Raw("PRAGMA page_count").Scan(&pages).Error; err != nil {
			t.Fatal(err)
		}
		limit(pages + 5)
		told.rounds++
		refused := 0
		for deadline := time.Now().Add(patience); refused < 20; {
			if time.Now().After(deadline) {
				t.Fatal("the file does not fill up")
			}
			r, err := e.Accept(t.Context(), []engine.Incoming{{
				ID: fmt.Sprint("follow-", fans+1), Campaign: campaignID, Type: "subscribe", User: fmt.Sprint("fan-", fans+1), Code: codes[fans%len(codes)],
			}})
			switch {
			case err == nil && r.Accepted == 1:
				fans++
			case words.KindOf(err) == words.Unavailable:
				refused++
			default:
				t.Fatalf("a full file is answered with %v %+v", err, r)
			}
		}
		told.failed += refused
		limit(1 << 30)
		free := time.Now()
		if _, _, err := e.Join(t.Context(), campaignID, engine.Joining{User: fmt.Sprint("visitor-", fans)}); err != nil {
			t.Fatal(err)
		}
		told.joins++
		told.recovered = max(told.recovered, time.Since(free))
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var left int
		if err := db.Raw("SELECT (SELECT COUNT(*) FROM journal WHERE outcome IS NULL) + (SELECT COUNT(*) FROM credits WHERE state = 'held')").Scan(&left).Error; err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d things are left undone", left)
		}
	}
	stop()
	if err := <-worked; err != nil {
		t.Error(err)
	}
	clean(t, e, db, fans)
	told.events, told.took, told.verdict = fans, time.Since(began), "kept"
	if t.Failed() {
		told.verdict = "BROKEN"
	}
}
