package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kfactor/internal/fault"
)

// TestBodies holds every interface with a JSON body against the shape on its page.
func TestBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, answer, want string
		call               func(context.Context, *Client) error
	}{
		"Text": {
			pathCustom, `{"errcode":0,"errmsg":"ok"}`,
			`{"touser":"o1","msgtype":"text","text":{"content":"a & <b> \"c\""}}`,
			func(ctx context.Context, c *Client) error { return c.SendText(ctx, "o1", `a & <b> "c"`) },
		},
		"Image": {
			pathCustom, `{"errcode":0}`, `{"touser":"o1","msgtype":"image","image":{"media_id":"M"}}`,
			func(ctx context.Context, c *Client) error { return c.SendImage(ctx, "o1", "M") },
		},
		"News": {
			pathCustom, `{}`,
			`{"touser":"o1","msgtype":"news","news":{"articles":[{"title":"t","description":"d","url":"https://e/?a=1&b=2","picurl":"https://p"}]}}`,
			func(ctx context.Context, c *Client) error {
				return c.SendNews(ctx, "o1", Article{"t", "d", "https://e/?a=1&b=2", "https://p"})
			},
		},
		"MenuMessage": {
			pathCustom, `{"errcode":0}`,
			`{"touser":"o1","msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[{"id":"101","content":"满意"}],"tail_content":"t"}}`,
			func(ctx context.Context, c *Client) error {
				return c.SendMenuMessage(ctx, "o1", MenuMessage{"h", []MenuItem{{"101", "满意"}}, "t"})
			},
		},
		"MiniProgram": {
			pathCustom, `{"errcode":0}`,
			`{"touser":"o1","msgtype":"miniprogrampage","miniprogrampage":{"title":"t","appid":"wx2","pagepath":"pages/i","thumb_media_id":"M"}}`,
			func(ctx context.Context, c *Client) error {
				return c.SendMiniProgram(ctx, "o1", MiniProgramCard{"t", "wx2", "pages/i", "M"})
			},
		},
		"Typing": {
			pathTyping, `{"errcode":0}`, `{"touser":"o1","command":"Typing"}`,
			func(ctx context.Context, c *Client) error { return c.Typing(ctx, "o1") },
		},
		"Template": {
			pathTemplate, `{"errcode":0,"errmsg":"ok","msgid":9007199254740993}`,
			`{"touser":"o1","template_id":"TPL","url":"https://e","miniprogram":{"appid":"wx2","pagepath":"p"},"client_msg_id":"c","data":{"thing1":{"value":"邀请达标"}}}`,
			func(ctx context.Context, c *Client) error {
				id, err := c.SendTemplate(ctx, TemplateMessage{
					To: "o1", TemplateID: "TPL", URL: "https://e", MiniProgram: &MiniProgram{"wx2", "p"},
					ClientMsgID: "c", Data: map[string]string{"thing1": "邀请达标"},
				})
				if err == nil && id != 9007199254740993 {
					t.Errorf("msgid %d", id)
				}
				return err
			},
		},
		"TemplateInShort": {
			pathTemplate, `{"errcode":0,"msgid":1}`, `{"touser":"o1","template_id":"TPL","data":{}}`,
			func(ctx context.Context, c *Client) error {
				_, err := c.SendTemplate(ctx, TemplateMessage{To: "o1", TemplateID: "TPL"})
				return err
			},
		},
		"Subscription": {
			pathSubscribe, `{"errcode":0}`,
			`{"touser":"o1","template_id":"PRI","page":"https://e","miniprogram":{"appid":"wx2"},"data":{"time2":{"value":"2026年11月22日 10:00"}}}`,
			func(ctx context.Context, c *Client) error {
				return c.SendSubscription(ctx, SubscriptionMessage{
					To: "o1", TemplateID: "PRI", Page: "https://e", MiniProgram: &MiniProgram{AppID: "wx2"},
					Data: map[string]string{"time2": "2026年11月22日 10:00"},
				})
			},
		},
		"UserInfos": {
			pathUsers, `{"user_info_list":[]}`, `{"user_list":[{"openid":"o1","lang":"zh_CN"},{"openid":"o2","lang":"zh_CN"}]}`,
			func(ctx context.Context, c *Client) error {
				_, err := c.UserInfos(ctx, []string{"o1", "o2"})
				return err
			},
		},
		"Menu": {
			pathMenuCreate, `{"errcode":0}`,
			`{"button":[{"type":"click","name":"生成海报","key":"POSTER"},{"name":"活动","sub_button":[{"type":"view","name":"进度","url":"https://e/me?a=1&b=2"},{"type":"miniprogram","name":"商城","url":"https://e/f","appid":"wx2","pagepath":"pages/i"}]}]}`,
			func(ctx context.Context, c *Client) error {
				return c.CreateMenu(ctx, Menu{Buttons: []Button{
					{Type: "click", Name: "生成海报", Key: "POSTER"},
					{Name: "活动", Sub: []Button{
						{Type: "view", Name: "进度", URL: "https://e/me?a=1&b=2"},
						{Type: "miniprogram", Name: "商城", URL: "https://e/f", AppID: "wx2", PagePath: "pages/i"},
					}},
				}})
			},
		},
		"Quota": {
			pathQuota, `{"errcode":0,"quota":{"daily_limit":500000,"used":12,"remain":499988},"rate_limit":{"call_count":5,"refresh_second":60}}`,
			`{"cgi_path":"/cgi-bin/message/custom/send"}`,
			func(ctx context.Context, c *Client) error {
				q, err := c.Quota(ctx, pathCustom)
				if err == nil && q != (Quota{500000, 12, 499988, 5, 60}) {
					t.Errorf("%+v", q)
				}
				return err
			},
		},
		"ClearQuota": {
			pathClearQuota, `{"errcode":0}`, `{"appid":"` + appID + `"}`,
			func(ctx context.Context, c *Client) error { return c.ClearQuota(ctx) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlatform(t)
			p.on(c.path, c.answer)
			account, _, _ := p.account(t)
			if err := c.call(background(t), account); err != nil {
				t.Fatal(err)
			}
			got := p.only(t, c.path)
			if got.method != http.MethodPost || got.raw != "access_token=TOKEN001" || !strings.HasPrefix(got.contentType, "application/json") {
				t.Fatalf("%+v", got)
			}
			sameJSON(t, got.body, c.want)
			if strings.Contains(got.body, `\u`) {
				t.Fatalf("the platform refuses escapes: %s", got.body)
			}
		})
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a&b<c>d":             `"a&b<c>d"`,
		"line\u2028sep\u2029": "\"line\u2028sep\u2029\"",
		"a\x00b\x01c\x1f":     `"abc"`,
		"bad\xffbyte":         "\"bad\ufffdbyte\"",
		`say \u0026 \\u2028`:  `"say \\u0026 \\\\u2028"`,
		"tab\tnew\nline":      `"tab\tnew\nline"`,
		"😀活动":                 `"😀活动"`,
		`ends with \`:         `"ends with \\"`,
	} {
		got, err := marshal(in)
		if err != nil || string(got) != want || !json.Valid(got) {
			t.Errorf("%q: %s, want %s, %v", in, got, want, err)
		}
	}
}

func TestQR(t *testing.T) {
	t.Parallel()
	const answer = `{"ticket":"gQH==","expire_seconds":2592000,"url":"http:\/\/weixin.qq.com\/q\/02AbCd"}`

	t.Run("ATemporaryCodeHoldsItsScene", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathQR, answer)
		c, at, _ := p.account(t)
		got, err := c.CreateQR(background(t), "c7.u1024", MaxQRLife)
		want := QR{Ticket: "gQH==", URL: "http://weixin.qq.com/q/02AbCd", Expires: at.now().Add(MaxQRLife)}
		if err != nil || got != want {
			t.Fatalf("%+v, %v", got, err)
		}
		sameJSON(t, p.only(t, pathQR).body, `{"expire_seconds":2592000,"action_name":"QR_STR_SCENE","action_info":{"scene":{"scene_str":"c7.u1024"}}}`)
	})
	t.Run("APermanentCodeNeverExpires", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathQR, `{"ticket":"gQH==","url":"http://weixin.qq.com/q/02"}`)
		c, _, _ := p.account(t)
		got, err := c.CreatePermanentQR(background(t), "window-1")
		if err != nil || !got.Expires.IsZero() {
			t.Fatalf("%+v, %v", got, err)
		}
		sameJSON(t, p.only(t, pathQR).body, `{"action_name":"QR_LIMIT_STR_SCENE","action_info":{"scene":{"scene_str":"window-1"}}}`)
	})
	t.Run("WhatCannotBeACodeIsNotAskedFor", func(t *testing.T) {
		p := newPlatform(t)
		c, _, _ := p.account(t)
		for _, scene := range []string{"", strings.Repeat("a", 65), "a b", "a|b", "活动", "a\n"} {
			if _, err := c.CreateQR(background(t), scene, time.Hour); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", scene, err)
			}
		}
		for _, life := range []time.Duration{0, -time.Hour, time.Millisecond, MaxQRLife + 1} {
			if _, err := c.CreateQR(background(t), "a", life); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", life, err)
			}
		}
		if len(p.calls(pathQR)) != 0 {
			t.Fatal("the platform was asked")
		}
	})
	t.Run("AnAnswerWithoutATicketIsNone", func(t *testing.T) {
		for _, body := range []string{`{}`, `{"ticket":"x"}`, `{"url":"x"}`, `{"ticket":"x","url":"y","expire_seconds":-1}`, `{"ticket":1}`, `[]`, ``, `null`, `ok`} {
			p := newPlatform(t)
			p.on(pathQR, body)
			c, _, _ := p.account(t)
			if got, err := c.CreatePermanentQR(background(t), "a"); ClassOf(err) != Retry || CodeOf(err) != NoAnswer {
				t.Errorf("%s: %+v, %v", body, got, err)
			}
		}
	})
}

func TestMedia(t *testing.T) {
	t.Parallel()

	t.Run("AnImageIsUploadedAsAForm", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathUpload, `{"type":"image","media_id":"MEDIA_1","created_at":1795333300}`)
		c, at, _ := p.account(t)
		picture := bytes.Repeat([]byte{0xFF, 0xD8, 0x00, '\r', '\n'}, 1000)
		got, err := c.UploadImage(background(t), `po"ster`+"\r\n.jpg", "image/jpeg", picture)
		if err != nil || got != (Media{"MEDIA_1", at.now().Add(72 * time.Hour)}) {
			t.Fatalf("%+v, %v", got, err)
		}
		sent := p.only(t, pathUpload)
		if sent.query.Get("type") != "image" || sent.query.Get("access_token") != "TOKEN001" {
			t.Fatal(sent.raw)
		}
		_, params, err := mime.ParseMediaType(sent.contentType)
		if err != nil {
			t.Fatal(err)
		}
		form := multipart.NewReader(strings.NewReader(sent.body), params["boundary"])
		part, err := form.NextPart()
		if err != nil || part.FormName() != "media" || part.Header.Get("Content-Type") != "image/jpeg" || part.FileName() == "" {
			t.Fatalf("%v, %v", part, err)
		}
		if body, err := io.ReadAll(part); err != nil || !bytes.Equal(body, picture) {
			t.Fatalf("%d bytes, %v", len(body), err)
		}
		if _, err := form.NextPart(); err != io.EOF {
			t.Fatalf("another part: %v", err)
		}
	})
	t.Run("AnImageThatIsTooLargeIsNotSent", func(t *testing.T) {
		p := newPlatform(t)
		c, _, _ := p.account(t)
		for _, size := range []int{0, MaxImage + 1} {
			if _, err := c.UploadImage(background(t), "a", "image/png", make([]byte, size)); fault.KindOf(err) != fault.TooLarge {
				t.Errorf("%d: %v", size, err)
			}
		}
	})
	t.Run("AFileComesAsItIs", func(t *testing.T) {
		p := newPlatform(t)
		p.handle(pathDownload, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/jpeg")
			_, _ = w.Write([]byte("\xFF\xD8picture"))
		})
		c, _, _ := p.account(t)
		got, err := c.Download(background(t), "M&1")
		if diff := cmp.Diff(File{"image/jpeg", []byte("\xFF\xD8picture")}, got); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
		if p.only(t, pathDownload).query.Get("media_id") != "M&1" {
			t.Fatal("another file was asked for")
		}
	})
	t.Run("AFileThatIsGoneIsAnError", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathDownload, `{"errcode":40007,"errmsg":"invalid media_id"}`)
		c, _, _ := p.account(t)
		if _, err := c.Download(background(t), "M"); CodeOf(err) != CodeInvalidMedia {
			t.Fatal(err)
		}
	})
}

