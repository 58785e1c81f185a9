package twin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg" // what avatars are
	_ "image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// site is an account's web page that signs visitors in.
type site struct {
	*httptest.Server
	h     *house
	scope string
	codes []string
}

func (h *house) site(scope string) *site {
	s := &site{h: h, scope: scope}
	mux := http.NewServeMux()
	mux.HandleFunc("/me", func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie("who"); err == nil {
			io.WriteString(w, "hello "+cookie.Value)
			return
		}
		http.Redirect(w, r, s.authorize(s.URL+"/back", "x1"), http.StatusFound)
	})
	mux.HandleFunc("/back", func(w http.ResponseWriter, r *http.Request) {
		code := r.URL.Query().Get("code")
		if code == "" {
			io.WriteString(w, "refused, state "+r.URL.Query().Get("state"))
			return
		}
		s.codes = append(s.codes, code)
		a := h.exchange(code)
		http.SetCookie(w, &http.Cookie{Name: "who", Value: a.text("openid"), Path: "/"})
		http.Redirect(w, r, "/me", http.StatusFound)
	})
	s.Server = httptest.NewServer(mux)
	h.t.Cleanup(s.Close)
	return s
}

func (s *site) authorize(back, state string) string {
	return s.h.url + "/connect/oauth2/authorize?appid=" + s.h.cfg.AppID + "&redirect_uri=" + url.QueryEscape(back) + "&response_type=code&scope=" + s.scope + "&state=" + state + "#wechat_redirect"
}

func (h *house) exchange(code string) answered {
	return h.get("/sns/oauth2/access_token?appid=" + h.cfg.AppID + "&secret=" + h.cfg.Secret + "&code=" + code + "&grant_type=authorization_code")
}

func (h *house) userinfo(a answered) answered {
	return h.get("/sns/userinfo?access_token=" + a.text("access_token") + "&openid=" + a.text("openid") + "&lang=zh_CN")
}

