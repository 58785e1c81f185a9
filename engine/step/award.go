package step

import (
	"kfactor/campaign"
	"kfactor/event"
	"kfactor/notify"
	"kfactor/reward"
	"kfactor/reward/ledger"
)

// tiers gives a participant every tier whose targets they meet and had not reached.
func (w *World) tiers(p *campaign.Person, e *event.Event, detail *event.Detail) error {
	if !p.Joined() || p.Facts.Blocked {
		return nil
	}
	for _, t := range w.Definition.Tiers {
		if !p.Meets(t) || !p.Reach(t.Name) {
			continue
		}
		w.touch(p)
		detail.Tiers = append(detail.Tiers, t.Name)
		before := len(detail.Grants)
		for _, name := range t.Rewards {
			if err := w.award(p, t.Name, name, e, detail); err != nil {
				return err
			}
		}
		w.oweRewards(p, notify.TierReached, t.Name, detail.Grants[before:], e)
	}
	return nil
}

// welcome gives an invitee the welcome rewards, once.
func (w *World) welcome(p *campaign.Person, e *event.Event, detail *event.Detail) error {
	if p.Facts.Welcomed || p.Facts.Blocked || len(w.Definition.Welcome.Rewards) == 0 {
		return nil
	}
	p.Facts.Welcomed = true
	w.touch(p)
	before := len(detail.Grants)
	for _, name := range w.Definition.Welcome.Rewards {
		if err := w.award(p, reward.WelcomeTier, name, e, detail); err != nil {
			return err
		}
	}
	w.oweRewards(p, notify.Welcome, "", detail.Grants[before:], e)
	return nil
}

// award makes a grant and settles it as far as stock and budget allow.
func (w *World) award(p *campaign.Person, tier, name string, e *event.Event, detail *event.Detail) error {
	w.Campaign.Grants++
	g := &reward.Grant{
		Campaign: w.Number, No: w.Campaign.Grants, Person: p.Person, Tier: tier, Reward: name,
		CreatedAt: e.ReceivedAt, UpdatedAt: e.ReceivedAt,
	}
	detail.Grants = append(detail.Grants, g.No)
	s := w.shelf(name)
	defer w.touchGrant(g)
	defer w.touchShelf(s)

	short := w.short(s, w.Definition.Reward(name))
	if s.Waitlisted > 0 && short == "" {
		short = "stock" // others wait in front, to be served next
	}
	switch {
	case short == "":
		return w.reserve(g, s, e)
	case short == "budget" && w.Definition.Budget.OnExhausted == campaign.Reject:
		g.State, g.Reason = reward.Rejected, short
	default:
		g.State, g.Reason = reward.Waitlisted, short
		s.Waitlisted++
	}
	return nil
}

// short names what is lacking for one more of a reward: "stock", "budget" or nothing.
func (w *World) short(s *reward.Shelf, r *campaign.Reward) string {
	switch {
	case s.Left() <= 0:
		return "stock"
	case w.Definition.Budget != nil && w.Campaign.Book.Balance(ledger.Available, w.Definition.Currency()) < r.UnitCost:
		return "budget"
	}
	return ""
}

// reserve takes stock and budget for a grant and sends it on: to review, or on its way.
func (w *World) reserve(g *reward.Grant, s *reward.Shelf, e *event.Event) error {
	r := w.Definition.Reward(g.Reward)
	s.Granted++
	g.Cost, g.Points, g.Reason, g.UpdatedAt = r.UnitCost, r.Points, "", e.ReceivedAt
	var err error
	g.PromisedBy, err = w.post(ledger.Promise(w.cause(g, e), g.Cost, w.Definition.Currency(), w.Definition.Budget != nil))
	if err != nil {
		return err
	}
	if r.Review {
		g.State = reward.Review
		return nil
	}
	g.State = reward.Granted
	return w.handOver(g, s, e)
}

// handOver delivers what needs nobody's hand: points at once, a coupon when there is a code for it.
func (w *World) handOver(g *reward.Grant, s *reward.Shelf, e *event.Event) error {
	switch w.Definition.Reward(g.Reward).Kind {
	case campaign.Points:
		return w.deliver(g, s, e)
	case campaign.Coupon:
		if s.CouponsUsed < s.Coupons && !w.Campaign.CatchUp { // whoever waits in front is served first
			s.CouponsUsed++
			g.Coupon = s.CouponsUsed
			return w.deliver(g, s, e)
		}
		g.Reason = "no_coupon_code"
	}
	return nil
}

