package wechat

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"kfactor/channel/wechat/client"
)

const (
	tidyEvery   = 10 * time.Second
	tidyTimeout = time.Minute
	pushesKept  = 24 * time.Hour // the platform repeats a push within a minute
	tidyMost    = 500            // rows of one statement
	tidyTrips   = 40             // statements of one kind at a time
	learnMost   = 5              // calls at a time
)

// tidy does what nobody waits for, a bounded piece of it.
func (c *Channels) tidy(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, tidyTimeout)
	defer cancel()
	note := func(what string, err error) {
		if err != nil && ctx.Err() == nil {
			c.Log.Error(what, "err", err)
		}
	}
	note("old pushes stay", c.forgetPushes(ctx))
	note("old pictures stay", c.forgetPictures(ctx))
	for _, name := range slices.Sorted(maps.Keys(c.desks)) {
		d := c.desks[name]
		note("pushes stay held", d.hearHeld(ctx))
		if d.health.away(c.Now()) {
			continue
		}
		d.askLimits(ctx)
		if err := d.learn(ctx); err != nil {
			c.Log.Debug("fans are not known from other accounts yet", "channel", name, "err", err)
		}
	}
}

// forgetPushes deletes pushes that nobody repeats any more.
func (c *Channels) forgetPushes(ctx context.Context) error {
	before := c.now() - pushesKept.Milliseconds()
	for range tidyTrips {
		var old []push
		db := c.DB.WithContext(ctx)
		err := db.Select("channel", "push_key").Where("received_at < ?", before).Order("received_at").Limit(tidyMost).Find(&old).Error
		if err != nil || len(old) == 0 {
			return err
		}
		keys := map[string][][]byte{}
		for _, p := range old {
			keys[p.Channel] = append(keys[p.Channel], p.PushKey)
		}
		for channel, some := range keys {
			if err := db.Where("channel = ? AND push_key IN ? AND received_at < ?", channel, some, before).Delete(&push{}).Error; err != nil {
				return err
			}
		}
		if len(old) < tidyMost {
			return nil
		}
	}
	return nil
}

// forgetPictures deletes pictures that the platform no longer has.
func (c *Channels) forgetPictures(ctx context.Context) error {
	before := c.now() - flightTimeout.Milliseconds() // an upload may be under way
	for range tidyTrips {
		var old []picture
		db := c.DB.WithContext(ctx)
		err := db.Select("channel", "media_key").Where("expires_at < ?", before).Order("expires_at").Limit(tidyMost).Find(&old).Error
		if err != nil || len(old) == 0 {
			return err
		}
		keys := map[string][]string{}
		for _, p := range old {
			keys[p.Channel] = append(keys[p.Channel], p.MediaKey)
		}
		for channel, some := range keys {
			if err := db.Where("channel = ? AND media_key IN ? AND expires_at < ?", channel, some, before).Delete(&picture{}).Error; err != nil {
				return err
			}
		}
		if len(old) < tidyMost {
			return nil
		}
	}
	return nil
}

// learn asks the platform for the unionids of fans of whom that was not done: by them somebody is known again at
// another account.
func (d *desk) learn(ctx context.Context) error {
	for range learnMost {
		var fans []fan
		err := d.accounts.DB.WithContext(ctx).Where("union_key IS NULL AND channel = ? AND follows = ?", d.name, true).
			Limit(client.MaxUserInfos).Find(&fans).Error
		if err != nil || len(fans) == 0 {
			return err
		}
		var openids []string
		for i := range fans {
			openid, err := d.accounts.sealer.Open(fans[i].OpenEnc)
			if err == nil && openid != "" {
				openids = append(openids, openid)
			}
		}
		unions := map[string][]byte{} // by open key
		if err := d.askUnions(ctx, openids, unions); err != nil {
			return err
		}
		changes := make([]*change, 0, len(fans))
		for _, row := range fans {
			key := unions[string(row.OpenKey)]
			if key == nil {
				key = nowhere
			}
			changes = append(changes, &change{fresh: row, alter: func(f *fan) error {
				f.UnionKey = key
				return nil
			}})
		}
		if err := d.write(ctx, changes); err != nil || len(fans) < client.MaxUserInfos {
			return err
		}
	}
	return nil
}

// askUnions asks the platform for the unionids of many, and keeps them by open key. One openid that it does not know, of
// an account that was closed say, has it refuse all that are asked for with it: they are asked for in halves.
func (d *desk) askUnions(ctx context.Context, openids []string, unions map[string][]byte) error {
	if len(openids) == 0 {
		return nil
	}
	var infos []client.UserInfo
	err := d.call(ctx, apiUsers, rankChatter, func() (err error) {
		infos, err = d.client.UserInfos(ctx, openids)
		return err
	})
	if client.CodeOf(err) == client.CodeInvalidOpenID {
		if len(openids) == 1 {
			return nil
		}
		half := len(openids) / 2
		return errors.Join(d.askUnions(ctx, openids[:half], unions), d.askUnions(ctx, openids[half:], unions))
	}
	for _, info := range infos {
		if info.UnionID != "" {
			unions[string(d.accounts.openKey(d.name, info.OpenID))] = d.accounts.unionKey(info.UnionID)
		}
	}
	return err
}
