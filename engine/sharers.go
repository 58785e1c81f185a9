package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/event"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/reward"
)

// Bounds on what is looked at for a participant's own page: its cost does not grow with the campaign, nor with how many
// friends somebody has.
const (
	maxFriends     = 50    // friends shown
	maxFriendSteps = 1000  // what friends did, the latest
	maxLookers     = 20    // friends of whom nothing came, whose own events are looked at
	maxLookerSteps = 6     // of these events, the latest of each
	maxRank        = 10000 // ranks that are counted out
)

// How a friend stands with the participant whom they came by.
const (
	FriendCounts  = "counts"
	FriendWaits   = "waits"   // in its hold
	FriendLeft    = "left"    // counted, and left again
	FriendRefused = "refused" // Outcome and Reason say why
)

// Friend is somebody who came through a participant's code.
type Friend struct {
	Nickname string // "" where nobody told it
	At       time.Time
	State    string        // FriendCounts and so on
	Until    time.Time     // of one who waits: when the first hold passes
	Outcome  event.Outcome // of one who was refused
	Reason   string        // narrows the outcome; "" for nothing
	Tasks    []string      // that they count for, in the file's order
}

// FriendsView is who came through a participant's code lately.
type FriendsView struct {
	Items []Friend // the latest first
	More  bool     // there are earlier ones
	Came  int      // others who came and did nothing yet that could count
}

// Friends tells who came through a participant's code, the latest first, and of those who do not count why not. Of a
// participant with very many friends it tells the latest.
func (e *Engine) Friends(ctx context.Context, id, text string) (FriendsView, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return FriendsView{}, err
	}
	f := friends{c: c, owner: p.Person, latest: map[int64]*friendStep{}, said: map[int64]*friendStep{}}
	db := e.DB.WithContext(ctx)
	for _, read := range []func(*gorm.DB) error{f.readSteps, f.readPeople, f.readCredits, f.readLookers} {
		if err := read(db); err != nil {
			return FriendsView{}, err
		}
	}
	view, shown := f.tell()
	known, err := e.looks(ctx, shown)
	for i, person := range shown {
		view.Items[i].Nickname = known[person].nickname
	}
	return view, err
}

// friendStep is one thing that a friend did, with what came of it.
type friendStep struct {
	Seq     int64
	Type    string
	Person  int64
	Time    int64
	Owner   int64
	Outcome event.Outcome
	Detail  *string
}

// friends is what is read for the friends of one participant.
type friends struct {
	c       known
	owner   int64
	cut     bool                  // there are earlier steps
	order   []int64               // people, who came latest first
	latest  map[int64]*friendStep // by person
	said    map[int64]*friendStep // by person: the latest that something came of
	people  map[int64]campaign.Person
	credits map[int64][]campaign.Credit // by person: those that count for the owner
}

// readSteps reads the latest of what concerned the owner: first the places, from the index alone.
func (f *friends) readSteps(db *gorm.DB) error {
	var places []int64
	err := db.Table("outcomes").Where("campaign = ? AND owner = ?", f.c.no, f.owner).Order("seq DESC").Limit(maxFriendSteps+1).Pluck("seq", &places).Error
	if err != nil || len(places) == 0 {
		return err
	}
	if f.cut = len(places) > maxFriendSteps; f.cut {
		places = places[:maxFriendSteps]
	}
	steps, err := f.stepsAt(db, places)
	for i := range steps {
		s := &steps[i]
		if s.Person == 0 || s.Person == f.owner || s.Type == "expose" { // whoever only saw it may be anybody
			continue
		}
		if f.latest[s.Person] == nil {
			f.latest[s.Person] = s
			f.order = append(f.order, s.Person)
		}
		if f.said[s.Person] == nil && refuses(s.Outcome) {
			f.said[s.Person] = s
		}
	}
	return err
}

// stepsAt reads what was applied at places in the journal, the latest first.
func (f *friends) stepsAt(db *gorm.DB, places []int64) ([]friendStep, error) {
	var steps []friendStep
	for part := range slices.Chunk(places, inChunk) {
		var some []friendStep
		err := db.Table("events e").Select("e.seq, e.type, e.person, e.time, o.owner, o.outcome, o.detail").
			Joins("JOIN outcomes o ON o.campaign = e.campaign AND o.seq = e.seq").
			Where("e.campaign = ? AND e.seq IN ?", f.c.no, part).Find(&some).Error
		if err != nil {
			return nil, err
		}
		steps = append(steps, some...)
	}
	slices.SortFunc(steps, func(a, b friendStep) int { return cmp.Compare(b.Seq, a.Seq) })
	return steps, nil
}

