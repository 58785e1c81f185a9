package strips

import "hash/adler32"

// base is the modulus of Adler-32 (RFC 1950, 9).
const base = 65521

// checksum adds up an Adler-32 piece by piece, in any order. Its two halves are linear in the bytes: the low one is
// one more than their sum, in the high one each counts as often as there are bytes from it to the end. So bytes can
// be taken as zero at first and added when they are known.
type checksum struct{ low, high uint64 }

func newChecksum(sum uint32) checksum { return checksum{uint64(sum & 0xffff), uint64(sum >> 16)} }

// add counts bytes that were taken as zero; after is how many follow them in the whole stream, modulo base.
func (c *checksum) add(b []byte, after uint32) {
	sum := adler32.Checksum(b)
	low := uint64(sum&0xffff) + base - 1 // without the one that a checksum begins with
	high := uint64(sum>>16) + base - uint64(len(b)%base)
	c.low += low
	c.high += high + low*uint64(after)
	c.low %= base
	c.high %= base
}

func (c *checksum) value() uint32 { return uint32(c.high<<16 | c.low) }
