package ledger

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"kfactor/internal/fault"
	"kfactor/internal/money"
)

// Book is the running head of one campaign's ledger: what is needed to write the next
// line, and the sums of all lines so far. It is small and lives, as JSON, in the
// campaign's row; that copy outside the entries is also what shows a cut-off tail.
type Book struct {
	Campaign     int64           `json:"campaign"`
	Seq          int64           `json:"seq"`          // number of the last entry
	Transactions int64           `json:"transactions"` // number of the last transaction
	Head         []byte          `json:"head"`         // hash of the last entry, empty before the first
	Balances     map[Key]Balance `json:"balances"`
}

// Key names one account in one currency. As text, in JSON too, it is account|currency.
type Key struct {
	Account  string
	Currency string
}

// MarshalText writes the key as account|currency.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.Account + "|" + k.Currency), nil }

// UnmarshalText reads account|currency.
func (k *Key) UnmarshalText(text []byte) error {
	account, currency, ok := strings.Cut(string(text), "|")
	if !ok {
		return fmt.Errorf("ledger balance %q is not of the form account|currency", text)
	}
	k.Account, k.Currency = account, currency
	return nil
}

// Balance holds both turnovers of an account in minor units. What the account holds is Debit - Credit.
type Balance struct {
	Debit  int64 `json:"debit"`
	Credit int64 `json:"credit"`
}

// Line is one account in one currency of a trial balance, in minor units.
type Line struct {
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Debit    int64  `json:"debit"`
	Credit   int64  `json:"credit"`
	Balance  int64  `json:"balance"` // Debit - Credit; these sum to zero per currency
}

// NewBook is the empty book of a campaign.
func NewBook(campaign int64) *Book { return &Book{Campaign: campaign} }

// Clone gives a book that can be posted to without changing this one.
func (b *Book) Clone() *Book {
	c := *b
	c.Head = slices.Clone(b.Head)
	c.Balances = maps.Clone(b.Balances)
	return &c
}

// Balance is what the account holds in this currency, in minor units: debits less credits.
func (b *Book) Balance(account, currency string) int64 {
	held := b.Balances[Key{account, currency}]
	return held.Debit - held.Credit
}

// Post numbers the transaction, chains its lines to the head and adds them to the
// balances. It refuses, and leaves the book as it was, when the transaction does not
// balance in each currency, when an amount is zero, negative or too large, and when the
// budget would be overdrawn. A transaction without postings moves nothing and writes
// nothing: no lines, no number used. The number given is that of the lines returned.
func (b *Book) Post(t Transaction) ([]Entry, error) {
	if len(t.Postings) == 0 {
		return nil, nil
	}
	changed, err := b.after(t.Postings)
	if err != nil {
		return nil, err
	}
	if b.Balances == nil {
		b.Balances = make(map[Key]Balance, len(changed))
	}
	maps.Copy(b.Balances, changed)

	b.Transactions++
	memo := clip(t.Memo)
	entries := make([]Entry, 0, len(t.Postings))
	for _, p := range t.Postings {
		b.Seq++
		e := Entry{
			Campaign: b.Campaign, Seq: b.Seq, PostedAt: t.PostedAt, Transaction: b.Transactions, Kind: t.Kind,
			Account: p.Account, Person: t.Person, Reward: t.Reward, Grant: t.Grant, Event: t.Event,
			Debit: p.Debit, Credit: p.Credit, Currency: p.Currency, Memo: memo,
		}
		e.Hash = e.chain(b.Head)
		b.Head = e.Hash
		entries = append(entries, e)
	}
	// The head must not share memory with a line that its owner may change.
	b.Head = bytes.Clone(b.Head)
	return entries, nil
}

