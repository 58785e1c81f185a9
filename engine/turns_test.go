package engine_test

import (
	"fmt"
	"testing"

	"gorm.io/gorm"

	"kfactor/internal/database/databasetest"
)

// What a writer remembers is good for as long as nobody else wrote.
func TestProcessesThatTakeTurnsSeeEachOthersPeople(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		one, other := open(t, db), open(t, db)
		id := one.launch(definition(""))
		ann := one.join(id, "ann")
		for n := range 6 {
			h := []*house{one, other}[n%2]
			friend, came := fmt.Sprint("friend", n), fmt.Sprint("came", n)
			if got := h.post(id, what{id: came, kind: "subscribe", user: friend, code: ann.Code})[0]; got != "credited" {
				t.Fatalf("%s: %s", friend, got)
			}
			if got := h.count(id, ann.Code, "invite"); got != n+1 {
				t.Fatalf("after %s ann has %d", friend, got)
			}
		}
		if report, err := one.Verify(t.Context(), id); err != nil || !report.OK {
			t.Errorf("%+v %v", report, err)
		}
	})
}

// A database that was put back to how it was has no place for what a server remembers of it.
func TestAJournalThatWentAnotherWayIsNotTakenForTheOneRemembered(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		one := open(t, db)
		id := one.launch(definition(""))
		ann := one.join(id, "ann")
		before := map[string][]map[string]any{}
		for _, table := range []string{"campaigns", "tails", "events", "outcomes", "people", "credits", "grants", "rewards", "ledger_entries", "funnel_counts"} {
			before[table] = rows(t, db, table, "1")
		}
		one.post(id, what{id: "lost", kind: "subscribe", user: "bob", code: ann.Code})
		for table, rows := range before {
			if err := db.Exec("DELETE FROM " + table).Error; err != nil {
				t.Fatal(err)
			}
			copyRows(t, db, table, rows)
		}
		other := open(t, db) // takes it as far as the first one did, by another event
		other.post(id, what{id: "kept", kind: "subscribe", user: "eve", code: ann.Code})
		one.post(id, what{id: "then", kind: "subscribe", user: "dan", code: ann.Code})
		if report, err := one.Verify(t.Context(), id); err != nil || !report.OK {
			t.Errorf("%+v %v", report, err)
		}
	})
}
