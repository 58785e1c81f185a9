package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"gorm.io/gorm"

	"kfactor/api"
	"kfactor/channel/wechat"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
	"kfactor/internal/telemetry"
)

// spring is the smallest useful campaign.
const spring = `campaign: spring
name: 春季老带新
channel: web
schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2036-12-31T23:59:59+08:00, timezone: Asia/Shanghai}
poster:
  size: [750, 1334]
  background: "#FFF4E0"
  layers:
    - text: {value: "{{nickname}} 邀请你一起领好礼", at: [60, 120], size: 44, color: "#222222", max_width: 630}
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: 邀请好友关注, on: subscribe, credit: inviter, revoke_on: unsubscribe}
tiers:
  - {name: 铜牌, requires: {invite: 1}, rewards: [coupon]}
  - {name: 银牌, requires: {invite: 2}, rewards: [mug]}
rewards:
  coupon: {kind: coupon, title: 10 元优惠券, unit_cost: "10.00", stock: 100}
  mug: {kind: physical, title: 定制马克杯, unit_cost: "35.00", stock: 2, review: true}
budget: {currency: CNY, limit: "5000.00"}
`

// house is a whole server over a real engine, and a client that holds every answer against the OpenAPI document.
type house struct {
	*httptest.Server
	t      *testing.T
	engine *engine.Engine
	wechat *wechat.Channels
	db     *gorm.DB
	keys   map[string]string // secrets by role
	log    *lines
	data   string       // the data directory
	client *http.Client // nil: the server's own
}

type option func(*api.Config)

// open starts a house that is gone with the test.
func open(t *testing.T, options ...option) *house {
	t.Helper()
	return openOn(t, nil, options...)
}

// openOn starts a house whose campaigns may be on these channels beside the web.
func openOn(t *testing.T, channels map[string]settings.Channel, options ...option) *house {
	t.Helper()
	return openOver(t, databasetest.SQLite(t), channels, options...)
}

// openOver starts a house over a database.
func openOver(t *testing.T, db *gorm.DB, channels map[string]settings.Channel, options ...option) *house {
	t.Helper()
	discard := slog.New(slog.DiscardHandler)
	q, err := queue.Open("embedded", discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	h := &house{t: t, keys: map[string]string{}, log: &lines{}, data: t.TempDir(), db: db}
	h.Server = httptest.NewUnstartedServer(nil)
	public := "http://" + h.Listener.Addr().String()
	secret := []byte("0123456789abcdef0123456789abcdef")
	metrics := telemetry.New()
	accounts, err := wechat.Open(wechat.Config{
		DB: h.db, Secret: secret, Accounts: channels, PublicURL: public, Log: discard, Metrics: metrics,
	})
	if err != nil {
		t.Fatal(err)
	}
	beside, err := accounts.Channels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var served *wechat.Channels
	h.engine, err = engine.New(engine.Config{
		DB: h.db, Queue: q, Metrics: metrics, Log: discard, Secret: secret,
		DataDir: h.data, PublicURL: public, Channels: beside,
		Deliver: func(ctx context.Context, channel string) (bool, error) { return served.Deliver(ctx, channel) },
	})
	if err != nil {
		t.Fatal(err)
	}
	served = accounts.Serve(h.engine)
	h.wechat = served
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.engine.Run(ctx) }()
	cfg := api.Config{
		Engine: h.engine, Metrics: metrics, Log: slog.New(slog.NewJSONHandler(h.log, nil)),
		PublicURL: public, Secret: secret,
	}
	if len(channels) > 0 {
		cfg.WeChat = served
	}
	for _, o := range options {
		o(&cfg)
	}
	if h.Config.Handler, err = api.New(cfg); err != nil {
		t.Fatal(err)
	}
	h.Start()
	t.Cleanup(func() {
		if t.Failed() {
			for line := range strings.Lines(h.log.String()) {
				if !strings.Contains(line, `"level":"INFO"`) {
					t.Log(line)
				}
			}
		}
		h.Close()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := h.engine.Close(); err != nil {
			t.Error(err)
		}
	})
	h.Client().Transport = checked{t, h.Client().Transport, contract(t, public)}
	h.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, role := range engine.Roles {
		key, _, err := h.engine.CreateKey(t.Context(), role, role+" of the test")
		if err != nil {
			t.Fatal(err)
		}
		h.keys[role] = key
	}
	return h
}

// in is the house as seen by a test within the test.
func (h *house) in(t *testing.T) *house {
	inner := *h
	inner.t = t
	return &inner
}

// answer is an answer that was read whole.
type answer struct {
	t      *testing.T
	Status int
	Header http.Header
	Body   string
}

// into reads the body as JSON.
func (a answer) into(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil {
		a.t.Fatalf("%v in %s", err, a.Body)
	}
}