func TestPeople(t *testing.T) {
	t.Parallel()

	t.Run("AFollowerIsToldAbout", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathUser, `{"subscribe":1,"openid":"`+openid+`","nickname":"","sex":0,"language":"zh_CN","city":"","headimgurl":"","subscribe_time":1795333201,"unionid":"uUnion","remark":"r","groupid":0,"tagid_list":[134,2],"subscribe_scene":"ADD_SCENE_QR_CODE","qr_scene":4294967295,"qr_scene_str":"c7.u1024"}`)
		c, _, _ := p.account(t)
		got, err := c.UserInfo(background(t), openid)
		want := UserInfo{
			OpenID: openid, UnionID: "uUnion", Follows: true, FollowedAt: time.Unix(1795333201, 0).UTC(), Language: "zh_CN",
			Remark: "r", Tags: []int64{134, 2}, Source: "ADD_SCENE_QR_CODE", Scene: "c7.u1024", SceneID: 4294967295,
		}
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
		q := p.only(t, pathUser).query
		if q.Get("openid") != openid || q.Get("lang") != "zh_CN" {
			t.Fatal(q)
		}
	})
	t.Run("SomebodyElseIsHardlyKnown", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathUser, `{"subscribe":0,"openid":"`+openid+`"}`)
		c, _, _ := p.account(t)
		got, err := c.UserInfo(background(t), openid)
		if diff := cmp.Diff(UserInfo{OpenID: openid}, got); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
	})
	t.Run("ManyAreAskedAboutAtOnce", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathUsers, `{"user_info_list":[{"subscribe":1,"openid":"o1"},{"subscribe":0,"openid":"o2"}]}`)
		c, _, _ := p.account(t)
		got, err := c.UserInfos(background(t), []string{"o1", "o2"})
		if err != nil || len(got) != 2 || !got[0].Follows || got[1].Follows {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := c.UserInfos(background(t), make([]string, 101)); fault.KindOf(err) != fault.TooLarge {
			t.Fatal(err)
		}
		if none, err := c.UserInfos(background(t), nil); err != nil || len(none) != 0 {
			t.Fatal(none, err)
		}
	})
	t.Run("FollowersComeByThePageUntilAnEmptyOne", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathFollowers,
			`{"total":3,"count":2,"data":{"openid":["o1","o2"]},"next_openid":"o2"}`,
			`{"total":3,"count":1,"data":{"openid":["o3"]},"next_openid":"o3"}`,
			`{"total":3,"count":0,"next_openid":""}`)
		c, _, _ := p.account(t)
		var all []string
		next := ""
		for {
			page, err := c.Followers(background(t), next)
			if err != nil || page.Total != 3 {
				t.Fatalf("%+v, %v", page, err)
			}
			all = append(all, page.OpenIDs...)
			if next = page.Next; next == "" {
				break
			}
		}
		if strings.Join(all, " ") != "o1 o2 o3" {
			t.Fatal(all)
		}
		if calls := p.calls(pathFollowers); calls[0].query.Has("next_openid") || calls[2].query.Get("next_openid") != "o3" {
			t.Fatal(calls)
		}
	})
}

