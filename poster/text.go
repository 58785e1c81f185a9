package poster

import (
	"image"
	"math"
	"slices"
	"sync"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
)

const (
	// ascent is how far a hanzi reaches above the baseline, as a share of its size; the rest is below.
	ascent = 0.88
	// emojiScale makes an emoji about as wide as a hanzi: the emoji font draws a quarter wider than its size.
	emojiScale = 0.86
)

// glyph is a picture of a font at a place on a line that begins at 0,0 of the baseline.
type glyph struct {
	face faceID
	id   font.GID
	size fixed.Int26_6 // of the font
	x, y fixed.Int26_6 // y grows downwards
}

// line is text ready to be drawn.
type line struct {
	glyphs   []glyph
	width    fixed.Int26_6
	advances []fixed.Int26_6 // of each cluster
}

// typesetter shapes text. It keeps scratch memory: one goroutine at a time.
type typesetter struct {
	fonts   *fontSet
	faces   [faceCount]*font.Face
	seg     segmenter.Segmenter
	shaper  shaping.HarfbuzzShaper
	scratch scratch
	memory  memory
}

func newTypesetter(fonts *fontSet) *typesetter {
	ts := &typesetter{fonts: fonts}
	for id, f := range fonts.fonts {
		ts.faces[id] = font.NewFace(f)
	}
	return ts
}

// setting is what is to be laid out, and how.
type setting struct {
	clusters []cluster
	order    []faceID // fonts for what is put in
	size     float64
	limit    int                  // pixels that a line may take
	shorten  func(value int) bool // says which values may be shortened
}

// dots are the clusters of an ellipsis.
func (ts *typesetter) dots(s setting) []cluster {
	return ts.fonts.clusters(&ts.seg, []rune{ellipsis}, s.order, 0)
}

// chinese chooses the forms of hanzi that differ between countries.
var chinese = language.NewLanguage("zh-Hans")

// memory is what texts are laid out in. What lies in it is good until the next text is set.
type memory struct {
	runes    []rune
	clusters []cluster
	glyphs   []glyph
	advances []fixed.Int26_6
	lines    []line
	text     []rune // of the line that is being shaped
	owner    []int  // cluster of each of its characters
}

// keepMemory bounds what is kept for the next poster, in glyphs.
const keepMemory = 1 << 14

// reset makes room for another text.
func (m *memory) reset() {
	if cap(m.glyphs) > keepMemory || cap(m.runes) > keepMemory {
		*m = memory{}
	}
	m.runes, m.clusters, m.glyphs, m.advances, m.lines = m.runes[:0], m.clusters[:0], m.glyphs[:0], m.advances[:0], m.lines[:0]
}

// shape lays clusters out from left to right. Every font here is for scripts that run that way. The line lies in the
// typesetter's memory.
func (ts *typesetter) shape(clusters []cluster, size float64) line {
	m := &ts.memory
	glyphs, advances := len(m.glyphs), len(m.advances)
	m.advances = slices.Grow(m.advances, len(clusters))[:advances+len(clusters)]
	l := line{advances: m.advances[advances:]}
	clear(l.advances)
	for first := 0; first < len(clusters); {
		if clusters[first].feed {
			first++
			continue
		}
		last := first + 1
		for last < len(clusters) && clusters[last].face == clusters[first].face && clusters[last].script == clusters[first].script && !clusters[last].feed {
			last++
		}
		switch {
		case clusters[first].face.isOwn():
			ts.shapeOwn(&l, clusters, first, last, size)
		case !ts.shapePlain(&l, clusters, first, last, size):
			ts.shapeRun(&l, clusters, first, last, size)
		}
		first = last
	}
	l.glyphs = m.glyphs[glyphs:len(m.glyphs):len(m.glyphs)]
	return l
}

// shapeRun adds the glyphs of clusters that share a font and a script to the line.
func (ts *typesetter) shapeRun(l *line, clusters []cluster, first, last int, size float64) {
	m, face := &ts.memory, clusters[first].face
	m.text, m.owner = m.text[:0], m.owner[:0]
	for i := first; i < last; i++ {
		m.text = append(m.text, clusters[i].runes...)
		for range clusters[i].runes {
			m.owner = append(m.owner, i)
		}
	}
	scaled := fixed.Int26_6(math.Round(size * faceScale[face] * 64))
	unit := float64(scaled) / float64(ts.faces[face].Upem()) / 64
	scale := func(v fixed.Int26_6) fixed.Int26_6 { return fixed.Int26_6(math.Round(float64(v) * unit)) }
	for _, g := range ts.shapeUnits(m.text, face, clusters[first].script).Glyphs {
		if g.GlyphID == 0 { // the box of a missing character
			continue
		}
		m.glyphs = append(m.glyphs, glyph{
			face: face, id: g.GlyphID, size: scaled,
			x: l.width + scale(g.XOffset), y: -scale(g.YOffset),
		})
		advance := scale(g.Advance)
		l.width += advance
		if i := g.TextIndex(); i >= 0 && i < len(m.owner) {
			l.advances[m.owner[i]] += advance
		}
	}
}

