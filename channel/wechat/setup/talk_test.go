package setup_test

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/channel/wechat/setup"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// kept is a talk as it comes back from the database.
func kept(t interface{ Fatal(...any) }, talk *setup.Talk) *setup.Talk {
	if talk == nil {
		return nil
	}
	stored, err := json.Marshal(talk)
	if err != nil {
		t.Fatal(err)
	}
	var back setup.Talk
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func TestDialogue(t *testing.T) {
	t.Parallel()
	c := channel(t, sample(t))

	// say is what somebody hears who says one text after another, a minute apart.
	say := func(t *testing.T, texts ...string) (last setup.Turn, heard []string) {
		t.Helper()
		var talk *setup.Talk
		for i, text := range texts {
			last = c.Step(kept(t, talk), text, noon.Add(time.Duration(i)*time.Minute))
			talk = last.Talk
			heard = append(heard, last.Reply)
		}
		return last, heard
	}

	t.Run("asks one thing after another and ends with an event", func(t *testing.T) {
		t.Parallel()
		last, heard := say(t, "绑定", "+86 138-0013-8000", "012345")
		if got, want := strings.Join(heard, "|"), "请输入手机号码|13800138000 的会员卡号是多少？|绑定成功：13800138000"; got != want {
			t.Errorf("got %s", got)
		}
		if last.Talk != nil || last.Done == nil || last.Done.Type != "bind" || !maps.Equal(last.Done.Data, map[string]string{"phone": "13800138000", "card": "012345"}) {
			t.Errorf("got %+v", last.Done)
		}
		if len(last.Done.Personal) != 1 || last.Done.Personal[0] != "phone" {
			t.Errorf("personal is %v", last.Done.Personal)
		}
	})

	t.Run("asks again for what passes no check, and gives up after the attempts", func(t *testing.T) {
		t.Parallel()
		last, heard := say(t, "绑定", "12345", "不知道", "010-12345678")
		if got, want := strings.Join(heard, "|"), "请输入手机号码|请输入正确的手机号码。|请输入正确的手机号码。|多次输入不正确，已取消。发送“绑定会员”可以重新开始。"; got != want {
			t.Errorf("got %s", got)
		}
		if last.Talk != nil || last.Done != nil {
			t.Errorf("got %+v", last)
		}
	})

	t.Run("ends when it is cancelled", func(t *testing.T) {
		t.Parallel()
		last, _ := say(t, "绑定", "13800138000", "取消。")
		if !last.Taken || last.Talk != nil || last.Done != nil || !strings.HasPrefix(last.Reply, "已取消") {
			t.Errorf("got %+v", last)
		}
	})

	t.Run("is forgotten when it times out", func(t *testing.T) {
		t.Parallel()
		begun := c.Begin("member", noon)
		if turn := c.Step(begun.Talk, "13800138000", noon.Add(10*time.Minute+time.Millisecond)); turn.Taken {
			t.Errorf("got %+v", turn)
		}
		if turn := c.Step(begun.Talk, "13800138000", noon.Add(10*time.Minute)); !turn.Taken {
			t.Errorf("got %+v", turn)
		}
	})

	t.Run("stays where it is while something else is asked for", func(t *testing.T) {
		t.Parallel()
		begun := c.Begin("member", noon)
		turn := c.Step(begun.Talk, "海报", noon)
		if turn.Taken || turn.Talk == nil || turn.Talk.Tries != 0 {
			t.Errorf("got %+v", turn)
		}
	})

	t.Run("begins anew when it is asked for again", func(t *testing.T) {
		t.Parallel()
		_, heard := say(t, "绑定", "13800138000", "绑定会员")
		if heard[2] != "请输入手机号码" {
			t.Error(heard)
		}
	})

	t.Run("begins for a text alone that asks for it", func(t *testing.T) {
		t.Parallel()
		if turn := c.Step(nil, "绑定吗 怎么办", noon); turn.Taken {
			t.Errorf("got %+v", turn)
		}
		if turn := c.Begin("nobody", noon); turn.Taken {
			t.Errorf("got %+v", turn)
		}
	})

	t.Run("is over when the file no longer asks what was answered", func(t *testing.T) {
		t.Parallel()
		for _, talk := range []setup.Talk{
			{Dialogue: "gone", Until: noon.UnixMilli()},
			{Dialogue: "member", Step: 7, Until: noon.UnixMilli()},
			{Dialogue: "member", Step: -1, Until: noon.UnixMilli()},
			{Dialogue: "member", Step: 1, Saved: map[string]string{"mail": "x"}, Until: noon.UnixMilli()},
		} {
			if turn := c.Step(&talk, "012345", noon); turn.Taken {
				t.Errorf("got %+v", turn)
			}
		}
	})

	t.Run("says no more than the platform takes, whatever was answered", func(t *testing.T) {
		t.Parallel()
		echo := channel(t, `channels: {main: {dialogues: {d: {start: d, steps: [{ask: n, save: n}, {ask: m, save: m, pattern: "^x$", wrong: "{{n}}？"}], done: {event: checkin, text: "`+strings.Repeat("{{n}}", 9)+`"}}}}}`)
		turn := echo.Step(echo.Begin("d", noon).Talk, strings.Repeat("长", 200), noon)
		if wrong := echo.Step(turn.Talk, "y", noon); wrong.Reply != strings.Repeat("长", 200)+"？" {
			t.Error(wrong.Reply)
		}
		if done := echo.Step(turn.Talk, "x", noon); done.Reply != strings.Repeat("长", 682) {
			t.Error(len(done.Reply))
		}
	})

	t.Run("takes phone numbers and numbers as people write them", func(t *testing.T) {
		t.Parallel()
		numbers := channel(t, `channels: {main: {dialogues: {d: {start: d, steps: [{ask: n, save: n, check: number, min: 1, max: 99.5}], done: {event: checkin}}}}}`)
		for said, want := range map[string]string{"１２": "12", " 99.5 ": "99.5", "1.25": "1.25", "0": "", "100": "", "1e1": "", "NaN": "", "十": "", "1,5": ""} {
			turn := numbers.Step(numbers.Begin("d", noon).Talk, said, noon)
			if got := turn.Done; (got == nil) != (want == "") || got != nil && got.Data["n"] != want {
				t.Errorf("%q is taken for %+v", said, turn)
			}
		}
		for said, want := range map[string]string{
			"13800138000": "13800138000", "（138）0013 8000": "13800138000", "8613800138000": "13800138000", "＋85291234567": "+85291234567",
			"1380013800": "", "23800138000": "", "+0123456789": "", "phone": "",
		} {
			turn := c.Step(c.Begin("member", noon).Talk, said, noon)
			if got := turn.Talk.Saved["phone"]; got != want {
				t.Errorf("%q is taken for %q", said, got)
			}
		}
	})
}

// Whatever is said, a dialogue ends within its steps and attempts, and its event holds every answer it asked for.
func TestDialogueEnds(t *testing.T) {
	t.Parallel()
	c := channel(t, sample(t))
	rapid.Check(t, func(t *rapid.T) {
		turn := c.Begin("member", noon)
		for said := 0; turn.Talk != nil; said++ {
			if said > 6 {
				t.Fatalf("after %d answers it still stands at %+v", said, turn.Talk)
			}
			text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"13800138000", "123456", "取消", "", "\xff"})).Draw(t, "text")
			turn = c.Step(kept(t, turn.Talk), text, noon)
			if !turn.Taken {
				return // something else was asked for
			}
		}
		if turn.Done != nil && (len(turn.Done.Data["phone"]) < 8 || len(turn.Done.Data["card"]) != 6) {
			t.Fatalf("ends with %+v", turn.Done)
		}
	})
}
