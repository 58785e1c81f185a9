package ledger_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"kfactor/internal/fault"
	"kfactor/internal/money"
	"kfactor/reward/ledger"
)

const campaign = 7

// cause is a sample of why value moves.
func cause() ledger.Cause {
	return ledger.Cause{At: 1_772_416_800_000, Event: "shop-991", Person: 3, Reward: "red-packet", Grant: 2}
}

// sample is a short life of a campaign, one transaction of each kind.
func sample(t *testing.T) (*ledger.Book, []ledger.Entry) {
	t.Helper()
	book := ledger.NewBook(campaign)
	late := ledger.Promise(cause(), 300, "CNY", false)
	var entries []ledger.Entry
	for _, tx := range []ledger.Transaction{
		ledger.Commit(ledger.Cause{At: 1, Event: "launch", Memo: "预算 spring"}, 100_000, "CNY"),
		ledger.ChangeBudget(ledger.Cause{At: 2, Event: "raise"}, 50_000, "CNY"),
		ledger.Promise(cause(), 500, "CNY", true),
		ledger.Deliver(cause(), 500, "CNY", 20),
		late,
		ledger.Reverse(cause(), 5, late.Postings),
	} {
		posted, err := book.Post(tx)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, posted...)
	}
	return book, entries
}

func check(book *ledger.Book, entries []ledger.Entry) ledger.Report {
	c := ledger.NewChecker(campaign)
	for _, e := range entries {
		c.Next(e)
	}
	return c.Finish(book)
}

