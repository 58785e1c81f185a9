package wechat_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/client"
	"kfactor/channel/wechat/twin"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

func (h *house) write(setup string) {
	h.t.Helper()
	if _, err := h.StoreSetup(h.ctx(), "main", setup); err != nil {
		h.t.Fatal(err)
	}
}

func last(t *testing.T, f *twin.Fan) string {
	t.Helper()
	said := seen(t, f)
	if len(said) == 0 {
		return ""
	}
	return said[len(said)-1]
}

func TestMeaning(t *testing.T) {
	t.Parallel()

	t.Run("OfSeveralCampaignsTheCodesOwnGivesThePoster", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition("campaign: c", "campaign: old"))
		ann, bob, cid := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波"), h.twins["main"].AddFan("辞")
		h.follow(ann, "")
		h.settle()
		through := poster(t, ann)
		h.launch(definition("campaign: c", "campaign: new", "2026-09-01", "2026-09-02"))
		h.clock.Advance(2 * time.Second) // by then it is known everywhere
		h.launch(definition("campaign: c", "campaign: quiet", "join: {on_subscribe: true, keywords: [领海报], menu_key: POSTER}", "join: {keywords: [安静]}"))
		waitForCampaigns(t, h, 3)
		h.follow(bob, through)
		h.follow(cid, "")
		h.settle()
		equal(t, h.outcomes("old"), []string{"subscribe no_inviter", "scan counted", "subscribe credited", "subscribe no_inviter"})
		equal(t, h.outcomes("new"), []string{"subscribe no_inviter", "subscribe no_inviter"})
		equal(t, h.outcomes("quiet"), []string{"subscribe no_inviter", "subscribe no_inviter"})
		for campaign, fans := range map[string]map[*twin.Fan]bool{"old": {ann: true, bob: true}, "new": {cid: true}, "quiet": {}} {
			for _, f := range []*twin.Fan{ann, bob, cid} {
				code, err := h.engine.CodeOfUser(t.Context(), campaign, f.OpenID)
				if err != nil || (code != "") != fans[f] {
					t.Errorf("%s in %s: %q %v", f.Name, campaign, code, err)
				}
			}
		}
		if err := bob.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.settle()
		for campaign, outcome := range map[string]string{"old": "unsubscribe reversed", "new": "unsubscribe counted"} {
			if got := h.outcomes(campaign); got[len(got)-1] != outcome {
				t.Errorf("%s: %q", campaign, got)
			}
		}
	})

	t.Run("AFollowerWhoScansGetsAPosterOnce", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		bob := h.twins["main"].AddFan("波")
		h.follow(bob, "") // before there was a campaign
		h.launch(definition())
		waitForCampaigns(t, h, 1)
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.settle()
		for range 3 {
			h.clock.Advance(time.Minute)
			if _, err := bob.Scan(t.Context(), poster(t, ann)); err != nil {
				t.Fatal(err)
			}
			h.settle()
		}
		equal(t, seen(t, bob), []string{
			"reply text 这是你的专属海报。", "custom image <poster>",
			"reply text 你已参加「金秋」。回复「海报」领取专属海报，回复「进度」查看进度。", "reply text 你已参加「金秋」。回复「海报」领取专属海报，回复「进度」查看进度。",
		})
		equal(t, h.outcomes("c"), []string{"subscribe no_inviter", "scan counted", "scan counted", "scan counted"})
	})

	t.Run("WhoComesBackIsNoNewFollower", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		ann, bob := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波")
		h.follow(bob, "")
		if err := bob.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.follow(ann, "")
		h.settle()
		h.clock.Advance(time.Minute)
		h.follow(bob, poster(t, ann))
		h.settle()
		if got := h.outcomes("c"); got[len(got)-1] != "subscribe not_new_user" {
			t.Errorf("%q", got)
		}
	})

	t.Run("MenuKeysAndKeywordsJoin", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition("on_subscribe: true", "on_subscribe: false", "on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe}",
			"on: subscribe, credit: inviter}\n  press: {on: click, credit: actor, when: \"data.key == 'POSTER'\"}\n  word: {on: keyword, credit: actor, when: \"data.keyword == '领海报'\"}"))
		ann, bob := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波")
		h.follow(ann, "")
		h.follow(bob, "")
		h.settle()
		if said := seen(t, ann); len(said) != 0 {
			t.Errorf("%q", said)
		}
		h.say(ann, " 领海报!")
		h.settle()
		if last(t, ann) != "custom image <poster>" || h.count("c", ann, "word") != 1 {
			t.Errorf("%q", seen(t, ann))
		}
		body, query := h.seal(h.pushed(bob.OpenID, happened("CLICK", "POSTER")), "", "n7")
		if status, _ := h.do(call{nonce: "n7", body: body, query: query}); status != 200 {
			t.Fatal(status)
		}
		h.settle()
		if last(t, bob) != "custom image <poster>" || h.count("c", bob, "press") != 1 {
			t.Errorf("%q", seen(t, bob))
		}
	})

	t.Run("BuiltInWordsAreAnswered", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, nil, "main")
			h.launch(definition())
			ann, bob, cid, dan := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波"), h.twins["main"].AddFan("辞"), h.twins["main"].AddFan("丹")
			h.follow(cid, "")
			if err := cid.Unfollow(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.follow(ann, "")
			h.settle()
			through := poster(t, ann)
			h.clock.Advance(time.Minute)
			h.follow(bob, through)
			h.follow(cid, through)
			h.follow(dan, through)
			h.settle()
			if err := dan.Unfollow(t.Context()); err != nil {
				t.Fatal(err)
			}
			h.settle()
			if err := h.engine.Profile(t.Context(), "c", bob.OpenID, "小波波", ""); err != nil {
				t.Fatal(err)
			}
			for _, w := range []struct{ said, answer string }{
				{"我的进度", "「金秋」\n邀请好友：1\n✅ 铜牌"},
				{"排行榜", "「金秋」排行榜\n1. 我 1"},
				{"为什么", "「金秋」\n已计入的好友：1 位\n匿名：已取消关注，计数已撤回\n匿名：不是新用户，本活动只计新关注的好友"},
			} {
				h.say(ann, w.said)
				if got := last(t, ann); got != "reply text "+w.answer {
					t.Errorf("%s: %q", w.said, got)
				}
			}
			h.say(bob, "排行")
			if got := last(t, bob); got != "reply text 「金秋」排行榜\n1. 匿** 1\n我：暂未上榜" && got != "reply text 「金秋」排行榜\n1. 匿名 1\n我：暂未上榜" {
				t.Errorf("%q", got)
			}
			h.clock.Advance(time.Minute)
			h.say(ann, "我的海报")
			h.settle()
			said := seen(t, ann)
			if !slices.Contains(said[2:], "custom image <poster>") {
				t.Errorf("%q", said)
			}
		})
	})

	t.Run("OfSeveralCampaignsOneIsAnsweredForAndTheOthersAreNamed", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		join := "join: {on_subscribe: true, keywords: [领海报], menu_key: POSTER}"
		h.launch(definition("campaign: c", "campaign: tea", "金秋", "喝茶", join, "join: {keywords: [茶]}"))
		h.launch(definition("campaign: c", "campaign: moon", "金秋", "赏月", join, "join: {keywords: [月]}", "2026-09-01", "2026-09-02"))
		h.launch(definition("campaign: c", "campaign: later", "金秋", "以后", join, "join: {keywords: [后]}"))
		h.write(`channels: {main: {campaign: tea}}`)
		waitForCampaigns(t, h, 3)
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.say(ann, "海报")
		h.settle()
		if said := seen(t, ann); said[0] != "reply text 这是你的专属海报。\n\n其他活动\n「赏月」请回复：海报 2\n「以后」请回复：海报 3" {
			t.Errorf("%q", said)
		}
		h.say(ann, "进度")
		if got := last(t, ann); got != "reply text 「喝茶」\n邀请好友：0\n◻️ 铜牌：邀请好友还差 2" {
			t.Errorf("of one campaign: %q", got)
		}
		h.clock.Advance(time.Minute)
		h.say(ann, "月")
		h.settle()
		for said, want := range map[string]string{
			"进度":     "「喝茶」\n邀请好友：0\n◻️ 铜牌：邀请好友还差 2\n\n其他活动\n「赏月」请回复：进度 2",
			"我的进度２":  "「赏月」\n邀请好友：0\n◻️ 铜牌：邀请好友还差 2\n\n其他活动\n「喝茶」请回复：进度 1",
			"进度 7":   "「喝茶」\n邀请好友：0\n◻️ 铜牌：邀请好友还差 2\n\n其他活动\n「赏月」请回复：进度 2",
			"排行 2":   "还没有人上榜，快来争第一。\n\n其他活动\n「喝茶」请回复：排行 1",
			"为什么 2。": "「赏月」\n已计入的好友：0 位\n还没有好友扫你的码。\n\n其他活动\n「喝茶」请回复：为什么 1",
		} {
			h.say(ann, said)
			if got := last(t, ann); got != "reply text "+want {
				t.Errorf("%s: %q", said, got)
			}
		}
		h.clock.Advance(time.Minute)
		before := len(seen(t, ann))
		h.say(ann, "海报 2")
		h.settle()
		if said := seen(t, ann)[before:]; len(said) != 2 || !strings.HasSuffix(said[0], "「喝茶」请回复：海报 1") || said[1] != "custom image <poster>" {
			t.Errorf("%q", said)
		}
	})

	t.Run("TheExamplesRunAsTheyAre", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		example := func(name string) string {
			t.Helper()
			text, err := os.ReadFile("../../examples/" + name)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		h.write(example("channels.yaml"))
		h.launch(example("wechat.yaml"))
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.settle()
		through := poster(t, ann)
		for i := range 6 {
			h.clock.Advance(time.Minute)
			h.follow(h.twins["main"].AddFan(fmt.Sprint("友", i)), through)
		}
		h.settle()
		for _, said := range []string{"绑定", "138 0013 8000", "123456"} {
			h.say(ann, said)
		}
		h.settle()
		if said := seen(t, ann); !slices.Contains(said, "reply text 绑定成功：13800138000") || !slices.Contains(said, "custom text 恭喜达成「铜牌」：10 元优惠券！") ||
			!slices.Contains(said, "custom text 恭喜达成「银牌」！定制马克杯审核通过后发放。") {
			t.Errorf("%q", said)
		}
		h.say(ann, "进度")
		if got := last(t, ann); got != "reply text 「金秋分享季」\n邀请好友关注：6\n绑定会员：1\n✅ 铜牌\n✅ 银牌" {
			t.Errorf("%q", got)
		}
	})

	t.Run("AnAccountSpeaksEnglishWhereItsFileSaysSo", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.write(`channels: {main: {language: en, dialogues: {ask: {start: join us, steps: [{ask: "Your phone?", save: phone, check: phone}], done: {event: bind}}}}}`)
		h.launch(definition("name: 金秋", "name: Autumn", "title: 邀请好友", "title: friends", "name: 铜牌", "name: Bronze", "title: 积分", "title: Points",
			`  joined: "{{nickname}},这是你的专属海报。"`+"\n", ""))
		ann := h.twins["main"].AddFan("Ann")
		h.follow(ann, "")
		h.settle()
		through := poster(t, ann)
		bob := h.twins["main"].AddFan("Bob")
		h.follow(bob, through)
		h.settle()
		for _, w := range []struct{ said, answer string }{
			{"Progress!", "Autumn\nfriends: 1\n◻️ Bronze: 1 to go for friends"},
			{"ranking", "Ranking of Autumn\n1. You 1"},
			{"why", "Autumn\nFriends who count: 1\nAll your friends count."},
			{"join us", "Your phone?"},
			{"nonsense", "Please write a mobile number, with + and the country."},
			{"cancel", `Cancelled. Send "join us" to begin again.`},
		} {
			h.say(ann, w.said)
			if got := last(t, ann); got != "reply text "+w.answer {
				t.Errorf("%s: %q", w.said, got)
			}
		}
		h.clock.Advance(time.Minute)
		h.say(ann, "poster")
		h.settle()
		said := seen(t, ann)
		if !slices.Contains(said, "reply text Here is your own poster. Share it: each friend who scans it and follows counts for you.") || last(t, ann) != "custom image <poster>" {
			t.Errorf("%q", said)
		}
		before := len(seen(t, bob))
		h.say(bob, "进度") // is no word here
		if said := seen(t, bob); len(said) != before {
			t.Errorf("%q", said)
		}
	})

	t.Run("AStrangerToTheCampaignIsToldHowToJoin", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.say(ann, "进度")
		if last(t, ann) != "reply text 当前没有进行中的活动。" {
			t.Errorf("%q", last(t, ann))
		}
		h.launch(definition())
		waitForCampaigns(t, h, 1)
		h.say(ann, "进度")
		if last(t, ann) != "reply text 你还没有参加活动。回复「海报」即可参加。" {
			t.Errorf("%q", last(t, ann))
		}
		h.say(ann, "海报")
		h.settle()
		if last(t, ann) != "custom image <poster>" {
			t.Errorf("%q", seen(t, ann))
		}
	})

	t.Run("RepliesAndHandOversAreWhatTheFileSays", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.write(`channels: {main: {welcome: 欢迎, replies: [{exact: 地址, text: 春熙路}, {exact: 人工, service: {account: kf1@tea}}], otherwise: {text: 听不懂}}}`)
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.say(ann, "地址")
		h.say(ann, "人工")
		h.say(ann, "啊啊啊")
		equal(t, seen(t, ann), []string{"reply text 欢迎", "reply text 春熙路", "reply text 听不懂"})
		equal(t, ann.HandedOver(), []string{"kf1@tea"})
	})

	t.Run("ADialogueBindsAndKeepsNoNumber", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition("tiers:", "  member: {on: bind, credit: actor}\ntiers:"))
		h.write(`channels: {main: {dialogues: {member: {start: 绑定, steps: [{ask: 手机号?, save: phone, check: phone, wrong: 不对}], timeout: 10m, done: {event: bind, text: "好的 {{phone}}"}}}}}`)
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.settle()
		h.say(ann, "绑定")
		h.say(ann, "12345")
		var talk string
		if err := h.db.Table("fans").Pluck("talk", &talk).Error; err != nil || talk == "" || strings.Contains(talk, "member") {
			t.Errorf("%q %v", talk, err)
		}
		h.say(ann, "138 0013 8000")
		h.settle()
		equal(t, seen(t, ann)[2:], []string{"reply text 手机号?", "reply text 不对", "reply text 好的 13800138000"})
		if n := h.count("c", ann, "member"); n != 1 {
			t.Errorf("%d", n)
		}
		list, err := h.engine.Events(t.Context(), "c", false, engine.Page{}, true)
		if err != nil {
			t.Fatal(err)
		}
		var data map[string]string
		if err := json.Unmarshal(list.Items[len(list.Items)-1].Data, &data); err != nil {
			t.Fatal(err)
		}
		if data["phone"] != "138****8000" || len(data["phone_key"]) != 32 {
			t.Errorf("%v", data)
		}
		h.say(ann, "绑定")
		h.clock.Advance(11 * time.Minute)
		h.say(ann, "13800138000") // too late
		h.settle()
		if n := h.count("c", ann, "member"); n != 1 {
			t.Errorf("%d", n)
		}
	})

	t.Run("WhoLeavesIsForgottenByNameAndPicture", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		ann, bob := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波")
		h.follow(ann, "")
		h.follow(bob, "")
		h.settle()
		names := func() (names []string) {
			for _, f := range []*twin.Fan{ann, bob} {
				code, err := h.engine.CodeOfUser(t.Context(), "c", f.OpenID)
				if err != nil {
					t.Fatal(err)
				}
				v, err := h.engine.Participant(t.Context(), "c", code, true)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, v.Nickname)
			}
			return names
		}
		for _, f := range []*twin.Fan{ann, bob} {
			if err := h.engine.Profile(t.Context(), "c", f.OpenID, "小明", ""); err != nil {
				t.Fatal(err)
			}
		}
		equal(t, names(), []string{"小明", "小明"})
		if err := ann.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		equal(t, names(), []string{"", "小明"})
	})

	t.Run("AKeywordInTheMiddleOfADialogueIsNoAnswerToIt", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		h.write(`channels: {main: {dialogues: {name: {start: 报名, steps: [{ask: 怎么称呼?, save: name}], done: {event: bind, text: "好的 {{name}}"}}}}}`)
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.settle()
		h.say(ann, "报名")
		h.clock.Advance(16 * time.Second)
		h.say(ann, "领海报")
		h.settle()
		h.say(ann, "安安")
		if all := seen(t, ann); !slices.Equal(all[len(all)-1:], []string{"reply text 好的 安安"}) || !slices.Contains(all[3:], "custom image <poster>") {
			t.Errorf("%q", all)
		}
	})

	t.Run("WithoutAWindowANoticeIsSentWhereTheFanAgreed", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), func(_ string, c *twin.Config) {
			c.Templates = []twin.Template{{ID: "progress-template", Title: "进度", Content: "{{thing1.DATA}}"}}
		}, "main")
		h.launch(definition())
		h.write(`channels: {main: {notices: {progress: {template: progress-template, page: "https://k.example/me", fields: {thing1: "{{text}}"}}}}}`)
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		h.settle()
		through := poster(t, ann)
		if err := ann.Accept(t.Context(), "progress-template"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			h.clock.Advance(time.Hour)
			h.follow(main.AddFan("人"), through)
			h.settle()
		}
		if last(t, ann) != "notice notice" && !strings.HasPrefix(last(t, ann), "notice ") {
			t.Errorf("%q", seen(t, ann))
		}
		if n := len(seen(t, ann)); n != 3 {
			t.Errorf("%d messages", n)
		}
		if n := main.Statistics().APIs["/cgi-bin/message/subscribe/bizsend"]; n.Calls != 1 || n.Refused != 0 {
			t.Errorf("%+v", n)
		}
		if err := ann.Accept(t.Context(), "progress-template"); err != nil {
			t.Fatal(err)
		}
		if err := ann.Withdraw(t.Context(), "progress-template"); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Hour)
		h.follow(main.AddFan("人"), through)
		h.settle()
		if n := main.Statistics().APIs["/cgi-bin/message/subscribe/bizsend"]; n.Calls != 1 {
			t.Errorf("%+v", n)
		}
	})

	t.Run("WhoLeavesIsErased", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.settle()
		if err := ann.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		var row map[string]any
		if err := h.db.Table("fans").Take(&row).Error; err != nil {
			t.Fatal(err)
		}
		if row["open_enc"] != nil || row["user_enc"] != nil || row["talk"] != nil || row["first_followed_at"] == int64(0) {
			t.Errorf("%v", row)
		}
	})
}

