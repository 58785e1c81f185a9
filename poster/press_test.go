package poster_test

import (
	"bytes"
	"flag"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/draw"

	"kfactor/internal/fault"
	"kfactor/poster"
)

var update = flag.Bool("update", false, "write the golden images anew")

// golden compares a poster with testdata/NAME.png, allowing for the last bits of floating point arithmetic.
func golden(t *testing.T, name string, got image.Image) {
	t.Helper()
	path := filepath.Join("testdata", name+".png")
	if *update {
		if err := os.WriteFile(path, encodePNG(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := decode(t, file)
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("%s is %v, want %v", name, got.Bounds().Size(), want.Bounds().Size())
	}
	off := 0
	b := want.Bounds()
	one, other := pixels(got), pixels(want)
	for i := 0; i < len(one); i += 4 {
		for c := range 3 {
			if d := int(one[i+c]) - int(other[i+c]); d > 8 || d < -8 {
				off++
				break
			}
		}
	}
	if allowed := b.Dx() * b.Dy() / 2000; off > allowed {
		out := filepath.Join(t.TempDir(), name+".png")
		_ = os.WriteFile(out, encodePNG(got), 0o644)
		t.Errorf("%s differs in %d pixels, more than %d", name, off, allowed)
	}
}

// halved is a picture at half its size.
func halved(img image.Image) image.Image {
	b := img.Bounds()
	to := image.NewRGBA(image.Rect(0, 0, b.Dx()/2, b.Dy()/2))
	draw.BiLinear.Scale(to, to.Rect, img, b, draw.Src, nil)
	return to
}

// distance is the largest difference of two colours in one channel, 0 to 255.
func distance(a, b color.Color) int {
	r1, g1, b1, _ := a.RGBA()
	r2, g2, b2, _ := b.RGBA()
	far := 0
	for _, d := range []int{int(r1>>8) - int(r2>>8), int(g1>>8) - int(g2>>8), int(b1>>8) - int(b2>>8)} {
		far = max(far, d, -d)
	}
	return far
}

func decode(t testing.TB, file []byte) image.Image {
	t.Helper()
	img, _, err := image.Decode(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// read gives the text of the QR code in a picture.
func read(img image.Image) (string, error) {
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}

// inked says whether anything of another colour than the ground was drawn in a rectangle.
func inked(img image.Image, r image.Rectangle) bool {
	ground := img.At(0, 0)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if distance(img.At(x, y), ground) > 8 {
				return true
			}
		}
	}
	return false
}

// strip is a poster of one line of text and nothing else.
func strip(value string) poster.Template {
	return poster.Template{
		Width: 480, Height: 200, Background: "#FFFFFF",
		Layers: []poster.Layer{{Text: &poster.Text{Value: value, X: 20, Y: 60, Size: 40, MaxWidth: 400}}},
	}
}

func lineOf(t testing.TB, value string, person poster.Person) image.Image {
	t.Helper()
	return decode(t, printed(t, compile(t, strip(value)), "png", person))
}

func TestPrint(t *testing.T) {
	t.Parallel()
	t.Run("LooksAsItDidBefore", func(t *testing.T) {
		golden(t, "spring", halved(decode(t, printed(t, compile(t, spring()), "png", lin()))))
		golden(t, "autumn", halved(decode(t, printed(t, compile(t, autumn()), "png", lin()))))
		for name, nickname := range map[string]string{
			"name-emoji":      "👨‍👩‍👧‍👦🇨🇳👍🏽❤️1️⃣🏴󠁧󠁢󠁥󠁮󠁧󠁿⭐",
			"name-couple":     "a🩷🧑🏿‍🤝‍🧑🏻b",
			"name-rare":       "镕喆堃䶮 Ünï Ëлка",
			"name-vietnamese": "Nguyễn Ước e\u0302\u0301",
			"name-fancy":      "𝓑𝓮𝓪𝓾𝓽𝔂 Ⓐ",
		} {
			golden(t, name, lineOf(t, "{{nickname}}", poster.Person{Nickname: nickname}))
		}
	})

	t.Run("TheSameInputGivesTheSameBytes", func(t *testing.T) {
		fresh, press := compile(t, small()), compile(t, small())
		for _, format := range []string{"jpeg", "png"} {
			one := printed(t, fresh, format, lin())
			printed(t, press, format, poster.Person{Code: "A", Link: "https://kf.example/r/A", Nickname: "别人"})
			if !bytes.Equal(one, printed(t, press, format, lin())) {
				t.Errorf("%s depends on what was printed before", format)
			}
		}
	})

	t.Run("ManyPrintAtOnce", func(t *testing.T) {
		press := compile(t, small())
		names := []string{"小林", "Анна", "🎉🎉", "", "Ünï"}
		var want [5][]byte
		for i, name := range names {
			want[i] = printed(t, press, "jpeg", poster.Person{Link: "https://kf.example/r/A", Nickname: name})
		}
		fresh := compile(t, small())
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				var b bytes.Buffer
				if err := fresh.Print(&b, "jpeg", poster.Person{Link: "https://kf.example/r/A", Nickname: names[i%5]}); err != nil {
					t.Error(err)
				}
				if !bytes.Equal(b.Bytes(), want[i%5]) {
					t.Errorf("%q differs when printed beside others", names[i%5])
				}
			})
		}
		all.Wait()
	})

	t.Run("TheFormatIsTheTemplatesUnlessAsked", func(t *testing.T) {
		template := small()
		template.Format = "png"
		press := compile(t, template)
		for format, want := range map[string]string{"": "png", "png": "png", "jpeg": "jpeg"} {
			if _, got, _ := image.DecodeConfig(bytes.NewReader(printed(t, press, format, lin()))); got != want {
				t.Errorf("format %q gives %s, want %s", format, got, want)
			}
		}
		if err := press.Print(io.Discard, "bmp", lin()); fault.KindOf(err) != fault.Unsupported {
			t.Errorf("bmp gives %v", err)
		}
	})

	t.Run("ANameThatIsMissingOrUndrawableIsAFriend", func(t *testing.T) {
		friend := lineOf(t, "{{nickname}}你好", poster.Person{Nickname: "好友"})
		for _, name := range []string{"", "   ", "\u202e\u200b\t\n", "ㅤ", "שלום", "\U000f0000", "\xff\xfe", strings.Repeat("\u0301", 50)} {
			if !same(lineOf(t, "{{nickname}}你好", poster.Person{Nickname: name}), friend) {
				t.Errorf("%q is not printed as a friend", name)
			}
		}
	})

	t.Run("WhatCannotBeSeenIsNotDrawn", func(t *testing.T) {
		plain := lineOf(t, "{{nickname}}", poster.Person{Nickname: "ab c"})
		for _, name := range []string{"a\x00b\x1b c", "\u202eab\u2069 c", "ab\n\n\tc ", " ab  c", "a\u200bb\ufeff c", "ab שלום c", "ab \U0001fae9c"} {
			if !same(lineOf(t, "{{nickname}}", poster.Person{Nickname: name}), plain) {
				t.Errorf("%q is not printed as %q", name, "ab c")
			}
		}
	})

	t.Run("MarkupIsText", func(t *testing.T) {
		if same(lineOf(t, "{{nickname}}", poster.Person{Nickname: "<b>a</b>"}), lineOf(t, "{{nickname}}", poster.Person{Nickname: "a"})) {
			t.Error("markup disappeared")
		}
		if same(lineOf(t, "{{nickname}}", poster.Person{Nickname: "{{code}}", Code: "A"}), lineOf(t, "{{nickname}}", poster.Person{Nickname: "A"})) {
			t.Error("a name is taken for a template")
		}
	})

	t.Run("ALongNameStaysInItsBox", func(t *testing.T) {
		for _, name := range []string{
			strings.Repeat("长", 10000), strings.Repeat("W", 10000), strings.Repeat("👨‍👩‍👧‍👦", 2000), strings.Repeat("👩‍", 5000),
			"a" + strings.Repeat("\u0301", 10000), strings.Repeat("م", 10000), strings.Repeat("x ", 5000), strings.Repeat("🏴\U000e0067", 3000),
		} {
			img := lineOf(t, "{{nickname}}", poster.Person{Nickname: name})
			if inked(img, image.Rect(421, 0, 480, 200)) || inked(img, image.Rect(0, 0, 480, 40)) || inked(img, image.Rect(0, 120, 480, 200)) {
				t.Errorf("%.20q… leaves its box", name)
			}
			if !inked(img, image.Rect(0, 40, 421, 120)) {
				t.Errorf("%.20q… is not drawn", name)
			}
		}
	})

	t.Run("ALongNameKeepsTheWordsAroundIt", func(t *testing.T) {
		short := lineOf(t, "{{nickname}}邀请你", poster.Person{Nickname: "一二三四五六…"})
		long := lineOf(t, "{{nickname}}邀请你", poster.Person{Nickname: "一二三四五六七八九十"})
		if !same(short, long) {
			t.Error("the name is not what was shortened")
		}
	})

	t.Run("AnEmojiIsNotCutInTwo", func(t *testing.T) {
		family := "👨‍👩‍👧‍👦"
		long := lineOf(t, "{{nickname}}", poster.Person{Nickname: strings.Repeat(family, 30)})
		for n := 1; n < 30; n++ {
			if same(long, lineOf(t, "{{nickname}}", poster.Person{Nickname: strings.Repeat(family, n) + "…"})) {
				return
			}
		}
		t.Error("what is left are no whole families")
	})

	t.Run("AFieldOfTheCallersOwn", func(t *testing.T) {
		template := strip("{{city}}")
		template.Variables = []string{"city"}
		img := decode(t, printed(t, compile(t, template), "png", poster.Person{Fields: map[string]string{"city": "上海"}}))
		if !same(img, lineOf(t, "上海", poster.Person{})) {
			t.Error("the field's value is not printed")
		}
	})

	t.Run("WhatLiesAboveAPersonsPartIsDrawnAbove", func(t *testing.T) {
		template := strip("{{nickname}}")
		template.Layers = append(template.Layers, poster.Layer{Rect: &poster.Rect{X: 0, Y: 0, Width: 480, Height: 200, Color: "#FFFFFF"}})
		if inked(decode(t, printed(t, compile(t, template), "png", lin())), image.Rect(0, 0, 480, 200)) {
			t.Error("the name shows through the rectangle above it")
		}
	})
}

