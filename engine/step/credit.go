package step

import (
	"fmt"
	"strings"
	"time"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/notify"
)

// give credits what a task listens to.
func (w *World) give(t *campaign.Task, m moment) (event.TaskDetail, error) {
	if m.actor.Facts.Blocked {
		return event.TaskDetail{Outcome: event.BlockedOutcome, Reason: "actor"}, nil
	}
	if met, err := t.Matches(data(m.Event), m.Type, time.UnixMilli(m.Time)); !met {
		result := event.TaskDetail{Outcome: event.ConditionNotMet}
		if err != nil {
			result.Reason = cut(err.Error(), 200)
		}
		return result, nil
	}
	if t.Credit == campaign.Actor {
		return w.giveActor(t, m)
	}
	if c := w.Credits[CreditKey{m.Person, t.Name, 0}]; c != nil {
		result, err := w.giveAgain(t, m, c)
		if m.lost && result.Outcome == event.DuplicateInvitee {
			result = event.TaskDetail{Outcome: event.UnknownCode}
		}
		return result, err
	}
	result, err := w.giveFirst(t, m)
	if t.RevokeOn != "" && result.Outcome != event.BlockedOutcome && w.Credits[CreditKey{m.Person, t.Name, 0}] == nil {
		m.actor.Came(t.Name, m.Time)
		w.touch(m.actor)
	}
	return result, err
}

// giveFirst credits whoever brought an invitee that the task has not counted yet.
func (w *World) giveFirst(t *campaign.Task, m moment) (event.TaskDetail, error) {
	if m.lost {
		return event.TaskDetail{Outcome: event.UnknownCode}, nil
	}
	owner, result := w.inviterFor(m)
	if owner == 0 {
		m.actor.Orphan(m.orphan(t))
		w.touch(m.actor)
		return result, nil
	}
	return w.giveInviter(t, m, w.person(owner), m.orphan(t))
}

// inviterFor finds whom the actor came through: the code the event names, else the inviter they are bound to if they
// had touched a code by then, else the last code they touched within the window.
func (w *World) inviterFor(m moment) (int64, event.TaskDetail) {
	if m.owner != 0 {
		return m.owner, event.TaskDetail{}
	}
	if m.actor.Inviter != 0 && m.actor.TouchedBy(m.Time) {
		return m.actor.Inviter, event.TaskDetail{}
	}
	owner, found, late := m.actor.LastTouch(m.Time, w.Definition.Attribution.Window)
	switch {
	case found:
		return owner, event.TaskDetail{}
	case late:
		return 0, event.TaskDetail{Outcome: event.OutsideWindow, Owner: owner}
	}
	return 0, event.TaskDetail{Outcome: event.NoInviter}
}

// orphan is what a task reads of an event, for itself or for the code that is still to come.
func (m moment) orphan(t *campaign.Task) campaign.Orphan {
	return campaign.Orphan{
		Task: t.Name, At: m.Time, Event: m.ID, Order: cut(m.facts.Order, maxRef), Known: m.facts.New != nil && !*m.facts.New,
	}
}

