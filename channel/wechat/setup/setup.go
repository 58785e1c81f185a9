// Package setup is what an account says by itself, as channels.yaml writes it: its menu, the texts it answers, the
// dialogues it holds, the notices it sends. Pure: it reads files, matches texts and takes steps in dialogues; it knows
// no platform, no database and no clock.
package setup

import (
	"regexp"
	"time"
)

// Channel is what one channel says by itself.
type Channel struct {
	Name      string
	Language  Language
	Campaign  string   // what {{campaign}} stands for; "" when no text names it
	HasMenu   bool     // false: the file leaves the menu on the platform alone
	Menu      []Button // up to 3; empty with HasMenu: no menu
	Welcome   string   // to those who follow by themselves when no campaign takes them; "" for nothing
	Moved     string   // to fans, since the channel's campaigns were moved to another account; "" for the usual
	Words     map[Word][]string
	Replies   []Reply
	Otherwise *Reply // to what nothing else answers; nil for nothing
	Dialogues []Dialogue
	Notices   map[string]Notice // by the kind of message: poster, reward, progress, chatter

	exact  map[string]Action // by normal form
	clicks map[string]Action // by key
}

// Button is a button of the menu, in the platform's own terms: what it does, or the buttons it opens.
type Button struct {
	Name      string   `json:"name"`
	Type      string   `json:"type,omitempty"` // "" with Buttons
	Key       string   `json:"key,omitempty"`
	URL       string   `json:"url,omitempty"`
	AppID     string   `json:"appid,omitempty"`
	Path      string   `json:"pagepath,omitempty"`
	MediaID   string   `json:"media_id,omitempty"`
	ArticleID string   `json:"article_id,omitempty"`
	Buttons   []Button `json:"sub_button,omitempty"`
}

// Word names what every account can be asked for without setting it up.
type Word string

// The built-in words.
const (
	Poster   Word = "poster"   // my poster
	Progress Word = "progress" // how far I am
	Ranking  Word = "ranking"  // who leads
	Why      Word = "why"      // why a friend did not count
)

// Reply answers a text or a click: by a text, or by handing the fan over to people.
type Reply struct {
	Text    string
	Service bool   // to customer service
	Account string // with Service: to this one, NAME@ACCOUNT; "" for whoever is free

	exact, prefixes []string // normal forms
	clicks          []string
	pattern         *regexp.Regexp
}

// Dialogue asks for one thing after another.
type Dialogue struct {
	Name      string
	Steps     []Step
	Timeout   time.Duration // between one answer and the next
	Cancel    []string
	Cancelled string // said when the fan gives up
	Failed    string // said after too many wrong answers
	Event     string // what happens at the end: an event's type
	Text      string // said at the end
}

// Step asks one thing.
type Step struct {
	Ask      string
	Save     string // the answer's name in the event's data and, as {{NAME}}, in the texts after it
	Check    Check
	Wrong    string
	Attempts int

	pattern  *regexp.Regexp
	min, max *float64 // of a number
}

// Check is what an answer must be.
type Check string

// The checks.
const (
	CheckText   Check = "text"   // anything up to 200 characters, or what the pattern matches
	CheckPhone  Check = "phone"  // a mobile number of mainland China, or + and an international one
	CheckNumber Check = "number" // digits, with a decimal point perhaps
)

// Event is what a finished dialogue leads to.
type Event struct {
	Type     string
	Data     map[string]string
	Personal []string // names in Data that tell who somebody is: phone numbers
}

// Notice is a subscription template and what goes into it.
type Notice struct {
	Template string
	Page     string            // opened by a tap; "" for none
	Fields   map[string]string // the template's keys (thing1, time2) → a text with placeholders
}
