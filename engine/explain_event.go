package engine

import (
	"slices"
	"time"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/reward"
)

// tellEvent tells the chains of an event: one for each task that it concerned, one for each tier of rewards that came
// of it otherwise. An event that concerns the campaign alone has none.
func (r *records) tellEvent(e *event.Event) []ExplainedChain {
	chains := []ExplainedChain{}
	detail, err := e.Details()
	switch {
	case e.Outcome == "":
		c := &chain{}
		return append(chains, c.end())
	case err != nil || e.Outcome == event.Failed:
		c := &chain{ExplainedChain{Outcome: string(e.Outcome)}}
		c.stop(stepScan, outcomeWords[event.Failed].and(reasonOr(detail.Reason, r.names)),
			words{"This is a fault of the program; please report it with the event.", "这是程序缺陷，请连同此事件一并反馈。"})
		return append(chains, c.end())
	}
	if e.Outcome == event.UnknownCode && !slices.ContainsFunc(detail.Tasks, func(t event.TaskDetail) bool { return t.Outcome == e.Outcome }) {
		chains = append(chains, r.tellUntouched(e, detail)) // no task asked for the code that nobody has
	}
	told := map[int64]bool{} // grants that a chain speaks of
	for _, t := range inOrder(e, detail.Tasks) {
		if !r.concerns(e, t) || len(chains) == maxChains {
			continue
		}
		c := r.tellTask(e, detail, t)
		chains = append(chains, c)
		for _, g := range r.givenFor(t.Owner, c.Tier) {
			told[g.No] = true
		}
	}
	if len(detail.Tasks)+len(chains) == 0 && (!e.System || e.Type == event.Joined) {
		chains = append(chains, r.tellUntouched(e, detail))
	}
	return append(chains, r.tellGrants(e, detail, told, maxChains-len(chains))...)
}

// inOrder puts the task first that gave the event its outcome.
func inOrder(e *event.Event, tasks []event.TaskDetail) []event.TaskDetail {
	tasks = slices.Clone(tasks)
	slices.SortStableFunc(tasks, func(a, b event.TaskDetail) int {
		switch {
		case a.Outcome == e.Outcome && b.Outcome != e.Outcome:
			return -1
		case b.Outcome == e.Outcome && a.Outcome != e.Outcome:
			return 1
		}
		return 0
	})
	return tasks
}

// concerns says whether what a task made of an event is about the participant whom the explanation is about. An event
// of the engine's own may be about hundreds.
func (r *records) concerns(e *event.Event, t event.TaskDetail) bool {
	if r.about == 0 || e.Person != 0 || t.Owner == r.about {
		return true
	}
	src := r.sources[t.Event]
	return src != nil && src.Person == r.about
}

// tellUntouched tells the chain of an event that no task listens to, or that came to nothing before any task saw it.
func (r *records) tellUntouched(e *event.Event, detail event.Detail) ExplainedChain {
	s := r.story(e, detail)
	s.t = event.TaskDetail{Outcome: e.Outcome, Owner: e.Owner, Reason: detail.Reason}
	c := &chain{ExplainedChain{Outcome: string(e.Outcome), Code: r.code(e.Owner)}}
	switch {
	case detail.Reason == event.InviterUnknown:
		c.tell(stepScan, reasonWords[event.InviterUnknown])
	case e.Type == event.Joined && e.Owner == 0:
		c.tell(stepScan, words{"They came by themselves.", "自行前来。"})
	case e.Type == event.Joined:
		c.tell(stepScan, say("Came through code %s.", "通过邀请码 %s 而来。", r.code(e.Owner)))
	default:
		s.scan(c)
	}
	switch {
	case e.Outcome == event.CampaignNotLive:
		s.stopAtNotLive(c)
	case e.Outcome == event.LimitReached:
		c.stop(stepFollow, say("The campaign has as many participants as it may have (%d).", "活动人数已满(上限 %d 人)。", s.d.Limits.Participants),
			words{"A new revision can raise the limit.", "可在新版本中提高人数上限。"})
	case detail.Reason == event.JoinedBefore:
		c.stop(stepFollow, reasonWords[event.JoinedBefore], words{"Nothing to do.", "无需处理。"})
	case e.Type == event.Joined:
		c.stop(stepFollow, words{"Joining by itself counts for no task.", "参加活动本身不计任务。"},
			say("It begins when a friend comes through their code %s.", "好友通过其邀请码 %s 到来后开始计数。", r.code(e.Person)))
	default:
		s.stopAtUncounted(c)
	}
	return c.end()
}

// stopAtUncounted says why an event that no task took led no further.
func (s *story) stopAtUncounted(c *chain) {
	did := deed(s.e.Type)
	listens := func(t campaign.Task) bool { return t.RevokeOn == s.e.Type }
	if slices.ContainsFunc(s.d.Tasks, listens) {
		c.stop(stepFollow, say("Nothing that the %s could take back counted at that moment.", "当时没有可被%s撤回的计数。", did), words{"Nothing to do.", "无需处理。"})
		return
	}
	if s.e.Owner == 0 || s.e.Owner == s.e.Person {
		c.stop(stepFollow, say("No task counts a %s; it is in the funnel alone.", "没有任务统计%s，仅计入漏斗。", did),
			say("A new revision can add a task that counts it (on: %s).", "可在新版本中增加统计它的任务(on: %s)。", s.e.Type))
		return
	}
	var wanted []words
	for i := range s.d.Tasks {
		t := &s.d.Tasks[i]
		if t.Credit != campaign.Inviter {
			continue
		}
		if cr := s.records.credit(t.Name, s.src); cr != nil {
			c.stop(stepFollow, say("A %s alone counts for no task; what the friend did otherwise is event %s.", "%s本身不计任务；这位好友的计数见事件 %s。", did, cr.Event), words{"Nothing to do.", "无需处理。"})
			return
		}
		wanted = append(wanted, deed(t.On))
	}
	if len(wanted) == 0 {
		c.stop(stepFollow, say("A %s alone counts for no task.", "%s本身不计任务。", did), words{"No task of this campaign counts friends.", "本活动没有统计好友的任务。"})
		return
	}
	c.stop(stepFollow, say("A %s alone counts for no task.", "%s本身不计任务。", did),
		say("A %s of this friend within %s counts.", "好友在 %[2]s内%[1]s即可计入。", join(wanted, words{" or ", "或"}), span(s.d.Attribution.Window)))
}

