package engine

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/internal/database"
	"kfactor/migrations"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// VerifyReport is what replaying journals found.
type VerifyReport struct {
	OK       bool     `json:"ok"`
	Events   int64    `json:"events"`   // replayed
	Problems []string `json:"problems"` // one line each; at most maxProblems and one line more

	more int // problems found and not told
}

// maxProblems bounds a report; whatever is wrong, the first of it says enough.
const maxProblems = 100

// Verify replays the journal of one campaign, or of all, through the rules and compares everything that follows from
// it with what is stored: outcomes and hashes of events, people, credits, rewards, grants, the ledger, the funnel.
//
// The replay goes the way of live events, into a scratch database in a temporary folder, so it takes disk as the
// campaign does without its journal, and memory for a batch, however long the journal is. It disturbs nobody: only the
// comparison at the end reads one snapshot.
func (e *Engine) Verify(ctx context.Context, id string) (VerifyReport, error) {
	report := VerifyReport{OK: true, Problems: []string{}}
	rows, err := e.books(ctx, id)
	if err != nil {
		return report, err
	}
	for _, row := range rows {
		if err := e.verifyCampaign(ctx, row.No, &report); err != nil {
			return report, fmt.Errorf("verify campaign %s: %w", row.ID, err)
		}
	}
	if report.more > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("and %d more", report.more))
	}
	report.OK = len(report.Problems) == 0
	return report, nil
}

// replay is one campaign's journal on its way through the rules a second time.
type replay struct {
	*Engine             // over the scratch database
	real    *gorm.DB    // what is verified
	row     campaignRow // as it is stored
	again   campaignRow // as it follows from the journal so far
	report  *VerifyReport
}

// problem tells one thing that is wrong. What is past the bound is counted: a journal may be wrong in every event.
func (r *replay) problem(format string, args ...any) {
	if len(r.report.Problems) == maxProblems {
		r.report.more++
		return
	}
	r.report.Problems = append(r.report.Problems, r.row.ID+": "+fmt.Sprintf(format, args...))
}

func (e *Engine) verifyCampaign(ctx context.Context, no int64, report *VerifyReport) (err error) {
	folder, err := os.MkdirTemp("", "kfactor-verify-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	scratch, err := database.OpenScratch(ctx, filepath.Join(folder, "scratch.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Close(scratch)) }()
	if err := database.Migrate(ctx, scratch, migrations.FS); err != nil {
		return err
	}
	r := &replay{Engine: &Engine{Config: Config{DB: scratch, Log: e.Log, Now: e.Now}}, real: e.DB.WithContext(ctx), report: report}
	if err := r.begin(no); err != nil {
		return err
	}
	// What is applied does not change any more, so most of the journal is read without a snapshot: a database keeps all
	// that is overwritten for as long as there is one, and its readers have to go past that.
	for range 10 {
		before := r.again.Seq
		if whole, err := r.run(ctx); err != nil || !whole {
			return err
		}
		if r.again.Seq-before < 10*batchSize {
			break
		}
	}
	snapshot := &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	return e.DB.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		r.real = tx
		if err := tx.Where("no = ?", no).Take(&r.row).Error; err != nil {
			return err
		}
		if whole, err := r.run(ctx); err != nil || !whole {
			return err
		}
		if err := r.beyond(); err != nil {
			return err
		}
		return r.compare(scratch.WithContext(ctx))
	}, snapshot)
}

// begin makes the campaign in the scratch database as it was before its first event.
func (r *replay) begin(no int64) error {
	if err := r.real.Where("no = ?", no).Take(&r.row).Error; err != nil {
		return err
	}
	r.again = campaignRow{No: no, ID: r.row.ID, Status: campaign.Draft, Revision: 1}
	r.again.State = step.Campaign{Status: campaign.Draft, Revision: 1, Book: *ledger.NewBook(no)}
	return r.DB.Create(&r.again).Error
}

