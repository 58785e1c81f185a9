package poster

import (
	"encoding/binary"
	"image"

	"kfactor/poster/baseline"
)

// planesCanvas is the planes of a JPEG. Luma is blended for each pixel. Where four pixels share their chroma, it is
// blended once, with the mean of what the four would take: the mean of four blended pixels, as long as the ground
// below them has one colour. All arithmetic is in integers, so every machine makes the same poster.
type planesCanvas struct {
	*baseline.Planes
	clip    image.Rectangle
	changed *baseline.Units   // nil if nobody asks
	still   bool              // what is drawn belongs to the static poster
	touched []image.Rectangle // since the last restore
	sums    []uint16          // alpha of a row of chroma samples, 1020 for all
	colours []int16           // and the colours that come with it
}

func newPlanesCanvas(p *baseline.Planes) *planesCanvas {
	c := &planesCanvas{Planes: p, sums: make([]uint16, p.CStride), colours: make([]int16, 2*p.CStride)}
	c.clip = c.bounds()
	return c
}

func (c *planesCanvas) bounds() image.Rectangle  { return image.Rect(0, 0, c.Width, c.Height) }
func (c *planesCanvas) window(r image.Rectangle) { c.clip = r.Intersect(c.bounds()) }

func (c *planesCanvas) above(is bool) { c.still = is }

func (c *planesCanvas) touch(r image.Rectangle) {
	if r = r.Intersect(c.clip); r.Empty() {
		return
	}
	c.touched = append(c.touched, r)
	if c.changed != nil && !c.still {
		c.changed.Mark(r)
	}
}

// restore takes what was touched from the planes that the canvas was copied from.
func (c *planesCanvas) restore(from *baseline.Planes) {
	for _, r := range c.touched {
		c.CopyRect(from, r)
	}
	c.touched = c.touched[:0]
	if c.changed != nil {
		c.changed.Clear()
	}
}

// full is the alpha of an opaque chroma sample: four pixels of 255.
const full = 4 * 255

// blend mixes two samples, the second with a share of 255.
func blend(ground, over, alpha uint32) uint8 {
	v := ground*(255-alpha) + over*alpha + 128
	return uint8((v + v>>8) >> 8)
}

// blendFull mixes two samples, the second with a share of full.
func blendFull(ground, over uint8, alpha uint32) uint8 {
	return uint8((uint32(ground)*(full-alpha) + uint32(over)*alpha + full/2) / full)
}

// luma is a part of a row of luma.
func (c *planesCanvas) luma(y, from, to int) []uint8 {
	return c.Y[y*c.YStride+from : y*c.YStride+to]
}

// cells is the part of the chroma rows that n samples from x, y on are.
func (c *planesCanvas) cells(x, y, n int) (cb, cr []uint8) {
	at := y*c.CStride + x
	return c.Cb[at : at+n], c.Cr[at : at+n]
}

func (c *planesCanvas) fill(r image.Rectangle, k *ink) {
	if r = r.Intersect(c.clip); r.Empty() || k.alpha == 0 {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		wash(c.luma(y, r.Min.X, r.Max.X), k.y, k.alpha)
	}
	switch c.Ratio {
	case baseline.Ratio444:
		for y := r.Min.Y; y < r.Max.Y; y++ {
			cb, cr := c.cells(r.Min.X, y, r.Dx())
			wash(cb, k.cb, k.alpha)
			wash(cr, k.cr, k.alpha)
		}
	default:
		c.fillCells(r, k)
	}
	c.Pad(r)
}

// fillCells fills the halved chroma of a rectangle; samples at its edges may be covered in part.
func (c *planesCanvas) fillCells(r image.Rectangle, k *ink) {
	left, right := r.Min.X>>1, (r.Max.X+1)>>1
	for y := r.Min.Y >> 1; y < (r.Max.Y+1)>>1; y++ {
		rows := covered2(y, r.Min.Y, r.Max.Y, c.Height)
		cb, cr := c.cells(left, y, right-left)
		from, to := 0, len(cb)
		if n := covered2(left, r.Min.X, r.Max.X, c.Width); n < 2 {
			a := n * rows * uint32(k.alpha)
			cb[0], cr[0] = blendFull(cb[0], k.cb, a), blendFull(cr[0], k.cr, a)
			from = 1
		}
		if n := covered2(right-1, r.Min.X, r.Max.X, c.Width); n < 2 && to > from {
			to--
			a := n * rows * uint32(k.alpha)
			cb[to], cr[to] = blendFull(cb[to], k.cb, a), blendFull(cr[to], k.cr, a)
		}
		if rows == 2 {
			wash(cb[from:to], k.cb, k.alpha)
			wash(cr[from:to], k.cr, k.alpha)
			continue
		}
		a := 2 * rows * uint32(k.alpha)
		for i := from; i < to; i++ {
			cb[i], cr[i] = blendFull(cb[i], k.cb, a), blendFull(cr[i], k.cr, a)
		}
	}
}

