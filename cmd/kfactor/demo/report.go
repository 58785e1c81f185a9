package demo

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"kfactor/engine"
)

// Report is how the campaign stands when the fans are done. Where the story is the same, so is the report.
type Report struct {
	Fans    int64 `json:"fans"`
	Days    int   `json:"days"`    // of the campaign, which passed meanwhile
	Posters int64 `json:"posters"` // looked at in a chat and read
	Pages   int64 `json:"pages"`   // of their own that fans opened
	Events  int64 `json:"events"`  // accepted, repetitions not counted

	Participants int64    `json:"participants"`
	Followers    int64    `json:"followers"`
	Credited     int      `json:"credited"` // friends who count, by the server's word
	Pictures     Pictures `json:"pictures"`

	Funnel      engine.FunnelView    `json:"funnel"`
	Leaderboard []Place              `json:"leaderboard"`
	Rewards     []engine.RewardView  `json:"rewards"`
	Grants      []GrantCount         `json:"grants"`
	Balances    []engine.BalanceView `json:"balances"`
	Ledger      Check                `json:"ledger"` // chain and balances computed again
	Replay      Check                `json:"replay"` // of the journal: what `kfactor verify` does
	Messages    []MessageCount       `json:"messages"`
	Calls       []CallCount          `json:"calls"`
	Problems    []string             `json:"problems"` // where the server and the count of what the fans did differ
}

// Pictures says whether friends came to be credited through pictures.
type Pictures struct {
	Credited int `json:"credited"` // friends who counted at some time, by the journal
	Read     int `json:"read"`     // of these, for the very code that they had read in a friend's poster
	Expected int `json:"expected"` // by what the fans did
}

// Place is a place on the leaderboard. Those with as many friends are in the order in which the story has them.
type Place struct {
	Rank     int    `json:"rank"`
	Fan      string `json:"fan"`
	Nickname string `json:"nickname"` // as the server knows it; "" for those who told it none
	Count    int    `json:"count"`
}

// GrantCount is how many grants of a reward are in a state.
type GrantCount struct {
	Reward string `json:"reward"`
	State  string `json:"state"`
	Count  int    `json:"count"`
}

// MessageCount is how many messages that say the same stand somewhere for a reason.
type MessageCount struct {
	Word   string `json:"word"`
	State  string `json:"state"`
	Way    string `json:"way,omitempty"`
	Reason string `json:"reason,omitempty"`
	Count  int    `json:"count"`
}

// CallCount is how often the platform was called.
type CallCount struct {
	API     string `json:"api"`
	Calls   int64  `json:"calls"`
	Refused int64  `json:"refused"`
	Limit   int64  `json:"limit"` // a day
}

