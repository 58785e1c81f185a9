package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"kfactor/channel/wechat"
	"kfactor/internal/fault"
)

// tieReceipt says what became of many ties.
type tieReceipt struct {
	Tied      int            `json:"tied"`
	Unchanged int            `json:"unchanged"`
	Rejected  []tieRejection `json:"rejected"`
}

type tieRejection struct {
	Index  int    `json:"index"` // in the body, from 0
	Member string `json:"member"`
	Error  string `json:"error"`
}

// tiePlaces are the fields of a tie beside the member.
func tiePlaces(t *wechat.Tie) map[string]any {
	return map[string]any{"openid": &t.OpenID, "unionid": &t.UnionID, "replace": &t.Replace}
}

// members is where members of a shop's are kept; fault.NotFound without a channel.
func (s *server) members() (*wechat.Channels, error) {
	if s.wechat == nil {
		return nil, fault.New(fault.NotFound, "no channel is configured")
	}
	return s.wechat, nil
}

// tieMember ties one member of a shop's to a follower.
func (s *server) tieMember(c echo.Context) error {
	members, err := s.members()
	if err != nil {
		return err
	}
	channel := param(c, "channel")
	tie := wechat.Tie{Member: param(c, "member")}
	if err := readObject(c, true, tiePlaces(&tie)); err != nil {
		return err
	}
	done, err := members.TieMembers(c.Request().Context(), channel, []wechat.Tie{tie})
	if err == nil {
		err = done[0].Err
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if done[0].New {
		status = http.StatusCreated
	}
	return answer(c, status, wechat.Member{Channel: channel, Member: tie.Member, Tied: true})
}

// tieMembers ties many. What cannot be tied is told by its place in the body, and the rest is tied.
func (s *server) tieMembers(c echo.Context) error {
	members, err := s.members()
	if err != nil {
		return err
	}
	if _, err := mediaType(c, echo.MIMEApplicationJSON); err != nil {
		return err
	}
	batch, err := parseTies(bodyOf(c))
	if err != nil {
		return err
	}
	done, err := members.TieMembers(c.Request().Context(), param(c, "channel"), batch.ties)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, batch.told(done))
}

// readMember tells whether a member of a shop's is tied, and to whom.
func (s *server) readMember(c echo.Context) error {
	members, err := s.members()
	if err != nil {
		return err
	}
	v, err := members.Member(c.Request().Context(), param(c, "channel"), param(c, "member"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// untieMember forgets one.
func (s *server) untieMember(c echo.Context) error {
	members, err := s.members()
	if err != nil {
		return err
	}
	channel, member := param(c, "channel"), param(c, "member")
	if err := members.Untie(c.Request().Context(), channel, member); err != nil {
		return err
	}
	return answer(c, http.StatusOK, wechat.Member{Channel: channel, Member: member})
}

// tieBatch is what a body of ties held.
type tieBatch struct {
	ties     []wechat.Tie
	places   []int // of each tie in the body
	rejected []tieRejection
}

// parseTies reads {"members": [...]}. Only a body that is no such thing is an error.
func parseTies(raw []byte) (tieBatch, error) {
	raw = withoutMark(raw)
	if err := plausible(raw); err != nil {
		return tieBatch{}, err
	}
	all, err := listIn(raw, "members", wechat.MaxTies)
	if err != nil {
		return tieBatch{}, broken(raw, err)
	}
	var b tieBatch
	for i, one := range all {
		var tie wechat.Tie
		places := tiePlaces(&tie)
		places["member"] = &tie.Member
		if err := inOneLine(flat(one, places)); err != nil {
			b.rejected = append(b.rejected, tieRejection{Index: i, Member: clip(tie.Member, 128), Error: err.Error()})
			continue
		}
		b.ties, b.places = append(b.ties, tie), append(b.places, i)
	}
	return b, nil
}

// told is the receipt for the whole body.
func (b *tieBatch) told(done []wechat.Tied) tieReceipt {
	r := tieReceipt{Rejected: append([]tieRejection{}, b.rejected...)}
	for i, d := range done {
		switch {
		case d.Err != nil:
			r.Rejected = append(r.Rejected, tieRejection{Index: b.places[i], Member: clip(b.ties[i].Member, 128), Error: inOneLine(d.Err).Error()})
		case d.New:
			r.Tied++
		default:
			r.Unchanged++
		}
	}
	slices.SortFunc(r.Rejected, func(a, b tieRejection) int { return a.Index - b.Index })
	return r
}

// listIn is the list that a JSON object holds under a name and nothing beside it, each element as it came.
func listIn(raw []byte, name string, most int) ([]json.RawMessage, error) {
	fits := func(message string) error {
		return fault.Fields("the JSON object does not fit", fault.Field{Field: name, Message: message})
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil {
		return nil, err
	} else if t != json.Delim('{') {
		return nil, fits("must be a list in a JSON object")
	}
	var all []json.RawMessage
	seen := false
	for dec.More() {
		said, err := dec.Token()
		if err != nil {
			return nil, err
		}
		if said != name {
			return nil, place(map[string]json.RawMessage{said.(string): nil}, map[string]any{name: nil})
		}
		if seen {
			return nil, fault.Fields("the JSON object does not fit", twice(name))
		}
		seen = true
		if t, err := dec.Token(); err != nil {
			return nil, err
		} else if t != json.Delim('[') {
			return nil, fits("must be a list")
		}
		for dec.More() {
			if len(all) == most {
				return nil, fault.New(fault.TooLarge, "the body holds more than %d %s; send them in several", most, name)
			}
			var one json.RawMessage
			if err := dec.Decode(&one); err != nil {
				return nil, err
			}
			all = append(all, one)
		}
		if _, err := dec.Token(); err != nil {
			return nil, err
		}
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fault.New(fault.Invalid, "there is more after the JSON object")
	}
	if !seen {
		return nil, fits("is missing")
	}
	return all, nil
}