// refuses says whether an outcome tells why somebody does not count.
func refuses(o event.Outcome) bool {
	switch o {
	case event.DuplicateInvitee, event.SelfInvite, event.NotNewUser, event.NoInviter, event.CampaignNotLive, event.OutsideWindow,
		event.LimitReached, event.BlockedOutcome, event.ConditionNotMet:
		return true
	}
	return false
}

func (f *friends) readPeople(db *gorm.DB) error {
	f.people = make(map[int64]campaign.Person, len(f.order))
	for part := range slices.Chunk(f.order, inChunk) {
		var rows []campaign.Person
		if err := db.Select("person", "inviter").Where("campaign = ? AND person IN ?", f.c.no, part).Find(&rows).Error; err != nil {
			return err
		}
		for _, p := range rows {
			f.people[p.Person] = p
		}
	}
	return nil
}

func (f *friends) readCredits(db *gorm.DB) error {
	f.credits = map[int64][]campaign.Credit{}
	for part := range slices.Chunk(f.order, inChunk) {
		var rows []campaign.Credit
		if err := db.Where("campaign = ? AND person IN ? AND n = 0 AND owner = ?", f.c.no, part, f.owner).Find(&rows).Error; err != nil {
			return err
		}
		for _, cr := range rows {
			f.credits[cr.Person] = append(f.credits[cr.Person], cr)
		}
	}
	return nil
}

// readLookers looks at what those did of whom nothing came so far: something that names no code may tell why.
func (f *friends) readLookers(db *gorm.DB) error {
	var parts []string
	var args []any
	for _, person := range f.order {
		if len(parts) == maxLookers {
			break
		}
		if len(f.credits[person]) > 0 || f.said[person] != nil || f.elsewhere(person) {
			continue
		}
		// The places alone: with the rows beside them, SQLite would go through the whole journal in its order.
		parts = append(parts, "SELECT * FROM (SELECT seq FROM events WHERE campaign = ? AND person = ? ORDER BY seq DESC LIMIT ?) AS latest"+strconv.Itoa(len(parts)))
		args = append(args, f.c.no, person, maxLookerSteps)
	}
	if len(parts) == 0 {
		return nil
	}
	var places []int64
	if err := db.Raw(strings.Join(parts, " UNION ALL "), args...).Scan(&places).Error; err != nil {
		return err
	}
	steps, err := f.stepsAt(db, places)
	for i := range steps {
		s := &steps[i]
		if f.said[s.Person] == nil && s.Owner == 0 && refuses(s.Outcome) && s.Seq > f.latest[s.Person].Seq {
			f.said[s.Person] = s
			f.latest[s.Person] = s
		}
	}
	slices.SortFunc(f.order, func(a, b int64) int { return cmp.Compare(f.latest[b].Seq, f.latest[a].Seq) })
	return err
}

// elsewhere says whether somebody counts for another inviter.
func (f *friends) elsewhere(person int64) bool {
	inviter := f.people[person].Inviter
	return inviter != 0 && inviter != f.owner
}

// tell sums up: what is shown of each friend, with their numbers beside it.
func (f *friends) tell() (FriendsView, []int64) {
	view := FriendsView{Items: []Friend{}, More: f.cut}
	var shown []int64
	for _, person := range f.order {
		one, ok := f.friend(person)
		switch {
		case !ok:
			view.Came++
		case len(shown) == maxFriends:
			view.More = true
		default:
			view.Items, shown = append(view.Items, one), append(shown, person)
		}
	}
	return view, shown
}

// friend tells how one of them stands; false for somebody of whom nothing came yet.
func (f *friends) friend(person int64) (Friend, bool) {
	one := Friend{At: moment(f.latest[person].Time)}
	for _, t := range f.c.definition.Tasks {
		for _, cr := range f.credits[person] {
			if cr.Task != t.Name {
				continue
			}
			switch cr.State {
			case campaign.CreditStanding:
				one.State, one.Tasks = FriendCounts, append(one.Tasks, t.Name)
			case campaign.CreditHeld:
				if one.State != FriendCounts {
					one.State = FriendWaits
				}
				if cr.DueAt != nil && (one.Until.IsZero() || moment(*cr.DueAt).Before(one.Until)) {
					one.Until = moment(*cr.DueAt)
				}
			default:
				one.State = cmp.Or(one.State, FriendLeft)
			}
		}
	}
	if one.State != "" {
		return one, true
	}
	one.State = FriendRefused
	if f.elsewhere(person) {
		one.Outcome, one.Reason = event.DuplicateInvitee, "other_inviter"
		return one, true
	}
	s := f.said[person]
	if s == nil {
		return one, false
	}
	one.Outcome = s.Outcome
	told := event.Event{Detail: s.Detail}
	if d, err := told.Details(); err == nil {
		for _, t := range d.Tasks {
			if t.Outcome == s.Outcome {
				one.Reason = t.Reason
				break
			}
		}
	}
	return one, true
}

