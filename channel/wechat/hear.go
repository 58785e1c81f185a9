package wechat

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/internal/crash"
	"kfactor/internal/fault"
	"kfactor/notify"
)

// What became of a push, for the metrics.
const (
	pushTaken    = "taken"
	pushRepeated = "repeated"
	pushIgnored  = "ignored" // of a kind that means nothing here
)

// hear takes a push and gives the answer, nil for none. When it returns without an error all that the push means is on
// disk. It may be told the same push again, and gives the same answer: what happened and what is owed have the same
// names each time, and the last thing that is written is the push itself, with the answer.
func (d *desk) hear(ctx context.Context, p wire.Push) (reply []byte, result string, err error) {
	if !matters(p) {
		d.note(p)
		return nil, pushIgnored, nil
	}
	began := time.Now()
	open := d.accounts.openKey(d.name, p.From)
	leave, err := d.inTurn.enter(ctx, string(open))
	if err != nil {
		return nil, "", fault.Wrap(fault.Unavailable, err, "what this fan did before is still being worked on")
	}
	defer leave()
	moved, err := d.accounts.moved(ctx)
	if err != nil {
		return nil, "", err
	}
	reply, result, err = d.hearAgain(ctx, p, open, moved, began, comes)
	if errors.Is(err, errUnknown) {
		return d.hold(ctx, p, open, moved)
	}
	return reply, result, err
}

// hearAgain works on a push until the fan's row stands still meanwhile.
func (d *desk) hearAgain(ctx context.Context, p wire.Push, open []byte, moved moves, began time.Time, how patience) (reply []byte, result string, err error) {
	const tries = 5
	for range tries {
		reply, result, err = d.hearOnce(ctx, p, open, moved, began, how)
		if !errors.Is(err, errStale) {
			break
		}
	}
	return reply, result, err
}

// matters says whether a push of this kind may have consequences.
func matters(p wire.Push) bool {
	switch p.MsgType {
	case wire.MsgText, wire.MsgImage, wire.MsgVoice, wire.MsgVideo, wire.MsgShortVideo, wire.MsgLocation, wire.MsgLink:
		return true
	case wire.MsgEvent:
		switch p.Event {
		case wire.EventSubscribe, wire.EventUnsubscribe, wire.EventScan, wire.EventClick, wire.EventScanCode, wire.EventScanCodeWait,
			wire.EventNoticePopup, wire.EventNoticeChange:
			return true
		}
	}
	return false
}

// note logs what an operator may want to know of a push that has no consequences.
func (d *desk) note(p wire.Push) {
	switch p.Event {
	case wire.EventTemplateSent:
		if p.Status != "success" {
			d.channels.Log.Warn("a template message did not arrive", "channel", d.name, "message", p.JobID, "status", p.Status)
		}
	case wire.EventNoticeSent:
		for _, n := range p.Notices {
			if n.ErrorCode != 0 {
				d.channels.Log.Warn("a notice did not arrive", "channel", d.name, "template", n.TemplateID, "code", n.ErrorCode, "status", n.ErrorStatus)
			}
		}
	}
}

// visitor is who sent a push, as far as they are known.
type visitor struct {
	openid string
	fan    fan // their row as it stands, or as it would begin
	kin    kin
}

// visitor is who has an openid, by what was read of them.
func (d *desk) visitor(openid string, r *reading) visitor {
	if r.fan != nil {
		return visitor{openid: openid, fan: *r.fan}
	}
	return visitor{openid: openid, fan: d.accounts.newFan(d.name, openid, d.accounts.now())}
}

// user is whom the campaigns of a channel know the visitor as.
func (v *visitor) user(channel string) string { return cmp.Or(v.kin.users[channel], v.openid) }

// users are the keys of all whom campaigns know the visitor as.
func (v *visitor) users(a *Accounts) [][]byte {
	keys := [][]byte{a.userKey(v.openid)}
	for _, user := range v.kin.users {
		keys = append(keys, a.userKey(user))
	}
	return keys
}

// known says whether the visitor has followed before, this account or one whose channels it serves.
func (v *visitor) known() bool { return v.fan.FirstFollowedAt > 0 || v.kin.followed }

