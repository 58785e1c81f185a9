package step_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/notify"
)

// campaigns draws small campaigns in which everything is scarce.
func campaigns() *rapid.Generator[*campaign.Definition] {
	return rapid.Custom(func(t *rapid.T) *campaign.Definition {
		d := invitation()
		d.Tasks = nil
		for i, on := range []string{"subscribe", "purchase", "checkin"} {
			if i > 0 && rapid.Bool().Draw(t, "no more tasks") {
				break
			}
			task := campaign.Task{
				Name: fmt.Sprintf("task%d", i), On: on, Credit: rapid.SampledFrom([]string{campaign.Inviter, campaign.Actor}).Draw(t, "credit"),
				NewUsersOnly: rapid.Bool().Draw(t, "new users only"),
				RevokeOn:     rapid.SampledFrom([]string{"", "unsubscribe", "refund"}).Draw(t, "revoke on"),
				Hold:         rapid.SampledFrom([]time.Duration{0, 0, time.Hour, day}).Draw(t, "hold"),
				PerDay:       rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "per day"),
			}
			d.Tasks = append(d.Tasks, task)
		}
		for i := range rapid.IntRange(1, 4).Draw(t, "rewards") {
			r := campaign.Reward{
				Name: fmt.Sprintf("reward%d", i), Kind: rapid.SampledFrom([]string{campaign.Coupon, campaign.Cash, campaign.Physical, campaign.Points}).Draw(t, "kind"),
				UnitCost: rapid.Int64Range(0, 3).Draw(t, "cost") * yuan, Stock: rapid.Int64Range(0, 3).Draw(t, "stock"),
				Review: rapid.Bool().Draw(t, "review"),
			}
			if r.Kind == campaign.Points {
				r.Points = 500
			}
			d.Rewards = append(d.Rewards, r)
		}
		some := func(label string) []string {
			var names []string
			for _, r := range d.Rewards {
				if rapid.Bool().Draw(t, label) {
					names = append(names, r.Name)
				}
			}
			return names
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "tiers") {
			tier := campaign.Tier{Name: fmt.Sprintf("tier%d", i), Rewards: some("tier gives")}
			for j, task := range d.Tasks {
				if j == 0 || rapid.Bool().Draw(t, "requires") {
					tier.Requires = append(tier.Requires, campaign.Requirement{Task: task.Name, Count: rapid.IntRange(1, 3).Draw(t, "target")})
				}
			}
			d.Tiers = append(d.Tiers, tier)
		}
		d.Welcome.Rewards = some("welcome gives")
		if rapid.Bool().Draw(t, "has budget") {
			d.Budget = &campaign.Budget{
				Currency: "CNY", Limit: rapid.Int64Range(0, 12).Draw(t, "budget") * yuan,
				OnExhausted: rapid.SampledFrom([]string{campaign.Waitlist, campaign.Reject}).Draw(t, "exhausted"),
			}
		}
		d.Limits.InvitesPerInviterPerHour = rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "per hour")
		d.Channel = rapid.SampledFrom([]string{"web", "main"}).Draw(t, "channel")
		d.Messages = map[string]string{}
		for _, word := range []string{notify.Credited, notify.TierReached, notify.Revoked} {
			if rapid.Bool().Draw(t, "says "+word) {
				d.Messages[word] = "{{count}}"
			}
		}
		d.Limits.Participants = rapid.SampledFrom([]int64{0, 0, 3}).Draw(t, "participants")
		return d
	})
}

var users = []string{"A", "B", "C", "d", "e", "f", "g", "h"}

