package baseline

import (
	"encoding/binary"
	"math/bits"
)

// ones spreads a byte over a row.
const ones = 0x0101010101010101

// load reads a block of 8x8 samples, a row a word, the leftmost sample lowest.
func load(plane []byte, at, stride int, rows *[8]uint64) {
	p := plane[at : at+7*stride+8]
	rows[0] = binary.LittleEndian.Uint64(p)
	rows[1] = binary.LittleEndian.Uint64(p[stride:])
	rows[2] = binary.LittleEndian.Uint64(p[2*stride:])
	rows[3] = binary.LittleEndian.Uint64(p[3*stride:])
	rows[4] = binary.LittleEndian.Uint64(p[4*stride:])
	rows[5] = binary.LittleEndian.Uint64(p[5*stride:])
	rows[6] = binary.LittleEndian.Uint64(p[6*stride:])
	rows[7] = binary.LittleEndian.Uint64(p[7*stride:])
}

// flat says whether all 64 samples are the same.
func flat(r *[8]uint64) bool {
	a := r[0]
	return a == a&0xff*ones &&
		(a^r[1])|(a^r[2])|(a^r[3])|(a^r[4])|(a^r[5])|(a^r[6])|(a^r[7]) == 0
}

// The transform is that of Arai, Agui and Nakajima in integers, two columns (then two rows) at a time: the halves of
// a 64-bit word. Everything between two roundings is sums and products with constants, and those are right for
// lo + hi<<32 as a number, whatever the signs and however large something in between grows, as long as what comes
// out fits into 32 bits with its sign. Integers give the same file on every platform.
const (
	between   = 4  // bits of fraction kept from the first pass to the second
	fraction1 = 16 // of the first pass's constants
	fraction2 = 13 // of the second pass's

	// A first pass gives less than 2048 either way. Before a word is cut into its halves this is added, to have
	// them positive: the second pass then finds it in its first output alone, and offset says how much.
	bias = 2048

	unit = 1_000_000_000 // of the constants as they are written
	half = unit / 2

	both  = 1<<32 + 1
	signs = 1 << 31 * both
	low   = 1<<32 - 1
	high  = low << 32
)

// fraction is how many bits of fraction the outputs of column u have: two of them need no products.
func fraction(u int) int {
	if u&3 == 0 {
		return between
	}
	return between + fraction2
}

// offset is by how much the output at u, v is too large: by what made halves positive, and because samples are
// taken as 0..255 where T.81, A.3.1 takes -128..127.
func offset(u, v int) int64 {
	switch {
	case u != 0:
		return 0
	case v == 0:
		return 64 * 128 << between
	default:
		return 8 * bias << between
	}
}

// transform gives a block's coefficients in rows, scaled: see aan, fraction and offset.
func (q *quantiser) transform(rows *[8]uint64, out *[64]int32) (mask uint64) {
	const (
		lanes = 0xff<<32 + 0xff
		c1    = (707106781<<fraction1 + half) / unit
		c2    = (382683433<<fraction1 + half) / unit
		c3    = (541196100<<fraction1 + half) / unit
		c4    = (1306562965<<fraction1 + half) / unit

		cut   = fraction1 - between
		round = (bias<<fraction1 + 1<<(cut-1)) * both
		keep  = high | low>>cut
	)
	var t [8][4]uint64 // of output v: columns j and j+4
	for j := range 4 {
		by := uint(8*j) & 63
		d0, d7 := rows[0]>>by&lanes, rows[7]>>by&lanes
		s0, e0 := d0+d7, d0-d7
		d1, d6 := rows[1]>>by&lanes, rows[6]>>by&lanes
		s1, e1 := d1+d6, d1-d6
		d2, d5 := rows[2]>>by&lanes, rows[5]>>by&lanes
		s2, e2 := d2+d5, d2-d5
		d3, d4 := rows[3]>>by&lanes, rows[4]>>by&lanes
		s3, e3 := d3+d4, d3-d4

		a0, a3 := s0+s3, s0-s3
		a1, a2 := s1+s2, s1-s2
		t[0][j] = (a0 + a1) << between
		t[4][j] = (a0-a1)<<between + bias<<between*both
		z := (a2 + a3) * c1
		a3 = a3<<fraction1 + round
		t[2][j] = (a3 + z) >> cut & keep
		t[6][j] = (a3 - z) >> cut & keep

		b0, b1, b2 := e3+e2, e2+e1, e1+e0
		z5 := (b0 - b2) * c2
		z2 := b0*c3 + z5
		z4 := b2*c4 + z5
		z3 := b1 * c1
		e0 = e0<<fraction1 + round
		z1, z0 := e0+z3, e0-z3
		t[5][j] = (z0 + z2) >> cut & keep
		t[3][j] = (z0 - z2) >> cut & keep
		t[1][j] = (z1 + z4) >> cut & keep
		t[7][j] = (z1 - z4) >> cut & keep
	}
	return q.transformRows(&t, out)
}

