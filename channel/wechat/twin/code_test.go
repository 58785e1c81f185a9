package twin

import (
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
		tw.codes.permanent = maxPermanent - 1
		if _, err := tw.makeCode("QR_LIMIT_STR_SCENE", "last", 0, start); err != nil {
			t.Fatal(err)
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
