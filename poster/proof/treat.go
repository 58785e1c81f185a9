package proof

import (
	"bytes"
	"image"
	"image/draw"
	"image/jpeg"
	"math"
)

// Treatment is something that happens to pictures between a poster and the phone that reads it.
type Treatment struct {
	Name     string // short, such as "50%+q50"
	Meaning  string // such as "shrunk to a half and compressed at quality 50"
	Ordinary bool   // it happens every day: a poster that does not stand it is refused
	apply    func(m *image.Gray) *image.Gray
}

// treatments are the columns of a proof. What shrinks or blurs does so on a poster as phones show it, 1080 pixels wide.
var treatments = []Treatment{
	{"printed", "as printed", true, then()},
	{"q75", "compressed at quality 75", true, then(jpegs(75))},
	{"q50", "compressed at quality 50", true, then(jpegs(50))},
	{"q35", "compressed at quality 35", true, then(jpegs(35))},
	{"50%", "shrunk to a half", true, then(shrunk(2))},
	{"33%", "shrunk to a third", true, then(shrunk(3))},
	{"blur", "a little out of focus", true, then(blurred)},
	{"turn", "turned by 5 degrees", true, then(turned(5))},
	{"dark", "on a dark screen", true, then(darkened)},
	{"grid", "with a grid of dark lines, one pixel each", true, then(gridded)},
	{"50%+q50", "shrunk to a half and compressed at quality 50", true, then(shrunk(2), jpegs(50))},
	{"turn+blur+q75", "photographed", true, then(turned(5), blurred, jpegs(75))},
	{"33%+q35", "shrunk to a third and compressed at quality 35", false, then(shrunk(3), jpegs(35))},
	{"33%+q35+turn", "shrunk to a third, compressed at quality 35 and turned", false, then(shrunk(3), jpegs(35), turned(5))},
}

// then does one thing after the other.
func then(steps ...func(*image.Gray) *image.Gray) func(*image.Gray) *image.Gray {
	return func(m *image.Gray) *image.Gray {
		for _, step := range steps {
			m = step(m)
		}
		return m
	}
}

// jpegs compresses as chat programs do. Readers look at brightness alone, and so does this.
func jpegs(quality int) func(*image.Gray) *image.Gray {
	return func(m *image.Gray) *image.Gray {
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
			return m // only a picture of 65,536 pixels a side fails, and there is none
		}
		img, err := jpeg.Decode(&b)
		if err != nil {
			return m
		}
		to := image.NewGray(image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()))
		draw.Draw(to, to.Rect, img, image.Point{}, draw.Src)
		return to
	}
}

func shrunk(by int) func(*image.Gray) *image.Gray {
	return func(m *image.Gray) *image.Gray {
		return resized(m, max(1, m.Rect.Dx()/by), max(1, m.Rect.Dy()/by))
	}
}

// blurred is out of focus by about a pixel: the weights of a normal distribution, down and across. At
// the edges, where there is no code, it takes the neighbouring row for what lies beyond.
func blurred(m *image.Gray) *image.Gray {
	once := func(m *image.Gray, step int) *image.Gray {
		to := image.NewGray(m.Rect)
		copy(to.Pix, m.Pix) // the outermost pixels stay
		for i := 2 * step; i < len(m.Pix)-2*step; i++ {
			p := m.Pix
			sum := int(p[i-2*step]) + 4*int(p[i-step]) + 6*int(p[i]) + 4*int(p[i+step]) + int(p[i+2*step])
			to.Pix[i] = uint8((sum + 8) / 16)
		}
		return to
	}
	return once(once(m, 1), m.Stride)
}

// turned is held askew; corners that come from outside repeat the edge.
func turned(degrees float64) func(*image.Gray) *image.Gray {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	return func(m *image.Gray) *image.Gray {
		w, h := m.Rect.Dx(), m.Rect.Dy()
		to := image.NewGray(image.Rect(0, 0, w, h))
		cx, cy := float64(w-1)/2, float64(h-1)/2
		for y := range h {
			for x := range w {
				dx, dy := float64(x)-cx, float64(y)-cy
				to.Pix[y*to.Stride+x] = between(m, cx+dx*cos-dy*sin, cy+dx*sin+dy*cos)
			}
		}
		return to
	}
}

