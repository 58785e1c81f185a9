package step_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
)

// chronicle is the rules told a second time, as docs/campaigns.md and docs/adr tell them: slow, plain and apart from
// the code. It keeps everything that ever happened and finds each number by going through all of it again.
type chronicle struct {
	definitions map[int]*campaign.Definition
	d           *campaign.Definition
	status      campaign.Status

	news    []news // events from outside and joins, in the order of arrival
	codes   map[string]int64
	joined  []int64 // participants in the order of joining
	joins   map[int64]int64
	blocked map[int64]bool
	credits []*merit
	waiting []stray
	refunds []refund
	reached map[int64][]string
	greeted map[int64]bool
	grants  []*gift
	coupons map[string]int64 // codes ever imported
}

// news is one thing that somebody did.
type news struct {
	kind   string // "" for a join
	person int64
	owner  int64 // of the code it names, if they had joined by then
	lost   bool  // it names a code that nobody had
	at     int64
	id     string
	order  string
	known  bool  // the channel says that it knew this person before
	came   []int // tasks that would have counted it and found nobody to count it for
}

// merit is one credit with everything that gave and took it.
type merit struct {
	person, owner int64
	task          string
	n             int // 0 for an inviter's, else the number of the actor's own
	at            int64
	id, order     string
	used          bool // it took one from the allowance of its day and hour
	due           int64
	on, off       int64
	stands        bool
	held          bool
}

func (c *merit) counts() bool { return c.stands && !c.held }

// stray is an event that waits for an inviter.
type stray struct {
	person int64
	task   string
	at     int64
	id     string
	order  string
	known  bool
}

// refund is one that came before the purchase of the actor's own task that it takes back.
type refund struct {
	person int64
	task   string
	order  string
	at     int64
}

// gift is one grant.
type gift struct {
	person       int64
	tier, reward string
	state        string
	cost, points int64
	coupon       int64
}

func chronicleOf(definitions map[int]*campaign.Definition) *chronicle {
	return &chronicle{
		definitions: definitions, d: definitions[1], status: campaign.Draft, codes: map[string]int64{}, joins: map[int64]int64{},
		blocked: map[int64]bool{}, reached: map[int64][]string{}, greeted: map[int64]bool{}, coupons: map[string]int64{},
	}
}

// result is what an event led to: its outcome, and what each task made of it.
type result struct {
	outcome event.Outcome
	tasks   []event.TaskDetail
}

// tell takes one event.
func (c *chronicle) tell(e event.Event) result {
	var o step.Order
	var data struct {
		Order any
		New   *bool
	}
	if e.Data != nil {
		_ = json.Unmarshal([]byte(*e.Data), &o)
		_ = json.Unmarshal([]byte(*e.Data), &data)
	}
	if !e.System {
		n := news{kind: e.Type, person: e.Person, at: e.Time, id: e.ID, known: data.New != nil && !*data.New}
		if data.Order != nil && e.Type != "unsubscribe" {
			n.order = fmt.Sprint(data.Order)
		}
		if e.Code != "" {
			n.owner = c.codes[strings.ToUpper(e.Code)]
			n.lost = n.owner == 0
		}
		return c.hear(e, n)
	}
	switch e.Type {
	case event.Launched:
		return c.move(campaign.Live, campaign.Draft)
	case event.Paused:
		return c.move(campaign.Paused, campaign.Live)
	case event.Resumed:
		return c.move(campaign.Live, campaign.Paused)
	case event.Ended:
		return c.move(campaign.Ended, campaign.Live, campaign.Paused)
	case event.Revised:
		return c.revise(o.Revision)
	case event.Joined:
		return c.join(e, c.codes[strings.ToUpper(o.InvitedBy)])
	case event.Blocked:
		c.blocked[e.Person] = true
	case event.Unblocked:
		c.blocked[e.Person] = false
		c.lookAtTiers(e.Person)
		c.greet(e.Person)
	case event.CouponsAdded:
		c.coupons[o.Reward] = max(c.coupons[o.Reward], o.Coupons)
		c.serve()
	case event.TimePassed:
		return c.passTime(e)
	default:
		return c.judge(e.Type, o.Grant)
	}
	return result{outcome: event.Applied}
}

func (c *chronicle) move(to campaign.Status, from ...campaign.Status) result {
	if !slices.Contains(from, c.status) {
		return result{outcome: event.Refused}
	}
	c.status = to
	return result{outcome: event.Applied}
}

