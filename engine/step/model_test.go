package step_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// The model is a chronicle. Random campaigns and random events are told to it and to the step, and after every event
// both must agree on the outcome, on every person, every grant and every balance.
//
// By default some 100,000 events are compared. -rapid.checks=1000 compares ten times as many.
func TestModel(t *testing.T) {
	t.Parallel()
	base := modelBase(t)
	var played atomic.Int64
	began := time.Now()
	t.Cleanup(func() {
		t.Logf("%d events compared, %.0f a second", played.Load(), float64(played.Load())/time.Since(began).Seconds())
	})
	for i := range 17 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := newMatch(t, drawCampaign(t, base))
				for range 2 {
					t.Repeat(map[string]func(*rapid.T){"event": m.next})
				}
				m.compareFunnel()
				played.Add(int64(len(m.played)))
			})
		})
	}
}

// modelBase is a parsed campaign, whose time zone and condition need not be read again for each one that is drawn.
func modelBase(t *testing.T) *campaign.Definition {
	source := `
campaign: c
name: c
schedule: {starts: 2026-03-02T09:00:00+08:00, ends: 2026-03-22T10:00:00+08:00}
poster: {size: [400, 400], background: "#FFFFFF", layers: [{qr: {at: [0, 0], size: 300}}]}
tasks: {any: {on: subscribe}, some: {on: subscribe, when: data.amount >= 5}}
rewards: {none: {kind: points, points: 1, stock: 0}}
`
	d, _, problems := campaign.Parse([]byte(source), "base.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return d
}

// people of a match: those up to the last inviter may join.
const (
	crowd    = 7
	inviters = 4
)

// trades are what tasks listen to and what takes it back.
var trades = [][2]string{
	{"subscribe", "unsubscribe"}, {"purchase", "refund"}, {"subscribe", ""}, {"purchase", "unsubscribe"}, {"checkin", "refund"}, {"subscribe", "refund"},
}

// match is a campaign played to the step and to a chronicle.
type match struct {
	t           tester
	definitions map[int]*campaign.Definition
	now         int64
	ids         int
	played      []event.Event
	few         int64    // people who are at it
	heard       []string // types of events worth sending

	state    step.Campaign
	people   map[int64]*campaign.Person
	owners   map[string]int64
	credits  map[step.CreditKey]*campaign.Credit
	shelves  map[string]*reward.Shelf
	grants   map[int64]*reward.Grant
	counters map[funnel.Key]funnel.Count

	chronicle *chronicle
}

func newMatch(t *rapid.T, d *campaign.Definition) *match {
	m := &match{
		t: t, few: 2 + drawCrowd.Draw(t, "crowd"), definitions: map[int]*campaign.Definition{1: d}, now: monday.UnixMilli(),
		people: map[int64]*campaign.Person{}, owners: map[string]int64{}, credits: map[step.CreditKey]*campaign.Credit{},
		shelves: map[string]*reward.Shelf{}, grants: map[int64]*reward.Grant{}, counters: map[funnel.Key]funnel.Count{},
	}
	m.state = step.Campaign{Status: campaign.Draft, Revision: 1, Book: ledger.Book{Campaign: 1}}
	for n := range int64(crowd) {
		m.people[n+1] = nil
	}
	for n := range int64(inviters) {
		m.owners[codeOf(n+1)] = n + 1
	}
	m.heard = []string{"scan", "scan", "unsubscribe"}
	for _, t := range d.Tasks {
		m.heard = append(m.heard, t.On, t.On)
		if t.RevokeOn != "" {
			m.heard = append(m.heard, t.RevokeOn)
		}
	}
	m.chronicle = chronicleOf(m.definitions)
	m.system(event.Launched, 0, "", step.Order{})
	m.system(event.Joined, 1, codeOf(1), step.Order{})
	m.system(event.Joined, 2, codeOf(2), step.Order{})
	return m
}

func codeOf(person int64) string { return string(rune('A' + person - 1)) }

// play applies one event on both sides and compares them.
func (m *match) play(e event.Event) {
	w := &step.World{
		Number: 1, ID: "c", Campaign: &m.state, Definition: m.definitions[m.state.Revision], Revisions: m.definitions,
		People: m.people, Owners: m.owners, Credits: m.credits, Shelves: m.shelves, Grants: m.grants,
	}
	if step.Wide(e.Type) {
		(&field{t: m.t}).queues(w)
	}
	want := m.chronicle.tell(e)
	m.played = append(m.played, e)
	if err := w.Apply(&e); err != nil {
		m.fail("%v", err)
	}
	m.played[len(m.played)-1] = e
	for _, c := range w.Counters() {
		if c.Split != "day" {
			continue
		}
		key := funnel.Key{Stage: c.Stage, Day: c.Day}
		n := m.counters[key]
		m.counters[key] = funnel.Count{Events: n.Events + c.Events, Users: n.Users + c.Users}
	}
	m.compare(e, want)
}

// outside applies an event from outside, and what falls due then.
func (m *match) outside(kind string, person int64, code string, at int64, data string) {
	m.ids++
	m.now += 1000
	e := event.Event{Campaign: 1, ID: fmt.Sprintf("e%d", m.ids), Type: kind, Person: person, Code: code, Time: at, ReceivedAt: m.now}
	if data != "" {
		e.Data = &data
	}
	m.play(e)
	m.settle()
}

// system applies one of the engine's own events, and what falls due then.
func (m *match) system(kind string, person int64, code string, o step.Order) {
	m.ids++
	m.now += 1000
	data := text(m.t, o)
	m.play(event.Event{
		Campaign: 1, System: true, ID: fmt.Sprintf("s%d", m.ids), Type: kind, Person: person, Code: code, Time: m.now,
		ReceivedAt: m.now, Data: &data,
	})
	if kind != event.TimePassed {
		m.settle()
	}
}

func (m *match) settle() {
	for range 10 {
		if due := m.state.DueAt(m.definitions[m.state.Revision]); due == 0 || due > m.now {
			if owed := m.chronicle.owed(m.now); owed != "" {
				m.fail("nothing is due, the model says that %s", owed)
			}
			return
		}
		m.system(event.TimePassed, 0, "", step.Order{})
	}
	m.fail("time passes over and over and something is still due")
}

// compare holds the step's tables against the chronicle.
func (m *match) compare(e event.Event, want result) {
	c := m.chronicle
	if e.Outcome != want.outcome {
		m.fail("the outcome is %s, the model says %s", e.Outcome, want.outcome)
	}
	said, err := e.Details()
	if err != nil {
		m.fail("%v", err)
	}
	for i := range said.Tasks {
		said.Tasks[i].Reason = ""
	}
	if !slices.Equal(said.Tasks, want.tasks) {
		m.fail("tasks made %v of it, the model says %v", said.Tasks, want.tasks)
	}
	if m.state.Status != c.status || m.state.Participants != int64(len(c.joined)) {
		m.fail("the campaign is %s with %d participants, the model says %s, %d", m.state.Status, m.state.Participants, c.status, len(c.joined))
	}
	var credited int64
	for n := range int64(crowd) {
		credited += m.comparePerson(n + 1)
	}
	if m.state.Credited != credited {
		m.fail("the campaign says %d credited, the model %d", m.state.Credited, credited)
	}
	m.compareGrants()
	m.compareBooks()
}

// comparePerson gives the model's count of the task that ranks people.
func (m *match) comparePerson(n int64) int64 {
	c := m.chronicle
	p := m.people[n]
	if p == nil {
		p = &campaign.Person{}
	}
	if p.Joined() != slices.Contains(c.joined, n) || p.Inviter != c.inviter(n) {
		m.fail("person %d has joined: %v, inviter %d; the model says %v, %d", n, p.Joined(), p.Inviter, slices.Contains(c.joined, n), c.inviter(n))
	}
	for _, t := range c.d.Tasks {
		counts, held := c.number(n, t.Name, false), c.number(n, t.Name, true)
		if p.Facts.Counts.Of(t.Name) != counts || p.Facts.Held.Of(t.Name) != held {
			m.fail("person %d has %d of %s and holds %d, the model says %d and %d", n, p.Facts.Counts.Of(t.Name), t.Name, p.Facts.Held.Of(t.Name), counts, held)
		}
	}
	if !slices.Equal(p.Facts.Reached, c.reached[n]) {
		m.fail("person %d has reached %v, the model says %v", n, p.Facts.Reached, c.reached[n])
	}
	score := c.number(n, c.d.RankingTask(), false)
	if p.Score != int64(score) {
		m.fail("person %d has score %d, the model says %d", n, p.Score, score)
	}
	return int64(score)
}

func (m *match) compareGrants() {
	c := m.chronicle
	if len(m.grants) != len(c.grants) || m.state.Grants != int64(len(c.grants)) {
		m.fail("there are %d grants, the model says %d", len(m.grants), len(c.grants))
	}
	for i, want := range c.grants {
		g := m.grants[int64(i+1)]
		got := gift{person: g.Person, tier: g.Tier, reward: g.Reward, state: string(g.State), cost: g.Cost, points: g.Points, coupon: g.Coupon}
		if got != *want {
			m.fail("grant %d is %+v, the model says %+v", i+1, got, *want)
		}
	}
	for _, r := range c.d.Rewards {
		s := m.shelves[r.Name]
		want := reward.Shelf{
			Campaign: 1, Reward: r.Name, Stock: r.Stock, Granted: c.reserved(r.Name), Delivered: c.howMany(r.Name, "delivered"),
			Waitlisted: c.howMany(r.Name, "waitlisted"), Coupons: c.coupons[r.Name], CouponsUsed: c.couponsUsed(r.Name),
		}
		if *s != want {
			m.fail("the shelf is %+v, the model says %+v", *s, want)
		}
		if want.Granted > r.Stock {
			m.fail("more of %s is given than there is", r.Name)
		}
	}
}

func (m *match) compareBooks() {
	c := m.chronicle
	promised, delivered, points := c.promised(), c.delivered(), c.points()
	want := map[ledger.Key]int64{
		{Account: ledger.Promised, Currency: "CNY"}: promised, {Account: ledger.Delivered, Currency: "CNY"}: delivered,
		{Account: ledger.Funding, Currency: "CNY"}: -promised - delivered, {Account: ledger.Available, Currency: "CNY"}: 0,
		{Account: ledger.PointsIssued, Currency: "POINTS"}: points, {Account: ledger.PointsHeld, Currency: "POINTS"}: -points,
	}
	if b := c.d.Budget; b != nil {
		want[ledger.Key{Account: ledger.Available, Currency: "CNY"}] = b.Limit - promised - delivered
		want[ledger.Key{Account: ledger.Funding, Currency: "CNY"}] = -b.Limit
	}
	for key := range m.state.Book.Balances {
		if _, ok := want[key]; !ok {
			m.fail("the books have an account %v", key)
		}
	}
	for key, balance := range want {
		if got := m.state.Book.Balance(key.Account, key.Currency); got != balance {
			m.fail("%v holds %d, the model says %d", key, got, balance)
		}
		if key.Account == ledger.Available && balance < 0 {
			m.fail("the budget is overdrawn")
		}
	}
}

// compareFunnel counts the events from outside by stage and day; a user counts on the day of their first.
func (m *match) compareFunnel() {
	want := map[funnel.Key]funnel.Count{}
	type first struct {
		kind   string
		person int64
	}
	seen := map[first]bool{}
	for _, n := range m.chronicle.news {
		if n.kind == "" {
			continue
		}
		local := shanghai(n.at)
		key := funnel.Key{Stage: n.kind, Day: local.Year()*10000 + int(local.Month())*100 + local.Day()}
		count := want[key]
		count.Events++
		if !seen[first{n.kind, n.person}] {
			seen[first{n.kind, n.person}] = true
			count.Users++
		}
		want[key] = count
	}
	if !maps.Equal(m.counters, want) {
		m.fail("the funnel is %v, the model says %v", m.counters, want)
	}
}

// fail tells what was played and what is wrong.
func (m *match) fail(format string, args ...any) {
	var b strings.Builder
	for _, e := range m.played {
		at := time.UnixMilli(e.Time).Sub(monday)
		fmt.Fprintf(&b, "\n  %s %s at %s, received %s", e.ID, e.Type, at, time.UnixMilli(e.ReceivedAt).Sub(monday))
		if e.Person != 0 {
			fmt.Fprintf(&b, " by %d", e.Person)
		}
		if e.Code != "" {
			fmt.Fprintf(&b, " code %s", e.Code)
		}
		if e.Data != nil {
			fmt.Fprintf(&b, " %s", *e.Data)
		}
		fmt.Fprintf(&b, " → %s %s", e.Outcome, detail(e))
	}
	d := m.definitions[m.state.Revision]
	m.t.Fatalf("%s\nplayed:%s\ntasks %+v\ntiers %+v\nrewards %+v\nwelcome %v budget %+v limits %+v window %s",
		fmt.Sprintf(format, args...), b.String(), d.Tasks, d.Tiers, d.Rewards, d.Welcome.Rewards, d.Budget, d.Limits, d.Attribution.Window)
}

// What campaigns and events are drawn from. Drawing prefers what stands first.
var (
	drawBool     = rapid.Bool()
	drawCredit   = rapid.SampledFrom([]string{campaign.Inviter, campaign.Inviter, campaign.Actor})
	drawTrade    = rapid.SampledFrom(trades)
	drawHold     = rapid.SampledFrom([]time.Duration{0, 4 * time.Hour, day})
	drawPerDay   = rapid.SampledFrom([]int{0, 0, 2, 1})
	drawWhen     = rapid.SampledFrom([]string{"any", "any", "some"}) // a task of modelBase
	drawKind     = rapid.SampledFrom([]string{campaign.Coupon, campaign.Points, campaign.Cash, campaign.Physical})
	drawLimit    = rapid.SampledFrom([]int64{0, 0, 0, 3})
	drawFew      = rapid.Int64Range(0, 3)
	drawFromOne  = rapid.IntRange(1, 3)
	drawBudget   = rapid.Int64Range(0, 12)
	drawPerson   = rapid.Int64Range(1, crowd)
	drawInviter  = rapid.Int64Range(1, inviters)
	drawSlot     = rapid.Int64Range(0, 9)
	drawCodes    = rapid.SampledFrom([]string{"", "A", "B", "", "C", "D", "b", "?"})
	drawNews     = rapid.IntRange(0, 29)
	drawCrowd    = rapid.Int64Range(1, crowd-2)
	drawEnds     = rapid.SampledFrom([]time.Duration{20 * day, 2 * day})
	drawData     = rapid.SampledFrom([]string{"", "", `{"amount": 7}`, `{"order": "o1", "amount": 5}`, `{"order": "o1"}`, `{"order": 2, "amount": 9}`, `{"order": 2}`, `{"new": false}`, `{"amount": "x"}`, `{"order": "e9"}`})
	drawWhat     = rapid.SampledFrom(strings.Fields(strings.Repeat("news ", 16) + "join time time revise decide coupons block block turn"))
	drawDecision = rapid.SampledFrom([]string{event.GrantApproved, event.GrantRevoked, event.GrantDelivered, event.GrantRejected})
	drawTurn     = rapid.SampledFrom([]string{event.Resumed, event.Paused, event.Resumed, event.Launched, event.Ended})
	drawHours    = rapid.Int64Range(1, 30)
)

// drawCampaign draws a small campaign in which everything is scarce.
func drawCampaign(t *rapid.T, base *campaign.Definition) *campaign.Definition {
	d := &campaign.Definition{
		ID: "c", Channel: "web", Schedule: base.Schedule,
		Attribution: campaign.Attribution{Window: rapid.SampledFrom([]time.Duration{7 * day, 12 * time.Hour}).Draw(t, "window")},
		Funnel:      []string{"scan", "subscribe"},
	}
	d.Schedule.Ends = monday.Add(drawEnds.Draw(t, "ends"))
	for i := range drawFromOne.Draw(t, "tasks") {
		task := *base.Task(drawWhen.Draw(t, "when"))
		trade := drawTrade.Draw(t, "trade")
		task.Name, task.Credit, task.On, task.RevokeOn = fmt.Sprintf("task%d", i), drawCredit.Draw(t, "credit"), trade[0], trade[1]
		task.NewUsersOnly, task.Hold, task.PerDay = drawBool.Draw(t, "new users only"), drawHold.Draw(t, "hold"), drawPerDay.Draw(t, "per day")
		d.Tasks = append(d.Tasks, task)
	}
	for i := range drawFromOne.Draw(t, "rewards") {
		r := campaign.Reward{
			Name: fmt.Sprintf("reward%d", i), Kind: drawKind.Draw(t, "kind"), UnitCost: drawFew.Draw(t, "cost") * yuan,
			Stock: drawFew.Draw(t, "stock"), Review: drawBool.Draw(t, "review"),
		}
		if r.Kind == campaign.Points {
			r.Points = 500
		}
		d.Rewards = append(d.Rewards, r)
	}
	some := func(label string) []string {
		var names []string
		for _, r := range d.Rewards {
			if drawBool.Draw(t, label) {
				names = append(names, r.Name)
			}
		}
		return names
	}
	for i := range drawFew.Draw(t, "tiers") {
		tier := campaign.Tier{Name: fmt.Sprintf("tier%d", i), Rewards: some("tier gives")}
		for j, task := range d.Tasks {
			if j == 0 || drawBool.Draw(t, "requires") {
				tier.Requires = append(tier.Requires, campaign.Requirement{Task: task.Name, Count: drawFromOne.Draw(t, "target")})
			}
		}
		d.Tiers = append(d.Tiers, tier)
	}
	d.Welcome.Rewards = some("welcome gives")
	if drawBool.Draw(t, "has budget") {
		d.Budget = &campaign.Budget{Currency: "CNY", Limit: drawBudget.Draw(t, "budget") * yuan, OnExhausted: campaign.Waitlist}
		if drawBool.Draw(t, "rejects") {
			d.Budget.OnExhausted = campaign.Reject
		}
	}
	d.Limits.InvitesPerInviterPerHour = int(drawLimit.Draw(t, "per hour"))
	d.Limits.Participants = drawLimit.Draw(t, "participants")
	return d
}

// next lets one drawn thing happen.
func (m *match) next(t *rapid.T) {
	switch drawWhat.Draw(t, "what") {
	case "news":
		at := m.now + 1000
		if late := drawSlot.Draw(t, "late"); late > 0 {
			// A coarse grid, so that things fall together: every four hours from two days ago.
			at = m.now/(4*3600_000)*(4*3600_000) - (late-1)*4*3600_000
		}
		kind := m.heard[drawNews.Draw(t, "type")%len(m.heard)]
		m.outside(kind, 1+drawPerson.Draw(t, "person")%m.few, drawCodes.Draw(t, "code"), at, drawData.Draw(t, "data"))
	case "join":
		n := drawInviter.Draw(t, "person")
		m.system(event.Joined, n, codeOf(n), step.Order{InvitedBy: drawCodes.Draw(t, "invited by")})
	case "time":
		m.now += drawHours.Draw(t, "hours") * 3600_000
		if drawBool.Draw(t, "noticed") {
			m.settle()
		}
	case "block":
		kind := event.Unblocked
		if drawBool.Draw(t, "block") {
			kind = event.Blocked
		}
		m.system(kind, drawPerson.Draw(t, "person"), "", step.Order{})
	case "turn":
		m.system(drawTurn.Draw(t, "turn"), 0, "", step.Order{})
	case "decide":
		m.system(drawDecision.Draw(t, "decision"), 0, "", step.Order{Grant: 1 + drawBudget.Draw(t, "grant")%(m.state.Grants+1)})
	case "coupons":
		r := m.chronicle.d.Rewards[int(drawFew.Draw(t, "coupons of"))%len(m.chronicle.d.Rewards)].Name
		m.system(event.CouponsAdded, 0, "", step.Order{Reward: r, Coupons: m.shelves[r].Coupons + drawFew.Draw(t, "coupons")})
	case "revise":
		m.revise(t)
	}
}

// revise puts a definition in force that differs a little from the one that is.
func (m *match) revise(t *rapid.T) {
	d := copied(m.definitions[m.state.Revision])
	some := func() int64 { return drawFew.Draw(t, "change") }
	switch rapid.SampledFrom([]string{"stock", "budget", "target", "task", "cost", "limits", "frame"}).Draw(t, "revise") {
	case "stock":
		for i := range d.Rewards {
			d.Rewards[i].Stock = max(0, d.Rewards[i].Stock+some()-1)
		}
	case "budget":
		if d.Budget != nil {
			d.Budget.Limit = max(0, d.Budget.Limit+(2*some()-2)*yuan)
			if drawBool.Draw(t, "rejects") {
				d.Budget.OnExhausted = campaign.Reject
			} else {
				d.Budget.OnExhausted = campaign.Waitlist
			}
		}
	case "target":
		for i := range d.Tiers {
			for j := range d.Tiers[i].Requires {
				r := &d.Tiers[i].Requires[j]
				r.Count = max(1, r.Count-int(some())+1)
			}
		}
	case "task":
		task := &d.Tasks[int(some())%len(d.Tasks)]
		task.Hold, task.PerDay, task.NewUsersOnly = drawHold.Draw(t, "hold"), drawPerDay.Draw(t, "per day"), drawBool.Draw(t, "new users only")
		if drawBool.Draw(t, "no condition") {
			task.When = ""
		}
		if some() == 0 {
			task.RevokeOn = ""
		}
	case "cost":
		for i := range d.Rewards {
			d.Rewards[i].UnitCost = some() * yuan
			d.Rewards[i].Review = drawBool.Draw(t, "review")
		}
	case "limits":
		d.Limits.InvitesPerInviterPerHour, d.Limits.Participants = int(drawLimit.Draw(t, "per hour")), drawLimit.Draw(t, "participants")
	case "frame":
		d.Attribution.Window = time.Duration(1+some()) * 12 * time.Hour
		d.Schedule.Ends = d.Schedule.Ends.Add(time.Duration(some()-1) * 12 * time.Hour)
	}
	n := len(m.definitions) + 1
	m.definitions[n] = d
	m.system(event.Revised, 0, "", step.Order{Revision: n})
}
