package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"kfactor/event"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// Incoming is one event from outside, as sent.
type Incoming struct {
	ID       string          `json:"id"`
	Campaign string          `json:"campaign"`
	Type     string          `json:"type"`
	User     string          `json:"user"`
	Code     string          `json:"code,omitempty"`
	Time     *time.Time      `json:"time,omitempty"` // nil: now
	Data     json.RawMessage `json:"data,omitempty"` // a JSON object of at most event.MaxData bytes
}

// Receipt says what became of a batch. What is accepted is on disk.
type Receipt struct {
	Accepted   int         `json:"accepted"`
	Duplicates int         `json:"duplicates"`
	Rejected   []Rejection `json:"rejected"`
}

// Rejection is one event that was not taken, with what is wrong with it.
type Rejection struct {
	Index int    `json:"index"` // in the batch, from 0
	ID    string `json:"id"`
	Error string `json:"error"`
}

// MaxBatch is the number of events one call may bring.
const MaxBatch = 1000

// MaxAhead is how far in the future an event's time may be: clocks differ, calendars do not.
const MaxAhead = 5 * time.Minute

// Accept writes events into their campaigns' journals and returns when they are on disk. Events that are wrong are
// rejected one by one, the others are taken; so are those of users whom the campaign's channel does not know by the name
// they are called. While intake is busy events that only the funnel counts are rejected too,
// to be sent again; where there are no others, all of it is fault.Unavailable. An error means that nothing may be
// assumed: send the same again, with the same ids nothing counts twice.
func (e *Engine) Accept(ctx context.Context, events []Incoming) (Receipt, error) {
	receipt := Receipt{Rejected: []Rejection{}}
	if len(events) > MaxBatch {
		return receipt, fault.New(fault.TooLarge, "%d events in one call; send at most %d", len(events), MaxBatch)
	}
	d := &delivery{done: make(chan error, 1)}
	var named []naming
	now := e.Now()
	busy, shed := e.intake.room.busy(), 0
	for i := range events {
		draft, err := e.check(ctx, &events[i], now)
		if err != nil {
			if fault.KindOf(err) == fault.Internal || fault.KindOf(err) == fault.Unavailable {
				return receipt, err
			}
			receipt.Rejected = append(receipt.Rejected, Rejection{Index: i, ID: cutID(events[i].ID), Error: err.Error()})
			continue
		}
		if busy && draft.spare {
			shed++
			receipt.Rejected = append(receipt.Rejected, Rejection{Index: i, ID: events[i].ID, Error: errBusy.Error()})
			continue
		}
		if hasKind(draft.user) {
			named = append(named, naming{draft, i})
		}
		d.drafts = append(d.drafts, draft)
	}
	if len(named) > 0 {
		if err := e.nameUsers(ctx, events, named, d, &receipt); err != nil {
			return receipt, err
		}
	}
	e.Metrics.Shed(shed)
	if shed > 0 && len(d.drafts) == 0 {
		return receipt, errBusy
	}
	if len(d.drafts) == 0 {
		e.Metrics.EventsIn(0, 0, len(receipt.Rejected))
		return receipt, nil
	}
	if err := e.intake.deliver(ctx, d); err != nil {
		if errors.Is(err, errFull) {
			e.Metrics.Shed(len(d.drafts))
		}
		return receipt, err
	}
	for _, draft := range d.drafts {
		if draft.fresh {
			receipt.Accepted++
		} else {
			receipt.Duplicates++
		}
	}
	e.Metrics.EventsIn(receipt.Accepted, receipt.Duplicates, len(receipt.Rejected)-shed)
	return receipt, nil
}

