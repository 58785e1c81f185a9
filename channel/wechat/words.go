package wechat

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kfactor/channel/wechat/setup"
	"kfactor/channel/wechat/wire"
	"kfactor/engine"
	"kfactor/event"
)

// What is said where nobody has written anything else.
func wordTakesPart(name string) string {
	return "你已参加「" + name + "」。回复「海报」领取专属海报，回复「进度」查看进度。"
}
func wordPaused(name string) string { return "「" + name + "」暂停中，请稍后再来。" }
func wordEarly(name string) string  { return "「" + name + "」还没有开始，敬请期待。" }
func wordOver(name string) string   { return "「" + name + "」已经结束，感谢参与。" }

const (
	wordNothing   = "当前没有进行中的活动。"
	wordNotJoined = "你还没有参加活动。回复「海报」即可参加。"
	wordMoved     = "活动已搬到新的公众号，请长按识别二维码关注，进度和奖励都还在。"
	wordBusy      = "现在人有点多，请稍后再试。"
	wordNoRanking = "还没有人上榜，快来争第一。"
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
		return wire.TextReply(h.push, time.UnixMilli(h.at), wordBusy)
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
			return d.wished(h, open[n], wordOthers(script, a.Word, names(open), n))
		}
	}
	if len(order) > 0 {
		return d.wished(h, order[0], "") // which says why not
	}
	h.say(wordNothing)
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

// wordOthers says how to ask the same of the other campaigns; "" where there is none, or nobody can write the word.
func wordOthers(script *setup.Channel, word setup.Word, names []string, but int) string {
	called := script.Words[word]
	if len(names) < 2 || len(called) == 0 {
		return ""
	}
	var b strings.Builder
	told := 0
	for i, name := range names {
		if i == but || told == mostOthers {
			continue
		}
		told++
		fmt.Fprintf(&b, "\n「%s」请回复：%s %d", name, called[0], i+1)
	}
	return "\n\n其他活动" + b.String()
}

// lookUp is the answer to a built-in word.
func (d *desk) lookUp(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) string {
	text, err := d.answerTo(ctx, h, running, script, a)
	if err != nil {
		d.channels.Log.Warn("an answer was not found", "channel", d.name, "word", string(a.Word), "err", err)
		return wordBusy
	}
	return text
}

// answerTo answers for one of the campaigns that the visitor takes part in, and says how to ask for the others.
func (d *desk) answerTo(ctx context.Context, h *hearing, running []engine.Running, script *setup.Channel, a setup.Action) (string, error) {
	if len(running) == 0 {
		return wordNothing, nil
	}
	parts, err := d.parts(ctx, h, running, script)
	if err != nil {
		return "", err
	}
	if len(parts) == 0 {
		if a.Word != setup.Ranking {
			return wordNotJoined, nil
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
		text, err = d.progress(ctx, parts[n])
	case setup.Ranking:
		text, err = d.ranking(ctx, parts[n])
	case setup.Why:
		text, err = d.why(ctx, parts[n])
	}
	return text + wordOthers(script, a.Word, names(order), n), err
}

// progress tells how far somebody is: what counts, and what each tier still needs.
func (d *desk) progress(ctx context.Context, p part) (string, error) {
	v, err := d.engine.Participant(ctx, p.ID, p.code, true)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "「%s」", p.Name)
	for _, t := range p.Definition.Tasks {
		fmt.Fprintf(&b, "\n%s：%d", cmp.Or(t.Title, t.Name), v.Tasks[t.Name].Count)
		if held := v.Tasks[t.Name].Held; held > 0 {
			fmt.Fprintf(&b, "(另有 %d 个待确认)", held)
		}
	}
	for i, t := range p.Definition.Tiers {
		var lacking []string
		for _, need := range t.Requires {
			if n := need.Count - v.Tasks[need.Task].Count; n > 0 {
				task := p.Definition.Task(need.Task)
				lacking = append(lacking, fmt.Sprintf("%s还差 %d", cmp.Or(task.Title, task.Name), n))
			}
		}
		switch {
		case v.Tiers[i].Reached:
			fmt.Fprintf(&b, "\n✅ %s", t.Name)
		case len(lacking) > 0:
			fmt.Fprintf(&b, "\n◻️ %s：%s", t.Name, strings.Join(lacking, "，"))
		default:
			fmt.Fprintf(&b, "\n◻️ %s", t.Name)
		}
	}
	return b.String(), nil
}

// ranking tells who leads, with others' names masked, and the place of whoever asks.
func (d *desk) ranking(ctx context.Context, p part) (string, error) {
	const most = 10
	ranks, err := d.engine.Leaderboard(ctx, p.ID, most, true)
	if err != nil {
		return "", err
	}
	if len(ranks) == 0 {
		return wordNoRanking, nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "「%s」排行榜", p.Name)
	shown := false
	for _, r := range ranks {
		name := maskedName(r.Nickname)
		if r.Code == p.code {
			name, shown = "我", true
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
		fmt.Fprintf(&b, "\n我：%d 名以后，%d", mine.Rank, mine.Count)
	case mine.Rank > 0:
		fmt.Fprintf(&b, "\n我：第 %d 名，%d", mine.Rank, mine.Count)
	default:
		b.WriteString("\n我：暂未上榜")
	}
	return b.String(), nil
}

// why tells which friends count and why others do not, and what a tier waits for.
func (d *desk) why(ctx context.Context, p part) (string, error) {
	const most = 8 // friends
	friends, err := d.engine.Friends(ctx, p.ID, p.code)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "「%s」", p.Name)
	counting, told := 0, 0
	for _, f := range friends.Items {
		if f.State == engine.FriendCounts {
			counting++
		}
	}
	fmt.Fprintf(&b, "\n已计入的好友：%d 位", counting)
	for _, f := range friends.Items {
		if f.State == engine.FriendCounts || told == most {
			continue
		}
		told++
		fmt.Fprintf(&b, "\n%s：%s", cmp.Or(maskedName(f.Nickname), "好友"), whyFriend(f, p.Definition.Schedule.Location()))
	}
	if friends.Came > 0 {
		fmt.Fprintf(&b, "\n还有 %d 位扫了码但还没有完成任务。", friends.Came)
	}
	if len(friends.Items) == 0 && friends.Came == 0 {
		b.WriteString("\n还没有好友扫你的码。")
	}
	if told == 0 && counting > 0 {
		b.WriteString("\n没有未计入的好友。")
	}
	return b.String(), nil
}

// whyFriend says why a friend does not count, or not yet.
func whyFriend(f engine.Friend, zone *time.Location) string {
	switch f.State {
	case engine.FriendWaits:
		return "待确认，预计 " + f.Until.In(zone).Format("01-02 15:04") + " 计入"
	case engine.FriendLeft:
		return "已取消关注，计数已撤回"
	}
	switch f.Outcome {
	case event.DuplicateInvitee:
		return "之前已经助力过，每位好友只计一次"
	case event.SelfInvite:
		return "不能邀请自己"
	case event.NotNewUser:
		return "不是新用户，本活动只计新关注的好友"
	case event.LimitReached:
		return "已达到次数上限"
	case event.BlockedOutcome:
		return "账号异常"
	case event.CampaignNotLive:
		return "不在活动时间内"
	}
	return "未满足活动条件"
}

// maskedName is another person's name as strangers may see it: its first character.
func maskedName(name string) string {
	if name == "" {
		return "匿名"
	}
	r, _ := utf8.DecodeRuneInString(name)
	return string(r) + "**"
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
