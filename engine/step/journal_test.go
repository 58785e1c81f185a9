package step_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

var (
	_ tester = (*testing.T)(nil)

	// monday is when a field's clock starts: 10:00 in Shanghai.
	monday = time.Date(2026, 3, 2, 2, 0, 0, 0, time.UTC)
)

const (
	day  = 24 * time.Hour
	yuan = 100
)

// field is a campaign on tables in memory. Rows are kept as text, so that only what a world says it changed gets back.
type field struct {
	t           tester
	definitions map[int]*campaign.Definition
	state       string // JSON of step.Campaign
	people      map[int64]string
	credits     map[step.CreditKey]string
	shelves     map[string]string
	grants      map[int64]string
	counters    map[funnel.Counter]funnel.Count // by key alone
	entries     []ledger.Entry
	owed        []step.Owed
	journal     []event.Event // applied

	now     int64
	ids     int
	names   map[string]int64 // user → number
	owners  map[string]int64 // code → number; a participant's code is their name in capitals
	reached map[int64]int    // tiers that a person was seen to have met when they reached them
}

// draft begins a field whose campaign is a draft.
func draft(t tester, d *campaign.Definition) *field {
	f := &field{
		t: t, definitions: map[int]*campaign.Definition{1: d}, people: map[int64]string{}, credits: map[step.CreditKey]string{},
		shelves: map[string]string{}, grants: map[int64]string{}, counters: map[funnel.Counter]funnel.Count{},
		now: monday.UnixMilli(), names: map[string]int64{}, owners: map[string]int64{}, reached: map[int64]int{},
	}
	f.state = text(t, step.Campaign{Status: campaign.Draft, Revision: 1, Book: ledger.Book{Campaign: 1}})
	return f
}

// live begins a field whose campaign is launched and which some users have joined.
func live(t tester, d *campaign.Definition, joined ...string) *field {
	t.Helper()
	f := draft(t, d)
	f.must(f.order(event.Launched, step.Order{}))
	for _, user := range joined {
		f.join(user, "")
	}
	return f
}

func text(t tester, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return string(raw)
}

func read[V any](t tester, raw string) *V {
	t.Helper()
	v := new(V)
	if err := json.Unmarshal([]byte(raw), v); err != nil {
		t.Fatalf("%v", err)
	}
	return v
}

// person numbers a user, from 1 in the order of appearance.
func (f *field) person(user string) int64 {
	if f.names[user] == 0 {
		f.names[user] = int64(len(f.names) + 1)
	}
	return f.names[user]
}

// what is one event from outside in short.
type what struct {
	kind, user string
	code       string        // the owner's name; "?" for a code nobody has
	data       string        // JSON
	at         time.Duration // after monday; 0 for now
	id         string
}

// post applies events from outside one by one and gives their outcomes.
func (f *field) post(events ...what) []event.Outcome {
	f.t.Helper()
	var outcomes []event.Outcome
	for _, w := range events {
		applied := f.apply(f.event(w))
		outcomes = append(outcomes, applied.Outcome)
		f.settle()
	}
	return outcomes
}

// event is an event from outside, not applied yet.
func (f *field) event(w what) event.Event {
	f.ids++
	f.now += 1000
	e := event.Event{Campaign: 1, ID: w.id, Type: w.kind, Person: f.person(w.user), Code: w.code, Time: f.now, ReceivedAt: f.now}
	if e.ID == "" {
		e.ID = fmt.Sprintf("e%d", f.ids)
	}
	if w.at != 0 {
		e.Time = monday.Add(w.at).UnixMilli()
	}
	if w.data != "" {
		e.Data = &w.data
	}
	return e
}

// order applies one of the engine's own events.
func (f *field) order(kind string, o step.Order) event.Event {
	f.t.Helper()
	done := f.apply(f.system(kind, o))
	f.settle()
	return done
}

func (f *field) system(kind string, o step.Order) event.Event {
	f.ids++
	f.now += 1000
	data := text(f.t, o)
	return event.Event{Campaign: 1, System: true, ID: fmt.Sprintf("s%d", f.ids), Type: kind, Time: f.now, ReceivedAt: f.now, Data: &data}
}

