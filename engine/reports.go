package engine

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/funnel"
	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/reward"
)

// Events lists a campaign's journal in order; what is pending comes last.
func (e *Engine) Events(ctx context.Context, id string, system bool, page Page, names bool) (List[EventView], error) {
	list := List[EventView]{Items: []EventView{}}
	c, err := e.campaign(ctx, id)
	if err != nil {
		return list, err
	}
	after, err := page.after()
	if err != nil {
		return list, err
	}
	var seq int64
	if after != "" {
		if seq, err = strconv.ParseInt(after, 10, 64); err != nil {
			return list, badCursor()
		}
	}
	db := e.DB.WithContext(ctx).Where("campaign = ? AND seq > ?", c.no, seq)
	if !system {
		db = db.Where("system = ?", false)
	}
	var rows []event.Event
	if err := db.Order("seq").Limit(page.limit() + 1).Find(&rows).Error; err != nil {
		return list, err
	}
	if n := page.limit(); len(rows) > n {
		rows = rows[:n]
		list.Next = base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, rows[n-1].Seq, 10))
	}
	list.Items, err = e.eventViews(ctx, rows, names)
	return list, err
}

// eventViews shows journal rows.
func (e *Engine) eventViews(ctx context.Context, rows []event.Event, names bool) ([]EventView, error) {
	var known map[int64]looks
	if names {
		people := make([]int64, 0, len(rows))
		for _, r := range rows {
			people = append(people, r.Person)
		}
		slices.Sort(people)
		var err error
		if known, err = e.looks(ctx, slices.Compact(people)); err != nil {
			return nil, err
		}
	}
	views := make([]EventView, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		v := EventView{
			ID: r.ID, Type: r.Type, User: known[r.Person].user, Code: shownCode(r.Code), Time: moment(r.Time),
			Outcome: string(r.Outcome), System: r.System,
		}
		if r.Data != nil && names && json.Valid([]byte(*r.Data)) { // one row that is no JSON must not hide the journal
			v.Data = json.RawMessage(*r.Data)
		}
		if r.Outcome != "" {
			v.Seq = &r.Seq
			v.Detail = why(r, names).en
		}
		views = append(views, v)
	}
	return views, nil
}

// shownCode is a code as participants have it, whatever case it was sent in; what is no code is shown as sent.
func shownCode(sent string) string {
	if c, ok := code.Parse(sent); ok {
		return c
	}
	return sent
}

// Funnel reports how far people got, from counters alone.
func (e *Engine) Funnel(ctx context.Context, id string, q FunnelQuery) (FunnelView, error) {
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return FunnelView{}, err
	}
	c, err := e.remember(ctx, row)
	if err != nil {
		return FunnelView{}, err
	}
	if q.By != "" && !slices.Contains(funnel.Groupings, q.By) {
		return FunnelView{}, fault.New(fault.Invalid, "by=%s is no grouping; write one of %s", cutID(q.By), strings.Join(funnel.Groupings, ", "))
	}
	view := FunnelView{Campaign: id, Groups: []FunnelGroup{}}
	db := e.DB.WithContext(ctx).Where("campaign = ? AND stage IN ?", c.no, c.definition.Funnel)
	zone := c.definition.Schedule.Location()
	// Counters are kept by day: the answer says from the beginning of which day to the end of which it counts.
	if !q.From.IsZero() {
		y, m, d := q.From.In(zone).Date()
		from := time.Date(y, m, d, 0, 0, 0, 0, zone)
		view.From = &from
		db = db.Where("day >= ?", funnel.Day(from.UnixMilli(), zone))
	}
	if !q.To.IsZero() {
		y, m, d := q.To.In(zone).Date()
		to := time.Date(y, m, d+1, 0, 0, 0, 0, zone).Add(-time.Second)
		view.To = &to
		db = db.Where("day <= ?", funnel.Day(to.UnixMilli(), zone))
	}
	// The sums are made where the counters are: as many rows come back as the answer has.
	split, group := q.By, "stage, name"
	switch q.By {
	case "":
		split, group = "day", "stage"
	case "day":
		group = "stage, day"
	}
	var counters []funnel.Counter
	err = db.Model(&funnel.Counter{}).Select(group+", SUM(events) AS events, SUM(users) AS users").
		Where("split = ?", split).Group(group).Find(&counters).Error
	if err != nil {
		return view, err
	}
	view.Stages = stages(c.definition, funnel.Sum(counters))
	if q.By != "" {
		for _, g := range funnel.GroupBy(q.By, counters) {
			view.Groups = append(view.Groups, FunnelGroup{Group: g.Name, Stages: stages(c.definition, g.Stages)})
		}
	}
	if row.State.Participants > 0 {
		view.KFactor = float64(row.State.Credited) / float64(row.State.Participants)
	}
	return view, nil
}