// hearing is a push being worked on.
type hearing struct {
	moves   moves // as they were when the push came
	push    wire.Push
	key     []byte // of the push
	at      int64  // when it happened, UTC milliseconds
	visitor visitor

	events []engine.Incoming
	owed   []engine.Due
	reply  []byte                           // nil: nothing is said
	ask    func(ctx context.Context) string // an answer that has to be looked up, in place of reply
	union  []byte                           // the fan's union key as it was learned now; nil: nothing was
	alter  []func(f *fan) error             // what becomes of the fan
	opens  *trigger                         // nil: nothing
	tongue *tongue                          // how the account speaks
	away   away                             // where the account's channel was moved to
	way    string                           // the scene of a code of that account's, whose picture is sent; "": none
	leaves map[string]string                // campaigns that are to forget a user's looks, with the user
}

func (d *desk) hearOnce(ctx context.Context, p wire.Push, open []byte, moved moves, began time.Time, how patience) ([]byte, string, error) {
	r := reading{openKey: open, pushKey: d.pushKey(p)}
	if err := d.reads.do(ctx, &r); err != nil {
		return nil, "", err
	}
	if r.before != nil {
		// The first time may have ended between writing this down and telling who waits for it.
		h := &hearing{push: p, moves: moved, opens: opening(p), visitor: d.visitor(p.From, &r)}
		if r.fan != nil && h.opens != nil {
			if err := d.acquaint(ctx, h, waitsNoMore); err != nil {
				return nil, "", err
			}
			d.tellOpened(ctx, h)
		}
		reply, err := d.accounts.sealer.Open(r.before.Reply)
		return []byte(reply), pushRepeated, err
	}
	h := &hearing{push: p, moves: moved, key: r.pushKey, at: d.happened(p), visitor: d.visitor(p.From, &r)}
	if err := d.acquaint(ctx, h, how); err != nil {
		return nil, "", err
	}
	if err := d.mean(ctx, h); err != nil {
		return nil, "", err
	}
	if err := d.accept(ctx, h.events); err != nil {
		return nil, "", err
	}
	if err := d.engine.Owe(ctx, h.owed); err != nil {
		return nil, "", err
	}
	for campaign, user := range h.leaves {
		if err := d.engine.Undress(ctx, campaign, user); err != nil {
			return nil, "", err
		}
	}
	if h.ask != nil {
		h.reply = d.askInTime(ctx, h, began)
	}
	crash.Point("wechat.before-commit")
	c := change{fresh: h.visitor.fan, alter: h.apply(d.accounts), forgets: h.visitor.users(d.accounts), push: &push{
		Channel: d.name, PushKey: h.key, Reply: d.accounts.sealer.Seal(string(h.reply)), ReceivedAt: d.accounts.now(),
	}}
	if err := d.writes.do(ctx, &c); err != nil {
		return nil, "", err
	}
	if c.err != nil {
		return nil, "", c.err
	}
	if c.before != nil { // another process was faster
		reply, err := d.accounts.sealer.Open(c.before.Reply)
		return []byte(reply), pushRepeated, err
	}
	crash.Point("wechat.before-answer")
	d.tellOpened(ctx, h)
	d.sendWay(ctx, h)
	return h.reply, pushTaken, nil
}

// happened is when a push's cause was, by the platform's clock as far as ours believes it.
func (d *desk) happened(p wire.Push) int64 {
	const most = int64(time.Hour / time.Millisecond)
	now, at := d.accounts.now(), p.CreateTime*1000
	if at > now || at < now-most {
		return now
	}
	return at
}

