package poster_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"math"
	"runtime"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"kfactor/internal/fault"
	"kfactor/poster"
	"kfactor/poster/baseline"
)

// anyTemplate draws up a poster with layers of all kinds above and below each other, at even and odd places.
func anyTemplate(t *rapid.T) poster.Template {
	from := func(low, high int, what string) int { return rapid.IntRange(low, high).Draw(t, what) }
	one := func(what string, of ...string) string { return rapid.SampledFrom(of).Draw(t, what) }
	ink := func(what string) string {
		return one(what, "", "#FFFFFF", "#C62828", "#1565C0", "#2E7D32", "#00000080", "#FFEB3BC0", "#6A1B9A20")
	}
	template := poster.Template{
		Width: from(200, 240, "width"), Height: from(200, 240, "height"), Background: one("background", "#FFF4E0", "#37474F", "meadow.jpg"),
		Chroma: one("chroma", "", "4:4:4"), Quality: from(60, 95, "quality"), LinkLength: 20,
	}
	w, h := template.Width, template.Height
	for range from(1, 7, "layers") {
		x, y := from(0, w-120, "x"), from(0, h-120, "y")
		var l poster.Layer
		switch one("kind", "text", "static", "qr", "avatar", "image", "rect", "frame") {
		case "text":
			l.Text = &poster.Text{
				Value: one("value", "{{nickname}}", "我是{{nickname}} {{code}}"), X: x, Y: y, Size: float64(from(12, 48, "size")), Color: ink("color"),
				Weight: one("weight", "", "bold"), OutlineWidth: float64(from(0, 2, "outline")), ShadowColor: one("shadow", "", "#00000080"), ShadowX: 2, ShadowY: 3,
			}
		case "static":
			l.Text = &poster.Text{Value: "一起领 Go!", X: x, Y: y, Size: float64(from(12, 48, "size")), Color: ink("color")}
		case "qr":
			l.QR = &poster.QR{X: x, Y: y, Size: from(96, 120, "size"), Dark: one("dark", "", "#1A237E"), Light: one("light", "", "#FFF8E1")}
			if rapid.Bool().Draw(t, "logo") {
				l.QR.Logo, l.QR.Level = "logo.png", "Q"
			}
		case "avatar":
			l.Avatar = &poster.Avatar{X: x, Y: y, Size: from(17, 120, "size"), Shape: one("shape", "", "rounded", "square")}
		case "image":
			l.Image = &poster.Image{Source: "badge.png", X: x - 30, Y: y - 30, Width: from(20, 150, "size")}
		case "rect":
			l.Rect = &poster.Rect{X: x - 20, Y: y - 20, Width: from(20, 150, "width"), Height: from(20, 150, "height"), Color: one("color", "#FFFFFF", "#D32F2F80"), Radius: from(0, 10, "radius")}
		case "frame":
			l.Rect = &poster.Rect{Width: w, Height: h, Color: "#0D47A118"}
		}
		template.Layers = append(template.Layers, l)
	}
	return template
}

// anybody draws up a person who may lack anything.
func anybody(t *rapid.T) poster.Person {
	code := rapid.StringMatching(`[0-9A-Z]{4,8}`).Draw(t, "code")
	person := poster.Person{
		Code: code, Link: "https://k.cn/" + code[:4],
		Nickname: rapid.SampledFrom([]string{"", "小林🎉Анна", "Ünï", "👨‍👩‍👧‍👦 family", "很长很长很长很长很长的名字"}).Draw(t, "name"),
	}
	side := rapid.IntRange(30, 90).Draw(t, "picture")
	switch rapid.SampledFrom([]string{"jpeg", "png", "none", "broken"}).Draw(t, "file") {
	case "jpeg":
		person.Avatar = encodeJPEG(gradient(side, side+20))
	case "png":
		person.Avatar = encodePNG(disc(side, color.NRGBA{R: 0x33, G: 0x66, B: 0x99, A: 0xff}))
	case "broken":
		person.Avatar = []byte("\xff\xd8\xff")
	}
	return person
}

