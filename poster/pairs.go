package poster

import (
	"unicode"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

// maxPairs bounds the characters that a typesetter remembers; each takes about 80 bytes.
const maxPairs = 1 << 12

// pairKey names a character before another, 0 for one that does not matter. Of an emoji they are its two characters.
type pairKey struct {
	face          faceID
	script        language.Script
	size          fixed.Int26_6
	letter, after rune
}

// letter is a character's glyph before another.
type letter struct {
	id         font.GID
	advance    fixed.Int26_6
	xoff, yoff fixed.Int26_6
	shaped     bool // neighbours do more to each other than kerning: the shaper has to see all of them
}

// fromPairs adds the glyphs of clusters that share a font and a script to the line, from what is remembered of each
// with its neighbour. It reports false when the shaper has to look at all of them together.
//
// In the embedded fonts a hanzi or hangul syllable has no part in its neighbours, and letters and kana kern with the next
// one only; what else they do, such as ligatures, shows in a pair already.
func (ts *typesetter) fromPairs(l *line, clusters []cluster, first, last int, size fixed.Int26_6) bool {
	ts.letters = ts.letters[:0]
	for i := first; i < last; i++ {
		key, ok := pairOf(clusters[i], clusters, i+1, last, size)
		if !ok {
			return false
		}
		g := ts.letter(key)
		if g.shaped {
			return false
		}
		ts.letters = append(ts.letters, g)
	}
	for i, g := range ts.letters {
		l.glyphs = append(l.glyphs, glyph{face: clusters[first].face, id: g.id, size: size, x: l.width + g.xoff, y: -g.yoff})
		l.width += g.advance
		l.advances[first+i] = g.advance
	}
	return true
}

// pairOf gives the key of a cluster before the next one of a run, if there is one. It reports false for clusters that
// only the shaper knows.
func pairOf(c cluster, clusters []cluster, next, last int, size fixed.Int26_6) (key pairKey, ok bool) {
	key = pairKey{face: c.face, script: c.script, size: size, letter: c.runes[0]}
	switch {
	case c.face == emoji && len(c.runes) <= 2 && !(len(c.runes) == 1 && isHalfFlag(c.runes[0])):
		if len(c.runes) == 2 {
			key.after = c.runes[1]
		}
		return key, true
	case len(c.runes) > 1 || c.face == emoji || !plainScript(c.script):
		return key, false
	}
	if next < last && !standsAlone(c.runes[0]) && !standsAlone(clusters[next].runes[0]) {
		key.after = clusters[next].runes[0]
	}
	return key, true
}

// isHalfFlag says whether a character is a flag only together with another.
func isHalfFlag(r rune) bool { return r >= 0x1f1e6 && r <= 0x1f1ff }

// plainScript says whether a script is written one letter after the other.
func plainScript(s language.Script) bool {
	switch s {
	case language.Han, language.Hiragana, language.Katakana, language.Hangul, language.Latin, language.Cyrillic, language.Greek, language.Common:
		return true
	}
	return false
}

// standsAlone says whether a character looks the same whatever stands beside it.
func standsAlone(r rune) bool {
	return r >= 0xac00 && r <= 0xd7a3 || r > 0x2e00 && unicode.Is(unicode.Han, r)
}

// letter gives what is remembered of a character, or asks the shaper.
func (ts *typesetter) letter(key pairKey) letter {
	g, ok := ts.pairs[key]
	if !ok {
		g = ts.ask(key)
		if ts.pairs == nil || len(ts.pairs) >= maxPairs {
			ts.pairs = make(map[pairKey]letter)
		}
		ts.pairs[key] = g
	}
	return g
}

func (ts *typesetter) ask(key pairKey) letter {
	text := []rune{key.letter, key.after}
	if key.after == 0 {
		text = text[:1]
	}
	out := ts.shaper.ShapeNoExtents(shaping.Input{
		Text: text, RunEnd: len(text), Direction: di.DirectionLTR,
		Face: ts.faces[key.face], Size: key.size, Script: key.script, Language: chinese,
	})
	glyphs := len(text)
	if key.face == emoji {
		glyphs = 1
	}
	if len(out.Glyphs) != glyphs || out.Glyphs[0].GlyphID == 0 {
		return letter{shaped: true}
	}
	found := letterOf(out.Glyphs[0])
	if glyphs == 2 {
		after := letterOf(out.Glyphs[1])
		if key.letter, key.after = key.after, 0; after != ts.letter(key) {
			return letter{shaped: true}
		}
	}
	return found
}

func letterOf(g shaping.Glyph) letter {
	return letter{id: g.GlyphID, advance: g.Advance, xoff: g.XOffset, yoff: g.YOffset}
}
