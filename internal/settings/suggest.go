package settings

import (
	"slices"
	"strings"
)

// Suggest names the known word that was probably meant, or all of them.
func Suggest(word string, known []string) string {
	plain := func(s string) string { return strings.ToLower(strings.TrimPrefix(s, Prefix)) }
	best, least := "", max(2, len(plain(word))/3)+1
	for _, candidate := range known {
		if d := distance(plain(word), plain(candidate)); d < least {
			best, least = candidate, d
		}
	}
	if best == "" {
		return "write one of " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
	}
	return "did you mean " + best + "?"
}

// distance is the number of letters to insert, delete or change between two words (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above+1, row[j]+1)
			diagonal = above
		}
	}
	return row[len(b)]
}