// covered2 is how many of the two pixels of a chroma sample lie between low and high. The last pixel of a picture
// of an odd side stands for two.
func covered2(cell, low, high, side int) uint32 {
	n := uint32(0)
	if x := 2 * cell; x >= low && x < high {
		n++
	}
	if x := min(2*cell+1, side-1); x >= low && x < high {
		n++
	}
	return n
}

// wash lays a colour over a row.
func wash(row []uint8, v, alpha uint8) {
	if alpha != 255 {
		for i, ground := range row {
			row[i] = blend(uint32(ground), uint32(v), uint32(alpha))
		}
		return
	}
	many := uint64(v) * 0x0101010101010101
	for ; len(row) >= 8; row = row[8:] {
		binary.LittleEndian.PutUint64(row, many)
	}
	for i := range row {
		row[i] = v
	}
}

func (c *planesCanvas) mask(m *image.Alpha, at image.Point, clip image.Rectangle, k *ink) {
	r := m.Rect.Add(at).Intersect(clip).Intersect(c.clip)
	if r.Empty() || k.alpha == 0 {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		through := through(m, r, at, y)
		seep(c.luma(y, r.Min.X, r.Max.X), through, k.y, k.alpha)
		if c.Ratio == baseline.Ratio444 {
			cb, cr := c.cells(r.Min.X, y, r.Dx())
			seep(cb, through, k.cb, k.alpha)
			seep(cr, through, k.cr, k.alpha)
		}
	}
	if c.Ratio == baseline.Ratio420 {
		for y := r.Min.Y >> 1; y < (r.Max.Y+1)>>1; y++ {
			sums := c.sumMask(m, r, at, y)
			cb, cr := c.cells(r.Min.X>>1, y, len(sums))
			for i, sum := range sums {
				if sum == 0 {
					continue
				}
				a := uint32(sum)
				if k.alpha != 255 {
					a = (a*uint32(k.alpha) + 127) / 255
				}
				cb[i], cr[i] = blendFull(cb[i], k.cb, a), blendFull(cr[i], k.cr, a)
			}
		}
	}
	c.Pad(r)
}

// through is the row of a mask, moved by at, that lies on row y of r.
func through(m *image.Alpha, r image.Rectangle, at image.Point, y int) []uint8 {
	i := (y-at.Y-m.Rect.Min.Y)*m.Stride + r.Min.X - at.X - m.Rect.Min.X
	return m.Pix[i : i+r.Dx()]
}

// seep lays a colour over what a row of a mask lets through.
func seep(row, mask []uint8, v, alpha uint8) {
	mask = mask[:len(row)]
	if alpha != 255 {
		for i, a := range mask {
			if a != 0 {
				row[i] = blend(uint32(row[i]), uint32(v), (uint32(a)*uint32(alpha)+127)/255)
			}
		}
		return
	}
	many := uint64(v) * 0x0101010101010101
	for len(mask) >= 8 && len(row) >= 8 {
		// Most of a glyph's box lets nothing through or all.
		switch binary.LittleEndian.Uint64(mask) {
		case 0:
		case ^uint64(0):
			binary.LittleEndian.PutUint64(row, many)
		default:
			for i, a := range mask[:8] {
				row[i] = blend(uint32(row[i]), uint32(v), uint32(a))
			}
		}
		mask, row = mask[8:], row[8:]
	}
	for i, a := range mask {
		row[i] = blend(uint32(row[i]), uint32(v), uint32(a))
	}
}

