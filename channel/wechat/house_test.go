package wechat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/twin"
	"kfactor/engine"
	"kfactor/internal/settings"
	"kfactor/notify"
)

// began is when the tests' clocks begin: noon in China.
var began = time.Date(2026, 9, 2, 4, 0, 0, 0, time.UTC)

// house is an engine with accounts at work, and the platform that they are accounts of.
type house struct {
	*wechat.Channels
	t      *testing.T
	db     *gorm.DB
	clock  *twin.Clock
	twins  map[string]*twin.Twin
	engine *engine.Engine
	server *httptest.Server
	log    lines
}

// lines are what was logged.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

// logged is how many lines of the log hold a text.
func (h *house) logged(text string) int {
	h.log.mu.Lock()
	defer h.log.mu.Unlock()
	return strings.Count(h.log.text.String(), text)
}

// platform makes the twins of a house what its tests need.
type platform func(name string, c *twin.Config)

// plain is a platform that pushes in the open.
func plain(_ string, c *twin.Config) { c.Mode = twin.Plain }

// open builds a house with an account of each name. Its pushes are encrypted unless the platform says otherwise.
func open(t *testing.T, db *gorm.DB, with platform, names ...string) *house {
	t.Helper()
	h := &house{t: t, db: db, clock: twin.NewClockAt(began), twins: map[string]*twin.Twin{}}
	for i, name := range names {
		c := twin.Config{Seed: int64(i + 1), Mode: twin.Secure, Clock: h.clock, OpenPlatform: "one", PushTimeout: 5 * time.Second}
		if with != nil {
			with(name, &c)
		}
		one, err := twin.New(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(one.Close)
		served := httptest.NewServer(one.Handler())
		t.Cleanup(served.Close)
		one.SetBaseURL(served.URL)
		h.twins[name] = one
	}
	h.serve()
	return h
}

// serve starts a process over the house's database and lets the platform push to it.
func (h *house) serve() {
	h.t.Helper()
	configured := map[string]settings.Channel{}
	for name, one := range h.twins {
		c := one.Config()
		configured[name] = settings.Channel{
			Kind: "wechat", AppID: c.AppID, AppSecret: c.Secret, Token: c.Token, OriginalID: c.OriginalID, APIURL: one.BaseURL(), OpenURL: one.BaseURL(),
			DailyLimits: c.Quotas,
		}
		if c.Mode != twin.Plain {
			with := configured[name]
			with.AESKey = c.AESKey
			configured[name] = with
		}
	}
	accounts, err := wechat.Open(wechat.Config{
		DB: h.db, Secret: make([]byte, 32), Accounts: configured, PublicURL: "https://k.example", Now: h.clock.Now,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	channels, err := accounts.Channels(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	h.engine, err = engine.New(engine.Config{
		DB: h.db, Secret: make([]byte, 32), DataDir: h.t.TempDir(), PublicURL: "https://k.example", Now: h.clock.Now, Channels: channels,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { h.engine.Close() })
	h.Channels = accounts.Serve(h.engine)
	mux := http.NewServeMux()
	for name := range h.twins {
		mux.Handle("/wechat/"+name, h.Callback(name))
	}
	h.server = httptest.NewServer(mux)
	h.t.Cleanup(h.server.Close)
	for name, one := range h.twins {
		if err := one.SetCallback(h.ctx(), h.server.URL+"/wechat/"+name); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *house) ctx() context.Context { return h.t.Context() }

// definition is a campaign on the account main; replaces are pairs of old and new text.
func definition(replaces ...string) string {
	return strings.NewReplacer(replaces...).Replace(`campaign: c
name: 金秋
channel: main
schedule: {starts: 2026-09-01T00:00:00+08:00, ends: 2026-12-01T00:00:00+08:00, timezone: Asia/Shanghai}
join: {on_subscribe: true, keywords: [领海报], menu_key: POSTER}
poster:
  size: [750, 1334]
  background: "#FFFFFF"
  layers:
    - qr: {at: [175, 600], size: 400}
tasks:
  invite: {title: 邀请好友, on: subscribe, credit: inviter, new_users_only: true, revoke_on: unsubscribe}
tiers:
  - {name: 铜牌, requires: {invite: 2}, rewards: [gift]}
rewards:
  gift: {kind: points, title: 积分, points: 10, stock: 100}
messages:
  joined: "{{nickname}},这是你的专属海报。"
  credited: "{{invitee}} 为你助力成功,还差 {{remaining}} 人。"
  tier_reached: "恭喜达成「{{tier}}」。"
  revoked: "{{invitee}} 取消了关注。"
`)
}

// launch creates and starts a campaign.
func (h *house) launch(yaml string) {
	h.t.Helper()
	view, err := h.engine.CreateCampaign(h.ctx(), []byte(yaml), "test.yaml", "tester")
	if err != nil {
		h.t.Fatal(err)
	}
	if _, err := h.engine.Turn(h.ctx(), view.ID, "launch", "tester"); err != nil {
		h.t.Fatal(err)
	}
}

// settle applies what happened and sends what is due, until nothing is.
func (h *house) settle() {
	h.t.Helper()
	for range 50 {
		if err := h.engine.SweepOnce(h.ctx()); err != nil {
			h.t.Fatal(err)
		}
		names, err := h.Names(h.ctx())
		if err != nil {
			h.t.Fatal(err)
		}
		for _, name := range names {
			for more := true; more; {
				if more, err = h.Deliver(h.ctx(), name); err != nil {
					h.t.Fatal(err)
				}
			}
		}
		var due int64
		err = h.db.Table("messages").Where("state IN ? AND due_at <= ?", []notify.State{notify.Owed, notify.Taken}, h.clock.Now().UnixMilli()).Count(&due).Error
		if err != nil {
			h.t.Fatal(err)
		}
		if due == 0 {
			return
		}
		if slices.ContainsFunc(h.status(), func(s wechat.AccountStatus) bool { return s.PausedUntil != nil }) {
			return
		}
	}
	h.t.Fatal("something is always due")
}

func (h *house) status() []wechat.AccountStatus {
	h.t.Helper()
	all, err := h.Status(h.ctx())
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// follow has a fan follow, through what a picture's code holds, or by themselves.
func (h *house) follow(f *twin.Fan, through string) {
	h.t.Helper()
	if through != "" {
		if _, err := f.Scan(h.ctx(), through); err != nil {
			h.t.Fatal(err)
		}
	}
	if err := f.Follow(h.ctx()); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) say(f *twin.Fan, text string) {
	h.t.Helper()
	if err := f.Say(h.ctx(), text); err != nil {
		h.t.Fatal(err)
	}
}

// seen is what the account has said to a fan: "way type text" of each, pictures by what their code holds.
func seen(t *testing.T, f *twin.Fan) []string {
	t.Helper()
	var said []string
	for _, m := range f.Chat() {
		if m.By == twin.ByFan {
			continue
		}
		text := m.Text
		if m.Type == "image" {
			text = "<poster>"
		}
		said = append(said, strings.TrimSpace(m.Way+" "+m.Type+" "+text))
	}
	return said
}

// poster is what the code on the last picture in a fan's chat holds.
func poster(t *testing.T, f *twin.Fan) string {
	t.Helper()
	chat := f.Chat()
	for i := range chat {
		m := chat[len(chat)-1-i]
		if m.Type != "image" || m.By == twin.ByFan {
			continue
		}
		img, _, err := image.Decode(bytes.NewReader(m.Image))
		if err != nil {
			t.Fatal(err)
		}
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		// This reader takes patterns within the data for a corner in three of a thousand codes; turned, the same code reads.
		for range 4 {
			if read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err == nil {
				return read.GetText()
			}
			if bitmap, err = bitmap.RotateCounterClockwise(); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatal("no QR code can be read on the poster")
	}
	t.Fatalf("%s has no poster: %q", f.Name, seen(t, f))
	return ""
}

// outcomes are the applied events of a campaign, in order: "type outcome" of each that is not the engine's own.
func (h *house) outcomes(campaign string) []string {
	h.t.Helper()
	list, err := h.engine.Events(h.ctx(), campaign, false, engine.Page{Limit: 1000}, true)
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, e := range list.Items {
		out = append(out, e.Type+" "+e.Outcome)
	}
	return out
}

// messages are all messages that were owed: "kind word state reason" of each.
func (h *house) messages() []string {
	h.t.Helper()
	var rows []struct{ Kind, Word, State, Reason string }
	if err := h.db.Table("messages").Order("no").Find(&rows).Error; err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, r := range rows {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Kind, r.Word, r.State, r.Reason)))
	}
	return out
}

// count is how many credits a fan's task in a campaign has.
func (h *house) count(campaign string, f *twin.Fan, task string) int {
	h.t.Helper()
	code, err := h.engine.CodeOfUser(h.ctx(), campaign, f.OpenID)
	if err != nil || code == "" {
		h.t.Fatalf("%s has no code: %v", f.Name, err)
	}
	v, err := h.engine.Participant(h.ctx(), campaign, code, true)
	if err != nil {
		h.t.Fatal(err)
	}
	return v.Tasks[task].Count
}

func equal[T comparable](t *testing.T, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		g, _ := json.MarshalIndent(got, "", " ")
		w, _ := json.MarshalIndent(want, "", " ")
		t.Errorf("got %s\nwant %s", g, w)
	}
}

// runOnce does what Run does, once.
func runOnce(t *testing.T, h *house) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	for i, end := 1, time.Now().Add(time.Minute); ; i++ {
		time.Sleep(10 * time.Millisecond)
		if i%100 == 0 {
			h.clock.Advance(time.Second) // what failed on a busy machine is tried again by the platform's time
		}
		var asked int64
		if err := h.db.Table("fans").Where("union_key IS NULL").Count(&asked).Error; err != nil {
			t.Fatal(err)
		}
		if asked == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("fans are not known from other accounts")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
