package typeface

import (
	"errors"

	"github.com/go-text/typesetting/font/cff/interpreter"
	ot "github.com/go-text/typesetting/font/opentype"
)

// maxSubroutines bounds those of all parts of a font together.
const maxSubroutines = 1 << 17

// postScript draws the outlines of a CFF table.
// Source: Adobe Technical Notes 5176 and 5177.
type postScript struct {
	glyphs  index
	global  [][]byte
	local   [][][]byte // of each part
	choices func(glyph uint16) int
}

func newPostScript(table []byte, glyphs int) (*postScript, error) {
	bad := broken("its CFF table is damaged")
	if len(table) < 4 || table[0] != 1 {
		return nil, bad
	}
	at := int(table[2])
	_, at, ok1 := readIndex(table, at) // names
	tops, at, ok2 := readIndex(table, at)
	_, at, ok3 := readIndex(table, at) // strings
	global, _, ok4 := readIndex(table, at)
	if !ok1 || !ok2 || !ok3 || !ok4 || tops.count != 1 {
		return nil, bad
	}
	top := readDict(tops.get(0))
	if kind := top[dictCharstringType]; len(kind) > 0 && kind[0] != 2 {
		return nil, bad
	}
	p := &postScript{choices: func(uint16) int { return 0 }}
	var ok bool
	if p.glyphs, _, ok = readIndex(table, top.one(dictCharStrings)); !ok || p.glyphs.count < glyphs {
		return nil, bad
	}
	left := maxSubroutines
	if p.global, ok = global.all(&left); !ok {
		return nil, bad
	}
	dicts := []dict{top}
	if _, parted := top[dictROS]; parted {
		fonts, _, ok := readIndex(table, top.one(dictFDArray))
		if !ok || fonts.count == 0 || fonts.count > 256 {
			return nil, bad
		}
		dicts = nil
		for i := range fonts.count {
			dicts = append(dicts, readDict(fonts.get(i)))
		}
		if p.choices = readChoices(table, top.one(dictFDSelect), glyphs); p.choices == nil {
			return nil, bad
		}
	}
	for _, d := range dicts {
		private := d[dictPrivate]
		if len(private) != 2 {
			p.local = append(p.local, nil)
			continue
		}
		size, from := private[0], private[1]
		if size < 0 || from < 0 || from > len(table) || size > len(table)-from {
			return nil, bad
		}
		var subroutines [][]byte
		if at := readDict(table[from : from+size]).one(dictSubrs); at > 0 {
			found, _, ok := readIndex(table, from+at)
			if !ok {
				return nil, bad
			}
			if subroutines, ok = found.all(&left); !ok {
				return nil, bad
			}
		}
		p.local = append(p.local, subroutines)
	}
	return p, nil
}

func (p *postScript) outline(glyph uint16, budget *int) ([]ot.Segment, error) {
	if int(glyph) >= p.glyphs.count {
		return nil, errShort
	}
	part := p.choices(glyph)
	if part >= len(p.local) {
		return nil, errShort
	}
	var machine psinterpreter.Machine
	pen := pen{budget: budget}
	if err := machine.Run(p.glyphs.get(int(glyph)), p.local[part], p.global, &pen); err != nil {
		return nil, err
	}
	pen.shape.ClosePath()
	return pen.shape.Segments, nil
}

// pen follows the instructions of a glyph as far as the budget goes.
type pen struct {
	shape  psinterpreter.CharstringReader
	budget *int
	seen   int
}

func (*pen) Context() psinterpreter.Context { return psinterpreter.Type2Charstring }

// Apply follows one instruction.
func (p *pen) Apply(m *psinterpreter.Machine, op psinterpreter.Operator) error {
	*p.budget -= 1 + len(p.shape.Segments) - p.seen
	p.seen = len(p.shape.Segments)
	if *p.budget <= 0 {
		return errSpent
	}
	if op.IsEscaped {
		err := p.flex(m, op.Operator)
		m.ArgStack.Clear()
		return err
	}
	switch op.Operator { // these keep the arguments
	case 10:
		return psinterpreter.LocalSubr(m)
	case 29:
		return psinterpreter.GlobalSubr(m)
	case 11:
		return m.Return()
	case 14:
		return psinterpreter.ErrInterrupt
	case 19, 20:
		p.shape.Hintmask(m)
		return nil
	}
	err := p.draw(m, op.Operator)
	m.ArgStack.Clear()
	return err
}

var errUnknown = errors.New("it holds an unknown instruction")

func (p *pen) draw(m *psinterpreter.Machine, op byte) error {
	switch op {
	case 21:
		return p.shape.Rmoveto(m)
	case 22:
		return p.shape.Hmoveto(m)
	case 4:
		return p.shape.Vmoveto(m)
	case 1, 18:
		p.shape.Hstem(m)
	case 3, 23:
		p.shape.Vstem(m)
	case 5:
		p.shape.Rlineto(m)
	case 6:
		p.shape.Hlineto(m)
	case 7:
		p.shape.Vlineto(m)
	case 8:
		p.shape.Rrcurveto(m)
	case 24:
		return p.shape.Rcurveline(m)
	case 25:
		return p.shape.Rlinecurve(m)
	case 26:
		p.shape.Vvcurveto(m)
	case 27:
		p.shape.Hhcurveto(m)
	case 30:
		p.shape.Vhcurveto(m)
	case 31:
		p.shape.Hvcurveto(m)
	default:
		return errUnknown
	}
	return nil
}

