// Package typeface reads fonts that somebody uploaded: the outlines, widths and kerning of single characters, and
// nothing more. A font is a program that comes from outside, so all of it is bounded: every table is looked at where
// it lies, every count is held against the bytes that are there, every outline has a budget, and what is wrong with
// any of its characters is said before the first is drawn. What is kept is the file and a list of its characters.
package typeface

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	ot "github.com/go-text/typesetting/font/opentype"

	"kfactor/internal/fault"
)

// Bounds of a font. Large Chinese fonts have 65,535 glyphs of some 150 points; a brush's strokes have a few thousand.
const (
	maxTables     = 128
	maxCharacters = 1 << 17
	maxPoints     = 1 << 15 // of a glyph
	maxWork       = 1 << 25 // points and instructions of all glyphs together
	maxDepth      = 8       // of glyphs made of others
	maxEms        = 4       // that a glyph may reach in any direction
)

// Font is a font that was found to be whole. It does not change.
type Font struct {
	size       int // of the file
	unitsPerEm int
	characters []character
	advances   []byte // hmtx
	metrics    int    // of them that have an advance
	glyphs     int
	outlines   outlines
	kerning    kerning
}

type character struct {
	r     rune
	glyph uint16
}

// outlines draws glyphs: TrueType's or PostScript's.
type outlines interface {
	// outline gives the shape of a glyph and takes what it costs from the budget.
	outline(glyph uint16, budget *int) ([]ot.Segment, error)
}

// Parse reads a TTF or OTF file. The faults are Invalid, for fonts that ask for more than a font can need TooLarge,
// and Unsupported for those of other kinds; they say what to do.
func Parse(file []byte) (f *Font, err error) {
	defer func() {
		if r := recover(); r != nil {
			f, err = nil, fault.Wrap(fault.Invalid, fmt.Errorf("reading panicked: %v", r), "the font is broken; take another")
		}
	}()
	tables, err := directory(file)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"cmap", "head", "hhea", "hmtx", "maxp"} {
		if len(tables[name]) == 0 {
			return nil, fault.New(fault.Invalid, "the font is broken: its %s table is missing", name)
		}
	}
	f = &Font{size: len(file)}
	head, hhea, maxp := tables["head"], tables["hhea"], tables["maxp"]
	if len(head) < 54 || len(hhea) < 36 || len(maxp) < 6 {
		return nil, broken("its head, hhea or maxp table is cut short")
	}
	f.unitsPerEm = int(be16(head[18:]))
	f.glyphs = int(be16(maxp[4:]))
	f.metrics = int(be16(hhea[34:]))
	f.advances = tables["hmtx"]
	switch {
	case f.unitsPerEm < 16 || f.unitsPerEm > 16384:
		return nil, broken("it has %d units per em, not 16 to 16384", f.unitsPerEm)
	case f.glyphs == 0 || f.metrics == 0 || f.metrics > f.glyphs || len(f.advances) < 4*f.metrics:
		return nil, broken("the widths of its characters are missing")
	}
	if f.characters, err = characters(tables["cmap"], f.glyphs); err != nil {
		return nil, err
	}
	switch {
	case len(tables["glyf"]) > 0 && len(tables["loca"]) > 0:
		f.outlines, err = newTrueType(tables["glyf"], tables["loca"], be16(head[50:]) != 0, f.glyphs, f.side)
	case len(tables["CFF "]) > 0:
		f.outlines, err = newPostScript(tables["CFF "], f.glyphs)
	case len(tables["CFF2"]) > 0:
		return nil, fault.New(fault.Unsupported, "the font is a variable one; save one of its weights as a font of its own")
	default:
		return nil, fault.New(fault.Unsupported, "the font has no outlines; pictures of letters are not drawn from fonts here")
	}
	if err != nil {
		return nil, err
	}
	f.kerning = newKerning(tables["kern"], tables["GPOS"])
	return f, f.check()
}

