package poster_test

import (
	"image"
	"image/color"
	"math"
	"os"
	"testing"

	"golang.org/x/image/font/gofont/goregular"

	"kfactor/poster"
)

// meadowPhoto is a busy ground of dark and light patches, like a photo.
func meadowPhoto(w, h int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			v := 120 + 70*math.Sin(float64(x)/23+float64(y)/61) + 50*math.Sin(float64(y)/17-float64(x)/41)
			level := func(f float64) uint8 { return uint8(max(0, min(255, v*f+10))) }
			img.SetRGBA(x, y, color.RGBA{R: level(1.05), G: level(0.95), B: level(0.6), A: 255})
		}
	}
	return img
}

// scripts are lines in what people write names and posters in.
var scripts = []string{
	"简体中文\uff1a鹰击长空\uff0c鱼翔浅底", "繁體中文\uff1a鷹擊長空\uff0c魚翔淺底", "Łódź Ångström İşık façade ǆ", "Съешь ещё, Київ, Ґалаґан",
	"Ξεσκεπάζω την ψυχή ᾧ", "日本語いろはにほへと カタカナー", "한글 안녕하세요 ㅋㅋ", "Tiếng Việt: Nguyễn Hường", "注音ㄅㄆㄇㄈ e\u030b q\u0301 x\u0323",
	"👨‍👩‍👧‍👦 🧑🏿‍🤝‍🧑🏻 👍🏽 🇨🇳🇯🇵 1️⃣#️⃣ 🏴󠁧󠁢󠁳󠁣󠁴󠁿 ❤️‍🔥 🏳️‍🌈", "¥99.50 €12 ½ № ™ → ★ ①②",
}

// inEveryScript shows every script plain, outlined and with a shadow on a busy ground.
func inEveryScript() poster.Template {
	t := poster.Template{Width: 1000, Height: 1230, Background: "meadow-busy.jpg"}
	y := 20
	for i, value := range scripts {
		plain := poster.Text{Value: value, X: 20, Y: y, Size: 34, Color: "#FFFFFF", MaxWidth: 470}
		outlined, shadowed := plain, plain
		outlined.X, outlined.OutlineWidth, outlined.OutlineColor, outlined.Weight = 510, 3, "#123A63", "bold"
		shadowed.Y, shadowed.ShadowColor, shadowed.ShadowY, shadowed.ShadowBlur = y+44, "#000000CC", 2, 8
		both := outlined
		both.Y, both.Color, both.OutlineColor, both.ShadowColor, both.ShadowX, both.ShadowY, both.ShadowBlur = y+44, "#C62828", "", "#000000A0", 3, 4, 4
		if i >= 10 {
			both.OutlineWidth = 6
		}
		t.Layers = append(t.Layers, poster.Layer{Text: &plain}, poster.Layer{Text: &outlined}, poster.Layer{Text: &shadowed}, poster.Layer{Text: &both})
		y += 108
	}
	return t
}

func TestScripts(t *testing.T) {
	t.Parallel()
	press, err := poster.Compile(inEveryScript(), func(string) ([]byte, error) { return encodePNG(meadowPhoto(1000, 1230)), nil })
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "scripts", halved(decode(t, printed(t, press, "png", poster.Person{}))))
}

// signs is a poster of several lines in every alignment, and with a font of its own.
func signs() poster.Template {
	slogan := "和我一起\uff0c\u201c把秋天领回家\u201d\uff01立减\uffe5100\uff0cSeptember only"
	return poster.Template{
		Width: 900, Height: 620, Background: "#F4EEE2",
		Layers: []poster.Layer{
			{Text: &poster.Text{Value: slogan, X: 30, Y: 20, Size: 36, MaxWidth: 260, Lines: 5}},
			{Text: &poster.Text{Value: slogan, X: 450, Y: 20, Size: 36, MaxWidth: 260, Lines: 5, Align: "center", Weight: "bold", LineHeight: 1.2}},
			{Text: &poster.Text{Value: slogan, X: 870, Y: 20, Size: 36, MaxWidth: 260, Lines: 3, Align: "right"}},
			{Text: &poster.Text{Value: "{{nickname}} 邀请你\n一起领好礼", X: 30, Y: 300, Size: 36, MaxWidth: 300, Lines: 2}},
			{Text: &poster.Text{Value: "Avenue Wagner 秋 Łódź été", X: 450, Y: 300, Size: 48, MaxWidth: 430, Font: "brand.otf", Color: "#8A1C1C"}},
			{Text: &poster.Text{Value: "Autumn 秋天 2026 🎉", X: 450, Y: 400, Size: 64, MaxWidth: 430, Lines: 2, Font: "go.ttf", Color: "#FFFFFF", OutlineWidth: 4, OutlineColor: "#1B5E20", ShadowColor: "#00000080", ShadowY: 4, ShadowBlur: 8}},
			{Text: &poster.Text{Value: "半透明 glass", X: 30, Y: 440, Size: 72, Color: "#1565C040", OutlineWidth: 6, OutlineColor: "#C6282860"}},
		},
	}
}

// ownFonts gives the fonts that signs names.
func ownFonts(name string) ([]byte, error) {
	switch name {
	case "brand.otf":
		return os.ReadFile("typeface/testdata/brand.otf")
	case "go.ttf":
		return goregular.TTF, nil
	}
	return assets(name)
}

func TestLines(t *testing.T) {
	press, err := poster.Compile(signs(), ownFonts)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "signs", decode(t, printed(t, press, "png", poster.Person{Nickname: "名字很长很长的一位朋友和她的朋友"})))
}
