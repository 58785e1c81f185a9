package engine_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
	"kfactor/internal/telemetry"
)

// TestADatabaseThatStalls holds the store's write lock from elsewhere, as a slow one would, and floods intake.
func TestADatabaseThatStalls(t *testing.T) {
	t.Parallel()
	const room = 1 << 20
	db := databasetest.SQLite(t)
	metrics := telemetry.New()
	e, err := engine.New(engine.Config{DB: db, Metrics: metrics, Secret: make([]byte, 32), DataDir: t.TempDir(), IntakeBytes: room})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	h := &house{Engine: e, t: t, db: db, clock: newClock()}
	id := h.launch(definition(spring))
	data := json.RawMessage(`{"note": "` + strings.Repeat("x", 3000) + `"}`)
	events := func(call, n int, kinds ...string) []engine.Incoming {
		list := make([]engine.Incoming, n)
		for i := range list {
			kind := kinds[i%len(kinds)]
			list[i] = engine.Incoming{ID: fmt.Sprintf("%s-%d-%d", kind, call, i), Campaign: id, Type: kind, User: fmt.Sprint("u", i), Data: data}
		}
		return list
	}
	accept := func(list []engine.Incoming) (engine.Receipt, error) { return e.Accept(t.Context(), list) }

	release := hold(t, db)
	// Each call of 20 events takes some 75 KB of a room of 1 MB.
	var accepted int
	var taken int64
	var waiting sync.WaitGroup
	var mu sync.Mutex
	send := func(call int) {
		waiting.Go(func() {
			r, err := accept(events(call, 20, "subscribe"))
			if err != nil || r.Accepted != 20 {
				t.Errorf("call %d was let in and then: %+v %v", call, r, err)
			}
			mu.Lock()
			accepted += r.Accepted
			mu.Unlock()
		})
		taken += 20
		until(t, func() bool { return e.Waiting() == taken })
	}
	for call := range 8 {
		send(call)
	}

	// More than half is taken: what only the funnel counts is put off, and told so.
	r, err := accept(events(100, 3, "scan"))
	if fault.KindOf(err) != fault.Unavailable || r.Accepted != 0 {
		t.Errorf("scans alone: %+v %v", r, err)
	}
	if _, err := accept(events(100, 3, "scan", "nonsense")); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("scans among what is wrong: %v", err)
	}
	mixed := events(101, 20, "subscribe", "scan")
	waiting.Go(func() {
		r, err := accept(mixed)
		if err != nil || r.Accepted != 10 || len(r.Rejected) != 10 || r.Rejected[0].Index != 1 || r.Rejected[0].ID != mixed[1].ID ||
			!strings.Contains(r.Rejected[0].Error, "send this one again") {
			t.Errorf("follows and scans together: %+v %v", r, err)
		}
		mu.Lock()
		accepted += r.Accepted
		mu.Unlock()
	})
	taken += 10
	until(t, func() bool { return e.Waiting() == taken })

	// Follows are let in while there is room, and then refused as a whole.
	for call := 8; call < 12; call++ {
		send(call)
	}
	for call := 200; call < 220; call++ {
		if r, err := accept(events(call, 40, "subscribe")); fault.KindOf(err) != fault.Unavailable || r.Accepted != 0 {
			t.Errorf("past the room: %+v %v", r, err)
		}
	}
	if n := e.Waiting() * 3000; n > room {
		t.Errorf("%d bytes of data wait, more than %d", n, room)
	}

	release()
	waiting.Wait()
	var written int64
	if err := db.Raw("SELECT COUNT(*) FROM events WHERE system = 0").Scan(&written).Error; err != nil || int(written) != accepted {
		t.Errorf("%d events are in the journal and %d were accepted: %v", written, accepted, err)
	}
	until(t, func() bool { return e.Waiting() == 0 })
	answer := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	if want := `kfactor_events_in_total{result="shed"} 815`; !strings.Contains(answer.Body.String(), want) { // 3 + 2 + 10 + 20 × 40
		t.Errorf("%s is missing", want)
	}
	if r, err := accept(events(102, 3, "scan")); err != nil || r.Accepted != 3 {
		t.Errorf("a scan afterwards: %+v %v", r, err)
	}
}

// hold takes the store's write lock until release is called.
func hold(t *testing.T, db *gorm.DB) (release func()) {
	t.Helper()
	tx := db.Begin()
	if err := tx.Exec("UPDATE secret_marks SET name = name").Error; err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback() }
}

// until waits for something to become so.
func until(t *testing.T, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it did not come")
		}
	}
}
