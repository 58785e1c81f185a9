package poster

import (
	"crypto/sha256"
	"image"
	"image/color"
	"sync"
)

// portrait is a person's picture at the size of its layer, in the terms of one kind of canvas.
type portrait struct {
	side      int
	form      form
	across    int     // chroma samples in a row
	pix       []uint8 // all of it
	y, cb, cr []uint8
	rgba      image.RGBA // instead of planes
}

// shape makes room for a portrait. What was in it is gone.
func (p *portrait) shape(side int, f form) {
	if p.side == side && p.form == f {
		return
	}
	p.side, p.form = side, f
	down := 0
	switch f.chroma {
	case chromaRGB:
		p.pix = make([]uint8, 4*side*side)
		p.rgba = image.RGBA{Pix: p.pix, Stride: 4 * side, Rect: image.Rect(0, 0, side, side)}
		return
	case chromaFull:
		p.across, down = side, side
	case chromaHalf:
		p.across, down = (side+int(f.odd[0])+1)/2, (side+int(f.odd[1])+1)/2
	}
	luma, cells := side*side, p.across*down
	p.pix = make([]uint8, luma+2*cells)
	p.y, p.cb, p.cr = p.pix[:luma], p.pix[luma:][:cells], p.pix[luma+cells:]
}

// step is how many pixels a chroma sample has on a side.
func (f form) step() int {
	if f.chroma == chromaHalf {
		return 2
	}
	return 1
}

// take makes the portrait from a picture of its size.
func (p *portrait) take(m *image.RGBA) {
	if p.form.chroma == chromaRGB {
		for y := range p.side {
			copy(p.pix[4*p.side*y:][:4*p.side], m.Pix[m.Stride*y:])
		}
		return
	}
	step := p.form.step()
	for y := range p.side {
		for x := range p.side {
			s := m.Pix[m.Stride*y+4*x:][:4]
			p.y[p.side*y+x], _, _ = color.RGBToYCbCr(s[0], s[1], s[2])
		}
	}
	for i := range p.cb {
		// The pixels of this sample that lie in the picture.
		x, y := i%p.across*step-int(p.form.odd[0]), i/p.across*step-int(p.form.odd[1])
		var r, g, b, n int
		for v := max(y, 0); v < min(y+step, p.side); v++ {
			for h := max(x, 0); h < min(x+step, p.side); h++ {
				s := m.Pix[m.Stride*v+4*h:][:4]
				r, g, b, n = r+int(s[0]), g+int(s[1]), b+int(s[2]), n+1
			}
		}
		_, p.cb[i], p.cr[i] = color.RGBToYCbCr(uint8((r+n/2)/n), uint8((g+n/2)/n), uint8((b+n/2)/n))
	}
}

// darkroom makes portraits of decoded pictures. It keeps scratch memory: one goroutine at a time.
type darkroom struct {
	resampler
	print portrait // the one that is asked for
	proof portrait // planes of one that is to become RGB
}

// develop scales the middle of a picture into a portrait. What a camera or an app saved as JPEG stays in its planes.
func (d *darkroom) develop(img image.Image, to *portrait) {
	planes, ok := img.(*image.YCbCr)
	if !ok {
		to.take(cover(img, to.side, to.side, white))
		return
	}
	if to.form.chroma != chromaRGB {
		d.scalePlanes(planes, to)
		return
	}
	d.proof.shape(to.side, form{chroma: chromaFull})
	d.scalePlanes(planes, &d.proof)
	for i, y := range d.proof.y {
		r, g, b := color.YCbCrToRGB(y, d.proof.cb[i], d.proof.cr[i])
		s := to.pix[4*i:][:4]
		s[0], s[1], s[2], s[3] = r, g, b, 255
	}
}

func (d *darkroom) scalePlanes(m *image.YCbCr, to *portrait) {
	b := m.Bounds()
	part := min(b.Dx(), b.Dy())
	left, top := (b.Dx()-part)/2, (b.Dy()-part)/2
	luma := scaling{n: part, span: float64(part), side: to.side, step: 1}
	d.scale(to.y, m.Y[top*m.YStride+left:], m.YStride, luma, luma)

	sx, sy := subsampling(m.SubsampleRatio)
	across, x := chromaScaling(left, part, sx, to, 0)
	down, y := chromaScaling(top, part, sy, to, 1)
	d.scale(to.cb, m.Cb[y*m.CStride+x:], m.CStride, across, down)
	d.scale(to.cr, m.Cr[y*m.CStride+x:], m.CStride, across, down)
}

// chromaScaling says how chroma of which a sample stands for so many pixels becomes a portrait's, and which is the
// first sample that is needed.
func chromaScaling(from, part, each int, to *portrait, axis int) (s scaling, first int) {
	first = from / each
	return scaling{
		n: (from+part+each-1)/each - first, from: float64(from)/float64(each) - float64(first),
		span: float64(part) / float64(each), side: to.side, step: to.form.step(), lead: int(to.form.odd[axis]),
	}, first
}

// subsampling is how many pixels a sample of chroma stands for, across and down.
func subsampling(r image.YCbCrSubsampleRatio) (across, down int) {
	switch r {
	case image.YCbCrSubsampleRatio422:
		return 2, 1
	case image.YCbCrSubsampleRatio420:
		return 2, 2
	case image.YCbCrSubsampleRatio440:
		return 1, 2
	case image.YCbCrSubsampleRatio411:
		return 4, 1
	case image.YCbCrSubsampleRatio410:
		return 4, 2
	}
	return 1, 1
}

// albumBytes bounds the portraits that a press keeps for one kind of canvas.
const albumBytes = 2 << 20

// album keeps portraits of one layer for one kind of canvas by what they were made from. It is a table of sets of
// a few places; in a full set the one that was not looked at for longest gives way. Nothing is allocated once all
// places were taken.
type album struct {
	limit  int // bytes
	mu     sync.Mutex
	places []kept
	turn   uint64
}

// perSet is how many places a content may be in.
const perSet = 8

// kept is a portrait in an album.
type kept struct {
	of      [sha256.Size]byte
	used    uint64 // 0 for an empty one
	nothing bool   // what it was made from cannot be shown
	pix     []uint8
}

// find copies the portrait made from the content, or says that there is nothing to be shown of it.
func (a *album) find(of *[sha256.Size]byte, to *portrait) (known, nothing bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.set(of) {
		p := &a.set(of)[i]
		if p.used > 0 && p.of == *of {
			a.turn++
			p.used = a.turn
			if !p.nothing {
				copy(to.pix, p.pix)
			}
			return true, p.nothing
		}
	}
	return false, false
}

// keep remembers a portrait, nil for a content of which nothing can be shown.
func (a *album) keep(of *[sha256.Size]byte, p *portrait, size int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.places == nil {
		n := a.limit / size
		if n > perSet {
			n -= n % perSet
		}
		a.places = make([]kept, n)
	}
	var to *kept
	for i := range a.set(of) {
		if other := &a.set(of)[i]; to == nil || other.used < to.used {
			to = other
		}
	}
	if to == nil {
		return
	}
	a.turn++
	to.of, to.used, to.nothing = *of, a.turn, p == nil
	if p != nil {
		if to.pix == nil {
			to.pix = make([]uint8, len(p.pix))
		}
		copy(to.pix, p.pix)
	}
}

// set is where a content may be.
func (a *album) set(of *[sha256.Size]byte) []kept {
	if len(a.places) <= perSet {
		return a.places
	}
	i := (int(of[0])<<8 | int(of[1])) % (len(a.places) / perSet) * perSet
	return a.places[i : i+perSet]
}
