package engine_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gorm.io/gorm"
	"pgregory.net/rapid"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
	"kfactor/notify"
)

// noCodes is a channel of which nobody asks for codes.
type noCodes struct{}

func (noCodes) CodeLink(_ context.Context, code string) (string, time.Time, error) {
	return "https://q.example/" + code, time.Time{}, nil
}

func (noCodes) Users(_ context.Context, names []string) ([]engine.Who, error) {
	return nil, errors.New("nobody is called by another name here")
}

// onChannel is a house with a channel beside the web.
func onChannel(t *testing.T, db *gorm.DB) *house {
	t.Helper()
	h := open(t, db)
	h.Channels = map[string]engine.Channel{"main": noCodes{}}
	return h
}

const friendly = spring + `welcome: {rewards: [coupon]}
messages:
  credited: "{{invitee}} 为你助力成功,还差 {{remaining}} 人。"
  tier_reached: "恭喜{{nickname}}达成「{{tier}}」:{{rewards}}。"
  revoked: "{{invitee}} 取消了关注,当前 {{count}} 人。"
`

func channelled(more string) string {
	return definition(more, "name: Test\n", "name: Test\nchannel: main\n")
}

// owe owes somebody one message.
func (h *house) owe(campaign, user string, kind notify.Kind, source string) {
	h.t.Helper()
	due := engine.Due{Campaign: campaign, User: user, Kind: kind, Word: "hello", Source: source, Facts: notify.Facts{Text: source}}
	if err := h.Owe(h.ctx(), []engine.Due{due}); err != nil {
		h.t.Fatal(err)
	}
}

