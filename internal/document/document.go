// Package document reads files that people write, YAML or JSON, into values that know their line and column, and takes
// values out of them with every mistake told: where, what, and what to write instead. It is bounded in bytes, lines,
// keys and depth, and reads no anchors, tags or merge keys. It knows nothing of what the files are about.
package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"kfactor/internal/fault"
)

// What a file may be at most. A full campaign is some 4 KiB and 5 deep.
const (
	maxBytes = 256 << 10
	maxDepth = 16
	// maxIndent bounds how far right a block may begin, and so how deep blocks may nest before anything
	// recurses over them.
	maxIndent = 512
	// maxTokens bounds what the library reads: its time grows with the square of a mapping's keys. The largest
	// file that means something stays below.
	maxTokens = 40_000
	// maxKeys bounds one mapping for the same reason. The largest that means something has 64.
	maxKeys = 512
	// maxLines bounds the lines, maxEmpty the empty ones in a row, of which the library's time grows with the square.
	maxLines = 8_000
	maxEmpty = 500
)

// Problem is one thing wrong with a file: where, what, and what to write instead.
type Problem struct {
	File    string
	Line    int    // from 1
	Column  int    // in characters, from 1
	Field   string // such as tasks.order.when or tiers[1].requires.invite; "" for the file as a whole
	Message string
	Mend    string
}

// String is the problem as compilers write them, so that editors can jump to it.
func (p Problem) String() string {
	place := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Field != "" {
		place += p.Field + ": "
	}
	return place + p.sentence()
}

func (p Problem) sentence() string {
	if p.Mend == "" {
		return p.Message
	}
	return p.Message + "; " + p.Mend
}

// Fault is the problem as a field of bad input.
func (p Problem) Fault() fault.Field {
	return fault.Field{Field: p.Field, Message: p.sentence(), Line: p.Line, Column: p.Column}
}

// Fault is bad input with all the problems, nil when there are none. what names the file: the campaign file.
func Fault(what string, problems []Problem) *fault.Error {
	if len(problems) == 0 {
		return nil
	}
	fields := make([]fault.Field, len(problems))
	for i, p := range problems {
		fields[i] = p.Fault()
	}
	said := what + " has 1 problem"
	if len(fields) > 1 {
		said = fmt.Sprintf("%s has %d problems", what, len(fields))
	}
	return fault.Fields(said, fields...)
}

// Kind is what a value is.
type Kind int

// The kinds of values.
const (
	Null Kind = iota
	Text
	Integer
	Decimal
	Boolean
	List
	Mapping
)

func (k Kind) String() string {
	return [...]string{"nothing", "text", "a whole number", "a number", "true or false", "a list", "a mapping"}[k]
}

// Value is one node of a file, the same for YAML and JSON.
type Value struct {
	Kind         Kind
	Text         string // of text: what it says; of numbers and booleans: as written
	Whole        int64  // of an integer
	Line, Column int    // where it begins, from 1, columns in characters
	Quoted       bool   // text that begins with a quotation mark
	Block        bool   // text that begins on a later line (| or >)
	Entries      []*Entry
	Items        []*Value

	Path string // the field, set by a Reader
	At   Place  // where problems of it point to, set by a Reader
}

// Entry is one key of a mapping with its value.
type Entry struct {
	Name         string
	Line, Column int
	Value        *Value
}

// Place is where the key stands.
func (e *Entry) Place() Place { return Place{e.Line, e.Column} }

// Place is a spot in a file, from 1.
type Place struct{ Line, Column int }

// Read reads a source into values. It fails with the first thing that is not well-formed. begin is what to write into
// an empty file.
func Read(source []byte, begin string) (root *Value, problem *Problem) {
	source = bytes.TrimPrefix(source, []byte("\xef\xbb\xbf"))
	switch {
	case len(source) > maxBytes:
		return nil, &Problem{
			Line: 1, Column: 1,
			Message: fmt.Sprintf("the file has %d bytes, more than %d", len(source), maxBytes),
			Mend:    "keep pictures and lists of codes outside it",
		}
	case !utf8.Valid(source):
		line, column := position(source, invalidAt(source))
		return nil, &Problem{Line: line, Column: column, Message: "this is not UTF-8", Mend: "save the file as UTF-8"}
	}
	if head := bytes.TrimSpace(source); len(head) > 0 && head[0] == '{' && json.Valid(source) {
		return jsonTree(source)
	}
	return yamlTree(string(source), begin)
}

func invalidAt(source []byte) int {
	for i := 0; i < len(source); {
		r, n := utf8.DecodeRune(source[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return len(source)
}

// position is the line and column of a byte offset.
func position(source []byte, offset int) (line, column int) {
	before := source[:min(offset, len(source))]
	start := bytes.LastIndexByte(before, '\n') + 1
	return 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[start:])
}
