// Package ledger keeps the books of a campaign: double entry in whole minor units,
// append-only, chained by hash, balanced per currency after every transaction. It is
// pure: it decides what the lines are and whether lines that are shown to it are
// sound; who stores them and who asked is not its business.
package ledger

// The accounts of a campaign's books. Each normally stands on the side its comment names.
const (
	Funding      = "equity:funding"    // credit: value the organiser has put at the campaign's disposal
	Available    = "budget:available"  // debit: the part of a limited budget that is not promised yet
	Promised     = "rewards:promised"  // debit: rewards granted and still to be delivered, at cost
	Delivered    = "rewards:delivered" // debit: rewards handed over, at cost
	PointsIssued = "points:issued"     // debit: points given out, currency money.Points
	PointsHeld   = "points:held"       // credit: points that people hold, currency money.Points
)

// The kinds of transaction.
const (
	KindLaunch  = "launch"  // the budget is committed
	KindBudget  = "budget"  // the budget is raised or lowered
	KindPromise = "promise" // a reward is granted
	KindDeliver = "deliver" // a granted reward is handed over
	KindReverse = "reverse" // an earlier transaction is taken back
)

// Entry is one line of a campaign's ledger. Its Hash covers every other column and the
// hash of the entry before it, so a line can neither be changed, moved, inserted nor
// removed without the chain showing it.
type Entry struct {
	Campaign    int64  `gorm:"primaryKey"`
	Seq         int64  `gorm:"primaryKey"` // gapless from 1 in its campaign
	PostedAt    int64  // UTC milliseconds
	Transaction int64  // number of the transaction in its campaign, gapless from 1
	Kind        string // one of the Kind words
	Account     string
	Person      int64  // internal number of the person concerned, 0 for none
	Reward      string // the reward's name in its campaign, empty for none
	Grant       int64  `gorm:"column:grant_no"` // number of the grant in its campaign, 0 for none
	Event       string // id of the event that caused it
	Debit       int64  // minor units; zero where Credit is not
	Credit      int64  // minor units; zero where Debit is not
	Currency    string // ISO 4217, or money.Points
	Memo        string
	Hash        []byte // SHA-256
}

// TableName is the table that holds entries.
func (Entry) TableName() string { return "ledger_entries" }

// Posting is one side of a transaction: an amount on one account.
type Posting struct {
	Account  string
	Debit    int64 // minor units; zero where Credit is not
	Credit   int64 // minor units; zero where Debit is not
	Currency string
}

// Transaction is a movement of value that has not been numbered yet. Its debits equal
// its credits in each currency.
type Transaction struct {
	Kind     string
	PostedAt int64 // UTC milliseconds
	Person   int64
	Reward   string
	Grant    int64
	Event    string
	Memo     string // at most MaxMemo characters are kept
	Postings []Posting
}

// MaxMemo is the number of characters of a memo that are kept.
const MaxMemo = 200

// Cause says why value moves and for whom: what a transaction carries beside its amounts.
type Cause struct {
	At     int64 // UTC milliseconds
	Event  string
	Person int64
	Reward string
	Grant  int64
	Memo   string
}

func (c Cause) transaction(kind string, postings []Posting) Transaction {
	return Transaction{
		Kind: kind, PostedAt: c.At, Person: c.Person, Reward: c.Reward, Grant: c.Grant,
		Event: c.Event, Memo: c.Memo, Postings: postings,
	}
}