// take takes what is due and gives "user text" of each.
func (h *house) take(limit int) ([]engine.Owed, []string) {
	h.t.Helper()
	owed, err := h.TakeOwed(h.ctx(), "main", limit, time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	said := []string{}
	for i := range owed {
		said = append(said, fmt.Sprint(owed[i].User, " ", owed[i].Text()))
	}
	return owed, said
}

func (h *house) settle(o engine.Owed, state notify.State, reason string) {
	h.t.Helper()
	if err := h.SettleOwed(h.ctx(), []engine.Settled{{No: o.No, Taker: o.Taker, State: state, Reason: reason}}); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) opened(user string) {
	h.t.Helper()
	if err := h.WindowOpened(h.ctx(), "main", user); err != nil {
		h.t.Fatal(err)
	}
}

// messages gives "user word state" of every message, with its reason where it has one.
func (h *house) messages(campaign string) []string {
	h.t.Helper()
	list, err := h.Messages(h.ctx(), campaign, "", engine.Page{Limit: 1000}, true)
	if err != nil {
		h.t.Fatal(err)
	}
	said := []string{}
	for _, m := range list.Items {
		said = append(said, strings.TrimSpace(fmt.Sprint(m.User, " ", m.Word, " ", m.State, " ", m.Reason)))
	}
	return said
}

func TestOutbox(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		a := h.join(id, "A")
		follow := func(user string) { h.post(id, what{kind: "subscribe", user: user, code: a.Code}) }

		follow("x")
		follow("y")
		h.join(id, "y") // which is when their name is known
		_, said := h.take(1)
		want(t, said, "x 送你一份新人礼：Coupon。")
		owed, said := h.take(10)
		want(t, said, "A 恭喜A达成「bronze」:Coupon。", "y y，送你一份新人礼：Coupon。", "A y 为你助力成功,还差 1 人。")
		if o := owed[2]; o.Code != a.Code || o.User != "A" || o.Campaign != id || o.Attempts != 1 || o.Kind != notify.Progress || o.Invitee != "y" {
			t.Errorf("%+v", o)
		}
		if _, said := h.take(10); len(said) != 0 {
			t.Errorf("%q are taken twice", said)
		}
		want(t, h.messages(id), "A credited merged superseded", "x welcome taken", "A tier_reached taken", "A credited taken", "y welcome taken")

		// What waits is due when a window opens, and what was about to wait then as well.
		h.settle(owed[0], notify.Waiting, notify.NoWindow)
		h.opened("A")
		h.settle(owed[2], notify.Waiting, notify.NoWindow)
		h.settle(owed[1], notify.Sent, "")
		owed, said = h.take(10)
		want(t, said, "A 恭喜A达成「bronze」:Coupon。", "A y 为你助力成功,还差 1 人。")
		h.settle(owed[0], notify.Waiting, notify.NoWindow)
		h.settle(owed[1], notify.Unsent, notify.Refused)
		h.settle(owed[1], notify.Sent, "") // too late
		h.opened("y")
		h.opened("nobody")
		if _, said := h.take(10); len(said) != 0 {
			t.Errorf("%q are taken without a window", said)
		}

		// Whoever took it is gone: it is due again when the lease ends, and settled when it is too old.
		h.clock.Advance(2 * time.Minute)
		_, said = h.take(10)
		want(t, said, "x 送你一份新人礼：Coupon。")
		h.clock.Advance(15 * 24 * time.Hour)
		h.sweep()
		if _, said := h.take(10); len(said) != 0 {
			t.Errorf("%q are taken after they expired", said)
		}
		want(t, h.messages(id), "A credited merged superseded", "x welcome unsent expired", "A tier_reached unsent no_window",
			"A credited unsent refused", "y welcome sent")

		// Coupons come, and news of them with their codes.
		if _, err := h.ImportCoupons(h.ctx(), id, "coupon", strings.NewReader("C-1\nC-2\n"), "tester"); err != nil {
			t.Fatal(err)
		}
		_, said = h.take(10)
		want(t, said, "x 你的奖励「Coupon」已发放，兑换码：C-1。", "A 你的奖励「Coupon」已发放，兑换码：C-2。")

		explained, err := h.Explain(h.ctx(), id, a.Code, true)
		if err != nil || len(explained.Messages) != 4 {
			t.Fatal(explained.Messages, err)
		}
		if m := explained.Messages[1]; m.Word != "tier_reached" || !strings.Contains(m.Why, "not sent") || !strings.Contains(m.WhyZH, "互动") {
			t.Errorf("%+v", m)
		}

		// A blocked person hears nothing, also of what was owed before.
		h.owe(id, "A", notify.Chatter, "hello")
		if _, err := h.Block(h.ctx(), id, a.Code, true, "", "tester"); err != nil {
			t.Fatal(err)
		}
		if _, said := h.take(10); len(said) != 0 {
			t.Errorf("%q are taken for somebody who is blocked", said)
		}
		list := h.messages(id)
		want(t, list[len(list)-1:], "A hello unsent blocked")

		// The journal says what was owed; a channel may owe more.
		report, err := h.Verify(h.ctx(), id)
		if err != nil || !report.OK {
			t.Fatal(report, err)
		}
		if err := db.Exec("DELETE FROM messages WHERE word = 'credited' AND state = 'merged'").Error; err != nil {
			t.Fatal(err)
		}
		report, err = h.Verify(h.ctx(), id)
		if err != nil || len(report.Problems) != 1 || !strings.Contains(report.Problems[0], "message") {
			t.Error(report, err)
		}
	})
}

// TestARewardThatWaitsForStock holds that whoever reaches a tier too late hears what they wait for, and nothing of what
// they did not get.
func TestARewardThatWaitsForStock(t *testing.T) {
	t.Parallel()
	h := onChannel(t, databasetest.SQLite(t))
	id := h.launch(channelled(strings.NewReplacer("stock: 100", "stock: 1", "{invite: 2}", "{invite: 1}").Replace(spring) +
		"messages: {tier_reached: \"恭喜达成「{{tier}}」:{{rewards}}!{{waiting}} 补货后发放。\"}\n"))
	for _, user := range []string{"A", "B"} {
		h.post(id, what{kind: "subscribe", user: "friend-of-" + user, code: h.join(id, user).Code})
	}
	_, said := h.take(10)
	want(t, said, "A 恭喜达成「bronze」:Coupon!", "B 恭喜达成「bronze」!Coupon 补货后发放。")
}

