package step_test

import (
	"testing"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
)

// invitation is the smallest campaign: friends who follow count for whoever invited them.
func invitation(changes ...func(*campaign.Definition)) *campaign.Definition {
	d := &campaign.Definition{
		ID: "c", Channel: "web",
		Schedule: campaign.Schedule{
			Starts: monday.Add(-30 * day), Ends: monday.Add(30 * day), Timezone: "Asia/Shanghai",
		},
		Attribution: campaign.Attribution{Window: 7 * day},
		Tasks:       []campaign.Task{{Name: "invite", On: "subscribe", Credit: campaign.Inviter, RevokeOn: "unsubscribe"}},
		Funnel:      []string{"expose", "scan", "subscribe", "bind", "purchase"},
	}
	for _, change := range changes {
		change(d)
	}
	return d
}

// task changes the first task.
func task(change func(*campaign.Task)) func(*campaign.Definition) {
	return func(d *campaign.Definition) { change(&d.Tasks[0]) }
}

// and adds a task.
func and(t campaign.Task) func(*campaign.Definition) {
	return func(d *campaign.Definition) { d.Tasks = append(d.Tasks, t) }
}

func newUsersOnly(t *campaign.Task) { t.NewUsersOnly = true }

func hold(d time.Duration) func(*campaign.Definition) {
	return task(func(t *campaign.Task) { t.Hold = d })
}

var (
	bind  = campaign.Task{Name: "bind", On: "bind", Credit: campaign.Actor}
	order = campaign.Task{Name: "order", On: "purchase", Credit: campaign.Actor, RevokeOn: "refund", When: "data.amount >= 9900"}
)

