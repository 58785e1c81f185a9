package poster

import (
	"image"
	"math"
	"slices"
)

// textLayer draws a text.
type textLayer struct {
	text    Text
	ink     *ink
	casts   []cast
	order   []faceID // fonts in which characters are looked for
	shorten func(value int) bool
	room    int
	area    image.Rectangle
	pieces  []piece
	fixed   []line // of a text that is the same for everybody
}

// piece is a part of a text whose literal characters have found their fonts.
type piece struct {
	clusters []cluster
	variable string // "" for a literal
}

// newTextLayer makes the layer. Own is the font that the text asks for, noFace for none.
func newTextLayer(t *Text, canvas int, types *typesetter, own faceID) *textLayer {
	l := &textLayer{text: *t, ink: newInk(colorOr(t.Color, black)), casts: t.effects(), room: t.room(canvas), area: t.box(canvas), order: lightOrder[:]}
	if t.Weight == "bold" {
		l.order = heavyOrder[:]
	}
	if own != noFace {
		l.order = append([]faceID{own}, l.order...)
	}
	// A code or link with a hole in it is worth nothing; better lose the words behind it.
	l.shorten = func(value int) bool {
		v := l.pieces[value-1].variable
		return v != varCode && v != varLink
	}
	for _, p := range parts(t.Value) {
		made := piece{variable: p.variable}
		if p.variable == "" {
			made.clusters = types.fonts.clusters(&types.seg, clean(p.literal, l.literal()), l.order, 0)
		}
		l.pieces = append(l.pieces, made)
	}
	if l.static() {
		for _, set := range l.set(types, nil) {
			l.fixed = append(l.fixed, line{glyphs: slices.Clone(set.glyphs), width: set.width})
		}
	}
	return l
}

// literal is how the text between the variables is cleaned: only where there are several lines may it feed them.
func (t *textLayer) literal() purpose {
	if t.text.lines() > 1 {
		return asPassage
	}
	return asLine
}

func (t *textLayer) static() bool         { return isStatic(t.text.Value) }
func (t *textLayer) box() image.Rectangle { return t.area }

func (t *textLayer) draw(p *painter, to canvas, person *Person) error {
	lines := t.fixed
	if !t.static() {
		lines = t.set(p.types, person)
	}
	for _, e := range t.casts {
		for i := range lines {
			x, y := t.start(lines, i)
			p.drawMask(to, t.area, p.halo(lines[i], x+e.x, y+e.y, e.effect, t.area), e.ink)
		}
	}
	for i := range lines {
		x, y := t.start(lines, i)
		p.drawLine(to, t.area, lines[i], x, y, t.ink)
	}
	return nil
}

// start is where a line's baseline begins.
func (t *textLayer) start(lines []line, i int) (x, y int) {
	top := float64(i) * t.text.Size * t.text.lineHeight()
	return align(t.text.Align, t.text.X, lines[i].width.Round()), t.text.Y + int(math.Round(top+t.text.Size*ascent))
}

// set lays the text out for a person. The lines lie in the typesetter's memory.
func (t *textLayer) set(types *typesetter, person *Person) []line {
	m := &types.memory
	m.reset()
	for i, p := range t.pieces {
		if p.variable == "" {
			m.clusters = append(m.clusters, p.clusters...)
		} else {
			m.clusters = t.value(types, m.clusters, p.variable, i+1, person)
		}
	}
	s := setting{clusters: m.clusters[:min(len(m.clusters), maxClusters)], order: t.order, size: t.text.Size, limit: t.room, shorten: t.shorten}
	if n := t.text.lines(); n > 1 {
		return types.flow(s, n)
	}
	m.lines = append(m.lines, types.set(s))
	return m.lines
}

// value adds a variable's for a person. A name that is missing or of which nothing can be drawn is "friend".
func (t *textLayer) value(types *typesetter, to []cluster, variable string, number int, person *Person) []cluster {
	said := person.Fields[variable]
	switch variable {
	case varCode:
		said = person.Code
	case varLink:
		said = person.Link
	case varNickname:
		said = person.Nickname
	}
	before := len(to)
	if to = t.find(types, to, said, number); len(to) == before && variable == varNickname {
		to = t.find(types, to, defaultNickname, number)
	}
	return to
}

// find adds the characters of a value.
func (t *textLayer) find(types *typesetter, to []cluster, said string, number int) []cluster {
	m, before, first := &types.memory, len(to), len(types.memory.runes)
	m.runes = appendClean(m.runes, said, asName)
	to = types.fonts.appendClusters(to, &types.seg, m.runes[first:], t.order, number)
	return to[:before+len(tidy(to[before:]))]
}