// hurts tells whether a revision would break a promise.
func (c *chronicle) hurts(old, next *campaign.Definition) bool {
	for i, t := range old.Tasks {
		n := next.Tasks[i]
		if n.On != t.On || n.Credit != t.Credit || n.NewUsersOnly && !t.NewUsersOnly || n.Hold > t.Hold ||
			n.RevokeOn != "" && n.RevokeOn != t.RevokeOn || n.When != "" && n.When != t.When ||
			n.PerDay != 0 && (t.PerDay == 0 || n.PerDay < t.PerDay) {
			return true
		}
	}
	for i, t := range old.Tiers {
		for j, r := range t.Requires {
			if next.Tiers[i].Requires[j].Count > r.Count {
				return true
			}
		}
	}
	for i, r := range old.Rewards {
		n := next.Rewards[i]
		if n.Stock < c.reserved(r.Name) || n.Review && !r.Review || n.Points < r.Points {
			return true
		}
	}
	if old.Budget != nil && (next.Budget.Limit < c.promised()+c.delivered() ||
		next.Budget.OnExhausted == campaign.Reject && old.Budget.OnExhausted == campaign.Waitlist) {
		return true
	}
	people, hourly := next.Limits.Participants, next.Limits.InvitesPerInviterPerHour
	return people != 0 && people < int64(len(c.joined)) ||
		hourly != 0 && (old.Limits.InvitesPerInviterPerHour == 0 || hourly < old.Limits.InvitesPerInviterPerHour) ||
		next.Attribution.Window < old.Attribution.Window || next.Schedule.Ends.Before(old.Schedule.Ends) ||
		next.Schedule.Starts.After(old.Schedule.Starts)
}

func (c *chronicle) revise(revision int) result {
	next := c.definitions[revision]
	if c.status == campaign.Ended || c.status != campaign.Draft && c.hurts(c.d, next) {
		return result{outcome: event.Refused}
	}
	c.d = next
	if c.status != campaign.Draft {
		c.serve()
	}
	return result{outcome: event.Applied}
}

func (c *chronicle) join(e event.Event, inviter int64) result {
	switch {
	case slices.Contains(c.joined, e.Person):
		return result{outcome: event.Applied}
	case c.status != campaign.Live:
		return result{outcome: event.CampaignNotLive}
	case c.d.Limits.Participants > 0 && int64(len(c.joined)) >= c.d.Limits.Participants:
		return result{outcome: event.LimitReached}
	}
	c.joined = append(c.joined, e.Person)
	c.joins[e.Person] = e.Time
	c.codes[e.Code] = e.Person
	n := news{person: e.Person, owner: inviter, at: e.Time, id: e.ID}
	c.news = append(c.news, n)
	r := result{outcome: event.Applied}
	if inviter != 0 {
		c.adopt(e, n, &r)
	}
	c.lookAtTiers(e.Person)
	return r
}

// ranking is the order in which the tasks' results tell the event's.
var modelRanking = []event.Outcome{
	"credited", "restored", "held", "reversed", "unknown_code", "duplicate_invitee", "limit_reached", "blocked",
	"self_invite", "not_new_user", "outside_window", "condition_not_met", "no_inviter", "campaign_not_live",
}

func (c *chronicle) live(at int64) bool {
	return c.status == campaign.Live && at >= c.d.Schedule.Starts.UnixMilli() && at < c.d.Schedule.Ends.UnixMilli()
}

// over tells whether the campaign had ended by a moment.
func (c *chronicle) over(at int64) bool {
	return c.status == campaign.Ended || c.status == campaign.Live && at >= c.d.Schedule.Ends.UnixMilli()
}

func (c *chronicle) hear(e event.Event, n news) result {
	c.news = append(c.news, n)
	var r result
	for i := range c.d.Tasks {
		t := &c.d.Tasks[i]
		var made event.TaskDetail
		switch e.Type {
		case t.On:
			switch {
			case c.live(n.at):
				made = c.give(e, n, i)
			case !n.lost:
				made.Outcome = event.CampaignNotLive
			}
		case t.RevokeOn:
			made = c.take(n, t)
		}
		if made.Outcome != "" {
			made.Task = t.Name
			r.tasks = append(r.tasks, made)
		}
	}
	if n.owner != 0 && c.status == campaign.Live {
		c.adopt(e, n, &r)
	}
	for _, o := range modelRanking {
		if o == event.UnknownCode && n.lost || slices.ContainsFunc(r.tasks, func(t event.TaskDetail) bool { return t.Outcome == o }) {
			r.outcome = o
			return r
		}
	}
	r.outcome = event.Counted
	if !c.live(n.at) {
		r.outcome = event.CampaignNotLive
	}
	return r
}

