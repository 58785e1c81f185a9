package document

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"kfactor/internal/spelling"
)

// Suggest says which known key was probably meant.
func Suggest(got string, known []string) string {
	if meant, ok := spelling.Nearest(got, known); ok {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return "keys here are " + strings.Join(known, ", ")
}

// Quote shows what somebody wrote, shortened.
func Quote(s string) string {
	if Characters(s) > 60 {
		s = string([]rune(s)[:60]) + "…"
	}
	return strconv.Quote(s)
}

// OrList is words as the end of a sentence offers them.
func OrList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// Characters counts the characters of a text.
func Characters(s string) int { return utf8.RuneCountInString(s) }
