package step

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/funnel"
)

// Apply takes one event its whole way: it changes the world and writes position, outcome, detail and hash onto the
// event. An error means that nothing of this world may be kept: MissingError asks for more to be loaded, any other
// says that the event cannot be digested.
func (w *World) Apply(e *event.Event) (err error) {
	defer func() {
		switch caught := recover().(type) {
		case nil:
		case MissingError:
			err = caught
		default:
			err = fmt.Errorf("event %s: %v", e.ID, caught)
		}
	}()
	var detail event.Detail
	if e.System {
		e.Outcome, detail, err = w.decide(e)
	} else {
		e.Outcome, detail, err = w.hear(e)
	}
	if err != nil {
		return err
	}
	if len(detail.Tasks)+len(detail.Tiers)+len(detail.Grants)+len(detail.Fields) > 0 || detail.Reason != "" {
		text, err := json.Marshal(detail)
		if err != nil {
			return err
		}
		said := string(text)
		e.Detail = &said
	}
	w.number(e)
	return nil
}

// Fail puts an event that no rule could digest into the journal: it has its position and its error, and no effect.
func (w *World) Fail(e *event.Event, cause error) {
	text, _ := json.Marshal(event.Detail{Reason: cut(cause.Error(), 500)})
	said := string(text)
	e.Outcome, e.Detail, e.Owner = event.Failed, &said, 0
	w.number(e)
}

// facts are what the rules read of an event's data.
type facts struct {
	Source string `json:"source"`
	Order  string `json:"order"` // names the purchase that a refund takes back
	New    *bool  `json:"new"`   // false: the channel knew this user before
}

// moment is one thing that happened, as the tasks see it.
type moment struct {
	*event.Event
	facts  facts
	actor  *campaign.Person
	owner  int64 // of the code the event names; 0 for none or an unknown one
	lost   bool  // the event names a code that nobody has
	detail *event.Detail
}

// hear applies an event from outside.
func (w *World) hear(e *event.Event) (event.Outcome, event.Detail, error) {
	var detail event.Detail
	m := moment{Event: e, actor: w.person(e.Person), owner: w.Owners[strings.ToUpper(e.Code)], detail: &detail}
	if e.Data != nil {
		if err := json.Unmarshal([]byte(*e.Data), &m.facts); err != nil {
			// Only the rules' own fields have fixed types; a shop may send a number as its order or source.
			if m.facts, err = looseFacts(*e.Data); err != nil {
				return "", detail, err
			}
		}
	}
	if m.Type == "unsubscribe" {
		m.facts.Order = "" // whoever leaves takes all of themselves away
	}
	if m.owner != 0 && !w.person(m.owner).Joined() {
		m.owner = 0 // the code is reserved, its join is still to come
	}
	m.lost = m.owner == 0 && e.Code != ""

	w.note(m)
	w.count(m)

	live := w.liveAt(e.Time)
	for i := range w.Definition.Tasks {
		t := &w.Definition.Tasks[i]
		var result event.TaskDetail
		var err error
		switch {
		case t.On == e.Type && !live:
			if !m.lost {
				result = event.TaskDetail{Outcome: event.CampaignNotLive}
			}
		case t.On == e.Type:
			result, err = w.give(t, m)
		case t.RevokeOn == e.Type:
			result = w.takeBack(t, m, live)
		}
		if err != nil {
			return "", detail, err
		}
		if result.Outcome != "" {
			result.Task = t.Name
			detail.Tasks = append(detail.Tasks, result)
		}
	}
	if m.owner != 0 && w.Campaign.Status == campaign.Live {
		if err := w.adopt(m); err != nil {
			return "", detail, err
		}
	}
	return w.sumUp(m, live), detail, nil
}

// liveAt says whether what happened at a time (UTC milliseconds) counts.
func (w *World) liveAt(at int64) bool {
	s := w.Definition.Schedule
	return w.Campaign.Status == campaign.Live && at >= s.Starts.UnixMilli() && at < s.Ends.UnixMilli()
}

// overAt says whether the campaign had ended by a time (UTC milliseconds), also where nothing has noticed it yet.
func (w *World) overAt(at int64) bool {
	return w.Campaign.Status == campaign.Ended || w.Campaign.Status == campaign.Live && at >= w.Definition.Schedule.Ends.UnixMilli()
}