func (w *World) deliver(g *reward.Grant, s *reward.Shelf, e *event.Event) error {
	g.State, g.UpdatedAt, g.Reason = reward.Delivered, e.ReceivedAt, ""
	s.Delivered++
	var err error
	g.DeliveredBy, err = w.post(ledger.Deliver(w.cause(g, e), g.Cost, w.Definition.Currency(), g.Points))
	return err
}

// release takes back what a grant held: the books are corrected by reversals, the stock returns.
func (w *World) release(g *reward.Grant, s *reward.Shelf, e *event.Event, reason string) error {
	switch {
	case g.State == reward.Waitlisted:
		s.Waitlisted--
		return nil
	case !g.State.Reserves():
		return nil
	}
	cause := w.cause(g, e)
	cause.Memo = reason
	if g.DeliveredBy != 0 {
		postings := ledger.Deliver(cause, g.Cost, w.Definition.Currency(), g.Points).Postings
		if _, err := w.post(ledger.Reverse(cause, g.DeliveredBy, postings)); err != nil {
			return err
		}
	}
	if g.PromisedBy != 0 {
		postings := ledger.Promise(cause, g.Cost, w.Definition.Currency(), w.Definition.Budget != nil).Postings
		if _, err := w.post(ledger.Reverse(cause, g.PromisedBy, postings)); err != nil {
			return err
		}
	}
	if g.State == reward.Delivered {
		s.Delivered--
	}
	s.Granted--
	return nil
}

// serve gives waiting grants what there is again: stock and budget in the order of arrival, coupon codes likewise.
func (w *World) serve(e *event.Event, detail *event.Detail) error {
	w.Campaign.CatchUp = false
	stuck := map[string]bool{}
	for _, no := range w.Queues.NoCoupon {
		g := w.Grants[no]
		s := w.shelf(g.Reward)
		if g.State != reward.Granted || s.CouponsUsed >= s.Coupons {
			continue
		}
		if err := w.handOver(g, s, e); err != nil {
			return err
		}
		w.touchGrant(g)
		w.touchShelf(s)
		w.oweNews(g, e)
		detail.Grants = append(detail.Grants, no)
	}
	for _, no := range w.Queues.Waitlisted {
		g := w.Grants[no]
		s := w.shelf(g.Reward)
		if g.State != reward.Waitlisted || stuck[g.Reward] {
			continue
		}
		if short := w.short(s, w.Definition.Reward(g.Reward)); short != "" {
			stuck[g.Reward] = true // those behind do not overtake
			continue
		}
		s.Waitlisted--
		if err := w.reserve(g, s, e); err != nil {
			return err
		}
		w.touchGrant(g)
		w.touchShelf(s)
		w.oweNews(g, e)
		detail.Grants = append(detail.Grants, no)
	}
	w.Campaign.CatchUp = w.servable()
	return nil
}

// servable says whether somebody still waits for what is there: the queues of one event are bounded.
func (w *World) servable() bool {
	for _, r := range w.Definition.Rewards {
		s := w.shelf(r.Name)
		if s.Waitlisted > 0 && w.short(s, &r) == "" {
			return true
		}
		if r.Kind == campaign.Coupon && s.CouponsUsed < s.Coupons && w.full(w.Queues.NoCoupon, r.Name) {
			return true
		}
	}
	return false
}

// full says whether a queue holds as many grants of a reward as it may: there may be more behind them.
func (w *World) full(queue []int64, name string) bool {
	n := 0
	for _, no := range queue {
		if w.Grants[no].Reward == name {
			n++
		}
	}
	return n == MaxQueue
}

// shelf gives the stock of a reward, new when the definition has just brought it.
func (w *World) shelf(name string) *reward.Shelf {
	s := w.Shelves[name]
	if s == nil {
		s = &reward.Shelf{Campaign: w.Number, Reward: name, Stock: w.Definition.Reward(name).Stock}
		w.touchShelf(s)
	}
	return s
}

func (w *World) cause(g *reward.Grant, e *event.Event) ledger.Cause {
	return ledger.Cause{At: e.ReceivedAt, Event: e.ID, Person: g.Person, Reward: g.Reward, Grant: g.No}
}