var eventType = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// check turns an event as sent into a draft of a journal row, or says what to mend.
func (e *Engine) check(ctx context.Context, in *Incoming, now time.Time) (*draft, error) {
	at := now
	if in.Time != nil {
		at = *in.Time
	}
	switch {
	case in.Campaign == "":
		return nil, fault.New(fault.Invalid, "campaign is missing; name the campaign the event belongs to")
	case !plainText(in.ID, event.MaxID):
		return nil, fault.New(fault.Invalid, "id must have 1 to %d characters without control characters", event.MaxID)
	case !plainText(in.User, mostSaid(in.User)):
		return nil, errUser
	case in.Code != "" && !plainText(in.Code, event.MaxCode):
		return nil, fault.New(fault.Invalid, "code must have at most %d characters without control characters", event.MaxCode)
	case !eventType.MatchString(in.Type):
		return nil, fault.New(fault.Invalid, "type %q is not a lower-case word", cutID(in.Type))
	case at.After(now.Add(MaxAhead)):
		return nil, fault.New(fault.Invalid, "time %s is more than %s in the future; check the sender's clock", at.Format(time.RFC3339), MaxAhead)
	case at.Year() < 2000:
		return nil, fault.New(fault.Invalid, "time %s is before the year 2000; check the sender's clock", at.Format(time.RFC3339))
	case len(in.Data) > event.MaxData:
		return nil, fault.New(fault.Invalid, "data has %d bytes, at most %d are taken", len(in.Data), event.MaxData)
	case !utf8.Valid(in.Data):
		return nil, fault.New(fault.Invalid, "data must be a JSON object in UTF-8")
	}
	c, err := e.campaign(ctx, in.Campaign)
	if err != nil {
		return nil, err
	}
	if !c.definition.Listens(in.Type) {
		return nil, fault.New(fault.Invalid, "type %q: no task of campaign %q listens to it", in.Type, in.Campaign)
	}
	d := &draft{
		user: in.User, spare: spare(c.definition, in.Type),
		Event: event.Event{
			Campaign: c.no, ID: in.ID, Type: in.Type, Code: in.Code, Time: at.UnixMilli(), ReceivedAt: now.UnixMilli(),
		},
	}
	if len(in.Data) > 0 && string(in.Data) != "null" {
		var object map[string]json.RawMessage
		if err := json.Unmarshal(in.Data, &object); err != nil {
			return nil, fault.New(fault.Invalid, "data must be a JSON object")
		}
		text := string(in.Data)
		d.Data = &text
	}
	return d, nil
}

