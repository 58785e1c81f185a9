// Package campaign holds the definition side of a campaign: the file that describes one, how it is read,
// checked and compared, the promises it makes to those already in it, and the states it passes through.
// It is pure: no database, no HTTP, no queue, no clock. What a campaign's events lead to is decided elsewhere.
package campaign

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // a definition means the same on a machine without zone files

	"github.com/expr-lang/expr/vm"

	"kfactor/internal/document"
	"kfactor/internal/money"
)

// Definition is one campaign as its file describes it, with every default filled in.
type Definition struct {
	ID          string // the file's `campaign`: [a-z0-9][a-z0-9-]{0,62}
	Name        string
	Channel     string // "web" or a configured channel's name
	QR          string // what the QR code on a poster holds: ChannelInQR or LinkInQR
	Schedule    Schedule
	Join        Join
	Attribution Attribution
	Poster      Poster
	Tasks       []Task // in file order
	Tiers       []Tier // in file order
	Welcome     Welcome
	Rewards     []Reward // in file order
	Budget      *Budget  // nil: no limit
	Limits      Limits
	Funnel      []string          // event types, first stage first
	Messages    map[string]string // by key: joined, credited, tier_reached, revoked, welcome, delivered, rejected
}

// What the QR code on a poster holds. On the web both are the same.
const (
	ChannelInQR = "code" // the channel's own code, which leads straight to following, as long as the channel keeps it
	LinkInQR    = "link" // a link under the public address, whose page shows a fresh code: a print works for ever
)

// Schedule is when a campaign counts. Starts is part of it, Ends is not.
type Schedule struct {
	Starts, Ends time.Time
	Timezone     string // IANA name; days (per_day, reports) begin at its midnight

	location *time.Location
}

// Location is the campaign's time zone, UTC when the name is unknown (which Parse refuses).
func (s Schedule) Location() *time.Location {
	if s.location != nil {
		return s.location
	}
	if loc, err := time.LoadLocation(s.Timezone); err == nil {
		return loc
	}
	return time.UTC
}

// Join is how people enter a campaign on a channel that talks with them.
type Join struct {
	OnSubscribe bool     // a follower without a code joins
	Keywords    []string // messages that join
	MenuKey     string   // the menu button that joins; "" for none
}

// Attribution is for how long a touch by a code is remembered.
type Attribution struct{ Window time.Duration }

// Task counts something for one participant.
type Task struct {
	Name         string
	Title        string
	On           string        // event type that counts
	Credit       string        // whom it counts for: Inviter or Actor
	NewUsersOnly bool          // only people the channel had not known before
	RevokeOn     string        // event type that takes the credit back; "" for none
	Hold         time.Duration // how long a credit waits before it counts
	PerDay       int           // credits per participant and day; 0 for no limit
	When         string        // condition over the event; "" for always

	program  *vm.Program
	location *time.Location
}

// Whom a task's credit goes to.
const (
	Inviter = "inviter" // the owner of the code the actor came through
	Actor   = "actor"   // the person who did it
)

// Tier is a set of task targets; who reaches them all is given the rewards, once.
type Tier struct {
	Name     string
	Requires []Requirement // in file order
	Rewards  []string      // reward names
}

// Requirement is one target of a tier.
type Requirement struct {
	Task  string
	Count int // at least 1
}

// Welcome is what an invitee is given, once.
type Welcome struct{ Rewards []string }

// Reward is something of value.
type Reward struct {
	Name         string
	Kind         string // Coupon, Cash, Physical or Points
	Title        string
	UnitCost     int64 // minor units of the definition's currency
	Amount       int64 // cash only: what the person gets, minor units
	Points       int64 // points only
	Stock        int64
	Review       bool // a reviewer approves each grant
	NeedsAddress bool
}

// The kinds of reward.
const (
	Coupon   = "coupon"
	Cash     = "cash"
	Physical = "physical"
	Points   = "points"
)

// Budget bounds what a campaign may promise.
type Budget struct {
	Currency    string // ISO 4217
	Limit       int64  // minor units
	OnExhausted string // Waitlist or Reject
}

// What happens to a grant that no longer fits the budget.
const (
	Waitlist = "waitlist"
	Reject   = "reject"
)

// Limits bound a campaign's size and speed; 0 means no limit.
type Limits struct {
	Participants             int64
	InvitesPerInviterPerHour int
}

// Poster is the share poster. Lengths are pixels, colours "#RRGGBB", files names of uploaded assets.
type Poster struct {
	Size       [2]int // width, height
	Background string // file or colour
	Format     string // jpeg or png
	Quality    int    // of JPEG, 60 to 95
	Layers     []Layer
	Variants   []Variant
}

// IsZero says whether no poster is described.
func (p Poster) IsZero() bool {
	return p.Size == [2]int{} && p.Background == "" && p.Layers == nil && p.Variants == nil
}

// Variant is another version of the poster, shown to its share of the participants.
type Variant struct {
	Name       string
	Background string  // "" for the main one
	Layers     []Layer // nil for the main ones
}

// Layer is one thing drawn on a poster: exactly one field is set.
type Layer struct {
	Text   *Text
	QR     *QR
	Avatar *Avatar
	Image  *Image
	Rect   *Rect
}

