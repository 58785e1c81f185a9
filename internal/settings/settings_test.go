package settings

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kfactor.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	t.Parallel()

	load := func(t *testing.T, file string, environ []string, flags map[string]string) Settings {
		t.Helper()
		s, err := Load(file, environ, flags)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}

	t.Run("NothingGivenIsTheEmbeddedDefault", func(t *testing.T) {
		t.Parallel()
		s := load(t, "", []string{"PATH=/bin", "HOME=/root"}, nil)
		if s.DatabaseURL != "sqlite://data/kfactor.db" || s.RedisURL != "embedded" || s.Addr != "127.0.0.1:8080" ||
			s.PublicURL != "" || s.SecretKey != nil || s.DataDir != "data" || s.Log != "info" {
			t.Errorf("defaults are %+v", s)
		}
	})

	t.Run("FlagsWinOverEnvironmentOverFile", func(t *testing.T) {
		t.Parallel()
		file := write(t, "addr: 127.0.0.1:1\nlog: warn\ndata_dir: from-file\n")
		s := load(t, file, []string{"KFACTOR_ADDR=127.0.0.1:2", "KFACTOR_LOG=error"}, map[string]string{"addr": "127.0.0.1:3"})
		if s.Addr != "127.0.0.1:3" || s.Log != "error" || s.DataDir != "from-file" {
			t.Errorf("got %s, %s, %s", s.Addr, s.Log, s.DataDir)
		}
		if !s.Given("addr") || s.Given("redis_url") {
			t.Error("what was given is not remembered")
		}
	})

	t.Run("TheEmbeddedDatabaseLivesInTheDataDirectory", func(t *testing.T) {
		t.Parallel()
		if s := load(t, "", []string{"KFACTOR_DATA_DIR=/srv/k/"}, nil); s.DatabaseURL != "sqlite:///srv/k/kfactor.db" {
			t.Errorf("database is %s", s.DatabaseURL)
		}
	})

	t.Run("AnEmptyValueCountsAsNotGiven", func(t *testing.T) {
		t.Parallel()
		s := load(t, write(t, "log:\nredis_url: \"\"\n"), []string{"KFACTOR_ADDR="}, map[string]string{"public_url": ""})
		if s.Addr != "127.0.0.1:8080" || s.Log != "info" || s.RedisURL != "embedded" || s.PublicURL != "" {
			t.Errorf("got %+v", s)
		}
	})

	t.Run("VariablesOfTestsAndClientsAreLeftAlone", func(t *testing.T) {
		t.Parallel()
		load(t, "", []string{"KFACTOR_TEST_MYSQL_URL=x", "KFACTOR_TEST_REDIS_URL=y", "KFACTOR_KEY=z"}, nil)
	})

	t.Run("ChannelsAreRead", func(t *testing.T) {
		t.Parallel()
		s := load(t, write(t, `
channels:
  main:
    kind: wechat
    app_id: wx0123
    app_secret: s3cret
    token: abc123
    aes_key: 0123456789012345678901234567890123456789abc
  plain: {kind: wechat, app_id: wx4, app_secret: 77, token: t0ken, api_url: "http://127.0.0.1:9"}
`), nil, nil)
		want := map[string]Channel{
			"main": {
				Kind: "wechat", AppID: "wx0123", AppSecret: "s3cret", Token: "abc123", AESKey: "0123456789012345678901234567890123456789abc",
				APIURL: "https://api.weixin.qq.com", OpenURL: "https://open.weixin.qq.com",
			},
			"plain": {Kind: "wechat", AppID: "wx4", AppSecret: "77", Token: "t0ken", APIURL: "http://127.0.0.1:9", OpenURL: "http://127.0.0.1:9"},
		}
		if diff := cmp.Diff(want, s.Channels); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("AChannelsSecretsMayStandInTheEnvironment", func(t *testing.T) {
		t.Parallel()
		file := write(t, "channels: {main: {kind: wechat, app_id: wx1, app_secret: env:KFACTOR_MAIN_SECRET, token: env:TOKEN}}\n")
		c := load(t, file, []string{"KFACTOR_MAIN_SECRET=s3cret", "TOKEN=abc"}, nil).Channels["main"]
		if c.AppSecret != "s3cret" || c.Token != "abc" {
			t.Errorf("got %q and %q", c.AppSecret, c.Token)
		}
	})

	t.Run("AnAccountMayHaveQuotasOfItsOwn", func(t *testing.T) {
		t.Parallel()
		c := load(t, write(t, `
channels:
  main:
    kind: wechat
    app_id: wx1
    app_secret: s
    token: abc
    api_url: https://sh.api.weixin.qq.com/
    original_id: gh_0123456789ab
    daily_limits: {qrcode/create: 500000, /cgi-bin/message/custom/send: 1000}
`), nil, nil).Channels["main"]
		if diff := cmp.Diff(map[string]int64{"/cgi-bin/qrcode/create": 500000, "/cgi-bin/message/custom/send": 1000}, c.DailyLimits); diff != "" {
			t.Error(diff)
		}
		if c.APIURL != "https://sh.api.weixin.qq.com" || c.OpenURL != "https://open.weixin.qq.com" || c.OriginalID != "gh_0123456789ab" {
			t.Errorf("got %q, %q and %q", c.APIURL, c.OpenURL, c.OriginalID)
		}
	})

	t.Run("AChannelShowsNoSecretWhenItIsPrinted", func(t *testing.T) {
		t.Parallel()
		c := Channel{Kind: "wechat", AppID: "wx1", AppSecret: "hush", Token: "hush", AESKey: "hush"}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "channel", c, "settings", map[string]Channel{"main": c})
		asJSON, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, shown := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s", c, c, &c), fmt.Sprintf("%+v", Settings{Channels: map[string]Channel{"main": c}}), log.String(), string(asJSON)} {
			if strings.Contains(shown, "hush") || !strings.Contains(shown, "wx1") {
				t.Error(shown)
			}
		}
	})

	t.Run("AnEmptyFileSaysNothing", func(t *testing.T) {
		t.Parallel()
		for _, text := range []string{"", "# nothing yet\n", "channels:\n"} {
			load(t, write(t, text), nil, nil)
		}
	})
}

