package poster

import (
	"image"
	"image/color"

	"golang.org/x/image/draw"
)

// canvas is what layers draw on: the pixels of a PNG, or the planes of a JPEG. Nothing is drawn outside of its
// bounds and of its window.
type canvas interface {
	bounds() image.Rectangle
	// window keeps what is drawn next within a rectangle.
	window(r image.Rectangle)
	// above tells whether what is drawn next belongs to the static poster, above what differs.
	above(is bool)
	// touch tells that a rectangle is about to differ from the static poster.
	touch(r image.Rectangle)

	// fill lays a colour over a rectangle.
	fill(r image.Rectangle, k *ink)
	// mask lays a colour over what a mask, moved by at, lets through.
	mask(m *image.Alpha, at image.Point, clip image.Rectangle, k *ink)
	// stamp lays a picture, moved by at, over what is there.
	stamp(s *stamp, at image.Point, clip image.Rectangle)
	// modules draws a code of so many pixels a module on a ground of one colour.
	modules(code *modules, at image.Point, module int, dark, light *ink)
	// form is how a portrait has to be made to be printed with its corner there, and print prints it.
	form(at image.Point) form
	print(p *portrait, at image.Point, m *image.Alpha)
}

// ink is a colour in the terms of both canvases.
type ink struct {
	uniform   *image.Uniform
	y, cb, cr uint8
	alpha     uint8
}

func newInk(c color.NRGBA) *ink {
	k := &ink{uniform: image.NewUniform(c), alpha: c.A}
	k.y, k.cb, k.cr = color.RGBToYCbCr(c.R, c.G, c.B)
	return k
}

// stamp is a picture that may be transparent, in the terms of both canvases. Its rectangle's corner need not be 0,0.
type stamp struct {
	rgba *image.RGBA
	// planes has for each pixel of rgba luma, Cb, Cr and alpha, all but alpha multiplied by it, chroma around 128.
	planes []uint8
}

func newStamp(m *image.RGBA) *stamp {
	s := &stamp{rgba: m, planes: make([]uint8, 4*m.Rect.Dx()*m.Rect.Dy())}
	to := s.planes
	for y := range m.Rect.Dy() {
		row := m.Pix[y*m.Stride:][:4*m.Rect.Dx()]
		for x := 0; x < len(row); x += 4 {
			// The conversion is linear, so multiplied colours give multiplied luma and chroma.
			to[0], to[1], to[2] = color.RGBToYCbCr(row[x], row[x+1], row[x+2])
			to[3] = row[x+3]
			to = to[4:]
		}
	}
	return s
}

// bytes is about what the stamp takes in memory.
func (s *stamp) bytes() int { return len(s.rgba.Pix) + len(s.planes) }

// form is the geometry that portraits are made for.
type form struct {
	chroma chroma
	odd    [2]uint8 // of halved chroma: whether the corner's x and y are odd
}

// chroma says how often a canvas keeps colour.
type chroma uint8

const (
	chromaRGB  chroma = iota // not apart from the rest
	chromaFull               // for each pixel
	chromaHalf               // for each 2x2 pixels
)

// rgbaCanvas is a picture in memory.
type rgbaCanvas struct {
	img     *image.RGBA
	clip    image.Rectangle
	touched []image.Rectangle // since the last restore
}

func newRGBACanvas(img *image.RGBA) *rgbaCanvas { return &rgbaCanvas{img: img, clip: img.Rect} }

func (c *rgbaCanvas) bounds() image.Rectangle  { return c.img.Rect }
func (c *rgbaCanvas) window(r image.Rectangle) { c.clip = r.Intersect(c.img.Rect) }

func (c *rgbaCanvas) above(bool) {}

func (c *rgbaCanvas) touch(r image.Rectangle) {
	if r = r.Intersect(c.clip); !r.Empty() {
		c.touched = append(c.touched, r)
	}
}

// restore takes what was touched from the picture that the canvas was copied from.
func (c *rgbaCanvas) restore(from *image.RGBA) {
	for _, r := range c.touched {
		for y := r.Min.Y; y < r.Max.Y; y++ {
			i := c.img.PixOffset(r.Min.X, y)
			copy(c.img.Pix[i:i+4*r.Dx()], from.Pix[i:])
		}
	}
	c.touched = c.touched[:0]
}

func (c *rgbaCanvas) fill(r image.Rectangle, k *ink) {
	draw.Draw(c.img, r.Intersect(c.clip), k.uniform, image.Point{}, draw.Over)
}

func (c *rgbaCanvas) mask(m *image.Alpha, at image.Point, clip image.Rectangle, k *ink) {
	r := m.Rect.Add(at).Intersect(clip).Intersect(c.clip)
	draw.DrawMask(c.img, r, k.uniform, image.Point{}, m, r.Min.Sub(at), draw.Over)
}

func (c *rgbaCanvas) stamp(s *stamp, at image.Point, clip image.Rectangle) {
	r := s.rgba.Rect.Add(at).Intersect(clip).Intersect(c.clip)
	draw.Draw(c.img, r, s.rgba, r.Min.Sub(at), draw.Over)
}

func (c *rgbaCanvas) modules(code *modules, at image.Point, module int, dark, _ *ink) {
	fillModules(c, code, at, module, dark)
}

// fillModules draws the dark modules, a run of them at a time.
func fillModules(to canvas, code *modules, at image.Point, module int, dark *ink) {
	for y := range code.size() {
		for x, width := range code.runs(y) {
			r := image.Rect(x, y, x+width, y+1)
			to.fill(image.Rectangle{Min: r.Min.Mul(module).Add(at), Max: r.Max.Mul(module).Add(at)}, dark)
		}
	}
}

func (c *rgbaCanvas) form(image.Point) form { return form{} }

func (c *rgbaCanvas) print(p *portrait, at image.Point, m *image.Alpha) {
	r := p.rgba.Rect.Add(at).Intersect(c.clip)
	draw.DrawMask(c.img, r, &p.rgba, r.Min.Sub(at), m, r.Min.Sub(at), draw.Over)
}
