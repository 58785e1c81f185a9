package strips

import "slices"

// blockBytes is about how many filtered bytes of a band share their Huffman codes.
const blockBytes = 1 << 17

// band is rows in which pictures differ: static bits and a person's runs of pixels in turn, one IDAT chunk in all.
// The Huffman codes of both are known beforehand, so the static bytes are kept as bits and spliced in by shifting.
// Their matches never point at a person's bytes.
type band struct {
	bits   []byte // wordSlack bytes longer than needed
	pieces []piece
	last   stretch // what follows the last piece
	tables []tables
}

// stretch is static bits of a band: the byte at which they begin, and how many there are.
type stretch struct{ at, bits int }

// piece is static bits and the person's run of pixels behind them.
type piece struct {
	static   stretch
	y        int
	from, to int    // the run's pixels, to excluded
	after    uint32 // how many bytes follow the run in the stream, for the checksum
	tables   int32
	filter   byte
	above    bool // the row above has a run that holds the same pixels
}

func (p *piece) bytes() int { return pixelLength * (p.to - p.from) }

// append writes the band's chunk. Dst has room.
func (b *band) append(dst []byte, c canvas, s *scratch, sum *checksum) []byte {
	start := len(dst)
	dst = append(dst, "\x00\x00\x00\x00IDAT"...)
	w := bitWriter{buf: dst[:cap(dst)], pos: len(dst)}
	for i := range b.pieces {
		p := &b.pieces[i]
		w.splice(b.bits[p.static.at:], p.static.bits)
		filtered, tokens := s.run(c, p)
		sum.add(filtered, p.after)
		b.tables[p.tables].write(&w, tokens)
	}
	w.splice(b.bits[b.last.at:], b.last.bits)
	w.align()
	dst = w.buf[:w.pos+chunkTail]
	seal(dst[start:])
	return dst
}

// bound is how many bytes append writes at most: no literal takes more than 15 bits, and a match, of 48 at most,
// stands for 6 bytes or more.
func (b *band) bound() int {
	const sync = 6
	n := chunkHead + b.last.bits/8 + 1 + sync + chunkTail
	bits := 0
	for i := range b.pieces {
		bits += b.pieces[i].static.bits
		n += 2 * b.pieces[i].bytes()
	}
	return n + bits/8 + 1
}

func (b *band) size() int {
	const pieceBytes, tablesBytes = 64, 4 * (256 + 4*matchKinds*(mostPixels+1))
	return len(b.bits) + pieceBytes*len(b.pieces) + tablesBytes*len(b.tables)
}

// presser makes a band.
type presser struct {
	*maker
	band    *band
	finder  *finder
	origin  int // where the finder's bytes begin in raw
	w       bitWriter
	from    int // where the static bits being written begin
	scratch *scratch
}

// band compresses the rows' static bytes. Their matches may reach back to the static bytes before the band.
func (m *maker) band(r rows) *band {
	origin, end := max(0, r.from*m.stride-windowSize), r.to*m.stride
	var unknown []span
	for y := origin / m.stride; y < r.to; y++ { // other bands may lie within reach
		for _, s := range m.spans[y] {
			if from, to := m.at(y, s.from)-origin, m.at(y, s.to)-origin; to > 0 {
				unknown = append(unknown, span{max(0, from), to})
			}
		}
	}
	p := &presser{
		maker:   m,
		band:    &band{},
		finder:  newFinder(m.raw[origin:end+wordSlack], end-origin, unknown),
		origin:  origin,
		scratch: newScratch(m.canvas.width),
	}
	each := max(1, blockBytes/m.stride)
	for y := r.from; y < r.to; y += each {
		p.block(y, min(y+each, r.to))
	}
	p.band.last = p.cut()
	p.band.bits = append(slices.Clip(p.w.buf[:p.w.pos]), make([]byte, wordSlack)...)
	return p.band
}

