package step_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"kfactor/campaign"
	"kfactor/engine/step"
)

// said is one event from outside, before its place in the order of arrival is drawn.
type said struct {
	kind   string
	person int64
	code   string
	at     time.Duration
	data   string
}

// TestAnyOrderEndsInTheSameCredit lets scans, follows, leavings, purchases and refunds come in in a drawn order, some
// of them several times under ids of their own, and holds where that ends against what their times alone say.
//
// The rules promise the same end in any order
//
//   - to an invitee who came by the codes of one inviter. Of several, whoever is credited first binds the invitee
//     (ADR 2), and which event is first is a matter of arrival;
//   - while the campaign is live, nobody involved is blocked and no limit (per_day, invites_per_inviter_per_hour) is
//     reached: what is refused then stays refused, and allowances go to whoever comes first;
//   - for times within one attribution window, of which no giving and no taking share a millisecond: at the same
//     moment, the later to arrive wins;
//   - where the invitee's purchases are of one order, of which a task that credits inviters remembers one;
//   - for new_users_only, where the invitee touched the code first, then followed, and left only after that. Who
//     followed or left before is known only once that has come in, and what was credited until then stays.
//
// Of an own task, every order is a credit for itself: the promise is to purchases and refunds that name it.
func TestAnyOrderEndsInTheSameCredit(t *testing.T) {
	t.Parallel()
	base := modelBase(t)
	rapid.Check(t, func(t *rapid.T) {
		d := copied(base)
		held := drawHold.Draw(t, "hold")
		onlyNew := drawBool.Draw(t, "new users only")
		d.Tasks = []campaign.Task{
			{Name: "follow", On: "subscribe", Credit: campaign.Inviter, RevokeOn: "unsubscribe", Hold: held, NewUsersOnly: onlyNew},
			{Name: "buy", On: "purchase", Credit: campaign.Inviter, RevokeOn: "refund", Hold: held},
			{Name: "stay", On: "subscribe", Credit: campaign.Inviter},
			{Name: "own", On: "purchase", Credit: campaign.Actor, RevokeOn: "refund", Hold: held},
		}
		m := newMatch(t, d)
		m.now += 12 * time.Hour.Milliseconds()

		var news []said
		for person := int64(inviters + 1); person <= crowd; person++ {
			news = append(news, drawVisits(t, person, onlyNew)...)
		}
		for _, s := range rapid.Permutation(news).Draw(t, "order of arrival") {
			m.outside(s.kind, s.person, s.code, monday.Add(s.at).UnixMilli(), s.data)
		}
		m.now += 2 * day.Milliseconds()
		m.settle()

		for person := int64(inviters + 1); person <= crowd; person++ {
			for _, task := range []string{"follow", "buy", "stay"} {
				got := ""
				if c := m.credits[step.CreditKey{Person: person, Task: task}]; c != nil {
					got = fmt.Sprintf("%s for %s", c.State, codeOf(c.Owner))
				}
				if want := endOf(d.Task(task), person, news); got != want {
					m.fail("the credit %s of %d is %q, by the times it is %q", task, person, got, want)
				}
			}
			if got, want := m.chronicle.number(person, "own", false), ordersOf(person, news); got != want {
				m.fail("%d orders of %d count, by the times %d", got, person, want)
			}
		}
	})
}

// drawVisits draws what an invitee does within ten hours, some of it told several times.
func drawVisits(t *rapid.T, person int64, onlyNew bool) []said {
	code := codeOf(1 + person%2)
	free := rapid.Permutation(slices.Collect(func(yield func(int) bool) {
		for i := range 40 {
			if !yield(i + 1) {
				return
			}
		}
	})).Draw(t, "times")
	var news []said
	for range rapid.IntRange(1, 6).Draw(t, "events") {
		s := said{person: person, at: time.Duration(free[0]) * 15 * time.Minute, kind: rapid.SampledFrom([]string{"scan", "subscribe", "unsubscribe", "subscribe"}).Draw(t, "type")}
		free = free[1:]
		if s.kind == "scan" || drawBool.Draw(t, "names the code") {
			s.code = code
		}
		news = append(news, s)
		if drawBool.Draw(t, "again") {
			news = append(news, s)
		}
	}
	if onlyNew {
		news = append(news, said{kind: "scan", person: person, code: code, at: time.Minute}, said{kind: "subscribe", person: person, at: 2 * time.Minute})
	}
	if drawBool.Draw(t, "buys") {
		bought, refunded := min(free[0], free[1]), max(free[0], free[1])
		order := fmt.Sprintf(`{"order": "%d"}`, person)
		news = append(news, said{kind: "purchase", person: person, at: time.Duration(bought) * 15 * time.Minute, data: order})
		for range rapid.IntRange(0, 2).Draw(t, "refunds") {
			news = append(news, said{kind: "refund", person: person, at: time.Duration(refunded) * 15 * time.Minute, data: order})
		}
	}
	return news
}

// endOf tells from the times alone where an inviter's credit ends: it is there when something that gives it comes
// after a touch, and stands unless what takes it back comes last.
func endOf(t *campaign.Task, person int64, news []said) string {
	touched, code := time.Duration(-1), ""
	for _, s := range news {
		if s.person == person && s.code != "" && (touched < 0 || s.at < touched) {
			touched, code = s.at, s.code
		}
	}
	var on, off time.Duration
	for _, s := range news {
		if s.person != person {
			continue
		}
		switch s.kind {
		case t.On:
			on = max(on, s.at)
		case t.RevokeOn:
			off = max(off, s.at)
		}
	}
	switch {
	case touched < 0 || on < touched:
		return ""
	case off > on:
		return fmt.Sprintf("%s for %s", campaign.CreditReversed, code)
	}
	return fmt.Sprintf("%s for %s", campaign.CreditStanding, code)
}

// ordersOf counts the purchases of a person that no refund took back.
func ordersOf(person int64, news []said) int {
	bought, refunded := 0, 0
	for _, s := range news {
		switch {
		case s.person == person && s.kind == "purchase":
			bought = 1
		case s.person == person && s.kind == "refund":
			refunded = 1
		}
	}
	return bought - refunded
}
