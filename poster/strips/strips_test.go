package strips_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"kfactor/poster/strips"
)

// fill paints a rectangle with something, by kind: flat, noise, a gradient, chequers, coarse noise, or all at once.
func fill(img *image.RGBA, box image.Rectangle, kind, seed int) {
	noise := rand.New(rand.NewPCG(uint64(seed), 1))
	flat := color.RGBA{uint8(seed), uint8(seed >> 3), uint8(seed * 7), 255}
	for y := box.Min.Y; y < box.Max.Y; y++ {
		for x := box.Min.X; x < box.Max.X; x++ {
			k := kind
			if kind == kinds-1 {
				k = (x/13 + y/9) % (kinds - 1)
			}
			c := flat
			switch k {
			case 1:
				v := noise.Uint32()
				c = color.RGBA{uint8(v), uint8(v >> 8), uint8(v >> 16), 255}
			case 2:
				c = color.RGBA{uint8(x), uint8(y + seed), uint8(x + y), 255}
			case 3:
				if (x/5+y/5)%2 == 0 {
					c = color.RGBA{255, 255, 255, 255}
				}
			case 4: // the same short strings of bytes all over
				v := noise.Uint32()
				c = color.RGBA{uint8(v & 1), uint8(v >> 1 & 1), uint8(v >> 2 & 1), 255}
			}
			img.SetRGBA(x, y, c)
		}
	}
}

const kinds = 6

// person makes a poster from the static picture by filling the boxes.
func person(static *image.RGBA, boxes []image.Rectangle, kind, seed int) *image.RGBA {
	img := image.NewRGBA(static.Rect)
	draw.Draw(img, img.Rect, static, static.Rect.Min, draw.Src)
	for i, box := range boxes {
		fill(img, box.Intersect(img.Rect), (kind+i)%kinds, seed+i)
	}
	return img
}

// same fails unless the file holds the picture.
func same(t rapid.TB, file []byte, want *image.RGBA) {
	t.Helper()
	got, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatalf("image/png: %v", err)
	}
	if got.Bounds().Size() != want.Rect.Size() {
		t.Fatalf("%v instead of %v", got.Bounds().Size(), want.Rect.Size())
	}
	if diff := difference(got, want); diff != "" {
		t.Fatal(diff)
	}
}

func difference(got image.Image, want *image.RGBA) string {
	img, ok := got.(*image.RGBA)
	if !ok {
		return fmt.Sprintf("decoded as %T", got)
	}
	for y := range want.Rect.Dy() {
		a := img.Pix[y*img.Stride : y*img.Stride+4*want.Rect.Dx()]
		b := want.Pix[y*want.Stride : y*want.Stride+4*want.Rect.Dx()]
		if !bytes.Equal(a, b) {
			return fmt.Sprintf("row %d differs", y)
		}
	}
	return ""
}

