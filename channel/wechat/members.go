package wechat

import (
	"bytes"
	"context"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"kfactor/internal/database"
	"kfactor/internal/fault"
)

// member ties somebody whom a shop knows to the user that campaigns on a channel know. Of the shop's id there is a keyed
// hash only.
type member struct {
	Channel   string `gorm:"primaryKey"`
	MemberKey []byte `gorm:"primaryKey"`
	UserKey   []byte // as in fan
	UserEnc   []byte // the user; nil since they left
	UpdatedAt int64  `gorm:"autoUpdateTime:false"`
}

func (member) TableName() string { return "members" }

func (a *Accounts) memberKey(channel, id string) []byte {
	return a.hash("member " + channel + " " + id)
}

// Tie says that a member of a shop's is a follower.
type Tie struct {
	Member  string
	OpenID  string // of the follower; this or UnionID
	UnionID string
	Replace bool // also where the member is tied to somebody else
}

// Tied is what became of a tie.
type Tied struct {
	New bool  // it was not so before
	Err error // fault.NotFound: the channel has never met the follower; fault.Conflict: the member is tied to another
}

// MaxTies is how many ties one call may bring.
const MaxTies = 1000

// TieMembers ties members of a shop's to followers of a channel, in order, and tells what became of each. An error says
// that nothing may be assumed: the same again is safe.
func (a *Accounts) TieMembers(ctx context.Context, channel string, ties []Tie) ([]Tied, error) {
	if len(ties) > MaxTies {
		return nil, fault.New(fault.TooLarge, "%d members in one call; send at most %d", len(ties), MaxTies)
	}
	done, wanted, err := a.tieWanted(ctx, channel, ties)
	if err != nil {
		return nil, err
	}
	const tries = 4
	for try := 1; ; try++ {
		err := database.Transact(ctx, a.DB, func(tx *gorm.DB) error { return a.tie(tx, ties, wanted, done) })
		// Another process has tied one of them for the first time.
		if !database.IsDuplicate(err) || try == tries {
			return done, err
		}
	}
}

// tieWanted finds whom ties are about: their rows as they would begin, nil where there is none to be had, which done
// says why.
func (a *Accounts) tieWanted(ctx context.Context, channel string, ties []Tie) (done []Tied, wanted []*member, err error) {
	done, wanted = make([]Tied, len(ties)), make([]*member, len(ties))
	serving, err := a.serving(ctx, channel)
	if err != nil {
		return nil, nil, err
	}
	opens, unions := make([][]byte, 0, len(ties)), make([][]byte, 0, len(ties))
	for i, t := range ties {
		if done[i].Err = t.check(); done[i].Err != nil {
			continue
		}
		if t.UnionID != "" {
			unions = append(unions, a.unionKey(t.UnionID))
			continue
		}
		opens = append(opens, a.openKey(channel, t.OpenID))
		if serving.name != channel {
			opens = append(opens, a.openKey(serving.name, t.OpenID))
		}
	}
	byOpen, err := a.followers(ctx, channel, byOpenID(), opens)
	if err != nil {
		return nil, nil, err
	}
	byUnion, err := a.followers(ctx, channel, byUnionID(), unions)
	if err != nil {
		return nil, nil, err
	}
	for i, t := range ties {
		if done[i].Err != nil {
			continue
		}
		var who follower
		var met bool
		kind := ""
		if t.UnionID != "" {
			kind = unionKind
			who, met = byUnion[string(a.unionKey(t.UnionID))]
		} else if who, met = byOpen[string(a.openKey(serving.name, t.OpenID))]; !met {
			who, met = byOpen[string(a.openKey(channel, t.OpenID))]
		}
		if !met {
			done[i].Err = a.unmet(channel, kind)
			continue
		}
		if who.user == "" && bytes.Equal(who.key, a.userKey(t.OpenID)) {
			who.user = t.OpenID // they do not follow, and the shop knows them all the same
		}
		wanted[i] = &member{
			Channel: channel, MemberKey: a.memberKey(channel, t.Member), UserKey: who.key, UserEnc: a.sealer.Seal(who.user), UpdatedAt: a.now(),
		}
	}
	return done, wanted, nil
}

// check says what is wrong with a tie as it stands.
func (t *Tie) check() error {
	var wrong []fault.Field
	if said := checkID(t.Member); said != "" {
		wrong = append(wrong, fault.Field{Field: "member", Message: said})
	}
	id, field := t.OpenID, "openid"
	if t.UnionID != "" {
		id, field = t.UnionID, "unionid"
	}
	if (t.OpenID == "") == (t.UnionID == "") {
		wrong = append(wrong, fault.Field{Field: "openid", Message: "give the openid or the unionid of the follower, one of them"})
	} else if said := checkID(id); said != "" {
		wrong = append(wrong, fault.Field{Field: field, Message: said})
	}
	if len(wrong) > 0 {
		return fault.Fields("nobody was tied", wrong...)
	}
	return nil
}