// run replays what is applied and has not been replayed. It is false when that cannot be done to the end: what
// follows from a journal that stops halfway is no measure.
func (r *replay) run(ctx context.Context) (whole bool, err error) {
	if err := r.definitions(); err != nil {
		return false, err
	}
	var end int64
	if err := r.real.Model(&campaignRow{}).Where("no = ?", r.row.No).Select("seq").Scan(&end).Error; err != nil {
		return false, err
	}
	for last := r.again.Seq; last < end; {
		var stored []event.Event
		err := r.real.Where("campaign = ? AND seq BETWEEN ? AND ?", r.row.No, last+1, min(last+batchSize, end)).Order("seq").Find(&stored).Error
		if err != nil {
			return false, err
		}
		there := 0
		for there < len(stored) && stored[there].Seq == last+1 {
			there++
			last++
		}
		if there < batchSize && last < end {
			r.problem("journal: event %d is missing", last+1)
			return false, nil
		}
		if err := r.codes(stored); err != nil {
			return false, err
		}
		for len(stored) > 0 {
			n, err := r.batch(ctx, stored)
			if err != nil || n == 0 {
				return false, err
			}
			stored = stored[n:]
		}
	}
	return true, nil
}

// beyond looks for what is numbered after the last event: outcomes of events that are not applied, and events that
// intake did not number.
func (r *replay) beyond() error {
	var ends struct{ Outcomes, Events, Tail int64 }
	err := r.real.Raw("SELECT (SELECT COALESCE(MAX(seq), 0) FROM outcomes WHERE campaign = @no) AS outcomes,"+
		" (SELECT COALESCE(MAX(seq), 0) FROM events WHERE campaign = @no) AS events,"+
		" (SELECT COALESCE(MAX(seq), 0) FROM tails WHERE campaign = @no) AS tail", sql.Named("no", r.row.No)).Scan(&ends).Error
	if ends.Outcomes > r.row.Seq {
		r.problem("journal: event %d has an outcome, the campaign stands at %d", ends.Outcomes, r.row.Seq)
	}
	if ends.Events != ends.Tail {
		r.problem("journal: it ends at event %d, the last one accepted is %d", ends.Events, ends.Tail)
	}
	return err
}

// definitions copies those the journal refers to, a few at a time, since they may be large.
func (r *replay) definitions() error {
	var known int
	if err := r.DB.Model(&revisionRow{}).Select("COALESCE(MAX(revision), 0)").Scan(&known).Error; err != nil {
		return err
	}
	for {
		var rows []revisionRow
		if err := r.real.Where("campaign = ? AND revision > ?", r.row.No, known).Order("revision").Limit(10).Find(&rows).Error; err != nil {
			return err
		}
		if len(rows) == 0 {
			return nil
		}
		if err := database.Insert(r.DB, rows); err != nil {
			return err
		}
		known = rows[len(rows)-1].Revision
	}
}

// codes copies the reserved codes that events name. One that was reserved since changes nothing: it is nobody's until
// its join is replayed.
func (r *replay) codes(events []event.Event) error {
	var named []string
	for i := range events {
		ev := &events[i]
		if ev.Code != "" {
			named = append(named, strings.ToUpper(ev.Code))
		}
		if ev.System && ev.Data != nil {
			var o step.Order
			_ = json.Unmarshal([]byte(*ev.Data), &o) // the rules will say what is wrong with it
			if o.InvitedBy != "" {
				named = append(named, strings.ToUpper(o.InvitedBy))
			}
		}
	}
	slices.Sort(named)
	for part := range slices.Chunk(slices.Compact(named), inChunk) {
		var rows []codeRow
		if err := r.real.Where("code IN ? AND campaign = ?", part, r.row.No).Find(&rows).Error; err != nil {
			return err
		}
		if _, err := database.InsertNew(r.DB, rows, "code"); err != nil {
			return err
		}
	}
	return nil
}

