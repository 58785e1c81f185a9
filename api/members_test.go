package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"gorm.io/gorm"

	"kfactor/channel/wechat/twin"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/settings"
)

// shop is a campaign that orders count in.
var shop = strings.Replace(garden, "tiers:\n", "  order: {title: 首单, on: purchase, credit: actor, revoke_on: refund}\ntiers:\n", 1)

// atShop is a house on an account that belongs to an Open Platform account, with the campaign running.
func atShop(t *testing.T, db *gorm.DB) *account {
	t.Helper()
	platform, err := twin.New(twin.Config{Name: "花园", Token: "gardentoken", Mode: twin.Plain, OpenPlatform: "one"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platform.Close)
	server := httptest.NewServer(platform.Handler())
	t.Cleanup(server.Close)
	platform.SetBaseURL(server.URL)
	is := platform.Config()
	h := openOver(t, db, map[string]settings.Channel{"main": {
		Kind: "wechat", AppID: is.AppID, AppSecret: is.Secret, Token: is.Token, APIURL: server.URL, OpenURL: server.URL,
	}})
	h.ask("operator", "POST", "/v1/campaigns", shop, "Content-Type", "application/yaml").must(http.StatusCreated)
	h.ask("operator", "POST", "/v1/campaigns/garden/launch", "").must(http.StatusOK)
	if err := platform.SetCallback(t.Context(), h.URL+"/wechat/main"); err != nil {
		t.Fatal(err)
	}
	return &account{h, platform}
}

// learn has the server learn the unionids of those who follow.
func (a *account) learn() {
	a.t.Helper()
	ctx, stop := context.WithCancel(a.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.wechat.Run(ctx) }()
	a.until("unionids are known", func() bool {
		var unknown int64
		return a.db.Table("fans").Where("union_key IS NULL").Count(&unknown).Error == nil && unknown == 0
	})
	stop()
	if err := <-done; err != nil {
		a.t.Error(err)
	}
}

// memberPath is where a member of the shop's is.
func memberPath(member string) string {
	return "/v1/channels/main/members/" + url.PathEscape(member)
}

// tie ties a member and gives the status.
func (a *account) tie(member, body string) int {
	a.t.Helper()
	return a.ask("ingest", "PUT", memberPath(member), body).Status
}

// tell sends events of the campaign, "id type user" each, and gives what became of them.
func (a *account) tell(events ...string) engine.Receipt {
	a.t.Helper()
	var body struct {
		Events []engine.Incoming `json:"events"`
	}
	for _, e := range events {
		part := strings.SplitN(e, " ", 3)
		body.Events = append(body.Events, engine.Incoming{
			ID: part[0], Campaign: "garden", Type: part[1], User: part[2], Data: json.RawMessage(`{"order": "A-1", "amount": 9900}`),
		})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		a.t.Fatal(err)
	}
	var r engine.Receipt
	a.ask("ingest", "POST", "/v1/events", string(raw)).must(http.StatusAccepted).into(&r)
	return r
}

// orders is how many orders count for a participant.
func (a *account) orders(code string) int {
	a.t.Helper()
	var p engine.ParticipantView
	a.ask("viewer", "GET", "/v1/campaigns/garden/participants/"+code, "").must(http.StatusOK).into(&p)
	return p.Tasks["order"].Count
}

// friend follows through somebody's code.
func (a *account) friend(name, code string) (f *twin.Fan, own string) {
	a.t.Helper()
	f = a.twin.AddFan(name)
	link, _, err := a.engine.CodeLink(a.t.Context(), code)
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := f.Scan(a.t.Context(), link); err != nil {
		a.t.Fatal(err)
	}
	if err := f.Follow(a.t.Context()); err != nil {
		a.t.Fatal(err)
	}
	a.until(name+" has joined", func() bool {
		found, err := a.engine.CodeOfUser(a.t.Context(), "garden", f.OpenID)
		own = found
		return err == nil && own != ""
	})
	return f, own
}

func TestMembers(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		a := atShop(t, db)
		_, code := a.follower("小满")
		friend, own := a.friend("小雪", code)
		a.learn()
		const member = "会员/17 %"

		// Nobody knows the member yet, and the others' events are taken all the same.
		r := a.tell("bind-17 bind member:"+member, "bind-"+friend.OpenID+" bind "+friend.OpenID)
		if r.Accepted != 1 || len(r.Rejected) != 1 || r.Rejected[0].Index != 0 || r.Rejected[0].ID != "bind-17" ||
			!contains(r.Rejected[0].Error, "knows no such member; tie the member", "then send the event again, which is safe with the same id") {
			t.Fatalf("%+v", r)
		}

		if status := a.tie(member, `{"unionid": "`+friend.UnionID+`"}`); status != http.StatusCreated {
			t.Fatalf("tying answers %d", status)
		}
		if r = a.tell("bind-17 bind member:"+member, "buy-1 purchase member:"+member, "buy-2 purchase member:18", "look-1 dance unionid:"+friend.UnionID); r.Accepted != 2 || len(r.Rejected) != 2 {
			t.Fatalf("%+v", r)
		}
		if r.Rejected[0].Index != 2 || r.Rejected[1].Index != 3 || !contains(r.Rejected[1].Error, "no task") {
			t.Fatalf("%+v", r.Rejected)
		}
		a.until("the order counts", func() bool { return a.orders(own) == 1 })
		if n := a.orders(code); n != 0 {
			t.Errorf("%d orders count for the inviter", n)
		}
		if r = a.tell("buy-1 purchase member:" + member); r.Duplicates != 1 {
			t.Errorf("the same again: %+v", r)
		}

		// The refund is told by another name of theirs.
		if r = a.tell("refund-1 refund unionid:" + friend.UnionID); r.Accepted != 1 {
			t.Fatalf("%+v", r)
		}
		a.until("the order counts no more", func() bool { return a.orders(own) == 0 })

		// A join by a name is theirs.
		var p engine.ParticipantView
		body, _ := json.Marshal(map[string]string{"user": "member:" + member})
		a.ask("operator", "POST", "/v1/campaigns/garden/participants", string(body)).must(http.StatusOK).into(&p)
		if p.Code != own || p.User != friend.OpenID {
			t.Errorf("%+v", p)
		}
		said := a.ask("ingest", "POST", "/v1/campaigns/garden/participants", `{"user": "member:18"}`).problem(http.StatusUnprocessableEntity)
		if len(said.Errors) != 1 || said.Errors[0].Field != "user" || !contains(said.Errors[0].Message, "tie the member") {
			t.Errorf("%+v", said)
		}

		// Who they are is erased when they leave, and known again when they come back.
		if err := friend.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		var sealed int64
		if err := db.Table("members").Where("user_enc IS NOT NULL").Count(&sealed).Error; err != nil || sealed != 0 {
			t.Errorf("%d members of followers who left are kept, %v", sealed, err)
		}
		for _, name := range []string{"member:" + member, "unionid:" + friend.UnionID} {
			if r = a.tell("bind-3 bind " + name); len(r.Rejected) != 1 || !contains(r.Rejected[0].Error, "does not follow", "openid") {
				t.Errorf("%s: %+v", name, r)
			}
		}
		if got := a.ask("operator", "GET", memberPath(member), "").must(http.StatusOK); !contains(got.Body, `"tied":true`) || strings.Contains(got.Body, friend.OpenID) {
			t.Errorf("got %s", got.Body)
		}
		if err := friend.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r = a.tell("bind-3 bind member:" + member); r.Accepted != 1 {
			t.Errorf("%+v", r)
		}
		if status := a.tie(member, `{"openid": "`+friend.OpenID+`"}`); status != http.StatusOK {
			t.Errorf("the same again answers %d", status)
		}
		if err := db.Table("members").Where("user_enc IS NOT NULL").Count(&sealed).Error; err != nil || sealed != 1 {
			t.Errorf("%d members are known, %v", sealed, err)
		}
	})
}