func TestSplicing(t *testing.T) {
	t.Parallel()
	t.Run("APosterIsWhatItWouldBeWithoutSplicing", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			template := anyTemplate(t)
			press, err := poster.Compile(template, assets)
			if err != nil {
				if fault.KindOf(err) == fault.Invalid {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			var first []byte
			one, other := anybody(t), anybody(t)
			for i, person := range []poster.Person{one, other, one} {
				file, err := press.Append(nil, "jpeg", person)
				if err != nil {
					t.Fatal(err)
				}
				whole, err := press.AppendWhole(nil, person)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(file, whole) {
					t.Fatalf("poster %d is not what encoding all of it gives", i)
				}
				pixel, err := press.Append(nil, "png", person)
				if err != nil {
					t.Fatal(err)
				}
				pixels, err := press.Pixels(person)
				if err != nil {
					t.Fatal(err)
				}
				read, err := png.Decode(bytes.NewReader(pixel))
				if err != nil {
					t.Fatal(err)
				}
				if !same(read, pixels) {
					t.Fatalf("the PNG of poster %d has other pixels than its canvas", i)
				}
				planes, err := press.Planes(person)
				if err != nil {
					t.Fatal(err)
				}
				alike(t, planes, baseline.FromRGBA(pixels, planes.Ratio))
				both := joined(file, pixel)
				switch i {
				case 0:
					first = both
				case 2:
					if !bytes.Equal(both, first) {
						t.Fatal("the same poster is another one after somebody else's")
					}
				}
			}
		})
	})

	t.Run("ManyPrintAtOnceWhatOneDoes", func(t *testing.T) {
		template := small()
		template.Layers = append(template.Layers, poster.Layer{Image: &poster.Image{Source: "badge.png", X: 90, Y: 50}})
		press := compile(t, template)
		crowd := make([]poster.Person, 24)
		want := make([][]byte, len(crowd))
		for i := range crowd {
			crowd[i] = poster.Person{Link: fmt.Sprintf("https://kf.example/r/%d", i), Nickname: fmt.Sprintf("第%d人", i)}
			if i%2 == 0 {
				crowd[i].Avatar = encodeJPEG(gradient(100+i, 100))
			}
			want[i] = joined(printed(t, press, "jpeg", crowd[i]), printed(t, press, "png", crowd[i]))
		}
		fresh := compile(t, template)
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for i := range crowd {
					i = (i + 3*worker) % len(crowd)
					jpeg, err := fresh.Append(nil, "jpeg", crowd[i])
					if err != nil {
						t.Error(err)
					}
					pixels, err := fresh.Append(nil, "png", crowd[i])
					if err != nil {
						t.Error(err)
					}
					if !bytes.Equal(joined(jpeg, pixels), want[i]) {
						t.Errorf("person %d has another poster in a crowd", i)
					}
				}
			})
		}
		all.Wait()
	})

	t.Run("AFailedPosterLeavesNothingBehind", func(t *testing.T) {
		press := compile(t, small())
		want := printed(t, press, "jpeg", lin())
		long := lin()
		long.Nickname, long.Link = "somebody else entirely", string(bytes.Repeat([]byte("x"), 2500))
		if err := press.Print(io.Discard, "jpeg", long); err == nil {
			t.Fatal("a link without end is printed")
		}
		if !bytes.Equal(want, printed(t, press, "jpeg", lin())) {
			t.Error("something of it is on the next poster")
		}
	})
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// alike holds planes that were drawn on against pixels that were drawn and then converted.
func alike(t *rapid.T, drawn, converted *baseline.Planes) {
	t.Helper()
	for _, part := range []struct {
		name       string
		one, other []byte
		most       int
		least      float64 // PSNR in dB
	}{
		{"luma", drawn.Y, converted.Y, 6, 48}, {"Cb", drawn.Cb, converted.Cb, 255, 34}, {"Cr", drawn.Cr, converted.Cr, 255, 34},
	} {
		sum, far := 0, 0
		for i, v := range part.one {
			d := int(v) - int(part.other[i])
			sum += d * d
			far = max(far, d, -d)
		}
		if far > part.most {
			t.Fatalf("%s is off by %d", part.name, far)
		}
		if psnr := 10 * math.Log10(255*255*float64(len(part.one))/float64(max(1, sum))); psnr < part.least {
			t.Fatalf("%s has %.1f dB, less than %.0f", part.name, psnr, part.least)
		}
	}
}

func TestPressMemory(t *testing.T) {
	crowd := make([]poster.Person, 300)
	for i := range crowd {
		crowd[i] = poster.Person{
			Code: fmt.Sprintf("CODE%06d", i), Link: fmt.Sprintf("https://share.example.com/r/%08d", i),
			Nickname: string([]rune{rune(0x4e00 + 7*i), rune(0x5000 + 11*i), rune(0x6000 + 13*i)}), Avatar: encodeJPEG(gradient(132, 100+i%60)),
		}
	}
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	compile(t, spring()) // parses the fonts
	background := encodeJPEG(noisy(1080, 1920))
	before := heap()
	press, err := poster.Compile(share("photo.jpg"), func(string) ([]byte, error) { return background, nil })
	if err != nil {
		t.Fatal(err)
	}
	file := make([]byte, 0, 2<<20)
	print := func() {
		for _, person := range crowd {
			if _, err := press.Append(file, "jpeg", person); err != nil {
				t.Fatal(err)
			}
		}
	}
	print()
	once := heap() - before
	print()
	twice := heap() - before
	t.Logf("a press takes %.1f MB, after as many posters again %.1f MB", float64(once)/1e6, float64(twice)/1e6)
	if max(once, twice) > 16e6 {
		t.Errorf("a press of 1080 x 1920 takes %d and %d bytes, more than 16 MB", once, twice)
	}
	if twice > once+once/5 {
		t.Errorf("it grows from %d to %d bytes", once, twice)
	}
	runtime.KeepAlive(press)
}

// noisy is a picture that is hard to compress.
func noisy(w, h int) image.Image {
	m, _ := gradient(w, h).(*image.RGBA)
	noise := uint32(1)
	for i := range m.Pix {
		if i%4 != 3 {
			noise = noise*1664525 + 1013904223
			m.Pix[i] += uint8(noise >> 28)
		}
	}
	return m
}
