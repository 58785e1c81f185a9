package poster

import (
	"strings"
	"unicode"

	"golang.org/x/image/math/fixed"
)

// chance says whether a line may begin at a cluster.
type chance uint8

const (
	never chance = iota
	may
	must
)

// Characters that must not begin or end a line in Chinese, beside what Unicode's rules (UAX 14) say. Those leave the
// curly quotation marks open, which languages use in different ways.
// Source: W3C, Requirements for Chinese Text Layout, 3.1.1.
const (
	neverFirst = ",.!?:;)]}%/~-‰℃°·’”»›…‥—～、。〉》」』】〕〗〙〛々〻ゝゞヽヾー・ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮヵヶ，．！？：；）］｝％／－"
	neverLast  = "([{$¥£€#@‘“«‹〈《「『【〔〖〘〚（［｛＄＃＠￥￡"
)

// chances finds where lines may begin.
func (ts *typesetter) chances(clusters []cluster) []chance {
	var text []rune
	starts := make([]int, 0, len(clusters)) // in text
	for _, c := range clusters {
		starts = append(starts, len(text))
		text = append(text, c.runes...)
	}
	found := make([]chance, len(clusters))
	ts.seg.Init(text)
	next := 0
	for iter := ts.seg.LineIterator(); iter.Next(); {
		at := iter.Line().Offset
		for next < len(starts) && starts[next] < at {
			next++
		}
		if next < len(starts) && starts[next] == at {
			found[next] = may
		}
	}
	for i := range clusters {
		switch {
		case i == 0:
			found[i] = never
		case clusters[i-1].feed:
			found[i] = must
		case clusters[i].feed:
			found[i] = never
		default:
			found[i] = kinsoku(clusters[i-1], clusters[i], found[i])
		}
	}
	return found
}

// kinsoku holds what Unicode's rules say of a break between two clusters against the Chinese ones.
func kinsoku(before, after cluster, unicodes chance) chance {
	last, first := before.runes[len(before.runes)-1], after.runes[0]
	switch {
	case strings.ContainsRune(neverFirst, first) && !before.isSpace(), strings.ContainsRune(neverLast, last):
		return never
	case (first == '“' || first == '‘') && unicode.Is(unicode.Han, last), (last == '”' || last == '’') && unicode.Is(unicode.Han, first):
		return may
	}
	return unicodes
}

// span is a line: clusters from, up to but without to.
type span struct{ from, to int }

// breakLines breaks clusters into lines of at most room, up to most of them, and says where the rest begins: at the end when
// there is none. Spaces at the end of a line count for nothing and are left out; those at its start are kept only
// where the text itself begins the line.
func breakLines(clusters []cluster, advances []fixed.Int26_6, chances []chance, room fixed.Int26_6, most int) (lines []span, rest int) {
	for at := 0; at < len(clusters) && len(lines) < most; {
		end, next := lineFrom(clusters, advances, chances, room, at)
		for end > at && (clusters[end-1].isSpace() || clusters[end-1].feed) {
			end--
		}
		lines = append(lines, span{at, end})
		at = next
		for at < len(clusters) && chances[at] != must && clusters[at].isSpace() {
			at++
		}
		rest = at
	}
	return lines, rest
}

// lineFrom finds where the line that begins at a cluster ends and the next one begins.
func lineFrom(clusters []cluster, advances []fixed.Int26_6, chances []chance, room fixed.Int26_6, at int) (end, next int) {
	var width, pending fixed.Int26_6 // pending is of spaces, which may hang over the end
	best := at
	for i := at; i < len(clusters); i++ {
		if i > at && chances[i] == must {
			return i, i
		}
		if i > at && chances[i] == may {
			best = i
		}
		if clusters[i].isSpace() {
			pending += advances[i]
			continue
		}
		if width+pending+advances[i] > room && i > at {
			if best == at { // a word wider than the line
				best = i
			}
			return best, best
		}
		width += pending + advances[i]
		pending = 0
	}
	return len(clusters), len(clusters)
}

