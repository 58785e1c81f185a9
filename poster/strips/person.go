package strips

import "encoding/binary"

// A person's bytes are taken whole pixels at a time. Either a pixel's three literals are written, or a run of pixels
// that equals the one before, or that equals the row above, both in filtered bytes. A pixelToken is the literals, or
// above their 24 bits one more than the kind of match, and the number of pixels.
type pixelToken uint32

const (
	matchLeft = iota
	matchUp
	matchKinds

	kindShift   = 24
	fewPixels   = 2 // in a match
	mostPixels  = longestMatch / 3
	pixelLength = 3
)

// pixelTokens finds the tokens for n bytes of run, and appends them. Above has the same pixels of the row above, nil
// if they are not a person's either. Both can be read wordSlack bytes further.
func pixelTokens(tokens []pixelToken, run, above []byte, n int) []pixelToken {
	for at := 0; at < n; {
		v := binary.LittleEndian.Uint64(run[at:])
		best, kind := 0, 0
		if left := n - at; left >= fewPixels*pixelLength {
			limit := min(left, longestMatch)
			if at > 0 && (v^binary.LittleEndian.Uint64(run[at-pixelLength:]))<<16 == 0 {
				best, kind = same(run[at-pixelLength:], run[at:], limit), matchLeft
			}
			if above != nil && best < limit && (v^binary.LittleEndian.Uint64(above[at:]))<<16 == 0 {
				if l := same(above[at:], run[at:], limit); l > best+pixelLength {
					best, kind = l, matchUp
				}
			}
		}
		if pixels := best / pixelLength; pixels > 0 {
			tokens = append(tokens, pixelToken((kind+1)<<kindShift|pixels))
			at += pixels * pixelLength
			continue
		}
		tokens = append(tokens, pixelToken(v&pixelMask))
		at += pixelLength
	}
	return tokens
}

// tables are a block's codes as the person's bytes need them.
type tables struct {
	literal [256]code
	match   [matchKinds][mostPixels + 1]entry
}

// entry is the bits of a whole match.
type entry struct {
	bits uint64
	n    uint
}

// write puts the tokens of a run.
func (t *tables) write(w *bitWriter, tokens []pixelToken) {
	buf, pos, held, n := w.buf, w.pos, w.held, w.n
	for _, token := range tokens {
		if kind := token >> kindShift; kind == 0 {
			a, b, c := t.literal[token&255], t.literal[token>>8&255], t.literal[token>>16&255]
			held |= uint64(a.bits) << (n & 63)
			n += uint(a.n)
			held |= uint64(b.bits) << (n & 63)
			n += uint(b.n)
			held |= uint64(c.bits) << (n & 63)
			n += uint(c.n)
		} else {
			e := &t.match[kind-1][token&255]
			held |= e.bits << (n & 63)
			n += e.n
		}
		binary.LittleEndian.PutUint64(buf[pos:], held)
		pos += int(n >> 3)
		held >>= n & 56
		n &= 7
	}
	w.pos, w.held, w.n = pos, held, n
}

// scratch is what one goroutine needs to write a picture.
type scratch struct {
	rows   [2][]byte // filtered bytes of the row and of the one above, at their places
	tokens []pixelToken
}

func newScratch(width int) *scratch {
	s := &scratch{tokens: make([]pixelToken, 0, width)}
	for i := range s.rows {
		s.rows[i] = make([]byte, pixelLength*width+wordSlack)
	}
	return s
}

// run filters a piece of a row and finds its tokens. They hold until the next run; so do the bytes.
func (s *scratch) run(c canvas, p *piece) (filtered []byte, tokens []pixelToken) {
	at, n := pixelLength*p.from, pixelLength*(p.to-p.from)
	run := s.rows[p.y&1][at:]
	c.filter(run, p.filter, p.y, span{p.from, p.to})
	var above []byte
	if p.above {
		above = s.rows[p.y&1^1][at:]
	}
	return run[:n], pixelTokens(s.tokens[:0], run, above, n)
}
