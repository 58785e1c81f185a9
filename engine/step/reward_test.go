package step_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/reward/ledger"
)

// gives adds a tier that needs n friends and gives rewards, and those rewards.
func gives(n int, rewards ...campaign.Reward) func(*campaign.Definition) {
	return func(d *campaign.Definition) {
		t := campaign.Tier{Name: fmt.Sprintf("tier%d", n), Requires: []campaign.Requirement{{Task: "invite", Count: n}}}
		for _, r := range rewards {
			t.Rewards = append(t.Rewards, r.Name)
			if d.Reward(r.Name) == nil {
				d.Rewards = append(d.Rewards, r)
			}
		}
		d.Tiers = append(d.Tiers, t)
	}
}

func budget(limit int64, onExhausted string) func(*campaign.Definition) {
	return func(d *campaign.Definition) {
		d.Budget = &campaign.Budget{Currency: "CNY", Limit: limit, OnExhausted: onExhausted}
	}
}

func mug(stock int64) campaign.Reward {
	return campaign.Reward{Name: "mug", Kind: campaign.Physical, UnitCost: 35 * yuan, Stock: stock}
}

// friend lets a new friend follow through the code of each owner.
func (f *field) friend(owners ...string) {
	f.t.Helper()
	for _, owner := range owners {
		wantOutcomes(f.t, f.post(what{kind: "subscribe", user: fmt.Sprintf("friend %d", len(f.names)), code: owner}), event.Credited)
	}
}

func (f *field) decide(kind string, no int64) event.Event {
	f.t.Helper()
	return f.order(kind, step.Order{Grant: no})
}

func TestTiers(t *testing.T) {
	t.Parallel()

	t.Run("ATierIsReachedOnceAndStaysReached", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(5))), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "unsubscribe", user: "x"}, what{kind: "subscribe", user: "x"})
		f.wantGiven("A mug granted")
	})

	t.Run("AllTargetsOfATierMustBeMet", func(t *testing.T) {
		d := invitation(and(bind), and(order), gives(1, mug(5)))
		d.Tiers[0].Requires = append(d.Tiers[0].Requires, campaign.Requirement{Task: "bind", Count: 1}, campaign.Requirement{Task: "order", Count: 1})
		f := live(t, d, "A")
		f.friend("A")
		f.post(what{kind: "bind", user: "A"}, what{kind: "purchase", user: "A", data: `{"amount": 9899}`})
		f.wantGiven()
		f.post(what{kind: "purchase", user: "A", data: `{"amount": 9900}`})
		f.wantGiven("A mug granted")
	})

	t.Run("WhatSomebodyDidBeforeJoiningCountsWhenTheyJoin", func(t *testing.T) {
		d := invitation(and(bind), gives(1, mug(5)))
		d.Tiers[0].Requires = []campaign.Requirement{{Task: "bind", Count: 1}}
		f := live(t, d)
		f.post(what{kind: "bind", user: "a"})
		f.wantGiven()
		f.must(f.join("a", ""))
		f.wantGiven("a mug granted")
	})

	t.Run("ABlockedParticipantReachesTheirTierWhenTheyAreLetGo", func(t *testing.T) {
		f := live(t, invitation(hold(day), gives(1, mug(5))), "A")
		f.post(what{kind: "subscribe", user: "x", code: "A"})
		f.must(f.about(event.Blocked, "A"))
		f.pass(2 * day)
		f.wantGiven()
		f.must(f.about(event.Unblocked, "A"))
		f.wantGiven("A mug granted")
	})

	t.Run("AHeldCreditReachesItsTierWhenTheHoldPasses", func(t *testing.T) {
		f := live(t, invitation(hold(day), gives(1, mug(5))), "A", "B")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "y", code: "B"}, what{kind: "unsubscribe", user: "y"})
		f.pass(day - time.Hour)
		f.wantGiven()
		f.pass(2 * time.Hour)
		f.wantGiven("A mug granted")
		if f.of("A").Facts.Held.Of("invite")+f.of("B").Facts.Held.Of("invite") != 0 {
			t.Error("something is still held")
		}
	})

	t.Run("HoldsThatFallDueAfterTheEndCountAndThoseThatLeftDoNot", func(t *testing.T) {
		f := live(t, invitation(hold(day), gives(1, mug(5))), "A", "B")
		f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "y", code: "B"})
		f.must(f.order(event.Ended, step.Order{}))
		wantOutcomes(t, f.post(what{kind: "unsubscribe", user: "y"}), event.Reversed)
		f.pass(2 * day)
		f.wantGiven("A mug granted")
	})

	t.Run("LeavingInTheLastMomentLosesAHeldCreditBeforeTheEndIsNoticed", func(t *testing.T) {
		f := live(t, invitation(hold(day)), "A")
		f.now = f.definition().Schedule.Ends.UnixMilli() - 2000
		f.post(what{kind: "subscribe", user: "x", code: "A"})
		left := f.event(what{kind: "unsubscribe", user: "x"})
		if done := f.apply(left); f.campaign().Status != campaign.Live || done.Outcome != event.Reversed {
			t.Errorf("%s while the campaign is %s", done.Outcome, f.campaign().Status)
		}
	})

	t.Run("MoreHoldsThanOneEventMayDoAllPass", func(t *testing.T) {
		f := live(t, invitation(hold(day)), "A")
		var flood []event.Event
		for i := range 2*step.MaxQueue + 7 {
			flood = append(flood, f.event(what{kind: "subscribe", user: fmt.Sprintf("friend %d", i), code: "A"}))
		}
		f.batch(flood...)
		f.pass(2 * day)
		if n := f.count("A", "invite"); n != 2*step.MaxQueue+7 {
			t.Errorf("%d count", n)
		}
	})
}

