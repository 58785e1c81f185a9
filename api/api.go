// Package api is everything that speaks HTTP: the routes with the role beside each, problem details,
// keys, limits, and the pages a visitor sees. What a campaign does with what it is told is not decided here.
package api

import (
	"crypto/sha256"
	"errors"
	"html/template"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/time/rate"

	"kfactor/channel/wechat"
	"kfactor/engine"
	"kfactor/internal/telemetry"
)

// Config is what the HTTP surface stands on.
type Config struct {
	Engine    *engine.Engine
	WeChat    *wechat.Channels   // nil: no channel beside the web
	Metrics   *telemetry.Metrics // nil: /metrics answers 404
	Log       *slog.Logger       // nil: slog.Default
	PublicURL string             // the address people reach, without a slash at the end
	Secret    []byte             // at least 32 bytes; signs cookies
	// TrustedProxies may say in X-Forwarded-For for whom they speak. Empty: the connection's own address counts.
	TrustedProxies []netip.Prefix
	Limits         Limits
}

// Limits bound what one client address, and all of them together, may ask. Zero fields take the defaults.
type Limits struct {
	JoinsPerMinute   int           // by the public page, per client address; default 60
	ScansPerMinute   int           // page views that are recorded, per client address; default 300. More are shown and not recorded
	GuessesPerMinute int           // unknown codes, per client address; default 30
	InFlight         int           // authenticated calls at once, half of them of one key; default 512
	Visits           int           // pages, posters and QR codes asked for at once, without a key; default 512, and twice as many wait
	BodyBytes        int           // bodies of authenticated calls in memory at once, a quarter of them of one key; default 256 MiB
	FormBytes        int           // forms in memory at once, a 32nd of them from one client address; default 16 MiB
	BodyTime         time.Duration // for a body to arrive, and a second more for each 32 KiB of it; default 30 s
	Callbacks        int           // calls of a channel's platform at once; default 1024, and as many wait
	Renders          int           // posters drawn at once; default twice the cores
	RendersWaiting   int           // posters waiting for their turn; default 64 times the cores
}

// withDefaults fills in what is zero.
func (l Limits) withDefaults() Limits {
	fill := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	fill(&l.JoinsPerMinute, 60)
	fill(&l.ScansPerMinute, 300)
	fill(&l.GuessesPerMinute, 30)
	fill(&l.InFlight, 512)
	fill(&l.Visits, 512)
	fill(&l.Callbacks, 1024)
	fill(&l.BodyBytes, 256*mib)
	fill(&l.FormBytes, 16*mib)
	if l.BodyTime <= 0 {
		l.BodyTime = 30 * time.Second
	}
	fill(&l.Renders, 2*runtime.GOMAXPROCS(0))
	fill(&l.RendersWaiting, 64*runtime.GOMAXPROCS(0))
	return l
}

// Sizes in bytes.
const (
	kib = 1 << 10
	mib = 1 << 20
)

type server struct {
	engine    *engine.Engine
	wechat    *wechat.Channels // nil: none
	metrics   *telemetry.Metrics
	log       *slog.Logger
	publicURL string
	secure    bool // the public address is https, so cookies may insist on it
	cookieKey [sha256.Size]byte

	joins     *addresses
	scans     *addresses
	guesses   *addresses
	calls     *gate
	visits    *gate
	callbacks *gate
	shares    sync.Map // of *gate, by key
	perKey    int      // calls of one key at once
	renders   *gate
	prints    prints
	boards    boards
	bodies    *pool
	forms     *pool
	bodyTime  time.Duration
	origins   *http.CrossOriginProtection

	pages *template.Template
	docs  []byte
}

// New is the whole HTTP surface. The server that carries it sets the connection's time-outs.
func New(cfg Config) (http.Handler, error) {
	switch {
	case cfg.Engine == nil:
		return nil, errors.New("api: no engine")
	case len(cfg.Secret) < 32:
		return nil, errors.New("api: the secret has fewer than 32 bytes")
	}
	public, err := url.Parse(cfg.PublicURL)
	if err != nil || public.Host == "" {
		return nil, errors.New("api: the public URL is not an address such as https://example.com")
	}
	limits := cfg.Limits.withDefaults()
	s := &server{
		engine:    cfg.Engine,
		wechat:    cfg.WeChat,
		metrics:   cfg.Metrics,
		log:       cfg.Log,
		publicURL: strings.TrimRight(cfg.PublicURL, "/"),
		secure:    public.Scheme == "https",
		cookieKey: sha256.Sum256(append([]byte("kfactor cookies\x00"), cfg.Secret...)),
		joins:     newAddresses(rate.Limit(limits.JoinsPerMinute)/60, limits.JoinsPerMinute),
		scans:     newAddresses(rate.Limit(limits.ScansPerMinute)/60, limits.ScansPerMinute),
		guesses:   newAddresses(rate.Limit(limits.GuessesPerMinute)/60, limits.GuessesPerMinute),
		calls:     newGate(limits.InFlight, 0, 0),
		visits:    newGate(limits.Visits, 2*limits.Visits, 5*time.Second),
		callbacks: newGate(limits.Callbacks, limits.Callbacks, 2*time.Second),
		renders:   newGate(limits.Renders, limits.RendersWaiting, 5*time.Second),
		perKey:    max(1, limits.InFlight/2),
		bodies:    newPool(int64(limits.BodyBytes), max(int64(limits.BodyBytes)/4, 2*assetBody)),
		forms:     newPool(int64(limits.FormBytes), max(int64(limits.FormBytes)/32, 2*formBody)),
		bodyTime:  limits.BodyTime,
		origins:   http.NewCrossOriginProtection(),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	// A proxy may rewrite Host; the address that people see stays welcome.
	if err := s.origins.AddTrustedOrigin(public.Scheme + "://" + public.Host); err != nil {
		return nil, err
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	if s.docs, err = s.renderDocs(); err != nil {
		return nil, err
	}
	return s.handler(cfg.TrustedProxies), nil
}

func (s *server) handler(proxies []netip.Prefix) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Logger.SetOutput(io.Discard) // slog speaks for the server
	e.IPExtractor = clientAddress(proxies)
	e.HTTPErrorHandler = s.answerError
	e.Use(s.observe, s.recover, secureHeaders)
	for _, r := range s.routes() {
		h := s.guard(r)
		e.Add(r.method, r.pattern(), h)
		if r.method == http.MethodGet && r.who == anyone {
			e.Add(http.MethodHead, r.pattern(), h)
		}
	}
	return e
}

// clientAddress is whom a request comes from: the connection's own address, unless proxies are trusted to say.
func clientAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		p = p.Masked()
		trust = append(trust, echo.TrustIPRange(&net.IPNet{
			IP:   p.Addr().AsSlice(),
			Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen()),
		}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}
