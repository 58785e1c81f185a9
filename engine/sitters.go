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

// Sitter is a participant as their poster needs them.
type Sitter struct {
	Code, Nickname, AvatarURL string
	Variant                   string // of the poster, "" where there is only one
	campaign, person          int64
}

// sitterRow is all that a poster needs of somebody, in one row.
type sitterRow struct {
	Code        string
	Campaign    int64
	Person      int64
	Facts       string
	UserKey     []byte
	NicknameEnc []byte
	AvatarEnc   []byte
}

// sitting finds participants in one query, whatever comes after it.
func (e *Engine) sitting(ctx context.Context) *gorm.DB {
	return e.DB.WithContext(ctx).Table("people").
		Select("people.code, people.campaign, people.person, people.facts, identities.user_key, identities.nickname_enc, identities.avatar_enc").
		Joins("LEFT JOIN identities ON identities.no = people.person").
		Where("people.joined_at > 0")
}

// seat opens what is sealed of somebody.
func (e *Engine) seat(r *sitterRow) (Sitter, error) {
	var facts struct {
		Variant string `json:"variant"`
	}
	if err := json.Unmarshal([]byte(r.Facts), &facts); err != nil {
		return Sitter{}, err
	}
	nickname, err1 := e.sealer.Open(r.NicknameEnc)
	avatar, err2 := e.sealer.Open(r.AvatarEnc)
	if err := errors.Join(err1, err2); err != nil {
		// A poster without a name is better than none.
		e.Log.Error("a person's row does not open", "person", r.Person, "err", err)
	}
	return Sitter{Code: r.Code, Nickname: nickname, AvatarURL: avatar, Variant: facts.Variant, campaign: r.Campaign, person: r.Person}, nil
}

// sitter is the participant behind a code; fault.NotFound for a code that nobody has.
func (e *Engine) sitter(ctx context.Context, text string) (Sitter, error) {
	known, ok := code.Parse(text)
	if ok {
		var who Sitter
		var err error
		if who, ok, err = e.sitters.get(ctx, known); err != nil {
			return who, err
		}
		if ok {
			return who, nil
		}
	}
	return Sitter{}, fault.New(fault.NotFound, "nobody has this code")
}

// readSitters reads the participants behind codes.
func (e *Engine) readSitters(ctx context.Context, codes []string) (map[string]Sitter, error) {
	var rows []sitterRow
	err := e.sitting(ctx).Joins("JOIN codes ON codes.campaign = people.campaign AND codes.person = people.person").
		Where("codes.code IN ?", codes).Find(&rows).Error
	if err != nil {
		return nil, err
	}
	found := make(map[string]Sitter, len(rows))
	for i := range rows {
		if found[rows[i].Code], err = e.seat(&rows[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// SittersByCode finds participants of a campaign by their codes; who is not there is left out.
func (e *Engine) SittersByCode(ctx context.Context, campaign string, codes []string) (map[string]Sitter, error) {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return nil, err
	}
	all := map[string]Sitter{}
	for part := range slices.Chunk(codes, inChunk) {
		found, err := e.readSitters(ctx, part)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(found, func(_ string, s Sitter) bool { return s.campaign != c.no })
		maps.Copy(all, found)
	}
	return all, nil
}

// SittersByUser finds participants of a campaign by their user ids; who is not there is left out.
func (e *Engine) SittersByUser(ctx context.Context, campaign string, users []string) (map[string]Sitter, error) {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return nil, err
	}
	all := map[string]Sitter{}
	for part := range slices.Chunk(users, inChunk) {
		keys, byKey := make([][]byte, len(part)), make(map[[seal.LookupSize]byte]string, len(part))
		for i, u := range part {
			key := e.lookup(c.no, u).key
			keys[i], byKey[key] = key[:], u
		}
		var rows []sitterRow
		err := e.sitting(ctx).Where("identities.campaign = ? AND identities.user_key IN ? AND people.campaign = ?", c.no, keys, c.no).
			Find(&rows).Error
		if err != nil {
			return nil, err
		}
		for i := range rows {
			if all[byKey[[seal.LookupSize]byte(rows[i].UserKey)]], err = e.seat(&rows[i]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// EachSitter shows all participants of a campaign in the order in which it first saw them, some at a time, until seen
// fails.
func (e *Engine) EachSitter(ctx context.Context, campaign string, seen func([]Sitter) error) error {
	c, err := e.campaign(ctx, campaign)
	if err != nil {
		return err
	}
	for last := int64(0); ; {
		var rows []sitterRow
		err := e.sitting(ctx).Where("people.campaign = ? AND people.person > ?", c.no, last).
			Order("people.person").Limit(inChunk).Find(&rows).Error
		if err != nil || len(rows) == 0 {
			return err
		}
		some := make([]Sitter, len(rows))
		for i := range rows {
			if some[i], err = e.seat(&rows[i]); err != nil {
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
	board  easel
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
	if p.board, err = e.setUp(ctx, c); err != nil {
		return nil, err
	}
	return p, e.printable(ctx, c)
}

// Format is the campaign's own, "jpeg" or "png".
func (p *Printer) Format() string {
	return PosterTemplate(p.board.campaign.definition, "").Format
}

// Append prints somebody's poster and appends the file to dst. An empty picture is drawn as an initial.
func (p *Printer) Append(dst []byte, format string, who Sitter, avatar []byte) ([]byte, error) {
	press, err := p.engine.press(p.board, who.Variant)
	if err != nil {
		return dst, err
	}
	return press.Append(dst, format, poster.Person{
		Code: who.Code, Link: p.engine.InviteLink(who.Code), Nickname: who.Nickname, Avatar: avatar,
	})
}
