package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/reward"
)

// words is one thing said in both languages.
type words struct{ en, zh string }

func say(en, zh string, args ...any) words {
	if len(args) == 0 {
		return words{en, zh}
	}
	return words{fmt.Sprintf(en, args...), fmt.Sprintf(zh, args...)}
}

func (w words) and(other words) words {
	switch {
	case w == words{}:
		return other
	case other == words{}:
		return w
	}
	return words{w.en + "; " + other.en, w.zh + ";" + other.zh}
}

// outcomeWords say what each outcome means and, where something would change it, what.
var outcomeWords = map[event.Outcome]words{
	event.Credited:         {"credited", "已计入"},
	event.Counted:          {"counted in the funnel; no task changed by it", "仅计入漏斗,没有任务因此变化"},
	event.Held:             {"waits for its hold; it counts when the hold passes and nothing took it back", "观察期内,期满未撤回即计入"},
	event.Reversed:         {"took the credit back; coming back gives the same credit again", "撤回了计数,再次关注会恢复同一计数"},
	event.Restored:         {"gave the same credit back", "恢复了同一计数"},
	event.DuplicateInvitee: {"this friend counts already; a friend counts once, for one inviter", "该好友已计过;每位好友只为一位邀请人计一次"},
	event.SelfInvite:       {"people cannot invite themselves", "不能邀请自己"},
	event.NotNewUser:       {"the friend was known before; this task counts new users only", "该好友不是新用户,此任务只计新用户"},
	event.UnknownCode:      {"no participant of this campaign has the code; check the code", "本活动没有这个邀请码,请检查邀请码"},
	event.NoInviter:        {"the friend had touched no code; a scan from before that arrives late is still credited", "该好友此前没有扫过任何邀请码;迟到的扫码记录到达后仍会补记"},
	event.CampaignNotLive:  {"the campaign was not live at that moment", "当时活动未在进行中"},
	event.OutsideWindow:    {"the friend's last scan was longer ago than the attribution window", "好友上次扫码已超出归因窗口"},
	event.LimitReached:     {"a limit was reached", "已达上限"},
	event.BlockedOutcome:   {"blocked by an operator; unblocking lets later events count", "已被运营人员屏蔽;解除屏蔽后,之后的事件可计入"},
	event.ConditionNotMet:  {"the task's condition was not met", "不满足任务条件"},
	event.Applied:          {"took effect", "已生效"},
	event.Refused:          {"refused", "被拒绝"},
	event.Failed:           {"could not be applied and is set aside; tell the operator", "无法处理,已搁置;请联系运营人员"},
}

// reasonWords narrow an outcome.
var reasonWords = map[string]words{
	event.JoinedBefore:   {"they had joined before; nothing changed", "此前已参加,无变化"},
	event.InviterUnknown: {"the code they said they came by is nobody's", "所填邀请码不存在"},
	"actor":              {"the one who did it is blocked", "行为人被屏蔽"},
	"inviter":            {"the inviter is blocked", "邀请人被屏蔽"},
	"other_inviter":      {"the friend counts for another inviter", "该好友已为另一位邀请人计数"},
	"loop":               {"the inviter was invited by this person", "邀请人正是由其邀请而来"},
	"left_later":         {"a later leaving had arrived before", "更晚的取消记录已先到达"},
	"per_day":            {"the limit per day", "每日上限"},
	"per_hour":           {"the limit per hour", "每小时上限"},
}

// why says what an applied event led to. codes names inviters by their code where it is given.
func why(e *event.Event, codes map[int64]string) words {
	said, ok := outcomeWords[e.Outcome]
	if !ok {
		said = words{string(e.Outcome), string(e.Outcome)}
	}
	d, err := e.Details()
	if err != nil {
		return said
	}
	if len(d.Tasks) > 0 {
		said = words{} // the tasks say it better
	}
	for _, t := range d.Tasks {
		said = said.and(taskWords(t, codes))
	}
	if len(d.Tiers) > 0 {
		said = said.and(say("tier reached: %s", "达成档位:%s", strings.Join(d.Tiers, ", ")))
	}
	if len(d.Grants) > 0 {
		said = said.and(say("rewards granted or changed: %d", "涉及 %d 笔奖励", len(d.Grants)))
	}
	if r, known := reasonWords[d.Reason]; known {
		said = said.and(r)
	} else if d.Reason != "" {
		said = said.and(words{d.Reason, d.Reason})
	}
	for _, f := range d.Fields {
		said = said.and(words{f, f})
	}
	return said
}

func taskWords(t event.TaskDetail, codes map[int64]string) words {
	outcome, known := outcomeWords[t.Outcome]
	if !known {
		outcome = words{string(t.Outcome), string(t.Outcome)}
	}
	short, _, _ := strings.Cut(outcome.en, ";")
	said := say("task %s: %s", "任务 %s:%s", t.Task, short)
	said.zh = fmt.Sprintf("任务 %s:%s", t.Task, outcome.zh)
	if c := codes[t.Owner]; c != "" {
		said.en += " [inviter " + c + "]"
		said.zh += "(" + c + ")"
	}
	if t.Reason != "" {
		r, known := reasonWords[t.Reason]
		if !known {
			r = words{t.Reason, t.Reason}
		}
		said.en += " (" + r.en + ")"
		said.zh += "(" + r.zh + ")"
	}
	if t.Event != "" {
		said.en += fmt.Sprintf(", completing event %s", t.Event)
		said.zh += fmt.Sprintf(",补全事件 %s", t.Event)
	}
	return said
}

// maxExplained bounds the events of one explanation; the latest are shown.
const maxExplained = 1000

