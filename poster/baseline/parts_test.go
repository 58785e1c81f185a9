package baseline

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func TestTransform(t *testing.T) {
	t.Parallel()

	// cosines[u][x] by the formula of T.81, A.3.3.
	var cosines [8][8]float64
	for u := range 8 {
		for x := range 8 {
			cosines[u][x] = math.Cos(float64(2*x+1)*float64(u)*math.Pi/16) / 2
			if u == 0 {
				cosines[u][x] = math.Sqrt(1.0 / 8)
			}
		}
	}
	exact := func(rows *[8]uint64, u, v int) (c float64) {
		for y := range 8 {
			for x := range 8 {
				c += (float64(rows[y]>>(8*x)&0xff) - 128) * cosines[u][x] * cosines[v][y]
			}
		}
		return c
	}

	t.Run("CoefficientsAreTheNearestToTheFormula", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			q := newQuantiser([]*[64]byte{&lumaSteps, &chromaSteps}[rapid.IntRange(0, 1).Draw(t, "table")], rapid.IntRange(60, 100).Draw(t, "quality"))
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
			contrast := rapid.SampledFrom([]int{1, 3, 20, 256}).Draw(t, "contrast")
			ground := rapid.IntRange(0, 256-contrast).Draw(t, "ground")
			extremes := rapid.Bool().Draw(t, "extremes")
			var rows [8]uint64
			for y := range rows {
				for x := range 8 {
					v := r.IntN(contrast)
					if extremes {
						v = (contrast - 1) * r.IntN(2)
					}
					rows[y] |= uint64(ground+v) << (8 * x)
				}
			}
			var out [64]int32
			mask := q.transform(&rows, &out)
			for k, at := range zigzag {
				want := exact(&rows, int(at&7), int(at>>3)) / float64(q.steps[at])
				got := 0.0
				if k == 0 || mask>>k&1 != 0 {
					got = float64(out[at])
				}
				if k > 0 && mask>>k&1 != 0 && got == 0 || mask&1 != 0 {
					t.Fatalf("coefficient %d is marked as not zero", k)
				}
				// Of the half step above, what is beyond 0.5 is the integers' own inexactness.
				if math.Abs(got-want) > 0.5+0.06/float64(q.steps[at])+0.0002*math.Abs(want) {
					t.Fatalf("coefficient %d is %v, by the formula %v steps of %d", k, got, want, q.steps[at])
				}
			}
		})
	})

	t.Run("TheLargestCoefficientsFit", func(t *testing.T) {
		t.Parallel()
		q := newQuantiser(&lumaSteps, 100)
		for u := range 8 {
			for v := range 8 {
				for _, sign := range []float64{1, -1} {
					var rows [8]uint64
					for y := range rows {
						for x := range 8 {
							if sign*cosines[u][x]*cosines[v][y] > 0 {
								rows[y] |= 0xff << (8 * x)
							}
						}
					}
					var out [64]int32
					q.transform(&rows, &out)
					if want := exact(&rows, u, v); math.Abs(float64(out[8*v+u])-want) > 0.8 {
						t.Errorf("coefficient %d, %d is %d, by the formula %.2f", u, v, out[8*v+u], want)
					}
				}
			}
		}
	})

	t.Run("FlatBlocksHaveNothingButDC", func(t *testing.T) {
		t.Parallel()
		for quality := LowestQuality; quality <= HighestQuality; quality++ {
			q := newQuantiser(&chromaSteps, quality)
			for v := range 256 {
				var rows [8]uint64
				for y := range rows {
					rows[y] = uint64(v) * ones
				}
				var out [64]int32
				if mask := q.transform(&rows, &out); mask != 0 || out[0] != q.flat[v] {
					t.Fatalf("quality %d: samples of %d give DC %d, AC %x", quality, v, out[0], mask)
				}
				want := math.Round(8 * float64(v-128) / float64(q.steps[0]))
				if math.Abs(float64(out[0])-want) > 1 || want != float64(out[0]) && 8*(v-128)*2%int(q.steps[0]) != 0 {
					t.Fatalf("quality %d: samples of %d give DC %d, not %v", quality, v, out[0], want)
				}
				if !flat(&rows) {
					t.Fatalf("samples of %d are not seen as flat", v)
				}
				rows[v&7] ^= 1 << (v & 63)
				if flat(&rows) {
					t.Fatalf("samples of %d but one are seen as flat", v)
				}
			}
		}
	})
}