// must fails unless the event was applied.
func (f *field) must(e event.Event) {
	f.t.Helper()
	if e.Outcome != event.Applied {
		f.t.Fatalf("%s is %s: %s", e.Type, e.Outcome, detail(e))
	}
}

func detail(e event.Event) string {
	if e.Detail == nil {
		return ""
	}
	return *e.Detail
}

// join makes a user a participant, invited by the owner of a code where one is given.
func (f *field) join(user, invitedBy string) event.Event {
	f.t.Helper()
	e := f.system(event.Joined, step.Order{InvitedBy: invitedBy})
	e.Person, e.Code = f.person(user), strings.ToUpper(user)
	f.owners[e.Code] = e.Person // a code is reserved before its join is applied
	done := f.apply(e)
	f.settle()
	return done
}

// about applies an order that concerns a person.
func (f *field) about(kind, user string) event.Event {
	f.t.Helper()
	e := f.system(kind, step.Order{})
	e.Person = f.person(user)
	done := f.apply(e)
	f.settle()
	return done
}

// revise puts a changed copy of the definition in force.
func (f *field) revise(change func(*campaign.Definition)) event.Event {
	f.t.Helper()
	next := copied(f.definition())
	change(next)
	n := len(f.definitions) + 1
	f.definitions[n] = next
	return f.order(event.Revised, step.Order{Revision: n})
}

// copied is a definition that can be changed without changing d.
func copied(d *campaign.Definition) *campaign.Definition {
	c := *d
	c.Tasks, c.Tiers, c.Rewards = slices.Clone(d.Tasks), slices.Clone(d.Tiers), slices.Clone(d.Rewards)
	for i := range c.Tiers {
		c.Tiers[i].Requires = slices.Clone(c.Tiers[i].Requires)
		c.Tiers[i].Rewards = slices.Clone(c.Tiers[i].Rewards)
	}
	if d.Budget != nil {
		b := *d.Budget
		c.Budget = &b
	}
	return &c
}

// pass moves the clock on and lets happen what falls due.
func (f *field) pass(d time.Duration) {
	f.t.Helper()
	f.now += d.Milliseconds()
	f.settle()
}

// settle lets time pass for what is due, as the engine's sweep does.
func (f *field) settle() {
	f.t.Helper()
	for range 1000 {
		if due := f.campaign().DueAt(f.definition()); due == 0 || due > f.now {
			f.check()
			return
		}
		f.apply(f.system(event.TimePassed, step.Order{}))
	}
	f.t.Fatalf("time passes over and over and something is still due")
}

func (f *field) campaign() *step.Campaign { return read[step.Campaign](f.t, f.state) }
func (f *field) definition() *campaign.Definition {
	return f.definitions[f.campaign().Revision]
}

// apply applies one event as a batch of its own.
func (f *field) apply(e event.Event) event.Event {
	f.t.Helper()
	return f.batch(e)[0]
}

// batch applies events in one world and writes back what it says it changed.
func (f *field) batch(events ...event.Event) []event.Event {
	f.t.Helper()
	w := f.load(step.Wide(events[0].Type))
	for i := range events {
		if err := w.Apply(&events[i]); err != nil {
			f.t.Fatalf("%s by %d: %v", events[i].Type, events[i].Person, err)
		}
	}
	f.save(w)
	f.journal = append(f.journal, events...)
	return events
}

func (f *field) load(wide bool) *step.World {
	state := f.campaign()
	w := &step.World{
		Number: 1, ID: "c", Campaign: state, Definition: f.definitions[state.Revision], Revisions: f.definitions,
		People: map[int64]*campaign.Person{}, Owners: maps.Clone(f.owners), Credits: map[step.CreditKey]*campaign.Credit{},
		Shelves: map[string]*reward.Shelf{}, Grants: map[int64]*reward.Grant{},
	}
	for _, n := range f.names {
		w.People[n] = nil
	}
	for n, raw := range f.people {
		w.People[n] = read[campaign.Person](f.t, raw)
	}
	for key, raw := range f.credits {
		w.Credits[key] = read[campaign.Credit](f.t, raw)
	}
	for name, raw := range f.shelves {
		w.Shelves[name] = read[reward.Shelf](f.t, raw)
	}
	for no, raw := range f.grants {
		w.Grants[no] = read[reward.Grant](f.t, raw)
	}
	if wide {
		f.queues(w)
	}
	return w
}

