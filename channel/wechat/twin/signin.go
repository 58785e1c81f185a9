package twin

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Signing in on web pages: https://developers.weixin.qq.com/doc/service/api/webdev/access/api_snsuserinfo.html and
// https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/Wechat_webpage_authorization.html.
const (
	codeLife      = 5 * time.Minute
	refreshLife   = 30 * 24 * time.Hour
	consentLife   = 24 * time.Hour // in which consent is not asked for again
	maxGrants     = 100_000
	fanHeader     = "X-Twin-Fan" // whose browser asks, of the twin's own browsers
	fanCookie     = "twin_fan"   // and of real ones
	scopeBase     = "snsapi_base"
	scopeUserInfo = "snsapi_userinfo"
)

// grant is a fan's permission to an account, from its code to its tokens.
type grant struct {
	fan      *Fan
	scope    string
	snapshot bool
	expires  time.Time // of the code, then of the token
	used     bool
	access   string
	refresh  string
	renewals int64
	until    time.Time // of the refresh token
}

// grants holds the permissions of all fans by code, by token and by refresh token.
type grants struct {
	mu    sync.Mutex
	by    map[string]*grant
	order []string
}

func (g *grants) keep(key string, one *grant) {
	if g.by == nil {
		g.by = map[string]*grant{}
	}
	g.by[key] = one
	if g.order = append(g.order, key); len(g.order) > maxGrants {
		delete(g.by, g.order[0])
		g.order = g.order[1:]
	}
}

// Consenting lets the fan answer yes or no when a page asks for name and picture; at first they answer yes.
func (f *Fan) Consenting(yes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuses = !yes
}

// Snapshot lets pages open as a snapshot for this fan: with a virtual openid, name and picture.
func (f *Fan) Snapshot(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.snapshot = on
}

// Faceless takes the fan's picture away or gives it back.
func (f *Fan) Faceless(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.faceless = on
}

var stateRule = regexp.MustCompile(`^[A-Za-z0-9]{0,128}$`)

// signIn is a request to sign in, as its address says it.
type signIn struct {
	redirect string
	scope    string
	state    string
	raw      string
}

// order in which the platform insists on an authorize address's parameters.
var authorizeOrder = []string{"appid", "redirect_uri", "response_type", "scope", "state"}

// readSignIn checks an authorize address. What is wrong is given as the code that the platform's page shows.
func (t *Twin) readSignIn(raw string) (signIn, string) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return signIn{}, "链接参数错误"
	}
	s := signIn{redirect: q.Get("redirect_uri"), scope: q.Get("scope"), state: q.Get("state"), raw: raw}
	var names []string
	for pair := range strings.SplitSeq(raw, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if slices.Contains(authorizeOrder, name) {
			names = append(names, name)
		}
	}
	back, err := url.Parse(s.redirect)
	switch {
	case s.scope == "":
		return s, "Scope参数不能为空 (10010)"
	case s.redirect == "":
		return s, "redirect_uri参数不能为空 (10011)"
	case q.Get("appid") == "":
		return s, "appid参数不能为空 (10012)"
	case q.Get("appid") != t.cfg.AppID:
		return s, "appid参数错误 (10015)"
	case s.scope != scopeBase && s.scope != scopeUserInfo:
		return s, "该公众号缺少权限，请检查scope (10005)"
	case err != nil || back.Host == "" || back.Scheme != "http" && back.Scheme != "https":
		return s, "redirect_uri参数错误 (10003)"
	case len(t.cfg.OAuthDomains) > 0 && !slices.Contains(t.cfg.OAuthDomains, back.Host):
		return s, "redirect_uri域名与后台配置不一致 (10003)"
	case !stateRule.MatchString(s.state):
		return s, "state参数错误 (10013)"
	case q.Get("response_type") != "code" || !inOrder(names):
		return s, "链接参数的顺序不对，无法访问"
	}
	return s, ""
}

func inOrder(names []string) bool {
	at := -1
	for _, n := range names {
		i := slices.Index(authorizeOrder, n)
		if i <= at {
			return false
		}
		at = i
	}
	return true
}

// whose finds the fan whose browser asks, nil for a stranger's.
func (t *Twin) whose(r *http.Request) *Fan {
	if openid := r.Header.Get(fanHeader); openid != "" {
		return t.Fan(openid)
	}
	if cookie, err := r.Cookie(fanCookie); err == nil {
		return t.Fan(cookie.Value)
	}
	return nil
}

