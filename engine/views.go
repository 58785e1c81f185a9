package engine

import (
	"encoding/json"
	"time"

	"kfactor/campaign"
	"kfactor/internal/fault"
)

// Page asks for one page of a list.
type Page struct {
	Limit  int    // 1 to 1000; 0 means 100
	Cursor string // the Next of the page before; empty for the first
}

// List is one page of a list.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next"` // cursor of the page after; empty at the end
}

// CampaignView is a campaign as it stands.
type CampaignView struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Channel      string          `json:"channel"`
	Status       campaign.Status `json:"status"`
	Revision     int             `json:"revision"`
	Starts       time.Time       `json:"starts"`
	Ends         time.Time       `json:"ends"`
	Participants int64           `json:"participants"`
	Missing      []string        `json:"missing_files,omitempty"` // files the definition names that are not there yet
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
}

// AssetView is an uploaded file.
type AssetView struct {
	Campaign string `json:"campaign"`
	Name     string `json:"name"`
	Size     int64  `json:"size"` // bytes
	SHA256   string `json:"sha256"`
}

// Plan is what applying a definition would change.
type Plan struct {
	ID       string            `json:"id"`
	Exists   bool              `json:"exists"`
	Status   campaign.Status   `json:"status,omitempty"`
	Revision int               `json:"revision"` // the revision it would become
	Changes  []campaign.Change `json:"changes"`
	Refused  []fault.Field     `json:"refused,omitempty"` // promises it would break
	Missing  []string          `json:"missing_files,omitempty"`
}

// Joining is a person who joins a campaign.
type Joining struct {
	User      string `json:"user"`
	Nickname  string `json:"nickname,omitempty"`
	AvatarURL string `json:"avatar_url,omitempty"`
	InvitedBy string `json:"invited_by,omitempty"` // a code
}

// TaskProgress is how far a participant is with a task.
type TaskProgress struct {
	Count int `json:"count"`
	Held  int `json:"held,omitempty"` // waiting for their hold to pass
}

// TierProgress is whether a participant reached a tier.
type TierProgress struct {
	Name    string `json:"name"`
	Reached bool   `json:"reached"`
}

// ParticipantView is a participant as they stand.
type ParticipantView struct {
	Code      string                  `json:"code"`
	User      string                  `json:"user,omitempty"`
	Nickname  string                  `json:"nickname,omitempty"`
	Blocked   bool                    `json:"blocked,omitempty"`
	InviteURL string                  `json:"invite_url"`
	PosterURL string                  `json:"poster_url"`
	QRURL     string                  `json:"qr_url"`
	Variant   string                  `json:"variant"`
	JoinedAt  time.Time               `json:"joined_at"`
	Tasks     map[string]TaskProgress `json:"tasks"`
	Tiers     []TierProgress          `json:"tiers"`
}

