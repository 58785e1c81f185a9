package settings

import (
	"slices"
	"strings"

	"kfactor/internal/spelling"
)

// Suggest names the known word that was probably meant, or all of them.
func Suggest(word string, known []string) string {
	prefix := ""
	if strings.HasPrefix(word, Prefix) {
		prefix = Prefix
	}
	bare := make([]string, 0, len(known))
	for _, k := range known {
		bare = append(bare, strings.TrimPrefix(k, prefix))
	}
	if meant, ok := spelling.Nearest(strings.TrimPrefix(word, prefix), bare); ok {
		return "did you mean " + prefix + meant + "?"
	}
	return "write one of " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
}
