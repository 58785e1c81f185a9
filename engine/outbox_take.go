package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/crash"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/notify"
	"kfactor/reward"
)

// Owed is a message that is to be sent now, with all that goes into it.
type Owed struct {
	No         int64
	Taker      string // who has it for as long as the lease lasts: SettleOwed and RenewOwed ask for it
	Channel    string
	Campaign   string
	Definition *campaign.Definition // in force; nobody may change it
	Person     int64
	User       string
	Nickname   string // "" where nobody told it
	Code       string // "" before they joined
	Invitee    string // nickname of the friend it is about; "" where there is none, or nobody told it
	Coupon     string // coupon code of the grant it is about; "" for none
	Kind       notify.Kind
	Word       string
	Facts      notify.Facts
	Attempts   int    // this one included
	Language   string // that its channel speaks, for who sends it to say; "" is Chinese
	CreatedAt  time.Time
	ExpiresAt  time.Time
}

// Text is what a message says; "" where the campaign has nothing to say for its word.
func (o *Owed) Text() string {
	template := cmp.Or(o.Facts.Text, o.Definition.Messages[o.Word], notify.DefaultText(o.Language, o.Word))
	return notify.Fill(template, o.Values())
}

// Values are what a message's text may be filled with.
func (o *Owed) Values() map[string]string {
	v := map[string]string{
		"nickname": o.Nickname, "code": o.Code, "tier": o.Facts.Tier, "campaign": o.Definition.Name, "coupon": o.Coupon,
	}
	if o.Facts.Invitee != 0 {
		v["invitee"] = cmp.Or(o.Invitee, map[string]string{notify.English: "A friend"}[o.Language], "好友")
	}
	if t := o.Definition.Task(o.Facts.Task); t != nil {
		v["task"] = cmp.Or(t.Title, t.Name)
		v["count"] = strconv.Itoa(o.Facts.Count)
	}
	if o.Facts.Remaining > 0 {
		v["remaining"] = strconv.Itoa(o.Facts.Remaining)
	}
	v["rewards"], v["reviewing"], v["waiting"] = o.titles(o.Facts.Rewards), o.titles(o.Facts.Reviewing), o.titles(o.Facts.Waiting)
	return v
}

// titles are what people call rewards.
func (o *Owed) titles(rewards []string) string {
	var list []string
	for _, name := range rewards {
		if r := o.Definition.Reward(name); r != nil {
			name = cmp.Or(r.Title, r.Name)
		}
		list = append(list, name)
	}
	return strings.Join(list, cmp.Or(map[string]string{notify.English: ", "}[o.Language], "、"))
}

const (
	maxTaken  = 1000 // messages taken at once
	takeTries = 50   // rounds in which nothing was left to take
)

// TakeOwed takes messages of a channel that are due, the most urgent first and those of one urgency in the order they
// fell due, for as long as the lease lasts: until then nobody else is given them. Whoever takes longer renews it, so that
// a lease can be short and what a process had that died is soon another's. What is not worth sending any more, and what
// a newer message replaces, is settled instead. None means that nothing is due now.
func (e *Engine) TakeOwed(ctx context.Context, channel string, limit int, lease time.Duration) ([]Owed, error) {
	limit = min(max(limit, 1), maxTaken)
	for range takeTries {
		due, err := e.dueMessages(ctx, channel, limit)
		if err != nil || len(due) == 0 {
			return nil, err
		}
		s, err := e.sort(ctx, due)
		if err != nil {
			return nil, err
		}
		taken, err := e.take(ctx, s, lease)
		if err != nil {
			return nil, err
		}
		if len(taken) > 0 {
			crash.Point("outbox.taken")
			return e.furnish(ctx, taken)
		}
	}
	return nil, nil
}

// dueMessages are the first messages of a channel that are due, those among them whose taker did not settle them in time.
func (e *Engine) dueMessages(ctx context.Context, channel string, limit int) ([]messageRow, error) {
	db, now := e.DB.WithContext(ctx), e.now()
	var due []messageRow
	for _, state := range []notify.State{notify.Taken, notify.Owed} {
		left := limit
		for _, kind := range notify.Kinds { // one query each, which its index answers without sorting
			var rows []messageRow
			err := db.Where("channel = ? AND state = ? AND priority = ? AND due_at <= ?", channel, state, kind.Priority(), now).
				Order("due_at, no").Limit(left).Find(&rows).Error
			if err != nil {
				return nil, err
			}
			due = append(due, rows...)
			if left -= len(rows); left == 0 {
				break
			}
		}
	}
	slices.SortStableFunc(due, func(a, b messageRow) int {
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.DueAt, b.DueAt), cmp.Compare(a.No, b.No))
	})
	return due[:min(len(due), limit)], nil
}

