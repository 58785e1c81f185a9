package twin

import (
	"strings"
	"sync"
	"time"
)

// The life of access tokens: https://developers.weixin.qq.com/doc/service/api/base/api_getstableaccesstoken and
// https://developers.weixin.qq.com/doc/oplatform/developers/dev/AccessToken.html.
const (
	tokenLife     = 7200 * time.Second
	tokenOverlap  = 5 * time.Minute  // in which a superseded token still works
	forceGap      = 30 * time.Second // a forced refresh sooner than this after the last does nothing
	forcesPerDay  = 20
	tokensKnown   = 256 // of the past, to tell one that expired from one that never was
	tokenLetters  = 136
	classic       = "classic"
	stable        = "stable"
	tokenPrefix   = "88_"
	jsTicketLife  = 7200 * time.Second
	jsTicketChars = 86
)

// issued is one token.
type issued struct {
	kind    string
	value   string
	expires time.Time
	dies    time.Time // when a successor has ended it; zero: it has none
}

// tokens holds the account's tokens. The classic and the stable one neither share nor end each other.
type tokens struct {
	mu     sync.Mutex
	made   int64
	latest map[string]*issued
	known  map[string]*issued
	order  []string // of the known ones, oldest first
	forced time.Time
	day    int64
	forces int
}

func (t *tokens) issue(d ids, kind string, now time.Time) *issued {
	t.made++
	token := &issued{kind: kind, value: tokenPrefix + d.letters(tokenLetters, "token", kind, nth(t.made)), expires: now.Add(tokenLife)}
	t.latest[kind], t.known[token.value] = token, token
	if t.order = append(t.order, token.value); len(t.order) > tokensKnown {
		delete(t.known, t.order[0])
		t.order = t.order[1:]
	}
	return token
}

// check refuses whatever is not a living token.
func (t *tokens) check(value string, now time.Time) error {
	if value == "" {
		return refuse(41001)
	}
	if !strings.HasPrefix(value, tokenPrefix) || len(value) != len(tokenPrefix)+tokenLetters {
		return refuse(40014)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.known[value]
	switch {
	case token == nil:
		return refuse(40001)
	case !token.dies.IsZero() && !now.Before(token.dies):
		return refuse(40001)
	case !now.Before(token.expires):
		return refuse(42001)
	default:
		return nil
	}
}

// supersede ends a token at a time, or when it expires, whichever is sooner.
func (i *issued) supersede(at time.Time) {
	if i != nil && (i.dies.IsZero() || at.Before(i.dies)) {
		i.dies = at
	}
}

type tokenAnswer struct {
	Token   string `json:"access_token"`
	Expires int64  `json:"expires_in"`
}

func (c *call) owner(appID, secret string) error {
	switch {
	case appID == "":
		return refuse(41002)
	case secret == "":
		return refuse(41004)
	case appID != c.cfg.AppID:
		return refuse(40013)
	case secret != c.cfg.Secret:
		return refuse(40125)
	default:
		return nil
	}
}

// token gives a new classic token; the one before works for another five minutes.
func (c *call) token() (any, error) {
	if c.query("grant_type") != "client_credential" {
		return nil, refuse(40002)
	}
	if err := c.owner(c.query("appid"), c.query("secret")); err != nil {
		return nil, err
	}
	c.tokens.mu.Lock()
	defer c.tokens.mu.Unlock()
	c.tokens.latest[classic].supersede(c.now.Add(tokenOverlap))
	c.tokens.issue(c.ids, classic, c.now)
	return tokenAnswer{c.tokens.latest[classic].value, int64(tokenLife / time.Second)}, nil
}

// stableToken gives the stable token while it is valid, and a new one in its last five minutes or when forced.
func (c *call) stableToken() (any, error) {
	var asked struct {
		Grant  string `json:"grant_type"`
		AppID  string `json:"appid"`
		Secret string `json:"secret"`
		Force  bool   `json:"force_refresh"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	if asked.Grant != "client_credential" {
		return nil, refuse(40002)
	}
	if err := c.owner(asked.AppID, asked.Secret); err != nil {
		return nil, err
	}
	t := &c.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	now, current := c.now, t.latest[stable]
	lives := current != nil && now.Before(current.expires) && current.dies.IsZero()
	if day := chinaDay(now); day != t.day {
		t.day, t.forces = day, 0
	}
	switch {
	case asked.Force && (t.forced.IsZero() || now.Sub(t.forced) >= forceGap || !lives):
		if t.forces++; t.forces > forcesPerDay {
			return nil, refuse(45009)
		}
		t.forced = now
		current.supersede(now)
		current = t.issue(c.ids, stable, now)
	case !lives:
		current = t.issue(c.ids, stable, now)
	case current.expires.Sub(now) <= tokenOverlap:
		// The old one lives on to its own end: at most another five minutes.
		current = t.issue(c.ids, stable, now)
	}
	return tokenAnswer{current.value, int64(current.expires.Sub(now) / time.Second)}, nil
}

// RevokeTokens ends every token at once, as when the secret is reset or another system fetched one by force.
func (t *Twin) RevokeTokens() {
	t.tokens.mu.Lock()
	defer t.tokens.mu.Unlock()
	now := t.clock.Now()
	for _, token := range t.tokens.known {
		token.supersede(now)
	}
}