// batch replays the first of some events and gives how many; 0 when they cannot be replayed.
func (r *replay) batch(ctx context.Context, stored []event.Event) (int, error) {
	row := &r.again
	alone := func(ev event.Event) bool { return step.Wide(ev.Type) || ev.Outcome == event.Failed }
	if i := slices.IndexFunc(stored, alone); i >= 0 {
		stored = stored[:max(i, 1)]
	}
	d, err := r.definition(ctx, row.No, row.Revision)
	if err != nil {
		return 0, err
	}
	b := &batch{row: *row, events: slices.Clone(stored)}
	b.world = newWorld(&b.row, d)
	if stored[0].Outcome == event.Failed {
		why, _ := stored[0].Details() // what does not read will not hash alike either
		b.world.Fail(&b.events[0], errors.New(why.Reason))
	} else if err := r.work(ctx, b); err != nil {
		var unfit poisonError
		if !errors.As(err, &unfit) {
			return 0, err
		}
		r.problem("journal: events %d to %d cannot be replayed: %v", stored[0].Seq, stored[len(stored)-1].Seq, unfit.cause)
		return 0, nil
	}
	for i := range stored {
		r.compareEvent(&stored[i], &b.events[i])
	}
	r.report.Events += int64(len(stored))

	n := len(stored)
	b.events = nil // the scratch needs no journal
	p, err := prepare(r.DB, b, r.now())
	if err != nil {
		return 0, err
	}
	if err := r.save(ctx, p); err != nil {
		return 0, err
	}
	row.Status, row.Revision, row.Seq, row.State = b.row.State.Status, b.row.State.Revision, b.row.State.Seq, b.row.State
	return n, nil
}

// compareEvent compares what an event led to with what it leads to. The hash covers all columns and all events
// before; it is only told for the first event where nothing else tells.
func (r *replay) compareEvent(stored, again *event.Event) {
	text := func(s *string) string {
		if s == nil {
			return ""
		}
		return *s
	}
	switch {
	case stored.Outcome != again.Outcome:
		r.problem("event %d (%s): the outcome %q is stored, %q follows from the journal", stored.Seq, stored.ID, stored.Outcome, again.Outcome)
	case stored.Owner != again.Owner:
		r.problem("event %d (%s): the inviter %d is stored, %d follows from the journal", stored.Seq, stored.ID, stored.Owner, again.Owner)
	case text(stored.Detail) != text(again.Detail):
		r.problem("event %d (%s): the detail %s is stored, %s follows from the journal", stored.Seq, stored.ID, text(stored.Detail), text(again.Detail))
	case string(stored.Hash) != string(again.Hash):
		if len(r.report.Problems) < maxProblems {
			r.problem("event %d (%s): the hash is not that of the event; it or one before it was changed", stored.Seq, stored.ID)
		}
	}
}

// compare holds every table that follows from the journal against the stored one.
func (r *replay) compare(scratch *gorm.DB) error {
	again := &r.again
	due := again.State
	var d int64
	if definition, err := r.definition(scratch.Statement.Context, again.No, again.Revision); err != nil {
		return err
	} else if d = due.DueAt(definition); d != 0 {
		again.DueAt = &d
	}
	r.differences("campaign", r.row.ID, campaignFacts(&r.row), campaignFacts(again))
	return errors.Join(
		compareTables(r, scratch, "people", "person", func(a, b *campaign.Person) int { return cmp.Compare(a.Person, b.Person) },
			func(p *campaign.Person) string { return fmt.Sprintf("%d %s", p.Person, p.Code) }),
		compareTables(r, scratch, "credits", "person, task, n", func(a, b *campaign.Credit) int {
			return cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Task, b.Task), cmp.Compare(a.N, b.N))
		}, func(c *campaign.Credit) string { return fmt.Sprintf("%d/%s/%d", c.Person, c.Task, c.N) }),
		compareTables(r, scratch, "rewards", "reward", func(a, b *reward.Shelf) int { return cmp.Compare(a.Reward, b.Reward) },
			func(s *reward.Shelf) string { return s.Reward }),
		compareTables(r, scratch, "grants", "no", func(a, b *reward.Grant) int { return cmp.Compare(a.No, b.No) },
			func(g *reward.Grant) string { return fmt.Sprint(g.No) }),
		compareTables(r, scratch, "ledger", "seq", func(a, b *ledger.Entry) int { return cmp.Compare(a.Seq, b.Seq) },
			func(en *ledger.Entry) string { return fmt.Sprint(en.Seq) }),
		compareTables(r, scratch, "funnel", "split, stage, day, name", func(a, b *funnel.Counter) int { return a.Compare(*b) },
			func(c *funnel.Counter) string {
				return strings.Join([]string{c.Stage, strconv.Itoa(c.Day), c.Split, c.Name}, "/")
			}),
		r.compareMessages(scratch),
	)
}

// owedFor is what a message is owed for, and since when.
type owedFor struct {
	Person    int64
	Source    string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
}

