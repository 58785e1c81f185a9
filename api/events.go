package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
	"kfactor/internal/fault"
)

// mostEvents is how many events one body may hold.
const mostEvents = 1000

const (
	ndjson    = "application/x-ndjson"
	jsonLines = "application/jsonl"
)

// acceptEvents takes events from outside: one, many, or one a line. What cannot be taken is told by its place in
// the body, and the rest is taken.
func (s *server) acceptEvents(c echo.Context) error {
	form, err := mediaType(c, echo.MIMEApplicationJSON, ndjson, jsonLines)
	if err != nil {
		return err
	}
	batch, err := parseEvents(form, bodyOf(c))
	if err != nil {
		return err
	}
	receipt := engine.Receipt{}
	if len(batch.events) > 0 {
		if receipt, err = s.engine.Accept(c.Request().Context(), batch.events); err != nil {
			return err
		}
	}
	return answer(c, http.StatusAccepted, batch.told(receipt))
}

// batch is what a body held.
type batch struct {
	events   []engine.Incoming
	places   []int // of each event in the body
	rejected []engine.Rejection
}

// add reads one element of the body, by object or by flat.
func (b *batch) add(raw []byte, read func([]byte, map[string]any) error) {
	at := len(b.events) + len(b.rejected)
	var ev engine.Incoming
	err := inOneLine(read(raw, places(&ev)))
	if err != nil {
		b.rejected = append(b.rejected, engine.Rejection{Index: at, ID: idOf(raw), Error: err.Error()})
		return
	}
	b.events = append(b.events, ev)
	b.places = append(b.places, at)
}

func (b *batch) full() bool { return len(b.events)+len(b.rejected) >= mostEvents }

// told is the receipt for the whole body: with what could not be read, each rejection by its place in the body.
func (b *batch) told(r engine.Receipt) engine.Receipt {
	rejected := append([]engine.Rejection{}, b.rejected...)
	for _, no := range r.Rejected {
		no.Index = b.places[no.Index]
		rejected = append(rejected, no)
	}
	slices.SortFunc(rejected, func(a, b engine.Rejection) int { return a.Index - b.Index })
	r.Rejected = rejected
	return r
}

var errTooMany = fault.New(fault.TooLarge, "the body holds more than %d events; send them in several", mostEvents)

// parseEvents reads a body of events in the given form. Only a body that is no JSON at all is an error.
func parseEvents(form string, raw []byte) (batch, error) {
	raw = withoutMark(raw)
	if form == ndjson || form == jsonLines {
		return parseLines(raw)
	}
	if err := plausible(raw); err != nil {
		return batch{}, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		if _, ok := errors.AsType[*json.SyntaxError](err); ok {
			return batch{}, syntaxFault(raw, err)
		}
		return batch{}, fault.New(fault.Invalid, `the body is neither an event nor {"events": [...]}`)
	}
	var (
		b      batch
		many   bool
		single = map[string]json.RawMessage{}
	)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return batch{}, broken(raw, err)
		}
		if name == "events" && many {
			return batch{}, fault.Fields("the JSON object does not fit", twice("events"))
		}
		if name == "events" {
			many = true
			if err := b.addAll(dec); err != nil {
				return batch{}, broken(raw, err)
			}
			continue
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return batch{}, broken(raw, err)
		}
		single[name.(string)] = value
	}
	if _, err := dec.Token(); err != nil {
		return batch{}, broken(raw, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return batch{}, fault.New(fault.Invalid, "there is more after the JSON object; send several events as {\"events\": [...]} or, one a line, as %s", ndjson)
	}
	if many {
		return b, place(single, map[string]any{"events": nil})
	}
	if err := unambiguous(raw); err != nil {
		return batch{}, err
	}
	var ev engine.Incoming
	if err := place(single, places(&ev)); err != nil {
		return batch{}, err
	}
	return batch{events: []engine.Incoming{ev}, places: []int{0}}, nil
}

// addAll reads the elements of an array.
func (b *batch) addAll(dec *json.Decoder) error {
	if t, err := dec.Token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return fault.Fields("the JSON object does not fit", fault.Field{Field: "events", Message: "must be an array of events"})
	}
	for dec.More() {
		if b.full() {
			return errTooMany
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		b.add(raw, flat) // the whole body was looked at
	}
	_, err := dec.Token()
	return err
}

// broken is an error in the middle of a body.
func broken(raw []byte, err error) error {
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fault.Wrap(fault.Invalid, err, "the JSON ends too early")
	}
	return syntaxFault(raw, err)
}

// parseLines reads one event a line; empty lines are none.
func parseLines(raw []byte) (batch, error) {
	var b batch
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if b.full() {
			return batch{}, errTooMany
		}
		b.add(line, object)
	}
	if len(b.events)+len(b.rejected) == 0 {
		return batch{}, fault.New(fault.Invalid, "the body is empty; send one event a line")
	}
	return b, nil
}

// inOneLine says all that is wrong with an event in one sentence.
func inOneLine(err error) error {
	said, ok := errors.AsType[*fault.Error](err)
	if !ok || len(said.Fields) == 0 {
		return err
	}
	parts := make([]string, len(said.Fields))
	for i, f := range said.Fields {
		parts[i] = f.Field + " " + f.Message
	}
	return fault.New(fault.Invalid, "%s", strings.Join(parts, "; "))
}

// places are the fields of an event.
func places(ev *engine.Incoming) map[string]any {
	return map[string]any{
		"id": &ev.ID, "campaign": &ev.Campaign, "type": &ev.Type, "user": &ev.User, "code": &ev.Code,
		"time": &ev.Time, "data": &ev.Data,
	}
}

// idOf is the id of an event that cannot be read otherwise, "" when not even that can.
func idOf(raw []byte) string {
	var ev struct {
		ID json.RawMessage `json:"id"`
	}
	var id string
	if json.Unmarshal(raw, &ev) != nil || json.Unmarshal(ev.ID, &id) != nil {
		return ""
	}
	return clip(id, 128)
}

// explainEvent tells what one event led to, whoever it is of.
func (s *server) explainEvent(c echo.Context) error {
	v, err := s.engine.ExplainEvent(c.Request().Context(), param(c, "id"), param(c, "event"), names(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// listEvents is a campaign's journal.
func (s *server) listEvents(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	system, err := flag(c, "system")
	if err != nil {
		return err
	}
	list, err := s.engine.Events(c.Request().Context(), param(c, "id"), system, page, names(c))
	if err != nil {
		return err
	}
	return sendList(c, list)
}

// flag is a parameter that is true or false; false when it is not given.
func flag(c echo.Context, name string) (bool, error) {
	said := c.QueryParam(name)
	if said == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(said)
	if err != nil {
		return false, badQuery(name, "must be true or false")
	}
	return on, nil
}
