package main

import (
	"bytes"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

const springFile = "../../examples/spring.yaml"

func spring(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(springFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestValidate(t *testing.T) {
	t.Parallel()

	t.Run("SaysWhichFilesAreRight", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, "KFACTOR_NONSENSE=1") // settings are not asked
		said := w.must("campaign", "validate", springFile, "../../examples/full.yaml", "../../examples/wechat.yaml", "demo/campaign.yaml")
		if strings.Count(said, " is right\n") != 4 {
			t.Errorf("said %q", said)
		}
		if strings.Count(said, "not beside") != 1 || !strings.Contains(said, "full.yaml: not beside the file yet: autumn-b.jpg, autumn.jpg,") {
			t.Errorf("of missing pictures it said %q", said)
		}
	})

	t.Run("NamesEveryProblemOfEveryFileWithItsPlace", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		one := w.file("one.yaml", strings.Replace(spring(t), "credit: inviter", "credit: inviterr\n    holdd: 3h", 1))
		two := w.file("two.yaml", strings.Replace(spring(t), "size: 280", "size: 60", 1)) // modules too small to read
		r := w.run("campaign", "validate", one, springFile, two, filepath.Join(w.dir, "three.yaml"))
		if r.code != exitFailed {
			t.Errorf("ended with %d", r.code)
		}
		for _, start := range []string{one + ":", two + ":", "kfactor: there is no file"} {
			found := false
			for line := range strings.Lines(r.stderr) {
				found = found || strings.HasPrefix(line, start)
			}
			if !found {
				t.Errorf("no line begins with %s:\n%s", start, r.stderr)
			}
		}
		if strings.Count(r.stderr, "\n") < 4 || !strings.Contains(r.stderr, "holdd") || !strings.Contains(r.stderr, "qr") {
			t.Errorf("said %s", r.stderr)
		}
	})
}

func TestSchema(t *testing.T) {
	t.Parallel()
	if said := newWorld(t).must("campaign", "schema"); !strings.Contains(said, `"$schema"`) {
		t.Errorf("said %.100q", said)
	}
}

func TestPlanAndApplyOnTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	file := w.file("spring.yaml", spring(t))

	if said := w.must("campaign", "plan", file); !strings.Contains(said, "spring-2026 is new") {
		t.Errorf("planning something new said %q", said)
	}
	if said := w.must("campaign", "apply", file); !strings.Contains(said, "stored as a draft") {
		t.Errorf("the first apply said %q", said)
	}
	if said := w.must("campaign", "apply", file, "--launch"); !strings.Contains(said, "unchanged") || !strings.Contains(said, "launched") {
		t.Errorf("launching said %q", said)
	}
	if said := w.must("campaign", "apply", file, "--launch"); !strings.Contains(said, "unchanged") || !strings.Contains(said, "already live") {
		t.Errorf("applying an unchanged live campaign said %q", said)
	}

	w.file("spring.yaml", strings.Replace(spring(t), "stock: 100", "stock: 200", 1))
	if said := w.must("campaign", "plan", file); !strings.Contains(said, "stock") || !strings.Contains(said, "200") {
		t.Errorf("the plan said %q", said)
	}
	if said := w.must("campaign", "apply", file); !strings.Contains(said, "revision 2") {
		t.Errorf("the second revision said %q", said)
	}

	w.file("spring.yaml", strings.Replace(spring(t), "invite: 3", "invite: 4", 1))
	for _, verb := range []string{"plan", "apply"} {
		r := w.run("campaign", verb, file)
		if r.code != exitFailed || !strings.Contains(r.stderr, "requires") || !strings.Contains(r.stderr, "promises") {
			t.Errorf("%s of a broken promise ended with %d: %q", verb, r.code, r.stderr)
		}
	}
}

// demoOnTheWeb is the demo's campaign with its picture, on the channel that needs no set-up.
func (w world) demoOnTheWeb() string {
	w.t.Helper()
	text, err := os.ReadFile("demo/campaign.yaml")
	if err != nil {
		w.t.Fatal(err)
	}
	picture, err := os.ReadFile("demo/autumn.jpg")
	if err != nil {
		w.t.Fatal(err)
	}
	w.file("autumn.jpg", string(picture))
	return w.file("campaign.yaml", strings.Replace(string(text), "channel: main", "channel: web", 1))
}

func TestApplyTakesAlongTheFilesItNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if said := w.must("campaign", "apply", w.demoOnTheWeb(), "--launch"); !strings.Contains(said, "1 file taken along") || !strings.Contains(said, "launched") {
		t.Errorf("said %q", said)
	}

	other := newWorld(t)
	text, err := os.ReadFile(other.demoOnTheWeb())
	if err != nil {
		t.Fatal(err)
	}
	alone := other.file("alone/campaign.yaml", string(text))
	r := other.run("campaign", "apply", alone, "--launch")
	if want := "kfactor: autumn-share: stored as a draft, but not launched: autumn.jpg is missing; put it beside " + alone + " and apply it again\n"; r.code != exitFailed || r.stderr != want {
		t.Errorf("launching without the background ended with %d: %q, not %q", r.code, r.stderr, want)
	}
	if said := other.must("campaign", "apply", alone); !strings.Contains(said, "before it can be launched: autumn.jpg is missing; put it beside") {
		t.Errorf("a draft without its background: %q", said)
	}
	other.file("alone/autumn.jpg", "not a picture")
	if r := other.run("campaign", "apply", alone); r.code != exitFailed || !strings.Contains(r.stderr, "autumn.jpg") {
		t.Errorf("a background that is no picture ended with %d: %q", r.code, r.stderr)
	}

	// A live campaign takes no revision whose pictures are missing, and says so in the same words.
	later := w.file("later.yaml", strings.Replace(string(text), "autumn.jpg", "winter.jpg", 1))
	if r := w.run("campaign", "apply", later); r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 || !strings.Contains(r.stderr, "nothing is stored") || !strings.Contains(r.stderr, "winter.jpg is missing") {
		t.Errorf("a revision without its background ended with %d: %q", r.code, r.stderr)
	}
}

func TestPosterRender(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "KFACTOR_PUBLIC_URL=https://fans.example.com")
	for ending, format := range map[string]string{".jpg": "jpeg", ".PNG": "png"} {
		out := filepath.Join(w.dir, "poster"+ending)
		w.must("poster", "render", "demo/campaign.yaml", "--code", "7k2m9qx4tb", "--nickname", "小满🌸", "--avatar", "demo/autumn.jpg", "-o", out)
		text, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		img, got, err := image.Decode(bytes.NewReader(text))
		if err != nil || got != format || img.Bounds().Dx() != 750 {
			t.Fatalf("%s holds %s of %v: %v", out, got, img.Bounds(), err)
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil || read.GetText() != "https://fans.example.com/r/7K2M9QX4TB" {
			t.Errorf("the code holds %v, %v", read, err)
		}
	}
	for name, args := range map[string][]string{
		"NoFile":    {"nothing.yaml"},
		"NoVariant": {"demo/campaign.yaml", "--variant", "z"},
		"NoAvatar":  {"demo/campaign.yaml", "--avatar", "nothing.png"},
		"BadAvatar": {"demo/campaign.yaml", "--avatar", springFile},
	} {
		r := w.run(append([]string{"poster", "render", "--code", "7K2M9QX4TB", "-o", filepath.Join(w.dir, "no.png")}, args...)...)
		if r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s ended with %d: %q", name, r.code, r.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(w.dir, "no.png")); err == nil {
		t.Error("a failed render leaves a file")
	}
}
