package proof

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"strings"
	"sync"

	"kfactor/poster"
)

// someone is a person whose poster may be harder to read than others'.
type someone struct {
	name   string
	person poster.Person
}

// longestCode is as wide as a code gets: sixteen of the widest letter.
var longestCode = strings.Repeat("W", 16)

// people are those who make it hardest. All have the longest link the template allows for.
func people(t *poster.Template) []someone {
	long := strings.Repeat("长", 60)
	crowd := []someone{
		{"long link", poster.Person{Nickname: "小满", Avatar: plain()}},
		{"long name", poster.Person{Nickname: long, Avatar: plain()}},
		{"no picture", poster.Person{}},
		{"busy picture", poster.Person{Nickname: "Анна", Avatar: busy()}},
		{"emoji", poster.Person{Nickname: strings.Repeat("👨‍👩‍👧‍👦🇨🇳👍🏽❤️🎉", 6), Avatar: plain()}},
	}
	for i := range crowd {
		p := &crowd[i].person
		p.Code, p.Link = longestCode, longestLink(t.LongestLink(), i)
		p.Fields = map[string]string{}
		for _, variable := range t.Variables {
			p.Fields[variable] = long
		}
	}
	return crowd
}

// longestLink is a link of that many characters. Small letters take the most room in a code; different ends give
// different patterns.
func longestLink(length, number int) string {
	const letters = "7k2m9qx4tb0ghcnwzp3efyr8sjv5da6"
	link := []byte("https://kf.example/r/")
	for i := 0; len(link) < length; i++ {
		link = append(link, letters[(i*(2*number+1)+number)%len(letters)])
	}
	return string(link[:length])
}

// busy is a picture that takes a reader's eye: rings of light and dark such as a code has in its corners.
var busy = sync.OnceValue(func() []byte {
	m := image.NewGray(image.Rect(0, 0, 132, 132))
	for y := range 132 {
		for x := range 132 {
			dx, dy := x%44-22, y%44-22
			if ring := max(dx, -dx, dy, -dy) / 3; ring < 3 || ring == 5 || ring == 6 {
				m.Pix[y*m.Stride+x] = 0
			} else {
				m.Pix[y*m.Stride+x] = 255
			}
		}
	}
	return encoded(m)
})

// plain is a picture like most.
var plain = sync.OnceValue(func() []byte {
	m := image.NewRGBA(image.Rect(0, 0, 132, 132))
	for y := range 132 {
		for x := range 132 {
			m.SetRGBA(x, y, color.RGBA{R: uint8(120 + x), G: uint8(80 + y), B: uint8(40 + (x+y)/2), A: 255})
		}
	}
	return encoded(m)
})

func encoded(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		return nil // memory takes all that is written
	}
	return b.Bytes()
}
