package qr

import "math/bits"

// What the standard takes off for what readers may stumble over.
const (
	runPenalty    = 3  // five modules of a colour in line, and one more for each further one
	blockPenalty  = 3  // two by two of a colour
	finderPenalty = 40 // what looks like a finder
	sharePenalty  = 10 // for each 5 % that dark modules are from half of all
)

// penalty weighs a code by the standard's four rules, a row of modules at a time; the columns of neighbouring rows are
// bits of the same place. It stops at the limit: what it gives then is no less, but not the whole.
//
// What looks like a finder is dark, light, three dark, light, dark, with four light modules on either side or both. The
// quiet zone is light, so these may lie outside.
func penalty(f *field, n, limit int) int {
	pairs := uint64(1)<<(n-1) - 1 // as many as a row has neighbours
	all := uint64(1)<<n - 1
	score, dark := 0, 0
	var above, sameAbove, runAbove uint64 // of the row above: modules, equal neighbours, where five end
	var v1, v2, v3 uint64                 // equal to the one above, of the last three rows
	for i := margin; i < margin+n; i++ {
		r := f[i]
		dark += bits.OnesCount64(r)

		same := ^(r ^ r>>1) & pairs
		run := same & (same >> 1) & (same >> 2) & (same >> 3)
		score += bits.OnesCount64(run)
		if run != 0 {
			score += (runPenalty - 1) * bits.OnesCount64(run&^(run<<1))
		}
		if like := r &^ (r >> 1) & (r >> 2) & (r >> 3) & (r >> 4) &^ (r >> 5) & (r >> 6); like != 0 {
			like &^= (r<<1 | r<<2 | r<<3 | r<<4) & (r>>7 | r>>8 | r>>9 | r>>10)
			score += finderPenalty * bits.OnesCount64(like)
		}

		var v0 uint64
		if i > margin {
			v0 = ^(r ^ above) & all
			score += blockPenalty * bits.OnesCount64(same&sameAbove&v0)
		}
		column := v0 & v1 & v2 & v3
		if column != 0 {
			score += bits.OnesCount64(column) + (runPenalty-1)*bits.OnesCount64(column&^runAbove)
		}
		w := (*[margin + 11]uint64)(f[i-margin:])
		if like := r &^ w[margin+1] & w[margin+2] & w[margin+3] & w[margin+4] &^ w[margin+5] & w[margin+6]; like != 0 {
			like &^= (w[0] | w[1] | w[2] | w[3]) & (w[margin+7] | w[margin+8] | w[margin+9] | w[margin+10])
			score += finderPenalty * bits.OnesCount64(like)
		}
		if score >= limit {
			return score
		}
		above, sameAbove, runAbove = r, same, column
		v3, v2, v1 = v2, v1, v0
	}
	off := 2*dark - n*n
	return score + max(off, -off)*10/(n*n)*sharePenalty
}