// sumMask adds up what a mask lets through of each sample in row y of the halved chroma below r.
func (c *planesCanvas) sumMask(m *image.Alpha, r image.Rectangle, at image.Point, y int) []uint16 {
	sums := c.sums[:(r.Max.X+1)>>1-r.Min.X>>1]
	clear(sums)
	for _, line := range [2]int{2 * y, min(2*y+1, c.Height-1)} {
		if line < r.Min.Y || line >= r.Max.Y {
			continue
		}
		row, to := through(m, r, at, line), sums
		if r.Min.X&1 != 0 {
			to[0] += uint16(row[0])
			row, to = row[1:], to[1:]
		}
		for len(row) >= 8 && len(to) >= 4 {
			if v := binary.LittleEndian.Uint64(row); v != 0 {
				const pairs = 0x00ff00ff00ff00ff
				v = v&pairs + v>>8&pairs
				to[0] += uint16(v)
				to[1] += uint16(v >> 16)
				to[2] += uint16(v >> 32)
				to[3] += uint16(v >> 48)
			}
			row, to = row[8:], to[4:]
		}
		for ; len(row) >= 2; row, to = row[2:], to[1:] {
			to[0] += uint16(row[0]) + uint16(row[1])
		}
		if len(row) == 1 {
			to[0] += uint16(row[0])
			if r.Max.X == c.Width && c.Width&1 != 0 {
				to[0] += uint16(row[0])
			}
		}
	}
	return sums
}

func (c *planesCanvas) stamp(s *stamp, at image.Point, clip image.Rectangle) {
	r := s.rgba.Rect.Add(at).Intersect(clip).Intersect(c.clip)
	if r.Empty() {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		from := s.row(r, at, y)
		luma := c.luma(y, r.Min.X, r.Max.X)
		for i := range luma {
			p := from[4*i:][:4]
			luma[i] = over(p[0], luma[i], p[3])
		}
		if c.Ratio == baseline.Ratio444 {
			cb, cr := c.cells(r.Min.X, y, r.Dx())
			for i := range cb {
				p := from[4*i:][:4]
				cb[i] = overFull(4*(int32(p[1])-128), cb[i], 4*uint32(p[3]))
				cr[i] = overFull(4*(int32(p[2])-128), cr[i], 4*uint32(p[3]))
			}
		}
	}
	if c.Ratio == baseline.Ratio420 {
		for y := r.Min.Y >> 1; y < (r.Max.Y+1)>>1; y++ {
			c.stampCells(s, r, at, y)
		}
	}
	c.Pad(r)
}

// row is the part of a stamp, moved by at, that lies on row y of r.
func (s *stamp) row(r image.Rectangle, at image.Point, y int) []uint8 {
	from := s.rgba.Rect.Add(at)
	i := (y-from.Min.Y)*from.Dx() + r.Min.X - from.Min.X
	return s.planes[4*i : 4*(i+r.Dx())]
}

// over lays a sample that is multiplied by its alpha already over another.
func over(v, ground, alpha uint8) uint8 {
	t := uint32(ground)*uint32(255-alpha) + 128
	return uint8(min(uint32(v)+(t+t>>8)>>8, 255))
}

// overFull lays chroma, the sum of four samples around 0 that are multiplied by their alpha already, over another.
func overFull(v int32, ground uint8, alpha uint32) uint8 {
	t := 255*v + (int32(ground)-128)*int32(full-alpha)
	return clip((t + 128*full + full/2) / full)
}

// stampCells lays a stamp over row y of the halved chroma below r.
func (c *planesCanvas) stampCells(s *stamp, r image.Rectangle, at image.Point, y int) {
	left := r.Min.X >> 1
	n := (r.Max.X+1)>>1 - left
	sums, colours := c.sums[:n], c.colours[:2*n]
	clear(sums)
	clear(colours)
	for _, line := range [2]int{2 * y, min(2*y+1, c.Height-1)} {
		if line < r.Min.Y || line >= r.Max.Y {
			continue
		}
		from := s.row(r, at, line)
		for x := r.Min.X; x < r.Max.X; x++ {
			p := from[:4]
			from = from[4:]
			times := int16(1)
			if x == c.Width-1 && c.Width&1 != 0 {
				times = 2
			}
			i := x>>1 - left
			sums[i] += uint16(times) * uint16(p[3])
			colours[2*i] += times * (int16(p[1]) - 128)
			colours[2*i+1] += times * (int16(p[2]) - 128)
		}
	}
	cb, cr := c.cells(left, y, n)
	for i, sum := range sums {
		if sum == 0 {
			continue
		}
		cb[i] = overFull(int32(colours[2*i]), cb[i], uint32(sum))
		cr[i] = overFull(int32(colours[2*i+1]), cr[i], uint32(sum))
	}
}

