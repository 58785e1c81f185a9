package poster

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of a text before it is shaped. No line shows more, and shaping time grows with every character.
const (
	maxBytes   = 4096 // looked at
	maxRunes   = 256  // kept
	maxMarks   = 3    // on one letter; Vietnamese needs two
	maxJoiners = 4    // in one emoji; families need three
	maxTags    = 6    // in one flag; gb-eng needs five and the end

	maxClusters = 1024 // of a whole text
)

// purpose is what a text is cleaned for.
type purpose uint8

const (
	asLine    purpose = iota // line breaks become spaces
	asPassage                // line breaks stay
	asName                   // runs of spaces become one, those at the ends go
)

// Characters with a meaning of their own here.
const (
	zeroWidthJoiner = '\u200d'
	textStyle       = '\ufe0e' // the character before is drawn as text
	emojiStyle      = '\ufe0f' // the character before is drawn as emoji
	keycap          = '\u20e3'
	blackFlag       = '\U0001f3f4' // starts the flags that are spelled with tags
	ellipsis        = '…'
)

// clean makes text from outside safe to draw: what cannot be seen, changes the direction of its surroundings or
// piles up without end is left out. What is longer than maxRunes ends in an ellipsis.
func clean(s string, as purpose) []rune { return appendClean(nil, s, as) }

// appendClean adds what clean makes of a text.
func appendClean(to []rune, s string, as purpose) []rune {
	cut := len(s) > maxBytes
	if cut {
		s = strings.ToValidUTF8(s[:maxBytes], "")
	}
	c := cleaner{as: as, kept: to, first: len(to)}
	for _, r := range norm.NFC.String(s) {
		if len(c.kept)-c.first >= maxRunes {
			cut = true
			break
		}
		c.add(r)
	}
	kept := c.kept
	if as == asName {
		for len(kept) > c.first && kept[len(kept)-1] == ' ' {
			kept = kept[:len(kept)-1]
		}
	}
	if cut && len(kept) > c.first {
		kept = append(kept, ellipsis)
	}
	return kept
}

// cleaner remembers what the character before allows the next one to be.
type cleaner struct {
	as                   purpose
	kept                 []rune
	first                int  // of them that is this text's
	base                 rune // the last character that stands on its own
	marks, joiners, tags int  // on that one
}

func (c *cleaner) add(r rune) {
	switch {
	case r == utf8.RuneError || invisible(r):
		return
	case unicode.IsSpace(r):
		if r == '\n' && c.as == asPassage {
			c.start(r)
			return
		}
		if c.as == asName || r < ' ' || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			r = ' '
		}
		if c.as == asName && (len(c.kept) == c.first || c.kept[len(c.kept)-1] == ' ') {
			return
		}
		c.start(r)
	case r == zeroWidthJoiner:
		if c.base == 0 || unicode.IsSpace(c.base) || c.joiners == maxJoiners {
			return
		}
		c.joiners++
		c.kept = append(c.kept, r)
	case r >= 0xe0020 && r <= 0xe007f:
		if c.base != blackFlag || c.tags == maxTags {
			return
		}
		c.tags++
		c.kept = append(c.kept, r)
	case unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
		return
	case unicode.In(r, unicode.M):
		if c.base == 0 || unicode.IsSpace(c.base) || c.marks == maxMarks {
			return
		}
		c.marks++
		c.kept = append(c.kept, r)
	default:
		c.start(r)
	}
}

// start keeps a character that stands on its own. Joined emoji count as one, so that their joiners stay bounded.
func (c *cleaner) start(r rune) {
	joined := len(c.kept) > c.first && c.kept[len(c.kept)-1] == zeroWidthJoiner
	if !joined {
		c.joiners = 0
	}
	c.base, c.marks, c.tags = r, 0, 0
	c.kept = append(c.kept, r)
}

// invisible says whether a character that Unicode counts as a letter or mark shows nothing: the fillers behind
// blank names, and variation selectors other than the two that choose between text and emoji.
func invisible(r rune) bool {
	switch {
	case r == 0x115f, r == 0x1160, r == 0x3164, r == 0xffa0, r == 0x2800, r == 0x034f, r == 0x17b4, r == 0x17b5:
		return true
	case r >= 0x180b && r <= 0x180f, r >= 0xfe00 && r <= 0xfe0d, r >= 0xe0100 && r <= 0xe01ef:
		return true
	}
	return false
}
