package strips

import (
	"encoding/binary"
	"image"
)

// The filters of W3C PNG, 9.2. Each byte of a row becomes its difference to what the filter foretells from the
// pixels to the left, above, and above to the left; outside the picture all is zero.
const (
	filterNone = iota
	filterSub
	filterUp
	filterAverage
	filterPaeth
	filterCount
)

// Three bytes are worked at once in a word: low is all but the top bit of each byte, high the top bit.
const (
	pixelMask = 0x00ffffff
	low       = 0x007f7f7f
	high      = 0x00808080
)

// canvas is a picture whose pixels are counted from its upper left corner.
type canvas struct {
	picture       *image.RGBA
	width, height int
}

func newCanvas(picture *image.RGBA) canvas {
	return canvas{picture, picture.Rect.Dx(), picture.Rect.Dy()}
}

// row gives the pixels of a row, 4 bytes each.
func (c canvas) row(y int) []byte {
	from := y * c.picture.Stride
	return c.picture.Pix[from : from+4*c.width]
}

// nothing is the row above the first. Nobody writes to it.
var nothing [4 * maxWidth]byte

// filter writes the filtered bytes of the pixels of s, 3 each, to dst, and may write one byte more behind them.
func (c canvas) filter(dst []byte, kind byte, y int, s span) {
	cur, up := c.row(y), nothing[:4*c.width]
	if y > 0 {
		up = c.row(y - 1)
	}
	var left, corner uint32 // what is left of the pixel, and what is above that
	if s.from > 0 {
		left, corner = pixel(cur, s.from-1), pixel(up, s.from-1)
	}
	cur, up = cur[4*s.from:4*s.to], up[4*s.from:4*s.to]
	dst = dst[:3*(s.to-s.from)+1]
	switch kind {
	case filterNone:
		for len(cur) >= 4 && len(dst) >= 4 {
			binary.LittleEndian.PutUint32(dst, pixel(cur, 0))
			cur, dst = cur[4:], dst[3:]
		}
	case filterSub:
		for len(cur) >= 4 && len(dst) >= 4 {
			p := pixel(cur, 0)
			binary.LittleEndian.PutUint32(dst, minus(p, left))
			left = p
			cur, dst = cur[4:], dst[3:]
		}
	case filterUp:
		for len(cur) >= 4 && len(up) >= 4 && len(dst) >= 4 {
			binary.LittleEndian.PutUint32(dst, minus(pixel(cur, 0), pixel(up, 0)))
			cur, up, dst = cur[4:], up[4:], dst[3:]
		}
	case filterAverage:
		for len(cur) >= 4 && len(up) >= 4 && len(dst) >= 4 {
			p, above := pixel(cur, 0), pixel(up, 0)
			mean := left&above + (left^above)>>1&low // each byte's halved sum, rounded down
			binary.LittleEndian.PutUint32(dst, minus(p, mean))
			left = p
			cur, up, dst = cur[4:], up[4:], dst[3:]
		}
	case filterPaeth:
		for len(cur) >= 4 && len(up) >= 4 && len(dst) >= 4 {
			p, above := pixel(cur, 0), pixel(up, 0)
			binary.LittleEndian.PutUint32(dst, minus(p, paeth(left, above, corner)))
			left, corner = p, above
			cur, up, dst = cur[4:], up[4:], dst[3:]
		}
	}
}

// pixel gives the three colours of a pixel in a word.
func pixel(row []byte, x int) uint32 { return binary.LittleEndian.Uint32(row[4*x:]) & pixelMask }

// minus takes each byte of b from that of a.
func minus(a, b uint32) uint32 { return (a | high) - b&low ^ (a^^b)&high }

// paeth foretells each byte: whichever of left (a), above (b) and corner (c) is nearest to a+b-c (W3C PNG, 9.4).
func paeth(a, b, c uint32) uint32 {
	if a == c {
		return b
	}
	if b == c {
		return a
	}
	return nearest(a&255, b&255, c&255) | nearest(a>>8&255, b>>8&255, c>>8&255)<<8 | nearest(a>>16, b>>16, c>>16)<<16
}

func nearest(a, b, c uint32) uint32 {
	toA, toB := int32(b-c), int32(a-c)
	toC := toA + toB
	toA, toB, toC = abs(toA), abs(toB), abs(toC)
	if toB < toA {
		a, toA = b, toB
	}
	if toC < toA {
		a = c
	}
	return a
}

func abs(d int32) int32 {
	sign := d >> 31
	return (d ^ sign) - sign
}

// chooser finds the filter of a row by the rule of W3C PNG, 12.7: the least sum of differences, as image/png does.
type chooser struct{ row []byte }

func newChooser(width int) *chooser { return &chooser{make([]byte, 3*width+1)} }

// of gives the filter that suits the row of all the pictures together.
func (c *chooser) of(y int, pictures ...canvas) byte {
	best, least := byte(filterUp), -1
	for _, kind := range [filterCount]byte{filterUp, filterPaeth, filterNone, filterSub, filterAverage} {
		sum := 0
		for _, p := range pictures {
			p.filter(c.row, kind, y, span{0, p.width})
			for _, d := range c.row[:3*p.width] {
				sum += int(abs(int32(int8(d))))
			}
		}
		if least < 0 || sum < least {
			best, least = kind, sum
		}
	}
	return best
}
