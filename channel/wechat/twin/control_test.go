package twin

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

func (h *house) page(path string) (int, string) {
	h.t.Helper()
	request, _ := http.NewRequestWithContext(h.ctx, http.MethodGet, h.url+path, nil)
	request.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(body)
}

// form posts a page's form and gives the page that follows.
func (h *house) form(path string, values url.Values) string {
	h.t.Helper()
	request, _ := http.NewRequestWithContext(h.ctx, http.MethodPost, h.url+path, strings.NewReader(values.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "text/html")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body)
}

func TestControl(t *testing.T) {
	t.Parallel()

	t.Run("AFanIsDrivenOverHTTP", func(t *testing.T) {
		h := open(t, Config{})
		h.wants(0, h.call("/cgi-bin/menu/create", `{"button":[{"type":"click","name":"海报","key":"P"},{"type":"view","name":"进度","url":"https://example.com/me"}]}`))
		code, _ := h.code("c7.u1024")
		fan := "/_twin/fans/" + h.post("/_twin/fans", `{"name":"小王"}`).text("openid")
		for _, one := range []struct{ verb, body, field, want string }{
			{"scan", `{"content":"` + code + `"}`, "page", "profile"},
			{"leave", ``, "looking", ""},
			{"scan", `{"content":"` + code + `"}`, "scene", "c7.u1024"},
			{"follow", `{}`, "scene", "c7.u1024"},
			{"say", `{"text":"你好"}`, "name", "小王"},
			{"image", `{"image":"` + base64.StdEncoding.EncodeToString(picture(t)) + `"}`, "name", "小王"},
			{"raise", `{"event":"sneeze","elements":[{"name":"Loud","text":"yes"}]}`, "name", "小王"},
			{"raise", `{"event":"sneeze","elements":[{"name":"<x>"}]}`, "error", "an element has a name of letters and digits"},
			{"tap", `{"button":"P"}`, "type", "click"},
			{"tap", `{"button":"进度"}`, "url", "https://example.com/me"},
			{"accept", `{"templates":["T"]}`, "name", "小王"},
			{"reject", `{"templates":["T"]}`, "name", "小王"},
			{"withdraw", `{"templates":["T"]}`, "name", "小王"},
			{"open", `{"url":"` + h.url + `/_twin/files/style.css"}`, "content_type", "text/css; charset=utf-8"},
			{"settings", `{"muted":true,"blocked":true,"snapshot":true,"consenting":false,"faceless":true}`, "name", "小王"},
			{"unfollow", ``, "name", "小王"},
			{"unfollow", ``, "error", "the fan does not follow the account"},
			{"say", `{"text":"x"}`, "error", "the fan does not follow the account"},
			{"say", `{"text":""}`, "error", "a text has 1 to 2048 bytes"},
			{"image", `{"image":"AAAA"}`, "error", "this is no picture of at most 2 MB"},
			{"dance", ``, "error", `a fan cannot "dance"`},
			{"say", `{`, "error", "unexpected end of JSON input"},
		} {
			if a := h.post(fan+"/"+one.verb, one.body); a.text(one.field) != one.want {
				t.Errorf("%s %s is answered %v", one.verb, one.body, a)
			}
		}
		h.account.await(t, h.ctx, func(p string) bool { return inside(p, "Event") == "sneeze" && inside(p, "Loud") == "yes" })
		f := h.Fans()[0]
		if !f.muted || !f.blocked || !f.snapshot || !f.refuses || !f.faceless {
			t.Errorf("the settings are %+v", f.State())
		}
		if a := h.get(fan); a["messages"] != 2.0 || a["following"] != false {
			t.Errorf("the fan stands as %v", a)
		}
		chat, _ := h.get(fan + "/chat")["messages"].([]any)
		if len(chat) != 2 || chat[1].(map[string]any)["type"] != "image" {
			t.Fatalf("the chat is %v", chat)
		}
		if status, body := h.page(strings.TrimPrefix(chat[1].(map[string]any)["image_url"].(string), h.url)); status != http.StatusOK || body != string(picture(t)) {
			t.Errorf("the picture is answered %d", status)
		}
		if a := h.get(fan + "/chat?after=2&wait=10ms"); len(a["messages"].([]any)) != 0 {
			t.Errorf("after the last: %v", a)
		}
		if a := h.get("/_twin/fans/oNobody"); a.text("error") == "" {
			t.Errorf("nobody is answered %v", a)
		}
		if a := h.get("/_twin/fans"); len(a["fans"].([]any)) != 1 {
			t.Errorf("listed %v", a)
		}
	})

	t.Run("ThePlatformIsDrivenOverHTTP", func(t *testing.T) {
		h := open(t, Config{MaxFans: 1})
		callback := *h.callback.Load()
		for _, one := range []struct{ path, body, err string }{
			{"/_twin/clock", `{"advance":"1h"}`, ""},
			{"/_twin/clock", `{"advance":"soon"}`, "time: invalid duration \"soon\""},
			{"/_twin/faults", `{"path":"*","failure":"slow","delay":"1ms","for":"1m"}`, ""},
			{"/_twin/faults", `{"path":"/nowhere","code":-1}`, "path is * or the path of a call that the twin serves"},
			{"/_twin/ban", `{}`, ""},
			{"/_twin/tokens/revoke", ``, ""},
			{"/_twin/pushes", `{"duplicate":1,"hold":1}`, ""},
			{"/_twin/quotas", `{"path":"/cgi-bin/user/info","daily":3}`, ""},
			{"/_twin/quotas", `{"path":"/nowhere","daily":3}`, `the twin does not serve "/nowhere"`},
			{"/_twin/templates/fail", `{"statuses":["failed:user block"]}`, ""},
			{"/_twin/callback", `{"url":"` + callback + `"}`, ""},
			{"/_twin/callback", `{"url":"nonsense"}`, `"nonsense" is not an http or https address`},
			{"/_twin/fans", `{"name":""}`, "a name has 1 to 32 characters"},
			{"/_twin/fans", `{"name":"小王"}`, ""},
			{"/_twin/fans", `{"name":"小李"}`, "there are 1 fans already, which is the most"},
		} {
			if a := h.post(one.path, one.body); a.text("error") != one.err {
				t.Errorf("%s %s is answered %v", one.path, one.body, a)
			}
		}
		a := h.get("/_twin/state")
		if a.text("appid") != h.cfg.AppID || a.text("callback") != callback || a["running"] != false || !strings.HasPrefix(a.text("now"), "2026-11-22T11:00:00") {
			t.Errorf("the state is %v", a)
		}
		if got := h.get(ips + "?access_token=" + h.fresh()); got.code() != 48004 {
			t.Errorf("a ban is answered %v", got)
		}
		for _, path := range []string{"/_twin/ban", "/_twin/faults"} {
			if _, err := h.do(http.MethodDelete, path, "", nil); err != nil {
				t.Error(err)
			}
		}
		h.wants(0, h.get(ips+"?access_token="+h.fresh()))
		apis, _ := h.get("/_twin/statistics")["apis"].(map[string]any)
		if one, _ := apis[ips].(map[string]any); one["refused"] != 1.0 || one["calls"] != 2.0 {
			t.Errorf("counted %v", one)
		}
		h.post("/_twin/clock", `{"run":true}`)
		if !h.clock.Running() {
			t.Error("the clock stands")
		}
		h.post("/_twin/clock", `{"stop":true,"set":"2026-12-01T00:00:00+08:00"}`)
		if h.clock.Running() || !h.clock.Now().Equal(time.Date(2026, 12, 1, 0, 0, 0, 0, china)) {
			t.Errorf("the clock shows %s", h.clock.Now())
		}
		if a := h.get("/_twin/merchant"); !strings.Contains(a.text("private_key"), "PRIVATE KEY") {
			t.Errorf("the keys are %v", a)
		}
		if a := h.get("/_twin/bills"); a["bills"] == nil {
			t.Errorf("the bills are %v", a)
		}
		for _, outcome := range []string{"confirm", "fail", "dance"} {
			if a := h.post("/_twin/bills/A1/"+outcome, `{}`); a.text("error") == "" {
				t.Errorf("%s is answered %v", outcome, a)
			}
		}
	})

	t.Run("ThePagesShowWhatAFanSees", func(t *testing.T) {
		h := open(t, Config{Name: "好物研究所", Templates: []Template{{ID: "T", Title: "进度提醒", Content: "活动：{{thing1.DATA}}"}}})
		h.wants(0, h.call("/cgi-bin/menu/create", `{"button":[{"name":"活动","sub_button":[{"type":"click","name":"海报","key":"P"},{"type":"view","name":"进度","url":"https://example.com/me"}]}]}`))
		code, _ := h.code("c7")
		page := h.form("/_twin/fans", url.Values{"name": {"<小王>"}})
		f := h.Fans()[0]
		fan := "/_twin/fans/" + f.OpenID
		for _, want := range []string{"&lt;小王&gt;", "搜索并关注", "好物研究所"} {
			if !strings.Contains(page, want) {
				t.Errorf("the new fan's page lacks %s: %s", want, page)
			}
		}
		if page = h.form(fan+"/scan", url.Values{"content": {"hello"}}); !strings.Contains(page, "hello") {
			t.Errorf("a text is not shown: %s", page)
		}
		if page = h.form(fan+"/scan", url.Values{"content": {" " + code + "\n"}}); !strings.Contains(page, "关注公众号") {
			t.Errorf("the profile is not shown: %s", page)
		}
		if page = h.form(fan+"/follow", nil); !strings.Contains(page, "海报") || !strings.Contains(page, "取消关注") {
			t.Errorf("the menu is not shown: %s", page)
		}
		h.form(fan+"/say", url.Values{"text": {"在吗 <script>"}})
		id := h.upload("image", picture(t)).text("media_id")
		f.Accept(h.ctx, "T")
		for _, body := range []string{
			`"msgtype":"text","text":{"content":"看 <a href=\"https://example.com/a?b=1&c=2\">这里</a>，回 <a href='weixin://bizmsgmenu?msgmenucontent=%E8%BF%9B%E5%BA%A6&msgmenuid=1'>进度</a> <a href=\"javascript:x\">不</a>"}`,
			`"msgtype":"image","image":{"media_id":"` + id + `"}`,
			`"msgtype":"msgmenu","msgmenu":{"head_content":"满意吗","list":[{"id":"101","content":"满意"}],"tail_content":"谢谢"}`,
			`"msgtype":"news","news":{"articles":[{"title":"规则","description":"全部","url":"javascript:alert(1)","picurl":"https://example.com/p.jpg"}]}`,
		} {
			h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`",`+body+`}`))
		}
		h.wants(0, h.call("/cgi-bin/message/subscribe/bizsend", `{"touser":"`+f.OpenID+`","template_id":"T","data":{"thing1":{"value":"邀请有礼"}}}`))
		_, page = h.page(fan)
		for _, want := range []string{
			"在吗 &lt;script&gt;", "url=https%3a%2f%2fexample.com%2fa%3fb%3d1%26c%3d2\">这里</a>", `value="进度"`, `&lt;a href=&#34;javascript:x&#34;&gt;`,
			f.Chat()[2].ImageURL, "满意吗", `value="101"`, "规则", "进度提醒", "邀请有礼", "11月22日 10:00:00",
		} {
			if !strings.Contains(page, want) {
				t.Errorf("the page lacks %s: %s", want, page)
			}
		}
		if strings.Contains(page, `href="javascript`) {
			t.Error("the page runs what a message says")
		}
		if page = h.form(fan+"/choose", url.Values{"item": {"101"}}); !strings.Contains(page, ">满意</div>") {
			t.Errorf("the choice is not shown: %s", page)
		}
		if page = h.form(fan+"/tap", url.Values{"button": {"nothing"}}); !strings.Contains(page, "no button") {
			t.Errorf("a wrong tap shows %s", page)
		}
		if page = h.form(fan+"/unfollow", nil); !strings.Contains(page, "搜索并关注") {
			t.Errorf("after leaving: %s", page)
		}
		if _, page = h.page("/_twin/"); !strings.Contains(page, "&lt;小王&gt;") || !strings.Contains(page, "/cgi-bin/menu/create") {
			t.Errorf("the list shows %s", page)
		}
		if page = h.form("/_twin/clock", url.Values{"advance": {"1h"}}); !strings.Contains(page, "11:00:00") {
			t.Errorf("the clock shows %s", page)
		}
		for path, want := range map[string]int{"/_twin/files/style.css": 200, "/_twin/files/fan.html": 404, "/_twin/files/none": 404, "/_twin/pictures/none": 404, "/mmopen/vi_32/x/132": 404} {
			if status, _ := h.page(path); status != want {
				t.Errorf("%s is answered %d", path, status)
			}
		}
	})

	t.Run("AnotherSitesPageCannotDriveIt", func(t *testing.T) {
		h := open(t, Config{})
		request, _ := http.NewRequest(http.MethodPost, h.url+"/_twin/fans", strings.NewReader("name=x"))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", "https://evil.example.com")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusForbidden || len(h.Fans()) != 0 {
			t.Errorf("it is answered %d", response.StatusCode)
		}
	})
}

func FuzzRich(f *testing.F) {
	f.Add(`看 <a href="https://example.com/a?b=1">这里</a>`)
	f.Add(`<a href='weixin://bizmsgmenu?msgmenucontent=x'>y</a><a href=javascript:x>z</a>`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range rich(text) {
			if p.URL != "" && !strings.HasPrefix(p.URL, "http://") && !strings.HasPrefix(p.URL, "https://") {
				t.Errorf("%q links to %q", text, p.URL)
			}
		}
	})
}