// give finds out what a task makes of an event that it listens to.
func (c *chronicle) give(e event.Event, n news, task int) event.TaskDetail {
	t := &c.d.Tasks[task]
	if c.blocked[n.person] {
		return event.TaskDetail{Outcome: event.BlockedOutcome}
	}
	if met, _ := t.Matches(bytesOf(e.Data), e.Type, time.UnixMilli(n.at)); !met {
		return event.TaskDetail{Outcome: event.ConditionNotMet}
	}
	if t.Credit == campaign.Actor {
		return c.giveActor(e, n, t)
	}
	if m := c.merit(n.person, t.Name); m != nil {
		return c.giveAgain(e, n, t, m)
	}
	s := stray{person: n.person, task: t.Name, at: n.at, id: n.id, order: n.order, known: n.known}
	owner, none := c.inviterFor(n)
	made := none
	if owner != 0 {
		made = c.giveInviter(e, t, owner, s)
	}
	if none.Outcome == event.NoInviter || none.Outcome == event.OutsideWindow {
		c.wait(s)
	}
	if c.merit(n.person, t.Name) == nil && made.Outcome != event.BlockedOutcome {
		last := &c.news[len(c.news)-1]
		last.came = append(last.came, task)
	}
	return made
}

func (c *chronicle) inviterFor(n news) (int64, event.TaskDetail) {
	if n.lost {
		return 0, event.TaskDetail{Outcome: event.UnknownCode}
	}
	if n.owner != 0 {
		return n.owner, event.TaskDetail{}
	}
	if owner := c.inviter(n.person); owner != 0 && c.touchedBy(n.person, n.at) {
		return owner, event.TaskDetail{}
	}
	var last *news
	touches := c.touches(n.person)
	for i := range touches {
		if touches[i].at <= n.at && (last == nil || touches[i].at >= last.at) {
			last = &touches[i]
		}
	}
	switch {
	case last == nil:
		return 0, event.TaskDetail{Outcome: event.NoInviter}
	case n.at-last.at > c.d.Attribution.Window.Milliseconds():
		return 0, event.TaskDetail{Outcome: event.OutsideWindow, Owner: last.owner}
	}
	return last.owner, event.TaskDetail{}
}

// touches are the codes of others that somebody came by, in order of arrival; the latest eight by time. One that was let
// go and is told of again is like any other.
func (c *chronicle) touches(person int64) []news {
	var all []news
	for _, n := range c.news {
		if n.person != person || n.owner == 0 || n.owner == person ||
			slices.ContainsFunc(all, func(o news) bool { return o.owner == n.owner && o.at == n.at }) {
			continue
		}
		all = append(all, n)
		if len(all) <= 8 {
			continue
		}
		oldest := 0
		for i := range all {
			if all[i].at < all[oldest].at {
				oldest = i
			}
		}
		all = slices.Delete(all, oldest, oldest+1)
	}
	return all
}

// touchedBy tells whether somebody had come by a code at a moment.
func (c *chronicle) touchedBy(person, at int64) bool {
	return slices.ContainsFunc(c.news, func(n news) bool {
		return n.person == person && n.owner != 0 && n.owner != person && n.at <= at
	})
}

// inviter is whom somebody is bound to: the owner of the first credit that they were the invitee of.
func (c *chronicle) inviter(person int64) int64 {
	for _, m := range c.credits {
		if m.person == person && m.n == 0 {
			return m.owner
		}
	}
	return 0
}

// merit is the inviter's credit that a task made of somebody.
func (c *chronicle) merit(person int64, task string) *merit {
	for _, m := range c.credits {
		if m.person == person && m.n == 0 && m.task == task {
			return m
		}
	}
	return nil
}

func (c *chronicle) knownBefore(person, at int64) bool {
	first := at
	for _, n := range c.news {
		if n.person != person {
			continue
		}
		if (n.kind == "subscribe" || n.kind == "unsubscribe") && n.at < at {
			return true
		}
		if n.owner != 0 && n.owner != person {
			first = min(first, n.at)
		}
	}
	joined, ok := c.joins[person]
	return ok && joined < first
}