// Standing is a participant's place among all.
type Standing struct {
	Rank   int64 // from 1; 0 for somebody without a friend who counts
	Beyond bool  // they come after Rank; nobody counted how far
	Count  int64 // friends who count
}

// Standing counts those who come before a participant on the leaderboard, up to a bound.
func (e *Engine) Standing(ctx context.Context, id, text string) (Standing, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil || p.Score <= 0 {
		return Standing{}, err
	}
	before := int64(0)
	// Each is a piece of the leaderboard's index.
	for _, where := range []func(*gorm.DB) *gorm.DB{
		func(db *gorm.DB) *gorm.DB { return db.Where("score > ?", p.Score) },
		func(db *gorm.DB) *gorm.DB { return db.Where("score = ? AND scored_seq < ?", p.Score, p.ScoredSeq) },
	} {
		some := where(e.DB.WithContext(ctx).Table("people").Select("1").Where("campaign = ?", c.no)).Limit(maxRank)
		var n int64
		if err := e.DB.WithContext(ctx).Raw("SELECT COUNT(*) FROM (?) AS before_them", some).Scan(&n).Error; err != nil {
			return Standing{}, err
		}
		before += n
	}
	if before >= maxRank {
		return Standing{Rank: maxRank, Beyond: true, Count: p.Score}, nil
	}
	return Standing{Rank: before + 1, Count: p.Score}, nil
}

// CodeOfUser is the code of a user in a campaign, "" for somebody who has not joined it.
func (e *Engine) CodeOfUser(ctx context.Context, id, user string) (string, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return "", err
	}
	p, _, err := e.joiners.get(ctx, e.lookup(c.no, user))
	return p.Code, err
}

// Address is where a reward is sent.
type Address struct {
	Name   string `json:"name"`
	Phone  string `json:"phone"`
	Region string `json:"region"`
	Street string `json:"street"`
}

// AddressView is an address with the grant that it is for.
type AddressView struct {
	Grant string `json:"grant"`
	Address
	UpdatedAt time.Time `json:"updated_at"`
}

// Limits on an address, in characters.
const (
	MaxAddressName   = 40
	MaxAddressPhone  = 24
	MaxAddressRegion = 100
	MaxAddressStreet = 200
)

// addressRow holds an address sealed: it is personal data, and in no other table.
type addressRow struct {
	Campaign   int64 `gorm:"primaryKey;autoIncrement:false"`
	GrantNo    int64 `gorm:"primaryKey;autoIncrement:false"`
	Person     int64
	AddressEnc []byte
	UpdatedAt  int64 `gorm:"autoUpdateTime:false"`
}

func (addressRow) TableName() string { return "addresses" }

// A phone number, and what people write between its digits.
var (
	phoneNumber = regexp.MustCompile(`^\+?[0-9]{6,15}$`)
	notDialled  = strings.NewReplacer(" ", "", "-", "", "(", "", ")", "")
)

// checkAddress trims an address and says what is wrong with it.
func checkAddress(a *Address) error {
	var wrong []fault.Field
	for _, part := range []struct {
		name string
		text *string
		most int
	}{{"name", &a.Name, MaxAddressName}, {"phone", &a.Phone, MaxAddressPhone}, {"region", &a.Region, MaxAddressRegion}, {"street", &a.Street, MaxAddressStreet}} {
		*part.text = strings.TrimSpace(*part.text)
		if !plainText(*part.text, part.most) {
			wrong = append(wrong, fault.Field{Field: part.name, Message: fmt.Sprintf("write 1 to %d characters on one line", part.most)})
		}
	}
	if len(wrong) == 0 && !phoneNumber.MatchString(notDialled.Replace(a.Phone)) {
		wrong = append(wrong, fault.Field{Field: "phone", Message: "write 6 to 15 digits, with + in front for another country"})
	}
	if len(wrong) > 0 {
		return fault.Fields("the address was not kept", wrong...)
	}
	return nil
}

