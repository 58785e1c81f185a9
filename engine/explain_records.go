package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// Bounds on one explanation.
const (
	maxExplained = 1000   // events of a participant, the latest
	maxChains    = 20     // chains of one event
	maxTold      = 5000   // credits and grants that are looked at
	maxPassings  = 50     // moments at which holds passed that are looked for in the journal
	passingReach = 20_000 // events behind such a moment among which it is looked for
)

// records are what an explanation is told from: the events themselves, and of everybody in them what is stored now.
type records struct {
	c       known
	row     campaignRow
	history history
	names   bool
	now     int64 // UTC milliseconds
	about   int64 // the participant whom it is about; 0 for all

	definitions map[int]*campaign.Definition
	people      map[int64]*campaign.Person
	credits     []campaign.Credit
	grants      map[int64]*reward.Grant
	given       map[int64][]*reward.Grant // by person
	sources     map[string]*event.Event   // events that others completed or that grants came of, by id
	promised    map[int64]ledger.Entry    // grant → the entry by which stock and budget were taken for it
	ahead       map[int64]int64           // waitlisted grant → how many wait in front
}

// turn is a point in the journal from which the campaign was another.
type turn struct {
	seq      int64
	revision int             // 0: the one before
	status   campaign.Status // "": the one before
}

// history is how a campaign stood at each position of its journal.
type history []turn

// at gives the revision in force and the status when the event at a position had been applied.
func (h history) at(seq int64) (revision int, status campaign.Status) {
	revision, status = 1, campaign.Draft
	for _, t := range h {
		if t.seq > seq {
			break
		}
		if t.revision != 0 {
			revision = t.revision
		}
		if t.status != "" {
			status = t.status
		}
	}
	return revision, status
}

// statuses are what the engine's own events turn a campaign into.
var statuses = map[string]campaign.Status{
	event.Launched: campaign.Live, event.Paused: campaign.Paused, event.Resumed: campaign.Live, event.Ended: campaign.Ended,
}

// turns reads the history from the journal. Ids of the engine's own events begin with their type, so the index finds
// the few that concern the campaign among millions.
func turns(db *gorm.DB, no int64) (history, error) {
	var rows []event.Event
	err := db.Where("campaign = ? AND system = ? AND id >= ? AND id < ? AND outcome <> ''", no, true, "campaign.", "campaign/").Find(&rows).Error
	if err != nil {
		return nil, err
	}
	// Put in order here: asked to, SQLite would go through the whole journal in that order.
	slices.SortFunc(rows, func(a, b event.Event) int { return cmp.Compare(a.Seq, b.Seq) })
	var h history
	for _, r := range rows {
		if r.Outcome != event.Applied {
			continue
		}
		t := turn{seq: r.Seq, status: statuses[r.Type]}
		if r.Type == event.Revised {
			var o step.Order
			if r.Data != nil {
				if err := json.Unmarshal([]byte(*r.Data), &o); err != nil {
					return nil, fmt.Errorf("data of %s: %w", r.ID, err)
				}
			}
			t.revision = o.Revision
		}
		h = append(h, t)
	}
	return h, nil
}

// gather reads everything that the explanation of some events needs, in few queries.
func (e *Engine) gather(ctx context.Context, c known, events []event.Event, about int64, names bool) (*records, error) {
	r := &records{
		c: c, names: names, now: e.now(), about: about,
		definitions: map[int]*campaign.Definition{}, people: map[int64]*campaign.Person{}, grants: map[int64]*reward.Grant{},
		given: map[int64][]*reward.Grant{}, sources: map[string]*event.Event{}, promised: map[int64]ledger.Entry{}, ahead: map[int64]int64{},
	}
	db := e.DB.WithContext(ctx)
	var err error
	if err = db.Where("no = ?", c.no).Take(&r.row).Error; err != nil {
		return nil, err
	}
	if r.history, err = turns(db, c.no); err != nil {
		return nil, err
	}
	for i := range events {
		revision := r.revision(&events[i])
		if r.definitions[revision], err = e.definition(ctx, c.no, revision); err != nil {
			return nil, err
		}
	}
	if r.definitions[r.row.Revision], err = e.definition(ctx, c.no, r.row.Revision); err != nil {
		return nil, err
	}
	people, numbers, err := r.mentioned(db, events)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(r.addPeople(db, people), r.addCredits(db, people, events)); err != nil {
		return nil, err
	}
	for i := range r.credits {
		people = append(people, r.credits[i].Owner)
	}
	slices.Sort(people)
	return r, r.addGrants(db, slices.Compact(people), numbers)
}

