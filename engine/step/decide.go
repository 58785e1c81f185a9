package step

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/internal/fault"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// Order is the data of the engine's own events; each type reads the fields it needs.
type Order struct {
	By        string `json:"by,omitempty"`         // name of the key that asked
	Reason    string `json:"reason,omitempty"`     // what they said
	Revision  int    `json:"revision,omitempty"`   // campaign.revised, campaign.launched
	InvitedBy string `json:"invited_by,omitempty"` // participant.joined: a code
	Grant     int64  `json:"grant,omitempty"`      // grant.*: its number
	Reward    string `json:"reward,omitempty"`     // coupons.added
	Coupons   int64  `json:"coupons,omitempty"`    // coupons.added: number of the last code there is now
}

// decide applies one of the engine's own events.
func (w *World) decide(e *event.Event) (event.Outcome, event.Detail, error) {
	var detail event.Detail
	var order Order
	if e.Data != nil {
		if err := json.Unmarshal([]byte(*e.Data), &order); err != nil {
			return "", detail, fmt.Errorf("data of %s: %w", e.Type, err)
		}
	}
	outcome := event.Applied
	var err error
	switch e.Type {
	case event.Launched:
		err = w.launch(e)
	case event.Paused:
		err = w.turn("pause")
	case event.Resumed:
		err = w.turn("resume")
	case event.Ended:
		err = w.turn("end")
	case event.Revised:
		err = w.revise(e, order, &detail)
	case event.Joined:
		outcome, err = w.join(e, order, &detail)
	case event.Blocked, event.Unblocked:
		p := w.person(e.Person)
		p.Facts.Blocked = e.Type == event.Blocked
		w.touch(p)
		if !p.Facts.Blocked {
			err = w.letGo(p, e, &detail)
		}
	case event.GrantApproved:
		err = w.turnGrant(e, order, reward.Approve, &detail)
	case event.GrantRejected:
		err = w.turnGrant(e, order, reward.Refuse, &detail)
	case event.GrantDelivered:
		err = w.turnGrant(e, order, reward.Deliver, &detail)
	case event.GrantRevoked:
		err = w.turnGrant(e, order, reward.Revoke, &detail)
	case event.CouponsAdded:
		s := w.shelf(order.Reward)
		s.Coupons = max(s.Coupons, order.Coupons)
		w.touchShelf(s)
		err = w.serve(e, &detail)
	case event.TimePassed:
		err = w.passTime(e, &detail)
	default:
		err = fmt.Errorf("no rule for events of type %q", e.Type)
	}
	var refused *fault.Error
	if errors.As(err, &refused) {
		detail.Reason = refused.Message
		for _, f := range refused.Fields {
			detail.Fields = append(detail.Fields, f.Field+": "+f.Message)
		}
		return event.Refused, detail, nil
	}
	return outcome, detail, err
}

func (w *World) turn(verb string) error {
	next, err := w.Campaign.Status.Next(verb)
	if err != nil {
		return err
	}
	w.Campaign.Status = next
	return nil
}

// launch starts the campaign: stock is set out and the budget committed.
func (w *World) launch(e *event.Event) error {
	if err := w.turn("launch"); err != nil {
		return err
	}
	w.stock()
	if b := w.Definition.Budget; b != nil {
		_, err := w.post(ledger.Commit(ledger.Cause{At: e.ReceivedAt, Event: e.ID, Memo: "budget committed at launch"}, b.Limit, b.Currency))
		return err
	}
	return nil
}

// stock sets every shelf to what the definition says.
func (w *World) stock() {
	for _, r := range w.Definition.Rewards {
		s := w.shelf(r.Name)
		s.Stock = r.Stock
		w.touchShelf(s)
	}
}

// Running is what a campaign has promised so far, for campaign.BrokenPromises.
func (w *World) Running() campaign.Running {
	now := campaign.Running{Participants: w.Campaign.Participants, Granted: map[string]int64{}}
	for name, s := range w.Shelves {
		now.Granted[name] = s.Granted
	}
	if b := w.Definition.Budget; b != nil {
		now.Committed = b.Limit - w.Campaign.Book.Balance(ledger.Available, b.Currency)
	}
	return now
}

// BreaksPromises refuses a revision for the fields that would hurt those already in the campaign.
func BreaksPromises(fields []fault.Field) *fault.Error {
	refused := fault.New(fault.Conflict, "this would break a promise to those already in the campaign")
	refused.Fields = fields
	return refused
}

// revise puts another definition in force. Once a campaign runs, only one that keeps its promises.
func (w *World) revise(e *event.Event, order Order, detail *event.Detail) error {
	next := w.Revisions[order.Revision]
	if next == nil {
		return fmt.Errorf("revision %d is not there", order.Revision)
	}
	before := w.Definition
	if w.Campaign.Status == campaign.Ended {
		return fault.New(fault.Conflict, "this campaign has ended; give a new campaign its own id")
	}
	running := w.Campaign.Status != campaign.Draft
	if running {
		if broken := campaign.BrokenPromises(before, next, w.Running()); len(broken) > 0 {
			return BreaksPromises(broken)
		}
	}
	w.Definition, w.Campaign.Revision = next, order.Revision
	if !running {
		return nil
	}
	w.stock()
	if next.Budget != nil && before.Budget != nil {
		cause := ledger.Cause{At: e.ReceivedAt, Event: e.ID, Memo: fmt.Sprintf("revision %d", order.Revision)}
		if _, err := w.post(ledger.ChangeBudget(cause, next.Budget.Limit-before.Budget.Limit, next.Budget.Currency)); err != nil {
			return err
		}
	}
	w.Campaign.Recheck = 1 // somebody may meet a tier now that they did not meet before
	return w.serve(e, detail)
}

