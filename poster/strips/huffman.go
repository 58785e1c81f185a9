package strips

import (
	"cmp"
	"math/bits"
	"slices"
)

// The alphabets of deflate (RFC 1951, 3.2.5 to 3.2.7).
const (
	endOfBlock   = 256
	symbols      = 286 // literals, the end and lengths
	distances    = 30
	longestCode  = 15
	longestInner = 7 // of the code that the codes' lengths are written in
)

// code is the bits of a symbol, first bit lowest, and how many there are.
type code struct {
	bits uint16
	n    uint8
}

// lengthsOf gives each symbol that counts a code's length for the shortest text, none above limit: Huffman's tree
// built from two queues. Where it grows too deep, the counts are brought nearer to each other and it is built anew.
func lengthsOf(counts []int, limit int) []uint8 {
	lengths := make([]uint8, len(counts))
	var used []int
	for symbol, n := range counts {
		if n > 0 {
			used = append(used, symbol)
		}
	}
	if len(used) == 1 {
		lengths[used[0]] = 1
	}
	if len(used) < 2 {
		return lengths
	}
	counts = slices.Clone(counts)
	slices.SortStableFunc(used, func(a, b int) int { return cmp.Compare(counts[a], counts[b]) })
	for !fits(lengths, counts, used, limit) {
		for i, n := range counts {
			counts[i] = (n + 1) / 2
		}
	}
	return lengths
}

// fits builds the tree of the used symbols, rarest first, and tells whether it is low enough.
func fits(lengths []uint8, counts, used []int, limit int) bool {
	n := len(used)
	weight, parent := make([]int, 2*n-1), make([]int, 2*n-1)
	for i, symbol := range used {
		weight[i] = counts[symbol]
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		for range 2 {
			rarest := inner
			if leaf < n && (inner == next || weight[leaf] <= weight[inner]) {
				rarest = leaf
				leaf++
			} else {
				inner++
			}
			weight[next] += weight[rarest]
			parent[rarest] = next
		}
	}
	depth := make([]int, 2*n-1)
	for i := 2*n - 3; i >= 0; i-- {
		depth[i] = depth[parent[i]] + 1
		if depth[i] > limit {
			return false
		}
		if i < n {
			lengths[used[i]] = uint8(depth[i])
		}
	}
	return true
}

// codesOf numbers the codes of the lengths (RFC 1951, 3.2.2).
func codesOf(lengths []uint8) []code {
	var next [longestCode + 2]uint16
	for _, n := range lengths {
		if n > 0 {
			next[n+1]++
		}
	}
	for n := 1; n < len(next); n++ {
		next[n] = (next[n-1] + next[n]) << 1
	}
	codes := make([]code, len(lengths))
	for symbol, n := range lengths {
		if n > 0 {
			codes[symbol] = code{bits.Reverse16(next[n]) >> (16 - n), n}
			next[n]++
		}
	}
	return codes
}

// innerOrder is the order in which the lengths of the inner code stand (RFC 1951, 3.2.7).
var innerOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// inner is one symbol of the code lengths' own code, with extra bits behind it.
type inner struct{ symbol, extra, n uint8 }

// runs shortens the codes' lengths by the three symbols for repetitions.
func runs(lengths []uint8) []inner {
	var all []inner
	for i := 0; i < len(lengths); {
		n := 1
		for i+n < len(lengths) && lengths[i+n] == lengths[i] {
			n++
		}
		switch length := lengths[i]; {
		case length == 0 && n >= 11:
			n = min(n, 138)
			all = append(all, inner{18, uint8(n - 11), 7})
		case length == 0 && n >= 3:
			all = append(all, inner{17, uint8(n - 3), 3})
		case length > 0 && n >= 4:
			n = min(n, 7)
			all = append(all, inner{length, 0, 0}, inner{16, uint8(n - 4), 2})
		default:
			n = 1
			all = append(all, inner{length, 0, 0})
		}
		i += n
	}
	return all
}

// writeTables begins a block that is not the last, with the lengths of its own codes: literals, lengths and the end,
// then distances.
func writeTables(w *bitWriter, literal, distance []uint8) {
	all := runs(slices.Concat(literal, distance))
	counts := make([]int, len(innerOrder))
	counts[0], counts[18] = 1, 1 // zlib takes no inner code of a single symbol
	for _, r := range all {
		counts[r.symbol]++
	}
	lengths := lengthsOf(counts, longestInner)
	codes := codesOf(lengths)
	kept := len(innerOrder)
	for kept > 4 && lengths[innerOrder[kept-1]] == 0 {
		kept--
	}
	w.put(0b100, 3)
	w.put(uint64(len(literal)-257), 5)
	w.put(uint64(len(distance)-1), 5)
	w.put(uint64(kept-4), 4)
	for _, symbol := range innerOrder[:kept] {
		w.put(uint64(lengths[symbol]), 3)
	}
	for _, r := range all {
		c := codes[r.symbol]
		w.put(uint64(c.bits)|uint64(r.extra)<<c.n, uint(c.n+r.n))
	}
}

// lengthSymbol gives the symbol of a match's length, 3 to 258, with its extra bits.
func lengthSymbol(length int) (symbol int, extra uint64, n uint) {
	if length == longestMatch {
		return 285, 0, 0
	}
	symbol, extra, n = steps(length-shortestMatch, 2)
	return 257 + symbol, extra, n
}

// distanceSymbol gives the symbol of a distance, 1 to 32768, with its extra bits.
func distanceSymbol(distance int) (symbol int, extra uint64, n uint) { return steps(distance-1, 1) }

// steps is the rule behind both tables of RFC 1951, 3.2.5: after two rounds of 1<<group symbols for one value each,
// every round's symbols stand for twice as many as the last's.
func steps(v, group int) (symbol int, extra uint64, n uint) {
	if n := bits.Len(uint(v)) - group - 1; n > 0 {
		return n<<group + v>>n, uint64(v & (1<<n - 1)), uint(n)
	}
	return v, 0, 0
}