// Explain tells every event that touched a participant, in order, and why each task, tier and grant stands where it
// stands.
func (e *Engine) Explain(ctx context.Context, id, text string, names bool) (ExplainView, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return ExplainView{}, err
	}
	v := ExplainView{Tasks: []ExplainedThing{}, Tiers: []ExplainedThing{}, Grants: []ExplainedThing{}}
	if v.Participant, err = e.view(ctx, c, &p, names); err != nil {
		return v, err
	}
	if v.Events, v.Truncated, err = e.touching(ctx, c, &p, names); err != nil {
		return v, err
	}
	for _, t := range c.definition.Tasks {
		v.Tasks = append(v.Tasks, explainTask(t, &p))
	}
	for _, t := range c.definition.Tiers {
		v.Tiers = append(v.Tiers, explainTier(t, &p))
	}
	var grants []reward.Grant
	if err := e.DB.WithContext(ctx).Where("campaign = ? AND person = ?", c.no, p.Person).Order("no").Limit(maxExplained).Find(&grants).Error; err != nil {
		return v, err
	}
	for _, g := range grants {
		said := explainGrant(&g, names)
		v.Grants = append(v.Grants, ExplainedThing{Name: fmt.Sprintf("%s.%d %s (%s)", id, g.No, g.Reward, g.Tier), State: string(g.State), Why: said.en, WhyZH: said.zh})
	}
	return v, nil
}

// touching are the events that a participant did or that concerned their code, in order.
func (e *Engine) touching(ctx context.Context, c known, p *campaign.Person, names bool) ([]ExplainedEvent, bool, error) {
	db := e.DB.WithContext(ctx)
	var rows []event.Event
	for _, column := range []string{"person", "owner"} {
		var part []event.Event
		err := db.Where("campaign = ? AND "+column+" = ? AND seq IS NOT NULL", c.no, p.Person).Order("seq DESC").Limit(maxExplained + 1).Find(&part).Error
		if err != nil {
			return nil, false, err
		}
		rows = append(rows, part...)
	}
	slices.SortFunc(rows, func(a, b event.Event) int { return int(*a.Seq - *b.Seq) })
	rows = slices.CompactFunc(rows, func(a, b event.Event) bool { return a.Pos == b.Pos })
	truncated := len(rows) > maxExplained
	if truncated {
		rows = rows[len(rows)-maxExplained:]
	}
	owners := []int64{p.Person}
	for _, r := range rows {
		owners = append(owners, r.Owner)
	}
	slices.Sort(owners)
	var people []campaign.Person
	if err := db.Select("person", "code").Where("campaign = ? AND person IN ?", c.no, slices.Compact(owners)).Find(&people).Error; err != nil {
		return nil, false, err
	}
	codes := map[int64]string{}
	for _, other := range people {
		codes[other.Person] = other.Code
	}
	views, err := e.eventViews(ctx, rows, names)
	if err != nil {
		return nil, false, err
	}
	events := make([]ExplainedEvent, 0, len(rows))
	for i := range rows {
		said := why(&rows[i], codes)
		events = append(events, ExplainedEvent{EventView: views[i], Why: said.en, WhyZH: said.zh})
	}
	return events, truncated, nil
}

func explainTask(t campaign.Task, p *campaign.Person) ExplainedThing {
	count, held := p.Facts.Counts[t.Name], p.Facts.Held[t.Name]
	said := say("counted: %d", "已计 %d", count)
	if held > 0 {
		said = said.and(say("waiting for their hold of %[2]s: %[1]d", "另有 %d 个在观察期(%s)", held, t.Hold))
	}
	return ExplainedThing{Name: t.Name, State: fmt.Sprint(count), Why: said.en, WhyZH: said.zh}
}

func explainTier(t campaign.Tier, p *campaign.Person) ExplainedThing {
	if slices.Contains(p.Facts.Reached, t.Name) {
		return ExplainedThing{Name: t.Name, State: "reached", Why: "all targets were met; a tier once reached stays reached", WhyZH: "目标已达成;达成后不会失去"}
	}
	var lacking words
	for _, r := range t.Requires {
		if count := p.Facts.Counts[r.Task]; count < r.Count {
			lacking = lacking.and(say("task %s has %d of %d", "任务 %s 已完成 %d / %d", r.Task, count, r.Count))
		}
	}
	if lacking == (words{}) {
		lacking = say("all targets are met; it is given at the next event", "目标已满足,下一个事件时发放")
		if p.Facts.Blocked {
			lacking = say("all targets are met, but the participant is blocked", "目标已满足,但参与者被屏蔽")
		}
	}
	return ExplainedThing{Name: t.Name, State: "open", Why: lacking.en, WhyZH: lacking.zh}
}

// explainGrant leaves out what a reviewer wrote where names are not to be shown: it may hold some.
func explainGrant(g *reward.Grant, names bool) words {
	said := map[reward.State]words{
		reward.Review:     {"stock and budget are reserved; a reviewer decides", "库存与预算已预留,等待审核"},
		reward.Granted:    {"promised; to be delivered", "已发放,等待交付"},
		reward.Waitlisted: {"waits in the order of arrival; it is served when there is more", "按先后排队,有余量时自动发放"},
		reward.Delivered:  {"delivered", "已交付"},
		reward.Rejected:   {"rejected", "已拒绝"},
		reward.Revoked:    {"revoked", "已撤销"},
	}[g.State]
	switch g.Reason {
	case "":
		return said
	case "stock":
		return said.and(say("the stock is used up; raise it to serve those who wait", "库存已用完,增加库存后补发"))
	case "budget":
		return said.and(say("the budget is used up; raise it to serve those who wait", "预算已用完,增加预算后补发"))
	case "no_coupon_code":
		return said.and(say("no coupon code is left; import more", "券码已用完,请导入更多券码"))
	}
	if !names {
		return said
	}
	return said.and(words{g.Reason, g.Reason})
}
