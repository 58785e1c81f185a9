package poster_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"testing"

	"golang.org/x/image/draw"

	"kfactor/poster"
)

// TestPicture draws the picture of docs/posters.md with -update, and holds what it says against a press at any time: of a
// poster's units, a twentieth or so is encoded for a person.
func TestPicture(t *testing.T) {
	press, err := poster.Compile(share("hills.jpg"), func(string) ([]byte, error) { return encodeJPEG(hills(1080, 1920)), nil })
	if err != nil {
		t.Fatal(err)
	}
	person := poster.Person{
		Nickname: "小林🎉Анна", Code: "7K2M9QX4TB", Link: "https://share.example.com/r/7K2M9QX4TB", Avatar: encodeJPEG(gradient(132, 132)),
	}
	units, err := press.Encoded(person)
	if err != nil {
		t.Fatal(err)
	}
	if all := (1080 + 15) / 16 * (1920 / 16); len(units)*12 > all || len(units) < 100 {
		t.Errorf("%d of %d units are encoded", len(units), all)
	}
	if !*update {
		return
	}
	whole := decode(t, printed(t, press, "jpeg", person))
	both := image.NewRGBA(image.Rect(0, 0, 2*1080+60, 1920))
	draw.Draw(both, both.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(both, whole.Bounds(), whole, image.Point{}, draw.Src)
	right := image.Pt(1140, 0)
	draw.Draw(both, whole.Bounds().Add(right), image.NewUniform(color.Gray{Y: 0xe4}), image.Point{}, draw.Src)
	for _, r := range units {
		draw.Draw(both, r.Add(right), image.NewUniform(color.RGBA{R: 0xd8, G: 0x43, B: 0x15, A: 0xff}), image.Point{}, draw.Src)
		draw.Draw(both, r.Inset(1).Add(right), whole, r.Min.Add(image.Pt(1, 1)), draw.Src)
	}
	half := image.NewRGBA(image.Rect(0, 0, both.Rect.Dx()/2, both.Rect.Dy()/2))
	draw.CatmullRom.Scale(half, half.Rect, both, both.Rect, draw.Src, nil)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, half, &jpeg.Options{Quality: 80}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("../docs/images/press.jpg", b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// hills is a soft landscape.
func hills(w, h int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.RGBA{R: uint8(70 + 130*y/h), G: uint8(130 + 60*y/h), B: uint8(225 - 40*y/h), A: 255}
			for i := range 5 {
				d := x - w*(2*i+1)/10 - (i%2)*w/7
				if y > h*(4+i)/10+d*d/(500+200*i) {
					c = color.RGBA{R: uint8(120 - 18*i), G: uint8(150 - 16*i), B: uint8(110 - 12*i), A: 255}
				}
			}
			m.SetRGBA(x, y, c)
		}
	}
	return m
}
