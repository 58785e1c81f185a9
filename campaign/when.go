package campaign

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"
)

// What a condition may cost. Nothing in the language below loops without a bound: ranges count against the
// memory, lists come from at most 4 KiB of data, and one predicate does not stand inside another.
const (
	maxWhen       = 500 // characters
	maxWhenNodes  = 100
	maxWhenMemory = 10_000 // elements that one evaluation may make
)

// facts is what a condition sees.
type facts struct {
	Data map[string]any `expr:"data"`
	Type string         `expr:"type"`
	Time time.Time      `expr:"time"`
}

// functions are the built-ins a condition may call: none of them reads a clock or makes text grow.
var functions = []string{
	"all", "any", "none", "one", "count", "len", "lower", "upper", "trim", "int", "float", "string", "abs", "min", "max",
	"duration", "date",
}

// compile reads a condition. Its error says where in the text: line from 1, column from 0.
func compile(when string) (*vm.Program, error) {
	language := language{}
	options := []expr.Option{
		expr.Env(facts{}), expr.AsBool(), expr.Optimize(false), expr.MaxNodes(maxWhenNodes),
		expr.DisableAllBuiltins(), expr.Patch(&language),
	}
	for _, name := range functions {
		options = append(options, expr.EnableBuiltin(name))
	}
	program, err := expr.Compile(when, options...)
	if err == nil && language.refused != nil {
		err = language.refused
	}
	return program, err
}

// language is expr's without what could make a condition costly or depend on the machine it runs on.
type language struct{ refused *file.Error }

// Visit refuses a node.
func (l *language) Visit(node *ast.Node) {
	message := ""
	switch n := (*node).(type) {
	case *ast.VariableDeclaratorNode, *ast.SequenceNode:
		message = "variables are not part of conditions"
	case *ast.IdentifierNode:
		if n.Value == "$env" {
			message = "$env is not part of conditions"
		}
	case *ast.BuiltinNode: // those with predicates are parsed even where they are disabled
		if !slices.Contains(functions, n.Name) {
			message = n.Name + " is not part of conditions"
		}
	case *ast.PredicateNode:
		var inner nested
		ast.Walk(&n.Node, &inner)
		if inner {
			message = "a predicate inside a predicate is not part of conditions"
		}
	case *ast.MemberNode:
		if name, ok := n.Property.(*ast.StringNode); ok && name.Value == "Local" {
			message = "time is in the campaign's time zone already; Local is not part of conditions"
		}
	case *ast.BinaryNode:
		if _, constant := n.Right.(*ast.StringNode); n.Operator == "matches" && !constant {
			message = "the pattern of matches must be written out"
		}
	}
	if message != "" && l.refused == nil {
		l.refused = &file.Error{Location: (*node).Location(), Message: message}
	}
}

type nested bool

// Visit notes a predicate.
func (n *nested) Visit(node *ast.Node) {
	if _, ok := (*node).(*ast.PredicateNode); ok {
		*n = true
	}
}

// whenProblem is what is wrong with a condition and how many characters in.
func whenProblem(when string, err error) (message string, offset int) {
	var failure *file.Error
	if !errors.As(err, &failure) {
		message, _, _ = strings.Cut(err.Error(), "\n")
		return message, 0
	}
	return failure.Message, failure.From
}

// Matches says whether an event fulfils the task's condition. data is a JSON object or nil. An empty condition
// always holds. One that cannot be decided, because a field is missing or of another type, does not hold, and the
// error says why, in words for whoever wrote the condition.
func (t *Task) Matches(data []byte, eventType string, at time.Time) (bool, error) {
	if t.When == "" {
		return true, nil
	}
	program := t.program
	if program == nil {
		compiled, err := compile(t.When)
		if err != nil {
			message, _ := whenProblem(t.When, err)
			return false, fmt.Errorf("the condition of task %s does not compile: %s", t.Name, message)
		}
		program = compiled
	}
	seen := facts{Type: eventType, Time: at.UTC()}
	if t.location != nil {
		seen.Time = at.In(t.location)
	}
	if len(data) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(data))
		decoder.UseNumber()
		if err := decoder.Decode(&seen.Data); err != nil {
			return false, errors.New("the event's data is not a JSON object")
		}
		for key, v := range seen.Data {
			seen.Data[key] = plain(v)
		}
	}
	machine := vm.VM{MemoryBudget: maxWhenMemory}
	result, err := machine.Run(program, seen)
	if err != nil {
		message, _ := whenProblem(t.When, err)
		return false, fmt.Errorf("%s cannot be decided: %s", t.When, undecided(message))
	}
	holds, ok := result.(bool)
	if !ok {
		return false, fmt.Errorf("%s gives %v, which is neither true nor false", t.When, result)
	}
	return holds, nil
}

// plain turns JSON numbers into Go's, whole ones exactly.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return int(whole)
		}
		number, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return number
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = plain(v[key])
		}
	}
	return v
}
