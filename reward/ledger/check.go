package ledger

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"kfactor/internal/money"
)

// MaxProblems bounds the problems a report lists; those beyond are only counted, in its last line.
const MaxProblems = 100

// Report is what a check of a campaign's ledger found.
type Report struct {
	OK       bool     `json:"ok"`
	Entries  int64    `json:"entries"`  // entries seen
	Head     string   `json:"head"`     // hash of the last entry seen, in hex
	Problems []string `json:"problems"` // sentences that name the entry; at most MaxProblems and one line more
}

// Checker re-computes a campaign's ledger from its entries, shown one by one in the
// order of seq. It holds one sum per account and currency, never the entries.
type Checker struct {
	campaign int64
	entries  int64
	seq      int64  // of the entry before
	head     []byte // stored hash of the entry before
	balances map[Key]Balance

	number int64 // of the open transaction
	first  Entry // first entry of the open transaction
	open   map[string]Balance

	problems []string
	unlisted int64
}

// NewChecker checks the ledger of the campaign with this internal number.
func NewChecker(campaign int64) *Checker {
	return &Checker{campaign: campaign, balances: make(map[Key]Balance), open: make(map[string]Balance)}
}

// Next takes the entry that follows. Each entry is checked against the stored hash of
// the one before it, so a change is reported where it is and not in everything that follows.
func (c *Checker) Next(e Entry) {
	c.entries++
	c.place(e)
	if e.Campaign != c.campaign {
		c.report("entry %d belongs to another campaign (%d)", e.Seq, e.Campaign)
	}
	if !bytes.Equal(e.chain(c.head), e.Hash) {
		c.report("entry %d does not match its hash: the entry, its hash or its place after the entry before it was changed after it was posted", e.Seq)
	}
	c.head = bytes.Clone(e.Hash)

	c.transaction(e)
	if !oneSided(e.Debit, e.Credit) {
		c.report("entry %d needs either a debit or a credit above zero; it has debit %s and credit %s %s", e.Seq,
			money.Format(e.Debit, e.Currency), money.Format(e.Credit, e.Currency), e.Currency)
	}
	debit, credit := max(e.Debit, 0), max(e.Credit, 0)
	key := Key{e.Account, e.Currency}
	held, okAccount := c.balances[key].plus(debit, credit)
	sum, okSum := c.open[e.Currency].plus(debit, credit)
	if !okAccount || !okSum {
		c.report("entry %d makes the turnover of %s in %s larger than the books can count", e.Seq, e.Account, e.Currency)
	}
	c.balances[key], c.open[e.Currency] = held, sum
}

// place checks that the entry's number follows the one before.
func (c *Checker) place(e Entry) {
	switch missing := e.Seq - c.seq - 1; {
	case e.Seq <= c.seq:
		c.report("entry %d stands after entry %d: repeated, inserted or moved", e.Seq, c.seq)
	case missing == 1:
		c.report("entry %d is missing", e.Seq-1)
	case missing > 1:
		c.report("entries %d to %d are missing", c.seq+1, e.Seq-1)
	}
	c.seq = e.Seq
}

// transaction checks that the entry goes on with the open transaction or begins the next one.
func (c *Checker) transaction(e Entry) {
	if c.entries > 1 && e.Transaction == c.number {
		f := c.first
		if e.PostedAt != f.PostedAt || e.Kind != f.Kind || e.Person != f.Person || e.Reward != f.Reward ||
			e.Grant != f.Grant || e.Event != f.Event || e.Memo != f.Memo {
			c.report("entry %d differs from entry %d of the same transaction %d in time, kind, person, reward, grant, event or memo",
				e.Seq, f.Seq, e.Transaction)
		}
		return
	}
	c.close()
	if e.Transaction != c.number+1 {
		c.report("entry %d is in transaction %d where transaction %d must follow", e.Seq, e.Transaction, c.number+1)
	}
	c.number, c.first = e.Transaction, e
}

// close checks the transaction that ends here.
func (c *Checker) close() {
	for _, currency := range slices.Sorted(maps.Keys(c.open)) {
		if sum := c.open[currency]; sum.Debit != sum.Credit {
			c.report("transaction %d (from entry %d) does not balance in %s: %s debit, %s credit", c.number, c.first.Seq, currency,
				money.Format(sum.Debit, currency), money.Format(sum.Credit, currency))
		}
	}
	clear(c.open)
}

// Finish ends the check. book is the stored head of the ledger, which alone can show a
// cut-off tail; nil leaves that comparison out.
func (c *Checker) Finish(book *Book) Report {
	c.close()
	if book != nil {
		c.compare(book)
	}
	for _, key := range sortedKeys(c.balances) {
		if held := c.balances[key]; key.Account == Available && held.Debit < held.Credit {
			c.report("the budget in %s is overdrawn by %s", key.Currency, money.Format(held.Credit-held.Debit, key.Currency))
		}
	}
	problems := slices.Clone(c.problems)
	if c.unlisted > 0 {
		problems = append(problems, fmt.Sprintf("and %d more problems", c.unlisted))
	}
	if problems == nil {
		problems = []string{} // a list in JSON too
	}
	return Report{OK: len(problems) == 0, Entries: c.entries, Head: hex.EncodeToString(c.head), Problems: problems}
}

// compare holds what the entries add up to against the stored book.
func (c *Checker) compare(book *Book) {
	if book.Campaign != c.campaign {
		c.report("the stored head belongs to another campaign (%d)", book.Campaign)
	}
	switch {
	case c.seq < book.Seq:
		c.report("entries %d to %d are missing at the end: the books were written up to entry %d", c.seq+1, book.Seq, book.Seq)
	case c.seq > book.Seq:
		c.report("entries %d to %d stand beyond the end: the books were written up to entry %d", book.Seq+1, c.seq, book.Seq)
	case !bytes.Equal(c.head, book.Head):
		c.report("the hash of the last entry %d is not the stored head", c.seq)
	}
	if c.number != book.Transactions {
		c.report("the last transaction is %d, the books were written up to transaction %d", c.number, book.Transactions)
	}
	all := maps.Clone(c.balances)
	maps.Copy(all, book.Balances)
	for _, key := range sortedKeys(all) {
		sum, stored := c.balances[key], book.Balances[key]
		if sum != stored {
			c.report("the entries of %s add up to %s debit and %s credit %s, the stored balance says %s and %s", key.Account,
				money.Format(sum.Debit, key.Currency), money.Format(sum.Credit, key.Currency), key.Currency,
				money.Format(stored.Debit, key.Currency), money.Format(stored.Credit, key.Currency))
		}
	}
}

func (c *Checker) report(format string, args ...any) {
	if len(c.problems) == MaxProblems {
		c.unlisted++
		return
	}
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}