// sorted is due messages by what is to become of them.
type sorted struct {
	now                      int64
	send                     []messageRow
	merged, blocked, expired []int64
}

// sort finds out what is to become of due messages: of what a newer one replaces only the newest is told.
func (e *Engine) sort(ctx context.Context, due []messageRow) (sorted, error) {
	s := sorted{now: e.now()}
	replaced := map[notify.Kind][]int64{} // people, by kinds of which only the newest is sent
	people := map[int64][]int64{}         // by campaign
	for _, m := range due {
		people[m.Campaign] = append(people[m.Campaign], m.Person)
		if m.Kind.Replaces() {
			replaced[m.Kind] = append(replaced[m.Kind], m.Person)
		}
	}
	newest := map[notify.Kind]map[int64]int64{}
	for kind, part := range replaced {
		var older []int64
		var err error
		if newest[kind], older, err = e.newestOf(ctx, kind, part); err != nil {
			return s, err
		}
		s.merged = append(s.merged, older...)
	}
	blocked := map[int64]bool{}
	for no, part := range people {
		rows, err := e.peopleAmong(ctx, no, part)
		if err != nil {
			return s, err
		}
		for _, p := range rows {
			blocked[p.Person] = p.Facts.Blocked
		}
	}
	for _, m := range due {
		switch {
		case m.Kind.Replaces() && m.No < newest[m.Kind][m.Person]:
			s.merged = append(s.merged, m.No)
		case blocked[m.Person]:
			s.blocked = append(s.blocked, m.No)
		case m.ExpiresAt <= s.now:
			s.expired = append(s.expired, m.No)
		default:
			s.send = append(s.send, m)
		}
	}
	return s, nil
}

// newestOf is the number of everybody's newest message of a kind, and those before it that are still to be sent.
func (e *Engine) newestOf(ctx context.Context, kind notify.Kind, people []int64) (newest map[int64]int64, older []int64, err error) {
	newest = map[int64]int64{}
	slices.Sort(people)
	people = slices.Compact(people)
	var last []struct{ Person, No int64 }
	err = e.DB.WithContext(ctx).Model(&messageRow{}).Select("person, MAX(no) AS no").
		Where("person IN ? AND kind = ?", people, kind).Group("person").Find(&last).Error
	if err != nil {
		return nil, nil, err
	}
	for _, l := range last {
		newest[l.Person] = l.No
	}
	var open []messageRow
	err = e.DB.WithContext(ctx).Select("no", "person").
		Where("person IN ? AND kind = ? AND state IN ?", people, kind, []notify.State{notify.Owed, notify.Waiting}).Find(&open).Error
	for _, m := range open {
		if m.No < newest[m.Person] {
			older = append(older, m.No)
		}
	}
	return newest, older, err
}

// peopleAmong are those of a campaign's people whom its rules have met.
func (e *Engine) peopleAmong(ctx context.Context, no int64, numbers []int64) ([]campaign.Person, error) {
	var all []campaign.Person
	for part := range slices.Chunk(numbers, inChunk) {
		var rows []campaign.Person
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND person IN ?", no, part).Find(&rows).Error; err != nil {
			return nil, err
		}
		all = append(all, rows...)
	}
	return all, nil
}

// take settles what is not to be sent and takes the rest; it gives what nobody else was faster with.
func (e *Engine) take(ctx context.Context, s sorted, lease time.Duration) ([]messageRow, error) {
	taker := rand.Text()
	numbers := make([]int64, 0, len(s.send))
	for _, m := range s.send {
		numbers = append(numbers, m.No)
	}
	slices.Sort(numbers) // rows are locked in one order everywhere
	var mine []int64
	settled := map[notify.State]int64{}
	err := database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		mine = nil
		clear(settled)
		for _, end := range []struct {
			numbers []int64
			state   notify.State
			reason  string
		}{
			{s.merged, notify.Merged, notify.Superseded},
			{s.blocked, notify.Unsent, notify.BlockedHere},
			{s.expired, notify.Unsent, notify.Expired},
		} {
			n, err := endMessages(tx, end.numbers, end.state, end.reason, s.now)
			if err != nil {
				return err
			}
			settled[end.state] += n
		}
		if len(numbers) == 0 {
			return nil
		}
		took := tx.Exec("UPDATE messages SET state = ?, taken_by = ?, attempts = attempts + 1, reason = '', due_at = ?, updated_at = ?"+
			" WHERE no IN ? AND (state = ? OR state = ? AND due_at <= ?)",
			notify.Taken, taker, s.now+leaseMillis(lease), s.now, numbers, notify.Owed, notify.Taken, s.now)
		if took.Error != nil {
			return took.Error
		}
		return tx.Model(&messageRow{}).Where("no IN ? AND taken_by = ?", numbers, taker).Pluck("no", &mine).Error
	})
	if err != nil {
		return nil, err
	}
	for state, n := range settled {
		e.Metrics.Messages(string(state), int(n))
	}
	taken := slices.DeleteFunc(s.send, func(m messageRow) bool { return !slices.Contains(mine, m.No) })
	for i := range taken {
		taken[i].TakenBy = taker
	}
	return taken, nil
}

