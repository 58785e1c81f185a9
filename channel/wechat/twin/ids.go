package twin

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strconv"
)

// ids draws whatever looks random from a seed and from what the thing is for, never from the order of calls: the third
// ticket for one scene is the same ticket however many others were made meanwhile.
type ids struct{ key []byte }

func newIDs(seed int64, appID string) ids {
	return ids{key: []byte("twin\x00" + strconv.FormatInt(seed, 10) + "\x00" + appID)}
}

func (d ids) sum(parts ...string) []byte {
	mac := hmac.New(sha256.New, d.key)
	var length [4]byte
	for _, p := range parts {
		binary.BigEndian.PutUint32(length[:], uint32(len(p)))
		mac.Write(length[:])
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// letters gives n characters of [A-Za-z0-9_-].
func (d ids) letters(n int, parts ...string) string {
	out := make([]byte, 0, n+43)
	block := d.sum(parts...)
	for len(out) < n {
		out = base64.RawURLEncoding.AppendEncode(out, block)
		block = d.sum("more", string(block))
	}
	return string(out[:n])
}

// hex gives n hexadecimal digits, at most 64.
func (d ids) hex(n int, parts ...string) string { return hex.EncodeToString(d.sum(parts...))[:n] }

// number gives a positive 63-bit number.
func (d ids) number(parts ...string) int64 {
	return int64(binary.BigEndian.Uint64(d.sum(parts...)) >> 1)
}

// nth writes a count for use as a part.
func nth(n int64) string { return strconv.FormatInt(n, 10) }