// leftAt is when somebody last did what takes a credit of this order back; an order that is not named is any.
func (c *chronicle) leftAt(person int64, t *campaign.Task, order string) int64 {
	var at int64
	for _, n := range c.news {
		if t.RevokeOn != "" && n.person == person && n.kind == t.RevokeOn && (order == "" || n.order == "" || n.order == order) {
			at = max(at, n.at)
		}
	}
	return at
}

// leftLast says whether of all that somebody did for or against a task at one moment the leaving was told last.
func (c *chronicle) leftLast(person int64, t *campaign.Task, at int64) bool {
	left := false
	for _, n := range c.news {
		if n.person != person || n.at != at {
			continue
		}
		for _, came := range n.came {
			left = left && c.d.Tasks[came].Name != t.Name
		}
		left = left || n.kind == t.RevokeOn && n.order == ""
	}
	return left
}

func (c *chronicle) giveInviter(e event.Event, t *campaign.Task, owner int64, s stray) event.TaskDetail {
	made := event.TaskDetail{Owner: owner}
	bound := c.inviter(s.person)
	loop := false
	for above := owner; above != 0 && bound == 0; above = c.inviter(above) {
		loop = loop || above == s.person
	}
	switch {
	case owner == s.person:
		made.Outcome = event.SelfInvite
	case bound != 0 && bound != owner:
		made.Outcome = event.DuplicateInvitee
	case c.blocked[owner]:
		made.Outcome = event.BlockedOutcome
	case loop:
		made.Outcome = event.SelfInvite
	case t.NewUsersOnly && (s.known || c.knownBefore(s.person, s.at)):
		made.Outcome = event.NotNewUser
	}
	if made.Outcome != "" {
		return made
	}
	m := &merit{person: s.person, owner: owner, task: t.Name, at: s.at, id: s.id, order: s.order, on: s.at}
	for _, n := range c.news {
		for _, came := range n.came {
			if n.person == s.person && c.d.Tasks[came].Name == t.Name {
				m.on = max(m.on, n.at)
			}
		}
	}
	if left := c.leftAt(s.person, t, s.order); left > m.on || left == m.on && (e.ID != s.id || s.at != left) && c.leftLast(s.person, t, left) {
		m.off = left
		m.due = due(t, m.at)
		c.credits = append(c.credits, m)
		made.Outcome = event.Reversed
		return made
	}
	if c.overLimit(t, owner, s.at) {
		made.Outcome = event.LimitReached
		return made
	}
	m.used = true
	m.due = due(t, m.at)
	c.credits = append(c.credits, m)
	made.Outcome = c.stand(m, e.ReceivedAt)
	return made
}

func due(t *campaign.Task, at int64) int64 {
	if t.Hold == 0 {
		return 0
	}
	return at + t.Hold.Milliseconds()
}

func (c *chronicle) giveAgain(e event.Event, n news, t *campaign.Task, m *merit) event.TaskDetail {
	made := event.TaskDetail{Owner: m.owner, Outcome: event.DuplicateInvitee}
	if n.lost {
		made = event.TaskDetail{Outcome: event.UnknownCode}
	}
	switch {
	case c.leftAt(n.person, t, n.order) > n.at:
		return made
	case m.stands:
		m.on = max(m.on, n.at)
		return made
	case n.at < m.off:
		return made
	case c.blocked[m.owner]:
		return event.TaskDetail{Owner: m.owner, Outcome: event.BlockedOutcome}
	}
	m.on = n.at
	if n.order != "" {
		m.order = n.order
	}
	made = event.TaskDetail{Owner: m.owner, Outcome: c.stand(m, e.ReceivedAt)}
	if made.Outcome == event.Credited {
		made.Outcome = event.Restored
	}
	return made
}

func (c *chronicle) giveActor(e event.Event, n news, t *campaign.Task) event.TaskDetail {
	made := event.TaskDetail{Owner: n.person}
	m := &merit{person: n.person, owner: n.person, task: t.Name, at: n.at, id: n.id, order: n.order, on: n.at, due: due(t, n.at)}
	for _, other := range c.credits {
		if other.person == n.person && other.task == t.Name {
			m.n++
		}
	}
	m.n++
	for _, order := range []string{n.order, n.id, ""} {
		for i, r := range c.refunds {
			if r.person == n.person && r.task == t.Name && r.order == order && r.at > n.at && t.RevokeOn != "" {
				c.refunds = slices.Delete(c.refunds, i, i+1)
				m.off = r.at
				c.credits = append(c.credits, m)
				made.Outcome = event.Reversed
				return made
			}
		}
	}
	if c.overLimit(t, n.person, n.at) {
		made.Outcome = event.LimitReached
		return made
	}
	m.used = true
	c.credits = append(c.credits, m)
	made.Outcome = c.stand(m, e.ReceivedAt)
	return made
}

