package baseline

// The quantisation tables of T.81, K.1, in rows.
var (
	lumaSteps = [64]byte{
		16, 11, 10, 16, 24, 40, 51, 61,
		12, 12, 14, 19, 26, 58, 60, 55,
		14, 13, 16, 24, 40, 57, 69, 56,
		14, 17, 22, 29, 51, 87, 80, 62,
		18, 22, 37, 56, 68, 109, 103, 77,
		24, 35, 55, 64, 81, 104, 113, 92,
		49, 64, 78, 87, 103, 121, 120, 101,
		72, 92, 95, 98, 112, 100, 103, 99,
	}
	chromaSteps = [64]byte{
		17, 18, 24, 47, 99, 99, 99, 99,
		18, 21, 26, 66, 99, 99, 99, 99,
		24, 26, 56, 99, 99, 99, 99, 99,
		47, 66, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
		99, 99, 99, 99, 99, 99, 99, 99,
	}
)

// zigzag gives the place in rows of the k-th coefficient in scan order (T.81, figure A.6).
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10,
	17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34,
	27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36,
	29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46,
	53, 60, 61, 54, 47, 55, 62, 63,
}

// scaled gives the steps for a quality, by the rule of the IJG's library (jpeg_set_quality).
func scaled(base *[64]byte, quality int) (steps [64]byte) {
	scale := 200 - 2*quality
	if quality < 50 {
		scale = 5000 / quality
	}
	for i, b := range base {
		steps[i] = byte(min(max((int(b)*scale+50)/100, 1), 255))
	}
	return steps
}

// quantiser turns what transform gives into coefficients in scan order.
type quantiser struct {
	steps [64]byte       // as the file tells them, in rows
	by    [64]reciprocal // in rows
	// Between which outputs coefficients are zero, of two rows at a time as transformRows has them in words.
	zeros [4]struct{ from, to [8]uint64 }
	flat  [256]int32 // the DC of a block whose samples are all the same
}

// reciprocal quantises one coefficient: (x*mul + add) >> shift is x divided by its step, to the nearest.
type reciprocal struct {
	mul, add int64
	bit      uint64 // of its place in scan order, none for DC
}

// shift is the fixed point of reciprocals. Coefficients have at most 11 bits and a sign, so x*mul stays within 61
// bits, and a quotient is off by less than 2^-16 of a step: see TestQuantiser.
const shift = 48

// aan are the factors by which the transform of Arai, Agui and Nakajima leaves its outputs too large: 1 and
// sqrt(2)*cos(k*pi/16). Written out, so that no platform's cosine has a say.
var aan = [8]float64{1, 1.387039845, 1.306562965, 1.175875602, 1, 0.785694958, 0.541196100, 0.275899379}

func newQuantiser(base *[64]byte, quality int) *quantiser {
	q := &quantiser{steps: scaled(base, quality)}
	for k, at := range zigzag {
		u, v := at&7, at>>3
		// transform's outputs are larger than the coefficients of T.81, A.3.3 by this much.
		size := 8 * aan[u] * aan[v] * float64(int64(1)<<fraction(int(u)))
		mul := int64(float64(1<<shift)/(size*float64(q.steps[at])) + 0.5)
		q.by[at] = reciprocal{mul: mul, add: 1<<(shift-1) - mul*offset(int(u), int(v)), bit: 1 << k &^ 1}
	}
	for at := range q.by {
		u, v := at&7, at>>3
		reach, off := (1<<(shift-1)-1)/q.by[at].mul, offset(u, v)
		pair := &q.zeros[v/2]
		pair.from[u] += uint64(off-reach) << (32 * (v & 1))
		pair.to[u] += uint64(off+reach) << (32 * (v & 1))
	}
	for value := range q.flat {
		var rows [8]uint64
		for y := range rows {
			rows[y] = uint64(value) * ones
		}
		var out [64]int32
		q.transform(&rows, &out)
		q.flat[value] = out[0]
	}
	return q
}
