package setup

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_]*)\s*\}\}`)

// Fill puts values where a text names them, like {{phone}}. A name without a value stays as it stands, so that the
// mistake is seen. What is put in is not read again.
func Fill(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		if value, ok := values[placeholder.FindStringSubmatch(found)[1]]; ok {
			return value
		}
		return found
	})
}

// Data is what a notice says with these values, each no longer than the platform lets its kind be. A field that would
// be empty says "-", since one of them makes the platform refuse the whole notice.
func (n Notice) Data(values map[string]string) map[string]string {
	data := make(map[string]string, len(n.Fields))
	for key, text := range n.Fields {
		said := strings.Join(strings.Fields(Fill(text, values)), " ")
		if said == "" {
			said = "-"
		}
		data[key] = clip(said, fieldLimit(key))
	}
	return data
}

// fieldLimits are how many characters the platform takes in a field, by the kind that its key begins with.
var fieldLimits = map[string]int{
	"thing": 20, "number": 32, "letter": 32, "symbol": 5, "character_string": 32, "time": 32, "date": 32, "amount": 14,
	"phone_number": 17, "car_number": 8, "name": 10, "phrase": 5, "enum": 20, "const": 20,
}

var fieldKey = regexp.MustCompile(`^([a-z_]+?)([0-9]{1,3})$`)

// fieldLimit is 0 for a key of no kind that is known.
func fieldLimit(key string) int {
	if m := fieldKey.FindStringSubmatch(key); m != nil {
		return fieldLimits[m[1]]
	}
	return 0
}

// clip shortens a text to so many characters, the last one an ellipsis when something was left out.
func clip(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}
