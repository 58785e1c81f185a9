// Package qr makes QR codes of links as fast as a poster can use them: byte mode, versions 1 to 10, as ISO/IEC 18004
// has it. A code is rows of bits in memory that the caller keeps, and making one takes nothing else. Longer texts, and
// the shorter codes that mixing modes can give, are other encoders' work.
package qr

import (
	"errors"
	"math"
)

// Level is how much of a code may be lost: about 7, 15, 25 and 30 % of its codewords.
type Level uint8

// The levels, from the least redundant.
const (
	L Level = iota
	M
	Q
	H
)

func (l Level) String() string {
	if l > H {
		return "?"
	}
	return "LMQH"[l : l+1]
}

const (
	maxVersion   = 10
	maxSize      = 17 + 4*maxVersion // modules a side
	maxCodewords = 346
)

// Errors of Encode.
var (
	ErrEmpty   = errors.New("there is no text to encode")
	ErrTooLong = errors.New("the text is longer than a QR code of version 10 holds at this level")
)

// Matrix is a QR code without its quiet zone. The zero value is ready for Encode and may be used again and again.
type Matrix struct {
	size int
	mask int
	rows [maxSize]uint64
}

// Size is how many modules a side has: 21 for version 1, four more for each further one.
func (m *Matrix) Size() int { return m.size }

// Version is 1 to 10.
func (m *Matrix) Version() int { return (m.size - 17) / 4 }

// Row is row y from the top, its leftmost module in the lowest bit: 1 is dark. Bits from Size on are 0.
func (m *Matrix) Row(y int) uint64 { return m.rows[y] }

// Dark says whether the module in column x of row y is dark.
func (m *Matrix) Dark(x, y int) bool { return m.rows[y]>>x&1 == 1 }

// Fit is how many modules a side the code of a text has, by its bytes, and whether Encode makes it.
func Fit(bytes int, level Level) (size int, ok bool) {
	v := version(bytes, level)
	return 17 + 4*v, v > 0
}

// version is the smallest that holds the bytes, 0 for none.
func version(bytes int, level Level) int {
	if bytes < 1 || level > H {
		return 0
	}
	for v := 1; v <= maxVersion; v++ {
		if bytes+overhead(v) <= capacity(v, level) {
			return v
		}
	}
	return 0
}

// overhead is the bytes that mode, length and terminator take: 4 bits, 8 or 16, and 4. The text lies between them, half
// a byte off, so together they are whole bytes and the terminator is never cut short.
func overhead(version int) int {
	if version < 10 {
		return 2
	}
	return 3
}

// Encode makes the smallest code that holds the text's bytes, with the mask that the standard's rules prefer. What dst
// held is overwritten, unless there is an error. A level above H is taken for too long a text.
func Encode(dst *Matrix, text string, level Level) error {
	if text == "" {
		return ErrEmpty
	}
	v := version(len(text), level)
	if v == 0 {
		return ErrTooLong
	}
	var data, codewords [maxCodewords]byte
	n := capacity(v, level)
	frame(data[:n], text, v)
	draw(dst, v, level, interleave(&codewords, data[:n], v, level))
	return nil
}

// frame writes mode, length and text, half a byte off, and fills up with the standard's pad bytes.
func frame(data []byte, text string, version int) {
	at := overhead(version) - 1
	if version < 10 {
		data[0] = 0x40 | byte(len(text)>>4)
	} else {
		data[0] = 0x40 | byte(len(text)>>12)
		data[1] = byte(len(text) >> 4)
	}
	low := byte(len(text))
	for i := range len(text) {
		data[at+i] = low<<4 | text[i]>>4
		low = text[i]
	}
	at += len(text)
	data[at] = low << 4
	for pad := byte(0xec); at+1 < len(data); pad ^= 0xec ^ 0x11 {
		at++
		data[at] = pad
	}
}

// interleave cuts the data into the version's blocks, adds each one's check bytes, and deals both out in turn.
func interleave(to *[maxCodewords]byte, data []byte, version int, level Level) []byte {
	shape := protection[version][level]
	short := len(data) / shape.count
	long := shape.count - len(data)%shape.count // the first block with one byte more
	check := checks[shape.check]
	rest := data
	for b := range shape.count {
		n := short
		if b >= long {
			n++
		}
		block := rest[:n]
		rest = rest[n:]
		for i, c := range block {
			at := i*shape.count + b
			if i == short {
				at -= long
			}
			to[at] = c
		}
		r := check.remainder(block)
		for i := range shape.check {
			to[len(data)+i*shape.count+b] = byte(r[i/8] >> (i % 8 * 8))
		}
	}
	return to[:len(data)+shape.count*shape.check]
}

// draw lays the codewords out and masks them.
func draw(dst *Matrix, version int, level Level, codewords []byte) {
	ground := grounds[version]()
	var plain, masked field
	ground.place(&plain, codewords)
	best, least := 0, math.MaxInt
	for mask := range 8 {
		ground.masked(&masked, &plain, level, mask)
		if p := penalty(&masked, ground.size, least); p < least {
			best, least = mask, p
		}
	}
	ground.masked(&masked, &plain, level, best)
	dst.size, dst.mask = ground.size, best
	copy(dst.rows[:], masked[margin:])
}
