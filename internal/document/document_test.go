package document_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kfactor/internal/document"
)

const begin = "start with `a: b`"

func read(t interface{ Fatal(...any) }, source string) *document.Value {
	v, problem := document.Read([]byte(source), begin)
	if problem != nil {
		t.Fatal(problem)
	}
	return v
}

func TestRead(t *testing.T) {
	t.Parallel()

	t.Run("YAML and JSON that say the same are the same", func(t *testing.T) {
		t.Parallel()
		want := `{"a":[1,2.5,true,null,"x"],"b":{"c":"two\nlines"},"中文":"😀"}`
		for _, source := range []string{
			"a: [1, 2.5, true, null, x]\nb:\n  c: |\n    two\n    lines\n中文: 😀\n",
			"# a remark\n---\na:\n- 1\n- 2.5\n- true\n-\n- 'x'\nb: {c: \"two\\nlines\"}\n中文: \"😀\"\n",
			`{"a": [1, 2.5, true, null, "x"], "b": {"c": "two\nlines"}, "中文": "\ud83d\ude00"}`,
		} {
			if got := string(read(t, source).JSON()); got != want {
				t.Errorf("%s\nis read as %s", source, got)
			}
		}
	})

	t.Run("values know their place, in characters", func(t *testing.T) {
		t.Parallel()
		for source, want := range map[string]string{
			"中文: {键: 值}\nb:\n  - c\n":                    "key 1:6, value 1:9, item 3:5",
			"{\"中文\":{\"键\":  1},\n\"b\":[\n    \"c\"]}": "key 1:8, value 1:14, item 3:5",
		} {
			v := read(t, source)
			inner, item := v.Entries[0].Value.Entries[0], v.Entries[1].Value.Items[0]
			if got := fmt.Sprintf("key %d:%d, value %d:%d, item %d:%d", inner.Line, inner.Column, inner.Value.Line, inner.Value.Column, item.Line, item.Column); got != want {
				t.Errorf("%q: %s", source, got)
			}
		}
	})

	t.Run("what lets a small file mean a large one is refused", func(t *testing.T) {
		t.Parallel()
		for source, want := range map[string]string{
			"":                                   "the file is empty",
			"a: &x 1":                            "anchors and aliases",
			"a: *x":                              "anchors and aliases",
			"<<: {a: 1}":                         "merge keys",
			"a: !!binary x":                      "tags",
			"%YAML 1.2\n---\na: 1":               "directives",
			"? a\n: b":                           "keys that begin with ?",
			"a: 1\n---\nb: 2":                    "a second document",
			"a: \xff":                            "not UTF-8",
			"a: 1\rb: 2":                         "a carriage return",
			"a: " + strings.Repeat("[", 20):      "nested too deeply",
			strings.Repeat("\n", 600) + "a: 1":   "empty lines in a row",
			strings.Repeat("a: 1\n", 8001):       "more than 8000 lines",
			"a: " + strings.Repeat("x", 256<<10): "bytes, more than",
			"{" + strings.Repeat("a: 1, ", 600) + "}":                              "more than 512 keys",
			`{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`:      "nested too deeply",
			strings.Repeat(" ", 600) + "a: 1\n" + strings.Repeat(" ", 600) + "- 1": "",
		} {
			_, problem := document.Read([]byte(source), begin)
			if problem == nil || !strings.Contains(problem.Message, want) || problem.Line < 1 || problem.Column < 1 {
				t.Errorf("%.40q: %v", source, problem)
			}
		}
	})
}

func TestReader(t *testing.T) {
	t.Parallel()

	t.Run("problems are told up to a hundred, in the order of the file", func(t *testing.T) {
		t.Parallel()
		r := document.NewReader("x.yaml")
		v := r.Open([]byte("a: 1\n"+strings.Repeat("b: 1\n", 200)), "a file", begin)
		o := r.Object(v, []string{"a", "b"})
		o.Need("a", "")
		problems := r.Sorted()
		if len(problems) != 100 || !r.Full() || problems[0].String() != `x.yaml:3:1: b: the key "b" stands twice, first on line 2; keep one of them` {
			t.Error(len(problems), problems[0])
		}
		if f := document.Fault("the file", problems[:2]); f.Message != "the file has 2 problems" || len(f.Fields) != 2 || f.Fields[1].Line != 4 {
			t.Error(f)
		}
		if document.Fault("the file", nil) != nil {
			t.Error("no problem is a failure")
		}
	})

	t.Run("a file that is no mapping says how to begin", func(t *testing.T) {
		t.Parallel()
		r := document.NewReader("x.yaml")
		if v := r.Open([]byte("- a"), "a file of channels", begin); v != nil || r.Problems[0].String() != "x.yaml:1:1: a file of channels is a mapping, not a list; start with `a: b`" {
			t.Error(r.Problems)
		}
	})
}

// Whatever text stands in a value, it comes back the same from the JSON that is stored of it.
func TestTextComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		said := rapid.String().Draw(t, "text")
		v := &document.Value{Kind: document.Mapping, Entries: []*document.Entry{{Name: said, Value: &document.Value{Kind: document.Text, Text: said}}}}
		back := read(t, string(v.JSON()))
		if back.Entries[0].Name != said || back.Entries[0].Value.Text != said {
			t.Fatalf("%q comes back as %q", said, back.Entries[0].Value.Text)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, source := range []string{"a: [b, {c: |\n  d\n}]", `{"a": [1, "\ud83d\ude00", null]}`, "? [a]\n: |+\n  x", "a: &b [*b]", "- - - a"} {
		f.Add([]byte(source))
	}
	f.Fuzz(func(t *testing.T, source []byte) {
		v, problem := document.Read(source, begin)
		if problem != nil {
			if problem.Line < 1 || problem.Column < 1 || problem.Message == "" {
				t.Fatalf("a problem without a place or a message: %+v", problem)
			}
			return
		}
		if v.Kind != document.Mapping {
			return
		}
		stored := v.JSON()
		again, problem := document.Read(stored, begin)
		if problem != nil {
			t.Fatalf("%s is read as %s, and that not at all: %v", source, stored, problem)
		}
		if twice := again.JSON(); string(twice) != string(stored) {
			t.Fatalf("%s comes back as %s", stored, twice)
		}
	})
}
