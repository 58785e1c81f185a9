package faulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// finish lets the load end and everything that is due be done, and checks every promise from outside.
func (st *stage) finish() {
	st.t.Helper()
	st.load.end()
	st.until("an empty journal tail", patience, func() bool {
		return st.number("SELECT COUNT(*) FROM journal WHERE outcome IS NULL") == 0
	})
	st.until("the end of all holds", patience, func() bool {
		return st.number("SELECT COUNT(*) FROM credits WHERE state = 'held'") == 0
	})
	st.told.events, st.told.joins, st.told.failed = st.load.answered(), len(st.load.joined), int(st.load.fails.Load())
	st.journal()
	st.people()
	st.value()
	for _, args := range [][]string{{"ledger", "verify"}, {"verify"}} {
		if said, err := st.command(args...); err != nil {
			st.t.Errorf("kfactor %s: %v %s", strings.Join(args, " "), err, said)
		}
	}
	for _, s := range st.servers {
		if said := s.said.String(); strings.Contains(said, "panic") || strings.Contains(said, "DATA RACE") {
			st.t.Errorf("a server said: %s", said)
		}
		if s.gone() {
			st.t.Errorf("a server is gone: %s", s.said)
		}
	}
	st.told.verdict = "kept"
	if st.t.Failed() {
		st.told.verdict = "BROKEN"
	}
}

// entry is one event as the journal tells it.
type entry struct {
	ID, Type, User, Code, Outcome string
	Seq                           int64
	System                        bool
}

// all reads a list to its end.
func all[T any](st *stage, path string, query url.Values) []T {
	st.t.Helper()
	var items []T
	query.Set("limit", "1000")
	for {
		var page struct {
			Items []T
			Next  string
		}
		answer := st.load.ask(http.MethodGet, path+"?"+query.Encode(), nil, http.StatusOK)
		if err := json.Unmarshal(answer, &page); err != nil {
			st.t.Fatalf("%s: %v: %s", path, err, answer)
		}
		items = append(items, page.Items...)
		if page.Next == "" {
			return items
		}
		query.Set("cursor", page.Next)
	}
}

// journal checks that it holds what was answered, once, and that each was applied, once.
func (st *stage) journal() {
	st.t.Helper()
	entries := all[entry](st, "/v1/campaigns/"+campaignID+"/events", url.Values{"system": {"true"}})
	seen := map[string]string{}
	credited := map[string]int{}
	last := map[int64]string{}
	for _, e := range entries {
		poison := strings.HasPrefix(e.ID, poisonous)
		if e.Seq == 0 || e.Outcome == "" || (e.Outcome == "failed") != poison {
			st.t.Errorf("event %s stands as %q at %d", e.ID, e.Outcome, e.Seq)
		}
		if other, twice := last[e.Seq]; twice {
			st.t.Errorf("position %d is held by %s and %s", e.Seq, other, e.ID)
		}
		last[e.Seq] = e.ID
		if e.System || poison {
			continue
		}
		if _, twice := seen[e.ID]; twice {
			st.t.Errorf("event %s stands in the journal twice", e.ID)
		}
		seen[e.ID] = e.Type
		if e.Type == "subscribe" && e.Outcome == "credited" {
			credited[e.User]++
		}
	}
	for seq := int64(1); seq <= int64(len(entries)); seq++ {
		if last[seq] == "" {
			st.t.Errorf("position %d of %d is empty", seq, len(entries))
			break
		}
	}
	for id, kind := range st.load.taken {
		if seen[id] != kind {
			st.t.Errorf("event %s was answered and is not in the journal", id)
		}
	}
	if len(seen) != len(st.load.taken) {
		st.t.Errorf("the journal has %d events from outside, %d were answered", len(seen), len(st.load.taken))
	}
	for _, fan := range append(sorted(st.load.stays), sorted(st.load.gone)...) {
		if credited[fan] != 1 {
			st.t.Errorf("%s was credited %d times", fan, credited[fan])
		}
	}
	st.funnel(seen)
}

