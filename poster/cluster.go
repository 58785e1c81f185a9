package poster

import (
	"unicode"

	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"golang.org/x/text/unicode/norm"
)

// cluster is what a reader takes for one character, with the font that draws it.
type cluster struct {
	runes  []rune
	face   faceID
	script language.Script
	value  int  // number of the variable's value it belongs to, from 1; 0 in literal text
	feed   bool // starts a new line and shows nothing
}

func (c cluster) isSpace() bool { return !c.feed && len(c.runes) == 1 && unicode.IsSpace(c.runes[0]) }

// clusters cuts cleaned text into characters and finds a font for each. What no font has is replaced by its letter and
// marks one by one, as for Ǡ, or by its plain form, as for 𝓐, or else left out: an empty box helps nobody.
func (s *fontSet) clusters(seg *segmenter.Segmenter, text []rune, order []faceID, value int) []cluster {
	return s.appendClusters(nil, seg, text, order, value)
}

// appendClusters adds what clusters finds.
func (s *fontSet) appendClusters(to []cluster, seg *segmenter.Segmenter, text []rune, order []faceID, value int) []cluster {
	first := len(to)
	add := func(runes []rune) {
		if runes[0] == '\n' {
			to = append(to, cluster{runes: runes[:1], value: value, feed: true})
			return
		}
		face, drawn, ok := s.choose(runes, order)
		if !ok {
			for _, form := range [...]norm.Form{norm.NFD, norm.NFKC} {
				if face, drawn, ok = s.choose([]rune(form.String(string(runes))), order); ok {
					break
				}
			}
			if !ok {
				return
			}
		}
		script := language.LookupScript(drawn[0])
		if !script.Strong() && len(to) > first {
			script = to[len(to)-1].script
		}
		to = append(to, cluster{runes: drawn, face: face, script: script, value: value})
	}
	if standAlone(text) {
		for i := range text {
			add(text[i : i+1])
		}
		return to
	}
	for _, runes := range s.graphemes(seg, text) {
		add(runes)
	}
	return to
}

// standAlone says whether every character of a text is one for the reader too.
func standAlone(text []rune) bool {
	for _, r := range text {
		picture := r >= 0x1f300 && r <= 0x1faff && (r < 0x1f3fb || r > 0x1f3ff)
		if r != '\n' && !isPlain(r) && !picture {
			return false
		}
	}
	return true
}

// tidy closes the gaps that characters without a font left: no spaces at the ends, one between words.
func tidy(name []cluster) []cluster {
	kept := name[:0]
	for _, c := range name {
		if c.isSpace() && (len(kept) == 0 || kept[len(kept)-1].isSpace()) {
			continue
		}
		kept = append(kept, c)
	}
	if n := len(kept); n > 0 && kept[n-1].isSpace() {
		kept = kept[:n-1]
	}
	return kept
}

// graphemes cuts text into characters as readers see them. The segmenter forgets to join an emoji with a skin tone
// to what follows its joiner when another emoji stands before it (rule GB11 of UAX 29), so this does.
func (s *fontSet) graphemes(seg *segmenter.Segmenter, text []rune) [][]rune {
	seg.Init(text)
	var cut [][]rune
	for iter := seg.GraphemeIterator(); iter.Next(); {
		g := iter.Grapheme()
		if last := len(cut) - 1; last >= 0 && text[g.Offset-1] == zeroWidthJoiner &&
			s.has(emoji, cut[last][0]) && s.has(emoji, g.Text[0]) {
			start := g.Offset - len(cut[last])
			cut[last] = text[start : g.Offset+len(g.Text)]
			continue
		}
		cut = append(cut, text[g.Offset:g.Offset+len(g.Text)]) // its own text is overwritten by the next one
	}
	return cut
}

// choose finds the first font that draws a cluster and the characters of it that the font has.
func (s *fontSet) choose(runes []rune, order []faceID) (face faceID, drawn []rune, ok bool) {
	if len(runes) == 0 {
		return 0, nil, false
	}
	if looksEmoji(runes) {
		if drawn = s.covered(emoji, runes); drawn != nil {
			return emoji, drawn, true
		}
	}
	if marked(runes) {
		for _, at := range order { // it knows where the marks of each letter go
			if had := s.covered(at, runes); (at == latin || at == latinBold) && len(had) == len(runes) {
				return at, had, true
			}
		}
	}
	best := 0 // characters of the cluster that a font has: a mark less is better than no letter
	for _, at := range order {
		if had := s.covered(at, runes); len(had) > best {
			face, drawn, best = at, had, len(had)
		}
		if best == len(runes) {
			break
		}
	}
	if best > 0 {
		return face, drawn, true
	}
	// Digits, # and * are in the emoji font for the sake of keycaps, without a picture of their own.
	if runes[0] > 0x7f {
		if drawn = s.covered(emoji, runes); drawn != nil {
			return emoji, drawn, true
		}
	}
	return 0, nil, false
}

