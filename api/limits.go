package api

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"kfactor/internal/fault"
)

// mostAddresses bounds how many client addresses are remembered; the one not seen for longest is forgotten.
const mostAddresses = 20_000

// addresses allows each client address so much per time.
type addresses struct {
	every rate.Limit
	burst int

	mu    sync.Mutex
	known map[string]*list.Element
	order *list.List // of *address, the latest first
}

type address struct {
	name  string
	limit *rate.Limiter
}

func newAddresses(every rate.Limit, burst int) *addresses {
	return &addresses{every: every, burst: burst, known: map[string]*list.Element{}, order: list.New()}
}

// spend takes one from what the address may do; a fault.Limited with the time to wait when nothing is left.
func (a *addresses) spend(ip string) error {
	limit := a.limiter(network(ip))
	if limit.Allow() {
		return nil
	}
	wait := time.Duration(float64(time.Second) / float64(a.every))
	return later{fault.New(fault.Limited, "too many tries from your address; wait a moment"), wait}
}

func (a *addresses) limiter(name string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e, ok := a.known[name]; ok {
		a.order.MoveToFront(e)
		return e.Value.(*address).limit
	}
	if len(a.known) >= mostAddresses {
		oldest := a.order.Back()
		delete(a.known, oldest.Value.(*address).name)
		a.order.Remove(oldest)
	}
	added := &address{name, rate.NewLimiter(a.every, a.burst)}
	a.known[name] = a.order.PushFront(added)
	return added.limit
}

// network is what one client may be taken to hold: an IPv4 address, or the /64 that an IPv6 client is given whole.
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return "unknown"
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(64)
	if err != nil {
		return addr.String()
	}
	return prefix.String()
}

// gate lets so many in at once and so many more wait for so long; the others are sent away at once.
type gate struct {
	places   chan struct{}
	queue    int64
	patience time.Duration
	waiting  atomic.Int64
}

func newGate(places, queue int, patience time.Duration) *gate {
	return &gate{places: make(chan struct{}, places), queue: int64(queue), patience: patience}
}

// share is the gate of one key: half of the calls under way may be its own, and its bursts wait a moment. Keys are made
// on the machine itself, so there are few.
func (s *server) share(key string) *gate {
	if g, ok := s.shares.Load(key); ok {
		return g.(*gate)
	}
	g, _ := s.shares.LoadOrStore(key, newGate(s.perKey, 2*s.perKey, 5*time.Second))
	return g.(*gate)
}

// enter waits for a place; leave gives it back.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	leave = func() { <-g.places }
	select {
	case g.places <- struct{}{}:
		return leave, nil
	default:
	}
	full := fault.New(fault.Unavailable, "too much at once; try again")
	defer g.waiting.Add(-1)
	if g.waiting.Add(1) > g.queue {
		return nil, full
	}
	timer := time.NewTimer(g.patience)
	defer timer.Stop()
	select {
	case g.places <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, full
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