// stages puts counts into the campaign's order, each with its rate against the stage before.
func stages(d *campaign.Definition, counts map[string]funnel.Count) []FunnelStage {
	out := make([]FunnelStage, 0, len(d.Funnel))
	for i, name := range d.Funnel {
		s := FunnelStage{Stage: name, Events: counts[name].Events, Users: counts[name].Users}
		switch {
		case i == 0:
			s.Rate = 1
		case out[i-1].Users > 0:
			s.Rate = float64(s.Users) / float64(out[i-1].Users)
		}
		out = append(out, s)
	}
	return out
}

// Leaderboard lists the participants with the most credited friends, who was first before others with as many.
func (e *Engine) Leaderboard(ctx context.Context, id string, limit int, names bool) ([]RankView, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	var people []campaign.Person
	err = e.DB.WithContext(ctx).Select("person", "code", "score").Where("campaign = ? AND score > 0", c.no).
		Order("score DESC, scored_seq").Limit(Page{Limit: limit}.limit()).Find(&people).Error
	if err != nil {
		return nil, err
	}
	known := map[int64]looks{}
	if names {
		numbers := make([]int64, 0, len(people))
		for _, p := range people {
			numbers = append(numbers, p.Person)
		}
		if known, err = e.looks(ctx, numbers); err != nil {
			return nil, err
		}
	}
	board := make([]RankView, 0, len(people))
	for i, p := range people {
		board = append(board, RankView{Rank: i + 1, Code: p.Code, Nickname: known[p.Person].nickname, Count: p.Score})
	}
	return board, nil
}

// Rewards lists how much of each reward is left.
func (e *Engine) Rewards(ctx context.Context, id string) ([]RewardView, error) {
	row, err := e.campaignRow(ctx, id)
	if err != nil {
		return nil, err
	}
	w, err := e.loadWhole(ctx, row)
	if err != nil {
		return nil, err
	}
	views := []RewardView{}
	for _, r := range w.Definition.Rewards {
		s := w.Shelves[r.Name]
		if s == nil {
			s = &reward.Shelf{}
		}
		views = append(views, RewardView{
			Reward: r.Name, Kind: r.Kind, Stock: r.Stock, Granted: s.Granted, Remaining: r.Stock - s.Granted, Waitlisted: s.Waitlisted,
		})
	}
	return views, nil
}

// Limits on an import of coupon codes.
const (
	maxCoupons    = 100_000 // lines in one import
	maxCouponCode = 128     // characters of one code
)

// ImportCoupons reads coupon codes, one a line, and gives them to those who wait for one. Codes that are there already
// are counted and change nothing.
func (e *Engine) ImportCoupons(ctx context.Context, id, name string, codes io.Reader, by string) (CouponImport, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return CouponImport{}, err
	}
	r := c.definition.Reward(name)
	switch {
	case r == nil:
		return CouponImport{}, fault.New(fault.NotFound, "campaign %q has no reward %q", id, cutID(name))
	case r.Kind != campaign.Coupon:
		return CouponImport{}, fault.New(fault.Conflict, "the reward %q is of kind %s; only coupons have codes", name, r.Kind)
	}
	list, err := readCoupons(codes)
	if err != nil {
		return CouponImport{}, err
	}
	o := step.Order{By: by, Reward: name}
	d, err := orderDraft(c.no, event.CouponsAdded, o, e.now())
	if err != nil {
		return CouponImport{}, err
	}
	imported := 0
	d.extras = e.addCoupons(list, o, &imported)
	if _, err := e.carryOut(ctx, d); err != nil {
		return CouponImport{}, err
	}
	return CouponImport{Imported: imported, Duplicates: len(list) - imported}, nil
}

// couponHeaders are first lines that name the column.
var couponHeaders = []string{"code", "codes", "coupon", "coupon_code", "券码"}

// readCoupons reads codes one a line, as CSV of one column; a byte order mark, blank lines and a header are let go.
func readCoupons(r io.Reader) ([]string, error) {
	buffered := bufio.NewReader(r)
	if mark, _ := buffered.Peek(3); string(mark) == "\uFEFF" {
		_, _ = buffered.Discard(3)
	}
	in := csv.NewReader(buffered)
	in.FieldsPerRecord, in.TrimLeadingSpace = -1, true
	var list []string
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "the codes could not be read as CSV: %v; write one code a line", err)
		}
		n, _ := in.FieldPos(0)
		one := strings.TrimSpace(row[0])
		switch {
		case len(row) > 1:
			return nil, fault.New(fault.Invalid, "line %d has %d columns; write one code a line", n, len(row))
		case one == "" || len(list) == 0 && slices.Contains(couponHeaders, strings.ToLower(one)):
			continue
		case !plainText(one, maxCouponCode):
			return nil, fault.New(fault.Invalid, "line %d is no coupon code; write one code a line, at most %d characters, in UTF-8", n, maxCouponCode)
		case len(list) == maxCoupons:
			return nil, fault.New(fault.TooLarge, "more than %d codes; send them in several parts", maxCoupons)
		}
		list = append(list, one)
	}
	if len(list) == 0 {
		return nil, fault.New(fault.Invalid, "there is no code in this; write one code a line")
	}
	return list, nil
}
