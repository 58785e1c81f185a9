package setup_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kfactor/channel/wechat/setup"
)

func TestProblems(t *testing.T) {
	t.Parallel()

	// Each case changes the sample in one place; what is said about it is exact.
	source := sample(t)
	for _, c := range []struct{ name, old, new, want string }{
		{"an unknown key", "    welcome: |", "    welcom: |", `5:5: channels.main.welcom: there is no key "welcom" here; did you mean welcome?`},
		{"a name that no channel has", "  main:", "  Main:", `3:3: channels.Main: "Main" cannot be a name here; use 1 to 32 of a-z, 0-9 and -, not beginning with -`},
		{"the web", "  main:", "  web:", "3:3: channels.web: the channel web says nothing by itself; leave it out"},
		{"an anchor", "[海报, 领海报]", "&a [海报, 领海报]", "18:15: anchors and aliases are not read here; write the value out; put text that begins with & or * in quotes"},
		{"a button with a name that is too long", "name: 我的海报", "name: 领取我的海报", "9:16: channels.main.menu[0].name: this has 18 bytes (a Chinese character has 3), more than the 16 that the platform takes; write up to 5 Chinese characters, or 16 letters"},
		{"a button that does nothing", ", click: poster", "", "9:9: channels.main.menu[0]: a button does exactly one thing, this one nothing; give it one of click, view, miniprogram, buttons, scancode_push, scancode_waitmsg, pic_sysphoto, pic_photo_or_album, pic_weixin, location_select, media_id, article_id or article_view_limited"},
		{"a button that does two things", "click: poster", "click: poster, view: https://x.cn", "9:9: channels.main.menu[0]: a button does exactly one thing, this one 2; give it one of click, view, miniprogram, buttons, scancode_push, scancode_waitmsg, pic_sysphoto, pic_photo_or_album, pic_weixin, location_select, media_id, article_id or article_view_limited"},
		{"four buttons", "      - name: 商城", "      - {name: 四, click: d}\n      - name: 商城", "8:5: channels.main.menu: there are 4 buttons here; the platform shows 3; keep 3"},
		{"buttons below buttons", "{name: 绑定会员, click: BIND}", "{name: 绑定会员, buttons: []}", `14:26: channels.main.menu[1].buttons[2].buttons: there is no key "buttons" here; keys here are name, click, view, miniprogram, scancode_push, scancode_waitmsg, pic_sysphoto, pic_photo_or_album, pic_weixin, location_select, media_id, article_id, article_view_limited`},
		{"an address without a scheme", `"{{public_url}}/me/{{campaign}}"}`, `fans.example.com}`, `12:32: channels.main.menu[1].buttons[0].view: "fans.example.com" is not a web address; write one like https://fans.example.com/me, or begin with {{public_url}}`},
		{"a mini-program's id", "wx0123456789abcdef", "wx01", `16:31: channels.main.menu[2].miniprogram.app_id: "wx01" does not have the right form; use wx and 16 of 0-9 and a-z, as on the mini-program's settings page`},
		{"a mini-program without a page for old phones", ", url: https://shop.example.com}", "}", "16:9: channels.main.menu[2].miniprogram.url: this key is missing; write the page that old versions of WeChat open instead"},
		{"a placeholder that nothing stands for", "回复“海报”领取海报，", "{{nickame}}，", `25:23: channels.main.otherwise.text: "{{nickame}}" is no placeholder here; they are public_url, channel, campaign`},
		{"a placeholder that is nearly right", "{thing1: \"{{text}}\"", "{thing1: \"{{textt}}\"", `40:26: channels.main.notices.reward.fields.thing1: "{{textt}}" is no placeholder here; did you mean text?`},
		{"a campaign that is not named", "    campaign: autumn-2026           # what {{campaign}} stands for below\n", "", "11:32: channels.main.menu[1].buttons[0].view: {{campaign}} stands for nothing here; write `campaign: spring-2026` in this channel"},
		{"a text that stands for two things", "exact: [地址, 门店]", "exact: [地址, 领海报！]", `21:22: channels.main.replies[0].exact[1]: "领海报！" is asked for at channels.main.words.poster[1] already; keep one of them`},
		{"a key of two things", "click: SERVICE", "click: poster", `24:28: channels.main.replies[3].click: the key "poster" belongs to the built-in word poster; give each its own key`},
		{"a reply that nothing asks for", "{exact: [地址, 门店], text:", "{text:", "21:9: channels.main.replies[0]: nothing asks for this reply; write what it answers: exact, prefix, pattern or click"},
		{"a reply that does nothing", ", click: SERVICE, service: true", "", "24:9: channels.main.replies[3]: a reply either says a text or hands over to customer service; write one of text and service"},
		{"a number for a text", "[地址, 门店]", "1", `21:17: channels.main.replies[0].exact: this must be text, not a whole number; write it in quotes: "1"`},
		{"look-around", "^(退款|退货)", "^(?!退)x", "23:19: channels.main.replies[2].pattern: this is no regular expression: invalid or unsupported Perl syntax: `(?!`; leave out look-around and back-references, which have no bounded time"},
		{"a bracket never closed", "^(退款|退货)", "^(退款", "23:19: channels.main.replies[2].pattern: this is no regular expression: missing closing ): `^(退款`; write it as on github.com/google/re2/wiki/Syntax"},
		{"a pattern of everything", "^(退款|退货)", ".*", "23:19: channels.main.replies[2].pattern: this matches any text, even an empty one; write ^ and $ around what the text must be"},
		{"a service account", "kf2001@tea", "kf2001", `23:50: channels.main.replies[2].service.account: "kf2001" does not have the right form; use the service account's name as the platform shows it, NAME@ACCOUNT`},
		{"a dialogue that nothing begins", "        start: [绑定会员, 绑定]\n        click: BIND\n", "", "27:7: channels.main.dialogues.member: nothing begins this dialogue; write start: [绑定], or click: with a button's key"},
		{"a check that is not known", "check: phone", "check: email", `31:48: channels.main.dialogues.member.steps[0].check: "email" is not known here; write text, phone or number`},
		{"an answer that is used before it is asked", "ask: 请输入手机号码", "ask: \"{{phone}} 对吗\"", `31:19: channels.main.dialogues.member.steps[0].ask: "{{phone}}" is no placeholder here; they are public_url, channel, campaign`},
		{"two answers of one name", "save: card", "save: phone", "32:48: channels.main.dialogues.member.steps[1].save: phone is the name of something else already; give each answer its own name"},
		{"bounds of what is no number", "save: card,", "save: card, min: 5,", "32:59: channels.main.dialogues.member.steps[1].min: only a number has a min; remove it, or write check: number"},
		{"an event that only the platform tells", "event: bind", "event: subscribe", "35:23: channels.main.dialogues.member.done.event: only the platform tells of subscribe; write another event, like bind or checkin"},
		{"a time-out that is too long", "timeout: 10m", "timeout: 3d", "33:18: channels.main.dialogues.member.timeout: 3d is out of bounds; write 1m to 2d"},
		{"a field that no template has", "thing1:", "title1:", `40:18: channels.main.notices.reward.fields.title1: "title1" is not a field of any template; write it as the template does, like thing1, time2 or character_string3`},
		{"a kind of notice that is not known", "      reward:", "      rewards:", `37:7: channels.main.notices.rewards: there is no key "rewards" here; did you mean reward?`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if strings.Count(source, c.old) < 1 {
				t.Fatalf("%q is not in the sample", c.old)
			}
			_, problems := setup.Parse([]byte(strings.Replace(source, c.old, c.new, 1)), "channels.yaml", publicURL)
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if want := "channels.yaml:" + c.want; !slices.Contains(said, want) {
				t.Errorf("want\n\t%s\nin\n\t%s", want, strings.Join(said, "\n\t"))
			}
		})
	}

	t.Run("all of them are told at once, in the order of the file", func(t *testing.T) {
		t.Parallel()
		_, problems := setup.Parse([]byte("channels:\n  main:\n    menu: [{name: x}]\n    welcom: a\n    replies: [{text: a}]\n"), "x", publicURL)
		if len(problems) != 3 || problems[0].Line != 3 || problems[1].Line != 4 || problems[2].Line != 5 {
			t.Error(problems)
		}
	})

	t.Run("a key that nothing answers is warned of", func(t *testing.T) {
		t.Parallel()
		file, problems := setup.Parse([]byte(`channels:
  main:
    campaign: tea
    menu:
      - {name: a, click: poster}
      - {name: b, click: SHOP}
      - name: c
        buttons: [{name: d, click: "{{campaign}}"}, {name: e, click: ASK}, {name: f, scancode_push: SCAN}]
    replies: [{click: ASK, text: 好}]
`), "x", publicURL)
		if len(problems) > 0 || len(file.Unanswered) != 2 {
			t.Fatal(problems, file.Unanswered)
		}
		want := `x:6:26: channels.main.menu[1].click: nothing answers a tap that sends "SHOP"; write a reply or a dialogue with this click, or give a campaign this join.menu_key`
		if got := file.Unanswered[0]; got.String() != want || got.Key != "SHOP" || got.Channel != "main" {
			t.Errorf("%s", got)
		}
		if got := file.Unanswered[1]; got.Key != "tea" || got.Line != 8 {
			t.Errorf("%s", got)
		}
	})

	t.Run("patterns that take long are refused, however they are written", func(t *testing.T) {
		t.Parallel()
		for name, c := range map[string]struct{ pattern, want string }{
			"one that repeats":       {`((x{9}){10}){11}y(a{1000}){1}(b{1000}){1}(c{1000}){1}(d{1000}){1}(e{1000}){1}`, "this pattern is too large"},
			"many that repeat":       {`((a{1,9}){9}(b{1,9}){9}(c{1,9}){9}x)`, "the patterns of this file up to here are too large together"},
			"many with long classes": {strings.Repeat(`\\pL`, 50) + "x", "this pattern is too large"},
			"many that do not read":  {"[" + strings.Repeat(`\\pL`, 60), "the patterns of this file up to here are too large together"},
			"many that are harmless": {`^(退款|退货)[0-9]{1,9}$`, ""},
		} {
			var file strings.Builder
			file.WriteString("channels:\n")
			const most = 240_000 // bytes
			for i := 0; i < 15 && file.Len() < most; i++ {
				fmt.Fprintf(&file, "  c%d:\n    replies:\n", i)
				for n := 0; n < 200 && file.Len() < most; n++ {
					fmt.Fprintf(&file, "      - {pattern: \"%s\", text: x}\n", c.pattern)
				}
			}
			began := time.Now()
			_, problems := setup.Parse([]byte(file.String()), "x", publicURL)
			t.Logf("%s: %d bytes in %v", name, file.Len(), time.Since(began))
			told := 0
			for _, p := range problems {
				if c.want != "" && strings.Contains(p.String(), c.want) {
					told++
				}
			}
			if (c.want == "") != (len(problems) == 0) || c.want != "" && told == 0 {
				t.Errorf("%s: %d problems, %d of them as wanted; the first: %v", name, len(problems), told, problems[:min(1, len(problems))])
			}
		}
	})

	t.Run("a file of nothing says how to begin", func(t *testing.T) {
		t.Parallel()
		_, problems := setup.Parse(nil, "x", publicURL)
		if len(problems) != 1 || problems[0].String() != "x:1:1: the file is empty; start with `channels:` and a channel's name below it" {
			t.Error(problems)
		}
	})

	t.Run("a text that the platform would cut is refused", func(t *testing.T) {
		t.Parallel()
		_, problems := setup.Parse([]byte("channels: {main: {welcome: "+strings.Repeat("长", 683)+"}}"), "x", publicURL)
		if len(problems) != 1 || !strings.Contains(problems[0].String(), "this has 2049 bytes") {
			t.Error(problems)
		}
	})
}