func TestWhatMayBeOwed(t *testing.T) {
	t.Parallel()
	h := onChannel(t, databasetest.SQLite(t))
	id := h.launch(channelled(friendly))
	web := h.launch(definition("", "campaign: c\n", "campaign: w\n"))
	good := engine.Due{Campaign: id, User: "u", Kind: notify.Chatter, Word: "hello", Source: "s"}
	for name, spoil := range map[string]func(*engine.Due){
		"no user":            func(d *engine.Due) { d.User = "" },
		"no kind":            func(d *engine.Due) { d.Kind = "spam" },
		"no word":            func(d *engine.Due) { d.Word = "Hello, you" },
		"no source":          func(d *engine.Due) { d.Source = "" },
		"a long source":      func(d *engine.Due) { d.Source = strings.Repeat("s", engine.MaxSource+1) },
		"a long text":        func(d *engine.Due) { d.Facts.Text = strings.Repeat("字", notify.MaxText+1) },
		"an unknown":         func(d *engine.Due) { d.Campaign = "nowhere" },
		"a campaign on web":  func(d *engine.Due) { d.Campaign = web },
		"a control in users": func(d *engine.Due) { d.User = "a\x00b" },
	} {
		bad := good
		spoil(&bad)
		if err := h.Owe(h.ctx(), []engine.Due{good, bad}); fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.NotFound {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list := h.messages(id); len(list) != 0 {
		t.Errorf("%q were written down with what is wrong", list)
	}
	for _, s := range []engine.Settled{
		{State: notify.Merged},
		{State: notify.Taken},
		{State: notify.Sent, Way: "A Way"},
		{State: notify.Unsent, Reason: "because it rains"},
	} {
		if err := h.SettleOwed(h.ctx(), []engine.Settled{s}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

func TestOneSourceIsOneMessage(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				due := []engine.Due{
					{Campaign: id, User: fmt.Sprint("u", n%10), Kind: notify.Chatter, Word: "hello", Source: fmt.Sprint("s", n%3)},
					{Campaign: id, User: "everybody's", Kind: notify.Chatter, Word: "hello", Source: "s"},
				}
				if err := h.Owe(h.ctx(), due); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n := len(h.messages(id)); n != 31 {
			t.Errorf("%d messages for 31 sources", n)
		}
	})
}

func TestNobodyTakesWhatAnotherHas(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		const messages = 600
		var due []engine.Due
		for n := range messages {
			due = append(due, engine.Due{Campaign: id, User: fmt.Sprint("u", n), Kind: notify.Kinds[n%4], Word: "hello", Source: "s"})
		}
		if err := h.Owe(h.ctx(), due); err != nil {
			t.Fatal(err)
		}
		other := open(t, db) // another process
		other.clock.ms.Store(h.clock.ms.Load())
		var mu sync.Mutex
		taken := map[int64]int{}
		ends := []notify.State{notify.Sent, notify.Unsent}
		first := map[int64]notify.State{}
		var all sync.WaitGroup
		for n := range 6 {
			e := []*house{h, other}[n%2]
			all.Go(func() {
				for {
					owed, err := e.TakeOwed(h.ctx(), "main", 17, time.Minute)
					if err != nil {
						t.Error(err)
						return
					}
					if len(owed) == 0 {
						return
					}
					var settled []engine.Settled
					mu.Lock()
					for i, o := range owed {
						taken[o.No]++
						first[o.No] = ends[i%2]
						settled = append(settled, engine.Settled{No: o.No, Taker: o.Taker, State: ends[i%2]})
					}
					mu.Unlock()
					if err := e.SettleOwed(h.ctx(), settled); err != nil {
						t.Error(err)
					}
					for i := range settled { // what is said later changes nothing
						settled[i].State = []notify.State{notify.Unsent, notify.Sent, notify.Owed, notify.Waiting}[(n+i)%4]
					}
					if err := e.SettleOwed(h.ctx(), settled); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		if len(taken) != messages {
			t.Errorf("%d of %d were taken", len(taken), messages)
		}
		for no, n := range taken {
			if n != 1 {
				t.Errorf("message %d was taken %d times", no, n)
			}
		}
		list, err := h.Messages(h.ctx(), id, "", engine.Page{Limit: 1000}, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list.Items {
			if m.State != first[m.No] {
				t.Errorf("message %d stands at %s and was settled as %s first", m.No, m.State, first[m.No])
			}
		}
	})
}

func TestALeaseIsRenewedByWhoIsAlive(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		const lease = 15 * time.Second
		take := func(n int) []engine.Owed {
			t.Helper()
			owed, err := h.TakeOwed(h.ctx(), "main", 10, lease)
			if err != nil || len(owed) != n {
				t.Fatalf("%d are taken, want %d; %v", len(owed), n, err)
			}
			return owed
		}
		renew := func(o ...engine.Owed) []int64 {
			t.Helper()
			var numbers []int64
			for i := range o {
				numbers = append(numbers, o[i].No)
			}
			kept, err := h.RenewOwed(h.ctx(), o[0].Taker, numbers, lease)
			if err != nil {
				t.Fatal(err)
			}
			return kept
		}
		same := func(kept []int64, want ...int64) {
			t.Helper()
			if !slices.Equal(slices.Sorted(slices.Values(kept)), want) {
				t.Errorf("%v are kept, want %v", kept, want)
			}
		}
		h.owe(id, "a", notify.Reward, "one")
		h.owe(id, "b", notify.Reward, "two")
		held := take(2)
		for range 4 { // a minute's work
			h.clock.Advance(lease - time.Second)
			same(renew(held...), held[0].No, held[1].No)
			take(0)
		}
		h.settle(held[0], notify.Sent, "")
		same(renew(held...), held[1].No)
		h.clock.Advance(lease)
		others := take(1) // of one who stopped renewing
		if kept := renew(held...); len(kept) != 0 {
			t.Errorf("%v are kept that another has", kept)
		}

		// The one who lost it may say that it was sent, and nothing else.
		for _, state := range []notify.State{notify.Owed, notify.Waiting, notify.Unsent} {
			h.settle(held[1], state, "")
			take(0)
			want(t, h.messages(id), "a hello sent", "b hello taken")
		}
		h.settle(others[0], notify.Waiting, notify.NoWindow)
		want(t, h.messages(id), "a hello sent", "b hello waiting no_window")
		h.settle(held[1], notify.Sent, "")
		want(t, h.messages(id), "a hello sent", "b hello sent")
	})
}

func TestAWindowThatOpensWhileMessagesAreSettledIsNotMissed(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		const people = 40
		for round := range 10 {
			var due []engine.Due
			for n := range people {
				due = append(due, engine.Due{Campaign: id, User: fmt.Sprint("u", n), Kind: notify.Reward, Word: "hello", Source: fmt.Sprint(round)})
			}
			if err := h.Owe(h.ctx(), due); err != nil {
				t.Fatal(err)
			}
			owed, _ := h.take(people)
			var all sync.WaitGroup
			for _, o := range owed {
				all.Go(func() { h.settle(o, notify.Waiting, notify.NoWindow) })
				all.Go(func() { h.opened(o.User) })
			}
			all.Wait()
			again, _ := h.take(people)
			if len(owed) != people || len(again) != people {
				t.Fatalf("of %d messages %d were taken, and %d when the windows had opened", people, len(owed), len(again))
			}
			for _, o := range again {
				h.settle(o, notify.Sent, "")
			}
		}
	})
}

func TestOnePosterWaitsToGo(t *testing.T) {
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		id := h.launch(channelled(friendly))
		ask := func(user, source, by string) {
			t.Helper()
			due := engine.Due{Campaign: id, User: user, Kind: notify.Poster, Word: "joined", Source: source, Facts: notify.Facts{InvitedBy: by}}
			if err := h.Owe(h.ctx(), []engine.Due{due}); err != nil {
				t.Fatal(err)
			}
		}
		ask("a", "follow", "CODE")
		ask("b", "follow", "")
		for n := range 4 {
			ask("a", fmt.Sprint("word ", n), "")
		}
		ask("a", "word 0", "") // told again, it is no newer wish
		want(t, h.messages(id), "a joined merged superseded", "b joined owed", "a joined merged superseded", "a joined merged superseded",
			"a joined merged superseded", "a joined owed")
		owed, _ := h.take(10)
		if len(owed) != 2 || owed[1].User != "a" || owed[1].Facts.InvitedBy != "CODE" {
			t.Errorf("%+v", owed)
		}

		// While one is being sent another may be asked for. Where it fails the newer one goes.
		ask("a", "word 5", "")
		h.settle(owed[1], notify.Owed, notify.Unreachable)
		if again, said := h.take(10); len(again) != 1 || again[0].No == owed[1].No {
			t.Errorf("%q are taken", said)
		}
		list := h.messages(id)
		want(t, list[5:], "a joined merged superseded", "a joined taken")
	})
}

