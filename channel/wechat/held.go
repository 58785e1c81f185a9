package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"kfactor/channel/wechat/wire"
	"kfactor/internal/database"
)

// held is a push that waits until the platform says who its fan is: were it worked on before, one person could count as
// two. It is sealed, since people write what they like.
type held struct {
	No      int64  `gorm:"primaryKey;autoIncrement"`
	Channel string // the account
	PushKey []byte
	OpenKey []byte
	PushEnc []byte
	HeldAt  int64
}

func (held) TableName() string { return "channel_held" }

// patience is what becomes of a push while the platform does not say who its fan is.
type patience int

const (
	comes       patience = iota // it is held, and so is what the fan does after it
	waits                       // it was held, and stays so
	waitsNoMore                 // its fan counts as somebody new
)

const (
	pushHeld = "held" // for the metrics

	// heldFor is how long a push waits; then its fan counts as somebody new. Its time is still believed by then.
	heldFor   = 30 * time.Minute
	heldMost  = 500 // looked at in one go
	heldAt    = 8   // worked on at once
	heldTries = 20  // goes
)

// heldPush is what is sealed of a push that is held: it is worked on with the channels that the account served when it
// came, whatever is moved meanwhile.
type heldPush struct {
	Push  wire.Push
	Moves moves
}

// hold keeps a push for later. The fan is told to come again: an answer would come too late.
func (d *desk) hold(ctx context.Context, p wire.Push, open []byte, moved moves) (reply []byte, result string, err error) {
	text, err := json.Marshal(heldPush{p, moved})
	if err != nil {
		panic(err) // of texts and numbers
	}
	row := held{
		Channel: d.name, PushKey: d.pushKey(p), OpenKey: open, PushEnc: d.accounts.sealer.Seal(string(text)), HeldAt: d.accounts.now(),
	}
	if _, err := database.InsertNew(d.accounts.DB.WithContext(ctx), []held{row}, "channel", "push_key"); err != nil {
		return nil, "", err
	}
	return wire.TextReply(p, d.accounts.Now(), d.tongue(ctx).busy), pushHeld, nil
}

// pushKey is by what a push and its repetitions are known.
func (s *station) pushKey(p wire.Push) []byte {
	return s.accounts.hash("push " + s.name + " " + p.Key())
}

// hearHeld works on pushes that were held, as far as the platform now says who their fans are or they have waited long
// enough.
func (d *desk) hearHeld(ctx context.Context) error {
	after := int64(0)
	for range heldTries {
		var rows []held
		db := d.accounts.DB.WithContext(ctx)
		if err := db.Where("channel = ? AND no > ?", d.name, after).Order("no").Limit(heldMost).Find(&rows).Error; err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].No
		perFan := map[string][]held{}
		for _, h := range rows {
			perFan[string(h.OpenKey)] = append(perFan[string(h.OpenKey)], h)
		}
		var group errgroup.Group
		group.SetLimit(heldAt)
		for _, pushes := range perFan {
			group.Go(func() error { return d.hearFan(ctx, pushes) })
		}
		if err := group.Wait(); err != nil || len(rows) < heldMost {
			return err
		}
	}
	return nil
}

// hearFan works on what one fan did, in order.
func (d *desk) hearFan(ctx context.Context, pushes []held) error {
	open := pushes[0].OpenKey
	leave, err := d.inTurn.enter(ctx, string(open))
	if err != nil {
		return err
	}
	defer leave()
	for _, h := range pushes {
		text, err := d.accounts.sealer.Open(h.PushEnc)
		if err != nil {
			return err
		}
		var w heldPush
		if err := json.Unmarshal([]byte(text), &w); err != nil {
			return err
		}
		how := waits
		if d.accounts.now()-h.HeldAt >= heldFor.Milliseconds() {
			how = waitsNoMore
		} else if d.health.away(d.accounts.Now()) {
			return nil
		}
		_, result, err := d.hearAgain(ctx, w.Push, open, w.Moves, time.Now(), how)
		if errors.Is(err, errUnknown) {
			return nil // what comes after it waits too
		}
		if err != nil {
			return err
		}
		d.channels.Metrics.ChannelPush(d.name, result)
		if err := d.accounts.DB.WithContext(ctx).Delete(&held{}, h.No).Error; err != nil {
			return err
		}
	}
	return nil
}
