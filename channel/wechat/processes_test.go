package wechat_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat"
	"kfactor/channel/wechat/twin"
	"kfactor/internal/database"
	"kfactor/internal/database/databasetest"
)

func TestProcesses(t *testing.T) {
	t.Parallel()

	t.Run("APushThatTwoProcessesAreToldAtOnceCountsOnce", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, plain, "main")
			h.launch(definition())
			other := h.server
			h.serve()
			waitForCampaigns(t, h, 1)
			const fans = 30
			answers := [2][fans]string{}
			var group sync.WaitGroup
			for i := range fans {
				push := h.pushed(fmt.Sprintf("oFan%024d", i), happened("subscribe", ""))
				for p, server := range []string{other.URL, h.server.URL} {
					group.Go(func() {
						status, body := h.doAt(server, call{nonce: fmt.Sprintf("n%d-%d", p, i), body: push})
						if status != http.StatusOK {
							t.Errorf("status %d", status)
						}
						answers[p][i] = body
					})
				}
			}
			group.Wait()
			if answers[0] != answers[1] || !strings.Contains(answers[0][0], "专属海报") {
				t.Errorf("the two answered differently: %q", answers)
			}
			if err := h.engine.SweepOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := len(h.outcomes("c")); n != fans {
				t.Errorf("%d events", n)
			}
			if n := len(h.messages()); n != fans {
				t.Errorf("%d messages", n)
			}
			if n := h.kept(); n != fans {
				t.Errorf("%d pushes are kept", n)
			}
		})
	})

	t.Run("TwoProcessesSendEachMessageOnce", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, nil, "main")
			h.launch(definition())
			both := []*wechat.Channels{h.Channels}
			h.serve()
			both = append(both, h.Channels)
			var fans []*twin.Fan
			for range 24 {
				f := h.twins["main"].AddFan("人")
				h.follow(f, "")
				fans = append(fans, f)
			}
			var group sync.WaitGroup
			for _, c := range both {
				group.Go(func() {
					if _, err := c.Deliver(t.Context(), "main"); err != nil {
						t.Error(err)
					}
				})
			}
			group.Wait()
			h.settle()
			for _, f := range fans {
				equal(t, seen(t, f), []string{"reply text 这是你的专属海报。", "custom image <poster>"})
			}
		})
	})

	t.Run("WhatFailsBeforeTheAnswerIsDoneAgain", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), plain, "main")
		h.launch(definition())
		// The last thing before the answer does not get on disk, as when the process ends there.
		const cut = "CREATE TRIGGER cut BEFORE INSERT ON channel_pushes BEGIN SELECT RAISE(ABORT, 'cut'); END"
		if err := h.db.Exec(cut).Error; err != nil {
			t.Fatal(err)
		}
		push := h.pushed("oAlice0000000000000000000001", happened("subscribe", ""))
		if status, body := h.do(call{nonce: "n", body: push}); status != http.StatusServiceUnavailable || body != "" {
			t.Errorf("%d %q", status, body)
		}
		if n := len(h.messages()); n != 1 { // what is owed was on disk already
			t.Errorf("%d messages", n)
		}
		h.settle() // somebody looks at it before the platform comes again
		if err := h.db.Exec("DROP TRIGGER cut").Error; err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(5 * time.Second)
		if status, body := h.do(call{nonce: "n2", body: push}); status != http.StatusOK || !strings.Contains(body, "专属海报") {
			t.Errorf("%d %q", status, body)
		}
		h.settle()
		equal(t, h.outcomes("c"), []string{"subscribe no_inviter"})
		equal(t, h.messages(), []string{"poster joined unsent no_user"}) // for the platform does not know this openid
	})

	t.Run("ARepeatedPushWakesWhatTheFirstLeftWaiting", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), plain, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		if err := main.SetCallback(t.Context(), ""); err != nil { // the pushes are made by hand
			t.Fatal(err)
		}
		h.follow(ann, "")
		stall := func(name, when string) (mend func()) {
			t.Helper()
			if err := h.db.Exec("CREATE TRIGGER " + name + " BEFORE " + when + " BEGIN SELECT RAISE(ABORT, 'stall'); END").Error; err != nil {
				t.Fatal(err)
			}
			return func() {
				t.Helper()
				if err := h.db.Exec("DROP TRIGGER " + name).Error; err != nil {
					t.Fatal(err)
				}
			}
		}
		push := call{body: h.pushed(ann.OpenID, happened("subscribe", ""))}
		// The poster is owed before the push is on disk, and whoever looks at it finds no window yet.
		mend := stall("pushes", "INSERT ON channel_pushes")
		if status, _ := h.do(push); status != http.StatusServiceUnavailable {
			t.Fatal(status)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined waiting no_window"})
		mend()
		// The next try gets everything on disk, and nobody is told.
		mend = stall("windows", "UPDATE ON messages WHEN OLD.state = 'waiting' AND NEW.state = 'owed'")
		h.clock.Advance(5 * time.Second)
		if status, _ := h.do(push); status != http.StatusOK || h.kept() != 1 {
			t.Fatal(status, h.kept())
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined waiting no_window"})
		mend()
		h.clock.Advance(5 * time.Second)
		if status, _ := h.do(push); status != http.StatusOK {
			t.Fatal(status)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
		equal(t, seen(t, ann), []string{"custom image <poster>"})
	})

	t.Run("WhatADeadProcessWasSendingIsSentByAnotherWithinTheFansMinute", func(t *testing.T) {
		t.Parallel()
		address := "sqlite://" + filepath.Join(t.TempDir(), "kfactor.db")
		dying := databasetest.Migrated(t, address)
		h := open(t, dying, nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		first := h.Channels
		first.SetLease(time.Second)
		h.db = databasetest.Migrated(t, address)
		h.serve()
		waitForCampaigns(t, h, 1)
		if err := main.Inject(twin.Fault{Path: uploading, Failure: twin.Slow, Delay: 3 * time.Second, Times: 1}); err != nil {
			t.Fatal(err)
		}
		ann := main.AddFan("安")
		h.follow(ann, "")
		ended := make(chan error)
		go func() {
			_, err := first.Deliver(t.Context(), "main")
			ended <- err
		}()
		until(t, "the upload has begun", func() bool {
			var n int64
			if err := h.db.Table("channel_media").Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			return n == 1
		})
		if err := database.Close(dying); err != nil { // no lease is renewed from here on
			t.Fatal(err)
		}
		if _, err := h.Deliver(t.Context(), "main"); err != nil {
			t.Fatal(err)
		}
		equal(t, h.messages(), []string{"poster joined taken"})
		h.clock.Advance(15 * time.Second)
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
		<-ended // without an error and without a second poster: what is another's is let go
		equal(t, seen(t, ann), []string{"reply text 这是你的专属海报。", "custom image <poster>"})
	})

	t.Run("WhatASlowProcessIsSendingIsSentByNobodyElse", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		first := h.Channels
		first.SetLease(time.Second)
		h.serve()
		waitForCampaigns(t, h, 1)
		if err := main.Inject(twin.Fault{Path: uploading, Failure: twin.Slow, Delay: 3 * time.Second, Times: 1}); err != nil {
			t.Fatal(err)
		}
		ann := main.AddFan("安")
		h.follow(ann, "")
		h.clock.Run()
		ended := make(chan error)
		go func() {
			_, err := first.Deliver(t.Context(), "main")
			ended <- err
		}()
		until(t, "the message is taken", func() bool { return h.messages()[0] == "poster joined taken" })
		for more := true; more; {
			select {
			case err := <-ended:
				if more = false; err != nil {
					t.Error(err)
				}
			case <-time.After(50 * time.Millisecond):
				if _, err := h.Deliver(t.Context(), "main"); err != nil {
					t.Error(err)
				}
			}
		}
		equal(t, h.messages(), []string{"poster joined sent"})
		equal(t, seen(t, ann), []string{"reply text 这是你的专属海报。", "custom image <poster>"})
		if n := h.calls(sending).Calls; n != 1 {
			t.Errorf("%d messages were sent", n)
		}
	})
}

// until waits for something to become so.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}
