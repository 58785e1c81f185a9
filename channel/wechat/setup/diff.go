package setup

import (
	"fmt"
	"strings"

	"kfactor/internal/document"
)

// Change is one field that differs: how it was and how it would be, as people read it; "" where there is nothing.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// Source is what the file says of one channel, alone, as it is stored: JSON that Parse reads, the same for files that
// say the same. Comments and the order of keys are the file's own.
func (f *File) Source(name string) []byte {
	v := f.sources[name]
	if v == nil {
		v = &document.Value{Kind: document.Mapping}
	}
	one := func(key string, v *document.Value) *document.Value {
		return &document.Value{Kind: document.Mapping, Entries: []*document.Entry{{Name: key, Value: v}}}
	}
	return one("channels", one(name, v)).JSON()
}

// Changes are the fields in which a channel's new source differs from the one that is stored, nil for none of them; the
// menu is left out, for the platform has that.
func Changes(name string, stored, source []byte) ([]Change, error) {
	was, err := channelValue(name, stored)
	if err != nil {
		return nil, err
	}
	is, err := channelValue(name, source)
	if err != nil {
		return nil, err
	}
	var changes []Change
	compare("", was, is, &changes)
	return changes, nil
}

func channelValue(name string, source []byte) (*document.Value, error) {
	if len(source) == 0 {
		return nil, nil //nolint:nilnil // a channel of which nothing is stored has no value, and that is no error
	}
	root, problem := document.Read(source, "")
	if problem != nil {
		return nil, fmt.Errorf("the set-up of channel %s: %s", name, problem.Message)
	}
	v := member(member(root, "channels"), name)
	if v == nil {
		return nil, nil //nolint:nilnil // as above
	}
	bare := *v
	bare.Entries = nil
	for _, e := range v.Entries {
		if e.Name != "menu" {
			bare.Entries = append(bare.Entries, e)
		}
	}
	return &bare, nil
}

func member(v *document.Value, name string) *document.Value {
	if v == nil {
		return nil
	}
	for _, e := range v.Entries {
		if e.Name == name {
			return e.Value
		}
	}
	return nil
}

// compare collects what differs below a field. A mapping or list on one side alone differs as a whole, except at the
// top, where the keys are told one by one.
func compare(field string, was, is *document.Value, changes *[]Change) {
	keyed := func(v *document.Value) bool { return v == nil && field == "" || v != nil && v.Kind == document.Mapping }
	listed := func(v *document.Value) bool { return v != nil && v.Kind == document.List }
	switch {
	case was == nil && is == nil:
	case keyed(was) && keyed(is):
		for _, name := range names(was, is) {
			below := name
			if field != "" {
				below = field + "." + name
			}
			compare(below, member(was, name), member(is, name), changes)
		}
	case listed(was) && listed(is):
		for i := range max(len(was.Items), len(is.Items)) {
			compare(fmt.Sprintf("%s[%d]", field, i), item(was, i), item(is, i), changes)
		}
	case shown(was) != shown(is):
		*changes = append(*changes, Change{field, brief(was), brief(is)})
	}
}

// names are the keys of two mappings, those of the first before what only the second has.
func names(was, is *document.Value) []string {
	var all []string
	seen := map[string]bool{}
	for _, v := range []*document.Value{was, is} {
		if v == nil {
			continue
		}
		for _, e := range v.Entries {
			if !seen[e.Name] {
				seen[e.Name] = true
				all = append(all, e.Name)
			}
		}
	}
	return all
}

func item(v *document.Value, i int) *document.Value {
	if i >= len(v.Items) {
		return nil
	}
	return v.Items[i]
}

func shown(v *document.Value) string {
	if v == nil {
		return ""
	}
	return string(v.JSON())
}

// brief is a value on one line, shortened.
func brief(v *document.Value) string { return clip(shown(v), 80) }

// MenuChanges are the buttons in which the menu that is wanted differs from the one that the platform has.
func MenuChanges(have, want []Button) []Change { return buttonChanges("menu", have, want) }

func buttonChanges(field string, have, want []Button) []Change {
	var changes []Change
	for i := range max(len(have), len(want)) {
		var was, is Button
		if i < len(have) {
			was = have[i]
		}
		if i < len(want) {
			is = want[i]
		}
		at := fmt.Sprintf("%s[%d]", field, i)
		if was.String() != is.String() {
			changes = append(changes, Change{at, was.String(), is.String()})
		}
		changes = append(changes, buttonChanges(at+".buttons", was.Buttons, is.Buttons)...)
	}
	return changes
}

// String is a button on one line, without those it opens; "" for none.
func (b Button) String() string {
	if b.Name == "" && b.Type == "" {
		return ""
	}
	parts := []string{b.Name}
	if b.Type == "" {
		parts = append(parts, "opens")
	}
	for _, part := range []string{b.Type, b.Key, b.AppID, b.Path, b.URL, b.MediaID, b.ArticleID} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, " ")
}