// EventView is one event of the journal.
type EventView struct {
	ID      string          `json:"id"`
	Type    string          `json:"type"`
	User    string          `json:"user,omitempty"`
	Code    string          `json:"code,omitempty"`
	Time    time.Time       `json:"time"`
	Seq     *int64          `json:"seq,omitempty"`     // absent until applied
	Outcome string          `json:"outcome,omitempty"` // absent until applied
	Detail  string          `json:"detail,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	System  bool            `json:"system,omitempty"`
}

// ExplainView says what touched a participant and why everything stands where it stands.
type ExplainView struct {
	Participant ParticipantView  `json:"participant"`
	Events      []ExplainedEvent `json:"events"`
	Truncated   bool             `json:"truncated,omitempty"` // more events than are shown
	Tasks       []ExplainedThing `json:"tasks"`
	Tiers       []ExplainedThing `json:"tiers"`
	Grants      []ExplainedThing `json:"grants"`
	Chains      []ExplainedChain `json:"chains"` // one for each tier, and one for a welcome

	Messages     []ExplainedMessage `json:"messages"`                // what they were owed to hear, the latest
	MessagesGone *MessagesGone      `json:"messages_gone,omitempty"` // nil: all of it is kept
}

// ExplainedEvent is an event with its outcome said in words.
type ExplainedEvent struct {
	EventView
	Revision int              `json:"revision"` // of the definition that was in force
	Why      string           `json:"why"`      // English
	WhyZH    string           `json:"why_zh"`   // 中文
	Chains   []ExplainedChain `json:"chains"`   // the one that gave the event its outcome first
}

// ExplainedChain is the way from a scan to a reward, with the first thing that stopped it. It tells what is so now, by
// the numbers that were in force at the event.
type ExplainedChain struct {
	Task      string          `json:"task,omitempty"`
	Code      string          `json:"code,omitempty"` // of whom it counts for
	Tier      string          `json:"tier,omitempty"` // that it leads to
	Outcome   string          `json:"outcome,omitempty"`
	StoppedAt string          `json:"stopped_at,omitempty"` // a step; empty when all are done, or none is begun
	Steps     []ExplainedStep `json:"steps"`                // scan, follow, attribution, rule, hold, tier, stock, grant
}

// ExplainedStep is one step of a chain.
type ExplainedStep struct {
	Step     string `json:"step"`
	State    string `json:"state"` // done, stopped or not_reached; stopped at most once, with nothing done behind it
	Why      string `json:"why"`
	WhyZH    string `json:"why_zh"`
	Change   string `json:"change,omitempty"` // what would change it, where it stopped
	ChangeZH string `json:"change_zh,omitempty"`
}

// ExplainedThing is a task, tier or grant with why it stands where it stands.
type ExplainedThing struct {
	Name  string `json:"name"`
	State string `json:"state"`
	Why   string `json:"why"`
	WhyZH string `json:"why_zh"`
}

// FunnelQuery asks for a funnel over the days from From to To, both included, in the campaign's time zone.
type FunnelQuery struct {
	From, To time.Time // zero: open
	By       string    // "", day, variant, depth or source
}

// FunnelStage is one stage's count.
type FunnelStage struct {
	Stage  string  `json:"stage"`
	Events int64   `json:"events"`
	Users  int64   `json:"users"`
	Rate   float64 `json:"rate"` // users against the stage before; 1 at the first
}

// FunnelGroup is a funnel of one day, variant, depth or source.
type FunnelGroup struct {
	Group  string        `json:"group"`
	Stages []FunnelStage `json:"stages"`
}

// FunnelView is the answer of a funnel report.
type FunnelView struct {
	Campaign string        `json:"campaign"`
	From     *time.Time    `json:"from"`
	To       *time.Time    `json:"to"`
	Stages   []FunnelStage `json:"stages"`
	KFactor  float64       `json:"k_factor"` // credited invitees per participant
	Groups   []FunnelGroup `json:"groups"`
}

// RankView is one line of the leaderboard.
type RankView struct {
	Rank     int    `json:"rank"`
	Code     string `json:"code"`
	Nickname string `json:"nickname"`
	Count    int64  `json:"count"`
}

// RewardView is how much of a reward is left.
type RewardView struct {
	Reward     string `json:"reward"`
	Kind       string `json:"kind"`
	Stock      int64  `json:"stock"`
	Granted    int64  `json:"granted"`
	Remaining  int64  `json:"remaining"`
	Waitlisted int64  `json:"waitlisted"`
}

// CouponImport is what an import of coupon codes did.
type CouponImport struct {
	Imported   int `json:"imported"`
	Duplicates int `json:"duplicates"`
}

// GrantQuery filters grants; empty fields do not filter.
type GrantQuery struct{ Campaign, User, State string }

// GrantView is one grant.
type GrantView struct {
	ID        string    `json:"id"`
	Campaign  string    `json:"campaign"`
	User      string    `json:"user"`
	Code      string    `json:"code"`
	Tier      string    `json:"tier"`
	Reward    string    `json:"reward"`
	State     string    `json:"state"`
	Reason    string    `json:"reason"`
	Coupon    string    `json:"coupon,omitempty"` // the coupon code that was handed out
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// WalletItem is a reward as its owner sees it.
type WalletItem struct {
	Reward string `json:"reward"`
	Title  string `json:"title"`
	Tier   string `json:"tier"`
	State  string `json:"state"`
	Coupon string `json:"coupon,omitempty"` // the coupon code, once it is handed out

	Grant        int64    `json:"grant"`                   // its number in the campaign
	NeedsAddress bool     `json:"needs_address,omitempty"` // it is sent by post
	Sendable     bool     `json:"sendable,omitempty"`      // and the address may still be written or changed
	Address      *Address `json:"address,omitempty"`       // where it goes, once they wrote it
}

// EntryView is one ledger entry; the columns of the export.
type EntryView struct {
	Seq         int64     `json:"seq"`
	PostedAt    time.Time `json:"posted_at"`
	Transaction int64     `json:"transaction"`
	Kind        string    `json:"kind"`
	Campaign    string    `json:"campaign"`
	Account     string    `json:"account"`
	User        string    `json:"user,omitempty"`
	Reward      string    `json:"reward,omitempty"`
	Grant       string    `json:"grant,omitempty"`
	Event       string    `json:"event"`
	Debit       *Money    `json:"debit,omitempty"`
	Credit      *Money    `json:"credit,omitempty"`
	Memo        string    `json:"memo,omitempty"`
	Hash        string    `json:"hash"`
}

// Money is an amount in whole minor units.
type Money struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// BalanceView is one account's line of the trial balance. Debits and credits are minor units;
// over all accounts of a currency the balances sum to zero.
type BalanceView struct {
	Campaign string `json:"campaign"`
	Account  string `json:"account"`
	Currency string `json:"currency"`
	Debit    int64  `json:"debit"`
	Credit   int64  `json:"credit"`
	Balance  int64  `json:"balance"` // debit less credit
}

// LedgerReport is what re-computing the chain and every balance found.
type LedgerReport struct {
	OK       bool     `json:"ok"`
	Entries  int64    `json:"entries"`
	Head     string   `json:"head"` // hex hash of the last entry
	Problems []string `json:"problems"`
}

// ExportQuery selects the entries of an export.
type ExportQuery struct {
	Campaign string    // empty: every campaign
	From, To time.Time // posted at or after From and before To; zero: open
}

// KeyView is an API key without its secret.
type KeyView struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	CreatedAt time.Time  `json:"created_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
}

// Visit is what stands behind a code, for the page a friend sees.
type Visit struct {
	Campaign    CampaignView
	Definition  *campaign.Definition
	Code        string
	Nickname    string
	Participant ParticipantView
}

// StoredAnswer is an answer kept for a repeated Idempotency-Key.
type StoredAnswer struct {
	Status      int
	ContentType string
	Body        []byte
}
