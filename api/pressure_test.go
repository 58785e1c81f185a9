package api_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"kfactor/api"
)

// stalled is a connection that has sent the head of a request and the beginning of its body, and sends no more.
func (h *house) stalled(method, path, role, kind string, announced int, begun string) net.Conn {
	h.t.Helper()
	conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", h.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	key := ""
	if role != "" {
		key = "Authorization: Bearer " + h.keys[role] + "\r\n"
	}
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", method, path, key, kind, announced, begun)
	if err != nil {
		h.t.Fatal(err)
	}
	return conn
}

// told reads the answer of a connection.
func told(t *testing.T, conn net.Conn) (res *http.Response, body string) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(raw)
}

const form = "application/x-www-form-urlencoded"

func TestOneCallerStopsNobodyElse(t *testing.T) {
	t.Parallel()

	t.Run("ByBodiesThatDoNotCome", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) { c.Limits.InFlight = 8; c.Limits.BodyBytes = 20 << 20 })
		for range 12 { // announced are 60 MiB, and more calls than there are places
			h.stalled("POST", "/v1/events", "ingest", "application/json", 5<<20, "{")
		}
		h.ask("owner", "GET", "/v1/campaigns", "").must(http.StatusOK)
		h.ask("owner", "POST", "/v1/campaigns/spring/pause", "{}").must(http.StatusOK)
		h.ask("owner", "POST", "/v1/campaigns/spring/resume", "{}").must(http.StatusOK)
		h.browser(t).submit("/c/spring/join", "x").must(http.StatusSeeOther)
	})

	t.Run("ByFormsThatDoNotCome", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) {
			c.Limits.FormBytes = 64 << 10 // of which half may be one address's
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		})
		var refused int
		for range 16 {
			conn := h.stalled("POST", "/c/spring/join", "", form+"\r\nX-Forwarded-For: 192.0.2.1", 16<<10, "name=")
			conn.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, _ := conn.Read(make([]byte, 1)); n > 0 {
				refused++
			}
		}
		if refused == 0 {
			t.Error("one address may take all that there is for forms")
		}
		h.submit("/c/spring/join", "x", "X-Forwarded-For", "192.0.2.2").must(http.StatusSeeOther)
		h.ask("operator", "POST", "/v1/campaigns/spring/pause", "{}").must(http.StatusOK)
	})
}

func TestVisitorsHaveAPlaceOrAreToldToComeAgain(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) { c.Limits.Visits = 1 })
	stalled := h.db.Begin() // a join waits for the database as long as somebody else writes
	if err := stalled.Exec("UPDATE secret_marks SET name = name").Error; err != nil {
		t.Fatal(err)
	}
	answers := make(chan answer, 5)
	visitors := []*house{h.browser(t), h.browser(t), h.browser(t), h.browser(t), h.browser(t)}
	for i, v := range visitors { // one is let in, two may wait
		go func() { answers <- v.submit("/c/spring/join", fmt.Sprint("x", i)) }()
	}
	for range 2 {
		got := <-answers
		if got.must(http.StatusServiceUnavailable); got.Header.Get("Retry-After") == "" || !strings.Contains(got.Body, "<h1>") {
			t.Errorf("sent away with %v %s", got.Header, got.Body)
		}
	}
	h.ask("", "GET", "/healthz", "").must(http.StatusOK)
	h.ask("", "GET", "/metrics", "").must(http.StatusOK)
	h.ask("owner", "GET", "/v1/campaigns", "").must(http.StatusOK)
	stalled.Rollback()
	for range 3 {
		(<-answers).must(http.StatusSeeOther)
	}
}