func TestWelcome(t *testing.T) {
	t.Parallel()
	f := live(t, invitation(and(campaign.Task{Name: "buy", On: "purchase", Credit: campaign.Inviter}), func(d *campaign.Definition) {
		d.Rewards = []campaign.Reward{mug(5)}
		d.Welcome.Rewards = []string{"mug"}
	}), "A")
	f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "unsubscribe", user: "x"}, what{kind: "subscribe", user: "x", code: "A"},
		what{kind: "purchase", user: "x"}, what{kind: "subscribe", user: "organic"})
	f.wantGiven("x mug granted")
}

func TestTheWelcomeOfABlockedInviteeWaitsUntilTheyAreLetGo(t *testing.T) {
	t.Parallel()
	f := live(t, invitation(hold(day), func(d *campaign.Definition) {
		d.Rewards = []campaign.Reward{mug(5)}
		d.Welcome.Rewards = []string{"mug"}
	}), "A")
	f.post(what{kind: "subscribe", user: "x", code: "A"})
	f.must(f.about(event.Blocked, "x"))
	f.pass(2 * day)
	f.wantGiven()
	f.must(f.about(event.Unblocked, "x"))
	f.must(f.about(event.Unblocked, "x"))
	f.wantGiven("x mug granted")
}

func TestStockAndBudget(t *testing.T) {
	t.Parallel()

	t.Run("TheWaitingListIsServedInOrderWhenAGrantIsTakenBack", func(t *testing.T) {
		for _, kind := range []string{event.GrantRevoked, event.GrantRejected} {
			r := mug(1)
			r.Review = true
			f := live(t, invitation(gives(1, r)), "A", "B", "C")
			f.friend("A", "B", "C")
			f.wantGiven("A mug review", "B mug waitlisted stock", "C mug waitlisted stock")
			f.must(f.decide(kind, 1))
			f.must(f.decide(event.GrantApproved, 2))
			out := strings.TrimPrefix(kind, "grant.")
			f.wantGiven("A mug "+out, "B mug granted", "C mug waitlisted stock")
			f.must(f.decide(event.GrantRevoked, 3))
			f.wantGiven("A mug "+out, "B mug granted", "C mug revoked stock")
		}
	})

	t.Run("MoreStockServesTheWaitingListAndNobodyOvertakes", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(0))), "A", "B", "C")
		f.friend("B", "A", "C")
		f.must(f.revise(func(d *campaign.Definition) { d.Rewards[0].Stock = 2 }))
		f.wantGiven("B mug granted", "A mug granted", "C mug waitlisted stock")
	})

	t.Run("AnExhaustedBudgetWaitsOrRejectsAsTheCampaignSays", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(5)), budget(40*yuan, campaign.Waitlist)), "A", "B")
		f.friend("A", "B")
		f.wantGiven("A mug granted", "B mug waitlisted budget")
		f.must(f.revise(func(d *campaign.Definition) { d.Budget.Limit = 70 * yuan }))
		f.wantGiven("A mug granted", "B mug granted")

		f = live(t, invitation(gives(1, mug(5)), budget(40*yuan, campaign.Reject)), "A", "B")
		f.friend("A", "B")
		f.wantGiven("A mug granted", "B mug rejected budget")
	})

	t.Run("MoreWaitThanOneEventMayServeAndAllAreServed", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(0))))
		n := step.MaxQueue + 5
		var flood []event.Event
		for i := range n {
			user := fmt.Sprintf("P%d", i)
			f.owners[user] = f.person(user)
			join := f.system(event.Joined, step.Order{})
			join.Person, join.Code = f.person(user), user
			flood = append(flood, join, f.event(what{kind: "subscribe", user: "f" + user, code: user}))
		}
		f.batch(flood...)
		f.must(f.revise(func(d *campaign.Definition) { d.Rewards[0].Stock = int64(n) - 1 }))
		if s := f.shelf("mug"); s.Granted != int64(n)-1 || s.Waitlisted != 1 {
			t.Errorf("%+v", *s)
		}
		last := f.given()[n-1]
		if !strings.HasSuffix(last, "waitlisted stock") {
			t.Errorf("the last to come is %q", last)
		}
	})

	t.Run("ADecisionThatTheStateDoesNotAllowIsRefusedAndChangesNothing", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(1))), "A")
		f.friend("A")
		for _, kind := range []string{event.GrantApproved, event.GrantRejected} {
			if e := f.decide(kind, 1); e.Outcome != event.Refused || !strings.Contains(detail(e), "granted") {
				t.Errorf("%s: %s %s", kind, e.Outcome, detail(e))
			}
		}
		if e := f.decide(event.GrantRevoked, 9); e.Outcome != event.Refused {
			t.Errorf("a grant that is not there: %s", e.Outcome)
		}
		f.wantGiven("A mug granted")
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()

	t.Run("PointsAreDeliveredAtOnceAndTakenBackFromTheBooks", func(t *testing.T) {
		points := campaign.Reward{Name: "points", Kind: campaign.Points, Points: 500, UnitCost: 50, Stock: 9}
		f := live(t, invitation(gives(1, points), budget(100*yuan, campaign.Waitlist)), "A")
		f.friend("A")
		f.wantGiven("A points delivered")
		held := func() int64 { return -f.campaign().Book.Balance(ledger.PointsHeld, "POINTS") }
		if held() != 500 {
			t.Errorf("%d points are held", held())
		}
		f.must(f.decide(event.GrantRevoked, 1))
		if held() != 0 {
			t.Errorf("%d points are held", held())
		}
	})

	t.Run("CouponsAreHandedOutInOrderOnceEach", func(t *testing.T) {
		coupon := campaign.Reward{Name: "coupon", Kind: campaign.Coupon, UnitCost: 10 * yuan, Stock: 9}
		f := live(t, invitation(gives(1, coupon)), "A", "B", "C")
		f.friend("A", "B")
		f.wantGiven("A coupon granted no_coupon_code", "B coupon granted no_coupon_code")
		f.must(f.order(event.CouponsAdded, step.Order{Reward: "coupon", Coupons: 1}))
		f.wantGiven("A coupon delivered", "B coupon granted no_coupon_code")
		f.must(f.decide(event.GrantRevoked, 1)) // its code was seen: it is not given to somebody else
		f.wantGiven("A coupon revoked", "B coupon granted no_coupon_code")
		f.must(f.order(event.CouponsAdded, step.Order{Reward: "coupon", Coupons: 3}))
		f.friend("C")
		f.wantGiven("A coupon revoked", "B coupon delivered", "C coupon delivered")
		if s := f.shelf("coupon"); s.CouponsUsed != 3 {
			t.Errorf("%+v", *s)
		}
	})

	t.Run("CodesThatNobodyWaitsForKeepNothingBusy", func(t *testing.T) {
		one := campaign.Reward{Name: "one", Kind: campaign.Coupon, Stock: 10_000}
		two := campaign.Reward{Name: "two", Kind: campaign.Coupon, Stock: 10_000}
		f := live(t, invitation(gives(1, one), gives(2, two)))
		n := step.MaxQueue + 3
		var flood []event.Event
		for i := range n {
			user := fmt.Sprintf("P%d", i)
			f.owners[user] = f.person(user)
			join := f.system(event.Joined, step.Order{})
			join.Person, join.Code = f.person(user), user
			flood = append(flood, join, f.event(what{kind: "subscribe", user: "f" + user, code: user}))
		}
		f.batch(flood...)
		f.must(f.order(event.CouponsAdded, step.Order{Reward: "two", Coupons: 5}))
		f.must(f.order(event.CouponsAdded, step.Order{Reward: "one", Coupons: int64(n)}))
		if s := f.shelf("one"); s.Delivered != int64(n) {
			t.Errorf("%+v", *s)
		}
	})

	t.Run("WhatIsFreeLeavesNoTraceInTheBooks", func(t *testing.T) {
		free := mug(1)
		free.UnitCost = 0
		f := live(t, invitation(gives(1, free), budget(0, campaign.Reject)), "A")
		f.friend("A")
		f.must(f.decide(event.GrantDelivered, 1))
		f.must(f.decide(event.GrantRevoked, 1))
		if len(f.entries) != 0 {
			t.Errorf("%+v", f.entries)
		}
	})
}

