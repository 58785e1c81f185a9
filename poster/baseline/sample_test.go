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
