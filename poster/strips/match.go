package strips

import (
	"encoding/binary"
	"math/bits"
)

const (
	windowSize    = 1 << 15
	shortestMatch = 3
	longestMatch  = 258
)

// token is a literal byte, or a match: matchBit, its length less 3 in 8 bits and its distance less 1 in 15.
type token uint32

const matchBit = 1 << 31

func match(length, distance int) token {
	return token(matchBit | (length-shortestMatch)<<16 | (distance - 1))
}

func (t token) isMatch() bool { return t&matchBit != 0 }
func (t token) length() int   { return int(t>>16&255) + shortestMatch }
func (t token) distance() int { return int(t&(windowSize-1)) + 1 }

// Effort of the search for matches in static bytes: about that of zlib's level 6.
const (
	hashBits   = 15
	seedLength = 4 // the least that is looked for
	deepest    = 48
	nearEnough = 128
	lazyBelow  = 32
	farther    = 4096 // from here on a match of seedLength costs more than it saves
)

// finder looks for matches in bytes some of which are not known beforehand: no match points at one of those.
type finder struct {
	raw   []byte   // wordSlack bytes longer than reach
	reach []uint16 // from each byte on, how many are known; longestMatch at most
	head  []int32  // of each hash the last position, plus one
	prev  []int32  // of each position the one before with its hash, plus one
	done  int      // all before are in the chains
}

// newFinder takes the bytes and, in order, the ranges of them that are not known.
func newFinder(raw []byte, size int, unknown []span) *finder {
	f := &finder{
		raw:   raw,
		reach: make([]uint16, size),
		head:  make([]int32, 1<<hashBits),
		prev:  make([]int32, size),
	}
	end := size
	for i := len(unknown) - 1; i >= -1; i-- {
		from, next := 0, 0
		if i >= 0 {
			from, next = unknown[i].to, unknown[i].from
		}
		for at := from; at < end; at++ {
			f.reach[at] = uint16(min(end-at, longestMatch))
		}
		end = next
	}
	return f
}

// tokens writes the known bytes from one position to another as literals and matches, with one byte's hesitation:
// a match gives way to a longer one that begins a byte later.
func (f *finder) tokens(to []token, from, end int) []token {
	length, distance := f.find(from, end)
	for at := from; at < end; {
		if length == 0 || distance > 1 && f.repeats(at, end) {
			to = append(to, token(f.raw[at]))
			at++
			length, distance = f.find(at, end)
			continue
		}
		if length < lazyBelow {
			if l, d := f.find(at+1, end); l > length {
				to = append(to, token(f.raw[at]))
				at++
				length, distance = l, d
				continue
			}
		}
		to = append(to, match(length, distance))
		at += length
		length, distance = f.find(at, end)
	}
	return to
}

// repeats tells whether a byte is followed by some more of its kind. A literal and then a match one byte back are
// cheaper than a match far away.
func (f *finder) repeats(at, end int) bool {
	const some = 8
	return end-at > some && same(f.raw[at:], f.raw[at+1:], some) == some
}

// find gives the longest match for what stands at a position, or none.
func (f *finder) find(at, end int) (length, distance int) {
	f.learn(at)
	limit := min(end-at, longestMatch)
	if limit < seedLength {
		return 0, 0
	}
	candidate := f.head[f.hash(at)]
	for range deepest {
		source := int(candidate) - 1
		if source < 0 || at-source > windowSize {
			break
		}
		if l := same(f.raw[source:], f.raw[at:], min(limit, int(f.reach[source]))); l > length && worth(l, at-source) {
			length, distance = l, at-source
			if l >= min(nearEnough, limit) {
				break
			}
		}
		candidate = f.prev[source]
	}
	return length, distance
}

func worth(length, distance int) bool {
	return length > seedLength || length == seedLength && distance < farther
}

// learn puts all known positions before at into the chains.
func (f *finder) learn(at int) {
	for ; f.done < min(at, len(f.reach)); f.done++ {
		if f.reach[f.done] < seedLength {
			continue
		}
		h := f.hash(f.done)
		f.prev[f.done] = f.head[h]
		f.head[h] = int32(f.done) + 1
	}
}

func (f *finder) hash(at int) uint32 {
	return binary.LittleEndian.Uint32(f.raw[at:]) * 0x9e3779b1 >> (32 - hashBits)
}

// same is how many bytes of a and b are equal from the start, limit at most. Both have 8 bytes more than that.
func same(a, b []byte, limit int) int {
	for n := 0; n < limit; n += 8 {
		if d := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); d != 0 {
			return min(n+bits.TrailingZeros64(d)/8, limit)
		}
	}
	return limit
}
