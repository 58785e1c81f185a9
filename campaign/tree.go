package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// What a file may be at most. A full definition is some 4 KiB and 5 deep.
const (
	maxBytes = 256 << 10
	maxDepth = 16
	// maxIndent bounds how far right a block may begin, and so how deep blocks may nest before anything
	// recurses over them.
	maxIndent = 512
	// maxTokens bounds what the library reads: its time grows with the square of a mapping's keys. The largest
	// definition that means something stays below.
	maxTokens = 40_000
	// maxKeys bounds one mapping for the same reason. The largest that means something has 64.
	maxKeys = 512
	// maxLines bounds the lines, maxEmpty the empty ones in a row, of which the library's time grows with the square.
	maxLines = 8_000
	maxEmpty = 500
)

type kind int

const (
	null kind = iota
	text
	integer
	decimal
	boolean
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"nothing", "text", "a whole number", "a number", "true or false", "a list", "a mapping"}[k]
}

// value is one node of a file, the same for YAML and JSON.
type value struct {
	kind         kind
	text         string // of text: what it says; of numbers and booleans: as written
	whole        int64  // of integer
	line, column int    // where it begins, from 1, columns in characters
	quoted       bool   // text that begins with a quotation mark
	block        bool   // text that begins on a later line (| or >)
	entries      []*entry
	items        []*value

	path string // the field, set by the reader
	at   place  // where problems of it point to, set by the reader
}

// entry is one key of a mapping with its value.
type entry struct {
	name         string
	line, column int
	value        *value
}

// tree reads a source into values. It fails with the first thing that is not well-formed.
func tree(source []byte) (root *value, problem *Problem) {
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
	return yamlTree(string(source))
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

// yamlTree reads YAML. Anchors, aliases, merge keys, tags, directives and `? ` keys are refused on the flat tokens,
// before anything recurses: none of them has a use here, and together they let a small file mean a very large one.
func yamlTree(source string) (root *value, problem *Problem) {
	// A malformed file must never stop a server; the library's own mistakes end here as a problem of the file.
	defer func() {
		if failure := recover(); failure != nil {
			root, problem = nil, &Problem{Line: 1, Column: 1, Message: "this is not well-formed YAML", Mend: "check its indentation, quotes and brackets"}
		}
	}()
	source = strings.ReplaceAll(source, "\r\n", "\n")
	if at := strings.IndexByte(source, '\r'); at >= 0 {
		line, column := position([]byte(source), at)
		return nil, &Problem{Line: line, Column: column, Message: "a carriage return stands alone here", Mend: "end lines with a line feed"}
	}
	if strings.Count(source, "\n") > maxLines {
		return nil, &Problem{Line: maxLines + 1, Column: 1, Message: fmt.Sprintf("the file has more than %d lines", maxLines), Mend: "leave some out"}
	}
	if line := emptyLines(source); line > 0 {
		return nil, &Problem{Line: line, Column: 1, Message: fmt.Sprintf("there are more than %d empty lines in a row", maxEmpty), Mend: "leave them out"}
	}
	tokens := lexer.Tokenize(source)
	if p := refuse(tokens); p != nil {
		return nil, p
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		return nil, syntaxProblem(err)
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		next, problem := fromYAML(doc.Body, 0)
		if problem != nil {
			return nil, problem
		}
		if root != nil {
			return nil, &Problem{Line: next.line, Column: next.column, Message: "a second document begins here", Mend: "write one campaign in one file"}
		}
		root = next
	}
	if root == nil {
		return nil, &Problem{Line: 1, Column: 1, Message: "the file is empty", Mend: "start with `campaign: a-name`"}
	}
	return root, nil
}

// emptyLines is the line at which there are more than maxEmpty empty ones in a row; 0 for none.
func emptyLines(source string) int {
	line, empty := 0, 0
	for each := range strings.Lines(source) {
		line++
		empty++
		if strings.TrimSpace(each) != "" {
			empty = 0
		}
		if empty > maxEmpty {
			return line
		}
	}
	return 0
}

func refuse(tokens token.Tokens) *Problem {
	if len(tokens) > maxTokens {
		line, column := tokenPlace(tokens[maxTokens])
		return &Problem{
			Line: line, Column: column,
			Message: "the file says more than any campaign needs",
			Mend:    fmt.Sprintf("stay below %d words and signs", maxTokens),
		}
	}
	depth, keys := 0, keyCounter{}
	for _, t := range tokens {
		message, mend := "", ""
		if keys.next(t, depth) > maxKeys {
			message, mend = fmt.Sprintf("there are more than %d keys in one mapping", maxKeys), "leave some out"
		}
		switch t.Type {
		case token.AnchorType, token.AliasType:
			message, mend = "anchors and aliases are not read here", "write the value out; put text that begins with & or * in quotes"
		case token.MergeKeyType:
			message, mend = "merge keys are not read here", "write the keys out"
		case token.TagType:
			message, mend = "tags are not read here", "put text that begins with ! in quotes"
		case token.DirectiveType:
			message, mend = "directives are not read here", "remove the line; put text that begins with % in quotes"
		case token.MappingKeyType:
			message, mend = "keys that begin with ? are not read here", "write `key: value`"
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		case token.SequenceEntryType, token.MappingValueType:
			if depth == 0 && t.Position.Column > maxIndent {
				message, mend = tooDeep, "put it further left"
			}
		}
		if depth > maxDepth {
			message, mend = tooDeep, "no key of a campaign lies so deep"
		}
		if message != "" {
			line, column := tokenPlace(t)
			return &Problem{Line: line, Column: column, Message: message, Mend: mend}
		}
	}
	return nil
}

// keyCounter counts the keys of the mappings that are open: in brackets one for each depth, else one for each column.
type keyCounter struct {
	blocks []keyCount
	flows  [maxDepth + 2]int
}

type keyCount struct{ column, keys int }

// next takes a token and gives how many keys its mapping has by now; 0 when it is no key.
func (k *keyCounter) next(t *token.Token, depth int) int {
	switch {
	case t.Type == token.MappingStartType, t.Type == token.SequenceStartType:
		k.flows[max(depth, 0)+1] = 0
	case t.Type == token.SequenceEntryType && depth == 0:
		k.close(t.Position.Column)
	case t.Type == token.MappingValueType && depth > 0:
		k.flows[depth]++
		return k.flows[depth]
	case t.Type == token.MappingValueType && t.Prev != nil:
		column := t.Prev.Position.Column
		k.close(column)
		if n := len(k.blocks); n == 0 || k.blocks[n-1].column < column {
			k.blocks = append(k.blocks, keyCount{column: column})
		}
		last := &k.blocks[len(k.blocks)-1]
		last.keys++
		return last.keys
	}
	return 0
}

// close forgets the mappings further right than a column.
func (k *keyCounter) close(column int) {
	for n := len(k.blocks); n > 0 && k.blocks[n-1].column > column; n-- {
		k.blocks = k.blocks[:n-1]
	}
}

const tooDeep = "this is nested too deeply"

func syntaxProblem(err error) *Problem {
	p := &Problem{Line: 1, Column: 1, Message: "this is not well-formed YAML", Mend: "check its indentation, quotes and brackets"}
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		p.Message += ": " + syntax.Message
		if syntax.Token != nil {
			p.Line, p.Column = tokenPlace(syntax.Token)
		}
	}
	return p
}