// tie writes what is wanted where it is not so yet. Afterwards done says of each what became of it.
func (a *Accounts) tie(tx *gorm.DB, ties []Tie, wanted []*member, done []Tied) error {
	channel, keys := "", [][]byte{}
	for _, m := range wanted {
		if m != nil {
			channel, keys = m.Channel, append(keys, m.MemberKey)
		}
	}
	rows := map[string]*member{}
	for part := range slices.Chunk(keys, mostKeys) {
		var there []member
		locked := tx.Clauses(clause.Locking{Strength: "UPDATE"}) // on SQLite the transaction itself is the lock
		if err := locked.Where("channel = ? AND member_key IN ?", channel, part).Find(&there).Error; err != nil {
			return err
		}
		for i := range there {
			rows[string(there[i].MemberKey)] = &there[i]
		}
	}
	fresh, changed := map[string]*member{}, map[string]*member{}
	for i, m := range wanted {
		if m == nil {
			continue
		}
		done[i] = Tied{}
		key := string(m.MemberKey)
		there := rows[key]
		same := there != nil && bytes.Equal(there.UserKey, m.UserKey)
		if same && (len(there.UserEnc) > 0 || len(m.UserEnc) == 0) { // else they had left, and are known again
			continue
		}
		if there != nil && !same && !ties[i].Replace {
			done[i].Err = fault.New(fault.Conflict, `the member is tied to another follower; send "replace": true to tie them to this one`)
			continue
		}
		done[i].New = !same
		rows[key] = m
		if there == nil || fresh[key] != nil {
			fresh[key] = m
		} else {
			changed[key] = m
		}
	}
	if err := database.Insert(tx, inOrder(fresh)); err != nil {
		return err
	}
	return database.Upsert(tx, inOrder(changed), []string{"channel", "member_key"}, []string{"user_key", "user_enc", "updated_at"})
}

// inOrder are rows by their keys, so that two who write the same ones queue up.
func inOrder(rows map[string]*member) []member {
	all := make([]member, 0, len(rows))
	for _, m := range rows {
		all = append(all, *m)
	}
	slices.SortFunc(all, func(a, b member) int { return bytes.Compare(a.MemberKey, b.MemberKey) })
	return all
}

// tied are the followers that members of a channel are tied to, by member key.
func (a *Accounts) tied(ctx context.Context, channel string, keys [][]byte) (map[string]follower, error) {
	found := make(map[string]follower, len(keys))
	var erased [][]byte // users
	for part := range slices.Chunk(keys, mostKeys) {
		var rows []member
		err := a.DB.WithContext(ctx).Where("channel = ? AND member_key IN ?", channel, part).Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			user, err := a.sealer.Open(rows[i].UserEnc)
			if err != nil {
				a.Log.Error("a member's row does not open", "channel", channel, "err", err)
			}
			if user == "" {
				erased = append(erased, rows[i].UserKey)
			}
			found[string(rows[i].MemberKey)] = follower{rows[i].UserKey, user}
		}
	}
	if len(erased) == 0 {
		return found, nil
	}
	back, err := a.followers(ctx, channel, byUser(), erased) // some may have come back
	if err != nil {
		return nil, err
	}
	for key, f := range found {
		if f.user == "" {
			f.user = back[string(f.key)].user
			found[key] = f
		}
	}
	return found, nil
}

// Member is how a member of a shop's stands.
type Member struct {
	Channel string     `json:"channel"`
	Member  string     `json:"member"`
	Tied    bool       `json:"tied"`
	User    string     `json:"user,omitempty"` // as campaigns know them; "" since they left
	TiedAt  *time.Time `json:"tied_at,omitempty"`
}

// Member tells whether a member of a shop's is tied, and to whom.
func (a *Accounts) Member(ctx context.Context, channel, id string) (Member, error) {
	v := Member{Channel: channel, Member: id}
	if err := a.checkMember(ctx, channel, id); err != nil {
		return v, err
	}
	key := a.memberKey(channel, id)
	var rows []member
	if err := a.DB.WithContext(ctx).Where("channel = ? AND member_key = ?", channel, key).Find(&rows).Error; err != nil {
		return v, err
	}
	if len(rows) == 0 {
		return v, nil
	}
	tied, err := a.tied(ctx, channel, [][]byte{key})
	v.Tied, v.User, v.TiedAt = true, tied[string(key)].user, moment(time.UnixMilli(rows[0].UpdatedAt))
	return v, err
}

// Untie forgets a member of a shop's; one who is not tied stays so.
func (a *Accounts) Untie(ctx context.Context, channel, id string) error {
	if err := a.checkMember(ctx, channel, id); err != nil {
		return err
	}
	return a.DB.WithContext(ctx).Where("channel = ? AND member_key = ?", channel, a.memberKey(channel, id)).Delete(&member{}).Error
}

func (a *Accounts) checkMember(ctx context.Context, channel, id string) error {
	if said := checkID(id); said != "" {
		return fault.Fields("there is no such member", fault.Field{Field: "member", Message: said})
	}
	_, err := a.serving(ctx, channel)
	return err
}

// forgetMembers erases who members are whose followers have left. The keyed hashes stay, so that a member is known again
// when they come back.
func forgetMembers(tx *gorm.DB, users [][]byte) error {
	if len(users) == 0 {
		return nil
	}
	return tx.Model(&member{}).Where("user_key IN ?", users).Update("user_enc", nil).Error
}
