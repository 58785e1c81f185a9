package step_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/notify"
)

// told is what people are owed, one line each: who, what and the facts.
func (f *field) told() string {
	names := map[int64]string{}
	for user, n := range f.names {
		names[n] = user
	}
	var lines []string
	for _, o := range f.owed {
		said := fmt.Sprintf("%s %s %s", names[o.Person], o.Kind, o.Word)
		if o.Kind == notify.Progress {
			said += fmt.Sprintf(" %s %d/%d", names[o.Facts.Invitee], o.Facts.Count, o.Facts.Remaining)
		} else {
			said += fmt.Sprintf(" %s %v %d", o.Facts.Tier, o.Facts.Rewards, o.Facts.Grant)
			if len(o.Facts.Reviewing) > 0 {
				said += fmt.Sprintf(" checking %v", o.Facts.Reviewing)
			}
			if len(o.Facts.Waiting) > 0 {
				said += fmt.Sprintf(" waiting %v", o.Facts.Waiting)
			}
		}
		lines = append(lines, said)
	}
	f.owed = nil
	return strings.Join(lines, "\n")
}

// talking is a campaign on a channel, with texts for all it could say.
func talking(change ...func(*campaign.Definition)) *campaign.Definition {
	return invitation(append([]func(*campaign.Definition){func(d *campaign.Definition) {
		d.Channel = "main"
		d.Messages = map[string]string{"credited": "+", "revoked": "-", "tier_reached": "!"}
		d.Tiers = []campaign.Tier{
			{Name: "bronze", Requires: []campaign.Requirement{{Task: "invite", Count: 1}}, Rewards: []string{"coupon", "mug"}},
			{Name: "silver", Requires: []campaign.Requirement{{Task: "invite", Count: 3}}},
		}
		d.Rewards = []campaign.Reward{
			{Name: "coupon", Kind: campaign.Coupon, Stock: 10},
			{Name: "mug", Kind: campaign.Physical, Stock: 1, Review: true},
			{Name: "gift", Kind: campaign.Points, Points: 5, Stock: 1},
		}
	}}, change...)...)
}

func (f *field) tells(when, want string) {
	f.t.Helper()
	if got := f.told(); got != strings.TrimSpace(want) {
		f.t.Errorf("%s they are told\n%s\nwant\n%s", when, got, strings.TrimSpace(want))
	}
}

func TestOwed(t *testing.T) {
	t.Parallel()

	t.Run("AFriendWhoCountsIsNewsForWhoBroughtThem", func(t *testing.T) {
		f := live(t, talking(), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"})
		f.tells("at the first friend", "A reward tier_reached bronze [coupon] 0 checking [mug]\nA progress credited x 1/2")
		f.post(what{kind: "subscribe", user: "y", code: "A"}, what{kind: "unsubscribe", user: "y"})
		f.tells("when the second comes and leaves", "A progress credited y 2/1\nA progress revoked y 1/2")
		f.post(what{kind: "subscribe", user: "y"}, what{kind: "subscribe", user: "z", code: "A"})
		f.tells("at the third", "A progress credited y 2/1\nA reward tier_reached silver [] 0\nA progress credited z 3/0")
		f.post(what{kind: "subscribe", user: "z", code: "A"}, what{kind: "subscribe", user: "A", code: "A"})
		f.tells("of what does not count", "")
	})

	t.Run("WhatIsHeldIsNewsWhenItCounts", func(t *testing.T) {
		f := live(t, talking(hold(day)), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "y", code: "A"}, what{kind: "unsubscribe", user: "y"})
		f.tells("in the hold", "")
		f.pass(25 * time.Hour)
		f.tells("after the hold", "A reward tier_reached bronze [coupon] 0 checking [mug]\nA progress credited x 1/2")
	})

	t.Run("ARewardThatWasWaitedForIsNews", func(t *testing.T) {
		f := live(t, talking(), "A", "B")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "y", code: "B"})
		f.tells("at the tier", "A reward tier_reached bronze [coupon] 0 checking [mug]\nA progress credited x 1/2\n"+
			"B reward tier_reached bronze [coupon] 0 waiting [mug]\nB progress credited y 1/2")
		f.order(event.CouponsAdded, step.Order{Reward: "coupon", Coupons: 1})
		f.tells("when a code is there", "A reward delivered bronze [coupon] 1")
		f.order(event.GrantApproved, step.Order{Grant: 2})
		f.tells("when the mug is approved", "")
		f.order(event.GrantDelivered, step.Order{Grant: 2})
		f.tells("when the mug is sent", "A reward delivered bronze [mug] 2")
		f.order(event.GrantRejected, step.Order{Grant: 4})
		f.tells("when the other mug is refused", "B reward rejected bronze [mug] 4")
	})

	t.Run("AWelcomeIsNewsForTheFriend", func(t *testing.T) {
		f := live(t, talking(func(d *campaign.Definition) { d.Welcome.Rewards = []string{"gift"} }), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "y", code: "A"})
		f.tells("at the first two", "A reward tier_reached bronze [coupon] 0 checking [mug]\nA progress credited x 1/2\nx reward welcome  [gift] 0\n"+
			"A progress credited y 2/1")
	})

	t.Run("AWelcomeThatIsReviewedIsNoNewsBeforeItIsHandedOut", func(t *testing.T) {
		f := live(t, talking(func(d *campaign.Definition) { d.Tiers, d.Welcome.Rewards = nil, []string{"mug"} }), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"})
		f.tells("at the friend", "A progress credited x 1/0")
		f.order(event.GrantApproved, step.Order{Grant: 1})
		f.order(event.GrantDelivered, step.Order{Grant: 1})
		f.tells("when it is handed out", "x reward delivered  [mug] 1")
	})

	t.Run("WhoIsBlockedHearsNothing", func(t *testing.T) {
		f := live(t, talking(hold(day)), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"})
		f.about(event.Blocked, "A")
		f.pass(25 * time.Hour)
		f.tells("while blocked", "")
		f.about(event.Unblocked, "A")
		f.tells("when let go", "A reward tier_reached bronze [coupon] 0 checking [mug]")
	})

	t.Run("OnTheWebNobodyCanBeWrittenTo", func(t *testing.T) {
		f := live(t, talking(func(d *campaign.Definition) { d.Channel, d.Welcome.Rewards = "web", []string{"gift"} }), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "unsubscribe", user: "x"})
		f.tells("on the web", "")
	})

	t.Run("WithoutATextNothingIsSaid", func(t *testing.T) {
		f := live(t, talking(func(d *campaign.Definition) { d.Messages = nil }), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "unsubscribe", user: "x"})
		f.tells("without texts", "")
		f.order(event.CouponsAdded, step.Order{Reward: "coupon", Coupons: 1})
		f.tells("of what was waited for", "A reward delivered bronze [coupon] 1")
	})
}