// giveInviter credits an inviter for what an invitee did whom the task has not counted yet, or says why not. The
// moment is when they are credited: that of the event itself, or of the code that came after it.
func (w *World) giveInviter(t *campaign.Task, m moment, owner *campaign.Person, o campaign.Orphan) (event.TaskDetail, error) {
	actor := m.actor
	no := func(outcome event.Outcome, reason string) (event.TaskDetail, error) {
		return event.TaskDetail{Outcome: outcome, Owner: owner.Person, Reason: reason}, nil
	}
	switch {
	case owner.Person == actor.Person:
		return no(event.SelfInvite, "")
	case actor.Inviter != 0 && actor.Inviter != owner.Person:
		return no(event.DuplicateInvitee, "other_inviter")
	case owner.Facts.Blocked:
		return no(event.BlockedOutcome, "inviter")
	case actor.Inviter == 0 && w.descends(owner, actor.Person):
		return no(event.SelfInvite, "loop")
	case t.NewUsersOnly && (o.Known || actor.KnownBefore(o.At)):
		return no(event.NotNewUser, "")
	}
	leftAt, cameAt := lastLeft(t, actor, o.Order), actor.Facts.Came.Of(t.Name)
	onAt := max(o.At, cameAt) // they may have come back since, and only the news was faster
	leftLater := leftAt > onAt
	if leftAt == onAt && m.ID != o.Event && cameAt != onAt {
		leftLater = true // of two at one moment the journal's order tells, and this one was heard of after that event
	}
	if !leftLater {
		if reason := w.overLimit(t, owner, o.At); reason != "" {
			return no(event.LimitReached, reason)
		}
	}

	if actor.Inviter == 0 {
		actor.Inviter, actor.Depth = owner.Person, owner.Depth+1
		owner.Facts.Invited++
	}
	actor.Facts.Came.Drop(t.Name)
	w.touch(actor)
	w.touch(owner)
	c := &campaign.Credit{
		Campaign: w.Number, Person: actor.Person, Task: t.Name, Owner: owner.Person, OnAt: onAt,
		Ref: o.Order, Event: o.Event,
	}
	if leftLater {
		// The leaving overtook the following on its way: the credit exists, so that coming back restores it.
		c.State, c.OffAt = campaign.CreditReversed, leftAt
		hold(t, c, o.At)
		w.touchCredit(c)
		return no(event.Reversed, "left_later")
	}
	outcome, err := w.stand(t, m.Event, c, o.At, m.detail)
	return event.TaskDetail{Outcome: outcome, Owner: owner.Person}, err
}

// giveAgain handles an invitee whom the task knows: a second credit never, the first one back where it was taken.
func (w *World) giveAgain(t *campaign.Task, m moment, c *campaign.Credit) (event.TaskDetail, error) {
	owner := w.person(c.Owner)
	result := event.TaskDetail{Outcome: event.DuplicateInvitee, Owner: c.Owner}
	switch {
	case lastLeft(t, m.actor, m.facts.Order) > m.Time:
		result.Reason = "left_later" // the leaving overtook this on its way
		return result, nil
	case c.State != campaign.CreditReversed:
		if m.owner != 0 && m.owner != c.Owner {
			result.Reason = "other_inviter"
		}
		if m.Time > c.OnAt {
			c.OnAt = m.Time
			w.touchCredit(c)
		}
		return result, nil
	case m.Time < c.OffAt:
		result.Reason = "left_later"
		return result, nil
	case owner.Facts.Blocked:
		return event.TaskDetail{Outcome: event.BlockedOutcome, Owner: c.Owner, Reason: "inviter"}, nil
	}
	c.OnAt = m.Time
	if m.facts.Order != "" {
		c.Ref = cut(m.facts.Order, maxRef)
	}
	outcome, err := w.stand(t, m.Event, c, 0, m.detail)
	if outcome == event.Credited {
		outcome = event.Restored
	}
	return event.TaskDetail{Outcome: outcome, Owner: c.Owner}, err
}

// giveActor counts what somebody did for themselves.
func (w *World) giveActor(t *campaign.Task, m moment) (event.TaskDetail, error) {
	actor := m.actor
	w.touch(actor)
	left, leftAt := overtaken(t, m)
	if left == "" {
		if reason := w.overLimit(t, actor, m.Time); reason != "" {
			return event.TaskDetail{Outcome: event.LimitReached, Owner: actor.Person, Reason: reason}, nil
		}
	}
	c := &campaign.Credit{
		Campaign: w.Number, Person: actor.Person, Task: t.Name, N: actor.Issue(t.Name), Owner: actor.Person, OnAt: m.Time,
		Ref: cut(m.facts.Order, maxRef), Event: m.ID,
	}
	if left != "" {
		actor.Facts.Left.Drop(left)
		c.State, c.OffAt = campaign.CreditReversed, leftAt
		hold(t, c, m.Time)
		w.touchCredit(c)
		return event.TaskDetail{Outcome: event.Reversed, Owner: actor.Person, Reason: "left_later"}, nil
	}
	outcome, err := w.stand(t, m.Event, c, m.Time, m.detail)
	return event.TaskDetail{Outcome: outcome, Owner: actor.Person}, err
}

