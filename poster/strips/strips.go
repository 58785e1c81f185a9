// Package strips writes PNG files of pictures that differ from a common one in a few rectangles only. What is the
// same in all of them is filtered and compressed once; per picture only the rectangles are, and the two are spliced
// into one stream. The files hold the same pixels as those of image/png. Photos are about as large as image/png makes
// them, flat art is larger by a few bytes for each row that a rectangle touches.
//
// A PNG file (W3C Portable Network Graphics, third edition) is one zlib stream (RFC 1950) cut into IDAT chunks. Rows
// that no rectangle touches are chunks of their own, kept with their CRC and ended by an empty stored block, so that
// the next begins at a byte. The rows between are bands (band.go). The stream's Adler-32 is linear in its bytes, so
// the part of the static ones is known beforehand (sum.go).
//
// Only opaque pictures of 8 bits a channel are written, without interlacing and without a word about colour: sRGB is
// what everybody takes that for. Drawing, people and templates are unknown here.
package strips

import (
	"bytes"
	"compress/flate"
	"fmt"
	"hash/adler32"
	"image"
	"slices"
	"sync"
)

// A row of the widest picture, with its filter's byte, lies within reach of deflate's matches: 32 KiB. The number of
// pixels keeps the tables' offsets within 32 bits.
const (
	maxWidth  = (windowSize - 1) / 3
	maxPixels = 1 << 25
)

// fewRows is how many static rows between two bands are not worth a chunk of their own.
const fewRows = 8

// Plate holds what all pictures of a set have in common. It does not change once made; any number of goroutines may
// use it at the same time.
type Plate struct {
	rect    image.Rectangle
	head    []byte // all before the first part: signature, IHDR and the zlib header
	parts   []part
	sum     uint32 // Adler-32 of the filtered rows, person's bytes taken as zero
	bound   int
	scratch sync.Pool // of *scratch
}

// part is a run of whole rows: a finished chunk, or a band.
type part struct {
	chunk []byte
	band  *band
}

// NewPlate makes the plate of the pictures that equal static outside the boxes. Boxes may overlap and reach over the
// edges; both are in the coordinates of static, which has to be opaque and at most 10922 pixels wide, 33 million in
// all.
//
// Samples are pictures as they will be written, of the same size. Filters and Huffman codes are fitted to them, or
// to static if there are none: a sample makes the files smaller, and wrong ones make them larger, not invalid.
func NewPlate(static *image.RGBA, boxes []image.Rectangle, samples ...*image.RGBA) (*Plate, error) {
	rect := static.Rect
	if rect.Empty() || rect.Dx() > maxWidth || rect.Dy() > maxPixels/rect.Dx() {
		return nil, fmt.Errorf("a picture of %d x %d pixels: PNG strips are at least 1 x 1, at most %d wide and of at most %d pixels",
			rect.Dx(), rect.Dy(), maxWidth, maxPixels)
	}
	if !static.Opaque() {
		return nil, fmt.Errorf("the picture is not opaque: PNG strips have no alpha")
	}
	for _, sample := range samples {
		if sample.Rect != rect {
			return nil, fmt.Errorf("a sample covers %v, the picture %v", sample.Rect, rect)
		}
	}
	m := &maker{
		canvas: newCanvas(static),
		stride: 1 + pixelLength*rect.Dx(),
		spans:  spans(rect, boxes),
	}
	for _, sample := range samples {
		m.samples = append(m.samples, newCanvas(sample))
	}
	if len(samples) == 0 {
		m.samples = []canvas{m.canvas}
	}
	m.filter()
	p := &Plate{rect: rect, head: head(rect.Dx(), rect.Dy())}
	for _, rows := range groups(m.spans) {
		made, err := m.part(rows)
		if err != nil {
			return nil, err
		}
		p.parts = append(p.parts, made)
	}
	m.blank()
	p.sum = adler32.Checksum(m.raw)
	p.bound = p.longest()
	width := rect.Dx()
	p.scratch.New = func() any { return newScratch(width) }
	return p, nil
}

// Append writes the picture as a whole PNG file behind dst and returns both, as append does. Outside the boxes the
// canvas equals the static picture; its size is the static picture's, or Append panics. Nothing is allocated if dst
// has room for Bound more bytes.
func (p *Plate) Append(dst []byte, picture *image.RGBA) []byte {
	if picture.Rect != p.rect {
		panic(fmt.Sprintf("strips: a picture of %v on a plate of %v", picture.Rect, p.rect))
	}
	dst = slices.Grow(dst, p.bound)
	s := p.scratch.Get().(*scratch)
	c := newCanvas(picture)
	sum := newChecksum(p.sum)

	dst = append(dst, p.head...)
	for i := range p.parts {
		if band := p.parts[i].band; band != nil {
			dst = band.append(dst, c, s, &sum)
			continue
		}
		dst = append(dst, p.parts[i].chunk...)
	}
	p.scratch.Put(s)
	return tail(dst, sum.value())
}

// Bound is how many bytes a file of this plate has at most.
func (p *Plate) Bound() int { return p.bound }

func (p *Plate) longest() int {
	n := len(p.head) + tailSize + wordSlack
	for _, part := range p.parts {
		n += len(part.chunk)
		if part.band != nil {
			n += part.band.bound()
		}
	}
	return n
}

// Size is about how many bytes of memory the plate holds.
func (p *Plate) Size() int {
	n := len(p.head)
	for _, part := range p.parts {
		n += len(part.chunk)
		if part.band != nil {
			n += part.band.size()
		}
	}
	return n
}

// maker is what NewPlate knows while it works.
type maker struct {
	canvas  canvas   // static
	samples []canvas // static if there are none
	stride  int      // bytes in a filtered row, with the filter's
	spans   [][]span // of each row
	raw     []byte   // the filtered rows of static; its capacity is wordSlack bytes more
}

// filter chooses each row's filter and fills raw.
func (m *maker) filter() {
	m.raw = make([]byte, m.stride*m.canvas.height+wordSlack)
	choice := newChooser(m.canvas.width)
	for y := range m.canvas.height {
		row := m.raw[y*m.stride:]
		if len(m.spans[y]) == 0 {
			row[0] = choice.of(y, m.canvas)
		} else {
			row[0] = choice.of(y, m.samples...)
		}
		m.canvas.filter(row[1:], row[0], y, span{0, m.canvas.width})
	}
	m.raw = m.raw[:m.stride*m.canvas.height]
}

// part makes a chunk of rows that no box touches, a band of others.
func (m *maker) part(rows rows) (part, error) {
	if rows.band {
		return part{band: m.band(rows)}, nil
	}
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return part{}, err
	}
	if _, err := w.Write(m.raw[rows.from*m.stride : rows.to*m.stride]); err != nil {
		return part{}, err
	}
	if err := w.Flush(); err != nil {
		return part{}, err
	}
	return part{chunk: chunk(nil, "IDAT", b.Bytes())}, nil
}

// blank makes zeros of the bytes in raw that belong to people.
func (m *maker) blank() {
	for y, row := range m.spans {
		for _, s := range row {
			clear(m.raw[m.at(y, s.from):m.at(y, s.to)])
		}
	}
}

// at is where the first byte of a pixel lies in raw.
func (m *maker) at(y, x int) int { return y*m.stride + 1 + pixelLength*x }