// overLimit counts what an owner was credited with on the day and in the hour of a moment.
func (c *chronicle) overLimit(t *campaign.Task, owner, at int64) bool {
	when := shanghai(at)
	ofDay, ofHour := 0, 0
	for _, m := range c.credits {
		then := shanghai(m.at)
		if m.owner != owner || !m.used || then.YearDay() != when.YearDay() || then.Year() != when.Year() {
			continue
		}
		if m.task == t.Name {
			ofDay++
		}
		if m.n == 0 && then.Hour() == when.Hour() {
			ofHour++
		}
	}
	hourly := c.d.Limits.InvitesPerInviterPerHour
	return t.PerDay > 0 && ofDay >= t.PerDay || t.Credit == campaign.Inviter && hourly > 0 && ofHour >= hourly
}

// shanghai is a moment in the time zone of every campaign here.
func shanghai(at int64) time.Time { return time.UnixMilli(at).UTC().Add(8 * time.Hour) }

// stand lets a credit count, at once or when its hold passes.
func (c *chronicle) stand(m *merit, now int64) event.Outcome {
	m.stands = true
	if m.held = m.due > now; m.held {
		return event.Held
	}
	c.counted(m)
	return event.Credited
}

func (c *chronicle) counted(m *merit) {
	c.lookAtTiers(m.owner)
	if m.n == 0 {
		c.greet(m.person)
	}
}

func (c *chronicle) take(n news, t *campaign.Task) event.TaskDetail {
	var m *merit
	if t.Credit == campaign.Inviter {
		m = c.merit(n.person, t.Name)
		if m == nil || m.order != "" && n.order != "" && m.order != n.order {
			return event.TaskDetail{}
		}
	} else if m = c.ownMerit(n, t); m == nil {
		if c.live(n.at) {
			i := slices.IndexFunc(c.refunds, func(r refund) bool { return r.person == n.person && r.task == t.Name && r.order == n.order })
			if i < 0 {
				i = len(c.refunds)
				c.refunds = append(c.refunds, refund{person: n.person, task: t.Name, order: n.order})
			}
			c.refunds[i].at = max(c.refunds[i].at, n.at)
		}
		return event.TaskDetail{}
	}
	switch {
	case !c.live(n.at) && (!c.over(n.at) || !m.held):
		return event.TaskDetail{Outcome: event.CampaignNotLive, Owner: m.owner}
	case n.at < m.on:
		return event.TaskDetail{}
	}
	m.off = max(m.off, n.at)
	if !m.stands {
		return event.TaskDetail{}
	}
	m.stands, m.held = false, false
	return event.TaskDetail{Outcome: event.Reversed, Owner: m.owner}
}

// ownMerit is the credit of an actor's own task that a refund takes back: the last one of the order it names, or
// when it names none the latest that stands and is not later.
func (c *chronicle) ownMerit(n news, t *campaign.Task) *merit {
	var found *merit
	for _, m := range c.credits {
		if m.person != n.person || m.task != t.Name {
			continue
		}
		if n.order != "" && (m.order == n.order || m.id == n.order) ||
			n.order == "" && m.stands && m.on <= n.at && (found == nil || m.on >= found.on) {
			found = m
		}
	}
	return found
}

// wait lets an event wait for an inviter: of each task the earliest and the latest are remembered.
func (c *chronicle) wait(s stray) {
	c.waiting = append(c.waiting, s)
	mine := c.strays(s.person, s.task)
	for _, middle := range mine[1:max(1, len(mine)-1)] {
		c.waiting = slices.DeleteFunc(c.waiting, func(o stray) bool { return o == middle })
	}
}