func TestTies(t *testing.T) {
	t.Parallel()
	a := atShop(t, databasetest.SQLite(t))
	one, _ := a.follower("小满")
	other, _ := a.follower("小寒")
	a.learn()
	openid := func(f *twin.Fan) string { return `{"openid": "` + f.OpenID + `"}` }

	t.Run("AMemberStaysWithTheirFollowerUnlessReplaced", func(t *testing.T) {
		h := a.in(t)
		h.ask("ingest", "PUT", memberPath("1"), openid(one)).must(http.StatusCreated)
		h.ask("operator", "PUT", memberPath("1"), `{"unionid": "`+one.UnionID+`", "replace": true}`).must(http.StatusOK)
		if p := h.ask("ingest", "PUT", memberPath("1"), openid(other)).problem(http.StatusConflict); !contains(p.Detail, `"replace": true`) {
			t.Errorf("%+v", p)
		}
		read := func() (v struct {
			Tied bool
			User string
		},
		) {
			h.ask("operator", "GET", memberPath("1"), "").must(http.StatusOK).into(&v)
			return v
		}
		if v := read(); !v.Tied || v.User != one.OpenID {
			t.Errorf("%+v", v)
		}
		h.ask("ingest", "PUT", memberPath("1"), `{"openid": "`+other.OpenID+`", "replace": true}`).must(http.StatusCreated)
		if v := read(); v.User != other.OpenID {
			t.Errorf("%+v", v)
		}
		for range 2 {
			h.ask("ingest", "DELETE", memberPath("1"), "").must(http.StatusOK)
			if v := read(); v.Tied || v.User != "" {
				t.Errorf("%+v", v)
			}
		}
	})

	t.Run("OnlyShopsAndOperatorsTieAndOnlyOperatorsSee", func(t *testing.T) {
		h := a.in(t)
		for _, role := range []string{"viewer", "reviewer", "finance"} {
			h.ask(role, "PUT", memberPath("2"), openid(one)).problem(http.StatusForbidden)
			h.ask(role, "GET", memberPath("2"), "").problem(http.StatusForbidden)
			h.ask(role, "DELETE", memberPath("2"), "").problem(http.StatusForbidden)
		}
		h.ask("ingest", "GET", memberPath("2"), "").problem(http.StatusForbidden)
		if got := h.ask("ingest", "PUT", memberPath("2"), openid(one)).must(http.StatusCreated); strings.Contains(got.Body, one.OpenID) {
			t.Errorf("a shop is told %s", got.Body)
		}
	})

	t.Run("WhatCannotBeTiedIsRefusedWithAReason", func(t *testing.T) {
		h := a.in(t)
		long := strings.Repeat("员", 129)
		for _, c := range []struct {
			member, body, says string
			status             int
		}{
			{"3", `{"openid": "oNobodyHasThis"}`, "has never met this follower", http.StatusNotFound},
			{"3", `{"unionid": "uNobodyHasThis"}`, "within a minute of following", http.StatusNotFound},
			{"3", `{}`, "one of them", http.StatusUnprocessableEntity},
			{"3", `{"openid": "o", "unionid": "u"}`, "one of them", http.StatusUnprocessableEntity},
			{"3", `{"openid": "o\u0007"}`, "control characters", http.StatusUnprocessableEntity},
			{"3", `{"unionid": "` + long + `"}`, "1 to 128 characters", http.StatusUnprocessableEntity},
			{"3", `{"openid": 3, "replace": "yes"}`, "must be true or false", http.StatusUnprocessableEntity},
			{"3", `{"open_id": "o"}`, "known are openid, replace, unionid", http.StatusUnprocessableEntity},
			{long, openid(one), "1 to 128 characters", http.StatusUnprocessableEntity},
			{"a\nb", openid(one), "control characters", http.StatusUnprocessableEntity},
			{"\xff", openid(one), "control characters", http.StatusUnprocessableEntity},
		} {
			got := h.ask("ingest", "PUT", memberPath(c.member), c.body)
			got.problem(c.status)
			if !contains(got.Body, c.says) {
				t.Errorf("%.20q %.40s: %s", c.member, c.body, got.Body)
			}
		}
		h.ask("operator", "GET", memberPath(long), "").problem(http.StatusUnprocessableEntity)
		h.ask("operator", "DELETE", memberPath("a\x00"), "").problem(http.StatusUnprocessableEntity)
		for _, channel := range []string{"web", "other"} {
			path := "/v1/channels/" + channel + "/members"
			h.ask("ingest", "PUT", path+"/3", openid(one)).problem(http.StatusNotFound)
			h.ask("operator", "GET", path+"/3", "").problem(http.StatusNotFound)
			h.ask("ingest", "POST", path, `{"members": []}`).problem(http.StatusNotFound)
		}
		h.ask("ingest", "PUT", memberPath(strings.Repeat("员", 128)), openid(one)).must(http.StatusCreated)
	})

	t.Run("ManyAreTiedAtOnceAndEachIsToldOf", func(t *testing.T) {
		h := a.in(t)
		const path = "/v1/channels/main/members"
		body := `{"members": [
			{"member": "10", "openid": "` + one.OpenID + `"}, {"member": "11", "unionid": "` + other.UnionID + `"}, {"member": "12", "openid": "oNobody"},
			{"member": "10", "unionid": "` + one.UnionID + `"}, {"member": "10", "openid": "` + other.OpenID + `"}, {"member": 5}, 7, {"member": "13"},
			{"member": "11", "openid": "` + one.OpenID + `", "replace": true}, {"member": "14", "member": "15"}]}`
		var r struct {
			Tied, Unchanged int
			Rejected        []struct {
				Index         int
				Member, Error string
			}
		}
		h.ask("ingest", "POST", path, body).must(http.StatusOK).into(&r)
		var refused []string
		for _, no := range r.Rejected {
			refused = append(refused, fmt.Sprintf("%d %s", no.Index, no.Member))
		}
		if r.Tied != 3 || r.Unchanged != 1 || strings.Join(refused, ", ") != "2 12, 4 10, 5 , 6 , 7 13, 9 " {
			t.Fatalf("%+v", r)
		}
		for i, says := range []string{"never met", "another follower", "member must be a string", "not a JSON object", "one of them", "given twice"} {
			if !contains(r.Rejected[i].Error, says) {
				t.Errorf("%+v does not say %s", r.Rejected[i], says)
			}
		}
		r.Rejected = nil
		h.ask("ingest", "POST", path, `{"members": [{"member": "10", "openid": "`+one.OpenID+`"}, {"member": "11", "openid": "`+one.OpenID+`"}]}`).
			must(http.StatusOK).into(&r)
		if r.Tied != 0 || r.Unchanged != 2 || len(r.Rejected) != 0 {
			t.Errorf("the same again: %+v", r)
		}
		if got := h.ask("ingest", "POST", path, `{"members": []}`).must(http.StatusOK); !contains(got.Body, `"rejected":[]`) {
			t.Errorf("got %s", got.Body)
		}
		h.ask("ingest", "POST", path, `{"members": [`+strings.Repeat("1,", 1000)+`1]}`).problem(http.StatusRequestEntityTooLarge)
		h.ask("ingest", "POST", path, `{"member": []}`).problem(http.StatusUnprocessableEntity)
	})

	t.Run("OnTheWebAndWithOtherKindsNamesAreNoNames", func(t *testing.T) {
		h := a.in(t)
		h.ask("operator", "POST", "/v1/campaigns", spring, "Content-Type", "application/yaml").must(http.StatusCreated)
		h.ask("operator", "POST", "/v1/campaigns/spring/launch", "").must(http.StatusOK)
		var r engine.Receipt
		h.ask("ingest", "POST", "/v1/events", `{"events": [
			{"id": "w", "campaign": "spring", "type": "scan", "user": "member:404"},
			{"id": "x", "campaign": "garden", "type": "scan", "user": "membre:10"},
			{"id": "y", "campaign": "garden", "type": "scan", "user": "member:"},
			{"id": "z", "campaign": "spring", "type": "scan", "user": "a:`+strings.Repeat("b", 130)+`"},
			{"id": "m", "campaign": "garden", "type": "scan", "user": "member:`+strings.Repeat("员", 128)+`"},
			{"id": "n", "campaign": "garden", "type": "scan", "user": "member:`+strings.Repeat("员", 129)+`"}
		]}`).must(http.StatusAccepted).into(&r)
		var refused []string
		for _, no := range r.Rejected {
			refused = append(refused, no.ID+" "+no.Error)
		}
		said := strings.Join(refused, "\n")
		if r.Accepted != 2 || len(r.Rejected) != 4 || !contains(said, "x \"membre:10\" is neither", "y what follows member", "z user must have 1 to 128", "n what follows member") {
			t.Errorf("%+v", r)
		}
		plain := open(t)
		plain.ask("ingest", "PUT", memberPath("1"), openid(one)).problem(http.StatusNotFound)
	})
}