// revision is the one in force when an event was applied; of one that still waits, the one that is now.
func (r *records) revision(e *event.Event) int {
	if e.Outcome == "" {
		return r.row.Revision
	}
	revision, _ := r.history.at(e.Seq)
	return revision
}

// present is the definition in force now.
func (r *records) present() *campaign.Definition { return r.definitions[r.row.Revision] }

// mentioned gives the people and the grants that events speak of, and reads the events that they refer to.
func (r *records) mentioned(db *gorm.DB, events []event.Event) (people, grants []int64, err error) {
	people = append(people, r.about)
	var ids []string
	for i := range events {
		d, err := events[i].Details()
		if err != nil {
			continue // what does not read has its outcome, at least
		}
		people = append(people, events[i].Person, events[i].Owner)
		grants = append(grants, d.Grants...)
		for _, t := range d.Tasks {
			if r.about != 0 && t.Owner != r.about && events[i].Person != r.about && events[i].Person != 0 {
				continue
			}
			people = append(people, t.Owner)
			if t.Event != "" {
				ids = append(ids, t.Event)
			}
		}
	}
	sources, err := eventsOf(db, r.c.no, false, ids)
	if err != nil {
		return nil, nil, err
	}
	for i := range sources {
		r.sources[sources[i].ID] = &sources[i]
		people = append(people, sources[i].Person)
	}
	slices.Sort(people)
	slices.Sort(grants)
	return slices.Compact(people), slices.Compact(grants), nil
}

