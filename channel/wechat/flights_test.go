package wechat

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/wire"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/settings"
)

// slowPlatform answers codes, uploads and messages after a while, and counts them.
type slowPlatform struct {
	codes, uploads, sent atomic.Int64
	said                 chan string
}

func (p *slowPlatform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(30 * time.Millisecond)
	switch r.URL.Path {
	case "/cgi-bin/stable_token":
		fmt.Fprint(w, `{"access_token":"t","expires_in":7200}`)
	case "/cgi-bin/qrcode/create":
		fmt.Fprintf(w, `{"ticket":"k","expire_seconds":2592000,"url":"http://weixin.qq.com/q/%d"}`, p.codes.Add(1))
	case "/cgi-bin/media/upload":
		fmt.Fprintf(w, `{"type":"image","media_id":"m%d","created_at":1}`, p.uploads.Add(1))
	case "/cgi-bin/message/custom/send":
		body := make([]byte, 4096)
		n, _ := r.Body.Read(body)
		p.sent.Add(1)
		p.said <- string(body[:n])
		fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
	}
}

// stations are one account in several processes.
func stations(t *testing.T, db *gorm.DB, p *slowPlatform, n int) []*station {
	t.Helper()
	p.said = make(chan string, 100)
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	var all []*station
	for range n {
		a, err := Open(Config{DB: db, Secret: make([]byte, 32), Accounts: map[string]settings.Channel{
			"main": {Kind: "wechat", AppID: "wx1", AppSecret: "s", Token: "token", APIURL: server.URL},
		}})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a.stations["main"])
	}
	return all
}

func TestFlights(t *testing.T) {
	t.Parallel()

	t.Run("ACodeIsMadeOnceForAllWhoAsk", func(t *testing.T) {
		t.Parallel()
		p := &slowPlatform{}
		all := stations(t, databasetest.SQLite(t), p, 1)
		var group sync.WaitGroup
		for range 20 {
			group.Go(func() {
				link, until, err := all[0].accounts.Channel("main").CodeLink(t.Context(), "7K2M9QX4TB")
				if err != nil || link != "http://weixin.qq.com/q/1" || time.Until(until) < 29*24*time.Hour {
					t.Error(link, until, err)
				}
			})
		}
		group.Wait()
		if p.codes.Load() != 1 {
			t.Errorf("%d codes", p.codes.Load())
		}
	})

	t.Run("APermanentCodeReplacesOneThatEndsAndIsKept", func(t *testing.T) {
		t.Parallel()
		p := &slowPlatform{}
		a := stations(t, databasetest.SQLite(t), p, 1)[0].accounts
		if _, _, err := a.Channel("main").CodeLink(t.Context(), "7K2M9QX4TB"); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if link, err := a.PermanentLink(t.Context(), "main", "7K2M9QX4TB"); err != nil || link != "http://weixin.qq.com/q/2" {
				t.Error(link, err)
			}
		}
	})

	t.Run("APictureIsUploadedOnceForAllProcesses", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			p := &slowPlatform{}
			all := stations(t, db, p, 3)
			var drawn atomic.Int64
			var group sync.WaitGroup
			for i := range 12 {
				group.Go(func() {
					id, err := all[i%len(all)].media(t.Context(), "poster x", rankPoster, "jpeg", func() ([]byte, error) {
						drawn.Add(1)
						return []byte("picture"), nil
					})
					if err != nil || id != "m1" {
						t.Error(id, err)
					}
				})
			}
			group.Wait()
			if p.uploads.Load() != 1 || drawn.Load() != 1 {
				t.Errorf("%d uploads, %d drawn", p.uploads.Load(), drawn.Load())
			}
			if err := all[0].loseMedia(t.Context(), "poster x", "m1"); err != nil {
				t.Fatal(err)
			}
			if id, err := all[1].media(t.Context(), "poster x", rankPoster, "jpeg", func() ([]byte, error) { return []byte("picture"), nil }); err != nil || id != "m2" {
				t.Error(id, err)
			}
		})
	})

	t.Run("AnUploadThatFailedIsTriedByTheNext", func(t *testing.T) {
		t.Parallel()
		all := stations(t, databasetest.SQLite(t), &slowPlatform{}, 1)
		_, err := all[0].media(t.Context(), "poster x", rankPoster, "jpeg", func() ([]byte, error) { return nil, context.DeadlineExceeded })
		if err == nil {
			t.Fatal("it did not fail")
		}
		if id, err := all[0].media(t.Context(), "poster x", rankPoster, "jpeg", func() ([]byte, error) { return []byte("picture"), nil }); err != nil || id != "m1" {
			t.Error(id, err)
		}
	})
}

func TestLateAnswer(t *testing.T) {
	t.Parallel()
	p := &slowPlatform{}
	s := stations(t, databasetest.SQLite(t), p, 1)[0]
	c := s.accounts.Serve(nil)
	d := c.desks["main"]
	now := s.accounts.now()
	row := s.accounts.newFan("main", "oAlice", now)
	row.Follows = true
	row.open(afterText, now, now)
	if err := s.accounts.DB.Create(&row).Error; err != nil {
		t.Fatal(err)
	}
	h := &hearing{push: wire.Push{From: "oAlice", To: "gh_1"}, at: now, visitor: visitor{openid: "oAlice"}}

	t.Run("WhatIsQuickIsTheReply", func(t *testing.T) {
		h.ask = func(context.Context) string { return "quick" }
		if got := d.askInTime(t.Context(), h, time.Now()); !strings.Contains(string(got), "quick") {
			t.Errorf("%s", got)
		}
	})
	t.Run("WhatIsSlowComesAsAMessage", func(t *testing.T) {
		found := make(chan struct{})
		h.ask = func(context.Context) string {
			<-found
			return "slow"
		}
		if got := d.askInTime(t.Context(), h, time.Now().Add(-answerTime)); got != nil {
			t.Errorf("%s", got)
		}
		close(found)
		select {
		case said := <-p.said:
			if !strings.Contains(said, "slow") || !strings.Contains(said, "oAlice") {
				t.Error(said)
			}
		case <-time.After(10 * time.Second):
			t.Error("it did not come")
		}
	})
	t.Run("WhenTooManyAskTheyAreToldSo", func(t *testing.T) {
		for range mostLate {
			c.late <- struct{}{}
		}
		if got := d.askInTime(t.Context(), h, time.Now()); !strings.Contains(string(got), tongues[setup.Chinese].busy) {
			t.Errorf("%s", got)
		}
	})
}
