package wechat_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/twin"
	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
	"kfactor/notify"
)

const (
	sending   = "/cgi-bin/message/custom/send"
	making    = "/cgi-bin/qrcode/create"
	uploading = "/cgi-bin/media/upload"
	fetching  = "/cgi-bin/stable_token"
)

func (h *house) calls(path string) twin.APIStatistics { return h.twins["main"].Statistics().APIs[path] }

func TestPlatform(t *testing.T) {
	t.Parallel()

	t.Run("APushThatComesTwiceCountsOnceAndIsAnsweredAlike", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, nil, "main")
			h.launch(definition())
			main := h.twins["main"]
			ann := main.AddFan("安")
			main.DuplicatePushes(10)
			h.follow(ann, "")
			h.settle()
			h.clock.Advance(20 * time.Second)
			h.say(ann, "领海报")
			h.settle()
			equal(t, h.outcomes("c"), []string{"subscribe no_inviter"})
			equal(t, h.messages(), []string{"poster joined sent", "poster joined sent"})
			if n := h.kept(); n != 2 {
				t.Errorf("%d pushes are kept", n)
			}
			if s := main.Statistics(); s.Repeats != 2 || s.Wrong != 0 {
				t.Errorf("%+v", s)
			}
			// The second poster is the same picture, uploaded once.
			if n := h.calls(uploading).Calls; n != 1 {
				t.Errorf("%d uploads", n)
			}
			if n := h.calls(making).Calls; n != 1 {
				t.Errorf("%d codes", n)
			}
		})
	})

	t.Run("WhatWasOwedWhileThePlatformWasDownIsSentAfterwards", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		var fans []*twin.Fan
		for range 12 {
			fans = append(fans, main.AddFan("人"))
		}
		for _, f := range fans {
			h.follow(f, "")
		}
		if err := main.Down(time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, f := range fans[:6] { // these have a window of 48 hours
			h.say(f, "领海报")
		}
		for range 4 {
			h.settle()
			h.clock.Advance(15 * time.Minute)
		}
		attempts := h.calls(sending).Calls + h.calls(fetching).Calls
		if attempts > 40 {
			t.Errorf("%d calls while nobody answered", attempts)
		}
		h.clock.Advance(7 * time.Minute)
		h.settle()
		for i, f := range fans {
			if got := slices.Contains(seen(t, f), "custom image <poster>"); got != (i < 6) {
				t.Errorf("fan %d: %q", i, seen(t, f))
			}
		}
		h.say(fans[9], "你好") // whose minute had passed
		h.settle()
		if !slices.Contains(seen(t, fans[9]), "custom image <poster>") {
			t.Errorf("%q", seen(t, fans[9]))
		}
		for _, m := range h.messages() {
			if m != "poster joined sent" && m != "poster joined waiting no_window" {
				t.Error(m)
			}
		}
	})

	t.Run("WhoAsksAgainAndAgainWhileThePlatformIsDownGetsOnePoster", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		if err := main.Down(10 * time.Minute); err != nil {
			t.Fatal(err)
		}
		for n := range 5 {
			h.clock.Advance(time.Minute)
			h.say(ann, "领海报")
			if n == 2 {
				h.settle()
			}
		}
		explained, err := h.engine.Messages(t.Context(), "c", "", engine.Page{}, false)
		if err != nil || len(explained.Items) != 6 {
			t.Fatal(explained.Items, err)
		}
		for i, m := range explained.Items {
			if merged := m.State == notify.Merged; merged != (i < 5) || merged != strings.Contains(m.Why, "a newer message took its place") {
				t.Errorf("message %d stands at %s: %s", i, m.State, m.Why)
			}
		}
		h.clock.Advance(10 * time.Minute)
		h.settle()
		posters := 0
		for _, m := range seen(t, ann) {
			if m == "custom image <poster>" {
				posters++
			}
		}
		if posters != 1 {
			t.Errorf("%q", seen(t, ann))
		}
	})

	t.Run("ARevokedTokenIsReplacedOnceByAllProcesses", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		first := h.Channels
		h.serve() // another process
		var fans []*twin.Fan
		for range 20 {
			f := main.AddFan("人")
			h.follow(f, "")
			fans = append(fans, f)
		}
		h.settle()
		main.RevokeTokens()
		h.clock.Advance(20 * time.Second)
		before := h.calls(fetching).Calls
		for _, f := range fans {
			h.say(f, "进度")
			h.say(f, "领海报")
		}
		if err := h.engine.SweepOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for _, c := range []interface {
			Deliver(ctx context.Context, name string) (bool, error)
		}{first, h.Channels} {
			group.Go(func() {
				if _, err := c.Deliver(t.Context(), "main"); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		h.settle()
		for _, f := range fans {
			if said := seen(t, f); said[len(said)-1] != "custom image <poster>" || len(said) != 5 {
				t.Errorf("%q", said)
			}
		}
		if n := h.calls(fetching).Calls - before; n != 1 {
			t.Errorf("%d tokens were fetched", n)
		}
	})

	t.Run("ABannedAccountRaisesAnAlarmAndKeepsWhatIsOwed", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		main.Ban(sending)
		h.follow(ann, "")
		h.say(ann, "你好")
		h.settle()
		if a := h.status()[0]; !strings.Contains(a.Alarm, "48004") || a.AlarmAt == nil {
			t.Errorf("%+v", a)
		}
		equal(t, h.messages(), []string{"poster joined owed paused"})
		before := h.calls(sending).Calls
		h.clock.Advance(10 * time.Minute)
		h.settle()
		if h.calls(sending).Calls != before {
			t.Error("it was tried again at once")
		}
		main.Unban()
		h.clock.Advance(25 * time.Minute)
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
		if a := h.status()[0]; a.Alarm != "" {
			t.Errorf("%+v", a)
		}
	})

	t.Run("AnAlarmIsLoggedOnceForAsLongAsItLasts", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		main.Ban(sending)
		alarm, end := "the platform refuses this account's calls", "the platform takes calls again"
		for n := range 4 {
			f := main.AddFan("人")
			h.follow(f, "")
			h.say(f, "你好")
			h.settle()
			if calls := h.calls(sending).Calls; calls < int64(n+1) {
				t.Fatalf("%d calls, when it was to be tried for the %dth time", calls, n+1)
			}
			if made := h.calls(making); made.Calls-made.Refused != int64(n+1) {
				t.Fatalf("%+v: no code was made meanwhile", made)
			}
			if a := h.status()[0]; !strings.Contains(a.Alarm, "48004") {
				t.Errorf("%+v", a)
			}
			h.clock.Advance(31 * time.Minute)
		}
		if n := h.logged(alarm); n != 1 || h.logged(end) != 0 {
			t.Errorf("the alarm is in the log %d times, its end %d times", n, h.logged(end))
		}
		main.Unban()
		h.settle()
		if n := h.logged(end); n != 1 {
			t.Errorf("its end is in the log %d times", n)
		}
	})

	t.Run("AWrongSecretPausesTheAccount", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		if err := main.Inject(twin.Fault{Path: fetching, Code: 40125}); err != nil {
			t.Fatal(err)
		}
		for range 10 {
			h.follow(main.AddFan("人"), "")
		}
		h.settle()
		if a := h.status()[0]; !strings.Contains(a.Alarm, "40125") || a.PausedUntil == nil {
			t.Errorf("%+v", a)
		}
		if n := h.calls(fetching).Calls; n > 3 {
			t.Errorf("%d tokens were asked for", n)
		}
		main.Heal()
		h.clock.Advance(2 * time.Minute)
		h.settle()
		for _, m := range h.messages() {
			if m != "poster joined waiting no_window" {
				t.Error(m)
			}
		}
	})

	t.Run("ATokenThatIsRefusedUsesUpTheDayOfNoInterface", func(t *testing.T) {
		t.Parallel()
		for _, code := range []int{45009, 45011} {
			h := open(t, databasetest.SQLite(t), nil, "main")
			h.launch(definition())
			main := h.twins["main"]
			if err := main.Inject(twin.Fault{Path: fetching, Code: code}); err != nil {
				t.Fatal(err)
			}
			ann := main.AddFan("安")
			h.follow(ann, "")
			h.say(ann, "你好")
			h.settle()
			equal(t, h.messages(), []string{"poster joined owed paused"})
			a := h.status()[0]
			if a.PausedUntil == nil || !strings.Contains(a.Alarm, fmt.Sprint(code)) {
				t.Errorf("%+v", a)
			}
			for _, q := range a.Quotas {
				if q.PausedUntil != nil {
					t.Errorf("%d: %+v", code, q)
				}
			}
			main.Heal()
			h.clock.Advance(2 * time.Minute)
			h.settle()
			equal(t, h.messages(), []string{"poster joined sent"})
		}
	})

	t.Run("ATokenThatIsRefusedForAMomentIsTriedAgainInSeconds", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")                                                                     // whose window is open for a minute
		if err := main.Inject(twin.Fault{Path: sending, Code: 40001, Times: 2}); err != nil { // also with a new token
			t.Fatal(err)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined owed paused"})
		h.clock.Advance(5 * time.Second)
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
	})

	t.Run("AFullMinuteIsWaitedFor", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		h.say(ann, "你好")
		if err := main.Inject(twin.Fault{Path: sending, Code: 45011, Times: 1}); err != nil {
			t.Fatal(err)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined owed quota"})
		h.clock.Advance(61 * time.Second)
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
	})

	t.Run("AWindowThatThePlatformFindsShutIsWaitedFor", func(t *testing.T) {
		t.Parallel()
		for _, code := range []int{45015, 45047} {
			h := open(t, databasetest.SQLite(t), nil, "main")
			h.launch(definition())
			main := h.twins["main"]
			ann := main.AddFan("安")
			h.follow(ann, "")
			if err := main.Inject(twin.Fault{Path: sending, Code: code, Times: 1}); err != nil {
				t.Fatal(err)
			}
			h.settle()
			equal(t, h.messages(), []string{"poster joined waiting no_window"})
			h.say(ann, "在吗")
			h.settle()
			equal(t, h.messages(), []string{"poster joined sent"})
		}
	})

	t.Run("AnAnswerThatIsLostLosesNoMessage", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		h.say(ann, "你好")
		if err := main.Inject(twin.Fault{Path: sending, Failure: twin.Lost, Times: 1}); err != nil {
			t.Fatal(err)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined owed unreachable"})
		h.clock.Advance(5 * time.Second)
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
	})

	t.Run("APictureThatThePlatformLostIsUploadedAgain", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		if err := main.Inject(twin.Fault{Path: sending, Code: 40007, Times: 1}); err != nil {
			t.Fatal(err)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
		if n := h.calls(uploading).Calls; n != 2 {
			t.Errorf("%d uploads", n)
		}
	})

	t.Run("APictureThatThePlatformLosesEachTimeIsLeftAloneForAWhile", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		ann := main.AddFan("安")
		h.follow(ann, "")
		h.say(ann, "你好")
		if err := main.Inject(twin.Fault{Path: sending, Code: 40007}); err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			h.settle()
			equal(t, h.messages(), []string{"poster joined owed failed"})
			if uploads := h.calls(uploading).Calls; uploads != int64(2*n+2) {
				t.Errorf("%d uploads when it was tried %d times", uploads, n+1)
			}
			h.clock.Advance(20 * time.Second)
		}
		for range 10 {
			h.clock.Advance(10 * time.Minute)
			h.settle()
		}
		equal(t, h.messages(), []string{"poster joined unsent failed"})
		if uploads := h.calls(uploading).Calls; uploads > 16 {
			t.Errorf("%d uploads", uploads)
		}
	})

	t.Run("WhatThePlatformRefusesForGoodIsSaid", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		main := h.twins["main"]
		muted, blocked, gone := main.AddFan("静"), main.AddFan("黑"), main.AddFan("走")
		for _, f := range []*twin.Fan{muted, blocked, gone} {
			h.follow(f, "")
		}
		muted.Mute(true)
		blocked.Block(true)
		if err := main.SetCallback(t.Context(), ""); err != nil { // the platform's word of it comes late
			t.Fatal(err)
		}
		if err := gone.Unfollow(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.settle()
		equal(t, h.messages(), []string{"poster joined unsent refused", "poster joined unsent refused", "poster joined unsent not_following"})
	})
}