func plate(t rapid.TB, static *image.RGBA, boxes []image.Rectangle, samples ...*image.RGBA) *strips.Plate {
	t.Helper()
	p, err := strips.NewPlate(static, boxes, samples...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// boxIn draws a box: anywhere, also a little outside, or all of the picture.
func boxIn(t *rapid.T, rect image.Rectangle) image.Rectangle {
	x := rapid.IntRange(rect.Min.X-5, rect.Max.X+5)
	y := rapid.IntRange(rect.Min.Y-5, rect.Max.Y+5)
	box := image.Rectangle{Min: image.Pt(x.Draw(t, "x0"), y.Draw(t, "y0")), Max: image.Pt(x.Draw(t, "x1"), y.Draw(t, "y1"))}
	switch rapid.IntRange(0, 9).Draw(t, "shape") {
	case 0:
		return rect
	case 1:
		box.Min.X, box.Max.X = rect.Min.X, rect.Max.X
	case 2:
		return box // may be empty, or the wrong way round
	}
	return box.Canon()
}

func TestAppend(t *testing.T) {
	t.Parallel()

	t.Run("AnyPictureIsReadBackPixelByPixel", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			origin := image.Pt(rapid.IntRange(-20, 20).Draw(t, "left"), rapid.IntRange(-20, 20).Draw(t, "top"))
			size := image.Pt(rapid.IntRange(1, 90).Draw(t, "width"), rapid.IntRange(1, 120).Draw(t, "height"))
			static := image.NewRGBA(image.Rectangle{Max: size}.Add(origin))
			kind, seed := rapid.IntRange(0, kinds-1), rapid.IntRange(0, 1<<20)
			fill(static, static.Rect, kind.Draw(t, "ground"), seed.Draw(t, "seed"))
			var boxes []image.Rectangle
			for range rapid.IntRange(0, 5).Draw(t, "boxes") {
				boxes = append(boxes, boxIn(t, static.Rect))
			}
			var samples []*image.RGBA
			for range rapid.IntRange(0, 2).Draw(t, "samples") {
				samples = append(samples, person(static, boxes, kind.Draw(t, "sample"), seed.Draw(t, "seed")))
			}
			p := plate(t, static, boxes, samples...)
			for range 3 {
				canvas := person(static, boxes, kind.Draw(t, "kind"), seed.Draw(t, "seed"))
				file := p.Append(nil, canvas)
				if len(file) > p.Bound() {
					t.Fatalf("%d bytes, bound to %d", len(file), p.Bound())
				}
				same(t, file, canvas)
			}
		})
	})

	t.Run("LargePicturesToo", func(t *testing.T) {
		t.Parallel()
		static, boxes := postcard(360, 640)
		p := plate(t, static, boxes)
		for kind := 1; kind < kinds; kind += 2 {
			canvas := person(static, boxes, kind, kind)
			same(t, p.Append(nil, canvas), canvas)
		}
	})

	t.Run("TheWidestPictureToo", func(t *testing.T) {
		t.Parallel()
		static := image.NewRGBA(image.Rect(0, 0, 10922, 14))
		fill(static, static.Rect, 4, 1)
		boxes := []image.Rectangle{image.Rect(10, 2, 10800, 7), image.Rect(10700, 5, 10922, 12)}
		p := plate(t, static, boxes)
		for kind := 1; kind < kinds; kind += 2 {
			canvas := person(static, boxes, kind, kind)
			same(t, p.Append(nil, canvas), canvas)
		}
	})

	t.Run("ItStandsBehindWhatIsThere", func(t *testing.T) {
		t.Parallel()
		static, boxes := postcard(90, 160)
		p := plate(t, static, boxes)
		canvas := person(static, boxes, 1, 1)
		file := p.Append([]byte("before"), canvas)
		if !bytes.HasPrefix(file, []byte("before")) {
			t.Fatal("what was there is gone")
		}
		same(t, file[len("before"):], canvas)
		if !bytes.Equal(file[len("before"):], p.Append(nil, canvas)) {
			t.Fatal("two files of one picture differ")
		}
	})

	t.Run("ManyMayPrintAtOnce", func(t *testing.T) {
		t.Parallel()
		static, boxes := postcard(90, 160)
		p := plate(t, static, boxes)
		var group sync.WaitGroup
		for worker := range 8 {
			group.Go(func() {
				var file []byte
				for i := range 10 {
					canvas := person(static, boxes, worker+i, worker*100+i)
					file = p.Append(file[:0], canvas)
					img, err := png.Decode(bytes.NewReader(file))
					if err != nil {
						t.Error(err)
						return
					}
					if diff := difference(img, canvas); diff != "" {
						t.Error(diff)
					}
				}
			})
		}
		group.Wait()
	})

	t.Run("APictureOfAnotherSizePanics", func(t *testing.T) {
		t.Parallel()
		static, boxes := postcard(90, 160)
		p := plate(t, static, boxes)
		defer func() {
			if said := fmt.Sprint(recover()); !strings.Contains(said, "on a plate of") {
				t.Fatal(said)
			}
		}()
		p.Append(nil, image.NewRGBA(image.Rect(0, 0, 90, 161)))
	})
}

func TestNewPlate(t *testing.T) {
	t.Parallel()
	small := image.NewRGBA(image.Rect(0, 0, 20, 20))
	fill(small, small.Rect, 0, 1)
	clear := image.NewRGBA(image.Rect(0, 0, 20, 20))
	for name, c := range map[string]struct {
		static *image.RGBA
		sample *image.RGBA
		word   string
	}{
		"AnEmptyPictureIsRefused":         {image.NewRGBA(image.Rectangle{}), nil, "at least 1 x 1"},
		"ATooWidePictureIsRefused":        {&image.RGBA{Rect: image.Rect(0, 0, 10923, 1)}, nil, "at most 10922 wide"},
		"ATooLargePictureIsRefused":       {&image.RGBA{Rect: image.Rect(0, 0, 8192, 4097)}, nil, "33554432 pixels"},
		"ATransparentPictureIsRefused":    {clear, nil, "not opaque"},
		"ASampleOfAnotherPlaceIsRefused":  {small, image.NewRGBA(image.Rect(1, 0, 21, 20)), "a sample covers"},
		"AnEndlessPictureIsRefusedAsWell": {&image.RGBA{Rect: image.Rect(0, 0, 1, math.MaxInt)}, nil, "pixels"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var samples []*image.RGBA
			if c.sample != nil {
				samples = append(samples, c.sample)
			}
			_, err := strips.NewPlate(c.static, nil, samples...)
			if err == nil || !strings.Contains(err.Error(), c.word) {
				t.Fatal(err)
			}
		})
	}
}

