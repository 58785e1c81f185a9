package wire

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Window is how far a push's time stamp may be from our clock. The platform repeats
// a push within seconds, so that its own repetitions stay inside.
const Window = 5 * time.Minute

// Signature is the lower-case hex SHA-1 of the parts in byte order, joined: of token,
// timestamp and nonce for `signature`, and with the sealed text for `msg_signature`
// (pages "Access guide" and "Message encryption and decryption").
func Signature(parts ...string) string {
	sorted := slices.Sorted(slices.Values(parts))
	sum := sha1.Sum([]byte(strings.Join(sorted, "")))
	return hex.EncodeToString(sum[:])
}

// Fresh reports whether a push's timestamp (Unix seconds, from the query) is within
// the window around now, both ends included.
func Fresh(timestamp string, now time.Time, window time.Duration) bool {
	at, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil || at < 0 {
		return false
	}
	return !time.Unix(at, 0).Before(now.Add(-window)) && !time.Unix(at, 0).After(now.Add(window))
}

// same compares two signatures in constant time.
func same(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
