package campaign

import (
	"fmt"
	"slices"
	"time"

	"kfactor/internal/document"
	"kfactor/internal/fault"
)

// Running is what a started campaign has given and promised so far.
type Running struct {
	Granted      map[string]int64 // by reward: grants reserved or delivered
	Committed    int64            // of the budget: promised or delivered, minor units
	Participants int64
}

// BrokenPromises are the fields of new that would hurt people who are in the campaign already, each with the
// reason; there are none when new may replace old while the campaign is live or paused. Texts, posters, lower
// targets, more stock and budget, a later end, and tiers, tasks and rewards that come in addition hurt nobody.
// Fields are those of new; for what is gone, the field that held it.
func BrokenPromises(old, new *Definition, now Running) []fault.Field {
	p := &promises{old: old, new: new, now: now}
	p.frame()
	p.tasks()
	p.tiers()
	p.rewards()
	p.budget()
	p.limits()
	return p.broken
}

type promises struct {
	old, new *Definition
	now      Running
	broken   []fault.Field
}

func (p *promises) breaks(field, message string, args ...any) {
	p.broken = append(p.broken, fault.Field{Field: field, Message: fmt.Sprintf(message, args...)})
}

// breaksIf is breaks when the condition holds.
func (p *promises) breaksIf(broken bool, field, message string, args ...any) {
	if broken {
		p.breaks(field, message, args...)
	}
}

func (p *promises) frame() {
	old, new := p.old, p.new
	p.breaksIf(new.ID != old.ID, "campaign", "a campaign keeps its name; this one is %q", old.ID)
	p.breaksIf(new.Channel != old.Channel, "channel", "codes are out on channel %q; keep it", old.Channel)
	p.breaksIf(new.Schedule.Starts.After(old.Schedule.Starts), "schedule.starts", "people may have come in already; a later start would not count them (now %s)", old.Schedule.Starts.Format(time.RFC3339))
	p.breaksIf(new.Schedule.Ends.Before(old.Schedule.Ends), "schedule.ends", "people were told it lasts until %s; end the campaign instead", old.Schedule.Ends.Format(time.RFC3339))
	p.breaksIf(new.Schedule.Timezone != old.Schedule.Timezone, "schedule.timezone", "days would be counted anew; keep %s", old.Schedule.Timezone)
	p.breaksIf(new.Attribution.Window < old.Attribution.Window, "attribution.window", "invitations already made would be forgotten sooner; keep at least %s", document.FormatSpan(old.Attribution.Window))
}

func (p *promises) tasks() {
	ranking := p.old.RankingTask()
	p.breaksIf(p.new.RankingTask() != ranking, "tasks", "people are ranked by the task %q; keep it before other tasks that credit inviters", ranking)
	for i := range p.old.Tasks {
		was := &p.old.Tasks[i]
		is := p.new.Task(was.Name)
		field := "tasks." + was.Name
		if is == nil {
			p.breaksIf(p.old.requires(was.Name), "tasks", "the task %q is gone, and people have counts in it; keep it", was.Name)
			continue
		}
		p.breaksIf(is.On != was.On, field+".on", "the task would count something else; keep %s, or add another task", was.On)
		p.breaksIf(is.Credit != was.Credit, field+".credit", "the task would count for somebody else; keep %s, or add another task", was.Credit)
		p.breaksIf(is.NewUsersOnly && !was.NewUsersOnly, field+".new_users_only", "friends who are no new users counted until now; keep false")
		p.breaksIf(is.RevokeOn != "" && is.RevokeOn != was.RevokeOn, field+".revoke_on", "credits could be taken back in a way nobody was told of; keep %s", orNone(was.RevokeOn))
		p.breaksIf(is.Hold > was.Hold, field+".hold", "credits would come later than people were told; keep at most %s", document.FormatSpan(was.Hold))
		p.breaksIf(is.PerDay != 0 && (was.PerDay == 0 || is.PerDay < was.PerDay), field+".per_day", "fewer would count in a day; %s", keepNumber(int64(was.PerDay)))
		p.breaksIf(is.When != "" && is.When != was.When, field+".when", "what counted until now might not any more; keep %s", orNone(was.When))
	}
}

