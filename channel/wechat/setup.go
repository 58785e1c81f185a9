package wechat

import (
	"context"
	"errors"
	"sync"
	"time"

	"kfactor/channel/wechat/setup"
	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// setupRow is what an account says by itself, as somebody has written it. Every revision is kept.
type setupRow struct {
	Channel   string `gorm:"primaryKey"` // the account
	Revision  int    `gorm:"primaryKey;autoIncrement:false"`
	Source    string
	CreatedAt int64 `gorm:"autoCreateTime:false"`
}

func (setupRow) TableName() string { return "channel_setups" }

// script keeps what an account says by itself, read.
type script struct {
	mu       sync.Mutex // also held while it is read, so that it happens once
	revision int
	channel  *setup.Channel
	read     time.Time
}

// scriptFresh is for how long a script is believed to be the newest.
const scriptFresh = 2 * time.Second

// of is the account's script; one with the built-in words alone where nobody wrote any.
func (s *script) of(ctx context.Context, d *desk) (*setup.Channel, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.channel != nil && time.Since(s.read) < scriptFresh {
		return s.channel, nil
	}
	source, revision, err := d.accounts.setup(ctx, d.name)
	if err != nil {
		if s.channel != nil { // as it was a moment ago
			return s.channel, nil
		}
		return nil, err
	}
	if s.channel != nil && revision == s.revision {
		s.read = time.Now()
		return s.channel, nil
	}
	channel, err := setup.Of([]byte(source), d.name, d.accounts.PublicURL)
	if err != nil || channel == nil {
		if revision > 0 {
			d.accounts.Log.Error("the account's set-up does not read; it says what it said before", "channel", d.name, "revision", revision, "err", err)
		}
		if channel = s.channel; channel == nil {
			if channel, err = setup.Of(plainSetup(d.name), d.name, d.accounts.PublicURL); err != nil {
				return nil, err
			}
		}
	}
	s.channel, s.revision, s.read = channel, revision, time.Now()
	return channel, nil
}

// plainSetup is a set-up with the built-in words alone.
func plainSetup(name string) []byte { return []byte("channels:\n  " + name + ": {}\n") }

func (a *Accounts) setup(ctx context.Context, name string) (source string, revision int, err error) {
	var rows []setupRow
	err = a.DB.WithContext(ctx).Where("channel = ?", name).Order("revision DESC").Limit(1).Find(&rows).Error
	last := first(rows)
	return last.Source, last.Revision, err
}

// Setup is an account's stored set-up and its number; "" and 0 where there is none.
func (c *Channels) Setup(ctx context.Context, name string) (source string, revision int, err error) {
	if _, err := c.account(name); err != nil {
		return "", 0, err
	}
	return c.setup(ctx, name)
}

// StoreSetup keeps a set-up as the account's newest, and gives its number. The same source again is no new revision.
func (c *Channels) StoreSetup(ctx context.Context, name, source string) (revision int, err error) {
	s, err := c.account(name)
	if err != nil {
		return 0, err
	}
	channel, err := setup.Of([]byte(source), name, c.PublicURL)
	if err != nil {
		return 0, err
	}
	if channel == nil {
		return 0, fault.New(fault.Invalid, "the file says nothing of channel %q", name)
	}
	const tries = 5
	for range tries {
		there, last, err := c.setup(ctx, name)
		if err != nil {
			return 0, err
		}
		if last > 0 && there == source {
			return last, nil
		}
		row := setupRow{Channel: name, Revision: last + 1, Source: source, CreatedAt: c.now()}
		err = database.Insert(c.DB.WithContext(ctx), []setupRow{row})
		if err == nil {
			s.script.forget()
			return row.Revision, nil
		}
		if !database.IsDuplicate(err) {
			return 0, err
		}
	}
	return 0, fault.Wrap(fault.Conflict, errors.New("the revision was taken each time"), "others are changing this set-up; try again")
}

func (s *script) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
}