func TestRevisions(t *testing.T) {
	t.Parallel()

	t.Run("ALowerTargetRewardsThoseWhoMeetItNow", func(t *testing.T) {
		f := live(t, invitation(gives(3, mug(5))), "A", "B")
		f.friend("A", "A", "B")
		f.must(f.revise(func(d *campaign.Definition) { d.Tiers[0].Requires[0].Count = 2 }))
		f.wantGiven("A mug granted")
	})

	t.Run("BrokenPromisesAreRefusedByField", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(5)), budget(100*yuan, campaign.Waitlist)), "A", "B")
		f.friend("A", "B")
		before := f.campaign().Revision
		for field, change := range map[string]func(*campaign.Definition){
			"tiers[0].requires.invite": func(d *campaign.Definition) { d.Tiers[0].Requires[0].Count = 2 },
			"rewards.mug.stock":        func(d *campaign.Definition) { d.Rewards[0].Stock = 1 },
			"budget.limit":             func(d *campaign.Definition) { d.Budget.Limit = 69 * yuan },
			"budget":                   func(d *campaign.Definition) { d.Budget = nil },
			"tasks": func(d *campaign.Definition) {
				d.Tasks = append([]campaign.Task{{Name: "x", On: "share", Credit: campaign.Inviter}}, d.Tasks...)
			},
		} {
			if e := f.revise(change); e.Outcome != event.Refused || !strings.Contains(detail(e), `"`+field+`: `) {
				t.Errorf("%s: %s %s", field, e.Outcome, detail(e))
			}
		}
		if f.campaign().Revision != before {
			t.Error("a refused revision is in force")
		}
	})

	t.Run("LessBudgetThatStillCoversWhatIsPromisedIsTaken", func(t *testing.T) {
		f := live(t, invitation(gives(1, mug(5)), budget(100*yuan, campaign.Waitlist)), "A", "B")
		f.friend("A", "B")
		f.must(f.revise(func(d *campaign.Definition) { d.Budget.Limit = 70 * yuan }))
	})

	t.Run("ADraftMayBecomeAnything", func(t *testing.T) {
		f := draft(t, invitation(gives(1, mug(5)), budget(100*yuan, campaign.Waitlist)))
		f.must(f.revise(func(d *campaign.Definition) {
			*d = *invitation(gives(2, mug(1)))
			d.Tasks[0].On = "bind"
		}))
		f.must(f.order(event.Launched, step.Order{}))
		f.must(f.join("A", ""))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "bind", user: "x", code: "A"}), event.Counted, event.Credited)
	})

	t.Run("AnEndedCampaignStaysAsItIs", func(t *testing.T) {
		f := live(t, invitation())
		f.must(f.order(event.Ended, step.Order{}))
		if e := f.revise(func(d *campaign.Definition) { d.Name = "again" }); e.Outcome != event.Refused {
			t.Errorf("%s", e.Outcome)
		}
	})
}

