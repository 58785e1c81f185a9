package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	appID  = "wx0123456789abcdef"
	secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
	openid = "oFissionUser0001AbCdEfGhIjKl"
)

// platform answers as the official pages say. What a test adds by on comes first.
type platform struct {
	*httptest.Server
	mu       sync.Mutex
	seen     []seen
	handlers map[string]http.HandlerFunc
	token    int  // the number in the token that is good
	stubborn bool // gives the token that it refuses, unless forced
	tokens   int  // times a token was given
	forced   int  // and times it was drawn anew for force_refresh
}

// seen is a request as it came.
type seen struct {
	method, path, contentType string
	query                     url.Values
	raw                       string // query
	body                      string
}

func newPlatform(t testing.TB) *platform {
	t.Helper()
	p := &platform{handlers: map[string]http.HandlerFunc{}, token: 1}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(p.Close)
	return p
}

func (p *platform) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	p.seen = append(p.seen, seen{r.Method, r.URL.Path, r.Header.Get("Content-Type"), r.URL.Query(), r.URL.RawQuery, string(body)})
	handler := p.handlers[r.URL.Path]
	if handler == nil && r.URL.Path == pathToken {
		defer p.mu.Unlock()
		p.giveToken(w, body)
		return
	}
	good := p.tokenValue()
	p.mu.Unlock()

	own := strings.HasPrefix(r.URL.Path, "/sns/") || r.URL.Path == pathToken
	switch given := r.URL.Query().Get("access_token"); {
	case own, given == good:
	case given == "":
		fmt.Fprint(w, `{"errcode":41001,"errmsg":"access_token missing rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
		return
	default:
		fmt.Fprint(w, `{"errcode":40001,"errmsg":"invalid credential, access_token is invalid or not latest rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
		return
	}
	if handler == nil {
		http.NotFound(w, r)
		return
	}
	handler(w, r)
}

func (p *platform) giveToken(w http.ResponseWriter, body []byte) {
	var asked struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}
	if json.Unmarshal(body, &asked) != nil || asked.GrantType != "client_credential" {
		fmt.Fprint(w, `{"errcode":40002,"errmsg":"invalid grant_type"}`)
		return
	}
	if asked.AppID != appID || asked.Secret != secret {
		fmt.Fprint(w, `{"errcode":40125,"errmsg":"invalid appsecret rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
		return
	}
	p.tokens++
	value := p.tokenValue()
	if asked.Force {
		p.forced++
		p.stubborn = false
		value = p.tokenValue()
	}
	if p.stubborn {
		value = fmt.Sprintf("TOKEN%03d", p.token-1)
	}
	fmt.Fprintf(w, `{"access_token":%q,"expires_in":7200}`, value)
}

func (p *platform) tokenValue() string { return fmt.Sprintf("TOKEN%03d", p.token) }

// revoke makes every token given so far worthless.
func (p *platform) revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token++
}

// on answers path with these bodies, the last one for ever.
func (p *platform) on(path string, bodies ...string) {
	var mu sync.Mutex
	p.handle(path, func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		body := bodies[0]
		if len(bodies) > 1 {
			bodies = bodies[1:]
		}
		mu.Unlock()
		fmt.Fprint(w, body)
	})
}

func (p *platform) handle(path string, handler http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handlers[path] = handler
}

// calls are the requests to path.
func (p *platform) calls(path string) []seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []seen
	for _, s := range p.seen {
		if s.path == path {
			all = append(all, s)
		}
	}
	return all
}

// only is the one request to path.
func (p *platform) only(t testing.TB, path string) seen {
	t.Helper()
	all := p.calls(path)
	if len(all) != 1 {
		t.Fatalf("%d calls of %s, want one", len(all), path)
	}
	return all[0]
}

// clock is a time that stands until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: time.Unix(1795333200, 0)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// pages collects what is logged.
type pages struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (p *pages) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.Write(b)
}

func (p *pages) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.b.String()
}

// account is a client of the platform, its clock and its log.
func (p *platform) account(t testing.TB, change ...func(*Config)) (*Client, *clock, *pages) {
	t.Helper()
	at, log := newClock(), &pages{}
	cfg := Config{
		AppID: appID, Secret: secret, APIURL: p.URL, Now: at.now,
		Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.pause = time.Millisecond
	return c, at, log
}

func sameJSON(t testing.TB, got, want string) {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatal(err)
	}
	gb, _ := json.Marshal(g)
	wb, _ := json.Marshal(w)
	if !bytes.Equal(gb, wb) {
		t.Fatalf("sent %s\nwant %s", gb, wb)
	}
}

func background(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
