package strips

import "slices"

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
	from    int        // where the static bits being written begin
	samples []*scratch // one for each sample
	counts  counts
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
		maker:  m,
		band:   &band{},
		finder: newFinder(m.raw[origin:end+wordSlack], end-origin, unknown),
		origin: origin,
		counts: counts{stride: m.stride},
	}
	for range m.samples {
		p.samples = append(p.samples, newScratch(m.canvas.width))
	}
	for y := r.from; y < r.to; {
		y = p.block(y, r.to)
	}
	p.band.last = p.cut()
	p.band.bits = append(slices.Clip(p.w.buf[:p.w.pos]), make([]byte, wordSlack)...)
	return p.band
}

// block writes rows with codes of their own, as many as one pair of codes should serve, and gives the next row.
func (p *presser) block(y, end int) int {
	var tokens []token
	var ends []int // of each piece's static tokens
	first := len(p.band.pieces)
	p.counts.reset()
	for p.counts.all < blockSymbols && y < end {
		done := y * p.stride
		for _, s := range p.spans[y] {
			tokens = p.static(tokens, done, p.at(y, s.from))
			ends = append(ends, len(tokens))
			done = p.at(y, s.to)
			p.person(piece{
				y: y, from: s.from, to: s.to,
				after:  uint32((p.canvas.height*p.stride - done) % base),
				tables: int32(len(p.band.tables)),
				filter: p.raw[y*p.stride],
				above:  y > 0 && s.within(p.spans[y-1]),
			})
		}
		y++
		tokens = p.static(tokens, done, y*p.stride)
	}

	literal, distance := p.counts.lengths()
	codes := blockCodes{codesOf(literal), codesOf(distance)}
	p.band.tables = append(p.band.tables, codes.tables(p.stride))
	p.reserve(len(tokens))
	writeTables(&p.w, literal, distance)
	start := 0
	for i, end := range ends {
		codes.write(&p.w, tokens[start:end])
		p.band.pieces[first+i].static = p.cut()
		start = end
	}
	codes.write(&p.w, tokens[start:])
	codes.write(&p.w, []token{endOfBlock})
	return y
}

// static finds the tokens of static bytes and counts them, once for each sample.
func (p *presser) static(tokens []token, from, end int) []token {
	old := len(tokens)
	tokens = p.finder.tokens(tokens, from-p.origin, end-p.origin)
	for _, t := range tokens[old:] {
		p.counts.add(t, len(p.samples))
	}
	return tokens
}

// person takes a piece into the band and counts what the samples have there.
func (p *presser) person(made piece) {
	p.band.pieces = append(p.band.pieces, made)
	for i, s := range p.samples {
		_, tokens := s.run(p.maker.samples[i], &made)
		for _, t := range tokens {
			p.counts.addPixels(t)
		}
		p.counts.people += made.bytes()
	}
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
