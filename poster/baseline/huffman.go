package baseline

// spec is a Huffman table as a file tells it (T.81, B.2.4.2).
type spec struct {
	counts [16]byte // of codes that are 1 to 16 bits long
	values []byte   // symbols by rising code
}

// tables are the four of a scan: DC and AC, of luma and of chroma.
type tables struct {
	dc, ac [2]spec
}

// standard are the tables of T.81, K.3.
func standard() *tables {
	chromaAC := "\x00\x01\x02\x03\x11\x04\x05\x21\x31\x06\x12\x41\x51\x07\x61\x71\x13\x22\x32\x81\x08\x14\x42\x91\xa1\xb1\xc1\x09\x23\x33" +
		"\x52\xf0\x15\x62\x72\xd1\x0a\x16\x24\x34\xe1\x25\xf1\x17\x18\x19\x1a\x26\x27\x28\x29\x2a\x35\x36\x37\x38\x39\x3a\x43\x44" +
		"\x45\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a" +
		"\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4" +
		"\xb5\xb6\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe2\xe3\xe4\xe5\xe6\xe7" +
		"\xe8\xe9\xea\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa"
	lumaAC := "\x01\x02\x03\x00\x04\x11\x05\x12\x21\x31\x41\x06\x13\x51\x61\x07\x22\x71\x14\x32\x81\x91\xa1\x08\x23\x42\xb1\xc1\x15\x52" +
		"\xd1\xf0\x24\x33\x62\x72\x82\x09\x0a\x16\x17\x18\x19\x1a\x25\x26\x27\x28\x29\x2a\x34\x35\x36\x37\x38\x39\x3a\x43\x44\x45" +
		"\x46\x47\x48\x49\x4a\x53\x54\x55\x56\x57\x58\x59\x5a\x63\x64\x65\x66\x67\x68\x69\x6a\x73\x74\x75\x76\x77\x78\x79\x7a\x83" +
		"\x84\x85\x86\x87\x88\x89\x8a\x92\x93\x94\x95\x96\x97\x98\x99\x9a\xa2\xa3\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xb2\xb3\xb4\xb5\xb6" +
		"\xb7\xb8\xb9\xba\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8" +
		"\xe9\xea\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa"
	sizes := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}
	return &tables{
		dc: [2]spec{
			{[16]byte{0, 1, 5, 1, 1, 1, 1, 1, 1}, sizes},
			{[16]byte{0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1}, sizes},
		},
		ac: [2]spec{
			{[16]byte{0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125}, []byte(lumaAC)},
			{[16]byte{0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 119}, []byte(chromaAC)},
		},
	}
}

// census counts the symbols of scans.
type census struct {
	dc, ac [2][256]int64
}

// newCensus has counted every symbol that baseline knows (T.81, F.1.2.1 and F.1.2.2) once: what a person brings may
// need any of them, so each gets a code.
func newCensus() *census {
	c := &census{}
	for i := range 2 {
		for size := range 12 {
			c.dc[i][size] = 1
		}
		c.ac[i][endOfBlock], c.ac[i][sixteenZeros] = 1, 1
		for run := range 16 {
			for size := 1; size <= 10; size++ {
				c.ac[i][run<<4|size] = 1
			}
		}
	}
	return c
}

// fit gives the tables that code what was counted shortest.
func (c *census) fit() *tables {
	t := &tables{}
	for i := range 2 {
		t.dc[i], t.ac[i] = fit(&c.dc[i]), fit(&c.ac[i])
	}
	return t
}

// fit is the procedure of T.81, K.2: a code for every symbol that was counted, none longer than 16 bits and none
// of ones alone, which decoders refuse.
func fit(counted *[256]int64) spec {
	const reserved = 256 // a symbol that takes the code of ones alone and is never written
	var (
		count  [257]int64
		length [257]int
		next   [257]int // of the symbols that share a subtree
	)
	copy(count[:], counted[:])
	count[reserved] = 1
	for i := range next {
		next[i] = -1
	}
	for { // figure K.1
		least := rarest(&count, -1)
		second := rarest(&count, least)
		if second < 0 {
			break
		}
		count[least] += count[second]
		count[second] = 0
		last := least
		for ; ; last = next[last] {
			length[last]++
			if next[last] < 0 {
				break
			}
		}
		next[last] = second
		for s := second; s >= 0; s = next[s] {
			length[s]++
		}
	}

	// Figures K.2 and K.3. No code is longer than symbols there are.
	var counts [258]int
	for _, n := range length {
		if n > 0 {
			counts[n]++
		}
	}
	for n := len(counts) - 1; n > 16; n-- {
		for counts[n] > 0 {
			shorter := n - 2
			for counts[shorter] == 0 {
				shorter--
			}
			counts[n] -= 2
			counts[n-1]++
			counts[shorter+1] += 2
			counts[shorter]--
		}
	}
	longest := 16
	for counts[longest] == 0 {
		longest--
	}
	counts[longest]--

	var s spec
	for n := 1; n <= 16; n++ {
		s.counts[n-1] = byte(counts[n])
	}
	for n := 1; n < len(counts); n++ { // figure K.4
		for symbol, l := range length[:reserved] {
			if l == n {
				s.values = append(s.values, byte(symbol))
			}
		}
	}
	return s
}

// rarest gives the symbol counted least but for one, the highest of several; -1 for none.
func rarest(count *[257]int64, but int) int {
	found := -1
	for s, n := range count {
		if n > 0 && s != but && (found < 0 || n <= count[found]) {
			found = s
		}
	}
	return found
}

// codes gives a symbol's code and how long it is, by T.81, annex C.
func (s *spec) codes() (code [256]uint32, length [256]uint8) {
	next, at := uint32(0), 0
	for n, count := range s.counts {
		for range count {
			code[s.values[at]], length[s.values[at]] = next, uint8(n+1)
			next++
			at++
		}
		next <<= 1
	}
	return code, length
}

// entry is a code with room behind it for the bits that tell the value: bits<<5 | how many, at most 16+11.
type entry uint32

// coder is what the coding of one kind of plane looks up.
type coder struct {
	dc  [12]entry // by size
	ac  [256]entry
	end entry // of a block
}

func newCoder(dc, ac *spec) *coder {
	c := &coder{}
	code, length := dc.codes()
	for size := range c.dc {
		c.dc[size] = entry(code[size]<<size<<5 | uint32(length[size]) + uint32(size))
	}
	code, length = ac.codes()
	for symbol := range c.ac {
		if size := symbol & 15; length[symbol] > 0 {
			c.ac[symbol] = entry(code[symbol]<<size<<5 | uint32(length[symbol]) + uint32(size))
		}
	}
	c.end = c.ac[endOfBlock]
	return c
}
