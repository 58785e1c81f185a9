package typeface

import (
	"errors"

	ot "github.com/go-text/typesetting/font/opentype"
)

var (
	errShort = errors.New("it is cut short")
	errDeep  = errors.New("it is made of too many others")
	errSpent = errors.New("it is too complicated")
)

// trueType draws the outlines of a glyf table.
type trueType struct {
	glyf []byte
	loca []byte
	long bool // offsets have four bytes
	side func(glyph uint16) int
}

// newTrueType reads outlines. Side says how far from its origin a glyph begins, wherever its points are.
func newTrueType(glyf, loca []byte, long bool, glyphs int, side func(glyph uint16) int) (*trueType, error) {
	t := &trueType{glyf: glyf, loca: loca, long: long, side: side}
	size := 2
	if long {
		size = 4
	}
	if len(loca) < size*(glyphs+1) {
		return nil, broken("its loca table is cut short")
	}
	return t, nil
}

// data is what describes a glyph; empty for a space.
func (t *trueType) data(glyph uint16) ([]byte, error) {
	var from, to uint64
	i := int(glyph)
	if t.long {
		if len(t.loca) < 4*i+8 {
			return nil, errShort
		}
		from, to = uint64(be32(t.loca[4*i:])), uint64(be32(t.loca[4*i+4:]))
	} else {
		if len(t.loca) < 2*i+4 {
			return nil, errShort
		}
		from, to = 2*uint64(be16(t.loca[2*i:])), 2*uint64(be16(t.loca[2*i+2:]))
	}
	if from > to || to > uint64(len(t.glyf)) {
		return nil, errShort
	}
	return t.glyf[from:to], nil
}

func (t *trueType) outline(glyph uint16, budget *int) ([]ot.Segment, error) {
	contours, err := t.contours(glyph, 0, budget)
	if err != nil {
		return nil, err
	}
	if len(contours) == 0 {
		return nil, nil
	}
	data, err := t.data(glyph)
	if err != nil {
		return nil, err
	}
	shift := float32(t.side(glyph) - int(int16(be16(data[2:]))))
	var shape []ot.Segment
	for _, c := range contours {
		for i := range c {
			c[i].x += shift
		}
		shape = appendContour(shape, c)
	}
	return shape, nil
}

// point is one of a contour; those off it pull the curve towards them.
type point struct {
	x, y float32
	on   bool
}

func (t *trueType) contours(glyph uint16, depth int, budget *int) ([][]point, error) {
	if *budget--; *budget <= 0 {
		return nil, errSpent
	}
	data, err := t.data(glyph)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	if len(data) < 10 {
		return nil, errShort
	}
	if n := int16(be16(data)); n >= 0 {
		return simple(data[10:], int(n), budget)
	}
	return t.composite(data[10:], depth, budget)
}

// Flags of a point.
const (
	onCurve     = 1
	xShort      = 2
	yShort      = 4
	repeat      = 8
	xSameOrMore = 16
	ySameOrMore = 32
)

// simple reads the points of n contours.
func simple(data []byte, n int, budget *int) ([][]point, error) {
	if n == 0 {
		return nil, nil
	}
	if len(data) < 2*n+2 {
		return nil, errShort
	}
	points := int(be16(data[2*n-2:])) + 1
	if *budget -= points; *budget <= 0 {
		return nil, errSpent
	}
	ends := data[:2*n]
	skip := 2*n + 2 + int(be16(data[2*n:])) // instructions
	if len(data) < skip {
		return nil, errShort
	}
	data = data[skip:]
	flags := make([]byte, 0, points)
	for len(flags) < points {
		if len(data) < 1 || data[0]&repeat != 0 && len(data) < 2 {
			return nil, errShort
		}
		flag, times := data[0], 1
		data = data[1:]
		if flag&repeat != 0 {
			times += int(data[0])
			data = data[1:]
		}
		for ; times > 0 && len(flags) < points; times-- {
			flags = append(flags, flag)
		}
	}
	all := make([]point, points)
	read := func(short, sameOrMore byte, set func(p *point, v float32)) error {
		v := 0
		for i, flag := range flags {
			switch {
			case flag&short != 0:
				if len(data) < 1 {
					return errShort
				}
				d := int(data[0])
				data = data[1:]
				if flag&sameOrMore == 0 {
					d = -d
				}
				v += d
			case flag&sameOrMore == 0:
				if len(data) < 2 {
					return errShort
				}
				v += int(int16(be16(data)))
				data = data[2:]
			}
			set(&all[i], float32(v))
			all[i].on = flag&onCurve != 0
		}
		return nil
	}
	if err := read(xShort, xSameOrMore, func(p *point, v float32) { p.x = v }); err != nil {
		return nil, err
	}
	if err := read(yShort, ySameOrMore, func(p *point, v float32) { p.y = v }); err != nil {
		return nil, err
	}
	contours := make([][]point, 0, n)
	from := 0
	for i := range n {
		to := int(be16(ends[2*i:])) + 1
		if to < from || to > points {
			return nil, errShort
		}
		contours = append(contours, all[from:to])
		from = to
	}
	return contours, nil
}

