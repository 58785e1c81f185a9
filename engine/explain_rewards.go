package engine

import (
	"slices"

	"kfactor/campaign"
	"kfactor/internal/money"
	"kfactor/reward"
)

// rewards are the last three steps: the tier that it led to, and what was given for it.
func (s *story) rewards(c *chain) {
	if c.stopped() {
		return
	}
	if s.owner == nil {
		c.stop(stepTier, words{"Nobody is there any more whom it counts for.", "已找不到计入的对象。"}, words{})
		return
	}
	grants, name := s.tier(c)
	c.Tier = name
	s.stock(c, s.d, grants)
	s.grant(c, s.d, grants)
}

// tier finds the tier that a credit led to, or is on its way to: of those that ask for its task the first that was not
// reached before it counted.
func (s *story) tier(c *chain) ([]*reward.Grant, string) {
	asks := false
	countedAt := s.e.ReceivedAt
	if s.credit != nil && s.credit.DueAt != nil {
		countedAt = max(countedAt, *s.credit.DueAt)
	}
	if s.completedLater() {
		countedAt = s.e.ReceivedAt
	}
	for _, t := range s.d.Tiers {
		if !slices.ContainsFunc(t.Requires, func(r campaign.Requirement) bool { return r.Task == s.t.Task }) {
			continue
		}
		asks = true
		if !slices.Contains(s.owner.Facts.Reached, t.Name) {
			s.stopAtTier(c, s.d, s.owner, t)
			return nil, t.Name
		}
		grants := s.givenFor(s.owner.Person, t.Name)
		now := slices.Contains(s.detail.Tiers, t.Name)
		if !now && (len(grants) == 0 || grants[0].CreatedAt < countedAt) {
			continue
		}
		said := say("Tier %s is reached (%s).", "已达成档位%s(%s)。", quoted(t.Name), needs(s.d, t))
		c.tell(stepTier, said)
		return grants, t.Name
	}
	if !asks {
		c.stop(stepTier, say("No tier asks for task %s; it counts, and leads to no reward.", "没有档位用到任务%s，已计入，但不对应奖励。", taskName(s.d, s.t.Task)),
			words{"A new revision of the campaign can add a tier.", "可在活动的新版本中增加档位。"})
		return nil, ""
	}
	c.tell(stepTier, words{"Every tier that asks for it was reached before.", "用到此任务的档位此前均已达成。"})
	return nil, ""
}

// givenFor are the grants of a person for a tier that the explanation may speak of.
func (r *records) givenFor(person int64, tier string) []*reward.Grant {
	var out []*reward.Grant
	for _, g := range r.given[person] {
		if g.Tier == tier {
			out = append(out, g)
		}
	}
	return out
}

// needs are a tier's targets.
func needs(d *campaign.Definition, t campaign.Tier) words {
	parts := make([]words, 0, len(t.Requires))
	for _, r := range t.Requires {
		parts = append(parts, say("%s %d", "%s%d 次", taskName(d, r.Task), r.Count))
	}
	return list(parts)
}

// stopAtTier says what is lacking for a tier, by the definition of then; where another asks for less now, that too.
func (r *records) stopAtTier(c *chain, d *campaign.Definition, p *campaign.Person, t campaign.Tier) {
	if !p.Joined() {
		c.stop(stepTier, words{"They have not joined the campaign, and so reach no tier.", "尚未参加活动，因此没有档位。"}, words{"Joining gives them every tier they meet, at once.", "参加活动后，已达到的档位会立即发放。"})
		return
	}
	lacking := r.lacking(d, p, t)
	if len(lacking) == 0 {
		if p.Facts.Blocked {
			c.stop(stepTier, say("The targets of tier %s are met, but the participant is blocked.", "已达到档位%s的目标，但参与者被屏蔽。", quoted(t.Name)), words{"Unblocking gives it at once.", "解除屏蔽后立即发放。"})
			return
		}
		c.stop(stepTier, say("The targets of tier %s are met; it is given within moments.", "已达到档位%s的目标，片刻后发放。", quoted(t.Name)), words{"Nothing to do.", "无需操作。"})
		return
	}
	said := say("Tier %s is not complete yet: %s.", "档位%s还没有达成：%s。", quoted(t.Name), list(lacking))
	if is := r.present().Tier(t.Name); is != nil && d != r.present() && !slices.Equal(is.Requires, t.Requires) {
		said = said.and(say("Since revision %d it needs only %s.", "自版本 %d 起只需%s。", r.row.Revision, needs(r.present(), *is)))
	}
	if p.Facts.Blocked {
		said = said.and(words{"The participant is blocked, so nothing more counts for them.", "参与者被屏蔽，不再计入。"})
		c.stop(stepTier, said, words{"Unblock the participant.", "请解除屏蔽。"})
		return
	}
	c.stop(stepTier, said, words{"The rewards are granted as soon as this is there.", "补齐后立即发放奖励。"})
}

// lacking are the targets of a tier that a person has not met.
func (r *records) lacking(d *campaign.Definition, p *campaign.Person, t campaign.Tier) []words {
	var out []words
	for _, q := range t.Requires {
		has, held := p.Facts.Counts.Of(q.Task), p.Facts.Held.Of(q.Task)
		if has >= q.Count {
			continue
		}
		w := say("%s %d of %d", "%s%d/%d", taskName(d, q.Task), has, q.Count)
		if held > 0 {
			w = say("%s %d of %d (and %d in their hold)", "%s%d/%d(另有 %d 次在观察期)", taskName(d, q.Task), has, q.Count, held)
		}
		out = append(out, w)
	}
	return out
}

