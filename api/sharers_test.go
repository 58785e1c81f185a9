package api_test

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"kfactor/engine"
)

// parcels is a campaign whose rewards are sent by post.
const parcels = `campaign: parcels
name: 春季老带新
schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2036-12-31T23:59:59+08:00, timezone: Asia/Shanghai}
poster:
  size: [750, 1334]
  background: "#FFF4E0"
  layers: [{qr: {at: [235, 900], size: 280}}]
tasks:
  invite: {title: 邀请好友关注, on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe}
tiers:
  - {name: 铜牌, requires: {invite: 1}, rewards: [mug]}
  - {name: 银牌, requires: {invite: 4}, rewards: [coupon]}
rewards:
  mug: {kind: physical, title: 定制马克杯, unit_cost: "35.00", stock: 9, needs_address: true}
  coupon: {kind: coupon, title: 10 元券, unit_cost: "10.00", stock: 9}
`

// sharer is somebody who joined a campaign in a browser of their own, with their code.
func (h *house) sharer(t *testing.T, campaign, name string) (browser *house, code string) {
	t.Helper()
	browser = h.browser(t)
	browser.submit("/c/"+campaign+"/join", name).must(http.StatusSeeOther)
	own := browser.ask("", "GET", "/me/"+campaign, "").must(http.StatusOK)
	found := regexp.MustCompile(`/p/([0-9A-Z]+)\.jpg`).FindStringSubmatch(own.Body)
	if found == nil {
		t.Fatalf("no poster in %s", own.Body)
	}
	return browser, found[1]
}

// tell posts events of the campaign.
func (h *house) tell(campaign string, events ...string) {
	h.t.Helper()
	for i, e := range events {
		kind, rest, _ := strings.Cut(e, " ")
		user, code, _ := strings.Cut(rest, " ")
		h.ask("ingest", "POST", "/v1/events", fmt.Sprintf(`{"id":"%s-%s-%d","campaign":"%s","type":"%s","user":"%s","code":"%s"}`, kind, user, i, campaign, kind, user, code)).must(http.StatusAccepted)
	}
}

// started is a house with the campaign of that file running.
func started(t *testing.T, id, file string) *house {
	t.Helper()
	h := open(t)
	h.ask("operator", "POST", "/v1/campaigns", file, "Content-Type", "application/yaml").must(http.StatusCreated)
	h.ask("operator", "POST", "/v1/campaigns/"+id+"/launch", "").must(http.StatusOK)
	return h
}

