package wechat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/client"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/settings"
)

// counter is a platform that counts calls of a day its own way.
type counter struct {
	limit, used, asked atomic.Int64
	full, silent       atomic.Bool
}

func (p *counter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/cgi-bin/stable_token":
		fmt.Fprint(w, `{"access_token":"t","expires_in":7200}`)
	case "/cgi-bin/openapi/quota/get":
		p.asked.Add(1)
		if p.silent.Load() {
			fmt.Fprint(w, `{"errcode":76003,"errmsg":"not now"}`)
			return
		}
		fmt.Fprintf(w, `{"errcode":0,"quota":{"daily_limit":%d,"used":%d,"remain":0},"rate_limit":{}}`, p.limit.Load(), p.used.Load())
	default:
		if p.full.Load() {
			fmt.Fprint(w, `{"errcode":45009,"errmsg":"reach max api daily quota limit rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`)
			return
		}
		p.used.Add(1)
		fmt.Fprint(w, `{"errcode":0,"errmsg":"ok"}`)
	}
}

// clocked is an account in a process with a clock of its own.
func clocked(t *testing.T, db *gorm.DB, url string, now func() time.Time) *station {
	t.Helper()
	a, err := Open(Config{DB: db, Secret: make([]byte, 32), Now: now, Accounts: map[string]settings.Channel{
		"main": {Kind: "wechat", AppID: "wx1", AppSecret: "s", Token: "token", APIURL: url},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a.stations["main"]
}

func (s *station) say(ctx context.Context) error {
	return s.call(ctx, apiSend, rankPoster, func() error { return s.client.SendText(ctx, "oAnn", "hello") })
}

func TestLimits(t *testing.T) {
	t.Parallel()
	noon := time.Date(2026, 9, 2, 4, 0, 0, 0, time.UTC)

	t.Run("WhoeverCallsKnowsThemAndOneAsks", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			p := &counter{}
			p.limit.Store(20)
			p.used.Store(3) // by another program
			server := httptest.NewServer(p)
			t.Cleanup(server.Close)
			var group sync.WaitGroup
			var made atomic.Int64
			var all []*station
			for range 3 {
				all = append(all, clocked(t, db, server.URL, func() time.Time { return noon }))
			}
			for _, s := range all {
				group.Go(func() {
					for s.say(t.Context()) == nil {
						made.Add(1)
					}
				})
			}
			group.Wait()
			if n := made.Load(); n != 15 || p.used.Load() != 18 || p.asked.Load() != 1 {
				t.Errorf("%d calls were made, %d are used of the 18 that may be; it was asked %d times", n, p.used.Load(), p.asked.Load())
			}
		})
	})

	t.Run("WhatCouldNotBeLearnedIsAskedAgainWithinMinutes", func(t *testing.T) {
		t.Parallel()
		p := &counter{}
		p.limit.Store(20)
		p.silent.Store(true)
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		var past atomic.Int64
		s := clocked(t, databasetest.SQLite(t), server.URL, func() time.Time { return noon.Add(time.Duration(past.Load())) })
		asked := func(after time.Duration) int64 {
			t.Helper()
			past.Store(int64(after))
			if err := s.say(t.Context()); err != nil {
				t.Fatal(err)
			}
			return p.asked.Load()
		}
		for _, at := range []struct {
			after time.Duration
			asked int64
		}{{0, 1}, {59 * time.Second, 1}, {time.Minute, 2}, {2 * time.Minute, 2}, {3 * time.Minute, 3}, {6 * time.Minute, 3}, {7 * time.Minute, 4}} {
			if n := asked(at.after); n != at.asked {
				t.Errorf("after %v it was asked %d times, not %d", at.after, n, at.asked)
			}
		}
		p.silent.Store(false)
		if n := asked(15 * time.Minute); n != 5 || s.quotas[apiSend].limit != 20 {
			t.Errorf("it was asked %d times, and the limit is %d", n, s.quotas[apiSend].limit)
		}
		if n := asked(74 * time.Minute); n != 5 {
			t.Errorf("it was asked %d times within the hour", n)
		}
		if n := asked(75 * time.Minute); n != 6 {
			t.Errorf("it was asked %d times, and an hour is over", n)
		}
	})

	t.Run("ARefusalHasThemAskedForAgain", func(t *testing.T) {
		t.Parallel()
		p := &counter{}
		p.limit.Store(1000)
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		var past atomic.Int64
		s := clocked(t, databasetest.SQLite(t), server.URL, func() time.Time { return noon.Add(time.Duration(past.Load())) })
		p.full.Store(true)
		if err := s.say(t.Context()); client.CodeOf(err) != client.CodeDailyQuota {
			t.Fatal(err)
		}
		var spent *spentError
		if err := s.say(t.Context()); !errors.As(err, &spent) || !spent.paused || !spent.until.Equal(noon.Add(time.Hour)) {
			t.Fatal(err)
		}
		if n := p.asked.Load(); n != 2 {
			t.Errorf("it was asked %d times", n)
		}
		p.full.Store(false) // somebody had the quotas cleared
		past.Store(int64(time.Hour))
		if err := s.say(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("AFastClockAtMidnightCostsMinutes", func(t *testing.T) {
		t.Parallel()
		midnight := time.Date(2026, 9, 2, 16, 0, 0, 0, time.UTC)
		p := &counter{}
		p.limit.Store(1000)
		p.used.Store(1000) // of the day that ends
		p.full.Store(true)
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		var past atomic.Int64 // since three minutes before midnight
		platform := func() time.Time { return midnight.Add(-3*time.Minute + time.Duration(past.Load())) }
		db := databasetest.SQLite(t)
		fast := clocked(t, db, server.URL, func() time.Time { return platform().Add(4 * time.Minute) })
		right := clocked(t, db, server.URL, platform)
		if err := fast.say(t.Context()); client.CodeOf(err) != client.CodeDailyQuota {
			t.Fatal(err)
		}
		p.full.Store(false) // in the platform's new day
		p.used.Store(0)
		past.Store(int64(10 * time.Minute))
		for name, s := range map[string]*station{"fast": fast, "right": right} {
			if err := s.say(t.Context()); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		// Later in the day what the platform says of it is believed.
		p.used.Store(1000)
		past.Store(int64(40 * time.Minute))
		var spent *spentError
		for name, s := range map[string]*station{"fast": fast, "right": right} {
			s.quotas[apiSend].last = 0 // what it has set aside
			if err := s.say(t.Context()); !errors.As(err, &spent) || spent.paused || !spent.until.Equal(midnight.AddDate(0, 0, 1)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("WhatIsCalledIsToldApartFromWhatIsSetAside", func(t *testing.T) {
		t.Parallel()
		p := &counter{}
		p.limit.Store(100_000)
		server := httptest.NewServer(p)
		t.Cleanup(server.Close)
		db := databasetest.SQLite(t)
		s := clocked(t, db, server.URL, func() time.Time { return noon })
		c := s.accounts.Serve(nil)
		for range 7 {
			if err := s.say(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		beside := clocked(t, db, server.URL, func() time.Time { return noon }).accounts.Serve(nil) // as the command is
		all, err := beside.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range all[0].Quotas {
			switch api(q.API) {
			case apiSend:
				if q.Used != 7 || q.SetAside != 93 || q.Limit != 100_000 || q.LimitFrom != LimitPlatform || !q.LimitAt.Equal(noon) || q.Usable != 90_000 {
					t.Errorf("%+v", q)
				}
			case apiUpload:
				if q.Used != 0 || q.SetAside != 0 || q.LimitFrom != LimitAssumed || q.LimitAt != nil {
					t.Errorf("%+v", q)
				}
			}
		}
	})
}

func TestRefusedUntil(t *testing.T) {
	t.Parallel()
	at := func(clock string) time.Time {
		when, err := time.ParseInLocation("02 15:04", clock, china)
		if err != nil {
			t.Fatal(err)
		}
		return when
	}
	for now, want := range map[string]string{
		"01 00:00": "01 00:05", "01 00:29": "01 00:34", "01 00:30": "01 01:30", "01 12:00": "01 13:00", "01 23:10": "02 00:00", "01 23:59": "02 00:00",
	} {
		if got := refusedUntil(at(now)); !got.Equal(at(want)) {
			t.Errorf("at %s: %v, not %s", now, got.In(china), want)
		}
	}
}
