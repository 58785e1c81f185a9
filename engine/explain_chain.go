package engine

import (
	"encoding/json"
	"slices"
	"time"

	"kfactor/campaign"
	"kfactor/event"
)

// The steps of a chain, in order: how a friend came, what they did, whom it counts for, whether the task takes it, how
// long it waits, the tier it leads to, what is left to give, and the reward itself.
const (
	stepScan        = "scan"
	stepFollow      = "follow"
	stepAttribution = "attribution"
	stepRule        = "rule"
	stepHold        = "hold"
	stepTier        = "tier"
	stepStock       = "stock"
	stepGrant       = "grant"
)

var chainSteps = []string{stepScan, stepFollow, stepAttribution, stepRule, stepHold, stepTier, stepStock, stepGrant}

// How far a chain got with a step.
const (
	stepDone       = "done"
	stepStopped    = "stopped"
	stepNotReached = "not_reached"
)

var notReached = words{"Not reached.", "还没有走到这一步。"}

// chain is a chain as it is told, step by step. What is told after it stopped is not reached.
type chain struct{ ExplainedChain }

func (c *chain) stopped() bool { return c.StoppedAt != "" }

func (c *chain) tell(step string, said words) {
	if !c.stopped() {
		c.Steps = append(c.Steps, ExplainedStep{Step: step, State: stepDone, Why: said.en, WhyZH: said.zh})
	}
}

// stop tells what stopped the chain, and what would change that.
func (c *chain) stop(step string, said, change words) {
	if !c.stopped() {
		c.StoppedAt = step
		c.Steps = append(c.Steps, ExplainedStep{
			Step: step, State: stepStopped, Why: said.en, WhyZH: said.zh, Change: change.en, ChangeZH: change.zh,
		})
	}
}

// end fills in the steps that were not reached.
func (c *chain) end() ExplainedChain {
	for _, step := range chainSteps[len(c.Steps):] {
		c.Steps = append(c.Steps, ExplainedStep{Step: step, State: stepNotReached, Why: notReached.en, WhyZH: notReached.zh})
	}
	return c.ExplainedChain
}

// stepOf is what a chain's step says.
func stepOf(c ExplainedChain, name string) words {
	for _, s := range c.Steps {
		if s.Step == name {
			return words{s.Why, s.WhyZH}
		}
	}
	return words{}
}

// endOf is what the step says at which a chain stopped, of one that is through its last.
func endOf(c ExplainedChain) words {
	if c.StoppedAt == "" {
		return stepOf(c, stepGrant)
	}
	return stepOf(c, c.StoppedAt)
}

// passed says whether a chain got beyond a step.
func passed(c ExplainedChain, name string) bool {
	return c.StoppedAt == "" || slices.Index(chainSteps, c.StoppedAt) > slices.Index(chainSteps, name)
}

// story is one event with what one task made of it.
type story struct {
	*records
	e      *event.Event         // told about
	src    *event.Event         // what somebody did: the event itself, or the earlier one that it completed
	d      *campaign.Definition // in force when it was applied
	detail event.Detail
	t      event.TaskDetail
	task   *campaign.Task
	actor  *campaign.Person
	owner  *campaign.Person // whom it counts for, or would
	credit *campaign.Credit
}

// tellTask tells the chain of one task.
func (r *records) tellTask(e *event.Event, detail event.Detail, t event.TaskDetail) ExplainedChain {
	s := r.story(e, detail)
	s.t, s.task = t, s.d.Task(t.Task)
	if src := r.sources[t.Event]; src != nil {
		s.src, s.actor = src, r.somebody(src.Person)
	}
	s.credit = r.credit(t.Task, s.src)
	owner := t.Owner
	if s.credit != nil && s.completedLater() {
		owner = s.credit.Owner
	}
	s.owner = r.people[owner]
	c := &chain{ExplainedChain{Task: t.Task, Outcome: string(t.Outcome), Code: r.code(owner)}}
	if s.task == nil {
		c.stop(stepScan, outcomeWords[t.Outcome], words{})
		return c.end()
	}
	s.scan(c)
	s.follow(c)
	s.attribution(c)
	s.rule(c)
	s.hold(c)
	s.rewards(c)
	return c.end()
}