// plainText says whether s has 1 to most characters, none of which is a control character.
func plainText(s string, most int) bool {
	if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > most {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return true
}

// cutID keeps what fits into an answer of something a caller sent.
func cutID(s string) string {
	if len(s) > event.MaxID {
		return fmt.Sprintf("%.64q…", s)
	}
	return s
}

// draft is an event on its way into the journal.
type draft struct {
	event.Event
	user             string                            // "" for a system event that concerns nobody or names its person already
	who              lookup                            // finds the user; set on delivery
	nickname, avatar string                            // what the user is to look like from now on; "" for as before
	extras           func(tx *gorm.DB, d *draft) error // writes what belongs to the event, in its transaction; nil for nothing
	fresh            bool                              // after delivery: this call wrote it, it was not there before
	spare            bool                              // only the funnel counts it
}

// delivery is the drafts of one caller, written together with those of others.
type delivery struct {
	drafts  []*draft
	done    chan error
	bytes   int64 // that it takes in memory
	drained bool  // the caller applies them itself, so that nobody needs to be woken
}

// intake writes deliveries group by group: while one commit is under way the next group gathers, so a busy intake
// makes large commits and a quiet one makes quick ones.
type intake struct {
	engine *Engine
	lanes  *lanes
	group  sync.WaitGroup
	room   admission
	people *lookupCache
	base   context.Context // of every commit; ends a moment after close
	cut    context.CancelFunc
}

const (
	intakeGroup   = 2000 // drafts in one commit
	intakeWriters = 2
	intakeEnd     = time.Second // after close, for commits under way; by then nobody waits for them
)

func newIntake(e *Engine) *intake {
	in := &intake{engine: e, lanes: newLanes(), people: newLookupCache(1 << 17)}
	in.room.most = cmp.Or(e.IntakeBytes, intakeBytes)
	in.base, in.cut = context.WithCancel(context.Background())
	writers := intakeWriters
	if database.Dialect(e.DB) == database.SQLite {
		writers = 1
	}
	for range writers {
		in.group.Go(in.run)
	}
	return in
}

// deliver hands drafts over and waits until they are on disk.
func (in *intake) deliver(ctx context.Context, d *delivery) error {
	for _, one := range d.drafts {
		if one.user != "" {
			one.who = in.engine.lookup(one.Campaign, one.user)
		}
	}
	if err := in.room.enter(d); err != nil {
		return err
	}
	if !in.lanes.put(d) {
		in.room.leave(d)
		return fault.New(fault.Unavailable, "the server is shutting down; try again in a moment")
	}
	patience := time.NewTimer(deliverTimeout)
	defer patience.Stop()
	select {
	case err := <-d.done:
		return err
	case <-patience.C:
		return fault.New(fault.Unavailable, "the database is too slow now; send the same again in a moment")
	case <-ctx.Done():
		return fault.Wrap(fault.Unavailable, ctx.Err(), "the caller went away before the events were on disk; send the same again")
	}
}

func (in *intake) close() {
	in.lanes.end()
	defer in.cut()
	defer time.AfterFunc(intakeEnd, in.cut).Stop()
	in.group.Wait()
}

func (in *intake) run() {
	for group := in.lanes.take(intakeGroup); group != nil; group = in.lanes.take(intakeGroup) {
		in.write(group)
		for _, d := range group {
			in.room.leave(d)
		}
	}
}

// commitTimeout bounds one group commit.
const commitTimeout = 10 * time.Second

// write commits a group, tells every caller, and wakes the campaigns concerned.
func (in *intake) write(group []*delivery) {
	ctx, cancel := context.WithTimeout(in.base, commitTimeout)
	defer cancel()
	var drafts []*draft
	for _, d := range group {
		drafts = append(drafts, d.drafts...)
	}
	err := in.commit(ctx, drafts)
	if err != nil && len(group) > 1 && (fault.KindOf(err) != fault.Unavailable || database.IsRefused(err)) {
		// One delivery may have spoilt it for the others.
		for _, d := range group {
			in.write([]*delivery{d})
		}
		return
	}
	if ctx.Err() != nil {
		database.DropIdle(in.engine.DB)
	}
	crash.Point("intake.before-answer")
	for _, d := range group {
		d.done <- err
	}
	crash.Point("intake.before-wake")
	if err != nil {
		in.engine.Log.Error("intake", "events", len(drafts), "err", err)
		return
	}
	var woken []int64
	for _, one := range group {
		if one.drained {
			continue
		}
		for _, d := range one.drafts {
			if d.fresh && !slices.Contains(woken, d.Campaign) {
				woken = append(woken, d.Campaign)
				in.engine.wake(ctx, d.Campaign)
			}
		}
	}
}

// wakePause is how long no wake is tried after one failed: a Redis that hangs would hold every commit's callers up.
const wakePause = 5 * time.Second

// wake says that a campaign has something to apply. A lost wake costs a second: the sweep finds the campaign.
func (e *Engine) wake(ctx context.Context, no int64) {
	if e.Queue == nil {
		return
	}
	now := time.Now().UnixMilli()
	if now < e.unwakeable.Load() {
		return
	}
	if err := e.Queue.Wake(ctx, no); err != nil {
		e.unwakeable.Store(now + wakePause.Milliseconds())
		e.Log.Warn("wake", "campaign", no, "err", err)
	}
}

// commit writes drafts in one transaction: who they are about, then what happened. Most often none of them is in the
// journal yet, which their key says when they are written; when it says otherwise, all is done again with a look first.
func (in *intake) commit(ctx context.Context, drafts []*draft) error {
	found := map[lookup]int64{}
	write := func(number func(tx *gorm.DB, drafts []*draft) ([]*draft, error)) error {
		return database.Transact(ctx, in.engine.DB, func(tx *gorm.DB) error {
			clear(found)
			if err := in.identify(tx, drafts, found); err != nil {
				return err
			}
			if err := reserveCodes(tx, drafts); err != nil {
				return err
			}
			for _, d := range drafts {
				if d.extras != nil {
					if err := d.extras(tx, d); err != nil {
						return err
					}
				}
			}
			crash.Point("intake.half-written")
			fresh, err := number(tx, drafts)
			if err != nil {
				return err
			}
			rows := make([]accepted, 0, len(fresh))
			for _, d := range fresh {
				rows = append(rows, acceptedRow(&d.Event))
			}
			if err := database.Insert(tx, rows); err != nil {
				return err
			}
			crash.Point("intake.before-commit")
			return nil
		})
	}
	err := write(numberAll)
	if database.IsDuplicate(err) {
		err = write(numberFresh)
	}
	if err != nil {
		var known *fault.Error
		if errors.As(err, &known) {
			return err
		}
		return fault.Wrap(fault.Unavailable, err, "the events could not be written; send the same again")
	}
	in.people.add(found)
	return nil
}