func same(a, b image.Image) bool {
	return a.Bounds().Size() == b.Bounds().Size() && bytes.Equal(pixels(a), pixels(b))
}

// pixels are a picture's, four bytes each.
func pixels(img image.Image) []byte {
	to := image.NewRGBA(image.Rectangle{Max: img.Bounds().Size()})
	draw.Draw(to, to.Rect, img, img.Bounds().Min, draw.Src)
	return to.Pix
}

func TestAvatar(t *testing.T) {
	badge := func(shape string) poster.Template {
		return poster.Template{
			Width: 200, Height: 200, Background: "#FFFFFF",
			Layers: []poster.Layer{{Avatar: &poster.Avatar{X: 20, Y: 20, Size: 160, Shape: shape}}},
		}
	}
	show := func(t *testing.T, person poster.Person) image.Image {
		t.Helper()
		return decode(t, printed(t, compile(t, badge("circle")), "png", person))
	}

	t.Run("LooksAsItDidBefore", func(t *testing.T) {
		golden(t, "avatar-picture", show(t, lin()))
		golden(t, "avatar-initial", show(t, poster.Person{Nickname: "小林"}))
		golden(t, "avatar-letter", show(t, poster.Person{Nickname: "~anna"}))
		golden(t, "avatar-emoji", show(t, poster.Person{Nickname: "🧑🏿‍🚀 x"}))
		golden(t, "avatar-nobody", show(t, poster.Person{}))
		golden(t, "avatar-rounded", decode(t, printed(t, compile(t, badge("rounded")), "png", lin())))
	})

	t.Run("ABrokenOrHugePictureIsReplacedByTheInitial", func(t *testing.T) {
		initial := show(t, poster.Person{Nickname: "小林"})
		whole := encodeJPEG(gradient(132, 132))
		for name, file := range map[string][]byte{
			"empty": {}, "text": []byte("<html>"), "cut": whole[:len(whole)/2], "megapixels": header(20000, 20000), "bytes": make([]byte, 6<<20),
		} {
			if !same(show(t, poster.Person{Nickname: "小林", Avatar: file}), initial) {
				t.Errorf("%s: not the initial", name)
			}
		}
	})

	t.Run("ATransparentPictureLiesOnWhite", func(t *testing.T) {
		img := show(t, poster.Person{Avatar: encodePNG(image.NewNRGBA(image.Rect(0, 0, 9, 9)))})
		if inked(img, img.Bounds()) {
			t.Error("transparent is not white")
		}
	})

	t.Run("AWidePictureIsCutNotSquashed", func(t *testing.T) {
		wide := image.NewRGBA(image.Rect(0, 0, 300, 100))
		draw.Draw(wide, image.Rect(100, 0, 200, 100), image.NewUniform(color.RGBA{R: 255, A: 255}), image.Point{}, draw.Src)
		img := show(t, poster.Person{Avatar: encodePNG(wide)})
		for _, at := range []image.Point{{100, 100}, {30, 100}, {170, 100}} {
			if distance(img.At(at.X, at.Y), color.RGBA{R: 255, A: 255}) > 40 {
				t.Errorf("at %v is %v, want red", at, img.At(at.X, at.Y))
			}
		}
	})
}