// after gives the balances that the postings would change, as they would be then.
func (b *Book) after(postings []Posting) (map[Key]Balance, error) {
	changed := make(map[Key]Balance, len(postings))
	sums := make(map[string]Balance, 2)
	for _, p := range postings {
		switch {
		case p.Account == "" || p.Currency == "":
			return nil, fault.New(fault.Invalid, "a posting needs an account and a currency, this one has %q and %q", p.Account, p.Currency)
		case !oneSided(p.Debit, p.Credit):
			return nil, fault.New(fault.Invalid, "a posting to %s needs either a debit or a credit above zero, this one has %d and %d", p.Account, p.Debit, p.Credit)
		case p.Debit > money.MaxMinor || p.Credit > money.MaxMinor:
			return nil, fault.New(fault.Invalid, "a posting to %s is larger than the books take (%d)", p.Account, int64(money.MaxMinor))
		}
		key := Key{p.Account, p.Currency}
		held, touched := changed[key]
		if !touched {
			held = b.Balances[key]
		}
		held, okAccount := held.plus(p.Debit, p.Credit)
		sum, okSum := sums[p.Currency].plus(p.Debit, p.Credit)
		if !okAccount || !okSum {
			return nil, fault.New(fault.Invalid, "the turnover of %s in %s would be larger than the books can count", p.Account, p.Currency)
		}
		changed[key], sums[p.Currency] = held, sum
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sum := sums[currency]; sum.Debit != sum.Credit {
			return nil, fault.New(fault.Invalid, "the transaction does not balance in %s: %s debit, %s credit", currency,
				money.Format(sum.Debit, currency), money.Format(sum.Credit, currency))
		}
		key := Key{Available, currency}
		if held, touched := changed[key]; touched && held.Debit < held.Credit {
			return nil, fault.New(fault.Conflict, "the budget has %s %s left, the transaction needs more",
				money.Format(b.Balance(Available, currency), currency), currency)
		}
	}
	return changed, nil
}

// TrialBalance lists every account that was ever posted to, by currency and then by account.
func (b *Book) TrialBalance() []Line {
	lines := make([]Line, 0, len(b.Balances))
	for _, key := range sortedKeys(b.Balances) {
		held := b.Balances[key]
		lines = append(lines, Line{
			Account: key.Account, Currency: key.Currency,
			Debit: held.Debit, Credit: held.Credit, Balance: held.Debit - held.Credit,
		})
	}
	return lines
}

// sortedKeys gives the accounts by currency and then by account.
func sortedKeys(balances map[Key]Balance) []Key {
	return slices.SortedFunc(maps.Keys(balances), func(x, y Key) int {
		return cmp.Or(cmp.Compare(x.Currency, y.Currency), cmp.Compare(x.Account, y.Account))
	})
}

// plus adds to both turnovers, and reports false instead of overflowing.
func (h Balance) plus(debit, credit int64) (Balance, bool) {
	if debit > math.MaxInt64-h.Debit || credit > math.MaxInt64-h.Credit {
		return h, false
	}
	return Balance{h.Debit + debit, h.Credit + credit}, true
}

func oneSided(debit, credit int64) bool {
	return debit > 0 && credit == 0 || credit > 0 && debit == 0
}

// chain is the entry's hash over the hash before it. Every column goes in, in the
// order of the struct; numbers as eight bytes, texts and the hash before with their
// length in front, so that no two different entries read the same.
func (e *Entry) chain(before []byte) []byte {
	buf := make([]byte, 0, 512)
	text := func(s string) {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	number := func(n int64) { buf = binary.BigEndian.AppendUint64(buf, uint64(n)) }

	text("kfactor ledger entry 1")
	text(string(before))
	number(e.Campaign)
	number(e.Seq)
	number(e.PostedAt)
	number(e.Transaction)
	text(e.Kind)
	text(e.Account)
	number(e.Person)
	text(e.Reward)
	number(e.Grant)
	text(e.Event)
	number(e.Debit)
	number(e.Credit)
	text(e.Currency)
	text(e.Memo)
	sum := sha256.Sum256(buf)
	return sum[:]
}

// clip keeps the first MaxMemo characters, valid UTF-8 without NUL: what every database gives
// back byte for byte, which the hash needs.
func clip(memo string) string {
	memo = strings.ReplaceAll(strings.ToValidUTF8(memo, "\uFFFD"), "\x00", "")
	if utf8.RuneCountInString(memo) <= MaxMemo {
		return memo
	}
	return string([]rune(memo)[:MaxMemo-1]) + "…"
}
