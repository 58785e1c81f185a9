package wire

import (
	"unicode"
	"unicode/utf8"
)

// fits is how many of text's bytes are within both limits, in whole code points.
func fits(text string, size, wide int) int {
	seen := 0
	for i, r := range text {
		if r >= utf8.RuneSelf {
			seen++
		}
		if i+utf8.RuneLen(r) > size || seen > wide {
			return i
		}
	}
	return len(text)
}

// maxJoined is the most code points that are taken for one character; beyond it somebody
// is heaping accents for fun, and the text may be cut anywhere.
const maxJoined = 64

// whole is where the character begins that a cut at end would split, end where none is split.
func whole(text string, end int) int {
	at := end
	for range maxJoined {
		if at == 0 || !joins(text, at) {
			return at
		}
		_, size := utf8.DecodeLastRuneInString(text[:at])
		at -= size
	}
	return end
}

const zeroWidthJoiner = '\u200d'

// joins reports whether what follows at belongs to the character before it: an accent,
// a skin tone, the next person of a family, the second letter of a flag.
func joins(text string, at int) bool {
	last, _ := utf8.DecodeLastRuneInString(text[:at])
	next, _ := utf8.DecodeRuneInString(text[at:])
	switch {
	case last == zeroWidthJoiner, next == zeroWidthJoiner:
		return true
	case unicode.In(next, unicode.Mn, unicode.Me, unicode.Mc), next >= 0x1F3FB && next <= 0x1F3FF, next >= 0xE0020 && next <= 0xE007F:
		return true
	case last == '\r' && next == '\n':
		return true
	}
	return flag(next) && flags(text[:at])%2 == 1
}

// flag reports whether r is one of the letters that make flags in pairs.
func flag(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// flags counts the flag letters at the end of text.
func flags(text string) int {
	n := 0
	for len(text) > 0 {
		r, size := utf8.DecodeLastRuneInString(text)
		if !flag(r) {
			break
		}
		n++
		text = text[:len(text)-size]
	}
	return n
}
