package baseline

import (
	"encoding/binary"
	"math/bits"
)

// Append appends the JPEG file of a picture that differs from the static one in changed units only; changed units
// that do not differ cost little. The file is what Encoder().Encode gives for the same planes, byte for byte.
// Nothing is allocated if dst has room: some kilobytes more than the file takes.
func (p *Plate) Append(dst []byte, planes *Planes, changed *Units) []byte {
	blocks := len(slots[p.static.Ratio])
	units := len(p.dcs) / blocks
	if !p.static.alike(planes) || changed.Len() != units || changed.across != planes.Across() {
		panic("baseline: planes or units of another geometry than the plate's")
	}
	s := splicer{plate: p, now: planes.parts(), static: p.static.parts()}
	s.w = writer{buf: dst[:cap(dst)], at: len(dst), free: 64}
	s.w.room(len(p.header) + mostOfUnit)
	s.w.at += copy(s.w.buf[s.w.at:], p.header)

	done := 0 // units so far
	for i, word := range changed.words {
		for ; word != 0; word &= word - 1 {
			unit := i<<6 | bits.TrailingZeros64(word)
			ux, uy := unit%changed.across, unit/changed.across
			same := s.compare(ux, uy)
			if same == 1<<blocks-1 {
				continue
			}
			if done < unit {
				s.run(done, unit)
			}
			s.w.room(mostOfUnit)
			s.unit(unit, ux, uy, same)
			done = unit + 1
		}
	}
	if done < units {
		s.run(done, units)
	}
	s.w.room(mostOfUnit)
	s.w.finish()
	s.w.buf[s.w.at], s.w.buf[s.w.at+1] = 0xff, 0xd9
	return s.w.buf[:s.w.at+2]
}

// splicer makes one file.
type splicer struct {
	plate       *Plate
	w           writer
	now, static parts
	dc          [3]int32 // of the last block of each part
}

// compare says which blocks of a unit are as on the plate, a bit each.
func (s *splicer) compare(ux, uy int) (same uint) {
	layout := slots[s.plate.static.Ratio]
	for i := range layout {
		slot := &layout[i]
		at, stride := s.now.at(ux, uy, slot), s.now.stride[slot.part]
		if equal(s.now.plane[slot.part][at:], s.static.plane[slot.part][at:], stride) {
			same |= 1 << i
		}
	}
	return same
}

// equal compares two blocks, and mostly knows from the first row.
func equal(a, b []byte, stride int) bool {
	for range block - 1 {
		if binary.LittleEndian.Uint64(a) != binary.LittleEndian.Uint64(b) {
			return false
		}
		a, b = a[stride:], b[stride:]
	}
	return binary.LittleEndian.Uint64(a) == binary.LittleEndian.Uint64(b)
}

// unit codes a unit; the AC of blocks that are as on the plate is taken from there.
func (s *splicer) unit(unit, ux, uy int, same uint) {
	p := s.plate
	layout := slots[p.static.Ratio]
	var rows [8]uint64
	for i := range layout {
		slot := &layout[i]
		before := s.dc[slot.part]
		if same>>i&1 != 0 {
			b := unit*len(layout) + i
			dc := int32(p.dcs[b])
			p.encoder.coders[kind(slot.part)].difference(&s.w, dc-before)
			s.w.copyBits(p.scan, p.starts[b]+uint32(p.dcBits[b]), p.starts[b+1])
			s.dc[slot.part] = dc
			continue
		}
		load(s.now.plane[slot.part], s.now.at(ux, uy, slot), s.now.stride[slot.part], &rows)
		s.dc[slot.part] = p.forms.block(p.encoder, &s.w, kind(slot.part), &rows, before)
	}
}

// run writes units from..to, at least one, as they are on the plate.
func (s *splicer) run(from, to int) {
	p := s.plate
	blocks := len(slots[p.static.Ratio])
	if s.dc != p.before(from) { // the first unit's differences are others
		s.w.room(mostOfUnit)
		s.unit(from, 0, 0, ^uint(0))
		from++
	}
	s.dc = p.before(to)
	start, end := p.starts[from*blocks], p.starts[to*blocks]
	if end-start < shortRun || p.copies[0].bytes == nil {
		s.w.room(2*int(end-start)/8 + mostOfUnit)
		s.w.copyBits(p.scan, start, end)
		return
	}

	pending := s.w.settle()
	c := &p.copies[(uint32(pending)-start)&7]
	at, stop := int(c.units[from]), int(c.units[to])
	s.w.room(stop - at + mostOfUnit)
	if pending > 0 {
		s.w.byte(byte(s.w.bits<<(8-pending)) | c.bytes[at]&(0xff>>pending))
		at++
		if c.bytes[at-1] == 0xff {
			at++ // its stuffing
		}
	}
	s.w.at += copy(s.w.buf[s.w.at:], c.bytes[at:stop])
	pending = int(uint32(pending)+end-start) & 7
	s.w.bits = uint64(c.bytes[stop]) >> (8 - pending)
	s.w.free = 64 - pending
}

// shortRun is up to how many bits it is quicker to shift than to look for the right copy.
const shortRun = 1024

// before gives the DCs that a unit's differences are taken from.
func (p *Plate) before(unit int) (dc [3]int32) {
	if unit == 0 {
		return dc
	}
	last := unit*len(slots[p.static.Ratio]) - 1
	return [3]int32{int32(p.dcs[last-2]), int32(p.dcs[last-1]), int32(p.dcs[last])}
}
