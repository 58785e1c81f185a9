package poster

import (
	"image"
	"math"

	"golang.org/x/image/math/fixed"
)

// effect is what is done to a glyph's shape before it is drawn. The zero effect is the glyph itself.
type effect struct {
	spread uint16 // how much wider it gets on every side, in eighths of a pixel
	blur   uint8  // how far its edge fades, in pixels
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
	spread := uint16(math.Round(min(maxOutline, max(0, t.OutlineWidth)) * eighths))
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
// distance to the shape says. That is the distance to the middle of the nearest pixel that the shape touches, and from
// there to its edge as far as that pixel is covered.
// Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012.
func widen(mask *image.Alpha, by float32) *image.Alpha {
	pad := int(math.Ceil(float64(by))) + 1
	out := image.NewAlpha(mask.Rect.Inset(-pad))
	w, h := out.Rect.Dx(), out.Rect.Dy()
	inside := func(x, y int) uint8 {
		if x -= pad; x < 0 || x >= mask.Rect.Dx() {
			return 0
		}
		if y -= pad; y < 0 || y >= mask.Rect.Dy() {
			return 0
		}
		return mask.Pix[y*mask.Stride+x]
	}
	// The nearest row of the shape in each column, from above and from below.
	nearest := make([]int32, w*h)
	const none = 1 << 14
	for x := range w {
		last := int32(-none)
		for y := range h {
			if inside(x, y) > 0 {
				last = int32(y)
			}
			nearest[y*w+x] = last
		}
		last = none
		for y := h - 1; y >= 0; y-- {
			if inside(x, y) > 0 {
				last = int32(y)
			}
			if last-int32(y) < int32(y)-nearest[y*w+x] {
				nearest[y*w+x] = last
			}
		}
	}
	e := envelope{values: make([]float32, w), hulls: make([]int, w), bounds: make([]float32, w+1)}
	for y := range h {
		for x := range w {
			d := float32(nearest[y*w+x] - int32(y))
			e.values[x] = d * d
		}
		e.build()
		for x, at := 0, 0; x < w; x++ {
			for e.bounds[at+1] < float32(x) {
				at++
			}
			from := e.hulls[at]
			dx := float32(x - from)
			distance := float32(math.Sqrt(float64(e.values[from]+dx*dx))) + 0.5 - float32(inside(from, int(nearest[y*w+from])))/255
			out.Pix[y*w+x] = uint8(min(1, max(0, by+0.5-distance))*255 + 0.5)
		}
	}
	return out
}

// envelope finds the lowest of the parabolas that stand on the values of a row: hulls are those that are lowest
// somewhere, each from one of the bounds to the next.
type envelope struct {
	values []float32
	hulls  []int
	bounds []float32
}

func (e *envelope) build() {
	inf := float32(math.Inf(1))
	last := 0
	e.hulls[0], e.bounds[0], e.bounds[1] = 0, -inf, inf
	for q := 1; q < len(e.values); q++ {
		var cross float32
		for {
			v := e.hulls[last]
			cross = ((e.values[q] + float32(q*q)) - (e.values[v] + float32(v*v))) / float32(2*(q-v))
			if cross > e.bounds[last] { // so it is for the first, whose bound is infinite
				break
			}
			last--
		}
		last++
		e.hulls[last], e.bounds[last], e.bounds[last+1] = q, cross, inf
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
