package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/engine/step"
	"kfactor/event"
	"kfactor/internal/code"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/seal"
	"kfactor/reward"
)

// Limits on what is stored of a person's looks.
const (
	MaxNickname  = 128  // characters
	MaxAvatarURL = 1024 // bytes
)

// Join makes a user a participant of a campaign and gives them their code. Whoever has joined gets the same code again;
// a new nickname or avatar replaces the old one.
func (e *Engine) Join(ctx context.Context, id string, j Joining) (v ParticipantView, created bool, err error) {
	if err := checkJoining(&j); err != nil {
		return v, false, err
	}
	c, err := e.campaign(ctx, id)
	if err != nil {
		return v, false, err
	}
	if hasKind(j.User) {
		if j.User, err = e.joinerNamed(ctx, c.definition, j.User); err != nil {
			return v, false, err
		}
	}
	p, joined, err := e.joiners.get(ctx, e.lookup(c.no, j.User))
	if err != nil {
		return v, false, err
	}
	if joined {
		if err := e.dress(ctx, p.Person, j); err != nil {
			return v, false, err
		}
		v, err = e.view(ctx, c, &p, true)
		return v, false, err
	}

	d, err := orderDraft(c.no, event.Joined, step.Order{InvitedBy: strings.ToUpper(j.InvitedBy)}, e.now())
	if err != nil {
		return v, false, err
	}
	d.user, d.nickname, d.avatar = j.User, j.Nickname, j.AvatarURL
	done, err := e.carryOut(ctx, d)
	if err != nil {
		return v, false, err
	}
	switch done.Outcome {
	case event.CampaignNotLive:
		return v, false, fault.New(fault.Conflict, "campaign %q is not live; nobody can join it now", id)
	case event.LimitReached:
		return v, false, fault.New(fault.Conflict, "campaign %q has as many participants as it may have", id)
	}
	detail, err := done.Details()
	if err != nil {
		return v, false, err
	}
	who, there, err := e.faces.get(ctx, personNo{c.no, done.Person})
	if err == nil && !there {
		err = fmt.Errorf("person %d of campaign %d is gone", done.Person, c.no)
	}
	return e.viewWith(c, &who.person, who.looks), detail.Reason != event.JoinedBefore, err
}

// participantsAmong are those of a number of users who have joined.
func (e *Engine) participantsAmong(ctx context.Context, users []lookup) (map[lookup]campaign.Person, error) {
	keys := map[int64][][]byte{}
	for _, l := range users {
		keys[l.campaign] = append(keys[l.campaign], l.key[:])
	}
	joined := map[lookup]campaign.Person{}
	for no, part := range keys {
		var seen []identity
		if err := e.DB.WithContext(ctx).Select("no", "user_key").Where("campaign = ? AND user_key IN ?", no, part).Find(&seen).Error; err != nil {
			return nil, err
		}
		if len(seen) == 0 { // most who join are seen for the first time
			continue
		}
		users := make(map[int64]lookup, len(seen))
		for _, r := range seen {
			users[r.No] = lookup{no, [seal.LookupSize]byte(r.UserKey)}
		}
		var people []campaign.Person
		err := e.DB.WithContext(ctx).Where("campaign = ? AND person IN ?", no, slices.Collect(maps.Keys(users))).Find(&people).Error
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			if p.Joined() {
				joined[users[p.Person]] = p
			}
		}
	}
	return joined, nil
}

// personNo is a person's number in a campaign.
type personNo struct{ campaign, person int64 }

// face is a person with what they look like.
type face struct {
	person campaign.Person
	looks  looks
}

// readFaces reads people as they stand.
func (e *Engine) readFaces(ctx context.Context, who []personNo) (map[personNo]face, error) {
	numbers := map[int64][]int64{}
	for _, w := range who {
		numbers[w.campaign] = append(numbers[w.campaign], w.person)
	}
	read := map[personNo]face{}
	for no, part := range numbers {
		var people []campaign.Person
		if err := e.DB.WithContext(ctx).Where("campaign = ? AND person IN ?", no, part).Find(&people).Error; err != nil {
			return nil, err
		}
		looks, err := e.looks(ctx, part)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			read[personNo{no, p.Person}] = face{p, looks[p.Person]}
		}
	}
	return read, nil
}