// checkOwed holds what people are owed against what the journal says became of each event.
func (f *field) checkOwed() {
	f.t.Helper()
	d := f.definition()
	once := map[string]bool{}
	owed := map[string]int{} // by position, word and person
	for _, o := range f.owed {
		key := fmt.Sprintf("%d %s", o.Person, o.Source)
		if once[key] || o.Person == 0 || d.Channel == "web" || d.Messages[o.Word] == "" && notify.DefaultText(notify.Chinese, o.Word) == "" {
			f.t.Fatalf("owed: %+v", o)
		}
		once[key] = true
		seq, _, _ := strings.Cut(o.Source, ":")
		owed[fmt.Sprint(seq, " ", o.Word, " ", o.Person)]++
		owed[fmt.Sprint(seq, " ", o.Word)]++
	}
	if d.Channel == "web" {
		return
	}
	blocked := map[int64]bool{}
	for _, e := range f.journal {
		if e.Outcome == event.Applied && (e.Type == event.Blocked || e.Type == event.Unblocked) {
			blocked[e.Person] = e.Type == event.Blocked
		}
		said, err := e.Details()
		if err != nil {
			f.t.Fatalf("%v", err)
		}
		credited := map[int64]int{}
		reversed := 0
		for _, task := range said.Tasks {
			switch {
			case d.Task(task.Task).Credit == campaign.Actor || blocked[task.Owner]:
			case slices.Contains([]event.Outcome{event.Credited, event.Restored}, task.Outcome):
				credited[task.Owner]++
			case task.Outcome == event.Reversed:
				reversed++
			}
		}
		for owner, n := range credited {
			if got := owed[fmt.Sprintf("%d credited %d", e.Seq, owner)]; d.Messages["credited"] != "" && got != n {
				f.t.Fatalf("event %d credits person %d %d times and tells them %d times", e.Seq, owner, n, got)
			}
		}
		if got := owed[fmt.Sprintf("%d revoked", e.Seq)]; got > reversed {
			f.t.Fatalf("event %d reverses %d credits and tells of %d", e.Seq, reversed, got)
		}
		if got := owed[fmt.Sprintf("%d tier_reached", e.Seq)]; d.Messages["tier_reached"] != "" && got != len(said.Tiers) {
			f.t.Fatalf("event %d reaches %d tiers and tells of %d", e.Seq, len(said.Tiers), got)
		}
	}
}
