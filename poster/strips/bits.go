package strips

import "encoding/binary"

// wordSlack is how many bytes behind the end a writer or a reader of whole words may touch.
const wordSlack = 16

// bitWriter packs bits as deflate wants them, the first into the lowest (RFC 1951, 3.1.1). Bits that have not been
// written yet wait in held: fewer than 8 between calls. The buffer has to have room for wordSlack bytes more than
// what is written.
type bitWriter struct {
	buf  []byte
	pos  int
	held uint64
	n    uint
}

// put writes the lowest n bits of v, which has no others: at most 56.
func (w *bitWriter) put(v uint64, n uint) {
	w.held |= v << w.n
	w.n += n
	binary.LittleEndian.PutUint64(w.buf[w.pos:], w.held)
	w.pos += int(w.n >> 3)
	w.held >>= w.n &^ 7
	w.n &= 7
}

// splice writes the first n bits of from, which has wordSlack bytes more than those.
func (w *bitWriter) splice(from []byte, n int) {
	pos, held, by := w.pos, w.held, w.n&7
	for ; n >= 64; n -= 64 {
		v := binary.LittleEndian.Uint64(from)
		binary.LittleEndian.PutUint64(w.buf[pos:], held|v<<by)
		held = v >> (64 - by) // nothing if by is 0
		from, pos = from[8:], pos+8
	}
	w.pos, w.held = pos, held
	for n > 0 {
		k := min(n, 48)
		w.put(binary.LittleEndian.Uint64(from)&(1<<k-1), uint(k))
		from, n = from[6:], n-k
	}
}

// align ends the block's bits with an empty stored block, so that what follows begins at a byte (a sync flush).
func (w *bitWriter) align() {
	w.put(0, 3)
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	w.put(0xffff0000, 32)
}
