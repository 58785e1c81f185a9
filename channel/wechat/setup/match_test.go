package setup_test

import (
	"strings"
	"testing"
	"time"

	"kfactor/channel/wechat/setup"
)

// asked is what an action is, in a word or two.
func asked(a setup.Action, ok bool) string {
	switch {
	case !ok:
		return "nothing"
	case a.Word != "":
		return "word " + string(a.Word)
	case a.Dialogue != "":
		return "dialogue " + a.Dialogue
	case a.Reply.Service:
		return strings.TrimSpace("service " + a.Reply.Account)
	}
	return a.Reply.Text
}

func TestMatch(t *testing.T) {
	t.Parallel()
	c := channel(t, sample(t))
	for said, want := range map[string]string{
		"海报":                       "word poster",
		" 海报！ ":                    "word poster",
		"“海报”":                     "word poster",
		"领海报":                      "word poster",
		"生成海报":                     "nothing", // the file names its own words
		"进度":                       "word progress",
		"没到账？":                     "word why",
		"排行榜":                      "nothing", // turned off
		"地址":                       "春熙路 1 号，每天 10:00–22:00。",
		"订单 8812":                  "订单请在商城里查询：https://shop.example.com/orders",
		"退货":                       "service kf2001@tea",
		"我要退货":                     "nothing",
		"人工":                       "service",
		"绑定":                       "dialogue member",
		"":                         "nothing",
		"。。。":                      "nothing",
		"\xff\xfe":                 "nothing",
		strings.Repeat("退款", 2000): "nothing", // longer than anybody can write
	} {
		if got := asked(c.Match(said)); got != want {
			t.Errorf("%.20q asks for %s, not %s", said, got, want)
		}
	}
	for key, want := range map[string]string{
		"poster": "word poster", "ranking": "word ranking", "BIND": "dialogue member", "SERVICE": "service", "CHECKIN": "nothing", "": "nothing",
	} {
		if got := asked(c.Clicked(key)); got != want {
			t.Errorf("the key %q asks for %s, not %s", key, got, want)
		}
	}

	t.Run("the longest prefix answers, and words that stand for themselves before any", func(t *testing.T) {
		c := channel(t, `channels: {main: {replies: [{prefix: A, text: short}, {prefix: [ab, ac], text: long}, {exact: "ＡＢ c", text: exact}, {pattern: "^ab.*z$", text: pattern}, {pattern: z$, text: last}]}}`)
		for said, want := range map[string]string{"a1": "short", "AB1": "long", "ab  C": "exact", "abz": "long", "yz": "last", "b": "nothing"} {
			if got := asked(c.Match(said)); got != want {
				t.Errorf("%q asks for %s, not %s", said, got, want)
			}
		}
	})

	t.Run("a pattern that makes others slow takes no time", func(t *testing.T) {
		c := channel(t, `channels: {main: {replies: [{pattern: "^(([a-z])+.)+[A-Z]([a-z])+$", text: x}]}}`)
		begun := time.Now()
		for range 100 {
			c.Match(strings.Repeat("a", 2048))
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("a hundred texts took %s", took)
		}
	})
}

func TestNotice(t *testing.T) {
	t.Parallel()
	n := setup.Notice{Fields: map[string]string{"thing1": "{{text}}", "time2": "{{time}}", "phrase3": "{{tier}}", "character_string4": "{{code}}"}}
	got := n.Data(map[string]string{"text": strings.Repeat("恭喜", 20) + "\n", "time": "2026年11月22日 10:00", "tier": "", "code": "7K2M9QX4TB"})
	want := map[string]string{"thing1": strings.Repeat("恭喜", 9) + "恭…", "time2": "2026年11月22日 10:00", "phrase3": "-", "character_string4": "7K2M9QX4TB"}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, not %q", key, got[key], value)
		}
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	read := func(source string) *setup.File {
		f, problems := setup.Parse([]byte(source), "x", publicURL)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		return f
	}
	changes := func(t *testing.T, stored, source string) string {
		t.Helper()
		var was []byte
		if stored != "" {
			was = read(stored).Source("main")
		}
		changes, err := setup.Changes("main", was, read(source).Source("main"))
		if err != nil {
			t.Fatal(err)
		}
		var lines []string
		for _, c := range changes {
			lines = append(lines, c.Field+": "+c.From+" -> "+c.To)
		}
		return strings.Join(lines, "\n")
	}

	t.Run("each field that differs is told alone", func(t *testing.T) {
		got := changes(t, "channels: {main: {welcome: hi, replies: [{exact: a, text: x}]}}",
			"channels: {main: {replies: [{exact: a, text: y}, {exact: b, service: true}], words: {why: [why]}}}")
		want := `welcome: "hi" -> ` + "\n" + `replies[0].text: "x" -> "y"` + "\n" + `replies[1]:  -> {"exact":"b","service":true}` + "\n" + `words:  -> {"why":["why"]}`
		if got != want {
			t.Errorf("got\n%s\nnot\n%s", got, want)
		}
	})

	t.Run("what another channel says changes nothing", func(t *testing.T) {
		if got := changes(t, "channels: {main: {welcome: hi}}", "# new\nchannels:\n  other: {welcome: there}\n  main:\n    welcome: |\n      hi\n"); got != "" {
			t.Error(got)
		}
	})

	t.Run("the menu is compared with the platform's alone", func(t *testing.T) {
		if got := changes(t, "channels: {main: {menu: [{name: a, click: b}]}}", "channels: {main: {menu: [{name: b, click: b}]}}"); got != "" {
			t.Error(got)
		}
		want := channel(t, sample(t)).Menu
		if got := setup.MenuChanges(want, want); len(got) > 0 {
			t.Error(got)
		}
		have := []setup.Button{{Name: "旧的", Type: "view", URL: "https://old.example.com"}, want[1], want[2]}
		got := setup.MenuChanges(have, want)
		if len(got) != 1 || got[0] != (setup.Change{Field: "menu[0]", From: "旧的 view https://old.example.com", To: "我的海报 click poster"}) {
			t.Error(got)
		}
		if got := setup.MenuChanges(nil, want); len(got) != 6 {
			t.Error(got)
		}
	})

	t.Run("a new channel is told key by key", func(t *testing.T) {
		if got := changes(t, "", "channels: {main: {welcome: hi, words: {why: []}}}"); got != "welcome:  -> \"hi\"\nwords:  -> {\"why\":[]}" {
			t.Error(got)
		}
	})
}