// authorize is the page that signs a fan in: silently, or after asking them.
func (t *Twin) authorize(w http.ResponseWriter, r *http.Request) {
	s, wrong := t.readSignIn(r.URL.RawQuery)
	if wrong != "" {
		t.page(w, http.StatusOK, "message.html", messagePage{Title: "无法访问", Text: wrong})
		return
	}
	f := t.whose(r)
	if f == nil {
		all := t.Fans()
		t.page(w, http.StatusOK, "choose.html", choosePage{Fans: all[:min(len(all), 50)], Back: "/connect/oauth2/authorize?" + s.raw})
		return
	}
	now := t.clock.Now()
	f.mu.Lock()
	asks := s.scope == scopeUserInfo && !f.snapshot && !now.Before(f.silent)
	refuses := f.refuses
	f.mu.Unlock()
	switch {
	case !asks:
		t.letIn(w, r, f, s)
	case r.Header.Get(fanHeader) == "":
		t.page(w, http.StatusOK, "consent.html", consentPage{Account: t.cfg.Name, Fan: f.Name, Query: s.raw})
	case refuses:
		t.turnAway(w, r, s)
	default:
		t.consented(f, now)
		t.letIn(w, r, f, s)
	}
}

func (t *Twin) consented(f *Fan, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.silent = now.Add(consentLife)
}

// confirm takes the answer to the page that asks.
func (t *Twin) confirm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxJSON)
	s, wrong := t.readSignIn(r.FormValue("query"))
	f := t.whose(r)
	switch {
	case wrong != "" || f == nil:
		t.page(w, http.StatusOK, "message.html", messagePage{Title: "无法访问", Text: wrong})
	case r.FormValue("answer") != "allow":
		t.turnAway(w, r, s)
	default:
		t.consented(f, t.clock.Now())
		t.letIn(w, r, f, s)
	}
}

// letIn returns the fan to the page with a code.
func (t *Twin) letIn(w http.ResponseWriter, r *http.Request, f *Fan, s signIn) {
	f.mu.Lock()
	f.signIns++
	one := &grant{fan: f, scope: s.scope, snapshot: f.snapshot, expires: t.clock.Now().Add(codeLife)}
	code := t.ids.letters(32, "code", f.OpenID, nth(f.signIns))
	f.mu.Unlock()
	t.grants.mu.Lock()
	t.grants.keep(code, one)
	t.grants.mu.Unlock()
	back(w, r, s, "code", code)
}

// turnAway returns the fan without a code, as the platform does for those who refuse.
func (t *Twin) turnAway(w http.ResponseWriter, r *http.Request, s signIn) { back(w, r, s, "", "") }

// back sends the browser to the page that asked, code before state as the platform writes them.
func back(w http.ResponseWriter, r *http.Request, s signIn, name, value string) {
	u, err := url.Parse(s.redirect)
	if err != nil {
		http.Error(w, "redirect_uri", http.StatusBadRequest)
		return
	}
	query := "state=" + url.QueryEscape(s.state)
	if name != "" {
		query = name + "=" + value + "&" + query
	}
	if u.RawQuery != "" {
		query = u.RawQuery + "&" + query
	}
	u.RawQuery = query
	http.Redirect(w, r, u.String(), http.StatusFound)
}

type grantAnswer struct {
	Access   string `json:"access_token"`
	Expires  int64  `json:"expires_in"`
	Refresh  string `json:"refresh_token"`
	OpenID   string `json:"openid"`
	Scope    string `json:"scope"`
	Snapshot int    `json:"is_snapshotuser,omitempty"`
	UnionID  string `json:"unionid,omitempty"`
}

// openID is the fan's, or a virtual one in a snapshot.
func (t *Twin) openID(g *grant) (openid, unionid string) {
	if !g.snapshot {
		return g.fan.OpenID, g.fan.UnionID
	}
	openid = "o" + t.ids.letters(27, "virtual", g.fan.OpenID)
	if g.fan.UnionID != "" {
		unionid = "u" + t.ids.letters(27, "virtual", g.fan.UnionID)
	}
	return openid, unionid
}