func TestQR(t *testing.T) {
	t.Parallel()
	templates := []poster.Template{spring(), autumn()}
	presses := []*poster.Press{compile(t, templates[0]), compile(t, templates[1])}
	var jpegs []image.Image

	t.Run("ReadsInEveryFormat", func(t *testing.T) {
		for i, template := range templates {
			press := presses[i]
			for _, format := range []string{"jpeg", "png"} {
				file := printed(t, press, format, lin())
				img := decode(t, file)
				if format == "jpeg" {
					jpegs = append(jpegs, img)
				}
				if got, err := read(img); got != lin().Link {
					t.Errorf("%s of %d x %d reads %q, %v", format, template.Width, template.Height, got, err)
				}
				zbar(t, file, format, lin().Link)
			}
		}
	})

	t.Run("ReadsAfterAChatProgramShrankIt", func(t *testing.T) {
		for i, template := range templates {
			img := jpegs[i]
			small := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx()/2, img.Bounds().Dy()/2))
			draw.BiLinear.Scale(small, small.Rect, img, img.Bounds(), draw.Src, nil)
			var b bytes.Buffer
			if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: 50}); err != nil {
				t.Fatal(err)
			}
			if got, err := read(decode(t, b.Bytes())); got != lin().Link {
				t.Errorf("%d x %d reads %q, %v", template.Width, template.Height, got, err)
			}
		}
	})

	t.Run("EveryLinkOfTheExpectedLengthKeepsTheModulesThatCheckCounted", func(t *testing.T) {
		press := compile(t, poster.Template{
			Width: 300, Height: 300, Layers: []poster.Layer{{QR: &poster.QR{X: 10, Y: 10, Size: 280}}},
		})
		random := rand.New(rand.NewPCG(1, 2))
		for range 25 {
			link := "https://"
			for len(link) < 60 {
				const letters = "ABCdef0123456789-_./?=&"
				link += string(letters[random.IntN(len(letters))])
			}
			if got, err := read(decode(t, printed(t, press, "png", poster.Person{Link: link}))); got != link {
				t.Errorf("%s reads %q, %v", link, got, err)
			}
		}
	})

	t.Run("ALinkThatDoesNotFitIsRefused", func(t *testing.T) {
		press := presses[0]
		for _, link := range []string{"", strings.Repeat("x", 3000), "https://" + strings.Repeat("x", 2000)} {
			if err := press.Print(io.Discard, "", poster.Person{Link: link}); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%d characters give %v", len(link), err)
			}
		}
	})

	t.Run("BareAsPNG", func(t *testing.T) {
		for _, size := range []int{64, 300, 512, 1000} {
			var b bytes.Buffer
			if err := poster.QRPNG(&b, lin().Link, size); err != nil {
				t.Fatal(err)
			}
			img := decode(t, b.Bytes())
			if img.Bounds().Dx() != size || img.Bounds().Dy() != size {
				t.Errorf("asked for %d pixels, got %v", size, img.Bounds())
			}
			if got, err := read(img); got != lin().Link {
				t.Errorf("%d pixels read %q, %v", size, got, err)
			}
		}
		for _, size := range []int{-1, 0, 20, 5000} {
			if err := poster.QRPNG(io.Discard, lin().Link, size); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%d pixels give %v", size, err)
			}
		}
	})

	t.Run("BareAsSVG", func(t *testing.T) {
		var b bytes.Buffer
		if err := poster.QRSVG(&b, lin().Link); err != nil {
			t.Fatal(err)
		}
		if got, err := read(rasterize(t, b.String())); got != lin().Link {
			t.Errorf("reads %q, %v", got, err)
		}
		if err := poster.QRSVG(io.Discard, ""); fault.KindOf(err) != fault.Invalid {
			t.Errorf("no link gives %v", err)
		}
	})
}

