package baseline

import (
	"fmt"
	"image"
)

// Ratio says how many luma samples share one chroma sample.
type Ratio uint8

const (
	// Ratio420 keeps one chroma sample for every 2x2 pixels.
	Ratio420 Ratio = iota
	// Ratio444 keeps chroma for every pixel: for thin saturated text and coloured codes, at some 40 % more bytes.
	Ratio444
)

// luma is the side of a unit's luma in samples. A unit's chroma is always one block of 8x8.
func (r Ratio) luma() int {
	if r == Ratio444 {
		return block
	}
	return 2 * block
}

// block is the side of what is transformed at once, in samples (T.81, A.1.3).
const block = 8

// maxSide is the longest side that a frame header can tell (T.81, B.2.2), in pixels.
const maxSide = 65535

// Planes are a picture as JPEG sees it: luma and two chroma planes, JFIF's full range (BT.601), each padded to whole
// units by repeating its last column and row. What draws into them near the right or the lower edge calls Pad after.
type Planes struct {
	Width, Height int // pixels that are shown
	Ratio         Ratio
	Y, Cb, Cr     []byte // rows one after another
	YStride       int    // bytes from one row of Y to the next
	CStride       int    // the same of Cb and of Cr
}

// NewPlanes gives a black picture. The sides are in pixels, 1 to 65535.
func NewPlanes(width, height int, ratio Ratio) *Planes {
	if width < 1 || height < 1 || width > maxSide || height > maxSide || ratio > Ratio444 {
		panic(fmt.Sprintf("baseline: no planes of %dx%d, ratio %d", width, height, ratio))
	}
	p := &Planes{Width: width, Height: height, Ratio: ratio}
	across, down := p.Across(), p.Down()
	p.YStride, p.CStride = across*ratio.luma(), across*block
	p.Y = make([]byte, p.YStride*down*ratio.luma())
	chroma := make([]byte, 2*p.CStride*down*block)
	for i := range chroma {
		chroma[i] = 128
	}
	half := len(chroma) / 2
	p.Cb, p.Cr = chroma[:half:half], chroma[half:]
	return p
}

// FromRGBA gives the planes of a picture whose pixels are opaque: alpha is not looked at.
func FromRGBA(m *image.RGBA, ratio Ratio) *Planes {
	size := m.Bounds().Size()
	p := NewPlanes(size.X, size.Y, ratio)
	p.Convert(m, image.Rect(0, 0, size.X, size.Y))
	return p
}

// Across is how many units lie side by side.
func (p *Planes) Across() int { return (p.Width + p.Ratio.luma() - 1) / p.Ratio.luma() }

// Down is how many rows of units there are.
func (p *Planes) Down() int { return (p.Height + p.Ratio.luma() - 1) / p.Ratio.luma() }

// alike says whether both have the same geometry.
func (p *Planes) alike(o *Planes) bool {
	return p.Width == o.Width && p.Height == o.Height && p.Ratio == o.Ratio && p.YStride == o.YStride &&
		p.CStride == o.CStride && len(p.Y) == len(o.Y) && len(p.Cb) == len(o.Cb) && len(p.Cr) == len(o.Cr)
}

// Clone gives planes of their own memory with the same samples.
func (p *Planes) Clone() *Planes {
	c := NewPlanes(p.Width, p.Height, p.Ratio)
	c.CopyRect(p, image.Rect(0, 0, p.Width, p.Height))
	c.Pad(image.Rect(0, 0, p.Width, p.Height))
	return c
}

// snap grows a rectangle to whole chroma samples and cuts it to the picture.
func (p *Planes) snap(r image.Rectangle) image.Rectangle {
	if p.Ratio == Ratio420 {
		r.Min.X, r.Min.Y = r.Min.X&^1, r.Min.Y&^1
		r.Max.X, r.Max.Y = (r.Max.X+1)&^1, (r.Max.Y+1)&^1
	}
	return r.Intersect(image.Rect(0, 0, p.Width, p.Height))
}

// chroma gives the rectangle of chroma samples below a rectangle of pixels.
func (p *Planes) chroma(r image.Rectangle) image.Rectangle {
	if p.Ratio == Ratio420 {
		return image.Rect(r.Min.X>>1, r.Min.Y>>1, (r.Max.X+1)>>1, (r.Max.Y+1)>>1)
	}
	return r
}

// CopyRect takes the pixels of a rectangle, grown to whole chroma samples, from planes of the same geometry: what
// was drawn there is undone by copying from the static planes. Padding beside it is copied too.
func (p *Planes) CopyRect(from *Planes, r image.Rectangle) {
	if !p.alike(from) {
		panic("baseline: planes of different geometry")
	}
	if r = p.snap(r); r.Empty() {
		return
	}
	if r.Max.X == p.Width {
		r.Max.X = p.Across() * p.Ratio.luma()
	}
	if r.Max.Y == p.Height {
		r.Max.Y = p.Down() * p.Ratio.luma()
	}
	copyRect(p.Y, from.Y, p.YStride, r)
	c := p.chroma(r)
	copyRect(p.Cb, from.Cb, p.CStride, c)
	copyRect(p.Cr, from.Cr, p.CStride, c)
}

