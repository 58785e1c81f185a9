package engine

import (
	"fmt"
	"strings"
	"time"

	"kfactor/campaign"
	"kfactor/event"
)

// words is one thing said in both languages, in whole sentences.
type words struct{ en, zh string }

// say fills both sentences in; an argument that is itself words goes into each in its own language.
func say(en, zh string, args ...any) words {
	enArgs, zhArgs := make([]any, len(args)), make([]any, len(args))
	for i, a := range args {
		enArgs[i], zhArgs[i] = a, a
		if w, both := a.(words); both {
			enArgs[i], zhArgs[i] = w.en, w.zh
		}
	}
	return words{fmt.Sprintf(en, enArgs...), fmt.Sprintf(zh, zhArgs...)}
}

// and puts another sentence behind.
func (w words) and(other words) words {
	if w == (words{}) || other == (words{}) {
		return words{w.en + other.en, w.zh + other.zh}
	}
	return words{w.en + " " + other.en, w.zh + other.zh}
}

// list names several things in a row.
func list(things []words) words { return join(things, words{", ", "、"}) }

// join puts something between things.
func join(things []words, between words) words {
	en, zh := make([]string, len(things)), make([]string, len(things))
	for i, t := range things {
		en[i], zh[i] = t.en, t.zh
	}
	return words{strings.Join(en, between.en), strings.Join(zh, between.zh)}
}

// quoted is a word of the user's own, as it stands.
func quoted(s string) words { return words{`"` + s + `"`, "「" + s + "」"} }

// outcomeWords say what each outcome means where nothing more is known of the event: in the journal's list.
var outcomeWords = map[event.Outcome]words{
	event.Credited:         {"Credited.", "已计入。"},
	event.Counted:          {"Counted in the funnel; no task changed by it.", "已计入漏斗，任务没有变化。"},
	event.Held:             {"Waits for its hold; it counts when the hold passes and nothing took it back.", "正在观察期，期满且未撤回即计入。"},
	event.Reversed:         {"Took the credit back; coming back gives the same credit again.", "计数已撤回，重新关注会恢复同一次计数。"},
	event.Restored:         {"Gave the same credit back.", "已恢复同一次计数。"},
	event.DuplicateInvitee: {"This friend counts already; a friend counts once, for one inviter.", "这位好友已经计过；每位好友只为一位邀请人计一次。"},
	event.SelfInvite:       {"People cannot invite themselves.", "不能邀请自己。"},
	event.NotNewUser:       {"The friend was known before; this task counts new users only.", "这位好友不是新用户，此任务只计新用户。"},
	event.UnknownCode:      {"Nobody in this campaign has the code.", "本活动没有这个邀请码。"},
	event.NoInviter:        {"The friend had come through nobody's code by then.", "在此之前，好友没有扫过任何人的邀请码。"},
	event.CampaignNotLive:  {"The campaign was not live at that moment.", "当时活动没有在进行。"},
	event.OutsideWindow:    {"The friend's last scan was longer ago than the attribution window.", "好友上次扫码已超出归因窗口。"},
	event.LimitReached:     {"A limit was reached.", "已达上限。"},
	event.BlockedOutcome:   {"Somebody in it is blocked.", "相关的人已被屏蔽。"},
	event.ConditionNotMet:  {"The task's condition was not met.", "不满足任务条件。"},
	event.Applied:          {"Took effect.", "已生效。"},
	event.Refused:          {"Refused; nothing changed.", "已拒绝，没有任何变化。"},
	event.Failed:           {"Could not be applied and was set aside; nothing changed.", "无法处理，已搁置，没有任何变化。"},
}

// reasonWords narrow an outcome.
var reasonWords = map[string]words{
	event.JoinedBefore:   {"They had joined before; nothing changed.", "此前已参加，没有变化。"},
	event.InviterUnknown: {"The code they said they came by is nobody's.", "所填的邀请码不属于任何人。"},
	"actor":              {"Who did it is blocked.", "做这件事的人已被屏蔽。"},
	"inviter":            {"The inviter is blocked.", "邀请人已被屏蔽。"},
	"other_inviter":      {"The friend belongs to another inviter.", "这位好友属于另一位邀请人。"},
	"loop":               {"The inviter was invited by this person.", "邀请人正是由这位用户邀请来的。"},
	"left_later":         {"A later leaving had arrived before.", "更晚的取消记录已先到达。"},
	"per_day":            {"The limit of a day.", "每日上限。"},
	"per_hour":           {"The limit of an hour.", "每小时上限。"},
}

