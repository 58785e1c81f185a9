// Package notify says what people are owed to hear: what kinds of messages there are and which go first, how long one
// is worth sending, how its text is filled in, and why it was sent or not. What somebody is owed is for the rules of a
// campaign to say, keeping it for the engine, and sending it for the channel.
package notify

import "time"

// Kind is what a message is about. It says how urgent it is.
type Kind string

// The kinds, the most urgent first.
const (
	Poster   Kind = "poster"   // somebody asked for their poster, or gets their first
	Reward   Kind = "reward"   // something was won, handed out or refused
	Progress Kind = "progress" // a friend counts, or no longer does
	Chatter  Kind = "chatter"  // answers that somebody could ask for again
)

// Kinds are all kinds, the most urgent first.
var Kinds = []Kind{Poster, Reward, Progress, Chatter}

// Known says whether a kind is one of Kinds.
func (k Kind) Known() bool { return k.Worth() != 0 }

// Priority orders kinds: the lowest goes first.
func (k Kind) Priority() int {
	switch k {
	case Poster:
		return 10
	case Reward:
		return 20
	case Progress:
		return 30
	}
	return 40
}

// Replaces says that a message of this kind takes the place of those before it which were not sent: of a picture of how
// things stand nobody needs an older one.
func (k Kind) Replaces() bool { return k == Poster || k == Progress }

// Worth is how long a message is worth sending; 0 for a kind that is not known.
func (k Kind) Worth() time.Duration {
	switch k {
	case Poster:
		return 7 * 24 * time.Hour // a code that was asked for is still of use when they come back
	case Reward:
		return 14 * 24 * time.Hour
	case Progress:
		return 2 * 24 * time.Hour // after that the numbers in it are old news
	case Chatter:
		return time.Hour
	}
	return 0
}

// The words for what a message says. A campaign has texts of its own under them; DefaultText has the others'. A channel
// may use more words.
const (
	Joined      = "joined"       // here is your poster
	Credited    = "credited"     // a friend counts
	Revoked     = "revoked"      // a friend no longer counts
	TierReached = "tier_reached" // all targets of a tier are met
	Welcome     = "welcome"      // a reward for a friend who counts
	Delivered   = "delivered"    // a reward that was waited for is handed out
	Rejected    = "rejected"     // a reward that was waited for will not be given
)

// Facts are what a text is filled with, and what is to be made for the message. People stand in it by their numbers,
// and no text that could identify somebody belongs in it: it is stored as it is.
type Facts struct {
	Task      string   `json:"task,omitempty"`
	Invitee   int64    `json:"invitee,omitempty"`   // number of the friend it is about
	Count     int      `json:"count,omitempty"`     // credits of the task that stand
	Remaining int      `json:"remaining,omitempty"` // credits to the next tier; 0 where there is none
	Tier      string   `json:"tier,omitempty"`
	Rewards   []string `json:"rewards,omitempty"`    // names of rewards
	Reviewing []string `json:"reviewing,omitempty"`  // names of those that a reviewer has still to approve
	Waiting   []string `json:"waiting,omitempty"`    // names of those that wait for stock or budget
	Grant     int64    `json:"grant,omitempty"`      // number of the grant it is about
	InvitedBy string   `json:"invited_by,omitempty"` // code that somebody who is to join came through
	Text      string   `json:"text,omitempty"`       // a template to use instead of the word's
}

// State is where a message stands.
type State string

// The states. The last three are final.
const (
	Owed    State = "owed"    // to be sent when it is due
	Taken   State = "taken"   // being sent
	Waiting State = "waiting" // for the person to open a way to them
	Sent    State = "sent"
	Merged  State = "merged" // a newer message took its place
	Unsent  State = "unsent" // it will not be sent
)

// States are all states.
var States = []State{Owed, Taken, Waiting, Sent, Merged, Unsent}

// Final says whether a state is the last one.
func (s State) Final() bool { return s == Sent || s == Merged || s == Unsent }
