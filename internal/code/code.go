// Package code makes and reads the personal codes that stand in participants' QR codes.
package code

import (
	"crypto/rand"
	"strings"
)

// alphabet is Crockford's base32: digits and capitals without I, L, O and U
// (https://www.crockford.com/base32.html).
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Length is the number of characters of a new code: 50 bits, so that a guess hits one of a million
// codes once in a thousand million tries.
const Length = 10

// New is a fresh code from the system's cryptographic source.
func New() string {
	var raw [Length]byte
	rand.Read(raw[:])
	for i, b := range raw {
		raw[i] = alphabet[b&31]
	}
	return string(raw[:])
}

// Parse reads a code as people write it: any case. It reports false for what no code can be.
func Parse(s string) (string, bool) {
	if len(s) < 8 || len(s) > 16 {
		return "", false
	}
	s = strings.ToUpper(s)
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(alphabet, s[i]) < 0 {
			return "", false
		}
	}
	return s, true
}
