package setup

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestUsuals holds that each language has words for all that another one has.
func TestUsuals(t *testing.T) {
	t.Parallel()
	for language, u := range usuals {
		for _, key := range wordKeys {
			if len(UsualWords(language, Word(key))) == 0 {
				t.Errorf("%s calls %s nothing", language, key)
			}
		}
		for _, check := range []Check{CheckText, CheckPhone, CheckNumber} {
			if u.wrong[check] == "" {
				t.Errorf("%s says nothing to a wrong %s", language, check)
			}
		}
		if len(u.cancel) == 0 || u.cancelled == "" || u.failed == "" || u.done == "" || strings.Count(u.again, "%s") != 1 {
			t.Errorf("%s: %+v", language, u)
		}
	}
}

// The schema and the parser must know the same keys. This one test looks inside the package, at the parser's lists.
func TestSchemaKeys(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	subKeys := slices.DeleteFunc(slices.Clone(buttonKeys), func(key string) bool { return key == "buttons" })
	compared := map[string][]string{
		"":                         fileKeys,
		"$defs/channel":            channelKeys,
		"$defs/channel/words":      wordKeys,
		"$defs/channel/otherwise":  otherKeys,
		"$defs/channel/notices":    noticeKinds,
		"$defs/button":             buttonKeys,
		"$defs/button/miniprogram": jumpKeys,
		"$defs/sub":                subKeys,
		"$defs/sub/miniprogram":    jumpKeys,
		"$defs/service":            serviceKeys,
		"$defs/reply":              replyKeys,
		"$defs/dialogue":           dialogueKeys,
		"$defs/dialogue/done":      doneKeys,
		"$defs/step":               stepKeys,
		"$defs/notice":             noticeKeys,
	}
	for at, known := range compared {
		node := root
		for step := range strings.SplitSeq(at, "/") {
			switch step {
			case "":
			case "$defs":
				node = map[string]any{"properties": root["$defs"]}
			default:
				node = node["properties"].(map[string]any)[step].(map[string]any)
			}
		}
		got := slices.Sorted(maps.Keys(node["properties"].(map[string]any)))
		if want := slices.Sorted(slices.Values(known)); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, the parser %v", at, got, want)
		}
		if node["additionalProperties"] != false {
			t.Errorf("%s: the schema lets unknown keys pass", at)
		}
	}
	if closed := strings.Count(string(Schema()), `"additionalProperties": false`); closed != len(compared) {
		t.Errorf("the schema has %d mappings with keys of their own, %d are compared", closed, len(compared))
	}
}
