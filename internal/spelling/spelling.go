// Package spelling finds the word that somebody probably meant.
package spelling

import "strings"

// maxLength bounds what is compared; longer words were not mistyped.
const maxLength = 64

// Nearest gives the known word that is nearest to the one written, and false when none is near: at most a third of
// its letters wrong, and three. Case does not count, nor does - for _.
func Nearest(word string, known []string) (string, bool) {
	if len(word) > maxLength {
		return "", false
	}
	best, least := "", 2+min(len(word)/3, 3)
	for _, candidate := range known {
		if d := distance(plain(word), plain(candidate)); d < least {
			best, least = candidate, d
		}
	}
	return best, best != ""
}

func plain(s string) string { return strings.ToLower(strings.ReplaceAll(s, "-", "_")) }

// distance is how many letters must be changed, added, dropped or swapped with their neighbour to get from a to b.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		for j := range rows[i] {
			switch {
			case i == 0:
				rows[i][j] = j
			case j == 0:
				rows[i][j] = i
			default:
				change := 1
				if a[i-1] == b[j-1] {
					change = 0
				}
				rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
				if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
					rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
				}
			}
		}
	}
	return rows[len(a)][len(b)]
}
