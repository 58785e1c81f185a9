package poster_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"golang.org/x/image/draw"

	"kfactor/poster"
)

var sheetFile = flag.String("sheet", "", "write the contact sheet to this file")

// Of the contact sheet: how many posters lie beside each other, and how wide they and the gaps are.
const (
	sheetColumns = 8
	sheetWidth   = 216
	sheetGap     = 12
)

// TestContactSheet prints two dozen posters that are hard in a way of their own. Every code is read at full size.
//
//	go test ./poster -run TestContactSheet -sheet ../docs/images/posters.jpg
func TestContactSheet(t *testing.T) {
	t.Parallel()
	shots := contactSheet()
	if testing.Short() {
		shots = shots[:2]
	}
	prints, presses := make([]image.Image, len(shots)), map[int]*poster.Press{}
	for i, s := range shots {
		t.Run(s.name, func(t *testing.T) {
			press := presses[s.design]
			if press == nil {
				var err error
				if press, err = poster.Compile(s.template, sheetAssets); err != nil {
					t.Fatal(err)
				}
				presses[s.design] = press
			}
			file := printed(t, press, "", s.person)
			var err error
			if prints[i], _, err = image.Decode(bytes.NewReader(file)); err != nil {
				t.Fatal(err)
			}
			bitmap, err := gozxing.NewBinaryBitmapFromImage(prints[i])
			if err != nil {
				t.Fatal(err)
			}
			if read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err != nil || read.GetText() != s.person.Link {
				t.Errorf("gozxing reads %v, %v", read, err)
			}
			bars, err := exec.LookPath("zbarimg")
			if err != nil {
				return
			}
			path := filepath.Join(t.TempDir(), "poster."+map[bool]string{true: "png", false: "jpg"}[s.template.Format == "png"])
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			read, err := exec.CommandContext(t.Context(), bars, "-q", "--raw", path).Output()
			if err != nil || strings.TrimSpace(string(read)) != s.person.Link {
				t.Errorf("zbarimg reads %q, %v", read, err)
			}
		})
	}
	if *sheetFile == "" || t.Failed() {
		return
	}
	if err := os.WriteFile(*sheetFile, laidOut(t, prints), 0o644); err != nil { //nolint:gosec // a picture of the documentation
		t.Fatal(err)
	}
}

