package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kfactor/cmd/kfactor/demo"
	"kfactor/internal/services"
	"kfactor/internal/settings"
)

func TestTheBinaryShowsTheDemo(t *testing.T) {
	t.Parallel()
	tell := func() string {
		cmd := process(t, "demo", "--fans", "12", "--seed", "1", "--exit-after-fans", "--addr", "127.0.0.1:0")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("ended with %v: %s%s", err, out.String(), errs.String())
		}
		if left, _ := filepath.Glob(filepath.Join(cmd.Dir, "*")); len(left) > 0 || errs.Len() > 0 {
			t.Errorf("left %v and said %q", left, errs.String())
		}
		_, table, found := strings.Cut(out.String(), "FUNNEL")
		if !found {
			t.Fatalf("no funnel: %s", out.String())
		}
		return table
	}
	first := tell()
	for _, part := range []string{
		"TRIAL BALANCE", "WAITLISTED", "FRIENDS", "tier_reached", "/cgi-bin/qrcode/create", "books balance",
		"chain and balances computed again: ok is true", "the journal replayed: ok is true",
	} {
		if !strings.Contains(first, part) {
			t.Errorf("%q is missing in\n%s", part, first)
		}
	}
	if again := tell(); again != first {
		t.Errorf("the same seed told another story:\n%s\n%s", first, again)
	}
}

func TestTheDemoServesUntilItIsEnded(t *testing.T) {
	t.Parallel()
	cmd := process(t, "demo", "--fans", "3", "--addr", "127.0.0.1:0")
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the fans", func() bool { return strings.Contains(out.String(), "Still serving") })
	shown := func(what string) string {
		t.Helper()
		found := regexp.MustCompile(what + ` +(http://\S+)`).FindStringSubmatch(out.String())
		if found == nil {
			t.Fatalf("no address of %s: %s", what, out)
		}
		return found[1]
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar, Timeout: patience}
	for what, holds := range map[string]string{"all fans": "金秋茶社", "a fan's page": "金秋分享季"} {
		answer, err := browser.Get(shown(what))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(holds)) {
			t.Errorf("%s answers %s, %v: %.200s", what, answer.Status, err, text)
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, out)
	}
}

func TestTheDemoTakesAFreeAddressWhereNoneWasAskedFor(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	s, err := settings.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = taken.Addr().String()
	l, err := demoListener(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if s, err = settings.Load("", nil, map[string]string{"addr": s.Addr}); err != nil {
		t.Fatal(err)
	}
	if _, err := demoListener(t.Context(), s); err == nil {
		t.Error("an address that was asked for is quietly another one")
	}
}

func TestTheDemoAsJSON(t *testing.T) {
	t.Parallel()
	tell := func(seed string) string {
		cmd := process(t, "demo", "--fans", "30", "--seed", seed, "--exit-after-fans", "--json", "--addr", "127.0.0.1:0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ended with %v: %s", err, out)
		}
		if left, _ := filepath.Glob(filepath.Join(cmd.Dir, "*")); len(left) > 0 {
			t.Errorf("it left %v", left)
		}
		return string(out)
	}
	first := tell("7")
	var r demo.Report
	if err := json.Unmarshal([]byte(first), &r); err != nil {
		t.Fatal(err)
	}
	if r.Fans != 30 || !r.Ledger.OK || !r.Replay.OK || len(r.Problems) > 0 {
		t.Errorf("got %s", first)
	}
	if p := r.Pictures; p.Read == 0 || p.Read != p.Expected || p.Read != p.Credited {
		t.Errorf("friends came through pictures: %+v", p)
	}
	if again := tell("7"); again != first {
		t.Errorf("the same seed told another story:\n%s\n%s", first, again)
	}
	if other := tell("8"); other == first {
		t.Error("another seed told the same story")
	}
}

func TestTheDemoTellsTheSameStoryOnMySQL(t *testing.T) {
	t.Parallel()
	tell := func(environ map[string]string) string {
		t.Helper()
		s, err := settings.Load("", nil, environ)
		if err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		a := &app{stdout: &out, stderr: &errs, settings: s}
		if err := a.demoOn(t.Context(), s, demo.Write(12, 3), demoOptions{seed: 3, end: true, json: true}); err != nil {
			t.Fatalf("ended with %v: %s", err, &errs)
		}
		return out.String()
	}
	dir := t.TempDir()
	embedded := tell(map[string]string{"addr": "127.0.0.1:0", "data_dir": dir, "database_url": "sqlite://" + filepath.Join(dir, "demo.db")})
	shared := tell(map[string]string{
		"addr": "127.0.0.1:0", "data_dir": t.TempDir(), "database_url": services.MySQL(t), "redis_url": services.Redis(t),
		"secret_key": base64.StdEncoding.EncodeToString(make([]byte, 32)),
	})
	if embedded != shared {
		t.Errorf("on SQLite\n%s\non MySQL\n%s", embedded, shared)
	}
}
