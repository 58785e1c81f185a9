package twin

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestPushes(t *testing.T) {
	t.Parallel()

	t.Run("TheCallbackMustGiveTheEchoBack", func(t *testing.T) {
		tw := newTwin(t, Config{})
		for name, handler := range map[string]http.HandlerFunc{
			"quoted":  func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%q", r.URL.Query().Get("echostr")) },
			"refused": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
			"away":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		} {
			server := httptest.NewServer(handler)
			if err := tw.SetCallback(t.Context(), server.URL); err == nil {
				t.Errorf("%s passed", name)
			}
			server.Close()
		}
		for _, address := range []string{"ftp://a.b/", "nothing", "://"} {
			if err := tw.SetCallback(t.Context(), address); err == nil {
				t.Errorf("%s passed", address)
			}
		}
		if tw.callback.Load() != nil {
			t.Error("a refused address is kept")
		}
	})

	t.Run("ARepeatIsTheSameToTheByteOrCarriesAFreshNonce", func(t *testing.T) {
		for _, fresh := range []bool{false, true} {
			h := open(t, Config{FreshNonces: fresh, Mode: Secure, Deliveries: 4})
			f := h.follower("小王")
			h.account.answer(func(w http.ResponseWriter, _ string) { panic(http.ErrAbortHandler) })
			if err := f.Say(h.ctx, "在吗"); err != nil {
				t.Fatal(err)
			}
			plain, raw := h.account.got()[1:], h.account.requests()[1:]
			if len(raw) != 4 || plain[0] != plain[3] {
				t.Fatalf("%d deliveries: %q", len(raw), plain)
			}
			if same := raw[0].URL.RawQuery == raw[1].URL.RawQuery; same == fresh {
				t.Errorf("fresh nonces: %v, but the queries are the same: %v", fresh, same)
			}
			if s := h.Statistics(); s.Pushes != 2 || s.Deliveries != 5 || s.Repeats != 3 || s.Unanswered != 1 {
				t.Errorf("counted %+v", s)
			}
		}
	})

	t.Run("ASlowAnswerIsCutOffAndAskedForAgain", func(t *testing.T) {
		h := open(t, Config{PushTimeout: 100 * time.Millisecond, PushGap: time.Millisecond})
		f := h.follower("小王")
		again := make(chan struct{})
		first := true
		h.account.answer(func(w http.ResponseWriter, plain string) {
			h.account.mu.Lock()
			slow := first
			first = false
			h.account.mu.Unlock()
			if slow {
				<-again
				return
			}
			close(again)
			io.WriteString(w, replyText(plain, "来了"))
		})
		if err := f.Say(h.ctx, "在吗"); err != nil {
			t.Fatal(err)
		}
		if m := lastOf(t, f); m.Text != "来了" || len(h.account.got()) != 3 {
			t.Errorf("the chat shows %+v after %d deliveries", m, len(h.account.got()))
		}
	})

	t.Run("APushCanComeTwice", func(t *testing.T) {
		h := open(t, Config{})
		h.account.answer(func(w http.ResponseWriter, plain string) { io.WriteString(w, replyText(plain, "嗨")) })
		f := h.AddFan("小王")
		h.DuplicatePushes(1)
		f.Follow(h.ctx)
		f.Say(h.ctx, "a")
		got := h.account.got()
		if len(got) != 3 || got[0] != got[1] || got[1] == got[2] || len(f.Chat()) != 3 {
			t.Errorf("pushed %q", got)
		}
	})

	t.Run("APushCanComeAfterTheOneBehindIt", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.HoldPushes(1)
		f.Say(h.ctx, "first")
		f.Say(h.ctx, "second")
		h.account.await(t, h.ctx, func(p string) bool { return inside(p, "Content") == "first" })
		got := h.account.got()[1:]
		if len(got) != 2 || inside(got[0], "Content") != "second" || inside(got[1], "Content") != "first" {
			t.Errorf("pushed %q", got)
		}
	})

	t.Run("EveryKindOfReplyIsShownOrRefused", func(t *testing.T) {
		h := open(t, Config{})
		image := h.wants(0, h.upload("image", picture(t))).text("media_id")
		f := h.follower("小王")
		for body, want := range map[string]string{
			"<MsgType>text</MsgType><Content>a</Content>":                                                                                          "text",
			"<MsgType>text</MsgType><Content></Content>":                                                                                           "",
			"<MsgType>text</MsgType><Content>" + strings.Repeat("a", 2049) + "</Content>":                                                          "",
			"<MsgType>image</MsgType><Image><MediaId>" + image + "</MediaId></Image>":                                                              "image",
			"<MsgType>image</MsgType><Image><MediaId>x</MediaId></Image>":                                                                          "",
			"<MsgType>voice</MsgType><Voice><MediaId>" + image + "</MediaId></Voice>":                                                              "",
			"<MsgType>news</MsgType><ArticleCount>1</ArticleCount><Articles><item><Title>t</Title><Url>http://a.b</Url></item></Articles>":         "news",
			"<MsgType>news</MsgType><ArticleCount>2</ArticleCount><Articles><item><Title>t</Title></item><item><Title>t</Title></item></Articles>": "",
			"<MsgType>dance</MsgType>": "",
		} {
			h.account.answer(func(w http.ResponseWriter, plain string) {
				io.WriteString(w, "<xml><ToUserName>"+f.OpenID+"</ToUserName><FromUserName>"+h.cfg.OriginalID+"</FromUserName><CreateTime>1</CreateTime>"+body+"</xml>")
			})
			if err := f.Say(h.ctx, "hi"); err != nil {
				t.Fatal(err)
			}
			m := lastOf(t, f)
			if got := map[bool]string{true: m.Type}[m.By == ByAccount]; got != want || want == "" && m.Text != unavailable {
				t.Errorf("%s shows as %+v", body, m)
			}
		}
		h.account.answer(func(w http.ResponseWriter, plain string) {
			io.WriteString(w, "<xml><ToUserName>"+f.OpenID+"</ToUserName><FromUserName>"+h.cfg.OriginalID+"</FromUserName><CreateTime>1</CreateTime><MsgType>transfer_customer_service</MsgType><TransInfo><KfAccount>a@b</KfAccount></TransInfo></xml>")
		})
		before := len(f.Chat())
		f.Say(h.ctx, "人工")
		if got := f.HandedOver(); len(got) != 1 || got[0] != "a@b" || len(f.Chat()) != before+1 {
			t.Errorf("handed over to %v", got)
		}
		h.account.answer(func(w http.ResponseWriter, plain string) {
			io.WriteString(w, strings.Replace(replyText(plain, "a"), f.OpenID, "oSomebodyElse", 1))
		})
		f.Say(h.ctx, "hi")
		if m := lastOf(t, f); m.Text != unavailable {
			t.Errorf("a reply to somebody else shows as %+v", m)
		}
	})

	t.Run("MessagesOfOtherKindsCanBeSent", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		if err := f.Send(h.ctx, "location", Element{"Location_X", "23.1"}, Element{"Label", "广州"}); err != nil {
			t.Fatal(err)
		}
		got := h.account.last(t)
		if inside(got, "MsgType") != "location" || inside(got, "Label") != "广州" || inside(got, "MsgId") == "" {
			t.Errorf("pushed %s", got)
		}
		if err := f.Send(h.ctx, "link", Element{"a b", "x"}); err == nil {
			t.Error("a name that is none was pushed")
		}
	})

	t.Run("InSecureModeAnOpenAnswerIsRefused", func(t *testing.T) {
		h := open(t, Config{Mode: Secure})
		h.account.answer(func(w http.ResponseWriter, plain string) { io.WriteString(w, replyText(plain, "a")) })
		if m := lastOf(t, h.follower("小王")); m.Text != unavailable {
			t.Errorf("it shows as %+v", m)
		}
	})

	t.Run("TheChatKeepsTheLastMessages", func(t *testing.T) {
		h := open(t, Config{MaxMessages: 3})
		f := h.follower("小王")
		for i := range 5 {
			f.Say(h.ctx, fmt.Sprint(i))
		}
		if chat := f.Chat(); len(chat) != 3 || chat[0].Text != "2" || chat[2].No != 5 {
			t.Errorf("it keeps %+v", chat)
		}
		m, err := f.Await(h.ctx, func(m Message) bool { return m.Text == "4" })
		if err != nil || m.No != 5 {
			t.Errorf("waited for %+v (%v)", m, err)
		}
	})
}