// marked says whether a cluster is a letter with marks of their own.
func marked(runes []rune) bool {
	for _, r := range runes[1:] {
		if r >= 0x300 && r <= 0x36f {
			return true
		}
	}
	return false
}

// covered gives the characters of a cluster that the font can draw, nil when the first is not among them. Text
// fonts do without the marks they lack and need no selectors; emoji need theirs to be joined.
func (s *fontSet) covered(face faceID, runes []rune) []rune {
	if isSelector(runes[0]) || !s.has(face, runes[0]) {
		return nil
	}
	if len(runes) == 1 {
		return runes
	}
	if face.isOwn() { // of which only single characters are drawn
		if len(runes) == 2 && runes[1] == textStyle {
			return runes[:1]
		}
		return nil
	}
	kept := make([]rune, 0, len(runes))
	for i, r := range runes {
		selector := isSelector(r)
		switch {
		case selector && face != emoji:
		case selector && i == len(runes)-1 && r == zeroWidthJoiner:
		case selector || s.has(face, r):
			kept = append(kept, r)
		}
	}
	return kept
}

// isSelector says whether a character only changes how its neighbours are drawn.
func isSelector(r rune) bool { return r == zeroWidthJoiner || r == emojiStyle || r == textStyle }

// looksEmoji says whether a cluster is meant as a colour picture.
func looksEmoji(runes []rune) bool {
	for _, r := range runes {
		switch {
		case r == textStyle:
			return false
		case r == keycap:
			return true
		case r == emojiStyle && runes[0] > 0x7f:
			return true
		}
	}
	return runes[0] >= 0x1f000 || unicode.Is(emojiByDefault, runes[0])
}

// emojiByDefault are the characters of the first plane that are drawn as emoji unless a selector says otherwise:
// Emoji_Presentation of Unicode 15.1. Nearly all beyond that plane are.
var emojiByDefault = &unicode.RangeTable{R16: []unicode.Range16{
	{Lo: 0x231a, Hi: 0x231b, Stride: 1},
	{Lo: 0x23e9, Hi: 0x23ec, Stride: 1},
	{Lo: 0x23f0, Hi: 0x23f3, Stride: 3},
	{Lo: 0x25fd, Hi: 0x25fe, Stride: 1},
	{Lo: 0x2614, Hi: 0x2615, Stride: 1},
	{Lo: 0x2648, Hi: 0x2653, Stride: 1},
	{Lo: 0x267f, Hi: 0x2693, Stride: 0x14},
	{Lo: 0x26a1, Hi: 0x26aa, Stride: 9},
	{Lo: 0x26ab, Hi: 0x26bd, Stride: 0x12},
	{Lo: 0x26be, Hi: 0x26c4, Stride: 6},
	{Lo: 0x26c5, Hi: 0x26ce, Stride: 9},
	{Lo: 0x26d4, Hi: 0x26ea, Stride: 0x16},
	{Lo: 0x26f2, Hi: 0x26f3, Stride: 1},
	{Lo: 0x26f5, Hi: 0x26fa, Stride: 5},
	{Lo: 0x26fd, Hi: 0x2705, Stride: 8},
	{Lo: 0x270a, Hi: 0x270b, Stride: 1},
	{Lo: 0x2728, Hi: 0x274c, Stride: 0x24},
	{Lo: 0x274e, Hi: 0x2753, Stride: 5},
	{Lo: 0x2754, Hi: 0x2755, Stride: 1},
	{Lo: 0x2757, Hi: 0x2795, Stride: 0x3e},
	{Lo: 0x2796, Hi: 0x2797, Stride: 1},
	{Lo: 0x27b0, Hi: 0x27bf, Stride: 0xf},
	{Lo: 0x2b1b, Hi: 0x2b1c, Stride: 1},
	{Lo: 0x2b50, Hi: 0x2b55, Stride: 5},
}}
