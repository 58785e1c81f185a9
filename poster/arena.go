package poster

import "golang.org/x/image/math/fixed"

// arena hands out memory of which all is taken back at once, when a poster is done. What was handed out before stays
// good until then, even if the arena had to take a larger piece.
type arena[T any] struct{ all []T }

// arenaPiece is the least that an arena takes, in elements.
const arenaPiece = 256

// take gives an empty slice with room for n; more is appended elsewhere.
func (a *arena[T]) take(n int) []T {
	used := len(a.all)
	if cap(a.all)-used < n {
		a.all, used = make([]T, 0, max(n, arenaPiece, min(2*cap(a.all), 16*arenaPiece))), 0
	}
	a.all = a.all[:used+n]
	return a.all[used : used : used+n]
}

// filled gives a slice of n zeros.
func (a *arena[T]) filled(n int) []T {
	s := a.take(n)[:n]
	clear(s)
	return s
}

func (a *arena[T]) reset() { a.all = a.all[:0] }

// arenas is the memory in which a poster's texts are laid out.
type arenas struct {
	runes    arena[rune]
	texts    arena[[]rune]
	clusters arena[cluster]
	owners   arena[int]
	glyphs   arena[glyph]
	advances arena[fixed.Int26_6]
	lines    arena[line]
}

// reset takes back what was handed out for the poster before.
func (a *arenas) reset() {
	a.runes.reset()
	a.texts.reset()
	a.clusters.reset()
	a.owners.reset()
	a.glyphs.reset()
	a.advances.reset()
	a.lines.reset()
}

// clean makes a value from outside safe to draw, as a name.
func (ts *typesetter) clean(s string) []rune {
	return appendClean(ts.runes.take(min(len(s), maxRunes)+1), s, asName)
}
