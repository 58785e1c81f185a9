package twin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Mode is how pushes are written: https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html
type Mode string

const (
	Plain      Mode = "plain"      // in the open
	Compatible Mode = "compatible" // in the open and encrypted, both in one body
	Secure     Mode = "secure"     // encrypted only
)

// Config describes one official account and the platform around it. Zero values of everything below AESKey are sensible.
type Config struct {
	AppID      string // wx and 16 hexadecimal digits; made up from the seed when empty
	Secret     string // made up from the seed when empty
	OriginalID string // gh_ and 12 hexadecimal digits; made up from the seed when empty
	Name       string // what fans see the account called
	Token      string // the callback's token; made up from the seed when empty
	AESKey     string // 43 characters; made up from the seed when empty
	Mode       Mode   // plain when empty

	BaseURL      string   // where the twin is reached, without a slash at the end; learned from the first request when empty
	Clock        *Clock   // one that runs with the real time when nil
	Seed         int64    // of every id
	OpenPlatform string   // gives fans a unionid; twins that share it know the same person by the same one; none when empty
	OAuthDomains []string // hosts that may be returned to after signing in; any when empty
	MiniPrograms []string // appids that menus and cards may open; any when empty
	Templates    []Template

	Deliveries      int           // how often a push is tried in all; 3 when 0
	PushTimeout     time.Duration // how long an answer is waited for, in real time; 5 s when 0
	PushGap         time.Duration // between the starts of two deliveries, in real time; PushTimeout when 0
	FreshNonces     bool          // repeats carry a new time stamp and nonce; otherwise they are the same to the byte
	SeparateWindows bool          // allowances stand side by side; otherwise a new trigger raises the one there is
	Merchant        Merchant

	MaxFans       int              // that the control routes let in; 20,000 when 0
	MaxMessages   int              // kept of each chat; 200 when 0
	MaxImageBytes int64            // of all pictures together, the oldest go first; 512 MiB when 0
	Quotas        map[string]int64 // calls per day by path, in place of the platform's
	Log           *slog.Logger     // nothing is logged when nil
}

// Twin is one account on a platform of its own. It is safe for many goroutines.
type Twin struct {
	cfg   Config
	clock *Clock
	ids   ids
	box   *box
	log   *slog.Logger
	mux   *http.ServeMux
	apis  map[string]*api
	stats stats

	base     atomic.Pointer[string] // where the twin is reached
	callback atomic.Pointer[string] // where pushes go; nil: nowhere yet

	fans     roster
	tokens   tokens
	codes    codes
	media    media
	pictures pictures
	faults   faults
	menu     menu
	jobs     templateJobs
	grants   grants
	clears   clears
	requests requests
	pay      counter

	outgoing *http.Client
	running  context.Context // ends with Close
	stop     context.CancelFunc
	laterMu  sync.Mutex // guards closed, and later against starting after Close
	closed   bool
	later    sync.WaitGroup // pushes nobody waits for, and what waits for the clock
	slots    chan struct{}  // bounds them
}

