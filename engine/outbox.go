package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"

	"kfactor/event"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/notify"
)

// messageRow is a message that somebody is owed: written with what it is owed for, sent later.
type messageRow struct {
	No        int64 `gorm:"primaryKey;autoIncrement"`
	Channel   string
	Campaign  int64
	Person    int64
	Source    string // what it is owed for, once each
	Kind      notify.Kind
	Word      string
	Priority  int
	Facts     string
	State     notify.State
	Reason    string // of where it stands, or why the last try failed; notify has the words
	Way       string // how it was sent, in a word of the channel's
	Attempts  int
	TakenBy   string
	DueAt     int64
	ExpiresAt int64
	CreatedAt int64 `gorm:"autoCreateTime:false"`
	UpdatedAt int64 `gorm:"autoUpdateTime:false"`
}

func (messageRow) TableName() string { return "messages" }

// newMessage is a message as it is owed from a moment on.
func newMessage(channel string, campaign, person int64, source string, kind notify.Kind, word string, f notify.Facts, at int64) (messageRow, error) {
	facts, err := json.Marshal(f)
	return messageRow{
		Channel: channel, Campaign: campaign, Person: person, Source: source, Kind: kind, Word: word, Priority: kind.Priority(),
		Facts: string(facts), State: notify.Owed, DueAt: at, ExpiresAt: at + kind.Worth().Milliseconds(), CreatedAt: at, UpdatedAt: at,
	}, err
}

// Due is a message that somebody is to be owed.
type Due struct {
	Campaign  string
	User      string // made known to the campaign where it is new
	Kind      notify.Kind
	Word      string // what it says: names a text of the campaign's, or one of notify's
	Source    string // what it is owed for: the same one again is no second message
	Facts     notify.Facts
	NotBefore time.Time // zero: now
	Expires   time.Time // zero: as long as its kind is worth sending
}

// Limits on what may be owed.
const (
	MaxSource = 128    // bytes of a source
	maxOwing  = 20_000 // messages on their way into the database
)

var messageWord = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

// owing is the messages of one caller, written together with those of others.
type owing struct{ messages []owedTo }

// owedTo is a message with the user who is owed it.
type owedTo struct {
	messageRow
	user string
	who  lookup
}

// Owe writes down what people are owed to hear, and returns when it is on disk. Nothing is owed twice to one person for
// one source, so that a caller who had an error may say the same again.
func (e *Engine) Owe(ctx context.Context, dues []Due) error {
	if len(dues) == 0 {
		return nil
	}
	if len(dues) > MaxBatch {
		return fault.New(fault.TooLarge, "%d messages in one call; send at most %d", len(dues), MaxBatch)
	}
	o := &owing{}
	for i := range dues {
		m, err := e.checkDue(ctx, &dues[i])
		if err != nil {
			return err
		}
		o.messages = append(o.messages, m)
	}
	n := int64(len(o.messages))
	if e.owingNow.Add(n) > maxOwing {
		e.owingNow.Add(-n)
		return fault.New(fault.Unavailable, "too many messages wait to be written down; try again in a moment")
	}
	failed, _, err := e.owing.get(ctx, o)
	return cmp.Or(err, failed)
}

// checkDue turns a message into a row, or says what is wrong with it.
func (e *Engine) checkDue(ctx context.Context, d *Due) (owedTo, error) {
	switch {
	case !plainText(d.User, event.MaxUser):
		return owedTo{}, fault.New(fault.Invalid, "user must have 1 to %d characters without control characters", event.MaxUser)
	case !d.Kind.Known():
		return owedTo{}, fault.New(fault.Invalid, "a message of kind %q; write one of %v", cutID(string(d.Kind)), notify.Kinds)
	case !messageWord.MatchString(d.Word):
		return owedTo{}, fault.New(fault.Invalid, "a message's word must be lower-case, not %q", cutID(d.Word))
	case d.Source == "" || len(d.Source) > MaxSource || !utf8.ValidString(d.Source):
		return owedTo{}, fault.New(fault.Invalid, "a message's source must have 1 to %d bytes", MaxSource)
	case utf8.RuneCountInString(d.Facts.Text) > notify.MaxText:
		return owedTo{}, fault.New(fault.Invalid, "a message's text has more than %d characters", notify.MaxText)
	}
	c, err := e.campaign(ctx, d.Campaign)
	if err != nil {
		return owedTo{}, err
	}
	channel := c.definition.Channel
	if channel == WebChannel {
		return owedTo{}, fault.New(fault.Invalid, "campaign %q is on the web, where nobody can be written to", d.Campaign)
	}
	m, err := newMessage(channel, c.no, 0, d.Source, d.Kind, d.Word, d.Facts, e.now())
	if !d.Expires.IsZero() {
		m.ExpiresAt = d.Expires.UnixMilli()
	}
	if !d.NotBefore.IsZero() {
		m.DueAt = max(m.DueAt, min(d.NotBefore.UnixMilli(), m.ExpiresAt))
	}
	return owedTo{m, d.User, e.lookup(c.no, d.User)}, err
}