// laidOut is all posters on one picture, in rows.
func laidOut(t *testing.T, prints []image.Image) []byte {
	t.Helper()
	high := sheetWidth * 16 / 9
	rows := (len(prints) + sheetColumns - 1) / sheetColumns
	all := image.NewRGBA(image.Rect(0, 0, sheetColumns*(sheetWidth+sheetGap)+sheetGap, rows*(high+sheetGap)+sheetGap))
	draw.Draw(all, all.Bounds(), image.NewUniform(color.Gray{Y: 0x30}), image.Point{}, draw.Src)
	for i, m := range prints {
		at := image.Pt(sheetGap+i%sheetColumns*(sheetWidth+sheetGap), sheetGap+i/sheetColumns*(high+sheetGap))
		draw.CatmullRom.Scale(all, image.Rectangle{at, at.Add(image.Pt(sheetWidth, high))}, m, m.Bounds(), draw.Src, nil)
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, all, &jpeg.Options{Quality: 82}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// shot is one poster of the contact sheet.
type shot struct {
	name     string
	design   int
	template poster.Template
	person   poster.Person
}

func sheetAssets(name string) ([]byte, error) {
	if name == "own.ttf" {
		return os.ReadFile("fonts/PosterLatin-Bold.ttf")
	}
	return assets(name)
}

// contactSheet is what the sheet shows: four designs, and people who make each of them hard.
func contactSheet() []shot {
	people := []struct{ name, nickname string }{
		{"plain", "小林 Anna"},
		{"traditional", "臺灣的陳小姐"},
		{"nobody", ""},
		{"emoji", "👩‍👩‍👧‍👦🏳️‍🌈🇨🇳👍🏽"},
		{"long", strings.Repeat("很长很长的名字", 9)},
		{"long latin", "Wolfeschlegelsteinhausenbergerdorff the Third of Nowhere"},
		{"cyrillic", "Екатерина Ёлкина"},
		{"kana", "さくら・サクラ 桜子"},
		{"arabic", "محمد علي"},
		{"hangul", "김민수 지우"},
		{"marks", "Z̷̢̛a̶̡̕l̸̨͝g̵̛̱o Nguyễn"},
		{"rare", "𠮷野家 龘靐"},
		{"mixed", "Лин-小林-リン-Linh 🌸"},
		{"bidi", "abc\u202exyz 小明"},
		{"heart", "❤️🔥💯✨🎂🎁"},
		{"fancy", "𝓕𝓪𝓷𝓬𝔂 ｆｕｌｌ ①"},
		{"no picture", "Zoë"},
		{"one letter", "Q"},
		{"punctuation", "「小明」、《阳光》……"},
		{"numbers", "1234567890"},
		{"controls", "a\tb\nc\x00d"},
		{"vietnamese", "Đặng Thị Ngọc Ánh"},
		{"greek", "Αλέξανδρος"},
		{"spaces", "   小   明   "},
	}
	designs := []poster.Template{largeScale(), onPhoto(), tall(), flat()}
	shots := make([]shot, len(people))
	for i, p := range people {
		who := lin()
		who.Nickname = p.nickname
		who.Code = fmt.Sprintf("7K2M9QX4%02d", i)
		who.Link = "https://kf.example/r/" + who.Code
		if i%3 == 2 {
			who.Avatar = nil
		}
		design := (i + i/8) % len(designs)
		shots[i] = shot{p.name, design, designs[design], who}
	}
	return shots
}

// largeScale is a card on soft hills, with a logo in the code.
func largeScale() poster.Template {
	return poster.Template{
		Width: 1080, Height: 1920, Background: "autumn.jpg", Quality: 85, LinkLength: 38,
		Layers: []poster.Layer{
			{Text: &poster.Text{Value: "金秋福利 一起领", X: 540, Y: 260, Size: 104, Color: "#FFFFFF", Align: "center", Weight: "bold"}},
			{Rect: &poster.Rect{X: 48, Y: 1424, Width: 984, Height: 432, Color: "#FFFFFF", Radius: 32}},
			{Avatar: &poster.Avatar{X: 96, Y: 1472, Size: 140}},
			{Text: &poster.Text{Value: "{{nickname}}", X: 260, Y: 1510, Size: 48, Color: "#1A1A1A", MaxWidth: 340}},
			{Text: &poster.Text{Value: "邀请码 {{code}}", X: 96, Y: 1680, Size: 40, Color: "#666666"}},
			{QR: &poster.QR{X: 656, Y: 1472, Size: 328, Level: "Q", Logo: "logo.png"}},
			{Image: &poster.Image{Source: "badge.png", X: 48, Y: 48, Width: 140}},
		},
	}
}

// onPhoto has outlined and shaded text on the picture itself, over several lines.
func onPhoto() poster.Template {
	return poster.Template{
		Width: 1080, Height: 1920, Background: "meadow.jpg", Quality: 80, LinkLength: 38,
		Layers: []poster.Layer{
			{Avatar: &poster.Avatar{X: 390, Y: 240, Size: 300, Shape: "rounded"}},
			{Text: &poster.Text{
				Value: "{{nickname}}\n邀请你一起来参加春天的活动,每邀请三位好友就送一份礼物!", X: 540, Y: 620, Size: 72, Color: "#FFFFFF", MaxWidth: 880,
				Align: "center", Weight: "bold", Lines: 5, OutlineColor: "#7A2E0E", OutlineWidth: 6,
				ShadowColor: "#00000088", ShadowX: 4, ShadowY: 8, ShadowBlur: 12,
			}},
			{QR: &poster.QR{X: 240, Y: 1296, Size: 592, Dark: "#5B1E06", Light: "#FFF7EC"}},
		},
	}
}

// tall has a font of its own, lines to the right, and is a PNG.
func tall() poster.Template {
	return poster.Template{
		Width: 1080, Height: 1920, Background: "#12324A", Format: "png", LinkLength: 38,
		Layers: []poster.Layer{
			{Rect: &poster.Rect{X: 0, Y: 0, Width: 1080, Height: 620, Color: "#F2B134"}},
			{Text: &poster.Text{Value: "Bring a friend", X: 72, Y: 220, Size: 132, Color: "#12324A", Font: "own.ttf", MaxWidth: 960}},
			{Avatar: &poster.Avatar{X: 808, Y: 720, Size: 200, Shape: "square"}},
			{Text: &poster.Text{Value: "{{nickname}}", X: 1008, Y: 980, Size: 64, Color: "#FFFFFF", Align: "right", Font: "own.ttf", MaxWidth: 900}},
			{Text: &poster.Text{Value: "{{link}}", X: 1008, Y: 1090, Size: 36, Color: "#9FC3DC", Align: "right", MaxWidth: 900}},
			{QR: &poster.QR{X: 680, Y: 1504, Size: 328, Level: "H"}},
			{Image: &poster.Image{Source: "badge.png", X: 72, Y: 1600, Width: 220}},
		},
	}
}

// flat is the variant of the photo's design without one: see-through shapes one above the other.
func flat() poster.Template {
	t := onPhoto()
	t.Background, t.Chroma = "#FBE3D0", "4:4:4"
	t.Layers = append([]poster.Layer{
		{Rect: &poster.Rect{X: 60, Y: 120, Width: 960, Height: 1160, Color: "#D8431555", Radius: 80}},
		{Rect: &poster.Rect{X: 140, Y: 60, Width: 500, Height: 1500, Color: "#FFC10766", Radius: 200}},
	}, t.Layers...)
	return t
}