func TestMenu(t *testing.T) {
	t.Parallel()

	t.Run("TheMenuIsRead", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathMenuGet, `{"menu":{"button":[{"type":"click","name":"海报","key":"P","sub_button":[]},{"name":"更多","sub_button":[{"type":"view","name":"进度","url":"https://e","sub_button":[]}]}],"menuid":208396938},"conditionalmenu":[]}`)
		c, _, _ := p.account(t)
		got, err := c.Menu(background(t))
		if err != nil || len(got.Buttons) != 2 || got.Buttons[0].Key != "P" || got.Buttons[1].Sub[0].URL != "https://e" {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("NoMenuIsAnEmptyOne", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathMenuGet, `{"errcode":46003,"errmsg":"menu no exist rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
		c, _, _ := p.account(t)
		if got, err := c.Menu(background(t)); err != nil || len(got.Buttons) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
	})
	t.Run("TheMenuIsDeleted", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathMenuDelete, `{"errcode":0,"errmsg":"ok"}`)
		c, _, _ := p.account(t)
		if err := c.DeleteMenu(background(t)); err != nil || p.only(t, pathMenuDelete).method != http.MethodGet {
			t.Fatal(err)
		}
	})
}

func TestSignIn(t *testing.T) {
	t.Parallel()

	t.Run("TheAddressIsInThePlatformsOrder", func(t *testing.T) {
		p := newPlatform(t)
		c, _, _ := p.account(t)
		got := c.AuthorizeURL("https://fission.example.com/me?a=1&b=二", ScopeBase, "abc123")
		want := "https://open.weixin.qq.com/connect/oauth2/authorize?appid=wx0123456789abcdef&redirect_uri=https%3A%2F%2Ffission.example.com%2Fme%3Fa%3D1%26b%3D%E4%BA%8C&response_type=code&scope=snsapi_base&state=abc123#wechat_redirect"
		if got != want {
			t.Fatal(got)
		}
	})
	t.Run("ACodeBecomesAPerson", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathExchange, `{"access_token":"PERSONAL","expires_in":7200,"refresh_token":"R","openid":"`+openid+`","scope":"snsapi_userinfo","unionid":"uU"}`)
		p.on(pathProfile, `{"openid":"`+openid+`","nickname":"阿<b>&","sex":0,"headimgurl":"https:\/\/thirdwx.qlogo.cn\/mmopen\/x\/132","privilege":[],"unionid":"uU"}`)
		c, _, _ := p.account(t)
		g, err := c.Exchange(background(t), "CODE")
		if err != nil || g != (Grant{openid, "uU", ScopeUserInfo, "PERSONAL", false}) {
			t.Fatalf("%+v, %v", g, err)
		}
		who, err := c.Profile(background(t), g)
		if err != nil || who != (Profile{openid, "uU", "阿<b>&", "https://thirdwx.qlogo.cn/mmopen/x/132"}) {
			t.Fatalf("%+v, %v", who, err)
		}
		q := p.only(t, pathExchange).query
		if q.Get("appid") != appID || q.Get("secret") != secret || q.Get("code") != "CODE" || q.Get("grant_type") != "authorization_code" || q.Has("access_token") {
			t.Fatal(q)
		}
		if q := p.only(t, pathProfile).query; q.Get("access_token") != "PERSONAL" || q.Get("openid") != openid {
			t.Fatal(q)
		}
		if len(p.calls(pathToken)) != 0 {
			t.Fatal("the account's token was fetched for a person's call")
		}
	})
	t.Run("ASnapshotIsSaidToBeOne", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathExchange, `{"access_token":"P","openid":"oVirtual","scope":"snsapi_userinfo","is_snapshotuser":1}`)
		c, _, _ := p.account(t)
		if g, err := c.Exchange(background(t), "CODE"); err != nil || !g.Snapshot {
			t.Fatalf("%+v, %v", g, err)
		}
	})
	t.Run("ACodeIsNeverTriedTwice", func(t *testing.T) {
		for _, answer := range []string{`{"errcode":-1,"errmsg":"system error"}`, `not json`, `{"errcode":40163,"errmsg":"code been used"}`, `{"errcode":40001,"errmsg":"invalid credential"}`, `{"openid":"o"}`} {
			p := newPlatform(t)
			p.on(pathExchange, answer)
			c, _, _ := p.account(t)
			if _, err := c.Exchange(background(t), "CODE"); err == nil {
				t.Error(answer)
			}
			p.only(t, pathExchange)
		}
	})
	t.Run("APersonsExpiredTokenLeavesTheAccountsAlone", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathProfile, `{"errcode":42001,"errmsg":"access_token expired"}`)
		c, _, _ := p.account(t)
		if _, err := c.Profile(background(t), Grant{OpenID: openid, AccessToken: "OLD"}); CodeOf(err) != CodeTokenExpired {
			t.Fatal(err)
		}
		p.only(t, pathProfile)
		if len(p.calls(pathToken)) != 0 {
			t.Fatal("the account's token was fetched")
		}
	})
	t.Run("AnotherPersonsProfileIsRefused", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathProfile, `{"openid":"oSomebodyElse","nickname":"x"}`)
		c, _, _ := p.account(t)
		if got, err := c.Profile(background(t), Grant{OpenID: openid, AccessToken: "P"}); err == nil {
			t.Fatalf("%+v", got)
		}
	})
}

func TestTicket(t *testing.T) {
	t.Parallel()

	t.Run("PagesAreSignedLikeTheVectors", func(t *testing.T) {
		raw, err := os.ReadFile("testdata/vectors.json")
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			Own struct {
				Ticket    string `json:"jsapi_ticket"`
				Nonce     string `json:"noncestr"`
				Timestamp int64  `json:"timestamp,string"`
				URL       string `json:"url"`
				Href      string `json:"page_location_href"`
				Signature string `json:"signature"`
			} `json:"jssdk_signature"`
			Official struct {
				Signature string `json:"signature"`
			} `json:"jssdk_signature_official_sample"`
		}
		if err := json.Unmarshal(raw, &v); err != nil {
			t.Fatal(err)
		}
		for _, page := range []string{v.Own.URL, v.Own.Href} {
			if got := JSSignature(v.Own.Ticket, v.Own.Nonce, v.Own.Timestamp, page); got != v.Own.Signature {
				t.Errorf("%s: %s", page, got)
			}
		}
		got := JSSignature("sM4AOVdWfPE4DxkXGEs8VMCPGGVi4C3VM0P37wVUCFvkVAy_90u5h9nbSlYy3-Sl-HhTdfl2fzFy1AOcHKP7qg", "Wm3WZYTPz0wzccnW", 1414587457, "http://mp.weixin.qq.com?params=value")
		if got != v.Official.Signature {
			t.Fatal(got)
		}
	})
	t.Run("ATicketIsKeptUntilShortlyBeforeItsEnd", func(t *testing.T) {
		p := newPlatform(t)
		p.on(pathTicket, `{"errcode":0,"errmsg":"ok","ticket":"T1","expires_in":7200}`, `{"errcode":0,"errmsg":"ok","ticket":"T2","expires_in":7200}`)
		c, at, _ := p.account(t)
		for _, step := range []struct {
			pass time.Duration
			want string
		}{{0, "T1"}, {115 * time.Minute, "T1"}, {time.Minute, "T2"}, {time.Minute, "T2"}} {
			at.pass(step.pass)
			if got, err := c.JSTicket(background(t)); err != nil || got != step.want {
				t.Fatalf("%s, want %s, %v", got, step.want, err)
			}
		}
		if calls := p.calls(pathTicket); len(calls) != 2 || calls[0].query.Get("type") != "jsapi" {
			t.Fatal(calls)
		}
	})
}

// sentAsItIs checks that JSON with the text reads back as the text, but for what nobody can show.
func sentAsItIs(t *testing.T, text string) {
	t.Helper()
	got, err := marshal(map[string]string{"content": text})
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil {
		t.Fatalf("%s: %v", got, err)
	}
	want := strings.Map(func(r rune) rune {
		if r < 0x20 && !strings.ContainsRune("\b\f\n\r\t", r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
	// Bytes that are no UTF-8 become one mark each, or one together.
	if squeeze(back["content"]) != squeeze(want) {
		t.Fatalf("%q came as %q", text, back["content"])
	}
}

func squeeze(s string) string {
	for strings.Contains(s, "\ufffd\ufffd") {
		s = strings.ReplaceAll(s, "\ufffd\ufffd", "\ufffd")
	}
	return s
}
