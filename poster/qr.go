package poster

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math/bits"
	"strings"
	"sync"

	qrcode "github.com/skip2/go-qrcode"
	"golang.org/x/image/draw"

	"kfactor/internal/fault"
	"kfactor/poster/qr"
)

// quietZone is the light margin around a code, in modules: the standard's four.
const quietZone = 4

// A logo takes this share of the code's width, its light rim included no more than the other. Level Q still reads a code
// whose middle quarter is covered.
const (
	logoShare = 0.22
	holeShare = 0.25
)

// level is the error correction asked for, or the default.
func (q *QR) level() string {
	switch {
	case q.Level != "":
		return q.Level
	case q.Logo != "":
		return "Q"
	}
	return "M"
}

var recovery = map[string]qrcode.RecoveryLevel{
	"L": qrcode.Low, "M": qrcode.Medium, "Q": qrcode.High, "H": qrcode.Highest,
}

var levels = map[string]qr.Level{"L": qr.L, "M": qr.M, "Q": qr.Q, "H": qr.H}

// modules are those of a QR code, without its quiet zone.
type modules struct {
	matrix qr.Matrix
	bitmap [][]bool // of a link that takes a larger code than the matrix holds; nil otherwise
}

// encode makes a link's code. It takes memory only for links of more than some two hundred characters.
func (m *modules) encode(link, level string) error {
	m.bitmap = nil
	if err := qr.Encode(&m.matrix, link, levels[level]); err == nil {
		return nil
	}
	return m.encodeLarge(link, level)
}

// encodeLarge makes a code of any size, shorter by a version now and then as it mixes digits, capitals and bytes.
func (m *modules) encodeLarge(link, level string) error {
	if link == "" {
		return fault.New(fault.Invalid, "a QR code needs a link")
	}
	code, err := qrcode.New(link, recovery[level])
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "a link of %d bytes does not fit into a QR code of level %s", len(link), level)
	}
	code.DisableBorder = true
	m.bitmap = code.Bitmap()
	return nil
}

// size is how many modules a side has.
func (m *modules) size() int {
	if m.bitmap != nil {
		return len(m.bitmap)
	}
	return m.matrix.Size()
}

// runs goes through the dark stretches of a row: where each begins and how many modules it has.
func (m *modules) runs(y int) func(yield func(x, width int) bool) {
	return func(yield func(x, width int) bool) {
		if m.bitmap == nil {
			runsOf(m.matrix.Row(y), yield)
			return
		}
		for x, n := 0, m.size(); x < n; x++ {
			start := x
			for x < n && m.bitmap[y][x] {
				x++
			}
			if x > start && !yield(start, x-start) {
				return
			}
		}
	}
}

// runsOf goes through the stretches of ones, from the lowest bit on.
func runsOf(row uint64, yield func(x, width int) bool) {
	for x := 0; row != 0; {
		zeros := bits.TrailingZeros64(row)
		row >>= zeros
		x += zeros
		ones := bits.TrailingZeros64(^row)
		if !yield(x, ones) {
			return
		}
		row >>= ones
		x += ones
	}
}

// expectedModules is how many modules a side a code for a link of that length has. Lower-case letters are the
// worst case: digits take less room.
func expectedModules(length int, level string) (int, error) {
	if n, ok := qr.Fit(length, levels[level]); ok {
		return n, nil
	}
	var m modules
	if err := m.encodeLarge(strings.Repeat("a", length), level); err != nil {
		return 0, err
	}
	return m.size(), nil
}

// grid is the side of a JPEG's blocks in pixels. A module that is one of them is as sharp after any compression as
// before, and takes next to no bytes.
const grid = 8

// moduleSize is how many pixels a module gets in a square of that size: whole ones, and whole blocks of a JPEG where the
// code loses no more than a third by it and stays good to read.
func moduleSize(size, n, width int) int {
	most := size / (n + 2*quietZone)
	if blocks := most / grid * grid; 3*blocks >= 2*most && blocks*shownWidth >= goodModule*width {
		return blocks
	}
	return most
}

// place puts a code of n modules a side into its area, quiet zone included: on the grid where there is room for that, and
// about in the middle.
func place(area image.Rectangle, n, module int) image.Rectangle {
	side, quiet := n*module, quietZone*module
	return square(snap(area.Min.X+quiet, area.Max.X-quiet-side), snap(area.Min.Y+quiet, area.Max.Y-quiet-side), side)
}

// snap is the multiple of the grid that is nearest to the middle of two numbers, or the middle when none lies between.
func snap(low, high int) int {
	middle := (low + high) / 2
	if on := (middle + grid/2) / grid * grid; low <= on && on <= high {
		return on
	}
	return middle
}

// qrLayer prints a person's code.
type qrLayer struct {
	area        image.Rectangle
	level       string
	dark, light *ink
	logo        image.Image // nil for none
	logos       sync.Map    // of *stamp by width in pixels; one for each size of code, so at most 40
}

