package baseline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"image"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestFiles(t *testing.T) {
	t.Parallel()

	t.Run("SplicedOnesAreTheUnsplicedOnesToTheByte", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			c := drawCase(t)
			want := c.plate.Encoder().Encode(nil, c.planes)
			if got := c.plate.Append(nil, c.planes, c.changed); !bytes.Equal(got, want) {
				t.Fatalf("spliced and unspliced files of %d and %d bytes differ", len(got), len(want))
			}
			shifted := *c.plate
			shifted.copies = [8]delayed{}
			if got := shifted.Append([]byte("before"), c.planes, c.changed); !bytes.Equal(got, append([]byte("before"), want...)) {
				t.Fatal("a plate without delayed copies makes another file")
			}
			m := decode(t, want)
			if got, least := psnr(c.planes, m), floor(c.planes, c.quality); got < least {
				t.Fatalf("%.2f dB, less than %.2f", got, least)
			}
		})
	})

	t.Run("SplicingHoldsAtEveryJoint", func(t *testing.T) {
		t.Parallel()
		r := rand.New(rand.NewPCG(5, 6))
		static, other := photo(r, 200, 90, Ratio420), noise(r, 200, 90, Ratio420)
		plate := must(NewPlate(static, 95, other))
		units := static.NewUnits()
		for first := range units.Len() {
			for last := first; last < units.Len(); last += 1 + r.IntN(12) {
				planes := static.Clone()
				units.Clear()
				for u := first; u <= last; u += 1 + r.IntN(3) {
					planes.CopyRect(other, units.Rect(u))
					units.Add(u)
				}
				if !bytes.Equal(plate.Append(nil, planes, units), plate.Encoder().Encode(nil, planes)) {
					t.Fatalf("units %d to %d: spliced and unspliced files differ", first, last)
				}
			}
		}
		if n := bytes.Count(plate.Append(nil, other, units), []byte{0xff, 0}); n < 10 {
			t.Errorf("only %d bytes were stuffed: the picture tries nothing", n)
		}
	})

	t.Run("BlocksOfTwoTonesAreRememberedAsTheyAreCoded", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
			plate := must(NewPlate(NewPlanes(160, 160, Ratio420), rapid.IntRange(60, 95).Draw(t, "quality")))
			for range 3 { // the second time from memory
				planes, changed := checks(r, 160, 160, Ratio420), plate.Static().NewUnits()
				tone, other := uint8(r.Uint32()), uint8(r.Uint32())
				for i, v := range planes.Y {
					planes.Y[i] = tone
					if v != 0 {
						planes.Y[i] = other
					}
				}
				changed.Mark(image.Rect(0, 0, 160, 160))
				for range 2 {
					if !bytes.Equal(plate.Append(nil, planes, changed), plate.Encoder().Encode(nil, planes)) {
						t.Fatal("spliced and unspliced files differ")
					}
				}
			}
		})
	})

	t.Run("APosterOfFullSizeIsSplicedToo", func(t *testing.T) {
		t.Parallel()
		static, person, changed := poster(Ratio420)
		plate := must(NewPlate(static, 85, person))
		got := plate.Append(nil, person, changed)
		if !bytes.Equal(got, plate.Encoder().Encode(nil, person)) {
			t.Error("spliced and unspliced files differ")
		}
		if m := plate.Memory(); m > 5<<20 {
			t.Errorf("the plate takes %d bytes", m)
		}
		readAnywhere(t, got, "djpeg")
	})

	t.Run("TheSameBytesOnEveryPlatform", func(t *testing.T) {
		t.Parallel()
		p := integers(203, 117)
		plate := must(NewPlate(p, 85))
		sum := sha256.Sum256(plate.Append(nil, p, p.NewUnits()))
		if got := hex.EncodeToString(sum[:]); got != "9778fc9ee2464b3f75f19f351b0aeb9983e0b23e12efaeda0a22376eb243ccc8" {
			t.Errorf("the file's SHA-256 is %s", got)
		}
	})

	t.Run("ManyGoroutinesShareAPlate", func(t *testing.T) {
		t.Parallel()
		r := rand.New(rand.NewPCG(7, 8))
		static, other := photo(r, 160, 120, Ratio420), photo(r, 160, 120, Ratio420)
		plate := must(NewPlate(static, 80))
		var wait sync.WaitGroup
		for g := range 8 {
			wait.Go(func() {
				planes, changed := static.Clone(), static.NewUnits()
				box := image.Rect(16*g, 10*g, 16*g+40, 10*g+30)
				planes.CopyRect(other, box)
				changed.Mark(box)
				want := plate.Encoder().Encode(nil, planes)
				var dst []byte
				for range 20 {
					if dst = plate.Append(dst[:0], planes, changed); !bytes.Equal(dst, want) {
						t.Errorf("goroutine %d: spliced and unspliced files differ", g)
						return
					}
				}
			})
		}
		wait.Wait()
	})

	t.Run("LibjpegAndImageMagickReadThem", func(t *testing.T) {
		t.Parallel()
		r := rand.New(rand.NewPCG(9, 10))
		for i := range 6 {
			p := photo(r, 1+r.IntN(90), 1+r.IntN(90), Ratio(i&1))
			plate := must(NewPlate(p, 60+7*i))
			programs := []string{"djpeg", "convert"}
			readAnywhere(t, plate.Append(nil, p, p.NewUnits()), programs[:1+i/4]...) // convert is slow to start
		}
	})

	t.Run("AQualityThatThereIsNotIsRefused", func(t *testing.T) {
		t.Parallel()
		for _, q := range []int{0, 59, 96, 100} {
			if _, err := NewPlate(NewPlanes(8, 8, Ratio420), q); err == nil {
				t.Errorf("quality %d was taken", q)
			}
		}
	})
}