func TestManyFans(t *testing.T) {
	t.Parallel()
	h := open(t, Config{Mode: Secure, PushTimeout: 5 * time.Second})
	h.account.answer(func(w http.ResponseWriter, _ string) { io.WriteString(w, "success") })
	const fans, workers = 1000, 64
	work := make(chan *Fan)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for f := range work {
				for _, err := range []error{f.Follow(h.ctx), f.Say(h.ctx, "海报")} {
					if err != nil {
						t.Error(err)
					}
				}
				h.sendText(f, "好的")
			}
		})
	}
	began := time.Now()
	for i := range fans {
		work <- h.AddFan(fmt.Sprint(i))
	}
	close(work)
	all.Wait()
	s := h.Statistics()
	t.Logf("%.0f pushes and %.0f calls a second", 2*fans/time.Since(began).Seconds(), fans/time.Since(began).Seconds())
	if s.Pushes != 2*fans || s.Deliveries != 2*fans || s.Unanswered != 0 || s.APIs["/cgi-bin/message/custom/send"].Calls != fans || s.APIs["/cgi-bin/message/custom/send"].Refused != 0 {
		t.Errorf("counted %+v", s)
	}
	if s.MedianMS > s.P99MS || s.P99MS > s.P999MS || s.P999MS > s.LongestMS || s.LongestMS <= 0 {
		t.Errorf("the times are %v %v %v %v", s.MedianMS, s.P99MS, s.P999MS, s.LongestMS)
	}
}
