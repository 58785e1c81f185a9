package proof

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kfactor/internal/fault"
	"kfactor/poster"
)

// good is a poster as they should be: 8 pixels a module, nothing over the code.
func good() poster.Template {
	return poster.Template{
		Width: 1080, Height: 480, Background: "#C0562B", LinkLength: 42,
		Layers: []poster.Layer{
			{Rect: &poster.Rect{X: 40, Y: 60, Width: 1000, Height: 380, Color: "#FFFFFF", Radius: 32}},
			{Avatar: &poster.Avatar{X: 80, Y: 96, Size: 140}},
			{Text: &poster.Text{Value: "{{nickname}}", X: 250, Y: 116, Size: 46, MaxWidth: 420}},
			{Text: &poster.Text{Value: "邀请码 {{code}}", X: 250, Y: 186, Size: 30, MaxWidth: 420}},
			{QR: &poster.QR{X: 704, Y: 96, Size: 296}},
		},
	}
}

func assets(name string) ([]byte, error) {
	if name != "logo.png" {
		return nil, fault.New(fault.NotFound, "%s is missing: upload it", name)
	}
	m := image.NewRGBA(image.Rect(0, 0, 100, 100))
	for i := range 100 * 100 {
		m.SetRGBA(i%100, i/100, color.RGBA{R: 0xd8, G: 0x43, B: 0x15, A: 0xff})
	}
	var b bytes.Buffer
	err := png.Encode(&b, m)
	return b.Bytes(), err
}

func proved(t *testing.T, template poster.Template) *Proof {
	t.Helper()
	p, err := Of(template, assets)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestProof(t *testing.T) {
	t.Run("AGoodPosterStandsEverything", func(t *testing.T) {
		p := proved(t, good())
		if err := p.Err(); err != nil {
			t.Error(err)
		}
		if warnings := p.Warnings(); len(warnings) > 0 {
			t.Error(warnings)
		}
		if len(p.Rows) != 5 {
			t.Errorf("%d people", len(p.Rows))
		}
		for _, row := range p.Rows {
			for i, read := range row.Read {
				if !read || row.Layer != 4 {
					t.Errorf("%+v: %s", row, p.Treatments[i].Name)
				}
			}
		}
	})

	// Each spoils the good poster in one way.
	for name, spoil := range map[string]struct {
		says string
		how  func(t *poster.Template)
	}{
		"SmallModules": {"make the code", func(t *poster.Template) {
			t.LinkLength, t.Layers[4].QR.Size, t.Layers[4].QR.Level = 60, 4*41, "L"
		}},
		"ALevelTooHigh": {"take level ", func(t *poster.Template) {
			t.LinkLength, t.Layers[4].QR.Size, t.Layers[4].QR.Level = 100, 4*65, "H"
		}},
		"ACardOverACorner": {"move layers[5], which lies over it", func(t *poster.Template) {
			t.Layers = append(t.Layers, poster.Layer{Rect: &poster.Rect{X: 730, Y: 126, Width: 60, Height: 60, Color: "#C0562B"}})
		}},
		"AVeilOverAllOfIt": {"move layers[6], which lies over it", func(t *poster.Template) {
			t.Layers = append(t.Layers, t.Layers[0])
			t.Layers[5] = poster.Layer{Rect: &poster.Rect{X: 0, Y: 0, Width: 50, Height: 50, Color: "#000000"}}
			t.Layers = append(t.Layers, poster.Layer{Rect: &poster.Rect{X: 700, Y: 76, Width: 320, Height: 320, Color: "#FFFFFFFA"}})
		}},
		"TooBigALogo": {"move layers[5], which lies over it", func(t *poster.Template) {
			t.Layers[4].QR.Level, t.LinkLength = "Q", 32
			t.Layers = append(t.Layers, poster.Layer{Image: &poster.Image{Source: "logo.png", X: 704 + 84, Y: 96 + 84, Width: 128}})
		}},
		"TheNameOverIt": {"(first for long name); move layers[5], which lies over it", func(t *poster.Template) {
			t.Layers = append(t.Layers, poster.Layer{Text: &poster.Text{Value: "{{nickname}}", X: 200, Y: 196, Size: 72, Weight: "bold", MaxWidth: 800}})
		}},
	} {
		t.Run(name+"IsRefusedAndSaysWhatToChange", func(t *testing.T) {
			t.Parallel()
			template := good()
			spoil.how(&template)
			if problems := poster.Check(template); len(problems) > 0 {
				t.Fatalf("it is refused without being printed: %v", problems)
			}
			err := proved(t, template).Err()
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "layers[4].qr: cannot be read") || !strings.Contains(err.Error(), spoil.says) {
				t.Errorf("got %v, want %q", err, spoil.says)
			}
		})
	}

	t.Run("TheAdviceHelps", func(t *testing.T) {
		template := good()
		q := template.Layers[4].QR
		template.LinkLength, q.Size, q.Level = 60, 4*41, "L"
		said := proved(t, template).Err().Error()
		var size int
		if _, err := fmt.Sscanf(said[strings.Index(said, "make the code"):], "make the code %d px", &size); err != nil {
			t.Fatal(said, err)
		}
		q.Size = size
		if err := proved(t, template).Err(); err != nil {
			t.Errorf("with %d pixels: %v", size, err)
		}
	})

	// What can be seen without printing is refused as Compile does.
	for name, spoil := range map[string]struct {
		says string
		how  func(q *poster.QR)
	}{
		"ModulesOfThreePixels": {"make it at least 148", func(q *poster.QR) { q.Size = 3 * 37 }},
		"LittleContrast":       {"contrast", func(q *poster.QR) { q.Dark = "#A0A0A0" }},
		"ALogoOnLevelM":        {"write Q or H", func(q *poster.QR) { q.Level, q.Logo = "M", "logo.png" }},
		"AMissingLogo":         {"upload it", func(q *poster.QR) { q.Size, q.Logo = 336, "gone.png" }},
	} {
		t.Run(name+"IsRefusedAtOnce", func(t *testing.T) {
			template := good()
			spoil.how(template.Layers[4].QR)
			p, err := Of(template, assets)
			if p != nil || err == nil || !strings.Contains(err.Error(), spoil.says) {
				t.Errorf("got %v, want %q", err, spoil.says)
			}
		})
	}

	t.Run("ALogoAndTwoCodesAreFine", func(t *testing.T) {
		template := good()
		template.Layers = append(template.Layers,
			poster.Layer{QR: &poster.QR{X: 96, Y: 96, Size: 45 * 7, Level: "Q", Logo: "logo.png", Dark: "#4A148C", Light: "#FFF8E1"}})
		p := proved(t, template)
		if err := p.Err(); err != nil || len(p.Rows) != 10 || p.Rows[9].Layer != 5 {
			t.Errorf("%d rows, %v", len(p.Rows), err)
		}
	})

	t.Run("APosterWithoutACodeHasNothingToRead", func(t *testing.T) {
		template := good()
		template.Layers = template.Layers[:4]
		if p := proved(t, template); len(p.Rows) > 0 || p.Err() != nil {
			t.Errorf("%+v", p)
		}
	})

	t.Run("WidePostersAreCountedAsPhonesShowThem", func(t *testing.T) {
		// Shown at half its width, so that 8 pixels a module are 4.
		template := poster.Template{Width: 2160, Height: 400, LinkLength: 60, Layers: []poster.Layer{{QR: &poster.QR{X: 8, Y: 8, Size: 8 * 45, Level: "Q"}}}}
		if err := proved(t, template).Err(); err == nil || !strings.Contains(err.Error(), "shrunk to a third") {
			t.Errorf("got %v", err)
		}
	})
}

