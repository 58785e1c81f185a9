package twin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 22, 10, 0, 0, 0, time.FixedZone("China", 8*3600))

// newTwin is a twin whose clock stands.
func newTwin(t testing.TB, cfg Config) *Twin {
	t.Helper()
	if cfg.Clock == nil {
		cfg.Clock = NewClockAt(start)
	}
	if cfg.PushTimeout == 0 {
		cfg.PushTimeout, cfg.PushGap = 5*time.Second, time.Millisecond
	}
	tw, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tw.Close)
	return tw
}

// house is a twin that is served, with an account whose callback is a plain function.
type house struct {
	*Twin
	t       testing.TB
	ctx     context.Context
	url     string
	account *account
	token   string
}

// account stands behind the callback. It reads pushes with its own eyes: as text.
type account struct {
	tw     *Twin
	mu     sync.Mutex
	pushes []string // their plain XML
	raw    []*http.Request
	reply  func(w http.ResponseWriter, plain string)
	news   chan struct{} // closed and made anew with every push
}

// await waits for a push that fits, looking first at those there are.
func (a *account) await(t testing.TB, ctx context.Context, fits func(plain string) bool) string {
	t.Helper()
	for {
		a.mu.Lock()
		news, got := a.news, append([]string(nil), a.pushes...)
		a.mu.Unlock()
		for _, p := range got {
			if fits(p) {
				return p
			}
		}
		select {
		case <-news:
		case <-ctx.Done():
			t.Fatalf("it was never pushed: %q", got)
		}
	}
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if sign(a.tw.cfg.Token, q.Get("timestamp"), q.Get("nonce")) != q.Get("signature") {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	if r.Method == http.MethodGet {
		io.WriteString(w, q.Get("echostr"))
		return
	}
	body, _ := io.ReadAll(r.Body)
	plain := string(body)
	if _, sealed, found := strings.Cut(plain, "<Encrypt><![CDATA["); found {
		sealed, _, _ = strings.Cut(sealed, "]]>")
		if sign(a.tw.cfg.Token, q.Get("timestamp"), q.Get("nonce"), sealed) != q.Get("msg_signature") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		opened, err := a.tw.box.open(sealed)
		if err != nil {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		plain = string(opened)
	}
	a.mu.Lock()
	a.pushes = append(a.pushes, plain)
	a.raw = append(a.raw, r)
	reply := a.reply
	close(a.news)
	a.news = make(chan struct{})
	a.mu.Unlock()
	if reply == nil {
		io.WriteString(w, "success")
		return
	}
	reply(w, plain)
}

func (a *account) got() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.pushes...)
}

func (a *account) requests() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]*http.Request(nil), a.raw...)
}

func (a *account) last(t testing.TB) string {
	t.Helper()
	got := a.got()
	if len(got) == 0 {
		t.Fatal("nothing was pushed")
	}
	return got[len(got)-1]
}

func (a *account) answer(reply func(w http.ResponseWriter, plain string)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reply = reply
}

