package baseline

import (
	"encoding/binary"
	"math/bits"
)

// Two symbols of AC that tell no value (T.81, F.1.2.2.1).
const (
	endOfBlock   = 0x00
	sixteenZeros = 0xf0
)

// writer puts bits into a buffer that has room, with a zero stuffed behind every 0xFF (T.81, F.1.2.3).
type writer struct {
	buf   []byte
	at    int
	bits  uint64    // the low 64-free are pending, what is above them is rubbish
	free  int       // 0 to 64
	plain bool      // nothing is stuffed
	coefs [64]int32 // of the block that is being written
}

// put writes the low n bits of v, 1 to 56; the others are zero.
func (w *writer) put(v uint64, n int) {
	if w.free >= n {
		w.bits = w.bits<<(n&63) | v
		w.free -= n
		return
	}
	w.spill(v, n)
}

// spill is put where the word overflows.
func (w *writer) spill(v uint64, n int) {
	over := n - w.free
	w.word(w.bits<<(w.free&63) | v>>(over&63))
	w.bits = v
	w.free = 64 - over
}

// word writes eight bytes.
func (w *writer) word(v uint64) {
	if v&0x8080808080808080&^(v+ones) == 0 || w.plain { // no byte is 0xFF; a few words are suspected wrongly
		binary.BigEndian.PutUint64(w.buf[w.at:], v)
		w.at += 8
		return
	}
	for shift := 56; shift >= 0; shift -= 8 {
		w.byte(byte(v >> shift))
	}
}

func (w *writer) byte(b byte) {
	w.buf[w.at] = b
	w.at++
	if b == 0xff && !w.plain {
		w.buf[w.at] = 0
		w.at++
	}
}

// settle writes what is pending but for less than a byte, and says how many bits that is.
func (w *writer) settle() int {
	n := 64 - w.free
	for ; n >= 8; n -= 8 {
		w.byte(byte(w.bits >> (n - 8)))
	}
	w.free = 64 - n
	return n
}

// finish fills the last byte with ones.
func (w *writer) finish() {
	if n := w.settle(); n > 0 {
		w.byte(byte(w.bits<<(8-n)) | 0xff>>n)
		w.free = 64
	}
}

// copyBits writes bits from..to of a scan that has nine bytes to spare behind it.
func (w *writer) copyBits(scan []byte, from, to uint32) {
	if to-from >= longCopy { // whole words, once what is written ends with a byte
		if n := uint32(w.free & 7); n > 0 {
			w.put(uint64(binary.BigEndian.Uint16(scan[from>>3:])<<(from&7)>>(16-n)), int(n))
			from += n
		}
		w.settle()
		left := from & 7
		for ; to-from >= 64; from += 64 {
			at := from >> 3
			w.word(binary.BigEndian.Uint64(scan[at:])<<left | uint64(scan[at+8])>>(8-left))
		}
	}
	for from < to {
		n := min(to-from, 56)
		v := binary.BigEndian.Uint64(scan[from>>3:]) << (from & 7) >> (64 - n)
		w.put(v, int(n))
		from += n
	}
}

// longCopy is from how many bits on it pays to write whole words.
const longCopy = 512

// magnitude gives how many bits tell a value and what they say (T.81, F.1.2.1).
func magnitude(v int32) (size int, low uint32) {
	sign := v >> 31
	size = bits.Len32(uint32((v ^ sign) - sign))
	return size, uint32(v+sign) & (1<<(size&31) - 1)
}

// difference writes a block's DC.
func (c *coder) difference(w *writer, diff int32) {
	size, low := magnitude(diff)
	e := c.dc[size]
	w.put(uint64(uint32(e)>>5|low), int(e&31))
}

// level writes the DC of a block that has no AC, and that.
func (c *coder) level(w *writer, diff int32) {
	size, low := magnitude(diff)
	e, end := c.dc[size], c.end
	w.put(uint64(uint32(e)>>5|low)<<(end&31)|uint64(end>>5), int(e&31+end&31))
}

// busy writes a block: coefs in rows, mask those of AC that are not zero, in scan order.
func (c *coder) busy(w *writer, diff int32, coefs *[64]int32, mask uint64) {
	size, low := magnitude(diff)
	e := c.dc[size]
	v, n := uint64(uint32(e)>>5|low), int(e&31)
	acc, free := w.bits, w.free
	last := 0
	for {
		if free >= n {
			acc = acc<<(n&63) | v
			free -= n
		} else {
			over := n - free
			w.word(acc<<(free&63) | v>>(over&63))
			acc = v
			free = 64 - over
		}
		if mask == 0 {
			break
		}
		k := bits.TrailingZeros64(mask)
		mask &= mask - 1
		run := k - last - 1
		last = k
		for run > 15 {
			w.bits, w.free = acc, free
			e := c.ac[sixteenZeros]
			w.put(uint64(e>>5), int(e&31))
			acc, free = w.bits, w.free
			run -= 16
		}
		size, low := magnitude(coefs[zigzag[k&63]&63])
		e := c.ac[(run<<4|size)&255]
		v, n = uint64(uint32(e)>>5|low), int(e&31)
	}
	w.bits, w.free = acc, free
	if last != 63 {
		w.put(uint64(c.end>>5), int(c.end&31))
	}
}

// count adds a block's symbols to a census.
func (c *census) count(kind int, diff int32, coefs *[64]int32, mask uint64) {
	size, _ := magnitude(diff)
	c.dc[kind][size]++
	last := 0
	for ; mask != 0; mask &= mask - 1 {
		k := bits.TrailingZeros64(mask)
		run := k - last - 1
		last = k
		c.ac[kind][sixteenZeros] += int64(run >> 4)
		size, _ := magnitude(coefs[zigzag[k]])
		c.ac[kind][run&15<<4|size]++
	}
	if last != 63 {
		c.ac[kind][endOfBlock]++
	}
}
