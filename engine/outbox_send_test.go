package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/queue"
	"kfactor/notify"
)

// sends has a house send what is due one by one, and gives what was sent.
func (h *house) sends() <-chan string {
	sent := make(chan string, 100)
	failed := false
	h.Deliver = func(ctx context.Context, channel string) (bool, error) {
		if !failed {
			failed = true
			return true, errors.New("not today")
		}
		owed, err := h.TakeOwed(ctx, channel, 1, time.Minute)
		if err != nil || len(owed) == 0 {
			return false, err
		}
		sent <- owed[0].Text()
		return true, h.SettleOwed(ctx, []engine.Settled{{No: owed[0].No, State: notify.Sent}})
	}
	return sent
}

func TestWhatIsOwedIsSent(t *testing.T) {
	t.Parallel()
	for name, withQueue := range map[string]bool{"WokenByTheQueue": true, "FoundByTheSweep": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := onChannel(t, databasetest.SQLite(t))
			if withQueue {
				q, err := queue.Open(queue.Embedded, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = q.Close() })
				h.Queue = q
			}
			id := h.launch(channelled(friendly))
			a := h.join(id, "A")
			sent := h.sends()
			stop := h.run()
			defer stop()
			for _, user := range []string{"x", "y"} {
				in := []engine.Incoming{{ID: user, Campaign: id, Type: "subscribe", User: user, Code: a.Code}}
				if _, err := h.Accept(t.Context(), in); err != nil {
					t.Fatal(err)
				}
			}
			h.owe(id, "z", notify.Poster, "your poster")
			h.owe(id, "z", notify.Chatter, "hello")
			missing := map[string]bool{
				"your poster": true, "hello": true, "恭喜A达成「bronze」:Coupon。": true, "好友 为你助力成功,还差 1 人。": true,
				"送你一份新人礼：Coupon。": true,
			}
			for deadline := time.After(20 * time.Second); len(missing) > 0; {
				select {
				case text := <-sent:
					delete(missing, text)
				case <-deadline:
					t.Fatalf("these were not sent: %v", missing)
				}
			}
		})
	}

	t.Run("ByOneSweep", func(t *testing.T) {
		t.Parallel()
		h := onChannel(t, databasetest.SQLite(t))
		id := h.launch(channelled(friendly))
		sent := h.sends()
		h.owe(id, "z", notify.Poster, "your poster")
		if err := h.SweepOnce(t.Context()); err == nil {
			t.Error("the failure is not told")
		}
		h.sweep()
		if text := <-sent; text != "your poster" {
			t.Errorf("sent was %q", text)
		}
	})
}