func (t *Twin) granted(g *grant) grantAnswer {
	openid, unionid := t.openID(g)
	a := grantAnswer{Access: g.access, Expires: int64(tokenLife / time.Second), Refresh: g.refresh, OpenID: openid, Scope: g.scope, UnionID: unionid}
	if g.snapshot {
		a.Snapshot = 1
	}
	return a
}

// exchange gives tokens for a code, once.
func (c *call) exchange() (any, error) {
	if err := c.owner(c.query("appid"), c.query("secret")); err != nil {
		return nil, err
	}
	code := c.query("code")
	if code == "" {
		return nil, refuse(41008)
	}
	if c.query("grant_type") != "authorization_code" {
		return nil, refuse(40002)
	}
	c.grants.mu.Lock()
	defer c.grants.mu.Unlock()
	g := c.grants.by[code]
	switch {
	case g == nil:
		return nil, refuse(40029)
	case g.used:
		return nil, refuse(40163)
	case !c.now.Before(g.expires):
		return nil, refuse(42003)
	}
	g.used = true
	granted := &grant{
		fan: g.fan, scope: g.scope, snapshot: g.snapshot, expires: c.now.Add(tokenLife), until: c.now.Add(refreshLife),
		access: tokenPrefix + c.ids.letters(84, "page token", code), refresh: tokenPrefix + c.ids.letters(84, "refresh", code),
	}
	c.grants.keep(granted.access, granted)
	c.grants.keep(granted.refresh, granted)
	return c.granted(granted), nil
}

func (c *call) refresh() (any, error) {
	switch {
	case c.query("appid") != c.cfg.AppID:
		return nil, refuse(40013)
	case c.query("grant_type") != "refresh_token":
		return nil, refuse(40002)
	case c.query("refresh_token") == "":
		return nil, refuse(41003)
	}
	c.grants.mu.Lock()
	defer c.grants.mu.Unlock()
	g := c.grants.by[c.query("refresh_token")]
	switch {
	case g == nil || g.refresh != c.query("refresh_token"):
		return nil, refuse(40030)
	case !c.now.Before(g.until):
		return nil, refuse(42002)
	}
	// A token that still lives has its life renewed; one that ended is replaced.
	if !c.now.Before(g.expires) {
		g.renewals++
		g.access = tokenPrefix + c.ids.letters(84, "page token", g.refresh, nth(g.renewals))
		c.grants.keep(g.access, g)
	}
	g.expires = c.now.Add(tokenLife)
	return c.granted(g), nil
}

// visitor finds the permission of a page's token.
func (c *call) visitor() (*grant, error) {
	token := c.query("access_token")
	if token == "" {
		return nil, refuse(41001)
	}
	c.grants.mu.Lock()
	defer c.grants.mu.Unlock()
	g := c.grants.by[token]
	if g == nil || g.access != token {
		return nil, refuse(40001)
	}
	if !c.now.Before(g.expires) {
		return nil, refuse(42001)
	}
	if openid, _ := c.openID(g); c.query("openid") != openid {
		return nil, refuse(40003)
	}
	return g, nil
}

func (c *call) checkVisitor() (any, error) {
	_, err := c.visitor()
	return fine, err
}

type profileAnswer struct {
	OpenID    string   `json:"openid"`
	Nickname  string   `json:"nickname"`
	Sex       int      `json:"sex"`
	Language  string   `json:"language"`
	City      string   `json:"city"`
	Province  string   `json:"province"`
	Country   string   `json:"country"`
	Picture   string   `json:"headimgurl"`
	Privilege []string `json:"privilege"`
	UnionID   string   `json:"unionid,omitempty"`
}

func (c *call) profile() (any, error) {
	g, err := c.visitor()
	if err != nil {
		return nil, err
	}
	if g.scope != scopeUserInfo {
		return nil, refuse(48001)
	}
	a := profileAnswer{Nickname: g.fan.Name, Privilege: []string{}}
	a.OpenID, a.UnionID = c.openID(g)
	g.fan.mu.Lock()
	faceless := g.fan.faceless
	g.fan.mu.Unlock()
	switch {
	case g.snapshot:
		a.Nickname, a.Picture = "微信用户", c.avatarURL("snapshot")
	case !faceless:
		a.Picture = c.avatarURL(g.fan.OpenID)
	}
	return a, nil
}