func TestLoadNamesMistakes(t *testing.T) {
	t.Parallel()
	key := base64.StdEncoding.EncodeToString(make([]byte, 31))
	for name, test := range map[string]struct {
		file    string
		environ []string
		flags   map[string]string
		want    []string
	}{
		"UnknownVariable":    {environ: []string{"KFACTOR_DATABSE_URL=x"}, want: []string{"KFACTOR_DATABSE_URL is not a setting", "did you mean KFACTOR_DATABASE_URL?"}},
		"FarFetchedVariable": {environ: []string{"KFACTOR_COLOUR=x"}, want: []string{"KFACTOR_COLOUR is not a setting", "KFACTOR_ADDR, "}},
		"UnknownKey":         {file: "log: info\nadrr: x\n", want: []string{"kfactor.yaml:2:1: ", "adrr is not a setting", "did you mean addr?"}},
		"KeyGivenTwice":      {file: "log: info\nlog: warn\n", want: []string{"kfactor.yaml:2:", "log"}},
		"Database":           {environ: []string{"KFACTOR_DATABASE_URL=postgres://a:hush@b/c"}, want: []string{"KFACTOR_DATABASE_URL: not a database address", "mysql://"}},
		"DatabaseNoName":     {environ: []string{"KFACTOR_DATABASE_URL=mysql://a:hush@b"}, want: []string{"KFACTOR_DATABASE_URL", "mysql://user"}},
		"Redis":              {flags: map[string]string{"redis_url": "localhost:6379"}, want: []string{"--redis-url: "}},
		"Addr":               {file: "addr: 8080\n", want: []string{"kfactor.yaml:1:1: addr: \"8080\" is not a listen address"}},
		"PublicURL":          {environ: []string{"KFACTOR_PUBLIC_URL=fans.example.com"}, want: []string{"KFACTOR_PUBLIC_URL", "https://"}},
		"PublicURLWithPath":  {environ: []string{"KFACTOR_PUBLIC_URL=https://example.com/x?y"}, want: []string{"KFACTOR_PUBLIC_URL", "more than"}},
		"SecretKey":          {environ: []string{"KFACTOR_SECRET_KEY=" + key}, want: []string{"KFACTOR_SECRET_KEY: not 32 bytes", "openssl"}},
		"Log":                {flags: map[string]string{"log": "loud"}, want: []string{"--log", "debug, info, warn or error"}},
		"Proxies":            {environ: []string{"KFACTOR_TRUSTED_PROXIES=10.0.0.0/8,nginx"}, want: []string{"KFACTOR_TRUSTED_PROXIES", "nginx", "10.0.0.0/8"}},
		"Several":            {environ: []string{"KFACTOR_LOG=loud", "KFACTOR_X=1"}, want: []string{"KFACTOR_LOG", "KFACTOR_X"}},
		"NotYAML":            {file: "log: [1\n", want: []string{"kfactor.yaml:"}},
		"AList":              {file: "- log\n", want: []string{"kfactor.yaml:1:", "name: value"}},
		"AnAlias":            {file: "log: &l info\naddr: *l\n", want: []string{"plain text"}},
		"ANestedValue":       {file: "log: {level: info}\n", want: []string{"log must be a plain text"}},
		"TwoDocuments":       {file: "log: info\n---\nlog: warn\n", want: []string{"2 documents"}},
		"TooLarge":           {file: strings.Repeat("# x\n", maxFile/4+1), want: []string{"larger than 64 KiB"}},
		"ChannelKind":        {file: "channels: {main: {kind: sms}}\n", want: []string{"channels.main.kind", "wechat"}},
		"ChannelKey":         {file: "channels: {main: {kind: wechat, app_id: wx, app_secert: s, token: abc}}\n", want: []string{"channels.main.app_secert", "did you mean app_secret?", "channels.main.app_secret: is missing"}},
		"ChannelAESKey":      {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: abc, aes_key: short}}\n", want: []string{"channels.main.aes_key", "43"}},
		"ChannelToken":       {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: a b}}\n", want: []string{"channels.main.token", "3 to 32"}},
		"ChannelURL":         {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: abc, api_url: here}}\n", want: []string{"channels.main.api_url"}},
		"ChannelTwice":       {file: "channels: {a: {kind: wechat, app_id: wx, app_secret: s, token: abc}, b: {kind: wechat, app_id: wx, app_secret: s, token: abc}}\n", want: []string{"channels.b.app_id", "channel a already"}},
		"ChannelEnv":         {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: env:NOBODY, token: abc}}\n", want: []string{"1:", "channels.main.app_secret: the variable NOBODY is not set"}},
		"ChannelEnvName":     {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: \"env: X\", token: abc}}\n", want: []string{"env:WECHAT_SECRET"}},
		"ChannelOpenURL":     {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: abc, open_url: here}}\n", want: []string{"channels.main.open_url"}},
		"ChannelOriginalID":  {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: abc, original_id: tea}}\n", want: []string{"channels.main.original_id", "gh_"}},
		"ChannelLimit":       {file: "channels: {main: {kind: wechat, app_id: wx, app_secret: s, token: abc, daily_limits: {qrcode/creat: 5, user/info: many}}}\n", want: []string{"channels.main.daily_limits.qrcode/creat is not an interface", "did you mean qrcode/create?", "daily_limits.user/info: write how many"}},
		"ChannelName":        {file: "channels: {web: {kind: wechat, app_id: wx, app_secret: s, token: abc}}\n", want: []string{"channels.web", "needs no set-up"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := ""
			if test.file != "" {
				file = write(t, test.file)
			}
			_, err := Load(file, test.environ, test.flags)
			if _, ok := err.(Problems); !ok {
				t.Fatalf("got %v (%T), want Problems", err, err)
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hush") {
				t.Errorf("%q holds a line break or a password", err)
			}
		})
	}

	t.Run("AMissingFile", func(t *testing.T) {
		t.Parallel()
		if _, err := Load(filepath.Join(t.TempDir(), "no.yaml"), nil, nil); err == nil || !strings.Contains(err.Error(), "no.yaml") {
			t.Errorf("got %v", err)
		}
	})
}