func TestBudgets(t *testing.T) {
	t.Parallel()

	t.Run("ABurstTenTimesTheQuotaIsKeptWithinItAndPostersGoFirst", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), func(_ string, c *twin.Config) {
			c.Quotas = map[string]int64{sending: 40}
		}, "main")
		h.launch(definition())
		main := h.twins["main"]
		inviter := main.AddFan("安")
		h.follow(inviter, "")
		h.settle()
		through := poster(t, inviter)
		h.say(inviter, "你好")
		for range 60 {
			f := main.AddFan("人")
			h.follow(f, through)
			h.say(f, "领海报")
			h.say(f, "你好")
			h.clock.Advance(16 * time.Second)
			if err := h.engine.SweepOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		h.settle()
		if n := h.calls(sending).Refused; n != 0 {
			t.Errorf("%d calls were refused: %v", n, h.calls(sending).Codes)
		}
		if n := h.calls(sending).Calls; n != 36 {
			t.Errorf("%d messages were sent, of 36 that may be", n)
		}
		for _, m := range h.messages() {
			if strings.HasSuffix(m, " sent") && !strings.HasPrefix(m, "poster") {
				t.Errorf("%q went before a poster", m)
			}
		}
		h.clock.Set(began.Add(13 * time.Hour)) // past midnight in China
		h.settle()
		if n := h.calls(sending); n.Refused != 0 || n.Calls < 60 {
			t.Errorf("%d messages were sent in two days, %d refused", n.Calls, n.Refused)
		}
		for _, m := range h.messages() {
			if !strings.HasSuffix(m, " sent") && !strings.HasSuffix(m, " owed quota") && !strings.HasSuffix(m, " waiting no_window") && !strings.HasSuffix(m, "merged superseded") {
				t.Error(m)
			}
		}
	})

	t.Run("ALimitThatOnlyThePlatformKnowsIsKept", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main") // whose workers' chores nobody does
		h.launch(definition())
		main := h.twins["main"]
		main.SetQuota(making, 10)
		for range 12 {
			h.follow(main.AddFan("人"), "")
		}
		h.settle()
		if n := h.calls(making); n.Calls != 9 || n.Refused != 0 {
			t.Errorf("%+v", n)
		}
	})

	t.Run("ANewMessageOpensAWindowForWhatWaits", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		ann := h.twins["main"].AddFan("安")
		h.follow(ann, "")
		h.clock.Advance(2 * time.Minute)
		h.settle()
		equal(t, h.messages(), []string{"poster joined waiting no_window"})
		h.say(ann, "在吗")
		h.settle()
		equal(t, h.messages(), []string{"poster joined sent"})
		if left, _ := ann.Allowance(); left != 4 {
			t.Errorf("%d messages are left", left)
		}
	})

	t.Run("NoMoreIsSentThanAFanAllows", func(t *testing.T) {
		t.Parallel()
		for _, separate := range []bool{false, true} {
			h := open(t, databasetest.SQLite(t), func(_ string, c *twin.Config) { c.SeparateWindows = separate }, "main")
			h.launch(definition())
			ann := h.twins["main"].AddFan("安")
			h.follow(ann, "")
			h.settle()
			for range 8 {
				h.clock.Advance(16 * time.Second)
				h.say(ann, "领海报")
			}
			h.settle()
			if n := h.calls(sending); n.Refused != 0 {
				t.Errorf("separate %t: %+v", separate, n)
			}
		}
	})

	t.Run("CodesAreRenewedBeforeTheyEnd", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), nil, "main")
		h.launch(definition())
		ann, bob := h.twins["main"].AddFan("安"), h.twins["main"].AddFan("波")
		h.follow(ann, "")
		h.settle()
		first := poster(t, ann)
		h.clock.Advance(26 * 24 * time.Hour)
		h.say(ann, "领海报")
		h.settle()
		if poster(t, ann) != first {
			t.Error("a code that lasts four more days was renewed")
		}
		h.clock.Advance(2 * 24 * time.Hour)
		h.say(ann, "领海报")
		h.settle()
		second := poster(t, ann)
		if second == first {
			t.Error("a code that ends in two days was not renewed")
		}
		h.clock.Advance(20 * 24 * time.Hour)
		h.follow(bob, second)
		h.settle()
		if n := h.count("c", ann, "invite"); n != 1 {
			t.Errorf("%d friends count", n)
		}
	})

	t.Run("PermanentCodesAreMadeOnceAndWithinTheirBudget", func(t *testing.T) {
		t.Parallel()
		databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
			h := open(t, db, nil, "main")
			h.launch(definition())
			var codes []string
			for range 3 {
				f := h.twins["main"].AddFan("人")
				h.follow(f, "")
				h.settle()
				code, err := h.engine.CodeOfUser(t.Context(), "c", f.OpenID)
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, code)
			}
			made := func(code string) (string, error) { return h.PermanentLink(t.Context(), "main", code) }
			link, err := made(codes[0])
			if err != nil {
				t.Fatal(err)
			}
			again, err := made(codes[0])
			if current, until, err2 := h.Channel("main").CodeLink(t.Context(), codes[0]); again != link || current != link || !until.IsZero() || err != nil || err2 != nil {
				t.Errorf("%s, then %s and %s until %v: %v %v", link, again, current, until, err, err2)
			}
			h.serve() // another process
			used := func() int64 {
				for _, q := range h.status()[0].Quotas {
					if q.Day == 0 {
						return q.Used
					}
				}
				return -1
			}
			if _, err := made(codes[1]); err != nil || used() != 2 || h.status()[0].Permanent != 2 {
				t.Errorf("%d of the budget are used: %v", used(), err)
			}
			h.clock.Advance(60 * 24 * time.Hour)
			bob := h.twins["main"].AddFan("波")
			h.follow(bob, link)
			h.settle()
			if got := h.outcomes("c"); !slices.Contains(got, "scan counted") {
				t.Errorf("%q", got)
			}
			if err := h.db.Table("channel_usage").Where("day = 0").Update("used", 90_000).Error; err != nil {
				t.Fatal(err)
			}
			calls := h.calls(making).Calls
			_, err = made(codes[2])
			if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "no permanent code left: 90000 of its 100000") {
				t.Error(err)
			}
			if _, err := made(codes[0]); err != nil || h.calls(making).Calls != calls {
				t.Errorf("one that was made: %v", err)
			}
		})
	})

	t.Run("WithoutQuotaForCodesPostersWaitForTheNextDay", func(t *testing.T) {
		t.Parallel()
		h := open(t, databasetest.SQLite(t), func(_ string, c *twin.Config) { c.Quotas = map[string]int64{making: 10} }, "main")
		h.launch(definition())
		var fans []*twin.Fan
		for range 12 {
			f := h.twins["main"].AddFan("人")
			h.follow(f, "")
			h.say(f, "你好")
			fans = append(fans, f)
		}
		h.settle()
		if n := h.calls(making); n.Calls != 9 || n.Refused != 0 {
			t.Errorf("%+v", n)
		}
		h.clock.Set(began.Add(13 * time.Hour))
		h.settle()
		for _, f := range fans {
			if !slices.Contains(seen(t, f), "custom image <poster>") {
				t.Errorf("%q", seen(t, f))
			}
		}
	})
}
