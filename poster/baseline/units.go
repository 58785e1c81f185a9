package baseline

import (
	"image"
	"math/bits"
)

// Units is a set of units (T.81 calls them MCUs) of one picture geometry, in scan order: which parts of a poster
// may differ from the static ones. It is used again and again: Clear, Mark, Append.
type Units struct {
	across, down int
	side         int // of a unit, in pixels
	words        []uint64
}

// NewUnits gives an empty set for planes of this geometry.
func (p *Planes) NewUnits() *Units {
	u := &Units{across: p.Across(), down: p.Down(), side: p.Ratio.luma()}
	u.words = make([]uint64, (u.across*u.down+63)/64)
	return u
}

// Clear empties the set.
func (u *Units) Clear() { clear(u.words) }

// Mark adds the units that a rectangle of pixels touches.
func (u *Units) Mark(r image.Rectangle) {
	r = r.Intersect(image.Rect(0, 0, u.across*u.side, u.down*u.side))
	if r.Empty() {
		return
	}
	for y := r.Min.Y / u.side; y*u.side < r.Max.Y; y++ {
		for x := r.Min.X / u.side; x*u.side < r.Max.X; x++ {
			u.Add(y*u.across + x)
		}
	}
}

// Add adds one unit by its number in scan order, 0 to Len-1.
func (u *Units) Add(unit int) { u.words[unit>>6] |= 1 << (unit & 63) }

// Has says whether a unit is in the set.
func (u *Units) Has(unit int) bool { return u.words[unit>>6]>>(unit&63)&1 != 0 }

// Len is how many units the picture has.
func (u *Units) Len() int { return u.across * u.down }

// Count is how many units are in the set.
func (u *Units) Count() int {
	n := 0
	for _, w := range u.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Rect gives the pixels of a unit; at the right and lower edge it may reach into the padding.
func (u *Units) Rect(unit int) image.Rectangle {
	x, y := unit%u.across*u.side, unit/u.across*u.side
	return image.Rect(x, y, x+u.side, y+u.side)
}