func TestPost(t *testing.T) {
	t.Parallel()

	t.Run("LinesAreNumberedWithoutGapsAndCarryTheCause", func(t *testing.T) {
		t.Parallel()
		book, entries := sample(t)
		for i, e := range entries {
			if e.Seq != int64(i+1) || e.Campaign != campaign || len(e.Hash) != 32 {
				t.Errorf("entry %d: %+v", i, e)
			}
		}
		last := entries[len(entries)-1]
		if last.Transaction != 6 || last.Kind != "reverse" || last.Person != 3 || last.Reward != "red-packet" || last.Grant != 2 ||
			last.Event != "shop-991" || !strings.Contains(last.Memo, "transaction 5") {
			t.Errorf("last entry %+v", last)
		}
		if book.Seq != last.Seq || book.Transactions != 6 || !bytes.Equal(book.Head, last.Hash) {
			t.Errorf("book %+v", book)
		}
	})

	t.Run("ValueMovesBetweenTheAccountsOfTheContract", func(t *testing.T) {
		t.Parallel()
		book, _ := sample(t)
		got := map[string]int64{}
		for _, l := range book.TrialBalance() {
			got[l.Account+" "+l.Currency] = l.Balance
		}
		want := map[string]int64{
			"equity:funding CNY":    -150_000,
			"budget:available CNY":  149_500,
			"rewards:promised CNY":  0,
			"rewards:delivered CNY": 500,
			"points:issued POINTS":  20,
			"points:held POINTS":    -20,
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})

	t.Run("WhatDoesNotBalanceIsRefusedAndChangesNothing", func(t *testing.T) {
		t.Parallel()
		pair := func(debit, credit int64) []ledger.Posting {
			return []ledger.Posting{
				{Account: ledger.Promised, Debit: debit, Currency: "CNY"},
				{Account: ledger.Funding, Credit: credit, Currency: "CNY"},
			}
		}
		for name, postings := range map[string][]ledger.Posting{
			"unequal":     pair(5, 6),
			"negative":    pair(-5, -5),
			"zero":        pair(0, 0),
			"too large":   pair(money.MaxMinor+1, money.MaxMinor+1),
			"largest int": pair(math.MaxInt64, math.MaxInt64),
			"both sides":  {{Account: ledger.Funding, Debit: 5, Credit: 5, Currency: "CNY"}},
			"currencies":  {{Account: ledger.Promised, Debit: 5, Currency: "CNY"}, {Account: ledger.Funding, Credit: 5, Currency: "USD"}},
			"no account":  {{Debit: 5, Currency: "CNY"}, {Account: ledger.Funding, Credit: 5, Currency: "CNY"}},
			"no currency": {{Account: ledger.Promised, Debit: 5}, {Account: ledger.Funding, Credit: 5}},
		} {
			book, _ := sample(t)
			before := book.Clone()
			entries, err := book.Post(ledger.Transaction{Kind: "promise", Postings: postings})
			if fault.KindOf(err) != fault.Invalid || entries != nil {
				t.Errorf("%s: got %v, %v", name, entries, err)
			}
			if !reflect.DeepEqual(book, before) {
				t.Errorf("%s: the book changed", name)
			}
		}
	})

	t.Run("ABudgetIsNeverOverdrawn", func(t *testing.T) {
		t.Parallel()
		book := ledger.NewBook(campaign)
		post := func(tx ledger.Transaction) error { _, err := book.Post(tx); return err }
		if err := post(ledger.Commit(cause(), 1000, "CNY")); err != nil {
			t.Fatal(err)
		}
		if err := post(ledger.Promise(cause(), 1000, "CNY", true)); err != nil {
			t.Fatal(err)
		}
		if err := post(ledger.Promise(cause(), 1, "CNY", true)); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a promise beyond the budget: %v", err)
		}
		if err := post(ledger.ChangeBudget(cause(), -1, "CNY")); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a budget lowered below what is promised: %v", err)
		}
		if got := book.Balance(ledger.Available, "CNY"); got != 0 {
			t.Errorf("available %d", got)
		}
	})

	t.Run("TurnoverThatWouldOverflowIsRefused", func(t *testing.T) {
		t.Parallel()
		book := ledger.NewBook(campaign)
		book.Balances = map[ledger.Key]ledger.Balance{{Account: ledger.Promised, Currency: "CNY"}: {Debit: math.MaxInt64 - 1}}
		if _, err := book.Post(ledger.Promise(cause(), 2, "CNY", false)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("got %v", err)
		}
	})

	t.Run("AFreeRewardWritesNothingAndUsesNoNumber", func(t *testing.T) {
		t.Parallel()
		book, _ := sample(t)
		before := book.Clone()
		for _, tx := range []ledger.Transaction{
			ledger.Promise(cause(), 0, "CNY", true), ledger.Deliver(cause(), 0, "CNY", 0), ledger.Reverse(cause(), 9, nil),
			ledger.ChangeBudget(cause(), 0, "CNY"),
		} {
			entries, err := book.Post(tx)
			if err != nil || len(entries) != 0 {
				t.Errorf("%s: %v, %v", tx.Kind, entries, err)
			}
		}
		if !reflect.DeepEqual(book, before) {
			t.Error("the book changed")
		}
	})

	t.Run("ALongMemoIsShortenedToWhatIsStored", func(t *testing.T) {
		t.Parallel()
		c := cause()
		c.Memo = strings.Repeat("红包", 1000) + "\xff"
		entries, err := ledger.NewBook(campaign).Post(ledger.Promise(c, 5, "CNY", false))
		if err != nil {
			t.Fatal(err)
		}
		memo := entries[0].Memo
		if utf8.RuneCountInString(memo) != ledger.MaxMemo || !utf8.ValidString(memo) || !strings.HasSuffix(memo, "…") {
			t.Errorf("memo of %d characters: %q", utf8.RuneCountInString(memo), memo)
		}
	})

	t.Run("ABookThatSleptAsJSONGoesOnTheSame", func(t *testing.T) {
		t.Parallel()
		awake, _ := sample(t)
		text, err := json.Marshal(awake)
		if err != nil {
			t.Fatal(err)
		}
		var slept ledger.Book
		if err := json.Unmarshal(text, &slept); err != nil {
			t.Fatal(err)
		}
		one, err := awake.Post(ledger.Promise(cause(), 5, "CNY", true))
		if err != nil {
			t.Fatal(err)
		}
		other, err := slept.Post(ledger.Promise(cause(), 5, "CNY", true))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(one, other) || !reflect.DeepEqual(awake, &slept) {
			t.Errorf("awake %+v\nslept %+v", one, other)
		}
	})
}