// shapeUnits shapes text at the size at which a pixel is one of the font's units, for the shaper rounds sizes up to
// whole pixels.
func (ts *typesetter) shapeUnits(text []rune, face faceID, script language.Script) shaping.Output {
	return ts.shaper.ShapeNoExtents(shaping.Input{
		Text: text, RunEnd: len(text),
		Direction: di.DirectionLTR,
		Face:      ts.faces[face],
		Size:      fixed.I(int(ts.faces[face].Upem())),
		Script:    script,
		Language:  chinese,
	})
}

// shapePlain does what shapeRun does, for characters that nothing but kerning changes. It reports false for others.
func (ts *typesetter) shapePlain(l *line, clusters []cluster, first, last int, size float64) bool {
	for i := first; i < last; i++ {
		if len(clusters[i].runes) != 1 || clusters[i].face != emoji && !isPlain(clusters[i].runes[0]) {
			return false
		}
	}
	m, face := &ts.memory, clusters[first].face
	scaled := fixed.Int26_6(math.Round(size * faceScale[face] * 64))
	unit := float64(scaled) / float64(ts.faces[face].Upem())
	glyphs, width := len(m.glyphs), l.width
	for i := first; i < last; i++ {
		p := pair{face: face, script: clusters[i].script, left: clusters[i].runes[0]}
		if i+1 < last && kerns(p.left) && kerns(clusters[i+1].runes[0]) {
			p.right = clusters[i+1].runes[0]
		}
		set := ts.letter(p)
		if !set.plain {
			m.glyphs, l.width = m.glyphs[:glyphs], width
			clear(l.advances[first:last])
			return false
		}
		advance := fixed.Int26_6(math.Round(float64(set.units) * unit))
		m.glyphs = append(m.glyphs, glyph{face: face, id: set.id, size: scaled, x: l.width})
		l.width += advance
		l.advances[i] = advance
	}
	return true
}

// isPlain says whether a character stands for itself whatever its neighbours are: no mark, no letter of a script that
// joins its letters.
func isPlain(r rune) bool {
	switch {
	case r < 0x2e80:
		return r >= 0x20 && r <= 0x7e || r >= 0xa1 && r <= 0x2ff && r != 0xad || r >= 0x370 && r <= 0x482 || r >= 0x48a && r <= 0x52f ||
			r >= 0x1e00 && r <= 0x1fff || r >= 0x2010 && r <= 0x2027 || r >= 0x2030 && r <= 0x205e || r >= 0x20a0 && r <= 0x20bf
	case r <= 0x33ff:
		return r <= 0x3029 || r >= 0x3030 && r <= 0x3096 || r >= 0x309b
	}
	return r <= 0x9fff || r >= 0xac00 && r <= 0xd7a3 || r >= 0xff01 && r <= 0xff9d || r >= 0x20000 && r <= 0x323af
}

// kerns says whether how a character is set may depend on its script and on its neighbour. Hanzi and emoji do not.
func kerns(r rune) bool { return r < 0x2e80 }

// pair is a character beside the next one, 0 for one that does not matter.
type pair struct {
	face        faceID
	script      language.Script
	left, right rune
}

// letter is how a pair's left one is set.
type letter struct {
	id    font.GID
	units int16 // of its font, up to the right one
	plain bool  // that is all there is to it
}

// maxPairs bounds the pairs that are remembered.
const maxPairs = 1 << 15

// pairs remembers how letters are set. Hanzi are not among them.
type pairs struct {
	mu    sync.RWMutex
	known map[pair]letter
}

// letter finds out how a character is set.
func (ts *typesetter) letter(p pair) letter {
	if !kerns(p.left) {
		id, ok := ts.faces[p.face].NominalGlyph(p.left)
		return letter{id, int16(ts.faces[p.face].HorizontalAdvance(id)), ok}
	}
	all := ts.fonts.pairs
	all.mu.RLock()
	set, ok := all.known[p]
	all.mu.RUnlock()
	if ok {
		return set
	}
	set = ts.askShaper(p)
	all.mu.Lock()
	defer all.mu.Unlock()
	if all.known == nil || len(all.known) >= maxPairs {
		all.known = make(map[pair]letter)
	}
	all.known[p] = set
	return set
}

// askShaper sets a pair. It is plain when the right one is set as it would be alone.
func (ts *typesetter) askShaper(p pair) letter {
	text := []rune{p.left, p.right}
	if p.right == 0 {
		text = text[:1]
	}
	out := ts.shapeUnits(text, p.face, p.script).Glyphs
	if len(out) != len(text) {
		return letter{}
	}
	for i, g := range out {
		alone := letter{g.GlyphID, int16(g.Advance.Round()), g.GlyphID != 0 && g.XOffset == 0 && g.YOffset == 0}
		if !alone.plain || i == 1 && ts.letter(pair{p.face, p.script, p.right, 0}) != alone {
			return letter{}
		}
	}
	return letter{out[0].GlyphID, int16(out[0].Advance.Round()), true}
}