// check draws every character once, so that none fails later. Those that are far too large, such as whole sentences in
// one, are left out.
func (f *Font) check() error {
	work, seen := maxWork, make([]bool, f.glyphs)
	drawn, tooLarge := false, map[uint16]bool{}
	for _, c := range f.characters {
		if seen[c.glyph] {
			continue
		}
		seen[c.glyph] = true
		budget := min(maxPoints, work)
		before := budget
		shape, err := f.outlines.outline(c.glyph, &budget)
		work -= before - budget
		switch {
		case work <= 0:
			return fault.New(fault.TooLarge, "the font's letters are too complicated; make a subset with the characters you need")
		case budget <= 0:
			return fault.New(fault.TooLarge, "the font's letter for U+%04X is too complicated; take another font", c.r)
		case err != nil:
			return fault.Wrap(fault.Invalid, err, "the font's letter for U+%04X is damaged; take another font", c.r)
		}
		if !within(shape, float32(maxEms*f.unitsPerEm)) {
			tooLarge[c.glyph] = true
			continue
		}
		drawn = drawn || len(shape) > 0
	}
	f.characters = slices.DeleteFunc(f.characters, func(c character) bool { return tooLarge[c.glyph] })
	if !drawn {
		return broken("it shows nothing for any character")
	}
	return nil
}

// within says whether all of a shape lies at most so far from its origin.
func within(shape []ot.Segment, limit float32) bool {
	for i := range shape {
		for _, p := range shape[i].ArgsSlice() {
			if !(p.X >= -limit && p.X <= limit && p.Y >= -limit && p.Y <= limit) {
				return false
			}
		}
	}
	return true
}

// UnitsPerEm is how many of the units that everything is measured in make up the font's size.
func (f *Font) UnitsPerEm() int { return f.unitsPerEm }

// Bytes is how much memory the font takes, nearly.
func (f *Font) Bytes() int { return f.size + len(f.characters)*8 + f.kerning.bytes() }

// Glyph finds the glyph of a character.
func (f *Font) Glyph(r rune) (glyph uint16, ok bool) {
	i, ok := slices.BinarySearchFunc(f.characters, r, func(c character, r rune) int { return int(c.r) - int(r) })
	if !ok {
		return 0, false
	}
	return f.characters[i].glyph, true
}

// Advance is how far a glyph moves what follows it, in units.
func (f *Font) Advance(glyph uint16) int {
	return int(be16(f.advances[4*min(int(glyph), f.metrics-1):]))
}

// side is how far from its origin a glyph begins, in units.
func (f *Font) side(glyph uint16) int {
	at := 4*int(glyph) + 2
	if int(glyph) >= f.metrics {
		at = 4*f.metrics + 2*(int(glyph)-f.metrics)
	}
	return int(int16(u16(f.advances, at)))
}

// Kern is how much closer than their advances say (less than 0) or further apart two glyphs stand, in units.
func (f *Font) Kern(left, right uint16) int {
	k := f.kerning.between(left, right)
	if k > 2*f.unitsPerEm || k < -2*f.unitsPerEm {
		return 0
	}
	return k
}

// Outline is a glyph's shape in units, y growing upwards; nil for a space.
func (f *Font) Outline(glyph uint16) (shape []ot.Segment) {
	defer func() {
		if recover() != nil {
			shape = nil
		}
	}()
	budget := maxPoints
	shape, err := f.outlines.outline(glyph, &budget)
	if err != nil || budget <= 0 {
		return nil
	}
	return shape
}

// directory finds a file's tables, each within the file.
func directory(file []byte) (map[string][]byte, error) {
	if len(file) < 12 {
		return nil, fault.New(fault.Invalid, "this is no TTF or OTF font")
	}
	switch kind := file[:4]; {
	case bytes.Equal(kind, []byte{0, 1, 0, 0}), string(kind) == "OTTO", string(kind) == "true":
	case string(kind) == "ttcf":
		return nil, fault.New(fault.Unsupported, "this is a collection of fonts; save one of them as a font of its own")
	case string(kind) == "wOFF", string(kind) == "wOF2":
		return nil, fault.New(fault.Unsupported, "this is a font for web pages; convert it to TTF or OTF")
	default:
		return nil, fault.New(fault.Invalid, "this is no TTF or OTF font")
	}
	n := int(be16(file[4:]))
	if n == 0 || n > maxTables || len(file) < 12+16*n {
		return nil, broken("its list of tables is cut short")
	}
	tables := make(map[string][]byte, n)
	for i := range n {
		entry := file[12+16*i:]
		at, size := uint64(be32(entry[8:])), uint64(be32(entry[12:]))
		if at+size > uint64(len(file)) {
			return nil, broken("its %q table lies outside the file; send the whole file", entry[:4])
		}
		tables[string(entry[:4])] = file[at : at+size]
	}
	return tables, nil
}

