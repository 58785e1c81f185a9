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
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"
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

// small is a server of the given handlers, with all that stands around every route.
func small(t *testing.T, log io.Writer, routes map[string]echo.HandlerFunc) *httptest.Server {
	t.Helper()
	s := &server{log: slog.New(slog.NewJSONHandler(log, nil))}
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

func TestLimitBody(t *testing.T) {
	t.Parallel()
	s := &server{bodies: semaphore.NewWeighted(1000)}
	e := echo.New()
	ask := func(length int64) (func(), error) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(""))
		r.ContentLength = length
		return s.limitBody(e.NewContext(r, httptest.NewRecorder()), 800)
	}
	release, err := ask(300)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ask(-1); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("a body of unknown size is taken for a small one: %v", err)
	}
	if _, err := ask(900); fault.KindOf(err) != fault.TooLarge {
		t.Fatalf("got %v", err)
	}
	release()
	release, err = ask(-1)
	if err != nil {
		t.Fatal(err)
	}
	release()
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