// queues fills what a wide event goes through, with the bounds that the engine keeps.
func (f *field) queues(w *step.World) {
	q := &w.Queues
	for key, c := range w.Credits {
		if c.State == campaign.CreditHeld {
			q.Held = append(q.Held, key)
		}
	}
	slices.SortFunc(q.Held, func(a, b step.CreditKey) int {
		return strings.Compare(
			fmt.Sprintf("%020d %020d %s %d", *w.Credits[a].DueAt, a.Person, a.Task, a.N),
			fmt.Sprintf("%020d %020d %s %d", *w.Credits[b].DueAt, b.Person, b.Task, b.N))
	})
	q.Held = q.Held[:min(len(q.Held), step.MaxQueue+1)]
	waiting, noCoupon := map[string]int{}, map[string]int{}
	for _, no := range slices.Sorted(maps.Keys(w.Grants)) {
		g := w.Grants[no]
		r := w.Definition.Reward(g.Reward)
		switch {
		case g.State == reward.Waitlisted && waiting[g.Reward] < step.MaxQueue:
			waiting[g.Reward]++
			q.Waitlisted = append(q.Waitlisted, no)
		case g.State == reward.Granted && r != nil && r.Kind == campaign.Coupon && noCoupon[g.Reward] < step.MaxQueue:
			noCoupon[g.Reward]++
			q.NoCoupon = append(q.NoCoupon, no)
		}
	}
	if from := w.Campaign.Recheck; from != 0 {
		for _, n := range slices.Sorted(maps.Keys(w.People)) {
			if p := w.People[n]; p != nil && n >= from && p.JoinedAt > 0 && len(q.Recheck) < step.MaxQueue {
				q.Recheck = append(q.Recheck, n)
			}
		}
	}
}

// save writes a world's changes, and fails where it changed something without saying so.
func (f *field) save(w *step.World) {
	f.t.Helper()
	f.state = text(f.t, w.Campaign)
	for _, p := range w.ChangedPeople() {
		f.people[p.Person] = text(f.t, p)
	}
	for _, c := range w.ChangedCredits() {
		f.credits[step.CreditKey{Person: c.Person, Task: c.Task, N: c.N}] = text(f.t, c)
	}
	for _, s := range w.ChangedShelves() {
		f.shelves[s.Reward] = text(f.t, s)
	}
	for _, g := range w.ChangedGrants() {
		f.grants[g.No] = text(f.t, g)
	}
	for _, c := range w.Counters() {
		key := c
		key.Events, key.Users = 0, 0
		n := f.counters[key]
		f.counters[key] = funnel.Count{Events: n.Events + c.Events, Users: n.Users + c.Users}
	}
	f.entries = append(f.entries, w.Entries()...)
	f.owed = append(f.owed, w.Owed()...)

	for n, p := range w.People {
		nobody := campaign.Person{Campaign: 1, Person: n}
		if p != nil && f.people[n] != text(f.t, p) && text(f.t, p) != text(f.t, nobody) {
			f.t.Fatalf("person %d was changed and is not written", n)
		}
	}
	untouched(f, w.Credits, f.credits)
	untouched(f, w.Shelves, f.shelves)
	untouched(f, w.Grants, f.grants)
}

func untouched[K comparable, V any](f *field, world map[K]*V, rows map[K]string) {
	f.t.Helper()
	for key, v := range world {
		if rows[key] != text(f.t, v) {
			f.t.Fatalf("%v was changed and is not written", key)
		}
	}
}

