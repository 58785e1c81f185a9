// Package embedded holds the Redis that runs inside the program when no other is
// named. Its contents die with the process, which the queue's users expect; it
// is for trials and small sites, and not for several processes.
package embedded

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// tick is how often the embedded Redis learns that time has passed.
const tick = time.Second

// Redis is a running server on a free port of the loopback interface.
type Redis struct {
	server   *miniredis.Miniredis
	password string
	stop     chan struct{}
	stopped  sync.WaitGroup
	once     sync.Once
}

// Start starts a server with a password of its own, since every user of the machine can reach a port.
func Start() (*Redis, error) {
	r := &Redis{server: miniredis.NewMiniRedis(), password: rand.Text(), stop: make(chan struct{})}
	r.server.RequireAuth(r.password)
	if err := r.server.Start(); err != nil {
		return nil, fmt.Errorf("start the embedded redis: %w", err)
	}
	r.stopped.Go(r.run)
	return r, nil
}

// run is the server's clock: without it nothing there would ever expire.
func (r *Redis) run() {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	last := time.Now()
	for {
		select {
		case <-r.stop:
			return
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last))
			last = now
		}
	}
}

// Addr is the server's host:port.
func (r *Redis) Addr() string { return r.server.Addr() }

// URL is the server's address with its password, for a client in this process.
func (r *Redis) URL() string {
	return (&url.URL{Scheme: "redis", User: url.UserPassword("", r.password), Host: r.Addr(), Path: "/0"}).String()
}

// Close stops the server and forgets what it held.
func (r *Redis) Close() {
	r.once.Do(func() {
		close(r.stop)
		r.stopped.Wait()
		r.server.Close()
	})
}
