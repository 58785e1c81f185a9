package poster_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"sync"
	"testing"

	"kfactor/internal/fault"
	"kfactor/poster"
)

// spring is the smallest useful poster.
func spring() poster.Template {
	return poster.Template{
		Width: 750, Height: 1334, Background: "#FFF4E0",
		Layers: []poster.Layer{
			{Text: &poster.Text{Value: "{{nickname}} 邀请你一起领好礼", X: 60, Y: 120, Size: 44, Color: "#222222", MaxWidth: 630}},
			{QR: &poster.QR{X: 235, Y: 900, Size: 280}},
		},
	}
}

// autumn uses a bit of everything.
func autumn() poster.Template {
	return poster.Template{
		Width: 720, Height: 1280, Background: "autumn.jpg", Format: "jpeg", Quality: 85,
		Layers: []poster.Layer{
			{Rect: &poster.Rect{X: 27, Y: 1000, Width: 667, Height: 253, Color: "#FFFFFF", Radius: 21}},
			{Avatar: &poster.Avatar{X: 53, Y: 1040, Size: 93, Shape: "circle"}},
			{Text: &poster.Text{Value: "{{nickname}}", X: 167, Y: 1053, Size: 31, Color: "#1A1A1A", MaxWidth: 320}},
			{Text: &poster.Text{Value: "邀请码 {{code}}", X: 167, Y: 1100, Size: 20, Color: "#666666"}},
			{QR: &poster.QR{X: 490, Y: 1035, Size: 197, Level: "Q", Logo: "logo.png"}},
			{Image: &poster.Image{Source: "badge.png", X: 27, Y: 27, Width: 80}},
			{Text: &poster.Text{Value: "金秋福利 一起领", X: 360, Y: 200, Size: 64, Color: "#FFFFFF", Align: "center", Weight: "bold"}},
		},
	}
}

// small uses a bit of everything too, on a canvas that is printed in no time.
func small() poster.Template {
	return poster.Template{
		Width: 440, Height: 340, Background: "meadow.jpg", Format: "jpeg", Quality: 85,
		Layers: []poster.Layer{
			{Rect: &poster.Rect{X: 10, Y: 10, Width: 420, Height: 180, Color: "#FFFFFF", Radius: 20}},
			{Avatar: &poster.Avatar{X: 110, Y: 20, Size: 60, Shape: "circle"}},
			{Text: &poster.Text{Value: "{{nickname}} {{code}}", X: 20, Y: 120, Size: 24, MaxWidth: 200}},
			{QR: &poster.QR{X: 240, Y: 20, Size: 160, Level: "Q", Logo: "logo.png"}},
			{Image: &poster.Image{Source: "badge.png", X: 10, Y: 200}},
		},
	}
}

// share is a poster as people share them: a photo, titles and a card on it, and per person a code of 8 pixels a
// module, a round picture of 120 pixels, the name on the photo and a line on the card.
func share(photo string) poster.Template {
	return poster.Template{
		Width: 1080, Height: 1920, Background: photo, Quality: 85, LinkLength: 38,
		Layers: []poster.Layer{
			{Text: &poster.Text{Value: "金秋福利 一起领", X: 540, Y: 220, Size: 96, Color: "#FFFFFF", Align: "center", Weight: "bold"}},
			{Text: &poster.Text{Value: "邀请三位好友,免费领取一份", X: 540, Y: 350, Size: 48, Color: "#FFFFFF", Align: "center"}},
			{Rect: &poster.Rect{X: 48, Y: 1424, Width: 984, Height: 432, Color: "#FFFFFF", Radius: 32}},
			{Text: &poster.Text{Value: "长按识别二维码", X: 96, Y: 1712, Size: 32, Color: "#666666"}},
			{Avatar: &poster.Avatar{X: 96, Y: 1264, Size: 120}},
			{Text: &poster.Text{Value: "{{nickname}}", X: 240, Y: 1300, Size: 40, Color: "#FFFFFF", MaxWidth: 640}},
			{Text: &poster.Text{Value: "邀请码 {{code}}", X: 96, Y: 1504, Size: 36, Color: "#1A1A1A"}},
			{QR: &poster.QR{X: 688, Y: 1472, Size: 296}},
		},
	}
}

func lin() poster.Person {
	return poster.Person{
		Code: "7K2M9QX4TB", Link: "https://kf.example/r/7K2M9QX4TB", Nickname: "小林🎉Анна",
		Avatar: encodeJPEG(gradient(132, 132)),
	}
}

// assets draws the pictures that the samples name, each once: the large one takes longer than a poster.
func assets(name string) ([]byte, error) {
	if draw, ok := drawn[name]; ok {
		return draw(), nil
	}
	return nil, fault.New(fault.NotFound, "%s is missing: upload it", name)
}

var drawn = map[string]func() []byte{
	"autumn.jpg": sync.OnceValue(func() []byte { return encodeJPEG(gradient(720, 1280)) }),
	"meadow.jpg": sync.OnceValue(func() []byte { return encodeJPEG(gradient(220, 170)) }),
	"logo.png":   sync.OnceValue(func() []byte { return encodePNG(disc(200, color.NRGBA{R: 0xd8, G: 0x43, B: 0x15, A: 0xff})) }),
	"badge.png":  sync.OnceValue(func() []byte { return encodePNG(disc(120, color.NRGBA{R: 0xff, G: 0xc1, B: 0x07, A: 0xcc})) }),
}

func gradient(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetRGBA(x, y, color.RGBA{R: uint8(180 + 60*y/h), G: uint8(60 + 110*x/w), B: uint8(40 + 60*(x+y)/(w+h)), A: 255})
		}
	}
	return img
}

func disc(size int, c color.NRGBA) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			if r := float64(size) / 2; math.Hypot(float64(x)+.5-r, float64(y)+.5-r) < r {
				img.SetNRGBA(x, y, c)
			}
		}
	}
	return img
}

func encodePNG(img image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func encodeJPEG(img image.Image) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 90}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func compile(t testing.TB, template poster.Template) *poster.Press {
	t.Helper()
	press, err := poster.Compile(template, assets)
	if err != nil {
		t.Fatal(err)
	}
	return press
}

func printed(t testing.TB, press *poster.Press, format string, person poster.Person) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := press.Print(&b, format, person); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
