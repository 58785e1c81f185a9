package engine

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"time"

	"kfactor/reward/ledger"
	"kfactor/reward/ledger/export"
)

// LedgerEntries lists the lines of one campaign's ledger, or of all, campaign by campaign.
func (e *Engine) LedgerEntries(ctx context.Context, id string, page Page) (List[EntryView], error) {
	list := List[EntryView]{Items: []EntryView{}}
	after, err := page.after()
	if err != nil {
		return list, err
	}
	var from place
	if after != "" {
		if _, err := fmt.Sscanf(after, "%d.%d", &from.campaign, &from.seq); err != nil {
			return list, badCursor()
		}
	}
	books, err := e.books(ctx, id)
	if err != nil {
		return list, err
	}
	var entries []ledger.Entry
	ids := map[int64]string{}
	for _, c := range books {
		if c.No < from.campaign || len(entries) > page.limit() {
			continue
		}
		ids[c.No] = c.ID
		seq := int64(0)
		if c.No == from.campaign {
			seq = from.seq
		}
		var part []ledger.Entry
		err := e.DB.WithContext(ctx).Where("campaign = ? AND seq > ?", c.No, seq).Order("seq").Limit(page.limit() + 1 - len(entries)).Find(&part).Error
		if err != nil {
			return list, err
		}
		entries = append(entries, part...)
	}
	entries, list.Next = cutPage(entries, page, func(en ledger.Entry) string { return fmt.Sprintf("%d.%d", en.Campaign, en.Seq) })
	people := make([]int64, 0, len(entries))
	for _, en := range entries {
		people = append(people, en.Person)
	}
	slices.Sort(people)
	known, err := e.looks(ctx, slices.Compact(people))
	if err != nil {
		return list, err
	}
	for i := range entries {
		list.Items = append(list.Items, entryView(&entries[i], ids[entries[i].Campaign], known[entries[i].Person].user))
	}
	return list, nil
}

type place struct{ campaign, seq int64 }

func entryView(en *ledger.Entry, campaign, user string) EntryView {
	v := EntryView{
		Seq: en.Seq, PostedAt: moment(en.PostedAt), Transaction: en.Transaction, Kind: en.Kind, Campaign: campaign,
		Account: en.Account, User: user, Reward: en.Reward, Event: en.Event, Memo: en.Memo, Hash: hex.EncodeToString(en.Hash),
	}
	if en.Grant != 0 {
		v.Grant = campaign + "." + strconv.FormatInt(en.Grant, 10)
	}
	if en.Debit != 0 {
		v.Debit = &Money{en.Debit, en.Currency}
	} else {
		v.Credit = &Money{en.Credit, en.Currency}
	}
	return v
}

// books are the campaigns whose ledger is asked for: one by its id, or all.
func (e *Engine) books(ctx context.Context, id string) ([]campaignRow, error) {
	if id != "" {
		row, err := e.campaignRow(ctx, id)
		return []campaignRow{row}, err
	}
	var rows []campaignRow
	err := e.DB.WithContext(ctx).Order("no").Find(&rows).Error
	return rows, err
}

// Balances is the trial balance of one campaign, or of all.
func (e *Engine) Balances(ctx context.Context, id string) ([]BalanceView, error) {
	books, err := e.books(ctx, id)
	if err != nil {
		return nil, err
	}
	views := []BalanceView{}
	for _, c := range books {
		for _, l := range c.State.Book.TrialBalance() {
			views = append(views, BalanceView{c.ID, l.Account, l.Currency, l.Debit, l.Credit, l.Balance})
		}
	}
	return views, nil
}

// VerifyLedger re-computes the chain and every balance of one campaign's ledger, or of all.
func (e *Engine) VerifyLedger(ctx context.Context, id string) (LedgerReport, error) {
	report := LedgerReport{OK: true, Problems: []string{}}
	books, err := e.books(ctx, id)
	if err != nil {
		return report, err
	}
	for _, c := range books {
		one, err := e.verifyBook(ctx, c)
		if err != nil {
			return report, err
		}
		report.OK = report.OK && one.OK
		report.Entries += one.Entries
		report.Head = one.Head
		for _, p := range one.Problems {
			report.Problems = append(report.Problems, c.ID+": "+p)
		}
	}
	if len(books) != 1 {
		report.Head = ""
	}
	return report, nil
}

