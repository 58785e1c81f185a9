package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"unicode/utf8"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/internal/fault"
	"kfactor/reward"
)

// Explain tells every event that touched a participant, in order, why each task, tier and grant stands where it stands,
// and for each tier the chain that leads to it with the first thing that stopped it. names false leaves out what
// identifies people.
func (e *Engine) Explain(ctx context.Context, id, text string, names bool) (ExplainView, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return ExplainView{}, err
	}
	rows, truncated, err := e.touching(ctx, c, &p)
	if err != nil {
		return ExplainView{}, err
	}
	r, err := e.gather(ctx, c, rows, p.Person, names)
	if err != nil {
		return ExplainView{}, err
	}
	v := ExplainView{Truncated: truncated, Tasks: []ExplainedThing{}, Tiers: []ExplainedThing{}, Grants: []ExplainedThing{}}
	if v.Participant, err = e.view(ctx, c, &p, names); err != nil {
		return v, err
	}
	if v.Events, err = e.tell(ctx, r, rows); err != nil {
		return v, err
	}
	v.Chains = r.tellParticipant(&p, rows)
	for _, t := range r.present().Tasks {
		v.Tasks = append(v.Tasks, r.explainTask(t, &p))
	}
	for _, t := range r.present().Tiers {
		v.Tiers = append(v.Tiers, r.explainTier(t, &p))
	}
	for _, g := range r.given[p.Person] {
		said := r.explainGrant(g)
		v.Grants = append(v.Grants, ExplainedThing{Name: fmt.Sprintf("%s.%d %s (%s)", id, g.No, g.Reward, g.Tier), State: string(g.State), Why: said.en, WhyZH: said.zh})
	}
	if v.Messages, err = e.explainMessages(ctx, p.Person); err != nil {
		return v, err
	}
	v.MessagesGone, err = e.messagesGone(ctx, &p)
	return v, err
}

// ExplainTouch is Explain with one event alone; fault.NotFound for an event that did not touch the participant.
func (e *Engine) ExplainTouch(ctx context.Context, id, text, eventID string, names bool) (ExplainView, error) {
	v, err := e.Explain(ctx, id, text, names)
	if err != nil {
		return v, err
	}
	// Ids are unique among events from outside and among the engine's own, and the former are asked for first.
	found := slices.IndexFunc(v.Events, func(x ExplainedEvent) bool { return x.ID == eventID && !x.System })
	if found < 0 {
		found = slices.IndexFunc(v.Events, func(x ExplainedEvent) bool { return x.ID == eventID })
	}
	if found >= 0 {
		v.Events, v.Truncated = v.Events[found:found+1], false
		return v, nil
	}
	if _, err := e.event(ctx, id, eventID); err != nil {
		return ExplainView{}, err
	}
	if v.Truncated {
		return ExplainView{}, fault.New(fault.NotFound, "event %s is not among the latest %d that touched this participant; have it explained by itself, without the code", shownID(eventID), maxExplained)
	}
	return ExplainView{}, fault.New(fault.NotFound, "event %s did not touch this participant; have it explained by itself, without the code", shownID(eventID))
}

// ExplainEvent tells what one event led to, whoever it is of, and the first thing that stopped it.
func (e *Engine) ExplainEvent(ctx context.Context, id, eventID string, names bool) (ExplainedEvent, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return ExplainedEvent{}, err
	}
	row, err := e.event(ctx, id, eventID)
	if err != nil {
		return ExplainedEvent{}, err
	}
	rows := []event.Event{row}
	r, err := e.gather(ctx, c, rows, 0, names)
	if err != nil {
		return ExplainedEvent{}, err
	}
	told, err := e.tell(ctx, r, rows)
	if err != nil {
		return ExplainedEvent{}, err
	}
	return told[0], nil
}

// event finds an event of a campaign by its id: one from outside, else one of the engine's own.
func (e *Engine) event(ctx context.Context, id, eventID string) (event.Event, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return event.Event{}, err
	}
	unknown := fault.New(fault.NotFound, "campaign %s has no event %s; GET /v1/campaigns/%s/events lists them", id, shownID(eventID), id)
	if n := utf8.RuneCountInString(eventID); n == 0 || n > event.MaxID || !utf8.ValidString(eventID) {
		return event.Event{}, unknown
	}
	for _, system := range []bool{false, true} {
		var row event.Event
		err = e.DB.WithContext(ctx).Where("campaign = ? AND system = ? AND id = ?", c.no, system, eventID).Take(&row).Error
		if !errors.Is(err, gorm.ErrRecordNotFound) {
			return row, err
		}
	}
	return event.Event{}, unknown
}

// shownID is an event's id in an error: quoted, and cut where no event can have it.
func shownID(id string) string {
	if utf8.RuneCountInString(id) > event.MaxID {
		return fmt.Sprintf("%.64q…", id)
	}
	return strconv.Quote(id)
}

// tell explains events from their records.
func (e *Engine) tell(ctx context.Context, r *records, rows []event.Event) ([]ExplainedEvent, error) {
	views, err := e.eventViews(ctx, rows, r.names)
	if err != nil {
		return nil, err
	}
	told := make([]ExplainedEvent, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		chains := r.tellEvent(row)
		said := r.sumUp(row, chains)
		told = append(told, ExplainedEvent{EventView: views[i], Revision: r.revision(row), Why: said.en, WhyZH: said.zh, Chains: chains})
	}
	return told, nil
}

