package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
	"kfactor/internal/fault"
)

// mediaType is the body's type without parameters, refused when it is none of those that are read here. The
// first is assumed when the request does not say.
func mediaType(c echo.Context, read ...string) (string, error) {
	header := c.Request().Header.Get(echo.HeaderContentType)
	if header == "" {
		return read[0], nil
	}
	t, params, err := mime.ParseMediaType(header)
	if err != nil || !slices.Contains(read, t) {
		return "", fault.New(fault.Unsupported, "Content-Type is %q; send %s", clip(header, 100), oneOf(read))
	}
	if set := params["charset"]; set != "" && !strings.EqualFold(set, "utf-8") {
		return "", fault.New(fault.Unsupported, "the charset is %q; send UTF-8", clip(set, 40))
	}
	return t, nil
}

// withoutMark is a text without the byte order mark that some programs begin a file with.
func withoutMark(raw []byte) []byte { return bytes.TrimPrefix(raw, []byte("\uFEFF")) }

// readObject reads the body as one flat JSON object: each known name into its place. An empty body is as good as
// {} when nothing in it is required.
func readObject(c echo.Context, required bool, places map[string]any) error {
	if _, err := mediaType(c, echo.MIMEApplicationJSON); err != nil && c.Request().ContentLength != 0 {
		return err
	}
	raw := withoutMark(bodyOf(c))
	if len(bytes.TrimSpace(raw)) == 0 && !required {
		return nil
	}
	return object(raw, places)
}

// object reads one flat JSON object strictly: unknown names and wrong types are refused by name, all at once.
func object(raw []byte, places map[string]any) error {
	if err := plausible(raw); err != nil {
		return err
	}
	return flat(raw, places)
}

// flat is object for bytes that are known to be plausible.
func flat(raw []byte, places map[string]any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil || fields == nil {
		return syntaxFault(raw, err)
	}
	if err := unambiguous(raw); err != nil {
		return err
	}
	return place(fields, places)
}

// place puts each field where it belongs.
func place(fields map[string]json.RawMessage, places map[string]any) error {
	var wrong []fault.Field
	for name, raw := range fields {
		at, ok := places[name]
		if !ok {
			wrong = append(wrong, fault.Field{
				Field:   clip(name, 64),
				Message: "is not known here; known are " + strings.Join(slices.Sorted(maps.Keys(places)), ", "),
			})
			continue
		}
		if string(raw) == "null" { // as good as absent
			continue
		}
		if err := put(raw, at); err != nil {
			wrong = append(wrong, fault.Field{Field: name, Message: "must be " + typeText(at)})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	slices.SortFunc(wrong, func(a, b fault.Field) int { return strings.Compare(a.Field, b.Field) })
	const shown = 20
	return fault.Fields("the JSON object does not fit", wrong[:min(len(wrong), shown)]...)
}

// put reads one value. Most are strings without escapes, which need no parser.
func put(raw json.RawMessage, at any) error {
	switch at := at.(type) {
	case *string:
		if last := len(raw) - 1; last > 0 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 {
			*at = string(raw[1:last])
			return nil
		}
	case *json.RawMessage:
		*at = raw
		return nil
	}
	return json.Unmarshal(raw, at)
}

func typeText(place any) string {
	switch place.(type) {
	case *string:
		return "a string"
	case *bool:
		return "true or false"
	case **time.Time:
		return "a time such as 2026-03-02T10:00:00+08:00"
	}
	return "something else"
}

const maxDepth = 32

// plausible refuses what cannot be good JSON before it costs anything: no bytes, other text than UTF-8, and
// brackets within brackets within brackets.
func plausible(raw []byte) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return fault.New(fault.Invalid, "the body is empty; send a JSON object")
	}
	if !utf8.Valid(raw) {
		return fault.New(fault.Invalid, "the body is not UTF-8")
	}
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch b := raw[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '{' || b == '[':
			if depth++; depth > maxDepth {
				return tooDeep()
			}
		case b == '}' || b == ']':
			depth--
		}
	}
	return nil
}

func tooDeep() error {
	return fault.New(fault.Invalid, "the JSON is nested deeper than %d levels", maxDepth)
}

// syntaxFault says where the JSON goes wrong.
func syntaxFault(raw []byte, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := raw[:min(int(syntax.Offset), len(raw))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
		return fault.Wrap(fault.Invalid, err, "the body is not JSON: %s at line %d, column %d", syntax.Error(), line, column)
	}
	return fault.Wrap(fault.Invalid, err, "the body is not a JSON object")
}

// onlyQuery refuses parameters that nobody here reads, so that a misspelt filter does not silently filter nothing.
func onlyQuery(c echo.Context, known []string) error {
	if c.Request().URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(c.Request().URL.RawQuery)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the query string is not well formed")
	}
	var wrong []fault.Field
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name):
			said := "is not a parameter here"
			if len(known) > 0 {
				said += "; known are " + strings.Join(known, ", ")
			}
			wrong = append(wrong, fault.Field{Field: clip(name, 64), Message: said})
		case len(values[name]) > 1:
			wrong = append(wrong, fault.Field{Field: name, Message: "is given more than once"})
		case !utf8.ValidString(values[name][0]):
			wrong = append(wrong, fault.Field{Field: name, Message: "is not UTF-8"})
		case len(values[name][0]) > 512:
			wrong = append(wrong, fault.Field{Field: name, Message: "is longer than 512 bytes"})
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fault.Fields("the query does not fit", wrong[:min(len(wrong), 20)]...)
}

// pageOf reads limit and cursor.
func pageOf(c echo.Context) (engine.Page, error) {
	p := engine.Page{Limit: 100, Cursor: c.QueryParam("cursor")}
	if c.QueryParams().Has("limit") {
		n, err := strconv.Atoi(c.QueryParam("limit"))
		if err != nil || n < 1 || n > 1000 {
			return p, badQuery("limit", "must be a whole number from 1 to 1000")
		}
		p.Limit = n
	}
	return p, nil
}

// slice is one page of a list that is at hand as a whole. Its cursors are positions.
func slice[T any](all []T, p engine.Page) (engine.List[T], error) {
	from := 0
	if p.Cursor != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(p.Cursor, "from-"))
		if err != nil || n < 1 || !strings.HasPrefix(p.Cursor, "from-") {
			return engine.List[T]{}, badQuery("cursor", "is none of ours; begin without one and pass on what `next` says")
		}
		from = min(n, len(all))
	}
	to := min(from+p.Limit, len(all))
	list := engine.List[T]{Items: append([]T{}, all[from:to]...)}
	if to < len(all) {
		list.Next = "from-" + strconv.Itoa(to)
	}
	return list, nil
}

// sendList sends one page; an empty one is [] and not null.
func sendList[T any](c echo.Context, list engine.List[T]) error {
	if list.Items == nil {
		list.Items = []T{}
	}
	return answer(c, http.StatusOK, list)
}

// param is a part of the path as its sender meant it. The router leaves %2F and the like as they came.
func param(c echo.Context, name string) string {
	v := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return v
	}
	if plain, err := url.PathUnescape(v); err == nil {
		return plain
	}
	return v
}

func badQuery(name, message string) error {
	return fault.Fields("the query does not fit", fault.Field{Field: name, Message: message})
}

// clip shortens what came from outside before it is said back.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most] + "…"
}

func oneOf(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// bytesText is a size for people.
func bytesText(n int64) string {
	switch {
	case n >= mib:
		return strconv.FormatInt(n/mib, 10) + " MiB"
	case n >= kib:
		return strconv.FormatInt(n/kib, 10) + " KiB"
	}
	return fmt.Sprintf("%d bytes", n)
}