// codeOf lets a fan's browser fetch a code from the sign-in page.
func (s *site) codeOf(t *testing.T, f *Fan) string {
	t.Helper()
	client := *f.Browser()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Get(s.authorize("http://elsewhere.example.com/back?a=1", "x1"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	to, err := answer.Location()
	if err != nil {
		t.Fatal(err)
	}
	if to.Query().Get("state") != "x1" || to.Query().Get("a") != "1" {
		t.Errorf("returned to %s", to)
	}
	return to.Query().Get("code")
}

func TestSignIn(t *testing.T) {
	t.Parallel()

	t.Run("AFanOpensAPageAndIsKnownThere", func(t *testing.T) {
		h := open(t, Config{})
		s := h.site("snsapi_base")
		f := h.AddFan("小王")
		page, err := f.Open(h.ctx, s.URL+"/me")
		if err != nil || string(page.Body) != "hello "+f.OpenID || page.URL != s.URL+"/me" || len(page.Hops) != 4 {
			t.Fatalf("saw %+v %s (%v)", page, page.Body, err)
		}
		if page, err = f.Open(h.ctx, s.URL+"/me"); err != nil || len(page.Hops) != 1 {
			t.Errorf("the cookie was not kept: %+v (%v)", page, err)
		}
		other := h.AddFan("小李")
		if page, err = other.Open(h.ctx, s.URL+"/me"); err != nil || string(page.Body) != "hello "+other.OpenID {
			t.Errorf("another fan saw %s (%v)", page.Body, err)
		}
	})

	t.Run("ACodeWorksOnceAndForFiveMinutes", func(t *testing.T) {
		h := open(t, Config{OpenPlatform: "shop"})
		s := h.site("snsapi_userinfo")
		f := h.AddFan("小王🐼")
		code := s.codeOf(t, f)
		a := h.wants(0, h.exchange(code))
		if a.text("openid") != f.OpenID || a.text("unionid") != f.UnionID || a.text("scope") != "snsapi_userinfo" || a["expires_in"] != 7200.0 {
			t.Errorf("exchanged for %v", a)
		}
		if _, has := a["is_snapshotuser"]; has {
			t.Error("it speaks of a snapshot")
		}
		h.wants(40163, h.exchange(code))
		h.wants(40029, h.exchange("nothing"))
		late := s.codeOf(t, f)
		h.clock.Advance(5 * time.Minute)
		h.wants(42003, h.exchange(late))
		h.wants(0, h.get("/sns/auth?access_token="+a.text("access_token")+"&openid="+f.OpenID))
		p := h.wants(0, h.userinfo(a))
		if p.text("nickname") != "小王🐼" || p.text("unionid") != f.UnionID {
			t.Errorf("told %v", p)
		}
		h.clock.Advance(2 * time.Hour)
		h.wants(42001, h.userinfo(a))
		renew := "/sns/oauth2/refresh_token?appid=" + h.cfg.AppID + "&grant_type=refresh_token&refresh_token="
		b := h.wants(0, h.get(renew+a.text("refresh_token")))
		h.wants(0, h.userinfo(b))
		h.wants(40030, h.get(renew+"nothing"))
		h.clock.Advance(30 * 24 * time.Hour)
		h.wants(42002, h.get(renew+a.text("refresh_token")))
	})

	t.Run("WithTheBaseScopeThereIsNoProfile", func(t *testing.T) {
		h := open(t, Config{})
		a := h.wants(0, h.exchange(h.site("snsapi_base").codeOf(t, h.AddFan("小王"))))
		h.wants(48001, h.userinfo(a))
	})

	t.Run("AvatarsArePicturesThatDiffer", func(t *testing.T) {
		h := open(t, Config{})
		s := h.site("snsapi_userinfo")
		seen := map[string]bool{}
		kinds := map[string]bool{}
		for i := range 12 {
			a := h.userinfo(h.exchange(s.codeOf(t, h.AddFan(fmt.Sprint(i)))))
			response, err := http.Get(a.text("headimgurl"))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			response.Body.Close()
			img, kind, err := image.Decode(bytes.NewReader(body))
			if err != nil || img.Bounds().Dx() != 132 {
				t.Fatalf("%s is no picture: %v", a.text("headimgurl"), err)
			}
			kinds[kind] = true
			seen[string(body)] = true
		}
		if len(seen) != 12 || len(kinds) != 2 {
			t.Errorf("%d faces in %v", len(seen), kinds)
		}
		f := h.AddFan("无")
		f.Faceless(true)
		if a := h.userinfo(h.exchange(s.codeOf(t, f))); a.text("headimgurl") != "" {
			t.Errorf("told %v", a)
		}
	})

	t.Run("WhoRefusesComesBackWithoutACode", func(t *testing.T) {
		h := open(t, Config{})
		s := h.site("snsapi_userinfo")
		f := h.AddFan("小王")
		f.Consenting(false)
		page, err := f.Open(h.ctx, s.URL+"/me")
		if err != nil || string(page.Body) != "refused, state x1" {
			t.Errorf("saw %s (%v)", page.Body, err)
		}
	})

	t.Run("ASnapshotIsSomebodyElse", func(t *testing.T) {
		h := open(t, Config{OpenPlatform: "shop"})
		f := h.AddFan("小王")
		f.Snapshot(true)
		a := h.wants(0, h.exchange(h.site("snsapi_userinfo").codeOf(t, f)))
		if a["is_snapshotuser"] != 1.0 || a.text("openid") == f.OpenID || a.text("unionid") == f.UnionID {
			t.Errorf("exchanged for %v", a)
		}
		if p := h.wants(0, h.userinfo(a)); p.text("nickname") == f.Name {
			t.Errorf("told %v", p)
		}
	})

	t.Run("WrongAddressesShowAPage", func(t *testing.T) {
		h := open(t, Config{OAuthDomains: []string{"good.example.com"}})
		f := h.AddFan("小王")
		right := "appid=" + h.cfg.AppID + "&redirect_uri=http%3A%2F%2Fgood.example.com%2F&response_type=code&scope=snsapi_base&state=a1"
		for query, says := range map[string]string{
			strings.Replace(right, "good", "bad", 1):                                   "10003",
			strings.Replace(right, "snsapi_base", "snsapi_other", 1):                   "10005",
			strings.Replace(right, "&scope=snsapi_base", "", 1):                        "10010",
			strings.Replace(right, h.cfg.AppID, "wx0000000000000000", 1):               "10015",
			strings.Replace(right, "state=a1", "state=a-1", 1):                         "10013",
			"scope=snsapi_base&" + strings.Replace(right, "&scope=snsapi_base", "", 1): "顺序",
		} {
			page, err := f.Open(h.ctx, h.url+"/connect/oauth2/authorize?"+query+"#wechat_redirect")
			if err != nil || !strings.Contains(string(page.Body), says) {
				t.Errorf("%s shows %s (%v), not %s", query, page.Body, err, says)
			}
		}
		if _, err := f.Open(h.ctx, h.url+"/connect/oauth2/authorize?"+right); err == nil {
			t.Error("an address without its fragment was opened")
		}
	})

	t.Run("ARealBrowserIsAskedWhoseItIsAndWhetherTheyAgree", func(t *testing.T) {
		h := open(t, Config{})
		s := h.site("snsapi_userinfo")
		f := h.AddFan("小王")
		address := strings.TrimSuffix(s.authorize(s.URL+"/back", "x1"), "#wechat_redirect")
		fetch := func(client *http.Client, method, at string, form url.Values) string {
			t.Helper()
			request, _ := http.NewRequest(method, at, strings.NewReader(form.Encode()))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answer, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			body, _ := io.ReadAll(answer.Body)
			return string(body)
		}
		jar := &http.Client{Jar: f.Browser().Jar}
		if page := fetch(jar, http.MethodGet, address, nil); !strings.Contains(page, "这是谁的手机") || !strings.Contains(page, f.OpenID) {
			t.Fatalf("it shows %s", page)
		}
		page := fetch(jar, http.MethodGet, h.url+"/_twin/fans/"+f.OpenID+"/browser?url="+url.QueryEscape(address), nil)
		if !strings.Contains(page, "申请获取你的昵称") {
			t.Fatalf("it shows %s", page)
		}
		_, query, _ := strings.Cut(address, "?")
		if page = fetch(jar, http.MethodPost, h.url+"/connect/oauth2/confirm", url.Values{"query": {query}, "answer": {"deny"}}); page != "refused, state x1" {
			t.Fatalf("it shows %s", page)
		}
		if page = fetch(jar, http.MethodPost, h.url+"/connect/oauth2/confirm", url.Values{"query": {query}, "answer": {"allow"}}); page != "hello "+f.OpenID {
			t.Fatalf("it shows %s", page)
		}
	})
}

func FuzzAuthorize(f *testing.F) {
	tw := newTwin(f, Config{AppID: "wx0123456789abcdef"})
	f.Add("appid=wx0123456789abcdef&redirect_uri=http%3A%2F%2Fa.b%2F&response_type=code&scope=snsapi_base&state=a1")
	f.Fuzz(func(t *testing.T, query string) {
		s, wrong := tw.readSignIn(query)
		if wrong != "" {
			return
		}
		if to, err := url.Parse(s.redirect); err != nil || to.Host == "" {
			t.Errorf("%q returns to %q", query, s.redirect)
		}
	})
}

func FuzzCalls(f *testing.F) {
	tw := newTwin(f, Config{Templates: []Template{{ID: "T", Content: "{{thing1.DATA}}"}}})
	fan := tw.AddFan("小王")
	tw.tokens.mu.Lock()
	token := tw.tokens.issue(tw.ids, stable, start).value
	tw.tokens.mu.Unlock()
	paths := []string{"/cgi-bin/qrcode/create", "/cgi-bin/message/custom/send", "/cgi-bin/message/template/send", "/cgi-bin/menu/create", "/cgi-bin/user/info/batchget", "/cgi-bin/openapi/quota/get"}
	f.Add(0, []byte(`{"expire_seconds":60,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"a"}}}`))
	f.Add(1, []byte(`{"touser":"`+fan.OpenID+`","msgtype":"text","text":{"content":"a"}}`))
	f.Add(2, []byte(`{"touser":"`+fan.OpenID+`","template_id":"T","data":{"thing1":{"value":"x"}}}`))
	f.Add(3, []byte(`{"button":[{"type":"click","name":"a","key":"k"}]}`))
	f.Fuzz(func(t *testing.T, which int, body []byte) {
		path := paths[uint(which)%uint(len(paths))]
		r := httptest.NewRequest(http.MethodPost, path+"?access_token="+token, bytes.NewReader(body))
		w := httptest.NewRecorder()
		tw.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusOK || !json.Valid(w.Body.Bytes()) || bytes.Contains(w.Body.Bytes(), []byte(`"errcode":-1`)) {
			t.Errorf("%s %q is answered %d %s", path, body, w.Code, w.Body)
		}
	})
}