// dump is everything the tables hold, as text.
func (f *field) dump() string {
	f.t.Helper()
	var b strings.Builder
	fmt.Fprintln(&b, f.state)
	for _, n := range slices.Sorted(maps.Keys(f.people)) {
		fmt.Fprintln(&b, f.people[n])
	}
	for _, raw := range slices.Sorted(maps.Values(f.credits)) {
		fmt.Fprintln(&b, raw)
	}
	for _, name := range slices.Sorted(maps.Keys(f.shelves)) {
		fmt.Fprintln(&b, f.shelves[name])
	}
	for _, no := range slices.Sorted(maps.Keys(f.grants)) {
		fmt.Fprintln(&b, f.grants[no])
	}
	var counters []string
	for key, n := range f.counters {
		counters = append(counters, fmt.Sprintf("%+v %+v", key, n))
	}
	slices.Sort(counters)
	fmt.Fprintln(&b, strings.Join(counters, "\n"))
	fmt.Fprintln(&b, text(f.t, f.entries))
	fmt.Fprintln(&b, text(f.t, f.owed))
	fmt.Fprintln(&b, text(f.t, f.journal))
	return b.String()
}

// replay applies the journal of f again, in batches of at most size, and gives the field that comes of it.
func (f *field) replay(size int) *field {
	f.t.Helper()
	again := draft(f.t, f.definitions[1])
	again.definitions, again.names, again.owners = f.definitions, f.names, f.owners
	var batch []event.Event
	flush := func() {
		if len(batch) > 0 {
			again.batch(batch...)
			batch = nil
		}
	}
	for _, e := range f.journal {
		e.Seq, e.Owner, e.Outcome, e.Detail, e.Hash = 0, 0, "", nil, nil
		if step.Wide(e.Type) || len(batch) == size {
			flush()
		}
		batch = append(batch, e)
		if step.Wide(e.Type) {
			flush()
		}
	}
	flush()
	return again
}

// The short cuts below look at what the tables hold.

func (f *field) of(user string) *campaign.Person {
	f.t.Helper()
	raw, ok := f.people[f.names[user]]
	if !ok {
		return &campaign.Person{}
	}
	return read[campaign.Person](f.t, raw)
}

func (f *field) count(user, task string) int { return f.of(user).Facts.Counts.Of(task) }

func (f *field) shelf(name string) *reward.Shelf {
	f.t.Helper()
	return read[reward.Shelf](f.t, f.shelves[name])
}

// given lists all grants in order as "user reward state reason".
func (f *field) given() []string {
	f.t.Helper()
	users := map[int64]string{}
	for user, n := range f.names {
		users[n] = user
	}
	var out []string
	for _, no := range slices.Sorted(maps.Keys(f.grants)) {
		g := read[reward.Grant](f.t, f.grants[no])
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", users[g.Person], g.Reward, g.State, g.Reason)))
	}
	return out
}

