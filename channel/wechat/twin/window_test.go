package twin

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	t.Parallel()

	t.Run("EachDoingAllowsItsOwnNumberForItsOwnTime", func(t *testing.T) {
		for name, one := range map[string]struct {
			do     func(h *house, f *Fan, url string) error
			count  int
			within time.Duration
		}{
			"follow": {func(h *house, f *Fan, _ string) error { return f.Follow(h.ctx) }, 3, time.Minute},
			"say": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				return f.Say(h.ctx, "hi")
			}, 5, 48 * time.Hour},
			"image": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				return f.SendImage(h.ctx, picture(h.t))
			}, 5, 48 * time.Hour},
			"scan": {func(h *house, f *Fan, url string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Scan(h.ctx, url)
				return err
			}, 3, time.Minute},
			"click": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Tap(h.ctx, "海报")
				return err
			}, 3, time.Minute},
			"view": {func(h *house, f *Fan, _ string) error {
				f.Follow(h.ctx)
				h.clock.Advance(time.Hour)
				_, err := f.Tap(h.ctx, "进度")
				return err
			}, 0, time.Minute},
		} {
			t.Run(name, func(t *testing.T) {
				h := open(t, Config{})
				h.wants(0, h.call("/cgi-bin/menu/create", `{"button":[{"type":"click","name":"海报","key":"P"},{"type":"view","name":"进度","url":"https://example.com/me"}]}`))
				url, _ := h.code("x")
				f := h.AddFan("小王")
				if err := one.do(h, f, url); err != nil {
					t.Fatal(err)
				}
				if left, _ := f.Allowance(); left != one.count {
					t.Fatalf("%d messages are allowed", left)
				}
				h.token = h.fresh()
				for range one.count {
					h.wants(0, h.sendText(f, "hi"))
				}
				if one.count > 0 {
					h.wants(45047, h.sendText(f, "hi"))
				}
				h.later(one.within)
				h.wants(45015, h.sendText(f, "hi"))
			})
		}
	})

	t.Run("AnItemOfAMenuMessageCountsAsATap", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"msgmenu","msgmenu":{"head_content":"满意吗","list":[{"id":"101","content":"满意"}],"tail_content":"谢谢"}}`))
		h.clock.Advance(time.Hour)
		if err := f.Choose(h.ctx, "101"); err != nil {
			t.Fatal(err)
		}
		got := h.account.last(t)
		if inside(got, "MsgType") != "text" || inside(got, "Content") != "满意" || inside(got, "bizmsgmenuid") != "101" {
			t.Errorf("pushed %s", got)
		}
		if left, until := f.Allowance(); left != 3 || until.Sub(h.clock.Now()) != time.Minute {
			t.Errorf("%d are allowed until %s", left, until)
		}
	})

	t.Run("ANewDoingRaisesWhatIsLeftAndNeverShortensIt", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			var a allowances
			now := start
			left, until := 0, start
			for range rapid.IntRange(1, 40).Draw(t, "steps") {
				now = now.Add(time.Duration(rapid.IntRange(0, 100_000).Draw(t, "seconds")) * time.Second / 10)
				if !now.Before(until) {
					left = 0
				}
				switch rapid.IntRange(0, 2).Draw(t, "what") {
				case 0:
					a.open(wrote, now, false)
					left, until = max(left, 5), later(until, now.Add(48*time.Hour))
				case 1:
					a.open(tapped, now, false)
					left, until = max(left, 3), later(until, now.Add(time.Minute))
				default:
					err := a.take(now)
					if (err == nil) != (left > 0) {
						t.Fatalf("%d left, and it says %v", left, err)
					}
					left = max(left-1, 0)
				}
				if got, _ := a.state(now); got != left {
					t.Fatalf("%d are left, not %d", got, left)
				}
			}
		})
	})

	t.Run("SideBySideAllowancesAddUpAndEndEachAtItsTime", func(t *testing.T) {
		var a allowances
		a.open(wrote, start, true)
		a.open(tapped, start, true)
		if left, _ := a.state(start); left != 8 {
			t.Fatalf("%d are left", left)
		}
		for range 8 {
			if err := a.take(start); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.take(start); err.(*refusal).code != 45047 {
			t.Error(err)
		}
		for range 1000 {
			a.open(tapped, start, true)
			a.take(start)
			a.take(start)
			a.take(start)
		}
		if len(a) > 3 {
			t.Errorf("%d allowances are kept", len(a))
		}
	})

	t.Run("WhoUnfollowsMutesOrIsBlockedGetsNothing", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		f.Mute(true)
		h.wants(48002, h.sendText(f, "hi"))
		f.Mute(false)
		f.Block(true)
		h.wants(43019, h.sendText(f, "hi"))
		f.Block(false)
		h.wants(0, h.sendText(f, "hi"))
		if err := f.Unfollow(h.ctx); err != nil {
			t.Fatal(err)
		}
		h.wants(43004, h.sendText(f, "hi"))
		if err := f.Unfollow(h.ctx); err == nil {
			t.Error("unfollowed twice")
		}
		if err := f.Say(h.ctx, "hi"); err == nil {
			t.Error("wrote without following")
		}
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
