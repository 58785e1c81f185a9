// Package event is the journal: what happened, once, in order. An event is appended,
// later applied, and never changed after that. What it leads to is not decided here.
package event

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// Limits on what comes from outside.
const (
	MaxID   = 128     // characters of an event id
	MaxUser = 128     // characters of a user
	MaxCode = 64      // characters of a code as sent; a real one has at most 16
	MaxData = 4 << 10 // bytes of data
)

// Event is one fact in a campaign's journal.
type Event struct {
	Campaign   int64  // internal number of the campaign
	Seq        int64  // position in the campaign's journal, gapless from 1, in the order of acceptance
	System     bool   // the engine's own: joins, life cycle, decisions, time that passed
	ID         string // unique in its campaign among events of its kind (outside or system)
	Type       string
	Person     int64   // internal number of who did it; 0 for none
	Code       string  // the code they came through, as sent; "" for none
	Time       int64   // when it happened, UTC milliseconds
	ReceivedAt int64   // when it was accepted, UTC milliseconds: the only clock that rules may read
	Data       *string // JSON object; nil for none
	Owner      int64   // the inviter whom the rules looked at; 0 for none
	Outcome    Outcome // "" until applied
	Detail     *string // JSON of Detail; nil for nothing to add
	Hash       []byte  // chains applied events, see Chain
}

// TableName is the view of what was accepted beside what applying made of it.
func (Event) TableName() string { return "journal" }

// Types of the engine's own events. Their names hold a dot, which no type from outside can.
const (
	Launched       = "campaign.launched"
	Paused         = "campaign.paused"
	Resumed        = "campaign.resumed"
	Ended          = "campaign.ended"
	Revised        = "campaign.revised"
	Joined         = "participant.joined"
	Blocked        = "participant.blocked"
	Unblocked      = "participant.unblocked"
	GrantApproved  = "grant.approved"
	GrantRejected  = "grant.rejected"
	GrantDelivered = "grant.delivered"
	GrantRevoked   = "grant.revoked"
	CouponsAdded   = "coupons.added"
	TimePassed     = "time.passed"
)

// Outcome is what an event led to, in one word.
type Outcome string

// The outcomes of events from outside.
const (
	Credited         Outcome = "credited"
	Counted          Outcome = "counted"  // funnel only, no task listens
	Held             Outcome = "held"     // credited when the hold passes
	Reversed         Outcome = "reversed" // took a credit back
	Restored         Outcome = "restored" // gave it back
	DuplicateInvitee Outcome = "duplicate_invitee"
	SelfInvite       Outcome = "self_invite"
	NotNewUser       Outcome = "not_new_user"
	UnknownCode      Outcome = "unknown_code"
	NoInviter        Outcome = "no_inviter"
	CampaignNotLive  Outcome = "campaign_not_live"
	OutsideWindow    Outcome = "outside_window"
	LimitReached     Outcome = "limit_reached"
	BlockedOutcome   Outcome = "blocked"
	ConditionNotMet  Outcome = "condition_not_met"
)

// The outcomes that belong to the engine: of its own events, and of one that no rule could digest.
const (
	Applied Outcome = "applied" // a system event did what it says
	Refused Outcome = "refused" // a system event was not allowed; Detail says why
	Failed  Outcome = "failed"  // applying it alone failed; Detail holds the error, nothing was changed
)

// Reasons that narrow a join.
const (
	JoinedBefore   = "joined_before"   // nothing changed
	InviterUnknown = "inviter_unknown" // the code they said they came by is nobody's
)

// Detail is what an outcome was reached by: enough to say why in words later.
type Detail struct {
	Reason string       `json:"reason,omitempty"` // a word that narrows the outcome, or a refusal's sentence
	Tasks  []TaskDetail `json:"tasks,omitempty"`
	Tiers  []string     `json:"tiers,omitempty"`  // reached by this event
	Grants []int64      `json:"grants,omitempty"` // numbers of the grants it made or moved
	Fields []string     `json:"fields,omitempty"` // of a refused revision
}

// Details reads an applied event's detail; it is empty where nothing was added.
func (e *Event) Details() (Detail, error) {
	var d Detail
	if e.Detail == nil {
		return d, nil
	}
	err := json.Unmarshal([]byte(*e.Detail), &d)
	return d, err
}

// TaskDetail is what one task made of the event.
type TaskDetail struct {
	Task    string  `json:"task"`
	Outcome Outcome `json:"outcome"`
	Owner   int64   `json:"owner,omitempty"` // who is credited, or would have been
	Reason  string  `json:"reason,omitempty"`
	Event   string  `json:"event,omitempty"` // the earlier event that this one completed
}

// Chain is the hash of an applied event over the hash of the one before it: SHA-256 over every
// column that applying may read or has written, texts with their length in front.
func Chain(before []byte, e *Event) []byte {
	buf := make([]byte, 0, 512)
	text := func(s string) {
		buf = binary.BigEndian.AppendUint32(buf, uint32(len(s)))
		buf = append(buf, s...)
	}
	optional := func(s *string) {
		if s == nil {
			buf = append(buf, 0)
			return
		}
		buf = append(buf, 1)
		text(*s)
	}
	number := func(n int64) { buf = binary.BigEndian.AppendUint64(buf, uint64(n)) }

	text("kfactor event 1")
	text(string(before))
	number(e.Campaign)
	number(e.Seq)
	if e.System {
		text("system")
	} else {
		text("outside")
	}
	text(e.ID)
	text(e.Type)
	number(e.Person)
	text(e.Code)
	number(e.Time)
	number(e.ReceivedAt)
	optional(e.Data)
	number(e.Owner)
	text(string(e.Outcome))
	optional(e.Detail)
	sum := sha256.Sum256(buf)
	return sum[:]
}