func (r *records) story(e *event.Event, detail event.Detail) *story {
	return &story{records: r, e: e, src: e, d: r.definitions[r.revision(e)], detail: detail, actor: r.somebody(e.Person)}
}

// somebody is a person, with nothing known of them where nothing is stored.
func (r *records) somebody(person int64) *campaign.Person {
	if p := r.people[person]; p != nil {
		return p
	}
	return &campaign.Person{Campaign: r.c.no, Person: person}
}

func (s *story) own() bool { return s.task != nil && s.task.Credit == campaign.Actor }

// completedLater says whether the event found no inviter and a scan that arrived after it brought one.
func (s *story) completedLater() bool {
	return (s.t.Outcome == event.NoInviter || s.t.Outcome == event.OutsideWindow) && s.credit != nil && s.credit.Event == s.e.ID
}

// at is a time in the campaign's own zone.
func (r *records) at(ms int64) string {
	return time.UnixMilli(ms).In(r.present().Schedule.Location()).Format("2006-01-02 15:04")
}

func (s *story) scan(c *chain) {
	code := s.code(s.t.Owner)
	if s.owner != nil {
		code = s.owner.Code
	}
	window := span(s.d.Attribution.Window)
	switch {
	case s.own():
		c.tell(stepScan, words{"It is their own task; no code is needed.", "这是本人的任务，无需扫码。"})
	case s.t.Outcome == event.UnknownCode:
		s.stopAtUnknownCode(c)
	case s.completedLater():
		c.tell(stepScan, say("A scan of code %s arrived late, and was taken into account.", "邀请码 %s 的扫码记录迟到，已补上。", code))
	case s.t.Outcome == event.NoInviter:
		c.stop(stepScan, outcomeWords[event.NoInviter],
			say("A scan from the %s before that reaches us late is still taken into account.", "若此前 %s内的扫码记录迟到，收到后会自动补记。", window).and(s.again()))
	case s.e != s.src && s.e.Type != event.TimePassed:
		c.tell(stepScan, say("Their coming through code %s was told late.", "通过邀请码 %s 到来的记录迟到，现已收到。", code))
	case s.src.Code != "":
		c.tell(stepScan, say("Came through code %s.", "通过邀请码 %s 而来。", shownCode(s.src.Code)))
	case code != "":
		c.tell(stepScan, say("Had come through code %s before.", "此前通过邀请码 %s 而来。", code))
	default:
		c.tell(stepScan, words{"No code came with it.", "未带邀请码。"})
	}
}

func (s *story) stopAtUnknownCode(c *chain) {
	c.stop(stepScan, say("Nobody in this campaign has the code %s.", "本活动没有邀请码 %s。", shownCode(s.src.Code)),
		words{"Check the code.", "请核对邀请码。"}.and(s.again()))
}

// again says what happens when the friend comes again, which depends on whether the task takes people it knows.
func (s *story) again() words {
	switch {
	case s.task == nil:
		return words{}
	case s.task.NewUsersOnly:
		return words{"Coming again does not help here: the task counts new users only.", "此任务只计新用户，重新来过不会计入。"}
	}
	return say("A new scan with another %s after it counts.", "请好友重新扫码后再次%s，即可计入。", deed(s.task.On))
}

