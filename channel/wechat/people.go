package wechat

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"kfactor/channel/wechat/wire"
	"kfactor/internal/database"
)

// person is whom the campaigns of a channel know somebody with a unionid as, since the channel has had several accounts.
// It is written before the first event of theirs that one of these accounts hears after a move, and never changed: who
// they are does not depend on the order in which they leave, come and the channel is moved.
type person struct {
	Channel   string `gorm:"primaryKey"`
	UnionKey  []byte `gorm:"primaryKey"`
	UserKey   []byte
	UserEnc   []byte
	CreatedAt int64 `gorm:"autoCreateTime:false"`
}

func (person) TableName() string { return "channel_people" }

// kin is what the accounts know of somebody beside their own row.
type kin struct {
	fan      *fan
	openid   string
	channels []string // that are asked about: those that were moved and this account serves

	users    map[string]string // afterwards: whom the campaigns of each channel know them as, by channel
	followed bool              // afterwards: they have followed another account
	held     bool              // afterwards: pushes of theirs wait to be worked on
}

// errUnknown says that it has to be known first who somebody is.
var errUnknown = errors.New("the platform does not say who a fan is")

// acquaint finds out who the visitor is. At an account whose channels were moved they may be known from another one, by
// their unionid. Where the platform does not tell it now, errUnknown says so as long as the push can wait.
func (d *desk) acquaint(ctx context.Context, h *hearing, how patience) error {
	v := &h.visitor
	moved := h.moves.movedTo(d.name)
	follows, leaves := h.push.Event == wire.EventSubscribe, h.push.Event == wire.EventUnsubscribe
	asked := v.fan.UnionKey != nil && (v.fan.united() || !follows)
	// Whoever leaves cannot be asked about once the openid is erased, and may come to another account.
	if !asked && (len(moved) > 0 || leaves && len(d.accounts.stations) > 1) {
		union, err := d.askUnion(ctx, h.push.From)
		switch {
		case err != nil && how != waitsNoMore && len(moved) > 0:
			d.accounts.Log.Info("a push waits until the platform says who the fan is", "channel", d.name, "err", err)
			return errUnknown
		case err != nil:
			d.accounts.Log.Warn("a fan could not be looked up, and counts as somebody new at other accounts", "channel", d.name, "err", err)
			h.union = nowhere
		default:
			h.union = d.accounts.unionKeyOf(union)
		}
		v.fan.UnionKey = h.union
	}
	var err error
	if v.kin, err = d.recognise(ctx, &v.fan, v.openid, moved); err != nil {
		return err
	}
	if how == comes && v.kin.held {
		return errUnknown // what they did before comes first
	}
	return nil
}

// unionKeyOf is the union key of what the platform says a unionid is, "" for none.
func (a *Accounts) unionKeyOf(union string) []byte {
	if union == "" {
		return nowhere
	}
	return a.unionKey(union)
}

// unionTimeout is how long a push waits to learn who a fan is.
const unionTimeout = 2 * time.Second

// askUnion asks the platform for a fan's unionid, "" for none.
func (s *station) askUnion(ctx context.Context, openid string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, unionTimeout)
	defer cancel()
	var union string
	err := s.call(ctx, apiUser, rankPoster, func() error {
		info, err := s.client.UserInfo(ctx, openid)
		union = info.UnionID
		return err
	})
	return union, err
}

// recognise tells whom the campaigns of channels that were moved know somebody as.
func (s *station) recognise(ctx context.Context, f *fan, openid string, channels []string) (kin, error) {
	k := kin{fan: f, openid: openid, channels: channels}
	if len(channels) == 0 {
		return k, nil
	}
	return k, s.kins.do(ctx, &k)
}