// RenewOwed has a taker keep messages for another lease, and gives those that are still theirs: they have not been
// settled, and nobody else took them when a lease had ended.
func (e *Engine) RenewOwed(ctx context.Context, taker string, numbers []int64, lease time.Duration) (kept []int64, err error) {
	if len(numbers) == 0 {
		return nil, nil
	}
	numbers = slices.Sorted(slices.Values(numbers))
	now := e.now()
	err = database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		kept = nil
		held := tx.Model(&messageRow{}).Where("no IN ? AND state = ? AND taken_by = ?", numbers, notify.Taken, taker)
		if err := held.Session(&gorm.Session{}).Update("due_at", now+leaseMillis(lease)).Error; err != nil {
			return err
		}
		return held.Session(&gorm.Session{}).Pluck("no", &kept).Error
	})
	return kept, err
}

// leaseMillis is a lease as it is stored: a second at least.
func leaseMillis(lease time.Duration) int64 { return max(lease, time.Second).Milliseconds() }

// endMessages gives messages that nobody is sending their final state. One that failed before keeps saying why.
func endMessages(tx *gorm.DB, numbers []int64, state notify.State, reason string, now int64) (int64, error) {
	if len(numbers) == 0 {
		return 0, nil
	}
	slices.Sort(numbers)
	why := "?"
	if reason == notify.Expired {
		why = "CASE WHEN reason IN ('', '" + notify.WindowOpened + "') THEN ? ELSE reason END"
	}
	done := tx.Exec("UPDATE messages SET state = ?, reason = "+why+", updated_at = ? WHERE no IN ? AND (state IN ? OR state = ? AND due_at <= ?)",
		state, reason, now, slices.Compact(numbers), []notify.State{notify.Owed, notify.Waiting}, notify.Taken, now)
	return done.RowsAffected, done.Error
}

// furnish brings what goes into messages.
func (e *Engine) furnish(ctx context.Context, rows []messageRow) ([]Owed, error) {
	owed := make([]Owed, 0, len(rows))
	var named []int64
	people := map[int64][]int64{} // by campaign
	grants := map[int64][]int64{}
	for _, m := range rows {
		o := Owed{
			No: m.No, Taker: m.TakenBy, Channel: m.Channel, Person: m.Person, Kind: m.Kind, Word: m.Word, Attempts: m.Attempts + 1,
			CreatedAt: moment(m.CreatedAt), ExpiresAt: moment(m.ExpiresAt),
		}
		if err := json.Unmarshal([]byte(m.Facts), &o.Facts); err != nil {
			return nil, err
		}
		named = append(named, m.Person, o.Facts.Invitee)
		people[m.Campaign] = append(people[m.Campaign], m.Person)
		if o.Facts.Grant != 0 {
			grants[m.Campaign] = append(grants[m.Campaign], o.Facts.Grant)
		}
		owed = append(owed, o)
	}
	slices.Sort(named)
	looks, err := e.looks(ctx, slices.Compact(named))
	if err != nil {
		return nil, err
	}
	campaigns := map[int64]known{}
	codes := map[int64]string{}
	for no, part := range people {
		row, err := e.campaignByNo(ctx, no)
		if err != nil {
			return nil, err
		}
		if campaigns[no], err = e.remember(ctx, row); err != nil {
			return nil, err
		}
		e.senders.note(campaigns[no].definition.Channel, no)
		joined, err := e.peopleAmong(ctx, no, part)
		if err != nil {
			return nil, err
		}
		for _, p := range joined {
			codes[p.Person] = p.Code
		}
	}
	coupons, err := e.couponsOf(ctx, grants)
	if err != nil {
		return nil, err
	}
	for i := range owed {
		o, c := &owed[i], campaigns[rows[i].Campaign]
		o.Campaign, o.Definition, o.Code = c.id, c.definition, codes[o.Person]
		o.User, o.Nickname, o.Invitee = looks[o.Person].user, looks[o.Person].nickname, looks[o.Facts.Invitee].nickname
		o.Coupon = coupons[grantNo{c.no, o.Facts.Grant}]
	}
	return owed, nil
}

// grantNo is a grant's number in a campaign.
type grantNo struct{ campaign, no int64 }