// postcard is a picture like a photo with a flat card on it, and the boxes of a code, a portrait and two lines.
func postcard(width, height int) (*image.RGBA, []image.Rectangle) {
	static := photo(width, height)
	scale := func(x0, y0, x1, y1 int) image.Rectangle {
		return image.Rect(x0*width/1080, y0*height/1920, x1*width/1080, y1*height/1920)
	}
	draw.Draw(static, scale(60, 1400, 1020, 1860), image.White, image.Point{}, draw.Src)
	draw.Draw(static, scale(0, 0, 1080, 90), image.NewUniform(color.RGBA{180, 30, 40, 255}), image.Point{}, draw.Src)
	return static, []image.Rectangle{
		scale(688, 1480, 984, 1776), // the code
		scale(96, 1080, 216, 1200),  // the portrait
		scale(240, 1110, 720, 1170), // the name
		scale(120, 1600, 600, 1660), // a line on the card
	}
}

// photo is soft shapes with the grain of a camera: about as hard to compress as a photo.
func photo(width, height int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	noise := rand.New(rand.NewPCG(7, 11))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width), float64(y)/float64(height)
			shape := math.Sin(9*u+4*math.Sin(5*v)) + math.Cos(13*v-3*u*u)
			grain := noise.NormFloat64() * 1.6
			level := func(base, swing float64) uint8 {
				return uint8(max(0, min(255, base+swing*shape+grain+0.6*noise.NormFloat64())))
			}
			img.SetRGBA(x, y, color.RGBA{level(130, 50), level(120, 42), level(95, 35), 255})
		}
	}
	return img
}

// guest is a person's poster: a code of 8-pixel modules, a round portrait, and strokes for text.
func guest(static *image.RGBA, boxes []image.Rectangle, seed int) *image.RGBA {
	img := person(static, nil, 0, 0)
	noise := rand.New(rand.NewPCG(uint64(seed), 5))
	code := boxes[0]
	draw.Draw(img, code, image.White, image.Point{}, draw.Src)
	module := max(1, code.Dx()/37)
	for y := 4; y < 33; y++ {
		for x := 4; x < 33; x++ {
			if noise.IntN(2) == 0 {
				at := code.Min.Add(image.Pt(x*module, y*module))
				draw.Draw(img, image.Rectangle{at, at.Add(image.Pt(module, module))}, image.Black, image.Point{}, draw.Src)
			}
		}
	}
	portrait, face := boxes[1], photo(boxes[1].Dx(), boxes[1].Dy())
	radius := portrait.Dx() / 2
	for y := range portrait.Dy() {
		for x := range portrait.Dx() {
			if dx, dy := x-radius, y-radius; dx*dx+dy*dy < radius*radius {
				img.SetRGBA(portrait.Min.X+x, portrait.Min.Y+y, face.RGBAAt((x+seed)%portrait.Dx(), y))
			}
		}
	}
	for _, line := range boxes[2:] {
		for range line.Dx() / 6 {
			at := line.Min.Add(image.Pt(noise.IntN(line.Dx()*3/4), noise.IntN(line.Dy())))
			stroke := image.Rectangle{at, at.Add(image.Pt(2+noise.IntN(20), 2+noise.IntN(20)))}
			ink := image.NewUniform(color.RGBA{uint8(noise.IntN(40)), 20, 20, 255})
			if noise.IntN(2) == 0 {
				stroke.Max.X = stroke.Min.X + 3
			} else {
				stroke.Max.Y = stroke.Min.Y + 3
			}
			draw.Draw(img, stroke.Intersect(line), ink, image.Point{}, draw.Src)
		}
	}
	return img
}

