package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Where the platform is, unless Config says otherwise.
const (
	DefaultAPIURL  = "https://api.weixin.qq.com"
	DefaultOpenURL = "https://open.weixin.qq.com"
)

// Limits on what one call may take.
const (
	MaxAnswer = 1 << 20  // bytes of an answer
	MaxMedia  = 10 << 20 // bytes of a file that is fetched
	MaxImage  = 2 << 20  // bytes of an image that is uploaded: the lower of the two limits on the page

	callTime  = 10 * time.Second // one try
	mediaTime = 30 * time.Second // one try with a file
	tries     = 3                // of a call that may be repeated
	firstWait = 200 * time.Millisecond
)

// NoAnswer is the code that Observe is told when the platform did not answer, or not as itself.
const NoAnswer = -1000

// Config is one account and how to reach the platform.
type Config struct {
	AppID   string
	Secret  string
	APIURL  string           // DefaultAPIURL where empty
	OpenURL string           // DefaultOpenURL where empty
	HTTP    *http.Client     // its transport and time-out are used; redirects are never followed
	Vault   Vault            // a memory vault of its own where nil
	Now     func() time.Time // time.Now where nil
	Log     *slog.Logger     // nothing is logged where nil

	// Observe is told of every try: the interface's path, its errcode (NoAnswer where
	// there was none) and how long it took. It may be nil.
	Observe func(path string, code int, took time.Duration)
}

// Client calls the platform for one account. It may be used by several goroutines at once.
type Client struct {
	appID, secret   string
	apiURL, openURL string
	http            *http.Client
	vault           Vault
	now             func() time.Time
	log             *slog.Logger
	observe         func(string, int, time.Duration)

	pause time.Duration // before the second try

	force    sync.Mutex // guards forcedAt
	forcedAt time.Time
}

// New makes the client of an account.
func New(cfg Config) (*Client, error) {
	if cfg.AppID == "" || cfg.Secret == "" {
		return nil, errors.New("an account needs its app id and secret")
	}
	c := &Client{
		appID: cfg.AppID, secret: cfg.Secret,
		vault: cfg.Vault, now: cfg.Now, log: cfg.Log, observe: cfg.Observe,
		pause: firstWait,
	}
	var err error
	if c.apiURL, err = base(cfg.APIURL, DefaultAPIURL); err != nil {
		return nil, fmt.Errorf("the platform's API address: %w", err)
	}
	if c.openURL, err = base(cfg.OpenURL, DefaultOpenURL); err != nil {
		return nil, fmt.Errorf("the platform's sign-in address: %w", err)
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.observe == nil {
		c.observe = func(string, int, time.Duration) {}
	}
	if c.vault == nil {
		c.vault = NewMemoryVault(c.now)
	}
	own := http.Client{Transport: ownTransport()}
	if cfg.HTTP != nil {
		own = *cfg.HTTP
	}
	own.Jar = nil
	// The platform does not redirect, and the address holds the token: it goes nowhere else.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	return c, nil
}

// ownTransport keeps more than the usual two connections to the one host that is called.
func ownTransport() http.RoundTripper {
	shared, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	own := shared.Clone()
	own.MaxIdleConnsPerHost = 32
	return own
}

// base is an address without its last slash.
func base(given, otherwise string) (string, error) {
	if given == "" {
		return otherwise, nil
	}
	u, err := url.Parse(given)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", errors.New("write scheme and host, such as https://api.weixin.qq.com")
	}
	return strings.TrimSuffix(given, "/"), nil
}

// request is one call before it has a token.
type request struct {
	method      string
	path        string
	query       url.Values
	contentType string
	body        []byte
	open        bool     // takes no access token of the account
	repeat      bool     // may be tried again when nobody knows whether it arrived
	file        bool     // carries a file, one way or the other
	secrets     []string // what must not be shown of this call, beside the account's own
}

func get(path string, query url.Values) request {
	return request{method: http.MethodGet, path: path, query: query, repeat: true}
}