// rasterize draws the rows of an SVG of QRSVG, eight pixels a module.
func rasterize(t *testing.T, svg string) image.Image {
	t.Helper()
	_, box, _ := strings.Cut(svg, `viewBox="0 0 `)
	side, err := strconv.Atoi(strings.Fields(box)[0])
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewGray(image.Rect(0, 0, side*8, side*8))
	draw.Draw(img, img.Rect, image.White, image.Point{}, draw.Src)
	_, path, _ := strings.Cut(svg, `<path d="M`)
	path, _, _ = strings.Cut(path, `z"/>`)
	for run := range strings.SplitSeq(path, "zM") {
		numbers := strings.FieldsFunc(run, func(r rune) bool { return strings.ContainsRune(" hv-", r) })
		x, _ := strconv.Atoi(numbers[0])
		y, _ := strconv.Atoi(numbers[1])
		w, _ := strconv.Atoi(numbers[2])
		draw.Draw(img, image.Rect(x*8, y*8, (x+w)*8, (y+1)*8), image.Black, image.Point{}, draw.Src)
	}
	return img
}

// zbar reads a poster with a second, unrelated reader where that is installed.
func zbar(t *testing.T, file []byte, format, want string) {
	t.Helper()
	program, err := exec.LookPath("zbarimg")
	if err != nil {
		return
	}
	path := filepath.Join(t.TempDir(), "poster."+format)
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(program, "-q", "--raw", path).Output()
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("zbarimg reads %q, %v", got, err)
	}
}