// between is the brightness at a place between four pixels.
func between(m *image.Gray, x, y float64) uint8 {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	x, y = min(max(x, 0), float64(w-1)), min(max(y, 0), float64(h-1))
	x0, y0 := int(x), int(y)
	x1, y1 := min(x0+1, w-1), min(y0+1, h-1)
	fx, fy := x-float64(x0), y-float64(y0)
	at := func(x, y int) float64 { return float64(m.Pix[y*m.Stride+x]) }
	top := at(x0, y0)*(1-fx) + at(x1, y0)*fx
	bottom := at(x0, y1)*(1-fx) + at(x1, y1)*fx
	return uint8(top*(1-fy) + bottom*fy + 0.5)
}

// darkened is a screen turned down, in a light that leaves black grey.
func darkened(m *image.Gray) *image.Gray {
	return each(m, func(_, _ int, v uint8) uint8 { return 16 + uint8(int(v)*35/100) })
}

// gridded is a screen that was photographed: every other line of pixels is darker, both ways.
func gridded(m *image.Gray) *image.Gray {
	return each(m, func(x, y int, v uint8) uint8 {
		if x%2 == 1 || y%2 == 1 {
			return uint8(int(v) * 60 / 100)
		}
		return v
	})
}

func each(m *image.Gray, f func(x, y int, v uint8) uint8) *image.Gray {
	to := image.NewGray(image.Rect(0, 0, m.Rect.Dx(), m.Rect.Dy()))
	for y := range to.Rect.Dy() {
		for x := range to.Rect.Dx() {
			to.Pix[y*to.Stride+x] = f(x, y, m.Pix[y*m.Stride+x])
		}
	}
	return to
}

// rotated is turned by a quarter.
func rotated(m *image.Gray) *image.Gray {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	to := image.NewGray(image.Rect(0, 0, h, w))
	for y := range h {
		for x := range w {
			to.Pix[(w-1-x)*to.Stride+y] = m.Pix[y*m.Stride+x]
		}
	}
	return to
}

// resized averages what falls into a pixel when it makes a picture smaller, and what lies around one when larger.
func resized(m *image.Gray, w, h int) *image.Gray {
	to := image.NewGray(image.Rect(0, 0, w, h))
	if w >= m.Rect.Dx() {
		sx, sy := float64(m.Rect.Dx())/float64(w), float64(m.Rect.Dy())/float64(h)
		for y := range h {
			for x := range w {
				to.Pix[y*to.Stride+x] = between(m, (float64(x)+.5)*sx-.5, (float64(y)+.5)*sy-.5)
			}
		}
		return to
	}
	columns, rows := shares(m.Rect.Dx(), w), shares(m.Rect.Dy(), h)
	line := make([]float32, m.Rect.Dx())
	for y, down := range rows {
		clear(line)
		for i, weight := range down.weights {
			for x, v := range m.Pix[(down.first+i)*m.Stride:][:len(line)] {
				line[x] += weight * float32(v)
			}
		}
		for x, across := range columns {
			var sum float32
			for i, weight := range across.weights {
				sum += weight * line[across.first+i]
			}
			to.Pix[y*to.Stride+x] = uint8(sum + 0.5)
		}
	}
	return to
}

// share is which pixels fall into a larger one, and with how much of its area.
type share struct {
	first   int
	weights []float32
}

func shares(from, to int) []share {
	all := make([]share, to)
	scale := float64(from) / float64(to)
	for i := range all {
		low, high := float64(i)*scale, float64(i+1)*scale
		s := share{first: int(low)}
		for p := s.first; p < from && float64(p) < high-1e-9; p++ {
			part := min(high, float64(p+1)) - max(low, float64(p))
			s.weights = append(s.weights, float32(part/scale))
		}
		all[i] = s
	}
	return all
}
