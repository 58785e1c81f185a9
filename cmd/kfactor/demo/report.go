package demo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"kfactor/engine"
)

// settleTime bounds the wait for the last events to be applied.
const settleTime = 20 * time.Second

// Report is how the campaign stands when the fans are done.
type Report struct {
	Fans         int64                `json:"fans"`
	Posters      int64                `json:"posters"` // fetched and read
	Events       int64                `json:"events"`  // sent, repetitions not counted
	Participants int64                `json:"participants"`
	Credited     int                  `json:"credited"` // friends who count, by the server's word
	Funnel       engine.FunnelView    `json:"funnel"`
	Rewards      []engine.RewardView  `json:"rewards"`
	Grants       []GrantCount         `json:"grants"`
	Balances     []engine.BalanceView `json:"balances"`
	Ledger       engine.LedgerReport  `json:"ledger"`
	Problems     []string             `json:"problems"` // where the server and the count of what the fans did differ
}

// GrantCount is how many grants of a reward are in a state.
type GrantCount struct {
	Reward string `json:"reward"`
	State  string `json:"state"`
	Count  int    `json:"count"`
}

// Finish waits until everything is applied, lets the team decide what waits for it, and compares how the server
// says things stand with what the fans did.
func (p *Play) Finish(ctx context.Context) (Report, error) {
	want := p.story.expect()
	deadline := time.Now().Add(settleTime)
	for {
		r, err := p.look(ctx, want)
		if err != nil {
			return r, err
		}
		if len(r.Problems) == 0 || time.Now().After(deadline) {
			if err := p.decide(ctx); err != nil {
				return r, err
			}
			return p.look(ctx, want)
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// decide approves every grant that waits for a reviewer, and pays out the cash; mugs take until they are sent.
func (p *Play) decide(ctx context.Context) error {
	waiting, err := p.grants(ctx, "review")
	if err != nil {
		return err
	}
	for _, g := range waiting {
		verbs := []string{"approve"}
		if g.Reward == "cash" {
			verbs = append(verbs, "deliver")
		}
		for _, verb := range verbs {
			if err := p.team.Do(ctx, http.MethodPost, "/v1/grants/"+url.PathEscape(g.ID)+"/"+verb, "", nil, nil); err != nil {
				return fmt.Errorf("%s %s: %w", verb, g.ID, err)
			}
		}
	}
	return nil
}

// grants are all grants in a state, or in any.
func (p *Play) grants(ctx context.Context, state string) ([]engine.GrantView, error) {
	return all[engine.GrantView](ctx, p, "/v1/grants?campaign="+CampaignID+"&state="+state)
}

// all reads every page of a list.
func all[T any](ctx context.Context, p *Play, path string) ([]T, error) {
	var items []T
	for cursor := ""; ; {
		var page engine.List[T]
		if err := p.team.Get(ctx, path+"&limit=1000&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return nil, err
		}
		items = append(items, page.Items...)
		if cursor = page.Next; cursor == "" {
			return items, nil
		}
	}
}

// look asks the server how everything stands and compares it with the expectation.
func (p *Play) look(ctx context.Context, want expectation) (r Report, err error) {
	r = Report{Fans: p.Done.Load(), Posters: p.Pictures.Load(), Events: p.Events.Load(), Problems: []string{}}
	differs := func(format string, args ...any) { r.Problems = append(r.Problems, fmt.Sprintf(format, args...)) }

	var c engine.CampaignView
	if err := p.team.Get(ctx, campaignPath, &c); err != nil {
		return r, err
	}
	if r.Participants = c.Participants; r.Participants != want.participants {
		differs("%d participants instead of %d", r.Participants, want.participants)
	}
	if err := p.lookAtFans(ctx, want, &r, differs); err != nil {
		return r, err
	}
	if err := p.team.Get(ctx, campaignPath+"/funnel", &r.Funnel); err != nil {
		return r, err
	}
	for _, s := range r.Funnel.Stages {
		if w := want.funnel[s.Stage]; s.Events != w.Events || s.Users != w.Users {
			differs("%d %s events of %d people instead of %d of %d", s.Events, s.Stage, s.Users, w.Events, w.Users)
		}
	}
	if r.Rewards, err = all[engine.RewardView](ctx, p, campaignPath+"/rewards?"); err != nil {
		return r, err
	}
	for _, s := range r.Rewards {
		if w := want.rewards[s.Reward]; s.Granted != w.granted || s.Waitlisted != w.waitlisted {
			differs("%d %s granted and %d waiting instead of %d and %d", s.Granted, s.Reward, s.Waitlisted, w.granted, w.waitlisted)
		}
	}
	return r, p.lookAtBooks(ctx, &r, differs)
}

// lookAtFans compares every single fan's counts and tiers.
func (p *Play) lookAtFans(ctx context.Context, want expectation, r *Report, differs func(string, ...any)) error {
	for _, n := range slices.Sorted(maps.Keys(want.fans)) {
		var is engine.ParticipantView
		if err := p.team.Get(ctx, campaignPath+"/participants/"+p.joined[n].Code, &is); err != nil {
			return err
		}
		w := want.fans[n]
		r.Credited += is.Tasks["invite"].Count
		for _, task := range slices.Sorted(maps.Keys(w.tasks)) {
			if got := is.Tasks[task].Count; got != w.tasks[task] {
				differs("%s has %d of %s instead of %d", is.Code, got, task, w.tasks[task])
			}
		}
		for _, t := range is.Tiers {
			if t.Reached != w.tiers[t.Name] {
				differs("%s: %s reached is %t instead of %t", is.Code, t.Name, t.Reached, w.tiers[t.Name])
			}
		}
	}
	if r.Credited != want.credited {
		differs("%d friends credited instead of %d", r.Credited, want.credited)
	}
	return nil
}

// lookAtBooks counts the grants by state and adds up the trial balance.
func (p *Play) lookAtBooks(ctx context.Context, r *Report, differs func(string, ...any)) error {
	grants, err := p.grants(ctx, "")
	if err != nil {
		return err
	}
	for _, g := range grants {
		at := slices.IndexFunc(r.Grants, func(c GrantCount) bool { return c.Reward == g.Reward && c.State == g.State })
		if at < 0 {
			at = len(r.Grants)
			r.Grants = append(r.Grants, GrantCount{Reward: g.Reward, State: g.State})
		}
		r.Grants[at].Count++
	}
	slices.SortFunc(r.Grants, func(a, b GrantCount) int {
		return cmp.Or(cmp.Compare(a.Reward, b.Reward), cmp.Compare(a.State, b.State))
	})
	if r.Balances, err = all[engine.BalanceView](ctx, p, "/v1/ledger/balances?campaign="+CampaignID); err != nil {
		return err
	}
	sums := map[string]int64{}
	for _, b := range r.Balances {
		sums[b.Currency] += b.Balance
	}
	for _, currency := range slices.Sorted(maps.Keys(sums)) {
		if sums[currency] != 0 {
			differs("the trial balance in %s is %d instead of zero", currency, sums[currency])
		}
	}
	if err := p.team.Get(ctx, "/v1/ledger/verify?campaign="+CampaignID, &r.Ledger); err != nil {
		return err
	}
	for _, problem := range r.Ledger.Problems {
		differs("ledger: %s", problem)
	}
	return nil
}
