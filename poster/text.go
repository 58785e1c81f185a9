package poster

import (
	"image"
	"math"

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

// shape lays clusters out from left to right. Every font here is for scripts that run that way.
func (ts *typesetter) shape(clusters []cluster, size float64) line {
	text := make([]rune, 0, len(clusters)+8)
	owner := make([]int, 0, len(clusters)+8) // cluster of each rune
	for i, c := range clusters {
		text = append(text, c.runes...)
		for range c.runes {
			owner = append(owner, i)
		}
	}
	l := line{glyphs: make([]glyph, 0, len(text)), advances: make([]fixed.Int26_6, len(clusters))}
	for first, start := 0, 0; first < len(clusters); {
		if clusters[first].feed {
			first++
			continue
		}
		last, end := first, start
		for last < len(clusters) && clusters[last].face == clusters[first].face && clusters[last].script == clusters[first].script && !clusters[last].feed {
			end += len(clusters[last].runes)
			last++
		}
		ts.shapeRun(&l, text, owner, start, end, clusters[first], size)
		first, start = last, end
	}
	return l
}

// shapeRun adds the glyphs of text[start:end], which share a font and a script, to the line.
func (ts *typesetter) shapeRun(l *line, text []rune, owner []int, start, end int, c cluster, size float64) {
	if c.face.isOwn() {
		ts.shapeOwn(l, text, owner, start, end, c.face, size)
		return
	}
	out := ts.shaper.ShapeNoExtents(shaping.Input{
		Text: text, RunStart: start, RunEnd: end,
		Direction: di.DirectionLTR,
		Face:      ts.faces[c.face],
		Size:      fixed.Int26_6(math.Round(size * faceScale[c.face] * 64)),
		Script:    c.script,
		Language:  chinese,
	})
	for _, g := range out.Glyphs {
		if g.GlyphID == 0 { // the box of a missing character
			continue
		}
		l.glyphs = append(l.glyphs, glyph{
			face: c.face, id: g.GlyphID, size: out.Size,
			x: l.width + g.XOffset, y: -g.YOffset,
		})
		l.width += g.Advance
		if i := g.TextIndex(); i >= 0 && i < len(owner) {
			l.advances[owner[i]] += g.Advance
		}
	}
}

// shapeOwn adds the glyphs of text[start:end], characters of a template's own font, to the line.
func (ts *typesetter) shapeOwn(l *line, text []rune, owner []int, start, end int, face faceID, size float64) {
	own := ts.fonts.own[face-faceCount]
	unit := math.Round(size*64) / float64(own.UnitsPerEm())
	var before uint16
	for i := start; i < end; i++ {
		id, ok := own.Glyph(text[i])
		if !ok {
			continue
		}
		if i > start {
			kern := fixed.Int26_6(math.Round(float64(own.Kern(before, id)) * unit))
			l.width += kern
			l.advances[owner[i-1]] += kern
		}
		advance := fixed.Int26_6(math.Round(float64(own.Advance(id)) * unit))
		l.glyphs = append(l.glyphs, glyph{face: face, id: font.GID(id), size: fixed.Int26_6(math.Round(size * 64)), x: l.width})
		l.width += advance
		l.advances[owner[i]] += advance
		before = id
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