// eventsOf reads events by id.
func eventsOf(db *gorm.DB, no int64, system bool, ids []string) ([]event.Event, error) {
	slices.Sort(ids)
	var rows []event.Event
	for part := range slices.Chunk(slices.Compact(ids), inChunk) {
		var some []event.Event
		if err := db.Where("campaign = ? AND system = ? AND id IN ?", no, system, part).Find(&some).Error; err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return rows, nil
}

// addPeople loads people and whom they came by.
func (r *records) addPeople(db *gorm.DB, numbers []int64) error {
	for range 2 {
		var above []int64
		for part := range slices.Chunk(numbers, inChunk) {
			var rows []campaign.Person
			if err := db.Where("campaign = ? AND person IN ?", r.c.no, part).Find(&rows).Error; err != nil {
				return err
			}
			for i := range rows {
				r.people[rows[i].Person] = &rows[i]
				above = append(above, rows[i].Inviter)
				for _, t := range rows[i].Facts.Touches {
					above = append(above, t.Owner)
				}
			}
		}
		slices.Sort(above)
		numbers = slices.DeleteFunc(slices.Compact(above), func(n int64) bool { return n == 0 || r.people[n] != nil })
	}
	return nil
}

// addCredits loads whom each of these people counts for, and what they did for themselves in these events.
func (r *records) addCredits(db *gorm.DB, people []int64, events []event.Event) error {
	ids := make([]string, 0, len(events))
	for i := range events {
		ids = append(ids, events[i].ID)
	}
	for id := range r.sources {
		ids = append(ids, id)
	}
	for part := range slices.Chunk(people, inChunk) {
		var rows []campaign.Credit
		if err := db.Where("campaign = ? AND person IN ? AND n = 0", r.c.no, part).Limit(maxTold).Find(&rows).Error; err != nil {
			return err
		}
		r.credits = append(r.credits, rows...)
		for some := range slices.Chunk(ids, inChunk) {
			var own []campaign.Credit
			if err := db.Where("campaign = ? AND person IN ? AND n > 0 AND event IN ?", r.c.no, part, some).Limit(maxTold).Find(&own).Error; err != nil {
				return err
			}
			r.credits = append(r.credits, own...)
		}
	}
	return nil
}

// credit finds what a task made of an event: the credit that it opened or, of an invitee, the only one there is.
func (r *records) credit(task string, src *event.Event) *campaign.Credit {
	for i := range r.credits {
		c := &r.credits[i]
		if c.Task == task && c.Person == src.Person && (c.N == 0 || c.Event == src.ID) {
			return c
		}
	}
	return nil
}

// addGrants loads what these people were given, and the grants with these numbers.
func (r *records) addGrants(db *gorm.DB, people, numbers []int64) error {
	var rows []reward.Grant
	for part := range slices.Chunk(people, inChunk) {
		var some []reward.Grant
		if err := db.Where("campaign = ? AND person IN ?", r.c.no, part).Order("no").Limit(maxTold).Find(&some).Error; err != nil {
			return err
		}
		rows = append(rows, some...)
	}
	for part := range slices.Chunk(numbers, inChunk) {
		var some []reward.Grant
		if err := db.Where("campaign = ? AND no IN ?", r.c.no, part).Limit(maxTold).Find(&some).Error; err != nil {
			return err
		}
		rows = append(rows, some...)
	}
	for i := range rows {
		g := &rows[i]
		if r.grants[g.No] != nil {
			continue
		}
		r.grants[g.No] = g
		r.given[g.Person] = append(r.given[g.Person], g)
	}
	for _, list := range r.given {
		slices.SortFunc(list, func(a, b *reward.Grant) int { return int(a.No - b.No) })
	}
	return r.addWaits(db)
}

// addWaits finds how the grants at hand wait, or waited, for stock and budget.
func (r *records) addWaits(db *gorm.DB) error {
	looked := 0
	for _, no := range slices.Sorted(maps.Keys(r.grants)) {
		g := r.grants[no]
		if r.about != 0 && g.Person != r.about {
			continue
		}
		if looked++; looked > maxPassings {
			return nil
		}
		if g.State == reward.Waitlisted {
			var n int64
			err := db.Model(&reward.Grant{}).Where("campaign = ? AND state = ? AND reward = ? AND no < ?", r.c.no, reward.Waitlisted, g.Reward, no).Count(&n).Error
			if err != nil {
				return err
			}
			r.ahead[no] = n
			continue
		}
		if g.PromisedBy == 0 {
			continue
		}
		found, err := r.posted(db, g.PromisedBy)
		if err != nil {
			return err
		}
		r.promised[no] = found
	}
	return nil
}

// posted gives the first entry of a ledger transaction. Transactions are numbered along the entries, so
// that halving finds one without an index of its own.
func (r *records) posted(db *gorm.DB, transaction int64) (ledger.Entry, error) {
	var failed error
	entry := func(seq int64) (row ledger.Entry) {
		if err := db.Select("transaction", "event", "posted_at").Where("campaign = ? AND seq = ?", r.c.no, seq).Limit(1).Find(&row).Error; err != nil {
			failed = err
		}
		return row
	}
	last := int(r.row.State.Book.Seq)
	seq := 1 + sort.Search(last, func(i int) bool { return failed != nil || entry(int64(i)+1).Transaction >= transaction })
	if failed != nil || seq > last {
		return ledger.Entry{}, failed
	}
	return entry(int64(seq)), failed
}

// passing finds the event by which a hold passed, for credits that these events opened. It is looked for from the
// moment on at which the hold was due: positions follow arrival closely, so that halving finds the moment.
func (r *records) passing(db *gorm.DB, due int64, completed string) (*event.Event, error) {
	var failed error
	before := func(seq int64) bool {
		var rows []int64
		if err := db.Model(&event.Event{}).Where("campaign = ? AND seq = ?", r.c.no, seq).Pluck("received_at", &rows).Error; err != nil {
			failed = err
		}
		return failed == nil && len(rows) == 1 && rows[0] < due
	}
	const slack = 1000 // positions by which arrival and order may differ
	from := int64(sort.Search(int(r.row.Seq), func(i int) bool { return !before(int64(i) + 1) })) + 1 - slack
	if failed != nil {
		return nil, failed
	}
	var rows []event.Event
	err := db.Where("campaign = ? AND seq >= ? AND seq < ? AND type = ? AND time >= ?", r.c.no, from, from+slack+passingReach, event.TimePassed, due).
		Order("seq").Limit(maxPassings).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	for i := range rows {
		d, err := rows[i].Details()
		if err == nil && slices.ContainsFunc(d.Tasks, func(t event.TaskDetail) bool { return t.Event == completed && t.Owner == r.about }) {
			return &rows[i], nil
		}
	}
	return nil, nil //nolint:nilnil // it is not to be had, and nothing depends on it
}

// code is the code of a person, "" for somebody who has none.
func (r *records) code(person int64) string {
	if p := r.people[person]; p != nil {
		return p.Code
	}
	return ""
}

// came says whether an event came by a participant's code.
func (r *records) came(e *event.Event, p *campaign.Person) bool {
	return e.Owner == p.Person && e.Person != p.Person || p.Code != "" && strings.EqualFold(e.Code, p.Code) && e.Person != p.Person
}
