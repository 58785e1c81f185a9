package api_test

import (
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"kfactor/api"
	"kfactor/engine"
)

// browser is a visitor's browser: it keeps cookies.
func (h *house) browser(t *testing.T) *house {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	inner := *h
	inner.t = t
	client := *h.Client()
	client.Jar = jar
	inner.client = &client
	return &inner
}

// submit sends a page's form.
func (h *house) submit(path, name string, headers ...string) answer {
	h.t.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)
	return h.ask("", "POST", path, url.Values{"name": {name}}.Encode(), headers...)
}

// scans is how many scans the journal holds.
func (h *house) scans() (list []engine.EventView) {
	h.t.Helper()
	var page struct{ Items []engine.EventView }
	h.ask("operator", "GET", "/v1/campaigns/spring/events", "").must(http.StatusOK).into(&page)
	for _, e := range page.Items {
		if e.Type == "scan" {
			list = append(list, e)
		}
	}
	return list
}

func TestPages(t *testing.T) {
	t.Parallel()

	t.Run("AFriendJoinsThroughALinkAndSeesTheirOwnPage", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		code := h.join("owner-1", "小明", "")
		h.ask("operator", "POST", "/v1/campaigns/spring/rewards/coupon/codes", "GIFT-1\nGIFT-2\n", "Content-Type", "text/csv").must(http.StatusOK)

		friend := h.browser(t)
		page := friend.ask("", "GET", "/r/"+code+"?src=moments", "").must(http.StatusOK)
		if !contains(page.Body, "<bdi>小明</bdi> invites you", "春季老带新", "铜牌", "邀请好友关注 × 1", "10 元优惠券", `action="/r/`+code+`/join"`, `lang="en"`) {
			t.Fatalf("got %s", page.Body)
		}
		if scans := h.scans(); len(scans) != 1 || scans[0].Code != code || !strings.Contains(string(scans[0].Data), "moments") || !strings.HasPrefix(scans[0].User, "web_") {
			t.Fatalf("got %+v", scans)
		}
		if got := friend.submit("/r/"+code+"/join", "阿强").must(http.StatusSeeOther); got.Header.Get("Location") != "/me/spring" {
			t.Fatalf("got %v", got.Header)
		}
		friend.submit("/r/"+code+"/join", "阿强").must(http.StatusSeeOther) // again does no harm
		own := friend.ask("", "GET", "/me/spring", "").must(http.StatusOK)
		mine := regexp.MustCompile(`src="(/p/([0-9A-Z]+)\.jpg)"`).FindStringSubmatch(own.Body)
		if mine == nil || mine[2] == code || !contains(own.Body, "Hello, <bdi>阿强</bdi>", h.URL+"/r/"+mine[2], "0 / 1", "No rewards yet") {
			t.Fatalf("got %s", own.Body)
		}
		if kind := friend.ask("", "GET", mine[1], "").must(http.StatusOK).Header.Get("Content-Type"); kind != "image/jpeg" {
			t.Fatalf("the poster is %s", kind)
		}
		h.until("the friend counts once for the inviter", func() bool { return h.count(code) == 1 })

		// The friend brings a friend, reaches the first tier and sees the coupon.
		third := h.browser(t)
		third.ask("", "GET", "/r/"+mine[2], "").must(http.StatusOK)
		third.submit("/r/"+mine[2]+"/join", "小红").must(http.StatusSeeOther)
		h.until("the coupon is on the friend's page", func() bool {
			return strings.Contains(friend.ask("", "GET", "/me/spring", "").must(http.StatusOK).Body, "GIFT-2")
		})
		if own := friend.ask("", "GET", "/me/spring", "").Body; !contains(own, "✓ reached", "1 / 1", "Coupon code", "delivered") {
			t.Fatalf("got %s", own)
		}
		if other := third.ask("", "GET", "/me/spring", "").must(http.StatusOK).Body; strings.Contains(other, "GIFT-2") {
			t.Fatal("somebody else sees the coupon")
		}

		back := friend.ask("", "GET", "/r/"+mine[2], "").must(http.StatusOK).Body
		if !contains(back, "This is your own link", `href="/me/spring"`) || strings.Contains(back, "<form") {
			t.Fatalf("got %s", back)
		}
		if again := friend.ask("", "GET", "/r/"+code, "").must(http.StatusOK).Body; !contains(again, "You have joined already") {
			t.Fatalf("got %s", again)
		}
	})

	t.Run("ThePagesSpeakTheBrowsersLanguage", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		code := h.join("owner-1", "小明", "")
		for header, says := range map[string]string{
			"zh-CN,zh;q=0.9,en;q=0.8": "<bdi>小明</bdi> 邀请你参加", "zh-TW": "<bdi>小明</bdi> 邀请你参加", "en-GB,zh;q=0.5": "invites you", "de": "invites you",
			"": "invites you", "!!": "invites you", strings.Repeat("zh,", 500): "invites you", "fr, zh;q=0.3": "邀请你参加",
		} {
			got := h.ask("", "GET", "/r/"+code, "", "Accept-Language", header).must(http.StatusOK)
			if !strings.Contains(got.Body, says) {
				t.Errorf("%.40q: got %s", header, got.Body)
			}
			if got.Header.Get("Vary") != "Accept-Language" {
				t.Errorf("Vary is %q", got.Header.Get("Vary"))
			}
		}
		zh := h.browser(t)
		zh.submit("/r/"+code+"/join", "阿强", "Accept-Language", "zh").must(http.StatusSeeOther)
		if got := zh.ask("", "GET", "/me/spring", "", "Accept-Language", "zh").must(http.StatusOK); !contains(got.Body, "<bdi>阿强</bdi>，你好", "我的海报", `lang="zh-CN"`) {
			t.Fatalf("got %s", got.Body)
		}
		if got := zh.ask("", "GET", "/r/ZZZZZZZZZZ", "", "Accept-Language", "zh").must(http.StatusNotFound); !contains(got.Body, "页面不存在") {
			t.Fatalf("got %s", got.Body)
		}
	})

	t.Run("NamesAreTextAndNeverMarkup", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		const nasty = `<script>alert(1)</script>"><img src=x onerror=1>`
		code := h.join("owner-1", nasty, "")
		friend := h.browser(t)
		got := friend.ask("", "GET", "/r/"+code, "").must(http.StatusOK)
		if strings.Contains(got.Body, "<script") || strings.Contains(got.Body, "<img") || !contains(html.UnescapeString(got.Body), "<bdi>"+nasty+"</bdi> invites you") {
			t.Fatalf("got %s", got.Body)
		}
		friend.submit("/r/"+code+"/join", `"><script>x`).must(http.StatusSeeOther)
		own := friend.ask("", "GET", "/me/spring", "").must(http.StatusOK)
		if strings.Contains(own.Body, "<script") || !contains(html.UnescapeString(own.Body), `Hello, <bdi>"><script>x</bdi>`) {
			t.Fatalf("got %s", own.Body)
		}
		if csp := own.Header.Get("Content-Security-Policy"); !contains(csp, "default-src 'none'", "form-action 'self'", "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Fatalf("got %s", csp)
		}
	})

	t.Run("NamesTurnNoDirection", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		person := h.browser(t)
		person.submit("/c/spring/join", "\u202eabc\u2066\u200f ").must(http.StatusSeeOther)
		if own := person.ask("", "GET", "/me/spring", "").must(http.StatusOK); !contains(own.Body, "Hello, <bdi>abc</bdi><") {
			t.Fatalf("got %s", own.Body)
		}
		h.browser(t).submit("/c/spring/join", "\u202e \u2066").must(http.StatusUnprocessableEntity)
	})

	t.Run("SeeingAPageTooOftenIsNotRecorded", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) { c.Limits.ScansPerMinute = 3 })
		code := h.join("owner-1", "小明", "")
		for range 6 {
			h.ask("", "GET", "/r/"+code, "").must(http.StatusOK)
		}
		if scans := h.scans(); len(scans) != 3 {
			t.Fatalf("%d scans of 6 are recorded, want 3", len(scans))
		}
		friend := h.browser(t) // who is not counted still comes through their friend
		friend.ask("", "GET", "/r/"+code, "").must(http.StatusOK)
		friend.submit("/c/spring/join", "阿强").must(http.StatusSeeOther)
		h.until("the friend counts", func() bool { return h.count(code) == 1 })
	})

	t.Run("NoIdSaysWhoTheVisitorIs", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		friend := h.browser(t)
		friend.submit("/c/spring/join", "阿强").must(http.StatusSeeOther)
		friend.submit("/c/spring/join", "阿强").must(http.StatusSeeOther)
		var all struct{ Items []engine.EventView }
		h.ask("operator", "GET", "/v1/campaigns/spring/events?system=true", "").must(http.StatusOK).into(&all)
		follows, visitor := 0, ""
		for _, e := range all.Items {
			if e.Type == "subscribe" {
				follows++
				visitor = e.User
			}
		}
		if follows != 1 || !strings.HasPrefix(visitor, "web_") {
			t.Fatalf("got %d follows, of %q: %+v", follows, visitor, all.Items)
		}
		seen := h.ask("viewer", "GET", "/v1/campaigns/spring/events?system=true", "").must(http.StatusOK)
		if strings.Contains(seen.Body, visitor) || strings.Contains(seen.Body, visitor[len("web_"):]) || strings.Contains(seen.Body, "阿强") {
			t.Fatalf("a viewer sees %s", seen.Body)
		}
	})

	t.Run("OnlyPeopleCountAsScans", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		code := h.join("owner-1", "小明", "")
		h.ask("", "HEAD", "/r/"+code, "").must(http.StatusOK)
		h.ask("", "GET", "/r/"+code, "", "User-Agent", "Slackbot-LinkExpanding 1.0").must(http.StatusOK)
		h.ask("", "GET", "/r/"+code, "", "Sec-Purpose", "prefetch;prerender").must(http.StatusOK)
		h.ask("", "GET", "/c/spring", "").must(http.StatusOK)
		if scans := h.scans(); len(scans) != 0 {
			t.Fatalf("got %+v", scans)
		}
		person := h.browser(t)
		person.ask("", "GET", "/r/"+strings.ToLower(code), "").must(http.StatusOK)
		person.ask("", "GET", "/r/"+code, "").must(http.StatusOK)
		if scans := h.scans(); len(scans) != 2 || scans[0].User != scans[1].User || scans[0].Code != code {
			t.Fatalf("got %+v", scans)
		}
	})

	t.Run("OnesWithoutACodeJoinToo", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		seed := h.browser(t)
		if got := seed.ask("", "GET", "/me/spring", "").must(http.StatusSeeOther); got.Header.Get("Location") != "/c/spring" {
			t.Fatalf("got %v", got.Header)
		}
		if got := seed.ask("", "GET", "/c/spring", "").must(http.StatusOK); !contains(got.Body, "You are welcome", "铜牌", `action="/c/spring/join"`) {
			t.Fatalf("got %s", got.Body)
		}
		seed.submit("/c/spring/join", "种子").must(http.StatusSeeOther)
		own := seed.ask("", "GET", "/me/spring", "").must(http.StatusOK)
		seedCode := regexp.MustCompile(`/p/([0-9A-Z]+)\.jpg`).FindStringSubmatch(own.Body)[1]

		// Who saw a friend's page and comes back by the campaign's own page is still that friend's.
		friend := h.browser(t)
		friend.ask("", "GET", "/r/"+seedCode, "").must(http.StatusOK)
		if got := friend.ask("", "GET", "/c/spring", "").must(http.StatusOK); !contains(got.Body, "<bdi>种子</bdi> invites you") {
			t.Fatalf("got %s", got.Body)
		}
		friend.submit("/c/spring/join", "阿强").must(http.StatusSeeOther)
		h.until("the friend counts", func() bool { return h.count(seedCode) == 1 })
	})

	t.Run("AnInventedCookieIsNobody", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		code := h.join("owner-1", "小明", "")
		for _, cookie := range []string{
			"kf_me_spring=" + code, "kf_me_spring=" + code + ".AAAAAAAAAAAAAAAAAAAAAA", "kf_visitor=owner-1; kf_me_spring=" + code + ".",
		} {
			h.ask("", "GET", "/me/spring", "", "Cookie", cookie).must(http.StatusSeeOther)
		}
		// Nor does a signature of one cookie hold in another: the code's cookie is given to everybody who has the link.
		got := h.ask("", "GET", "/r/"+code, "").must(http.StatusOK)
		for _, set := range got.Header.Values("Set-Cookie") {
			if !contains(set, "HttpOnly", "SameSite=Lax", "Path=/") {
				t.Errorf("a cookie is %s", set)
			}
			if name, value, _ := strings.Cut(strings.Split(set, ";")[0], "="); name == "kf_code" {
				h.ask("", "GET", "/me/spring", "", "Cookie", "kf_me_spring="+value).must(http.StatusSeeOther)
			}
		}
		// Nobody becomes another user by writing their id down.
		h.ask("", "POST", "/r/"+code+"/join", "name=x", "Content-Type", "application/x-www-form-urlencoded", "Cookie", "kf_visitor=owner-1").must(http.StatusSeeOther)
		var p engine.ParticipantView
		h.ask("operator", "GET", "/v1/campaigns/spring/participants/"+code, "").must(http.StatusOK).into(&p)
		if p.Nickname != "小明" {
			t.Fatalf("got %+v", p)
		}
	})

	t.Run("FormsComeFromOurOwnPages", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		code := h.join("owner-1", "小明", "")
		h.submit("/r/"+code+"/join", "x", "Sec-Fetch-Site", "cross-site").must(http.StatusForbidden)
		h.submit("/r/"+code+"/join", "x", "Sec-Fetch-Site", "", "Origin", "https://evil.example").must(http.StatusForbidden)
		h.submit("/r/"+code+"/join", "x", "Content-Type", "application/json").must(http.StatusUnsupportedMediaType)
		for _, name := range []string{"", "   ", strings.Repeat("名", 41), "a\nb", "a\x00b", strings.Repeat("x", 10_000)} {
			got := h.submit("/r/"+code+"/join", name).must(http.StatusUnprocessableEntity)
			if !contains(got.Body, "1 to 40 characters", "<form") {
				t.Fatalf("%.20q: got %s", name, got.Body)
			}
		}
		h.submit("/r/"+code+"/join", strings.Repeat("x", 20_000)).must(http.StatusRequestEntityTooLarge)
	})

	t.Run("JoiningIsLimitedPerAddress", func(t *testing.T) {
		t.Parallel()
		h := live(t, func(c *api.Config) { c.Limits.JoinsPerMinute = 2 })
		for _, status := range []int{http.StatusSeeOther, http.StatusSeeOther, http.StatusTooManyRequests} {
			got := h.submit("/c/spring/join", "x").must(status)
			if status == http.StatusTooManyRequests && (got.Header.Get("Retry-After") == "" || !contains(got.Body, "<h1>")) {
				t.Fatalf("got %v %s", got.Header, got.Body)
			}
		}
	})

	t.Run("ACampaignThatTakesNobodySaysWhy", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		says := func(path, what string) {
			t.Helper()
			got := h.ask("", "GET", path, "").must(http.StatusOK)
			if !contains(got.Body, what) || strings.Contains(got.Body, "<form") {
				t.Fatalf("got %s", got.Body)
			}
		}
		h.ask("operator", "POST", "/v1/campaigns", spring, "Content-Type", "application/yaml").must(http.StatusCreated)
		says("/c/spring", "has not opened yet")
		h.submit("/c/spring/join", "x").must(http.StatusConflict)
		h.ask("operator", "POST", "/v1/campaigns/spring/launch", "").must(http.StatusOK)
		code := h.join("owner-1", "小明", "")
		h.ask("operator", "POST", "/v1/campaigns/spring/pause", "").must(http.StatusOK)
		says("/r/"+code, "taking a break")
		h.ask("operator", "POST", "/v1/campaigns/spring/end", "").must(http.StatusOK)
		says("/r/"+code, "has ended")
		h.submit("/r/"+code+"/join", "x").must(http.StatusConflict)

		later := strings.NewReplacer("campaign: spring", "campaign: later", "2026-01-01", "2036-01-01").Replace(spring)
		h.ask("operator", "POST", "/v1/campaigns", later, "Content-Type", "application/yaml").must(http.StatusCreated)
		h.ask("operator", "POST", "/v1/campaigns/later/launch", "").must(http.StatusOK)
		says("/c/later", "opens on 1 January 2036")
		h.ask("", "GET", "/c/nothing", "").must(http.StatusNotFound)
	})
}