// verifyBook checks one ledger. Entries posted after the campaign's row was read are left for the next time.
func (e *Engine) verifyBook(ctx context.Context, c campaignRow) (ledger.Report, error) {
	row, err := e.campaignByNo(ctx, c.No)
	if err != nil {
		return ledger.Report{}, err
	}
	book := row.State.Book
	check := ledger.NewChecker(c.No)
	grown := false
	for en, err := range e.entries(ctx, c.No, 0, 0) {
		if err != nil {
			return ledger.Report{}, err
		}
		if en.Seq > book.Seq && !grown {
			// Either the campaign went on meanwhile, or there is a line too many.
			now, err := e.campaignByNo(ctx, c.No)
			if err != nil {
				return ledger.Report{}, err
			}
			grown = now.State.Book.Seq > book.Seq
		}
		if grown && en.Seq > book.Seq {
			break
		}
		check.Next(en)
	}
	return check.Finish(&book), nil
}

// entries streams a campaign's ledger in order, in pages, so that memory does not grow with it.
func (e *Engine) entries(ctx context.Context, no, from, to int64) iter.Seq2[ledger.Entry, error] {
	const pageSize = 2000
	return func(yield func(ledger.Entry, error) bool) {
		after := int64(-1 << 62) // a line numbered below 1 is to be seen too
		for {
			db := e.DB.WithContext(ctx).Where("campaign = ? AND seq > ?", no, after)
			if from != 0 {
				db = db.Where("posted_at >= ?", from)
			}
			if to != 0 {
				db = db.Where("posted_at < ?", to)
			}
			var rows []ledger.Entry
			if err := db.Order("seq").Limit(pageSize).Find(&rows).Error; err != nil {
				yield(ledger.Entry{}, err)
				return
			}
			for _, r := range rows {
				if !yield(r, nil) {
					return
				}
			}
			if len(rows) < pageSize {
				return
			}
			after = rows[len(rows)-1].Seq
		}
	}
}

// ExportLedger writes the ledger of one campaign, or of all, to w. CSV and Parquet stream; see package export.
func (e *Engine) ExportLedger(ctx context.Context, w io.Writer, format string, q ExportQuery) error {
	if err := export.Check(format); err != nil {
		return err
	}
	books, err := e.books(ctx, q.Campaign)
	if err != nil {
		return err
	}
	zone := time.UTC
	if len(books) == 1 {
		d, err := e.definition(ctx, books[0].No, books[0].Revision)
		if err != nil {
			return err
		}
		zone = d.Schedule.Location()
	}
	return export.Write(w, format, e.exportRows(ctx, books, q), zone)
}

// exportRows streams entries with the users they concern, some hundred at a time.
func (e *Engine) exportRows(ctx context.Context, books []campaignRow, q ExportQuery) iter.Seq2[export.Row, error] {
	var from, to int64
	if !q.From.IsZero() {
		from = q.From.UnixMilli()
	}
	if !q.To.IsZero() {
		to = q.To.UnixMilli()
	}
	return func(yield func(export.Row, error) bool) {
		for _, c := range books {
			waiting := make([]ledger.Entry, 0, 500)
			flush := func() bool {
				people := make([]int64, 0, len(waiting))
				for _, en := range waiting {
					people = append(people, en.Person)
				}
				slices.Sort(people)
				known, err := e.looks(ctx, slices.Compact(people))
				if err != nil {
					yield(export.Row{}, err)
					return false
				}
				for i := range waiting {
					if !yield(export.NewRow(&waiting[i], c.ID, known[waiting[i].Person].user), nil) {
						return false
					}
				}
				waiting = waiting[:0]
				return true
			}
			for en, err := range e.entries(ctx, c.No, from, to) {
				if err != nil {
					yield(export.Row{}, err)
					return
				}
				if waiting = append(waiting, en); len(waiting) == cap(waiting) && !flush() {
					return
				}
			}
			if !flush() {
				return
			}
		}
	}
}
