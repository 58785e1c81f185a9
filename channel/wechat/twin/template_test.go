package twin

import (
	"fmt"
	"strings"
	"testing"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	cfg := Config{Templates: []Template{{ID: "T1", Title: "进度", Content: "{{first.DATA}}\n活动：{{thing1.DATA}}\n时间：{{time2.DATA}}"}}}
	data := `"template_id":"T1","data":{"thing1":{"value":"邀请达标"},"time2":{"value":"2026年11月22日 10:00"}}`

	// pushedOf waits for a push of an event.
	pushedOf := func(t *testing.T, h *house, event string) string {
		t.Helper()
		return h.account.await(t, h.ctx, func(p string) bool { return inside(p, "Event") == event })
	}

	t.Run("ATemplateMessageShowsAndItsEndIsTold", func(t *testing.T) {
		h := open(t, cfg)
		f := h.follower("小王")
		a := h.wants(0, h.call("/cgi-bin/message/template/send", `{"touser":"`+f.OpenID+`","url":"https://example.com","client_msg_id":"a1",`+data+`}`))
		m := lastOf(t, f)
		if m.Way != ViaTemplate || len(m.Items) != 2 || m.Items[0] != (Item{ID: "thing1", Name: "活动", Text: "邀请达标"}) || m.URL != "https://example.com" {
			t.Errorf("it shows as %+v", m)
		}
		if got := pushedOf(t, h, "TEMPLATESENDJOBFINISH"); inside(got, "MsgID") != fmt.Sprintf("%.0f", a["msgid"]) || inside(got, "Status") != "success" {
			t.Errorf("pushed %s for %v", got, a)
		}
		h.wants(45065, h.call("/cgi-bin/message/template/send", `{"touser":"`+f.OpenID+`","client_msg_id":"a1",`+data+`}`))
	})

	t.Run("AFailureIsToldAndShowsNothing", func(t *testing.T) {
		h := open(t, cfg)
		f := h.follower("小王")
		h.FailTemplates("failed: system failed")
		h.wants(0, h.call("/cgi-bin/message/template/send", `{"touser":"`+f.OpenID+`",`+data+`}`))
		if got := pushedOf(t, h, "TEMPLATESENDJOBFINISH"); inside(got, "Status") != "failed: system failed" || len(f.Chat()) != 0 {
			t.Errorf("pushed %s", got)
		}
	})

	t.Run("ANoticeTakesAConsent", func(t *testing.T) {
		h := open(t, cfg)
		f := h.AddFan("小王")
		send := func() answered {
			return h.call("/cgi-bin/message/subscribe/bizsend", `{"touser":"`+f.OpenID+`","page":"https://example.com",`+data+`}`)
		}
		h.wants(43101, send())
		if err := f.Accept(h.ctx, "T1"); err != nil {
			t.Fatal(err)
		}
		if got := h.account.last(t); inside(got, "Event") != "subscribe_msg_popup_event" || inside(got, "TemplateId") != "T1" || inside(got, "SubscribeStatusString") != "accept" || inside(got, "PopupScene") != "1" {
			t.Errorf("pushed %s", got)
		}
		h.wants(0, send())
		h.wants(43101, send())
		if got := pushedOf(t, h, "subscribe_msg_sent_event"); inside(got, "ErrorStatus") != "success" {
			t.Errorf("pushed %s", got)
		}
		f.Accept(h.ctx, "T1", "T1")
		if f.Consents("T1") != 2 {
			t.Errorf("%d consents", f.Consents("T1"))
		}
		if err := f.Withdraw(h.ctx, "T1"); err != nil {
			t.Fatal(err)
		}
		h.wants(43101, send())
	})

	t.Run("WrongOnesAreRefused", func(t *testing.T) {
		h := open(t, cfg)
		f := h.follower("小王")
		for body, code := range map[string]int{
			`"template_id":"T2","data":{}`:                            40037,
			`"template_id":"T1","data":{"thing1":{"value":"x"}}`:      47003,
			strings.Replace(data, "邀请达标", strings.Repeat("长", 21), 1): 47003,
			strings.Replace(data, "2026年11月22日 10:00", "tomorrow", 1): 47003,
			strings.Replace(data, `"邀请达标"`, `"两`+"\\n"+`行"`, 1):       47003,
			data + `,"miniprogram":{"appid":"wx1","pagepath":"p"}`:    0,
		} {
			if got := h.call("/cgi-bin/message/template/send", `{"touser":"`+f.OpenID+`",`+body+`}`); got.code() != code {
				t.Errorf("%s is answered %v, not %d", body, got, code)
			}
		}
		f.Unfollow(h.ctx)
		h.wants(43004, h.call("/cgi-bin/message/template/send", `{"touser":"`+f.OpenID+`",`+data+`}`))
		if a := h.wants(0, h.get("/cgi-bin/template/get_all_private_template?access_token="+h.token)); len(a["template_list"].([]any)) != 1 {
			t.Errorf("told %v", a)
		}
	})

	t.Run("EachKindOfValueHasItsRule", func(t *testing.T) {
		for _, one := range []struct {
			key, value string
			fits       bool
		}{
			{"number1", "12.50", true},
			{"number1", "twelve", false},
			{"letter1", "abc", true},
			{"letter1", "好", false},
			{"symbol1", "!!", true},
			{"symbol1", "a", false},
			{"character_string1", "A-1", true},
			{"character_string1", "一", false},
			{"amount1", "¥12.50", true},
			{"amount1", "12元", true},
			{"amount1", "lots", false},
			{"phone_number1", "+86-10-12345678", true},
			{"name1", "王小明", true},
			{"name1", strings.Repeat("王", 11), false},
			{"phrase1", "已完成", true},
			{"phrase1", "done", false},
			{"car_number1", "粤B12345", true},
			{"time1", "10:00~11:00", true},
			{"date1", "2026-11-22", true},
			{"thing1", "", false},
		} {
			if fitsParameter(one.key, one.value) != one.fits {
				t.Errorf("%s %q: %v", one.key, one.value, !one.fits)
			}
		}
	})
}
