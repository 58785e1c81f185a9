package engine_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/notify"
)

func TestOldMessagesAreForgotten(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		a := h.join(id, "A")
		follow := func(user string) { h.post(id, what{kind: "subscribe", user: user, code: a.Code}) }
		verified := func() []string {
			t.Helper()
			report, err := h.Verify(h.ctx(), id)
			if err != nil {
				t.Fatal(err)
			}
			return report.Problems
		}
		gone := func() *engine.MessagesGone {
			t.Helper()
			x, err := h.Explain(h.ctx(), id, a.Code, true)
			if err != nil {
				t.Fatal(err)
			}
			return x.MessagesGone
		}

		follow("x")
		follow("y")
		owed, _ := h.take(10) // two welcomes, a tier and a friend who counts
		for i, o := range owed {
			h.settle(o, []notify.State{notify.Sent, notify.Unsent}[i%2], "")
		}
		h.owe(id, "A", notify.Reward, "waits")
		waits, _ := h.take(1)
		h.settle(waits[0], notify.Waiting, notify.NoWindow)
		before := h.messages(id)

		h.clock.Advance(engine.MessagesKept - 13*24*time.Hour)
		follow("z")
		late, _ := h.take(10)
		for _, o := range late {
			h.settle(o, notify.Sent, "")
		}
		h.clock.Advance(13*24*time.Hour - time.Millisecond)
		h.sweep()
		if kept := h.messages(id); len(kept) != len(before)+len(late) || gone() != nil {
			t.Errorf("%q are kept, %+v", kept, gone())
		}
		h.clock.Advance(time.Second)
		h.sweep()
		want(t, h.messages(id), "A hello unsent no_window", "A tier_reached sent", "A credited sent", "z welcome sent")
		if said := gone(); said == nil || !strings.Contains(said.Why, "90 days") || !strings.Contains(said.WhyZH, "90 天") {
			t.Errorf("%+v", said)
		}
		if problems := verified(); len(problems) != 0 {
			t.Errorf("%q", problems)
		}

		// What is not that old is looked for.
		if err := db.Exec("DELETE FROM messages WHERE word = 'welcome'").Error; err != nil {
			t.Fatal(err)
		}
		if problems := verified(); len(problems) != 1 || !strings.Contains(problems[0], "welcome") {
			t.Errorf("%q", problems)
		}

		// However many there are, they go.
		var due []engine.Due
		for n := range 1000 {
			due = append(due, engine.Due{Campaign: id, User: fmt.Sprint("u", n), Kind: notify.Chatter, Word: "hello", Source: "s"})
		}
		if err := h.Owe(h.ctx(), due); err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(time.Hour) // after which none is worth sending
		h.take(1000)
		h.clock.Advance(engine.MessagesKept + time.Second)
		h.sweep()
		want(t, h.messages(id))
	})
}
