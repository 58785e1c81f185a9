package engine_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
)

// tables are what applying a journal writes, each with the columns that name a row.
var tables = map[string]string{
	"campaigns": "no", "people": "person", "credits": "person, task, n", "rewards": "reward", "grants": "no",
	"ledger_entries": "seq", "funnel_counts": "split, stage, day, name", "events": "seq", "outcomes": "seq",
}

// dump is every row of the tables as text, apart from the times at which rows were written.
func dump(t *testing.T, db *gorm.DB) string {
	t.Helper()
	var b strings.Builder
	for table, order := range tables {
		for _, row := range rows(t, db, table, order) {
			delete(row, "created_at")
			delete(row, "updated_at")
			var columns []string
			for name, v := range row {
				if raw, ok := v.([]byte); ok {
					v = string(raw)
				}
				columns = append(columns, fmt.Sprintf("%s=%q", name, fmt.Sprint(v)))
			}
			slices.Sort(columns)
			fmt.Fprintln(&b, table, strings.Join(columns, " "))
		}
	}
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

func rows(t *testing.T, db *gorm.DB, table, order string) []map[string]any {
	t.Helper()
	var out []map[string]any
	if err := db.Table(table).Order(order).Find(&out).Error; err != nil {
		t.Fatal(err)
	}
	return out
}

// story is a campaign's life: everything the rules know happens in it, in an order that the seed decides.
func story(h *house, seed uint64) string {
	h.t.Helper()
	r := rand.New(rand.NewPCG(seed, 0))
	yaml := definition(`  buy: {on: purchase, credit: inviter, hold: 2h}
  order: {on: purchase, credit: actor, when: "data.amount >= 100", revoke_on: refund}
tiers:
  - {name: bronze, requires: {invite: 1}, rewards: [coupon]}
  - {name: silver, requires: {invite: 2, order: 1}, rewards: [mug, points]}
welcome: {rewards: [hello]}
rewards:
  hello: {kind: coupon, unit_cost: "1.00", stock: 20}
  coupon: {kind: coupon, unit_cost: "10.00", stock: 6}
  mug: {kind: physical, unit_cost: "35.00", stock: 1, review: true}
  points: {kind: points, points: 50, unit_cost: "0.50", stock: 2}
budget: {currency: CNY, limit: "120.00"}
`)
	id := h.launch(yaml)
	var codes []string
	for i := range 6 {
		codes = append(codes, h.join(id, fmt.Sprint("user ", i)).Code)
	}
	kinds := []string{"scan", "subscribe", "subscribe", "subscribe", "unsubscribe", "purchase", "purchase", "refund"}
	data := []string{"", `{"amount": 100, "order": "1"}`, `{"amount": 250, "order": 2}`, `{"source": "海报"}`}
	for i := range 120 {
		at := h.clock.Now().Add(-time.Duration(r.IntN(300)) * time.Minute)
		in := engine.Incoming{
			ID: fmt.Sprint("e", i), Campaign: id, Type: kinds[r.IntN(len(kinds))], User: fmt.Sprint("user ", r.IntN(25)), Time: &at,
			Data: json.RawMessage(data[r.IntN(len(data))]),
		}
		if r.IntN(3) > 0 {
			in.Code = codes[r.IntN(len(codes))]
		}
		if got, err := h.Accept(h.ctx(), []engine.Incoming{in}); err != nil || got.Accepted != 1 {
			h.t.Fatal(got, err)
		}
		h.clock.Advance(time.Duration(r.IntN(20)) * time.Minute)
		if r.IntN(4) == 0 {
			h.sweep()
		}
		switch i {
		case 40:
			if _, err := h.ImportCoupons(h.ctx(), id, "hello", strings.NewReader("A\nB\nC\nD\n"), "t"); err != nil {
				h.t.Fatal(err)
			}
		case 70:
			raised := strings.NewReplacer("stock: 1,", "stock: 2,", `limit: "120.00"`, `limit: "300.00"`).Replace(yaml)
			if _, err := h.ReviseCampaign(h.ctx(), id, []byte(raised), "c.yaml", "t"); err != nil {
				h.t.Fatal(err)
			}
		case 60, 90, 110:
			verbs := []string{"approve", "deliver", "revoke", "reject"}
			for n := range 10 {
				_, _ = h.Decide(h.ctx(), fmt.Sprintf("%s.%d", id, r.IntN(30)+1), verbs[(n+r.IntN(2))%4], "", "t") // some are refused
			}
		}
	}
	h.clock.Advance(3 * time.Hour)
	h.settled(id)
	h.balanced()
	return yaml
}

func TestTheJournalAppliedAgain(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		yaml := story(h, 7)
		expected := dump(t, db)
		if n := strings.Count(expected, "grants "); n < 10 {
			t.Fatalf("the story made %d grants", n)
		}
		journal, revisions := rows(t, db, "events", "seq"), rows(t, db, "revisions", "revision")
		for _, e := range journal {
			if raw, ok := e["data"].([]byte); ok {
				e["data"] = string(raw)
			}
		}

		for _, size := range []int{3, len(journal)} {
			t.Run(fmt.Sprintf("InBatchesOf%dGivesTheSameTables", size), func(t *testing.T) {
				fresh := databasetest.SQLite(t)
				if strings.Contains(t.Name(), "MySQL") {
					fresh = databasetest.MySQL(t)
				}
				again := open(t, fresh)
				again.clock.ms.Store(0) // nothing falls due: what did is in the journal
				if _, err := again.CreateCampaign(again.ctx(), []byte(yaml), "c.yaml", "t"); err != nil {
					t.Fatal(err)
				}
				copyRows(t, fresh, "tails", []map[string]any{{"campaign": 1, "seq": 0}})
				copyRows(t, fresh, "revisions", revisions[1:])
				copyRows(t, fresh, "codes", rows(t, db, "codes", "code"))
				for part := range slices.Chunk(journal, size) {
					copyRows(t, fresh, "events", part)
					if err := fresh.Exec("UPDATE tails SET seq = (SELECT MAX(seq) FROM events)").Error; err != nil {
						t.Fatal(err)
					}
					for pending := int64(1); pending > 0; {
						again.sweep() // does a share of what is pending
						if err := fresh.Raw("SELECT COUNT(*) FROM journal WHERE outcome IS NULL").Scan(&pending).Error; err != nil {
							t.Fatal(err)
						}
					}
				}
				if got := dump(t, fresh); got != expected {
					t.Error(difference(got, expected))
				}
			})
		}
	})
}

func copyRows(t *testing.T, db *gorm.DB, table string, rows []map[string]any) {
	t.Helper()
	if len(rows) == 0 {
		return
	}
	fresh := make([]map[string]any, 0, len(rows))
	for _, row := range rows {
		fresh = append(fresh, maps.Clone(row)) // Create adds to them
	}
	if err := db.Table(table).Create(fresh).Error; err != nil {
		t.Fatal(err)
	}
}

// difference is the lines that stand in only one of two texts.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	var out []string
	for _, line := range a {
		if !slices.Contains(b, line) {
			out = append(out, "got  "+line)
		}
	}
	for _, line := range b {
		if !slices.Contains(a, line) {
			out = append(out, "want "+line)
		}
	}
	return strings.Join(out[:min(len(out), 20)], "\n")
}
