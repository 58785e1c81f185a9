package main

import (
	"archive/zip"
	"bytes"
	"context"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kfactor/engine"
	"kfactor/internal/settings"
)

func TestPosterBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "KFACTOR_PUBLIC_URL=https://fans.example.com")
	w.must("campaign", "apply", springFile, "--launch")
	campaign, codes := w.enrol(3)

	out := filepath.Join(w.dir, "posters")
	said := w.must("poster", "batch", campaign, "-o", out)
	if !strings.HasPrefix(said, "3 posters printed") {
		t.Errorf("said %q", said)
	}
	for _, c := range codes {
		body, err := os.ReadFile(filepath.Join(out, c+".jpg"))
		if err != nil {
			t.Fatal(err)
		}
		if _, format, err := image.Decode(bytes.NewReader(body)); err != nil || format != "jpeg" {
			t.Errorf("%s is %s, %v", c, format, err)
		}
	}

	// What is there is kept, what is missing is printed.
	kept, gone := filepath.Join(out, codes[0]+".jpg"), filepath.Join(out, codes[1]+".jpg")
	if err := os.WriteFile(kept, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	if said := w.must("poster", "batch", campaign, "-o", out); !strings.HasPrefix(said, "1 poster printed") || !strings.Contains(said, "2 there already") {
		t.Errorf("said %q", said)
	}
	if body, _ := os.ReadFile(kept); string(body) != "mine" {
		t.Error("what was there was overwritten")
	}
	w.must("poster", "batch", campaign, "-o", out, "--force")
	if body, _ := os.ReadFile(kept); string(body) == "mine" {
		t.Error("--force printed nothing")
	}

	// A list chooses people and says what they are called.
	w.file("people.csv", "\ufeffuser,code,nickname\nfan-0,,小满\n,"+strings.ToLower(codes[2])+",\n")
	parcel := filepath.Join(w.dir, "posters.zip")
	w.must("poster", "batch", campaign, "-o", parcel, "--csv", filepath.Join(w.dir, "people.csv"), "--format", "png")
	files, err := zip.OpenReader(parcel)
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if len(files.File) != 2 {
		t.Fatalf("%d files", len(files.File))
	}
	for _, f := range files.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		if _, format, err := image.Decode(r); err != nil || format != "png" || f.Method != zip.Store || !strings.HasSuffix(f.Name, ".png") {
			t.Errorf("%s is %s, %v", f.Name, format, err)
		}
		r.Close()
	}
	if r := w.run("poster", "batch", campaign, "-o", parcel); r.code != exitFailed || !strings.Contains(r.stderr, "--force") {
		t.Errorf("a file that is there: %d %s", r.code, r.stderr)
	}

	// Everything wrong is told with its line, and nothing is printed.
	list := w.file("bad.csv", "code,avatar\nILOU0000,\n"+codes[0]+",gone.jpg\n"+codes[1]+"\n"+codes[2]+",\n"+codes[2]+",\nZZZZZZZZZZ,\n")
	none := filepath.Join(w.dir, "none.zip")
	r := w.run("poster", "batch", campaign, "-o", none, "--csv", list)
	if r.code != exitFailed || strings.Count(r.stderr, "\n") != 5 {
		t.Errorf("ended with %d: %s", r.code, r.stderr)
	}
	for _, want := range []string{":2: \"ILOU0000\" is not a code", ":3: there is no picture", ":4: there are 1 fields", ":6: " + codes[2] + " was in line 5", ":7: \"ZZZZZZZZZZ\" did not join"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("%q is not in\n%s", want, r.stderr)
		}
	}
	if left, _ := filepath.Glob(none + "*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for name, text := range map[string]string{"NoHeader": "", "OddColumn": "code,size\n", "NobodyNamed": "nickname\n"} {
		if r := w.run("poster", "batch", campaign, "-o", none, "--csv", w.file(name, text)); r.code != exitFailed || !strings.Contains(r.stderr, ":1: ") {
			t.Errorf("%s ended with %d: %s", name, r.code, r.stderr)
		}
	}
	if r := w.run("poster", "batch", campaign, "-o", none, "--format", "gif"); r.code != exitUsage {
		t.Errorf("a gif ended with %d", r.code)
	}
}

// enrol has people join the campaign of the spring file, and gives their codes.
func (w world) enrol(n int) (campaign string, codes []string) {
	w.t.Helper()
	return "spring-2026", w.enrolIn("", "spring-2026", n)
}

// enrolIn has people join a campaign of a house with this settings file.
func (w world) enrolIn(config, campaign string, n int) (codes []string) {
	w.t.Helper()
	s, err := settings.Load(config, w.environ, map[string]string{})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx := context.Background()
	h, err := openHouse(ctx, s, s.Link(nil), slog.New(slog.DiscardHandler), refuse, false)
	if err != nil {
		w.t.Fatal(err)
	}
	defer h.close()
	for i := range n {
		v, _, err := h.engine.Join(ctx, campaign, engine.Joining{User: "fan-" + string(rune('0'+i)), Nickname: "Fan 小明"})
		if err != nil {
			w.t.Fatal(err)
		}
		codes = append(codes, v.Code)
	}
	return codes
}
