package wechat

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/event"
)

// answerTime is when an answer that has to be looked up is given up as a reply, after the push came in: the platform
// waits for five seconds. The answer then comes as a message of its own.
const (
	answerTime = 3 * time.Second
	lateTime   = 30 * time.Second
)

// askInTime looks an answer up. Nil says that it comes later, or not at all.
func (d *desk) askInTime(ctx context.Context, h *hearing, began time.Time) []byte {
	select {
	case d.channels.late <- struct{}{}:
	default:
		return wire.TextReply(h.push, time.UnixMilli(h.at), d.tongue(ctx).busy)
	}
	answer, gone := make(chan string), make(chan struct{})
	d.channels.going.Go(func() {
		defer func() { <-d.channels.late }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateTime)
		defer cancel()
		text := h.ask(ctx)
		select {
		case answer <- text:
		case <-gone:
			d.sayLater(ctx, h, text)
		}
	})
	wait := time.NewTimer(max(answerTime-time.Since(began), 0))
	defer wait.Stop()
	select {
	case text := <-answer:
		if text == "" {
			return nil
		}
		return wire.TextReply(h.push, time.UnixMilli(h.at), text)
	case <-wait.C:
		close(gone)
		return nil
	}
}

// sayLater sends an answer that took too long. Who asked can ask again, so it is tried once.
func (d *desk) sayLater(ctx context.Context, h *hearing, text string) {
	if text == "" {
		return
	}
	r := reading{openKey: d.accounts.openKey(d.name, h.visitor.openid)}
	err := d.reads.do(ctx, &r)
	if err == nil && r.fan != nil {
		err = d.sendTo(ctx, r.fan, rankPoster, func() error { return d.client.SendText(ctx, h.visitor.openid, wire.Cut(text)) })
	}
	if err != nil {
		d.channels.Log.Warn("a late answer was not sent", "channel", d.name, "err", err)
	}
}

// part is a campaign that the visitor takes part in.
type part struct {
	engine.Running
	user, code string
}

// parts are the campaigns that the visitor takes part in, the one that the account's set-up names first, then those
// with the latest start.
func (d *desk) parts(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel) ([]part, error) {
	var all []part
	for _, c := range preferred(running, script) {
		user := h.visitor.user(c.Definition.Channel)
		code, err := d.engine.CodeOfUser(ctx, c.ID, user)
		if err != nil {
			return nil, err
		}
		if code != "" {
			all = append(all, part{c, user, code})
		}
	}
	return all, nil
}

func preferred(running []engine.Running, script *setup.Channel) []engine.Running {
	order := slices.Clone(running)
	slices.SortStableFunc(order, func(a, b engine.Running) int {
		return cmp.Compare(first01(a.ID != script.Campaign), first01(b.ID != script.Campaign))
	})
	return order
}

func first01(later bool) int {
	if later {
		return 1
	}
	return 0
}

// askedPoster is the wish for one's own poster, whichever campaign's: one that the visitor takes part in, or else one
// that they can join.
func (d *desk) askedPoster(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) error {
	parts, err := d.parts(ctx, h, running, script)
	if err != nil {
		return err
	}
	order := preferred(running, script)
	var mine, theirs []engine.Running // that can be joined now
	for _, p := range parts {
		if h.open(p.Running) {
			mine = append(mine, p.Running)
		}
	}
	for _, c := range order {
		if h.open(c) {
			theirs = append(theirs, c)
		}
	}
	for _, open := range [][]engine.Running{mine, theirs} {
		if len(open) > 0 {
			n := chosen(a, len(open))
			return d.wished(h, open[n], h.tongue.otherCampaigns(script, a.Word, names(open), n))
		}
	}
	if len(order) > 0 {
		return d.wished(h, order[0], "") // which says why not
	}
	h.say(h.tongue.nothing)
	return nil
}

// chosen is which of so many campaigns somebody means, from 0: the first where they named none that there is.
func chosen(a setup.Action, many int) int {
	if a.Nth < 1 || a.Nth > many {
		return 0
	}
	return a.Nth - 1
}

func names(running []engine.Running) []string {
	list := make([]string, len(running))
	for i, c := range running {
		list[i] = c.Name
	}
	return list
}

// mostOthers is how many other campaigns an answer names.
const mostOthers = 8

// otherCampaigns says how to ask the same of the other campaigns; "" where there is none, or nobody can write the word.
func (t *tongue) otherCampaigns(script *setup.Channel, word setup.Word, names []string, but int) string {
	if len(names) < 2 || len(script.Words[word]) == 0 {
		return ""
	}
	var b strings.Builder
	told := 0
	for i, name := range names {
		if i == but || told == mostOthers {
			continue
		}
		told++
		fmt.Fprintf(&b, "\n"+t.another, name, fmt.Sprint(called(script, word), " ", i+1))
	}
	return "\n\n" + t.others + b.String()
}

// lookUp is the answer to a built-in word.
func (d *desk) lookUp(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) string {
	text, err := d.answerTo(ctx, h, running, script, a)
	if err != nil {
		d.channels.Log.Warn("an answer was not found", "channel", d.name, "word", string(a.Word), "err", err)
		return h.tongue.busy
	}
	return text
}

