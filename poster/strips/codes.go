package strips

// blockSymbols is about how many symbols of a band share their Huffman codes.
const blockSymbols = 1 << 15

// counts is how often a block needs what.
type counts struct {
	stride   int // bytes in a row
	literal  [symbols]int
	distance [distances]int
	all      int
	people   int // bytes of the samples
}

func (c *counts) reset() { *c = counts{stride: c.stride} }

func (c *counts) add(t token, n int) {
	c.all += n
	if !t.isMatch() {
		c.literal[t] += n
		return
	}
	symbol, _, _ := lengthSymbol(t.length())
	c.literal[symbol] += n
	symbol, _, _ = distanceSymbol(t.distance())
	c.distance[symbol] += n
}

func (c *counts) addPixels(t pixelToken) {
	if kind := int(t >> kindShift); kind > 0 {
		c.add(match(pixelLength*int(t&255), matchDistance(kind-1, c.stride)), 1)
		return
	}
	c.add(token(t&255), 1)
	c.add(token(t>>8&255), 1)
	c.add(token(t>>16&255), 1)
}

// lengths gives the lengths of the codes. Everything a person's bytes may need has one; literals that no sample shows
// are taken to come up now and then.
func (c *counts) lengths() (literal, distance []uint8) {
	const seldom = 4096 // of a person's bytes, one
	for b := range 256 {
		c.add(token(b), 1+c.people/seldom)
	}
	c.add(endOfBlock, 1)
	for pixels := fewPixels; pixels <= mostPixels; pixels++ {
		for kind := range matchKinds {
			c.add(match(pixelLength*pixels, matchDistance(kind, c.stride)), 1)
		}
	}
	return lengthsOf(c.literal[:], longestCode), lengthsOf(c.distance[:], longestCode)
}

func matchDistance(kind, stride int) int {
	if kind == matchLeft {
		return pixelLength
	}
	return stride
}

// blockCodes are the codes of one block.
type blockCodes struct{ literal, distance []code }

func (c blockCodes) write(w *bitWriter, tokens []token) {
	for _, t := range tokens {
		e := c.entry(t)
		w.put(e.bits, e.n)
	}
}

// entry is all bits of a token.
func (c blockCodes) entry(t token) entry {
	if !t.isMatch() {
		l := c.literal[t]
		return entry{uint64(l.bits), uint(l.n)}
	}
	symbol, extra, n := lengthSymbol(t.length())
	e := entry{uint64(c.literal[symbol].bits), uint(c.literal[symbol].n)}
	e.bits |= extra << e.n
	e.n += n
	symbol, extra, n = distanceSymbol(t.distance())
	e.bits |= uint64(c.distance[symbol].bits) << e.n
	e.n += uint(c.distance[symbol].n)
	e.bits |= extra << e.n
	e.n += n
	return e
}

func (c blockCodes) tables(stride int) tables {
	var t tables
	copy(t.literal[:], c.literal)
	for kind := range matchKinds {
		for pixels := fewPixels; pixels <= mostPixels; pixels++ {
			t.match[kind][pixels] = c.entry(match(pixelLength*pixels, matchDistance(kind, stride)))
		}
	}
	return t
}
