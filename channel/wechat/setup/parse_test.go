package setup_test

import (
	"os"
	"strings"
	"testing"

	"kfactor/channel/wechat/setup"
)

const publicURL = "https://fans.example.com"

// sample is the file that shows everything.
func sample(t testing.TB) string {
	t.Helper()
	source, err := os.ReadFile("testdata/channels.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

// channel parses a source that is right and gives its channel main.
func channel(t testing.TB, source string) *setup.Channel {
	t.Helper()
	f, problems := setup.Parse([]byte(source), "channels.yaml", publicURL)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return f.Channel("main")
}

func TestParse(t *testing.T) {
	t.Parallel()
	c := channel(t, sample(t))

	t.Run("what stands for the same always is put in", func(t *testing.T) {
		if got := c.Menu[1].Buttons[0].URL; got != "https://fans.example.com/me/autumn-2026" {
			t.Error(got)
		}
		if got := c.Notices["reward"].Page; got != "https://fans.example.com/me/autumn-2026" {
			t.Error(got)
		}
	})

	t.Run("buttons do what the platform calls it", func(t *testing.T) {
		want := setup.Button{Name: "商城", Type: "miniprogram", AppID: "wx0123456789abcdef", Path: "pages/index/index", URL: "https://shop.example.com"}
		if got := c.Menu[2]; got.String() != want.String() || got.Buttons != nil {
			t.Error(got)
		}
		if got := c.Menu[0]; got.Type != "click" || got.Key != "poster" {
			t.Error(got)
		}
		if got := c.Menu[1]; got.Type != "" || len(got.Buttons) != 3 {
			t.Error(got)
		}
	})

	t.Run("words that the file does not name have their usual ones", func(t *testing.T) {
		if got := strings.Join(c.Words[setup.Why], " "); got != "为什么 没到账 为什么没到账" {
			t.Error(got)
		}
		if got := c.Words[setup.Ranking]; len(got) != 0 {
			t.Error(got)
		}
	})

	t.Run("a channel without a menu key leaves the menu alone, an empty one wants none", func(t *testing.T) {
		if c := channel(t, "channels: {main: {welcome: hi}}"); c.HasMenu {
			t.Error("it wants a menu")
		}
		if c := channel(t, "channels: {main: {menu: []}}"); !c.HasMenu || len(c.Menu) > 0 {
			t.Error("it leaves the menu alone")
		}
	})

	t.Run("what is stored of a channel says the same", func(t *testing.T) {
		f, _ := setup.Parse([]byte(sample(t)), "channels.yaml", publicURL)
		source := f.Source("main")
		again, problems := setup.Parse(source, "stored", publicURL)
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if string(again.Source("main")) != string(source) {
			t.Errorf("%s became %s", source, again.Source("main"))
		}
		if changes, err := setup.Changes("main", source, again.Source("main")); err != nil || len(changes) > 0 {
			t.Error(changes, err)
		}
		if again.Channels[0].Welcome != c.Welcome || again.Channels[0].Menu[1].Buttons[0].URL != c.Menu[1].Buttons[0].URL {
			t.Error("it says something else")
		}
	})
}
