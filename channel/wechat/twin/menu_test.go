package twin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

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