func TestLink(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"127.0.0.1:8080": "http://127.0.0.1:8080", "0.0.0.0:80": "http://127.0.0.1:80", ":9": "http://127.0.0.1:9", "[::]:9": "http://127.0.0.1:9",
		"example.com:80": "http://example.com:80",
	} {
		if got := (Settings{Addr: addr}).Link(nil); got != want {
			t.Errorf("%s is reached at %s, want %s", addr, got, want)
		}
	}
	listening := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4711}
	if got := (Settings{Addr: "127.0.0.1:0"}).Link(listening); got != "http://127.0.0.1:4711" {
		t.Errorf("a free port is shown as %s", got)
	}
	if got := (Settings{PublicURL: "https://a.example"}).Link(listening); got != "https://a.example" {
		t.Errorf("the public address is shown as %s", got)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()

	t.Run("IsMadeOnceWhoeverComesFirst", func(t *testing.T) {
		t.Parallel()
		s := Settings{DatabaseURL: "sqlite://x", DataDir: filepath.Join(t.TempDir(), "new")}
		keys := make([]string, 16)
		var all sync.WaitGroup
		for i := range keys {
			all.Go(func() {
				key, err := s.Secret()
				if err != nil {
					t.Error(err)
				}
				keys[i] = string(key)
			})
		}
		all.Wait()
		for _, key := range keys {
			if len(key) != 32 || key != keys[0] {
				t.Fatal("the keys differ")
			}
		}
		files, _ := os.ReadDir(s.DataDir)
		if len(files) != 1 || files[0].Name() != "secret.key" {
			t.Errorf("left in the directory: %v", files)
		}
		if info, err := files[0].Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode is %v", info.Mode())
		}
	})

	t.Run("IsTheOneThatWasSet", func(t *testing.T) {
		t.Parallel()
		want := strings.Repeat("k", 32)
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			s, err := Load("", []string{"KFACTOR_DATABASE_URL=mysql://u@h/n", "KFACTOR_SECRET_KEY=" + encoding.EncodeToString([]byte(want))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if key, err := s.Secret(); err != nil || string(key) != want {
				t.Errorf("got %q, %v", key, err)
			}
		}
	})

	t.Run("IsRequiredWithMySQL", func(t *testing.T) {
		t.Parallel()
		s := Settings{DatabaseURL: "mysql://u@h/n", DataDir: t.TempDir()}
		if _, err := s.Secret(); err == nil || !strings.Contains(err.Error(), "KFACTOR_SECRET_KEY is required") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("IsNeverReplacedWhenDamaged", func(t *testing.T) {
		t.Parallel()
		s := Settings{DatabaseURL: "sqlite://x", DataDir: t.TempDir()}
		path := filepath.Join(s.DataDir, "secret.key")
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Secret(); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("got %v", err)
		}
		if text, _ := os.ReadFile(path); string(text) != "half" {
			t.Error("the file was changed")
		}
	})
}

func FuzzLoad(f *testing.F) {
	f.Add("log: info\nchannels: {main: {kind: wechat}}\n")
	f.Add("? a\n: b\n")
	f.Add("- &a [*a]\n")
	f.Add("channels: {? [a] : b}\n")
	f.Fuzz(func(t *testing.T, text string) {
		path := filepath.Join(t.TempDir(), "kfactor.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path, nil, nil); err != nil {
			if _, ok := err.(Problems); !ok {
				t.Errorf("got %T", err)
			}
		}
	})
}
