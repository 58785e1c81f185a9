package wechat

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"kfactor/campaign"
	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	participant "kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/notify"
)

// opening is the window that a push of this kind opens, nil for none.
func opening(p wire.Push) *trigger {
	switch {
	case p.MsgType != wire.MsgEvent && p.BizMsgMenuID == "":
		return &afterText
	case p.MsgType != wire.MsgEvent: // the platform counts a tap in a message as one in the menu
		return &afterAction
	}
	switch p.Event {
	case wire.EventSubscribe, wire.EventScan, wire.EventClick, wire.EventScanCode, wire.EventScanCodeWait:
		return &afterAction
	}
	return nil
}

// mean finds out what a push means: events for campaigns, what the visitor is owed, the answer, and what becomes of
// their row.
func (d *desk) mean(ctx context.Context, h *hearing) error {
	running, err := d.running(ctx, h.moves)
	if err != nil {
		return err
	}
	if h.away, err = d.away(ctx, h.moves); err != nil {
		return err
	}
	h.tongue, h.opens = d.tongue(ctx), opening(h.push)
	switch p := &h.push; {
	case p.MsgType != wire.MsgEvent:
		if said := cmp.Or(p.Content, p.Recognition); said != "" {
			return d.said(ctx, h, running, said)
		}
		return nil
	case p.Event == wire.EventSubscribe:
		return d.followed(ctx, h, running)
	case p.Event == wire.EventUnsubscribe:
		h.leaves = map[string]string{}
		for _, c := range running {
			h.happen(c.ID, c.Definition.Channel, "unsubscribe", "", nil)
			h.leaves[c.ID] = h.visitor.user(c.Definition.Channel)
		}
		return nil
	case p.Event == wire.EventScan:
		return d.scanned(ctx, h, running)
	case p.Event == wire.EventClick:
		return d.clicked(ctx, h, running)
	case p.Event == wire.EventScanCode, p.Event == wire.EventScanCodeWait:
		return nil
	case p.Event == wire.EventNoticePopup, p.Event == wire.EventNoticeChange:
		h.alter = append(h.alter, func(f *fan) error {
			f.consent(p)
			return nil
		})
	}
	return nil
}

