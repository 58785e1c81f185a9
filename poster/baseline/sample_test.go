package baseline

import (
	"image"
	"math"
	"math/rand/v2"
)

// photo is a made-up picture with soft and busy parts.
func photo(r *rand.Rand, w, h int, ratio Ratio) *Planes {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	a, b, c := r.Float64()*.03, r.Float64()*.05, r.Float64()*.02
	for y := range h {
		for x := range w {
			fx, fy := float64(x), float64(y)
			n := r.Float64() * 12 * (1 + math.Sin(fx*a/3+fy*b/4))
			i := m.PixOffset(x, y)
			m.Pix[i] = uint8(118 + 80*math.Sin(fx*a+fy*c) + n)
			m.Pix[i+1] = uint8(118 + 60*math.Cos(fx*c-fy*b) + 40*math.Sin(fx*.2) + n)
			m.Pix[i+2] = uint8(118 + 90*math.Sin(fy*a+2) + n)
			m.Pix[i+3] = 255
		}
	}
	return FromRGBA(m, ratio)
}

// noise is the worst that a picture can be.
func noise(r *rand.Rand, w, h int, ratio Ratio) *Planes {
	p := NewPlanes(w, h, ratio)
	for _, plane := range [][]byte{p.Y, p.Cb, p.Cr} {
		for i := range plane {
			plane[i] = uint8(r.Uint32())
			if r.IntN(3) == 0 {
				plane[i] = uint8(255 * r.IntN(2))
			}
		}
	}
	p.Pad(image.Rect(0, 0, w, h))
	return p
}

// checks is black and white squares, some on the grid of blocks.
func checks(r *rand.Rand, w, h int, ratio Ratio) *Planes {
	p := NewPlanes(w, h, ratio)
	side := 4 + r.IntN(9)
	flip := r.Uint64()
	for y := range h {
		for x := range w {
			p.Y[y*p.YStride+x] = uint8(255 * (flip >> ((x/side*7 + y/side*13) & 63) & 1))
		}
	}
	p.Pad(image.Rect(0, 0, w, h))
	return p
}

// plain is one colour.
func plain(r *rand.Rand, w, h int, ratio Ratio) *Planes {
	p := NewPlanes(w, h, ratio)
	for _, plane := range [][]byte{p.Y, p.Cb, p.Cr} {
		v := uint8(r.Uint32())
		for i := range plane {
			plane[i] = v
		}
	}
	return p
}

// integers is a picture that is the same on every platform: no sines.
func integers(w, h int) *Planes {
	p := NewPlanes(w, h, Ratio420)
	state := uint32(1)
	for i := range p.Y {
		x, y := i%p.YStride, i/p.YStride
		state = state*1664525 + 1013904223
		p.Y[i] = uint8(x*y/50 + int(state>>28)*(y&32)/16)
	}
	for i := range p.Cb {
		x, y := i%p.CStride, i/p.CStride
		p.Cb[i], p.Cr[i] = uint8(100+x/2), uint8(90+y-x/3)
	}
	p.Pad(image.Rect(0, 0, w, h))
	return p
}

// recode gives a picture's luma in planes of a ratio.
func recode(from *Planes, ratio Ratio) *Planes {
	p := NewPlanes(from.Width, from.Height, ratio)
	for y := range p.Height {
		copy(p.Y[y*p.YStride:][:p.Width], from.Y[y*from.YStride:])
	}
	p.Pad(image.Rect(0, 0, p.Width, p.Height))
	return p
}

// psnr compares what is shown, over all three planes.
func psnr(p *Planes, m *image.YCbCr) float64 {
	var sum, n float64
	for y := range p.Height {
		for x := range p.Width {
			d := float64(p.Y[y*p.YStride+x]) - float64(m.Y[m.YOffset(x, y)])
			sum += d * d
			n++
		}
	}
	c := p.chroma(image.Rect(0, 0, p.Width, p.Height))
	for y := range c.Max.Y {
		for x := range c.Max.X {
			for i, plane := range [][]byte{p.Cb, p.Cr} {
				d := float64(plane[y*p.CStride+x]) - float64([][]byte{m.Cb, m.Cr}[i][y*m.CStride+x])
				sum += d * d
				n++
			}
		}
	}
	return 10 * math.Log10(255*255*n/sum)
}

// colours is a picture of random pixels.
func colours(r *rand.Rand, w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range m.Pix {
		m.Pix[i] = uint8(r.Uint32()) | uint8(i&3/3*255)
	}
	return m
}