func TestChecker(t *testing.T) {
	t.Parallel()

	t.Run("SoundBooksPass", func(t *testing.T) {
		t.Parallel()
		book, entries := sample(t)
		report := check(book, entries)
		if !report.OK || report.Entries != int64(len(entries)) || report.Head != fmt.Sprintf("%x", book.Head) || report.Problems == nil {
			t.Errorf("%+v", report)
		}
		if report := check(ledger.NewBook(campaign), nil); !report.OK || report.Entries != 0 {
			t.Errorf("empty books: %+v", report)
		}
	})

	t.Run("AChangedBitInAnyColumnOfAnyEntryIsFoundAndNamed", func(t *testing.T) {
		t.Parallel()
		book, entries := sample(t)
		columns := reflect.TypeFor[ledger.Entry]().NumField()
		for i := range entries {
			for column := range columns {
				for bit := range 8 {
					changed := slices.Clone(entries)
					if !flip(reflect.ValueOf(&changed[i]).Elem().Field(column), bit) {
						continue
					}
					for _, stored := range []*ledger.Book{book, nil} {
						report := check(stored, changed)
						if report.OK && !(stored == nil && i == len(entries)-1) {
							t.Fatalf("entry %d, column %d, bit %d is not found", i+1, column, bit)
						}
						named := fmt.Sprintf("entry %d ", changed[i].Seq)
						if !slices.ContainsFunc(report.Problems, func(p string) bool { return strings.HasPrefix(p, named) }) {
							t.Fatalf("entry %d, column %d, bit %d is not named in %q", i+1, column, bit, report.Problems)
						}
					}
				}
			}
		}
	})

	t.Run("ARewrittenHistoryIsFoundByTheStoredBook", func(t *testing.T) {
		t.Parallel()
		book, _ := sample(t)
		forged := ledger.NewBook(campaign)
		var entries []ledger.Entry
		for range 7 {
			posted, err := forged.Post(ledger.Commit(cause(), 9, "CNY"))
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, posted...)
		}
		if report := check(forged, entries); !report.OK {
			t.Fatalf("the forgery is not even sound: %v", report.Problems)
		}
		if report := check(book, entries); report.OK {
			t.Error("not found")
		}
	})

	t.Run("AWrongStoredBalanceIsNamed", func(t *testing.T) {
		t.Parallel()
		book, entries := sample(t)
		book.Balances[ledger.Key{Account: ledger.Available, Currency: "CNY"}] = ledger.Balance{Debit: 1}
		report := check(book, entries)
		if len(report.Problems) != 1 || !strings.Contains(report.Problems[0], ledger.Available) {
			t.Errorf("%q", report.Problems)
		}
	})

	t.Run("AnUnbalancedTransactionIsFoundEvenWhereTheHashesFit", func(t *testing.T) {
		t.Parallel()
		// Half of a transaction at the end of a ledger whose head is not known.
		_, entries := sample(t)
		report := check(nil, entries[:len(entries)-1])
		if len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "transaction 6 (from entry 13) does not balance in CNY: 0.00 debit, 3.00 credit") {
			t.Errorf("%q", report.Problems)
		}
	})

	t.Run("AMissingHeadOfTheBooksIsNamed", func(t *testing.T) {
		t.Parallel()
		book, entries := sample(t)
		report := check(book, entries[2:])
		if report.OK || report.Problems[0] != "entries 1 to 2 are missing" {
			t.Errorf("%q", report.Problems)
		}
	})

	t.Run("ProblemsAreCapped", func(t *testing.T) {
		t.Parallel()
		c := ledger.NewChecker(campaign)
		for range 10_000 {
			c.Next(ledger.Entry{Campaign: 8, Seq: 5})
		}
		report := c.Finish(nil)
		if report.OK || len(report.Problems) != ledger.MaxProblems+1 || !strings.Contains(report.Problems[ledger.MaxProblems], "more problems") {
			t.Errorf("%d problems, last %q", len(report.Problems), report.Problems[len(report.Problems)-1])
		}
	})
}

// flip changes one bit of a column; it reports false where the column is too short to have it.
func flip(column reflect.Value, bit int) bool {
	switch column.Kind() {
	case reflect.Int64:
		column.SetInt(column.Int() ^ 1<<bit)
	case reflect.String:
		text := []byte(column.String())
		if len(text) == 0 {
			column.SetString(string(rune('A' + bit)))
			return true
		}
		text[len(text)/2] ^= 1 << bit
		column.SetString(string(text))
	default:
		hash := bytes.Clone(column.Bytes())
		hash[bit] ^= 1 << bit
		column.SetBytes(hash)
	}
	return true
}

