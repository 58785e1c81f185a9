package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/internal/fault"
	"kfactor/reward"
)

// Grants lists grants in the order they were made, campaign by campaign.
func (e *Engine) Grants(ctx context.Context, q GrantQuery, page Page) (List[GrantView], error) {
	list := List[GrantView]{Items: []GrantView{}}
	after, err := page.after()
	if err != nil {
		return list, err
	}
	if q.State != "" && !slices.Contains(reward.States, reward.State(q.State)) {
		return list, fault.New(fault.Invalid, "state=%s is no state of a grant; write one of %s", cutID(q.State), joinStates())
	}
	db := e.DB.WithContext(ctx).Model(&reward.Grant{})
	if after != "" {
		no, grant, ok := strings.Cut(after, ".")
		c, err1 := strconv.ParseInt(no, 10, 64)
		g, err2 := strconv.ParseInt(grant, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return list, badCursor()
		}
		db = db.Where("(campaign > ? OR (campaign = ? AND no > ?))", c, c, g)
	}
	if q.Campaign != "" {
		c, err := e.campaign(ctx, q.Campaign)
		if err != nil {
			return list, err
		}
		db = db.Where("campaign = ?", c.no)
	}
	if q.State != "" {
		db = db.Where("state = ?", q.State)
	}
	if q.User != "" {
		people, err := e.everyCampaignsUser(ctx, q)
		if err != nil {
			return list, err
		}
		// With their campaigns, by which grants are found.
		db = db.Where("(campaign, person) IN (SELECT campaign, no FROM identities WHERE no IN ?)", people)
	}
	var rows []reward.Grant
	if err := db.Order("campaign, no").Limit(page.limit() + 1).Find(&rows).Error; err != nil {
		return list, err
	}
	rows, list.Next = cutPage(rows, page, func(g reward.Grant) string { return fmt.Sprintf("%d.%d", g.Campaign, g.No) })
	list.Items, err = e.grantViews(ctx, rows)
	return list, err
}

func joinStates() string {
	words := make([]string, 0, len(reward.States))
	for _, s := range reward.States {
		words = append(words, string(s))
	}
	return strings.Join(words, ", ")
}

// everyCampaignsUser gives the numbers of a user in the campaign asked for, or in all.
func (e *Engine) everyCampaignsUser(ctx context.Context, q GrantQuery) ([]int64, error) {
	var campaigns []int64
	db := e.DB.WithContext(ctx).Model(&campaignRow{})
	if q.Campaign != "" {
		db = db.Where("id = ?", q.Campaign)
	}
	if err := db.Pluck("no", &campaigns).Error; err != nil {
		return nil, err
	}
	people := []int64{0} // never empty: an empty IN list is no SQL
	for _, no := range campaigns {
		person, err := e.findUser(ctx, no, q.User)
		if fault.KindOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		people = append(people, person)
	}
	return people, nil
}

// grantViews shows grants with the users and codes they belong to.
func (e *Engine) grantViews(ctx context.Context, rows []reward.Grant) ([]GrantView, error) {
	var people, campaigns []int64
	for _, g := range rows {
		people, campaigns = append(people, g.Person), append(campaigns, g.Campaign)
	}
	slices.Sort(people)
	slices.Sort(campaigns)
	people, campaigns = slices.Compact(people), slices.Compact(campaigns)
	known, err := e.looks(ctx, people)
	if err != nil {
		return nil, err
	}
	ids := map[int64]string{}
	codes := map[int64]string{}
	if len(rows) > 0 {
		var found []campaignRow
		if err := e.DB.WithContext(ctx).Select("no", "id").Where("no IN ?", campaigns).Find(&found).Error; err != nil {
			return nil, err
		}
		for _, c := range found {
			ids[c.No] = c.ID
		}
		var owners []campaign.Person
		if err := e.DB.WithContext(ctx).Select("person", "code").Where("campaign IN ? AND person IN ?", campaigns, people).Find(&owners).Error; err != nil {
			return nil, err
		}
		for _, p := range owners {
			codes[p.Person] = p.Code
		}
	}
	coupons, err := e.coupons(ctx, rows)
	if err != nil {
		return nil, err
	}
	views := make([]GrantView, 0, len(rows))
	for _, g := range rows {
		views = append(views, GrantView{
			ID: fmt.Sprintf("%s.%d", ids[g.Campaign], g.No), Campaign: ids[g.Campaign], User: known[g.Person].user, Code: codes[g.Person],
			Tier: g.Tier, Reward: g.Reward, State: string(g.State), Reason: g.Reason,
			Coupon:    coupons[couponKey{g.Campaign, g.Reward, g.Coupon}],
			CreatedAt: moment(g.CreatedAt), UpdatedAt: moment(g.UpdatedAt),
		})
	}
	return views, nil
}

