package api

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"

	"kfactor/internal/fault"
)

// unambiguous refuses JSON that one reader takes for this and another for that: a name twice in one object, and half
// of a surrogate pair in a string, which no text can hold and which readers turn into a character that is the same for
// all. raw is valid JSON otherwise.
func unambiguous(raw []byte) error {
	var levels [maxDepth]members // of the objects and arrays around the place that is looked at
	depth, due := -1, false      // due: the next string is a name
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '{', '[':
			if depth++; depth == len(levels) {
				return tooDeep()
			}
			due = raw[i] == '{'
			levels[depth].open(due)
		case '}', ']':
			depth--
			due = false
		case ',':
			due = depth >= 0 && levels[depth].object
		case '"':
			end := i + 1
			escaped := false
			for ; end < len(raw) && raw[end] != '"'; end++ {
				if raw[end] == '\\' {
					escaped = true
					end++
				}
			}
			text := raw[i+1 : min(end, len(raw))]
			i = end
			if escaped {
				if half := halfOfAPair(text); half != "" {
					return fault.New(fault.Invalid, `a string holds \u%s, which is half of a character; send whole ones`, half)
				}
			}
			if due {
				if name, ok := plainName(text, escaped); ok && levels[depth].has(name) {
					return fault.Fields("the JSON object does not fit", twice(string(name)))
				}
				due = false
			}
		}
	}
	return nil
}

// twice says that a name stands twice in one object.
func twice(name string) fault.Field {
	return fault.Field{Field: clip(name, 64), Message: "is given twice"}
}

// plainName is a name without escapes.
func plainName(text []byte, escaped bool) ([]byte, bool) {
	if !escaped {
		return text, true
	}
	var name string
	err := json.Unmarshal([]byte(`"`+string(text)+`"`), &name)
	return []byte(name), err == nil
}

// members are the names in one object.
type members struct {
	object bool
	few    [][]byte
	many   map[string]bool // instead of few, once there are many
}

// open begins a new object or array.
func (n *members) open(object bool) {
	n.object, n.few, n.many = object, n.few[:0], nil
}

const fewMembers = 16

// has says whether the name was there before, and keeps it.
func (n *members) has(name []byte) bool {
	if n.many == nil {
		for _, other := range n.few {
			if bytes.Equal(other, name) {
				return true
			}
		}
		if len(n.few) < fewMembers {
			if n.few == nil {
				n.few = make([][]byte, 0, 8)
			}
			n.few = append(n.few, name)
			return false
		}
		n.many = make(map[string]bool, 2*fewMembers)
		for _, other := range n.few {
			n.many[string(other)] = true
		}
	}
	if n.many[string(name)] {
		return true
	}
	n.many[string(name)] = true
	return false
}

// halfOfAPair is the first escape of half of a surrogate pair that the other half does not follow, "" for none.
func halfOfAPair(text []byte) string {
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			continue
		}
		r, ok := escapedUnit(text[i:])
		if !ok {
			i++ // another escape, perhaps of a backslash
			continue
		}
		i += 5
		if !utf16.IsSurrogate(r) {
			continue
		}
		if low, ok := escapedUnit(text[i+1:]); ok && utf16.DecodeRune(r, low) != '\uFFFD' {
			i += 6
			continue
		}
		return string(text[i-3 : i+1])
	}
	return ""
}

// escapedUnit is the UTF-16 unit of an escape such as \ud800 at the beginning of text.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
