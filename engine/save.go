package engine

import (
	"context"
	"encoding/json"
	"slices"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/reward"
)

// prepared is what a batch writes, as values: the world it comes from may go on changing.
type prepared struct {
	no          int64
	after, upTo int64 // positions before the batch and of its last event
	events      int
	status      campaign.Status
	revision    int
	due         *int64
	state       string
	at          int64 // UTC milliseconds
	bulks       []database.Bulk
	channel     string // that owes new messages; "" where none are owed
	owed        int    // how many
}

// prepare makes ready what a batch that was worked out writes.
func prepare(db *gorm.DB, b *batch, now int64) (prepared, error) {
	w := b.world
	p := prepared{
		no: b.row.No, after: b.row.Seq, upTo: w.Campaign.Seq, events: len(b.events), status: w.Campaign.Status,
		revision: w.Campaign.Revision, at: now,
	}
	if at := w.Campaign.DueAt(w.Definition); at != 0 {
		p.due = &at
	}
	state, err := json.Marshal(w.Campaign)
	if err != nil {
		return p, err
	}
	p.state = string(state)
	outcomes := make([]outcome, 0, len(b.events))
	for i := range b.events {
		outcomes = append(outcomes, outcomeRow(&b.events[i]))
	}
	grants := w.ChangedGrants()
	// Those numbered after the last one before the batch are new and must not meet another of the same person, tier and
	// reward; they come in order.
	fresh := slices.IndexFunc(grants, func(g reward.Grant) bool { return g.No > w.GrantsBefore })
	if fresh < 0 {
		fresh = len(grants)
	}
	for _, ready := range []func() (database.Bulk, error){
		func() (database.Bulk, error) {
			return database.Upserting(db, w.ChangedPeople(), []string{"campaign", "person"},
				[]string{"code", "inviter", "depth", "score", "scored_seq", "joined_at", "facts"})
		},
		func() (database.Bulk, error) {
			return database.Upserting(db, w.ChangedCredits(), []string{"campaign", "person", "task", "n"},
				[]string{"owner", "state", "on_at", "off_at", "due_at", "ref", "event"})
		},
		func() (database.Bulk, error) {
			return database.Upserting(db, w.ChangedShelves(), []string{"campaign", "reward"},
				[]string{"stock", "granted", "delivered", "waitlisted", "coupons", "coupons_used"})
		},
		func() (database.Bulk, error) {
			return database.Upserting(db, grants[:fresh], []string{"campaign", "no"},
				[]string{"state", "reason", "cost", "points", "coupon", "promised_by", "delivered_by", "updated_at"})
		},
		func() (database.Bulk, error) { return database.Inserting(db, grants[fresh:]) },
		func() (database.Bulk, error) { return database.Inserting(db, w.Entries()) },
		func() (database.Bulk, error) { return database.Inserting(db, outcomes) },
		func() (database.Bulk, error) {
			return database.Adding(db, w.Counters(), []string{"campaign", "split", "stage", "day", "name"}, []string{"events", "users"})
		},
	} {
		bulk, err := ready()
		if err != nil {
			return p, err
		}
		p.bulks = append(p.bulks, bulk)
	}
	return p, p.owe(db, w)
}

// owe makes ready the messages that a batch owes: with nothing to look up and nothing to send.
func (p *prepared) owe(db *gorm.DB, w *step.World) error {
	owed := w.Owed()
	if len(owed) == 0 {
		return nil
	}
	p.channel, p.owed = w.Definition.Channel, len(owed)
	rows := make([]messageRow, 0, len(owed))
	for _, o := range owed {
		row, err := newMessage(p.channel, p.no, o.Person, o.Source, o.Kind, o.Word, o.Facts, o.At)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	// A channel may have used the same source; that must not keep a batch from being saved. They are numbered in the order
	// in which they are owed, by which the newest of them is known: no key is named, or they would be in the key's order.
	bulk, err := database.InsertingNew(db, rows)
	p.bulks = append(p.bulks, bulk)
	return err
}

// save writes a batch in one transaction. The campaign's position is the guard: it moves only from where the batch
// was read, so of two writers one wins and the other begins again.
func (e *Engine) save(ctx context.Context, p prepared) error {
	return database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		moved := tx.Exec("UPDATE campaigns SET status = ?, revision = ?, seq = ?, due_at = ?, state = ?, updated_at = ? WHERE no = ? AND seq = ?",
			p.status, p.revision, p.upTo, p.due, p.state, p.at, p.no, p.after)
		if moved.Error != nil {
			return moved.Error
		}
		if moved.RowsAffected != 1 {
			return errOvertaken
		}
		// One after the other: after a deadlock the transaction is gone, and nothing more may be written outside it.
		for _, bulk := range p.bulks {
			if _, err := bulk.Write(tx); err != nil {
				return err
			}
			crash.Point("apply.half-saved")
		}
		crash.Point("apply.before-commit")
		return nil
	})
}
