// Package step is the rules of a campaign put together: one event at a time over what a batch has in memory.
//
//	step(definition, state, event) → state′, outcome
//
// It does no I/O, reads no clock and draws no randomness: same journal, same result. Loading before and saving after
// is the engine's.
package step

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// Campaign is the state of a campaign as a whole: small, kept as one JSON value in the campaign's row.
type Campaign struct {
	Status       campaign.Status `json:"status"`
	Revision     int             `json:"revision"`
	Seq          int64           `json:"seq"`                // position in the journal
	Head         []byte          `json:"head,omitempty"`     // hash of the last applied event
	Participants int64           `json:"participants"`       // people with a code
	Credited     int64           `json:"credited"`           // standing credits of the ranking task, over all people
	Grants       int64           `json:"grants"`             // number of the last grant
	NextDue      int64           `json:"next_due,omitempty"` // when the earliest hold passes, UTC ms; 0 for none
	CatchUp      bool            `json:"catch_up,omitempty"` // more of the waitlist could be served at once
	Recheck      int64           `json:"recheck,omitempty"`  // people from this number on may have reached a tier by a revision; 0 for none
	EventTypes   []string        `json:"event_types"`        // the bit of a type in a person's Seen is its index here
	Sources      []string        `json:"sources,omitempty"`  // sources with counters of their own
	Book         ledger.Book     `json:"book"`
}

// CreditKey names one credit.
type CreditKey struct {
	Person int64
	Task   string
	N      int
}

// World is what a batch of events may touch, in memory.
type World struct {
	Number     int64  // internal number of the campaign
	ID         string // its public id
	Campaign   *Campaign
	Definition *campaign.Definition
	Revisions  map[int]*campaign.Definition // those that events of this batch may switch to
	People     map[int64]*campaign.Person   // nil for somebody looked for and not there yet
	Owners     map[string]int64             // code → person
	Credits    map[CreditKey]*campaign.Credit
	CreditsOf  map[int64]bool // people whose inviters' credits were looked for
	Shelves    map[string]*reward.Shelf
	Grants     map[int64]*reward.Grant
	Queues     Queues

	GrantsBefore int64 // number of the last grant before this batch

	changed struct {
		people  map[int64]bool
		credits map[CreditKey]bool
		shelves map[string]bool
		grants  map[int64]bool
		counts  map[funnel.Key]funnel.Count
		entries []ledger.Entry
		owed    []Owed
		owing   struct { // the event that the last of them are owed for
			seq    int64
			before int // how many there were before it
		}
	}
}

// Written says that what was changed is written, or will be before anything that comes after it.
func (w *World) Written() {
	w.GrantsBefore = w.Campaign.Grants
	w.changed.people, w.changed.credits, w.changed.shelves, w.changed.grants = nil, nil, nil, nil
	w.changed.counts, w.changed.entries, w.changed.owed = nil, nil, nil
}

// Queues are what a wide event (see Wide) may go through, in order: each at most MaxQueue long, those of grants
// MaxQueue for each reward.
type Queues struct {
	Held       []CreditKey // by due time: those due and the next
	Waitlisted []int64     // grants by number
	NoCoupon   []int64     // granted coupons that still wait for a code, by number
	Recheck    []int64     // participants by number
}

// MaxQueue bounds how much one event does; what is left is done by the next.
const MaxQueue = 500

// MissingError says that an event touches a person the batch did not load. The engine loads them and starts the
// batch again.
type MissingError struct{ Person int64 }

func (e MissingError) Error() string { return fmt.Sprintf("person %d is not loaded", e.Person) }

// Wide says whether an event may touch people and grants that it does not name; such an event is a batch of its own.
func Wide(eventType string) bool {
	switch eventType {
	case event.TimePassed, event.Revised, event.GrantRejected, event.GrantRevoked, event.CouponsAdded:
		return true
	}
	return false
}

// person gives somebody to read; the panic is caught in Apply.
func (w *World) person(number int64) *campaign.Person {
	p, loaded := w.People[number]
	if !loaded {
		panic(MissingError{number})
	}
	if p == nil {
		p = &campaign.Person{Campaign: w.Number, Person: number}
		w.People[number] = p
	}
	return p
}

// touch notes that a person was changed.
func (w *World) touch(p *campaign.Person) {
	if w.changed.people == nil {
		w.changed.people = map[int64]bool{}
	}
	w.changed.people[p.Person] = true
}

func (w *World) touchCredit(c *campaign.Credit) {
	if w.changed.credits == nil {
		w.changed.credits = map[CreditKey]bool{}
	}
	key := CreditKey{c.Person, c.Task, c.N}
	w.Credits[key] = c
	w.changed.credits[key] = true
}

func (w *World) touchShelf(s *reward.Shelf) {
	if w.changed.shelves == nil {
		w.changed.shelves = map[string]bool{}
	}
	w.Shelves[s.Reward] = s
	w.changed.shelves[s.Reward] = true
}

func (w *World) touchGrant(g *reward.Grant) {
	if w.changed.grants == nil {
		w.changed.grants = map[int64]bool{}
	}
	w.Grants[g.No] = g
	w.changed.grants[g.No] = true
}

// post writes a transaction into the books and gives its number, 0 when it moved nothing.
func (w *World) post(t ledger.Transaction) (int64, error) {
	entries, err := w.Campaign.Book.Post(t)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	w.changed.entries = append(w.changed.entries, entries...)
	return entries[0].Transaction, nil
}

// ChangedPeople are the people to write, by number.
func (w *World) ChangedPeople() []campaign.Person {
	return changed(w.changed.people, w.People, cmp.Compare[int64])
}

// ChangedCredits are the credits to write, in the order of their keys.
func (w *World) ChangedCredits() []campaign.Credit {
	return changed(w.changed.credits, w.Credits, func(a, b CreditKey) int {
		return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Task, b.Task), cmp.Compare(a.N, b.N))
	})
}

// ChangedShelves are the shelves to write, by reward.
func (w *World) ChangedShelves() []reward.Shelf {
	return changed(w.changed.shelves, w.Shelves, cmp.Compare[string])
}

// ChangedGrants are the grants to write, by number.
func (w *World) ChangedGrants() []reward.Grant {
	return changed(w.changed.grants, w.Grants, cmp.Compare[int64])
}

// Entries are the ledger lines to append.
func (w *World) Entries() []ledger.Entry { return w.changed.entries }

// Counters are the funnel increments, in the order of their keys.
func (w *World) Counters() []funnel.Counter { return funnel.Counters(w.Number, w.changed.counts) }

// changed gives the values of the keys that were touched, sorted, so that rows are locked in one order everywhere.
func changed[K comparable, V any](keys map[K]bool, values map[K]*V, order func(a, b K) int) []V {
	out := make([]V, 0, len(keys))
	for _, k := range slices.SortedFunc(maps.Keys(keys), order) {
		out = append(out, *values[k])
	}
	return out
}