// TestQuantiser holds reciprocals to division: over the whole range they round as it does, but within 2^-16 of a
// step around halves, and the short way out of two rows of zeros is taken for zeros alone.
func TestQuantiser(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := newQuantiser([]*[64]byte{&lumaSteps, &chromaSteps}[rapid.IntRange(0, 1).Draw(t, "table")], rapid.IntRange(60, 100).Draw(t, "quality"))
		at := rapid.IntRange(0, 63).Draw(t, "at")
		u, v := at&7, at>>3
		step := 8 * aan[u] * aan[v] * float64(int64(1)<<fraction(u)) * float64(q.steps[at])
		most := 1024 * step / float64(q.steps[at])
		x := rapid.Int64Range(-int64(most), int64(most)).Draw(t, "x")
		if rapid.Bool().Draw(t, "near a half") {
			x = int64(step*(math.Round(float64(x)/step)+0.5)) + rapid.Int64Range(-2, 2).Draw(t, "off")
		}
		var got int32
		bit := q.by[at].one(x+offset(u, v), &got)
		want := float64(x) / step
		if math.Abs(float64(got)-want) > 0.5+1.0/(1<<16) {
			t.Fatalf("%v becomes %d", want, got)
		}
		if at > 0 && (bit != 0) != (got != 0) {
			t.Fatalf("%d is marked %x", got, bit)
		}

		zeros, half := &q.zeros[v/2], 32*(v&1)
		from := int64(int32((zeros.from[u] + 1<<31*uint64(v&1)) >> half))
		to := int64(int32((zeros.to[u] + 1<<31*uint64(v&1)) >> half))
		for _, end := range []int64{from, to} {
			if q.by[at].one(end, &got); got != 0 {
				t.Fatalf("%d is taken for zero and is %d", end, got)
			}
		}
	})
}

func TestTables(t *testing.T) {
	t.Parallel()

	check := func(t failing, s *spec, symbols int) {
		t.Helper()
		if len(s.values) != symbols {
			t.Fatal("codes for ", len(s.values), " symbols")
		}
		space := 0 // of codes of 16 bits
		for n, count := range s.counts {
			space += int(count) << (15 - n)
		}
		if space >= 1<<16 {
			t.Fatal("the code of ones alone is taken")
		}
		code, length := s.codes()
		for _, v := range s.values {
			if length[v] < 1 || length[v] > 16 || code[v] >= 1<<length[v]-1 {
				t.Fatal("symbol ", v, " has code ", code[v], " of ", length[v], " bits")
			}
		}
	}

	t.Run("EverySymbolHasACode", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			c := newCensus()
			steep := rapid.Float64Range(1, 1.9).Draw(t, "steep")
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 2))
			for i := range c.ac[0] {
				if c.ac[0][i] > 0 {
					c.ac[0][i] += int64(math.Pow(steep, float64(r.IntN(56))))
				}
			}
			made := c.fit()
			for i := range 2 {
				check(t, &made.dc[i], 12)
				check(t, &made.ac[i], 162)
			}
		})
	})

	t.Run("TheStandardsOwn", func(t *testing.T) {
		t.Parallel()
		s := standard()
		for i := range 2 {
			check(t, &s.dc[i], 12)
			check(t, &s.ac[i], 162)
		}
	})

	t.Run("FittedOnesAreShorter", func(t *testing.T) {
		t.Parallel()
		p := photo(rand.New(rand.NewPCG(1, 2)), 400, 300, Ratio420)
		plain, err := NewEncoder(85)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := len(must(NewPlate(p, 85)).Encoder().Encode(nil, p)), len(plain.Encode(nil, p)); a >= b {
			t.Errorf("%d bytes with fitted tables, %d with the standard's", a, b)
		}
	})
}