// randomBooks posts any sequence of transactions, refused ones included.
func randomBooks(t *rapid.T, least int) (*ledger.Book, []ledger.Entry) {
	book := ledger.NewBook(campaign)
	var entries []ledger.Entry
	var done []ledger.Transaction
	amount := rapid.Int64Range(-2, 1_000_000)
	currency := rapid.SampledFrom([]string{"CNY", "JPY", "USD"})
	steps := rapid.IntRange(least, 20).Draw(t, "steps")
	for step := 0; step < steps || len(entries) < 2*least; step++ {
		c := ledger.Cause{
			At: rapid.Int64().Draw(t, "at"), Event: rapid.String().Draw(t, "event"), Person: rapid.Int64Min(0).Draw(t, "person"),
			Reward: rapid.StringN(0, 8, 64).Draw(t, "reward"), Memo: rapid.String().Draw(t, "memo"),
		}
		var tx ledger.Transaction
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			tx = ledger.Commit(c, amount.Draw(t, "amount"), currency.Draw(t, "currency"))
		case 1:
			tx = ledger.ChangeBudget(c, rapid.Int64Range(-1000, 1000).Draw(t, "delta"), currency.Draw(t, "currency"))
		case 2:
			tx = ledger.Promise(c, amount.Draw(t, "cost"), currency.Draw(t, "currency"), rapid.Bool().Draw(t, "limited"))
		case 3:
			tx = ledger.Deliver(c, amount.Draw(t, "cost"), currency.Draw(t, "currency"), amount.Draw(t, "points"))
		case 4:
			if len(done) > 0 {
				i := rapid.IntRange(0, len(done)-1).Draw(t, "of")
				tx = ledger.Reverse(c, int64(i+1), done[i].Postings)
			}
		case 5:
			tx = ledger.Transaction{Kind: "other", Postings: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) ledger.Posting {
				p := ledger.Posting{Account: "any", Currency: currency.Draw(t, "currency")}
				p.Debit = rapid.Int64Range(0, 2).Draw(t, "debit")
				p.Credit = rapid.Int64Range(0, 2).Draw(t, "credit")
				return p
			}), 1, 5).Draw(t, "postings")}
		}
		posted, err := book.Post(tx)
		if err == nil && len(posted) > 0 {
			done = append(done, tx)
		}
		entries = append(entries, posted...)
	}
	return book, entries
}

func TestAnySequenceOfTransactionsBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		book, entries := randomBooks(t, 0)
		sums := map[string]int64{}
		for _, l := range book.TrialBalance() {
			sums[l.Currency] += l.Balance
			if l.Balance != l.Debit-l.Credit {
				t.Fatalf("line %+v", l)
			}
			if l.Account == ledger.Available && l.Balance < 0 {
				t.Fatalf("the budget is overdrawn: %+v", l)
			}
		}
		for currency, sum := range sums {
			if sum != 0 {
				t.Fatalf("the trial balance in %s is %d", currency, sum)
			}
		}
		if report := check(book, entries); !report.OK {
			t.Fatalf("%q", report.Problems)
		}
	})
}

func TestAnyTamperingIsFound(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		book, entries := randomBooks(t, 2)
		i := rapid.IntRange(0, len(entries)-1).Draw(t, "entry")
		changed := slices.Clone(entries)
		switch rapid.SampledFrom([]string{"change", "remove", "repeat", "swap", "cut", "boundary"}).Draw(t, "how") {
		case "change":
			column := rapid.IntRange(0, reflect.TypeFor[ledger.Entry]().NumField()-1).Draw(t, "column")
			flip(reflect.ValueOf(&changed[i]).Elem().Field(column), rapid.IntRange(0, 7).Draw(t, "bit"))
		case "remove":
			changed = slices.Delete(changed, i, i+1)
		case "repeat":
			changed = slices.Insert(changed, rapid.IntRange(0, len(entries)).Draw(t, "to"), changed[i])
		case "swap":
			j := rapid.IntRange(0, len(entries)-1).Filter(func(j int) bool { return j != i }).Draw(t, "with")
			changed[i], changed[j] = changed[j], changed[i]
		case "cut":
			changed = changed[:i]
		case "boundary": // the same bytes, cut differently into columns
			changed[i].Event, changed[i].Reward = changed[i].Event+"x", "x"+changed[i].Reward
		}
		if report := check(book, changed); report.OK {
			t.Fatalf("not found")
		}
	})
}
