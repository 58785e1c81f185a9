package engine_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/event"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

var update = flag.Bool("update", false, "write the golden files anew")

const autumn = `campaign: autumn
name: 金秋
schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2026-04-01T00:00:00+08:00, timezone: Asia/Shanghai}
attribution: {window: 7d}
poster:
  size: [750, 1334]
  background: "#FFFFFF"
  layers:
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: 邀请好友关注, on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe, hold: 24h, per_day: 2}
  friendly: {title: 好友绑定, on: bind, credit: inviter}
  order: {title: 首单满 99, on: purchase, credit: actor, when: "data.amount >= 9900", revoke_on: refund}
  visit: {title: 签到, on: checkin, credit: actor}
tiers:
  - {name: 铜牌, requires: {invite: 1}, rewards: [coupon]}
  - {name: 银牌, requires: {invite: 2, order: 1}, rewards: [mug]}
  - {name: 友牌, requires: {friendly: 1}, rewards: [mug]}
  - {name: 购牌, requires: {order: 2}, rewards: [cash]}
welcome: {rewards: [newbie]}
rewards:
  newbie: {kind: points, title: 新人积分, points: 100, unit_cost: "0.10", stock: 100}
  coupon: {kind: coupon, title: 10 元券, unit_cost: "10.00", stock: 5}
  mug: {kind: physical, title: 马克杯, unit_cost: "35.00", stock: 1, review: true}
  cash: {kind: cash, title: 现金红包, amount: "2.00", unit_cost: "2.00", stock: 10}
budget: {currency: CNY, limit: "60.00"}
limits: {participants: 12, invites_per_inviter_per_hour: 3}
`

// teller writes explanations down under a heading, codes by the names of their owners, so that they can be compared.
type teller struct {
	*house
	id    string
	codes []string // code, name, code, name …
	out   strings.Builder
	seen  map[string]bool // outcomes
}

func (h *house) teller(id string) *teller { return &teller{house: h, id: id, seen: map[string]bool{}} }

func (t *teller) join(name string) engine.ParticipantView {
	v := t.house.join(t.id, name)
	t.codes = append(t.codes, v.Code, "<"+name+">")
	return v
}

// tell explains an event, whoever it is of.
func (t *teller) tell(heading, eventID string) engine.ExplainedEvent {
	t.t.Helper()
	x, err := t.ExplainEvent(t.ctx(), t.id, eventID, true)
	if err != nil {
		t.t.Fatal(heading, err)
	}
	t.seen[x.Outcome] = true
	if x.Why == "" || x.Why == x.Outcome || strings.IndexFunc(x.WhyZH, func(r rune) bool { return unicode.Is(unicode.Han, r) }) < 0 {
		t.t.Errorf("%s: it says %q and %q", heading, x.Why, x.WhyZH)
	}
	fmt.Fprintf(&t.out, "## %s: %s, %s (revision %d)\n", heading, x.Type, x.Outcome, x.Revision)
	t.said("", x.Why, x.WhyZH)
	t.chains(x.Chains)
	return x
}

func (t *teller) said(indent, en, zh string) {
	fmt.Fprintf(&t.out, "%s%s\n%s%s\n", indent, en, indent, zh)
}

func (t *teller) chains(chains []engine.ExplainedChain) {
	for _, c := range chains {
		fmt.Fprintf(&t.out, "- task=%s code=%s tier=%s outcome=%s stopped=%s\n", c.Task, c.Code, c.Tier, c.Outcome, c.StoppedAt)
		t.whole(c)
		for _, s := range c.Steps {
			if s.State == "not_reached" {
				continue
			}
			mark := "✓"
			if s.State == "stopped" {
				mark = "✗"
			}
			t.said("    "+mark+" "+s.Step+": ", s.Why, s.WhyZH)
			if s.Change != "" {
				t.said("      → ", s.Change, s.ChangeZH)
			}
		}
	}
	t.out.WriteString("\n")
}

