package twin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"
)

const (
	maxJSON       = 1 << 20 // of one call's body
	maxRemembered = 4 << 10 // of a refused call's body
)

// api is one of the platform's calls.
type api struct {
	method string
	path   string
	open   bool // asks for no access token
	upload bool // reads its own body
	daily  int64
	minute int64
	serve  func(*call) (any, error) // what to write as JSON, or a blob

	quota quota
	count tally
}

// call is one call as its API sees it.
type call struct {
	*Twin
	w    http.ResponseWriter
	r    *http.Request
	now  time.Time
	body []byte // of calls that carry JSON
}

// blob is an answer that is no JSON.
type blob struct {
	contentType string
	name        string // for Content-Disposition
	body        []byte
}

// ok is the answer of calls that have nothing to say.
type ok struct {
	Code int    `json:"errcode"`
	Text string `json:"errmsg"`
}

var fine = ok{0, "ok"}

// read decodes the body; what is no JSON of the expected shape is refused the platform's way.
func (c *call) read(into any) error {
	if len(bytes.TrimSpace(c.body)) == 0 {
		return refuse(44002)
	}
	if json.Unmarshal(c.body, into) != nil {
		return refuse(47001)
	}
	return nil
}

// nowhere answers paths that the twin does not serve.
func (c *call) nowhere() (any, error) { return nil, refuse(40066) }

func (c *call) query(name string) string { return c.r.URL.Query().Get(name) }

// calls is the platform's table of calls, with the quotas of a newly registered service account.
func (t *Twin) calls() []*api {
	const get, post = http.MethodGet, http.MethodPost
	return []*api{
		{method: get, path: "/cgi-bin/token", open: true, daily: 2000, serve: (*call).token},
		{method: post, path: "/cgi-bin/stable_token", open: true, daily: 500_000, minute: 10_000, serve: (*call).stableToken},
		{method: post, path: "/cgi-bin/qrcode/create", daily: 100_000, serve: (*call).createCode},
		{method: get, path: "/cgi-bin/user/info", daily: 5_000_000, serve: (*call).userInfo},
		{method: post, path: "/cgi-bin/user/info/batchget", daily: 5_000_000, serve: (*call).userInfos},
		{method: get, path: "/cgi-bin/user/get", daily: 500, serve: (*call).followers},
		{method: post, path: "/cgi-bin/user/info/updateremark", daily: 10_000, serve: (*call).updateRemark},
		{method: post, path: "/cgi-bin/media/upload", upload: true, daily: 100_000, serve: (*call).uploadMedia},
		{method: get, path: "/cgi-bin/media/get", daily: 200_000, serve: (*call).getMedia},
		{method: post, path: "/cgi-bin/message/custom/send", daily: 500_000, serve: (*call).sendCustom},
		{method: post, path: "/cgi-bin/message/custom/typing", daily: 500_000, serve: (*call).typing},
		{method: post, path: "/cgi-bin/message/template/send", daily: 100_000, serve: (*call).sendTemplate},
		{method: post, path: "/cgi-bin/message/subscribe/bizsend", daily: 100_000, serve: (*call).sendNotice},
		{method: get, path: "/cgi-bin/template/get_all_private_template", serve: (*call).templates},
		{method: get, path: "/wxaapi/newtmpl/gettemplate", serve: (*call).noticeTemplates},
		{method: post, path: "/cgi-bin/menu/create", daily: 1000, serve: (*call).createMenu},
		{method: get, path: "/cgi-bin/menu/get", daily: 10_000, serve: (*call).getMenu},
		{method: get, path: "/cgi-bin/menu/delete", daily: 1000, serve: (*call).deleteMenu},
		{method: get, path: "/cgi-bin/get_current_selfmenu_info", daily: 10_000, serve: (*call).currentMenu},
		{method: get, path: "/cgi-bin/ticket/getticket", daily: 1_000_000, serve: (*call).jsTicket},
		{method: get, path: "/sns/oauth2/access_token", open: true, serve: (*call).exchange},
		{method: get, path: "/sns/oauth2/refresh_token", open: true, serve: (*call).refresh},
		{method: get, path: "/sns/auth", open: true, serve: (*call).checkVisitor},
		{method: get, path: "/sns/userinfo", open: true, minute: 50_000, serve: (*call).profile},
		{method: post, path: "/cgi-bin/openapi/quota/get", serve: (*call).getQuota},
		{method: post, path: "/cgi-bin/openapi/quota/clear", serve: (*call).clearOne},
		{method: post, path: "/cgi-bin/openapi/rid/get", serve: (*call).lookUp},
		{method: post, path: "/cgi-bin/clear_quota", serve: (*call).clearAll},
		{method: post, path: "/cgi-bin/clear_quota/v2", open: true, serve: (*call).clearBySecret},
		{method: get, path: "/cgi-bin/getcallbackip", serve: (*call).addresses},
		{method: get, path: "/cgi-bin/get_api_domain_ip", serve: (*call).addresses},
	}
}