func TestASecondReaderAgrees(t *testing.T) {
	program, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("zbarimg is not installed")
	}
	template := good()
	press, err := poster.Compile(template, assets)
	if err != nil {
		t.Fatal(err)
	}
	who := people(&template)[1].person
	picture, err := shown(press, who)
	if err != nil {
		t.Fatal(err)
	}
	code := around(picture, template.Layers[4].QR, template.Width)
	dir := t.TempDir()
	for i, treatment := range treatments {
		if !treatment.Ordinary {
			continue
		}
		var b bytes.Buffer
		if err := png.Encode(&b, treatment.apply(code)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, fmt.Sprintf("%d.png", i))
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(program, "-q", "--raw", path).Output()
		if got := strings.TrimSpace(string(out)); got != who.Link {
			t.Errorf("%s: zbarimg reads %q, %v", treatment.Name, got, err)
		}
	}
}

func TestPeople(t *testing.T) {
	for _, length := range []int{1, 21, 38, 60, 300} {
		template := poster.Template{LinkLength: length, Variables: []string{"shop"}}
		seen := map[string]bool{}
		for _, who := range people(&template) {
			if len(who.person.Link) != length || who.person.Fields["shop"] == "" {
				t.Errorf("%s: %q of %d", who.name, who.person.Link, length)
			}
			seen[who.person.Link] = true
		}
		if length > 21 && len(seen) < 5 {
			t.Errorf("with %d characters there are only %d links", length, len(seen))
		}
	}
}

// FuzzRead holds the reader, which is others' work, to not reading what is not there and to not ending the program.
func FuzzRead(f *testing.F) {
	f.Add([]byte{0, 255, 0}, uint8(1))
	f.Add(bytes.Repeat([]byte{0, 0, 255, 0, 0, 0, 255, 0, 0, 255}, 300), uint8(50))
	f.Add(busy(), uint8(15))
	f.Fuzz(func(t *testing.T, pixels []byte, width uint8) {
		w := max(1, int(width))
		h := len(pixels) / w
		if h < 1 || h > 256 {
			return
		}
		m := &image.Gray{Pix: pixels[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
		for _, treatment := range treatments {
			if treated := treatment.apply(m); read(treated, "https://kf.example/r/7K2M9QX4TB") {
				t.Errorf("%s: a link is read that is not there", treatment.Name)
			}
		}
	})
}

// BenchmarkOf proves the good poster.
func BenchmarkOf(b *testing.B) {
	for b.Loop() {
		if _, err := Of(good(), assets); err != nil {
			b.Fatal(err)
		}
	}
}
