package poster_test

import (
	"image"
	"image/color"
	"math"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/image/font/gofont/goregular"

	"kfactor/internal/fault"
	"kfactor/poster"
)

func TestCheck(t *testing.T) {
	t.Run("TheSamplesAreFine", func(t *testing.T) {
		for _, template := range []poster.Template{spring(), autumn()} {
			if problems := poster.Check(template); len(problems) > 0 {
				t.Errorf("%v", problems)
			}
			if warnings := poster.Warnings(template); len(warnings) > 0 {
				t.Errorf("%v", warnings)
			}
		}
	})

	// Each spoils the spring poster in one way and must be reported at one field.
	for name, spoil := range map[string]struct {
		field, says string
		how         func(t *poster.Template)
	}{
		"TooNarrow":           {"size", "100 x 1334", func(t *poster.Template) { t.Width, t.Layers = 100, nil }},
		"TooTall":             {"size", "750 x 9000", func(t *poster.Template) { t.Height = 9000 }},
		"ABackgroundNoColour": {"background", "#FFF", func(t *poster.Template) { t.Background = "#FFF" }},
		"AnUnknownFormat":     {"format", "gif", func(t *poster.Template) { t.Format = "gif" }},
		"ALowQuality":         {"quality", "10", func(t *poster.Template) { t.Quality = 10 }},
		"AThousandLayers":     {"layers", "1000", func(t *poster.Template) { t.Layers = make([]poster.Layer, 1000) }},
		"AnEmptyLayer":        {"layers[0]", "exactly one", func(t *poster.Template) { t.Layers[0] = poster.Layer{} }},
		"TwoThingsInALayer":   {"layers[0]", "exactly one", func(t *poster.Template) { t.Layers[0].QR = t.Layers[1].QR }},
		"AnUnknownVariable":   {"layers[0].text.value", "{{nickname}}", func(t *poster.Template) { t.Layers[0].Text.Value = "{{nick}}" }},
		"ABraceTooFew":        {"layers[0].text.value", "brace", func(t *poster.Template) { t.Layers[0].Text.Value = "{{nickname}" }},
		"AnEmptyText":         {"layers[0].text.value", "empty", func(t *poster.Template) { t.Layers[0].Text.Value = " " }},
		"AnEndlessText":       {"layers[0].text.value", "at most", func(t *poster.Template) { t.Layers[0].Text.Value = strings.Repeat("长", 10000) }},
		"ATextBelowTheEdge":   {"layers[0].text.at", "leaves", func(t *poster.Template) { t.Layers[0].Text.Y = 1300 }},
		"ATextTooWide":        {"layers[0].text.max_width", "leaves", func(t *poster.Template) { t.Layers[0].Text.MaxWidth = 700 }},
		"ATextWithoutRoom":    {"layers[0].text.max_width", "one character", func(t *poster.Template) { t.Layers[0].Text.MaxWidth = 20 }},
		"ATextAtTheEdge":      {"layers[0].text.at", "up to the edge", func(t *poster.Template) { t.Layers[0].Text.X, t.Layers[0].Text.MaxWidth = 740, 0 }},
		"ATinyText":           {"layers[0].text.size", "8 to 512", func(t *poster.Template) { t.Layers[0].Text.Size = 2 }},
		"AColourByName":       {"layers[0].text.color", "red", func(t *poster.Template) { t.Layers[0].Text.Color = "red" }},
		"AnUnknownAlign":      {"layers[0].text.align", "justify", func(t *poster.Template) { t.Layers[0].Text.Align = "justify" }},
		"TooManyLines":        {"layers[0].text.lines", "1 to 20", func(t *poster.Template) { t.Layers[0].Text.Lines = 21 }},
		"LinesBelowTheEdge":   {"layers[0].text.lines", "fewer", func(t *poster.Template) { t.Layers[0].Text.Y, t.Layers[0].Text.Lines = 1200, 5 }},
		"LinesOnEachOther":    {"layers[0].text.line_height", "0.8 to 3", func(t *poster.Template) { t.Layers[0].Text.LineHeight = 0.2 }},
		"NoLineHeight":        {"layers[0].text.line_height", "0.8 to 3", func(t *poster.Template) { t.Layers[0].Text.LineHeight = math.NaN() }},
		"AFatOutline":         {"layers[0].text.outline.width", "32", func(t *poster.Template) { t.Layers[0].Text.OutlineWidth = 33 }},
		"AColourlessOutline":  {"layers[0].text.outline.color", "red", func(t *poster.Template) { t.Layers[0].Text.OutlineColor = "red" }},
		"ADistantShadow":      {"layers[0].text.shadow.offset", "64", func(t *poster.Template) { t.Layers[0].Text.ShadowX = 65 }},
		"AFoggyShadow":        {"layers[0].text.shadow.blur", "64", func(t *poster.Template) { t.Layers[0].Text.ShadowBlur = 65 }},
		"AColourlessShadow":   {"layers[0].text.shadow.color", "grey", func(t *poster.Template) { t.Layers[0].Text.ShadowColor = "grey" }},
		"APictureAsFont":      {"layers[0].text.font", ".ttf or .otf", func(t *poster.Template) { t.Layers[0].Text.Font = "brand.png" }},
		"AQRTooSmall":         {"layers[1].qr.size", "make it at least 123", func(t *poster.Template) { t.Layers[1].QR.Size = 100 }},
		"AQROutside":          {"layers[1].qr.at", "leaves", func(t *poster.Template) { t.Layers[1].QR.X = 600 }},
		"AQRFarOutside":       {"layers[1].qr.at", "leaves", func(t *poster.Template) { t.Layers[1].QR.X = 1<<63 - 1 }},
		"AnUnknownLevel":      {"layers[1].qr.level", "L, M, Q, H", func(t *poster.Template) { t.Layers[1].QR.Level = "X" }},
		"ALogoOnLevelM":       {"layers[1].qr.level", "Q or H", func(t *poster.Template) { t.Layers[1].QR.Level, t.Layers[1].QR.Logo = "M", "logo.png" }},
		"InvertedColours":     {"layers[1].qr.dark", "exchange", func(t *poster.Template) { t.Layers[1].QR.Dark, t.Layers[1].QR.Light = "#FFFFFF", "#000000" }},
		"PaleColours":         {"layers[1].qr.dark", "contrast", func(t *poster.Template) { t.Layers[1].QR.Dark = "#BBBBBB" }},
		"LongLinks":           {"layers[1].qr.size", "300 characters", func(t *poster.Template) { t.LinkLength, t.Layers[1].QR.Size = 300, 160 }},
		"AnAvatarOutside":     {"layers[0].avatar.at", "leaves", func(t *poster.Template) { t.Layers[0] = poster.Layer{Avatar: &poster.Avatar{X: 700, Size: 100}} }},
		"AnUnknownShape": {"layers[0].avatar.shape", "star", func(t *poster.Template) {
			t.Layers[0] = poster.Layer{Avatar: &poster.Avatar{Size: 100, Shape: "star"}}
		}},
		"APictureWithoutName": {"layers[0].image.source", "missing", func(t *poster.Template) { t.Layers[0] = poster.Layer{Image: &poster.Image{}} }},
		"APictureOutside":     {"layers[0].image.at", "outside", func(t *poster.Template) { t.Layers[0] = poster.Layer{Image: &poster.Image{Source: "a.png", X: 750}} }},
		"ARectOfNothing":      {"layers[0].rect.size", "0 x 0", func(t *poster.Template) { t.Layers[0] = poster.Layer{Rect: &poster.Rect{Color: "#FFFFFF"}} }},
		"ARectTooRound": {"layers[0].rect.radius", "up to", func(t *poster.Template) {
			t.Layers[0] = poster.Layer{Rect: &poster.Rect{Width: 10, Height: 10, Radius: 6, Color: "#FFFFFF"}}
		}},
	} {
		t.Run(name+"IsRefused", func(t *testing.T) {
			template := spring()
			spoil.how(&template)
			problems := poster.Check(template)
			if len(problems) != 1 || problems[0].Field != spoil.field || !strings.Contains(problems[0].Message, spoil.says) {
				t.Errorf("got %v, want %q that says %q", problems, spoil.field, spoil.says)
			}
			if _, err := poster.Compile(template, assets); fault.KindOf(err) != fault.Invalid {
				t.Errorf("it is compiled all the same: %v", err)
			}
		})
	}

	t.Run("ModulesAreCountedAt1080Pixels", func(t *testing.T) {
		// A link of 60 characters at level M has 33 modules a side, with the margin 41.
		for width, size := range map[int]int{1080: 4 * 41, 540: 2 * 41, 2160: 8 * 41} {
			template := poster.Template{Width: width, Height: 1000, Layers: []poster.Layer{{QR: &poster.QR{Size: size}}}}
			if problems := poster.Check(template); len(problems) > 0 {
				t.Errorf("%d of %d is refused: %v", size, width, problems)
			}
			if len(poster.Warnings(template)) != 1 {
				t.Errorf("%d of %d gives no warning", size, width)
			}
			template.Layers[0].QR.Size--
			if len(poster.Check(template)) != 1 {
				t.Errorf("%d of %d is taken", size-1, width)
			}
		}
	})

	t.Run("WhatCoversACodeIsAWarning", func(t *testing.T) {
		template := spring()
		template.Layers = append(template.Layers, poster.Layer{Avatar: &poster.Avatar{X: 300, Y: 1000, Size: 60}})
		warnings := poster.Warnings(template)
		if len(warnings) != 1 || warnings[0].Field != "layers[1].qr" {
			t.Errorf("got %v", warnings)
		}
	})
}