// accept hands events to their campaigns. What is rejected is not wrong but too much for now, most likely: it is tried
// once more and then left, since the person's own push is worth more than a line of the funnel.
func (d *desk) accept(ctx context.Context, events []engine.Incoming) error {
	const pause = 200 * time.Millisecond
	for try := 1; len(events) > 0; try++ {
		receipt, err := d.engine.Accept(ctx, events)
		if err != nil {
			return err
		}
		var again []engine.Incoming
		for _, r := range receipt.Rejected {
			again = append(again, events[r.Index])
			if try > 1 {
				d.channels.Log.Warn("an event was not taken", "channel", d.name, "type", events[r.Index].Type, "campaign", events[r.Index].Campaign, "err", r.Error)
			}
		}
		if try > 1 {
			return nil
		}
		if events = again; len(events) > 0 {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// apply is what becomes of the fan's row, whatever it is by now.
func (h *hearing) apply(a *Accounts) func(f *fan) error {
	talk := h.visitor.fan.Talk
	return func(f *fan) error {
		if (f.Talk == nil) != (talk == nil) || f.Talk != nil && *f.Talk != *talk {
			return errStale // what was said was said to another state of the talk
		}
		learn := func() {
			if h.union != nil && !f.united() {
				f.UnionKey = h.union
			}
		}
		if h.push.Event == wire.EventUnsubscribe {
			learn()
			f.leave(h.at)
			return nil
		}
		if h.at >= f.LeftAt {
			if !f.Follows {
				f.Follows, f.FollowedAt = true, h.at
				// Who comes to an account whose campaigns have gone is told where, and is new when they come there.
				if f.FirstFollowedAt == 0 && !h.away.any() {
					f.FirstFollowedAt = h.at
				}
				if bytes.Equal(f.UnionKey, nowhere) {
					f.UnionKey = nil // to be asked for again
				}
			}
			f.OpenEnc, f.UserEnc = a.sealer.Seal(h.visitor.openid), nil
		}
		learn()
		for _, alter := range h.alter {
			if err := alter(f); err != nil {
				return err
			}
		}
		if h.opens != nil && f.Follows {
			f.open(*h.opens, h.at, a.now())
		}
		return nil
	}
}

// leave erases what is needed to write to somebody. That they were here stays, in keyed hashes, so that they do not
// count as new when they come back, and so does, sealed, whom the campaigns know somebody with a unionid as: who comes
// to another account of the channel's is the same person there, whatever they left before.
func (f *fan) leave(at int64) {
	if at < f.FollowedAt {
		return // they have come back since
	}
	f.Follows, f.LeftAt = false, at
	if f.united() && len(f.OpenEnc) > 0 {
		f.UserEnc = f.OpenEnc
	}
	f.OpenEnc, f.Talk, f.Allowance, f.AllowanceUntil = nil, nil, 0, 0
	if f.UnionKey == nil {
		f.UnionKey = nowhere
	}
}

// tellOpened tells the engine that messages which wait for the fan may be sent.
func (d *desk) tellOpened(ctx context.Context, h *hearing) {
	if h.opens == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hearTimeout) // also when the platform has gone
	defer cancel()
	for _, channel := range h.moves.served(d.name) {
		if err := d.engine.WindowOpened(ctx, channel, h.visitor.user(channel)); err != nil {
			d.channels.Log.Error("waiting messages", "channel", d.name, "err", err)
		}
	}
}

// happen adds an event of the visitor's.
func (h *hearing) happen(campaign, channel, kind, code string, data map[string]any) {
	at := time.UnixMilli(h.at)
	in := engine.Incoming{
		// The same for a repetition of the push, and in the order of time for the journal's index (see engine.NewEventID).
		ID:       fmt.Sprintf("wx-%08x-%x-%s", h.push.CreateTime, h.key[:12], kind),
		Campaign: campaign, Type: kind, User: h.visitor.user(channel), Code: code, Time: &at,
	}
	if len(data) > 0 {
		text, err := json.Marshal(data)
		if err != nil {
			panic(err) // of texts, numbers and booleans
		}
		in.Data = text
	}
	h.events = append(h.events, in)
}

// posterPause is within how long a second wish for the same poster is the same wish.
const posterPause = 3 * time.Second

// owePoster owes the visitor their poster of a campaign, and answers with the words that go before it. once owes it
// only once, whatever they do.
func (h *hearing) owePoster(c engine.Running, invitedBy string, once bool) {
	source := "wx-poster-" + strconv.FormatInt(h.at/posterPause.Milliseconds(), 10)
	if once {
		source = "wx-poster-once"
	}
	h.owed = append(h.owed, engine.Due{
		Campaign: c.ID, User: h.visitor.user(c.Definition.Channel), Kind: notify.Poster, Word: notify.Joined, Source: source,
		Facts: notify.Facts{InvitedBy: invitedBy},
	})
}

// say answers with a text; an empty one says nothing.
func (h *hearing) say(text string) {
	if text != "" {
		h.reply = wire.TextReply(h.push, time.UnixMilli(h.at), text)
	}
}
