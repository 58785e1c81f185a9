package engine

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"gorm.io/gorm"

	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/internal/seal"
	"kfactor/poster"
)

// PosterOwner is a participant as their poster needs them.
type PosterOwner struct {
	Code, Nickname, AvatarURL string
	Variant                   string // of the poster, "" where there is only one
	campaign, person          int64
}

// posterOwnerRow is all that a poster needs of somebody, in one row.
type posterOwnerRow struct {
	Code        string
	Campaign    int64
	Person      int64
	Facts       string
	UserKey     []byte
	NicknameEnc []byte
	AvatarEnc   []byte
}

// posterOwnerRows finds participants in one query, whatever comes after it.
func (e *Engine) posterOwnerRows(ctx context.Context) *gorm.DB {
	return e.DB.WithContext(ctx).Table("people").
		Select("people.code, people.campaign, people.person, people.facts, identities.user_key, identities.nickname_enc, identities.avatar_enc").
		Joins("LEFT JOIN identities ON identities.no = people.person").
		Where("people.joined_at > 0")
}

// openPosterOwner opens what is sealed of somebody.
func (e *Engine) openPosterOwner(r *posterOwnerRow) (PosterOwner, error) {
	var facts struct {
		Variant string `json:"variant"`
	}
	if err := json.Unmarshal([]byte(r.Facts), &facts); err != nil {
		return PosterOwner{}, err
	}
	nickname, err1 := e.sealer.Open(r.NicknameEnc)
	avatar, err2 := e.sealer.Open(r.AvatarEnc)
	if err := errors.Join(err1, err2); err != nil {
		// A poster without a name is better than none.
		e.Log.Error("a person's row does not open", "person", r.Person, "err", err)
	}
	return PosterOwner{Code: r.Code, Nickname: nickname, AvatarURL: avatar, Variant: facts.Variant, campaign: r.Campaign, person: r.Person}, nil
}

// posterOwner is the participant behind a code; fault.NotFound for a code that nobody has.
func (e *Engine) posterOwner(ctx context.Context, text string) (PosterOwner, error) {
	known, ok := code.Parse(text)
	if ok {
		var who PosterOwner
		var err error
		if who, ok, err = e.posterOwners.get(ctx, known); err != nil {
			return who, err
		}
		if ok {
			return who, nil
		}
	}
	return PosterOwner{}, fault.New(fault.NotFound, "nobody has this code")
}

// readPosterOwners reads the participants behind codes.
func (e *Engine) readPosterOwners(ctx context.Context, codes []string) (map[string]PosterOwner, error) {
	var rows []posterOwnerRow
	err := e.posterOwnerRows(ctx).Joins("JOIN codes ON codes.campaign = people.campaign AND codes.person = people.person").
		Where("codes.code IN ?", codes).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	found := make(map[string]PosterOwner, len(rows))
	for i := range rows {
		if found[rows[i].Code], err = e.openPosterOwner(&rows[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// PosterOwnersByCode finds participants of a campaign by their codes; who is not there is left out.
func (e *Engine) PosterOwnersByCode(ctx context.Context, campaign string, codes []string) (map[string]PosterOwner, error) {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return nil, err
	}
	all := map[string]PosterOwner{}
	for part := range slices.Chunk(codes, inChunk) {
		found, err := e.readPosterOwners(ctx, part)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(found, func(_ string, s PosterOwner) bool { return s.campaign != c.no })
		maps.Copy(all, found)
	}
	return all, nil
}

// PosterOwnersByUser finds participants of a campaign by their user ids; who is not there is left out.
func (e *Engine) PosterOwnersByUser(ctx context.Context, campaign string, users []string) (map[string]PosterOwner, error) {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return nil, err
	}
	all := map[string]PosterOwner{}
	for part := range slices.Chunk(users, inChunk) {
		keys, byKey := make([][]byte, len(part)), make(map[[seal.LookupSize]byte]string, len(part))
		for i, u := range part {
			key := e.lookup(c.no, u).key
			keys[i], byKey[key] = key[:], u
		}
		var rows []posterOwnerRow
		err := e.posterOwnerRows(ctx).Where("identities.campaign = ? AND identities.user_key IN ? AND people.campaign = ?", c.no, keys, c.no).
			Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if all[byKey[[seal.LookupSize]byte(rows[i].UserKey)]], err = e.openPosterOwner(&rows[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// EachPosterOwner shows all participants of a campaign in the order in which it first saw them, some at a time, until seen
// fails.
func (e *Engine) EachPosterOwner(ctx context.Context, campaign string, seen func([]PosterOwner) error) error {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return err
	}
	for last := int64(0); ; {
		var rows []posterOwnerRow
		err := e.posterOwnerRows(ctx).Where("people.campaign = ? AND people.person > ?", c.no, last).
			Order("people.person").Limit(inChunk).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		some := make([]PosterOwner, len(rows))
		for i := range rows {
			if some[i], err = e.openPosterOwner(&rows[i]); err != nil {
				return err
			}
		}
		last = rows[len(rows)-1].Person
		if err := seen(some); err != nil {
			return err
		}
	}
}

// Printer prints posters of a campaign as it stands, for whoever prints many. It is safe for many goroutines.
type Printer struct {
	engine *Engine
	board  posterSource
}

// Printer is a campaign's. It fails where a poster could not be printed with the files that are there.
func (e *Engine) Printer(ctx context.Context, campaign string) (*Printer, error) {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return nil, err
	}
	if c.definition.Poster.IsZero() {
		return nil, fault.New(fault.NotFound, "campaign %q describes no poster", cutID(campaign))
	}
	p := &Printer{engine: e}
	if p.board, err = e.readPosterSource(ctx, c); err != nil {
		return nil, err
	}
	return p, e.printable(ctx, c)
}

// Format is the campaign's own, "jpeg" or "png".
func (p *Printer) Format() string {
	return PosterTemplate(p.board.campaign.definition, "").Format
}

// Append prints somebody's poster and appends the file to dst. An empty picture is drawn as an initial.
func (p *Printer) Append(ctx context.Context, dst []byte, format string, who PosterOwner, avatar []byte) ([]byte, error) {
	link, err := p.engine.printedLink(ctx, p.board.campaign.definition, who.Code)
	if err != nil {
		return dst, err
	}
	press, err := p.engine.press(p.board, who.Variant)
	if err != nil {
		return dst, err
	}
	return press.Append(dst, format, poster.Person{
		Code: who.Code, Link: link, Nickname: who.Nickname, Avatar: avatar,
	})
}
