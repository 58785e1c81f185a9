package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"gorm.io/gorm"

	"kfactor/internal/database/databasetest"
)

func TestVerify(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		story(h, 3)

		report, err := h.Verify(h.ctx(), "")
		if err != nil || !report.OK || report.Events < 150 {
			t.Fatalf("%+v %v", report, err)
		}

		// One change by hand in each table, undone after it was looked for.
		changes := map[string][2]string{
			"people":   {"UPDATE people SET score = score + 1 WHERE score > 0", "UPDATE people SET score = score - 1 WHERE score > 0"},
			"credits":  {"UPDATE credits SET owner = owner + 100", "UPDATE credits SET owner = owner - 100"},
			"rewards":  {"UPDATE rewards SET delivered = delivered + 1", "UPDATE rewards SET delivered = delivered - 1"},
			"grants":   {"UPDATE grants SET cost = cost + 1", "UPDATE grants SET cost = cost - 1"},
			"ledger":   {"UPDATE ledger_entries SET posted_at = posted_at + 1", "UPDATE ledger_entries SET posted_at = posted_at - 1"},
			"funnel":   {"UPDATE funnel_counts SET users = users + 1", "UPDATE funnel_counts SET users = users - 1"},
			"campaign": {"UPDATE campaigns SET revision = revision - 1", "UPDATE campaigns SET revision = revision + 1"},
			"event": {
				"UPDATE events SET time = time + 1 WHERE seq = 20", "UPDATE events SET time = time - 1 WHERE seq = 20",
			},
			"inviter": {"UPDATE outcomes SET owner = owner + 1 WHERE seq = 20", "UPDATE outcomes SET owner = owner - 1 WHERE seq = 20"},
			"the last one accepted": {
				"UPDATE tails SET seq = seq - 1", "UPDATE tails SET seq = seq + 1",
			},
			"journal: event 30 is missing": {
				"UPDATE events SET seq = 100000 WHERE seq = 30", "UPDATE events SET seq = 30 WHERE seq = 100000",
			},
		}
		apply := func(statement string) {
			if err := db.Exec(statement).Error; err != nil {
				t.Fatal(statement, err)
			}
		}
		for what, change := range changes {
			apply(change[0])
			report, err := h.Verify(h.ctx(), "")
			if err != nil {
				t.Fatal(err)
			}
			if report.OK || !strings.Contains(fmt.Sprintln(report.Problems), what) {
				t.Errorf("%s: the change was not named: %q", what, report.Problems)
			}
			apply(change[1])
		}
		if report, err := h.Verify(h.ctx(), ""); err != nil || !report.OK {
			t.Errorf("%+v %v", report, err)
		}

		// A journal that is wrong throughout is told in a hundred lines and a number.
		apply("UPDATE outcomes SET outcome = 'wrong'")
		report, err = h.Verify(h.ctx(), "")
		if err != nil || len(report.Problems) != 101 {
			t.Fatalf("%d problems, %v", len(report.Problems), err)
		}
		if more := fmt.Sprintf("and %d more", report.Events-100); report.Problems[100] != more {
			t.Errorf("it ends in %q, not %q", report.Problems[100], more)
		}
	})
}
