package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"kfactor/internal/fault"
)

func TestGate(t *testing.T) {
	t.Parallel()

	t.Run("WhoFindsNoPlaceIsSentAwayAtOnce", func(t *testing.T) {
		t.Parallel()
		g := newGate(2, 0, time.Hour)
		first, err1 := g.enter(t.Context())
		_, err2 := g.enter(t.Context())
		_, err3 := g.enter(t.Context())
		if err1 != nil || err2 != nil || fault.KindOf(err3) != fault.Unavailable {
			t.Fatalf("got %v, %v, %v", err1, err2, err3)
		}
		first()
		if _, err := g.enter(t.Context()); err != nil {
			t.Fatalf("a place that was left is not free: %v", err)
		}
	})

	t.Run("WhoWaitsGetsThePlaceThatIsLeft", func(t *testing.T) {
		t.Parallel()
		g := newGate(1, 1, time.Minute)
		leave, err := g.enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := make(chan error, 1)
		go func() {
			_, err := g.enter(t.Context())
			got <- err
		}()
		for g.waiting.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		if _, err := g.enter(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("the queue is longer than it may be: %v", err)
		}
		leave()
		if err := <-got; err != nil {
			t.Fatal(err)
		}
	})

	t.Run("NobodyWaitsLongerThanTheirPatienceOrTheirCaller", func(t *testing.T) {
		t.Parallel()
		g := newGate(1, 5, time.Millisecond)
		if _, err := g.enter(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := g.enter(t.Context()); fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("got %v", err)
		}
		g.patience = time.Hour
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.enter(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
		if n := g.waiting.Load(); n != 0 {
			t.Fatalf("%d are still counted as waiting", n)
		}
	})
}

func TestAddresses(t *testing.T) {
	t.Parallel()

	t.Run("EachAddressHasItsOwnShare", func(t *testing.T) {
		t.Parallel()
		a := newAddresses(rate.Limit(1)/3600, 2)
		for _, ip := range []string{"10.0.0.1", "10.0.0.2", "2001:db8::1"} {
			if err1, err2 := a.spend(ip), a.spend(ip); err1 != nil || err2 != nil {
				t.Fatalf("%s: got %v, %v", ip, err1, err2)
			}
			err := a.spend(ip)
			if wait, ok := errors.AsType[later](err); fault.KindOf(err) != fault.Limited || !ok || wait.wait < time.Minute {
				t.Fatalf("%s: got %v", ip, err)
			}
		}
		for _, same := range []string{"2001:db8::ffff", "::ffff:10.0.0.1"} {
			if err := a.spend(same); fault.KindOf(err) != fault.Limited {
				t.Errorf("%s is not taken for the same client: %v", same, err)
			}
		}
	})

	t.Run("OnlySoManyAreRemembered", func(t *testing.T) {
		t.Parallel()
		a := newAddresses(1, 1)
		for i := range mostAddresses + 500 {
			a.spend(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255))
		}
		if len(a.known) != mostAddresses || a.order.Len() != mostAddresses {
			t.Fatalf("%d are remembered", len(a.known))
		}
	})
}

// lockedText is a log that is read while it may still be written.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// small is a server of the given handlers, with all that stands around every route.
func small(t *testing.T, log io.Writer, routes map[string]echo.HandlerFunc) *httptest.Server {
	t.Helper()
	s := &server{log: slog.New(slog.NewJSONHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))}
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	e.Use(s.observe, s.recover, secureHeaders)
	for path, do := range routes {
		e.GET(path, do)
	}
	web := httptest.NewServer(e)
	t.Cleanup(web.Close)
	return web
}

