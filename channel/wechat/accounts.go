// Package wechat is the WeChat channel at work: it answers the platform's callbacks, knows the fans of each account,
// keeps within the platform's quotas and windows, and sends what people are owed to hear. What the platform's bytes
// mean is the wire room's, calling it is the client's; what campaigns make of it is the engine's.
package wechat

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"gorm.io/gorm"

	"kfactor/channel/wechat/client"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/seal"
	"kfactor/internal/settings"
	"kfactor/internal/telemetry"
)

// Config is what the accounts stand on.
type Config struct {
	DB        *gorm.DB
	Secret    []byte                      // seal.KeySize bytes, the engine's
	Accounts  map[string]settings.Channel // by name; those of other kinds are left out
	PublicURL string                      // under which pages are served, without a slash at the end
	HTTP      *http.Client                // nil: the client's own
	Now       func() time.Time            // nil: time.Now
	Log       *slog.Logger
	Metrics   *telemetry.Metrics
}

// Accounts are the Official Accounts that are configured. They give campaigns their codes; Serve makes them answer and
// send.
type Accounts struct {
	Config
	sealer   *seal.Sealer
	stations map[string]*station

	mu    sync.Mutex // also held while moves are read, so that it happens once
	moves moves      // of all channels that were ever moved; one that was moved back is served by itself
	read  time.Time
}

// station is one account at work.
type station struct {
	accounts *Accounts
	name     string
	settings settings.Channel
	crypt    *wire.Crypt
	client   *client.Client
	quotas   map[api]*quota
	nonces   *nonces
	bodies   bodies
	reads    group[reading]
	writes   group[change]
	takes    group[taking]
	kins     group[kin]
	codes    codes
	flights  singleflight.Group
	health   health
	inTurn   turns
	script   script
}

// Open makes the accounts ready. Nothing is called before it is needed.
func Open(c Config) (*Accounts, error) {
	sealer, err := seal.New(c.Secret)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	a := &Accounts{Config: c, sealer: sealer, stations: map[string]*station{}}
	for name, s := range c.Accounts {
		if s.Kind != "wechat" {
			continue
		}
		if a.stations[name], err = a.station(name, s); err != nil {
			return nil, fmt.Errorf("channel %s: %w", name, err)
		}
	}
	return a, nil
}

func (a *Accounts) station(name string, c settings.Channel) (*station, error) {
	s := &station{accounts: a, name: name, settings: c, quotas: map[api]*quota{}, nonces: newNonces(mostNonces)}
	var err error
	if s.crypt, err = wire.NewCrypt(c.Token, c.AESKey, c.AppID); err != nil {
		return nil, err
	}
	s.client, err = client.New(client.Config{
		AppID: c.AppID, Secret: c.AppSecret, APIURL: c.APIURL, OpenURL: c.OpenURL, HTTP: a.HTTP, Vault: newVault(a, name), Now: a.Now,
		Log: a.Log.With("channel", name), Observe: s.observe,
	})
	if err != nil {
		return nil, err
	}
	for which := range dailyLimits {
		s.quotas[which] = newQuota(a.DB, name, which, a.Now)
		s.quotas[which].allow(c.DailyLimits[string(which)])
		if which == apiForever {
			s.quotas[which].block = 1 // what is set aside and not used would be lost for ever
		}
	}
	trips := 2
	if database.Dialect(a.DB) == database.SQLite {
		trips = 1
	}
	s.reads = group[reading]{work: s.read, most: 500, trips: 2}
	s.writes = group[change]{work: s.write, most: 1000, trips: trips}
	s.takes = group[taking]{work: s.take, most: 500, trips: 1}
	s.kins = group[kin]{work: s.lookUpKin, most: 500, trips: 2}
	return s, nil
}

// now is the moment in UTC milliseconds.
func (a *Accounts) now() int64 { return a.Now().UnixMilli() }

// Names are the channels that accounts serve, in order: those configured, and those that were moved to one of them.
func (a *Accounts) Names(ctx context.Context) ([]string, error) {
	moves, err := a.moved(ctx)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for name := range a.stations {
		names[name] = true
	}
	for name := range moves {
		names[name] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}

// Channels are the channels for an engine, by name.
func (a *Accounts) Channels(ctx context.Context) (map[string]engine.Channel, error) {
	names, err := a.Names(ctx)
	if err != nil {
		return nil, err
	}
	all := make(map[string]engine.Channel, len(names))
	for _, name := range names {
		all[name] = a.Channel(name)
	}
	return all, nil
}

// Channel is a channel as campaigns on it see it.
func (a *Accounts) Channel(name string) engine.Channel { return front{a, name} }

// move says which account serves a channel that was moved. The row of one that was moved back stays: people may have
// come to it elsewhere.
type move struct {
	Channel string `gorm:"primaryKey"`
	Account string
	MovedAt int64
}

func (move) TableName() string { return "channel_moves" }

// movesFresh is for how long it is remembered which channels were moved. A move takes as long, so that all servers know
// of it when it is told to be done.
const movesFresh = 200 * time.Millisecond

// moves says which account serves which channel, for those that were moved, be it back to themselves.
type moves map[string]string

// moved says which channels were moved. Whoever asks more than once for one thing keeps the answer: the next may differ.
func (a *Accounts) moved(ctx context.Context) (moves, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.moves != nil && time.Since(a.read) < movesFresh {
		return a.moves, nil
	}
	var rows []move
	if err := a.DB.WithContext(ctx).Find(&rows).Error; err != nil {
		if a.moves != nil { // as it was a moment ago
			return a.moves, nil
		}
		return nil, err
	}
	m := make(moves, len(rows))
	for _, r := range rows {
		m[r.Channel] = r.Account
	}
	a.moves, a.read = m, time.Now()
	return m, nil
}

// forgetMoves has it read again which channels were moved.
func (a *Accounts) forgetMoves() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.moves = nil
}

// serving is the account that serves a channel.
func (a *Accounts) serving(ctx context.Context, channel string) (*station, error) {
	moves, err := a.moved(ctx)
	if err != nil {
		return nil, err
	}
	name := cmp.Or(moves[channel], channel)
	s := a.stations[name]
	if s == nil {
		return nil, fault.New(fault.NotFound, "no account %q is configured; name it under channels in the settings file", name)
	}
	return s, nil
}

// account is a configured account by name.
func (a *Accounts) account(name string) (*station, error) {
	if s := a.stations[name]; s != nil {
		return s, nil
	}
	return nil, fault.New(fault.NotFound, "there is no channel %q", name)
}

// served are the channels that an account serves: its own unless that was moved, and those moved to it.
func (m moves) served(account string) []string {
	channels := m.movedTo(account)
	if m[account] == "" {
		channels = append([]string{account}, channels...)
	}
	return channels
}

// movedTo are the channels among those that an account serves which have had another account before, be it in between.
func (m moves) movedTo(account string) []string {
	var channels []string
	for _, channel := range slices.Sorted(maps.Keys(m)) {
		if m[channel] == account {
			channels = append(channels, channel)
		}
	}
	return channels
}

// wasMoved says whether a channel has had several accounts.
func (a *Accounts) wasMoved(ctx context.Context, channel string) (bool, error) {
	moves, err := a.moved(ctx)
	return moves[channel] != "", err
}