func TestPlanes(t *testing.T) {
	t.Parallel()

	t.Run("ColoursAreTheStandardLibrarys", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			c := color.RGBA{rapid.Byte().Draw(t, "r"), rapid.Byte().Draw(t, "g"), rapid.Byte().Draw(t, "b"), 255}
			m := image.NewRGBA(image.Rect(0, 0, 3, 3))
			for i := range 9 {
				m.SetRGBA(i%3, i/3, c)
			}
			y, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
			for _, ratio := range []Ratio{Ratio420, Ratio444} {
				p := FromRGBA(m, ratio)
				for _, plane := range []struct {
					samples []byte
					want    byte
				}{{p.Y, y}, {p.Cb, cb}, {p.Cr, cr}} {
					for _, got := range plane.samples {
						if got != plane.want {
							t.Fatalf("%v: %d, not %d", c, got, plane.want)
						}
					}
				}
			}
		})
	})

	t.Run("ChromaIsTheMeanOfItsPixels", func(t *testing.T) {
		t.Parallel()
		r := rand.New(rand.NewPCG(3, 3))
		m := colours(r, 17, 9)
		p := FromRGBA(m, Ratio420)
		for y := range 5 {
			for x := range 9 {
				sum, n := 0, 0
				for i := range 4 {
					if xx, yy := 2*x+i&1, 2*y+i>>1; xx < 17 && yy < 9 {
						c := m.RGBAAt(xx, yy)
						_, cb, _ := color.RGBToYCbCr(c.R, c.G, c.B)
						sum += int(cb)
						n++
					}
				}
				if got, want := float64(p.Cb[y*p.CStride+x]), float64(sum)/float64(n); math.Abs(got-want) > 1 {
					t.Errorf("%d, %d: %v, not %v", x, y, got, want)
				}
			}
		}
	})

	t.Run("ARectangleConvertedIsThatPartOfTheWhole", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			ratio := Ratio(rapid.IntRange(0, 1).Draw(t, "ratio"))
			w, h := rapid.IntRange(1, 50).Draw(t, "width"), rapid.IntRange(1, 50).Draw(t, "height")
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
			m := colours(r, w, h)
			p := FromRGBA(m, ratio)
			x, y := rapid.IntRange(-3, w).Draw(t, "x"), rapid.IntRange(-3, h).Draw(t, "y")
			box := image.Rect(x, y, x+rapid.IntRange(0, 30).Draw(t, "dx"), y+rapid.IntRange(0, 30).Draw(t, "dy"))
			for y := box.Min.Y; y < box.Max.Y; y++ {
				for x := box.Min.X; x < box.Max.X; x++ {
					m.Set(x, y, color.RGBA{uint8(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32()), 255})
				}
			}
			before := p.Clone()
			p.Convert(m, box)
			whole := FromRGBA(m, ratio)
			same(t, p, whole)
			before.CopyRect(whole, box)
			same(t, before, whole)
		})
	})

	t.Run("UnitsAreThoseARectangleTouches", func(t *testing.T) {
		t.Parallel()
		p := NewPlanes(100, 50, Ratio420)
		u := p.NewUnits()
		u.Mark(image.Rect(-5, 15, 17, 17))
		u.Mark(image.Rect(99, 49, 300, 300))
		u.Mark(image.Rect(40, 40, 40, 50))
		for unit := range u.Len() {
			if want := unit == 0 || unit == 1 || unit == 7 || unit == 8 || unit == 27; u.Has(unit) != want {
				t.Errorf("unit %d: %v", unit, u.Has(unit))
			}
		}
		if u.Clear(); u.Count() != 0 {
			t.Error("a cleared set is not empty")
		}
	})
}

func same(t failing, a, b *Planes) {
	t.Helper()
	for i, pair := range [][2][]byte{{a.Y, b.Y}, {a.Cb, b.Cb}, {a.Cr, b.Cr}} {
		for j := range pair[0] {
			if pair[0][j] != pair[1][j] {
				t.Fatal("plane ", i, " sample ", j, " differs")
			}
		}
	}
}

func TestFormsAreKept(t *testing.T) {
	t.Parallel()
	plate := must(NewPlate(NewPlanes(48, 48, Ratio420), 85))
	planes, changed := plate.Static().Clone(), plate.Static().NewUnits()
	for i := range planes.Y {
		planes.Y[i] = uint8(255 * ((i%48/6 + i/48/6) & 1))
	}
	changed.Mark(image.Rect(0, 0, 48, 48))
	plate.Append(nil, planes, changed)
	kept := 0
	for i := range plate.forms.slots {
		if plate.forms.slots[i].Load() != nil {
			kept++
		}
	}
	if kept < 8 || kept > 16 { // four ways to lie across, four down, in two colourings that are each other's
		t.Errorf("%d of 16 blocks are remembered", kept)
	}
}

func TestForms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tones := [3]uint8{rapid.Byte().Draw(t, "first"), rapid.Byte().Draw(t, "other"), rapid.Byte().Draw(t, "third")}
		pattern := rapid.Uint64().Draw(t, "pattern") &^ 1
		odd := rapid.IntRange(1, 100).Draw(t, "odd one")
		var rows [8]uint64
		seen := map[uint8]bool{}
		for i := range 64 {
			v := tones[pattern>>i&1]
			if i == odd {
				v = tones[2]
			}
			seen[v] = true
			rows[i/8] |= uint64(v) << (i % 8 * 8)
		}
		var k formKey
		if got := k.key(&rows, 1); got != (len(seen) <= 2) {
			t.Fatalf("%d tones: %v", len(seen), got)
		} else if !got {
			return
		}
		for i := range 64 { // the key says all there is
			v := k.first
			if k.dark>>i&1 != 0 {
				v ^= k.other
			}
			if v != uint8(rows[i/8]>>(i%8*8)) {
				t.Fatalf("sample %d is taken for %d", i, v)
			}
		}
	})
}