func TestSize(t *testing.T) {
	t.Parallel()
	encode := func(t *testing.T, img *image.RGBA, level png.CompressionLevel) int {
		t.Helper()
		var b bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: level}).Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		return b.Len()
	}
	static, boxes := postcard(360, 640)
	flat := image.NewRGBA(static.Rect)
	fill(flat, flat.Rect, 0, 99)
	draw.Draw(flat, flat.Rect.Inset(40), image.White, image.Point{}, draw.Src)
	for name, c := range map[string]struct {
		ground  *image.RGBA
		sampled bool
		most    func(quick int) int
	}{
		"APhotoIsSmallerThanImagePNGMakesItQuickly":          {static, true, func(quick int) int { return quick * 95 / 100 }},
		"SoItIsWithoutASample":                               {static, false, func(quick int) int { return quick * 95 / 100 }},
		"FlatArtIsLargerByAFewBytesARow":                     {flat, true, func(quick int) int { return quick*103/100 + 10*160 }},
		"WithoutASampleFlatArtStillFitsWhatComesAsASurprise": {flat, false, func(quick int) int { return 2 * quick }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var samples []*image.RGBA
			if c.sampled {
				samples = append(samples, guest(c.ground, boxes, 1))
			}
			p := plate(t, c.ground, boxes, samples...)
			canvas := guest(c.ground, boxes, 2)
			file := p.Append(nil, canvas)
			same(t, file, canvas)
			quick, usual := encode(t, canvas, png.BestSpeed), encode(t, canvas, png.DefaultCompression)
			t.Logf("%d bytes, image/png %d at BestSpeed and %d by default; bound %d, plate %d", len(file), quick, usual, p.Bound(), p.Size())
			if len(file) > c.most(quick) {
				t.Errorf("%d bytes, image/png at BestSpeed takes %d", len(file), quick)
			}
		})
	}
}

// Other people's readers, where they are installed.
func TestReaders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	static, boxes := postcard(270, 480)
	p := plate(t, static, boxes)
	whole := plate(t, static, []image.Rectangle{static.Rect})
	none := plate(t, static, nil)
	canvas := guest(static, boxes, 3)
	files := map[string][]byte{
		"boxes": p.Append(nil, canvas), "all": whole.Append(nil, canvas), "none": none.Append(nil, static),
	}
	for name, file := range files {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("PngcheckHasNothingToSay", func(t *testing.T) {
		program := lookFor(t, "pngcheck")
		for name := range files {
			if said, err := exec.Command(program, "-v", filepath.Join(dir, name+".png")).CombinedOutput(); err != nil ||
				!strings.Contains(string(said), "No errors detected") {
				t.Errorf("%v\n%s", err, said)
			}
		}
	})
	t.Run("LibpngSeesTheSamePixels", func(t *testing.T) {
		said, err := exec.Command(lookFor(t, "convert"), filepath.Join(dir, "boxes.png"), "-strip", "-depth", "8", "ppm:-").Output()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(said, colours(canvas)) {
			t.Error("other pixels")
		}
	})
}

// colours is the picture without alpha, as PPM has it.
func colours(img *image.RGBA) []byte {
	var b []byte
	for i := 0; i < len(img.Pix); i += 4 {
		b = append(b, img.Pix[i:i+3]...)
	}
	return b
}

func lookFor(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("%s is not installed", program)
	}
	return path
}

// FuzzAppend draws what the bytes say on a picture of any size.
func FuzzAppend(f *testing.F) {
	f.Add(uint8(40), uint8(30), []byte{1, 2, 3, 4, 5, 6, 7, 8, 200, 1, 2, 3})
	f.Add(uint8(1), uint8(1), []byte{0, 0, 0, 1, 1, 9})
	f.Add(uint8(255), uint8(3), bytes.Repeat([]byte{255, 0, 3}, 90))
	f.Fuzz(func(t *testing.T, width, height uint8, data []byte) {
		static := image.NewRGBA(image.Rect(0, 0, int(width), int(height)))
		if static.Rect.Empty() {
			return
		}
		next := func() byte {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return b
		}
		var boxes []image.Rectangle
		for range next() % 5 {
			at := image.Pt(int(next()), int(next()))
			boxes = append(boxes, image.Rectangle{at, at.Add(image.Pt(int(next()), int(next())))})
		}
		fill(static, static.Rect, int(next())%kinds, int(next()))
		canvas := person(static, boxes, int(next()), int(next()))
		for _, box := range boxes {
			box = box.Intersect(static.Rect)
			for y := box.Min.Y; y < box.Max.Y; y++ {
				for x := box.Min.X; x < box.Max.X && len(data) > 0; x++ {
					canvas.SetRGBA(x, y, color.RGBA{next(), next(), next(), 255})
				}
			}
		}
		p := plate(t, static, boxes)
		file := p.Append(nil, canvas)
		if len(file) > p.Bound() {
			t.Fatalf("%d bytes, bound to %d", len(file), p.Bound())
		}
		same(t, file, canvas)
	})
}
