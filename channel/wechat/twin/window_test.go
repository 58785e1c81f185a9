package twin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	t.Parallel()

	t.Run("EachDoingAllowsItsOwnNumberForItsOwnTime", func(t *testing.T) {
		for name, one := range map[string]struct {
			do     func(h *house, f *Fan, url string) error
			count  int
			within time.Duration
		}{
			"follow": {func(h *house, f *Fan, _ string) error { return f.Follow(h.ctx) }, 3, time.Minute},
			"say": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				return f.Say(h.ctx, "hi")
			}, 5, 48 * time.Hour},
			"image": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				return f.SendImage(h.ctx, picture(h.t))
			}, 5, 48 * time.Hour},
			"scan": {func(h *house, f *Fan, url string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Scan(h.ctx, url)
				return err
			}, 3, time.Minute},
			"click": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Tap(h.ctx, "海报")
				return err
			}, 3, time.Minute},
			"view": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Tap(h.ctx, "进度")
				return err
			}, 0, time.Minute},
		} {
			t.Run(name, func(t *testing.T) {
				h := open(t, Config{})
				h.wants(0, h.call("/cgi-bin/menu/create", `{"button":[{"type":"click","name":"海报","key":"P"},{"type":"view","name":"进度","url":"https://example.com/me"}]}`))
				url, _ := h.code("x")
				f := h.AddFan("小王")
				if err := one.do(h, f, url); err != nil {
					t.Fatal(err)
				}
				if left, _ := f.Allowance(); left != one.count {
					t.Fatalf("%d messages are allowed", left)
				}
				h.token = h.fresh()
				for range one.count {
					h.wants(0, h.sendText(f, "hi"))
				}
				if one.count > 0 {
					h.wants(45047, h.sendText(f, "hi"))
				}
				h.later(one.within)
				h.wants(45015, h.sendText(f, "hi"))
			})
		}
	})

	t.Run("AnItemOfAMenuMessageCountsAsATap", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"msgmenu","msgmenu":{"head_content":"满意吗","list":[{"id":"101","content":"满意"}],"tail_content":"谢谢"}}`))
		h.clock.Advance(time.Hour)
		if err := f.Choose(h.ctx, "101"); err != nil {
			t.Fatal(err)
		}
		got := h.account.last(t)
		if inside(got, "MsgType") != "text" || inside(got, "Content") != "满意" || inside(got, "bizmsgmenuid") != "101" {
			t.Errorf("pushed %s", got)
		}
		if left, until := f.Allowance(); left != 3 || until.Sub(h.clock.Now()) != time.Minute {
			t.Errorf("%d are allowed until %s", left, until)
		}
	})

	t.Run("ANewDoingRaisesWhatIsLeftAndNeverShortensIt", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			var a allowances
			now := start
			left, until := 0, start
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				now = now.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "seconds")) * time.Second / 10)
				if !now.Before(until) {
					left = 0
				}
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					a.open(wrote, now, false)
					left, until = max(left, 5), later(until, now.Add(48*time.Hour))
				case 1:
					a.open(tapped, now, false)
					left, until = max(left, 3), later(until, now.Add(time.Minute))
				default:
					err := a.take(now)
					if (err == nil) != (left > 0) {
						t.Fatalf("%d left, and it says %v", left, err)
					}
					left = max(left-1, 0)
				}
				if got, _ := a.state(now); got != left {
					t.Fatalf("%d are left, not %d", got, left)
				}
			}
		})
	})

	t.Run("SideBySideAllowancesAddUpAndEndEachAtItsTime", func(t *testing.T) {
		var a allowances
		a.open(wrote, start, true)
		a.open(tapped, start, true)
		if left, _ := a.state(start); left != 8 {
			t.Fatalf("%d are left", left)
		}
		for range 8 {
			if err := a.take(start); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.take(start); err.(*refusal).code != 45047 {
			t.Error(err)
		}
		for range 1000 {
			a.open(tapped, start, true)
			a.take(start)
			a.take(start)
			a.take(start)
		}
		if len(a) > 3 {
			t.Errorf("%d allowances are kept", len(a))
		}
	})

	t.Run("WhoUnfollowsMutesOrIsBlockedGetsNothing", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		f.Mute(true)
		h.wants(48002, h.sendText(f, "hi"))
		f.Mute(false)
		f.Block(true)
		h.wants(43019, h.sendText(f, "hi"))
		f.Block(false)
		h.wants(0, h.sendText(f, "hi"))
		if err := f.Unfollow(h.ctx); err != nil {
			t.Fatal(err)
		}
		h.wants(43004, h.sendText(f, "hi"))
		if err := f.Unfollow(h.ctx); err == nil {
			t.Error("unfollowed twice")
		}
		if err := f.Say(h.ctx, "hi"); err == nil {
			t.Error("wrote without following")
		}
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func TestCustomMessages(t *testing.T) {
	t.Parallel()

	t.Run("EveryKindIsShownOrRefused", func(t *testing.T) {
		h := open(t, Config{MiniPrograms: []string{"wx1111111111111111"}})
		image := h.wants(0, h.upload("image", picture(t))).text("media_id")
		thumb := h.wants(0, h.upload("thumb", picture(t))).text("thumb_media_id")
		voice := h.wants(0, h.upload("voice", []byte("#!AMR\nxxxx"))).text("media_id")
		video := h.wants(0, h.upload("video", append([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), make([]byte, 64)...))).text("media_id")
		for _, one := range []struct {
			body string
			code int
			kind string // of the bubble
		}{
			{`"msgtype":"text","text":{"content":"你好"}`, 0, "text"},
			{`"msgtype":"text","text":{"content":""}`, 44004, ""},
			{`"msgtype":"text","text":{"content":"` + strings.Repeat("好", 682) + `"}`, 0, "text"},
			{`"msgtype":"text","text":{"content":"` + strings.Repeat("好", 683) + `"}`, 45002, ""},
			{`"msgtype":"image","image":{"media_id":"` + image + `"}`, 0, "image"},
			{`"msgtype":"image","image":{"media_id":"` + voice + `"}`, 40007, ""},
			{`"msgtype":"image","image":{}`, 41006, ""},
			{`"msgtype":"voice","voice":{"media_id":"` + voice + `"}`, 0, "voice"},
			{`"msgtype":"video","video":{"media_id":"` + video + `","title":"片"}`, 0, "video"},
			{`"msgtype":"music","music":{"title":"歌","musicurl":"https://example.com/a.mp3","thumb_media_id":"` + thumb + `"}`, 0, "music"},
			{`"msgtype":"news","news":{"articles":[{"title":"文","url":"https://example.com"}]}`, 0, "news"},
			{`"msgtype":"news","news":{"articles":[{"title":"文"},{"title":"文"}]}`, 45008, ""},
			{`"msgtype":"news","news":{"articles":[]}`, 44003, ""},
			{`"msgtype":"mpnews","mpnews":{"media_id":"x"}`, 40007, ""},
			{`"msgtype":"mpnewsarticle","mpnewsarticle":{"article_id":"x"}`, 0, "news"},
			{`"msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[{"id":101,"content":"一"}],"tail_content":"t"}`, 0, "menu"},
			{`"msgtype":"msgmenu","msgmenu":{}`, 40035, ""},
			{`"msgtype":"wxcard","wxcard":{"card_id":"c"}`, 0, "card"},
			{`"msgtype":"miniprogrampage","miniprogrampage":{"title":"商城","appid":"wx1111111111111111","pagepath":"p","thumb_media_id":"` + image + `"}`, 0, "card"},
			{`"msgtype":"miniprogrampage","miniprogrampage":{"title":"商城","appid":"wx2222222222222222","pagepath":"p","thumb_media_id":"` + image + `"}`, 40013, ""},
			{`"msgtype":"gossip"`, 40008, ""},
		} {
			f := h.follower("小王")
			h.wants(one.code, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`",`+one.body+`}`))
			if one.kind != "" {
				if m := lastOf(t, f); m.Type != one.kind || m.Way != ViaCustom {
					t.Errorf("%s shows as %+v", one.body, m)
				}
			}
		}
		h.wants(40003, h.call("/cgi-bin/message/custom/send", `{"touser":"o","msgtype":"text","text":{"content":"a"}}`))
	})

	t.Run("EscapesShowAsTheyAreWritten", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"text","text":{"content":"a\u0026b \\u \n<c>"}}`))
		if m := lastOf(t, f); m.Text != "a\\u0026b \\u \n<c>" {
			t.Errorf("it shows %q", m.Text)
		}
	})

	t.Run("TypingNeedsSomeoneWhoJustActed", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		typing := func(command string) answered {
			return h.call("/cgi-bin/message/custom/typing", `{"touser":"`+f.OpenID+`","command":"`+command+`"}`)
		}
		h.wants(0, typing("Typing"))
		if !f.State().Typing {
			t.Error("nothing shows")
		}
		h.wants(45081, typing("Typing"))
		h.wants(0, h.sendText(f, "hi"))
		if f.State().Typing {
			t.Error("it shows on after a message")
		}
		h.wants(0, typing("Typing"))
		h.wants(0, typing("CancelTyping"))
		h.wants(45072, typing("Dance"))
		h.clock.Advance(31 * time.Second)
		h.wants(45080, typing("Typing"))
	})
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	cfg := Config{Templates: []Template{{ID: "T1", Title: "进度", Content: "{{first.DATA}}\n活动：{{thing1.DATA}}\n时间：{{time2.DATA}}"}}}
	data := `"template_id":"T1","data":{"thing1":{"value":"邀请达标"},"time2":{"value":"2026年11月22日 10:00"}}`

	// pushedOf waits for a push of an event.
	pushedOf := func(t *testing.T, h *house, event string) string {
		t.Helper()
		for range 2000 {
			for _, p := range h.account.got() {
				if inside(p, "Event") == event {
					return p
				}
			}
			select {
			case <-h.ctx.Done():
			case <-time.After(time.Millisecond):
			}
		}
		t.Fatalf("no %s was pushed", event)
		return ""
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

func TestMenu(t *testing.T) {
	t.Parallel()

	button := func(fields string) string { return `{"button":[{` + fields + `}]}` }
	sub := func(fields string) string { return button(`"name":"活动","sub_button":[{` + fields + `}]`) }

	t.Run("AMenuComesBackAsItWasSet", func(t *testing.T) {
		h := open(t, Config{})
		h.wants(46003, h.get("/cgi-bin/menu/get?access_token="+h.token))
		want := `{"button":[{"type":"click","name":"海报","key":"P","sub_button":[]},{"name":"活动","sub_button":[{"type":"view","name":"进度","url":"https://example.com/me?a=1&b=2","sub_button":[]}]}]}`
		h.wants(0, h.call("/cgi-bin/menu/create", want))
		a := h.wants(0, h.get("/cgi-bin/menu/get?access_token="+h.token))
		got, _ := a["menu"].(map[string]any)
		delete(got, "menuid")
		var wanted map[string]any
		if err := json.Unmarshal([]byte(want), &wanted); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("got %v, not %v", got, wanted)
		}
		a = h.wants(0, h.get("/cgi-bin/get_current_selfmenu_info?access_token="+h.token))
		if a["is_menu_open"] != 1.0 || !strings.Contains(fmt.Sprint(a["selfmenu_info"]), "list:[map[name:进度") {
			t.Errorf("got %v", a)
		}
		h.wants(0, h.get("/cgi-bin/menu/delete?access_token="+h.token))
		h.wants(46003, h.get("/cgi-bin/menu/get?access_token="+h.token))
	})

	t.Run("WrongMenusAreRefused", func(t *testing.T) {
		h := open(t, Config{MiniPrograms: []string{"wx1111111111111111"}})
		for body, code := range map[string]int{
			`{"button":[]}`: 40016,
			`{"button":[` + strings.Repeat(`{"type":"click","name":"a","key":"k"},`, 3) + `{"type":"click","name":"a","key":"k"}]}`: 40016,
			button(`"type":"click","name":"一二三四五六","key":"k"`):                                                                      40018,
			button(`"type":"click","name":"","key":"k"`):                                                                            40018,
			button(`"type":"click","name":"a"`):                                                                                     40019,
			button(`"type":"click","name":"a","key":"` + strings.Repeat("k", 129) + `"`):                                            40019,
			button(`"type":"view","name":"a"`):                                                                                      40020,
			button(`"type":"view","name":"a","url":"weixin://x"`):                                                                   40055,
			button(`"type":"dance","name":"a"`):                                                                                     40017,
			button(`"name":"a"`):                                                                                                    40017,
			button(`"type":"click","name":"\u4e00","key":"k"`):                                                                      40033,
			button(`"type":"miniprogram","name":"a","url":"https://e.com","appid":"wx2222222222222222","pagepath":"p"`):             45064,
			button(`"type":"miniprogram","name":"a","url":"https://e.com","appid":"wx1111111111111111"`):                            40165,
			button(`"type":"miniprogram","name":"a","url":"https://e.com","appid":"wx1111111111111111","pagepath":"p"`):             0,
			button(`"type":"media_id","name":"a","media_id":"x"`):                                                                   40007,
			sub(`"type":"click","name":"` + strings.Repeat("a", 61) + `","key":"k"`):                                                40025,
			sub(`"type":"click","name":"a"`):                                                                                        40026,
			sub(`"type":"view","name":"a"`):                                                                                         40027,
			sub(`"type":"view","name":"a","url":"ftp://e.com/"`):                                                                    40054,
			sub(`"type":"dance","name":"a"`):                                                                                        40024,
			button(`"name":"a","sub_button":[` + strings.Repeat(`{"type":"click","name":"a","key":"k"},`, 5) + `{"type":"click","name":"a","key":"k"}]`): 40023,
			`[]`: 47001,
		} {
			if got := h.call("/cgi-bin/menu/create", body); got.code() != code {
				t.Errorf("%s is answered %v, not %d", body, got, code)
			}
		}
	})

	t.Run("EachButtonPushesItsEvent", func(t *testing.T) {
		h := open(t, Config{})
		h.wants(0, h.call("/cgi-bin/menu/create", `{"button":[{"name":"一","sub_button":[{"type":"click","name":"海报","key":"P"},{"type":"view","name":"进度","url":"https://example.com/me"},{"type":"miniprogram","name":"商城","url":"https://e.com","appid":"wx1","pagepath":"pages/i"}]},
			{"name":"二","sub_button":[{"type":"scancode_waitmsg","name":"扫","key":"S"},{"type":"pic_weixin","name":"图","key":"G"},{"type":"location_select","name":"位","key":"L"}]}]}`))
		f := h.follower("小王")
		for _, one := range []struct{ button, input, event, key, within, text string }{
			{"海报", "", "CLICK", "P", "", ""},
			{"一/进度", "", "VIEW", "https://example.com/me", "", ""},
			{"商城", "", "view_miniprogram", "pages/i", "", ""},
			{"S", "ABC", "scancode_waitmsg", "S", "ScanResult", "ABC"},
			{"图", "1", "pic_weixin", "G", "Count", "1"},
			{"位", "23.1,113.3,广州", "location_select", "L", "Label", "广州"},
		} {
			if _, err := f.Tap(h.ctx, one.button, one.input); err != nil {
				t.Fatal(err)
			}
			got := h.account.last(t)
			if inside(got, "Event") != one.event || inside(got, "EventKey") != one.key || one.within != "" && inside(got, one.within) != one.text {
				t.Errorf("%s pushed %s", one.button, got)
			}
		}
		if _, err := f.Tap(h.ctx, "nothing"); err == nil {
			t.Error("a button that is not there was tapped")
		}
	})
}
