package wechat

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"kfactor/internal/fault"
)

// FuzzReadName holds that what is read of a name is a whole id within its bounds, and is told apart in one way only.
func FuzzReadName(f *testing.F) {
	for _, name := range []string{"member:17", "unionid:o6_bmasdasdsad6", "member:a:b", "member:", ":", "members:1", "MEMBER:1", "member:\x00", "member:\xff", "member:" + strings.Repeat("员", 128)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		kind, id, err := readName(name)
		if err != nil {
			if fault.KindOf(err) != fault.Invalid || kind != "" || id != "" {
				t.Fatalf("%q: %q %q %v", name, kind, id, err)
			}
			return
		}
		if kind != memberKind && kind != unionKind || kind+":"+id != name {
			t.Fatalf("%q is read as %q and %q", name, kind, id)
		}
		if n := utf8.RuneCountInString(id); n < 1 || n > maxForeignID || !utf8.ValidString(id) || strings.ContainsFunc(id, unicode.IsControl) {
			t.Fatalf("%q has the id %q", name, id)
		}
	})
}