func TestSlowBodies(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) { c.Limits.BodyTime = 100 * time.Millisecond })

	t.Run("ABodyThatStopsIsNotWaitedFor", func(t *testing.T) {
		h := h.in(t)
		res, body := told(t, h.stalled("POST", "/v1/events", "ingest", "application/json", 100, "{"))
		if res.StatusCode != http.StatusRequestTimeout || res.Header.Get("Content-Type") != "application/problem+json" || !res.Close || !strings.Contains(body, "did not arrive in time") {
			t.Errorf("got %+v %s", res, body)
		}
		res, body = told(t, h.stalled("POST", "/c/spring/join", "", form, 100, "name="))
		if res.StatusCode != http.StatusRequestTimeout || !strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") || !strings.Contains(body, "<h1>") {
			t.Errorf("a form: got %+v %s", res, body)
		}
	})

	t.Run("ABodyThatComesIsTaken", func(t *testing.T) {
		h := h.in(t)
		conn := h.stalled("POST", "/v1/campaigns/spring/participants", "ingest", "application/json", 12, `{"user":"a"}`)
		if res, body := told(t, conn); res.StatusCode != http.StatusCreated {
			t.Fatalf("got %d %s", res.StatusCode, body)
		}
	})
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	// Of an unknown code each address has one try; who it is counted for shows in the answer to the next.
	ask := func(h *house, want int, forwarded ...string) {
		h.t.Helper()
		r, err := http.NewRequestWithContext(h.t.Context(), "GET", h.URL+"/r/ZZZZZZZZZZ", nil)
		if err != nil {
			h.t.Fatal(err)
		}
		r.Header["X-Forwarded-For"] = forwarded
		if got := h.send(r); got.Status != want {
			h.t.Errorf("%q: status %d, want %d", forwarded, got.Status, want)
		}
	}
	const first, again = http.StatusNotFound, http.StatusTooManyRequests
	behind := func(t *testing.T, proxy string) *house {
		return open(t, func(c *api.Config) {
			c.Limits.GuessesPerMinute = 1
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(proxy)}
		})
	}

	t.Run("TheRightmostAddressThatIsNoProxyCounts", func(t *testing.T) {
		t.Parallel()
		h := behind(t, "127.0.0.0/8")
		ask(h, first, "192.0.2.1")
		ask(h, again, "192.0.2.1")
		ask(h, first, "192.0.2.2, 192.0.2.3")
		ask(h, again, "192.0.2.4, 192.0.2.3") // what stands to the left is the visitor's own invention
		ask(h, again, "nonsense, 192.0.2.3")
		ask(h, first, "192.0.2.5, 127.0.0.9") // a second proxy that is trusted
		ask(h, again, "192.0.2.5")
		ask(h, first, "192.0.2.7", "192.0.2.6") // two lines are one list
		ask(h, again, "192.0.2.6")
		ask(h, first, "2001:db8::1")
		ask(h, again, "2001:db8::2")
		ask(h, first) // the proxy itself
		ask(h, again, "192.0.2.8, nonsense")
	})

	t.Run("WhoIsNoTrustedProxySaysNothing", func(t *testing.T) {
		t.Parallel()
		h := behind(t, "10.0.0.0/8")
		ask(h, first, "192.0.2.1")
		ask(h, again, "192.0.2.2")
		ask(h, again, "10.0.0.1")
	})
}

// TestEveryRefusalIsAProblemOrAPage asks for what is not there in every form.
func TestEveryRefusalIsAProblemOrAPage(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")
	for _, path := range []string{
		"/v1", "/v1/", "/v1/campaigns/", "/v1/campaigns//events", "/v1/campaigns/spring/assets/poster.png/", "/v1/campaigns/%2e%2e",
		"/v1/campaigns/%ff", "/p/" + code + ".png/", "/p/%00.png", "/p/", "/q/", "/r/", "/c/", "/me/", "/r/" + code + "/", "//r/" + code,
		"/r/%00", "/r/%ff%fe", "/c/%2f", "/docs/../v1", "/healthz/", "/metrics/x", "/.well-known/x", "/favicon.ico", "/v1/grants?campaign=%ff",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "BREW"} {
			got := h.ask("owner", method, path, "")
			kind, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
			if got.Status < 400 || got.Status >= 500 || kind != "application/problem+json" && kind != "text/html" {
				t.Errorf("%s %s: %d, %q", method, path, got.Status, kind)
			}
		}
	}
}
