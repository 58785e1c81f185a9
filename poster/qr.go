package poster

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"strings"
	"sync"

	qrcode "github.com/skip2/go-qrcode"
	"golang.org/x/image/draw"

	"kfactor/internal/fault"
)

// quietZone is the light margin around a code, in modules: the standard's four.
const quietZone = 4

// A logo takes this share of the code's width, its light rim included the other. Level Q still reads a code whose
// middle quarter is covered.
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

// matrix is a QR code without its quiet zone: rows of modules, true where dark.
func matrix(link, level string) ([][]bool, error) {
	if link == "" {
		return nil, fault.New(fault.Invalid, "a QR code needs a link")
	}
	code, err := qrcode.New(link, recovery[level])
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "a link of %d bytes does not fit into a QR code of level %s", len(link), level)
	}
	code.DisableBorder = true
	return code.Bitmap(), nil
}

// expectedModules is how many modules a side a code for a link of that length has. Lower-case letters are the
// worst case: digits take less room.
func expectedModules(length int, level string) (int, error) {
	m, err := matrix(strings.Repeat("a", length), level)
	return len(m), err
}

// qrLayer prints a person's code.
type qrLayer struct {
	area        image.Rectangle
	level       string
	dark, light *image.Uniform
	logo        image.Image // nil for none
	logos       sync.Map    // of *image.RGBA by width in pixels; one for each size of code, so at most 40
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
		dark:  image.NewUniform(colorOr(q.Dark, black)),
		light: image.NewUniform(colorOr(q.Light, white)),
		logo:  logo,
	}
}

func (q *qrLayer) static() bool         { return false }
func (q *qrLayer) box() image.Rectangle { return q.area }

func (q *qrLayer) draw(_ *painter, to *image.RGBA, person *Person) error {
	modules, err := matrix(person.Link, q.level)
	if err != nil {
		return err
	}
	code, module := place(q.area, len(modules))
	if module < 2 {
		return fault.New(fault.Invalid, "the link has %d characters, too many for a QR code of %d pixels", len(person.Link), q.area.Dx())
	}
	draw.Draw(to, q.area, q.light, image.Point{}, draw.Src)
	paint(to, code.Min, module, modules, q.dark)
	if q.logo != nil {
		q.drawLogo(to, code)
	}
	return nil
}

// place centres a code of n modules a side in its area, quiet zone included, with whole pixels a module.
func place(area image.Rectangle, n int) (code image.Rectangle, module int) {
	module = area.Dx() / (n + 2*quietZone)
	side := module * n
	return square(area.Min.X+(area.Dx()-side)/2, area.Min.Y+(area.Dy()-side)/2, side), module
}

// paint draws the dark modules, a run of them at a time.
func paint(to draw.Image, at image.Point, module int, modules [][]bool, dark image.Image) {
	for y, row := range modules {
		for x, width := range runs(row) {
			r := image.Rect(x, y, x+width, y+1)
			r.Min, r.Max = r.Min.Mul(module).Add(at), r.Max.Mul(module).Add(at)
			draw.Draw(to, r, dark, image.Point{}, draw.Src)
		}
	}
}

// runs goes through the dark stretches of a row: where each begins and how many modules it has.
func runs(row []bool) func(yield func(x, width int) bool) {
	return func(yield func(x, width int) bool) {
		for x := 0; x < len(row); x++ {
			start := x
			for x < len(row) && row[x] {
				x++
			}
			if x > start && !yield(start, x-start) {
				return
			}
		}
	}
}

func (q *qrLayer) drawLogo(to *image.RGBA, code image.Rectangle) {
	hole := int(float64(code.Dx()) * holeShare)
	side := int(float64(code.Dx()) * logoShare)
	around := square(code.Min.X+(code.Dx()-hole)/2, code.Min.Y+(code.Dy()-hole)/2, hole)
	draw.Draw(to, around, q.light, image.Point{}, draw.Src)
	scaled := q.scaledLogo(side)
	at := image.Pt(code.Min.X+(code.Dx()-scaled.Rect.Dx())/2, code.Min.Y+(code.Dy()-scaled.Rect.Dy())/2)
	draw.Draw(to, scaled.Rect.Add(at), scaled, image.Point{}, draw.Over)
}

// scaledLogo fits the logo into a square, keeping its proportions.
func (q *qrLayer) scaledLogo(side int) *image.RGBA {
	if scaled, ok := q.logos.Load(side); ok {
		return scaled.(*image.RGBA) //nolint:forcetypeassert // nothing else is stored
	}
	scaled := within(q.logo, side)
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
	modules, err := matrix(link, "M")
	if err != nil {
		return err
	}
	area := image.Rect(0, 0, size, size)
	code, module := place(area, len(modules))
	if module < 1 || size > maxSide {
		return fault.New(fault.Invalid, "a QR code of this link needs %d to %d pixels, not %d", len(modules)+2*quietZone, maxSide, size)
	}
	img := image.NewPaletted(area, color.Palette{white, black})
	paint(img, code.Min, module, modules, image.NewUniform(black))
	return png.Encode(w, img)
}

// QRSVG writes the bare code of a link as an SVG that scales to any size, its margin included.
func QRSVG(w io.Writer, link string) error {
	modules, err := matrix(link, "M")
	if err != nil {
		return err
	}
	side := len(modules) + 2*quietZone
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges">`, side, side)
	fmt.Fprintf(out, `<path fill="#fff" d="M0 0h%dv%dH0z"/><path d="`, side, side)
	for y, row := range modules {
		for x, width := range runs(row) {
			fmt.Fprintf(out, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, width, width)
		}
	}
	fmt.Fprint(out, `"/></svg>`+"\n")
	return out.Flush()
}