// letter is a message as the model of the outbox has it.
type letter struct {
	name         string // source
	user         string
	kind         notify.Kind
	state        notify.State
	due, expires int64
	opened       bool // a window, while it was taken
}

// letters is a model of the outbox: in the order they were written down.
type letters []*letter

func (l letters) newest(of *letter) bool {
	for _, other := range slices.Backward(l) {
		if other.user == of.user && other.kind == of.kind {
			return other == of
		}
	}
	return true
}

// ask is what a wish for a poster does to those before it.
func (l letters) ask(user string) {
	newer := false
	for _, x := range slices.Backward(l) {
		if x.user != user || x.kind != notify.Poster || x.state != notify.Owed && x.state != notify.Waiting {
			continue
		}
		if newer {
			x.state = notify.Merged
		}
		newer = true
	}
}

// take is what TakeOwed should give.
func (l letters) take(limit int, now, lease int64) (names []string) {
	for len(names) == 0 {
		var due letters
		for _, x := range l {
			if (x.state == notify.Owed || x.state == notify.Taken) && x.due <= now {
				due = append(due, x)
			}
		}
		if len(due) == 0 {
			return names
		}
		slices.SortStableFunc(due, func(a, b *letter) int {
			return cmp.Or(cmp.Compare(a.kind.Priority(), b.kind.Priority()), cmp.Compare(a.due, b.due))
		})
		for _, x := range due[:min(len(due), limit)] {
			switch {
			case x.kind.Replaces() && !l.newest(x):
				x.state = notify.Merged
			case x.expires <= now:
				x.state = notify.Unsent
			default:
				x.state, x.due, x.opened = notify.Taken, now+lease, false
				names = append(names, x.name)
			}
			if !x.kind.Replaces() {
				continue
			}
			for _, older := range l {
				if older.user == x.user && older.kind == x.kind && !l.newest(older) && (older.state == notify.Owed || older.state == notify.Waiting) {
					older.state = notify.Merged
				}
			}
		}
	}
	return names
}