func checkJoining(j *Joining) error {
	j.Nickname = strings.TrimSpace(j.Nickname)
	var wrong []fault.Field
	if !plainText(j.User, mostSaid(j.User)) {
		wrong = append(wrong, fault.Field{Field: "user", Message: "write 1 to 128 characters without control characters"})
	}
	if j.Nickname != "" && !plainText(j.Nickname, MaxNickname) {
		wrong = append(wrong, fault.Field{Field: "nickname", Message: "write at most 128 characters, without control characters"})
	}
	if j.AvatarURL != "" {
		u, err := url.Parse(j.AvatarURL)
		if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(j.AvatarURL) > MaxAvatarURL {
			wrong = append(wrong, fault.Field{Field: "avatar_url", Message: "write a http or https address of at most 1024 bytes"})
		}
	}
	if j.InvitedBy != "" {
		if _, ok := code.Parse(j.InvitedBy); !ok {
			wrong = append(wrong, fault.Field{Field: "invited_by", Message: "this is no code; codes have 8 to 16 letters and digits"})
		}
	}
	if len(wrong) > 0 {
		return fault.Fields("nobody joined", wrong...)
	}
	return nil
}

// dress keeps a person's nickname and avatar where they were sent.
func (e *Engine) dress(ctx context.Context, person int64, j Joining) error {
	looks := map[string]any{}
	if j.Nickname != "" {
		looks["nickname_enc"] = e.sealer.Seal(j.Nickname)
	}
	if j.AvatarURL != "" {
		looks["avatar_enc"] = e.sealer.Seal(j.AvatarURL)
	}
	if len(looks) == 0 {
		return nil
	}
	return e.DB.WithContext(ctx).Model(&identity{}).Where("no = ?", person).Updates(looks).Error
}

// Undress forgets the nickname and the picture of a user who left. What they did and are owed stays.
func (e *Engine) Undress(ctx context.Context, id, user string) error {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return err
	}
	_, _, err = e.leavers.get(ctx, e.lookup(c.no, user))
	return err
}

// undress forgets the looks of many.
func (e *Engine) undress(ctx context.Context, users []lookup) (map[lookup]struct{}, error) {
	keys := map[int64][][]byte{}
	for _, l := range users {
		keys[l.campaign] = append(keys[l.campaign], l.key[:])
	}
	return nil, database.Transact(ctx, e.DB, func(tx *gorm.DB) error {
		for _, no := range slices.Sorted(maps.Keys(keys)) {
			err := tx.Model(&identity{}).Where("campaign = ? AND user_key IN ?", no, keys[no]).
				Updates(map[string]any{"nickname_enc": nil, "avatar_enc": nil}).Error
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// findUser gives the number of a user in a campaign; fault.NotFound for somebody it has never seen.
func (e *Engine) findUser(ctx context.Context, no int64, user string) (int64, error) {
	l := e.lookup(no, user)
	if person, ok := e.intake.people.get(l); ok {
		return person, nil
	}
	var row identity
	err := e.DB.WithContext(ctx).Select("no").Where("campaign = ? AND user_key = ?", no, l.key[:]).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return 0, fault.New(fault.NotFound, "this campaign does not know the user")
	}
	return row.No, err
}

func (e *Engine) personRow(ctx context.Context, no, person int64) (campaign.Person, error) {
	var p campaign.Person
	err := e.DB.WithContext(ctx).Where("campaign = ? AND person = ?", no, person).Take(&p).Error
	return p, err
}

// findCode gives the participant behind a code; fault.NotFound for a code that nobody has.
func (e *Engine) findCode(ctx context.Context, text string) (campaign.Person, error) {
	unknown := fault.New(fault.NotFound, "nobody has this code")
	c, ok := code.Parse(text)
	if !ok {
		return campaign.Person{}, unknown
	}
	var row codeRow
	err := e.DB.WithContext(ctx).Where("code = ?", c).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return campaign.Person{}, unknown
	}
	if err != nil {
		return campaign.Person{}, err
	}
	p, err := e.personRow(ctx, row.Campaign, row.Person)
	if errors.Is(err, gorm.ErrRecordNotFound) || err == nil && !p.Joined() {
		return p, unknown
	}
	return p, err
}

// Participant is one participant as they stand. names false leaves out what identifies them.
func (e *Engine) Participant(ctx context.Context, id, text string, names bool) (ParticipantView, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return ParticipantView{}, err
	}
	return e.view(ctx, c, &p, names)
}

// participant finds the participant of a campaign by code.
func (e *Engine) participant(ctx context.Context, id, text string) (known, campaign.Person, error) {
	c, err := e.campaign(ctx, id)
	if err != nil {
		return c, campaign.Person{}, err
	}
	p, err := e.findCode(ctx, text)
	if err == nil && p.Campaign != c.no {
		err = fault.New(fault.NotFound, "nobody in campaign %q has this code", id)
	}
	return c, p, err
}

// looks are a person's identifying parts, opened.
type looks struct{ user, nickname, avatar string }

// looks opens what identifies people, by number. Somebody who was erased has none.
func (e *Engine) looks(ctx context.Context, people []int64) (map[int64]looks, error) {
	opened := map[int64]looks{}
	for len(people) > 0 {
		part := people[:min(len(people), inChunk)]
		people = people[len(part):]
		var rows []identity
		if err := e.DB.WithContext(ctx).Where("no IN ?", part).Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			user, err1 := e.sealer.Open(r.UserEnc)
			nickname, err2 := e.sealer.Open(r.NicknameEnc)
			avatar, err3 := e.sealer.Open(r.AvatarEnc)
			if err := errors.Join(err1, err2, err3); err != nil {
				// One row that does not open must not take the others with it.
				e.Log.Error("a person's row does not open", "person", r.No, "err", err)
			}
			opened[r.No] = looks{user, nickname, avatar}
		}
	}
	return opened, nil
}