// whole checks the form of a chain: every step once and in order; done, at most one stopped, the rest not reached.
func (t *teller) whole(c engine.ExplainedChain) {
	t.t.Helper()
	var steps, states []string
	for _, s := range c.Steps {
		steps, states = append(steps, s.Step), append(states, s.State)
		if s.Why == "" || s.WhyZH == "" {
			t.t.Errorf("step %s says nothing: %+v", s.Step, c)
		}
		if (s.Change == "") != (s.ChangeZH == "") || s.State == "stopped" && s.Change == "" {
			t.t.Errorf("step %s does not say what would change it: %+v", s.Step, s)
		}
		if s.State == "stopped" && s.Step != c.StoppedAt {
			t.t.Errorf("it stopped at %s, and says %s", s.Step, c.StoppedAt)
		}
		for _, text := range []string{s.Why, s.WhyZH, s.Change, s.ChangeZH} {
			if strings.Contains(text, "%!") {
				t.t.Errorf("%q", text)
			}
		}
	}
	if got := strings.Join(steps, " "); got != "scan follow attribution rule hold tier stock grant" {
		t.t.Errorf("steps %s", got)
	}
	rest := slices.IndexFunc(states, func(s string) bool { return s != "done" })
	if rest < 0 {
		rest = len(states)
	}
	if rest < len(states) && states[rest] == "stopped" {
		rest++
	}
	for _, s := range states[rest:] {
		if s != "not_reached" {
			t.t.Errorf("states %s", states)
		}
	}
}

// golden compares what was told with the file.
func (t *teller) golden(name string) {
	t.t.Helper()
	got := strings.NewReplacer(t.codes...).Replace(t.out.String())
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o750); err != nil {
			t.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.t.Fatal(err)
	}
	a, b := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range max(len(a), len(b)) {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.t.Fatalf("%s:%d differs; look at it, and run the test with -update\ngot  %s\nwant %s", path, i+1,
				strings.Join(a[min(i, len(a)):min(i+3, len(a))], "\n     "), strings.Join(b[min(i, len(b)):min(i+3, len(b))], "\n     "))
		}
	}
}

// budgets tells of rewards that the budget has no room for, by what the campaign says about them.
func (t *teller) budgets() {
	t.t.Helper()
	for _, exhausted := range []string{"waitlist", "reject"} {
		text := strings.NewReplacer("2026-04-01", "2027-01-01", "campaign: autumn", "campaign: "+exhausted, `limit: "60.00"`, `limit: "2.00", on_exhausted: `+exhausted,
			"order: 2}", "visit: 1}").Replace(autumn)
		s := t.house.teller(t.launch(text))
		s.join("fay")
		gil := s.join("gil")
		s.post(s.id, what{id: "first", kind: "checkin", user: "fay"}, what{id: "second", kind: "checkin", user: "gil"})
		s.tell("a budget that is used up, "+exhausted, "second")
		t.clock.Advance(time.Minute)
		if _, err := t.ReviseCampaign(t.ctx(), s.id, []byte(strings.Replace(text, `"2.00", on`, `"4.00", on`, 1)), "test.yaml", "tester"); err != nil {
			t.t.Fatal(err)
		}
		t.clock.Advance(time.Minute)
		s.sweep()
		s.tell("a higher budget, "+exhausted, s.last("campaign.revised"))
		s.tell("what waited, "+exhausted, "second")
		x, err := t.Explain(t.ctx(), s.id, gil.Code, true)
		if err != nil {
			t.t.Fatal(err)
		}
		for _, e := range x.Events {
			fmt.Fprintf(&s.out, "%s %s\n", e.Type, e.Outcome)
		}
		t.out.WriteString(s.out.String() + "\n")
		t.codes = append(t.codes, s.codes...)
	}
}

// last is the id of the last event of a type.
func (t *teller) last(eventType string) string {
	t.t.Helper()
	id := ""
	for _, e := range t.events(t.id, true, 1000) {
		if e.Type == eventType {
			id = e.ID
		}
	}
	if id == "" {
		t.t.Fatalf("no event of type %s", eventType)
	}
	return id
}

// outcomes are all outcome words there are, read from where they are declared.
func outcomes(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "event", "event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Outcome" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			words = append(words, word)
		}
		return true
	})
	if len(words) < 18 {
		t.Fatalf("only %q are declared", words)
	}
	return words
}

