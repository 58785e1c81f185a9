package typeface

// maxKernTables bounds the tables that are looked through for each pair.
const maxKernTables = 64

// kerning finds how far two glyphs stand from each other where they lie in the file.
type kerning struct {
	old   []byte   // pairs of a kern table, six bytes each
	pairs [][]byte // subtables of a GPOS table, each from its own beginning
}

func (k kerning) bytes() int { return 24 * len(k.pairs) }

// newKerning finds the pairs; a font whose tables cannot be read has none.
func newKerning(kern, gpos []byte) kerning {
	if pairs := positions(gpos); len(pairs) > 0 {
		return kerning{pairs: pairs}
	}
	// The first subtable of the old format: horizontal pairs.
	if len(kern) < 18 || be16(kern) != 0 || be16(kern[2:]) == 0 || kern[8] != 0 || kern[9]&1 == 0 {
		return kerning{}
	}
	n := int(be16(kern[10:]))
	return kerning{old: kern[18:][:min(6*n, len(kern)-18)/6*6]}
}

func (k kerning) between(left, right uint16) int {
	for _, table := range k.pairs {
		if v, ok := pair(table, left, right); ok {
			return v
		}
	}
	key := uint32(left)<<16 | uint32(right)
	if i, ok := search(len(k.old)/6, func(i int) int { return compare(be32(k.old[6*i:]), key) }); ok {
		return int(int16(be16(k.old[6*i+4:])))
	}
	return 0
}

// after is what begins at an offset of a table, nil outside it or for none.
func after(table []byte, offset uint32) []byte {
	if offset == 0 || uint64(offset) >= uint64(len(table)) {
		return nil
	}
	return table[offset:]
}

// u16 reads a number, 0 outside the table.
func u16(table []byte, at int) uint16 {
	if at < 0 || at+2 > len(table) {
		return 0
	}
	return be16(table[at:])
}

// positions finds the pair adjustments of the feature kern, whatever the script.
func positions(gpos []byte) [][]byte {
	features := after(gpos, uint32(u16(gpos, 6)))
	lookups := after(gpos, uint32(u16(gpos, 8)))
	var found [][]byte
	seen := map[uint16]bool{}
	for i := range min(int(u16(features, 0)), 512) {
		if 8+6*i > len(features) || string(features[2+6*i:][:4]) != "kern" {
			continue
		}
		feature := after(features, uint32(u16(features, 6+6*i)))
		for j := range min(int(u16(feature, 2)), maxKernTables) {
			number := u16(feature, 4+2*j)
			if seen[number] || number >= u16(lookups, 0) {
				continue
			}
			seen[number] = true
			found = appendLookup(found, after(lookups, uint32(u16(lookups, 2+2*int(number)))))
		}
	}
	return found
}

// appendLookup adds the pair adjustments of a lookup, which may be extended by wider offsets.
func appendLookup(found [][]byte, lookup []byte) [][]byte {
	for i := range min(int(u16(lookup, 4)), maxKernTables) {
		kind := u16(lookup, 0)
		table := after(lookup, uint32(u16(lookup, 6+2*i)))
		if kind == 9 && len(table) >= 8 {
			kind = u16(table, 2)
			table = after(table, be32(table[4:]))
		}
		if kind == 2 && len(table) >= 10 && len(found) < maxKernTables {
			found = append(found, table)
		}
	}
	return found
}

// pair looks two glyphs up in a pair adjustment, of which the left one's advance is of interest.
func pair(table []byte, left, right uint16) (int, bool) {
	nth, ok := covered(after(table, uint32(u16(table, 2))), left)
	if !ok {
		return 0, false
	}
	first, second := fields(u16(table, 4)), fields(u16(table, 6))
	skip := 2 * fields(u16(table, 4)&3) // placements before the advance
	has := u16(table, 4)&4 != 0
	switch u16(table, 0) {
	case 1:
		if nth >= int(u16(table, 8)) {
			return 0, false
		}
		set := after(table, uint32(u16(table, 10+2*nth)))
		size := 2 + 2*first + 2*second
		i, ok := search(min(int(u16(set, 0)), len(set)/size), func(i int) int { return compare(u16(set, 2+size*i), right) })
		if !ok {
			return 0, false
		}
		if !has {
			return 0, true
		}
		return int(int16(u16(set, 2+size*i+2+skip))), true
	case 2:
		a, b := class(after(table, uint32(u16(table, 8))), left), class(after(table, uint32(u16(table, 10))), right)
		rows, columns := int(u16(table, 12)), int(u16(table, 14))
		if a >= rows || b >= columns {
			return 0, false
		}
		if !has {
			return 0, true
		}
		return int(int16(u16(table, 16+(a*columns+b)*2*(first+second)+skip))), true
	}
	return 0, false
}

// fields counts the numbers of a value of that format.
func fields(format uint16) int {
	n := 0
	for ; format != 0; format &= format - 1 {
		n++
	}
	return n
}

// covered is a glyph's place in a coverage table.
func covered(table []byte, glyph uint16) (int, bool) {
	n := int(u16(table, 2))
	switch u16(table, 0) {
	case 1:
		return search(n, func(i int) int { return compare(u16(table, 4+2*i), glyph) })
	case 2:
		if i, ok := search(n, func(i int) int { return holds(table[min(len(table), 4+6*i):], glyph) }); ok {
			return int(u16(table, 4+6*i+4)) + int(glyph-u16(table, 4+6*i)), true
		}
	}
	return 0, false
}

// class is a glyph's in a table of classes, 0 where it is not named.
func class(table []byte, glyph uint16) int {
	switch u16(table, 0) {
	case 1:
		if i := int(glyph) - int(u16(table, 2)); i >= 0 && i < int(u16(table, 4)) {
			return int(u16(table, 6+2*i))
		}
	case 2:
		n := int(u16(table, 2))
		if i, ok := search(n, func(i int) int { return holds(table[min(len(table), 4+6*i):], glyph) }); ok {
			return int(u16(table, 4+6*i+4))
		}
	}
	return 0
}

// holds says whether a range lies before a glyph (-1), holds it (0) or lies behind it (1).
func holds(span []byte, glyph uint16) int {
	switch {
	case u16(span, 2) < glyph:
		return -1
	case u16(span, 0) > glyph:
		return 1
	}
	return 0
}

func compare[T uint16 | uint32](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// search finds the one of n in order for which at says 0.
func search(n int, at func(i int) int) (int, bool) {
	low, high := 0, n
	for low < high {
		middle := (low + high) / 2
		switch c := at(middle); {
		case c == 0:
			return middle, true
		case c < 0:
			low = middle + 1
		default:
			high = middle
		}
	}
	return 0, false
}