// join makes a person a participant. Joining twice changes nothing.
func (w *World) join(e *event.Event, order Order, detail *event.Detail) (event.Outcome, error) {
	p := w.person(e.Person)
	if p.Joined() {
		detail.Reason = event.JoinedBefore
		return event.Applied, nil
	}
	if w.Campaign.Status != campaign.Live {
		return event.CampaignNotLive, nil
	}
	if limit := w.Definition.Limits.Participants; limit > 0 && w.Campaign.Participants >= limit {
		return event.LimitReached, nil
	}
	p.Code, p.JoinedAt = e.Code, e.Time
	p.Facts.Variant = w.Definition.Variant(uint64(p.Person))
	w.Campaign.Participants++
	w.touch(p)
	if owner := w.Owners[strings.ToUpper(order.InvitedBy)]; owner != 0 && w.person(owner).Joined() {
		p.Touch(owner, e.Time)
		e.Owner = owner
		if err := w.adopt(moment{Event: e, actor: p, owner: owner, detail: detail}); err != nil {
			return "", err
		}
	} else if order.InvitedBy != "" {
		detail.Reason = event.InviterUnknown
	}
	return event.Applied, w.tiers(p, e, detail)
}

// letGo gives somebody what they came by while they were blocked.
func (w *World) letGo(p *campaign.Person, e *event.Event, detail *event.Detail) error {
	if err := w.tiers(p, e, detail); err != nil {
		return err
	}
	for _, t := range w.Definition.Tasks {
		if c := w.Credits[CreditKey{p.Person, t.Name, 0}]; c != nil && c.State == campaign.CreditStanding {
			return w.welcome(p, e, detail)
		}
	}
	return nil
}

// turnGrant carries out a decision about a grant.
func (w *World) turnGrant(e *event.Event, order Order, verb reward.Verb, detail *event.Detail) error {
	g := w.Grants[order.Grant]
	if g == nil {
		return fault.New(fault.NotFound, "there is no such grant")
	}
	next, err := g.State.Next(verb)
	if err != nil {
		return err
	}
	s := w.shelf(g.Reward)
	detail.Grants = append(detail.Grants, g.No)
	w.touchGrant(g)
	w.touchShelf(s)
	switch verb {
	case reward.Approve:
		g.State = next
		err = w.handOver(g, s, e)
	case reward.Deliver:
		err = w.deliver(g, s, e)
	default:
		err = w.release(g, s, e, order.Reason)
	}
	if err != nil {
		return err
	}
	if order.Reason != "" {
		g.Reason = cut(order.Reason, 200)
	}
	if verb == reward.Approve || verb == reward.Deliver {
		g.UpdatedAt = e.ReceivedAt
		w.oweNews(g, e)
		return nil
	}
	g.State, g.UpdatedAt = next, e.ReceivedAt
	w.oweNews(g, e)
	return w.serve(e, detail)
}

// passTime does what falls due by itself: the end, holds, waiting grants, tiers that a revision brought near.
func (w *World) passTime(e *event.Event, detail *event.Detail) error {
	running := w.Campaign.Status == campaign.Live || w.Campaign.Status == campaign.Paused
	if running && e.Time >= w.Definition.Schedule.Ends.UnixMilli() {
		w.Campaign.Status = campaign.Ended
	}
	w.Campaign.NextDue = 0
	done := 0
	for _, key := range w.Queues.Held {
		c := w.Credits[key]
		if *c.DueAt > e.Time || done == MaxQueue {
			w.Campaign.NextDue = *c.DueAt
			break
		}
		done++
		c.State = campaign.CreditStanding
		w.touchCredit(c)
		w.person(c.Owner).Hold(c.Task, -1)
		if err := w.counted(c.Task, e, c, detail); err != nil {
			return err
		}
		detail.Tasks = append(detail.Tasks, event.TaskDetail{Task: c.Task, Outcome: event.Credited, Owner: c.Owner, Event: c.Event})
	}
	if w.Campaign.Recheck != 0 {
		for _, number := range w.Queues.Recheck {
			if err := w.tiers(w.person(number), e, detail); err != nil {
				return err
			}
		}
		w.Campaign.Recheck = 0
		if n := len(w.Queues.Recheck); n == MaxQueue {
			w.Campaign.Recheck = w.Queues.Recheck[n-1] + 1
		}
	}
	return w.serve(e, detail)
}

// DueAt is when the campaign next has something to do by itself, UTC milliseconds; 0 for never.
func (c *Campaign) DueAt(d *campaign.Definition) int64 {
	if c.CatchUp || c.Recheck != 0 {
		return 1
	}
	due := c.NextDue
	if c.Status == campaign.Live || c.Status == campaign.Paused {
		if ends := d.Schedule.Ends.UnixMilli(); due == 0 || ends < due {
			due = ends
		}
	}
	return due
}