func (t *Twin) routes() {
	t.mux = http.NewServeMux()
	t.apis = map[string]*api{}
	for _, a := range t.calls() {
		a.quota.daily, a.quota.minutely = a.daily, a.minute
		if limit, own := t.cfg.Quotas[a.path]; own {
			a.quota.daily = limit
		}
		t.apis[a.path] = a
		t.mux.HandleFunc(a.path, func(w http.ResponseWriter, r *http.Request) { t.answer(a, w, r) })
	}
	t.mux.HandleFunc("/cgi-bin/", func(w http.ResponseWriter, r *http.Request) {
		t.answer(&api{method: r.Method, open: true, serve: (*call).nowhere}, w, r)
	})
	t.mux.HandleFunc("GET /cgi-bin/showqrcode", t.showCode)
	t.mux.HandleFunc("GET /connect/oauth2/authorize", t.authorize)
	t.mux.HandleFunc("POST /connect/oauth2/confirm", t.confirm)
	t.mux.HandleFunc("GET /mmopen/vi_32/{name}/{size}", t.showAvatar)
	t.payRoutes()
	t.control()
}

// answer serves one call: faults first, then what every call is checked for, then the call itself.
func (t *Twin) answer(a *api, w http.ResponseWriter, r *http.Request) {
	c := &call{Twin: t, w: w, r: r, now: t.clock.Now()}
	fault := t.faults.take(a.path, c.now)
	if fault != nil && !t.suffer(fault, &a.count, w, r) {
		return
	}
	var result any
	err := fault.refusal()
	if err == nil {
		result, err = c.run(a)
	}
	code := 0
	if err != nil {
		var no *refusal
		if !errors.As(err, &no) {
			no = refuse(-1)
			t.log.Error("twin", "path", a.path, "err", err)
		}
		code = no.code
		rid := t.requestID(c.now)
		result = ok{no.code, no.text + " rid: " + rid}
		t.requests.keep(rid, refused{
			InvokeTime: c.now.Unix(), URL: r.URL.Path, Request: string(c.body[:min(len(c.body), maxRemembered)]), Response: no.Error(),
		})
	}
	a.count.add(code, err != nil)
	if fault != nil && fault.Failure == Lost {
		panic(http.ErrAbortHandler)
	}
	write(w, result)
}

func (c *call) run(a *api) (any, error) {
	if c.r.Method != a.method {
		if a.method == http.MethodGet {
			return nil, refuse(43001)
		}
		return nil, refuse(43002)
	}
	if !a.open {
		if err := c.tokens.check(c.query("access_token"), c.now); err != nil {
			return nil, err
		}
		if c.faults.banned(a.path) {
			return nil, refuse(48004)
		}
	}
	if err := a.quota.take(c.now); err != nil {
		return nil, err
	}
	if a.method == http.MethodPost && !a.upload {
		body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxJSON))
		if err != nil {
			return nil, refuse(45002)
		}
		c.body = body
	}
	return a.serve(c)
}

// requestID is the platform's id of an answer: three groups of eight hexadecimal digits, the first being the second.
func (t *Twin) requestID(now time.Time) string {
	rest := t.ids.hex(16, "rid", nth(t.stats.answers.Add(1)))
	second := strconv.FormatInt(now.Unix(), 16)
	return second + "-" + rest[:8] + "-" + rest[8:]
}

func write(w http.ResponseWriter, result any) {
	switch result := result.(type) {
	case *blob:
		w.Header().Set("Content-Type", result.contentType)
		w.Header().Set("Content-Disposition", `attachment; filename="`+result.name+`"`)
		w.Header().Set("Content-Length", strconv.Itoa(len(result.body)))
		w.Write(result.body)
	default:
		writeJSON(w, http.StatusOK, result)
	}
}

// writeJSON writes JSON the way the platform does, without HTML's escapes.
func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	encode := json.NewEncoder(w)
	encode.SetEscapeHTML(false)
	// An error here is a client that went away: there is nobody to tell.
	_ = encode.Encode(value)
}
