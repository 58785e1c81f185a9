package engine_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gorm.io/gorm"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
)

// held is a campaign whose friends count after an hour.
func held(id string) string {
	return definition("", "campaign: c\n", "campaign: "+id+"\n", "credit: inviter, revoke_on: unsubscribe", "credit: inviter, hold: 1h")
}

// flood sends full batches to a campaign until the test calls the function it returns.
func (h *house) flood(campaign, code string) (end func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.ctx())
	var senders sync.WaitGroup
	var n atomic.Int64
	flowing := make(chan struct{})
	for range 2 {
		senders.Go(func() {
			for ctx.Err() == nil {
				batch := make([]engine.Incoming, engine.MaxBatch)
				for i := range batch {
					fan := fmt.Sprint("flood ", n.Add(1))
					batch[i] = engine.Incoming{ID: fan, Campaign: campaign, Type: "subscribe", User: fan, Code: code}
				}
				if _, err := h.Accept(ctx, batch); err != nil && ctx.Err() == nil {
					h.t.Error(err)
					return
				}
				select {
				case flowing <- struct{}{}:
				default:
				}
			}
		})
	}
	<-flowing
	return sync.OnceFunc(func() {
		cancel()
		senders.Wait()
	})
}

func (h *house) run() (stop func()) {
	ctx, cancel := context.WithCancel(h.ctx())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Run(ctx) })
	return sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
}

func TestAFlood(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		t.Run("AJoinWaitsForItsOwnTurnAndNotForTheFloodsEnd", func(t *testing.T) {
			h := open(t, db)
			id := h.launch(definition(spring))
			end := h.flood(id, h.join(id, "host").Code)
			defer end()
			h.join(id, "visitor") // the flood ends when it has joined
		})

		t.Run("WhatIsDueElsewherePasses", func(t *testing.T) {
			h := open(t, db)
			flooded, other := h.launch(held("flooded")), h.launch(held("other"))
			code, friend := h.join(flooded, "host").Code, h.join(other, "host").Code
			h.post(flooded, what{kind: "subscribe", user: "first", code: code}) // due first, and looked at first
			h.post(other, what{kind: "subscribe", user: "friend", code: friend})
			end := h.flood(flooded, code)
			defer end()
			h.clock.Advance(2 * time.Hour)
			stop := h.run()
			defer stop()
			for deadline := time.Now().Add(time.Minute); h.count(other, friend, "invite") != 1; time.Sleep(5 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("it waits for the flood to end")
				}
			}
		})
	})
}

func TestTimeThatDoesNotPass(t *testing.T) {
	t.Parallel()
	db := databasetest.SQLite(t)
	h := open(t, db)
	id, other := h.launch(held("stuck")), h.launch(held("other"))
	code, friend := h.join(id, "host").Code, h.join(other, "host").Code
	h.post(id, what{kind: "subscribe", user: "fan", code: code})
	h.post(other, what{kind: "subscribe", user: "fan", code: friend})
	err := db.Exec("CREATE TRIGGER stuck BEFORE UPDATE ON credits WHEN NEW.campaign = 1 AND NEW.state <> 'held' BEGIN SELECT RAISE(ABORT, 'stuck'); END").Error
	if err != nil {
		t.Fatal(err)
	}
	failed := func() (n int) {
		t.Helper()
		if err := db.Raw("SELECT COUNT(*) FROM journal WHERE type = 'time.passed' AND outcome = 'failed'").Scan(&n).Error; err != nil {
			t.Fatal(err)
		}
		return n
	}
	h.clock.Advance(2 * time.Hour)
	// Every second for a quarter of an hour: after 0, 1, 3, 7, 15, 31, 63, 127, 255, 511 and 811 seconds.
	told := ""
	for second := range 900 {
		if err := h.SweepOnce(t.Context()); err != nil {
			told = err.Error()
		}
		if n := failed(); second == 0 && n != 1 || second == 10 && n != 4 {
			t.Errorf("%d failed events after %d seconds", n, second)
		}
		h.clock.Advance(time.Second)
	}
	if n := failed(); n != 11 {
		t.Errorf("%d failed events in a quarter of an hour", n)
	}
	if !strings.Contains(told, "campaign stuck: time does not pass") || !strings.Contains(told, "5m0s") {
		t.Errorf("the log would say: %s", told)
	}
	if n := h.count(other, friend, "invite"); n != 1 {
		t.Errorf("the other campaign counts %d", n)
	}

	if err := db.Exec("DROP TRIGGER stuck").Error; err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(5 * time.Minute)
	h.sweep()
	if n := h.count(id, code, "invite"); n != 1 {
		t.Errorf("with the cause gone it counts %d", n)
	}
	h.balanced()
}