// lookUpKin looks many up at once. Who is decided about for the first time is, where they are known from the channel's
// own account, who they are there; else who they are here.
func (s *station) lookUpKin(ctx context.Context, all []*kin) error {
	a, db := s.accounts, s.accounts.DB.WithContext(ctx)
	var opens, unions [][]byte
	asked := map[string]bool{}
	for _, k := range all {
		k.users, k.followed, k.held = map[string]string{}, false, false
		opens = append(opens, k.fan.OpenKey)
		if k.fan.united() {
			unions = append(unions, k.fan.UnionKey)
			for _, channel := range k.channels {
				asked[channel] = true
			}
		}
	}
	var waiting []held
	if err := db.Select("open_key").Where("channel = ? AND open_key IN ?", s.name, opens).Find(&waiting).Error; err != nil {
		return err
	}
	for _, k := range all {
		k.held = slices.ContainsFunc(waiting, func(h held) bool { return string(h.OpenKey) == string(k.fan.OpenKey) })
	}
	if len(unions) == 0 {
		return nil
	}
	channels := slices.Sorted(maps.Keys(asked))
	var fans []fan
	if err := db.Where("union_key IN ?", unions).Find(&fans).Error; err != nil {
		return err
	}
	siblings := map[string][]*fan{}
	for i := range fans {
		union := string(fans[i].UnionKey)
		siblings[union] = append(siblings[union], &fans[i])
	}
	decided, err := a.peopleOf(db, channels, unions)
	if err != nil {
		return err
	}
	fresh := map[personKey]person{}
	for _, k := range all {
		if !k.fan.united() {
			continue
		}
		union := string(k.fan.UnionKey)
		k.followed = slices.ContainsFunc(siblings[union], func(f *fan) bool { return f.FirstFollowedAt > 0 })
		for _, channel := range k.channels {
			key := personKey{channel, union}
			if _, ok := decided[key]; ok {
				continue
			}
			user := k.openid
			for _, f := range siblings[union] {
				if there := a.openidOf(f); f.Channel == channel && there != "" {
					user = there
				}
			}
			fresh[key] = person{
				Channel: channel, UnionKey: k.fan.UnionKey, UserKey: a.userKey(user), UserEnc: a.sealer.Seal(user), CreatedAt: a.now(),
			}
		}
	}
	if len(fresh) > 0 { // the first to write is right
		err := database.Transact(ctx, a.DB, func(tx *gorm.DB) error {
			_, err := database.InsertNew(tx, slices.Collect(maps.Values(fresh)), "channel", "union_key")
			return err
		})
		if err != nil {
			return err
		}
		if decided, err = a.peopleOf(db, channels, unions); err != nil {
			return err
		}
	}
	for _, k := range all {
		for _, channel := range k.channels {
			if p, ok := decided[personKey{channel, string(k.fan.UnionKey)}]; ok {
				if k.users[channel], err = a.sealer.Open(p.UserEnc); err != nil {
					return err // another name would make two people of one
				}
			}
		}
	}
	return nil
}

type personKey struct{ channel, union string }

func (a *Accounts) peopleOf(db *gorm.DB, channels []string, unions [][]byte) (map[personKey]person, error) {
	var rows []person
	if err := db.Where("channel IN ? AND union_key IN ?", channels, unions).Find(&rows).Error; err != nil {
		return nil, err
	}
	found := make(map[personKey]person, len(rows))
	for _, p := range rows {
		found[personKey{p.Channel, string(p.UnionKey)}] = p
	}
	return found, nil
}

// unionsOf are the union keys of users whom campaigns on a channel that was moved know, by user key.
func (a *Accounts) unionsOf(ctx context.Context, channel string, users [][]byte) (map[string][]byte, error) {
	found := map[string][]byte{}
	db := a.DB.WithContext(ctx)
	var fans []fan // who followed both accounts before the move and has done nothing since is found by the channel's own
	if err := db.Select("user_key", "union_key").Where("channel = ? AND user_key IN ?", channel, users).Find(&fans).Error; err != nil {
		return nil, err
	}
	for i := range fans {
		if fans[i].united() {
			found[string(fans[i].UserKey)] = fans[i].UnionKey
		}
	}
	var people []person
	if err := db.Select("user_key", "union_key").Where("channel = ? AND user_key IN ?", channel, users).Find(&people).Error; err != nil {
		return nil, err
	}
	for _, p := range people {
		found[string(p.UserKey)] = p.UnionKey
	}
	return found, nil
}

// Strangers is how many followers of an account the platform has not been asked about: at another account they would
// count as other people.
func (c *Channels) Strangers(ctx context.Context, account string) (int64, error) {
	var n int64
	err := c.DB.WithContext(ctx).Model(&fan{}).Where("union_key IS NULL AND channel = ? AND follows = ?", account, true).Count(&n).Error
	return n, err
}

// learnTimeout bounds how long a move waits to learn who everybody is.
const learnTimeout = time.Minute

// learnAll asks the platform about all strangers of an account, as far as it answers.
func (c *Channels) learnAll(ctx context.Context, account string) {
	d := c.desks[account]
	if d == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, learnTimeout)
	defer cancel()
	for {
		n, err := c.Strangers(ctx, account)
		if err == nil && n > 0 {
			err = d.learn(ctx)
		}
		if err != nil {
			c.Log.Warn("not all fans are known by their unionid before the move", "channel", account, "err", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}
