package engine_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/notify"
)

// noCodes is a channel of which nobody asks for codes.
type noCodes struct{}

func (noCodes) CodeLink(_ context.Context, code string) (string, time.Time, error) {
	return "https://q.example/" + code, time.Time{}, nil
}

// onChannel is a house with a channel beside the web.
func onChannel(t *testing.T, db *gorm.DB) *house {
	t.Helper()
	h := open(t, db)
	h.Channels = map[string]engine.Channel{"main": noCodes{}}
	return h
}

const friendly = `messages:
  credited: "{{invitee}} 为你助力成功,还差 {{remaining}} 人。"
  tier_reached: "恭喜达成「{{tier}}」:{{rewards}}。"
  revoked: "{{invitee}} 取消了关注,当前 {{count}} 人。"
`

func channelled(more string) string {
	return definition(more, "name: Test\n", "name: Test\nchannel: main\n")
}

// owe owes somebody one message.
func (h *house) owe(campaign, user string, kind notify.Kind, source string) {
	h.t.Helper()
	due := engine.Due{Campaign: campaign, User: user, Kind: kind, Word: "hello", Source: source, Facts: notify.Facts{Text: source}}
	if err := h.Owe(h.ctx(), []engine.Due{due}); err != nil {
		h.t.Fatal(err)
	}
}

// take takes what is due and gives "user text" of each.
func (h *house) take(limit int) ([]engine.Owed, []string) {
	h.t.Helper()
	owed, err := h.TakeOwed(h.ctx(), "main", limit, time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	said := []string{}
	for i := range owed {
		said = append(said, fmt.Sprint(owed[i].User, " ", owed[i].Text()))
	}
	return owed, said
}

func (h *house) settle(o engine.Owed, state notify.State, reason string) {
	h.t.Helper()
	if err := h.SettleOwed(h.ctx(), []engine.Settled{{No: o.No, State: state, Reason: reason}}); err != nil {
		h.t.Fatal(err)
	}
}

func TestOutbox(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		h.owe(id, "a", notify.Chatter, "1")
		h.owe(id, "a", notify.Chatter, "1")
		h.owe(id, "b", notify.Poster, "2")
		owed, said := h.take(10)
		want(t, said, "b 2", "a 1")
		_, said = h.take(10)
		want(t, said)
		h.settle(owed[0], notify.Waiting, notify.NoWindow)
		h.settle(owed[1], notify.Sent, "")
		if err := h.WindowOpened(h.ctx(), "main", "b"); err != nil {
			t.Fatal(err)
		}
		_, said = h.take(10)
		want(t, said, "b 2")
		h.clock.Advance(2 * time.Minute)
		_, said = h.take(10)
		want(t, said, "b 2")
	})
}