// shapeOwn adds the glyphs of clusters in one of the template's own fonts to the line.
func (ts *typesetter) shapeOwn(l *line, clusters []cluster, first, last int, size float64) {
	face := clusters[first].face
	own := ts.fonts.own[face-faceCount]
	scaled := fixed.Int26_6(math.Round(size * 64))
	unit := float64(scaled) / float64(own.UnitsPerEm())
	for i := first; i < last; i++ {
		id, _ := own.Glyph(clusters[i].runes[0])
		units := own.Advance(id)
		if i+1 < last {
			next, _ := own.Glyph(clusters[i+1].runes[0])
			units += own.Kern(id, next)
		}
		advance := fixed.Int26_6(math.Round(float64(units) * unit))
		ts.memory.glyphs = append(ts.memory.glyphs, glyph{face: face, id: font.GID(id), size: scaled, x: l.width})
		l.width += advance
		l.advances[i] = advance
	}
}

// set lays a line out. What is too long is shortened at the end of the longest value that may be shortened, so that
// the words around a name stay, and failing that at the end of the line.
func (ts *typesetter) set(s setting) line {
	l := ts.shape(s.clusters, s.size)
	room := fixed.I(s.limit)
	if l.width <= room {
		return l
	}
	dots := ts.dots(s)
	if from, to := longestValue(s.clusters, l.advances, s.shorten); from < to {
		if short, ok := ts.cut(s.clusters, l, dots, from, to, 1, s.size, room); ok {
			return short
		}
	}
	short, _ := ts.cut(s.clusters, l, dots, 0, len(s.clusters), 0, s.size, room)
	return short
}

// cut leaves out clusters before the one at index to, as few as the room asks for and so that at least least of
// those from index from stay, and puts dots in their place. It reports false when that is not enough.
func (ts *typesetter) cut(clusters []cluster, full line, dots []cluster, from, to, least int, size float64, room fixed.Int26_6) (line, bool) {
	excess := full.width + ts.shape(dots, size).width - room
	keep := to - from
	for keep > least && excess > 0 {
		keep--
		excess -= full.advances[from+keep]
	}
	for ; keep >= least; keep-- {
		if keep > 0 && clusters[from+keep-1].isSpace() {
			continue
		}
		short := make([]cluster, 0, len(clusters)+1)
		short = append(short, clusters[:from+keep]...)
		short = append(short, dots...)
		short = append(short, clusters[to:]...)
		if l := ts.shape(short, size); l.width <= room {
			return l, true
		}
	}
	return line{}, false
}

// longestValue finds the widest stretch of one variable's value that may be shortened; from == to when there is none.
func longestValue(clusters []cluster, advances []fixed.Int26_6, shorten func(value int) bool) (from, to int) {
	var widest fixed.Int26_6
	for start := 0; start < len(clusters); {
		end := start
		var width fixed.Int26_6
		for end < len(clusters) && clusters[end].value == clusters[start].value {
			width += advances[end]
			end++
		}
		if v := clusters[start].value; v > 0 && shorten(v) && width > widest {
			from, to, widest = start, end, width
		}
		start = end
	}
	return from, to
}

// align gives the left end of a line of a width whose anchor is x.
func align(how string, x, width int) int {
	switch how {
	case "center":
		return x - width/2
	case "right":
		return x - width
	}
	return x
}

// room is how wide the line may get: its own limit, or up to the edge of the canvas.
func (t *Text) room(canvas int) int {
	if t.MaxWidth > 0 {
		return t.MaxWidth
	}
	switch t.Align {
	case "center":
		return 2 * min(t.X, canvas-t.X)
	case "right":
		return t.X
	}
	return canvas - t.X
}

// lines is how many the text may take.
func (t *Text) lines() int { return max(1, t.Lines) }

// lineHeight is the distance of two lines as a factor of the size.
func (t *Text) lineHeight() float64 {
	if t.LineHeight == 0 {
		return defaultLineHeight
	}
	return t.LineHeight
}

// height is what all lines take together, from the top of the first to the bottom of the last, in pixels.
func (t *Text) height() int {
	return int(math.Ceil(t.Size * (1 + float64(t.lines()-1)*t.lineHeight())))
}

// box is where the text may draw, with what hangs over at its ends, above and below, its outline and its shadow.
func (t *Text) box(canvas int) image.Rectangle {
	room, over := t.room(canvas), int(math.Ceil(t.Size/2))
	left := align(t.Align, t.X, room)
	body := image.Rect(left-over, t.Y-over, left+room+over, t.Y+t.height()+over)
	box := body
	for _, e := range t.effects() {
		box = box.Union(body.Inset(-e.reach()).Add(image.Pt(e.x, e.y)))
	}
	return box
}
