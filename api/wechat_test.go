package api_test

import (
	"bytes"
	"encoding/json"
	"html"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kfactor/api"
	"kfactor/channel/wechat"
	"kfactor/channel/wechat/twin"
	"kfactor/engine"
	"kfactor/internal/settings"
)

// garden is a campaign on an account of WeChat.
const garden = `campaign: garden
name: 春日花园
channel: main
schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2036-12-31T23:59:59+08:00, timezone: Asia/Shanghai}
join: {on_subscribe: true, keywords: [海报]}
poster:
  size: [750, 1334]
  background: "#FFF4E0"
  layers:
    - text: {value: "{{nickname}}", at: [60, 120], size: 44, color: "#222222", max_width: 630}
    - qr: {at: [235, 900], size: 280}
tasks:
  invite: {title: 邀请好友关注, on: subscribe, credit: inviter, revoke_on: unsubscribe}
tiers:
  - {name: 铜牌, requires: {invite: 1}, rewards: [mug]}
rewards:
  mug: {kind: physical, title: 定制马克杯, unit_cost: "35.00", stock: 9, needs_address: true}
`

// account is a house on the platform's stand-in, with the campaign running.
type account struct {
	*house
	twin *twin.Twin
}

func onWeChat(t *testing.T, file string, options ...option) *account {
	t.Helper()
	platform, err := twin.New(twin.Config{Name: "花园", Token: "gardentoken", Mode: twin.Plain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platform.Close)
	server := httptest.NewServer(platform.Handler())
	t.Cleanup(server.Close)
	platform.SetBaseURL(server.URL)
	is := platform.Config()
	h := openOn(t, map[string]settings.Channel{"main": {
		Kind: "wechat", AppID: is.AppID, AppSecret: is.Secret, Token: is.Token, APIURL: server.URL, OpenURL: server.URL,
	}}, options...)
	h.ask("operator", "POST", "/v1/campaigns", file, "Content-Type", "application/yaml").must(http.StatusCreated)
	h.ask("operator", "POST", "/v1/campaigns/garden/launch", "").must(http.StatusOK)
	if err := platform.SetCallback(t.Context(), h.URL+"/wechat/main"); err != nil {
		t.Fatal(err)
	}
	return &account{h, platform}
}

// open opens a page of ours in the fan's browser.
func (a *account) open(f *twin.Fan, path string) (twin.Page, string) {
	a.t.Helper()
	page, err := f.Open(a.t.Context(), a.URL+path)
	if err != nil {
		a.t.Fatal(err)
	}
	return page, html.UnescapeString(string(page.Body))
}

// follower is somebody who followed by themselves and was sent their poster.
func (a *account) follower(name string) (f *twin.Fan, code string) {
	a.t.Helper()
	f = a.twin.AddFan(name)
	if err := f.Follow(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.until(name+" has joined", func() bool {
		found, err := a.engine.CodeOfUser(a.t.Context(), "garden", f.OpenID)
		code = found
		return err == nil && code != ""
	})
	return f, code
}

// held is what the code in a picture of ours says.
func (a *account) held(path string) string {
	a.t.Helper()
	got := a.ask("", "GET", path, "").must(http.StatusOK)
	if got.Header.Get("Cache-Control") != "no-store" {
		a.t.Errorf("%s: Cache-Control is %q", path, got.Header.Get("Cache-Control"))
	}
	img, err := png.Decode(bytes.NewReader([]byte(got.Body)))
	if err != nil {
		a.t.Fatal(err)
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		a.t.Fatal(err)
	}
	// This reader takes patterns within the data for a corner in a few of a thousand codes; turned, the same code reads.
	for range 4 {
		if said, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err == nil {
			return said.GetText()
		}
		if bitmap, err = bitmap.RotateCounterClockwise(); err != nil {
			a.t.Fatal(err)
		}
	}
	a.t.Fatal("no QR code can be read")
	return ""
}

const weChatAgent = "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Mobile Safari/537.36 MicroMessenger/8.0.60"

func TestWeChatPages(t *testing.T) {
	t.Parallel()

	t.Run("AFollowersOwnPageOpensInWeChatWithoutAsking", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, code := a.follower("小满")
		page, body := a.open(fan, "/me/garden?from=singlemessage")
		if page.Status != http.StatusOK || !strings.HasPrefix(page.URL, a.URL+"/me/garden") || !contains(body, "/p/"+code+".jpg", "Use my WeChat picture and name") {
			t.Fatalf("%s %d: %s", page.URL, page.Status, body)
		}
		hops := strings.Join(page.Hops, "\n")
		if !contains(hops, "/wechat/main/enter?", "scope=snsapi_base") {
			t.Fatalf("on the way: %s", hops)
		}
		// Once signed in they are not sent away again, in whatever page of theirs.
		for _, path := range []string{"/me/garden", "/me/garden/ranking", "/r/" + code} {
			if again, _ := a.open(fan, path); len(again.Hops) != 1 || again.Status != http.StatusOK {
				t.Errorf("%s: %v", path, again.Hops)
			}
		}
		if _, own := a.open(fan, "/r/"+code); !contains(own, "This is your own link", `href="/me/garden"`) {
			t.Fatalf("got %s", own)
		}

		// The card is signed for the address as the browser has it, and speaks of no reward.
		shared, body := a.open(fan, "/me/garden?from=timeline&isappinstalled=0")
		said := func(name string) string {
			found := regexp.MustCompile(`data-` + name + `="([^"]*)"`).FindStringSubmatch(body)
			if found == nil {
				t.Fatalf("no %s in %s", name, body)
			}
			return found[1]
		}
		if !a.twin.CheckJS(said("signature"), said("nonce"), said("at"), shared.URL) {
			t.Error("the signature does not fit the page")
		}
		if said("app") != a.twin.Config().AppID || said("title") != "春日花园" || said("link") != a.URL+"/r/"+code || strings.Contains(said("about"), "马克杯") {
			t.Errorf("the card is %s", body)
		}
	})

	t.Run("TheScriptOfTheCardIsAllThatMayRun", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, _ := a.follower("小满")
		a.open(fan, "/me/garden")
		res, err := fan.Browser().Get(a.URL + "/me/garden")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		csp := res.Header.Get("Content-Security-Policy")
		if !regexp.MustCompile(`script-src 'sha256-[^']+' https://res\.wx\.qq\.com;`).MatchString(csp) || strings.Contains(csp, "unsafe") || !contains(csp, "default-src 'none'", "frame-ancestors 'none'") {
			t.Errorf("the policy is %s", csp)
		}
		if res, err = fan.Browser().Get(a.URL + "/me/garden/ranking"); err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if csp := res.Header.Get("Content-Security-Policy"); strings.Contains(csp, "script-src") {
			t.Errorf("the ranking's policy is %s", csp)
		}
	})

	t.Run("OutsideWeChatThePageSaysHowToOpenIt", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		for _, agent := range []string{"Mozilla/5.0 Firefox/140", weChatAgent + " wxwork/4.1"} {
			got := a.ask("", "GET", "/me/garden", "", "User-Agent", agent).must(http.StatusOK)
			if !contains(got.Body, "Please open this page in WeChat", "<svg") || len(got.Header.Values("Set-Cookie")) != 0 {
				t.Fatalf("got %s", got.Body)
			}
		}
		a.ask("", "GET", "/me/nothing", "", "User-Agent", weChatAgent).must(http.StatusNotFound)
	})

	t.Run("WhoHasNotJoinedSeesNobodysPage", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		_, code := a.follower("小满")
		stranger := a.twin.AddFan("路人")
		for _, path := range []string{"/me/garden", "/me/garden/ranking", "/me/garden/address/1"} {
			page, body := a.open(stranger, path)
			if page.URL != a.URL+"/c/garden" || strings.Contains(body, code) || !contains(body, "海报") {
				t.Errorf("%s leads to %s: %s", path, page.URL, body)
			}
		}
	})

	t.Run("ASnapshotIsNobody", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, _ := a.follower("小满")
		fan.Snapshot(true)
		page, body := a.open(fan, "/me/garden")
		if !contains(page.URL, "/wechat/main/back?") || !contains(body, "This is a preview") {
			t.Fatalf("%s: %s", page.URL, body)
		}
		here, _ := url.Parse(a.URL)
		for _, c := range fan.Browser().Jar.Cookies(here) {
			if strings.HasPrefix(c.Name, "kf_wx_") {
				t.Errorf("it was signed in: %v", c)
			}
		}
		fan.Snapshot(false)
		if page, _ := a.open(fan, "/me/garden"); !strings.HasPrefix(page.URL, a.URL+"/me/garden") {
			t.Errorf("it stays a snapshot: %s", page.URL)
		}
	})

	t.Run("NameAndPictureComeWhereTheyAreGiven", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, code := a.follower("小满")
		nickname := func() string {
			var p engine.ParticipantView
			a.ask("operator", "GET", "/v1/campaigns/garden/participants/"+code, "").must(http.StatusOK).into(&p)
			return p.Nickname
		}
		_, body := a.open(fan, "/me/garden")
		button := regexp.MustCompile(`href="(/wechat/main/enter\?[^"]+)"`).FindStringSubmatch(body)
		if button == nil {
			t.Fatalf("got %s", body)
		}
		before := nickname()
		fan.Consenting(false)
		if page, _ := a.open(fan, button[1]); page.URL != a.URL+"/me/garden" || nickname() != before {
			t.Fatalf("who declines ends at %s as %q", page.URL, nickname())
		}
		fan.Consenting(true)
		page, body := a.open(fan, button[1])
		if page.URL != a.URL+"/me/garden" || nickname() != "小满" || !contains(body, "<bdi>小满</bdi>") {
			t.Fatalf("%s: %q", page.URL, nickname())
		}
		if !contains(strings.Join(page.Hops, "\n"), "scope=snsapi_userinfo") {
			t.Errorf("on the way: %v", page.Hops)
		}
	})

	t.Run("ASignInEndsInTheBrowserInWhichItBegan", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, _ := a.follower("小满")
		page, _ := a.open(fan, "/me/garden")
		var back string
		for _, hop := range page.Hops {
			if strings.Contains(hop, "/wechat/main/back?") {
				back = strings.TrimPrefix(hop, a.URL)
			}
		}
		if back == "" {
			t.Fatalf("no way back in %v", page.Hops)
		}
		refused := func(what string, b *house, path string, status int) {
			t.Helper()
			got := b.ask("", "GET", path, "", "User-Agent", weChatAgent).must(status)
			for _, c := range got.Header.Values("Set-Cookie") {
				if strings.HasPrefix(c, "kf_wx_") {
					t.Errorf("%s: %s", what, c)
				}
			}
		}
		victim := a.browser(t)
		refused("another browser", victim, back, http.StatusForbidden)
		victim.ask("", "GET", "/wechat/main/enter?to=/me/garden", "").must(http.StatusFound)
		refused("a browser that signs in by itself", victim, back, http.StatusForbidden)
		own := a.browser(t)
		got := own.ask("", "GET", "/wechat/main/enter?to=/me/garden", "").must(http.StatusFound)
		for _, set := range got.Header.Values("Set-Cookie") {
			if !contains(set, "HttpOnly", "SameSite=Lax") {
				t.Errorf("a cookie is %s", set)
			}
		}
		to, err := url.Parse(got.Header.Get("Location"))
		if err != nil || to.Fragment != "wechat_redirect" {
			t.Fatal(to, err)
		}
		state := to.Query().Get("state")
		if !regexp.MustCompile(`^[0-9A-Za-z]{1,128}$`).MatchString(state) {
			t.Errorf("the state is %q", state)
		}
		for what, query := range map[string]string{
			"no state": "to=/me/garden&code=x", "another page": "to=/me/other&code=x&state=" + state,
			"asks for more": "to=/me/garden&ask=profile&code=x&state=" + state, "later": "to=/me/garden&code=x&state=ffffffffff" + state[10:],
			"a code nobody gave": "to=/me/garden&code=x&state=" + state, "no code": "to=/me/garden&state=" + state, "cut": "to=/me/garden&code=x&state=" + state[:20],
			"a long code": "to=/me/garden&state=" + state + "&code=" + strings.Repeat("x", 5000),
		} {
			refused(what, own, "/wechat/main/back?"+query, http.StatusForbidden)
		}
		if got := own.ask("", "GET", "/wechat/main/back?to=/me/garden&code=x&state="+state, ""); !contains(got.Body, "Try again", `href="/me/garden"`) {
			t.Errorf("got %s", got.Body)
		}
	})

	t.Run("ASignInLeadsToOurOwnPagesOnly", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		for _, to := range []string{
			"", "/", "//evil.example", "https://evil.example/me/x", `/\evil.example`, "/me/../../evil", "/me/garden?x=//evil", "/me/garden#x", "/me/garden\nx",
			"/v1/campaigns", "/wechat/main/enter", "/me/" + strings.Repeat("x", 500), "me/garden", "/me//evil", "javascript:alert(1)", "/me/garden\x00",
		} {
			for _, route := range []string{"enter", "back"} {
				got := a.ask("", "GET", "/wechat/main/"+route+"?to="+url.QueryEscape(to), "").must(http.StatusBadRequest)
				if got.Header.Get("Location") != "" || !contains(got.Body, "<h1>") {
					t.Errorf("%s to %q: %v", route, to, got.Header)
				}
			}
		}
		a.ask("", "GET", "/wechat/other/enter?to=/me/garden", "").must(http.StatusNotFound)
		h := open(t) // where there is no channel
		h.ask("", "GET", "/wechat/main/enter?to=/me/garden", "").must(http.StatusNotFound)
		h.ask("", "GET", "/wechat/main", "").problem(http.StatusNotFound)
	})

	t.Run("AnInventedSignInIsNobody", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, _ := a.follower("小满")
		for _, cookie := range []string{"kf_wx_main=" + fan.OpenID, "kf_wx_main=b1hY.AAAAAAAAAAAAAAAAAAAAAA", "kf_wx_main=!.!"} {
			a.ask("", "GET", "/me/garden", "", "Cookie", cookie, "User-Agent", weChatAgent).must(http.StatusFound)
		}
	})

	t.Run("SigningInIsLimitedPerAddress", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden, func(c *api.Config) { c.Limits.JoinsPerMinute = 3 })
		for i := range 5 {
			status := http.StatusForbidden
			if i >= 3 {
				status = http.StatusTooManyRequests
			}
			a.ask("", "GET", "/wechat/main/back?to=/me/garden&code=x&state=x", "").must(status)
		}
	})

	t.Run("WhenThePlatformIsAwayThePageSaysSo", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		fan, _ := a.follower("小满")
		if _, body := a.open(fan, "/me/garden"); !contains(body, "data-signature") {
			t.Fatalf("got %s", body)
		}
		other, _ := a.follower("小雪")
		if err := a.twin.Inject(twin.Fault{Path: "/sns/oauth2/access_token", Code: -1, Times: 100}); err != nil {
			t.Fatal(err)
		}
		page, body := a.open(other, "/me/garden")
		if page.Status != http.StatusServiceUnavailable || !contains(body, "does not answer just now", "Try again") {
			t.Fatalf("%d: %s", page.Status, body)
		}
		if page, _ := a.open(fan, "/me/garden"); page.Status != http.StatusOK {
			t.Errorf("who is signed in gets %d", page.Status)
		}
	})

	t.Run("ThePageBehindACodeShowsAFreshCodeToFollow", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, strings.Replace(garden, "channel: main\n", "channel: main\nqr: link\n", 1))
		_, code := a.follower("小满")
		page := a.ask("", "GET", "/r/"+code, "", "User-Agent", weChatAgent, "Accept-Language", "zh").must(http.StatusOK)
		if !contains(page.Body, `src="/q/`+code+`.png"`, "长按识别关注", "春日花园") || strings.Contains(page.Body, "<form") || page.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%v %s", page.Header, page.Body)
		}
		if got := a.ask("", "GET", "/r/"+code, "").must(http.StatusOK); !contains(got.Body, "Scan the code with WeChat") {
			t.Fatalf("got %s", got.Body)
		}

		friend := a.twin.AddFan("小雪")
		if seen, err := friend.Scan(t.Context(), a.held("/q/"+code+".png")); err != nil || seen.Page != twin.ProfilePage || seen.Scene != code {
			t.Fatalf("%+v %v", seen, err)
		}
		if err := friend.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		var p engine.ParticipantView
		a.until("the friend counts", func() bool {
			a.ask("viewer", "GET", "/v1/campaigns/garden/participants/"+code, "").must(http.StatusOK).into(&p)
			return p.Tasks["invite"].Count == 1
		})
		var events struct{ Items []engine.EventView }
		a.ask("viewer", "GET", "/v1/campaigns/garden/events", "").must(http.StatusOK).into(&events)
		seen := map[string]int{}
		for _, e := range events.Items {
			seen[e.Type]++
		}
		if seen["expose"] != 2 || seen["scan"] != 1 {
			t.Errorf("the journal has %v", seen)
		}
	})
}

