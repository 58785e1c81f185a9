package document

import (
	"fmt"
	"slices"
	"strings"
)

// maxProblems bounds what is said about one file.
const maxProblems = 100

// Source remembers where in its file each field of it stands.
type Source struct {
	File   string
	places map[string]Place
}

// Position is where a field such as poster.layers[2].qr.size stands: a value where it begins, a mapping or list at
// its key. For a field the file does not have it is the nearest one around it, 1:1 for the file as a whole.
func (s *Source) Position(field string) (line, column int) {
	for field != "" {
		if at, ok := s.places[field]; ok {
			return at.Line, at.Column
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return 1, 1
}

// Reader turns values into fields and collects every problem on the way. Its methods give the zero value for what is
// missing or wrong, so that reading goes on.
type Reader struct {
	Source   *Source
	Problems []Problem
}

// NewReader reads values of the file of that name.
func NewReader(file string) *Reader {
	return &Reader{Source: &Source{File: file, places: map[string]Place{}}}
}

// Open reads a source whose outermost value is a mapping; nil when it is not well-formed or none, with that told. what
// names such a file, begin is what to write into an empty one.
func (r *Reader) Open(source []byte, what, begin string) *Value {
	root, problem := Read(source, begin)
	if problem != nil {
		problem.File = r.Source.File
		r.Problems = append(r.Problems, *problem)
		return nil
	}
	root.At = Place{root.Line, root.Column}
	if root.Kind != Mapping {
		r.Wrong(root.At, "", begin, "%s is a mapping, not %s", what, root.Kind)
		return nil
	}
	return root
}

// Sorted is all the problems in the order of the file.
func (r *Reader) Sorted() []Problem {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return r.Problems
}

// Full says whether there are so many problems that no more are told.
func (r *Reader) Full() bool { return len(r.Problems) >= maxProblems }

// Wrong tells a problem at a place.
func (r *Reader) Wrong(at Place, field, mend, message string, args ...any) {
	if r.Full() {
		return
	}
	r.Problems = append(r.Problems, Problem{
		File: r.Source.File, Line: at.Line, Column: at.Column, Field: field,
		Message: fmt.Sprintf(message, args...), Mend: mend,
	})
}

// Bad tells a problem of a value.
func (r *Reader) Bad(v *Value, mend, message string, args ...any) {
	r.Wrong(v.At, v.Path, mend, message, args...)
}

// settle gives a value its field and place.
func (r *Reader) settle(v *Value, path string, key Place) {
	v.Path, v.At = path, Place{v.Line, v.Column}
	if v.Kind == Mapping || v.Kind == List || v.Kind == Null {
		v.At = key
	}
	r.Source.places[path] = v.At
}

// Object is a mapping whose keys are known beforehand.
type Object struct {
	reader  *Reader
	value   *Value
	known   []string
	members map[string]*Value // nil when the value is no mapping: then nothing is said about what is missing
}

// Object is v as a mapping of which only these keys are known.
func (r *Reader) Object(v *Value, known []string) *Object {
	o := &Object{reader: r, value: v, known: known}
	if v == nil || v.Kind == Null {
		return o
	}
	if v.Kind != Mapping {
		r.Bad(v, "write it as keys with values: "+strings.Join(known, ", "), "this must be a mapping, not %s", v.Kind)
		return o
	}
	o.members = make(map[string]*Value, len(v.Entries))
	for _, e := range r.distinct(v) {
		if !slices.Contains(known, e.Name) {
			if r.Full() {
				continue // nobody would hear what was probably meant
			}
			r.Wrong(e.Place(), e.Value.Path, Suggest(e.Name, known), "there is no key %s here", Quote(e.Name))
			continue
		}
		if e.Value.Kind == Null {
			r.Bad(e.Value, "give it one or remove the key", "this key has no value")
		}
		o.members[e.Name] = e.Value
	}
	return o
}

// distinct are a mapping's entries with their fields settled; the second of one name is a problem and left out.
func (r *Reader) distinct(v *Value) []*Entry {
	seen := make(map[string]int, len(v.Entries))
	var kept []*Entry
	for _, e := range v.Entries {
		path := e.Name
		if v.Path != "" {
			path = v.Path + "." + e.Name
		}
		at := e.Place()
		if line, twice := seen[e.Name]; twice {
			r.Wrong(at, path, "keep one of them", "the key %s stands twice, first on line %d", Quote(e.Name), line)
			continue
		}
		seen[e.Name] = e.Line
		r.settle(e.Value, path, at)
		kept = append(kept, e)
	}
	return kept
}

// Items are a list's items with their fields settled, at most limit; empty ones are a problem and left out.
func (r *Reader) Items(v *Value, limit int, what string) []*Value {
	if v == nil || v.Kind == Null {
		return nil
	}
	if v.Kind != List {
		r.Bad(v, "write it as [a, b] or as lines that begin with a dash", "this must be a list of %s, not %s", what, v.Kind)
		return nil
	}
	if len(v.Items) > limit {
		r.Bad(v, "leave some out", "there are %d %s, more than %d", len(v.Items), what, limit)
		return nil
	}
	var kept []*Value
	for i, item := range v.Items {
		r.settle(item, fmt.Sprintf("%s[%d]", v.Path, i), Place{item.Line, item.Column})
		if item.Kind == Null {
			r.Bad(item, "write it or remove it", "this item is empty")
			continue
		}
		kept = append(kept, item)
	}
	return kept
}

// Table is a mapping whose keys are names the author gives; those with bad names or without a value are left out.
func (r *Reader) Table(v *Value, limit int, what string, form Form) []*Entry {
	if v == nil || v.Kind == Null {
		return nil
	}
	if v.Kind != Mapping {
		r.Bad(v, "write it as names with what belongs to each", "this must be a mapping of %s, not %s", what, v.Kind)
		return nil
	}
	if len(v.Entries) > limit {
		r.Bad(v, "leave some out", "there are %d %s, more than %d", len(v.Entries), what, limit)
		return nil
	}
	var kept []*Entry
	for _, e := range r.distinct(v) {
		if !form.Match(e.Name) {
			r.Wrong(e.Place(), e.Value.Path, "use "+form.says, "%s cannot be a name here", Quote(e.Name))
			continue
		}
		if e.Value.Kind == Null {
			r.Bad(e.Value, "write it or remove the key", "nothing is said about %s", Quote(e.Name))
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// Given says whether the value is a mapping at all.
func (o *Object) Given() bool { return o.members != nil }

// Len is how many of the known keys it has.
func (o *Object) Len() int { return len(o.members) }

// Get is a key's value, nil when it is absent.
func (o *Object) Get(key string) *Value {
	if !slices.Contains(o.known, key) {
		panic("document: the reader is asked for a key that it does not know: " + key)
	}
	return o.members[key]
}

// Need is a key's value; its absence is a problem.
func (o *Object) Need(key, mend string) *Value {
	v := o.Get(key)
	if v == nil && o.members != nil {
		field := key
		if o.value.Path != "" {
			field = o.value.Path + "." + key
		}
		o.reader.Wrong(o.value.At, field, mend, "this key is missing")
	}
	return v
}