// tellGrants tells the chains of grants that an event made or moved and that no other chain speaks of, one for each
// person and tier.
func (r *records) tellGrants(e *event.Event, detail event.Detail, told map[int64]bool, most int) []ExplainedChain {
	d := r.definitions[r.revision(e)]
	var chains []ExplainedChain
	for _, no := range detail.Grants {
		g := r.grants[no]
		if g == nil || told[no] || r.about != 0 && g.Person != r.about && e.Person != r.about || len(chains) >= most {
			continue
		}
		var group []*reward.Grant
		for _, other := range detail.Grants {
			if o := r.grants[other]; o != nil && o.Person == g.Person && o.Tier == g.Tier {
				group, told[other] = append(group, o), true
			}
		}
		c := &chain{ExplainedChain{Outcome: string(e.Outcome), Code: r.code(g.Person), Tier: g.Tier}}
		for _, step := range []string{stepScan, stepFollow, stepAttribution, stepRule, stepHold} {
			c.tell(step, words{"Done before.", "此前已完成。"})
		}
		if g.Tier == reward.WelcomeTier {
			c.tell(stepTier, words{"The welcome reward, for a friend who counts.", "新人礼：好友被计入时发放。"})
		} else {
			c.tell(stepTier, say("Tier %s is reached.", "已达成档位%s。", quoted(g.Tier)))
		}
		r.stock(c, d, group)
		r.grant(c, d, group)
		chains = append(chains, c.end())
	}
	return chains
}

// sumUp says in a few sentences what an event led to, and what has become of that.
func (r *records) sumUp(e *event.Event, chains []ExplainedChain) words {
	if e.Outcome == "" {
		return words{"Accepted and safe; it is applied within moments.", "已接收并保存，片刻后处理。"}
	}
	detail, err := e.Details()
	if err != nil || len(chains) == 0 && !e.System {
		return outcomeWords[e.Outcome]
	}
	if e.System {
		return r.sumUpSystem(e, detail, chains)
	}
	first := chains[0]
	var said words
	switch {
	case (e.Outcome == event.Credited || e.Outcome == event.Restored) && first.StoppedAt != stepFollow:
		said = outcomeWords[e.Outcome]
	case e.Outcome == event.Held && passed(first, stepHold):
		said = stepOf(first, stepHold)
	case (e.Outcome == event.NoInviter || e.Outcome == event.OutsideWindow) && passed(first, stepAttribution):
		said = stepOf(first, stepScan)
	}
	said = said.and(endOf(first))
	for _, c := range chains[1:] {
		if c.Task != "" {
			said = said.and(say("Task %s:", "任务%s：", taskName(r.definitions[r.revision(e)], c.Task)))
		}
		said = said.and(endOf(c))
	}
	return said
}

// sumUpSystem says what one of the engine's own events did.
func (r *records) sumUpSystem(e *event.Event, detail event.Detail, chains []ExplainedChain) words {
	if e.Outcome == event.Refused || e.Outcome == event.Failed {
		said := outcomeWords[e.Outcome].and(reasonOr(detail.Reason, r.names || e.Outcome == event.Refused))
		for _, f := range detail.Fields {
			said = said.and(words{f + ".", f + "。"})
		}
		return said
	}
	said := systemWords[e.Type]
	switch {
	case e.Outcome != event.Applied || detail.Reason == event.JoinedBefore:
		said = words{}
	case e.Type == event.Revised:
		said = say("Revision %d of the campaign came into force.", "活动版本 %d 已生效。", r.revision(e))
	case e.Type == event.TimePassed:
		said = r.whatFellDue(e, detail)
	case e.Type == event.Joined && len(detail.Tasks) == 0:
		return said.and(reasonOr(detail.Reason, false))
	}
	var told []words // of hundreds of chains many say the same
	for _, c := range chains {
		if end := endOf(c); !slices.Contains(told, end) {
			told = append(told, end)
			said = said.and(end)
		}
	}
	return said
}

// whatFellDue says what the time that passed brought.
func (r *records) whatFellDue(e *event.Event, detail event.Detail) words {
	said := systemWords[event.TimePassed]
	if n := len(detail.Tasks); n > 0 {
		said = say("Holds passed: %d, which count now.", "%d 次观察期满，现已计入。", n)
	}
	if ends := r.definitions[r.revision(e)].Schedule.Ends; !time.UnixMilli(e.Time).Before(ends) {
		said = said.and(say("The campaign had come to its end (%s).", "活动已到结束时间(%s)。", r.at(ends.UnixMilli())))
	}
	return said
}
