package settings

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxFile bounds the settings file, in bytes.
const maxFile = 64 << 10

// readFile reads the settings file into values and channels. It walks the syntax tree, because every mistake is
// told with its line and column.
//
// What it names in the environment is remembered in named.
func readFile(path string, environ map[string]string, named map[string]bool, values map[string]value, channels map[string]Channel, problems *Problems) error {
	root, err := parseFile(path)
	if err != nil {
		return err
	}
	r := fileReader{path, environ, named, problems}
	known := []string{"channels"}
	for _, s := range All() {
		known = append(known, s.Name)
	}
	for key, node := range r.entries(root, "the settings file") {
		switch name := key.GetToken().Value; {
		case name == "channels":
			for key, node := range r.entries(node, "channels") {
				channels[key.GetToken().Value] = r.channel(key, node)
			}
		case slices.Contains(known, name):
			if text := r.text(name, node); text != "" {
				values[name] = value{text, r.place(key) + name}
			}
		default:
			problems.add("%s%s is not a setting; %s", r.place(key), name, Suggest(name, known))
		}
	}
	return nil
}

func parseFile(path string) (ast.Node, error) {
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, Problems{fmt.Sprintf("there is no settings file %s", path)}
	}
	if err == nil && info.IsDir() {
		return nil, Problems{fmt.Sprintf("%s is a folder, not a settings file", path)}
	}
	if err != nil {
		return nil, Problems{fmt.Sprintf("the settings file cannot be read: %s", err)}
	}
	if info.Size() > maxFile {
		return nil, Problems{fmt.Sprintf("the settings file %s is larger than %d KiB", path, maxFile>>10)}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Problems{fmt.Sprintf("the settings file cannot be read: %s", err)}
	}
	parsed, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, Problems{fmt.Sprintf("%s:%s", path, firstLine(err))}
	}
	if len(parsed.Docs) > 1 {
		return nil, Problems{fmt.Sprintf("%s holds %d documents; keep one", path, len(parsed.Docs))}
	}
	if len(parsed.Docs) == 0 {
		return nil, nil //nolint:nilnil // an empty file has no body, and that is no error
	}
	return parsed.Docs[0].Body, nil
}

// firstLine is a syntax error as line:column: reason, without the excerpt below it.
func firstLine(err error) string {
	var syntax yaml.Error
	if errors.As(err, &syntax) && syntax.GetToken() != nil {
		at := syntax.GetToken().Position
		return fmt.Sprintf("%d:%d: %s", at.Line, at.Column, syntax.GetMessage())
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return " " + first
}

type fileReader struct {
	path     string
	environ  map[string]string
	named    map[string]bool
	problems *Problems
}

func (r fileReader) place(node ast.Node) string {
	if node == nil || node.GetToken() == nil {
		return r.path + ": "
	}
	at := node.GetToken().Position
	return fmt.Sprintf("%s:%d:%d: ", r.path, at.Line, at.Column)
}

// entries are the keys and values of a mapping, in order.
func (r fileReader) entries(node ast.Node, what string) iter.Seq2[ast.Node, ast.Node] {
	return func(yield func(ast.Node, ast.Node) bool) {
		var pairs []*ast.MappingValueNode
		switch n := node.(type) {
		case nil, *ast.NullNode:
		case *ast.MappingNode:
			pairs = n.Values
		case *ast.MappingValueNode:
			pairs = []*ast.MappingValueNode{n}
		default:
			r.problems.add("%s%s must hold names and values, one `name: value` a line", r.place(node), what)
		}
		for _, pair := range pairs {
			if !yield(pair.Key, pair.Value) {
				return
			}
		}
	}
}

// text is a plain value. Anchors and aliases are refused with every other form that is not one.
func (r fileReader) text(name string, node ast.Node) string {
	switch n := node.(type) {
	case nil, *ast.NullNode:
		return ""
	case *ast.StringNode:
		return n.Value
	case *ast.LiteralNode:
		return strings.TrimSpace(n.Value.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return node.GetToken().Value
	}
	r.problems.add("%s%s must be a plain text", r.place(node), name)
	return ""
}