// Flags of a part.
const (
	wordArguments  = 1
	offsetsFollow  = 2
	oneScale       = 8
	moreParts      = 32
	twoScales      = 64
	fourScales     = 128
	scaledByMatrix = 2048
)

// composite puts a glyph together from others.
func (t *trueType) composite(data []byte, depth int, budget *int) ([][]point, error) {
	if depth == maxDepth {
		return nil, errDeep
	}
	var all [][]point
	for more := true; more; {
		if len(data) < 6 {
			return nil, errShort
		}
		flags, glyph := be16(data), be16(data[2:])
		var dx, dy float32
		size := 6
		if flags&wordArguments != 0 {
			if size = 8; len(data) < size {
				return nil, errShort
			}
			dx, dy = float32(int16(be16(data[4:]))), float32(int16(be16(data[6:])))
		} else {
			dx, dy = float32(int8(data[4])), float32(int8(data[5]))
		}
		data = data[size:]
		if flags&offsetsFollow == 0 { // numbers of points to lay on each other, which no font of today does
			dx, dy = 0, 0
		}
		scales := [4]float32{1, 0, 0, 1}
		n := 0
		switch {
		case flags&oneScale != 0:
			n = 1
		case flags&twoScales != 0:
			n = 2
		case flags&fourScales != 0:
			n = 4
		}
		if len(data) < 2*n {
			return nil, errShort
		}
		for i := range n {
			v := float32(int16(be16(data[2*i:]))) / (1 << 14)
			switch n {
			case 1:
				scales[0], scales[3] = v, v
			case 2:
				scales[3*i] = v
			default:
				scales[i] = v
			}
		}
		data = data[2*n:]
		if flags&scaledByMatrix != 0 {
			dx, dy = dx*scales[0]+dy*scales[2], dx*scales[1]+dy*scales[3]
		}
		parts, err := t.contours(glyph, depth+1, budget)
		if err != nil {
			return nil, err
		}
		for _, c := range parts {
			for i, p := range c {
				c[i].x = p.x*scales[0] + p.y*scales[2] + dx
				c[i].y = p.x*scales[1] + p.y*scales[3] + dy
			}
		}
		all = append(all, parts...)
		more = flags&moreParts != 0
	}
	return all, nil
}

// appendContour adds a closed contour. Between two points off it there is one on it, half-way.
func appendContour(shape []ot.Segment, c []point) []ot.Segment {
	if len(c) < 2 {
		return shape
	}
	middle := func(a, b point) point { return point{(a.x + b.x) / 2, (a.y + b.y) / 2, true} }
	at := func(p point) ot.SegmentPoint { return ot.SegmentPoint{X: p.x, Y: p.y} }
	start := c[0]
	if !start.on {
		if last := c[len(c)-1]; last.on {
			start = last
		} else {
			start = middle(start, last)
		}
	}
	shape = append(shape, ot.Segment{Op: ot.SegmentOpMoveTo, Args: [3]ot.SegmentPoint{at(start)}})
	var off point
	pending := false
	next := func(p point) {
		switch {
		case p.on && pending:
			shape = append(shape, ot.Segment{Op: ot.SegmentOpQuadTo, Args: [3]ot.SegmentPoint{at(off), at(p)}})
			pending = false
		case p.on:
			shape = append(shape, ot.Segment{Op: ot.SegmentOpLineTo, Args: [3]ot.SegmentPoint{at(p)}})
		default:
			if pending {
				shape = append(shape, ot.Segment{Op: ot.SegmentOpQuadTo, Args: [3]ot.SegmentPoint{at(off), at(middle(off, p))}})
			}
			off, pending = p, true
		}
	}
	for i, p := range c {
		if i == 0 && p.on {
			continue
		}
		next(p)
	}
	next(start)
	return shape
}
