// Package baseline writes pictures as baseline JPEG (ITU T.81, sequential DCT, 8 bits, Huffman, one interleaved
// scan, no restart markers). Its own part is the Plate: a picture that is encoded once, from which files of pictures
// that differ in a few units are made by coding those units alone and splicing them, by bits, between copied runs of
// the scan. Such a file is, byte for byte, what encoding the whole picture gives. Drawing is not done here.
package baseline

import (
	"slices"

	"kfactor/internal/fault"
)

// The qualities that there are, on the scale of the IJG's library.
const (
	LowestQuality  = 60
	HighestQuality = 95
)

// Encoder writes pictures of one quality with one set of Huffman tables. It does not change and may be used by any
// number of goroutines.
type Encoder struct {
	quant  [2]*quantiser // of luma, of chroma
	coders [2]*coder
	tables *tables
}

// NewEncoder gives an encoder whose Huffman tables fit the samples best and can code any other picture as well;
// without samples they are the standard's. A quality that there is not is a fault.
func NewEncoder(quality int, samples ...*Planes) (*Encoder, error) {
	if quality < LowestQuality || quality > HighestQuality {
		return nil, fault.New(fault.Invalid, "JPEG quality is %d to %d, not %d", LowestQuality, HighestQuality, quality)
	}
	e := &Encoder{quant: [2]*quantiser{newQuantiser(&lumaSteps, quality), newQuantiser(&chromaSteps, quality)}}
	e.tables = standard()
	if len(samples) > 0 {
		c := newCensus()
		for _, p := range samples {
			e.census(c, p)
		}
		e.tables = c.fit()
	}
	for i := range e.coders {
		e.coders[i] = newCoder(&e.tables.dc[i], &e.tables.ac[i])
	}
	return e, nil
}

// What may be written at most: a block's DC and each AC have 16 bits of code and 11 and 10 of value; every byte of a
// unit may be stuffed, and up to eight that were pending.
const (
	bitsOfBlock = 27 + 63*26
	mostOfUnit  = 2 * (6*bitsOfBlock/8 + 1 + 8)
)

// room makes sure that the writer can take n bytes.
func (w *writer) room(n int) {
	if len(w.buf)-w.at < n {
		w.grow(n)
	}
}

func (w *writer) grow(n int) {
	b := slices.Grow(w.buf[:w.at], n)
	w.buf = b[:cap(b)]
}

// slot is where a block lies in its unit, in samples from the unit's corner.
type slot struct {
	part int // 0 Y, 1 Cb, 2 Cr
	x, y int
}

// slots are a unit's blocks in scan order, by ratio (T.81, A.2.3).
var slots = [2][]slot{
	Ratio420: {{0, 0, 0}, {0, 8, 0}, {0, 0, 8}, {0, 8, 8}, {1, 0, 0}, {2, 0, 0}},
	Ratio444: {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}},
}

// parts are the three planes by number.
type parts struct {
	plane  [3][]byte
	stride [3]int
	side   [3]int // of a unit, in samples
}

func (p *Planes) parts() parts {
	return parts{
		plane:  [3][]byte{p.Y, p.Cb, p.Cr},
		stride: [3]int{p.YStride, p.CStride, p.CStride},
		side:   [3]int{p.Ratio.luma(), block, block},
	}
}

// at gives the place of a block in its plane.
func (p *parts) at(ux, uy int, s *slot) int {
	side := p.side[s.part]
	return (uy*side+s.y)*p.stride[s.part] + ux*side + s.x
}

// kind says whose tables a part is coded with: 0 luma's, 1 chroma's.
func kind(part int) int { return (part + 1) >> 1 }

// Encode appends the JPEG file of a picture.
func (e *Encoder) Encode(dst []byte, p *Planes) []byte {
	dst = e.header(dst, p)
	w := writer{buf: dst[:cap(dst)], at: len(dst), free: 64}
	var (
		in   = p.parts()
		dc   [3]int32
		rows [8]uint64
	)
	across, down := p.Across(), p.Down()
	for uy := range down {
		for ux := range across {
			w.room(mostOfUnit)
			for i := range slots[p.Ratio] {
				s := &slots[p.Ratio][i]
				load(in.plane[s.part], in.at(ux, uy, s), in.stride[s.part], &rows)
				dc[s.part] = e.block(&w, kind(s.part), &rows, dc[s.part])
			}
		}
	}
	w.room(mostOfUnit)
	w.finish()
	return append(w.buf[:w.at], 0xff, 0xd9)
}

// block codes one block and gives its DC; before is that of the block before of the same part.
func (e *Encoder) block(w *writer, kind int, rows *[8]uint64, before int32) (dc int32) {
	if flat(rows) {
		return e.level(w, kind, rows, before)
	}
	return e.busy(w, kind, rows, before)
}

// level is block for one whose samples are all the same: there is nothing to transform.
func (e *Encoder) level(w *writer, kind int, rows *[8]uint64, before int32) (dc int32) {
	dc = e.quant[kind].flat[rows[0]&0xff]
	e.coders[kind].level(w, dc-before)
	return dc
}

// busy is block for any other.
func (e *Encoder) busy(w *writer, kind int, rows *[8]uint64, before int32) (dc int32) {
	mask := e.quant[kind].transform(rows, &w.coefs)
	dc = w.coefs[0]
	e.coders[kind].busy(w, dc-before, &w.coefs, mask)
	return dc
}

// census counts the symbols of a picture.
func (e *Encoder) census(c *census, p *Planes) {
	var (
		in    = p.parts()
		dc    [3]int32
		rows  [8]uint64
		coefs [64]int32
	)
	across, down := p.Across(), p.Down()
	for uy := range down {
		for ux := range across {
			for i := range slots[p.Ratio] {
				s := &slots[p.Ratio][i]
				load(in.plane[s.part], in.at(ux, uy, s), in.stride[s.part], &rows)
				mask := e.quant[kind(s.part)].transform(&rows, &coefs)
				c.count(kind(s.part), coefs[0]-dc[s.part], &coefs, mask)
				dc[s.part] = coefs[0]
			}
		}
	}
}
