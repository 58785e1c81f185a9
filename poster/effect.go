package poster

import (
	"image"
	"math"

	"golang.org/x/image/math/fixed"
)

// effect is what is done to a glyph's shape before it is drawn. The zero effect is the glyph itself.
type effect struct {
	spread uint8 // how much wider it gets on every side, in eighths of a pixel
	blur   uint8 // how far its edge fades, in pixels
}

// cast is an effect drawn below a text, in a colour and at a distance.
type cast struct {
	effect
	ink  *ink
	x, y int
}

// eighths is the unit of effect.spread.
const eighths = 8

// effects are what is drawn below the text, in that order.
func (t *Text) effects() []cast {
	if t.OutlineWidth <= 0 && t.ShadowColor == "" {
		return nil
	}
	var all []cast
	spread := uint8(math.Round(min(maxOutline, max(0, t.OutlineWidth)) * eighths))
	if t.ShadowColor != "" {
		all = append(all, cast{
			effect: effect{spread: spread, blur: uint8(min(maxBlur, max(0, t.ShadowBlur)))},
			ink:    newInk(colorOr(t.ShadowColor, black)), x: t.ShadowX, y: t.ShadowY,
		})
	}
	if spread > 0 {
		all = append(all, cast{effect: effect{spread: spread}, ink: newInk(colorOr(t.OutlineColor, white))})
	}
	return all
}

// reach is how far an effect draws beyond the glyph, in pixels.
func (e effect) reach() int {
	return (int(e.spread)+eighths-1)/eighths + 1 + 3*boxRadius(e.blur)
}

// scratch is memory for the effects of a line.
type scratch struct{ pix []uint8 }

// keepScratch bounds what is kept for the next line, in bytes.
const keepScratch = 1 << 20

// mask gives an empty mask of a size. It is good until the next one is asked for.
func (s *scratch) mask(r image.Rectangle) *image.Alpha {
	n := r.Dx() * r.Dy()
	pix := s.pix
	if cap(pix) < n {
		pix = make([]uint8, n)
		if n <= keepScratch {
			s.pix = pix
		}
	} else {
		pix = pix[:n]
		clear(pix)
	}
	return &image.Alpha{Pix: pix, Stride: r.Dx(), Rect: r}
}

// halo is the shape of a line with an effect, on a canvas where its baseline begins at x, y; nil when nothing of it
// lies within clip. Neighbours that overlap make one shape, so that a colour that lets the ground through is laid on
// once. It is good until the next one is asked for.
func (p *painter) halo(l line, x, y int, e effect, clip image.Rectangle) *image.Alpha {
	area := image.Rectangle{}
	for pass := range 2 {
		var to *image.Alpha
		if pass == 1 {
			if area = area.Intersect(clip); area.Empty() {
				return nil
			}
			to = p.types.scratch.mask(area)
		}
		for _, g := range l.glyphs {
			pic, at := p.shown(g, e, x, y)
			switch {
			case pic.mask == nil:
			case pass == 0:
				area = area.Union(pic.mask.Rect.Add(at))
			default:
				unite(to, pic.mask, at)
			}
		}
		if pass == 1 {
			return to
		}
	}
	return nil
}

// shown is a glyph's picture with an effect and the pixel where its origin stands.
func (p *painter) shown(g glyph, e effect, x, y int) (picture, image.Point) {
	gx := fixed.I(x) + g.x
	key := glyphKey{face: g.face, id: g.id, size: g.size, effect: e}
	if g.face == emoji || e.blur > 0 {
		gx += 32 // to the nearest pixel
	} else {
		gx += 8 // to the nearest quarter
		key.quarter = uint8(gx & 63 >> 4)
	}
	pic, ok := p.cache.get(key)
	if !ok {
		pic = p.types.picture(key)
		p.cache.put(key, pic)
	}
	return pic, image.Pt(gx.Floor(), y+g.y.Round())
}

// unite adds a shape to a mask as if both were printed one over the other.
func unite(to, mask *image.Alpha, at image.Point) {
	r := mask.Rect.Add(at).Intersect(to.Rect)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		in := mask.Pix[mask.PixOffset(r.Min.X-at.X, y-at.Y):][:r.Dx()]
		out := to.Pix[to.PixOffset(r.Min.X, y):][:r.Dx()]
		for i, v := range in {
			switch {
			case v == 0:
			case out[i] == 0:
				out[i] = v
			default:
				out[i] = 255 - uint8((255-uint32(out[i]))*(255-uint32(v))/255)
			}
		}
	}
}