// takesAddress says whether a grant in this state may still be given an address, or another one.
func takesAddress(s reward.State) bool {
	return s == reward.Review || s == reward.Granted || s == reward.Waitlisted
}

// PutAddress keeps where one of a participant's own rewards goes, until it is delivered. fault.NotFound for a grant that
// is not theirs or needs no address, fault.Conflict for one that is not on its way any more.
func (e *Engine) PutAddress(ctx context.Context, id, text string, grant int64, a Address) error {
	if err := checkAddress(&a); err != nil {
		return err
	}
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return err
	}
	sealed, err := json.Marshal(a)
	if err != nil {
		return err
	}
	row := addressRow{Campaign: c.no, GrantNo: grant, Person: p.Person, AddressEnc: e.sealer.Seal(string(sealed)), UpdatedAt: e.now()}
	return database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		if err := onItsWay(tx, c, p.Person, grant); err != nil {
			return err
		}
		return database.Upsert(tx, []addressRow{row}, []string{"campaign", "grant_no"}, []string{"address_enc", "updated_at"})
	})
}

// EraseAddress forgets where a grant goes or went, whatever became of it. Where nothing was kept nothing happens.
func (e *Engine) EraseAddress(ctx context.Context, grantID string) error {
	c, number, err := e.grantNumber(ctx, grantID)
	if err != nil {
		return err
	}
	return e.DB.WithContext(ctx).Where("campaign = ? AND grant_no = ?", c.no, number).Delete(&addressRow{}).Error
}

// TakeBackAddress forgets where one of a participant's own rewards goes, as they wish, until it is delivered: whoever
// sent it may have to prove where to. It fails like PutAddress does.
func (e *Engine) TakeBackAddress(ctx context.Context, id, text string, grant int64) error {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return err
	}
	return database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		if err := onItsWay(tx, c, p.Person, grant); err != nil {
			return err
		}
		return tx.Where("campaign = ? AND grant_no = ?", c.no, grant).Delete(&addressRow{}).Error
	})
}

// onItsWay is nil for a participant's own grant whose address they may change.
func onItsWay(tx *gorm.DB, c known, person, grant int64) error {
	var g reward.Grant
	err := tx.Where("campaign = ? AND no = ? AND person = ?", c.no, grant, person).Take(&g).Error
	if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !needsAddress(c.definition, g.Reward) {
		return fault.New(fault.NotFound, "there is no such reward of theirs that is sent by post")
	}
	if err != nil {
		return err
	}
	if !takesAddress(g.State) {
		return fault.New(fault.Conflict, "this reward is %s; its address stays as it is", g.State)
	}
	return nil
}

func needsAddress(d *campaign.Definition, name string) bool {
	r := d.Reward(name)
	return r != nil && r.NeedsAddress
}

// GrantAddress is where a grant is to be sent; fault.NotFound where nobody wrote it yet.
func (e *Engine) GrantAddress(ctx context.Context, grantID string) (AddressView, error) {
	c, number, err := e.grantNumber(ctx, grantID)
	if err != nil {
		return AddressView{}, err
	}
	all, err := e.addresses(ctx, c, []int64{number})
	if err != nil {
		return AddressView{}, err
	}
	view, ok := all[number]
	if !ok {
		return AddressView{}, fault.New(fault.NotFound, "there is no address for grant %s", grantID)
	}
	return view, nil
}

// addresses opens the addresses of a campaign's grants, by their numbers.
func (e *Engine) addresses(ctx context.Context, c known, grants []int64) (map[int64]AddressView, error) {
	all := map[int64]AddressView{}
	for part := range slices.Chunk(grants, inChunk) {
		var rows []addressRow
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND grant_no IN ?", c.no, part).Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			text, err := e.sealer.Open(r.AddressEnc)
			if err != nil {
				return nil, fmt.Errorf("the address of grant %s.%d: %w", c.id, r.GrantNo, err)
			}
			v := AddressView{Grant: fmt.Sprintf("%s.%d", c.id, r.GrantNo), UpdatedAt: moment(r.UpdatedAt)}
			if err := json.Unmarshal([]byte(text), &v.Address); err != nil {
				return nil, err
			}
			all[r.GrantNo] = v
		}
	}
	return all, nil
}