func tokenPlace(t *token.Token) (line, column int) {
	if t == nil || t.Position == nil {
		return 1, 1
	}
	return max(t.Position.Line, 1), max(t.Position.Column, 1)
}

func fromYAML(node ast.Node, depth int) (*value, *Problem) {
	v := &value{}
	v.line, v.column = tokenPlace(node.GetToken())
	if depth > maxDepth {
		return nil, &Problem{Line: v.line, Column: v.column, Message: tooDeep, Mend: "no key of a campaign lies so deep"}
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		return v, v.takeEntries(n.Values, n.Start, n.IsFlowStyle, depth)
	case *ast.MappingValueNode:
		return v, v.takeEntries([]*ast.MappingValueNode{n}, nil, false, depth)
	case *ast.SequenceNode:
		v.kind = list
		for _, item := range n.Values {
			child, problem := fromYAML(item, depth+1)
			if problem != nil {
				return nil, problem
			}
			v.items = append(v.items, child)
		}
	case *ast.NullNode:
		v.kind = null
	case *ast.BoolNode:
		v.kind, v.text = boolean, strconv.FormatBool(n.Value)
	case *ast.IntegerNode:
		v.kind, v.text = integer, n.Token.Value
		switch number := n.Value.(type) {
		case int64:
			v.whole = number
		case uint64:
			if number > 1<<63-1 {
				v.kind = decimal
				break
			}
			v.whole = int64(number)
		}
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.kind, v.text = decimal, n.GetToken().Value
	case *ast.StringNode:
		v.kind, v.text = text, n.Value
		v.quoted = n.Token.Type == token.DoubleQuoteType || n.Token.Type == token.SingleQuoteType
	case *ast.LiteralNode:
		v.kind, v.text, v.block = text, n.Value.Value, true
	default:
		return nil, &Problem{Line: v.line, Column: v.column, Message: "this is not read here", Mend: "write a plain value"}
	}
	return v, nil
}

func (v *value) takeEntries(values []*ast.MappingValueNode, start *token.Token, flow bool, depth int) *Problem {
	v.kind = mapping
	if flow && start != nil {
		v.line, v.column = tokenPlace(start)
	} else if len(values) > 0 {
		v.line, v.column = tokenPlace(values[0].Key.GetToken())
	}
	for _, pair := range values {
		child, problem := fromYAML(pair.Value, depth+1)
		if problem != nil {
			return problem
		}
		key := pair.Key.GetToken()
		e := &entry{name: key.Value, value: child}
		e.line, e.column = tokenPlace(key)
		if child.kind == null {
			child.line, child.column = e.line, e.column
		}
		v.entries = append(v.entries, e)
	}
	return nil
}

// jsonTree reads JSON, with JSON's own rules for escapes, which YAML readers get wrong (surrogate pairs).
func jsonTree(source []byte) (*value, *Problem) {
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

func (r *jsonReader) value(depth int) (*value, *Problem) {
	t, line, column := r.next()
	v := &value{line: line, column: column}
	if depth > maxDepth {
		return nil, &Problem{Line: line, Column: column, Message: tooDeep, Mend: "no key of a campaign lies so deep"}
	}
	switch t := t.(type) {
	case json.Delim:
		v.kind = list
		if t == '{' {
			v.kind = mapping
		}
		for r.decoder.More() {
			e := &entry{}
			if v.kind == mapping {
				var key json.Token
				key, e.line, e.column = r.next()
				e.name, _ = key.(string)
			}
			child, problem := r.value(depth + 1)
			if problem != nil {
				return nil, problem
			}
			e.value = child
			if v.kind == mapping {
				v.entries = append(v.entries, e)
			} else {
				v.items = append(v.items, child)
			}
		}
		r.next()
	case string:
		v.kind, v.text, v.quoted = text, t, true
	case bool:
		v.kind, v.text = boolean, strconv.FormatBool(t)
	case json.Number:
		v.kind, v.text = decimal, t.String()
		if whole, err := t.Int64(); err == nil {
			v.kind, v.whole = integer, whole
		}
	}
	return v, nil
}
