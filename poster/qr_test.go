package poster_test

import (
	"image"
	"strings"
	"testing"

	"kfactor/poster"
)

// codeIn is where the code lies in a poster of nothing else: the smallest rectangle around what is dark.
func codeIn(img image.Image) image.Rectangle {
	return around(img, func(p []uint8) bool { return p[1] < 128 })
}

// around is the smallest rectangle around all pixels of which is tells.
func around(img image.Image, is func(rgba []uint8) bool) image.Rectangle {
	var found image.Rectangle
	w := img.Bounds().Dx()
	for i, p := 0, pixels(img); len(p) > 0; i, p = i+1, p[4:] {
		if at := image.Pt(i%w, i/w); is(p) && !at.In(found) {
			found = found.Union(image.Rectangle{at, at.Add(image.Pt(1, 1))})
		}
	}
	return found
}

func TestPlacing(t *testing.T) {
	t.Parallel()
	link := "https://kf.example.com/r/7k2m9qx4tb-ab" // 29 modules a side, with the quiet zone 37

	t.Run("ACodeKeepsToItsBoxAndToTheGridWhereTheBoxAllowsIt", func(t *testing.T) {
		for _, box := range []struct{ x, y, size, module int }{
			{0, 0, 37 * 8, 8},
			{3, 5, 37*8 + 7, 8},
			{1, 2, 37*8 + 6, 8},
			{13, 40, 37 * 12, 8},
			{9, 7, 37*13 + 1, 13},
			{2, 1, 37 * 4, 4},
			{40, 3, 37*7 + 20, 7},
			{16, 8, 37*6 + 36, 6},
		} {
			press := compile(t, poster.Template{
				Width: 528, Height: 528, LinkLength: 38,
				Layers: []poster.Layer{{QR: &poster.QR{X: box.x, Y: box.y, Size: box.size}}},
			})
			code := codeIn(decode(t, printed(t, press, "png", poster.Person{Link: link})))
			if code.Dx() != 29*box.module || code.Dy() != 29*box.module {
				t.Errorf("%v has %v, not modules of %d pixels", box, code, box.module)
			}
			if quiet := code.Inset(-4 * box.module); !quiet.In(image.Rect(box.x, box.y, box.x+box.size, box.y+box.size)) {
				t.Errorf("the quiet zone of %v leaves %v", code, box)
			}
			if room := box.size - 37*box.module; room >= 7 && (code.Min.X%8 != 0 || code.Min.Y%8 != 0) {
				t.Errorf("%v is not on the grid, and there are %d pixels of room", code, room)
			}
			if middle := code.Min.Add(code.Max).Sub(image.Pt(2*box.x+box.size, 2*box.y+box.size)); max(middle.X, -middle.X, middle.Y, -middle.Y) > 9 {
				t.Errorf("%v is %v half pixels beside the middle of %v", code, middle, box)
			}
		}
	})

	t.Run("OnTheGridItTakesFewBytes", func(t *testing.T) {
		bytes := func(x int) int {
			press := compile(t, poster.Template{Width: 720, Height: 480, LinkLength: 38, Layers: []poster.Layer{{QR: &poster.QR{X: x, Y: 32, Size: 37 * 8}}}})
			return len(printed(t, press, "jpeg", poster.Person{Link: link}))
		}
		if on, off := bytes(160), bytes(163); 2*on > off {
			t.Errorf("%d bytes on the grid, %d off it", on, off)
		}
	})

	t.Run("ALargePosterGetsNoSmallerModulesForIt", func(t *testing.T) {
		// 11 pixels of 2160 are 5.5 when shown, 8 would be 4.
		press := compile(t, poster.Template{Width: 2160, Height: 600, LinkLength: 38, Layers: []poster.Layer{{QR: &poster.QR{Size: 37 * 11}}}})
		if code := codeIn(decode(t, printed(t, press, "png", poster.Person{Link: link}))); code.Dx() != 29*11 {
			t.Errorf("%v", code)
		}
	})

	t.Run("LinksThatTakeALargeCodeAreRead", func(t *testing.T) {
		for _, n := range []int{213, 214, 1000} {
			link := "https://kf.example.com/" + strings.Repeat("q", n-23)
			press := compile(t, poster.Template{Width: 1080, Height: 1080, LinkLength: n, Layers: []poster.Layer{{QR: &poster.QR{Size: 1080}}}})
			if got, err := read(decode(t, printed(t, press, "png", poster.Person{Link: link}))); got != link {
				t.Errorf("%d characters read %q, %v", n, got, err)
			}
		}
	})

	t.Run("ALogoTakesNoMoreThanAQuarterOfTheWidth", func(t *testing.T) {
		for n := 8; n <= 108; n += 25 {
			template := poster.Template{
				Width: 480, Height: 480, LinkLength: n,
				Layers: []poster.Layer{{QR: &poster.QR{Size: 480, Level: "Q", Logo: "logo.png", Light: "#DDFFDD"}}},
			}
			link := strings.Repeat("x", n)
			img := decode(t, printed(t, compile(t, template), "png", poster.Person{Link: link}))
			code := codeIn(img)
			logo := around(img, func(p []uint8) bool { return int(p[0]) > 2*int(p[2]) })
			if logo.Empty() || 4*logo.Dx() > code.Dx() || 4*logo.Dy() > code.Dy() {
				t.Errorf("%d characters: the logo has %v of %v", n, logo, code)
			}
			if got, err := read(img); got != link {
				t.Errorf("%d characters read %q, %v", n, got, err)
			}
		}
	})
}
