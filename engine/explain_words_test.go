package engine

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"

	"kfactor/event"
)

// declared are the words that package event declares: outcomes, and the other constants by name.
func declared(t *testing.T) (outcomes []string, others map[string]string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "event", "event.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	others = map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || literal.Kind != token.STRING {
			return true
		}
		word, err := strconv.Unquote(literal.Value)
		if err != nil {
			t.Fatal(err)
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Outcome" {
			outcomes = append(outcomes, word)
		} else {
			others[spec.Names[0].Name] = word
		}
		return true
	})
	return outcomes, others
}

func TestEveryWordIsSaidInBothLanguages(t *testing.T) {
	t.Parallel()
	outcomes, others := declared(t)
	if len(outcomes) < 18 || len(others) < 16 {
		t.Fatalf("only %q and %q are declared", outcomes, others)
	}
	said := map[words]string{}
	check := func(word string, w words) {
		t.Helper()
		han := strings.IndexFunc(w.zh, func(r rune) bool { return unicode.Is(unicode.Han, r) }) >= 0
		if !strings.HasSuffix(w.en, ".") || !strings.HasSuffix(w.zh, "。") || !han {
			t.Errorf("%s is said as %q and %q", word, w.en, w.zh)
		}
		if other := said[w]; other != "" {
			t.Errorf("%s and %s are said alike", word, other)
		}
		said[w] = word
	}
	for _, word := range outcomes {
		check(word, outcomeWords[event.Outcome(word)])
	}
	for name, word := range others {
		if strings.Contains(word, ".") {
			check(name, systemWords[word])
		} else {
			check(name, reasonWords[word])
		}
	}
}

func TestSpansAreSaidInTheLargestUnit(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]words{
		24 * time.Hour: {"1 day", "1 天"}, 168 * time.Hour: {"7 days", "7 天"}, 36 * time.Hour: {"36 hours", "36 小时"},
		90 * time.Minute: {"90 minutes", "90 分钟"}, time.Second: {"1 second", "1 秒"}, 0: {"0 seconds", "0 秒"},
	} {
		if got := span(d); got != want {
			t.Errorf("%s is said as %q", d, got)
		}
	}
}