// view shows a participant.
func (e *Engine) view(ctx context.Context, c known, p *campaign.Person, names bool) (ParticipantView, error) {
	var l looks
	if names {
		all, err := e.looks(ctx, []int64{p.Person})
		if err != nil {
			return ParticipantView{}, err
		}
		l = all[p.Person]
	}
	return e.viewWith(c, p, l), nil
}

// viewWith shows a participant whose looks are at hand.
func (e *Engine) viewWith(c known, p *campaign.Person, l looks) ParticipantView {
	v := ParticipantView{
		User: l.user, Nickname: l.nickname, Code: p.Code, Blocked: p.Facts.Blocked, Variant: p.Facts.Variant, JoinedAt: moment(p.JoinedAt),
		InviteURL: e.InviteLink(p.Code), PosterURL: e.PublicURL + "/p/" + p.Code + ".jpg", QRURL: e.PublicURL + "/q/" + p.Code + ".png",
		Tasks: map[string]TaskProgress{}, Tiers: []TierProgress{},
	}
	if c.definition.Poster.Format == "png" {
		v.PosterURL = e.PublicURL + "/p/" + p.Code + ".png"
	}
	for _, t := range c.definition.Tasks {
		v.Tasks[t.Name] = TaskProgress{Count: p.Facts.Counts.Of(t.Name), Held: p.Facts.Held.Of(t.Name)}
	}
	reached := map[string]bool{}
	for _, name := range p.Facts.Reached {
		reached[name] = true
	}
	for _, t := range c.definition.Tiers {
		v.Tiers = append(v.Tiers, TierProgress{Name: t.Name, Reached: reached[t.Name]})
	}
	return v
}

// InviteLink is the link that stands in the QR code of a code.
func (e *Engine) InviteLink(code string) string { return e.PublicURL + "/r/" + code }

// Block keeps a participant's code and their own events from counting, or lets them count again. What was credited
// stays.
func (e *Engine) Block(ctx context.Context, id, text string, blocked bool, reason, by string) (ParticipantView, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return ParticipantView{}, err
	}
	eventType := event.Unblocked
	if blocked {
		eventType = event.Blocked
	}
	d, err := orderDraft(c.no, eventType, step.Order{By: by, Reason: reason}, e.now())
	if err != nil {
		return ParticipantView{}, err
	}
	d.Person = p.Person
	if _, err := e.carryOut(ctx, d); err != nil {
		return ParticipantView{}, err
	}
	return e.Participant(ctx, id, text, true)
}

// Visit is what stands behind a code.
func (e *Engine) Visit(ctx context.Context, text string) (Visit, error) {
	p, err := e.findCode(ctx, text)
	if err != nil {
		return Visit{}, err
	}
	row, err := e.campaignByNo(ctx, p.Campaign)
	if err != nil {
		return Visit{}, err
	}
	c, err := e.remember(ctx, row)
	if err != nil {
		return Visit{}, err
	}
	campaignView, err := e.campaignView(ctx, row, c.definition)
	if err != nil {
		return Visit{}, err
	}
	v, err := e.view(ctx, c, &p, true)
	return Visit{Campaign: campaignView, Definition: c.definition, Code: p.Code, Nickname: v.Nickname, Participant: v}, err
}