// TestAllocations cannot run beside others.
func TestAllocations(t *testing.T) {
	t.Run("NothingIsAllocatedWhenThereIsRoom", func(t *testing.T) {
		static, person, changed := poster(Ratio420)
		plate := must(NewPlate(static, 85, person))
		dst := make([]byte, 0, 1<<20)
		plate.Append(dst, person, changed) // remembers what comes often
		if n := testing.AllocsPerRun(20, func() { plate.Append(dst, person, changed) }); n != 0 {
			t.Errorf("%v allocations for a file", n)
		}
	})
}

// FuzzAppend draws what the fuzzer says over a picture, wherever it says.
func FuzzAppend(f *testing.F) {
	f.Add(uint16(40), uint16(33), uint8(25), []byte("\x00\x00\xff\x01\x01\x80\x02\x07\x00"))
	f.Add(uint16(1), uint16(1), uint8(0), []byte{0, 0, 0})
	f.Add(uint16(301), uint16(17), uint8(71), bytes.Repeat([]byte{0xff, 3, 7, 9, 0x7f}, 40))
	f.Fuzz(func(t *testing.T, width, height uint16, kind uint8, drawn []byte) {
		ratio := Ratio(kind >> 7)
		static := integers(1+int(width%320), 1+int(height%320))
		static = recode(static, ratio)
		plate := must(NewPlate(static, 60+int(kind)%36))
		planes, changed := static.Clone(), static.NewUnits()
		for len(drawn) >= 3 {
			unit := int(drawn[0]) * (changed.Len() - 1) / 255
			box := changed.Rect(unit)
			for y := box.Min.Y; y < box.Max.Y; y++ {
				for x := box.Min.X; x < box.Max.X; x++ {
					planes.Y[y*planes.YStride+x] = drawn[(x*int(drawn[1])+y)%len(drawn)]
				}
			}
			c := box.Min.Y/ratio.luma()*block*planes.CStride + box.Min.X/ratio.luma()*block
			planes.Cb[c], planes.Cr[c+1] = drawn[1], drawn[2]
			changed.Add(unit)
			drawn = drawn[3:]
		}
		want := plate.Encoder().Encode(nil, planes)
		if !bytes.Equal(plate.Append(nil, planes, changed), want) {
			t.Fatal("spliced and unspliced files differ")
		}
		decode(t, want)
	})
}

// drawnCase is a plate and planes that differ from its static ones in changed units.
type drawnCase struct {
	quality int
	plate   *Plate
	planes  *Planes
	changed *Units
}

