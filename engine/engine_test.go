package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
)

// clock is a clock that a test moves.
type clock struct{ ms atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ms.Store(time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC).UnixMilli())
	return c
}

func (c *clock) Now() time.Time          { return time.UnixMilli(c.ms.Load()) }
func (c *clock) Advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// house is an engine on a fresh database, with the short cuts that tests need.
type house struct {
	*engine.Engine
	t     *testing.T
	db    *gorm.DB
	clock *clock
	ids   int
}

func open(t *testing.T, db *gorm.DB) *house {
	t.Helper()
	c := newClock()
	e, err := engine.New(engine.Config{
		DB: db, Secret: make([]byte, 32), DataDir: t.TempDir(), PublicURL: "https://k.example", Now: c.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return &house{Engine: e, t: t, db: db, clock: c}
}

// file is something that a definition names.
type file struct {
	name string
	body []byte
}

// launch creates and starts a campaign.
func (h *house) launch(yaml string, files ...file) string {
	h.t.Helper()
	view, err := h.CreateCampaign(h.ctx(), []byte(yaml), "test.yaml", "tester")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, f := range files {
		if _, err := h.PutAsset(h.ctx(), view.ID, f.name, f.body); err != nil {
			h.t.Fatal(err)
		}
	}
	if _, err := h.Turn(h.ctx(), view.ID, "launch", "tester"); err != nil {
		h.t.Fatal(err)
	}
	return view.ID
}

func (h *house) ctx() context.Context { return h.t.Context() }

func (h *house) join(campaign, user string) engine.ParticipantView {
	h.t.Helper()
	v, _, err := h.Join(h.ctx(), campaign, engine.Joining{User: user, Nickname: user})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// what is one event in short: who did what through which code.
type what struct {
	id, kind, user, code, data string
	at                         time.Duration // after the clock's now; negative for the past
}

// post sends events one call each, applies them and gives their outcomes.
func (h *house) post(campaign string, events ...what) []string {
	h.t.Helper()
	var outcomes []string
	for _, w := range events {
		if w.id == "" {
			h.ids++
			w.id = fmt.Sprintf("e%d", h.ids)
		}
		at := h.clock.Now().Add(w.at)
		in := engine.Incoming{ID: w.id, Campaign: campaign, Type: w.kind, User: w.user, Code: w.code, Time: &at}
		if w.data != "" {
			in.Data = json.RawMessage(w.data)
		}
		r, err := h.Accept(h.ctx(), []engine.Incoming{in})
		if err != nil || len(r.Rejected) > 0 {
			h.t.Fatalf("%+v: %v %+v", w, err, r.Rejected)
		}
		h.sweep()
		outcomes = append(outcomes, h.outcome(campaign, w.id))
	}
	return outcomes
}

func (h *house) sweep() {
	h.t.Helper()
	if err := h.SweepOnce(h.ctx()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) outcome(campaign, id string) string {
	h.t.Helper()
	for cursor := ""; ; {
		list, err := h.Events(h.ctx(), campaign, false, engine.Page{Limit: 1000, Cursor: cursor}, true)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, e := range list.Items {
			if e.ID == id {
				return e.Outcome
			}
		}
		if cursor = list.Next; cursor == "" {
			h.t.Fatalf("no event %s", id)
		}
	}
}

func (h *house) count(campaign, code, task string) int {
	h.t.Helper()
	v, err := h.Participant(h.ctx(), campaign, code, true)
	if err != nil {
		h.t.Fatal(err)
	}
	return v.Tasks[task].Count
}

// grants gives "user reward state" of every grant, in order.
func (h *house) grants(campaign string) []string {
	h.t.Helper()
	list, err := h.Grants(h.ctx(), engine.GrantQuery{Campaign: campaign}, engine.Page{Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, g := range list.Items {
		out = append(out, strings.TrimSpace(g.User+" "+g.Reward+" "+g.State+" "+g.Reason))
	}
	return out
}

// balanced checks that the books balance and their chain is whole.
func (h *house) balanced() {
	h.t.Helper()
	balances, err := h.Balances(h.ctx(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, b := range balances {
		sums[b.Campaign+b.Currency] += b.Balance
	}
	for key, sum := range sums {
		if sum != 0 {
			h.t.Errorf("the trial balance of %s is %d", key, sum)
		}
	}
	report, err := h.VerifyLedger(h.ctx(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	if !report.OK {
		h.t.Errorf("ledger: %q", report.Problems)
	}
}

// definition is a small campaign; more is added to its end, and replaces are pairs of old and new text.
func definition(more string, replaces ...string) string {
	return strings.NewReplacer(replaces...).Replace(`campaign: c
name: Test
schedule: {starts: 2026-01-01T00:00:00Z, ends: 2027-01-01T00:00:00Z, timezone: Asia/Shanghai}
poster:
  size: [750, 1334]
  background: "#FFFFFF"
  layers:
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: Invite, on: subscribe, credit: inviter, revoke_on: unsubscribe}
`) + more
}

const spring = `tiers:
  - {name: bronze, requires: {invite: 2}, rewards: [coupon]}
  - {name: silver, requires: {invite: 3}, rewards: [mug]}
rewards:
  coupon: {kind: coupon, title: Coupon, unit_cost: "10.00", stock: 100}
  mug: {kind: physical, title: Mug, unit_cost: "35.00", stock: 1, review: true}
budget: {currency: CNY, limit: "500.00"}
`

func TestEngine(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(definition(spring))
		a, b := h.join(id, "A"), h.join(id, "B")

		want(t, h.post(id,
			what{kind: "scan", user: "x", code: a.Code},
			what{kind: "subscribe", user: "x"},
			what{kind: "subscribe", user: "x", code: b.Code},
			what{kind: "subscribe", user: "A", code: a.Code},
			what{kind: "subscribe", user: "y", code: strings.ToLower(a.Code)},
			what{kind: "subscribe", user: "z", code: "NOSUCHCODE"},
			what{kind: "subscribe", user: "w"},
			what{kind: "unsubscribe", user: "x"},
			what{kind: "subscribe", user: "x"},
			what{kind: "subscribe", user: "A", code: b.Code},
			what{kind: "subscribe", user: "B", code: a.Code},
			what{kind: "purchase", user: "x"},
		), "counted", "credited", "duplicate_invitee", "self_invite", "credited", "unknown_code", "no_inviter",
			"reversed", "restored", "credited", "self_invite", "counted")

		if n := h.count(id, a.Code, "invite"); n != 2 {
			t.Errorf("A has %d friends", n)
		}
		want(t, h.grants(id), "A coupon granted no_coupon_code")
		want(t, h.post(id, what{kind: "subscribe", user: "v", code: a.Code}), "credited")
		want(t, h.grants(id), "A coupon granted no_coupon_code", "A mug review")

		got, err := h.ImportCoupons(h.ctx(), id, "coupon", strings.NewReader("C-1\r\nC-2\nC-1\n"), "tester")
		if err != nil || got.Imported != 2 || got.Duplicates != 1 {
			t.Fatal(got, err)
		}
		want(t, h.grants(id), "A coupon delivered", "A mug review")
		wallet, err := h.Wallet(h.ctx(), id, a.Code)
		if err != nil || wallet[0].Coupon != "C-1" {
			t.Fatal(wallet, err)
		}
		for _, verb := range []string{"approve", "deliver", "revoke"} {
			if _, err := h.Decide(h.ctx(), id+".2", verb, "because", "tester"); err != nil {
				t.Fatal(verb, err)
			}
			h.balanced()
		}
		want(t, h.grants(id), "A coupon delivered", "A mug revoked because")

		f, err := h.Funnel(h.ctx(), id, engine.FunnelQuery{By: "day"})
		if err != nil {
			t.Fatal(err)
		}
		if s := f.Stages[2]; s.Stage != "subscribe" || s.Events != 10 || s.Users != 7 {
			t.Errorf("%+v", f)
		}
		h.balanced()
	})
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}
