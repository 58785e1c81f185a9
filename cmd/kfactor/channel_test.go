package main

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/twin"
)

// account is a world with an account on a platform of its own, and its settings file.
type account struct {
	world
	platform *twin.Twin
	config   string
}

func newAccount(t *testing.T, more string) account {
	t.Helper()
	platform, err := twin.New(twin.Config{Seed: 1, Mode: twin.Secure})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(platform.Close)
	served := httptest.NewServer(platform.Handler())
	t.Cleanup(served.Close)
	platform.SetBaseURL(served.URL)
	c := platform.Config()
	w := newWorld(t, "KFACTOR_PUBLIC_URL=https://fans.example.com", "MAIN_SECRET="+c.Secret)
	config := w.file("kfactor.yaml", fmt.Sprintf("channels:\n  main:\n    kind: wechat\n    app_id: %s\n    app_secret: env:MAIN_SECRET\n    token: %s\n    aes_key: %s\n    api_url: %s\n%s",
		c.AppID, c.Token, c.AESKey, served.URL, more))
	return account{w, platform, config}
}

// channel runs a command about channels.
func (a account) channel(args ...string) result {
	a.t.Helper()
	return a.run(append([]string{"channel", "--config", a.config}, args...)...)
}

func (a account) menu() string {
	var names []string
	for _, b := range a.platform.Menu() {
		names = append(names, b.Name)
		for _, s := range b.Sub {
			names = append(names, b.Name+"/"+s.Name)
		}
	}
	return strings.Join(names, " ")
}

const channelsFile = `channels:
  main:
    welcome: 欢迎！
    menu:
      - {name: 海报, click: poster}
      - {name: 活动, buttons: [{name: 进度, view: "{{public_url}}/me"}, {name: 客服, click: SERVICE}]}
    replies:
      - {exact: 人工, click: SERVICE, service: true}
`

