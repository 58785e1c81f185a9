package engine

import (
	"cmp"
	"slices"
	"sync"

	"gorm.io/gorm"

	"kfactor/event"
	"kfactor/internal/code"
	"kfactor/internal/database"
	"kfactor/internal/fault"
	"kfactor/internal/seal"
)

// identity ties a campaign's internal number of a person to the user it stands for. It is the only row that can.
type identity struct {
	No          int64 `gorm:"primaryKey;autoIncrement"`
	Campaign    int64
	UserKey     []byte // keyed hash of the user
	UserEnc     []byte
	NicknameEnc []byte
	AvatarEnc   []byte
	CreatedAt   int64 `gorm:"autoCreateTime:false"`
}

func (identity) TableName() string { return "identities" }

// lookup finds a person: the campaign and the keyed hash of the user.
type lookup struct {
	campaign int64
	key      [seal.LookupSize]byte
}

// identify gives every draft the internal number of its user, new ones where the campaign has not seen them, and keeps
// what they look like where that was sent.
func (in *intake) identify(tx *gorm.DB, drafts []*draft, found map[lookup]int64) error {
	missing := map[int64]map[lookup]looks{}
	for _, d := range drafts {
		if d.user == "" {
			continue
		}
		l := d.who
		if no, ok := in.people.get(l); ok && d.nickname == "" && d.avatar == "" {
			d.Person = no
			continue
		}
		if missing[l.campaign] == nil {
			missing[l.campaign] = map[lookup]looks{}
		}
		known := missing[l.campaign][l] // two drafts may be about one user
		missing[l.campaign][l] = looks{d.user, cmp.Or(d.nickname, known.nickname), cmp.Or(d.avatar, known.avatar)}
		d.Person = 0
	}
	for campaign, users := range missing {
		if err := in.engine.identifyNew(tx, campaign, users, found); err != nil {
			return err
		}
	}
	for _, d := range drafts {
		if d.user != "" && d.Person == 0 {
			d.Person = found[d.who]
		}
	}
	return nil
}

// identifyNew numbers users of one campaign, writing those it has not seen.
func (e *Engine) identifyNew(tx *gorm.DB, campaign int64, users map[lookup]looks, found map[lookup]int64) error {
	var rows [4][]identity // by which of the looks were sent: those are kept, and the others left as they are
	for l, u := range users {
		sent := 0
		if u.nickname != "" {
			sent |= 1
		}
		if u.avatar != "" {
			sent |= 2
		}
		rows[sent] = append(rows[sent], identity{
			Campaign: campaign, UserKey: l.key[:], CreatedAt: e.now(),
			UserEnc: e.sealer.Seal(u.user), NicknameEnc: e.sealer.Seal(u.nickname), AvatarEnc: e.sealer.Seal(u.avatar),
		})
	}
	key := []string{"campaign", "user_key"}
	if _, err := database.InsertNew(tx, rows[0], key...); err != nil {
		return err
	}
	for sent, kept := range [][]string{1: {"nickname_enc"}, 2: {"avatar_enc"}, 3: {"nickname_enc", "avatar_enc"}} {
		if len(rows[sent]) == 0 || sent == 0 {
			continue
		}
		if err := database.Upsert(tx, rows[sent], key, kept); err != nil {
			return err
		}
	}
	keys := make([][]byte, 0, len(users))
	for l := range users {
		keys = append(keys, l.key[:])
	}
	for part := range slices.Chunk(keys, 1000) {
		var there []identity
		if err := tx.Select("no", "user_key").Where("campaign = ? AND user_key IN ?", campaign, part).Find(&there).Error; err != nil {
			return err
		}
		for _, row := range there {
			found[lookup{campaign, [seal.LookupSize]byte(row.UserKey)}] = row.No
		}
	}
	return nil
}

func (e *Engine) lookup(campaign int64, user string) lookup {
	return lookup{campaign, e.sealer.Lookup(campaign, user)}
}

// codeRow reserves a code for a person. A code is reserved before the join that makes it known is applied.
type codeRow struct {
	Code     string `gorm:"primaryKey"`
	Campaign int64
	Person   int64
}

func (codeRow) TableName() string { return "codes" }

// reserveCodes gives the drafts of joins their people's codes: the one somebody has, else a new one that nobody has.
func reserveCodes(tx *gorm.DB, drafts []*draft) error {
	waiting := map[int64][]*draft{}
	for _, d := range drafts {
		if d.Type == event.Joined {
			waiting[d.Campaign] = append(waiting[d.Campaign], d)
		}
	}
	for campaign, joins := range waiting {
		for part := range slices.Chunk(joins, 1000) {
			if err := reserveCampaignCodes(tx, campaign, part); err != nil {
				return err
			}
		}
	}
	return nil
}

// reserveCampaignCodes proposes a fresh code for everybody. The database keeps the proposal where the person has no
// code and nobody has that one; a proposal that met another's code is made again.
func reserveCampaignCodes(tx *gorm.DB, campaign int64, joins []*draft) error {
	const tries = 5
	for range tries {
		proposed := make([]codeRow, 0, len(joins))
		people := make([]int64, 0, len(joins))
		for _, d := range joins {
			proposed = append(proposed, codeRow{Code: code.New(), Campaign: campaign, Person: d.Person})
			people = append(people, d.Person)
		}
		if _, err := database.InsertNew(tx, proposed); err != nil {
			return err
		}
		var there []codeRow
		if err := tx.Where("campaign = ? AND person IN ?", campaign, people).Find(&there).Error; err != nil {
			return err
		}
		codes := make(map[int64]string, len(there))
		for _, row := range there {
			codes[row.Person] = row.Code
		}
		for _, d := range joins {
			d.Code = codes[d.Person]
		}
		joins = slices.DeleteFunc(slices.Clone(joins), func(d *draft) bool { return d.Code != "" })
		if len(joins) == 0 {
			return nil
		}
	}
	return fault.New(fault.Conflict, "no free code was found; try again")
}

// lookupCache remembers the numbers of people seen lately, within a bound: two generations, of which the older is
// dropped when the younger is full.
type lookupCache struct {
	mu         sync.RWMutex
	half       int
	young, old map[lookup]int64
}

func newLookupCache(size int) *lookupCache {
	return &lookupCache{half: size / 2, young: map[lookup]int64{}, old: map[lookup]int64{}}
}

func (c *lookupCache) get(l lookup) (int64, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	no, ok := c.young[l]
	if !ok {
		no, ok = c.old[l]
	}
	return no, ok
}

func (c *lookupCache) add(found map[lookup]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, no := range found {
		c.young[l] = no
	}
	if len(c.young) > c.half {
		c.young, c.old = map[lookup]int64{}, c.young
	}
}
