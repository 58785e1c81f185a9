package wechat

import (
	"context"
	"errors"
	"sync"
	"time"

	"kfactor/engine"
)

// Channels are the accounts at work for an engine.
type Channels struct {
	*Accounts
	engine *engine.Engine
	desks  map[string]*desk // by account
	lease  time.Duration    // of what is being sent

	settles  group[engine.Settled]
	printing chan struct{} // bounds posters that are printed at once
	late     chan struct{} // bounds answers that are looked up at once
	going    sync.WaitGroup
}

// desk is where one account's pushes are answered and its messages are sent.
type desk struct {
	*station
	channels *Channels
	engine   *engine.Engine
}

const mostLate = 64 // answers that are looked up at once

// Serve puts the accounts to work. The engine is one that has their Channels.
func (a *Accounts) Serve(e *engine.Engine) *Channels {
	c := &Channels{Accounts: a, engine: e, desks: map[string]*desk{}, lease: deliverLease, printing: make(chan struct{}, printers()), late: make(chan struct{}, mostLate)}
	c.settles = group[engine.Settled]{work: c.settleAll, most: 500, trips: 1}
	for name, s := range a.stations {
		c.desks[name] = &desk{station: s, channels: c, engine: e}
	}
	return c
}

// Close tells the other processes what this one has called. It comes before the database is closed.
func (c *Channels) Close(ctx context.Context) error {
	var errs []error
	for _, s := range c.stations {
		for _, q := range s.quotas {
			errs = append(errs, q.count(ctx))
		}
	}
	return errors.Join(errs...)
}

// Run does until ctx ends what nobody waits for: it tidies up, learns who the fans of one account are at another, and
// asks the platform for its limits.
func (c *Channels) Run(ctx context.Context) error {
	tick := time.NewTicker(tidyEvery)
	defer tick.Stop()
	for {
		c.tidy(ctx)
		select {
		case <-ctx.Done():
			c.going.Wait()
			return nil
		case <-tick.C:
		}
	}
}