// stock is whether there was enough to give. A grant that waits says for what, and how many wait in front.
func (r *records) stock(c *chain, d *campaign.Definition, grants []*reward.Grant) {
	if c.stopped() {
		return
	}
	var enough words
	for _, g := range grants {
		name := rewardName(d, g.Reward)
		var total int64
		if it := d.Reward(g.Reward); it != nil {
			total = it.Stock
		}
		budget := ""
		if d.Budget != nil {
			budget = amount(d.Budget.Limit, d.Currency())
		}
		switch {
		case g.State == reward.Waitlisted && g.Reason == "budget":
			c.stop(stepStock, say("The budget of %s is used up; %s waits, at place %d.", "预算 %s 已用完；%s正在排队，排在第 %d 位。", budget, name, r.ahead[g.No]+1),
				words{"A higher budget, or a grant that is revoked, serves those who wait in their order.", "提高预算或有奖励被撤销时，按先后自动补发。"})
		case g.State == reward.Waitlisted:
			c.stop(stepStock, say("The stock of %[2]d of %[1]s is used up; it waits, at place %[3]d.", "%s库存 %d 份已发完；正在排队，排在第 %d 位。", name, total, r.ahead[g.No]+1).and(r.since(d, g.Reward)),
				words{"More stock, or a grant that is revoked, serves those who wait in their order.", "增加库存或有奖励被撤销时，按先后自动补发。"})
		case rejectedForBudget(d, g):
			c.stop(stepStock, say("The budget of %s was used up; this campaign rejects what no longer fits (%s).", "预算 %s 已用完，本活动不再发放超出预算的奖励(%s)。", budget, name),
				words{"A higher budget lets later rewards through; this one stays rejected.", "提高预算后，之后的奖励可以发放；这一份不再补发。"})
		case !g.State.Reserves() && g.PromisedBy == 0 && g.UpdatedAt > g.CreatedAt:
			enough = enough.and(say("%s never got that far; it was waiting.", "%s当时还在排队。", name))
		case r.promised[g.No].PostedAt > g.CreatedAt:
			enough = enough.and(say("%s had to wait until %s for its turn.", "%s排队到 %s，现已补上。", name, r.at(r.promised[g.No].PostedAt)))
		default:
			enough = enough.and(say("There was enough of %s (stock %d).", "%s有余量(库存 %d 份)。", name, total))
		}
	}
	if len(grants) == 0 {
		enough = words{"No new reward came of it.", "没有新的奖励。"}
	}
	c.tell(stepStock, enough)
}

func rejectedForBudget(d *campaign.Definition, g *reward.Grant) bool {
	return g.State == reward.Rejected && g.Reason == "budget" && g.PromisedBy == 0 && d.Budget != nil && d.Budget.OnExhausted == campaign.Reject
}

// grant is where the rewards stand.
func (r *records) grant(c *chain, d *campaign.Definition, grants []*reward.Grant) {
	if c.stopped() {
		return
	}
	var given words
	for _, g := range grants {
		name := rewardName(d, g.Reward)
		switch {
		case g.State == reward.Review:
			c.stop(stepGrant, say("%s waits for a reviewer.", "%s等待审核。", name), words{"Approve it, and it goes out.", "审核通过后即发放。"})
		case g.State == reward.Granted && g.Reason == "no_coupon_code":
			c.stop(stepGrant, say("%s is granted, and no coupon code is left for it.", "%s已发放，但券码已用完。", name), words{"Import more codes; they go out by themselves.", "导入更多券码，会自动补发。"})
		case g.State == reward.Granted:
			c.stop(stepGrant, say("%s is granted and waits for delivery.", "%s已发放，等待交付。", name), words{"Hand it over, and mark it as delivered.", "交付后请标记为已交付。"})
		case g.State == reward.Rejected:
			c.stop(stepGrant, say("%s was rejected.", "%s已被拒绝发放。", name).and(r.note(g)), words{"A rejected grant stays rejected.", "被拒绝的奖励不会再发放。"})
		case g.State == reward.Revoked:
			c.stop(stepGrant, say("%s was revoked at %s.", "%s已于 %s 撤销。", name, r.at(g.UpdatedAt)).and(r.note(g)), words{"A revoked grant stays revoked.", "被撤销的奖励不会恢复。"})
		default:
			given = given.and(say("%s was delivered at %s.", "%s已于 %s 交付。", name, r.at(g.UpdatedAt)))
		}
	}
	if len(grants) == 0 {
		given = words{"No new reward came of it.", "没有新的奖励。"}
	}
	c.tell(stepGrant, given)
}

// note is what a person wrote about a grant; it may name people.
func (r *records) note(g *reward.Grant) words {
	if g.Reason == "" || !r.names {
		return words{}
	}
	return say("(%s)", "(%s)", g.Reason)
}

// since tells how much of a reward there is by now, where that is not what it was.
func (r *records) since(d *campaign.Definition, name string) words {
	was, is := d.Reward(name), r.present().Reward(name)
	if was == nil || is == nil || was.Stock == is.Stock {
		return words{}
	}
	return say("Since revision %d the stock is %d.", "自版本 %d 起库存为 %d 份。", r.row.Revision, is.Stock)
}

func amount(minor int64, currency string) string {
	return money.Format(minor, currency) + " " + currency
}