// characters reads which glyph each character has.
func characters(cmap []byte, glyphs int) ([]character, error) {
	if len(cmap) < 4 {
		return nil, broken("its cmap table is cut short")
	}
	best, bestRank := []byte(nil), 0
	for i := range min(int(be16(cmap[2:])), 64) {
		if len(cmap) < 12+8*i {
			break
		}
		record := cmap[4+8*i:]
		platform, encoding, at := be16(record), be16(record[2:]), uint64(be32(record[4:]))
		if at+4 > uint64(len(cmap)) {
			continue
		}
		format := be16(cmap[at:])
		rank := 0
		switch {
		case format == 12 && (platform == 3 || platform == 0):
			rank = 3
		case format == 4 && (platform == 3 && encoding == 1 || platform == 0):
			rank = 2
		case format == 4 && platform == 3 && encoding == 0: // symbols, at U+F000
			rank = 1
		}
		if rank > bestRank {
			best, bestRank = cmap[at:], rank
		}
	}
	var found []character
	var err error
	switch bestRank {
	case 3:
		found, err = format12(best, glyphs)
	case 2, 1:
		found, err = format4(best, glyphs)
	default:
		return nil, fault.New(fault.Unsupported, "the font does not say which Unicode characters it draws; take another")
	}
	if err == nil && bestRank == 1 {
		for i := range found {
			if found[i].r >= 0xf000 && found[i].r <= 0xf0ff {
				found[i].r -= 0xf000
			}
		}
		slices.SortStableFunc(found, func(a, b character) int { return int(a.r) - int(b.r) })
	}
	return found, err
}

func format4(table []byte, glyphs int) ([]character, error) {
	if len(table) < 14 {
		return nil, broken("its cmap table is cut short")
	}
	n := int(be16(table[6:])) / 2
	if len(table) < 16+8*n {
		return nil, broken("its cmap table is cut short")
	}
	ends, starts, deltas, offsets := table[14:], table[16+2*n:], table[16+4*n:], table[16+6*n:]
	var found []character
	next := 0 // characters below are done
	for i := range n {
		first, last := int(be16(starts[2*i:])), int(be16(ends[2*i:]))
		delta, offset := be16(deltas[2*i:]), int(be16(offsets[2*i:]))
		if first < next || last < first {
			return nil, broken("its cmap table is out of order")
		}
		next = last + 1
		for c := first; c <= last; c++ {
			glyph := uint16(c) + delta
			if offset != 0 {
				at := 2*i + offset + 2*(c-first)
				if at+2 > len(offsets) {
					break
				}
				if glyph = be16(offsets[at:]); glyph != 0 {
					glyph += delta
				}
			}
			if glyph != 0 && int(glyph) < glyphs && c != 0xffff {
				found = append(found, character{rune(c), glyph})
			}
		}
	}
	return found, nil
}

func format12(table []byte, glyphs int) ([]character, error) {
	if len(table) < 16 || uint64(len(table)) < 16+12*uint64(be32(table[12:])) {
		return nil, broken("its cmap table is cut short")
	}
	var found []character
	next := uint32(0)
	for i := range int(be32(table[12:])) {
		group := table[16+12*i:]
		first, last, glyph := be32(group), be32(group[4:]), be32(group[8:])
		if first < next || last < first || last > 0x10ffff {
			return nil, broken("its cmap table is out of order")
		}
		next = last + 1
		for c := first; c <= last && uint64(glyph)+uint64(c-first) < uint64(glyphs); c++ {
			if g := uint16(glyph + c - first); g != 0 {
				found = append(found, character{rune(c), g})
			}
		}
		if len(found) > maxCharacters {
			return nil, fault.New(fault.TooLarge, "the font has more than %d characters; make a subset with those you need", maxCharacters)
		}
	}
	return found, nil
}

func broken(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "the font is broken: %s", fmt.Sprintf(format, args...))
}

func be16(b []byte) uint16 { return binary.BigEndian.Uint16(b) }
func be32(b []byte) uint32 { return binary.BigEndian.Uint32(b) }