type couponKey struct {
	campaign int64
	reward   string
	no       int64
}

// coupons opens the coupon codes that were handed out with grants.
func (e *Engine) coupons(ctx context.Context, grants []reward.Grant) (map[couponKey]string, error) {
	numbers := map[couponKey][]int64{} // by reward
	for _, g := range grants {
		if g.Coupon != 0 && g.State == reward.Delivered {
			of := couponKey{campaign: g.Campaign, reward: g.Reward}
			numbers[of] = append(numbers[of], g.Coupon)
		}
	}
	opened := map[couponKey]string{}
	for of, list := range numbers {
		var rows []couponRow
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND reward = ? AND no IN ?", of.campaign, of.reward, list).Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			text, err := e.sealer.Open(r.CodeEnc)
			if err != nil {
				return nil, err
			}
			opened[couponKey{r.Campaign, r.Reward, r.No}] = text
		}
	}
	return opened, nil
}

// decisions are the verbs about a grant and the events they become.
var decisions = map[reward.Verb]string{
	reward.Approve: event.GrantApproved, reward.Refuse: event.GrantRejected,
	reward.Deliver: event.GrantDelivered, reward.Revoke: event.GrantRevoked,
}

// Decide approves, rejects, delivers or revokes a grant.
func (e *Engine) Decide(ctx context.Context, grantID, verb, reason, by string) (GrantView, error) {
	eventType, ok := decisions[reward.Verb(verb)]
	if !ok {
		return GrantView{}, fault.New(fault.Invalid, "%q is nothing that can be decided about a grant", cutID(verb))
	}
	if reason != "" && !plainText(reason, 200) {
		return GrantView{}, fault.Fields("nothing was decided", fault.Field{Field: "reason", Message: "write at most 200 characters on one line"})
	}
	c, number, err := e.grantNumber(ctx, grantID)
	if err != nil {
		return GrantView{}, err
	}
	grant := func() (g reward.Grant, err error) {
		err = e.DB.WithContext(ctx).Where("campaign = ? AND no = ?", c.no, number).Take(&g).Error
		if errors.Is(err, gorm.ErrRecordNotFound) {
			err = noGrant(grantID)
		}
		return g, err
	}
	g, err := grant()
	if err != nil {
		return GrantView{}, err
	}
	if _, err := g.State.Next(reward.Verb(verb)); err != nil {
		return GrantView{}, err
	}
	d, err := orderDraft(c.no, eventType, step.Order{By: by, Reason: reason, Grant: number}, e.now())
	if err != nil {
		return GrantView{}, err
	}
	d.Person = g.Person // so that it is found among what happened to them
	if _, err := e.carryOut(ctx, d); err != nil {
		return GrantView{}, err
	}
	if g, err = grant(); err != nil {
		return GrantView{}, err
	}
	views, err := e.grantViews(ctx, []reward.Grant{g})
	if err != nil {
		return GrantView{}, err
	}
	return views[0], nil
}

// grantNumber reads a grant's id, CAMPAIGN.NUMBER. Whether there is such a grant is still to be seen.
func (e *Engine) grantNumber(ctx context.Context, grantID string) (known, int64, error) {
	dot := strings.LastIndexByte(grantID, '.')
	if dot < 0 {
		return known{}, 0, noGrant(grantID)
	}
	number, err := strconv.ParseInt(grantID[dot+1:], 10, 64)
	if err != nil || number < 1 || strconv.FormatInt(number, 10) != grantID[dot+1:] {
		return known{}, 0, noGrant(grantID)
	}
	c, err := e.campaign(ctx, grantID[:dot])
	if fault.KindOf(err) == fault.NotFound {
		err = noGrant(grantID)
	}
	return c, number, err
}

func noGrant(grantID string) error {
	return fault.New(fault.NotFound, "there is no grant %q", cutID(grantID))
}
