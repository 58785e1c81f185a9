package twin

import (
	"bytes"
	"fmt"
	"image/jpeg"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

func TestCodes(t *testing.T) {
	t.Parallel()

	scene := func(action, scene, expire string) string {
		return `{` + expire + `"action_name":"` + action + `","action_info":{"scene":` + scene + `}}`
	}

	t.Run("TheRulesOfSceneAndExpiryAreKept", func(t *testing.T) {
		h := open(t, Config{})
		for body, code := range map[string]int{
			scene("QR_STR_SCENE", `{"scene_str":"`+strings.Repeat("a", 64)+`"}`, `"expire_seconds":2592000,`): 0,
			scene("QR_STR_SCENE", `{"scene_str":"`+strings.Repeat("a", 65)+`"}`, ""):                          40053,
			scene("QR_STR_SCENE", `{"scene_str":""}`, ""):                                                     40053,
			scene("QR_STR_SCENE", `{"scene_id":5}`, ""):                                                       40053,
			scene("QR_STR_SCENE", `{"scene_str":"a"}`, `"expire_seconds":2592001,`):                           40053,
			scene("QR_SCENE", `{"scene_id":4294967295}`, ""):                                                  0,
			scene("QR_SCENE", `{"scene_id":0}`, ""):                                                           40053,
			scene("QR_LIMIT_SCENE", `{"scene_id":100000}`, ""):                                                0,
			scene("QR_LIMIT_SCENE", `{"scene_id":100001}`, ""):                                                40053,
			scene("QR_LIMIT_STR_SCENE", `{"scene_str":"a"}`, `"expire_seconds":99999999,`):                    0,
			scene("QR_OTHER", `{"scene_str":"a"}`, ""):                                                        40053,
			`{`: 47001,
			``:  44002,
		} {
			if got := h.call("/cgi-bin/qrcode/create", body); got.code() != code {
				t.Errorf("%s is answered %v, not %d", body, got, code)
			}
		}
	})

	t.Run("APermanentCodeTellsNoExpiryAndLastsForEver", func(t *testing.T) {
		h := open(t, Config{})
		a := h.wants(0, h.call("/cgi-bin/qrcode/create", scene("QR_LIMIT_STR_SCENE", `{"scene_str":"shop"}`, "")))
		if _, has := a["expire_seconds"]; has {
			t.Error("it tells one")
		}
		h.later(10 * 365 * 24 * time.Hour)
		if seen, err := h.AddFan("小王").Scan(h.ctx, a.text("url")); err != nil || seen.Page != ProfilePage {
			t.Errorf("saw %+v (%v)", seen, err)
		}
	})

	t.Run("WithoutSecondsACodeLivesAMinute", func(t *testing.T) {
		h := open(t, Config{})
		a := h.wants(0, h.call("/cgi-bin/qrcode/create", scene("QR_STR_SCENE", `{"scene_str":"x"}`, "")))
		if a["expire_seconds"] != 60.0 {
			t.Errorf("it tells %v", a["expire_seconds"])
		}
		f := h.AddFan("小王")
		h.clock.Advance(59 * time.Second)
		if seen, _ := f.Scan(h.ctx, a.text("url")); seen.Page != ProfilePage {
			t.Errorf("saw %+v", seen)
		}
		h.clock.Advance(time.Second)
		if seen, _ := f.Scan(h.ctx, a.text("url")); seen.Page != ExpiredPage {
			t.Errorf("saw %+v", seen)
		}
	})

	t.Run("WithoutTheSceneObjectThePushCarriesZero", func(t *testing.T) {
		h := open(t, Config{})
		a := h.wants(0, h.call("/cgi-bin/qrcode/create", `{"action_name":"QR_STR_SCENE","action_info":{"scene_str":"x"}}`))
		f := h.AddFan("小王")
		f.Scan(h.ctx, a.text("url"))
		if err := f.Follow(h.ctx); err != nil {
			t.Fatal(err)
		}
		if got := inside(h.account.last(t), "EventKey"); got != "qrscene_0" {
			t.Errorf("the key is %s", got)
		}
	})

	t.Run("ThePictureHoldsTheAddress", func(t *testing.T) {
		h := open(t, Config{})
		address, ticket := h.code("c7.u1024")
		response, err := http.Get(h.url + "/cgi-bin/showqrcode?ticket=" + url.QueryEscape(ticket))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		img, err := jpeg.Decode(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		bits, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bits, nil)
		if err != nil || read.GetText() != address {
			t.Errorf("it holds %v (%v)", read, err)
		}
		missing, err := http.Get(h.url + "/cgi-bin/showqrcode?ticket=x")
		if err != nil {
			t.Fatal(err)
		}
		missing.Body.Close()
		if missing.StatusCode != http.StatusNotFound {
			t.Errorf("a wrong ticket is answered %d", missing.StatusCode)
		}
	})

	t.Run("OtherCodesOpenWhatTheyHold", func(t *testing.T) {
		h := open(t, Config{})
		f := h.AddFan("小王")
		for content, page := range map[string]string{
			"https://example.com/r/abc": WebPage, "hello": TextPage, "http://weixin.qq.com/q/02unknownunknownunknown0": ExpiredPage,
		} {
			if seen, err := f.Scan(h.ctx, content); err != nil || seen.Page != page {
				t.Errorf("%s shows %+v (%v)", content, seen, err)
			}
		}
	})

	t.Run("TheHundredThousandAndFirstPermanentCodeIsRefused", func(t *testing.T) {
		tw := newTwin(t, Config{})
		for i := range maxPermanent {
			if _, err := tw.makeCode("QR_LIMIT_STR_SCENE", fmt.Sprint(i), 0, start); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := tw.makeCode("QR_LIMIT_STR_SCENE", "more", 0, start); err == nil || err.(*refusal).code != 45029 {
			t.Errorf("it is answered %v", err)
		}
	})
}

func TestSameSeedSameIDs(t *testing.T) {
	t.Parallel()

	made := func(reverse bool) (all string) {
		h := open(t, Config{Seed: 7, AppID: "wx0123456789abcdef", OpenPlatform: "shop"})
		scenes := []string{"a", "b"}
		if reverse {
			scenes = []string{"b", "a"}
		}
		codes := map[string]string{}
		for _, s := range scenes {
			_, codes[s] = h.code(s)
		}
		f := h.follower("小王")
		if err := f.Say(h.ctx, "hi"); err != nil {
			t.Fatal(err)
		}
		return f.OpenID + f.UnionID + codes["a"] + codes["b"] + inside(h.account.last(t), "MsgId") + h.upload("image", picture(t)).text("media_id") + h.cfg.Secret
	}
	if a, b := made(false), made(true); a != b {
		t.Errorf("%s\n%s", a, b)
	}

	one := newTwin(t, Config{Seed: 1, OpenPlatform: "shop"}).AddFan("小王")
	two := newTwin(t, Config{Seed: 2, OpenPlatform: "shop"}).AddFan("小王")
	if one.OpenID == two.OpenID || one.UnionID != two.UnionID || len(one.OpenID) != 28 {
		t.Errorf("the same person on two accounts: %s %s, %s %s", one.OpenID, one.UnionID, two.OpenID, two.UnionID)
	}
}

func TestMedia(t *testing.T) {
	t.Parallel()

	t.Run("WhatIsUploadedComesBackForThreeDays", func(t *testing.T) {
		h := open(t, Config{})
		poster := picture(t)
		a := h.wants(0, h.upload("image", poster))
		if a.text("type") != "image" || a["created_at"] != float64(start.Unix()) {
			t.Errorf("answered %v", a)
		}
		get := "/cgi-bin/media/get?media_id=" + a.text("media_id") + "&access_token="
		response, err := http.Get(h.url + get + h.token)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var back bytes.Buffer
		back.ReadFrom(response.Body)
		if !bytes.Equal(back.Bytes(), poster) || response.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("%d bytes of %s came back", back.Len(), response.Header.Get("Content-Type"))
		}
		h.later(mediaLife)
		h.wants(40007, h.get(get+h.token))
		h.wants(41006, h.get("/cgi-bin/media/get?access_token="+h.token))
	})

	t.Run("WrongFilesAreRefused", func(t *testing.T) {
		h := open(t, Config{})
		large := append(picture(t), make([]byte, 2<<20)...)
		h.wants(40009, h.upload("image", large))
		h.wants(40005, h.upload("image", []byte("this is no picture")))
		h.wants(44001, h.upload("image", nil))
		h.wants(40004, h.upload("poster", picture(t)))
		h.wants(45001, h.upload("video", make([]byte, 11<<20)))
		h.wants(45001, h.upload("image", make([]byte, 13<<20)))
		h.wants(41005, h.post("/cgi-bin/media/upload?type=image&access_token="+h.token, `{}`))
		body, kind := multipartOf(t, "file", "a.jpg", picture(t))
		a, err := h.do(http.MethodPost, "/cgi-bin/media/upload?type=image&access_token="+h.token, kind, body)
		if err != nil {
			t.Fatal(err)
		}
		h.wants(41005, a)
	})

	t.Run("AThumbIsKnownByAnotherName", func(t *testing.T) {
		h := open(t, Config{})
		if a := h.wants(0, h.upload("thumb", picture(t))); a.text("thumb_media_id") == "" || a.text("media_id") != "" {
			t.Errorf("answered %v", a)
		}
	})

	t.Run("TheOldestPicturesGoWhenThereAreTooManyBytes", func(t *testing.T) {
		var p pictures
		first := p.keep(make([]byte, 60), 100)
		again := p.keep(make([]byte, 60), 100)
		if first != again || p.size != 60 {
			t.Error("the same bytes are kept twice")
		}
		second := p.keep([]byte(strings.Repeat("x", 60)), 100)
		if p.bytes(first) != nil || p.bytes(second) == nil || p.size != 60 {
			t.Errorf("%d bytes are kept", p.size)
		}
	})
}

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