func (f *field) wantGiven(want ...string) {
	f.t.Helper()
	if got := f.given(); !slices.Equal(got, want) {
		f.t.Errorf("grants are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func wantOutcomes(t tester, got []event.Outcome, want ...event.Outcome) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("outcomes are %q, want %q", got, want)
	}
}

// check holds the tables against everything that is true after every event.
func (f *field) check() {
	f.t.Helper()
	state, d := f.campaign(), f.definition()
	people := map[int64]*campaign.Person{}
	for n, raw := range f.people {
		people[n] = read[campaign.Person](f.t, raw)
	}
	f.checkPeople(state, d, people)
	f.checkRewards(state, d)
	f.checkBooks(state, d)
	f.checkJournal(state)
}

func (f *field) checkPeople(state *step.Campaign, d *campaign.Definition, people map[int64]*campaign.Person) {
	f.t.Helper()
	type own struct {
		person int64
		task   string
	}
	standing, held := map[own]int{}, map[own]int{}
	for key, raw := range f.credits {
		c := read[campaign.Credit](f.t, raw)
		switch c.State {
		case campaign.CreditStanding:
			standing[own{c.Owner, c.Task}]++
		case campaign.CreditHeld:
			held[own{c.Owner, c.Task}]++
			if state.NextDue == 0 || state.NextDue > *c.DueAt {
				f.t.Errorf("credit %v is due at %d and the campaign looks again at %d", key, *c.DueAt, state.NextDue)
			}
		}
		if c.N == 0 && (people[c.Person].Inviter != c.Owner || c.Owner == c.Person) || c.N > 0 && c.Owner != c.Person {
			f.t.Errorf("credit %v of %d, whose inviter is %d, counts for %d", key, c.Person, people[c.Person].Inviter, c.Owner)
		}
	}
	invited := map[int64]int{}
	var participants, credited int64
	for n, p := range people {
		if p.Inviter != 0 {
			invited[p.Inviter]++
			if p.Depth < 1 { // not one more than the inviter's: they may have been bound to somebody since
				f.t.Errorf("person %d has depth %d under %d", n, p.Depth, p.Inviter)
			}
			for above, steps := p.Inviter, 0; above != 0; above, steps = people[above].Inviter, steps+1 {
				if steps > len(people) {
					f.t.Fatalf("person %d is in a loop of inviters", n)
				}
			}
		}
		if p.Joined() {
			participants++
		}
		credited += p.Score
		for _, e := range p.Facts.Counts {
			task, count := e.Name, e.N
			if standing[own{n, task}] != count {
				f.t.Errorf("person %d has %d of task %s and %d standing credits", n, count, task, standing[own{n, task}])
			}
			delete(standing, own{n, task})
		}
		for _, e := range p.Facts.Held {
			task, count := e.Name, e.N
			if held[own{n, task}] != count {
				f.t.Errorf("person %d holds %d of task %s and has %d held credits", n, count, task, held[own{n, task}])
			}
			delete(held, own{n, task})
		}
		if ranking := d.RankingTask(); p.Score != int64(p.Facts.Counts.Of(ranking)) {
			f.t.Errorf("person %d has score %d and %d of task %s", n, p.Score, p.Facts.Counts.Of(ranking), ranking)
		}
		f.checkTiers(state, d, p)
	}
	for n, p := range people {
		if p.Facts.Invited != invited[n] {
			f.t.Errorf("person %d invited %d and %d are bound to them", n, p.Facts.Invited, invited[n])
		}
	}
	if len(standing)+len(held) > 0 {
		f.t.Errorf("credits that nobody counts: %v %v", standing, held)
	}
	if participants != state.Participants || credited != state.Credited {
		f.t.Errorf("the campaign says %d participants and %d credited, people say %d and %d", state.Participants, state.Credited, participants, credited)
	}
	if limit := d.Limits.Participants; limit > 0 && participants > limit {
		f.t.Errorf("%d participants, at most %d", participants, limit)
	}
}

func (f *field) checkTiers(state *step.Campaign, d *campaign.Definition, p *campaign.Person) {
	f.t.Helper()
	for _, t := range d.Tiers {
		switch reached := slices.Index(p.Facts.Reached, t.Name); {
		case reached < 0:
			if p.Joined() && !p.Facts.Blocked && p.Meets(t) && state.Recheck == 0 {
				f.t.Errorf("person %d meets tier %s and was not given it", p.Person, t.Name)
			}
		case reached >= f.reached[p.Person]:
			if !p.Meets(t) {
				f.t.Errorf("person %d reached tier %s with %v", p.Person, t.Name, p.Facts.Counts)
			}
		}
	}
	f.reached[p.Person] = len(p.Facts.Reached)
}

func (f *field) checkRewards(state *step.Campaign, d *campaign.Definition) {
	f.t.Helper()
	type once struct {
		person       int64
		tier, reward string
	}
	seen, coupons := map[once]bool{}, map[string]bool{}
	counted := map[string]*reward.Shelf{}
	for no, raw := range f.grants {
		g := read[reward.Grant](f.t, raw)
		if k := (once{g.Person, g.Tier, g.Reward}); seen[k] {
			f.t.Errorf("grant %d is the second %v", no, k)
		} else {
			seen[k] = true
		}
		if g.Coupon != 0 {
			k := fmt.Sprint(g.Reward, g.Coupon)
			if coupons[k] {
				f.t.Errorf("coupon %d of %s was handed out twice", g.Coupon, g.Reward)
			}
			coupons[k] = true
		}
		s := counted[g.Reward]
		if s == nil {
			s = &reward.Shelf{}
			counted[g.Reward] = s
		}
		if g.State.Reserves() {
			s.Granted++
		}
		if g.State == reward.Delivered {
			s.Delivered++
		}
		if g.State == reward.Waitlisted {
			s.Waitlisted++
		}
	}
	for name, raw := range f.shelves {
		s, n := read[reward.Shelf](f.t, raw), counted[name]
		if n == nil {
			n = &reward.Shelf{}
		}
		if s.Granted != n.Granted || s.Delivered != n.Delivered || s.Waitlisted != n.Waitlisted {
			f.t.Errorf("shelf %+v, grants say %+v", *s, *n)
		}
		if s.Granted > s.Stock || s.CouponsUsed > s.Coupons {
			f.t.Errorf("more is given than there is: %+v", *s)
		}
		r := d.Reward(name)
		if r == nil || s.Waitlisted == 0 || s.Left() <= 0 {
			continue
		}
		if d.Budget == nil || state.Book.Balance(ledger.Available, d.Currency()) >= r.UnitCost {
			f.t.Errorf("somebody waits for %s, and it is there: %+v", name, *s)
		}
	}
}

func (f *field) checkBooks(state *step.Campaign, d *campaign.Definition) {
	f.t.Helper()
	sums := map[string]int64{}
	for _, line := range state.Book.TrialBalance() {
		sums[line.Currency] += line.Balance
	}
	for currency, sum := range sums {
		if sum != 0 {
			f.t.Errorf("the trial balance in %s is %d", currency, sum)
		}
	}
	check := ledger.NewChecker(1)
	for _, e := range f.entries {
		check.Next(e)
	}
	if report := check.Finish(&state.Book); !report.OK {
		f.t.Errorf("ledger: %q", report.Problems)
	}
	var promised, delivered, points int64
	for _, raw := range f.grants {
		switch g := read[reward.Grant](f.t, raw); g.State {
		case reward.Review, reward.Granted:
			promised += g.Cost
		case reward.Delivered:
			delivered += g.Cost
			points += g.Points
		}
	}
	balance := func(account, currency string) int64 { return state.Book.Balance(account, currency) }
	if p, q := balance(ledger.Promised, d.Currency()), balance(ledger.Delivered, d.Currency()); p != promised || q != delivered {
		f.t.Errorf("the books say %d promised and %d delivered, grants say %d and %d", p, q, promised, delivered)
	}
	if issued := balance(ledger.PointsIssued, "POINTS"); issued != points {
		f.t.Errorf("the books say %d points, grants say %d", issued, points)
	}
	if d.Budget == nil || state.Status == campaign.Draft {
		return
	}
	if promised+delivered > d.Budget.Limit || balance(ledger.Available, d.Currency()) != d.Budget.Limit-promised-delivered {
		f.t.Errorf("of %d, %d are promised, %d delivered and %d left", d.Budget.Limit, promised, delivered, balance(ledger.Available, d.Currency()))
	}
}

func (f *field) checkJournal(state *step.Campaign) {
	f.t.Helper()
	events, users := map[string]int64{}, map[string]map[int64]bool{}
	var head []byte
	for i := range f.journal {
		e := &f.journal[i]
		if e.Seq != int64(i+1) || !bytes.Equal(e.Hash, event.Chain(head, e)) {
			f.t.Errorf("event %d has position %d or another hash", i+1, e.Seq)
		}
		head = e.Hash
		if e.System {
			continue
		}
		events[e.Type]++
		if users[e.Type] == nil {
			users[e.Type] = map[int64]bool{}
		}
		users[e.Type][e.Person] = true
	}
	if state.Seq != int64(len(f.journal)) || !bytes.Equal(state.Head, head) {
		f.t.Errorf("the campaign is at %d, the journal has %d", state.Seq, len(f.journal))
	}
	split := map[string][]funnel.Counter{}
	for c, n := range f.counters {
		if n.Users > n.Events {
			f.t.Errorf("%+v has %+v", c, n)
		}
		c.Events, c.Users = n.Events, n.Users
		split[c.Split] = append(split[c.Split], c)
	}
	for _, by := range funnel.Groupings {
		sums := funnel.Sum(split[by])
		for kind, n := range events {
			if want := (funnel.Count{Events: n, Users: int64(len(users[kind]))}); sums[kind] != want {
				f.t.Errorf("by %s stage %s counts %+v, the journal has %+v", by, kind, sums[kind], want)
			}
		}
		if len(sums) != len(events) {
			f.t.Errorf("by %s stages %v, events %v", by, sums, events)
		}
	}
}