// running are the campaigns on all channels that the account serves, those with the latest start first.
func (d *desk) running(ctx context.Context, m moves) ([]engine.Running, error) {
	channels := m.served(d.name)
	var all []engine.Running
	for _, channel := range channels {
		some, err := d.engine.CampaignsOn(ctx, channel)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	if len(channels) > 1 {
		slices.SortStableFunc(all, func(a, b engine.Running) int {
			return b.Definition.Schedule.Starts.Compare(a.Definition.Schedule.Starts)
		})
	}
	return all, nil
}

// open says whether people can join a campaign now.
func (h *hearing) open(c engine.Running) bool {
	at, s := time.UnixMilli(h.at), c.Definition.Schedule
	return c.Status == campaign.Live && !at.Before(s.Starts) && at.Before(s.Ends)
}

// behind finds the campaign behind a scene: one that this account serves. A scene that is no code of ours has none.
func (d *desk) behind(ctx context.Context, m moves, scene string) (id, channel, code string, err error) {
	code, ok := participant.Parse(scene)
	if !ok {
		return "", "", "", nil
	}
	id, channel, err = d.engine.CampaignOfCode(ctx, code)
	if fault.KindOf(err) == fault.NotFound {
		return "", "", "", nil
	}
	if err != nil || !slices.Contains(m.served(d.name), channel) {
		return "", "", "", err
	}
	return id, channel, code, nil
}

// followed is a follow: through a code for the code's campaign, by itself for every other.
func (d *desk) followed(ctx context.Context, h *hearing, running []engine.Running) error {
	id, channel, code, err := d.behind(ctx, h.moves, h.push.Scene())
	if err != nil {
		return err
	}
	var data map[string]any
	if h.visitor.known() {
		data = map[string]any{"new": false}
	}
	if id != "" {
		h.happen(id, channel, "scan", code, nil)
		h.happen(id, channel, "subscribe", code, data)
	}
	var host *engine.Running // whose poster they get
	byCode := slices.ContainsFunc(running, func(c engine.Running) bool { return c.ID == id && h.open(c) })
	for i, c := range running {
		if c.ID != id {
			h.happen(c.ID, c.Definition.Channel, "subscribe", "", data)
		}
		if byCode && c.ID != id {
			continue // they came for another campaign
		}
		if h.open(c) && c.Definition.Join.OnSubscribe && (host == nil || c.ID == id) {
			host = &running[i]
		}
	}
	if host == nil {
		script, err := d.script.of(ctx, d)
		if err != nil {
			return err
		}
		if h.away.any() {
			return d.showWay(ctx, h, script)
		}
		h.say(script.Welcome)
		return nil
	}
	if host.ID != id {
		code = ""
	}
	h.owePoster(*host, code, false)
	h.say(h.caption(*host))
	return nil
}

// caption is what goes before a poster.
func (h *hearing) caption(c engine.Running) string {
	return notify.Fill(cmp.Or(c.Definition.Messages[notify.Joined], notify.DefaultText(h.tongue.language, notify.Joined)), map[string]string{"campaign": c.Name})
}

// scanned is a scan by somebody who follows already. Who has no poster of the code's campaign gets one where a follow
// brings one: they came the same way.
func (d *desk) scanned(ctx context.Context, h *hearing, running []engine.Running) error {
	id, channel, code, err := d.behind(ctx, h.moves, h.push.Scene())
	if err != nil {
		return err
	}
	script, err := d.script.of(ctx, d)
	if err != nil || id == "" && !h.away.any() {
		return err
	}
	if id == "" {
		return d.showWay(ctx, h, script)
	}
	h.happen(id, channel, "scan", code, nil)
	for _, c := range running {
		if c.ID != id || !h.open(c) || !c.Definition.Join.OnSubscribe {
			continue
		}
		mine, err := d.engine.CodeOfUser(ctx, id, h.visitor.user(channel))
		if err != nil {
			return err
		}
		if mine != "" {
			h.say(fmt.Sprintf(h.tongue.takesPart, c.Name, called(script, setup.Poster), called(script, setup.Progress)))
			return nil
		}
		h.owePoster(c, code, true)
		h.say(h.caption(c))
	}
	return nil
}

// clicked is a tap on the menu.
func (d *desk) clicked(ctx context.Context, h *hearing, running []engine.Running) error {
	key := h.push.EventKey
	d.tell(h, running, "click", "key", key)
	for _, c := range running {
		if c.Definition.Join.MenuKey == key && key != "" {
			return d.wished(h, c, "")
		}
	}
	script, err := d.script.of(ctx, d)
	if err != nil {
		return err
	}
	action, ok := script.Clicked(key)
	switch {
	case h.away.asks("", key), !ok && h.away.any():
		return d.showWay(ctx, h, script)
	case ok:
		return d.act(ctx, h, running, script, action)
	}
	return nil
}

// said is a text.
func (d *desk) said(ctx context.Context, h *hearing, running []engine.Running, text string) error {
	script, err := d.script.of(ctx, d)
	if err != nil {
		return err
	}
	normal := setup.Normal(text)
	for _, c := range running {
		if slices.ContainsFunc(c.Definition.Join.Keywords, func(k string) bool { return setup.Normal(k) == normal }) {
			d.tell(h, running, "keyword", "keyword", normal)
			return d.wished(h, c, "") // a dialogue that waits for an answer goes on waiting
		}
	}
	if h.away.asks(normal, "") {
		return d.showWay(ctx, h, script)
	}
	if talk := d.accounts.talk(&h.visitor.fan); talk != nil {
		turn := script.Step(talk, text, time.UnixMilli(h.at))
		d.turned(h, running, turn)
		if turn.Taken {
			return nil
		}
	}
	action, ok := script.Match(text)
	if ok {
		d.tell(h, running, "keyword", "keyword", normal)
		return d.act(ctx, h, running, script, action)
	}
	if script.Otherwise != nil {
		return d.act(ctx, h, running, script, setup.Action{Reply: script.Otherwise})
	}
	if h.away.any() {
		return d.showWay(ctx, h, script)
	}
	return nil
}

// tell makes an event of a word or a key that somebody set up, for campaigns that listen to it. Other texts are
// nobody's business.
func (d *desk) tell(h *hearing, running []engine.Running, kind, name, value string) {
	const most = 64 // characters
	if r := []rune(value); len(r) > most {
		value = string(r[:most])
	}
	for _, c := range running {
		if c.Definition.Listens(kind) {
			h.happen(c.ID, c.Definition.Channel, kind, "", map[string]any{name: value})
		}
	}
}

// wished is the wish to have a campaign's poster, which joins. others is said behind it.
func (d *desk) wished(h *hearing, c engine.Running, others string) error {
	switch {
	case h.open(c):
		h.owePoster(c, "", false)
		h.say(h.caption(c) + others)
	case c.Status == campaign.Paused:
		h.say(fmt.Sprintf(h.tongue.paused, c.Name))
	case time.UnixMilli(h.at).Before(c.Definition.Schedule.Starts):
		h.say(fmt.Sprintf(h.tongue.early, c.Name))
	default:
		h.say(fmt.Sprintf(h.tongue.over, c.Name))
	}
	return nil
}

// act does what the account's set-up says.
func (d *desk) act(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) error {
	switch {
	case a.Reply != nil && a.Reply.Service:
		h.reply = wire.HandOver(h.push, time.UnixMilli(h.at), a.Reply.Account)
	case a.Reply != nil:
		h.say(a.Reply.Text)
	case a.Dialogue != "":
		d.turned(h, running, script.Begin(a.Dialogue, time.UnixMilli(h.at)))
	case h.away.any() && len(running) == 0:
		return d.showWay(ctx, h, script)
	case a.Word == setup.Poster:
		return d.askedPoster(ctx, h, running, script, a)
	case a.Word != "":
		h.ask = func(ctx context.Context) string { return d.lookUp(ctx, h, running, script, a) }
	}
	return nil
}

// turned is a turn of a dialogue: what is said next, where it stands, and what it led to.
func (d *desk) turned(h *hearing, running []engine.Running, turn setup.Turn) {
	h.alter = append(h.alter, func(f *fan) error {
		d.accounts.setTalk(f, turn.Talk)
		return nil
	})
	if turn.Taken {
		h.say(turn.Reply)
	}
	if turn.Done == nil {
		return
	}
	data := map[string]any{}
	for name, value := range turn.Done.Data {
		if slices.Contains(turn.Done.Personal, name) {
			// The journal keeps nothing that tells who somebody is. Equal answers have equal keys, and a person who knows
			// the number will recognise it.
			data[name+"_key"] = d.accounts.answerKey(value)
			value = masked(value)
		}
		data[name] = value
	}
	for _, c := range running {
		if c.Definition.Listens(turn.Done.Type) {
			h.happen(c.ID, c.Definition.Channel, turn.Done.Type, "", data)
		}
	}
}

// consent counts what a fan agreed to be sent. Each yes is good for one notice.
func (f *fan) consent(p *wire.Push) {
	const most = 32 // templates
	m := f.memory()
	if m.Consents == nil {
		m.Consents = map[string]int{}
	}
	for _, n := range p.Notices {
		switch {
		case n.TemplateID == "" || len(n.TemplateID) > 128:
		case strings.EqualFold(n.Status, "accept") && (m.Consents[n.TemplateID] > 0 || len(m.Consents) < most):
			m.Consents[n.TemplateID]++
		case strings.EqualFold(n.Status, "reject") && p.Event == wire.EventNoticeChange: // a no when asked takes nothing back
			delete(m.Consents, n.TemplateID)
		}
	}
	maps.DeleteFunc(m.Consents, func(_ string, left int) bool { return left <= 0 })
	f.remember(m)
}