// strays are somebody's events that wait, by time; of all tasks for "".
func (c *chronicle) strays(person int64, task string) []stray {
	var mine []stray
	for _, s := range c.waiting {
		if s.person == person && (task == "" || s.task == task) {
			mine = append(mine, s)
		}
	}
	slices.SortFunc(mine, func(a, b stray) int {
		return strings.Compare(fmt.Sprintf("%020d %s %s", a.at, a.id, a.task), fmt.Sprintf("%020d %s %s", b.at, b.id, b.task))
	})
	return mine
}

// adopt credits what waited for an inviter, when the code that was touched before it arrives late.
func (c *chronicle) adopt(e event.Event, n news, r *result) {
	if c.blocked[n.person] || n.owner == n.person {
		return
	}
	for _, s := range c.strays(n.person, "") {
		if c.merit(n.person, s.task) == nil && (n.at > s.at || s.at-n.at > c.d.Attribution.Window.Milliseconds()) {
			continue
		}
		c.waiting = slices.DeleteFunc(c.waiting, func(o stray) bool { return o == s })
		if c.merit(n.person, s.task) != nil {
			continue
		}
		made := c.giveInviter(e, c.d.Task(s.task), n.owner, s)
		made.Task, made.Event = s.task, s.id
		r.tasks = append(r.tasks, made)
	}
}

func (c *chronicle) passTime(e event.Event) result {
	if (c.status == campaign.Live || c.status == campaign.Paused) && e.Time >= c.d.Schedule.Ends.UnixMilli() {
		c.status = campaign.Ended
	}
	r := result{outcome: event.Applied}
	for {
		var first *merit
		for _, m := range c.credits {
			if m.held && m.due <= e.Time && (first == nil || before(m, first)) {
				first = m
			}
		}
		if first == nil {
			break
		}
		first.held = false
		c.counted(first)
		r.tasks = append(r.tasks, event.TaskDetail{Task: first.task, Outcome: event.Credited, Owner: first.owner, Event: first.id})
	}
	for _, p := range slices.Sorted(slices.Values(c.joined)) {
		c.lookAtTiers(p)
	}
	c.serve()
	return r
}

// owed tells what should have happened by now.
func (c *chronicle) owed(now int64) string {
	for _, m := range c.credits {
		if m.held && m.due <= now {
			return fmt.Sprintf("the hold of %s has passed", m.id)
		}
	}
	for _, person := range c.joined {
		for _, t := range c.d.Tiers {
			if c.meets(person, t) && !c.blocked[person] && !slices.Contains(c.reached[person], t.Name) {
				return fmt.Sprintf("%d has reached %s", person, t.Name)
			}
		}
	}
	for _, g := range c.grants {
		if g.state == "waitlisted" && c.short(c.d.Reward(g.reward)) == "" {
			return fmt.Sprintf("%d waits for a %s that is there", g.person, g.reward)
		}
	}
	if (c.status == campaign.Live || c.status == campaign.Paused) && now >= c.d.Schedule.Ends.UnixMilli() {
		return "the campaign is over"
	}
	return ""
}

// before orders holds that pass: by when, who, for what.
func before(a, b *merit) bool {
	key := func(m *merit) string { return fmt.Sprintf("%020d %020d %s %d", m.due, m.person, m.task, m.n) }
	return key(a) < key(b)
}

// number counts the credits of a task that count for somebody, or that wait for their hold.
func (c *chronicle) number(person int64, task string, held bool) int {
	n := 0
	for _, m := range c.credits {
		if m.owner == person && m.task == task && m.stands && m.held == held {
			n++
		}
	}
	return n
}

func (c *chronicle) meets(person int64, t campaign.Tier) bool {
	for _, r := range t.Requires {
		if c.number(person, r.Task, false) < r.Count {
			return false
		}
	}
	return true
}

func (c *chronicle) lookAtTiers(person int64) {
	if !slices.Contains(c.joined, person) || c.blocked[person] {
		return
	}
	for _, t := range c.d.Tiers {
		if slices.Contains(c.reached[person], t.Name) || !c.meets(person, t) {
			continue
		}
		c.reached[person] = append(c.reached[person], t.Name)
		for _, r := range t.Rewards {
			c.award(person, t.Name, r)
		}
	}
}

// greet gives an invitee who counts the welcome, once.
func (c *chronicle) greet(person int64) {
	counts := slices.ContainsFunc(c.credits, func(m *merit) bool { return m.person == person && m.n == 0 && m.counts() })
	if !counts || c.blocked[person] || c.greeted[person] || len(c.d.Welcome.Rewards) == 0 {
		return
	}
	c.greeted[person] = true
	for _, r := range c.d.Welcome.Rewards {
		c.award(person, "(welcome)", r)
	}
}