func TestSharersPages(t *testing.T) {
	t.Parallel()

	t.Run("FriendsAreShownMaskedAndWithTheReasonWhyOneDoesNotCount", func(t *testing.T) {
		t.Parallel()
		h := started(t, "parcels", parcels)
		me, code := h.sharer(t, "parcels", "阿强")
		if own := me.ask("", "GET", "/me/parcels", "").must(http.StatusOK); !contains(own.Body, "Nobody has come through your code yet", "1 to go", "4 to go") {
			t.Fatalf("got %s", own.Body)
		}
		h.ask("ingest", "POST", "/v1/campaigns/parcels/participants", `{"user":"old","nickname":"欧阳娜娜"}`).must(http.StatusCreated)
		h.tell("parcels", "scan looks "+code, "subscribe stays "+code, "subscribe leaves "+code, "unsubscribe leaves ", "subscribe old "+code)
		h.ask("ingest", "POST", "/v1/campaigns/parcels/participants", `{"user":"stays","nickname":"👨‍👩‍👧小红<b>"}`).must(http.StatusCreated)
		h.until("all are told of", func() bool {
			return contains(me.ask("", "GET", "/me/parcels", "").must(http.StatusOK).Body, "欧**", "left again", "👨‍👩‍👧**")
		})
		own := me.ask("", "GET", "/me/parcels", "")
		if !contains(own.Body, "<bdi>👨‍👩‍👧**</bdi>", ">counts<", "They have been here before; only new friends count.", "Counts again when they come back.", "One more came by your code") {
			t.Fatalf("got %s", own.Body)
		}
		if strings.Contains(own.Body, "小红") || strings.Contains(own.Body, "阳娜") || strings.Contains(own.Body, "stays") {
			t.Fatalf("it tells too much: %s", own.Body)
		}
		if zh := me.ask("", "GET", "/me/parcels", "", "Accept-Language", "zh"); !contains(zh.Body, "之前来过，本活动只计新朋友。", "还差 3", "已计入", "另有 1 人扫过你的码") {
			t.Fatalf("got %s", zh.Body)
		}
	})

	t.Run("TheRankingMasksOthersAndShowsOnesOwnPlace", func(t *testing.T) {
		t.Parallel()
		h := started(t, "parcels", parcels)
		first, one := h.sharer(t, "parcels", "阿强")
		second, two := h.sharer(t, "parcels", "诸葛小明")
		none, _ := h.sharer(t, "parcels", "路人")
		h.browser(t).ask("", "GET", "/me/parcels/ranking", "").must(http.StatusSeeOther)
		h.tell("parcels", "subscribe a "+one, "subscribe b "+one, "subscribe c "+two)
		var board struct{ Items []engine.RankView }
		h.until("all count", func() bool {
			h.ask("viewer", "GET", "/v1/campaigns/parcels/leaderboard", "").must(http.StatusOK).into(&board)
			return len(board.Items) == 2 && board.Items[0].Count == 2
		})
		got := second.ask("", "GET", "/me/parcels/ranking", "").must(http.StatusOK)
		if !contains(got.Body, `<p class="number">2</p>`, "<bdi>阿**</bdi>", "<bdi>诸葛小明</bdi>", ">you<", "1 friend<") || strings.Contains(got.Body, "阿强") || strings.Contains(got.Body, one) {
			t.Fatalf("got %s", got.Body)
		}
		if got := first.ask("", "GET", "/me/parcels/ranking", "", "Accept-Language", "zh").must(http.StatusOK); !contains(got.Body, `<p class="number">1</p>`, "<bdi>诸**</bdi>", "2 位好友", "我的名次") {
			t.Fatalf("got %s", got.Body)
		}
		if got := none.ask("", "GET", "/me/parcels/ranking", "").must(http.StatusOK); !contains(got.Body, "as soon as a friend of yours counts") || strings.Contains(got.Body, `class="number"`) {
			t.Fatalf("got %s", got.Body)
		}
		if got.Header.Get("Cache-Control") != "private, no-store" {
			t.Errorf("Cache-Control %q", got.Header.Get("Cache-Control"))
		}
	})

	t.Run("AnAddressIsItsOwnersAndThatOfWhoSendsTheReward", func(t *testing.T) {
		t.Parallel()
		h := started(t, "parcels", parcels)
		me, code := h.sharer(t, "parcels", "阿强")
		other, _ := h.sharer(t, "parcels", "小红")
		h.tell("parcels", "subscribe a "+code)
		h.until("the reward is there", func() bool {
			return contains(me.ask("", "GET", "/me/parcels", "").must(http.StatusOK).Body, "/me/parcels/address/1", "Write the delivery address")
		})
		const form = "/me/parcels/address/1"
		page := me.ask("", "GET", form, "").must(http.StatusOK)
		if !contains(page.Body, "定制马克杯", `name="phone"`, `action="/me/parcels/address/1"`) {
			t.Fatalf("got %s", page.Body)
		}
		write := func(b *house, path string, phone string, headers ...string) answer {
			t.Helper()
			values := url.Values{"name": {`张伟"><i>`}, "phone": {phone}, "region": {"浙江省杭州市西湖区"}, "street": {"文三路 1 号"}}
			headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)
			return b.ask("", "POST", path, values.Encode(), headers...)
		}
		bad := write(me, form, "call me").must(http.StatusUnprocessableEntity)
		if !contains(bad.Body, "6 to 15 digits", "文三路 1 号", `aria-invalid="true"`) || strings.Contains(bad.Body, "<i>") {
			t.Fatalf("got %s", bad.Body)
		}
		h.ask("finance", "GET", "/v1/grants/parcels.1/address", "").problem(http.StatusNotFound)
		if got := write(me, form, "138 0013 8000").must(http.StatusSeeOther); got.Header.Get("Location") != "/me/parcels#rewards" {
			t.Fatalf("got %v", got.Header)
		}
		if own := me.ask("", "GET", "/me/parcels", ""); !contains(own.Body, "<bdi>张** ****8000</bdi>", "Change the address") || strings.Contains(own.Body, "文三路") {
			t.Fatalf("got %s", own.Body)
		}

		// Nobody else gets there: no other participant, no stranger, no other site, no other key.
		other.ask("", "GET", form, "").must(http.StatusNotFound)
		write(other, form, "13800138000").must(http.StatusNotFound)
		h.browser(t).ask("", "GET", form, "").must(http.StatusSeeOther)
		write(h.browser(t), form, "13800138000").must(http.StatusSeeOther)
		write(me, form, "13800138000", "Sec-Fetch-Site", "cross-site").must(http.StatusForbidden)
		for _, none := range []string{"2", "0", "-1", "x", "99999999999999999999", "1.0"} {
			me.ask("", "GET", "/me/parcels/address/"+none, "").must(http.StatusNotFound)
		}
		me.ask("", "POST", form, "name="+strings.Repeat("x", 20_000), "Content-Type", "application/x-www-form-urlencoded").must(http.StatusRequestEntityTooLarge)
		for _, role := range []string{"operator", "reviewer", "viewer", "ingest"} {
			h.ask(role, "GET", "/v1/grants/parcels.1/address", "").problem(http.StatusForbidden)
		}
		var address engine.AddressView
		for _, role := range []string{"owner", "finance"} {
			h.ask(role, "GET", "/v1/grants/parcels.1/address", "").must(http.StatusOK).into(&address)
			if address.Phone != "138 0013 8000" || address.Name != `张伟"><i>` || address.Grant != "parcels.1" {
				t.Fatalf("got %+v", address)
			}
		}
		if log := html.UnescapeString(h.log.String()); strings.Contains(log, "文三路") || strings.Contains(log, "8000") {
			t.Fatal("the log holds the address")
		}

		// Its owner takes it back and writes it again; who pays may erase it at any time.
		erase := func(b *house, headers ...string) answer {
			headers = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, headers...)
			return b.ask("", "POST", form, "erase=1", headers...)
		}
		if got := me.ask("", "GET", form, ""); !strings.Contains(got.Body, "Erase the address") {
			t.Fatalf("got %s", got.Body)
		}
		erase(other).must(http.StatusNotFound)
		erase(me, "Sec-Fetch-Site", "cross-site").must(http.StatusForbidden)
		h.ask("finance", "GET", "/v1/grants/parcels.1/address", "").must(http.StatusOK)
		erase(me).must(http.StatusSeeOther)
		h.ask("finance", "GET", "/v1/grants/parcels.1/address", "").problem(http.StatusNotFound)
		if got := me.ask("", "GET", form, ""); strings.Contains(got.Body, "Erase the address") || strings.Contains(got.Body, "文三路") {
			t.Fatalf("got %s", got.Body)
		}
		write(me, form, "138 0013 8000").must(http.StatusSeeOther)

		h.ask("finance", "POST", "/v1/grants/parcels.1/deliver", "").must(http.StatusOK)
		erase(me).must(http.StatusConflict)
		for _, role := range []string{"operator", "reviewer", "viewer", "ingest"} {
			h.ask(role, "DELETE", "/v1/grants/parcels.1/address", "").problem(http.StatusForbidden)
		}
		h.ask("owner", "GET", "/v1/grants/parcels.1/address", "").must(http.StatusOK)
		for _, role := range []string{"owner", "finance"} {
			h.ask(role, "DELETE", "/v1/grants/parcels.1/address", "").must(http.StatusNoContent)
		}
		h.ask("owner", "DELETE", "/v1/grants/nothing.1/address", "").problem(http.StatusNotFound)
		h.ask("owner", "GET", "/v1/grants/parcels.1/address", "").problem(http.StatusNotFound)
		if got := write(me, form, "13900139000").must(http.StatusConflict); !contains(got.Body, "takes no address any more") || strings.Contains(got.Body, "<form") {
			t.Fatalf("got %s", got.Body)
		}
		if got := me.ask("", "GET", form, "").must(http.StatusOK); strings.Contains(got.Body, "<form") {
			t.Fatalf("got %s", got.Body)
		}
	})
}