func drawCase(t *rapid.T) drawnCase {
	ratio := Ratio(rapid.IntRange(0, 1).Draw(t, "ratio"))
	side := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 250))
	width, height := side.Draw(t, "width"), side.Draw(t, "height")
	c := drawnCase{quality: rapid.IntRange(LowestQuality, HighestQuality).Draw(t, "quality")}
	r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	pictures := []func(*rand.Rand, int, int, Ratio) *Planes{photo, noise, checks, plain}
	draw := rapid.SampledFrom(pictures)
	static, other := draw.Draw(t, "static")(r, width, height, ratio), draw.Draw(t, "other")(r, width, height, ratio)
	var samples []*Planes
	if rapid.Bool().Draw(t, "sampled") {
		samples = append(samples, other)
	}
	c.plate = must(NewPlate(static, c.quality, samples...))
	c.planes, c.changed = static.Clone(), static.NewUnits()
	switch rapid.IntRange(0, 9).Draw(t, "how") {
	case 0: // everything
		c.planes = other
		c.changed.Mark(image.Rect(0, 0, width, height))
	case 1: // nothing, though it may be
		c.changed.Mark(image.Rect(0, 0, width, height))
	case 2: // the first and the last unit
		for _, u := range []int{0, c.changed.Len() - 1} {
			c.planes.CopyRect(other, c.changed.Rect(u))
			c.changed.Add(u)
		}
	default:
		for range rapid.IntRange(0, 5).Draw(t, "boxes") {
			x, y := rapid.IntRange(0, width-1).Draw(t, "x"), rapid.IntRange(0, height-1).Draw(t, "y")
			box := image.Rect(x, y, x+rapid.IntRange(1, 60).Draw(t, "w"), y+rapid.IntRange(1, 60).Draw(t, "h"))
			c.planes.CopyRect(other, box)
			c.changed.Mark(box.Inset(-rapid.IntRange(0, 20).Draw(t, "beyond")))
			if ratio == Ratio420 { // what shares a chroma sample changes with it
				c.changed.Mark(box.Inset(-1))
			}
		}
	}
	return c
}

// floor is half a decibel below what the standard library's encoder, with the same steps, leaves of a picture.
func floor(p *Planes, quality int) float64 {
	if p.Ratio == Ratio444 {
		return 15 // that encoder always subsamples
	}
	var file bytes.Buffer
	m := &image.YCbCr{Y: p.Y, Cb: p.Cb, Cr: p.Cr, YStride: p.YStride, CStride: p.CStride, SubsampleRatio: image.YCbCrSubsampleRatio420, Rect: image.Rect(0, 0, p.Width, p.Height)}
	if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: quality}); err != nil {
		return 0
	}
	back, err := jpeg.Decode(&file)
	if err != nil {
		return 0
	}
	least := min(psnr(p, back.(*image.YCbCr)), 60)
	if p.Width*p.Height < 32*32 {
		return min(least, 40) - 8 // of a few pixels chance decides
	}
	return least - 0.5
}

type failing interface {
	Helper()
	Fatal(args ...any)
}

func decode(t failing, file []byte) *image.YCbCr {
	t.Helper()
	m, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal("image/jpeg cannot read it: ", err)
	}
	return m.(*image.YCbCr)
}

// readAnywhere has djpeg and ImageMagick, where they are installed, read a file without a warning.
func readAnywhere(t *testing.T, file []byte, programs ...string) {
	t.Helper()
	m := decode(t, file)
	name := filepath.Join(t.TempDir(), "file.jpg")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range programs {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s is not installed, so it is not asked", program)
			continue
		}
		args := map[string][]string{"djpeg": {"djpeg", "-pnm", name}, "convert": {"convert", name, "ppm:-"}}[program]
		cmd := exec.Command(args[0], args[1:]...)
		var said bytes.Buffer
		cmd.Stderr = &said
		out, err := cmd.Output()
		if err != nil || said.Len() > 0 {
			t.Fatalf("%s: %v %s", args[0], err, said.String())
		}
		size := m.Rect.Size()
		head, body, _ := strings.Cut(string(out), "\n255\n")
		if len(body) != 3*size.X*size.Y {
			t.Fatalf("%s: %q and %d bytes for %v", args[0], head, len(body), size)
		}
		if args[0] != "djpeg" {
			continue
		}
		// Luma does not depend on how a decoder enlarges chroma, but for what conversion to RGB and back rounds
		// and clips: compare in the mean.
		var off float64
		for i := range size.X * size.Y {
			y := (19595*int(body[3*i]) + 38470*int(body[3*i+1]) + 7471*int(body[3*i+2]) + 1<<15) >> 16
			off += math.Abs(float64(y) - float64(m.Y[m.YOffset(i%size.X, i/size.X)]))
		}
		if off /= float64(size.X * size.Y); off > 1 {
			t.Errorf("djpeg's luma differs by %.2f in the mean", off)
		}
	}
}

func must(p *Plate, err error) *Plate {
	if err != nil {
		panic(err)
	}
	return p
}