// transformRows is the second pass: it turns the first pass's columns into rows on the way in, and quantises two rows
// as it has them. It gives the coefficients in rows, and by bits in scan order which of AC are not zero.
func (q *quantiser) transformRows(t *[8][4]uint64, out *[64]int32) (mask uint64) {
	const (
		c1 = (707106781<<fraction2 + half) / unit
		c2 = (382683433<<fraction2 + half) / unit
		c3 = (541196100<<fraction2 + half) / unit
		c4 = (1306562965<<fraction2 + half) / unit
	)
	for i := range 4 {
		a, b := &t[2*i], &t[2*i+1]
		by, o := (*[16]reciprocal)(q.by[16*i:]), (*[16]int32)(out[16*i:])
		d0, d4 := a[0]&low|b[0]<<32, a[0]>>32|b[0]&high
		d3, d7 := a[3]&low|b[3]<<32, a[3]>>32|b[3]&high
		s0, e0 := d0+d7, d0-d7
		s3, e3 := d3+d4, d3-d4
		d1, d5 := a[1]&low|b[1]<<32, a[1]>>32|b[1]&high
		d2, d6 := a[2]&low|b[2]<<32, a[2]>>32|b[2]&high
		s1, e1 := d1+d6, d1-d6
		s2, e2 := d2+d5, d2-d5

		a0, a3 := s0+s3, s0-s3
		a1, a2 := s1+s2, s1-s2
		w0 := a0 + a1
		w4 := a0 - a1
		z := (a2 + a3) * c1
		a3 <<= fraction2
		w2 := a3 + z
		w6 := a3 - z

		b0, b1, b2 := e3+e2, e2+e1, e1+e0
		z5 := (b0 - b2) * c2
		z2 := b0*c3 + z5
		z4 := b2*c4 + z5
		z3 := b1 * c1
		e0 <<= fraction2
		z1, z0 := e0+z3, e0-z3
		w5 := z0 + z2
		w3 := z0 - z2
		w1 := z1 + z4
		w7 := z1 - z4
		if i > 0 {
			from, to := &q.zeros[i].from, &q.zeros[i].to
			if ((w0-from[0])|(to[0]-w0)|(w1-from[1])|(to[1]-w1)|(w2-from[2])|(to[2]-w2)|(w3-from[3])|(to[3]-w3)|
				(w4-from[4])|(to[4]-w4)|(w5-from[5])|(to[5]-w5)|(w6-from[6])|(to[6]-w6)|(w7-from[7])|(to[7]-w7))&signs == 0 {
				continue
			}
		}
		mask |= by[0].one(int64(int32(w0)), &o[0]) | by[8].one(int64(w0+1<<31)>>32, &o[8])
		mask |= by[1].one(int64(int32(w1)), &o[1]) | by[9].one(int64(w1+1<<31)>>32, &o[9])
		mask |= by[2].one(int64(int32(w2)), &o[2]) | by[10].one(int64(w2+1<<31)>>32, &o[10])
		mask |= by[3].one(int64(int32(w3)), &o[3]) | by[11].one(int64(w3+1<<31)>>32, &o[11])
		mask |= by[4].one(int64(int32(w4)), &o[4]) | by[12].one(int64(w4+1<<31)>>32, &o[12])
		mask |= by[5].one(int64(int32(w5)), &o[5]) | by[13].one(int64(w5+1<<31)>>32, &o[13])
		mask |= by[6].one(int64(int32(w6)), &o[6]) | by[14].one(int64(w6+1<<31)>>32, &o[14])
		mask |= by[7].one(int64(int32(w7)), &o[7]) | by[15].one(int64(w7+1<<31)>>32, &o[15])
	}
	return mask
}

// one quantises an output, and gives its bit if it is not zero then.
func (r *reciprocal) one(x int64, out *int32) uint64 {
	c := x*r.mul + r.add
	*out = int32(c >> shift)
	_, some := bits.Sub64(1<<shift-1, uint64(c), 0)
	return -some & r.bit
}