// block writes rows with codes of their own.
func (p *presser) block(from, to int) {
	var tokens []token
	var ends []int // of each piece's static tokens
	first := len(p.band.pieces)
	done := from * p.stride
	for y := from; y < to; y++ {
		for _, s := range p.spans[y] {
			tokens = p.finder.tokens(tokens, done-p.origin, p.at(y, s.from)-p.origin)
			ends = append(ends, len(tokens))
			done = p.at(y, s.to)
			p.band.pieces = append(p.band.pieces, piece{
				y: y, from: s.from, to: s.to,
				after:  uint32((p.canvas.height*p.stride - done) % base),
				tables: int32(len(p.band.tables)),
				filter: p.raw[y*p.stride],
				above:  y > 0 && s.within(p.spans[y-1]),
			})
		}
	}
	tokens = p.finder.tokens(tokens, done-p.origin, to*p.stride-p.origin)
	pieces := p.band.pieces[first:]

	literal, distance := p.lengths(tokens, pieces)
	codes := blockCodes{codesOf(literal), codesOf(distance)}
	p.band.tables = append(p.band.tables, codes.tables(p.stride))
	p.reserve(len(tokens))
	writeTables(&p.w, literal, distance)
	start := 0
	for i, end := range ends {
		codes.write(&p.w, tokens[start:end])
		pieces[i].static = p.cut()
		start = end
	}
	codes.write(&p.w, tokens[start:])
	codes.write(&p.w, []token{endOfBlock})
}

// reserve makes room for a block of tokens.
func (p *presser) reserve(tokens int) {
	const mostBytes, header = 6, 1 << 10 // of a match, and of the tables
	need := mostBytes*(tokens+1) + header + len(p.band.pieces) + wordSlack
	p.w.buf = slices.Grow(p.w.buf[:p.w.pos], need) // the bits that wait are held elsewhere
	p.w.buf = p.w.buf[:cap(p.w.buf)]
}

// cut ends a stretch of static bits; the next begins at a whole byte.
func (p *presser) cut() stretch {
	s := stretch{p.from, 8*(p.w.pos-p.from) + int(p.w.n)}
	if p.w.n > 0 {
		p.w.put(0, 8-p.w.n)
	}
	p.from = p.w.pos
	return s
}

// lengths gives the lengths of the codes that suit the static tokens and those of the samples. Everything a person's
// bytes may need has a code; literals a sample does not show are taken to come up now and then.
func (p *presser) lengths(static []token, pieces []piece) (literal, distance []uint8) {
	const seldom = 4096 // of a person's bytes, one that is not in the samples
	literals, dists := make([]int, symbols), make([]int, distances)
	count := func(t token, n int) {
		if !t.isMatch() {
			literals[t] += n
			return
		}
		symbol, _, _ := lengthSymbol(t.length())
		literals[symbol] += n
		symbol, _, _ = distanceSymbol(t.distance())
		dists[symbol] += n
	}
	for _, t := range static {
		count(t, len(p.samples))
	}
	bytes := 0
	for _, c := range p.samples {
		for i := range pieces {
			bytes += pieces[i].bytes()
			_, tokens := p.scratch.run(c, &pieces[i])
			for _, t := range tokens {
				p.countPixel(t, count)
			}
		}
	}
	for b := range 256 {
		count(token(b), 1+bytes/seldom)
	}
	count(endOfBlock, 1)
	for pixels := fewPixels; pixels <= mostPixels; pixels++ {
		for kind := range matchKinds {
			count(match(pixelLength*pixels, matchDistance(kind, p.stride)), 1)
		}
	}
	return lengthsOf(literals, longestCode), lengthsOf(dists, longestCode)
}

func (p *presser) countPixel(t pixelToken, count func(token, int)) {
	if kind := int(t >> kindShift); kind > 0 {
		count(match(pixelLength*int(t&255), matchDistance(kind-1, p.stride)), 1)
		return
	}
	count(token(t&255), 1)
	count(token(t>>8&255), 1)
	count(token(t>>16&255), 1)
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
