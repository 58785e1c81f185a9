package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"kfactor/channel/wechat/setup"
	"kfactor/internal/database"
	"kfactor/internal/seal"
)

// fan is somebody whom an account has met. Times are UTC milliseconds, 0 for never.
type fan struct {
	No              int64  `gorm:"primaryKey;autoIncrement"`
	Channel         string // the account
	OpenKey         []byte // keyed hash of the openid
	OpenEnc         []byte // the openid; nil while nothing can be sent there
	UserKey         []byte // keyed hash of the openid as the user that campaigns know; see person for whom others know them as
	UserEnc         []byte // the openid of somebody with a unionid who does not follow: by it they are known again elsewhere
	UnionKey        []byte // keyed hash of the unionid; nil before it was asked for, nowhere where there is none
	Follows         bool
	FirstFollowedAt int64
	FollowedAt      int64
	LeftAt          int64
	Allowance       int // messages that may still be sent until AllowanceUntil
	AllowanceUntil  int64
	Talk            *string // memory as JSON
	CreatedAt       int64   `gorm:"autoCreateTime:false"`
	UpdatedAt       int64   `gorm:"autoUpdateTime:false"`
}

func (fan) TableName() string { return "fans" }

// nowhere is the union key of those who were asked for and have none, or could not be asked for in time.
var nowhere = make([]byte, seal.LookupSize)

// united says whether the fan has a unionid that is known.
func (f *fan) united() bool { return len(f.UnionKey) > 0 && !bytes.Equal(f.UnionKey, nowhere) }

// memory is what is remembered of a fan beside who they are.
type memory struct {
	Talk     []byte         `json:"talk,omitempty"`     // a setup.Talk, sealed: answers may be phone numbers
	Consents map[string]int `json:"consents,omitempty"` // notices the fan has agreed to and not been sent, by template
}

// memory reads what is remembered. What does not read is forgotten: it is a convenience of the fan's.
func (f *fan) memory() memory {
	var m memory
	if f.Talk != nil {
		if err := json.Unmarshal([]byte(*f.Talk), &m); err != nil {
			return memory{}
		}
	}
	return m
}

func (f *fan) remember(m memory) {
	f.Talk = nil
	if len(m.Talk) == 0 && len(m.Consents) == 0 {
		return
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err) // of bytes and numbers
	}
	said := string(text)
	f.Talk = &said
}

// talk is where the fan stands in a dialogue, nil when in none.
func (a *Accounts) talk(f *fan) *setup.Talk {
	m := f.memory()
	text, err := a.sealer.Open(m.Talk)
	if err != nil || text == "" {
		return nil
	}
	var t setup.Talk
	if json.Unmarshal([]byte(text), &t) != nil {
		return nil
	}
	return &t
}

// setTalk keeps where the fan stands in a dialogue.
func (a *Accounts) setTalk(f *fan, t *setup.Talk) {
	m := f.memory()
	m.Talk = nil
	if t != nil {
		text, err := json.Marshal(t)
		if err != nil {
			panic(err) // of texts and numbers
		}
		m.Talk = a.sealer.Seal(string(text))
	}
	f.remember(m)
}

// The keyed hashes by which fans are found.
func (a *Accounts) openKey(account, openid string) []byte {
	return a.hash("open " + account + " " + openid)
}
func (a *Accounts) userKey(user string) []byte     { return a.hash("user " + user) }
func (a *Accounts) unionKey(unionid string) []byte { return a.hash("union " + unionid) }

func (a *Accounts) hash(what string) []byte {
	sum := a.sealer.Lookup(0, "wechat "+what)
	return sum[:]
}

// newFan is somebody whom an account meets for the first time.
func (a *Accounts) newFan(account, openid string, now int64) fan {
	return fan{
		Channel: account, OpenKey: a.openKey(account, openid), OpenEnc: a.sealer.Seal(openid), UserKey: a.userKey(openid),
		CreatedAt: now, UpdatedAt: now,
	}
}

// openidOf is a fan's openid; "" where it was erased.
func (a *Accounts) openidOf(f *fan) string {
	sealed := f.OpenEnc
	if len(sealed) == 0 {
		sealed = f.UserEnc
	}
	openid, err := a.sealer.Open(sealed)
	if err != nil {
		a.Log.Error("a fan's row does not open", "fan", f.No, "err", err)
	}
	return openid
}

// push is what is kept of a call of the platform's that had consequences, so that its repetitions have none.
type push struct {
	Channel    string `gorm:"primaryKey"`
	PushKey    []byte `gorm:"primaryKey"`
	Reply      []byte // sealed; nil for success
	ReceivedAt int64
}

func (push) TableName() string { return "channel_pushes" }

// reading is what is known when a push comes in.
type reading struct {
	openKey, pushKey []byte

	fan    *fan  // nil for somebody new
	before *push // nil when it did not come before
}

