package twin

import (
	"strings"
	"testing"
)

func TestUsers(t *testing.T) {
	t.Parallel()

	t.Run("AFollowerIsToldOfWithoutNameAndPicture", func(t *testing.T) {
		h := open(t, Config{OpenPlatform: "shop"})
		url, _ := h.code("c7.u1024")
		f := h.AddFan("小王")
		ask := "/cgi-bin/user/info?access_token=" + h.token + "&openid=" + f.OpenID
		if a := h.wants(0, h.get(ask)); a["subscribe"] != 0.0 || a.text("unionid") != f.UnionID || len(a) != 3 {
			t.Errorf("before: %v", a)
		}
		f.Scan(h.ctx, url)
		if err := f.Follow(h.ctx); err != nil {
			t.Fatal(err)
		}
		a := h.wants(0, h.get(ask))
		if a["subscribe"] != 1.0 || a["nickname"] != "" || a["headimgurl"] != "" || a["qr_scene_str"] != "c7.u1024" ||
			a["subscribe_scene"] != "ADD_SCENE_QR_CODE" || a["subscribe_time"] != float64(start.Unix()) || a["unionid"] != f.UnionID {
			t.Errorf("after: %v", a)
		}
		h.wants(40003, h.get("/cgi-bin/user/info?access_token="+h.token+"&openid=oNobody"))
		h.wants(41009, h.get("/cgi-bin/user/info?access_token="+h.token))
		batch := h.wants(0, h.call("/cgi-bin/user/info/batchget", `{"user_list":[{"openid":"`+f.OpenID+`","lang":"zh_CN"}]}`))
		if list, _ := batch["user_info_list"].([]any); len(list) != 1 {
			t.Errorf("the batch tells %v", batch)
		}
		h.wants(40032, h.call("/cgi-bin/user/info/batchget", `{"user_list":[`+strings.Repeat(`{"openid":"a"},`, 100)+`{"openid":"a"}]}`))
	})

	t.Run("ANumberStaysANumber", func(t *testing.T) {
		h := open(t, Config{})
		made := h.wants(0, h.call("/cgi-bin/qrcode/create", `{"action_name":"QR_SCENE","action_info":{"scene":{"scene_id":42}}}`))
		f := h.AddFan("小王")
		f.Scan(h.ctx, made.text("url"))
		if err := f.Follow(h.ctx); err != nil {
			t.Fatal(err)
		}
		if a := h.get("/cgi-bin/user/info?access_token=" + h.token + "&openid=" + f.OpenID); a["qr_scene"] != 42.0 || a["qr_scene_str"] != "" {
			t.Errorf("told %v", a)
		}
		if got := inside(h.account.last(t), "EventKey"); got != "qrscene_42" {
			t.Errorf("pushed %s", got)
		}
	})

	t.Run("FollowersAreListedInPages", func(t *testing.T) {
		h := open(t, Config{})
		first, second := h.follower("一"), h.follower("二")
		h.AddFan("三")
		a := h.wants(0, h.get("/cgi-bin/user/get?access_token="+h.token))
		if a["total"] != 2.0 || a["count"] != 2.0 || a["next_openid"] != second.OpenID {
			t.Errorf("told %v", a)
		}
		a = h.wants(0, h.get("/cgi-bin/user/get?access_token="+h.token+"&next_openid="+first.OpenID))
		if a["count"] != 1.0 {
			t.Errorf("told %v", a)
		}
		a = h.wants(0, h.get("/cgi-bin/user/get?access_token="+h.token+"&next_openid="+second.OpenID))
		if _, has := a["data"]; has || a["count"] != 0.0 {
			t.Errorf("told %v", a)
		}
		h.wants(0, h.call("/cgi-bin/user/info/updateremark", `{"openid":"`+first.OpenID+`","remark":"好友"}`))
		if a := h.get("/cgi-bin/user/info?access_token=" + h.token + "&openid=" + first.OpenID); a["remark"] != "好友" {
			t.Errorf("told %v", a)
		}
	})
}