// follow is what somebody did: whether it was at a time that counts, and whether it still stands.
func (s *story) follow(c *chain) {
	did := deed(s.src.Type)
	switch {
	case s.t.Outcome == event.CampaignNotLive:
		s.stopAtNotLive(c)
	case s.t.Outcome == event.BlockedOutcome && s.t.Reason == "actor":
		c.stop(stepFollow, words{"Who did it is blocked, so nothing they do counts.", "做这件事的人已被屏蔽，所做的不计入。"},
			words{"Unblocking them lets what they do from then on count.", "解除屏蔽后，此后的行为可以计入。"})
	case s.t.Outcome == event.Reversed && s.t.Reason == "left_later":
		c.stop(stepFollow, say("The %s was undone at a later time already; that news had arrived first.", "这次%s之后又已撤销，撤销的记录先到。", did), s.comingBack())
	case s.t.Outcome == event.Reversed:
		said := say("The %s at %s took one credit of task %s back.", "%s(%s)撤回了任务%s的 1 次计数。", did, s.at(s.src.Time), taskName(s.d, s.t.Task))
		said = said.and(words{"Tiers that were reached stay reached.", "已达成的档位不受影响。"})
		if cr := s.credit; !s.own() && cr != nil && cr.State != campaign.CreditReversed && cr.OnAt > s.src.Time {
			said = said.and(words{"Since then the friend came back, and the credit too.", "好友此后已回来，计数已恢复。"})
			c.stop(stepFollow, said, words{"Nothing to do.", "无需处理。"})
			return
		}
		c.stop(stepFollow, said, s.comingBack())
	case s.gone():
		c.stop(stepFollow, say("The %s of %s had counted, and was undone at %s.", "%[2]s %[1]s曾计入，后于 %[3]s 撤销，计数已撤回。", did, s.at(s.src.Time), s.at(s.credit.OffAt)), s.comingBack())
	default:
		c.tell(stepFollow, say("The %s was at %s.", "%[2]s %[1]s。", did, s.at(s.src.Time)))
	}
}

// gone says whether what was credited was taken back after it counted.
func (s *story) gone() bool {
	if s.credit == nil || s.credit.State != campaign.CreditReversed || !s.gives() {
		return false
	}
	return s.credit.DueAt == nil || s.credit.OffAt >= *s.credit.DueAt
}

// gives says whether the event is one that opened or restored a credit.
func (s *story) gives() bool {
	switch s.t.Outcome {
	case event.Credited, event.Restored, event.Held:
		return true
	}
	return s.completedLater()
}

func (s *story) comingBack() words {
	if s.own() {
		return say("The next %s counts anew.", "再次%s会重新计数。", deed(s.task.On))
	}
	return say("Another %s gives the same credit back.", "再次%s会恢复同一次计数。", deed(s.task.On))
}

// stopAtNotLive says in which way the campaign was not live.
func (s *story) stopAtNotLive(c *chain) {
	starts, ends := s.d.Schedule.Starts, s.d.Schedule.Ends
	at := time.UnixMilli(s.src.Time)
	status := campaign.Draft
	if s.e.Outcome != "" {
		_, status = s.history.at(s.e.Seq)
	}
	over := words{"What happens after the end does not count; nothing changes that.", "结束之后的行为不计入，无法补记。"}
	switch {
	case at.Before(starts):
		c.stop(stepFollow, say("The campaign only began at %s.", "活动 %s 才开始。", s.at(starts.UnixMilli())), words{"What happens from then on counts.", "开始之后的行为会计入。"})
	case !at.Before(ends):
		c.stop(stepFollow, say("The campaign had ended at %s.", "活动已于 %s 结束。", s.at(ends.UnixMilli())), over)
	case status == campaign.Draft:
		c.stop(stepFollow, words{"The campaign had not been launched yet.", "当时活动还没有启动。"}, words{"What happens after the launch counts.", "启动之后的行为会计入。"})
	case status == campaign.Paused:
		c.stop(stepFollow, words{"The campaign was paused.", "当时活动已暂停。"}, words{"What happens once it is resumed counts.", "恢复之后的行为会计入。"})
	default:
		c.stop(stepFollow, words{"The campaign was over when this arrived.", "收到时活动已经结束。"}, over)
	}
}

