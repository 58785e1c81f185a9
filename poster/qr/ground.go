package qr

import "sync"

// margin is rows of light modules kept above a code, so that looking back from its first row needs no question.
const margin = 4

// field is a code's rows with light ones above and below.
type field [margin + maxSize + 11]uint64

// blocks is how codewords are protected: in how many blocks, with how many check bytes each.
type blocks struct{ check, count int }

// ground is what all codes of a version share.
type ground struct {
	size   int
	fixed  field      // finders, timing, alignment, version: dark modules
	masks  [8]field   // by mask: modules of the data area that it turns over
	format [30]uint16 // row*64+column of each bit of the format, twice
	order  []uint16   // row*64+column of each bit of the codewords
}

// protection is the standard's table of error correction, by version and level.
var protection = [maxVersion + 1][4]blocks{
	1:  {{7, 1}, {10, 1}, {13, 1}, {17, 1}},
	2:  {{10, 1}, {16, 1}, {22, 1}, {28, 1}},
	3:  {{15, 1}, {26, 1}, {18, 2}, {22, 2}},
	4:  {{20, 1}, {18, 2}, {26, 2}, {16, 4}},
	5:  {{26, 1}, {24, 2}, {18, 4}, {22, 4}},
	6:  {{18, 2}, {16, 4}, {24, 4}, {28, 4}},
	7:  {{20, 2}, {18, 4}, {18, 6}, {26, 5}},
	8:  {{24, 2}, {22, 4}, {22, 6}, {26, 6}},
	9:  {{30, 2}, {22, 5}, {20, 8}, {24, 8}},
	10: {{18, 4}, {26, 5}, {24, 8}, {28, 8}},
}

// alignment is where the centres of alignment patterns lie, in both directions.
var alignment = [maxVersion + 1][]int{
	2: {6, 18}, 3: {6, 22}, 4: {6, 26}, 5: {6, 30}, 6: {6, 34}, 7: {6, 22, 38}, 8: {6, 24, 42}, 9: {6, 26, 46}, 10: {6, 28, 50},
}

// total is how many codewords a version has.
var total = [maxVersion + 1]int{1: 26, 44, 70, 100, 134, 172, 196, 242, 292, maxCodewords}

// capacity is how many of them carry data.
func capacity(version int, level Level) int {
	b := protection[version][level]
	return total[version] - b.check*b.count
}

// grounds are made when they are first needed, each in some ten thousand steps.
var grounds = func() (all [maxVersion + 1]func() *ground) {
	for v := 1; v <= maxVersion; v++ {
		all[v] = sync.OnceValue(func() *ground { return newGround(v) })
	}
	return all
}()

func newGround(version int) *ground {
	g := &ground{size: 17 + 4*version}
	n := g.size
	var taken field
	set := func(x, y int, dark bool) {
		if x < 0 || y < 0 || x >= n || y >= n {
			return
		}
		taken[margin+y] |= 1 << x
		if dark {
			g.fixed[margin+y] |= 1 << x
		} else {
			g.fixed[margin+y] &^= 1 << x
		}
	}
	for i := range n {
		set(6, i, i%2 == 0)
		set(i, 6, i%2 == 0)
	}
	rings := func(x, y, radius int, dark string) { // by distance from the centre
		for dy := -radius; dy <= radius; dy++ {
			for dx := -radius; dx <= radius; dx++ {
				set(x+dx, y+dy, dark[max(dx, -dx, dy, -dy)] == '#')
			}
		}
	}
	for _, at := range [][2]int{{3, 3}, {n - 4, 3}, {3, n - 4}} {
		rings(at[0], at[1], 4, "##.#.")
	}
	for _, x := range alignment[version] {
		for _, y := range alignment[version] {
			if (x > 6 || y > 6) && (x > 6 || y < n-7) && (x < n-7 || y > 6) { // not on a finder
				rings(x, y, 2, "#.#")
			}
		}
	}
	g.format = formatCells(n)
	for _, cell := range g.format {
		set(int(cell&63), int(cell>>6), false)
	}
	set(8, n-8, true)
	if version >= 7 {
		bits := versionBits(version)
		for i := range 18 {
			dark := bits>>i&1 == 1
			set(n-11+i%3, i/3, dark)
			set(i/3, n-11+i%3, dark)
		}
	}
	g.order = order(n, &taken)
	for mask := range g.masks {
		for y := range n {
			for x := range n {
				if taken[margin+y]>>x&1 == 0 && turns(mask, x, y) {
					g.masks[mask][margin+y] |= 1 << x
				}
			}
		}
	}
	return g
}