func TestChannelApply(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "")
	file := a.file("channels.yaml", channelsFile)

	r := a.channel("plan", file)
	if r.code != exitDone || !strings.HasPrefix(r.stdout, "main: nothing is stored yet; 4 buttons of the menu on the platform would change\n") || !strings.Contains(r.stdout, "进度 view https://fans.example.com/me") {
		t.Errorf("plan ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if a.menu() != "" {
		t.Error("planning has changed the menu")
	}

	r = a.channel("apply", file)
	if r.code != exitDone || r.stdout != "main: stored as revision 1, the menu is on the platform; phones show it within 5 minutes\n" {
		t.Errorf("apply ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
	}
	if got := a.menu(); got != "海报 活动 活动/进度 活动/客服" {
		t.Error("the menu is", got)
	}

	t.Run("the same again changes nothing", func(t *testing.T) {
		if r := a.channel("apply", file); r.stdout != "main: unchanged, revision 1, the menu is the same on the platform\n" {
			t.Errorf("it ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		r := a.channel("plan", file, "--json")
		var plan struct{ Items []channelPlan }
		if err := json.Unmarshal([]byte(r.stdout), &plan); err != nil || len(plan.Items) != 1 || len(plan.Items[0].Changes)+len(plan.Items[0].Menu) != 0 || plan.Items[0].Revision != 1 {
			t.Errorf("the plan is %s, %v", r.stdout, err)
		}
	})

	t.Run("a button that nothing answers is warned of, until a campaign does", func(t *testing.T) {
		file := a.file("tap.yaml", strings.Replace(channelsFile, "click: poster", "click: TEA", 1))
		want := file + `:5:27: channels.main.menu[0].click: warning: nothing answers a tap that sends "TEA"`
		for _, verb := range []string{"validate", "plan"} {
			if r := a.channel(verb, file); r.code != exitDone || !strings.HasPrefix(r.stderr, want) {
				t.Errorf("%s ended with %d:\n%s%s", verb, r.code, r.stdout, r.stderr)
			}
		}
		tea := a.file("tea.yaml", "campaign: tea\nname: 茶\nchannel: main\njoin: {menu_key: TEA}\n"+
			"schedule: {starts: 2026-01-01T00:00:00+08:00, ends: 2036-01-01T00:00:00+08:00}\n"+
			"poster: {size: [400, 600], background: \"#FFFFFF\", layers: [{qr: {at: [50, 150], size: 300}}]}\n"+
			"tasks: {invite: {on: subscribe}}\ntiers: [{name: 铜, requires: {invite: 1}}]\n")
		if r := a.run("campaign", "apply", tea, "--launch", "--config", a.config); r.code != exitDone {
			t.Fatal(r.stdout, r.stderr)
		}
		if r := a.channel("plan", file); r.code != exitDone || r.stderr != "" {
			t.Errorf("it ended with %d:\n%s", r.code, r.stderr)
		}
	})

	t.Run("only what differs is told", func(t *testing.T) {
		file := a.file("other.yaml", strings.Replace(strings.Replace(channelsFile, "欢迎！", "你好", 1), "name: 进度", "name: 我的进度", 1))
		r := a.channel("plan", file)
		want := "main: revision 1 is stored, 1 field would change; 1 button of the menu on the platform would change\n" +
			"FIELD               FROM                                   TO\n" +
			"menu[1].buttons[0]  进度 view https://fans.example.com/me  我的进度 view https://fans.example.com/me\n" +
			"welcome             \"欢迎！\"                               \"你好\"\n"
		if r.code != exitDone || r.stdout != want {
			t.Errorf("it ended with %d:\n%s\nnot\n%s%s", r.code, r.stdout, want, r.stderr)
		}
	})

	t.Run("what the platform refuses is done by applying again", func(t *testing.T) {
		file := a.file("new.yaml", strings.Replace(channelsFile, "海报, click", "我的, click", 1))
		if err := a.platform.Inject(twin.Fault{Path: "/cgi-bin/menu/create", Code: 48004, Times: 1}); err != nil {
			t.Fatal(err)
		}
		r := a.channel("apply", file)
		if r.code != exitFailed || !strings.Contains(r.stdout, "main: stored as revision 2, but the menu on the platform is as it was: the platform refuses: ") || !strings.Contains(r.stdout, "48004") ||
			r.stderr != "kfactor: the menu of main is not as the file says; mend what the platform names and apply it again\n" {
			t.Errorf("it ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		r = a.channel("apply", file)
		if r.code != exitDone || r.stdout != "main: unchanged, revision 2, the menu is on the platform; phones show it within 5 minutes\n" || !strings.HasPrefix(a.menu(), "我的 ") {
			t.Errorf("it ended with %d, the menu is %s:\n%s%s", r.code, a.menu(), r.stdout, r.stderr)
		}
	})

	t.Run("a file without a menu keeps it, an empty one deletes it", func(t *testing.T) {
		r := a.channel("apply", a.file("kept.yaml", "channels: {main: {welcome: hi}}\n"))
		if r.code != exitDone || a.menu() == "" || r.stdout != "main: stored as revision 3\n" {
			t.Errorf("it ended with %d, the menu is %s:\n%s%s", r.code, a.menu(), r.stdout, r.stderr)
		}
		r = a.channel("apply", a.file("none.yaml", "channels: {main: {welcome: hi, menu: []}}\n"))
		if r.code != exitDone || a.menu() != "" || !strings.Contains(r.stdout, "the menu on the platform is deleted") {
			t.Errorf("it ended with %d, the menu is %s:\n%s%s", r.code, a.menu(), r.stdout, r.stderr)
		}
	})

	t.Run("what cannot be applied stores nothing", func(t *testing.T) {
		for _, c := range []struct{ source, want string }{
			{"channels:\n  main: {welcom: hi}\n", "broken.yaml:2:10: channels.main.welcom: there is no key \"welcom\" here; did you mean welcome?\n"},
			{"channels:\n  mian: {welcome: hi}\n", "channel mian is not configured; did you mean main?\n"},
		} {
			r := a.channel("apply", a.file("broken.yaml", c.source))
			if r.code != exitFailed || !strings.HasSuffix(r.stderr, c.want) || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("it ended with %d: %s", r.code, r.stderr)
			}
		}
	})
}

func TestChannelStatus(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "  spare: {kind: wechat, app_id: wx00, app_secret: s, token: abc, api_url: \"http://127.0.0.1:1\"}\n")

	t.Run("tells of each account, and fails when the platform takes no calls of one", func(t *testing.T) {
		r := a.channel("status")
		if r.code != exitFailed || !strings.Contains(r.stdout, "callbacks encrypted): the platform takes its calls\n  0 fans, 0 follow; 0 codes made, 0 of them permanent\n") ||
			!strings.Contains(r.stdout, "spare (wx00, callbacks plain): the platform did not answer") || !strings.Contains(r.stderr, "takes no calls of spare;") {
			t.Errorf("it ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
		if strings.Contains(r.stdout, a.platform.Config().Secret) {
			t.Error("it shows a secret")
		}
		var status struct {
			Items []struct {
				Name     string
				TokenOK  bool `json:"token_ok"`
				Messages map[string]struct{ Owed int }
				Quotas   []struct{ API string }
			}
		}
		if err := json.Unmarshal([]byte(a.channel("status", "--json").stdout), &status); err != nil || len(status.Items) != 2 || !status.Items[0].TokenOK || status.Items[1].TokenOK || len(status.Items[0].Quotas) == 0 {
			t.Errorf("as JSON it is %+v, %v", status, err)
		}
	})

	t.Run("tells the platform's limits", func(t *testing.T) {
		w := newAccount(t, "")
		const sending = "/cgi-bin/message/custom/send"
		w.platform.SetQuota(sending, 1234)
		r := w.channel("status")
		if !regexp.MustCompile(`message/custom/send +0 +0 +1110 +1234 +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+08:00`).MatchString(r.stdout) ||
			!regexp.MustCompile(`permanent codes +0 +0 +90000 +100000 +assumed`).MatchString(r.stdout) {
			t.Errorf("it ended with %d:\n%s%s", r.code, r.stdout, r.stderr)
		}
	})

	t.Run("says what to enter on the platform's page", func(t *testing.T) {
		r := a.channel("check", "main")
		for _, want := range []string{"https://fans.example.com/wechat/main\n", "IP白名单", "安全模式", "网页授权域名", "fans.example.com\n", "The platform gives an access token."} {
			if r.code != exitDone || !strings.Contains(r.stdout, want) {
				t.Errorf("it ended with %d and does not say %q:\n%s%s", r.code, want, r.stdout, r.stderr)
			}
		}
	})

	t.Run("explains why the platform refuses", func(t *testing.T) {
		w := newAccount(t, "")
		for code, want := range map[int]string{40164: "IP白名单 on mp.weixin.qq.com", 40125: "app_secret in the settings", 40013: "app_id in the settings", 89503: "administrator has to confirm", 48004: "kfactor channel move"} {
			w.platform.Heal()
			if err := w.platform.Inject(twin.Fault{Path: "/cgi-bin/stable_token", Code: code}); err != nil {
				t.Fatal(err)
			}
			r := w.channel("check", "main")
			if r.code != exitFailed || !strings.Contains(r.stderr, want) || strings.Count(r.stderr, "\n") != 1 {
				t.Errorf("%d: it ended with %d: %s", code, r.code, r.stderr)
			}
		}
	})

	t.Run("moves a channel when it is told to, and takes it back", func(t *testing.T) {
		r := a.channel("move", "main", "spare")
		if r.code != exitFailed || !strings.Contains(r.stderr, "nothing is moved") || !strings.Contains(r.stderr, "--yes") {
			t.Errorf("it ended with %d: %s", r.code, r.stderr)
		}
		if r = a.channel("move", "main", "spare", "--yes"); r.code != exitDone || !strings.Contains(r.stdout, "Left to do:") {
			t.Errorf("it ended with %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if r = a.channel("status"); !strings.Contains(r.stdout, "its channel was moved to spare") || !strings.Contains(r.stdout, "serves the channel main, which was moved to it") {
			t.Errorf("the status says\n%s", r.stdout)
		}
		if r = a.channel("move", "main", "main", "--yes"); r.code != exitDone || !strings.Contains(r.stdout, "by its own account again") {
			t.Errorf("it ended with %d: %s%s", r.code, r.stdout, r.stderr)
		}
		if r = a.channel("move", "main", "nobody", "--yes"); r.code != exitFailed || !strings.Contains(r.stderr, "channel nobody is not configured") {
			t.Errorf("it ended with %d: %s", r.code, r.stderr)
		}
	})

	t.Run("makes a code that never runs out, once", func(t *testing.T) {
		a := newAccount(t, "")
		if r := a.run("campaign", "apply", "../../examples/wechat.yaml", "--launch", "--config", a.config); r.code != exitDone {
			t.Fatal(r.stdout, r.stderr)
		}
		code := a.enrolIn(a.config, "autumn-2026", 1)[0]
		if r := a.channel("code", code); r.code != exitDone || !strings.Contains(r.stdout, "  until ") {
			t.Errorf("it ended with %d: %s%s", r.code, r.stdout, r.stderr)
		}
		picture := a.file("window.png", "")
		first := a.channel("code", strings.ToLower(code), "--permanent", "-o", picture)
		if first.code != exitDone || !strings.HasPrefix(first.stdout, "http://weixin.qq.com/q/") || !strings.HasSuffix(first.stdout, "  for ever\n") {
			t.Errorf("it ended with %d: %s%s", first.code, first.stdout, first.stderr)
		}
		if drawn, err := os.ReadFile(picture); err != nil || !strings.HasPrefix(string(drawn), "\x89PNG") {
			t.Errorf("%d bytes, %v", len(drawn), err)
		}
		if r := a.channel("code", code, "-o", filepath.Join(t.TempDir(), "gone", "code.png")); r.code != exitFailed || !strings.Contains(r.stderr, "there is no folder") {
			t.Errorf("into a folder that is not there: %d %s", r.code, r.stderr)
		}
		if again := a.channel("code", code, "--permanent"); again.stdout != first.stdout {
			t.Errorf("the same again is %s%s", again.stdout, again.stderr)
		}
		if r := a.channel("status"); !strings.Contains(r.stdout, "1 code made, 1 of them permanent") || !regexp.MustCompile(`permanent codes +1 +0 +89999 +100000`).MatchString(r.stdout) {
			t.Errorf("the status says\n%s", r.stdout)
		}
		for args, want := range map[string]string{"7K2M9QX4TB": "nobody has this code", "nonsense!": "is not a code", code + " -o x.gif": "ends in neither .png nor .svg"} {
			if r := a.channel(append([]string{"code", "--permanent"}, strings.Fields(args)...)...); r.code == exitDone || !strings.Contains(r.stderr, want) {
				t.Errorf("%s ended with %d: %s", args, r.code, r.stderr)
			}
		}
	})

	t.Run("without a configured channel says where to name one", func(t *testing.T) {
		w := newWorld(t)
		for _, args := range [][]string{{"status"}, {"check", "main"}, {"apply", w.file("c.yaml", "channels: {main: {}}")}} {
			r := w.run(append([]string{"channel"}, args...)...)
			if r.code != exitFailed || !strings.Contains(r.stderr, "under `channels` in the settings file") {
				t.Errorf("%v ended with %d: %s", args, r.code, r.stderr)
			}
		}
	})
}

func TestChannelSchema(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if said := w.must("channel", "schema"); said != string(setup.Schema()) {
		t.Error("it is another one")
	}
	if said := w.must("channel", "validate", "../../channel/wechat/setup/testdata/channels.yaml"); !strings.HasSuffix(said, " is right\n") {
		t.Error(said)
	}
}

// A server with a configured channel answers the platform, with what was applied while it runs.
func TestServeAnswersThePlatform(t *testing.T) {
	t.Parallel()
	a := newAccount(t, "")
	a.environ = slices.DeleteFunc(a.environ, func(pair string) bool { return strings.HasPrefix(pair, "KFACTOR_PUBLIC_URL=") })
	server := a.serve("--config", a.config)
	if err := a.platform.SetCallback(t.Context(), server.url+"/wechat/main"); err != nil {
		t.Fatalf("the platform does not take the callback: %v\n%s", err, server.out)
	}
	file := a.file("channels.yaml", channelsFile+"      - {exact: 地址, text: 春熙路 1 号}\n")
	if r := a.channel("apply", file); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	fan := a.platform.AddFan("小满")
	heard := func() string {
		var all []string
		for _, m := range fan.Chat() {
			all = append(all, m.Text)
		}
		return strings.Join(all, "|")
	}
	if err := fan.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what was applied to be taken up", func() bool {
		if err := fan.Say(t.Context(), "地址"); err != nil {
			t.Fatal(err)
		}
		return strings.Contains(heard(), "春熙路 1 号")
	})
	if code := server.stop(); code != exitDone {
		t.Errorf("ended with %d: %s", code, server.out)
	}
}