func TestLifeCycle(t *testing.T) {
	t.Parallel()

	t.Run("TheScheduleEndsACampaignPausedOrNot", func(t *testing.T) {
		for _, paused := range []bool{false, true} {
			f := live(t, invitation(), "A")
			if paused {
				f.must(f.order(event.Paused, step.Order{}))
			}
			f.pass(31 * day)
			if s := f.campaign().Status; s != campaign.Ended {
				t.Errorf("paused %v: it is %s", paused, s)
			}
			if due := f.campaign().DueAt(f.definition()); due != 0 {
				t.Errorf("it is still due at %d", due)
			}
		}
	})

	t.Run("SoManyMayJoinAndWhoJoinedJoinsAgain", func(t *testing.T) {
		f := live(t, invitation(func(d *campaign.Definition) { d.Limits.Participants = 2 }), "A", "B")
		if e := f.join("C", ""); e.Outcome != event.LimitReached {
			t.Errorf("the third: %s", e.Outcome)
		}
		f.must(f.join("A", "B"))
		f.must(f.revise(func(d *campaign.Definition) { d.Limits.Participants = 3 }))
		f.must(f.join("C", ""))
	})

	t.Run("AJoinThroughACodeIsATouch", func(t *testing.T) {
		f := live(t, invitation(task(newUsersOnly)), "A")
		f.must(f.join("B", "a"))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "B"}), event.Credited)
	})
}