// must is the answer if it has the status.
func (a answer) must(status int) answer {
	a.t.Helper()
	if a.Status != status {
		a.t.Fatalf("status %d, want %d: %.2000s", a.Status, status, a.Body)
	}
	return a
}

// problem reads a failure and holds it to the form that all have.
func (a answer) problem(status int) (p struct {
	Type, Title, Detail string
	Status              int
	Errors              []struct{ Field, Message string }
	RequestID           string `json:"request_id"`
},
) {
	a.t.Helper()
	a.must(status)
	if got := a.Header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Fatalf("Content-Type %q: %s", got, a.Body)
	}
	a.into(&p)
	if p.Status != status || p.Title == "" || p.Detail == "" || p.RequestID == "" || p.RequestID != a.Header.Get("X-Request-Id") {
		a.t.Fatalf("the problem is not whole: %s", a.Body)
	}
	return p
}

// ask is a request with the role's key; role "" sends none. Headers are given as pairs.
func (h *house) ask(role, method, path, body string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.URL+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+h.keys[role])
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.send(r)
}

func (h *house) send(r *http.Request) answer {
	h.t.Helper()
	client := h.client
	if client == nil {
		client = h.Client()
	}
	res, err := client.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{h.t, res.StatusCode, res.Header, string(raw)}
}

// live is a house with the campaign running.
func live(t *testing.T, options ...option) *house {
	t.Helper()
	h := open(t, options...)
	h.ask("operator", "POST", "/v1/campaigns", spring, "Content-Type", "application/yaml").must(http.StatusCreated)
	h.ask("operator", "POST", "/v1/campaigns/spring/launch", "").must(http.StatusOK)
	return h
}

// join has a user join and gives their code.
func (h *house) join(user, nickname, invitedBy string) string {
	h.t.Helper()
	body, _ := json.Marshal(map[string]string{"user": user, "nickname": nickname, "invited_by": invitedBy})
	if invitedBy == "" {
		body, _ = json.Marshal(map[string]string{"user": user, "nickname": nickname})
	}
	var p engine.ParticipantView
	h.ask("ingest", "POST", "/v1/campaigns/spring/participants", string(body)).must(http.StatusCreated).into(&p)
	return p.Code
}

// follow posts subscribe events of users who came through the code.
func (h *house) follow(code string, users ...string) {
	h.t.Helper()
	for _, u := range users {
		body := `{"id":"follow-` + u + `","campaign":"spring","type":"subscribe","user":"` + u + `","code":"` + code + `"}`
		h.ask("ingest", "POST", "/v1/events", body).must(http.StatusAccepted)
	}
}

// until asks again until the answer is right.
func (h *house) until(what string, right func() bool) {
	h.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !right() {
		if time.Now().After(deadline) {
			h.t.Fatalf("still not so: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// count is how many friends count for a code.
func (h *house) count(code string) int {
	h.t.Helper()
	var p engine.ParticipantView
	h.ask("viewer", "GET", "/v1/campaigns/spring/participants/"+code, "").must(http.StatusOK).into(&p)
	return p.Tasks["invite"].Count
}

// lines is a log that can be read while it is written.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// contract is the OpenAPI document, read strictly: what it does not name must not be in an answer.
func contract(t *testing.T, public string) routers.Router {
	t.Helper()
	raw, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		t.Fatal(err)
	}
	no := false
	for _, s := range doc.Components.Schemas {
		if len(s.Value.Properties) > 0 && s.Value.AdditionalProperties.Schema == nil {
			s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
		}
	}
	doc.Servers = openapi3.Servers{{URL: public}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return router
}

// checked holds every answer against the document.
type checked struct {
	t      *testing.T
	below  http.RoundTripper
	router routers.Router
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := c.below.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(res.Body)
	res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	route, params, err := c.router.FindRoute(r)
	if err != nil { // an address that is not in the document: there is nothing to hold it against
		return res, nil
	}
	if kind := res.Header.Get("Content-Type"); !strings.Contains(kind, "json") {
		declared := route.Operation.Responses.Status(res.StatusCode)
		if declared == nil {
			declared = route.Operation.Responses.Default()
		}
		plain, _, _ := strings.Cut(kind, ";")
		if declared == nil || kind != "" && declared.Value.Content[plain] == nil {
			c.t.Errorf("%s %s: %d with %q is not in the document", r.Method, route.Path, res.StatusCode, kind)
		}
		return res, nil
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 res.StatusCode,
		Header:                 res.Header,
		Body:                   io.NopCloser(bytes.NewReader(raw)),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		c.t.Errorf("%s %s: the answer is not as the document says: %v\n%.2000s", r.Method, route.Path, err, raw)
	}
	return res, nil
}

// contains says whether all are in s.
func contains(s string, all ...string) bool {
	return !slices.ContainsFunc(all, func(one string) bool { return !strings.Contains(s, one) })
}