func TestTheOutboxKeepsToItsModel(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := onChannel(t, db)
		round := 0
		rapid.Check(t, func(t *rapid.T) {
			round++
			id := fmt.Sprint("c", round)
			_, err := h.CreateCampaign(h.ctx(), []byte(definition("", "campaign: c\n", "campaign: "+id+"\n", "name: Test\n", "name: Test\nchannel: "+id+"\n")), "c.yaml", "t")
			if err != nil {
				t.Fatal(err)
			}
			var model letters
			taken := map[string]engine.Owed{}
			for range rapid.IntRange(5, 40).Draw(t, "steps") {
				now := h.clock.Now().UnixMilli()
				switch rapid.IntRange(0, 5).Draw(t, "step") {
				case 0, 1:
					x := &letter{
						name: fmt.Sprint("m", rapid.IntRange(0, 30).Draw(t, "source")), user: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user"),
						kind: rapid.SampledFrom(notify.Kinds).Draw(t, "kind"), state: notify.Owed, due: now,
					}
					x.name = x.user + x.name
					x.expires = now + rapid.Int64Range(1, 20).Draw(t, "worth")*60_000
					due := engine.Due{
						Campaign: id, User: x.user, Kind: x.kind, Word: "hello", Source: x.name, Facts: notify.Facts{Text: x.name},
						Expires: time.UnixMilli(x.expires),
					}
					if wait := rapid.Int64Range(0, 2).Draw(t, "not before"); wait > 0 {
						due.NotBefore = time.UnixMilli(now + wait*60_000)
						x.due = min(now+wait*60_000, x.expires)
					}
					if err := h.Owe(h.ctx(), []engine.Due{due}); err != nil {
						t.Fatal(err)
					}
					if !slices.ContainsFunc(model, func(y *letter) bool { return y.name == x.name }) {
						model = append(model, x)
					}
					if x.kind == notify.Poster {
						model.ask(x.user)
					}
				case 2:
					limit := rapid.IntRange(1, 4).Draw(t, "limit")
					owed, err := h.TakeOwed(h.ctx(), id, limit, time.Minute)
					if err != nil {
						t.Fatal(err)
					}
					var got []string
					for _, o := range owed {
						got = append(got, o.Text())
						taken[o.Text()] = o
					}
					if want := model.take(limit, now, 60_000); !slices.Equal(got, want) {
						t.Fatalf("%q are taken, want %q", got, want)
					}
				case 3:
					if len(taken) == 0 {
						continue
					}
					x := model[rapid.IntRange(0, len(model)-1).Draw(t, "which")]
					o, known := taken[x.name]
					if !known {
						continue
					}
					s := engine.Settled{No: o.No, Taker: o.Taker, State: rapid.SampledFrom([]notify.State{notify.Sent, notify.Unsent, notify.Waiting, notify.Owed}).Draw(t, "end")}
					if err := h.SettleOwed(h.ctx(), []engine.Settled{s}); err != nil {
						t.Fatal(err)
					}
					switch {
					case x.state.Final():
					case s.State.Final():
						x.state = s.State
					case x.state != notify.Taken:
					case s.State == notify.Waiting && !x.opened:
						x.state, x.due = notify.Waiting, x.expires
					default:
						x.state, x.due = notify.Owed, now
						if s.State == notify.Owed {
							x.due = min(now, x.expires)
						}
					}
				case 4:
					user := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "user")
					if err := h.WindowOpened(h.ctx(), id, user); err != nil {
						t.Fatal(err)
					}
					for _, x := range model {
						switch {
						case x.user != user:
						case x.state == notify.Waiting:
							x.state, x.due = notify.Owed, now
						case x.state == notify.Taken:
							x.opened = true
						}
					}
				case 5:
					h.clock.Advance(time.Duration(rapid.IntRange(1, 3).Draw(t, "minutes")) * time.Minute)
				}
			}
			list, err := h.Messages(h.ctx(), id, "", engine.Page{Limit: 1000}, true)
			if err != nil || len(list.Items) != len(model) {
				t.Fatalf("%d messages, want %d, %v", len(list.Items), len(model), err)
			}
			for i, m := range list.Items {
				if m.State != model[i].state || m.User != model[i].user {
					t.Errorf("message %s is %s's and stands at %s, want %s's at %s", model[i].name, m.User, m.State, model[i].user, model[i].state)
				}
			}
		})
	})
}