// New makes a twin. Close ends what it has running.
func New(cfg Config) (*Twin, error) {
	t := &Twin{cfg: cfg, clock: cfg.Clock, log: cfg.Log, ids: newIDs(cfg.Seed, cfg.AppID)}
	t.fill()
	switch t.cfg.Mode {
	case Plain, Compatible, Secure:
	default:
		return nil, fmt.Errorf("twin: mode %q is none of plain, compatible and secure", cfg.Mode)
	}
	var err error
	if t.box, err = newBox(t.cfg.AESKey, t.cfg.AppID); err != nil {
		return nil, fmt.Errorf("twin: %w", err)
	}
	t.running, t.stop = context.WithCancel(context.Background())
	t.slots = make(chan struct{}, 256)
	t.outgoing = &http.Client{
		Transport:     &http.Transport{Proxy: nil, MaxIdleConns: 512, MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	t.tokens.known, t.tokens.latest = map[string]*issued{}, map[string]*issued{}
	t.routes()
	return t, nil
}

func (t *Twin) fill() {
	if t.clock == nil {
		t.clock = NewClock()
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	or := func(value *string, otherwise string) {
		if *value == "" {
			*value = otherwise
		}
	}
	c := &t.cfg
	or(&c.AppID, "wx"+t.ids.hex(16, "appid"))
	or(&c.Secret, t.ids.hex(32, "secret"))
	or(&c.OriginalID, "gh_"+t.ids.hex(12, "original"))
	or(&c.Name, "kfactor")
	or(&c.Token, t.ids.hex(24, "callback token"))
	or(&c.AESKey, t.ids.hex(42, "aes key")+"A")
	or(&c.Merchant.ID, "19"+nth(1e8 + t.ids.number("merchant")%9e8)[1:])
	or(&c.Merchant.Serial, strings.ToUpper(t.ids.hex(40, "serial")))
	or(&c.Merchant.APIv3Key, t.ids.hex(32, "apiv3"))
	if c.Merchant.Largest <= 0 {
		c.Merchant.Largest = 200_00
	}
	if c.Mode == "" {
		c.Mode = Plain
	}
	if c.Deliveries <= 0 {
		c.Deliveries = 3
	}
	if c.PushTimeout <= 0 {
		c.PushTimeout = 5 * time.Second
	}
	if c.PushGap <= 0 {
		c.PushGap = c.PushTimeout
	}
	if c.MaxFans <= 0 {
		c.MaxFans = 20_000
	}
	if c.MaxMessages <= 0 {
		c.MaxMessages = 200
	}
	if c.MaxImageBytes <= 0 {
		c.MaxImageBytes = 512 << 20
	}
	if base := strings.TrimSuffix(c.BaseURL, "/"); base != "" {
		t.base.Store(&base)
	}
}

// Close ends the pushes that are still under way and waits for them.
func (t *Twin) Close() {
	t.laterMu.Lock()
	t.closed = true
	t.laterMu.Unlock()
	t.stop()
	t.later.Wait()
	t.outgoing.CloseIdleConnections()
}

// spawn runs work that Close waits for.
func (t *Twin) spawn(work func()) {
	t.laterMu.Lock()
	defer t.laterMu.Unlock()
	if !t.closed {
		t.later.Go(work)
	}
}

// Handler serves the platform's paths, the control routes and the pages.
func (t *Twin) Handler() http.Handler { return http.HandlerFunc(t.serve) }

func (t *Twin) serve(w http.ResponseWriter, r *http.Request) {
	if t.base.Load() == nil && r.Host != "" {
		base := "http://" + r.Host
		t.base.CompareAndSwap(nil, &base)
	}
	t.mux.ServeHTTP(w, r)
}

// Config gives the account as it came to be, with what was made up.
func (t *Twin) Config() Config { return t.cfg }

// Clock gives the twin's clock.
func (t *Twin) Clock() *Clock { return t.clock }

// BaseURL is where the twin is reached, empty when it does not know yet.
func (t *Twin) BaseURL() string {
	if base := t.base.Load(); base != nil {
		return *base
	}
	return ""
}

// SetBaseURL says where the twin is reached, for pictures' addresses and for fans who sign in.
func (t *Twin) SetBaseURL(base string) {
	base = strings.TrimSuffix(base, "/")
	t.base.Store(&base)
}

// SetCallback makes an address the account's callback after the platform's check: a GET whose echostr must come back as it
// was. A refused address changes nothing. An empty address ends pushes.
func (t *Twin) SetCallback(ctx context.Context, address string) error {
	if address == "" {
		t.callback.Store(nil)
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("twin: %q is not an http or https address", address)
	}
	now := nth(t.clock.Now().Unix())
	nonce := nth(t.ids.number("handshake", address, now) % 1e10)
	echo := nth(t.ids.number("echo", address, now))
	q := u.Query()
	q.Set("signature", sign(t.cfg.Token, now, nonce))
	q.Set("timestamp", now)
	q.Set("nonce", nonce)
	q.Set("echostr", echo)
	asked := *u
	asked.RawQuery = q.Encode()

	ctx, cancel := context.WithTimeout(ctx, t.cfg.PushTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, asked.String(), nil)
	if err != nil {
		return fmt.Errorf("twin: %w", err)
	}
	answer, err := t.outgoing.Do(request)
	if err != nil {
		return fmt.Errorf("twin: the callback's check: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("twin: the callback's check: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("twin: the callback answered its check with status %d", answer.StatusCode)
	}
	if string(body) != echo {
		return errors.New("twin: the callback did not give the echostr back as it was")
	}
	t.callback.Store(&address)
	return nil
}
