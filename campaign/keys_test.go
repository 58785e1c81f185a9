package campaign

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// The schema and the parser must know the same keys. This one test looks inside the package, at the parser's lists.
func TestSchemaKeys(t *testing.T) {
	t.Parallel()
	var root map[string]any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	for at, known := range map[string][]string{
		"":                         definitionKeys,
		"schedule":                 scheduleKeys,
		"join":                     joinKeys,
		"attribution":              attributionKeys,
		"poster":                   posterKeys,
		"poster/variants/*":        variantKeys,
		"$defs/layer":              layerKeys,
		"$defs/layer/text":         textKeys,
		"$defs/layer/text/outline": outlineKeys,
		"$defs/layer/text/shadow":  shadowKeys,
		"$defs/layer/qr":           qrKeys,
		"$defs/layer/avatar":       avatarKeys,
		"$defs/layer/image":        imageKeys,
		"$defs/layer/rect":         rectKeys,
		"tasks/*":                  taskKeys,
		"tiers/[]":                 tierKeys,
		"welcome":                  welcomeKeys,
		"rewards/*":                rewardKeys,
		"budget":                   budgetKeys,
		"limits":                   limitsKeys,
		"messages":                 messageKeys,
	} {
		t.Run(strings.ReplaceAll(at, "/", "."), func(t *testing.T) {
			t.Parallel()
			node := root
			for step := range strings.SplitSeq(at, "/") {
				switch step {
				case "":
				case "$defs":
					node = map[string]any{"properties": root["$defs"]}
				case "*":
					node = node["additionalProperties"].(map[string]any)
				case "[]":
					node = node["items"].(map[string]any)
				default:
					node = node["properties"].(map[string]any)[step].(map[string]any)
				}
			}
			got := slices.Sorted(maps.Keys(node["properties"].(map[string]any)))
			want := slices.Sorted(slices.Values(known))
			if !slices.Equal(got, want) {
				t.Errorf("the schema has %v, the parser %v", got, want)
			}
			if node["additionalProperties"] != false {
				t.Error("the schema lets unknown keys pass")
			}
		})
	}
}

// Every mapping of the schema that lists its keys is among those compared above.
func TestSchemaHasNoOtherMappings(t *testing.T) {
	t.Parallel()
	var root any
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	closed := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if v["additionalProperties"] == false {
				closed++
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(root)
	if closed != 21 {
		t.Errorf("%d mappings list their keys; compare each with the parser's", closed)
	}
}
