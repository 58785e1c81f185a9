package twin

import (
	"context"
	"sync"
	"time"
)

// Clock is the time that the twin's platform believes in. It runs with the real time, shifted at will, or stands still
// until it is moved. It is safe for many goroutines, and several twins may share one.
type Clock struct {
	mu      sync.Mutex
	shift   time.Duration // of a running clock, from the real time
	stands  time.Time     // where a stopped clock stands; zero: it runs
	changed chan struct{} // closed and made anew whenever the time jumps
}

// NewClock is a clock that runs with the real time until it is moved.
func NewClock() *Clock { return &Clock{changed: make(chan struct{})} }

// NewClockAt is a clock that stands at a time until Advance or Set moves it.
func NewClockAt(at time.Time) *Clock {
	return &Clock{stands: at, changed: make(chan struct{})}
}

// Now is the twin's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time {
	if !c.stands.IsZero() {
		return c.stands
	}
	return time.Now().Add(c.shift)
}

// Running says whether the clock runs by itself.
func (c *Clock) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stands.IsZero()
}

// Advance moves the clock by d; a clock that runs goes on running from there.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(c.now().Add(d))
}

// Set moves the clock to a time; a clock that runs goes on running from there.
func (c *Clock) Set(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.move(at)
}

// Stop lets the clock stand where it is.
func (c *Clock) Stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stands = c.now()
	c.tell()
}

// Run lets a clock that stands run on from where it is.
func (c *Clock) Run() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stands.IsZero() {
		c.shift, c.stands = time.Until(c.stands), time.Time{}
		c.tell()
	}
}

func (c *Clock) move(at time.Time) {
	if c.stands.IsZero() {
		c.shift = time.Until(at)
	} else {
		c.stands = at
	}
	c.tell()
}

func (c *Clock) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits for the clock to reach a time.
func (c *Clock) until(ctx context.Context, at time.Time) error {
	for {
		c.mu.Lock()
		left, runs, changed := at.Sub(c.now()), c.stands.IsZero(), c.changed
		c.mu.Unlock()
		if left <= 0 {
			return nil
		}
		var due <-chan time.Time
		var timer *time.Timer
		if runs {
			timer = time.NewTimer(left)
			due = timer.C
		}
		select {
		case <-ctx.Done():
		case <-changed:
		case <-due:
		}
		if timer != nil {
			timer.Stop()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