// post is a call with a JSON body. It is not repeated unless said so.
func post(path string, body any) (request, error) {
	b, err := marshal(body)
	if err != nil {
		return request{}, fmt.Errorf("%s: the body: %w", path, err)
	}
	return request{method: http.MethodPost, path: path, contentType: "application/json; charset=utf-8", body: b}, nil
}

// post calls path with body as JSON and reads the answer into out, which may be nil.
func (c *Client) post(ctx context.Context, path string, body, out any, repeat bool) error {
	r, err := post(path, body)
	if err != nil {
		return err
	}
	r.repeat = repeat
	return c.call(ctx, r, out)
}

// call makes the request and reads the answer into out, which may be nil.
func (c *Client) call(ctx context.Context, r request, out any) error {
	a, err := c.fetch(ctx, r)
	if err != nil {
		return err
	}
	return a.decode(r.path, out)
}

// fetch makes the request until there is an answer that is no error. A refused token is
// renewed once; a busy platform and a lost connection are tried again where that is safe.
func (c *Client) fetch(ctx context.Context, r request) (answer, error) {
	var (
		stale   string
		renewed bool
		wait    = c.pause
	)
	for try := 1; ; {
		token, err := c.tokenFor(ctx, r, stale)
		if err != nil {
			return answer{}, err
		}
		a, err := c.once(ctx, r, token)
		switch {
		case err == nil:
			return a, nil
		case ClassOf(err) == Refresh && !r.open && !renewed:
			stale, renewed = token, true
			c.log.InfoContext(ctx, "the platform refused the access token", "path", r.path, "code", CodeOf(err))
			continue
		case !r.repeat || !again(err) || try == tries:
			return answer{}, err
		}
		try++
		if !sleep(ctx, wait+rand.N(wait)) {
			return answer{}, err
		}
		wait *= 3
	}
}

// tokenFor is the access token for r, "" where it takes none.
func (c *Client) tokenFor(ctx context.Context, r request, stale string) (string, error) {
	if r.open {
		return "", nil
	}
	return c.token(ctx, stale)
}

// again reports whether the same call may do better in a moment. A full minute's quota may
// not: that is for whoever plans the calls.
func again(err error) bool {
	var lost *Unreachable
	if errors.As(err, &lost) {
		return lost.Class() == Retry
	}
	return CodeOf(err) == CodeBusy
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once makes the request a single time.
func (c *Client) once(ctx context.Context, r request, token string) (answer, error) {
	began := time.Now()
	a, err := c.send(ctx, r, token)
	took := time.Since(began)
	code := 0
	if err != nil {
		code = CodeOf(err)
		c.log.DebugContext(ctx, "call to the platform", "path", r.path, "took", took, "err", err)
	}
	c.observe(r.path, code, took)
	return a, err
}

func (c *Client) send(ctx context.Context, r request, token string) (answer, error) {
	hide := c.hider(append(r.secrets, token)...)
	limit := callTime
	if r.file {
		limit = mediaTime
	}
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	query := url.Values{}
	for name, values := range r.query {
		query[name] = values
	}
	if !r.open {
		query.Set("access_token", token)
	}
	req, err := http.NewRequestWithContext(within, r.method, c.apiURL+r.path+"?"+query.Encode(), bytes.NewReader(r.body))
	if err != nil {
		return answer{}, lost(r.path, err, hide)
	}
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer{}, lost(r.path, err, hide)
	}
	defer res.Body.Close()

	most := int64(MaxAnswer)
	if r.file && r.method == http.MethodGet {
		most = MaxMedia
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return answer{}, lost(r.path, err, hide)
	}
	if int64(len(body)) > most {
		return answer{}, &Unreachable{Path: r.path, Status: res.StatusCode, Message: fmt.Sprintf("the answer has more than %d bytes", most)}
	}
	if res.StatusCode != http.StatusOK {
		return answer{}, &Unreachable{Path: r.path, Status: res.StatusCode, Message: "the answer is not one of the platform"}
	}
	a := answer{contentType: res.Header.Get("Content-Type"), body: body}
	return a, a.failure(r, hide)
}