// Text is one line of text or several; Value may hold {{nickname}}, {{code}} and {{link}}. X is the lines' left end,
// centre or right end, as Align says, Y the top of the first.
type Text struct {
	Value    string
	X, Y     int
	Size     float64 // pixels
	Color    string
	MaxWidth int    // 0 for up to the edge
	Align    string // left, center or right
	Weight   string // regular or bold
	Font     string // file; "" for the embedded one

	Lines      int     // at most so many
	LineHeight float64 // distance of two lines as a factor of Size

	OutlineColor string  // "" for no outline
	OutlineWidth float64 // pixels; 0 for no outline

	ShadowColor      string // "" for no shadow
	ShadowX, ShadowY int    // pixels to the right and below
	ShadowBlur       int    // pixels
}

// QR is the participant's code.
type QR struct {
	X, Y, Size  int
	Level       string // L, M, Q or H
	Logo        string // file; "" for none
	Dark, Light string
}

// Avatar is the participant's picture.
type Avatar struct {
	X, Y, Size int
	Shape      string // circle, rounded or square
}

// Image is a picture from a file; Width and Height 0 for its own size.
type Image struct {
	Source              string
	X, Y, Width, Height int
}

// Rect is a plain rectangle.
type Rect struct {
	X, Y, Width, Height int
	Color               string
	Radius              int // of the corners
}

// BuiltinEvents are the event types that every campaign understands.
var BuiltinEvents = []string{
	"expose", "scan", "subscribe", "unsubscribe", "bind", "purchase", "refund", "checkin", "share",
}

// Currency is the budget's, CNY without a budget.
func (d *Definition) Currency() string {
	if d.Budget != nil && d.Budget.Currency != "" {
		return d.Budget.Currency
	}
	return defaultCurrency
}

// Task is the task of that name, nil when there is none.
func (d *Definition) Task(name string) *Task {
	for i := range d.Tasks {
		if d.Tasks[i].Name == name {
			return &d.Tasks[i]
		}
	}
	return nil
}

// RankingTask is the name of the task whose credits rank participants: the first that credits inviters, else the first.
func (d *Definition) RankingTask() string {
	for i := range d.Tasks {
		if d.Tasks[i].Credit == Inviter {
			return d.Tasks[i].Name
		}
	}
	return d.Tasks[0].Name
}

// Reward is the reward of that name, nil when there is none.
func (d *Definition) Reward(name string) *Reward {
	for i := range d.Rewards {
		if d.Rewards[i].Name == name {
			return &d.Rewards[i]
		}
	}
	return nil
}

// Tier is the tier of that name, nil when there is none.
func (d *Definition) Tier(name string) *Tier {
	for i := range d.Tiers {
		if d.Tiers[i].Name == name {
			return &d.Tiers[i]
		}
	}
	return nil
}

// Listens says whether the campaign takes events of this type: the built-in ones, those a task listens to, and
// the funnel's stages.
func (d *Definition) Listens(eventType string) bool {
	if slices.Contains(BuiltinEvents, eventType) || slices.Contains(d.Funnel, eventType) {
		return true
	}
	return slices.ContainsFunc(d.Tasks, func(t Task) bool {
		return t.On == eventType || (t.RevokeOn != "" && t.RevokeOn == eventType)
	})
}

// MainVariant is the name of the poster itself among its variants.
const MainVariant = "a"

// Variant is the poster variant for a person: "" when there are none, else MainVariant or a variant's name. The
// choice is stable for a key, and a variant added later takes people only for itself, moving nobody between the
// others (the highest of one hash per name wins).
func (d *Definition) Variant(personKey uint64) string {
	if len(d.Poster.Variants) == 0 {
		return ""
	}
	chosen, best := MainVariant, draw(personKey, MainVariant)
	for _, v := range d.Poster.Variants {
		if ticket := draw(personKey, v.Name); ticket > best {
			chosen, best = v.Name, ticket
		}
	}
	return chosen
}

func draw(personKey uint64, name string) uint64 {
	h := fnv.New64a()
	h.Write(binary.BigEndian.AppendUint64(nil, personKey))
	h.Write([]byte(name))
	x := h.Sum64() // FNV's high bits hardly move with the last bytes; mix them (splitmix64's finish)
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// Files are the names of all files that the definition needs, sorted, each once.
func (d *Definition) Files() []string {
	var files []string
	add := func(name string) {
		if name != "" && !isColor(name) {
			files = append(files, name)
		}
	}
	layers := func(layers []Layer) {
		for _, l := range layers {
			if l.Text != nil {
				add(l.Text.Font)
			}
			if l.QR != nil {
				add(l.QR.Logo)
			}
			if l.Image != nil {
				add(l.Image.Source)
			}
		}
	}
	add(d.Poster.Background)
	layers(d.Poster.Layers)
	for _, v := range d.Poster.Variants {
		add(v.Background)
		layers(v.Layers)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// isColor says whether s has the form "#RRGGBB".
func isColor(s string) bool {
	return len(s) == 7 && s[0] == '#' && strings.Trim(s[1:], "0123456789abcdefABCDEF") == ""
}

func (d *Definition) amount(minor int64) string { return money.Format(minor, d.Currency()) }

const defaultCurrency = "CNY"

// ValidID says whether s has the form of a campaign's id.
func ValidID(s string) bool { return document.Slug.Match(s) }
