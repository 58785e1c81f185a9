package document

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// yamlTree reads YAML. Anchors, aliases, merge keys, tags, directives and `? ` keys are refused on the flat tokens,
// before anything recurses: none of them has a use here, and together they let a small file mean a very large one.
func yamlTree(source, begin string) (root *Value, problem *Problem) {
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
			return nil, &Problem{Line: next.Line, Column: next.Column, Message: "a second document begins here", Mend: "write it into a file of its own"}
		}
		root = next
	}
	if root == nil {
		return nil, &Problem{Line: 1, Column: 1, Message: "the file is empty", Mend: begin}
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
			Message: "the file says more than anybody means",
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
			message, mend = tooDeep, "no key lies so deep"
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

func fromYAML(node ast.Node, depth int) (*Value, *Problem) {
	v := &Value{}
	v.Line, v.Column = tokenPlace(node.GetToken())
	if depth > maxDepth {
		return nil, &Problem{Line: v.Line, Column: v.Column, Message: tooDeep, Mend: "no key lies so deep"}
	}
	switch n := node.(type) {
	case *ast.MappingNode:
		return v, v.takeEntries(n.Values, n.Start, n.IsFlowStyle, depth)
	case *ast.MappingValueNode:
		return v, v.takeEntries([]*ast.MappingValueNode{n}, nil, false, depth)
	case *ast.SequenceNode:
		v.Kind = List
		for _, item := range n.Values {
			child, problem := fromYAML(item, depth+1)
			if problem != nil {
				return nil, problem
			}
			v.Items = append(v.Items, child)
		}
	case *ast.NullNode:
		v.Kind = Null
	case *ast.BoolNode:
		v.Kind, v.Text = Boolean, strconv.FormatBool(n.Value)
	case *ast.IntegerNode:
		v.Kind, v.Text = Integer, n.Token.Value
		switch number := n.Value.(type) {
		case int64:
			v.Whole = number
		case uint64:
			if number > 1<<63-1 {
				v.Kind = Decimal
				break
			}
			v.Whole = int64(number)
		}
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		v.Kind, v.Text = Decimal, n.GetToken().Value
	case *ast.StringNode:
		v.Kind, v.Text = Text, n.Value
		v.Quoted = n.Token.Type == token.DoubleQuoteType || n.Token.Type == token.SingleQuoteType
	case *ast.LiteralNode:
		v.Kind, v.Text, v.Block = Text, n.Value.Value, true
	default:
		return nil, &Problem{Line: v.Line, Column: v.Column, Message: "this is not read here", Mend: "write a plain value"}
	}
	return v, nil
}

func (v *Value) takeEntries(values []*ast.MappingValueNode, start *token.Token, flow bool, depth int) *Problem {
	v.Kind = Mapping
	if flow && start != nil {
		v.Line, v.Column = tokenPlace(start)
	} else if len(values) > 0 {
		v.Line, v.Column = tokenPlace(values[0].Key.GetToken())
	}
	for _, pair := range values {
		child, problem := fromYAML(pair.Value, depth+1)
		if problem != nil {
			return problem
		}
		key := pair.Key.GetToken()
		e := &Entry{Name: key.Value, Value: child}
		e.Line, e.Column = tokenPlace(key)
		if child.Kind == Null {
			child.Line, child.Column = e.Line, e.Column
		}
		v.Entries = append(v.Entries, e)
	}
	return nil
}