func (s *story) attribution(c *chain) {
	code := ""
	if s.owner != nil {
		code = s.owner.Code
	}
	window := span(s.d.Attribution.Window)
	switch {
	case s.own():
		c.tell(stepAttribution, words{"It counts for themselves.", "计给本人。"})
	case s.t.Outcome == event.OutsideWindow && !s.completedLater():
		c.stop(stepAttribution, say("The last scan was longer ago than the attribution window of %s.", "距上次扫码已超过归因窗口(%s)。", window), s.again())
	case s.t.Outcome == event.ConditionNotMet:
		c.tell(stepAttribution, words{"Not asked for: the task's condition comes first.", "无需判断：先看任务条件。"})
	case s.src.Code == "":
		c.tell(stepAttribution, say("Belongs to code %s, by the window of %s.", "归因到邀请码 %s(窗口 %s)。", code, window))
	default:
		c.tell(stepAttribution, say("Belongs to code %s.", "归因到邀请码 %s。", code))
	}
}

// rule is whether the task takes it.
func (s *story) rule(c *chain) {
	name := taskName(s.d, s.t.Task)
	switch s.t.Outcome {
	case event.Credited, event.Held:
		c.tell(stepRule, say("Task %s accepts it.", "符合任务%s。", name))
	case event.Restored:
		c.tell(stepRule, say("Task %s gave the same credit back, and no second one.", "任务%s恢复了同一次计数，不会多计。", name))
	case event.SelfInvite:
		if s.t.Reason == "loop" {
			c.stop(stepRule, say("The owner of code %s was invited by this very person; invitations do not go in circles.", "邀请码 %s 的主人正是由这位用户邀请来的，不能互相邀请。", s.code(s.t.Owner)),
				words{"Another person's code, or another friend, counts.", "换一位邀请人或好友即可计入。"})
			return
		}
		c.stop(stepRule, words{"It is their own code; people cannot invite themselves.", "这是本人的邀请码，不能邀请自己。"}, words{"It counts when a friend comes through it.", "请好友通过它到来，即可计入。"})
	case event.DuplicateInvitee:
		s.stopAtDuplicate(c)
	case event.BlockedOutcome:
		c.stop(stepRule, say("The inviter, code %s, is blocked.", "邀请人(邀请码 %s)已被屏蔽。", s.code(s.t.Owner)),
			words{"Unblock the inviter; what comes from then on can count.", "解除屏蔽后，此后的行为可以计入。"})
	case event.NotNewUser:
		said := say("Task %s counts new users only, and this friend was known before.", "任务%s只计新用户，而这位好友此前已经来过。", name)
		if saidKnown(s.src) {
			said = say("Task %s counts new users only, and the channel said that it knew this friend.", "任务%s只计新用户，而渠道表明这位好友是老用户。", name)
		}
		c.stop(stepRule, said, words{"Friends who were never here count.", "请邀请从未来过的好友。"})
	case event.LimitReached:
		s.stopAtLimit(c)
	case event.ConditionNotMet:
		said := say("The task's condition is not met: %s.", "不满足任务条件：%s。", s.task.When)
		c.stop(stepRule, said.and(reasonOr(s.t.Reason, s.names)), say("A %s that meets it counts.", "满足条件的%s会计入。", deed(s.task.On)))
	default:
		if s.completedLater() {
			c.tell(stepRule, say("Task %s accepts it.", "符合任务%s。", name))
			return
		}
		c.stop(stepRule, outcomeWords[s.t.Outcome].and(reasonOr(s.t.Reason, s.names)), words{})
	}
}

