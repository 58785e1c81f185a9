package wechat

import (
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"kfactor/engine"
	"kfactor/internal/fault"
)

// What a shop may call a user, beside the openid: the kind, a colon and the id.
const (
	unionKind  = "unionid"
	memberKind = "member"
)

// maxForeignID is the most characters of a member's id or a unionid.
const maxForeignID = 128

// checkID says what is wrong with a member's id or a unionid, "" for nothing.
func checkID(id string) string {
	if id == "" || !utf8.ValidString(id) || utf8.RuneCountInString(id) > maxForeignID || strings.ContainsFunc(id, unicode.IsControl) {
		return "must have 1 to 128 characters without control characters"
	}
	return ""
}

// follower is somebody whom campaigns on a channel may know.
type follower struct {
	key  []byte // keyed hash of user
	user string // as campaigns know them; "" where that was erased when they left
}

// index is a way to find people.
type index struct {
	fans   string // of accounts and keys
	people string // of the channel and keys; "" where that is no way
	key    func(f *fan) []byte
	kin    func(p *person) []byte
}

func byOpenID() index {
	return index{fans: "channel IN ? AND open_key IN ?", key: func(f *fan) []byte { return f.OpenKey }}
}

func byUnionID() index {
	return index{
		fans: "channel IN ? AND union_key IN ?", key: func(f *fan) []byte { return f.UnionKey },
		people: "channel = ? AND union_key IN ?", kin: func(p *person) []byte { return p.UnionKey },
	}
}

func byUser() index {
	return index{
		fans: "channel IN ? AND user_key IN ?", key: func(f *fan) []byte { return f.UserKey },
		people: "channel = ? AND user_key IN ?", kin: func(p *person) []byte { return p.UserKey },
	}
}

// mostKeys is how many are looked up in one statement.
const mostKeys = 500

// followers finds people of a channel, by the key that they were looked for with: those whom the channel's own account
// or the one that serves it has met. They are who they are when they do something themselves.
func (a *Accounts) followers(ctx context.Context, channel string, by index, keys [][]byte) (map[string]follower, error) {
	if len(keys) == 0 {
		return map[string]follower{}, nil
	}
	s, err := a.serving(ctx, channel)
	if err != nil {
		return nil, err
	}
	moved, err := a.wasMoved(ctx, channel)
	if err != nil {
		return nil, err
	}
	accounts := []string{channel}
	if s.name != channel {
		accounts = append(accounts, s.name)
	}
	db := a.DB.WithContext(ctx)
	met := map[string][]*fan{}
	unions := map[string][]string{} // what people with a unionid were looked for with
	for part := range slices.Chunk(keys, mostKeys) {
		var fans []fan
		if err := db.Where(by.fans, accounts, part).Find(&fans).Error; err != nil {
			return nil, err
		}
		for i := range fans {
			f := &fans[i]
			key := string(by.key(f))
			met[key] = append(met[key], f)
			if moved && f.united() {
				unions[string(f.UnionKey)] = append(unions[string(f.UnionKey)], key)
			}
		}
		var people []person
		if moved && by.people != "" {
			if err := db.Where(by.people, channel, part).Find(&people).Error; err != nil {
				return nil, err
			}
		}
		for i := range people {
			union := string(people[i].UnionKey)
			unions[union] = append(unions[union], string(by.kin(&people[i])))
		}
	}
	decided := map[string]*person{}
	wanted := make([][]byte, 0, len(unions))
	for union := range unions {
		wanted = append(wanted, []byte(union))
	}
	for part := range slices.Chunk(wanted, mostKeys) {
		var fans []fan
		if err := db.Where("channel IN ? AND union_key IN ?", accounts, part).Find(&fans).Error; err != nil {
			return nil, err
		}
		for i := range fans {
			for _, key := range unions[string(fans[i].UnionKey)] {
				met[key] = append(met[key], &fans[i])
			}
		}
		people, err := a.peopleOf(db, []string{channel}, part)
		if err != nil {
			return nil, err
		}
		for _, p := range people {
			for _, key := range unions[string(p.UnionKey)] {
				decided[key] = &p
			}
		}
	}
	found := make(map[string]follower, len(met))
	for key, fans := range met {
		found[key] = a.follower(channel, fans, decided[key])
	}
	return found, nil
}

// follower is who a channel's campaigns know somebody as of whom there are these rows. Who follows none of the accounts
// any more is not to be called by name.
func (a *Accounts) follower(channel string, fans []*fan, decided *person) follower {
	var best follower
	for _, f := range fans {
		one := follower{key: f.UserKey}
		if f.Follows || f.LeftAt == 0 {
			one.user = a.openidOf(f)
		}
		if best.key == nil || one.user != "" && (best.user == "" || f.Channel == channel) {
			best = one
		}
	}
	if decided == nil {
		return best
	}
	who := follower{key: decided.UserKey}
	if best.user != "" {
		user, err := a.sealer.Open(decided.UserEnc)
		if err != nil {
			a.Log.Error("a person's row does not open", "channel", channel, "err", err)
		}
		who.user = user
	}
	return who
}

// readName takes apart what a shop calls a user.
func readName(name string) (kind, id string, err error) {
	kind, id, _ = strings.Cut(name, ":")
	if kind != unionKind && kind != memberKind {
		return "", "", fault.New(fault.Invalid, "%.64q is neither an openid nor unionid:ID nor member:ID", name)
	}
	if wrong := checkID(id); wrong != "" {
		return "", "", fault.New(fault.Invalid, "what follows %s: %s", kind, wrong)
	}
	return kind, id, nil
}

// Users tells whom unionids and members of a shop's stand for.
func (f front) Users(ctx context.Context, names []string) ([]engine.Who, error) {
	all := make([]engine.Who, len(names))
	keys := make([][]byte, len(names)) // nil: nobody is looked for
	var unions, members [][]byte
	for i, name := range names {
		kind, id, err := readName(name)
		switch {
		case err != nil:
			all[i].Err = err
		case kind == unionKind:
			keys[i] = f.accounts.unionKey(id)
			unions = append(unions, keys[i])
		default:
			keys[i] = f.accounts.memberKey(f.channel, id)
			members = append(members, keys[i])
		}
	}
	found, err := f.accounts.followers(ctx, f.channel, byUnionID(), unions)
	if err != nil {
		return nil, err
	}
	tied, err := f.accounts.tied(ctx, f.channel, members)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		if keys[i] == nil {
			continue
		}
		var who follower
		var known bool
		if strings.HasPrefix(name, memberKind) {
			if who, known = tied[string(keys[i])]; !known {
				all[i].Err = fault.New(fault.NotFound, "channel %s knows no such member; tie the member to a follower", f.channel)
			}
		} else if who, known = found[string(keys[i])]; !known {
			all[i].Err = f.accounts.unmet(f.channel, unionKind)
		}
		if known && who.user == "" {
			all[i].Err = fault.New(fault.NotFound,
				"this follower does not follow channel %s now, and who they are was erased; call them by their openid, or wait until they follow", f.channel)
		}
		all[i].User = who.user
	}
	return all, nil
}

// unmet says that nobody with an id has come to a channel.
func (a *Accounts) unmet(channel, kind string) error {
	if kind == unionKind {
		return fault.New(fault.NotFound, "channel %s has never met a follower with this unionid; "+
			"they have to follow it, or sign in on one of its pages, and are known by it, as a rule, within a minute of following", channel)
	}
	return fault.New(fault.NotFound, "channel %s has never met this follower; they have to follow it, or sign in on one of its pages", channel)
}
