package twin

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"
)

const ips = "/cgi-bin/getcallbackip"

func TestFaults(t *testing.T) {
	t.Parallel()

	inject := func(t *testing.T, h *house, f Fault) {
		t.Helper()
		if err := h.Inject(f); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("ACodeIsAnsweredSoManyTimes", func(t *testing.T) {
		h := open(t, Config{})
		inject(t, h, Fault{Path: ips, Code: 45009, After: 1, Times: 2})
		for _, code := range []int{0, 45009, 45009, 0} {
			h.wants(code, h.get(ips+"?access_token="+h.token))
		}
	})

	t.Run("ConnectionsBreakBeforeOrAfterTheWork", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		send := func() error {
			_, err := h.do(http.MethodPost, "/cgi-bin/message/custom/send?access_token="+h.token, "application/json", strings.NewReader(`{"touser":"`+f.OpenID+`","msgtype":"text","text":{"content":"a"}}`))
			return err
		}
		inject(t, h, Fault{Path: "/cgi-bin/message/custom/send", Failure: Cut, Times: 1})
		if err := send(); err == nil || len(f.Chat()) != 0 {
			t.Errorf("cut: %v, the chat holds %v", err, f.Chat())
		}
		inject(t, h, Fault{Path: "/cgi-bin/message/custom/send", Failure: Lost, Times: 1})
		if err := send(); err == nil || len(f.Chat()) != 1 {
			t.Errorf("lost: %v, the chat holds %v", err, f.Chat())
		}
		inject(t, h, Fault{Path: "*", Failure: Garbage, Times: 1})
		if err := send(); err == nil || !strings.Contains(err.Error(), "status 502") {
			t.Errorf("garbage: %v", err)
		}
		if err := send(); err != nil {
			t.Error(err)
		}
	})

	t.Run("AnAnswerCanStayAwayOrComeLate", func(t *testing.T) {
		h := open(t, Config{})
		inject(t, h, Fault{Path: ips, Failure: Hang, Times: 1})
		ctx, cancel := context.WithTimeout(h.ctx, 50*time.Millisecond)
		defer cancel()
		request, _ := http.NewRequestWithContext(ctx, http.MethodGet, h.url+ips, nil)
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			t.Error("it was answered")
		}
		inject(t, h, Fault{Path: ips, Failure: Slow, Delay: 30 * time.Millisecond, Times: 1})
		began := time.Now()
		h.wants(0, h.get(ips+"?access_token="+h.token))
		if time.Since(began) < 30*time.Millisecond {
			t.Error("it came at once")
		}
	})

	t.Run("AllIsDownForAWhileOfTheTwinsTime", func(t *testing.T) {
		h := open(t, Config{})
		if err := h.Down(time.Hour); err != nil {
			t.Fatal(err)
		}
		if _, err := h.do(http.MethodGet, ips+"?access_token="+h.token, "", nil); err == nil {
			t.Error("it is up")
		}
		h.later(time.Hour)
		h.wants(0, h.get(ips+"?access_token="+h.token))
	})

	t.Run("ABanIsAnswered48004", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.Ban("/cgi-bin/message/custom/send")
		h.wants(48004, h.sendText(f, "a"))
		h.wants(0, h.get(ips+"?access_token="+h.token))
		h.Ban()
		h.wants(48004, h.get(ips+"?access_token="+h.token))
		h.fresh()
		h.Unban()
		h.wants(0, h.sendText(f, "a"))
	})

	t.Run("NonsenseIsNotInjected", func(t *testing.T) {
		h := open(t, Config{})
		for _, f := range []Fault{{Path: "/nowhere"}, {Path: "*", Failure: "boom"}, {Path: "*"}} {
			if err := h.Inject(f); err == nil {
				t.Errorf("%+v was", f)
			}
		}
		inject(t, h, Fault{Path: "*", Code: -1})
		h.Heal()
		h.wants(0, h.get(ips+"?access_token="+h.token))
	})
}

func TestQuota(t *testing.T) {
	t.Parallel()

	t.Run("ADayEndsAtMidnightInChina", func(t *testing.T) {
		h := open(t, Config{Quotas: map[string]int64{ips: 2}})
		ask := func() answered { return h.get(ips + "?access_token=" + h.token) }
		h.wants(0, ask())
		h.wants(0, ask())
		h.wants(45009, ask())
		h.later(13*time.Hour + 59*time.Minute) // 23:59
		h.wants(45009, ask())
		h.later(time.Minute)
		h.wants(0, ask())
	})

	t.Run("TheToolsTellAndClear", func(t *testing.T) {
		h := open(t, Config{Quotas: map[string]int64{ips: 2}})
		h.wants(0, h.get(ips+"?access_token="+h.token))
		a := h.wants(0, h.call("/cgi-bin/openapi/quota/get", `{"cgi_path":"`+ips+`"}`))
		q, _ := a["quota"].(map[string]any)
		if q["daily_limit"] != 2.0 || q["used"] != 1.0 || q["remain"] != 1.0 {
			t.Errorf("told %v", a)
		}
		h.wants(76021, h.call("/cgi-bin/openapi/quota/get", `{"cgi_path":"/nowhere"}`))
		h.wants(0, h.call("/cgi-bin/openapi/quota/clear", `{"cgi_path":"`+ips+`"}`))
		h.wants(40013, h.call("/cgi-bin/clear_quota", `{"appid":"wx0"}`))
		for range 8 {
			h.wants(0, h.call("/cgi-bin/clear_quota", `{"appid":"`+h.cfg.AppID+`"}`))
		}
		bySecret := `{"appid":"` + h.cfg.AppID + `","appsecret":"` + h.cfg.Secret + `"}`
		h.wants(0, h.post("/cgi-bin/clear_quota/v2", bySecret))
		h.wants(48006, h.post("/cgi-bin/clear_quota/v2", bySecret))
		h.later(31 * 24 * time.Hour)
		h.wants(0, h.post("/cgi-bin/clear_quota/v2", bySecret))
		if !h.SetQuota(ips, 0) || h.SetQuota("/nowhere", 1) {
			t.Error("quotas are set wrongly")
		}
	})

	t.Run("ARefusalCanBeLookedUp", func(t *testing.T) {
		h := open(t, Config{})
		a := h.wants(40003, h.call("/cgi-bin/message/custom/send", `{"touser":"o1","msgtype":"text","text":{"content":"a"}}`))
		_, rid, _ := strings.Cut(a.text("errmsg"), "rid: ")
		found := h.wants(0, h.call("/cgi-bin/openapi/rid/get", `{"rid":"`+rid+`"}`))
		request, _ := found["request"].(map[string]any)
		if request["request_url"] != "/cgi-bin/message/custom/send" || !strings.Contains(request["request_body"].(string), "o1") {
			t.Errorf("found %v", found)
		}
		if rid[:8] != "6b020aa0" && len(rid) != 26 {
			t.Errorf("the id is %s", rid)
		}
	})

	t.Run("TheMethodAndThePathMatter", func(t *testing.T) {
		h := open(t, Config{})
		h.wants(40066, h.call("/cgi-bin/nowhere", "{}"))
		h.wants(43001, h.post(ips+"?access_token="+h.token, "{}"))
		h.wants(43002, h.get("/cgi-bin/message/custom/send?access_token="+h.token))
		h.wants(44002, h.call("/cgi-bin/message/custom/send", ""))
		h.wants(45002, h.call("/cgi-bin/message/custom/send", strings.Repeat(" ", maxJSON+1)))
	})
}
