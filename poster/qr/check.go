package qr

// word is up to 32 check bytes, the first in the lowest bits of the first number.
type word [4]uint64

// check makes the check bytes of blocks, so many for each: the remainder by the Reed-Solomon generator polynomial of
// that degree. What a byte adds to the remainder is the sum of what its two halves add, which are looked up.
type check struct {
	low, high [16]word
}

// checks are by how many bytes they make; the standard's table names thirteen numbers up to version 10.
var checks = func() (all [31]*check) {
	for _, levels := range protection {
		for _, b := range levels {
			if b.check > 0 && all[b.check] == nil {
				all[b.check] = newCheck(b.check)
			}
		}
	}
	return all
}()

func newCheck(degree int) *check {
	c := &check{}
	g := generator(degree)
	for half := range 16 {
		for i, coefficient := range g {
			c.low[half][i/8] |= uint64(times(byte(half), coefficient)) << (i % 8 * 8)
			c.high[half][i/8] |= uint64(times(byte(half<<4), coefficient)) << (i % 8 * 8)
		}
	}
	return c
}

// generator is the product of all x - 2^i below the degree: its coefficients from the highest but one down, the highest
// being 1.
func generator(degree int) []byte {
	g := make([]byte, degree)
	g[degree-1] = 1
	root := byte(1)
	for range degree {
		for i := range g {
			g[i] = times(g[i], root)
			if i+1 < degree {
				g[i] ^= g[i+1]
			}
		}
		root = times(root, 2)
	}
	return g
}

// times multiplies in the field of 256 elements that x^8 + x^4 + x^3 + x^2 + 1 makes.
func times(a, b byte) byte {
	var product byte
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		carry := a >> 7
		a = a<<1 ^ carry*0x1d
	}
	return product
}

// remainder is a block's check bytes.
func (c *check) remainder(block []byte) word {
	var a0, a1, a2, a3 uint64
	for _, b := range block {
		b ^= byte(a0)
		low, high := &c.low[b&15], &c.high[b>>4]
		a0 = (a0>>8 | a1<<56) ^ low[0] ^ high[0]
		a1 = (a1>>8 | a2<<56) ^ low[1] ^ high[1]
		a2 = (a2>>8 | a3<<56) ^ low[2] ^ high[2]
		a3 = a3>>8 ^ low[3] ^ high[3]
	}
	return word{a0, a1, a2, a3}
}