// why says in short what an applied event led to, from the event alone. Messages that may quote what somebody sent are
// left out where names are not to be shown.
func why(e *event.Event, names bool) words {
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
	for i, t := range d.Tasks {
		if i == maxChains {
			said = said.and(say("… and %d more.", "……另有 %d 项。", len(d.Tasks)-maxChains))
			break
		}
		outcome := outcomeWords[t.Outcome]
		said = said.and(say("Task %s: %s", "任务「%s」：%s", t.Task, outcome))
		said = said.and(reasonOr(t.Reason, names))
		if t.Event != "" {
			said = said.and(say("It completes event %s.", "补全了事件 %s。", t.Event))
		}
	}
	if len(d.Tiers) > 0 {
		said = said.and(say("Tier reached: %s.", "达成档位：%s。", words{strings.Join(d.Tiers, ", "), strings.Join(d.Tiers, "、")}))
	}
	if n := len(d.Grants); n > 0 {
		said = said.and(words{counted(n, "grant", "grants") + " changed.", fmt.Sprintf("涉及 %d 份奖励。", n)})
	}
	said = said.and(reasonOr(d.Reason, names))
	for _, f := range d.Fields {
		said = said.and(words{f + ".", f + "。"})
	}
	return said
}

// reasonOr is a reason in words. What is no word of ours is a message that may quote data.
func reasonOr(reason string, names bool) words {
	if r, known := reasonWords[reason]; known {
		return r
	}
	if reason == "" || !names {
		return words{}
	}
	return words{"(" + reason + ")", "(" + reason + ")"}
}

// counted is a number with its noun.
func counted(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

// deeds are the built-in event types as nouns.
var deeds = map[string]words{
	"expose": {"view", "曝光"}, "scan": {"scan", "扫码"}, "subscribe": {"follow", "关注"}, "unsubscribe": {"unfollow", "取消关注"},
	"bind": {"binding", "绑定"}, "purchase": {"purchase", "购买"}, "refund": {"refund", "退款"},
	"checkin": {"check-in", "签到"}, "share": {"share", "分享"}, event.Joined: {"joining", "参加活动"},
}

func deed(eventType string) words {
	if w, builtin := deeds[eventType]; builtin {
		return w
	}
	return quoted(eventType)
}

// systemWords say what the engine's own events do; %s is who asked.
var systemWords = map[string]words{
	event.Launched:       {"The campaign was launched.", "活动已启动。"},
	event.Paused:         {"The campaign was paused; what happens meanwhile does not count.", "活动已暂停，其间的行为不计入。"},
	event.Resumed:        {"The campaign was resumed.", "活动已恢复。"},
	event.Ended:          {"The campaign was ended.", "活动已结束。"},
	event.Revised:        {"Another revision of the campaign came into force.", "活动的新版本已生效。"},
	event.Joined:         {"They joined and have a code of their own.", "已参加活动，有了自己的邀请码。"},
	event.Blocked:        {"The participant was blocked: from here on, nothing counts for them. What they had stays.", "参与者被屏蔽：此后不再计入，已有的保持不变。"},
	event.Unblocked:      {"The participant was unblocked: from here on, things count again.", "已解除屏蔽：此后恢复计入。"},
	event.GrantApproved:  {"The grant was approved.", "奖励审核通过。"},
	event.GrantRejected:  {"The grant was rejected; what it held of stock and budget is free again.", "奖励已拒绝，占用的库存与预算已释放。"},
	event.GrantDelivered: {"The grant was marked as delivered.", "奖励已标记为交付。"},
	event.GrantRevoked:   {"The grant was revoked; what it held of stock and budget is free again.", "奖励已撤销，占用的库存与预算已释放。"},
	event.CouponsAdded:   {"Coupon codes were imported; those who waited for one are served first.", "已导入券码，优先补发给等待的人。"},
	event.TimePassed:     {"Time passed: what had fallen due was done.", "到点自动处理：到期的事项已完成。"},
}

// span is a length of time in words.
func span(d time.Duration) words {
	for _, unit := range []struct {
		length        time.Duration
		one, more, zh string
	}{{24 * time.Hour, "day", "days", "天"}, {time.Hour, "hour", "hours", "小时"}, {time.Minute, "minute", "minutes", "分钟"}} {
		if d >= unit.length && d%unit.length == 0 {
			n := int(d / unit.length)
			return words{counted(n, unit.one, unit.more), fmt.Sprintf("%d %s", n, unit.zh)}
		}
	}
	n := int(d / time.Second)
	return words{counted(n, "second", "seconds"), fmt.Sprintf("%d 秒", n)}
}

// taskName is a task as each language's readers know it: by its word in the file, and by its title.
func taskName(d *campaign.Definition, name string) words {
	w := quoted(name)
	if t := d.Task(name); t != nil && t.Title != "" {
		w.zh = "「" + t.Title + "」"
	}
	return w
}

func rewardName(d *campaign.Definition, name string) words {
	w := quoted(name)
	if r := d.Reward(name); r != nil && r.Title != "" {
		w.zh = "「" + r.Title + "」"
	}
	return w
}