func (s *story) stopAtDuplicate(c *chain) {
	other := words{"A friend counts once, for one inviter; other friends count.", "每位好友只为一位邀请人计一次，请邀请其他好友。"}
	holder := s.code(s.actor.Inviter)
	switch {
	case s.t.Reason == "left_later":
		c.stop(stepRule, words{"The friend left after this; that news had arrived first.", "好友在此之后又离开了，离开的记录先到。"}, s.comingBack())
	case s.t.Reason == "other_inviter" && holder != "":
		c.stop(stepRule, say("This friend belongs to code %s already.", "这位好友已归属邀请码 %s。", holder), other)
	case s.credit != nil && s.credit.Event != s.src.ID:
		c.stop(stepRule, say("This friend counts already, since event %s.", "这位好友已经计过(事件 %s)。", s.credit.Event), other)
	default:
		c.stop(stepRule, outcomeWords[event.DuplicateInvitee], other)
	}
}

func (s *story) stopAtLimit(c *chain) {
	local := time.UnixMilli(s.src.Time).In(s.d.Schedule.Location())
	code := s.code(s.t.Owner)
	if code == "" {
		code = "-"
	}
	if s.t.Reason == "per_hour" {
		c.stop(stepRule, say("Code %s had reached the limit of %d friends in the hour from %s.", "邀请码 %s 在 %[3]s 起的一小时内已达上限 %[2]d 位。", code, s.d.Limits.InvitesPerInviterPerHour, local.Format("2006-01-02 15:00")),
			words{"Friends who come in the next hour count.", "下一小时到来的好友可以计入。"})
		return
	}
	whose := say("Code %s", "邀请码 %s ", code)
	if s.own() {
		whose = words{"They", "本人"}
	}
	c.stop(stepRule, say("%s had reached the limit of %d for task %s on %s.", "%[1]s在 %[4]s 的任务%[3]s已达每日上限 %[2]d 次。", whose, s.task.PerDay, taskName(s.d, s.t.Task), local.Format(time.DateOnly)),
		say("The next day begins at midnight (%s), and counts anew.", "次日零点(%s)起重新计数。", s.d.Schedule.Timezone))
}

// saidKnown says whether the channel told with the event that it knew the user before.
func saidKnown(e *event.Event) bool {
	var data struct {
		New *bool `json:"new"`
	}
	return e.Data != nil && json.Unmarshal([]byte(*e.Data), &data) == nil && data.New != nil && !*data.New
}

func (s *story) hold(c *chain) {
	cr := s.credit
	if cr == nil || cr.DueAt == nil {
		c.tell(stepHold, words{"The task has no hold; it counts at once.", "此任务没有观察期，立即计入。"})
		return
	}
	length, due := span(s.task.Hold), s.at(*cr.DueAt)
	if s.task.Hold <= 0 { // an earlier revision asked for it
		length = span(time.Duration(*cr.DueAt-s.src.Time) * time.Millisecond)
	}
	switch {
	case s.e.Type == event.TimePassed && s.t.Outcome == event.Credited:
		c.tell(stepHold, say("The hold passed at %s, and it counts.", "观察期已于 %s 期满，已计入。", due))
	case cr.State == campaign.CreditReversed && s.gives():
		c.stop(stepHold, say("Undone at %s, before the hold of %s had passed at %s.", "在观察期(%[2]s，至 %[3]s)内于 %[1]s 撤销，未计入。", s.at(cr.OffAt), length, due), s.comingBack())
	case cr.State == campaign.CreditHeld && *cr.DueAt > s.now:
		c.stop(stepHold, say("The task's hold is %s; it passes at %s.", "任务的观察期为 %s,%s 期满。", length, due),
			words{"Nothing to do: it counts then, unless it is undone before.", "无需操作：期满前没有撤销，到时自动计入。"})
	case cr.State == campaign.CreditHeld:
		c.stop(stepHold, say("The hold passed at %s; it is about to count.", "观察期已于 %s 期满，即将计入。", due), words{"It counts within moments while a server runs.", "服务运行时，片刻之后即可计入。"})
	default:
		c.tell(stepHold, say("The hold passed at %s, and it counts.", "观察期已于 %s 期满，已计入。", due))
	}
}
