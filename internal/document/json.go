package document

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// jsonTree reads JSON, with JSON's own rules for escapes, which YAML readers get wrong (surrogate pairs).
func jsonTree(source []byte) (*Value, *Problem) {
	r := &jsonReader{source: source, decoder: json.NewDecoder(bytes.NewReader(source))}
	r.decoder.UseNumber()
	return r.value(0)
}

type jsonReader struct {
	source  []byte
	decoder *json.Decoder
	offset  int
	line    int // of offset, counted on as tokens are read, so that reading stays linear
	column  int // characters before offset on that line
}

// next is the next token with where it begins. The source is known to be valid JSON.
func (r *jsonReader) next() (t json.Token, line, column int) {
	begin := int(r.decoder.InputOffset())
	for begin < len(r.source) && strings.IndexByte(" \t\r\n,:", r.source[begin]) >= 0 {
		begin++
	}
	for ; r.offset < begin; r.offset++ {
		switch c := r.source[r.offset]; {
		case c == '\n':
			r.line, r.column = r.line+1, 0
		case utf8.RuneStart(c):
			r.column++
		}
	}
	t, _ = r.decoder.Token()
	return t, r.line + 1, r.column + 1
}

func (r *jsonReader) value(depth int) (*Value, *Problem) {
	t, line, column := r.next()
	v := &Value{Line: line, Column: column}
	if depth > maxDepth {
		return nil, &Problem{Line: line, Column: column, Message: tooDeep, Mend: "no key lies so deep"}
	}
	switch t := t.(type) {
	case json.Delim:
		v.Kind = List
		if t == '{' {
			v.Kind = Mapping
		}
		for r.decoder.More() {
			e := &Entry{}
			if v.Kind == Mapping {
				var key json.Token
				key, e.Line, e.Column = r.next()
				e.Name, _ = key.(string)
			}
			child, problem := r.value(depth + 1)
			if problem != nil {
				return nil, problem
			}
			e.Value = child
			if v.Kind == Mapping {
				v.Entries = append(v.Entries, e)
			} else {
				v.Items = append(v.Items, child)
			}
		}
		r.next()
	case string:
		v.Kind, v.Text, v.Quoted = Text, t, true
	case bool:
		v.Kind, v.Text = Boolean, strconv.FormatBool(t)
	case json.Number:
		v.Kind, v.Text = Decimal, t.String()
		if whole, err := t.Int64(); err == nil {
			v.Kind, v.Whole = Integer, whole
		}
	}
	return v, nil
}

// JSON writes the value as JSON that Read reads as the same value. Keys stay in their order.
func (v *Value) JSON() []byte { return v.appendJSON(nil) }

func (v *Value) appendJSON(out []byte) []byte {
	switch v.Kind {
	case Text:
		return appendString(out, strings.TrimRight(v.Text, v.ending()))
	case Integer, Decimal, Boolean:
		if plain := []byte(v.Text); json.Valid(plain) {
			return append(out, plain...)
		}
		return appendString(out, v.Text) // a number as only YAML writes it
	case List:
		out = append(out, '[')
		for i, item := range v.Items {
			if i > 0 {
				out = append(out, ',')
			}
			out = item.appendJSON(out)
		}
		return append(out, ']')
	case Mapping:
		out = append(out, '{')
		for i, e := range v.Entries {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, e.Name), ':')
			out = e.Value.appendJSON(out)
		}
		return append(out, '}')
	}
	return append(out, "null"...)
}

// ending is what a text ends with that is not meant: the line break of a block.
func (v *Value) ending() string {
	if v.Block {
		return "\n"
	}
	return ""
}

func appendString(out []byte, s string) []byte {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string, to memory
	return append(out, bytes.TrimRight(quoted.Bytes(), "\n")...)
}