func TestExplain(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		db := databasetest.SQLite(t)
		h := open(t, db)
		h.clock.ms.Store(time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC).UnixMilli())
		id := h.launch(autumn)
		s := h.teller(id)
		ann, bob, cat := s.join("ann"), s.join("bob"), s.join("cat")
		post := func(heading, outcome string, w what) engine.ExplainedEvent {
			t.Helper()
			if w.id == "" {
				w.id = strings.ReplaceAll(heading, " ", "-")
			}
			h.clock.Advance(time.Second)
			want(t, h.post(id, w), outcome)
			return s.tell(heading, w.id)
		}

		post("a scan", "counted", what{kind: "scan", user: "f1", code: ann.Code})
		post("a follow in its hold", "held", what{kind: "subscribe", user: "f1"})
		post("the scan told again", "counted", what{kind: "scan", user: "f1", code: ann.Code})
		s.tell("the first scan later", "a-scan")
		post("the same friend again", "duplicate_invitee", what{kind: "subscribe", user: "f1", code: ann.Code})
		post("the friend through another code", "duplicate_invitee", what{kind: "subscribe", user: "f1", code: bob.Code})
		post("an unknown code", "unknown_code", what{kind: "subscribe", user: "f2", code: "NOSUCHCODE"})
		post("an unknown code scanned", "unknown_code", what{kind: "scan", user: "f2", code: "NOSUCHCODE"})
		post("nobody's friend", "no_inviter", what{kind: "bind", user: "f3"})
		post("a late scan", "credited", what{kind: "scan", user: "f3", code: cat.Code, at: -time.Minute})
		s.tell("nobody's friend completed", "nobody's-friend")
		post("their own code", "self_invite", what{kind: "subscribe", user: "ann", code: ann.Code})
		post("known to the channel", "not_new_user", what{kind: "subscribe", user: "f4", code: ann.Code, data: `{"new": false}`})
		post("known before", "not_new_user", what{kind: "subscribe", user: "f4", code: ann.Code, at: time.Minute})
		h.post(id, what{kind: "scan", user: "f5", code: ann.Code, at: -9 * 24 * time.Hour})
		post("a scan too long ago", "outside_window", what{kind: "bind", user: "f5"})
		post("a condition not met", "condition_not_met", what{kind: "purchase", user: "ann", data: `{"amount": 100}`})
		post("a condition that cannot be asked", "condition_not_met", what{kind: "purchase", user: "ann", data: `{"amount": "x"}`})
		post("a share", "counted", what{kind: "share", user: "ann"})
		post("an unfollow of nothing", "counted", what{kind: "unsubscribe", user: "f9"})
		post("left during the hold", "held", what{kind: "subscribe", user: "f6", code: ann.Code})
		post("leaving", "reversed", what{kind: "unsubscribe", user: "f6", at: time.Minute})
		s.tell("left during the hold, later", "left-during-the-hold")
		post("coming back", "held", what{kind: "subscribe", user: "f6", at: 2 * time.Minute})
		s.tell("leaving, later", "leaving")
		post("over the limit of a day", "limit_reached", what{kind: "subscribe", user: "f7", code: ann.Code})
		post("leaving first", "counted", what{kind: "unsubscribe", user: "f8", at: time.Minute})
		post("following overtaken", "reversed", what{kind: "subscribe", user: "f8", code: bob.Code})
		h.post(id, what{kind: "bind", user: "g0", code: bob.Code}, what{kind: "bind", user: "g1", code: bob.Code}, what{kind: "bind", user: "g2", code: bob.Code})
		post("over the limit of an hour", "limit_reached", what{kind: "bind", user: "g3", code: bob.Code})
		s.tell("in a hold a while", "a-follow-in-its-hold")

		h.clock.Advance(25 * time.Hour)
		h.sweep()
		s.tell("the moment the hold passed", s.last("time.passed"))
		s.tell("the hold has passed", "a-follow-in-its-hold")
		post("left after the hold", "reversed", what{kind: "unsubscribe", user: "f1", at: time.Minute})
		s.tell("the follow that was left", "a-follow-in-its-hold")
		post("coming back after the hold", "restored", what{kind: "subscribe", user: "f1", at: 2 * time.Minute})
		post("an order", "credited", what{id: "order/1%2F", kind: "purchase", user: "ann", data: `{"amount": 9900, "order": "o1"}`})
		post("a refund", "reversed", what{kind: "refund", user: "ann", data: `{"order": "o1"}`, at: time.Minute})
		post("another order", "credited", what{kind: "purchase", user: "ann", data: `{"amount": 9900, "order": "o2"}`, at: 2 * time.Minute})
		post("a check-in", "credited", what{kind: "checkin", user: "ann"})
		post("an order of somebody who has not joined", "credited", what{kind: "purchase", user: "f1", data: `{"amount": 9900}`})

		// cat has the mug, ann waits for one.
		ids := map[string]string{}
		list, err := h.Grants(t.Context(), engine.GrantQuery{Campaign: id}, engine.Page{})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			ids[g.User+" "+g.Reward] = g.ID
		}
		decide := func(who, verb, reason, eventType string) {
			t.Helper()
			if _, err := h.Decide(t.Context(), ids[who], verb, reason, "tester"); err != nil {
				t.Fatal(who, verb, err, ids)
			}
			s.tell(who+": "+verb, s.last(eventType))
		}
		decide("cat mug", "approve", "", "grant.approved")
		decide("cat mug", "deliver", "", "grant.delivered")
		s.tell("the order while ann waits", "another-order")
		decide("cat mug", "revoke", "来自 13800138000 的投诉", "grant.revoked")
		decide("ann mug", "reject", "地址不全", "grant.rejected")
		if _, err := h.ImportCoupons(t.Context(), id, "coupon", strings.NewReader("C-1\n"), "tester"); err != nil {
			t.Fatal(err)
		}
		s.tell("coupon codes", s.last("coupons.added"))
		s.tell("the follow in the end", "a-follow-in-its-hold")

		// Numbers are those of the definition that was in force.
		post("before the revision", "held", what{kind: "subscribe", user: "h1", code: cat.Code})
		post("before the revision two", "held", what{kind: "subscribe", user: "h2", code: cat.Code})
		post("before the revision three", "limit_reached", what{kind: "subscribe", user: "h3", code: cat.Code})
		post("on the way to silver", "credited", what{kind: "purchase", user: "bob", data: `{"amount": 9900}`})
		h.clock.Advance(2 * time.Hour)
		revised := strings.NewReplacer("per_day: 2", "per_day: 3", "hold: 24h", "hold: 12h", "invite: 2, order: 1", "invite: 1, order: 1", "stock: 1,", "stock: 2,").Replace(autumn)
		if _, err := h.ReviseCampaign(t.Context(), id, []byte(revised), "test.yaml", "tester"); err != nil {
			t.Fatal(err)
		}
		h.sweep()
		s.tell("the revision", s.last("campaign.revised"))
		post("after the revision", "held", what{kind: "subscribe", user: "h4", code: cat.Code})
		post("after the revision two", "limit_reached", what{kind: "subscribe", user: "h5", code: cat.Code})
		s.tell("before the revision, still", "before-the-revision-three")
		s.tell("before the revision, on hold", "before-the-revision")
		s.tell("before the revision, to silver", "on-the-way-to-silver")

		// Blocking.
		block := func(v engine.ParticipantView, on bool) {
			t.Helper()
			if _, err := h.Block(t.Context(), id, v.Code, on, "because", "tester"); err != nil {
				t.Fatal(err)
			}
		}
		block(bob, true)
		s.tell("blocked", s.last("participant.blocked"))
		post("an inviter who is blocked", "blocked", what{kind: "bind", user: "g4", code: bob.Code})
		post("somebody who is blocked", "blocked", what{kind: "purchase", user: "bob", data: `{"amount": 9900}`})
		block(bob, false)
		s.tell("unblocked", s.last("participant.unblocked"))

		// In circles.
		want(t, h.post(id, what{kind: "bind", user: "bob", code: cat.Code}), "credited")
		h.clock.Advance(2 * time.Hour)
		post("in a circle", "self_invite", what{kind: "bind", user: "cat", code: bob.Code})

		// Joining.
		s.tell("joining", s.last("participant.joined"))
		v, _, err := h.Join(t.Context(), id, engine.Joining{User: "dan", InvitedBy: ann.Code})
		if err != nil {
			t.Fatal(err)
		}
		s.codes = append(s.codes, v.Code, "<dan>")
		s.tell("joining through a code", s.last("participant.joined"))
		v, _, err = h.Join(t.Context(), id, engine.Joining{User: "eve", InvitedBy: "N0SVCHC0DE"})
		if err != nil {
			t.Fatal(err)
		}
		s.codes = append(s.codes, v.Code, "<eve>")
		s.tell("joining through a code that is nobody's", s.last("participant.joined"))
		for i := range 8 {
			_, _, _ = h.Join(t.Context(), id, engine.Joining{User: fmt.Sprintf("crowd %d", i)})
		}
		s.tell("joining what is full", s.last("participant.joined"))

		// The campaign's life.
		post("before it began", "campaign_not_live", what{kind: "subscribe", user: "i1", code: ann.Code, at: -100 * 24 * time.Hour})
		turn := func(verb, eventType string) {
			t.Helper()
			if _, err := h.Turn(t.Context(), id, verb, "tester"); err != nil {
				t.Fatal(err)
			}
			s.tell(verb, s.last(eventType))
		}
		s.tell("launch", s.last("campaign.launched"))
		turn("pause", "campaign.paused")
		post("while paused", "campaign_not_live", what{kind: "subscribe", user: "i2", code: ann.Code})
		if _, _, err := h.Join(t.Context(), id, engine.Joining{User: "late"}); err == nil {
			t.Error("joined a paused campaign")
		}
		s.tell("joining while paused", s.last("participant.joined"))
		turn("resume", "campaign.resumed")

		// A row that no rule can digest, and one that is not applied yet.
		if _, err := h.Accept(t.Context(), []engine.Incoming{{ID: "poison", Campaign: id, Type: "scan", User: "p"}, {ID: "waiting", Campaign: id, Type: "scan", User: "p"}}); err != nil {
			t.Fatal(err)
		}
		s.tell("not applied yet", "waiting")
		if err := db.Exec("UPDATE events SET data = ? WHERE id = 'poison'", `["13800138000"]`).Error; err != nil {
			t.Fatal(err)
		}
		h.sweep()
		s.tell("set aside", "poison")

		// What another was faster with.
		late := event.Event{System: true, ID: "campaign.resumed-late", Type: event.Resumed, Time: h.clock.ms.Load(), ReceivedAt: h.clock.ms.Load()}
		if err := db.Raw("SELECT no FROM campaigns WHERE id = ?", id).Scan(&late.Campaign).Error; err != nil {
			t.Fatal(err)
		}
		slip(t, db, late)
		h.sweep()
		s.tell("too late", late.ID)

		// A participant.
		for _, p := range []struct {
			name string
			v    engine.ParticipantView
		}{{"ann", ann}, {"bob", bob}, {"cat", cat}} {
			x, err := h.Explain(t.Context(), id, p.v.Code, true)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&s.out, "# Participant %s\n", p.name)
			for _, things := range [][]engine.ExplainedThing{x.Tasks, x.Tiers, x.Grants} {
				for _, thing := range things {
					fmt.Fprintf(&s.out, "%s: %s\n", thing.Name, thing.State)
					s.said("  ", thing.Why, thing.WhyZH)
				}
			}
			s.chains(x.Chains)
			for _, e := range x.Events {
				said := e.ID
				if e.System {
					said = e.Type
				}
				fmt.Fprintf(&s.out, "%s %s\n", said, e.Outcome)
				for _, c := range e.Chains {
					s.whole(c)
				}
			}
			s.out.WriteString("\n")
		}

		h.clock.Advance(40 * 24 * time.Hour)
		h.sweep()
		s.tell("the end", s.last("time.passed"))
		post("after the end", "campaign_not_live", what{kind: "subscribe", user: "i3", code: ann.Code})
		post("arrived after the end", "campaign_not_live", what{kind: "subscribe", user: "i4", code: ann.Code, at: -20 * 24 * time.Hour})
		x, err := h.Explain(t.Context(), id, bob.Code, true)
		if err != nil {
			t.Fatal(err)
		}
		s.out.WriteString("# Participant bob after the end\n")
		s.chains(x.Chains)
		s.budgets()
		s.golden("explain.golden")
		h.balanced()

		t.Run("EveryOutcomeIsTold", func(t *testing.T) {
			for _, word := range outcomes(t) {
				if !s.seen[word] {
					t.Errorf("nothing here ends as %s", word)
				}
			}
		})

		t.Run("AViewerSeesNothingOfPeople", func(t *testing.T) {
			for _, e := range h.events(id, true, 1000) {
				x, err := h.ExplainEvent(t.Context(), id, e.ID, false)
				if err != nil {
					t.Fatal(err)
				}
				if said := fmt.Sprintf("%+v", x); strings.Contains(said, "13800138000") || x.User != "" || x.Data != nil {
					t.Errorf("a viewer sees %s", said)
				}
			}
			for _, p := range []engine.ParticipantView{ann, bob, cat} {
				x, err := h.Explain(t.Context(), id, p.Code, false)
				if err != nil {
					t.Fatal(err)
				}
				if said := fmt.Sprintf("%+v", x); strings.Contains(said, "13800138000") || strings.Contains(said, "地址不全") {
					t.Errorf("a viewer sees %s", said)
				}
			}
		})

		t.Run("OneEventOfAParticipant", func(t *testing.T) {
			x, err := h.ExplainTouch(t.Context(), id, ann.Code, "order/1%2F", true)
			if err != nil || len(x.Events) != 1 || x.Events[0].ID != "order/1%2F" || len(x.Tiers) != 4 {
				t.Errorf("%+v %v", x.Events, err)
			}
			for _, wrong := range []string{"", "nonsense", strings.Repeat("x", 128), strings.Repeat("长", 129), "\xff", "over-the-limit-of-an-hour"} {
				_, err := h.ExplainTouch(t.Context(), id, ann.Code, wrong, true)
				if fault.KindOf(err) != fault.NotFound {
					t.Errorf("%q: %v", wrong, err)
				}
				_, err = h.ExplainEvent(t.Context(), id, wrong, true)
				if wrong != "over-the-limit-of-an-hour" && fault.KindOf(err) != fault.NotFound {
					t.Errorf("%q: %v", wrong, err)
				}
			}
			if _, err := h.ExplainEvent(t.Context(), "nowhere", "x", true); fault.KindOf(err) != fault.NotFound {
				t.Error(err)
			}
		})
	})
}

