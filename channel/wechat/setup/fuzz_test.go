package setup_test

import (
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"kfactor/channel/wechat/setup"
)

func FuzzParse(f *testing.F) {
	f.Add(sample(f), "海报")
	f.Add("channels: {main: {menu: [{name: a, view: \"{{public_url}}\"}]}}", "a")
	f.Add("channels: {main: &b [*b]}", "")
	f.Add("{\"channels\": {\"a\": {\"replies\": [{\"pattern\": \"(a|b)*$\", \"text\": \"\\ud83d\\ude00\"}]}}}", "ab")
	f.Fuzz(func(t *testing.T, source, text string) {
		file, problems := setup.Parse([]byte(source), "fuzz.yaml", publicURL)
		for _, p := range problems {
			if p.Line < 1 || p.Column < 1 || p.Message == "" {
				t.Fatalf("a problem without a place or a message: %+v", p)
			}
		}
		if len(problems) > 0 {
			return
		}
		for _, c := range file.Channels {
			stored := file.Source(c.Name)
			again, problems := setup.Parse(stored, "stored", publicURL)
			if len(problems) > 0 {
				t.Fatalf("%s of %q: %v", stored, source, problems)
			}
			if changes, err := setup.Changes(c.Name, stored, again.Source(c.Name)); err != nil || len(changes) > 0 {
				t.Fatalf("%s comes back with %v, %v", stored, changes, err)
			}
			if d := setup.MenuChanges(c.Menu, again.Channel(c.Name).Menu); len(d) > 0 {
				t.Fatalf("the menu comes back with %v", d)
			}
			if a, ok := c.Match(text); ok && a.Reply == nil && a.Word == "" && a.Dialogue == "" {
				t.Fatal("it asks for nothing at all")
			}
		}
	})
}

func FuzzDialogue(f *testing.F) {
	c := channel(f, sample(f))
	f.Add([]byte(`{"dialogue":"member","step":1,"saved":{"phone":"13800138000"},"until":9999999999999}`), "012345")
	f.Add([]byte(`{"dialogue":"member","until":9999999999999}`), "１３８００１３８０００")
	f.Fuzz(func(t *testing.T, stored []byte, text string) {
		var talk setup.Talk
		if json.Unmarshal(stored, &talk) != nil {
			return
		}
		turn := c.Step(&talk, text, noon)
		if turn.Done != nil {
			names := []string{"phone", "card"}
			for name, value := range turn.Done.Data {
				if !slices.Contains(names, name) || !utf8.ValidString(value) {
					t.Fatalf("the event holds %q: %q", name, value)
				}
			}
		}
		if turn.Talk != nil && turn.Taken && turn.Talk.Until <= noon.UnixMilli() {
			t.Fatalf("it stands at %+v, which is over", turn.Talk)
		}
	})
}
