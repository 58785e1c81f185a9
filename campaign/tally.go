package campaign

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// Tally is a few numbers by name, in the order of the names, each name once. Most people have one or two of each kind:
// that few are found, read and written sooner in a row than in a map, and take a fraction of the memory. As JSON it is an
// object.
type Tally[N int | int64] []Entry[N]

// Entry is one number of a tally.
type Entry[N int | int64] struct {
	Name string
	N    N
}

func (t Tally[N]) find(name string) (int, bool) {
	return slices.BinarySearchFunc(t, name, func(e Entry[N], name string) int { return strings.Compare(e.Name, name) })
}

// Of is the number of a name, 0 where there is none.
func (t Tally[N]) Of(name string) N {
	if i, there := t.find(name); there {
		return t[i].N
	}
	return 0
}

// Has says whether there is a number of that name.
func (t Tally[N]) Has(name string) bool {
	_, there := t.find(name)
	return there
}

// Set gives a name its number.
func (t *Tally[N]) Set(name string, n N) {
	i, there := t.find(name)
	if there {
		(*t)[i].N = n
		return
	}
	*t = slices.Insert(*t, i, Entry[N]{name, n})
}

// Drop forgets a name.
func (t *Tally[N]) Drop(name string) {
	if i, there := t.find(name); there {
		*t = slices.Delete(*t, i, i+1)
	}
}

// MarshalJSON writes an object.
func (t Tally[N]) MarshalJSON() ([]byte, error) {
	w := factsWriter{}
	appendTally(&w, t)
	return w.out, nil
}

// UnmarshalJSON reads an object; of a name that is there twice the last number counts.
func (t *Tally[N]) UnmarshalJSON(text []byte) error {
	*t = nil
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	var m map[string]N
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		*t = append(*t, Entry[N]{name, m[name]})
	}
	return nil
}