// couponsOf are the coupon codes of grants.
func (e *Engine) couponsOf(ctx context.Context, grants map[int64][]int64) (map[grantNo]string, error) {
	codes := map[grantNo]string{}
	for no, part := range grants {
		var rows []reward.Grant
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND no IN ?", no, part).Find(&rows).Error; err != nil {
			return nil, err
		}
		coupons, err := e.coupons(ctx, rows)
		if err != nil {
			return nil, err
		}
		for _, g := range rows {
			codes[grantNo{no, g.No}] = coupons[couponKey{g.Campaign, g.Reward, g.Coupon}]
		}
	}
	return codes, nil
}

// Settled is what became of a message that was taken.
type Settled struct {
	No     int64
	Taker  string       // as TakeOwed gave it
	State  notify.State // Sent, Waiting, Unsent or Owed
	Way    string       // how it was sent, at most 16 letters
	Reason string       // why it was not: one of notify's, or a short word of the channel's
	DueAt  time.Time    // of Owed: when it is tried again; zero for at once
}

var settledWord = messageWord

// SettleOwed says what became of messages that were taken. What is sent or will not be sent stays so, whatever is said
// later; what waits is due when WindowOpened says so, and what was to wait while a window opened is due at once. Who let
// the lease end and lost a message to another may only say that it was sent: all else is for the other to say.
func (e *Engine) SettleOwed(ctx context.Context, settled []Settled) error {
	groups := map[Settled][]int64{} // by all but the number
	now := e.now()
	for _, s := range settled {
		switch {
		case !slices.Contains([]notify.State{notify.Sent, notify.Waiting, notify.Unsent, notify.Owed}, s.State):
			return fault.New(fault.Invalid, "a message cannot be settled as %q", cutID(string(s.State)))
		case s.Way != "" && !settledWord.MatchString(s.Way) || len(s.Way) > 16:
			return fault.New(fault.Invalid, "the way %q is no short lower-case word", cutID(s.Way))
		case s.Reason != "" && !settledWord.MatchString(s.Reason):
			return fault.New(fault.Invalid, "the reason %q is no short lower-case word", cutID(s.Reason))
		}
		no := s.No
		s.No = 0
		if s.State != notify.Owed {
			s.DueAt = time.Time{}
		} else {
			s.DueAt = time.UnixMilli(max(s.DueAt.UnixMilli(), now))
		}
		groups[s] = append(groups[s], no)
	}
	crash.Point("outbox.before-settle")
	ended := map[notify.State]int64{}
	err := database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		clear(ended)
		for s, numbers := range groups {
			slices.Sort(numbers)
			n, err := s.settle(tx, numbers, now)
			if err != nil {
				return err
			}
			ended[s.State] += n
		}
		return nil
	})
	if err != nil {
		return err
	}
	for state, n := range ended {
		if state != notify.Owed {
			e.Metrics.Messages(string(state), int(n))
		}
	}
	return nil
}

func (s *Settled) settle(tx *gorm.DB, numbers []int64, now int64) (int64, error) {
	var done *gorm.DB
	switch s.State {
	case notify.Owed:
		due := s.DueAt.UnixMilli()
		done = tx.Exec("UPDATE messages SET state = ?, way = ?, reason = ?, due_at = CASE WHEN expires_at < ? THEN expires_at ELSE ? END, updated_at = ?"+
			" WHERE no IN ? AND state = ? AND taken_by = ?", s.State, s.Way, s.Reason, due, due, now, numbers, notify.Taken, s.Taker)
	case notify.Waiting:
		// The reason goes last: MySQL reads columns as the assignments before have left them.
		done = tx.Exec("UPDATE messages SET state = CASE WHEN reason = @opened THEN @owed ELSE @waiting END,"+
			" due_at = CASE WHEN reason = @opened THEN @now ELSE expires_at END, way = @way, updated_at = @now, reason = @reason"+
			" WHERE no IN @numbers AND state = @taken AND taken_by = @taker", map[string]any{
			"opened": notify.WindowOpened, "owed": notify.Owed, "waiting": notify.Waiting, "taken": notify.Taken,
			"now": now, "way": s.Way, "reason": s.Reason, "numbers": numbers, "taker": s.Taker,
		})
	default:
		done = tx.Exec("UPDATE messages SET state = ?, way = ?, reason = ?, due_at = ?, updated_at = ?"+
			" WHERE no IN ? AND state IN ? AND (taken_by = ? OR ? = ?)",
			s.State, s.Way, s.Reason, now, now, numbers, []notify.State{notify.Owed, notify.Taken, notify.Waiting}, s.Taker, s.State, notify.Sent)
	}
	return done.RowsAffected, done.Error
}