// friendBuys credits the inviter for a purchase.
var friendBuys = campaign.Task{Name: "buy", On: "purchase", Credit: campaign.Inviter, RevokeOn: "refund"}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	const (
		credited  = event.Credited
		counted   = event.Counted
		held      = event.Held
		reversed  = event.Reversed
		restored  = event.Restored
		duplicate = event.DuplicateInvitee
		self      = event.SelfInvite
		known     = event.NotNewUser
		unknown   = event.UnknownCode
		nobody    = event.NoInviter
		notLive   = event.CampaignNotLive
		outside   = event.OutsideWindow
		limited   = event.LimitReached
		blocked   = event.BlockedOutcome
		unmet     = event.ConditionNotMet
	)
	for _, c := range []struct {
		name   string
		d      *campaign.Definition
		events []what
		want   []event.Outcome
		counts map[string]int // of the task invite, by participant
	}{
		{
			"a friend who follows through a code is credited once, whatever follows", invitation(),
			[]what{
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "subscribe", user: "x", code: "B"},
				{kind: "subscribe", user: "x"},
			},
			[]event.Outcome{credited, duplicate, duplicate, duplicate},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"what no task listens to is counted", invitation(),
			[]what{{kind: "scan", user: "x", code: "A"}, {kind: "share", user: "x"}, {kind: "purchase", user: "x", code: "A"}},
			[]event.Outcome{counted, counted, counted},
			map[string]int{"A": 0},
		},
		{
			"leaving takes back, coming back gives back, twice over", invitation(),
			[]what{
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "unsubscribe", user: "x"},
				{kind: "subscribe", user: "x"},
				{kind: "unsubscribe", user: "x"},
				{kind: "unsubscribe", user: "x"},
				{kind: "subscribe", user: "x", code: "B"},
			},
			[]event.Outcome{credited, reversed, restored, reversed, counted, restored},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"nobody invites themselves", invitation(),
			[]what{{kind: "subscribe", user: "A", code: "A"}, {kind: "scan", user: "A", code: "A"}, {kind: "subscribe", user: "A"}},
			[]event.Outcome{self, counted, nobody},
			map[string]int{"A": 0},
		},
		{
			"a loop of two is a self-invite", invitation(),
			[]what{{kind: "subscribe", user: "B", code: "A"}, {kind: "subscribe", user: "A", code: "B"}},
			[]event.Outcome{credited, self},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"a loop over three is a self-invite, also when a credit in it was taken back", invitation(),
			[]what{
				{kind: "subscribe", user: "B", code: "A"},
				{kind: "subscribe", user: "C", code: "B"},
				{kind: "unsubscribe", user: "B"},
				{kind: "subscribe", user: "A", code: "C"},
			},
			[]event.Outcome{credited, credited, reversed, self},
			map[string]int{"A": 0, "B": 1, "C": 0},
		},
		{
			"the last code touched before the event counts", invitation(),
			[]what{
				{kind: "scan", user: "x", code: "A", at: time.Hour},
				{kind: "scan", user: "x", code: "B", at: 3 * time.Hour},
				{kind: "subscribe", user: "x", at: 2 * time.Hour},
			},
			[]event.Outcome{counted, counted, credited},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"an explicit code wins over the last touched", invitation(),
			[]what{{kind: "scan", user: "x", code: "A"}, {kind: "subscribe", user: "x", code: "B"}},
			[]event.Outcome{counted, credited},
			map[string]int{"A": 0, "B": 1},
		},
		{
			"codes are read case-insensitively", invitation(),
			[]what{{kind: "subscribe", user: "x", code: "a"}},
			[]event.Outcome{credited},
			map[string]int{"A": 1},
		},
		{
			"who counted once is bound for other tasks too",
			invitation(and(campaign.Task{Name: "buy", On: "purchase", Credit: campaign.Inviter})),
			[]what{
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "scan", user: "x", code: "B"},
				{kind: "purchase", user: "x"},
				{kind: "purchase", user: "x", code: "B"},
			},
			[]event.Outcome{credited, counted, credited, duplicate},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"what was done before anybody's code was touched counts for nobody, also when it comes in late",
			invitation(and(campaign.Task{Name: "buy", On: "purchase", Credit: campaign.Inviter})),
			[]what{{kind: "subscribe", user: "x", code: "A", at: 2 * time.Hour}, {kind: "purchase", user: "x", at: time.Hour}},
			[]event.Outcome{credited, nobody},
			map[string]int{"A": 1},
		},
		{
			"a touch within the window counts to its last millisecond", invitation(),
			[]what{{kind: "scan", user: "x", code: "A", at: -8 * day}, {kind: "subscribe", user: "x", at: -day}},
			[]event.Outcome{counted, credited},
			map[string]int{"A": 1},
		},
		{
			"a touch before the window does not", invitation(),
			[]what{{kind: "scan", user: "x", code: "A", at: -8*day - time.Millisecond}, {kind: "subscribe", user: "x", at: -day}},
			[]event.Outcome{counted, outside},
			map[string]int{"A": 0},
		},
		{
			"without a code there is no inviter, with a wrong one it is unknown", invitation(),
			[]what{{kind: "subscribe", user: "x"}, {kind: "subscribe", user: "y", code: "?"}, {kind: "scan", user: "y", code: "?"}},
			[]event.Outcome{nobody, unknown, unknown},
			map[string]int{"A": 0},
		},
		{
			"an unknown code keeps neither own tasks from counting nor a leaving from taking back", invitation(and(bind)),
			[]what{
				{kind: "bind", user: "A", code: "?"},
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "unsubscribe", user: "x", code: "?"},
				{kind: "subscribe", user: "x", code: "?"},
				{kind: "subscribe", user: "x", code: "?"},
			},
			[]event.Outcome{credited, credited, reversed, restored, unknown},
			map[string]int{"A": 1},
		},
		{
			"who followed before is no new user", invitation(task(newUsersOnly)),
			[]what{{kind: "subscribe", user: "x", at: -day}, {kind: "subscribe", user: "x", code: "A"}},
			[]event.Outcome{nobody, known},
			map[string]int{"A": 0},
		},
		{
			"who left before must have followed before", invitation(task(newUsersOnly)),
			[]what{{kind: "unsubscribe", user: "x", at: -day}, {kind: "subscribe", user: "x", code: "A"}},
			[]event.Outcome{counted, known},
			map[string]int{"A": 0},
		},
		{
			"the channel may say that it knew the user", invitation(task(newUsersOnly)),
			[]what{
				{kind: "subscribe", user: "x", code: "A", data: `{"new": false}`},
				{kind: "subscribe", user: "y", code: "A", data: `{"new": true}`},
			},
			[]event.Outcome{known, credited},
			map[string]int{"A": 1},
		},
		{
			"a participant from before is no new user", invitation(task(newUsersOnly)),
			[]what{{kind: "subscribe", user: "B", code: "A"}},
			[]event.Outcome{known},
			map[string]int{"A": 0},
		},
		{
			"a new user who was credited and left gets the same credit back", invitation(task(newUsersOnly)),
			[]what{{kind: "subscribe", user: "x", code: "A"}, {kind: "unsubscribe", user: "x"}, {kind: "subscribe", user: "x", code: "A"}},
			[]event.Outcome{credited, reversed, restored},
			map[string]int{"A": 1},
		},
		{
			"so many a day count, in the campaign's days", invitation(task(func(t *campaign.Task) { t.PerDay = 2 })),
			[]what{
				{kind: "subscribe", user: "u", code: "A", at: time.Hour},
				{kind: "subscribe", user: "v", code: "A", at: 2 * time.Hour},
				{kind: "subscribe", user: "w", code: "A", at: 13 * time.Hour}, // 23:00
				{kind: "subscribe", user: "x", code: "B", at: 13 * time.Hour},
				{kind: "subscribe", user: "y", code: "A", at: 15 * time.Hour}, // 01:00 the next day
			},
			[]event.Outcome{credited, credited, limited, credited, credited},
			map[string]int{"A": 3, "B": 1},
		},
		{
			"so many an hour count for one inviter",
			invitation(func(d *campaign.Definition) { d.Limits.InvitesPerInviterPerHour = 1 }),
			[]what{
				{kind: "subscribe", user: "u", code: "A", at: time.Minute},
				{kind: "subscribe", user: "v", code: "A", at: 59 * time.Minute},
				{kind: "subscribe", user: "w", code: "B", at: 59 * time.Minute},
				{kind: "subscribe", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{credited, limited, credited, credited},
			map[string]int{"A": 2, "B": 1},
		},
		{
			"a day's limit holds beside the limits of many hours", invitation(task(func(t *campaign.Task) { t.PerDay = 14 }),
				func(d *campaign.Definition) { d.Limits.InvitesPerInviterPerHour = 1 }),
			hourly(16),
			append(times(14, credited), limited, limited),
			map[string]int{"A": 14},
		},
		{
			"a repeated leaving or following under a limit costs nothing more", invitation(task(func(t *campaign.Task) { t.PerDay = 1 })),
			[]what{{kind: "subscribe", user: "x", code: "A"}, {kind: "unsubscribe", user: "x"}, {kind: "subscribe", user: "x", code: "A"}},
			[]event.Outcome{credited, reversed, restored},
			map[string]int{"A": 1},
		},
		{
			"a held credit does not count yet", invitation(hold(day)),
			[]what{{kind: "subscribe", user: "x", code: "A"}, {kind: "subscribe", user: "x", code: "A"}},
			[]event.Outcome{held, duplicate},
			map[string]int{"A": 0},
		},
		{
			"leaving while held takes back, coming back holds again", invitation(hold(day)),
			[]what{{kind: "subscribe", user: "x", code: "A"}, {kind: "unsubscribe", user: "x"}, {kind: "subscribe", user: "x"}},
			[]event.Outcome{held, reversed, held},
			map[string]int{"A": 0},
		},
		{
			"a hold that passed before the event came in holds nothing up", invitation(hold(day)),
			[]what{{kind: "subscribe", user: "x", code: "A", at: -2 * day}},
			[]event.Outcome{credited},
			map[string]int{"A": 1},
		},
		{
			"a leaving that came late and is older than the return changes nothing", invitation(),
			[]what{
				{kind: "subscribe", user: "x", code: "A", at: time.Hour},
				{kind: "subscribe", user: "x", at: 3 * time.Hour},
				{kind: "unsubscribe", user: "x", at: 2 * time.Hour},
			},
			[]event.Outcome{credited, duplicate, counted},
			map[string]int{"A": 1},
		},
		{
			"a leaving that overtook the following takes it back, coming back restores it", invitation(),
			[]what{
				{kind: "unsubscribe", user: "x", at: 2 * time.Hour},
				{kind: "subscribe", user: "x", code: "A", at: time.Hour},
				{kind: "subscribe", user: "x", at: 3 * time.Hour},
			},
			[]event.Outcome{counted, reversed, restored},
			map[string]int{"A": 1},
		},
		{
			"a scan that was delayed brings its friend after all", invitation(),
			[]what{
				{kind: "subscribe", user: "x", at: 2 * time.Hour},
				{kind: "scan", user: "x", code: "B", at: 3 * time.Hour},
				{kind: "scan", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{nobody, counted, credited},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"a delayed scan from before the window brings nobody", invitation(),
			[]what{{kind: "subscribe", user: "x", at: 2 * time.Hour}, {kind: "scan", user: "x", code: "A", at: -7 * day}},
			[]event.Outcome{nobody, counted},
			map[string]int{"A": 0},
		},
		{
			"a delayed scan from before the start brings a friend who followed after it",
			invitation(func(d *campaign.Definition) { d.Schedule.Starts = monday.Add(-day) }),
			[]what{{kind: "subscribe", user: "x"}, {kind: "scan", user: "x", code: "A", at: -2 * day}},
			[]event.Outcome{nobody, credited},
			map[string]int{"A": 1},
		},
		{
			"a scan of one's own code uses up no following that waits for an inviter", invitation(),
			[]what{
				{kind: "subscribe", user: "A", at: 2 * time.Hour},
				{kind: "scan", user: "A", code: "A", at: time.Hour},
				{kind: "scan", user: "A", code: "B", at: time.Hour},
			},
			[]event.Outcome{nobody, counted, credited},
			map[string]int{"A": 0, "B": 1},
		},
		{
			"a delayed scan within the window brings a friend whom an older scan could not", invitation(),
			[]what{
				{kind: "scan", user: "x", code: "B", at: -8 * day},
				{kind: "subscribe", user: "x", at: 2 * time.Hour},
				{kind: "scan", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{counted, outside, credited},
			map[string]int{"A": 1, "B": 0},
		},
		{
			"who left before is known, also when they left again since", invitation(task(newUsersOnly)),
			[]what{
				{kind: "unsubscribe", user: "x", at: 2 * time.Hour},
				{kind: "unsubscribe", user: "x", at: 10 * time.Hour},
				{kind: "subscribe", user: "x", code: "A", at: 5 * time.Hour},
			},
			[]event.Outcome{counted, counted, known},
			map[string]int{"A": 0},
		},
		{
			"a delayed scan makes nobody new whom the channel knew", invitation(task(newUsersOnly)),
			[]what{
				{kind: "subscribe", user: "x", at: 2 * time.Hour, data: `{"new": false}`},
				{kind: "scan", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{nobody, known},
			map[string]int{"A": 0},
		},
		{
			"a delayed scan does not bring a purchase that was refunded", invitation(and(friendBuys)),
			[]what{
				{kind: "purchase", user: "x", at: 2 * time.Hour, data: `{"order": "1"}`},
				{kind: "refund", user: "x", at: 3 * time.Hour, data: `{"order": "1"}`},
				{kind: "scan", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{nobody, counted, reversed},
			nil,
		},
		{
			"a purchase whose refund overtook it gives no earlier credit back", invitation(and(friendBuys)),
			[]what{
				{kind: "purchase", user: "x", code: "A", at: time.Hour, data: `{"order": "1"}`},
				{kind: "refund", user: "x", at: 2 * time.Hour, data: `{"order": "1"}`},
				{kind: "refund", user: "x", at: 4 * time.Hour, data: `{"order": "2"}`},
				{kind: "purchase", user: "x", at: 3 * time.Hour, data: `{"order": "2"}`},
			},
			[]event.Outcome{credited, reversed, counted, duplicate},
			nil,
		},
		{
			"what names no order is taken back by a refund of any, also by one that overtook it",
			invitation(task(func(t *campaign.Task) { t.RevokeOn = "refund" })),
			[]what{
				{kind: "refund", user: "x", at: 2 * time.Hour, data: `{"order": "1"}`},
				{kind: "subscribe", user: "x", code: "A", at: time.Hour},
			},
			[]event.Outcome{counted, reversed},
			map[string]int{"A": 0},
		},
		{
			"whoever leaves is gone, whatever order is named", invitation(),
			[]what{
				{kind: "subscribe", user: "x", code: "A", data: `{"order": "1"}`},
				{kind: "unsubscribe", user: "x", data: `{"order": "2"}`},
			},
			[]event.Outcome{credited, reversed},
			map[string]int{"A": 0},
		},
		{
			"a refund without an order takes back the latest purchase before it, in whatever order they came in",
			invitation(and(campaign.Task{Name: "order", On: "purchase", Credit: campaign.Actor, RevokeOn: "refund"})),
			[]what{
				{kind: "purchase", user: "A", at: 3 * time.Hour},
				{kind: "purchase", user: "A", at: time.Hour},
				{kind: "refund", user: "A", at: 4 * time.Hour},
				{kind: "refund", user: "A", at: 2 * time.Hour},
			},
			[]event.Outcome{credited, credited, reversed, reversed},
			nil,
		},
		{
			"the day's limit of yesterday holds for news that come in after midnight",
			invitation(task(func(t *campaign.Task) { t.PerDay = 12 }), func(d *campaign.Definition) { d.Limits.InvitesPerInviterPerHour = 1 }),
			append(hourly(12), afterMidnight()...),
			append(times(24, credited), limited),
			map[string]int{"A": 24},
		},
		{
			"a condition lets through what fulfils it", invitation(task(func(t *campaign.Task) { t.When = `data.city == "沪"` })),
			[]what{
				{kind: "subscribe", user: "x", code: "A", data: `{"city": "京"}`},
				{kind: "subscribe", user: "x", code: "A"},
				{kind: "subscribe", user: "x", code: "A", data: `{"city": 7}`},
				{kind: "subscribe", user: "x", code: "A", data: `{"city": "沪"}`},
			},
			[]event.Outcome{unmet, unmet, unmet, credited},
			map[string]int{"A": 1},
		},
		{
			"before the start and after the end nothing counts", invitation(),
			[]what{
				{kind: "subscribe", user: "x", code: "A", at: -30*day - time.Millisecond},
				{kind: "scan", user: "y", code: "A", at: -31 * day},
				{kind: "subscribe", user: "x", code: "A", at: -30 * day},
			},
			[]event.Outcome{notLive, notLive, credited},
			map[string]int{"A": 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := live(t, c.d, "A", "B", "C")
			wantOutcomes(t, f.post(c.events...), c.want...)
			for user, n := range c.counts {
				if got := f.count(user, "invite"); got != n {
					t.Errorf("%s has %d friends, want %d", user, got, n)
				}
			}
			if got, want := f.replay(100).dump(), f.dump(); got != want {
				t.Errorf("the journal applied again in one batch gives\n%s\nwant\n%s", got, want)
			}
		})
	}

	t.Run("a blocked inviter, a blocked friend, and both let go", func(t *testing.T) {
		f := live(t, invitation(), "A", "B")
		f.must(f.about(event.Blocked, "A"))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "A", code: "B"}), blocked, blocked)
		f.must(f.about(event.Unblocked, "A"))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "A"}, what{kind: "subscribe", user: "A", code: "B"}), credited, credited)
	})

	t.Run("a delayed scan credits nobody for a blocked friend, until they are let go", func(t *testing.T) {
		f := live(t, invitation(), "A", "X")
		f.post(what{kind: "subscribe", user: "X", at: 2 * time.Hour})
		f.must(f.about(event.Blocked, "X"))
		wantOutcomes(t, f.post(what{kind: "scan", user: "X", code: "A", at: time.Hour}), counted)
		f.must(f.about(event.Unblocked, "X"))
		wantOutcomes(t, f.post(what{kind: "scan", user: "X", code: "A", at: time.Hour}), credited)
	})

	t.Run("a draft, a paused and an ended campaign credit nothing, and count the funnel all the same", func(t *testing.T) {
		f := draft(t, invitation())
		wantOutcomes(t, f.post(what{kind: "scan", user: "x"}, what{kind: "subscribe", user: "x"}), notLive, notLive)
		if out := f.join("A", ""); out.Outcome != notLive {
			t.Errorf("joining a draft: %s", out.Outcome)
		}
		f.must(f.order(event.Launched, step.Order{}))
		f.must(f.join("A", ""))
		f.must(f.order(event.Paused, step.Order{}))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "A"}), notLive)
		f.must(f.order(event.Resumed, step.Order{}))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "A"}), credited)
		f.must(f.order(event.Ended, step.Order{}))
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "y", code: "A"}, what{kind: "unsubscribe", user: "x"}), notLive, notLive)
		if f.count("A", "invite") != 1 {
			t.Error("what counted before the end still does")
		}
	})

	t.Run("a code that is reserved and not joined yet is unknown", func(t *testing.T) {
		f := live(t, invitation())
		f.owners["LATER"] = f.person("later")
		wantOutcomes(t, f.post(what{kind: "subscribe", user: "x", code: "LATER"}), unknown)
	})
}

// hourly is one follow an hour through A's code, from midnight in Shanghai, on one day.
func hourly(n int) []what {
	var events []what
	for i := range n {
		events = append(events, what{kind: "subscribe", user: string(rune('a' + i)), code: "A", at: -10*time.Hour + time.Duration(i)*time.Hour + time.Minute})
	}
	return events
}

// afterMidnight is a follow an hour on the day after those of hourly, and then one more on their day.
func afterMidnight() []what {
	var events []what
	for i := range 12 {
		events = append(events, what{kind: "subscribe", user: string(rune('n' + i)), code: "A", at: 14*time.Hour + time.Duration(i)*time.Hour + time.Minute})
	}
	return append(events, what{kind: "subscribe", user: "late", code: "A", at: 13 * time.Hour})
}

func times(n int, o event.Outcome) []event.Outcome {
	var out []event.Outcome
	for range n {
		out = append(out, o)
	}
	return out
}