// modules draws a row of pixels for each row of modules and copies it, where no sample of chroma is half one module.
func (c *planesCanvas) modules(code *modules, at image.Point, module int, dark, light *ink) {
	n := code.size()
	whole := square(at.X, at.Y, n*module)
	cell := 1
	if c.Ratio == baseline.Ratio420 {
		cell = 2
	}
	if at.X%cell != 0 || at.Y%cell != 0 || module%cell != 0 || !whole.In(c.clip) || dark.alpha&light.alpha != 255 {
		fillModules(c, code, at, module, dark)
		return
	}
	paint := func(plane []uint8, stride, x, y, side int, dark, light uint8) {
		if dark == light {
			return // the ground's already
		}
		for v := range n {
			at := (y+v*side)*stride + x
			first := plane[at : at+n*side]
			wash(first, light, 255)
			for h, width := range code.runs(v) {
				wash(first[h*side:(h+width)*side], dark, 255)
			}
			for range side - 1 {
				at += stride
				copy(plane[at:at+n*side], first)
			}
		}
	}
	paint(c.Y, c.YStride, at.X, at.Y, module, dark.y, light.y)
	paint(c.Cb, c.CStride, at.X/cell, at.Y/cell, module/cell, dark.cb, light.cb)
	paint(c.Cr, c.CStride, at.X/cell, at.Y/cell, module/cell, dark.cr, light.cr)
	c.Pad(whole)
}

func (c *planesCanvas) form(at image.Point) form {
	if c.Ratio == baseline.Ratio444 {
		return form{chroma: chromaFull}
	}
	return form{chroma: chromaHalf, odd: [2]uint8{uint8(at.X & 1), uint8(at.Y & 1)}}
}

func (c *planesCanvas) print(p *portrait, at image.Point, m *image.Alpha) {
	whole := m.Rect.Add(at)
	r := whole.Intersect(c.clip)
	if r.Empty() {
		return
	}
	for y := r.Min.Y; y < r.Max.Y; y++ {
		through, i := through(m, r, at, y), (y-whole.Min.Y)*p.side+r.Min.X-whole.Min.X
		show(c.luma(y, r.Min.X, r.Max.X), p.y[i:], through)
		if c.Ratio == baseline.Ratio444 {
			cb, cr := c.cells(r.Min.X, y, r.Dx())
			show(cb, p.cb[i:], through)
			show(cr, p.cr[i:], through)
		}
	}
	if c.Ratio == baseline.Ratio420 {
		for y := r.Min.Y >> 1; y < (r.Max.Y+1)>>1; y++ {
			sums := c.sumMask(m, r, at, y)
			cb, cr := c.cells(r.Min.X>>1, y, len(sums))
			i := (y-whole.Min.Y>>1)*p.across + r.Min.X>>1 - whole.Min.X>>1
			for j, sum := range sums {
				if sum == full {
					cb[j], cr[j] = p.cb[i+j], p.cr[i+j]
				} else if sum != 0 {
					cb[j] = blendFull(cb[j], p.cb[i+j], uint32(sum))
					cr[j] = blendFull(cr[j], p.cr[i+j], uint32(sum))
				}
			}
		}
	}
	c.Pad(r)
}

// show lays a row of a picture over what a row of a mask lets through.
func show(row, picture, mask []uint8) {
	mask, picture = mask[:len(row)], picture[:len(row)]
	for len(row) >= 8 && len(mask) >= 8 && len(picture) >= 8 {
		switch binary.LittleEndian.Uint64(mask) {
		case 0:
		case ^uint64(0):
			binary.LittleEndian.PutUint64(row, binary.LittleEndian.Uint64(picture))
		default:
			for i, a := range mask[:8] {
				row[i] = blend(uint32(row[i]), uint32(picture[i]), uint32(a))
			}
		}
		row, mask, picture = row[8:], mask[8:], picture[8:]
	}
	for i, a := range mask {
		row[i] = blend(uint32(row[i]), uint32(picture[i]), uint32(a))
	}
}
