package engine_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

func (h *house) entries(campaign string, page int) []engine.EntryView {
	h.t.Helper()
	var out []engine.EntryView
	for cursor := ""; ; {
		list, err := h.LedgerEntries(h.ctx(), campaign, engine.Page{Limit: page, Cursor: cursor})
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, list.Items...)
		if cursor = list.Next; cursor == "" {
			return out
		}
	}
}

const withPoints = `tiers:
  - {name: bronze, requires: {invite: 1}, rewards: [coupon, points]}
rewards:
  coupon: {kind: coupon, title: Coupon, unit_cost: "10.00", stock: 100}
  points: {kind: points, title: Points, points: 500, unit_cost: "0.50", stock: 100}
budget: {currency: CNY, limit: "500.00"}
`

// books launches two campaigns and fills their ledgers with every kind of transaction.
func books(h *house) (first, second string) {
	h.t.Helper()
	first = h.launch(definition(withPoints))
	second = h.launch(definition(withPoints, "campaign: c", "campaign: d"))
	for _, id := range []string{first, second} {
		for _, user := range []string{"=A", "B", "C"} {
			code := h.join(id, user).Code
			h.post(id, what{kind: "subscribe", user: "friend of " + user, code: code})
		}
		for _, d := range []struct{ grant, verb string }{{"1", "deliver"}, {"1", "revoke"}, {"3", "revoke"}, {"4", "revoke"}} {
			if _, err := h.Decide(h.ctx(), id+"."+d.grant, d.verb, "=because", "tester"); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	raised := strings.Replace(definition(withPoints), `"500.00"`, `"600.00"`, 1)
	if _, err := h.ReviseCampaign(h.ctx(), first, []byte(raised), "c.yaml", "tester"); err != nil {
		h.t.Fatal(err)
	}
	h.balanced()
	return first, second
}

func TestLedger(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		first, second := books(h)

		t.Run("PagesHoldEveryEntryOnce", func(t *testing.T) {
			whole := h.entries("", 1000)
			if n := len(h.entries(first, 1000)) + len(h.entries(second, 1000)); n != len(whole) || n < 40 {
				t.Fatalf("%d entries, %d in both campaigns", len(whole), n)
			}
			for _, size := range []int{1, 3, len(whole) - 1, len(whole)} {
				pages := h.entries("", size)
				if len(pages) != len(whole) {
					t.Fatalf("pages of %d hold %d of %d", size, len(pages), len(whole))
				}
				for i := range pages {
					if pages[i].Hash != whole[i].Hash {
						t.Fatalf("pages of %d: entry %d is another", size, i)
					}
				}
			}
			if _, err := h.LedgerEntries(t.Context(), "", engine.Page{Cursor: "eA"}); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		})

		t.Run("TheExportHoldsWhatTheEntriesSay", func(t *testing.T) {
			var file bytes.Buffer
			if err := h.ExportLedger(t.Context(), &file, "csv", engine.ExportQuery{}); err != nil {
				t.Fatal(err)
			}
			lines, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(file.String(), "\uFEFF"))).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			if head := strings.Join(lines[0], ","); head != "seq,posted_at,transaction,kind,campaign,account,user,reward,grant,event,debit,credit,currency,memo,hash" {
				t.Errorf("header %s", head)
			}
			entries := h.entries("", 1000)
			if len(lines)-1 != len(entries) {
				t.Fatalf("%d lines for %d entries", len(lines)-1, len(entries))
			}
			for i, e := range entries {
				line := lines[i+1]
				if line[0] != fmt.Sprint(e.Seq) || line[2] != fmt.Sprint(e.Transaction) || line[4] != e.Campaign || line[5] != e.Account || line[14] != e.Hash ||
					(line[10] == "") == (line[11] == "") || strings.HasPrefix(line[6], "=") || strings.HasPrefix(line[13], "=") {
					t.Errorf("line %q for %+v", line, e)
				}
			}
			var part bytes.Buffer
			if err := h.ExportLedger(t.Context(), &part, "csv", engine.ExportQuery{Campaign: first, From: h.clock.Now().Add(time.Second)}); err != nil || strings.Count(part.String(), "\n") != 1 {
				t.Errorf("after all that happened: %q %v", part.String(), err)
			}
			if err := h.ExportLedger(t.Context(), &part, "doc", engine.ExportQuery{}); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		})

		t.Run("AChangeInAnyColumnOfAnyEntryIsFound", func(t *testing.T) {
			campaignNo := 1
			n := len(h.entries(first, 1000))
			changes := map[string]string{
				"posted_at": "posted_at + 1", "person": "person + 1", "grant_no": "grant_no + 1",
				"debit": "debit + 1", "credit": "credit + 1", "campaign": "77", "seq": "seq + 100000",
			}
			for _, text := range []string{"kind", "account", "reward", "event", "currency", "memo"} {
				changes[text] = concat(db, text)
			}
			quote := "\""
			if db.Name() == "mysql" {
				quote = "`"
			}
			changes["transaction"] = quote + "transaction" + quote + " + 1"
			changes["hash"] = flipped(db)
			for column, changed := range changes {
				for seq := 1; seq <= n; seq++ {
					tx := db.Begin()
					done := tx.Exec(fmt.Sprintf("UPDATE ledger_entries SET %s%s%s = %s WHERE campaign = ? AND seq = ?", quote, column, quote, changed), campaignNo, seq)
					if done.Error != nil || done.RowsAffected != 1 {
						t.Fatalf("%s of %d: %v, %d rows", column, seq, done.Error, done.RowsAffected)
					}
					found(t, h, tx, column, seq)
					tx.Rollback()
				}
			}
			for seq := 1; seq <= n; seq++ {
				tx := db.Begin()
				if err := tx.Exec("DELETE FROM ledger_entries WHERE campaign = ? AND seq = ?", campaignNo, seq).Error; err != nil {
					t.Fatal(err)
				}
				found(t, h, tx, "removal", seq)
				tx.Rollback()
			}
			for _, seq := range []int{-1, 0, n + 1, n + 2} {
				tx := db.Begin()
				columns := "posted_at, " + quote + "transaction" + quote + ", kind, account, person, reward, grant_no, event, debit, credit, currency, memo, hash"
				err := tx.Exec("INSERT INTO ledger_entries (campaign, seq, "+columns+") SELECT campaign, ?, "+columns+" FROM ledger_entries WHERE campaign = ? AND seq = ?", seq, campaignNo, n).Error
				if err != nil {
					t.Fatal(err)
				}
				found(t, h, tx, "addition", seq)
				tx.Rollback()
			}
			h.balanced()
		})

		t.Run("AChangedBalanceIsFound", func(t *testing.T) {
			var state string
			if err := db.Table("campaigns").Where("no = 1").Pluck("state", &state).Error; err != nil {
				t.Fatal(err)
			}
			changed := strings.Replace(state, `"budget:available|CNY":{"debit":`, `"budget:available|CNY":{"debit":1`, 1)
			if changed == state {
				t.Fatal("no such balance in", state)
			}
			tx := db.Begin()
			if err := tx.Exec("UPDATE campaigns SET state = ? WHERE no = 1", changed).Error; err != nil {
				t.Fatal(err)
			}
			found(t, h, tx, "balance", 0)
			tx.Rollback()
			h.balanced()
		})
	})
}

// concat is the SQL for a text with one character more.
func concat(db *gorm.DB, column string) string {
	if db.Name() == "mysql" {
		return "CONCAT(" + column + ", 'x')"
	}
	return column + " || 'x'"
}

// flipped is the SQL for a hash with other bytes.
func flipped(db *gorm.DB) string {
	if db.Name() == "mysql" {
		return "UNHEX(SHA2(hash, 256))"
	}
	return "randomblob(32)"
}

// found fails unless the ledger, as a transaction sees it, is called broken.
func found(t *testing.T, h *house, tx *gorm.DB, what string, seq int) {
	t.Helper()
	looking, err := engine.New(engine.Config{DB: tx, Secret: make([]byte, 32), Now: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer looking.Close()
	report, err := looking.VerifyLedger(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if report.OK || len(report.Problems) == 0 {
		t.Errorf("%s of entry %d: nothing was found", what, seq)
	}
}
