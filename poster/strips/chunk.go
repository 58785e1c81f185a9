package strips

import (
	"encoding/binary"
	"hash/crc32"
)

// Chunks: W3C PNG, 5.3. The CRC covers the type and the data.
const (
	chunkHead = 8
	chunkTail = 4
	tailSize  = chunkHead + 6 + chunkTail + chunkHead + chunkTail // what tail writes
)

// head is all before the first row: the signature, a header for 8-bit RGB, and a chunk with the zlib header
// (RFC 1950, 2.2: deflate, a window of 32 KiB).
func head(width, height int) []byte {
	var header [13]byte
	binary.BigEndian.PutUint32(header[:], uint32(width))
	binary.BigEndian.PutUint32(header[4:], uint32(height))
	header[8], header[9] = 8, 2
	b := chunk([]byte("\x89PNG\r\n\x1a\n"), "IHDR", header[:])
	return chunk(b, "IDAT", []byte{0x78, 0x01})
}

// tail appends what follows the last row: an empty last block with fixed codes (RFC 1951, 3.2.6), the sum of all
// filtered bytes, and the end.
func tail(dst []byte, sum uint32) []byte {
	last := [6]byte{0x03, 0x00}
	binary.BigEndian.PutUint32(last[2:], sum)
	return chunk(chunk(dst, "IDAT", last[:]), "IEND", nil)
}

func chunk(dst []byte, kind string, data []byte) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = append(dst, kind...)
	dst = append(dst, data...)
	dst = append(dst, 0, 0, 0, 0)
	seal(dst[start:])
	return dst
}

// seal fills in the length and the CRC of a chunk whose type and data are there.
func seal(b []byte) {
	binary.BigEndian.PutUint32(b, uint32(len(b)-chunkHead-chunkTail))
	crc := crc32.ChecksumIEEE(b[4 : len(b)-chunkTail])
	binary.BigEndian.PutUint32(b[len(b)-chunkTail:], crc)
}
