package setup

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxMatched bounds what a pattern looks at, in bytes; the platform lets nobody write more.
const maxMatched = 2048

// Action is what a text or a click asks for: exactly one of the three.
type Action struct {
	Word     Word
	Nth      int // with Word: of the campaigns that somebody is in, which they mean; 0 for the one that comes first
	Reply    *Reply
	Dialogue string // a dialogue to begin
}

// itself is what a text in normal form stands for: a built-in word may have a number behind it.
func (c *Channel) itself(said string) (Action, bool) {
	if a, ok := c.exact[said]; ok {
		return a, true
	}
	word := strings.TrimRight(said, "0123456789")
	n, err := strconv.Atoi(said[len(word):])
	a, ok := c.exact[strings.TrimSpace(word)]
	if a.Nth = n; !ok || a.Word == "" || err != nil {
		return Action{}, false
	}
	return a, true
}

// Match says what a text asks for. Words that stand for themselves (built-in ones, exact replies, what begins a
// dialogue) go before prefixes, the longest first, and those before patterns, in the order of the file. Case, width
// and the punctuation around a text do not count.
func (c *Channel) Match(text string) (Action, bool) {
	said := Normal(text)
	if said == "" {
		return Action{}, false
	}
	if a, ok := c.itself(said); ok {
		return a, true
	}
	var best *Reply
	longest := 0
	for i := range c.Replies {
		for _, prefix := range c.Replies[i].prefixes {
			if len(prefix) > longest && strings.HasPrefix(said, prefix) {
				best, longest = &c.Replies[i], len(prefix)
			}
		}
	}
	if best != nil {
		return Action{Reply: best}, true
	}
	if text = strings.TrimSpace(text); len(text) > maxMatched {
		return Action{}, false
	}
	for i := range c.Replies {
		if p := c.Replies[i].pattern; p != nil && p.MatchString(text) {
			return Action{Reply: &c.Replies[i]}, true
		}
	}
	return Action{}, false
}

// Clicked says what a click on a menu's button asks for, by its key. The names of the built-in words are keys that
// need no set-up.
func (c *Channel) Clicked(key string) (Action, bool) {
	a, ok := c.clicks[key]
	return a, ok
}

// Normal is a text as keywords compare: half width, lower case, single spaces, and no spaces or punctuation around it.
// A text of punctuation alone keeps it.
func Normal(text string) string {
	text = strings.ToLower(strings.Join(strings.Fields(width.Fold.String(text)), " "))
	bare := strings.TrimFunc(text, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError || r == '~'
	})
	if bare == "" {
		return text
	}
	return bare
}