func TestWhatReachesAParticipantWithoutNamingThem(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		id := h.launch(strings.Replace(autumn, "starts: 2026-01-01", "starts: 2025-01-01", 1))
		ann, bob := h.join(id, "ann"), h.join(id, "bob")
		want(t, h.post(id,
			what{id: "held", kind: "subscribe", user: "f1", code: ann.Code},
			what{id: "early", kind: "bind", user: "f2"},
			what{id: "late", kind: "scan", user: "f2", code: ann.Code, at: -time.Minute},
			what{id: "bob's", kind: "bind", user: "f3", code: bob.Code},
		), "held", "no_inviter", "credited", "credited")
		h.clock.Advance(25 * time.Hour)
		h.sweep()
		if _, err := h.ImportCoupons(t.Context(), id, "coupon", strings.NewReader("C-1\n"), "tester"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Decide(t.Context(), id+".1", "revoke", "", "tester"); err != nil { // ann's mug, which goes to bob
			t.Fatal(err)
		}
		told := func(code string) (types []string) {
			x, err := h.Explain(t.Context(), id, code, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range x.Events {
				types = append(types, e.Type)
			}
			return types
		}
		want(t, told(ann.Code), "participant.joined", "subscribe", "bind", "scan", "time.passed", "coupons.added", "grant.revoked")
		want(t, told(bob.Code), "participant.joined", "bind", "grant.revoked")
	})
}