// funnel checks its counters against a count of the answered events.
func (st *stage) funnel(seen map[string]string) {
	st.t.Helper()
	events, users := map[string]int{}, map[string]map[string]bool{}
	for id, kind := range seen {
		events[kind]++
		if users[kind] == nil {
			users[kind] = map[string]bool{}
		}
		_, fan, _ := strings.Cut(id, "-")
		users[kind][fan] = true
	}
	var answer struct {
		Stages []struct {
			Stage         string
			Events, Users int
		}
	}
	text := st.load.ask(http.MethodGet, "/v1/campaigns/"+campaignID+"/funnel", nil, http.StatusOK)
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Stages) == 0 {
		st.t.Fatalf("funnel: %v: %s", err, text)
	}
	for _, s := range answer.Stages {
		if s.Events != events[s.Stage] || s.Users != len(users[s.Stage]) {
			st.t.Errorf("the funnel has %d events of %d users at %s, sent were %d of %d",
				s.Events, s.Users, s.Stage, events[s.Stage], len(users[s.Stage]))
		}
	}
}

// people checks that everybody has the code they were told, and that each friend counts once.
func (st *stage) people() {
	st.t.Helper()
	type participant struct {
		Code, User string
		Tasks      map[string]struct{ Count int }
	}
	invited, stayed := 0, 0
	for i, code := range st.load.codes {
		var p participant
		answer := st.load.ask(http.MethodGet, "/v1/campaigns/"+campaignID+"/participants/"+code, nil, http.StatusOK)
		if err := json.Unmarshal(answer, &p); err != nil || p.User != fmt.Sprintf("host-%d", i) {
			st.t.Errorf("code %s of host %d: %v: %s", code, i, err, answer)
		}
		invited += p.Tasks["invite"].Count
		stayed += p.Tasks["stay"].Count
	}
	if want := len(st.load.stays); invited != want {
		st.t.Errorf("the hosts have %d friends, %d follow", invited, want)
	}
	if want := len(st.load.stays) + len(st.load.gone); stayed != want {
		st.t.Errorf("the hosts have %d friends that stayed a second, %d ever followed", stayed, want)
	}
	if n := st.number("SELECT COUNT(*) FROM people WHERE joined_at > 0"); int(n) != len(st.load.joined) {
		st.t.Errorf("%d people have joined, %d were answered", n, len(st.load.joined))
	}
	for _, user := range sorted(st.load.joined) {
		if user[0] == 'p' { // the probes, one for each fault
			if again := st.load.join(user, ""); again != st.load.codeOf(user) {
				st.t.Errorf("%s has the code %s and had another", user, again)
			}
		}
	}
}

func (l *load) codeOf(user string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined[user]
}

// value checks that nothing beyond stock or budget was promised and that the books balance.
func (st *stage) value() {
	st.t.Helper()
	type grant struct{ User, Tier, Reward, State string }
	given, cost := map[string]int{}, 0
	once := map[grant]bool{}
	for _, g := range all[grant](st, "/v1/grants", url.Values{"campaign": {campaignID}}) {
		if g.State == "granted" || g.State == "review" || g.State == "delivered" {
			given[g.Reward]++
			cost += unitCost[g.Reward]
		}
		g.State = ""
		if once[g] {
			st.t.Errorf("%s has %s of %s twice", g.User, g.Reward, g.Tier)
		}
		once[g] = true
	}
	for reward, n := range given {
		if n > rewardStock[reward] {
			st.t.Errorf("%d of %s were given; the stock is %d", n, reward, rewardStock[reward])
		}
	}
	if cost > budget {
		st.t.Errorf("%d were promised of a budget of %d", cost, budget)
	}
	if given["cash"] == 0 || given["points"] == 0 {
		st.t.Errorf("hardly anything was given: %v", given)
	}
	type reward struct {
		Reward             string
		Granted, Remaining int
	}
	for _, r := range all[reward](st, "/v1/campaigns/"+campaignID+"/rewards", url.Values{}) {
		if r.Granted != given[r.Reward] || r.Remaining != rewardStock[r.Reward]-r.Granted {
			st.t.Errorf("reward %s says %d granted, %d left; there are %d grants", r.Reward, r.Granted, r.Remaining, given[r.Reward])
		}
	}
	type balance struct {
		Account, Currency string
		Balance           int
	}
	sums := map[string]int{}
	for _, b := range all[balance](st, "/v1/ledger/balances", url.Values{"campaign": {campaignID}}) {
		sums[b.Currency] += b.Balance
	}
	for currency, sum := range sums {
		if sum != 0 {
			st.t.Errorf("the trial balance is %d %s", sum, currency)
		}
	}
	if len(sums) == 0 {
		st.t.Error("there are no books")
	}
}

// play sets up a stage, plays a fault on it and checks every promise.
func (f fault) play(st *stage) {
	began := time.Now()
	st.load.begin()
	f.strike(st)
	st.finish()
	st.told.took = time.Since(began)
}