// happens lets one drawn thing happen, from outside or by those who run the campaign.
func (f *field) happens(t *rapid.T) {
	user := rapid.SampledFrom(users).Draw(t, "user")
	switch n := rapid.IntRange(0, 99).Draw(t, "what"); {
	case n < 70:
		w := what{
			kind: rapid.SampledFrom([]string{"scan", "subscribe", "subscribe", "subscribe", "unsubscribe", "purchase", "refund", "checkin"}).Draw(t, "type"),
			user: user, code: rapid.SampledFrom([]string{"", "", "A", "B", "C", "D", "E", "?"}).Draw(t, "code"),
			data: rapid.SampledFrom([]string{"", "", `{"order": "o1"}`, `{"order": 2, "source": "poster"}`, `{"new": false}`}).Draw(t, "data"),
		}
		if rapid.Bool().Draw(t, "late") {
			w.at = time.Duration(rapid.IntRange(1, 96).Draw(t, "half hours")) * 30 * time.Minute
			if latest := time.Duration(f.now-monday.UnixMilli()) * time.Millisecond; w.at > latest {
				w.at = 0
			}
		}
		f.post(w)
	case n < 78:
		f.join(user, rapid.SampledFrom([]string{"", "A", "B", "?"}).Draw(t, "invited by"))
	case n < 84:
		f.pass(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
	case n < 86:
		f.about(rapid.SampledFrom([]string{event.Blocked, event.Unblocked}).Draw(t, "turn"), user)
	case n < 88:
		f.order(rapid.SampledFrom([]string{event.Paused, event.Resumed, event.Resumed, event.Launched, event.Ended}).Draw(t, "turn"), step.Order{})
	case n < 94:
		kind := rapid.SampledFrom([]string{event.GrantApproved, event.GrantDelivered, event.GrantRejected, event.GrantRevoked}).Draw(t, "decision")
		f.order(kind, step.Order{Grant: rapid.Int64Range(1, f.campaign().Grants+1).Draw(t, "grant")})
	case n < 97:
		r := rapid.SampledFrom(f.definition().Rewards).Draw(t, "coupons of")
		var there int64
		if f.shelves[r.Name] != "" {
			there = f.shelf(r.Name).Coupons
		}
		f.order(event.CouponsAdded, step.Order{Reward: r.Name, Coupons: there + rapid.Int64Range(0, 3).Draw(t, "coupons")})
	default:
		f.revise(func(d *campaign.Definition) {
			for i := range d.Rewards {
				d.Rewards[i].Stock += rapid.Int64Range(-1, 2).Draw(t, "stock")
				d.Rewards[i].UnitCost += rapid.Int64Range(0, 1).Draw(t, "cost") * yuan
			}
			if d.Budget != nil {
				d.Budget.Limit = max(0, d.Budget.Limit+rapid.Int64Range(-2, 4).Draw(t, "budget")*yuan)
			}
			for i := range d.Tiers {
				for j := range d.Tiers[i].Requires {
					r := &d.Tiers[i].Requires[j]
					r.Count = max(1, r.Count+rapid.IntRange(-1, 0).Draw(t, "target"))
				}
			}
		})
	}
}

func TestWhateverHappens(t *testing.T) {
	t.Parallel()
	// The invariants are held after every event by check, and what is written is held against what was changed.
	rapid.Check(t, func(t *rapid.T) {
		f := live(t, campaigns().Draw(t, "campaign"), "A", "B", "C")
		for range rapid.IntRange(1, 60).Draw(t, "events") {
			f.happens(t)
		}
		want := f.dump()
		for _, size := range []int{1, rapid.IntRange(2, 7).Draw(t, "batch"), 1000} {
			if got := f.replay(size).dump(); got != want {
				t.Fatalf("the journal applied again in batches of %d gives\n%s\nwant\n%s", size, got, want)
			}
		}
		f.checkOwed()
	})
}

func TestNewsInAnyOrder(t *testing.T) {
	t.Parallel()
	visit := []what{
		{kind: "scan", user: "x", code: "A", at: time.Hour, id: "scan"},
		{kind: "subscribe", user: "x", at: 2 * time.Hour, id: "follow"},
		{kind: "unsubscribe", user: "x", at: 3 * time.Hour, id: "leave"},
		{kind: "subscribe", user: "x", at: 4 * time.Hour, id: "return"},
	}
	explicit := slices.Clone(visit)
	explicit[1].code, explicit[3].code = "A", "A"
	gone := visit[:3]

	for _, c := range []struct {
		name   string
		events []what
		want   int
	}{
		{"a friend who came back", visit, 1},
		{"a friend who came back, by a code each time", explicit, 1},
		{"a friend who is gone", gone, 0},
		{"a friend who is gone again", append(slices.Clone(visit), what{kind: "unsubscribe", user: "x", at: 5 * time.Hour, id: "leave again"}), 0},
	} {
		for _, onlyNew := range []bool{false, true} {
			for _, held := range []time.Duration{0, day} {
				d := invitation(hold(held), task(func(t *campaign.Task) { t.NewUsersOnly = onlyNew }))
				t.Run(fmt.Sprintf("%s/new users only %v/hold %s", c.name, onlyNew, held), func(t *testing.T) {
					permute(slices.Clone(c.events), 0, func(events []what) {
						f := live(t, d, "A", "B")
						f.pass(6 * time.Hour)
						f.post(events...)
						f.pass(3 * day)
						state := campaign.CreditReversed
						if c.want == 1 {
							state = campaign.CreditStanding
						}
						raw := f.credits[step.CreditKey{Person: f.names["x"], Task: "invite"}]
						if raw == "" || read[campaign.Credit](t, raw).State != state || f.count("A", "invite") != c.want {
							var order []string
							for _, e := range events {
								order = append(order, e.id)
							}
							t.Fatalf("in the order %q the credit is %s", order, raw)
						}
					})
				})
			}
		}
	}
}

func TestOfTwoAtOneMomentTheOneToldLastCounts(t *testing.T) {
	t.Parallel()
	const at = time.Hour
	follow, leave := what{kind: "subscribe", user: "x", at: at, id: "follow"}, what{kind: "unsubscribe", user: "x", at: at, id: "leave"}
	back := what{kind: "subscribe", user: "x", at: at, id: "back"}
	code := what{kind: "scan", user: "x", code: "A", at: at, id: "scan"}
	leaveByCode := leave
	leaveByCode.code = "A"
	for _, c := range []struct {
		name   string
		events []what
		want   int
	}{
		{"gone before the code came", []what{follow, leave, code}, 0},
		{"gone by the event that brought the code", []what{follow, leaveByCode}, 0},
		{"back before the code came", []what{follow, leave, back, code}, 1},
		{"left in the moment before", []what{leave, follow, code}, 1},
		{"the code first", []what{code, follow, leave}, 0},
		{"the code first, and back", []what{code, follow, leave, back}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := live(t, invitation(), "A")
			f.pass(2 * time.Hour)
			f.post(c.events...)
			if n := f.count("A", "invite"); n != c.want {
				t.Errorf("%d friends count, want %d", n, c.want)
			}
		})
	}
}

