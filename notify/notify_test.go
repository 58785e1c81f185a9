package notify_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"kfactor/notify"
)

// TestDefaultTexts holds that the same words have texts in every language, of the same things but names.
func TestDefaultTexts(t *testing.T) {
	t.Parallel()
	for _, word := range []string{notify.Joined, notify.Welcome, notify.Delivered, notify.Rejected, notify.Credited, notify.Revoked, notify.TierReached} {
		zh, en := notify.DefaultText(notify.Chinese, word), notify.DefaultText(notify.English, word)
		if (zh == "") != (en == "") || zh != notify.DefaultText("", word) {
			t.Errorf("%s: %q and %q", word, zh, en)
		}
		for _, figure := range []string{"{{rewards}}", "{{coupon}}"} {
			if strings.Contains(zh, figure) != strings.Contains(en, figure) {
				t.Errorf("%s: %q and %q", word, zh, en)
			}
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	all := map[string]string{
		"nickname": "小明", "invitee": "阿花", "remaining": "3", "count": "2", "tier": "铜牌", "rewards": "10 元券、马克杯", "coupon": "C-1",
	}
	for _, c := range []struct {
		name, template, without string // names left out, with spaces between
		want                    string
	}{
		{"everything", "{{nickname}},{{invitee}} 为你助力成功,还差 {{remaining}} 人。", "", "小明,阿花 为你助力成功,还差 3 人。"},
		{"a name in front", "{{nickname}},这是你的专属海报,邀请 3 位好友关注即可领券。", "nickname", "这是你的专属海报,邀请 3 位好友关注即可领券。"},
		{"a name in front, with other commas", "{{ nickname }}, 这是你的海报", "nickname", "这是你的海报"},
		{"a name behind a greeting", "你好,{{nickname}}!欢迎。", "nickname", "你好!欢迎。"},
		{"a name at the end", "谢谢你,{{nickname}}", "nickname", "谢谢你"},
		{"a name before a colon", "{{nickname}}:你好", "nickname", "你好"},
		{"a name before dots", "{{nickname}}……你好", "nickname", "你好"},
		{"a name among words", "恭喜 {{nickname}} 达成", "nickname", "恭喜 达成"},
		{"a name in brackets", "恭喜达成「{{tier}}」,奖励已发放。", "tier", "恭喜达成,奖励已发放。"},
		{"names in brackets in brackets", "恭喜(「{{tier}}」)达成。", "tier", "恭喜达成。"},
		{"a sentence in brackets", "达成「{{tier}},真棒」。下一个", "tier", "达成「,真棒」。下一个"},
		{"a number", "{{invitee}} 为你助力成功,还差 {{remaining}} 人。", "remaining", "阿花 为你助力成功。"},
		{"a number in the middle", "还差 {{remaining}} 人,加油!", "remaining", "加油!"},
		{"a number alone", "还差 {{remaining}} 人。", "remaining", ""},
		{"a code", notify.DefaultText(notify.Chinese, notify.Delivered), "coupon", "你的奖励「10 元券、马克杯」已发放。"},
		{"a code in English", notify.DefaultText(notify.English, notify.Delivered), "coupon", `Your reward "10 元券、马克杯" has been handed out.`},
		{"a poster in English", notify.DefaultText(notify.English, notify.Joined), "nickname", "Here is your own poster. Share it: each friend who scans it and follows counts for you."},
		{"what is checked", "恭喜达成「{{tier}}」：{{rewards}}；{{reviewing}}审核中，通过后发放。", "reviewing", "恭喜达成「铜牌」：10 元券、马克杯；通过后发放。"},
		{"what waits", "恭喜达成「{{tier}}」：{{rewards}}！{{waiting}}补货后发放。", "waiting", "恭喜达成「铜牌」：10 元券、马克杯！"},
		{"what is checked, in a sentence", "恭喜达成「{{tier}}」。{{reviewing}} 审核中。", "reviewing", "恭喜达成「铜牌」。"},
		{"a name that nobody knows", "你好 {{who}},再见。", "", "你好,再见。"},
		{"nothing but a name", "{{nickname}}!", "nickname", ""},
		{"lines", "第一行\n{{nickname}}\n第三行", "nickname", "第一行\n第三行"},
		{"an address", "看 https://k.example/a?x=1,2 吧,{{nickname}}", "nickname", "看 https://k.example/a?x=1,2 吧"},
		{"no braces", "{nickname} {{}} {{1}}", "", "{nickname} {{}} {{1}}"},
		{"a smile", "{{nickname}} 😀", "nickname", "😀"},
	} {
		t.Run(c.name, func(t *testing.T) {
			values := map[string]string{}
			for name, v := range all {
				if !slices.Contains(strings.Fields(c.without), name) {
					values[name] = v
				}
			}
			if got := notify.Fill(c.template, values); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
			if strings.Contains(c.template, "http") || strings.Contains(c.template, ", ") {
				return
			}
			if got := notify.Fill(fullWidth.Replace(c.template), values); got != fullWidth.Replace(c.want) {
				t.Errorf("of full width %q, want %q", got, fullWidth.Replace(c.want))
			}
		})
	}

	t.Run("ValuesAreMadeHarmless", func(t *testing.T) {
		for value, want := range map[string]string{
			"a\r\nb\tc":               "Hi a b c.",
			"\u202eabc\x00\u2066":     "Hi abc.",
			"{{coupon}}":              "Hi {{coupon}}.", // not read again
			strings.Repeat("长", 1000): "Hi " + strings.Repeat("长", notify.MaxName-1) + "….",
			" \n ":                    "Hi.",
			"\xff":                    "Hi.",
		} {
			if got := notify.Fill("Hi {{nickname}}.", map[string]string{"nickname": value, "coupon": "SECRET"}); got != want {
				t.Errorf("%q gives %q, want %q", value, got, want)
			}
		}
	})
}

// fullWidth gives a text the punctuation that Chinese is written with.
var fullWidth = strings.NewReplacer(
	",", "\uff0c", ";", "\uff1b", ":", "\uff1a", "!", "\uff01", "?", "\uff1f", "(", "\uff08", ")", "\uff09", "~", "\uff5e",
)

// harmless says what is wrong with a text that was filled in.
func harmless(template, text string) string {
	switch {
	case !utf8.ValidString(text):
		return "is no UTF-8"
	case utf8.RuneCountInString(text) > notify.MaxText:
		return "is too long"
	case text != strings.TrimSpace(text):
		return "has spaces around it"
	case !strings.ContainsFunc(template, unicode.IsControl) && strings.ContainsFunc(text, unicode.IsControl):
		return "has control characters"
	}
	return ""
}

func TestFillLeavesNoStrayPunctuation(t *testing.T) {
	t.Parallel()
	words := []string{"你好", "{{nickname}}", "{{invitee}} 来了", "还差 {{remaining}} 人", "「{{tier}}」", "Hello {{nickname}}", "共 {{count}} 人", "{{rewards}}"}
	signs := []string{",", "。", "!", ", ", ". ", "、", ";", "……", "\n"}
	names := []string{"nickname", "invitee", "remaining", "tier", "count", "rewards"}
	rapid.Check(t, func(t *rapid.T) {
		var template strings.Builder
		for i := range rapid.IntRange(1, 6).Draw(t, "parts") {
			if i > 0 {
				template.WriteString(rapid.SampledFrom(signs).Draw(t, "sign"))
			}
			template.WriteString(rapid.SampledFrom(words).Draw(t, "part"))
		}
		values := map[string]string{}
		for _, name := range names {
			if rapid.Bool().Draw(t, name) {
				values[name] = "7"
			}
		}
		text := notify.Fill(template.String(), values)
		if wrong := harmless(template.String(), text); wrong != "" {
			t.Fatalf("%q gives %q, which %s", template.String(), text, wrong)
		}
		const punctuation = ",。!、;…,.!;"
		before := ' '
		for i, r := range text {
			if strings.ContainsRune(punctuation, r) && (i == 0 || strings.ContainsRune(punctuation, before) && (r != '…' || before != '…')) {
				t.Fatalf("%q gives %q, with stray punctuation", template.String(), text)
			}
			before = r
		}
		if strings.Contains(text, "{{") || strings.Contains(text, "「」") {
			t.Fatalf("%q gives %q", template.String(), text)
		}
	})
}

func FuzzFill(f *testing.F) {
	f.Add("{{nickname}},这是你的海报,还差 {{remaining}} 人。", "小明", "")
	f.Add("「{{tier}}」{{nickname}}:{{count}}\n", "\u202e\x00", "3")
	f.Add("\x00{{nickname}}\xff", "", "")
	f.Fuzz(func(t *testing.T, template, nickname, count string) {
		text := notify.Fill(template, map[string]string{"nickname": nickname, "count": count})
		if !utf8.ValidString(template) {
			return // a campaign's file is UTF-8
		}
		if wrong := harmless(template, text); wrong != "" {
			t.Errorf("%q with %q and %q gives %q, which %s", template, nickname, count, text, wrong)
		}
	})
}

func TestKindsAndReasons(t *testing.T) {
	t.Parallel()
	for i, k := range notify.Kinds {
		if !k.Known() || k.Worth() <= 0 || i > 0 && k.Priority() <= notify.Kinds[i-1].Priority() {
			t.Errorf("%s has priority %d and is worth sending for %s", k, k.Priority(), k.Worth())
		}
	}
	if notify.Kind("spam").Known() {
		t.Error("spam is known")
	}
	reasons := []string{
		"", notify.NoWindow, notify.NotFollowing, notify.NoUser, notify.Quota, notify.PausedByThem, notify.Unreachable, notify.Refused, notify.Failed,
		notify.Expired, notify.BlockedHere, notify.NothingToSay, notify.NotJoined, notify.Superseded, notify.WindowOpened, "a_word_of_the_channels",
	}
	for _, s := range notify.States {
		for _, reason := range reasons {
			en, zh := notify.Why(s, reason)
			if en == "" || !strings.ContainsFunc(zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) {
				t.Errorf("%s, %s: %q %q", s, reason, en, zh)
			}
			if known := !strings.Contains(en, "("); known == (reason == "a_word_of_the_channels") {
				t.Errorf("%s, %s: %q", s, reason, en)
			}
		}
	}
}
