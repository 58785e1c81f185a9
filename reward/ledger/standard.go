package ledger

import (
	"strconv"

	"kfactor/internal/money"
)

// The standard transactions. An amount of zero moves no value and gives a transaction
// without postings, which Post takes without writing a line: a free reward leaves no
// trace in the books.

// Commit puts a campaign's budget, in minor units, at its disposal when it is launched.
func Commit(c Cause, amount int64, currency string) Transaction {
	return c.transaction(KindLaunch, move(Available, Funding, amount, currency))
}

// ChangeBudget raises the budget by delta minor units, or lowers it when delta is negative.
func ChangeBudget(c Cause, delta int64, currency string) Transaction {
	if delta < 0 {
		return c.transaction(KindBudget, move(Funding, Available, -delta, currency))
	}
	return c.transaction(KindBudget, move(Available, Funding, delta, currency))
}

// Promise sets the cost of a granted reward aside: from the budget where the campaign
// has one (limited), else straight from the organiser's funding.
func Promise(c Cause, cost int64, currency string, limited bool) Transaction {
	from := Funding
	if limited {
		from = Available
	}
	return c.transaction(KindPromise, move(Promised, from, cost, currency))
}

// Deliver hands over a reward that was promised at this cost. points is the number of
// points that the person receives with it, zero when the reward is not points; they are
// a commodity of their own and balance for themselves.
func Deliver(c Cause, cost int64, currency string, points int64) Transaction {
	postings := move(Delivered, Promised, cost, currency)
	return c.transaction(KindDeliver, append(postings, move(PointsIssued, PointsHeld, points, money.Points)...))
}

// Reverse takes back the transaction with this number and these postings by their
// mirror image. Its memo names that transaction, and the cause's memo follows as the reason.
func Reverse(c Cause, number int64, postings []Posting) Transaction {
	mirror := make([]Posting, 0, len(postings))
	for _, p := range postings {
		p.Debit, p.Credit = p.Credit, p.Debit
		mirror = append(mirror, p)
	}
	memo := "reverses transaction " + strconv.FormatInt(number, 10)
	if c.Memo != "" {
		memo += ": " + c.Memo
	}
	c.Memo = memo
	return c.transaction(KindReverse, mirror)
}

// move debits one account and credits another.
func move(debit, credit string, amount int64, currency string) []Posting {
	if amount == 0 {
		return nil
	}
	return []Posting{
		{Account: debit, Debit: amount, Currency: currency},
		{Account: credit, Credit: amount, Currency: currency},
	}
}