// stops are the steps at which the first chain of an event may stop, by its outcome; "" is none.
var stops = map[string]string{
	"credited": "follow hold tier stock grant -", "restored": "follow hold tier stock grant -", "held": "follow hold tier stock grant -",
	"counted": "follow", "reversed": "follow", "campaign_not_live": "follow", "unknown_code": "scan",
	"no_inviter": "scan follow hold tier stock grant -", "outside_window": "attribution follow hold tier stock grant -",
	"self_invite": "rule", "duplicate_invitee": "rule", "not_new_user": "rule", "limit_reached": "rule", "condition_not_met": "rule",
	"blocked": "follow rule",
}

func TestAnyStoryIsTold(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(strings.NewReplacer("starts: 2026-01-01", "starts: 2025-01-01", "new_users_only: true, ", "", "per_day: 2", "per_day: 4").Replace(autumn))
	s := h.teller(id)
	codes := []string{"", "NOSUCHCODE"}
	var owners []engine.ParticipantView
	for i := range 4 {
		v := s.join(fmt.Sprintf("user %d", i))
		owners, codes = append(owners, v), append(codes, v.Code)
	}
	dice := rand.New(rand.NewPCG(7, 7))
	kinds := []string{"scan", "scan", "subscribe", "subscribe", "unsubscribe", "bind", "purchase", "refund", "checkin", "share"}
	for round := range 12 {
		var batch []engine.Incoming
		for i := range 40 {
			at := h.clock.Now().Add(-time.Duration(dice.IntN(36)) * time.Hour)
			batch = append(batch, engine.Incoming{
				ID: fmt.Sprintf("%d/%d", round, i), Campaign: id, Type: kinds[dice.IntN(len(kinds))], User: fmt.Sprintf("user %d", dice.IntN(14)),
				Code: codes[dice.IntN(len(codes))], Time: &at, Data: fmt.Appendf(nil, `{"amount": %d, "order": "o%d"}`, 9000+dice.IntN(2000), dice.IntN(5)),
			})
		}
		if r, err := h.Accept(t.Context(), batch); err != nil || r.Accepted != len(batch) {
			t.Fatal(r, err)
		}
		h.settled(id)
		if round%4 == 3 {
			p := owners[dice.IntN(len(owners))]
			if _, err := h.Block(t.Context(), id, p.Code, round%8 == 3, "", "tester"); err != nil {
				t.Fatal(err)
			}
		}
		h.clock.Advance(time.Duration(dice.IntN(12)) * time.Hour)
	}
	check := func(x engine.ExplainedEvent) {
		t.Helper()
		if x.Why == "" || x.WhyZH == "" || strings.Contains(x.Why+x.WhyZH, "%!") {
			t.Errorf("%s %s says %q and %q", x.ID, x.Outcome, x.Why, x.WhyZH)
		}
		for _, c := range x.Chains {
			s.whole(c)
		}
		if x.System {
			return
		}
		if len(x.Chains) == 0 {
			t.Errorf("%s %s has no chain", x.ID, x.Outcome)
			return
		}
		if at := cmp.Or(x.Chains[0].StoppedAt, "-"); !slices.Contains(strings.Fields(stops[x.Outcome]), at) {
			t.Errorf("%s, %s, stops at %s: %s", x.ID, x.Outcome, at, x.Why)
		}
	}
	for _, e := range h.events(id, true, 1000) {
		x, err := h.ExplainEvent(t.Context(), id, e.ID, true)
		if err != nil {
			t.Fatal(e.ID, err)
		}
		check(x)
	}
	for _, p := range owners {
		x, err := h.Explain(t.Context(), id, p.Code, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range x.Events {
			check(e)
		}
		// A tier is open as long as its chain stops before it is reached, and no longer.
		for i, tier := range x.Tiers {
			c := x.Chains[len(x.Chains)-len(x.Tiers)+i]
			s.whole(c)
			if early := slices.Contains([]string{"scan", "follow", "attribution", "rule", "hold", "tier"}, c.StoppedAt); c.Tier != tier.Name || early != (tier.State == "open") {
				t.Errorf("tier %s is %s, and its chain stops at %s", tier.Name, tier.State, c.StoppedAt)
			}
		}
	}
}
