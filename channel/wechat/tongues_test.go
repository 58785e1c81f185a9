package wechat

import (
	"reflect"
	"regexp"
	"testing"
	"unicode"

	"kfactor/channel/wechat/setup"
)

// TestTongues holds that each language says all that another one says, of the same names and numbers.
func TestTongues(t *testing.T) {
	t.Parallel()
	verb := regexp.MustCompile(`%(\[[0-9]\])?[sd]`)
	verbs := func(text string) (names, numbers int) {
		for _, v := range verb.FindAllString(text, -1) {
			if v[len(v)-1] == 's' {
				names++
			} else {
				numbers++
			}
		}
		return names, numbers
	}
	chinese := reflect.ValueOf(*tongues[setup.Chinese])
	if len(tongues) != 2 {
		t.Errorf("%d languages", len(tongues))
	}
	for language, one := range tongues {
		said := reflect.ValueOf(*one)
		for i := range said.NumField() {
			name, text := said.Type().Field(i).Name, said.Field(i).String()
			if text == "" {
				t.Errorf("%s says nothing for %s", language, name)
			}
			names, numbers := verbs(text)
			if n, m := verbs(chinese.Field(i).String()); n != names || m != numbers {
				t.Errorf("%s tells of other things for %s: %q", language, name, text)
			}
			for _, r := range text {
				if language == setup.English && unicode.Is(unicode.Han, r) {
					t.Errorf("%s is not English: %q", name, text)
					break
				}
			}
		}
	}
}