func copyRect(to, from []byte, stride int, r image.Rectangle) {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		at := y*stride + r.Min.X
		copy(to[at:at+r.Dx()], from[at:])
	}
}

// Pad repeats the picture's last column and row into the padding beside a rectangle of pixels. It does nothing for
// a rectangle that touches neither the right nor the lower edge, or if there is no padding.
func (p *Planes) Pad(r image.Rectangle) {
	if r = p.snap(r); r.Empty() {
		return
	}
	pad(p.Y, p.YStride, r, p.Width, p.Height, len(p.Y)/p.YStride)
	c := p.chroma(image.Rect(0, 0, p.Width, p.Height)).Max
	r = p.chroma(r)
	pad(p.Cb, p.CStride, r, c.X, c.Y, len(p.Cb)/p.CStride)
	pad(p.Cr, p.CStride, r, c.X, c.Y, len(p.Cr)/p.CStride)
}

func pad(plane []byte, stride int, r image.Rectangle, width, height, rows int) {
	right := r.Max.X
	if r.Max.X == width {
		right = stride
		for y := r.Min.Y; y < r.Max.Y; y++ {
			row := plane[y*stride : (y+1)*stride]
			for x := width; x < stride; x++ {
				row[x] = row[width-1]
			}
		}
	}
	if r.Max.Y == height {
		last := plane[(height-1)*stride:]
		for y := height; y < rows; y++ {
			copy(plane[y*stride+r.Min.X:y*stride+right], last[r.Min.X:right])
		}
	}
}

// Convert draws a rectangle of a picture at the same place into the planes; the picture's upper left corner is the
// planes'. Luma is that of color.RGBToYCbCr; chroma is the mean of the pixels that share it, rounded once. The
// rectangle is grown to whole chroma samples and cut to what both have; padding beside it is kept right. Alpha is
// not looked at.
func (p *Planes) Convert(m *image.RGBA, r image.Rectangle) {
	size := m.Bounds().Size()
	r = p.snap(r).Intersect(image.Rect(0, 0, size.X, size.Y))
	if r.Empty() {
		return
	}
	pix := m.Pix[m.PixOffset(m.Rect.Min.X, m.Rect.Min.Y):]
	for y := r.Min.Y; y < r.Max.Y; y++ {
		from := pix[y*m.Stride+4*r.Min.X : y*m.Stride+4*r.Max.X]
		to := p.Y[y*p.YStride+r.Min.X : y*p.YStride+r.Max.X]
		for x := range to {
			s := from[4*x : 4*x+3 : 4*x+3]
			to[x] = byte((19595*int32(s[0]) + 38470*int32(s[1]) + 7471*int32(s[2]) + 1<<15) >> 16)
		}
	}
	c := p.chroma(r)
	for y := c.Min.Y; y < c.Max.Y; y++ {
		cb := p.Cb[y*p.CStride+c.Min.X : y*p.CStride+c.Max.X]
		cr := p.Cr[y*p.CStride+c.Min.X : y*p.CStride+c.Max.X]
		if p.Ratio == Ratio444 {
			row := pix[y*m.Stride+4*c.Min.X:]
			for x := range cb {
				s := row[4*x : 4*x+3 : 4*x+3]
				cb[x], cr[x] = toChroma(4*int32(s[0]), 4*int32(s[1]), 4*int32(s[2]))
			}
			continue
		}
		upper := pix[2*y*m.Stride:]
		lower := upper
		if 2*y+1 < r.Max.Y {
			lower = upper[m.Stride:]
		}
		for x := range cb {
			left := 8 * (c.Min.X + x)
			right := left
			if left/4+1 < r.Max.X {
				right += 4
			}
			a, b := upper[left:left+3:left+3], upper[right:right+3:right+3]
			d, e := lower[left:left+3:left+3], lower[right:right+3:right+3]
			cb[x], cr[x] = toChroma(
				int32(a[0])+int32(b[0])+int32(d[0])+int32(e[0]),
				int32(a[1])+int32(b[1])+int32(d[1])+int32(e[1]),
				int32(a[2])+int32(b[2])+int32(d[2])+int32(e[2]))
		}
	}
	p.Pad(r)
}

// toChroma gives the chroma of four pixels' sums, with the constants of color.RGBToYCbCr.
func toChroma(r, g, b int32) (cb, cr byte) {
	const half = 257 << 17 // 128 and a half, of four pixels
	return byte(min(-11056*r-21712*g+32768*b+half, 1<<26-1) >> 18), byte(min(32768*r-27440*g-5328*b+half, 1<<26-1) >> 18)
}