// read looks up many readings of one account.
func (s *station) read(ctx context.Context, readings []*reading) error {
	var opens, keys [][]byte
	for _, r := range readings {
		opens = append(opens, r.openKey)
		if r.pushKey != nil {
			keys = append(keys, r.pushKey)
		}
	}
	db := s.accounts.DB.WithContext(ctx)
	var fans []fan
	if err := db.Where("channel = ? AND open_key IN ?", s.name, opens).Find(&fans).Error; err != nil {
		return err
	}
	var pushes []push
	if len(keys) > 0 {
		if err := db.Where("channel = ? AND push_key IN ?", s.name, keys).Find(&pushes).Error; err != nil {
			return err
		}
	}
	byOpen := make(map[string]*fan, len(fans))
	for i := range fans {
		byOpen[string(fans[i].OpenKey)] = &fans[i]
	}
	byKey := make(map[string]*push, len(pushes))
	for i := range pushes {
		byKey[string(pushes[i].PushKey)] = &pushes[i]
	}
	for _, r := range readings {
		r.before = byKey[string(r.pushKey)]
		if f := byOpen[string(r.openKey)]; f != nil {
			mine := *f
			r.fan = &mine
		}
	}
	return nil
}

// errStale says that somebody's row has changed since it was looked at: begin again.
var errStale = errors.New("the fan's row has changed meanwhile")

// change is what a push makes of a fan, written together with the push: both or none.
type change struct {
	fresh   fan   // as a new row would begin
	push    *push // nil where nothing is kept
	alter   func(f *fan) error
	forgets [][]byte // users that campaigns know them as, whose members are forgotten where they leave

	before *push // afterwards: it had been written already, and nothing was done
	err    error // afterwards: errStale
}

// write commits many changes of one account, each on its fan's row as it stands now.
func (s *station) write(ctx context.Context, changes []*change) error {
	const tries = 4
	for try := 1; ; try++ {
		err := s.commit(ctx, changes)
		// Another process has met the same fan for the first time, or was sent the same push.
		if !database.IsDuplicate(err) || try == tries {
			return err
		}
	}
}

func (s *station) commit(ctx context.Context, changes []*change) error {
	var opens, keys [][]byte
	for _, c := range changes {
		opens = append(opens, c.fresh.OpenKey)
		if c.push != nil {
			keys = append(keys, c.push.PushKey)
		}
	}
	return database.Transact(ctx, s.accounts.DB, func(tx *gorm.DB) error {
		var rows []fan
		locked := tx.Clauses(clause.Locking{Strength: "UPDATE"}) // on SQLite the transaction itself is the lock
		if err := locked.Where("channel = ? AND open_key IN ?", s.name, opens).Find(&rows).Error; err != nil {
			return err
		}
		known := map[string]*push{}
		if len(keys) > 0 {
			var pushes []push
			if err := tx.Where("channel = ? AND push_key IN ?", s.name, keys).Find(&pushes).Error; err != nil {
				return err
			}
			for i := range pushes {
				known[string(pushes[i].PushKey)] = &pushes[i]
			}
		}
		fans := make(map[string]*fan, len(rows))
		for i := range rows {
			fans[string(rows[i].OpenKey)] = &rows[i]
		}
		touched := map[string]*fan{}
		var written []push
		var left [][]byte
		now := s.accounts.now()
		for _, c := range changes {
			c.before, c.err = nil, nil
			if c.push != nil {
				if c.before = known[string(c.push.PushKey)]; c.before != nil {
					continue
				}
			}
			key := string(c.fresh.OpenKey)
			f := fans[key]
			if f == nil {
				fresh := c.fresh
				f = &fresh
			}
			next := *f
			if c.err = c.alter(&next); c.err != nil {
				continue
			}
			next.UpdatedAt = now
			if next.LeftAt != f.LeftAt {
				left = append(append(left, next.UserKey), c.forgets...)
			}
			fans[key], touched[key] = &next, &next
			if c.push != nil {
				known[string(c.push.PushKey)] = c.push
				written = append(written, *c.push)
			}
		}
		var fresh, old []fan
		for _, f := range touched {
			if f.No == 0 {
				fresh = append(fresh, *f)
			} else {
				old = append(old, *f)
			}
		}
		if err := database.Insert(tx, fresh); err != nil {
			return err
		}
		err := database.Upsert(tx, old, []string{"no"}, []string{
			"open_enc", "user_enc", "union_key", "follows", "first_followed_at", "followed_at", "left_at",
			"allowance", "allowance_until", "talk", "updated_at",
		})
		if err != nil {
			return err
		}
		if err := forgetMembers(tx, left); err != nil {
			return err
		}
		return database.Insert(tx, written)
	})
}
