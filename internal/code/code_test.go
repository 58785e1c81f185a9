package code_test

import (
	"strings"
	"testing"

	"kfactor/internal/code"
)

func TestNew(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	letters := map[rune]int{}
	for range 20_000 {
		c := code.New()
		if parsed, ok := code.Parse(c); !ok || parsed != c || len(c) != code.Length || seen[c] {
			t.Fatalf("%q is no fresh code", c)
		}
		seen[c] = true
		for _, r := range c {
			letters[r]++
		}
	}
	if len(letters) != 32 {
		t.Errorf("%d of 32 letters are used", len(letters))
	}
	for r, n := range letters { // 6,250 each on average; a tenth more or less is fifty times the usual spread
		if n < 5600 || n > 6900 {
			t.Errorf("%c stands %d times", r, n)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"7K2M9QX4TB": true, "7k2m9qx4tb": true, "00000000": true, strings.Repeat("Z", 16): true,
		"": false, "7K2M9QX": false, strings.Repeat("Z", 17): false, "7K2M9QX4TI": false, "7K2M9QX4TL": false,
		"7K2M9QX4TO": false, "7K2M9QX4TU": false, "7K2M 9QX4T": false, "7K2M9QX4T\n": false, "７K2M9QX": false,
	} {
		got, parsed := code.Parse(text)
		if parsed != ok || ok && got != strings.ToUpper(text) {
			t.Errorf("%q: %q %v", text, got, parsed)
		}
	}
}