// oweAll writes the messages of many callers in one transaction. Where the database refuses what one of them brought,
// each is written alone.
func (e *Engine) oweAll(ctx context.Context, callers []*owing) (map[*owing]error, error) {
	var all []owedTo
	for _, o := range callers {
		all = append(all, o.messages...)
	}
	defer e.owingNow.Add(-int64(len(all)))
	err := e.writeOwed(ctx, all)
	failed := map[*owing]error{}
	if database.IsRefused(err) && len(callers) > 1 {
		for _, o := range callers {
			failed[o] = e.writeOwed(ctx, o.messages)
		}
		return failed, nil
	}
	crash.Point("outbox.before-answer")
	return failed, err
}

// writeOwed writes messages in one transaction, and tells those who send them.
func (e *Engine) writeOwed(ctx context.Context, all []owedTo) error {
	unknown := map[int64]map[lookup]looks{}
	for i := range all {
		m := &all[i]
		if no, ok := e.intake.people.get(m.who); ok {
			m.Person = no
			continue
		}
		if unknown[m.Campaign] == nil {
			unknown[m.Campaign] = map[lookup]looks{}
		}
		unknown[m.Campaign][m.who] = looks{user: m.user}
	}
	found := map[lookup]int64{}
	var written, merged int64
	err := database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		clear(found)
		merged = 0
		for _, campaign := range slices.Sorted(maps.Keys(unknown)) {
			if err := e.identifyNew(tx, campaign, unknown[campaign], found); err != nil {
				return err
			}
		}
		rows := make([]messageRow, 0, len(all))
		var asked []int64 // who asked for a poster
		for _, m := range all {
			if m.Person == 0 {
				m.Person = found[m.who]
			}
			rows = append(rows, m.messageRow)
			if m.Kind == notify.Poster {
				asked = append(asked, m.Person)
			}
		}
		crash.Point("outbox.half-written")
		var err error
		if written, err = database.InsertNew(tx, rows); err != nil { // in this order, see prepared.owe
			return err
		}
		if merged, err = mergePosters(tx, asked, e.now()); err != nil {
			return err
		}
		crash.Point("outbox.before-commit")
		return nil
	})
	if err != nil {
		if known := (*fault.Error)(nil); errors.As(err, &known) || database.IsRefused(err) {
			return err
		}
		return fault.Wrap(fault.Unavailable, err, "the messages could not be written down; say the same again")
	}
	e.intake.people.add(found)
	e.Metrics.Messages(string(notify.Owed), int(written))
	e.Metrics.Messages(string(notify.Merged), int(merged))
	var woken []string
	for _, m := range all {
		if !slices.Contains(woken, m.Channel) && m.DueAt <= e.now() {
			woken = append(woken, m.Channel)
			e.wakeSenders(m.Channel)
		}
	}
	return nil
}

// mergePosters leaves people who ask again and again one poster that waits to go, the newest: while the platform is away
// they would get all of them at its return. Whom they came through is known from the first. One that is being sent is
// left alone.
func mergePosters(tx *gorm.DB, people []int64, now int64) (merged int64, err error) {
	slices.Sort(people)
	for part := range slices.Chunk(slices.Compact(people), inChunk) {
		var open []messageRow
		err := tx.Select("no", "person", "facts").Where("person IN ? AND kind = ? AND state IN ?",
			part, notify.Poster, []notify.State{notify.Owed, notify.Waiting}).Order("person, no").Find(&open).Error
		if err != nil {
			return merged, err
		}
		var older []int64
		for len(open) > 0 {
			n := 1
			for n < len(open) && open[n].Person == open[0].Person {
				n++
			}
			for _, m := range open[:n-1] {
				older = append(older, m.No)
			}
			if err := inherit(tx, open[:n]); err != nil {
				return merged, err
			}
			open = open[n:]
		}
		n, err := endMessages(tx, older, notify.Merged, notify.Superseded, now)
		if merged += n; err != nil {
			return merged, err
		}
	}
	return merged, nil
}

// inherit has the last of some posters know through whom its person came, where those before it do.
func inherit(tx *gorm.DB, posters []messageRow) error {
	var f notify.Facts // of the last, in the end
	by := ""
	for _, m := range posters {
		f = notify.Facts{}
		if err := json.Unmarshal([]byte(m.Facts), &f); err != nil {
			return err
		}
		by = cmp.Or(f.InvitedBy, by)
	}
	if f.InvitedBy == by {
		return nil
	}
	f.InvitedBy = by
	facts, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return tx.Model(&messageRow{}).Where("no = ?", posters[len(posters)-1].No).Update("facts", string(facts)).Error
}

// outbox is what the engine keeps in memory of messages.
type outbox struct {
	owing    gather[*owing, error]
	owingNow atomic.Int64 // messages on their way into the database
	windows  gather[window, struct{}]
	senders  senders
}
