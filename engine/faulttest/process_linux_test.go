package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built once with its crash points.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(workshop, "kfactor")
	cmd := exec.Command("go", "build", "-tags", "crashpoints", "-o", path, "kfactor/cmd/kfactor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	said, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the program: %w: %s", err, said)
	}
	return path, nil
})

// server is a process that serves at a fixed address, one life after the other.
type server struct {
	st     *stage
	addr   string
	cmd    *exec.Cmd
	said   *tail
	exited chan struct{}
}

func (st *stage) newServer() *server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		st.t.Fatal(err)
	}
	s := &server{st: st, addr: l.Addr().String(), said: &tail{}}
	if err := l.Close(); err != nil {
		st.t.Fatal(err)
	}
	st.servers = append(st.servers, s)
	return s
}

// start starts the process; extra settings come last in its environment.
func (s *server) start(extra ...string) {
	s.st.t.Helper()
	path, err := binary()
	if err != nil {
		s.st.t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--migrate", "--addr", s.addr)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.st.dir, s.said, s.said
	cmd.Env = append(append([]string{}, s.st.environ...), extra...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	exited, started := make(chan struct{}), make(chan error)
	go func() {
		runtime.LockOSThread() // the kernel ties the child's life to the thread that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(exited)
		}
	}()
	if err := <-started; err != nil {
		s.st.t.Fatal(err)
	}
	s.cmd, s.exited = cmd, exited
}

// ready waits until the server says that it is.
func (s *server) ready() {
	s.st.t.Helper()
	s.st.until("a server that is ready", patience, func() bool {
		if s.gone() {
			s.st.t.Fatalf("the server ended at its start: %s", s.said)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.addr+"/readyz", nil)
		if err != nil {
			s.st.t.Fatal(err)
		}
		got, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		got.Body.Close()
		return got.StatusCode == http.StatusOK
	})
}

func (s *server) gone() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// kill ends the process as a power cut would.
func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	<-s.exited
}

// fell waits until the process has died at its crash point, and says whether it did.
func (s *server) fell(within time.Duration) bool {
	select {
	case <-s.exited:
	case <-time.After(within):
		return false
	}
	status, ok := s.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL {
		s.st.t.Errorf("the server did not die, it ended: %v: %s", s.cmd.ProcessState, s.said)
	}
	return true
}

// terminate asks the process to end, and gives its exit code and how long it took.
func (s *server) terminate() (int, time.Duration) {
	began := time.Now()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(patience):
		s.st.t.Errorf("the server did not end within %s of SIGTERM", patience)
		s.kill()
	}
	return s.cmd.ProcessState.ExitCode(), time.Since(began)
}

// command runs one command of the program beside the servers, on the stores themselves.
func (st *stage) command(args ...string) (string, error) { return st.commandWithin(patience, args...) }

func (st *stage) commandWithin(limit time.Duration, args ...string) (string, error) {
	path, err := binary()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = st.dir, &out, &errs
	cmd.Env = append(append([]string{}, st.environ...), "KFACTOR_DATABASE_URL="+st.database)
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kfactor %v: %w: %s%s", args, err, out.String(), errs.String())
	}
	return out.String(), nil
}

func (st *stage) must(args ...string) string {
	st.t.Helper()
	said, err := st.command(args...)
	if err != nil {
		st.t.Fatal(err)
	}
	return said
}

// until waits for a thing to happen.
func (st *stage) until(what string, within time.Duration, happened func() bool) {
	st.t.Helper()
	for deadline := time.Now().Add(within); !happened(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			for _, s := range st.servers {
				st.t.Logf("server %s said: %s", s.addr, s.said)
			}
			st.t.Fatalf("waited %s in vain for %s", within, what)
		}
	}
}

// tail keeps the end of what a server says.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept = append(w.kept, b...)
	if extra := len(w.kept) - 8<<10; extra > 0 {
		w.kept = append(w.kept[:0], w.kept[extra:]...)
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.kept)
}

// workshop is a folder for what all tests share.
var workshop string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "kfactor-faulttest-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	workshop = folder
	code := m.Run()
	results.print()
	stores.close()
	if err := os.RemoveAll(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, err)
	}
	return code
}