// flow lays a text out over several lines. What is too long is shortened as set does, at the end of a value or else of
// the last line.
func (ts *typesetter) flow(s setting, most int) []line {
	full := ts.shape(s.clusters, s.size)
	room := fixed.I(s.limit)
	// Letters may move apart a little where a line is broken between them: then it is tried again with less room.
	for tries, slack := 0, fixed.Int26_6(0); tries < 4; tries++ {
		clusters, spans, fits := ts.fit(s, full, room-slack, most)
		if !fits {
			break
		}
		lines, excess := ts.shapeAll(clusters, spans, s.size, room)
		if excess <= 0 {
			return lines
		}
		slack += excess
	}
	return ts.cutLast(s, full, room, most)
}

// fit breaks the text, with its longest value shortened as far as need be, into lines. It reports false where that is
// not enough.
func (ts *typesetter) fit(s setting, full line, room fixed.Int26_6, most int) (clusters []cluster, spans []span, fits bool) {
	try := func(clusters []cluster, advances []fixed.Int26_6) ([]span, bool) {
		spans, rest := breakLines(clusters, advances, ts.chances(clusters), room, most)
		return spans, rest == len(clusters)
	}
	if spans, ok := try(s.clusters, full.advances); ok {
		return s.clusters, spans, true
	}
	from, to := longestValue(s.clusters, full.advances, s.shorten)
	if from == to {
		return nil, nil, false
	}
	dots := ts.dots(s)
	dotsAdvances := ts.shape(dots, s.size).advances
	with := func(keep int) ([]cluster, []fixed.Int26_6) {
		for keep > 1 && s.clusters[from+keep-1].isSpace() {
			keep--
		}
		return spliced(s.clusters, dots, from+keep, to), spliced(full.advances, dotsAdvances, from+keep, to)
	}
	// Fewer characters never take more lines, nearly: the search need not find the very best.
	least, over := 1, to-from
	if clusters, spans = nil, nil; over <= least {
		return nil, nil, false
	}
	for least < over {
		middle := (least + over) / 2
		shorter, advances := with(middle)
		if found, ok := try(shorter, advances); ok {
			clusters, spans, fits = shorter, found, true
			least = middle + 1
		} else {
			over = middle
		}
	}
	return clusters, spans, fits
}

// spliced is a copy with what stands at from to to replaced.
func spliced[T any](all, by []T, from, to int) []T {
	short := make([]T, 0, len(all)+len(by))
	short = append(short, all[:from]...)
	short = append(short, by...)
	return append(short, all[to:]...)
}

// shapeAll shapes lines and says by how much the widest is too wide.
func (ts *typesetter) shapeAll(clusters []cluster, spans []span, size float64, room fixed.Int26_6) (lines []line, excess fixed.Int26_6) {
	for _, s := range spans {
		l := ts.shape(clusters[s.from:s.to], size)
		excess = max(excess, l.width-room)
		lines = append(lines, l)
	}
	return lines, excess
}

// cutLast lays out as many lines as there may be, each cut to the room, the last with an ellipsis for what is missing.
func (ts *typesetter) cutLast(s setting, full line, room fixed.Int26_6, most int) []line {
	spans, rest := breakLines(s.clusters, full.advances, ts.chances(s.clusters), room, most)
	dots := ts.dots(s)
	var lines []line
	for i, at := range spans {
		l := ts.shape(s.clusters[at.from:at.to], s.size)
		missing := i == len(spans)-1 && rest < len(s.clusters)
		if missing {
			// The dots take the place of what does not fit, a cluster more than there is room for.
			l = ts.shape(spliced(s.clusters[at.from:at.to], dots, at.to-at.from, at.to-at.from), s.size)
		}
		if l.width > room {
			whole := ts.shape(s.clusters[at.from:at.to], s.size)
			l, _ = ts.cut(s.clusters[at.from:at.to], whole, dots, 0, at.to-at.from, 0, s.size, room)
		}
		lines = append(lines, l)
	}
	return lines
}