// note remembers of the actor what later events will ask for.
func (w *World) note(m moment) {
	if m.owner != 0 {
		m.actor.Touch(m.owner, m.Time)
	}
	switch m.Type {
	case "subscribe":
		m.actor.Followed(m.Time)
	case "unsubscribe":
		m.actor.Followed(m.Time) // at some time before, which nobody told
		m.actor.Left("unsubscribe", m.Time)
	}
	w.touch(m.actor)
}

// maxEventTypes is the number of bits of a person's Seen; types after that count events and no users.
const maxEventTypes = 64

// maxSources bounds the counters that data.source may open; those after it count together.
const maxSources = 200

// count adds the event to the funnel. Every event counts, whatever comes of it.
func (w *World) count(m moment) {
	key := funnel.Key{Stage: m.Type, Day: funnel.Day(m.Time, w.Definition.Schedule.Location())}
	key.Variant, key.Depth = m.actor.Facts.Variant, m.actor.Depth
	owner := m.owner
	if owner == 0 {
		owner, _, _ = m.actor.LastTouch(m.Time, w.Definition.Attribution.Window)
	}
	if m.actor.Inviter != 0 {
		owner = m.actor.Inviter
	}
	if owner != 0 && owner != m.Person {
		via := w.person(owner)
		key.Variant, key.Depth = via.Facts.Variant, min(via.Depth+1, funnel.MaxDepth)
	}
	key.Source = w.source(m.facts.Source)

	n := w.changed.counts[key]
	n.Events++
	if bit, ok := w.bit(m.Type); ok && m.actor.Facts.Seen&bit == 0 {
		m.actor.Facts.Seen |= bit
		n.Users++
	}
	if w.changed.counts == nil {
		w.changed.counts = map[funnel.Key]funnel.Count{}
	}
	w.changed.counts[key] = n
}

func (w *World) bit(eventType string) (uint64, bool) {
	i := slices.Index(w.Campaign.EventTypes, eventType)
	if i < 0 {
		if len(w.Campaign.EventTypes) == maxEventTypes {
			return 0, false
		}
		i = len(w.Campaign.EventTypes)
		w.Campaign.EventTypes = append(w.Campaign.EventTypes, eventType)
	}
	return 1 << i, true
}

func (w *World) source(name string) string {
	name = strings.TrimSpace(cut(strings.TrimSpace(name), funnel.MaxSource)) // stores differ in how they compare spaces
	if name == "" || slices.Contains(w.Campaign.Sources, name) {
		return name
	}
	if len(w.Campaign.Sources) == maxSources {
		return "other"
	}
	w.Campaign.Sources = append(w.Campaign.Sources, name)
	return name
}

// ranking orders outcomes of the tasks of one event: the event is told by the first of them.
var ranking = []event.Outcome{
	event.Credited, event.Restored, event.Held, event.Reversed, event.UnknownCode,
	event.DuplicateInvitee, event.LimitReached, event.BlockedOutcome, event.SelfInvite, event.NotNewUser,
	event.OutsideWindow, event.ConditionNotMet, event.NoInviter, event.CampaignNotLive,
}

// sumUp gives the one word for what the tasks made of an event.
func (w *World) sumUp(m moment, live bool) event.Outcome {
	for _, outcome := range ranking {
		if outcome == event.UnknownCode && m.lost {
			return outcome
		}
		for _, t := range m.detail.Tasks {
			if t.Outcome == outcome {
				m.Owner = t.Owner
				return outcome
			}
		}
	}
	m.Owner = m.owner
	if !live {
		return event.CampaignNotLive
	}
	return event.Counted
}

// number gives the event its position and chains it.
func (w *World) number(e *event.Event) {
	w.Campaign.Seq++
	e.Seq = w.Campaign.Seq
	e.Hash = event.Chain(w.Campaign.Head, e)
	w.Campaign.Head = e.Hash
}

// looseFacts reads the rules' fields where they have other types than expected: numbers as text, digit by digit, since
// order numbers are longer than a float is exact; anything else as absent.
func looseFacts(data string) (facts, error) {
	var fields map[string]any
	decoder := json.NewDecoder(strings.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return facts{}, fmt.Errorf("data is not a JSON object: %w", err)
	}
	text := func(key string) string {
		switch v := fields[key].(type) {
		case string:
			return v
		case json.Number:
			return v.String()
		}
		return ""
	}
	f := facts{Source: text("source"), Order: text("order")}
	if known, ok := fields["new"].(bool); ok {
		f.New = &known
	}
	return f, nil
}

// cut keeps the first n characters.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n])
}
