package main

import (
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

	"kfactor/internal/services"
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
	file := w.demoOnTheWeb()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
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
