package twin

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html"
	"html/template"
	"io"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"
)

//go:embed pages
var pageFiles embed.FS

var pageTemplates = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(at time.Time) string { return at.In(china).Format("1月2日 15:04:05") },
	"rich":  rich,
	"initial": func(name string) string {
		for _, c := range name {
			return string(c)
		}
		return ""
	},
}).ParseFS(pageFiles, "pages/*.html"))

const policy = "default-src 'none'; img-src * data:; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; frame-ancestors 'self'"

func (t *Twin) page(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := pageTemplates.ExecuteTemplate(&out, name, data); err != nil {
		t.log.Error("twin: page", "name", name, "err", err)
		http.Error(w, "this page cannot be shown", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write(out.Bytes())
}

func (t *Twin) showFile(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.PathValue("name"))
	if strings.HasSuffix(name, ".html") {
		http.NotFound(w, r)
		return
	}
	http.ServeFileFS(w, r, pageFiles, "pages/"+name)
}

type messagePage struct{ Title, Text string }

type choosePage struct {
	Fans []*Fan
	Back string
}

type consentPage struct{ Account, Fan, Query string }

type fansPage struct {
	Account    string
	Now        time.Time
	Running    bool
	Fans       []FanState
	More       int // fans that the page does not list
	Statistics Statistics
}

const fansOnPage = 500

func (t *Twin) showFans(w http.ResponseWriter, _ *http.Request) {
	p := fansPage{Account: t.cfg.Name, Now: t.clock.Now(), Running: t.clock.Running(), Statistics: t.Statistics()}
	for i, f := range t.Fans() {
		if i >= fansOnPage {
			p.More++
			continue
		}
		p.Fans = append(p.Fans, f.State())
	}
	for path, one := range p.Statistics.APIs {
		if one.Calls == 0 {
			delete(p.Statistics.APIs, path)
		}
	}
	t.page(w, http.StatusOK, "fans.html", p)
}

// browse makes the browser that asks one fan's, and sends it to an address.
func (t *Twin) browse(w http.ResponseWriter, r *http.Request) {
	f := t.named(w, r)
	if f == nil {
		return
	}
	to, err := url.Parse(r.URL.Query().Get("url"))
	if err != nil || to.Scheme != "" && to.Scheme != "http" && to.Scheme != "https" {
		complain(w, http.StatusBadRequest, errors.New("url is not an address"))
		return
	}
	http.SetCookie(w, &http.Cookie{Name: fanCookie, Value: f.OpenID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	f.mu.Lock()
	if until := t.clock.Now().Add(silentAfterChat); r.URL.Query().Get("from") == "chat" && until.After(f.silent) {
		f.silent = until
	}
	f.mu.Unlock()
	http.Redirect(w, r, to.String(), http.StatusFound)
}

type fanPage struct {
	Account string
	Now     time.Time
	Fan     FanState
	Avatar  string
	Chat    []bubble
	Last    int64 // number of the last message
	Menu    []Button
	Scanned string // what a scan showed, where it opened neither chat nor profile
	Link    string
}

// bubble is a message with the time above it, where one is due.
type bubble struct {
	Message
	Time bool
}

const timeEvery = 5 * time.Minute

func (t *Twin) showFan(w http.ResponseWriter, r *http.Request) {
	f := t.named(w, r)
	if f == nil {
		return
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		writeJSON(w, http.StatusOK, f.State())
		return
	}
	p := fanPage{Account: t.cfg.Name, Now: t.clock.Now(), Fan: f.State(), Avatar: t.avatarURL(f.OpenID)}
	var last time.Time
	for _, m := range f.Chat() {
		p.Chat = append(p.Chat, bubble{m, m.At.Sub(last) > timeEvery})
		last, p.Last = m.At, m.No
	}
	if p.Fan.Following {
		p.Menu = t.Menu()
	}
	switch q := r.URL.Query(); q.Get("seen") {
	case ExpiredPage:
		p.Scanned = "该二维码已过期"
	case TextPage:
		p.Scanned = q.Get("text")
	case WebPage:
		p.Scanned, p.Link = q.Get("text"), q.Get("text")
	}
	t.page(w, http.StatusOK, "fan.html", p)
}

// actOnPage lets a fan do what a form says and shows their page again.
func (t *Twin) actOnPage(w http.ResponseWriter, r *http.Request, f *Fan, verb func(context.Context, *Fan, *doing) (any, error)) {
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	asked := doing{
		Content: strings.TrimSpace(r.FormValue("content")), Text: strings.TrimSpace(r.FormValue("text")), Button: r.FormValue("button"),
		Input: r.FormValue("input"), Item: r.FormValue("item"), Templates: r.Form["template"],
	}
	if file, _, err := r.FormFile("image"); err == nil {
		asked.Image, err = io.ReadAll(file)
		file.Close()
		if err != nil {
			complain(w, http.StatusBadRequest, err)
			return
		}
	}
	home := "/_twin/fans/" + f.OpenID
	result, err := verb(r.Context(), f, &asked)
	if err != nil {
		t.page(w, http.StatusConflict, "message.html", messagePage{Title: "这样不行", Text: err.Error()})
		return
	}
	switch result := result.(type) {
	case Seen:
		if result.Page != ProfilePage && result.Page != ChatPage {
			home += "?seen=" + result.Page + "&text=" + url.QueryEscape(result.Text+result.URL)
		}
	case Tapped:
		if result.URL != "" {
			home += "/browser?from=chat&url=" + url.QueryEscape(result.URL)
		}
	}
	http.Redirect(w, r, home, http.StatusSeeOther)
}

// piece is a part of a text: plain, a link, or an answer to send with a tap.
type piece struct {
	Text, URL, Item string
}

var (
	anchor = regexp.MustCompile(`(?is)<a\s([^>]*)>(.*?)</a>`)
	href   = regexp.MustCompile(`(?i)href\s*=\s*["']([^"']*)["']`)
)

// rich cuts a text into its pieces; of HTML the chat knows links only, everything else is shown as it is written.
func rich(text string) []piece {
	var out []piece
	at := 0
	for _, m := range anchor.FindAllStringSubmatchIndex(text, -1) {
		to := href.FindStringSubmatch(text[m[2]:m[3]])
		if to == nil {
			continue
		}
		one := piece{Text: text[m[4]:m[5]]}
		u, err := url.Parse(html.UnescapeString(to[1]))
		switch {
		case err != nil:
			continue
		case u.Scheme == "weixin" && u.Host == "bizmsgmenu":
			one.Item = u.Query().Get("msgmenucontent")
		case u.Host != "" && (u.Scheme == "http" || u.Scheme == "https"):
			one.URL = u.String()
		default:
			continue
		}
		if m[0] > at {
			out = append(out, piece{Text: text[at:m[0]]})
		}
		out = append(out, one)
		at = m[1]
	}
	if at < len(text) {
		out = append(out, piece{Text: text[at:]})
	}
	return out
}