// Check is what came of computing something again.
type Check struct {
	OK       bool     `json:"ok"`
	Entries  int64    `json:"entries,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

// Finish lets the team decide what waits for it, and compares how the server says things stand with what the fans did.
// replay replays the journals.
func (p *Play) Finish(ctx context.Context, replay func(context.Context) (engine.VerifyReport, error)) (Report, error) {
	if err := p.decide(ctx); err != nil {
		return Report{}, err
	}
	if err := p.rest(ctx); err != nil {
		return Report{}, err
	}
	if err := p.givenUp(ctx); err != nil {
		return Report{}, err
	}
	r, err := p.look(ctx, p.story.expect())
	if err != nil {
		return r, err
	}
	again, err := replay(ctx)
	r.Replay = Check{OK: again.OK, Problems: again.Problems}
	for _, problem := range again.Problems {
		r.differs("replay: %s", problem)
	}
	return r, err
}

func (r *Report) differs(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
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
func (p *Play) look(ctx context.Context, want expectation) (Report, error) {
	r := Report{
		Fans: int64(len(p.people)), Days: p.day, Posters: p.Pictures.Load(), Pages: p.Pages.Load(), Events: p.journal.events, Problems: []string{},
	}
	var c engine.CampaignView
	if err := p.team.Get(ctx, campaignPath, &c); err != nil {
		return r, err
	}
	if r.Participants = c.Participants; r.Participants != want.participants {
		r.differs("%d participants instead of %d", r.Participants, want.participants)
	}
	for _, look := range []func(context.Context, expectation, *Report) error{
		p.lookAtPictures, p.lookAtFans, p.lookAtBoard, p.lookAtFunnel, p.lookAtRewards, p.lookAtBooks, p.lookAtMessages, p.lookAtPlatform,
	} {
		if err := look(ctx, want, &r); err != nil {
			return r, err
		}
	}
	return r, nil
}

// lookAtPictures compares for whom friends were credited with whose poster they had read.
func (p *Play) lookAtPictures(_ context.Context, want expectation, r *Report) error {
	r.Pictures = Pictures{Credited: len(p.journal.credited), Expected: want.came}
	for user, code := range p.journal.credited {
		if code != "" && p.seen[user] == code {
			r.Pictures.Read++
		} else {
			r.differs("fan %d was credited for %q, and had read %q in a poster", p.numbers[user], code, p.seen[user])
		}
	}
	if r.Pictures.Read != r.Pictures.Expected {
		r.differs("%d friends were credited through pictures instead of %d", r.Pictures.Read, r.Pictures.Expected)
	}
	for _, f := range p.people {
		r.Followers += many(f.Following())
	}
	if r.Followers != want.followers {
		r.differs("%d follow the account instead of %d", r.Followers, want.followers)
	}
	return nil
}

// lookAtFans compares every single fan's counts and tiers.
func (p *Play) lookAtFans(ctx context.Context, want expectation, r *Report) error {
	for _, n := range slices.Sorted(maps.Keys(want.fans)) {
		code := p.journal.codes[p.people[n].OpenID]
		if code == "" {
			r.differs("fan %d has not joined", n)
			continue
		}
		var is engine.ParticipantView
		if err := p.team.Get(ctx, campaignPath+"/participants/"+code, &is); err != nil {
			return err
		}
		w := want.fans[n]
		r.Credited += is.Tasks["invite"].Count
		for _, task := range slices.Sorted(maps.Keys(w.tasks)) {
			if got := is.Tasks[task].Count; got != w.tasks[task] {
				r.differs("fan %d (%s) has %d of %s instead of %d", n, is.Code, got, task, w.tasks[task])
			}
		}
		for _, t := range is.Tiers {
			if t.Reached != w.tiers[t.Name] {
				r.differs("fan %d (%s): %s reached is %t instead of %t", n, is.Code, t.Name, t.Reached, w.tiers[t.Name])
			}
		}
	}
	if r.Credited != want.credited {
		r.differs("%d friends credited instead of %d", r.Credited, want.credited)
	}
	return nil
}

const (
	boardPlaces = 10
	boardLimit  = 1000 // asked for, so that all with as many friends as the last place are there
)

// lookAtBoard compares the leaderboard with the friends that fans have.
func (p *Play) lookAtBoard(ctx context.Context, want expectation, r *Report) error {
	owners := make(map[string]int, len(p.journal.codes))
	for user, code := range p.journal.codes {
		owners[code] = p.numbers[user]
	}
	var board engine.List[engine.RankView]
	if err := p.team.Get(ctx, fmt.Sprintf("%s/leaderboard?limit=%d", campaignPath, boardLimit), &board); err != nil {
		return err
	}
	type line struct {
		fan int
		engine.RankView
	}
	var lines []line
	most := slices.MaxFunc(append(slices.Collect(maps.Values(want.fans)), standing{}), func(a, b standing) int { return a.tasks["invite"] - b.tasks["invite"] })
	for i, place := range board.Items {
		n, known := owners[place.Code]
		if has := want.fans[n].tasks["invite"]; !known || int(place.Count) != has {
			r.differs("place %d: %s has %d friends instead of %d", place.Rank, place.Code, place.Count, has)
		}
		if i == 0 && int(place.Count) != most.tasks["invite"] {
			r.differs("the first place has %d friends instead of %d", place.Count, most.tasks["invite"])
		}
		if i > 0 && place.Count > board.Items[i-1].Count {
			r.differs("place %d has more friends than the one before it", place.Rank)
		}
		lines = append(lines, line{n, place})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.fan, b.fan)) })
	for i, l := range lines[:min(len(lines), boardPlaces)] {
		r.Leaderboard = append(r.Leaderboard, Place{Rank: i + 1, Fan: p.people[l.fan].Name, Nickname: l.Nickname, Count: int(l.Count)})
		want := "" // whoever leaves takes their name with them
		if f := p.story.fans[l.fan]; f.dresses && !f.leaves {
			want = f.name
		}
		if l.Nickname != want {
			r.differs("fan %d is called %q on the leaderboard instead of %q", l.fan, l.Nickname, want)
		}
	}
	return nil
}

func (p *Play) lookAtFunnel(ctx context.Context, want expectation, r *Report) error {
	if err := p.team.Get(ctx, campaignPath+"/funnel", &r.Funnel); err != nil {
		return err
	}
	for _, s := range r.Funnel.Stages {
		if w := want.funnel[s.Stage]; s.Events != w.Events || s.Users != w.Users {
			r.differs("%d %s events of %d people instead of %d of %d", s.Events, s.Stage, s.Users, w.Events, w.Users)
		}
	}
	return nil
}

func (p *Play) lookAtRewards(ctx context.Context, want expectation, r *Report) (err error) {
	if r.Rewards, err = all[engine.RewardView](ctx, p, campaignPath+"/rewards?"); err != nil {
		return err
	}
	for _, s := range r.Rewards {
		if w := want.rewards[s.Reward]; s.Granted != w.granted || s.Waitlisted != w.waitlisted {
			r.differs("%d %s granted and %d waiting instead of %d and %d", s.Granted, s.Reward, s.Waitlisted, w.granted, w.waitlisted)
		}
	}
	return nil
}

// lookAtBooks counts the grants by state and adds up the trial balance.
func (p *Play) lookAtBooks(ctx context.Context, _ expectation, r *Report) error {
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
			r.differs("the trial balance in %s is %d instead of zero", currency, sums[currency])
		}
	}
	var ledger engine.LedgerReport
	if err := p.team.Get(ctx, "/v1/ledger/verify?campaign="+CampaignID, &ledger); err != nil {
		return err
	}
	r.Ledger = Check{OK: ledger.OK, Entries: ledger.Entries, Problems: ledger.Problems}
	for _, problem := range ledger.Problems {
		r.differs("ledger: %s", problem)
	}
	return nil
}

// lookAtMessages counts what people were owed to hear.
func (p *Play) lookAtMessages(ctx context.Context, want expectation, r *Report) error {
	messages, err := all[engine.MessageView](ctx, p, campaignPath+"/messages?")
	if err != nil {
		return err
	}
	counts := map[MessageCount]int{}
	for _, m := range messages {
		counts[MessageCount{Word: m.Word, State: string(m.State), Way: m.Way, Reason: m.Reason}]++
	}
	for c, n := range counts {
		c.Count = n
		r.Messages = append(r.Messages, c)
	}
	slices.SortFunc(r.Messages, func(a, b MessageCount) int {
		return cmp.Or(cmp.Compare(a.Word, b.Word), cmp.Compare(a.State, b.State), cmp.Compare(a.Way, b.Way), cmp.Compare(a.Reason, b.Reason))
	})
	sums := map[string]int{}
	for _, c := range r.Messages {
		sums[c.State] += c.Count
		sums[c.Word] += c.Count
	}
	if n := sums["owed"] + sums["taken"]; n > 0 {
		r.differs("%d messages are owed and were not sent", n)
	}
	if sums["credited"]+sums["tier_reached"]+sums["joined"] == 0 && want.participants > 0 {
		r.differs("nobody was owed a word")
	}
	shown := 0 // to fans, as they see it
	for _, f := range p.people {
		for _, m := range f.Chat() {
			shown += int(many(m.Way == "custom" || m.Way == "notice"))
		}
	}
	if shown != sums["sent"] {
		r.differs("%d messages were sent, and fans see %d", sums["sent"], shown)
	}
	return nil
}

// counted are the calls that the report tells of: those that the platform counts and that follow from what the fans do.
var counted = []string{
	"/cgi-bin/qrcode/create", "/cgi-bin/media/upload", "/cgi-bin/message/custom/send", "/cgi-bin/message/subscribe/bizsend",
}

// lookAtPlatform tells how often the platform was called, and what it refused.
func (p *Play) lookAtPlatform(_ context.Context, _ expectation, r *Report) error {
	s := p.twin.Statistics()
	for _, path := range counted {
		a := s.APIs[path]
		r.Calls = append(r.Calls, CallCount{API: path, Calls: a.Calls, Refused: a.Refused, Limit: a.Limit})
		for _, code := range slices.Sorted(maps.Keys(a.Codes)) {
			r.differs("%s was refused %d times with %d", path, a.Codes[code], code)
		}
	}
	if s.Unanswered > 0 || s.Wrong > 0 {
		r.differs("%d pushes of the platform were not answered, %d not understandably", s.Unanswered, s.Wrong)
	}
	return nil
}