func TestTheFullExample(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../../campaign/testdata/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, _, problems := campaign.Parse(source, "full.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	f := draft(t, d)
	f.now = d.Schedule.Starts.UnixMilli() + 1000
	f.must(f.order(event.Launched, step.Order{}))
	f.must(f.order(event.CouponsAdded, step.Order{Reward: "newbie", Coupons: 4}))
	f.must(f.join("A", ""))
	for i := range 31 {
		f.pass(10 * time.Minute)
		friend := fmt.Sprintf("friend %02d", i)
		wantOutcomes(t, f.post(what{kind: "scan", user: friend, code: "A"}, what{kind: "subscribe", user: friend}), event.Counted, event.Held)
	}
	f.pass(time.Minute)
	wantOutcomes(t, f.post(
		what{kind: "unsubscribe", user: "friend 30"},
		what{kind: "bind", user: "A"},
		what{kind: "purchase", user: "A", data: `{"amount": 500, "order": "1"}`},
		what{kind: "purchase", user: "A", data: `{"amount": 9900, "order": "2"}`},
		what{kind: "refund", user: "A", data: `{"order": "2"}`},
		what{kind: "purchase", user: "A", data: `{"amount": 12000, "order": "3"}`},
	), event.Reversed, event.Credited, event.ConditionNotMet, event.Credited, event.Reversed, event.Credited)
	f.wantGiven()
	f.pass(2 * day)

	counts := map[string]int{}
	for _, g := range f.given() {
		_, rest, _ := strings.Cut(strings.TrimPrefix(g, "friend "), " ")
		counts[rest]++
	}
	for what, want := range map[string]int{
		"newbie delivered": 4, "newbie granted no_coupon_code": 26, "coupon granted no_coupon_code": 1, "cash review": 1, "mug review": 1, "points delivered": 1,
	} {
		if counts[what] != want {
			t.Errorf("%d times %s, want %d\n%s", counts[what], what, want, strings.Join(f.given(), "\n"))
		}
	}
	if !slices.Equal(f.of("A").Facts.Reached, []string{"铜牌", "银牌", "金牌"}) {
		t.Errorf("A reached %v", f.of("A").Facts.Reached)
	}
	f.pass(30 * day)
	if f.campaign().Status != campaign.Ended {
		t.Errorf("it is %s", f.campaign().Status)
	}
	if got := f.replay(100).dump(); got != f.dump() {
		t.Error("the journal applied again gives something else")
	}
}
