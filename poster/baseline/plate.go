package baseline

import (
	"math"
	"slices"

	"kfactor/internal/fault"
)

// Plate is a static picture that is encoded once, to make files of pictures that differ from it in a few units. It
// does not change and may be used by any number of goroutines. Beside the static planes, which it keeps and which
// must not change either, it holds the scan nine times, 6 bytes for each block and 32 for each unit: 3.5 MB for a
// photo of 1080x1920 at quality 85, and up to 0.3 MB of blocks that come often. See Memory.
type Plate struct {
	encoder *Encoder
	static  *Planes
	header  []byte

	scan   []byte   // without stuffing, and nine bytes to spare
	starts []uint32 // of every block in scan order, in bits of the scan; then its end
	dcs    []int16  // of every block
	dcBits []uint8  // how long the code of a block's DC is

	// The scan delayed by 0 to 7 bits, with stuffing: whatever bits are pending, in one of them the bytes of a
	// static run are the file's. Empty when they would take more than mostOfCopies.
	copies [8]delayed

	forms *forms
}

// delayed is the scan some bits later.
type delayed struct {
	bytes []byte
	units []uint32 // where the byte is that a unit begins in; then the scan's end
}

// mostOfCopies bounds what the delayed copies take, in bytes. Past it (a photo of 1080x1920 at quality 95) static
// runs are shifted as they are copied, at 0.1 ms more for each file of that size.
const mostOfCopies = 4 << 20

// NewPlate encodes a static picture. Its Huffman tables fit that and the samples, pictures as they are to come, the
// more of them the better; they can code any other. The static planes are kept: they must not change any more.
func NewPlate(static *Planes, quality int, samples ...*Planes) (*Plate, error) {
	for _, s := range samples {
		if !static.alike(s) {
			panic("baseline: planes of different geometry")
		}
	}
	units := static.Across() * static.Down()
	if units*len(slots[static.Ratio]) > math.MaxUint32/bitsOfBlock {
		return nil, fault.New(fault.Invalid, "a picture of %d x %d pixels is too large", static.Width, static.Height)
	}
	e, err := NewEncoder(quality, append([]*Planes{static}, samples...)...)
	if err != nil {
		return nil, err
	}
	p := &Plate{encoder: e, static: static, header: e.header(nil, static), forms: &forms{}}
	p.encode()
	p.delay()
	return p, nil
}

// Encoder gives the encoder that makes the same files without splicing.
func (p *Plate) Encoder() *Encoder { return p.encoder }

// Static gives the planes that the plate was made of. They must not be changed.
func (p *Plate) Static() *Planes { return p.static }

// Memory is what the plate may take without its static planes, in bytes.
func (p *Plate) Memory() int {
	n := cap(p.header) + cap(p.scan) + 4*cap(p.starts) + 2*cap(p.dcs) + cap(p.dcBits)
	n += len(p.forms.slots) * (8 + formBytes)
	for i := range p.copies {
		n += cap(p.copies[i].bytes) + 4*cap(p.copies[i].units)
	}
	return n
}

// encode writes the scan without stuffing and notes where blocks begin.
func (p *Plate) encode() {
	var (
		w    = writer{free: 64, plain: true}
		in   = p.static.parts()
		dc   [3]int32
		rows [8]uint64
	)
	across, down := p.static.Across(), p.static.Down()
	blocks := across * down * len(slots[p.static.Ratio])
	p.starts = make([]uint32, 0, blocks+1)
	p.dcs = make([]int16, 0, blocks)
	p.dcBits = make([]uint8, 0, blocks)
	for uy := range down {
		for ux := range across {
			w.room(mostOfUnit)
			for i := range slots[p.static.Ratio] {
				s := &slots[p.static.Ratio][i]
				load(in.plane[s.part], in.at(ux, uy, s), in.stride[s.part], &rows)
				p.starts = append(p.starts, w.position())
				before := dc[s.part]
				dc[s.part] = p.encoder.block(&w, kind(s.part), &rows, before)
				p.dcs = append(p.dcs, int16(dc[s.part]))
				size, _ := magnitude(dc[s.part] - before)
				p.dcBits = append(p.dcBits, uint8(p.encoder.coders[kind(s.part)].dc[size]&31))
			}
		}
	}
	p.starts = append(p.starts, w.position())
	w.room(mostOfUnit)
	w.finish()
	p.scan = make([]byte, w.at+9)
	copy(p.scan, w.buf[:w.at])
}

// position is how many bits a plain writer has taken.
func (w *writer) position() uint32 { return uint32(8*w.at + 64 - w.free) }

// delay makes the delayed copies if they are not too large.
func (p *Plate) delay() {
	blocks := len(slots[p.static.Ratio])
	units := len(p.dcs) / blocks
	most := len(p.scan) + len(p.scan)/64 + 64
	if 8*(most+4*(units+1)) > mostOfCopies {
		return
	}
	for d := range p.copies {
		c := &p.copies[d]
		c.units = make([]uint32, 0, units+1)
		w := writer{buf: make([]byte, most), free: 64 - d}
		for u := range units {
			w.room(2 * mostOfUnit)
			w.settle()
			c.units = append(c.units, uint32(w.at))
			w.copyBits(p.scan, p.starts[u*blocks], p.starts[(u+1)*blocks])
		}
		w.room(2 * mostOfUnit)
		w.settle()
		c.units = append(c.units, uint32(w.at))
		w.finish()
		c.bytes = slices.Clone(w.buf[:w.at+1]) // there is a last byte even if no bits are in it
	}
}
