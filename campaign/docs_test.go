package campaign

import (
	"os"
	"strings"
	"testing"
)

// The reference names every key, and its first example is a campaign.
func TestReference(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("../docs/campaigns.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(source)
	for _, keys := range [][]string{
		definitionKeys, scheduleKeys, joinKeys, attributionKeys, posterKeys, variantKeys, layerKeys, textKeys, outlineKeys, shadowKeys, qrKeys,
		avatarKeys, imageKeys, rectKeys, taskKeys, tierKeys, welcomeKeys, rewardKeys, budgetKeys, limitsKeys, messageKeys,
	} {
		for _, key := range keys {
			if !strings.Contains(page, "`"+key+"`") {
				t.Errorf("the reference does not explain %s", key)
			}
		}
	}
	_, example, _ := strings.Cut(page, "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	if _, _, problems := Parse([]byte(example), "docs/campaigns.md"); len(problems) > 0 {
		t.Error(problems)
	}
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "when: ") {
			conditional := strings.Replace(example, "tiers:", "  other:\n    on: purchase\n    "+line+"tiers:", 1)
			if _, _, problems := Parse([]byte(conditional), "when"); len(problems) > 0 {
				t.Errorf("%s%v", line, problems)
			}
		}
	}
}