func (owedFor) TableName() string { return "messages" }

// compareMessages looks for each message that follows from the journal. What became of it is for the channel to say, and
// there may be others, which the channel owed. One that is old enough to have been deleted may be gone.
func (r *replay) compareMessages(scratch *gorm.DB) error {
	gone, err := forgottenUpTo(r.real, r.row.No)
	if err != nil {
		return err
	}
	again, err := openCursor[owedFor](scratch, r.row.No, "person, source")
	if err != nil {
		return err
	}
	defer again.rows.Close()
	b, err := again.next()
	if err != nil || b == nil {
		return err
	}
	stored, err := openCursor[owedFor](r.real, r.row.No, "person, source")
	if err != nil {
		return err
	}
	defer stored.rows.Close()
	a, err := stored.next()
	for err == nil && b != nil {
		side := 1
		if a != nil {
			side = cmp.Or(cmp.Compare(a.Person, b.Person), cmp.Compare(a.Source, b.Source))
		}
		if side > 0 && b.CreatedAt > gone {
			r.problem("message %d/%s: it follows from the journal and is not stored", b.Person, b.Source)
		}
		if side <= 0 {
			a, err = stored.next()
		}
		if side >= 0 && err == nil {
			b, err = again.next()
		}
	}
	return err
}

// campaignFacts are the parts of a campaign's row that follow from its journal.
func campaignFacts(row *campaignRow) any {
	return struct {
		Status   campaign.Status
		Revision int
		Seq      int64
		DueAt    *int64
		State    step.Campaign
	}{row.Status, row.Revision, row.Seq, row.DueAt, row.State}
}

// compareTables walks a table and its replayed twin side by side, in the order of their keys.
func compareTables[T any](r *replay, scratch *gorm.DB, name, order string, compare func(a, b *T) int, label func(*T) string) error {
	stored, err := openCursor[T](r.real, r.row.No, order)
	if err != nil {
		return err
	}
	defer stored.rows.Close()
	again, err := openCursor[T](scratch, r.row.No, order)
	if err != nil {
		return err
	}
	defer again.rows.Close()
	a, errA := stored.next()
	b, errB := again.next()
	for errA == nil && errB == nil && (a != nil || b != nil) {
		var side int
		switch {
		case a == nil:
			side = 1
		case b == nil:
			side = -1
		default:
			side = compare(a, b)
		}
		switch {
		case side < 0:
			r.problem("%s %s: it is stored and does not follow from the journal", name, label(a))
		case side > 0:
			r.problem("%s %s: it follows from the journal and is not stored", name, label(b))
		default:
			r.differences(name, label(a), a, b)
		}
		if side <= 0 {
			a, errA = stored.next()
		}
		if side >= 0 {
			b, errB = again.next()
		}
	}
	return errors.Join(errA, errB)
}

// cursor reads a table row by row.
type cursor[T any] struct {
	db   *gorm.DB
	rows *sql.Rows
}

func openCursor[T any](db *gorm.DB, campaign int64, order string) (cursor[T], error) {
	rows, err := db.Model(new(T)).Where("campaign = ?", campaign).Order(order).Rows() //nolint:rowserrcheck // next checks it
	return cursor[T]{db, rows}, err
}

// next gives the next row, nil at the end.
func (c cursor[T]) next() (*T, error) {
	if !c.rows.Next() {
		return nil, c.rows.Err()
	}
	row := new(T)
	return row, c.db.ScanRows(c.rows, row)
}

// differences names the columns in which a stored row is not what follows from the journal.
func (r *replay) differences(table, label string, stored, again any) {
	if reflect.DeepEqual(stored, again) {
		return
	}
	a, b := columns(stored), columns(again)
	names := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if string(a[name]) != string(b[name]) {
			r.problem("%s %s: %s %s is stored, %s follows from the journal", table, label, name, a[name], b[name])
		}
	}
}

// columns are a row's columns as JSON.
func columns(row any) map[string]json.RawMessage {
	text, err := json.Marshal(row)
	if err != nil {
		return map[string]json.RawMessage{"row": []byte(err.Error())}
	}
	var out map[string]json.RawMessage
	_ = json.Unmarshal(text, &out) // a struct marshals to an object
	return out
}
