// Package reward decides who is given what: rewards with their stock, grants with their states. It is pure; the
// books are kept in reward/ledger.
package reward

import "kfactor/internal/fault"

// Shelf is one reward's stock in a campaign.
type Shelf struct {
	Campaign    int64  `gorm:"primaryKey;autoIncrement:false"`
	Reward      string `gorm:"primaryKey"`
	Stock       int64
	Granted     int64 // reserved or delivered
	Delivered   int64
	Waitlisted  int64
	Coupons     int64 // coupon codes imported
	CouponsUsed int64 // coupon codes handed out
}

// TableName is the table that holds shelves.
func (Shelf) TableName() string { return "rewards" }

// Left is how many can still be granted.
func (s *Shelf) Left() int64 { return s.Stock - s.Granted }

// State is where a grant stands.
//
//	           ┌────────── approve ─────────┐
//	(new) ──► review ──► rejected           ▼
//	  │          └─ revoke ─► revoked ◄── granted ──► delivered ──► revoked
//	  ├──► granted                          ▲
//	  ├──► waitlisted ── stock or budget ───┘ (or review)
//	  └──► rejected (no budget, and the campaign says so)
type State string

// The states of a grant.
const (
	Review     State = "review"     // stock and budget reserved, a reviewer decides
	Granted    State = "granted"    // promised, to be delivered
	Waitlisted State = "waitlisted" // no stock or budget yet
	Delivered  State = "delivered"
	Rejected   State = "rejected"
	Revoked    State = "revoked"
)

// States are all states, in the order of a grant's life.
var States = []State{Waitlisted, Review, Granted, Delivered, Rejected, Revoked}

// Reserves says whether a grant in this state holds stock and budget.
func (s State) Reserves() bool { return s == Review || s == Granted || s == Delivered }

// Grant is one reward given to one participant.
type Grant struct {
	Campaign    int64 `gorm:"primaryKey;autoIncrement:false"`
	No          int64 `gorm:"primaryKey;autoIncrement:false"` // from 1 in its campaign; also the order of the waitlist
	Person      int64
	Tier        string // WelcomeTier for a welcome reward
	Reward      string
	State       State
	Reason      string
	Cost        int64 // minor units promised for it
	Points      int64 // points it is worth
	Coupon      int64 // number of the coupon code handed out; 0 for none
	PromisedBy  int64 // ledger transaction that promised it; 0 for none
	DeliveredBy int64 // ledger transaction that delivered it; 0 for none
	CreatedAt   int64 // UTC milliseconds
	UpdatedAt   int64 `gorm:"autoUpdateTime:false"`
}

// TableName is the table that holds grants.
func (Grant) TableName() string { return "grants" }

// WelcomeTier stands in a grant's Tier for a welcome reward; no tier can have this name.
const WelcomeTier = "(welcome)"

// Verb is what a person decides about a grant.
type Verb string

// The verbs.
const (
	Approve Verb = "approve"
	Refuse  Verb = "reject"
	Deliver Verb = "deliver"
	Revoke  Verb = "revoke"
)

// Next gives the state a verb leads to, or a conflict that says why it does not.
func (s State) Next(v Verb) (State, error) {
	switch {
	case v == Approve && s == Review:
		return Granted, nil
	case v == Refuse && (s == Review || s == Waitlisted):
		return Rejected, nil
	case v == Deliver && s == Granted:
		return Delivered, nil
	case v == Revoke && (s.Reserves() || s == Waitlisted):
		return Revoked, nil
	case v == Deliver && s == Review:
		return s, fault.New(fault.Conflict, "this grant waits for review; approve it before it is delivered")
	}
	return s, fault.New(fault.Conflict, "a grant that is %s cannot be turned by %q", s, v)
}