// answerTo answers for one of the campaigns that the visitor takes part in, and says how to ask for the others.
func (d *desk) answerTo(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) (string, error) {
	if len(running) == 0 {
		return h.tongue.nothing, nil
	}
	parts, err := d.parts(ctx, h, running, script)
	if err != nil {
		return "", err
	}
	if len(parts) == 0 {
		if a.Word != setup.Ranking {
			return fmt.Sprintf(h.tongue.notJoined, called(script, setup.Poster)), nil
		}
		for _, c := range preferred(running, script) {
			parts = append(parts, part{Running: c})
		}
	}
	order := make([]engine.Running, len(parts))
	for i, p := range parts {
		order[i] = p.Running
	}
	n := chosen(a, len(parts))
	var text string
	switch a.Word {
	case setup.Progress:
		text, err = d.progress(ctx, h.tongue, parts[n])
	case setup.Ranking:
		text, err = d.ranking(ctx, h.tongue, parts[n])
	case setup.Why:
		text, err = d.why(ctx, h.tongue, parts[n])
	}
	return text + h.tongue.otherCampaigns(script, a.Word, names(order), n), err
}

// progress tells how far somebody is: what counts, and what each tier still needs.
func (d *desk) progress(ctx context.Context, t *tongue, p part) (string, error) {
	v, err := d.engine.Participant(ctx, p.ID, p.code, true)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, t.title, p.Name)
	for _, task := range p.Definition.Tasks {
		fmt.Fprintf(&b, "\n"+t.count, cmp.Or(task.Title, task.Name), v.Tasks[task.Name].Count)
		if held := v.Tasks[task.Name].Held; held > 0 {
			fmt.Fprintf(&b, t.held, held)
		}
	}
	for i, tier := range p.Definition.Tiers {
		var lacking []string
		for _, need := range tier.Requires {
			if n := need.Count - v.Tasks[need.Task].Count; n > 0 {
				task := p.Definition.Task(need.Task)
				lacking = append(lacking, fmt.Sprintf(t.lacks, cmp.Or(task.Title, task.Name), n))
			}
		}
		switch {
		case v.Tiers[i].Reached:
			fmt.Fprintf(&b, "\n"+t.reached, tier.Name)
		case len(lacking) > 0:
			fmt.Fprintf(&b, "\n"+t.needs, tier.Name, strings.Join(lacking, t.comma))
		default:
			fmt.Fprintf(&b, "\n"+t.open, tier.Name)
		}
	}
	return b.String(), nil
}

// ranking tells who leads, with others' names masked, and the place of whoever asks.
func (d *desk) ranking(ctx context.Context, t *tongue, p part) (string, error) {
	const most = 10
	ranks, err := d.engine.Leaderboard(ctx, p.ID, most, true)
	if err != nil {
		return "", err
	}
	if len(ranks) == 0 {
		return t.noBoard, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, t.board, p.Name)
	shown := false
	for _, r := range ranks {
		name := t.maskedName(r.Nickname)
		if r.Code == p.code {
			name, shown = t.me, true
		}
		fmt.Fprintf(&b, "\n%d. %s %d", r.Rank, name, r.Count)
	}
	if p.code == "" || shown {
		return b.String(), nil
	}
	mine, err := d.engine.Standing(ctx, p.ID, p.code)
	if err != nil {
		return "", err
	}
	switch {
	case mine.Beyond:
		fmt.Fprintf(&b, "\n"+t.beyond, mine.Rank, mine.Count)
	case mine.Rank > 0:
		fmt.Fprintf(&b, "\n"+t.myRank, mine.Rank, mine.Count)
	default:
		b.WriteString("\n" + t.unranked)
	}
	return b.String(), nil
}

// why tells which friends count and why others do not, and what a tier waits for.
func (d *desk) why(ctx context.Context, t *tongue, p part) (string, error) {
	const most = 8 // friends
	friends, err := d.engine.Friends(ctx, p.ID, p.code)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, t.title, p.Name)
	counting, told := 0, 0
	for _, f := range friends.Items {
		if f.State == engine.FriendCounts {
			counting++
		}
	}
	fmt.Fprintf(&b, "\n"+t.counting, counting)
	for _, f := range friends.Items {
		if f.State == engine.FriendCounts || told == most {
			continue
		}
		told++
		fmt.Fprintf(&b, "\n"+t.about, t.maskedName(f.Nickname), t.whyFriend(f, p.Definition.Schedule.Location()))
	}
	if friends.Came > 0 {
		fmt.Fprintf(&b, "\n"+t.came, friends.Came)
	}
	if len(friends.Items) == 0 && friends.Came == 0 {
		b.WriteString("\n" + t.nobody)
	}
	if told == 0 && counting > 0 {
		b.WriteString("\n" + t.allCount)
	}
	return b.String(), nil
}

// whyFriend says why a friend does not count, or not yet.
func (t *tongue) whyFriend(f engine.Friend, zone *time.Location) string {
	switch f.State {
	case engine.FriendWaits:
		return fmt.Sprintf(t.waits, f.Until.In(zone).Format("01-02 15:04"))
	case engine.FriendLeft:
		return t.left
	}
	switch f.Outcome {
	case event.DuplicateInvitee:
		return t.duplicate
	case event.SelfInvite:
		return t.self
	case event.NotNewUser:
		return t.notNew
	case event.LimitReached:
		return t.limit
	case event.BlockedOutcome:
		return t.blocked
	case event.CampaignNotLive:
		return t.notLive
	}
	return t.unmet
}

// masked keeps of an answer what its owner knows it by: the beginning and the end.
func masked(answer string) string {
	r := []rune(answer)
	if len(r) < 8 {
		return strings.Repeat("*", len(r))
	}
	return string(r[:3]) + strings.Repeat("*", len(r)-7) + string(r[len(r)-4:])
}

// answerKey is the keyed hash of an answer, in hex.
func (a *Accounts) answerKey(answer string) string {
	return hex.EncodeToString(a.hash("answer " + answer))
}
