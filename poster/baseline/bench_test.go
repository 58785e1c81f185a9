package baseline

import (
	"bytes"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// Where a person's parts are on the benchmark's poster.
var (
	avatar = image.Rect(96, 1600, 96+128, 1600+128)
	lines  = []image.Rectangle{image.Rect(256, 1600, 256+480, 1632), image.Rect(256, 1664, 256+480, 1696)}
	beside = image.Rect(0, 0, 222, 222)
	code   = image.Rect(720, 1568, 720+304, 1568+304)
)

// poster gives a static picture of 1080x1920, one with an avatar of 64 units, two lines of text on 120 and a QR code
// of 361, and which units those are.
func poster(ratio Ratio) (static, person *Planes, changed *Units) {
	r := rand.New(rand.NewPCG(3, 4))
	static = photo(r, 1080, 1920, ratio)
	person, changed = static.Clone(), static.NewUnits()
	other := photo(r, 1080, 1920, ratio)
	person.CopyRect(other, avatar)
	changed.Mark(avatar)
	for _, line := range lines {
		for x := line.Min.X; x < line.Max.X; x += 40 {
			for range 9 { // strokes
				dx, dy := r.IntN(34), r.IntN(28)
				w, h := 3, 3+r.IntN(14)
				if r.IntN(2) == 0 {
					w, h = h, w
				}
				for yy := line.Min.Y + dy; yy < min(line.Min.Y+dy+h, line.Max.Y); yy++ {
					for xx := x + dx; xx < min(x+dx+w, line.Max.X); xx++ {
						person.Y[yy*person.YStride+xx] = uint8(235 - r.IntN(30))
					}
				}
			}
		}
		changed.Mark(line)
	}
	for y := code.Min.Y; y < code.Max.Y; y += 8 {
		for x := code.Min.X; x < code.Max.X; x += 8 {
			v := uint8(255 * r.IntN(2))
			for i := range 64 {
				person.Y[(y+i/8)*person.YStride+x+i%8] = v
			}
		}
	}
	c := person.chroma(code)
	for y := c.Min.Y; y < c.Max.Y; y++ {
		for x := c.Min.X; x < c.Max.X; x++ {
			person.Cb[y*person.CStride+x], person.Cr[y*person.CStride+x] = 128, 128
		}
	}
	changed.Mark(code)
	return static, person, changed
}

// BenchmarkFile is what a whole file takes: spliced, static alone, and without splicing. The busy units alone are
// BenchmarkUnits.
func BenchmarkFile(b *testing.B) {
	static, person, changed := poster(Ratio420)
	plate, err := NewPlate(static, 85, person)
	if err != nil {
		b.Fatal(err)
	}
	none := static.NewUnits()
	dst := make([]byte, 0, 2*len(plate.Append(nil, person, changed)))
	shifted := *plate
	var file bytes.Buffer
	shifted.copies = [8]delayed{}
	for _, c := range []struct {
		name string
		make func()
	}{
		{"Spliced", func() { plate.Append(dst, person, changed) }},
		{"SplicedWithoutCopies", func() { shifted.Append(dst, person, changed) }},
		{"StaticAlone", func() { plate.Append(dst, static, none) }},
		{"Unspliced", func() { plate.Encoder().Encode(dst, person) }},
		{"StandardLibrary", func() {
			file.Reset()
			m := &image.YCbCr{
				Y: person.Y, Cb: person.Cb, Cr: person.Cr, YStride: person.YStride, CStride: person.CStride,
				SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, person.Width, person.Height),
			}
			if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 85}); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			measure(b, 1, c.make)
		})
	}
	b.Logf("a file of %d bytes with %d changed units; the plate takes %d", len(plate.Append(dst, person, changed)), changed.Count(), plate.Memory())
}

// BenchmarkUnits is what a changed unit of each kind takes, without the static runs between them.
func BenchmarkUnits(b *testing.B) {
	static, person, _ := poster(Ratio420)
	plate, err := NewPlate(static, 85, person)
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 1<<20)
	offGrid := NewPlanes(1080, 1920, Ratio420)
	r := rand.New(rand.NewPCG(5, 5))
	for y := beside.Min.Y; y < beside.Max.Y; y += 6 {
		for x := beside.Min.X; x < beside.Max.X; x += 6 {
			v := uint8(255 * r.IntN(2))
			for i := range 36 {
				offGrid.Y[(y+i/6)*offGrid.YStride+x+i%6] = v
			}
		}
	}
	for name, box := range map[string]image.Rectangle{"Avatar": avatar, "Text": lines[0], "Code": code, "CodeOffTheGrid": beside} {
		person := person
		if name == "CodeOffTheGrid" {
			person = offGrid
		}
		b.Run(name, func(b *testing.B) {
			changed := static.NewUnits()
			changed.Mark(box)
			s := splicer{plate: plate, now: person.parts(), static: static.parts()}
			measure(b, changed.Count(), func() {
				s.w = writer{buf: dst[:cap(dst)], free: 64}
				for unit := range changed.Len() {
					if changed.Has(unit) {
						s.unit(unit, unit%changed.across, unit/changed.across, 0)
					}
				}
			})
		})
	}
}

// measure reports the quickest of all turns as well, for a share of it: on a busy machine that alone says what the
// work takes.
func measure(b *testing.B, shares int, turn func()) {
	quickest := time.Duration(math.MaxInt64)
	for b.Loop() {
		begun := time.Now()
		turn()
		quickest = min(quickest, time.Since(begun))
	}
	b.ReportMetric(float64(quickest)/float64(shares), "quickest-ns")
}