func TestCallbackRoute(t *testing.T) {
	t.Parallel()

	t.Run("WhatIsNotThePlatformsIsRefusedWithoutAWord", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden)
		for _, path := range []string{"/wechat/main", "/wechat/main?signature=x&timestamp=1&nonce=2&echostr=3"} {
			if got := a.ask("", "GET", path, "").must(http.StatusForbidden); got.Body != "" {
				t.Errorf("%s says %q", path, got.Body)
			}
			a.ask("", "POST", path, "<xml></xml>", "Content-Type", "text/xml").must(http.StatusForbidden)
		}
		a.ask("", "POST", "/wechat/main", strings.Repeat("x", 10<<20), "Content-Type", "text/xml").must(http.StatusForbidden)
		a.ask("", "GET", "/wechat/other", "").must(http.StatusNotFound)
		a.ask("", "PUT", "/wechat/main", "x").must(http.StatusMethodNotAllowed)
	})

	t.Run("VisitorsDoNotStandInThePlatformsWay", func(t *testing.T) {
		t.Parallel()
		a := onWeChat(t, garden, func(c *api.Config) { c.Limits.Visits, c.Limits.FormBytes, c.Limits.JoinsPerMinute = 1, 1, 1 })
		for _, name := range []string{"小满", "小雪", "小寒"} {
			a.follower(name)
		}
	})
}

func TestOperatorsSeeTheAccounts(t *testing.T) {
	t.Parallel()
	a := onWeChat(t, garden)
	a.follower("小满")
	var list struct {
		Items []wechat.AccountStatus `json:"items"`
	}
	if err := json.Unmarshal([]byte(a.ask("operator", "GET", "/v1/channels", "").must(http.StatusOK).Body), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Items) != 1 || list.Items[0].Name != "main" || list.Items[0].Followers != 1 || len(list.Items[0].Quotas) == 0 {
		t.Errorf("%+v", list.Items)
	}
	a.ask("viewer", "GET", "/v1/channels", "").must(http.StatusForbidden)
}
