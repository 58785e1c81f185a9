package poster_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"testing"

	"github.com/fogleman/gg"
	"github.com/skip2/go-qrcode"

	"kfactor/poster"
)

// large is the autumn poster on a canvas of the usual size.
func large() poster.Template {
	template := autumn()
	template.Width, template.Height = 1080, 1920
	return template
}

// BenchmarkPrint prints the autumn poster, beside what a first attempt does: load the files for every poster and
// draw all of it, without text.
func BenchmarkPrint(b *testing.B) {
	press := compile(b, large())
	for _, format := range []string{"jpeg", "png"} {
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := press.Print(io.Discard, format, lin()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		person := lin()
		b.RunParallel(func(each *testing.PB) {
			for each.Next() {
				if err := press.Print(io.Discard, "jpeg", person); err != nil {
					b.Error(err)
				}
			}
		})
	})

	ground, logo, avatar := encodeJPEG(gradient(1080, 1920)), encodePNG(disc(200, color.NRGBA{R: 255, A: 255})), lin().Avatar
	b.Run("naive", func(b *testing.B) {
		for b.Loop() {
			naive(b, ground, logo, avatar)
		}
	})
}

func naive(b *testing.B, files ...[]byte) {
	var pictures [3]image.Image
	for i, file := range files {
		img, _, err := image.Decode(bytes.NewReader(file))
		if err != nil {
			b.Fatal(err)
		}
		pictures[i] = img
	}
	dc := gg.NewContext(1080, 1920)
	dc.DrawImage(pictures[0], 0, 0)
	dc.SetRGB(1, 1, 1)
	dc.DrawRoundedRectangle(40, 1500, 1000, 380, 32)
	dc.Fill()
	code, err := qrcode.New(lin().Link, qrcode.High)
	if err != nil {
		b.Fatal(err)
	}
	dc.DrawImage(code.Image(296), 736, 1552)
	dc.DrawImage(pictures[1], 784, 1600)
	dc.DrawCircle(150, 1630, 70)
	dc.Clip()
	dc.DrawImage(pictures[2], 80, 1560)
	if err := jpeg.Encode(io.Discard, dc.Image(), &jpeg.Options{Quality: 85}); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkCompile makes a press; the first one in a program also parses the fonts.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := poster.Compile(large(), assets); err != nil {
			b.Fatal(err)
		}
	}
}
