package campaign_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/internal/fault"
)

func TestBrokenPromises(t *testing.T) {
	t.Parallel()
	now := campaign.Running{
		Granted:      map[string]int64{"coupon": 4000, "mug": 10},
		Committed:    4_000_000,
		Participants: 1000,
	}

	// Each case changes the full example in one place; broken is the field it breaks, "" for none.
	for _, c := range []struct{ name, old, new, broken string }{
		{"a new title", "title: 邀请好友关注", "title: 请朋友来", ""},
		{"a new name", "name: 金秋裂变", "name: 金秋", ""},
		{"another poster", "at: [736, 1552], size: 296", "at: [700, 1552], size: 300", ""},
		{"another message", "joined: \"{{nickname}}", "joined: \"你好 {{nickname}}", ""},
		{"a variant less", "  variants:\n    b: {background: autumn-b.jpg}\n", "", ""},
		{"a lower target", "requires: {invite: 3}", "requires: {invite: 2}", ""},
		{"a requirement less", "invite: 10, bind: 1}", "invite: 10}", ""},
		{"a tier more", "welcome:", "  - {name: 钻石, requires: {invite: 100}}\nwelcome:", ""},
		{"a task more", "tiers:", "  visit: {on: checkin}\ntiers:", ""},
		{"a reward more", "budget:", "  hat: {kind: physical, stock: 5}\nbudget:", ""},
		{"a reward more for a tier", "rewards: [cash]", "rewards: [cash, points]", ""},
		{"more stock", "stock: 5000}", "stock: 5001}", ""},
		{"less stock, yet enough", "stock: 5000}", "stock: 4000}", ""},
		{"more budget", `limit: "50000.00"`, `limit: "60000.00"`, ""},
		{"less budget, yet enough", `limit: "50000.00"`, `limit: "40000.00"`, ""},
		{"a later end", "ends: 2026-09-15", "ends: 2026-09-16", ""},
		{"an earlier start", "starts: 2026-09-01", "starts: 2026-08-01", ""},
		{"a longer window", "window: 7d", "window: 8d", ""},
		{"a shorter hold", "hold: 24h", "hold: 12h", ""},
		{"more a day", "per_day: 50", "per_day: 51", ""},
		{"no limit a day", "    per_day: 50\n", "", ""},
		{"everybody counts", "new_users_only: true", "new_users_only: false", ""},
		{"credits stay", ", revoke_on: refund", "", ""},
		{"no condition", `, when: "data.amount >= 9900"`, "", ""},
		{"more cash", `amount: "2.00"`, `amount: "3.00"`, ""},
		{"no review", "stock: 1000, review: true", "stock: 1000", ""},
		{"fewer participants, yet enough", "participants: 200000", "participants: 1000", ""},

		{"a higher target", "requires: {invite: 3}", "requires: {invite: 4}", "tiers[0].requires.invite"},
		{"a requirement more", "requires: {invite: 3}", "requires: {invite: 3, bind: 1}", "tiers[0].requires.bind"},
		{"a tier less", "  - {name: 铜牌, requires: {invite: 3}, rewards: [coupon]}\n", "", "tiers"},
		{"a tier by another name", "name: 银牌", "name: 白银", "tiers"},
		{"a reward less for a tier", "rewards: [mug, points]", "rewards: [mug]", "tiers[2].rewards"},
		{"another welcome", "welcome: {rewards: [newbie]}", "welcome: {rewards: [coupon]}", "welcome.rewards"},
		{"less cash", `amount: "2.00"`, `amount: "1.99"`, "rewards.cash.amount"},
		{"fewer points", "points: 500", "points: 499", "rewards.points.points"},
		{"another kind", "mug: {kind: physical", "mug: {kind: coupon", "rewards.mug.kind"},
		{"stock below what is granted", "stock: 5000}", "stock: 3999}", "rewards.coupon.stock"},
		{"a review", `title: 10 元券, unit_cost: "10.00"`, `title: 10 元券, unit_cost: "10.00", review: true`, "rewards.coupon.review"},
		{"budget below what is promised", `limit: "50000.00"`, `limit: "39999.99"`, "budget.limit"},
		{"another currency", "currency: CNY", "currency: USD", "budget.currency"},
		{"no budget", `budget: {currency: CNY, limit: "50000.00", on_exhausted: waitlist}`, "", "budget"},
		{"another task to rank by", "tasks:\n", "tasks:\n  trade: {on: purchase}\n", "tasks"},
		{"no waiting list", "on_exhausted: waitlist", "on_exhausted: reject", "budget.on_exhausted"},
		{"an earlier end", "ends: 2026-09-15", "ends: 2026-09-14", "schedule.ends"},
		{"a later start", "starts: 2026-09-01", "starts: 2026-09-02", "schedule.starts"},
		{"another zone", "timezone: Asia/Shanghai", "timezone: Asia/Tokyo", "schedule.timezone"},
		{"another name", "campaign: autumn-2026", "campaign: autumn", "campaign"},
		{"another channel", "channel: main", "channel: web", "channel"},
		{"a shorter window", "window: 7d", "window: 6d", "attribution.window"},
		{"a longer hold", "hold: 24h", "hold: 2d", "tasks.invite.hold"},
		{"fewer a day", "per_day: 50", "per_day: 49", "tasks.invite.per_day"},
		{"another event", "{title: 绑定会员, on: bind", "{title: 绑定会员, on: checkin", "tasks.bind.on"},
		{"another person", "on: bind, credit: actor", "on: bind, credit: inviter", "tasks.bind.credit"},
		{"only new users", "on: bind, credit: actor", "on: bind, credit: actor, new_users_only: true", "tasks.bind.new_users_only"},
		{"a way to lose credit", "on: bind, credit: actor", "on: bind, credit: actor, revoke_on: unbind", "tasks.bind.revoke_on"},
		{"a limit a day", "on: bind, credit: actor", "on: bind, credit: actor, per_day: 1000", "tasks.bind.per_day"},
		{"a condition", "on: bind, credit: actor", `on: bind, credit: actor, when: "data.a == 1"`, "tasks.bind.when"},
		{"another condition", "data.amount >= 9900", "data.amount >= 9901", "tasks.order.when"},
		{"fewer participants than there are", "participants: 200000", "participants: 999", "limits.participants"},
		{"fewer an hour", "per_hour: 30", "per_hour: 29", "limits.invites_per_inviter_per_hour"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			old := parse(t, read(t, "full.yaml"))
			broken := campaign.BrokenPromises(old, with(t, c.old, c.new), now)
			var fields []string
			for _, f := range broken {
				fields = append(fields, f.Field)
				if f.Message == "" {
					t.Errorf("%s has no reason", f.Field)
				}
			}
			if c.broken == "" && len(broken) > 0 || c.broken != "" && !slices.Equal(fields, []string{c.broken}) {
				t.Errorf("it breaks %q, not %q", fields, c.broken)
			}
		})
	}

	t.Run("ABudgetMayNotComeLater", func(t *testing.T) {
		t.Parallel()
		old := with(t, `budget: {currency: CNY, limit: "50000.00", on_exhausted: waitlist}`, "")
		broken := campaign.BrokenPromises(old, parse(t, read(t, "full.yaml")), now)
		if len(broken) != 1 || broken[0].Field != "budget" {
			t.Errorf("it breaks %+v", broken)
		}
	})

	t.Run("ATaskOrRewardInUseMayNotGo", func(t *testing.T) {
		t.Parallel()
		old := parse(t, read(t, "full.yaml"))
		new := parse(t, old.Canonical())
		new.Tasks = slices.DeleteFunc(new.Tasks, func(t campaign.Task) bool { return t.Name == "bind" })
		new.Rewards = slices.DeleteFunc(new.Rewards, func(r campaign.Reward) bool { return r.Name == "mug" })
		broken := campaign.BrokenPromises(old, new, now)
		if len(broken) != 2 || broken[0].Field != "tasks" || broken[1].Field != "rewards" || !strings.Contains(broken[0].Message, "bind") {
			t.Errorf("got %v", broken)
		}
	})

	t.Run("WhatNothingUsesMayGo", func(t *testing.T) {
		t.Parallel()
		new := parse(t, read(t, "full.yaml"))
		old := parse(t, new.Canonical())
		old.Tasks = append(old.Tasks, campaign.Task{Name: "unused", On: "share", Credit: campaign.Actor})
		old.Rewards = append(old.Rewards, campaign.Reward{Name: "unused", Kind: campaign.Coupon})
		if broken := campaign.BrokenPromises(old, new, now); len(broken) > 0 {
			t.Errorf("got %v", broken)
		}
		given := now
		given.Granted = map[string]int64{"unused": 1}
		if broken := campaign.BrokenPromises(old, new, given); len(broken) != 1 {
			t.Errorf("a granted reward went: %v", broken)
		}
	})

	t.Run("TheSameBreaksNothing", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			d := definitions().Draw(t, "definition")
			if broken := campaign.BrokenPromises(d, d, campaign.Running{}); len(broken) > 0 {
				t.Fatal(broken)
			}
		})
	})

	t.Run("KinderIsAlwaysAllowedAndItsOppositeNever", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(t *rapid.T) {
			old := definitions().Draw(t, "definition")
			new := parse(t, old.Canonical())
			for i := range new.Tiers {
				for j := range new.Tiers[i].Requires {
					new.Tiers[i].Requires[j].Count += 1 + rapid.IntRange(0, 10).Draw(t, "lower")
				}
			}
			harder := len(new.Tiers) > 0
			for i := range new.Tasks {
				new.Tasks[i].Hold += time.Hour
			}
			for i := range old.Rewards {
				old.Rewards[i].Stock += rapid.Int64Range(0, 1000).Draw(t, "stock")
			}
			if new.Budget != nil {
				new.Budget.Limit /= 2
			}
			new.Schedule.Ends = new.Schedule.Ends.Add(-time.Second)
			new.Attribution.Window /= 2
			// From new to old everything becomes kinder.
			if broken := campaign.BrokenPromises(new, old, campaign.Running{}); len(broken) > 0 {
				t.Fatal(broken)
			}
			broken := campaign.BrokenPromises(old, new, campaign.Running{})
			for _, want := range []string{"schedule.ends", "attribution.window", "tasks.task_0.hold"} {
				if !slices.ContainsFunc(broken, func(f fault.Field) bool { return f.Field == want }) {
					t.Fatalf("%s is not among %v", want, broken)
				}
			}
			if harder && !slices.ContainsFunc(broken, func(f fault.Field) bool { return strings.HasPrefix(f.Field, "tiers[0].requires") }) {
				t.Fatalf("the higher target is not among %v", broken)
			}
		})
	})
}