// newQRLayer shrinks a logo that is far larger than it will be printed: the layer lives as long as its press.
func newQRLayer(q *QR, logo image.Image) *qrLayer {
	if logo != nil {
		most := max(1, int(float64(q.Size)*logoShare)) * 4
		if b := logo.Bounds(); b.Dx() > most || b.Dy() > most {
			logo = within(logo, most)
		}
	}
	return &qrLayer{
		area:  square(q.X, q.Y, q.Size),
		level: q.level(),
		dark:  newInk(colorOr(q.Dark, black)),
		light: newInk(colorOr(q.Light, white)),
		logo:  logo,
	}
}

func (q *qrLayer) static() bool         { return false }
func (q *qrLayer) box() image.Rectangle { return q.area }

// ground is the light square below the code, which is the same for everybody.
func (q *qrLayer) ground() *rectLayer { return &rectLayer{area: q.area, ink: q.light} }

// draw prints the code on its ground.
func (q *qrLayer) draw(p *painter, to canvas, person *Person) error {
	code := &p.code
	if err := code.encode(person.Link, q.level); err != nil {
		return err
	}
	n := code.size()
	module := moduleSize(q.area.Dx(), n, to.bounds().Dx())
	if module < 2 {
		return fault.New(fault.Invalid, "the link has %d characters, too many for a QR code of %d pixels", len(person.Link), q.area.Dx())
	}
	area := place(q.area, n, module)
	to.touch(area)
	to.modules(code, area.Min, module, q.dark, q.light)
	if q.logo != nil {
		q.drawLogo(to, area, hole(n)*module)
	}
	return nil
}

// paint draws the dark modules, a run of them at a time.
func paint(to draw.Image, at image.Point, module int, code *modules, dark image.Image) {
	for y := range code.size() {
		for x, width := range code.runs(y) {
			r := image.Rect(x, y, x+width, y+1)
			r.Min, r.Max = r.Min.Mul(module).Add(at), r.Max.Mul(module).Add(at)
			draw.Draw(to, r, dark, image.Point{}, draw.Src)
		}
	}
}

// hole is how many modules a side a logo covers, its rim included: whole ones about the middle, so an odd number.
func hole(n int) int { return (int(float64(n)*holeShare)-1)/2*2 + 1 }

// drawLogo clears a square in the middle of the code and draws the logo into it.
func (q *qrLayer) drawLogo(to canvas, code image.Rectangle, hole int) {
	to.fill(square(code.Min.X+(code.Dx()-hole)/2, code.Min.Y+(code.Dy()-hole)/2, hole), q.light)
	scaled := q.scaledLogo(int(float64(hole) * logoShare / holeShare))
	size := scaled.rgba.Rect.Size()
	to.stamp(scaled, image.Pt(code.Min.X+(code.Dx()-size.X)/2, code.Min.Y+(code.Dy()-size.Y)/2), code)
}

// scaledLogo fits the logo into a square, keeping its proportions.
func (q *qrLayer) scaledLogo(side int) *stamp {
	if scaled, ok := q.logos.Load(side); ok {
		return scaled.(*stamp) //nolint:forcetypeassert // nothing else is stored
	}
	scaled := newStamp(within(q.logo, side))
	q.logos.Store(side, scaled)
	return scaled
}

// within fits a picture into a square, keeping its proportions.
func within(img image.Image, side int) *image.RGBA {
	b := img.Bounds()
	w, h := side, side
	if b.Dx() > b.Dy() {
		h = max(1, side*b.Dy()/b.Dx())
	} else {
		w = max(1, side*b.Dx()/b.Dy())
	}
	scaled := image.NewRGBA(image.Rect(0, 0, w, h))
	scale(scaled, scaled.Rect, img, b)
	return scaled
}

// QRPNG writes the bare code of a link as a PNG of size x size pixels, its margin included.
func QRPNG(w io.Writer, link string, size int) error {
	var code modules
	if err := code.encodeLarge(link, "M"); err != nil {
		return err
	}
	n := code.size()
	module := size / (n + 2*quietZone)
	if module < 1 || size > maxSide {
		return fault.New(fault.Invalid, "a QR code of this link needs %d to %d pixels, not %d", n+2*quietZone, maxSide, size)
	}
	margin := (size - n*module) / 2
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{white, black})
	paint(img, image.Pt(margin, margin), module, &code, image.NewUniform(black))
	return png.Encode(w, img)
}

// QRSVG writes the bare code of a link as an SVG that scales to any size, its margin included.
func QRSVG(w io.Writer, link string) error {
	var code modules
	if err := code.encodeLarge(link, "M"); err != nil {
		return err
	}
	side := code.size() + 2*quietZone
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, side, side)
	fmt.Fprintf(out, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, side, side)
	for y := range code.size() {
		for x, width := range code.runs(y) {
			fmt.Fprintf(out, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, width, width)
		}
	}
	fmt.Fprint(out, `"/></svg>`+"\n")
	return out.Flush()
}

// LongestLink is how many characters codes have to hold.
func (t *Template) LongestLink() int { return t.linkLength() }

// Modules is how many modules a side, without the quiet zone, a code has that holds the longest link; 0 when none does.
func (q *QR) Modules(t *Template) int {
	n, err := expectedModules(t.linkLength(), q.level())
	if err != nil {
		return 0
	}
	return n
}