// order goes through what is not taken as the standard does: by pairs of columns from the right, up and down in turn,
// leaving out the column of the timing pattern. Bits that fill no whole codeword stay light.
func order(n int, taken *field) []uint16 {
	var cells []uint16
	up := true
	for right := n - 1; right > 0; right -= 2 {
		if right == 6 {
			right--
		}
		for i := range n {
			y := i
			if up {
				y = n - 1 - i
			}
			for _, x := range []int{right, right - 1} {
				if taken[margin+y]>>x&1 == 0 {
					cells = append(cells, uint16(y<<6|x))
				}
			}
		}
		up = !up
	}
	return cells[:len(cells)/8*8]
}

// turns says whether a mask turns a module over.
func turns(mask, x, y int) bool {
	switch mask {
	case 0:
		return (x+y)%2 == 0
	case 1:
		return y%2 == 0
	case 2:
		return x%3 == 0
	case 3:
		return (x+y)%3 == 0
	case 4:
		return (x/3+y/2)%2 == 0
	case 5:
		return x*y%2+x*y%3 == 0
	case 6:
		return (x*y%2+x*y%3)%2 == 0
	default:
		return ((x+y)%2+x*y%3)%2 == 0
	}
}

// formatCells are the modules of the format's bits, row*64+column, of the first copy and the second in turn.
func formatCells(n int) (cells [30]uint16) {
	for i := range 15 {
		x, y := 8, i // around the upper left finder, leaving out the timing patterns
		switch {
		case i >= 9:
			x, y = 14-i, 8
		case i == 8:
			x, y = 7, 8
		case i >= 6:
			y = i + 1
		}
		cells[2*i] = uint16(y<<6 | x)
		x, y = n-1-i, 8 // shared by the other two
		if i >= 8 {
			x, y = 8, n-15+i
		}
		cells[2*i+1] = uint16(y<<6 | x)
	}
	return cells
}

// formats are the 15 bits that tell level and mask.
var formats = func() (all [4][8]uint16) {
	for level, word := range [4]uint32{1, 0, 3, 2} {
		for mask := range 8 {
			data := word<<3 | uint32(mask)
			all[level][mask] = uint16((data<<10 | bch(data, 10, 0x537)) ^ 0x5412)
		}
	}
	return all
}()

// versionBits are the 18 bits that tell the version.
func versionBits(version int) uint32 { return uint32(version)<<12 | bch(uint32(version), 12, 0x1f25) }

// bch is the remainder, of so many bits, of a code of Bose, Chaudhuri and Hocquenghem.
func bch(data uint32, bits int, generator uint32) uint32 {
	rest := data << bits
	for i := 31; i >= bits; i-- {
		if rest>>i&1 == 1 {
			rest ^= generator << (i - bits)
		}
	}
	return rest
}

// place lays the codewords out, still unmasked.
func (g *ground) place(to *field, codewords []byte) {
	*to = g.fixed
	for i, b := range codewords {
		for j, cell := range (*[8]uint16)(g.order[i*8:]) {
			to[margin+cell>>6] |= uint64(b>>(7-j)&1) << (cell & 63)
		}
	}
}

// masked turns over what the mask does and writes the format.
func (g *ground) masked(to, plain *field, level Level, mask int) {
	*to = *plain
	turn := &g.masks[mask]
	for y := margin; y < margin+g.size; y++ {
		to[y] ^= turn[y]
	}
	bits := formats[level][mask]
	for i, cell := range &g.format {
		to[margin+cell>>6] |= uint64(bits>>(i/2)&1) << (cell & 63)
	}
}
