package wechat_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/twin"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/internal/settings"
)

// BenchmarkCallback has b.N people follow through the code of one participant, 1,500 a second: the heaviest push there
// is, with two events, a message that is owed, a fan and the push itself. In "alone" nothing else is done; in "at work"
// the process credits them, makes their codes and posters and sends them, and the platform that takes all this runs
// beside it. Run it with -benchtime=15000x or more.
func BenchmarkCallback(b *testing.B) {
	for _, stores := range []struct {
		name string
		db   func(testing.TB) *gorm.DB
	}{{"SQLite", databasetest.SQLite}, {"MySQL", databasetest.MySQL}} {
		b.Run(stores.name+"/alone", func(b *testing.B) { benchmarkCallback(b, stores.db(b), 1500, false) })
		b.Run(stores.name+"/at work", func(b *testing.B) { benchmarkCallback(b, stores.db(b), 1500, true) })
	}
}

func benchmarkCallback(b *testing.B, db *gorm.DB, perSecond int, atWork bool) {
	const token, key, appID, secret = "FissionToken2026", "Zk3Xq8Lr5Tn0Vb7Wc1Yd9Pe4Mg6Ha2Js8Ku3Fi5Oo7Q", "wx0123456789abcdef", "0123456789abcdef0123456789abcdef"
	platform, err := twin.New(twin.Config{AppID: appID, Secret: secret, Token: token, AESKey: key, Seed: 1, MaxFans: b.N + 1})
	if err != nil {
		b.Fatal(err)
	}
	defer platform.Close()
	served := httptest.NewServer(platform.Handler())
	defer served.Close()
	accounts, err := wechat.Open(wechat.Config{
		DB: db, Secret: make([]byte, 32), PublicURL: "https://k.example",
		Accounts: map[string]settings.Channel{"main": {Kind: "wechat", AppID: appID, AppSecret: secret, Token: token, AESKey: key, APIURL: served.URL}},
	})
	if err != nil {
		b.Fatal(err)
	}
	wakes, err := queue.Open(queue.Embedded, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer wakes.Close()
	var channels *wechat.Channels
	e, err := engine.New(engine.Config{
		DB: db, Secret: make([]byte, 32), DataDir: b.TempDir(), PublicURL: "https://k.example", Queue: wakes,
		Channels: map[string]engine.Channel{"main": accounts.Channel("main")},
		Deliver:  func(ctx context.Context, channel string) (bool, error) { return channels.Deliver(ctx, channel) },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	channels = accounts.Serve(e)
	handler := channels.Callback("main")
	if atWork {
		working, stop := context.WithCancel(b.Context())
		var work sync.WaitGroup
		work.Go(func() { _ = e.Run(working) })
		defer work.Wait()
		defer stop()
	}
	now := time.Now()
	day := now.Format(time.DateOnly)
	if _, err := e.CreateCampaign(b.Context(), []byte(definition("2026-09-01", day, "2026-12-01", now.AddDate(0, 1, 0).Format(time.DateOnly))), "test.yaml", "tester"); err != nil {
		b.Fatal(err)
	}
	if _, err := e.Turn(b.Context(), "c", "launch", "tester"); err != nil {
		b.Fatal(err)
	}
	inviter, _, err := e.Join(b.Context(), "c", engine.Joining{User: "oInviter"})
	if err != nil {
		b.Fatal(err)
	}
	crypt, err := wire.NewCrypt(token, key, appID)
	if err != nil {
		b.Fatal(err)
	}
	requests := make([]*http.Request, b.N)
	stamp := strconv.FormatInt(now.Unix(), 10)
	for i := range requests {
		fan := platform.AddFan("fan")
		if err := fan.Follow(b.Context()); err != nil { // which is told to nobody: the pushes are below
			b.Fatal(err)
		}
		nonce := strconv.Itoa(i)
		sealed, err := crypt.Seal(fmt.Appendf(nil, "<xml><ToUserName>gh_1</ToUserName><FromUserName>%s</FromUserName><CreateTime>%s</CreateTime>"+
			"<MsgType>event</MsgType><Event>subscribe</Event><EventKey>qrscene_%s</EventKey></xml>", fan.OpenID, stamp, inviter.Code), now.Unix(), nonce)
		if err != nil {
			b.Fatal(err)
		}
		q := url.Values{
			"timestamp": {stamp}, "nonce": {nonce}, "signature": {wire.Signature(token, stamp, nonce)}, "encrypt_type": {"aes"},
			"msg_signature": {signatureIn(sealed)},
		}
		requests[i] = httptest.NewRequest(http.MethodPost, "/wechat/main?"+q.Encode(), bytes.NewReader(sealed))
	}
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	var group sync.WaitGroup
	began := time.Now()
	for i := range requests {
		due := time.Duration(i) * time.Second / time.Duration(perSecond)
		if wait := due - time.Since(began); wait > 0 {
			time.Sleep(wait) // the rate is what is measured
		}
		group.Go(func() {
			answer := httptest.NewRecorder()
			handler.ServeHTTP(answer, requests[i])
			took[i] = time.Since(began) - due // a late start counts too
			if answer.Code != http.StatusOK {
				b.Errorf("status %d", answer.Code)
			}
		})
	}
	group.Wait()
	b.StopTimer()
	slices.Sort(took)
	at := func(share float64) float64 {
		return took[min(int(share*float64(len(took))), len(took)-1)].Seconds() * 1000
	}
	b.ReportMetric(at(0.5), "ms-p50")
	b.ReportMetric(at(0.99), "ms-p99")
	b.ReportMetric(at(0.999), "ms-p99.9")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "pushes/s")
}

// signatureIn is the MsgSignature of an envelope.
func signatureIn(sealed []byte) string {
	_, rest, _ := bytes.Cut(sealed, []byte("<MsgSignature><![CDATA["))
	signature, _, _ := bytes.Cut(rest, []byte("]]>"))
	return string(signature)
}