func (p *pen) flex(m *psinterpreter.Machine, op byte) error {
	switch op {
	case 34:
		return p.shape.Hflex(m)
	case 35:
		return p.shape.Flex(m)
	case 36:
		return p.shape.Hflex1(m)
	case 37:
		return p.shape.Flex1(m)
	}
	return errUnknown
}

// index is a list of stretches of bytes.
type index struct {
	count, width int
	offsets      []byte
	data         []byte
}

// readIndex finds an index and where it ends.
func readIndex(table []byte, at int) (x index, end int, ok bool) {
	if at < 0 || at+2 > len(table) {
		return x, 0, false
	}
	x.count = int(be16(table[at:]))
	if x.count == 0 {
		return x, at + 2, true
	}
	if at+3 > len(table) {
		return x, 0, false
	}
	x.width = int(table[at+2])
	start := at + 3 + (x.count+1)*x.width
	if x.width < 1 || x.width > 4 || start > len(table) {
		return x, 0, false
	}
	x.offsets, x.data = table[at+3:start], table[start:]
	size := x.offset(x.count)
	if size < 0 || size > len(x.data) {
		return x, 0, false
	}
	x.data = x.data[:size]
	return x, start + size, true
}

// offset is where the i-th stretch begins.
func (x index) offset(i int) int {
	v := 0
	for _, b := range x.offsets[i*x.width:][:x.width] {
		v = v<<8 | int(b)
	}
	return v - 1
}

// get is the i-th stretch, empty for one that lies outside.
func (x index) get(i int) []byte {
	from, to := x.offset(i), x.offset(i+1)
	if from < 0 || from > to || to > len(x.data) {
		return nil
	}
	return x.data[from:to]
}

// all gives every stretch and takes them from what is left.
func (x index) all(left *int) ([][]byte, bool) {
	if *left -= x.count; *left < 0 {
		return nil, false
	}
	found := make([][]byte, x.count)
	for i := range found {
		found[i] = x.get(i)
	}
	return found, true
}

// Keys of dictionaries; 1200 and more are those of two bytes.
const (
	dictCharStrings    = 17
	dictPrivate        = 18
	dictSubrs          = 19
	dictCharstringType = 1206
	dictROS            = 1230
	dictFDArray        = 1236
	dictFDSelect       = 1237
)

// dict holds whole numbers; others are read as 0, since none that is looked for is one.
type dict map[int][]int

func (d dict) one(key int) int {
	if v := d[key]; len(v) > 0 {
		return v[len(v)-1]
	}
	return 0
}

func readDict(b []byte) dict {
	d := dict{}
	var stack []int
	for len(b) > 0 && len(stack) <= 48 {
		v, n := 0, 1
		switch c := int(b[0]); {
		case c == 28 && len(b) >= 3:
			v, n = int(int16(be16(b[1:]))), 3
		case c == 29 && len(b) >= 5:
			v, n = int(int32(be32(b[1:]))), 5
		case c == 30: // a fraction, which ends with a half byte of 15
			for n < len(b) && b[n]&15 != 15 && b[n]>>4 != 15 {
				n++
			}
			n = min(n+1, len(b))
		case c >= 32 && c <= 246:
			v = c - 139
		case c >= 247 && c <= 250 && len(b) >= 2:
			v, n = (c-247)*256+int(b[1])+108, 2
		case c >= 251 && c <= 254 && len(b) >= 2:
			v, n = -(c-251)*256-int(b[1])-108, 2
		default:
			if c == 12 && len(b) >= 2 {
				c, n = 1200+int(b[1]), 2
			}
			d[c] = stack
			stack = nil
			b = b[n:]
			continue
		}
		stack = append(stack, v)
		b = b[n:]
	}
	return d
}

// readChoices finds out which part each glyph belongs to; nil for what cannot be read.
func readChoices(table []byte, at, glyphs int) func(uint16) int {
	if at <= 0 || at >= len(table) {
		return nil
	}
	switch b := table[at:]; b[0] {
	case 0:
		if len(b) < 1+glyphs {
			return nil
		}
		return func(glyph uint16) int { return int(b[1+int(glyph)]) }
	case 3:
		if len(b) < 5 {
			return nil
		}
		n := int(be16(b[1:]))
		if n == 0 || len(b) < 5+3*n {
			return nil
		}
		return func(glyph uint16) int {
			low, high := 0, n // the last range that begins at the glyph or before it
			for high-low > 1 {
				if middle := (low + high) / 2; be16(b[3+3*middle:]) <= glyph {
					low = middle
				} else {
					high = middle
				}
			}
			return int(b[5+3*low])
		}
	}
	return nil
}