// overtaken finds the refund that came in before the purchase it takes back: it names the purchase's order or event,
// or none at all.
func overtaken(t *campaign.Task, m moment) (left string, at int64) {
	if t.RevokeOn == "" {
		return "", 0
	}
	for _, order := range []string{m.facts.Order, m.ID, ""} {
		left = t.Name + ":" + leaving(t.RevokeOn, order)
		if at = m.actor.Facts.Left.Of(left); at > m.Time {
			return left, at
		}
	}
	return "", 0
}

// stand lets a credit count: now, or when its hold passes. from is when a new credit's hold begins; 0 keeps the hold
// a restored one had.
func (w *World) stand(t *campaign.Task, e *event.Event, c *campaign.Credit, from int64, detail *event.Detail) (event.Outcome, error) {
	if from != 0 {
		hold(t, c, from)
	}
	owner := w.person(c.Owner)
	w.touch(owner)
	if c.DueAt != nil && *c.DueAt > e.ReceivedAt {
		c.State = campaign.CreditHeld
		owner.Hold(t.Name, 1)
		w.touchCredit(c)
		if w.Campaign.NextDue == 0 || *c.DueAt < w.Campaign.NextDue {
			w.Campaign.NextDue = *c.DueAt
		}
		return event.Held, nil
	}
	c.State = campaign.CreditStanding
	w.touchCredit(c)
	return event.Credited, w.counted(t.Name, e, c, detail)
}

// hold sets when the hold of a credit passes.
func hold(t *campaign.Task, c *campaign.Credit, from int64) {
	if t.Hold <= 0 {
		return
	}
	due := from + t.Hold.Milliseconds()
	c.DueAt = &due
}

// counted is what follows when a credit begins to count: the rank, the tiers, the invitee's welcome.
func (w *World) counted(task string, e *event.Event, c *campaign.Credit, detail *event.Detail) error {
	owner := w.person(c.Owner)
	owner.Count(task, 1)
	if task == w.Definition.RankingTask() {
		owner.Score++
		owner.ScoredSeq = w.Campaign.Seq + 1
		w.Campaign.Credited++
	}
	w.touch(owner)
	if err := w.tiers(owner, e, detail); err != nil {
		return err
	}
	if c.N != 0 {
		return nil
	}
	w.oweProgress(notify.Credited, task, e, c)
	return w.welcome(w.person(c.Person), e, detail)
}

// takeBack reverses what a task credited, where the event is later than what gave it.
func (w *World) takeBack(t *campaign.Task, m moment, live bool) event.TaskDetail {
	var c *campaign.Credit
	if t.Credit == campaign.Actor {
		c = w.ownCredit(t, m)
		if c == nil {
			if live {
				m.actor.Left(t.Name+":"+leaving(t.RevokeOn, m.facts.Order), m.Time)
			}
			return event.TaskDetail{}
		}
	} else {
		m.actor.Left(leaving(m.Type, m.facts.Order), m.Time)
		c = w.Credits[CreditKey{m.Person, t.Name, 0}]
		if c == nil && m.facts.Order == "" {
			m.actor.Gone(t.Name, m.Time)
		}
		if c == nil || c.Ref != "" && m.facts.Order != "" && c.Ref != m.facts.Order {
			return event.TaskDetail{}
		}
	}
	// What waits for its hold can still be lost after the end; what counts cannot.
	if !live && (!w.overAt(m.Time) || c.State != campaign.CreditHeld) {
		return event.TaskDetail{Outcome: event.CampaignNotLive, Owner: c.Owner}
	}
	if m.Time < c.OnAt {
		return event.TaskDetail{}
	}
	if c.State == campaign.CreditReversed {
		if m.Time > c.OffAt {
			c.OffAt = m.Time
			w.touchCredit(c)
		}
		return event.TaskDetail{}
	}
	owner := w.person(c.Owner)
	if c.State == campaign.CreditHeld {
		owner.Hold(t.Name, -1)
	} else {
		owner.Count(t.Name, -1)
		if c.N == 0 {
			w.oweProgress(notify.Revoked, t.Name, m.Event, c)
		}
		if t.Name == w.Definition.RankingTask() {
			owner.Score--
			owner.ScoredSeq = w.Campaign.Seq + 1
			w.Campaign.Credited--
		}
	}
	c.State, c.OffAt = campaign.CreditReversed, m.Time
	w.touchCredit(c)
	w.touch(owner)
	return event.TaskDetail{Outcome: event.Reversed, Owner: c.Owner}
}