func (p *promises) tiers() {
	for _, was := range p.old.Tiers {
		at := slices.IndexFunc(p.new.Tiers, func(t Tier) bool { return t.Name == was.Name })
		if at < 0 {
			p.breaks("tiers", "the tier %q is gone, and people are on their way to it; keep it under its name", was.Name)
			continue
		}
		field := fmt.Sprintf("tiers[%d]", at)
		is := p.new.Tiers[at]
		for _, r := range is.Requires {
			target, needed := was.target(r.Task)
			p.breaksIf(!needed, field+".requires."+r.Task, "the tier %q asks for more than people were told; add another tier", was.Name)
			p.breaksIf(needed && r.Count > target, field+".requires."+r.Task, "the target of tier %q is higher than people were told; keep at most %d, or add another tier", was.Name, target)
		}
		for _, reward := range was.Rewards {
			p.breaksIf(!slices.Contains(is.Rewards, reward), field+".rewards", "the tier %q promises the reward %q; keep it", was.Name, reward)
		}
	}
	for _, reward := range p.old.Welcome.Rewards {
		p.breaksIf(!slices.Contains(p.new.Welcome.Rewards, reward), "welcome.rewards", "invitees are promised the reward %q; keep it", reward)
	}
}

func (p *promises) rewards() {
	for i := range p.old.Rewards {
		was := &p.old.Rewards[i]
		is := p.new.Reward(was.Name)
		field := "rewards." + was.Name
		granted := p.now.Granted[was.Name]
		if is == nil {
			p.breaksIf(granted > 0 || p.old.gives(was.Name), "rewards", "the reward %q is gone, and it is promised; keep it", was.Name)
			continue
		}
		p.breaksIf(is.Kind != was.Kind, field+".kind", "a %s was promised; keep it, or add another reward", was.Kind)
		p.breaksIf(is.Kind == was.Kind && is.Amount < was.Amount, field+".amount", "%s was promised; write no less", p.old.amount(was.Amount))
		p.breaksIf(is.Kind == was.Kind && is.Points < was.Points, field+".points", "%d points were promised; write no less", was.Points)
		p.breaksIf(is.Stock < granted, field+".stock", "%d are granted already; write no less", granted)
		p.breaksIf(is.Review && !was.Review, field+".review", "grants came without a review until now; keep false")
	}
}

func (p *promises) budget() {
	old, new := p.old, p.new
	field := "budget"
	if new.Budget != nil {
		field = "budget.currency"
	}
	p.breaksIf(new.Currency() != old.Currency(), field, "the books are kept in %s; keep it", old.Currency())
	if new.Budget == nil || old.Budget == nil {
		p.breaksIf(old.Budget != nil, "budget", "rewards are promised out of a budget; keep one, and raise its limit instead")
		p.breaksIf(new.Budget != nil, "budget", "rewards were promised without a budget until now; keep it so, and bound them by their stock")
		return
	}
	p.breaksIf(new.Budget.Limit < p.now.Committed, "budget.limit", "%s is promised already; write no less", old.amount(p.now.Committed))
	p.breaksIf(new.Budget.OnExhausted == Reject && old.Budget.OnExhausted != Reject,
		"budget.on_exhausted", "people on the waiting list would lose their place; keep waitlist")
}

func (p *promises) limits() {
	was, is := p.old.Limits, p.new.Limits
	p.breaksIf(is.Participants != 0 && is.Participants < p.now.Participants, "limits.participants", "%d have joined already; write no less", p.now.Participants)
	p.breaksIf(is.InvitesPerInviterPerHour != 0 && (was.InvitesPerInviterPerHour == 0 || is.InvitesPerInviterPerHour < was.InvitesPerInviterPerHour),
		"limits.invites_per_inviter_per_hour", "fewer would count in an hour; %s", keepNumber(int64(was.InvitesPerInviterPerHour)))
}

// requires says whether a tier asks for the task.
func (d *Definition) requires(task string) bool {
	return slices.ContainsFunc(d.Tiers, func(t Tier) bool {
		_, needed := t.target(task)
		return needed
	})
}

// gives says whether a tier or the welcome promises the reward.
func (d *Definition) gives(reward string) bool {
	return slices.Contains(d.Welcome.Rewards, reward) ||
		slices.ContainsFunc(d.Tiers, func(t Tier) bool { return slices.Contains(t.Rewards, reward) })
}

// target is how many of the task the tier asks for, false when it does not.
func (t Tier) target(task string) (int, bool) {
	for _, r := range t.Requires {
		if r.Task == task {
			return r.Count, true
		}
	}
	return 0, false
}

func orNone(s string) string {
	if s == "" {
		return "it away"
	}
	return s
}

func keepNumber(n int64) string {
	if n == 0 {
		return "keep it without a limit"
	}
	return fmt.Sprintf("keep at least %d", n)
}