func (e *Engine) campaignByNo(ctx context.Context, no int64) (campaignRow, error) {
	var row campaignRow
	err := e.DB.WithContext(ctx).Where("no = ?", no).Take(&row).Error
	return row, err
}

// Wallet is what a participant was given, with their coupon codes: for their own eyes.
func (e *Engine) Wallet(ctx context.Context, id, text string) ([]WalletItem, error) {
	c, p, err := e.participant(ctx, id, text)
	if err != nil {
		return nil, err
	}
	var grants []reward.Grant
	err = e.DB.WithContext(ctx).Where("campaign = ? AND person = ?", c.no, p.Person).Order("no").Limit(1000).Find(&grants).Error
	if err != nil {
		return nil, err
	}
	coupons, err := e.coupons(ctx, grants)
	if err != nil {
		return nil, err
	}
	posted := []int64{}
	for _, g := range grants {
		if needsAddress(c.definition, g.Reward) {
			posted = append(posted, g.No)
		}
	}
	addresses, err := e.addresses(ctx, c, posted)
	if err != nil {
		return nil, err
	}
	items := []WalletItem{}
	for _, g := range grants {
		item := WalletItem{
			Reward: g.Reward, Tier: g.Tier, State: string(g.State), Title: g.Reward, Coupon: coupons[couponKey{g.Campaign, g.Reward, g.Coupon}],
			Grant: g.No, NeedsAddress: needsAddress(c.definition, g.Reward),
		}
		item.Sendable = item.NeedsAddress && takesAddress(g.State)
		if a, ok := addresses[g.No]; ok {
			item.Address = &a.Address
		}
		if r := c.definition.Reward(g.Reward); r != nil && r.Title != "" {
			item.Title = r.Title
		}
		items = append(items, item)
	}
	return items, nil
}

// couponRow is one coupon code of a reward; its number says to which grant it went.
type couponRow struct {
	Campaign int64  `gorm:"primaryKey;autoIncrement:false"`
	Reward   string `gorm:"primaryKey"`
	No       int64  `gorm:"primaryKey;autoIncrement:false"`
	CodeKey  []byte
	CodeEnc  []byte
}

func (couponRow) TableName() string { return "coupons" }

// addCoupons is the extra work of the draft that imports codes: it writes those that are new and tells the draft the
// number of the last. Of two imports at once one has to begin again, since numbers are unique.
func (e *Engine) addCoupons(codes []string, o step.Order, imported *int) func(*gorm.DB, *draft) error {
	return func(tx *gorm.DB, d *draft) error {
		var last int64
		err := tx.Model(&couponRow{}).Where("campaign = ? AND reward = ?", d.Campaign, o.Reward).Select("COALESCE(MAX(no), 0)").Scan(&last).Error
		if err != nil {
			return err
		}
		there := map[string]bool{}
		rows := make([]couponRow, 0, len(codes))
		keys := make([][]byte, 0, len(codes))
		for _, c := range codes {
			key := e.sealer.Lookup(d.Campaign, "coupon "+o.Reward+" "+c)
			keys = append(keys, key[:])
		}
		for part := range slices.Chunk(keys, inChunk) {
			var old []couponRow
			if err := tx.Select("code_key").Where("campaign = ? AND reward = ? AND code_key IN ?", d.Campaign, o.Reward, part).Find(&old).Error; err != nil {
				return err
			}
			for _, r := range old {
				there[string(r.CodeKey)] = true
			}
		}
		for i, c := range codes {
			if !there[string(keys[i])] {
				there[string(keys[i])] = true
				last++
				rows = append(rows, couponRow{Campaign: d.Campaign, Reward: o.Reward, No: last, CodeKey: keys[i], CodeEnc: e.sealer.Seal(c)})
			}
		}
		*imported = len(rows)
		o.Coupons = last
		text, err := json.Marshal(o)
		if err != nil {
			return err
		}
		data := string(text)
		d.Data = &data
		err = database.Insert(tx, rows)
		if database.IsDuplicate(err) {
			return fault.New(fault.Conflict, "another import is under way; try again in a moment")
		}
		return err
	}
}