// ownCredit finds the credit of an actor's own task that a refund takes back: the one of the order it names, else
// the latest that stands and is not later than it.
func (w *World) ownCredit(t *campaign.Task, m moment) *campaign.Credit {
	var latest *campaign.Credit
	for n := m.actor.Facts.Issued.Of(t.Name); n > 0; n-- {
		c := w.Credits[CreditKey{m.Person, t.Name, n}]
		if c == nil {
			break // older ones are not loaded
		}
		switch {
		case m.facts.Order != "" && (c.Ref == m.facts.Order || c.Event == m.facts.Order):
			return c
		case m.facts.Order == "" && c.State != campaign.CreditReversed && c.OnAt <= m.Time && (latest == nil || c.OnAt > latest.OnAt):
			latest = c
		}
	}
	return latest
}

// adopt credits earlier events of the actor that found no inviter when the code arrives late: it was touched before
// them, within the window.
func (w *World) adopt(m moment) error {
	if m.actor.Facts.Blocked || m.owner == m.Person {
		return nil
	}
	var waiting []campaign.Orphan
	for _, o := range m.actor.Facts.Orphans {
		t := w.Definition.Task(o.Task)
		if t == nil || w.Credits[CreditKey{m.Person, o.Task, 0}] != nil {
			continue
		}
		if m.Time > o.At || o.At-m.Time > w.Definition.Attribution.Window.Milliseconds() {
			waiting = append(waiting, o)
			continue
		}
		result, err := w.giveInviter(t, m, w.person(m.owner), o)
		if err != nil {
			return err
		}
		result.Task, result.Event = t.Name, o.Event
		m.detail.Tasks = append(m.detail.Tasks, result)
	}
	if len(waiting) != len(m.actor.Facts.Orphans) {
		m.actor.Facts.Orphans = waiting
		w.touch(m.actor)
	}
	return nil
}

// descends says whether somebody was invited, directly or over others, by the ancestor.
func (w *World) descends(p *campaign.Person, ancestor int64) bool {
	if w.person(ancestor).Facts.Invited == 0 {
		return false
	}
	for p.Inviter != 0 {
		if p.Inviter == ancestor {
			return true
		}
		p = w.person(p.Inviter)
	}
	return false
}

// overLimit takes one credit from the owner's allowances, or names the one that is used up.
func (w *World) overLimit(t *campaign.Task, owner *campaign.Person, at int64) string {
	local := time.UnixMilli(at).In(w.Definition.Schedule.Location())
	day := local.Format(time.DateOnly) + "/" + t.Name
	hour := local.Format(time.DateOnly + "T15")
	perHour := w.Definition.Limits.InvitesPerInviterPerHour
	limitHour := t.Credit == campaign.Inviter && perHour > 0
	if limitHour && owner.Facts.Used.Of(hour) >= perHour {
		return "per_hour"
	}
	if t.PerDay > 0 && !owner.Use(day, t.PerDay) {
		return "per_day"
	}
	if limitHour {
		owner.Use(hour, perHour)
	}
	return ""
}

// maxRef bounds the characters of an order that a credit remembers.
const maxRef = 128

// leaving names what took, or will take, a credit back: the event's type, with the order where one is named.
func leaving(eventType, order string) string {
	if order == "" {
		return eventType
	}
	return fmt.Sprintf("%s/%.64s", eventType, order)
}

// lastLeft is when a person last did what takes a task's credit for an order back; 0 for never. Without a name on
// either side every leaving does.
func lastLeft(t *campaign.Task, p *campaign.Person, order string) int64 {
	if t.RevokeOn == "" {
		return 0
	}
	at := p.Facts.Left.Of(t.RevokeOn)
	if order != "" {
		return max(at, p.Facts.Left.Of(leaving(t.RevokeOn, order)))
	}
	for _, left := range p.Facts.Left {
		if strings.HasPrefix(left.Name, t.RevokeOn+"/") {
			at = max(at, left.N)
		}
	}
	return at
}

func data(e *event.Event) []byte {
	if e.Data == nil {
		return nil
	}
	return []byte(*e.Data)
}