func TestChanges(t *testing.T) {
	t.Parallel()

	t.Run("EachFieldWithBothSides", func(t *testing.T) {
		t.Parallel()
		old := parse(t, read(t, "full.yaml"))
		new := with(t, "requires: {invite: 3}, rewards: [coupon]", "requires: {invite: 2}, rewards: [coupon, points]")
		new.Tasks[1].PerDay = 3
		new.Messages = nil
		new.Poster.Layers[1].Text.Size = 47.5
		want := []campaign.Change{
			{Field: "poster.layers[1].text.size", From: "46", To: "47.5"},
			{Field: "tasks.bind.per_day", From: "", To: "3"},
			{Field: "tiers[铜牌].requires.invite", From: "3", To: "2"},
			{Field: "tiers[铜牌].rewards", From: "[coupon]", To: "[coupon, points]"},
			{Field: "messages.joined", From: old.Messages["joined"]},
			{Field: "messages.credited", From: old.Messages["credited"]},
			{Field: "messages.tier_reached", From: old.Messages["tier_reached"]},
			{Field: "messages.revoked", From: old.Messages["revoked"]},
		}
		if diff := cmp.Diff(want, campaign.Changes(old, new)); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("AgainstNothingEverythingIsNew", func(t *testing.T) {
		t.Parallel()
		changes := campaign.Changes(nil, parse(t, read(t, "spring.yaml")))
		if len(changes) < 30 || changes[0] != (campaign.Change{Field: "campaign", To: "spring-2026"}) {
			t.Errorf("got %v", changes)
		}
	})
}

func TestStatus(t *testing.T) {
	t.Parallel()
	allowed := map[string]campaign.Status{
		"draft launch":  campaign.Live,
		"live pause":    campaign.Paused,
		"paused resume": campaign.Live,
		"live end":      campaign.Ended,
		"paused end":    campaign.Ended,
	}
	for _, from := range []campaign.Status{campaign.Draft, campaign.Live, campaign.Paused, campaign.Ended} {
		for _, verb := range []string{"launch", "pause", "resume", "end"} {
			got, err := from.Next(verb)
			want, ok := allowed[string(from)+" "+verb]
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s %s leads to %s, %v", from, verb, got, err)
			case !ok && (fault.KindOf(err) != fault.Conflict || got != from || !strings.Contains(err.Error(), string(from))):
				t.Errorf("%s %s leads to %s, %v", from, verb, got, err)
			}
		}
	}
	if _, err := campaign.Live.Next("explode"); fault.KindOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	full := parse(t, read(t, "full.yaml"))

	t.Run("ItListensToWhatItsTasksAndFunnelName", func(t *testing.T) {
		t.Parallel()
		d := with(t, "on: bind, credit: actor}", "on: visit, credit: actor, revoke_on: leave}")
		d.Funnel = append(d.Funnel, "taste")
		for word, want := range map[string]bool{"scan": true, "refund": true, "visit": true, "leave": true, "taste": true, "fly": false, "": false} {
			if d.Listens(word) != want {
				t.Errorf("%q: %v", word, !want)
			}
		}
	})

	t.Run("VariantsAreStableAndEvenlyShared", func(t *testing.T) {
		t.Parallel()
		d := parse(t, full.Canonical())
		if (&campaign.Definition{}).Variant(7) != "" {
			t.Error("there is nothing to choose from")
		}
		count := map[string]int{}
		before := map[uint64]string{}
		for person := range uint64(30000) {
			before[person] = d.Variant(person)
			count[before[person]]++
		}
		if len(count) != 2 || count["a"] < 14500 || count["a"] > 15500 {
			t.Errorf("the shares are %v", count)
		}
		d.Poster.Variants = append(d.Poster.Variants, campaign.Variant{Name: "c"})
		moved := 0
		for person, was := range before {
			if is := d.Variant(person); is != was {
				moved++
				if is != "c" {
					t.Fatalf("%d moved from %s to %s", person, was, is)
				}
			}
		}
		if moved < 9500 || moved > 10500 {
			t.Errorf("%d moved to the new one", moved)
		}
	})

	t.Run("NamesThatAreNotThereAreNil", func(t *testing.T) {
		t.Parallel()
		if full.Task("nothing") != nil || full.Reward("nothing") != nil || full.Tier("nothing") != nil || full.Tier("铜牌") == nil {
			t.Error("a name is found that is not there, or the other way round")
		}
	})

	t.Run("MoneyIsInTheBudgetsCurrency", func(t *testing.T) {
		t.Parallel()
		d := with(t, `limit: "50000.00"`, `limit: "50000"`)
		if d.Currency() != "CNY" || (&campaign.Definition{}).Currency() != "CNY" {
			t.Error("without a currency it is CNY")
		}
		yen := strings.NewReplacer("currency: CNY", "currency: JPY", `.00"`, `"`, `"0.50"`, `"1"`).Replace(string(read(t, "full.yaml")))
		if d := parse(t, []byte(yen)); d.Budget.Limit != 50000 || d.Reward("coupon").UnitCost != 10 {
			t.Errorf("yen have no decimals: %+v", d.Budget)
		}
	})

	t.Run("TheZoneIsKnownOnAMachineWithoutZoneFiles", func(t *testing.T) {
		t.Parallel()
		if got := full.Schedule.Location().String(); got != "Asia/Shanghai" {
			t.Error(got)
		}
		if got := (campaign.Schedule{Timezone: "Nowhere/Land"}).Location(); got != time.UTC {
			t.Error(got)
		}
	})
}
