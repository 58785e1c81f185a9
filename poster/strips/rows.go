package strips

import (
	"cmp"
	"image"
	"slices"
)

// span is a run of pixels in a row, to excluded, counted from the picture's left edge.
type span struct{ from, to int }

// spans gives for each row where its filtered bytes depend on what is in the boxes. The filters of PNG look at the
// pixels to the left, above, and above to the left, so a box reaches one pixel further to the right and one down.
// The spans of a row are in order and do not touch.
func spans(rect image.Rectangle, boxes []image.Rectangle) [][]span {
	all := make([][]span, rect.Dy())
	for _, box := range boxes {
		if box = box.Intersect(rect); box.Empty() {
			continue // an empty one would grow to a pixel
		}
		box.Max = box.Max.Add(image.Pt(1, 1))
		box = box.Intersect(rect).Sub(rect.Min)
		for y := box.Min.Y; y < box.Max.Y; y++ {
			all[y] = append(all[y], span{box.Min.X, box.Max.X})
		}
	}
	for y, row := range all {
		all[y] = joined(row)
	}
	return all
}

func joined(row []span) []span {
	slices.SortFunc(row, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	kept := row[:0]
	for _, s := range row {
		if last := len(kept) - 1; last >= 0 && s.from <= kept[last].to {
			kept[last].to = max(kept[last].to, s.to)
			continue
		}
		kept = append(kept, s)
	}
	return kept
}

// within tells whether one of the row's spans holds all of s.
func (s span) within(row []span) bool {
	return slices.ContainsFunc(row, func(r span) bool { return r.from <= s.from && s.to <= r.to })
}

// rows are some rows of the picture, to excluded.
type rows struct {
	from, to int
	band     bool
}

// groups parts the picture into bands and static rows. A few static rows between or beside bands belong to them.
func groups(spans [][]span) []rows {
	var all []rows
	for y, row := range spans {
		band := len(row) > 0
		if last := len(all) - 1; last >= 0 && all[last].band == band {
			all[last].to++
			continue
		}
		all = append(all, rows{y, y + 1, band})
	}
	var kept []rows
	for _, r := range all {
		r.band = r.band || r.to-r.from < fewRows && len(all) > 1
		if last := len(kept) - 1; last >= 0 && kept[last].band == r.band {
			kept[last].to = r.to
			continue
		}
		kept = append(kept, r)
	}
	return kept
}