func TestFailures(t *testing.T) {
	t.Parallel()

	t.Run("APanicIsShownAsNothingAndLoggedInFull", func(t *testing.T) {
		t.Parallel()
		var log strings.Builder
		web := small(t, &log, map[string]echo.HandlerFunc{"/": func(echo.Context) error { panic("secret detail") }})
		res, err := http.Get(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if res.StatusCode != http.StatusInternalServerError || strings.Contains(string(body), "secret") || strings.Contains(string(body), ".go") {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
		web.Close()
		if !strings.Contains(log.String(), "secret detail") || !strings.Contains(log.String(), "limits_test.go") {
			t.Fatalf("the log has %s", log.String())
		}
	})

	t.Run("WhatNobodyNamedIsShownAsNothing", func(t *testing.T) {
		t.Parallel()
		_, p, _ := asProblem(fmt.Errorf("SELECT * FROM secrets"))
		if p.Status != http.StatusInternalServerError || strings.Contains(p.Detail, "SELECT") {
			t.Fatalf("got %+v", p)
		}
		_, p, wait := asProblem(fault.Wrap(fault.Unavailable, errors.New("dial tcp 10.0.0.1"), "not now"))
		if p.Status != http.StatusServiceUnavailable || p.Detail != "not now" || wait == 0 {
			t.Fatalf("got %+v, %v", p, wait)
		}
	})

	t.Run("HalfAnAnswerIsNeverWhole", func(t *testing.T) {
		t.Parallel()
		var s server
		s.log = slog.New(slog.DiscardHandler)
		web := small(t, io.Discard, map[string]echo.HandlerFunc{"/": func(c echo.Context) error {
			c.Response().Write(make([]byte, 1<<20))
			s.abort(c, errors.New("the database went away"))
			return nil
		}})
		res, err := http.Get(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if n, err := io.Copy(io.Discard, res.Body); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%d bytes came, and then %v", n, err)
		}
	})

	t.Run("ACallerWhoHangsUpIsNobodysFailure", func(t *testing.T) {
		t.Parallel()
		var log lockedText
		ended := make(chan struct{})
		web := small(t, &log, map[string]echo.HandlerFunc{"/": func(c echo.Context) error {
			defer close(ended)
			for part := make([]byte, 1<<20); ; {
				if _, err := c.Response().Write(part); err != nil {
					return err
				}
			}
		}})
		res, err := http.Get(web.URL)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		<-ended
		web.Close()
		if got := log.String(); strings.Contains(got, `"ERROR"`) || strings.Contains(got, `"WARN"`) || !strings.Contains(got, "answer not delivered") {
			t.Fatalf("the log has %s", got)
		}
	})

	t.Run("EveryKindOfFailureHasItsStatus", func(t *testing.T) {
		t.Parallel()
		for kind, status := range map[fault.Kind]int{
			fault.Invalid: 400, fault.NotFound: 404, fault.Conflict: 409, fault.Unauthorized: 401, fault.Forbidden: 403,
			fault.TooLarge: 413, fault.Unsupported: 415, fault.Limited: 429, fault.Unavailable: 503, fault.Internal: 500,
		} {
			if _, p, _ := asProblem(fault.New(kind, "x")); p.Status != status || p.Title == "" {
				t.Errorf("%s: got %+v", kind, p)
			}
		}
		if _, p, _ := asProblem(fault.Fields("x", fault.Field{Field: "a", Message: "b"})); p.Status != 422 || len(p.Errors) != 1 {
			t.Errorf("fields: got %+v", p)
		}
	})
}

func TestPool(t *testing.T) {
	t.Parallel()
	p := newPool(100, 40)
	take := func(who string, n int64, ok bool) {
		t.Helper()
		if err := p.take(who, n); (err == nil) != ok || err != nil && fault.KindOf(err) != fault.Unavailable {
			t.Fatalf("%s takes %d: %v", who, n, err)
		}
	}
	take("a", 41, false) // nobody gets more than their part
	take("a", 40, true)
	take("a", 1, false)
	take("b", 40, true)
	take("c", 30, false) // nor all of them together more than there is
	take("c", 20, true)
	p.give("a", 40)
	take("c", 20, true)
	for who, n := range map[string]int64{"b": 40, "c": 40} {
		p.give(who, n)
	}
	if p.held != 0 || len(p.by) != 0 {
		t.Fatalf("something is left: %d, %v", p.held, p.by)
	}
}

func TestReceive(t *testing.T) {
	t.Parallel()
	s := &server{bodyTime: time.Minute}
	e := echo.New()
	receive := func(from *pool, length int64, body io.Reader) (echo.Context, func(), error) {
		r := httptest.NewRequest(http.MethodPost, "/", body)
		r.ContentLength = length
		c := e.NewContext(r, httptest.NewRecorder())
		release, err := s.receive(c, 100_000, from, "key")
		return c, release, err
	}

	t.Run("ABodyIsReadWholeAndItsMemoryGivenBack", func(t *testing.T) {
		t.Parallel()
		for _, size := range []int{0, 1, firstRoom - 1, firstRoom, firstRoom + 1, 99_999, 100_000} {
			for _, announced := range []int64{-1, int64(size)} {
				from := newPool(200_000, 200_000)
				body := strings.Repeat("x", size)
				c, release, err := receive(from, announced, strings.NewReader(body))
				if err != nil || string(bodyOf(c)) != body {
					t.Fatalf("%d bytes, announced %d: got %d, %v", size, announced, len(bodyOf(c)), err)
				}
				if from.held > 100_001 || announced >= 0 && from.held > announced+1 {
					t.Fatalf("%d bytes hold %d", size, from.held)
				}
				if release(); from.held != 0 {
					t.Fatalf("%d are still held", from.held)
				}
			}
		}
	})

	t.Run("WhatIsAnnouncedIsNotTaken", func(t *testing.T) {
		t.Parallel()
		from := newPool(50_000, 50_000)
		arrives, sends := io.Pipe()
		ended := make(chan error, 1)
		go func() {
			_, _, err := receive(from, 100_000, arrives)
			ended <- err
		}()
		sends.Write([]byte("{"))
		sends.Write([]byte("}")) // taken only after room was made for the first
		from.mu.Lock()
		held := from.held
		from.mu.Unlock()
		if held != firstRoom {
			t.Errorf("two bytes of 100000 hold %d", held)
		}
		sends.CloseWithError(io.ErrUnexpectedEOF)
		if err := <-ended; fault.KindOf(err) != fault.Invalid || from.held != 0 {
			t.Fatalf("got %v, and %d are held", err, from.held)
		}
	})

	t.Run("WhatFindsNoRoomIsRefused", func(t *testing.T) {
		t.Parallel()
		from := newPool(50_000, 50_000)
		if _, _, err := receive(from, -1, strings.NewReader(strings.Repeat("x", 90_000))); fault.KindOf(err) != fault.Unavailable || from.held != 0 {
			t.Fatalf("got %v, and %d are held", err, from.held)
		}
		if _, _, err := receive(from, 100_001, nil); fault.KindOf(err) != fault.TooLarge {
			t.Fatalf("got %v", err)
		}
	})
}

// TestDeadlines holds that the time for a body ends with the body: the answer may take longer.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	s := &server{bodyTime: 50 * time.Millisecond}
	from := newPool(1000, 1000)
	for body, most := range map[string]int64{"": 100, "{}": 100, "[]": 0} {
		web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			e := echo.New()
			release, err := s.receive(e.NewContext(r, w), most, from, "key")
			if err != nil {
				t.Error(err)
				return
			}
			defer release()
			select {
			case <-r.Context().Done():
				t.Errorf("the request ended while it was answered: %v", context.Cause(r.Context()))
			case <-time.After(4 * s.bodyTime):
			}
		}))
		web.Config.ReadTimeout = 2 * s.bodyTime
		web.Start()
		res, err := http.Post(web.URL, echo.MIMEApplicationJSON, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		web.Close()
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	s := &server{perKey: 1}
	leave, err := s.share("a").enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.share("b").enter(t.Context()); err != nil {
		t.Fatalf("one key's calls stand in the way of another's: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.share("a").enter(gone); err == nil {
		t.Fatal("a key has more than its share")
	}
	leave()
	if _, err := s.share("a").enter(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkParseEvents(b *testing.B) {
	one := `{"id":"shop-991","campaign":"spring-2026","type":"subscribe","user":"openid_B","code":"7K2M9QX4TB","time":"2026-03-02T10:00:00+08:00","data":{"amount":9900,"currency":"CNY"}}`
	body := []byte(`{"events":[` + strings.Repeat(one+",", 999) + one + "]}")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if got, err := parseEvents(echo.MIMEApplicationJSON, body); err != nil || len(got.events) != 1000 {
			b.Fatal(err)
		}
	}
}