// waitForCampaigns waits until this process knows of so many campaigns on main.
func waitForCampaigns(t *testing.T, h *house, n int) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		running, err := h.engine.CampaignsOn(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		if len(running) == n {
			return
		}
	}
	t.Fatalf("there are no %d campaigns", n)
}

func TestMove(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t), nil, "main", "spare")
	h.launch(definition())
	ann := h.twins["main"].AddFan("安")
	both := h.twins["main"].AddFan("双")
	h.follow(ann, "")
	h.settle()
	through := poster(t, ann)
	h.clock.Advance(time.Minute)
	h.follow(both, through)
	bothThere := h.twins["spare"].AddFan("双") // follows both accounts before the move
	h.follow(bothThere, "")
	h.settle()
	runOnce(t, h) // learns who they are
	h.clock.Advance(time.Hour)
	h.twins["main"].Ban()
	if err := h.Move(t.Context(), "main", "spare"); err != nil {
		t.Fatal(err)
	}
	annThere, bobThere := h.twins["spare"].AddFan("安"), h.twins["spare"].AddFan("波")
	h.clock.Advance(time.Minute)
	h.follow(annThere, "")
	h.settle()
	code, err := h.engine.CodeOfUser(t.Context(), "c", ann.OpenID)
	if err != nil {
		t.Fatal(err)
	}
	if other, err := h.engine.CodeOfUser(t.Context(), "c", annThere.OpenID); err != nil || other != "" {
		t.Errorf("the same person is two: %q %v", other, err)
	}
	fresh := poster(t, annThere)
	if fresh == through {
		t.Error("the poster leads to the banned account")
	}
	h.follow(bobThere, fresh)
	h.settle()
	v, err := h.engine.Participant(t.Context(), "c", code, true)
	if err != nil || v.Tasks["invite"].Count != 2 {
		t.Errorf("%+v %v", v, err)
	}
	if got := h.outcomes("c"); got[len(got)-1] != "subscribe credited" || len(got) != 6 {
		t.Errorf("%q", got)
	}
	h.say(bothThere, "海报")
	h.settle()
	if other, err := h.engine.CodeOfUser(t.Context(), "c", bothThere.OpenID); err != nil || other != "" {
		t.Errorf("who followed both accounts is two: %q %v", other, err)
	}
	if last(t, bothThere) != "custom image <poster>" {
		t.Errorf("%q", seen(t, bothThere))
	}
	if err := h.Move(t.Context(), "main", "other"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
	if err := h.Move(t.Context(), "main", "main"); err != nil {
		t.Fatal(err)
	}
	for _, a := range h.status() {
		if a.MovedTo != "" || len(a.Channels) != 1 {
			t.Errorf("%+v", a)
		}
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t), nil, "main")
	main := h.twins["main"]
	ann := main.AddFan("安")
	signIn := func(scope string) (wechat.Visitor, error) {
		t.Helper()
		address, err := h.SignInURL(t.Context(), "main", scope, "https://k.example/back", "s1")
		if err != nil {
			t.Fatal(err)
		}
		return h.SignedIn(t.Context(), "main", codeFrom(t, ann, address))
	}

	t.Run("ABaseSignInTellsWhoSomebodyIs", func(t *testing.T) {
		v, err := signIn(wechat.ScopeBase)
		if err != nil || v.User != ann.OpenID || v.Nickname != "" || v.Snapshot {
			t.Errorf("%+v %v", v, err)
		}
	})
	t.Run("WithTheirConsentNameAndPictureCome", func(t *testing.T) {
		ann.Consenting(true)
		v, err := signIn(wechat.ScopeUserInfo)
		if err != nil || v.User != ann.OpenID || v.Nickname != "安" {
			t.Errorf("%+v %v", v, err)
		}
	})
	t.Run("ASnapshotIsNobody", func(t *testing.T) {
		ann.Snapshot(true)
		defer ann.Snapshot(false)
		v, err := signIn(wechat.ScopeUserInfo)
		if err != nil || !v.Snapshot || v.User != "" {
			t.Errorf("%+v %v", v, err)
		}
	})
	t.Run("ACodeWorksOnce", func(t *testing.T) {
		address, err := h.SignInURL(t.Context(), "main", wechat.ScopeBase, "https://k.example/back", "s1")
		if err != nil {
			t.Fatal(err)
		}
		code := codeFrom(t, ann, address)
		if _, err := h.SignedIn(t.Context(), "main", code); err != nil {
			t.Fatal(err)
		}
		for _, used := range []string{code, "", "nonsense"} {
			if _, err := h.SignedIn(t.Context(), "main", used); fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
		}
	})
	t.Run("NobodyIsSentElsewhere", func(t *testing.T) {
		for _, redirect := range []string{"https://evil.example/back", "http://k.example/back", "https://k.example@evil.example/", "//k.example", "javascript:alert(1)"} {
			if _, err := h.SignInURL(t.Context(), "main", wechat.ScopeBase, redirect, "s1"); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", redirect, err)
			}
		}
		if _, err := h.SignInURL(t.Context(), "main", "snsapi_all", "https://k.example/", "s1"); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		if _, err := h.SignInURL(t.Context(), "main", wechat.ScopeBase, "https://k.example/", "a&b"); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
	})
	t.Run("OnlyOwnPagesAreSignedForSharing", func(t *testing.T) {
		s, err := h.Share(t.Context(), "main", "https://k.example/me?x=1#top")
		if err != nil || len(s.Signature) != 40 || s.AppID != main.Config().AppID {
			t.Errorf("%+v %v", s, err)
		}
		for _, page := range []string{"https://evil.example/", "https://k.example.evil.example/", "file:///x", "https://k.example/" + strings.Repeat("x", 3000)} {
			if _, err := h.Share(t.Context(), "main", page); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", page, err)
			}
		}
		if n := main.Statistics().APIs["/cgi-bin/ticket/getticket"].Calls; n != 1 {
			t.Errorf("%d tickets", n)
		}
	})
	t.Run("AWrongNameIsNotFound", func(t *testing.T) {
		if _, err := h.Share(t.Context(), "other", "https://k.example/"); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
		if _, err := h.Check(t.Context(), "main"); client.ClassOf(err) == client.Pause {
			t.Error(err)
		}
	})
}

// codeFrom signs a fan in and gives the code that they come back with.
func codeFrom(t *testing.T, f *twin.Fan, address string) string {
	t.Helper()
	page, err := f.Open(t.Context(), address)
	var away *url.Error
	if err != nil && !errors.As(err, &away) {
		t.Fatal(err)
	}
	back := page.URL
	if away != nil {
		back = away.URL
	}
	if len(page.Hops) > 0 {
		back = page.Hops[len(page.Hops)-1]
	}
	u, err := url.Parse(back)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("%v %s %s", err, back, page.Body)
	}
	return u.Query().Get("code")
}
