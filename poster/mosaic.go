package poster

import "image"

// grain is the side of the squares by which posters are parted into what may differ and what does not. It is that of
// the largest unit of a JPEG, so that no unit is half one and half the other.
const grain = 16

// mosaic is a poster parted into squares of the grain.
type mosaic struct {
	canvas       image.Rectangle
	across, down int
	taken        []bool
}

func newMosaic(canvas image.Rectangle) *mosaic {
	m := &mosaic{canvas: canvas, across: (canvas.Dx() + grain - 1) / grain, down: (canvas.Dy() + grain - 1) / grain}
	m.taken = make([]bool, m.across*m.down)
	return m
}

// squares are those that a rectangle of pixels touches.
func (m *mosaic) squares(r image.Rectangle) image.Rectangle {
	r = r.Intersect(m.canvas)
	if r.Empty() {
		return image.Rectangle{}
	}
	return image.Rect(r.Min.X/grain, r.Min.Y/grain, (r.Max.X+grain-1)/grain, (r.Max.Y+grain-1)/grain)
}

// take marks the squares that a rectangle touches.
func (m *mosaic) take(r image.Rectangle) {
	s := m.squares(r)
	for y := s.Min.Y; y < s.Max.Y; y++ {
		for x := s.Min.X; x < s.Max.X; x++ {
			m.taken[y*m.across+x] = true
		}
	}
}

// parts are rectangles of pixels that do not overlap and together are all squares below r that are taken, or that
// are not.
func (m *mosaic) parts(r image.Rectangle, taken bool) []image.Rectangle {
	var whole, open []image.Rectangle // open ones end at the row above
	s := m.squares(r)
	for y := s.Min.Y; y < s.Max.Y; y++ {
		var row []image.Rectangle
		for x := s.Min.X; x < s.Max.X; x++ {
			if m.taken[y*m.across+x] != taken {
				continue
			}
			if last := len(row) - 1; last >= 0 && row[last].Max.X == x {
				row[last].Max.X++
				continue
			}
			row = append(row, image.Rect(x, y, x+1, y+1))
		}
		for i := range row {
			for j, above := range open {
				if above.Min.X == row[i].Min.X && above.Max.X == row[i].Max.X {
					row[i].Min.Y = above.Min.Y
					open[j] = image.Rectangle{}
				}
			}
		}
		whole = append(whole, open...)
		open = row
	}
	var all []image.Rectangle
	for _, part := range append(whole, open...) {
		if !part.Empty() {
			all = append(all, image.Rectangle{Min: part.Min.Mul(grain), Max: part.Max.Mul(grain)}.Intersect(m.canvas))
		}
	}
	return all
}