// howMany counts the grants of a reward in some states; of all rewards for "".
func (c *chronicle) howMany(reward string, states ...string) int64 {
	var n int64
	for _, g := range c.grants {
		if (reward == "" || g.reward == reward) && slices.Contains(states, g.state) {
			n++
		}
	}
	return n
}

func (c *chronicle) reserved(reward string) int64 {
	return c.howMany(reward, "review", "granted", "delivered")
}

func (c *chronicle) promised() int64 {
	var sum int64
	for _, g := range c.grants {
		if g.state == "review" || g.state == "granted" {
			sum += g.cost
		}
	}
	return sum
}

func (c *chronicle) delivered() int64 {
	var sum int64
	for _, g := range c.grants {
		if g.state == "delivered" {
			sum += g.cost
		}
	}
	return sum
}

func (c *chronicle) points() int64 {
	var sum int64
	for _, g := range c.grants {
		if g.state == "delivered" {
			sum += g.points
		}
	}
	return sum
}

// couponsUsed counts the codes handed out; one that was seen is never handed out again.
func (c *chronicle) couponsUsed(reward string) int64 {
	var n int64
	for _, g := range c.grants {
		if g.reward == reward && g.coupon != 0 {
			n++
		}
	}
	return n
}

// short tells what lacks for one more of a reward.
func (c *chronicle) short(r *campaign.Reward) string {
	switch {
	case c.reserved(r.Name) >= r.Stock:
		return "stock"
	case c.d.Budget != nil && c.promised()+c.delivered()+r.UnitCost > c.d.Budget.Limit:
		return "budget"
	}
	return ""
}

func (c *chronicle) award(person int64, tier, name string) {
	g := &gift{person: person, tier: tier, reward: name}
	c.grants = append(c.grants, g)
	switch short := c.short(c.d.Reward(name)); {
	case short == "" && c.howMany(name, "waitlisted") == 0:
		c.reserve(g)
	case short == "budget" && c.d.Budget.OnExhausted == campaign.Reject:
		g.state = "rejected"
	default:
		g.state = "waitlisted"
	}
}

func (c *chronicle) reserve(g *gift) {
	r := c.d.Reward(g.reward)
	g.cost, g.points, g.state = r.UnitCost, r.Points, "granted"
	if r.Review {
		g.state = "review"
		return
	}
	c.handOver(g)
}

func (c *chronicle) handOver(g *gift) {
	switch c.d.Reward(g.reward).Kind {
	case campaign.Points:
		g.state = "delivered"
	case campaign.Coupon:
		if used := c.couponsUsed(g.reward); used < c.coupons[g.reward] {
			g.state, g.coupon = "delivered", used+1
		}
	}
}

// serve gives those who wait what there is again, in the order of arrival.
func (c *chronicle) serve() {
	for _, g := range c.grants {
		if g.state == "granted" && c.d.Reward(g.reward).Kind == campaign.Coupon {
			c.handOver(g)
		}
	}
	stuck := map[string]bool{}
	for _, g := range c.grants {
		if g.state != "waitlisted" {
			continue
		}
		stuck[g.reward] = stuck[g.reward] || c.short(c.d.Reward(g.reward)) != ""
		if !stuck[g.reward] {
			c.reserve(g)
		}
	}
}

// judge carries out a decision about a grant.
func (c *chronicle) judge(kind string, no int64) result {
	if no < 1 || no > int64(len(c.grants)) {
		return result{outcome: event.Refused}
	}
	g := c.grants[no-1]
	refused := result{outcome: event.Refused}
	switch kind {
	case event.GrantApproved:
		if g.state != "review" {
			return refused
		}
		g.state = "granted"
		c.handOver(g)
	case event.GrantDelivered:
		if g.state != "granted" {
			return refused
		}
		g.state = "delivered"
	case event.GrantRejected:
		if g.state != "review" && g.state != "waitlisted" {
			return refused
		}
		g.state = "rejected"
		c.serve()
	case event.GrantRevoked:
		if g.state == "rejected" || g.state == "revoked" {
			return refused
		}
		g.state = "revoked"
		c.serve()
	}
	return result{outcome: event.Applied}
}

func bytesOf(s *string) []byte {
	if s == nil {
		return nil
	}
	return []byte(*s)
}
