package wechat

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"kfactor/channel/wechat/setup"
	"kfactor/engine"
	participant "kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// away is where an account's own channel was moved to, while campaigns run on it: fans of the account are told to go
// there.
type away struct {
	to        *station
	campaigns []engine.Running
}

// away is where the account's channel was moved to; none where it was not, or nothing runs on it.
func (d *desk) away(ctx context.Context, m moves) (away, error) {
	to := d.accounts.stations[cmp.Or(m[d.name], d.name)]
	if to == nil || to.name == d.name {
		return away{}, nil
	}
	campaigns, err := d.engine.CampaignsOn(ctx, d.name)
	return away{to, campaigns}, err
}

// any says whether there is another place to go to.
func (w *away) any() bool { return len(w.campaigns) > 0 }

// asks says whether a text or the key of a button asks for one of the campaigns that went.
func (w *away) asks(normal, key string) bool {
	return slices.ContainsFunc(w.campaigns, func(c engine.Running) bool {
		return key != "" && c.Definition.Join.MenuKey == key ||
			normal != "" && slices.ContainsFunc(c.Definition.Join.Keywords, func(k string) bool { return setup.Normal(k) == normal })
	})
}

// someScene is the scene of the code that leads to an account and to nobody there.
const someScene = "moved"

// showWay tells a fan where the account's campaigns are now, with a picture of a code that leads there. Who came through
// a friend's code is given that friend's.
func (d *desk) showWay(ctx context.Context, h *hearing, script *setup.Channel) error {
	scene := someScene
	if code, ok := participant.Parse(h.push.Scene()); ok {
		_, channel, err := d.engine.CampaignOfCode(ctx, code)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err == nil && channel == d.name {
			scene = code
		}
	}
	h.way = scene
	h.say(cmp.Or(script.Moved, h.tongue.moved))
	return nil
}

// sendWay sends the picture of a code that leads to where the campaigns are. Who asked can ask again, so it is tried once.
func (d *desk) sendWay(ctx context.Context, h *hearing) {
	if h.way == "" {
		return
	}
	select {
	case d.channels.late <- struct{}{}:
	default:
		return
	}
	ctx = context.WithoutCancel(ctx)
	d.channels.going.Go(func() {
		defer func() { <-d.channels.late }()
		ctx, cancel := context.WithTimeout(ctx, lateTime)
		defer cancel()
		if err := d.sendCodeOf(ctx, h); err != nil {
			d.channels.Log.Warn("a fan was not shown the account that the channel was moved to", "channel", d.name, "err", err)
		}
	})
}

func (d *desk) sendCodeOf(ctx context.Context, h *hearing) error {
	const size = 512 // pixels
	there, err := h.away.to.code(ctx, h.way)
	if err != nil {
		return err
	}
	key := "way " + h.away.to.name + " " + h.way
	if there.ExpiresAt > 0 { // the code is made anew before it runs out, and so is its picture
		key += " " + there.until().UTC().Format("0102")
	}
	id, err := d.media(ctx, key, rankPoster, "png", func() ([]byte, error) {
		var picture bytes.Buffer
		err := poster.QRPNG(&picture, there.URL, size)
		return picture.Bytes(), err
	})
	if err != nil {
		return err
	}
	r := reading{openKey: d.accounts.openKey(d.name, h.visitor.openid)}
	if err := d.reads.do(ctx, &r); err != nil || r.fan == nil {
		return err
	}
	return d.sendTo(ctx, r.fan, rankPoster, func() error { return d.client.SendImage(ctx, h.visitor.openid, id) })
}
