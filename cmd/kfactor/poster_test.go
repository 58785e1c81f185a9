package main

import (
	"os"
	"strings"
	"testing"
)

func TestPosterCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "KFACTOR_PUBLIC_URL=https://fans.example.com")

	said := w.must("poster", "check", "demo/campaign.yaml")
	if lines := strings.Split(strings.TrimSpace(said), "\n"); len(lines) != 6 || !strings.HasPrefix(lines[0], "code") || strings.Contains(said, "NO") {
		t.Errorf("the demo's poster:\n%s", said)
	}

	text, err := os.ReadFile(springFile)
	if err != nil {
		t.Fatal(err)
	}
	qr := "- qr: {at: [235, 900], size: 280}"
	covered := strings.Replace(string(text), qr, qr+"\n    - rect: {at: [260, 925], size: [70, 70], color: \"#FFF4E0\"}", 1)
	if covered == string(text) {
		t.Fatal("the spring poster has changed")
	}
	file := w.file("covered.yaml", covered)
	r := w.run("poster", "check", file)
	want := file + ": layers[1].qr: cannot be read as printed"
	if r.code != exitFailed || !strings.HasPrefix(r.stderr, want) || !strings.Contains(r.stderr, "move layers[2], which lies over it") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("a covered code ended with %d: %s", r.code, r.stderr)
	}
	if !strings.Contains(r.stdout, "NO") {
		t.Errorf("the table says nothing of it:\n%s", r.stdout)
	}

	for name, file := range map[string]string{
		"NoFile":       "nothing.yaml",
		"NoBackground": w.file("far.yaml", strings.Replace(string(text), "\"#FFF4E0\"", "gone.jpg", 1)),
	} {
		if r := w.run("poster", "check", file); r.code != exitFailed || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s ended with %d: %q", name, r.code, r.stderr)
		}
	}
}
