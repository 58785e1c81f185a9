package step

import (
	"fmt"
	"slices"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/notify"
	"kfactor/reward"
)

// Owed is something that a person is to hear of. That they do is nothing the rules know of.
type Owed struct {
	Person int64
	Kind   notify.Kind
	Word   string
	Source string // what it is owed for, different for all that one person is owed
	Facts  notify.Facts
	At     int64 // UTC milliseconds
}

// Owed are the messages to be written down, in order.
func (w *World) Owed() []Owed { return w.changed.owed }

// web is the channel on which nobody can be written to.
const web = "web"

// says says whether the campaign has something to say under a word, to anybody.
func (w *World) says(word string) bool {
	return w.Definition.Channel != web && (w.Definition.Messages[word] != "" || notify.DefaultText(notify.Chinese, word) != "")
}

// owe notes that somebody is to hear of something. Whoever is blocked hears nothing.
func (w *World) owe(p *campaign.Person, kind notify.Kind, word string, e *event.Event, f notify.Facts) {
	if p.Facts.Blocked {
		return
	}
	seq := w.Campaign.Seq + 1 // that the event will have
	if w.changed.owing.seq != seq {
		w.changed.owing.seq, w.changed.owing.before = seq, len(w.changed.owed)
	}
	w.changed.owed = append(w.changed.owed, Owed{
		Person: p.Person, Kind: kind, Word: word, Facts: f, At: e.ReceivedAt,
		Source: fmt.Sprintf("%d:%s:%d", seq, word, len(w.changed.owed)-w.changed.owing.before),
	})
}

// oweProgress tells whoever brought a friend that the friend counts, or no longer does.
func (w *World) oweProgress(word, task string, e *event.Event, c *campaign.Credit) {
	if !w.says(word) {
		return
	}
	owner := w.person(c.Owner)
	have := owner.Facts.Counts.Of(task)
	f := notify.Facts{Task: task, Invitee: c.Person, Count: have}
	for _, t := range w.Definition.Tiers {
		for _, q := range t.Requires {
			if more := q.Count - have; q.Task == task && more > 0 && !slices.Contains(owner.Facts.Reached, t.Name) && (f.Remaining == 0 || more < f.Remaining) {
				f.Remaining = more
			}
		}
	}
	w.owe(owner, notify.Progress, word, e, f)
}

// oweRewards tells somebody what grants brought them, and apart from it what a reviewer has still to approve and what
// waits for stock or budget; they are told again when those are handed out.
func (w *World) oweRewards(p *campaign.Person, word, tier string, grants []int64, e *event.Event) {
	if !w.says(word) {
		return
	}
	f := notify.Facts{Tier: tier}
	for _, no := range grants {
		g := w.Grants[no]
		switch {
		case g.State == reward.Review:
			f.Reviewing = append(f.Reviewing, g.Reward)
		case g.State == reward.Waitlisted:
			f.Waiting = append(f.Waiting, g.Reward)
		case g.State.Reserves():
			f.Rewards = append(f.Rewards, g.Reward)
			if f.Grant == 0 && g.Coupon != 0 {
				f.Grant = no
			}
		}
	}
	if tier != "" || len(f.Rewards) > 0 {
		w.owe(p, notify.Reward, word, e, f)
	}
}

// oweNews tells somebody what became of a grant that they waited for.
func (w *World) oweNews(g *reward.Grant, e *event.Event) {
	word := ""
	switch g.State {
	case reward.Delivered:
		word = notify.Delivered
	case reward.Rejected:
		word = notify.Rejected
	}
	if word == "" || !w.says(word) {
		return
	}
	f := notify.Facts{Rewards: []string{g.Reward}, Grant: g.No}
	if g.Tier != reward.WelcomeTier {
		f.Tier = g.Tier
	}
	w.owe(w.person(g.Person), notify.Reward, word, e, f)
}