func open(t testing.TB, cfg Config) *house {
	t.Helper()
	tw := newTwin(t, cfg)
	platform := httptest.NewServer(tw.Handler())
	t.Cleanup(platform.Close)
	acc := &account{tw: tw, news: make(chan struct{})}
	callback := httptest.NewServer(acc)
	t.Cleanup(callback.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	if err := tw.SetCallback(ctx, callback.URL+"/wechat/main"); err != nil {
		t.Fatal(err)
	}
	h := &house{Twin: tw, t: t, ctx: ctx, url: platform.URL, account: acc}
	h.token = h.fresh()
	return h
}

// answered is a JSON answer of the platform.
type answered map[string]any

func (a answered) code() int {
	code, _ := a["errcode"].(float64)
	return int(code)
}

func (a answered) text(name string) string {
	s, _ := a[name].(string)
	return s
}

func (h *house) do(method, path, contentType string, body io.Reader) (answered, error) {
	request, err := http.NewRequestWithContext(h.ctx, method, h.url+path, body)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	answer := answered{}
	if err := json.Unmarshal(read, &answer); err != nil {
		return nil, fmt.Errorf("status %d: %s", response.StatusCode, read)
	}
	return answer, nil
}

func (h *house) get(path string) answered {
	h.t.Helper()
	answer, err := h.do(http.MethodGet, path, "", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

func (h *house) post(path, body string) answered {
	h.t.Helper()
	answer, err := h.do(http.MethodPost, path, "application/json", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

// call posts with the house's token.
func (h *house) call(path, body string) answered {
	h.t.Helper()
	return h.post(path+"?access_token="+h.token, body)
}

// wants fails the test unless the answer carries the code.
func (h *house) wants(code int, answer answered) answered {
	h.t.Helper()
	if answer.code() != code {
		h.t.Errorf("the answer is %v, not %d", answer, code)
	}
	if code != 0 && !ridPattern.MatchString(answer.text("errmsg")) {
		h.t.Errorf("%q carries no request id", answer.text("errmsg"))
	}
	return answer
}

func (h *house) fresh() string {
	h.t.Helper()
	body := fmt.Sprintf(`{"grant_type":"client_credential","appid":%q,"secret":%q}`, h.cfg.AppID, h.cfg.Secret)
	return h.wants(0, h.post("/cgi-bin/stable_token", body)).text("access_token")
}

// later lets time pass and fetches a token anew.
func (h *house) later(d time.Duration) {
	h.t.Helper()
	h.clock.Advance(d)
	h.token = h.fresh()
}

func (h *house) code(scene string) (url, ticket string) {
	h.t.Helper()
	a := h.wants(0, h.call("/cgi-bin/qrcode/create", `{"expire_seconds":2592000,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"`+scene+`"}}}`))
	return a.text("url"), a.text("ticket")
}

func (h *house) follower(name string) *Fan {
	h.t.Helper()
	f := h.AddFan(name)
	if err := f.Follow(h.ctx); err != nil {
		h.t.Fatal(err)
	}
	return f
}

func (h *house) sendText(f *Fan, text string) answered {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"touser": f.OpenID, "msgtype": "text", "text": map[string]string{"content": text}})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.call("/cgi-bin/message/custom/send", string(body))
}

func (h *house) upload(kind string, file []byte) answered {
	h.t.Helper()
	body, contentType := multipartOf(h.t, "media", "poster.jpg", file)
	answer, err := h.do(http.MethodPost, "/cgi-bin/media/upload?access_token="+h.token+"&type="+kind, contentType, body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer
}

func inside(plain, name string) string {
	_, after, _ := strings.Cut(plain, "<"+name+">")
	inside, _, _ := strings.Cut(after, "</"+name+">")
	return strings.TrimSuffix(strings.TrimPrefix(inside, "<![CDATA["), "]]>")
}

func replyText(plain, text string) string {
	return "<xml><ToUserName><![CDATA[" + inside(plain, "FromUserName") + "]]></ToUserName><FromUserName><![CDATA[" + inside(plain, "ToUserName") +
		"]]></FromUserName><CreateTime>1</CreateTime><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[" + text + "]]></Content></xml>"
}

func lastOf(t testing.TB, f *Fan) Message {
	t.Helper()
	chat := f.Chat()
	if len(chat) == 0 {
		t.Fatal("the chat is empty")
	}
	return chat[len(chat)-1]
}

func TestFollow(t *testing.T) {
	t.Parallel()

	for _, mode := range []Mode{Plain, Compatible, Secure} {
		t.Run("AScanShowsTheProfileAndFollowingTellsTheScene/"+string(mode), func(t *testing.T) {
			h := open(t, Config{Mode: mode})
			url, ticket := h.code("c7.u1024")
			f := h.AddFan("小王")
			seen, err := f.Scan(h.ctx, url)
			if err != nil || seen.Page != ProfilePage || seen.Scene != "c7.u1024" {
				t.Fatalf("saw %+v (%v)", seen, err)
			}
			if got := h.account.got(); len(got) != 0 {
				t.Fatalf("looking pushed %v", got)
			}
			if err := f.Follow(h.ctx); err != nil {
				t.Fatal(err)
			}
			got := h.account.last(t)
			want := "<xml><ToUserName><![CDATA[" + h.cfg.OriginalID + "]]></ToUserName><FromUserName><![CDATA[" + f.OpenID + "]]></FromUserName><CreateTime>" +
				nth(start.Unix()) + "</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe]]></Event><EventKey><![CDATA[qrscene_c7.u1024]]></EventKey><Ticket><![CDATA[" + ticket + "]]></Ticket></xml>"
			if !strings.HasPrefix(got, strings.TrimSuffix(want, "</xml>")) {
				t.Errorf("pushed\n%s\nnot\n%s", got, want)
			}

			if seen, err = f.Scan(h.ctx, url); err != nil || seen.Page != ChatPage {
				t.Fatalf("saw %+v (%v)", seen, err)
			}
			got = h.account.last(t)
			if inside(got, "Event") != "SCAN" || inside(got, "EventKey") != "c7.u1024" || inside(got, "Ticket") != ticket {
				t.Errorf("pushed %s", got)
			}
			if err := f.Unfollow(h.ctx); err != nil {
				t.Fatal(err)
			}
			if got = h.account.last(t); inside(got, "Event") != "unsubscribe" {
				t.Errorf("pushed %s", got)
			}
		})
	}

	t.Run("AnExpiredCodeShowsAPageAndPushesNothing", func(t *testing.T) {
		h := open(t, Config{})
		url, _ := h.code("late")
		f := h.follower("小王")
		before := len(h.account.got())
		h.clock.Advance(30 * 24 * time.Hour)
		if seen, err := f.Scan(h.ctx, url); err != nil || seen.Page != ExpiredPage {
			t.Fatalf("saw %+v (%v)", seen, err)
		}
		if len(h.account.got()) != before {
			t.Error("it was pushed")
		}
	})
}

func TestReplies(t *testing.T) {
	t.Parallel()

	t.Run("APassiveReplyShowsInTheChat", func(t *testing.T) {
		h := open(t, Config{})
		h.account.answer(func(w http.ResponseWriter, plain string) { io.WriteString(w, replyText(plain, "欢迎！")) })
		f := h.follower("小王")
		if m := lastOf(t, f); m.By != ByAccount || m.Way != ViaReply || m.Text != "欢迎！" {
			t.Errorf("the chat shows %+v", m)
		}
	})

	t.Run("AnAnswerThatMakesNoSenseShowsTheLine", func(t *testing.T) {
		h := open(t, Config{})
		h.account.answer(func(w http.ResponseWriter, _ string) { io.WriteString(w, `{"ok":true}`) })
		f := h.follower("小王")
		if m := lastOf(t, f); m.By != BySystem || m.Text != unavailable {
			t.Errorf("the chat shows %+v", m)
		}
	})

	t.Run("APushWithoutAnAnswerComesAgainTheSameAndThenTheLineShows", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.account.answer(func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusInternalServerError) })
		if err := f.Say(h.ctx, "在吗"); err != nil {
			t.Fatal(err)
		}
		got := h.account.got()[1:]
		if len(got) != 3 || got[0] != got[1] || got[1] != got[2] {
			t.Errorf("pushed %q", got)
		}
		if m := lastOf(t, f); m.Text != unavailable {
			t.Errorf("the chat shows %+v", m)
		}
	})
}

func TestCustom(t *testing.T) {
	t.Parallel()

	t.Run("AfterAFollowThreeMessagesInAMinute", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		for range 3 {
			h.wants(0, h.sendText(f, "hello"))
		}
		h.wants(45047, h.sendText(f, "hello"))
		h.clock.Advance(time.Minute)
		h.wants(45015, h.sendText(f, "hello"))
	})

	t.Run("APosterIsUploadedAndSeen", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		poster := picture(t)
		id := h.wants(0, h.upload("image", poster)).text("media_id")
		h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"image","image":{"media_id":"`+id+`"}}`))
		if m := lastOf(t, f); m.Type != "image" || !bytes.Equal(m.Image, poster) {
			t.Errorf("the chat shows %+v", m)
		}
		h.later(mediaLife)
		h.wants(40007, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"image","image":{"media_id":"`+id+`"}}`))
	})
}
