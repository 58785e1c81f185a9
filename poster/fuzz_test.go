package poster_test

import (
	"bytes"
	"image"
	"io"
	"math"
	"testing"

	"kfactor/internal/fault"
	"kfactor/poster"
)

func FuzzDecodeImage(f *testing.F) {
	f.Add(encodePNG(gradient(4, 4)))
	f.Add(encodeJPEG(gradient(4, 4)))
	f.Add(turned(6))
	f.Add(header(10000, 5000))
	f.Add(claiming(200, 200, 16, 6, 1))
	f.Add(framed(200, 200, 0xc2, 0x22))
	f.Add([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"))
	f.Add([]byte("RIFF\x1a\x00\x00\x00WEBPVP8L\r\x00\x00\x00/\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"))
	f.Add([]byte("\x00\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00cmap"))
	limits := poster.Limits{Bytes: 1 << 20, Pixels: 1 << 16, Memory: 1 << 20}
	f.Fuzz(func(t *testing.T, b []byte) {
		img, err := poster.DecodeImage(b, limits)
		if (img == nil) == (err == nil) {
			t.Fatalf("gave %v and %v", img, err)
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("an unnamed failure: %v", err)
		}
		if img != nil && img.Bounds().Dx()*img.Bounds().Dy() > limits.Pixels {
			t.Errorf("%v is over the limit", img.Bounds())
		}
		for _, name := range []string{"a.png", "a.ttf"} {
			if err := poster.CheckAsset(name, b); err != nil && fault.KindOf(err) == fault.Internal {
				t.Errorf("an unnamed failure: %v", err)
			}
		}
	})
}

// FuzzText prints a name: it stays in its box and leaves something there.
func FuzzText(f *testing.F) {
	for _, name := range []string{
		"小林🎉Анна", "", "\u202eabc", "👨‍👩‍👧‍👦🇨🇳👍🏽", "a\u0301\u0301\u0301\u0301", "🏴\U000e0067\U000e0062\u200d", "\xff\x00", "{{code}}", "한글 مرحبا ไทย",
		"🏴\U000e7067\U000e0362\u200d", "\u200d\ufe0f", "1\ufe0f\u20e3\u20e3", "🇨", "\u3000x\u00a0",
	} {
		f.Add(name)
	}
	press := compile(f, strip("{{nickname}}|{{code}}"))
	f.Fuzz(func(t *testing.T, name string) {
		var b bytes.Buffer
		if err := press.Print(&b, "png", poster.Person{Nickname: name, Code: "A"}); err != nil {
			t.Fatal(err)
		}
		img := decode(t, b.Bytes())
		if inked(img, image.Rect(441, 0, 480, 200)) {
			t.Errorf("%q leaves its box", name)
		}
		if !inked(img, image.Rect(20, 20, 440, 140)) {
			t.Errorf("%q leaves nothing", name)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add(750, 1334, "#FFF4E0", "{{nickname}}", 60, 120, 280, 44.0, "M", "center", "#222222", "brand.otf", 3)
	f.Add(200, 200, "", "{{x}}", -1, 0, 0, math.NaN(), "", "", "", "", 0)
	f.Add(500, 500, "", "秋天\n{{code}}", 40, 40, 300, 20.0, "", "", "#00000080", "go.ttf", 5)
	f.Add(4096, 1<<62, "a.png", "}}{{", math.MaxInt, math.MinInt, 4096, math.Inf(1), "H", "right", "#00000000", "a.ttf", 1<<40)
	f.Fuzz(func(t *testing.T, w, h int, ground, value string, x, y, size int, points float64, level, align, ink, font string, lines int) {
		template := poster.Template{
			Width: w % 600, Height: h % 600, Background: ground, Quality: size,
			Layers: []poster.Layer{
				{Rect: &poster.Rect{X: x, Y: y, Width: size, Height: size, Color: ink, Radius: size / 4}},
				{Text: &poster.Text{Value: value, X: x, Y: y, Size: points, Color: ink, MaxWidth: size, Align: align, Weight: level}},
				{Text: &poster.Text{
					Value: value, X: x, Y: y, Size: points, Color: ink, MaxWidth: size, Font: font, Lines: lines, LineHeight: points / 20,
					OutlineColor: ink, OutlineWidth: points / 8, ShadowColor: ink, ShadowX: lines, ShadowY: -lines, ShadowBlur: lines,
				}},
				{QR: &poster.QR{X: x, Y: y, Size: size, Level: level, Dark: ink}},
				{Avatar: &poster.Avatar{X: x, Y: y, Size: size, Shape: align}},
				{Image: &poster.Image{Source: "badge.png", X: x, Y: y, Width: size}},
			},
		}
		template.Quality = 0
		// Each layer on its own too: together they are hardly ever right.
		layers := template.Layers
		for i := -1; i < len(layers); i++ {
			if i >= 0 {
				template.Layers = layers[i : i+1]
			}
			problems := poster.Check(template)
			poster.Warnings(template)
			press, err := poster.Compile(template, ownFonts)
			if len(problems) > 0 {
				if fault.KindOf(err) != fault.Invalid {
					t.Fatalf("%v, but compiling gives %v", problems, err)
				}
				continue
			}
			if err != nil {
				if fault.KindOf(err) == fault.Internal {
					t.Errorf("an unnamed failure: %v", err)
				}
				continue
			}
			if err := press.Print(io.Discard, "", lin()); err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("printing gives %v", err)
			}
		}
	})
}