func permute(events []what, from int, each func([]what)) {
	if from == len(events) {
		each(events)
		return
	}
	for i := from; i < len(events); i++ {
		events[from], events[i] = events[i], events[from]
		permute(events, from+1, each)
		events[from], events[i] = events[i], events[from]
	}
}

func TestThePurchaseAndItsRefundInAnyOrder(t *testing.T) {
	t.Parallel()
	d := invitation(and(campaign.Task{Name: "order", On: "purchase", Credit: campaign.Actor, RevokeOn: "refund"}))
	for _, refund := range []string{`{"order": "7"}`, `{"order": 7}`, `{}`} {
		permute([]what{
			{kind: "purchase", user: "A", data: `{"order": "7"}`, at: 2 * time.Hour, id: "p7"},
			{kind: "refund", user: "A", data: refund, at: 3 * time.Hour, id: "r7"},
			{kind: "purchase", user: "A", data: `{"order": "8"}`, at: 4 * time.Hour, id: "p8"},
		}, 0, func(events []what) {
			f := live(t, d, "A")
			f.pass(5 * time.Hour)
			f.post(events...)
			if n := f.count("A", "order"); n != 1 {
				t.Errorf("refund %s: %d orders stand after %+v", refund, n, events)
			}
		})
	}
}

func TestTheSameUnderAnotherIDCreditsNothingMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := invitation(task(func(t *campaign.Task) { t.NewUsersOnly = true }))
		once, twice := live(t, d, "A", "B", "C"), live(t, d, "A", "B", "C")
		for range rapid.IntRange(1, 20).Draw(t, "events") {
			w := what{
				kind: rapid.SampledFrom([]string{"scan", "subscribe", "unsubscribe"}).Draw(t, "type"),
				user: rapid.SampledFrom(users).Draw(t, "user"), code: rapid.SampledFrom([]string{"", "A", "B", "C"}).Draw(t, "code"),
				at: time.Duration(rapid.IntRange(1, 1000).Draw(t, "minutes")) * time.Minute,
			}
			once.post(w)
			twice.post(w)
			for range rapid.IntRange(0, 2).Draw(t, "again") {
				twice.post(w)
			}
		}
		for _, user := range users {
			if a, b := once.of(user), twice.of(user); a.Inviter != b.Inviter || a.Score != b.Score || a.Facts.Invited != b.Facts.Invited {
				t.Fatalf("%s stands otherwise when news come twice:\n%+v\n%+v", user, a, b)
			}
		}
	})
}
