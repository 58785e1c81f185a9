package wechat

import (
	"context"
	"slices"
	"sync"
	"time"

	"kfactor/engine"
)

// deliverLease is how long a process has what it took without saying that it still works on it. It is short, since the
// windows of fans are: what a process had that died is taken up by another before a follow's minute is over. Clocks of
// processes may differ by what is left of it after a renewal.
const deliverLease = 15 * time.Second

// leased keeps the messages of one delivery ours for as long as they are worked on, by renewing their lease, and stops the
// sending of those that are ours no longer.
type leased struct {
	desk  *desk
	taker string
	lease time.Duration

	mu    sync.Mutex
	ours  map[int64]context.CancelFunc // what is not settled yet; nil before it is worked on
	until time.Time                    // when the lease ends
}

// lease begins to keep what was taken, by a lease that began at a moment or later, until release is called.
func (d *desk) lease(ctx context.Context, owed []engine.Owed, taken time.Time) (h *leased, release func()) {
	h = &leased{desk: d, taker: owed[0].Taker, lease: d.channels.lease, ours: map[int64]context.CancelFunc{}, until: taken.Add(d.channels.lease)}
	for i := range owed {
		h.ours[owed[i].No] = nil
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // what is being sent is sent to its end
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(h.lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				h.renew(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	return h, func() { cancel(); <-done }
}

// renew renews the lease of what is not settled, and lets go of what somebody else has. While the database does not
// answer it is ours until the lease ends, and then nobody's.
func (h *leased) renew(ctx context.Context) {
	h.mu.Lock()
	numbers := make([]int64, 0, len(h.ours))
	for no := range h.ours {
		numbers = append(numbers, no)
	}
	h.mu.Unlock()
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, h.lease/3)
	defer cancel()
	kept, err := h.desk.engine.RenewOwed(ctx, h.taker, numbers, h.lease)
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil:
		h.until = began.Add(h.lease)
	case time.Now().Before(h.until):
		return
	default:
		h.desk.accounts.Log.Warn("what was being sent is left to others, since the database does not answer", "channel", h.desk.name, "err", err)
	}
	for _, no := range numbers {
		if !slices.Contains(kept, no) {
			h.drop(no)
		}
	}
}

// begin gives what a message is to be sent under: it ends when the message is no longer ours. It is false when that is
// so already.
func (h *leased) begin(ctx context.Context, no int64) (context.Context, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ours := h.ours[no]; !ours || !time.Now().Before(h.until) {
		return nil, false
	}
	ctx, h.ours[no] = context.WithTimeout(context.WithoutCancel(ctx), deliverOne)
	return ctx, true
}

// has says whether a message that was begun is still ours.
func (h *leased) has(no int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ours := h.ours[no]
	return ours
}

// end lets go of a message that was settled.
func (h *leased) end(no int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(no)
}

func (h *leased) drop(no int64) {
	if stop := h.ours[no]; stop != nil {
		stop()
	}
	delete(h.ours, no)
}
