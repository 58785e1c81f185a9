package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"kfactor/channel/wechat/setup"
	"kfactor/engine"
	"kfactor/internal/settings"
)

func TestWhatTheDocumentsShowWorks(t *testing.T) {
	t.Parallel()
	fenced := regexp.MustCompile("(?s)```yaml\n(.*?)```")
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}

	readme := fenced.FindStringSubmatch(read("../../README.md"))
	if readme == nil || strings.Count(readme[1], "\n") != 10 {
		t.Fatal("the README shows no campaign in ten lines")
	}
	if _, problems := engine.Preflight([]byte(readme[1]), "README.md"); len(problems) > 0 {
		t.Error(problems)
	}

	blocks := fenced.FindAllStringSubmatch(read("../../docs/wechat.md"), -1)
	if len(blocks) != 2 {
		t.Fatalf("docs/wechat.md shows %d files, not settings and channels", len(blocks))
	}
	secrets := []string{"WECHAT_SECRET=s", "WECHAT_TOKEN=abc", "WECHAT_AES_KEY=" + strings.Repeat("a", 43)}
	if _, err := settings.Load(newWorld(t).file("kfactor.yaml", strings.ReplaceAll("\n"+blocks[0][1], "\n   ", "\n")), secrets, nil); err != nil {
		t.Error(err)
	}
	if _, problems := setup.Parse([]byte(blocks[1][1]), "docs/wechat.md", "https://fans.example.com"); len(problems) > 0 {
		t.Error(problems)
	}
	if _, problems := setup.Parse([]byte(read("../../examples/channels.yaml")), "examples/channels.yaml", "https://fans.example.com"); len(problems) > 0 {
		t.Error(problems)
	}

	operations := read("../../docs/operations.md")
	for _, s := range settings.All() {
		if !strings.Contains(operations, "`"+s.Env()+"`") {
			t.Errorf("docs/operations.md does not tell of %s", s.Env())
		}
	}
	shown := strings.NewReplacer("app_secret: …", "app_secret: s", "token: …", "token: abc", "aes_key: … ", "aes_key: "+strings.Repeat("a", 43)+" ").
		Replace(fenced.FindStringSubmatch(operations)[1])
	w := newWorld(t)
	if _, err := settings.Load(w.file("kfactor.yaml", shown), nil, nil); err != nil {
		t.Error(err)
	}
}
