package engine

import (
	"slices"
	"time"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/reward"
)

// tellParticipant tells for each tier, and for a welcome, how far a participant got and what comes first in the way,
// by the definition in force.
func (r *records) tellParticipant(p *campaign.Person, rows []event.Event) []ExplainedChain {
	chains := []ExplainedChain{}
	if grants := r.givenFor(p.Person, reward.WelcomeTier); len(grants) > 0 {
		c := r.begun(p, reward.WelcomeTier)
		c.tell(stepTier, words{"The welcome reward, for a friend who counts.", "新人礼：好友被计入时发放。"})
		chains = append(chains, r.ended(c, grants))
	}
	for _, t := range r.present().Tiers {
		if slices.Contains(p.Facts.Reached, t.Name) {
			c := r.begun(p, t.Name)
			c.tell(stepTier, say("Tier %s is reached, and stays so.", "已达成档位%s，不会失去。", quoted(t.Name)))
			chains = append(chains, r.ended(c, r.givenFor(p.Person, t.Name)))
			continue
		}
		chains = append(chains, r.tellOpenTier(p, t, rows))
	}
	return chains
}

// begun is a chain whose part before the tier is behind somebody.
func (r *records) begun(p *campaign.Person, tier string) *chain {
	c := &chain{ExplainedChain{Code: p.Code, Tier: tier}}
	for _, step := range []string{stepScan, stepFollow, stepAttribution, stepRule, stepHold} {
		c.tell(step, words{"Done.", "已完成。"})
	}
	return c
}

func (r *records) ended(c *chain, grants []*reward.Grant) ExplainedChain {
	r.stock(c, r.present(), grants)
	r.grant(c, r.present(), grants)
	return c.end()
}

// tellOpenTier tells what is in the way of a tier: of its targets the first that is not met.
func (r *records) tellOpenTier(p *campaign.Person, t campaign.Tier, rows []event.Event) ExplainedChain {
	c := &chain{ExplainedChain{Code: p.Code, Tier: t.Name}}
	d := r.present()
	open := slices.IndexFunc(t.Requires, func(q campaign.Requirement) bool { return p.Facts.Counts.Of(q.Task) < q.Count })
	if open < 0 {
		c = r.begun(p, t.Name)
		r.stopAtTier(c, d, p, t)
		return c.end()
	}
	q := t.Requires[open]
	task := d.Task(q.Task)
	c.Task = q.Task
	count, held := p.Facts.Counts.Of(q.Task), p.Facts.Held.Of(q.Task)
	own := task.Credit == campaign.Actor
	scans, deeds, refused := 0, 0, (*event.Event)(nil)
	for i := range rows {
		e := &rows[i]
		mine := r.came(e, p)
		if own {
			mine = e.Person == p.Person
		}
		if !mine {
			continue
		}
		scans++
		if e.Type == task.On {
			deeds++
			if !slices.Contains([]event.Outcome{event.Credited, event.Held, event.Restored}, e.Outcome) {
				refused = e
			}
		}
	}
	deeds = max(deeds, count+held)
	scans = max(scans, deeds)

	switch {
	case own:
		c.tell(stepScan, words{"It is their own task; no code is needed.", "这是本人的任务，无需扫码。"})
	case scans == 0:
		c.stop(stepScan, say("Nobody has come through code %s yet.", "还没有人通过邀请码 %s 到来。", p.Code), words{"Share the poster or the link.", "请分享海报或链接。"})
	default:
		c.tell(stepScan, say("Friends have come through code %s.", "已有好友通过邀请码 %s 到来。", p.Code))
	}
	r.followSoFar(c, task, deeds)
	if own {
		c.tell(stepAttribution, words{"It counts for themselves.", "计给本人。"})
	} else {
		c.tell(stepAttribution, say("They belong to code %s.", "归因到邀请码 %s。", p.Code))
	}
	if count+held == 0 && refused != nil {
		r.stopAtRefusal(c, refused, q.Task)
	}
	c.tell(stepRule, say("Task %s: %d counted.", "任务%s已计 %d 次。", taskName(d, q.Task), count))
	switch {
	case count+held >= q.Count:
		said := say("%d counted, and %d still in their hold.", "已计 %d 次，另有 %d 次在观察期。", count, held)
		if next := r.nextDue(q.Task, p); next != 0 {
			said = said.and(say("The next passes at %s.", "最早 %s 期满。", r.at(next)))
		}
		c.stop(stepHold, said, words{"Nothing to do: they count then, unless they are undone before.", "无需操作：期满前没有撤销，到时自动计入。"})
	case held > 0:
		c.tell(stepHold, say("%d in their hold.", "%d 次在观察期。", held))
	default:
		c.tell(stepHold, words{"Nothing waits for its hold.", "没有在观察期的计数。"})
	}
	if !c.stopped() {
		r.stopAtTier(c, d, p, t)
	}
	return c.end()
}

// followSoFar is whether anybody did what a task counts, and whether more can come.
func (r *records) followSoFar(c *chain, task *campaign.Task, deeds int) {
	ends := r.present().Schedule.Ends
	switch {
	case r.row.Status == campaign.Ended || r.now >= ends.UnixMilli():
		c.stop(stepFollow, words{"The campaign is over; nothing more counts.", "活动已经结束，不再计入。"}, words{"Nothing changes that any more.", "无法再改变。"})
	case r.row.Status == campaign.Paused:
		c.stop(stepFollow, words{"The campaign is paused; nothing counts meanwhile.", "活动已暂停，其间不计入。"}, words{"Resume the campaign.", "请恢复活动。"})
	case time.UnixMilli(r.now).Before(r.present().Schedule.Starts):
		c.stop(stepFollow, say("The campaign begins at %s.", "活动 %s 开始。", r.at(r.present().Schedule.Starts.UnixMilli())), words{"Nothing to do but wait.", "请等待活动开始。"})
	case deeds == 0:
		c.stop(stepFollow, say("There was no %s yet.", "还没有%s记录。", deed(task.On)), say("It begins with the first %s.", "从第一次%s开始计数。", deed(task.On)))
	default:
		c.tell(stepFollow, say("There was a %s.", "已有%s记录。", deed(task.On)))
	}
}

// stopAtRefusal tells why the latest event of a task did not count.
func (r *records) stopAtRefusal(c *chain, e *event.Event, task string) {
	said, change := outcomeWords[e.Outcome], words{"Each event tells what would change it.", "每个事件都写明了如何改变。"}
	for _, told := range r.tellEvent(e) {
		at := slices.IndexFunc(told.Steps, func(s ExplainedStep) bool { return s.State == stepStopped })
		if told.Task == task && at >= 0 {
			s := told.Steps[at]
			said, change = words{s.Why, s.WhyZH}, words{s.Change, s.ChangeZH}
			break
		}
	}
	c.stop(stepRule, say("Nothing counts so far. The latest (event %s):", "目前没有计入。最近一次(事件 %s):", e.ID).and(said), change)
}
