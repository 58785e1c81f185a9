package poster

import (
	"image"

	"github.com/fogleman/gg"
	"golang.org/x/image/draw"
)

// imageLayer draws a picture.
type imageLayer struct {
	area image.Rectangle
	img  *stamp
}

// newImageLayer scales the picture. Only what shows on the canvas is kept: the rest may be a hundred times as much.
func newImageLayer(m *Image, img image.Image, canvas image.Rectangle) *imageLayer {
	whole := m.place(img)
	area := whole.Intersect(canvas)
	to := image.NewRGBA(area.Sub(area.Min))
	scale(to, whole.Sub(area.Min), img, img.Bounds())
	return &imageLayer{area: area, img: &stamp{rgba: to}}
}

// place is where the picture is drawn, on the canvas and off it.
func (m *Image) place(img image.Image) image.Rectangle {
	size := fit(img.Bounds().Size(), m.Width, m.Height)
	return image.Rectangle{Max: size}.Add(image.Pt(m.X, m.Y))
}

func (m *imageLayer) static() bool         { return true }
func (m *imageLayer) box() image.Rectangle { return m.area }

// trimmed is the layer ready to be drawn again and again, within a rectangle only.
func (m *imageLayer) trimmed(r image.Rectangle) *imageLayer {
	r = r.Intersect(m.area)
	to := image.NewRGBA(r.Sub(r.Min))
	draw.Draw(to, to.Rect, m.img.rgba, r.Min.Sub(m.area.Min), draw.Src)
	return &imageLayer{area: r, img: newStamp(to)}
}

func (m *imageLayer) draw(_ *painter, to canvas, _ *Person) error {
	to.touch(m.area)
	to.stamp(m.img, m.area.Min, m.area)
	return nil
}

// rectLayer draws a rectangle.
type rectLayer struct {
	area image.Rectangle
	ink  *ink
	mask *image.Alpha // nil for square corners
}

func newRectLayer(r *Rect) *rectLayer {
	l := &rectLayer{
		area: image.Rect(r.X, r.Y, r.X+r.Width, r.Y+r.Height),
		ink:  newInk(colorOr(r.Color, black)),
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

func (r *rectLayer) draw(_ *painter, to canvas, _ *Person) error {
	to.touch(r.area)
	if r.mask == nil {
		to.fill(r.area, r.ink)
	} else {
		to.mask(r.mask, r.area.Min, r.area, r.ink)
	}
	return nil
}
