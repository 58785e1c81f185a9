package baseline

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// forms remember the AC bits of blocks of two tones. A QR code whose modules are not 8 pixels on the grid of blocks
// is made of few of them, by where modules' edges lie and which are dark, and has them again and again. They are
// kept for the plate's life and shared: what came first stays, so they take at most 0.3 MB and, once there, cost no
// allocation.
type forms struct {
	slots [1 << formBits]atomic.Pointer[form]
}

const (
	formBits  = 11
	formWords = 13  // of 56 bits: more are not worth keeping
	formBytes = 144 // that one takes
)

// form is a block of two tones as it is coded. It does not change.
type form struct {
	key   formKey
	dc    int32
	bits  int // of AC and the block's end
	words [formWords]uint64
}

// formKey is all there is to say about a block of two tones.
type formKey struct {
	dark  uint64 // which samples, from the first in the lowest bit, differ from the first
	first uint8
	other uint8 // the difference's bits
	kind  uint8
}

// key describes a block that is not flat; false if it has more than two tones, as most have in their first row.
func (k *formKey) key(rows *[8]uint64, kind int) bool {
	first := rows[0] & 0xff
	ground := first * ones
	var other, lowest uint64
	var dark uint64
	for y, row := range rows {
		d := row ^ ground
		if d == 0 {
			continue
		}
		if other == 0 {
			other = d >> (bits.TrailingZeros64(d) &^ 7) & 0xff
			lowest = uint64(bits.TrailingZeros64(other)) & 7
		}
		which := d >> lowest & ones
		if which*other != d {
			return false
		}
		// The product gathers the lowest bits of eight bytes, the first byte's lowest.
		dark |= which * 0x0102040810204080 >> 56 << (8 * y)
	}
	*k = formKey{dark: dark, first: uint8(first), other: uint8(other), kind: uint8(kind)}
	return true
}

// slot is where a form is kept if it is.
func (f *forms) slot(k *formKey) *atomic.Pointer[form] {
	h := (k.dark ^ (uint64(k.first)<<16|uint64(k.other)<<8|uint64(k.kind))*0x9e3779b97f4a7c15) * 0xd6e8feb86659fd93
	h ^= h >> 32
	return &f.slots[h*0x9e3779b97f4a7c15>>(64-formBits)]
}

// write writes a block's AC bits.
func (f *form) write(w *writer) {
	n := f.bits
	for i := 0; n > 56; i++ {
		w.put(f.words[i], 56)
		n -= 56
	}
	w.put(f.words[(f.bits-1)/56], n)
}

// newForm codes a block apart; nil if it takes too many bits.
func (e *Encoder) newForm(k *formKey, rows *[8]uint64) *form {
	var buf [bitsOfBlock/8 + 16]byte
	w := writer{buf: buf[:], free: 64, plain: true}
	f := &form{key: *k}
	mask := e.quant[k.kind].transform(rows, &w.coefs)
	f.dc = w.coefs[0]
	e.coders[k.kind].busy(&w, 0, &w.coefs, mask)
	from := int(e.coders[k.kind].dc[0] & 31) // DC has no difference here
	f.bits = int(w.position()) - from
	if f.bits > 56*formWords {
		return nil
	}
	w.finish()
	for i, n := 0, f.bits; n > 0; i++ {
		take := min(n, 56)
		f.words[i] = binary.BigEndian.Uint64(buf[from>>3:]) << (from & 7) >> (64 - take)
		from += take
		n -= take
	}
	return f
}

// block codes a block as the encoder does, and remembers it if it has two tones.
func (f *forms) block(e *Encoder, w *writer, kind int, rows *[8]uint64, before int32) (dc int32) {
	if flat(rows) {
		return e.level(w, kind, rows, before)
	}
	var k formKey
	if !k.key(rows, kind) {
		return e.busy(w, kind, rows, before)
	}
	slot := f.slot(&k)
	known := slot.Load()
	if known == nil {
		if known = e.newForm(&k, rows); known != nil {
			slot.Store(known)
		}
	}
	if known == nil || known.key != k {
		return e.busy(w, kind, rows, before)
	}
	e.coders[kind].difference(w, known.dc-before)
	known.write(w)
	return known.dc
}