// apply makes the shape of an effect.
func (e effect) apply(mask *image.Alpha) *image.Alpha {
	if mask == nil {
		return nil
	}
	if e.spread > 0 {
		mask = widen(mask, float32(e.spread)/eighths)
	}
	if e.blur > 0 {
		mask = fade(mask, boxRadius(e.blur))
	}
	return mask
}

// widen grows a shape by so many pixels on every side, round at the corners: each pixel is covered as far as its
// distance to the shape says. The distance is exact between the middles of pixels, and what an edge pixel is covered
// by says how far from its middle the edge is.
// Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012.
func widen(mask *image.Alpha, by float32) *image.Alpha {
	pad := int(math.Ceil(float64(by))) + 1
	out := image.NewAlpha(mask.Rect.Inset(-pad))
	w, h := out.Rect.Dx(), out.Rect.Dy()
	far := float32(w*w + h*h)
	field := make([]float32, w*h) // squared distances
	for i := range field {
		field[i] = far
	}
	for y := range mask.Rect.Dy() {
		row := mask.Pix[y*mask.Stride:][:mask.Rect.Dx()]
		for x, v := range row {
			if v > 0 {
				d := 0.5 - float32(v)/255
				field[(y+pad)*w+x+pad] = d * max(d, 0)
			}
		}
	}
	side := max(w, h)
	t := transform{values: make([]float32, side), hulls: make([]int, side), bounds: make([]float32, side+1)}
	for x := range w {
		t.run(field[x:], w, h)
	}
	for y := range h {
		t.run(field[y*w:], 1, w)
	}
	for i, square := range field {
		cover := by + 0.5 - float32(math.Sqrt(float64(square)))
		out.Pix[i] = uint8(min(1, max(0, cover))*255 + 0.5)
	}
	return out
}

// transform is scratch memory of the distance transform of a row or column.
type transform struct {
	values []float32
	hulls  []int
	bounds []float32
}

// run replaces n values, stride apart, by the lower envelope of the parabolas that stand on them.
func (t *transform) run(field []float32, stride, n int) {
	for i := range n {
		t.values[i] = field[i*stride]
	}
	inf := float32(math.Inf(1))
	last := 0
	t.hulls[0], t.bounds[0], t.bounds[1] = 0, -inf, inf
	for q := 1; q < n; q++ {
		var cross float32
		for {
			v := t.hulls[last]
			cross = ((t.values[q] + float32(q*q)) - (t.values[v] + float32(v*v))) / float32(2*(q-v))
			if cross > t.bounds[last] { // so it is for the first, whose bound is infinite
				break
			}
			last--
		}
		last++
		t.hulls[last], t.bounds[last], t.bounds[last+1] = q, cross, inf
	}
	at := 0
	for q := range n {
		for t.bounds[at+1] < float32(q) {
			at++
		}
		d := q - t.hulls[at]
		field[q*stride] = t.values[t.hulls[at]] + float32(d*d)
	}
}

// boxRadius is that of the averages, three of which one after the other fade a shape as far as asked.
func boxRadius(blur uint8) int { return (int(blur) + 2) / 3 }

// fade blurs a shape: three running averages are nearly a bell curve.
func fade(mask *image.Alpha, radius int) *image.Alpha {
	out := image.NewAlpha(mask.Rect.Inset(-3 * radius))
	w, h := out.Rect.Dx(), out.Rect.Dy()
	for y := range mask.Rect.Dy() {
		copy(out.Pix[(y+3*radius)*w+3*radius:], mask.Pix[y*mask.Stride:][:mask.Rect.Dx()])
	}
	line := make([]uint8, max(w, h))
	for range 3 {
		for y := range h {
			average(out.Pix[y*w:], line, 1, w, radius)
		}
		for x := range w {
			average(out.Pix[x:], line, w, h, radius)
		}
	}
	return out
}

// average replaces n values, stride apart, by the averages over radius neighbours on both sides.
func average(pix, line []uint8, stride, n, radius int) {
	for i := range n {
		line[i] = pix[i*stride]
	}
	size := uint32(2*radius + 1)
	var sum uint32
	for i := range min(radius, n) {
		sum += uint32(line[i])
	}
	for i := range n {
		if i+radius < n {
			sum += uint32(line[i+radius])
		}
		if i-radius-1 >= 0 {
			sum -= uint32(line[i-radius-1])
		}
		pix[i*stride] = uint8((sum + size/2) / size)
	}
}
