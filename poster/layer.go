package poster

import (
	"image"
	"image/color"
	"math"

	"github.com/fogleman/gg"
	"golang.org/x/image/draw"
)

// imageLayer draws a picture.
type imageLayer struct {
	area image.Rectangle
	img  *image.RGBA
}

// newImageLayer scales the picture. Only what shows on the canvas is kept: the rest may be a hundred times as much.
func newImageLayer(m *Image, img image.Image, canvas image.Rectangle) *imageLayer {
	whole := m.place(img)
	area := whole.Intersect(canvas)
	to := image.NewRGBA(area.Sub(area.Min))
	scale(to, whole.Sub(area.Min), img, img.Bounds())
	return &imageLayer{area: area, img: to}
}

// place is where the picture is drawn, on the canvas and off it.
func (m *Image) place(img image.Image) image.Rectangle {
	size := fit(img.Bounds().Size(), m.Width, m.Height)
	return image.Rectangle{Max: size}.Add(image.Pt(m.X, m.Y))
}

func (m *imageLayer) static() bool         { return true }
func (m *imageLayer) box() image.Rectangle { return m.area }

func (m *imageLayer) draw(_ *painter, to *image.RGBA, _ *Person) error {
	draw.Draw(to, m.area, m.img, image.Point{}, draw.Over)
	return nil
}

// rectLayer draws a rectangle.
type rectLayer struct {
	area image.Rectangle
	ink  *image.Uniform
	mask *image.Alpha // nil for square corners
}

func newRectLayer(r *Rect) *rectLayer {
	l := &rectLayer{
		area: image.Rect(r.X, r.Y, r.X+r.Width, r.Y+r.Height),
		ink:  image.NewUniform(colorOr(r.Color, black)),
	}
	if r.Radius > 0 {
		dc := gg.NewContext(r.Width, r.Height)
		dc.DrawRoundedRectangle(0, 0, float64(r.Width), float64(r.Height), float64(r.Radius))
		dc.Fill()
		l.mask = dc.AsMask()
	}
	return l
}

func (r *rectLayer) static() bool         { return true }
func (r *rectLayer) box() image.Rectangle { return r.area }

func (r *rectLayer) draw(_ *painter, to *image.RGBA, _ *Person) error {
	if r.mask == nil {
		draw.Draw(to, r.area, r.ink, image.Point{}, draw.Over)
		return nil
	}
	draw.DrawMask(to, r.area, r.ink, image.Point{}, r.mask, image.Point{}, draw.Over)
	return nil
}

// textLayer draws a line of text.
type textLayer struct {
	text   Text
	color  color.NRGBA
	room   int
	area   image.Rectangle
	pieces []piece
	fixed  line // of a text that is the same for everybody
}

// piece is a part of a text whose literal characters have found their fonts.
type piece struct {
	clusters []cluster
	variable string // "" for a literal
}

func newTextLayer(t *Text, canvas int, types *typesetter) *textLayer {
	l := &textLayer{text: *t, color: colorOr(t.Color, black), room: t.room(canvas), area: t.box(canvas)}
	for _, p := range parts(t.Value) {
		made := piece{variable: p.variable}
		if p.variable == "" {
			made.clusters = types.fonts.clusters(&types.seg, clean(p.literal, false), l.heavy(), 0)
		}
		l.pieces = append(l.pieces, made)
	}
	if l.static() {
		l.fixed = l.set(types, nil)
	}
	return l
}

func (t *textLayer) heavy() bool          { return t.text.Weight == "bold" }
func (t *textLayer) static() bool         { return isStatic(t.text.Value) }
func (t *textLayer) box() image.Rectangle { return t.area }

func (t *textLayer) draw(p *painter, to *image.RGBA, person *Person) error {
	l := t.fixed
	if !t.static() {
		l = t.set(p.types, person)
	}
	x := align(t.text.Align, t.text.X, l.width.Round())
	baseline := t.text.Y + int(math.Round(t.text.Size*ascent))
	p.drawLine(to, t.area, l, x, baseline, t.color)
	return nil
}

// set lays the line out for a person.
func (t *textLayer) set(types *typesetter, person *Person) line {
	var clusters []cluster
	for i, p := range t.pieces {
		if p.variable == "" {
			clusters = append(clusters, p.clusters...)
			continue
		}
		clusters = append(clusters, t.value(types, p.variable, i+1, person)...)
	}
	// A code or link with a hole in it is worth nothing; better lose the words behind it.
	mayShorten := func(value int) bool {
		v := t.pieces[value-1].variable
		return v != varCode && v != varLink
	}
	return types.set(clusters, t.heavy(), t.text.Size, t.room, mayShorten)
}

// value is a variable's for a person. A name that is missing or of which nothing can be drawn is "friend".
func (t *textLayer) value(types *typesetter, variable string, number int, person *Person) []cluster {
	find := func(s string) []cluster {
		return tidy(types.fonts.clusters(&types.seg, clean(s, true), t.heavy(), number))
	}
	switch variable {
	case varCode:
		return find(person.Code)
	case varLink:
		return find(person.Link)
	case varNickname:
		if name := find(person.Nickname); len(name) > 0 {
			return name
		}
		return find(defaultNickname)
	}
	return find(person.Fields[variable])
}
