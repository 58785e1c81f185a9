package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kfactor/cmd/kfactor/demo"
	"kfactor/internal/services"
	"kfactor/internal/settings"
)

// patience bounds every wait for something that should happen at once.
const patience = 30 * time.Second

// eventually waits until a thing has happened.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !happened(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

var servesAt = regexp.MustCompile(`kfactor serves (http://\S+)`)

// running is a server of a test.
type running struct {
	url  string
	out  *buffer
	stop func() int // ends it, and gives the exit code
}

// serve starts a server on a free port in this process.
func (w world) serve(args ...string) running {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := running{out: &buffer{}}
	ended := make(chan int, 1)
	args = append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)
	go func() { ended <- report(run(ctx, args, w.environ, nil, r.out, r.out), r.out) }()
	r.stop = sync.OnceValue(func() int {
		cancel()
		return <-ended
	})
	w.t.Cleanup(func() { r.stop() })
	eventually(w.t, "the server's address", func() bool {
		if len(ended) > 0 {
			w.t.Fatalf("the server ended: %s", r.out)
		}
		found := servesAt.FindStringSubmatch(r.out.String())
		if found != nil {
			r.url = found[1]
		}
		return found != nil
	})
	return r
}

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	answer, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

func TestServe(t *testing.T) {
	t.Parallel()

	t.Run("AnswersUntilToldToEnd", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		server := w.serve()
		if !strings.Contains(server.out.String(), "kfactor key create --role owner") {
			t.Errorf("a first start does not say how to get in: %s", server.out)
		}
		for _, path := range []string{"/healthz", "/readyz", "/metrics", "/docs"} {
			if status, text := get(t, server.url+path); status != http.StatusOK {
				t.Errorf("%s answers %d: %s", path, status, text)
			}
		}
		w.must("healthcheck", "--addr", strings.TrimPrefix(server.url, "http://"))
		if code := server.stop(); code != exitDone {
			t.Errorf("ended with %d: %s", code, server.out)
		}
		if r := w.run("healthcheck", "--addr", strings.TrimPrefix(server.url, "http://")); r.code != exitFailed {
			t.Errorf("a server that is gone is healthy: %d", r.code)
		}
	})

	t.Run("ATakenAddressIsToldClearly", func(t *testing.T) {
		t.Parallel()
		taken, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		r := newWorld(t).run("serve", "--addr", taken.Addr().String())
		if r.code != exitFailed || !strings.Contains(r.stderr, "--addr") || !strings.Contains(r.stderr, "in use") {
			t.Errorf("ended with %d: %q", r.code, r.stderr)
		}
	})

	t.Run("ADrainingServerIsNotReadyAndFinishesWhatItBegan", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		server := w.serve()
		w.must("campaign", "apply", springFile, "--launch")
		key := strings.TrimSpace(w.must("key", "create", "--role", "ingest"))
		body, rest := io.Pipe()
		answered := make(chan string, 1)
		go func() {
			req, _ := http.NewRequest(http.MethodPost, server.url+"/v1/events", body)
			req.Header.Set("Authorization", "Bearer "+key)
			req.Header.Set("Content-Type", "application/json")
			answer, err := http.DefaultClient.Do(req)
			if err != nil {
				answered <- err.Error()
				return
			}
			defer answer.Body.Close()
			text, _ := io.ReadAll(answer.Body)
			answered <- answer.Status + " " + string(text)
		}()
		if _, err := io.WriteString(rest, `{"id": "late", "campaign": "spring-2026", `); err != nil {
			t.Fatal(err)
		}

		ended := make(chan int, 1)
		go func() { ended <- server.stop() }()
		eventually(t, "a server that is not ready", func() bool {
			answer, err := http.Get(server.url + "/readyz")
			if err != nil {
				t.Fatal("the server was gone before it said that it is not ready")
			}
			answer.Body.Close()
			return answer.StatusCode == http.StatusServiceUnavailable
		})
		eventually(t, "a server that takes no more connections", func() bool {
			conn, err := net.Dial("tcp", strings.TrimPrefix(server.url, "http://"))
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
		if _, err := io.WriteString(rest, `"type": "subscribe", "user": "late"}`); err != nil {
			t.Fatal(err)
		}
		rest.Close()
		if said := <-answered; !strings.HasPrefix(said, "202 ") || !strings.Contains(said, `"accepted":1`) {
			t.Errorf("a request under way was answered %q", said)
		}
		if code := <-ended; code != exitDone {
			t.Errorf("ended with %d: %s", code, server.out)
		}
	})

	t.Run("CommandsWorkBesideIt", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		server := w.serve()
		w.must("campaign", "apply", springFile, "--launch")
		key := strings.TrimSpace(w.must("key", "create", "--role", "viewer"))
		req, _ := http.NewRequest(http.MethodGet, server.url+"/v1/campaigns/spring-2026", nil)
		req.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		var c struct{ Status string }
		if err := json.NewDecoder(answer.Body).Decode(&c); err != nil || c.Status != "live" {
			t.Errorf("the server sees the campaign as %v, %v", c, err)
		}
	})

	t.Run("OnMySQLItMigratesOnlyWhenToldAndSplitsByRole", func(t *testing.T) {
		t.Parallel()
		secret := "KFACTOR_SECRET_KEY=" + strings.Repeat("A", 43)
		w := newWorld(t, "KFACTOR_DATABASE_URL="+services.MySQL(t), "KFACTOR_REDIS_URL="+services.Redis(t), secret)
		r := w.run("serve", "--addr", "127.0.0.1:0")
		if r.code != exitFailed || !strings.Contains(r.stderr, "kfactor migrate up") {
			t.Fatalf("serving an empty database ended with %d: %q", r.code, r.stderr)
		}
		worker := w.serve("--migrate", "--role", "worker")
		surface := w.serve("--role", "api")
		if status, _ := get(t, worker.url+"/docs"); status != http.StatusNotFound {
			t.Errorf("a worker shows the docs: %d", status)
		}
		if status, _ := get(t, worker.url+"/readyz"); status != http.StatusOK {
			t.Errorf("the worker is not ready: %d", status)
		}
		w.environ = append(w.environ, "KFACTOR_KEY="+strings.TrimSpace(w.must("key", "create", "--role", "owner")))
		w.must("campaign", "apply", springFile, "--launch", "--server", surface.url)
		w.must("ledger", "verify")
	})
}

func TestApplyOnAServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	server := w.serve()
	w.environ = append(w.environ, "KFACTOR_KEY="+strings.TrimSpace(w.must("key", "create", "--role", "operator")))
	text, err := os.ReadFile("demo/campaign.yaml")
	if err != nil {
		t.Fatal(err)
	}
	picture, err := os.ReadFile("demo/autumn.jpg")
	if err != nil {
		t.Fatal(err)
	}
	w.file("autumn.jpg", string(picture))
	file := w.file("campaign.yaml", string(text))
	for _, step := range []struct{ change, with, verb, says string }{
		{verb: "plan", says: "is new"},
		{verb: "apply", says: "stored as a draft, 1 file taken along"},
		{verb: "apply", says: "unchanged"},
		{verb: "apply --launch", says: "launched"},
		{change: "stock: 5}", with: "stock: 9}", verb: "plan", says: "9"},
		{change: "stock: 5}", with: "stock: 9}", verb: "apply", says: "revision 2"},
	} {
		w.file("campaign.yaml", strings.Replace(string(text), step.change, step.with, 1))
		args := append([]string{"campaign"}, strings.Fields(step.verb)...)
		if said := w.must(append(args, file, "--server", server.url)...); !strings.Contains(said, step.says) {
			t.Errorf("%s said %q instead of %q", step.verb, said, step.says)
		}
	}

	w.file("campaign.yaml", strings.Replace(string(text), "invite: 3", "invite: 4", 1))
	if r := w.run("campaign", "apply", file, "--server", server.url); r.code != exitFailed || !strings.Contains(r.stderr, "promises") {
		t.Errorf("a broken promise ended with %d: %q", r.code, r.stderr)
	}
	for says, environ := range map[string]string{
		"KFACTOR_KEY": "KFACTOR_KEY=forged",
		"403":         "KFACTOR_KEY=" + strings.TrimSpace(w.must("key", "create", "--role", "viewer")),
	} {
		other := newWorld(t, environ)
		if r := other.run("campaign", "apply", springFile, "--server", server.url); r.code != exitFailed || !strings.Contains(r.stderr, says) || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("ended with %d: %q", r.code, r.stderr)
		}
	}
	server.stop()
	if r := w.run("campaign", "apply", springFile, "--server", server.url); r.code != exitFailed || !strings.Contains(r.stderr, "does not answer") {
		t.Errorf("a server that is gone: %d, %q", r.code, r.stderr)
	}
}

// scratch is where the tests' binary is built, and goes away with them.
var scratch string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "kfactor-test-")
	if err != nil {
		panic(err)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// binary is the program, built once for the tests that need a process of their own.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "kfactor")
	if text, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, text)
	}
	return path, nil
})

// process is a command that runs the binary in an empty directory with no settings at all.
func process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "TMPDIR=" + cmd.Dir}
	return cmd
}

func TestTheBinaryServesAndDrainsOnSIGTERM(t *testing.T) {
	t.Parallel()
	cmd := process(t, "serve", "--addr", "127.0.0.1:0")
	out := &buffer{}
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server's address", func() bool { return servesAt.MatchString(out.String()) })
	url := servesAt.FindStringSubmatch(out.String())[1]
	if status, _ := get(t, url+"/readyz"); status != http.StatusOK {
		t.Errorf("not ready: %d", status)
	}
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended with %v: %s", err, out)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("took %s to end", took)
	}
	if info, err := os.Stat(filepath.Join(cmd.Dir, "data", "secret.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", info, err)
	}
}

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
	for _, part := range []string{"TRIAL BALANCE", "WAITLISTED", "books balance", "chain and balances computed again: ok is true"} {
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
	page := regexp.MustCompile(`http://\S+/r/\S+`).FindString(out.String())
	if status, text := get(t, page); status != http.StatusOK || !strings.Contains(text, "金秋分享季") {
		t.Errorf("the landing page answers %d: %.200s", status, text)
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
	w := newWorld(t)
	var report demo.Report
	said := w.must("demo", "--fans", "3", "--exit-after-fans", "--json", "--addr", "127.0.0.1:0")
	if err := json.Unmarshal([]byte(said), &report); err != nil || report.Fans != 3 || !report.Ledger.OK || len(report.Problems) > 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "data")); err == nil {
		t.Error("a demo touched the data directory")
	}
}