// touching are the events that a participant did, that concerned their code or what they were given, in order: the
// latest of them, and whether there are more.
func (e *Engine) touching(ctx context.Context, c known, p *campaign.Person) ([]event.Event, bool, error) {
	db := e.DB.WithContext(ctx)
	var rows []event.Event
	for column, table := range map[string]string{"person": "events", "owner": "outcomes"} {
		// By the table that has the column: asked of the journal, SQLite would go through the whole campaign.
		var places []int64
		err := db.Table(table).Where("campaign = ? AND "+column+" = ?", c.no, p.Person).Order("seq DESC").Limit(maxExplained+1).Pluck("seq", &places).Error
		if err != nil {
			return nil, false, err
		}
		for chunk := range slices.Chunk(places, inChunk) {
			var part []event.Event
			if err := db.Where("campaign = ? AND seq IN ? AND outcome <> ''", c.no, chunk).Find(&part).Error; err != nil {
				return nil, false, err
			}
			rows = append(rows, part...)
		}
	}
	others, err := e.reaching(ctx, c, p, rows)
	if err != nil {
		return nil, false, err
	}
	rows = append(rows, others...)
	rows = slices.DeleteFunc(rows, func(r event.Event) bool { return r.Outcome == "" })
	slices.SortFunc(rows, func(a, b event.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	rows = slices.CompactFunc(rows, func(a, b event.Event) bool { return a.Seq == b.Seq })
	if len(rows) > maxExplained {
		return rows[len(rows)-maxExplained:], true, nil
	}
	return rows, false, nil
}

// reaching are events that name somebody else, or nobody, and reached a participant all the same: a follow that a late
// scan completed, the moment a hold passed, what brought stock for their grants.
func (e *Engine) reaching(ctx context.Context, c known, p *campaign.Person, rows []event.Event) ([]event.Event, error) {
	r, err := e.gather(ctx, c, rows, p.Person, false)
	if err != nil {
		return nil, err
	}
	db := e.DB.WithContext(ctx)
	var ids []string
	var passed []event.Event
	looked := 0
	slices.SortFunc(r.credits, func(a, b campaign.Credit) int { return int(b.OnAt - a.OnAt) })
	for i := range r.credits {
		cr := &r.credits[i]
		if cr.Owner != p.Person {
			continue
		}
		ids = append(ids, cr.Event)
		through := cr.DueAt != nil && (cr.State == campaign.CreditStanding || cr.State == campaign.CreditReversed && cr.OffAt >= *cr.DueAt)
		known := slices.ContainsFunc(passed, func(x event.Event) bool { return completes(&x, cr.Event) })
		if !through || known || looked == maxPassings {
			continue
		}
		looked++
		found, err := r.passing(db, *cr.DueAt, cr.Event)
		if err != nil {
			return nil, err
		}
		if found != nil {
			passed = append(passed, *found)
		}
	}
	var causes []string
	for _, entry := range r.promised {
		causes = append(causes, entry.Event)
	}
	for i, g := range r.given[p.Person] {
		if g.DeliveredBy == 0 || i >= maxPassings {
			continue
		}
		entry, err := r.posted(db, g.DeliveredBy)
		if err != nil {
			return nil, err
		}
		causes = append(causes, entry.Event)
	}
	outside, err := eventsOf(db, c.no, false, append(ids, causes...))
	if err != nil {
		return nil, err
	}
	system, err := eventsOf(db, c.no, true, causes)
	return slices.Concat(passed, outside, system), err
}

// completes says whether an event made another one count.
func completes(e *event.Event, id string) bool {
	d, err := e.Details()
	return err == nil && slices.ContainsFunc(d.Tasks, func(t event.TaskDetail) bool { return t.Event == id })
}

func (r *records) explainTask(t campaign.Task, p *campaign.Person) ExplainedThing {
	count, held := p.Facts.Counts.Of(t.Name), p.Facts.Held.Of(t.Name)
	said := say("%d counted.", "已计 %d 次。", count)
	if held > 0 {
		said = said.and(say("%d more in their hold.", "另有 %d 次在观察期。", held))
		if next := r.nextDue(t.Name, p); next != 0 {
			said = said.and(say("The next passes at %s.", "最早 %s 期满。", r.at(next)))
		}
	}
	return ExplainedThing{Name: t.Name, State: fmt.Sprint(count), Why: said.en, WhyZH: said.zh}
}

// nextDue is when the first of somebody's waiting credits passes, UTC milliseconds; 0 where none is at hand.
func (r *records) nextDue(task string, p *campaign.Person) (next int64) {
	for i := range r.credits {
		c := &r.credits[i]
		if c.Task == task && c.Owner == p.Person && c.State == campaign.CreditHeld && c.DueAt != nil && (next == 0 || *c.DueAt < next) {
			next = *c.DueAt
		}
	}
	return next
}

func (r *records) explainTier(t campaign.Tier, p *campaign.Person) ExplainedThing {
	if slices.Contains(p.Facts.Reached, t.Name) {
		return ExplainedThing{Name: t.Name, State: "reached", Why: "All targets were met; a tier once reached stays reached.", WhyZH: "目标已达成，达成后不会失去。"}
	}
	c := &chain{}
	r.stopAtTier(c, r.present(), p, t)
	return ExplainedThing{Name: t.Name, State: "open", Why: c.Steps[0].Why, WhyZH: c.Steps[0].WhyZH}
}

// explainGrant leaves out what a reviewer wrote where names are not to be shown: it may hold some.
func (r *records) explainGrant(g *reward.Grant) words {
	c := &chain{}
	r.stock(c, r.present(), []*reward.Grant{g})
	r.grant(c, r.present(), []*reward.Grant{g})
	s := c.Steps[len(c.Steps)-1]
	return words{s.Why, s.WhyZH}.and(words{s.Change, s.ChangeZH})
}