func TestCompile(t *testing.T) {
	t.Run("AMissingFileIsNamed", func(t *testing.T) {
		template := spring()
		for range 4 {
			template.Layers = append(template.Layers, poster.Layer{Image: &poster.Image{Source: "badge.png"}})
		}
		template.Layers[5].Image.Source = "gone.png"
		_, err := poster.Compile(template, assets)
		if fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "layers[5].image.source: gone.png") {
			t.Errorf("got %v", err)
		}
		if _, err := poster.Compile(template, nil); fault.KindOf(err) != fault.NotFound {
			t.Errorf("without assets: %v", err)
		}
	})

	t.Run("AFileIsDecodedOnceHoweverOftenItIsShown", func(t *testing.T) {
		template := small()
		template.Layers = append(template.Layers,
			poster.Layer{Image: &poster.Image{Source: "badge.png", X: 300, Y: 200}},
			poster.Layer{Image: &poster.Image{Source: "meadow.jpg", X: 10, Y: 10, Width: 40}},
			poster.Layer{Image: &poster.Image{Source: "logo.png", X: 60, Y: 10, Width: 40}},
		)
		asked := map[string]int{}
		press, err := poster.Compile(template, func(name string) ([]byte, error) {
			asked[name]++
			return assets(name)
		})
		if err != nil {
			t.Fatal(err)
		}
		if asked["meadow.jpg"] != 1 || asked["badge.png"] != 1 || asked["logo.png"] != 1 {
			t.Errorf("asked for %v", asked)
		}
		img := decode(t, printed(t, press, "png", lin()))
		for _, shown := range []image.Rectangle{image.Rect(300, 200, 420, 320), image.Rect(10, 200, 130, 320)} {
			if at := shown.Min.Add(shown.Size().Div(2)); distance(img.At(at.X, at.Y), color.RGBA{R: 0xff, G: 0xc1, B: 0x07, A: 255}) > 40 {
				t.Errorf("no badge at %v: %v", at, img.At(at.X, at.Y))
			}
		}
	})

	t.Run("ALargeBackgroundIsLetGo", func(t *testing.T) {
		large := encodePNG(&image.Gray{Pix: make([]byte, 2500*2500), Stride: 2500, Rect: image.Rect(0, 0, 2500, 2500)})
		template := spring()
		template.Background = "large.png"
		template.Layers[1].QR.Logo, template.Layers[1].QR.Level = "large.png", "H"
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		press, err := poster.Compile(template, func(string) ([]byte, error) { return large, nil })
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
			t.Errorf("compiling takes %d MiB for a picture of 6", used>>20)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 8<<20 {
			t.Errorf("the press keeps %d MiB", kept>>20)
		}
		if img := decode(t, printed(t, press, "png", lin())); distance(img.At(100, 700), color.Black) > 8 {
			t.Errorf("the background is %v", img.At(100, 700))
		}
	})

	t.Run("FontsAreAskedForOnceAndBounded", func(t *testing.T) {
		template := poster.Template{Width: 800, Height: 400}
		for _, name := range []string{"a.ttf", "b.otf", "a.ttf", "c.ttf", "d.ttf"} {
			template.Layers = append(template.Layers, poster.Layer{Text: &poster.Text{Value: "{{nickname}}", Size: 20, Font: name}})
		}
		asked := map[string]int{}
		give := func(name string) ([]byte, error) {
			asked[name]++
			return goregular.TTF, nil
		}
		if _, err := poster.Compile(template, give); err != nil || asked["a.ttf"] != 1 {
			t.Errorf("%v, asked for %v", err, asked)
		}
		template.Layers = append(template.Layers, poster.Layer{Text: &poster.Text{Value: "x", Size: 20, Font: "e.ttf"}})
		_, err := poster.Compile(template, give)
		if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "layers[5].text.font: e.ttf is one font too many") {
			t.Errorf("got %v", err)
		}
		_, err = poster.Compile(template, func(string) ([]byte, error) { return make([]byte, 200<<20), nil })
		if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "layers[0].text.font: a.ttf has 200.0 MiB") {
			t.Errorf("got %v", err)
		}
		_, err = poster.Compile(template, func(string) ([]byte, error) { return goregular.TTF[:9000], nil })
		if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "layers[0].text.font: a.ttf: the font is broken") {
			t.Errorf("got %v", err)
		}
		_, err = poster.Compile(template, nil)
		if fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	})

	t.Run("PicturesWithoutEndAreRefused", func(t *testing.T) {
		template := poster.Template{Width: 4096, Height: 4096}
		for range 6 {
			template.Layers = append(template.Layers, poster.Layer{Image: &poster.Image{Source: "badge.png", Width: 4096}})
		}
		_, err := poster.Compile(template, assets)
		if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "layers[4].image.source: the pictures on the poster cover more than") {
			t.Errorf("got %v", err)
		}
	})
}
