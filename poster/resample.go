package poster

import "math"

// Weights are fixed-point numbers of this many bits.
const (
	weightBits = 14
	weightOne  = 1 << weightBits
	weightHalf = weightOne / 2
)

// maxKernels bounds what one goroutine remembers of scaling: a kernel has a few kilobytes, and people's pictures
// come in two or three sizes.
const maxKernels = 32

// scaling is how a line of samples becomes a line of another length.
type scaling struct {
	n          int     // samples that there are
	from, span float64 // of them the stretch that is shown
	side       int     // pixels that it is shown in
	step       int     // pixels to a new sample: 2 for halved chroma
	lead       int     // pixels of the first new sample that lie before the stretch
}

// samples is how many new ones there are.
func (s scaling) samples() int { return (s.side + s.lead + s.step - 1) / s.step }

// kernel holds the weights of a scaling: each new sample is made of taps old ones, beginning at first.
type kernel struct {
	taps    int
	first   []int32
	weights []int32 // taps of each sample; they add up to weightOne
}

// newKernel makes the weights: what a new sample covers is averaged by area when it covers more than one old one,
// and interpolated with Catmull and Rom's cubic otherwise.
func newKernel(s scaling) *kernel {
	count := s.samples()
	ratio := s.span / float64(s.side) * float64(s.step)
	taps := 4
	if ratio > 1 {
		taps = int(math.Ceil(ratio)) + 1
	}
	taps = min(taps, s.n)
	k := &kernel{taps: taps, first: make([]int32, count), weights: make([]int32, count*taps)}
	all := make([]float64, s.n)
	for i := range count {
		// What the sample covers, in old samples; one at an edge of the stretch may cover a part of its pixels only.
		low := s.from + float64(max(i*s.step-s.lead, 0))/float64(s.side)*s.span
		high := s.from + float64(min((i+1)*s.step-s.lead, s.side))/float64(s.side)*s.span
		clear(all)
		if ratio > 1 {
			byArea(all, low, high)
		} else {
			cubic(all, (low+high)/2-0.5)
		}
		first := max(0, min(firstUsed(all), s.n-taps))
		k.first[i] = int32(first)
		quantize(k.weights[i*taps:][:taps], all[first:])
	}
	return k
}

// byArea weighs each sample by how much of it lies between low and high.
func byArea(weights []float64, low, high float64) {
	for j := max(0, int(low)); j < len(weights) && float64(j) < high; j++ {
		weights[j] = min(high, float64(j+1)) - max(low, float64(j))
	}
}

// cubic weighs the four samples around a place; what lies over the edge is the sample at the edge.
func cubic(weights []float64, at float64) {
	base := math.Floor(at)
	t := at - base
	for i, w := range [4]float64{
		((-t+2)*t - 1) * t / 2,
		((3*t-5)*t*t + 2) / 2,
		((-3*t+4)*t + 1) * t / 2,
		(t - 1) * t * t / 2,
	} {
		weights[max(0, min(int(base)-1+i, len(weights)-1))] += w
	}
}

func firstUsed(weights []float64) int {
	for j, w := range weights {
		if w != 0 {
			return j
		}
	}
	return 0
}

// quantize makes fixed-point numbers that add up to exactly one, so that a plain picture stays plain.
func quantize(to []int32, weights []float64) {
	sum := 0.0
	for i := range to {
		sum += weights[i]
	}
	if sum == 0 {
		to[0] = weightOne
		return
	}
	left, most := int32(weightOne), 0
	for i := range to {
		to[i] = int32(math.Round(weights[i] / sum * weightOne))
		left -= to[i]
		if to[i] > to[most] {
			most = i
		}
	}
	to[most] += left
}

// resampler scales pictures of one channel. It keeps scratch memory: one goroutine at a time.
type resampler struct {
	kernels map[scaling]*kernel
	row     []uint8
	sums    []int32
}

func (r *resampler) kernel(s scaling) *kernel {
	if k := r.kernels[s]; k != nil {
		return k
	}
	if r.kernels == nil || len(r.kernels) >= maxKernels {
		r.kernels = make(map[scaling]*kernel)
	}
	k := newKernel(s)
	r.kernels[s] = k
	return k
}

// scale fills to, whose rows have across.samples() samples, from a plane with rows of stride bytes.
func (r *resampler) scale(to, plane []uint8, stride int, across, down scaling) {
	h, v := r.kernel(across), r.kernel(down)
	if cap(r.row) < across.n {
		r.row, r.sums = make([]uint8, across.n), make([]int32, across.n)
	}
	row := r.row[:across.n]
	width := len(h.first)
	for y, first := range v.first {
		v.column(row, r.sums[:across.n], plane[int(first)*stride:], stride, v.weights[y*v.taps:][:v.taps])
		h.line(to[y*width:][:width], row)
	}
}

// column adds up weighted rows.
func (k *kernel) column(to []uint8, sums []int32, plane []uint8, stride int, weights []int32) {
	n := len(to)
	switch k.taps {
	case 1:
		copy(to, plane[:n])
	case 2:
		w0, w1 := weights[0], weights[1]
		a, b := plane[:n], plane[stride:][:n]
		for x := range to {
			to[x] = clip((int32(a[x])*w0 + int32(b[x])*w1 + weightHalf) >> weightBits)
		}
	case 3:
		w0, w1, w2 := weights[0], weights[1], weights[2]
		a, b, c := plane[:n], plane[stride:][:n], plane[2*stride:][:n]
		for x := range to {
			to[x] = clip((int32(a[x])*w0 + int32(b[x])*w1 + int32(c[x])*w2 + weightHalf) >> weightBits)
		}
	case 4:
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		a, b, c, d := plane[:n], plane[stride:][:n], plane[2*stride:][:n], plane[3*stride:][:n]
		for x := range to {
			to[x] = clip((int32(a[x])*w0 + int32(b[x])*w1 + int32(c[x])*w2 + int32(d[x])*w3 + weightHalf) >> weightBits)
		}
	default:
		for x := range sums {
			sums[x] = weightHalf
		}
		for i, w := range weights {
			row := plane[i*stride:][:len(sums)]
			for x, v := range row {
				sums[x] += int32(v) * w
			}
		}
		for x, sum := range sums[:n] {
			to[x] = clip(sum >> weightBits)
		}
	}
}

// line makes each sample of a row.
func (k *kernel) line(to, row []uint8) {
	switch k.taps {
	case 2:
		for x := range to {
			s, w := row[k.first[x]:][:2], k.weights[2*x:][:2]
			to[x] = clip((int32(s[0])*w[0] + int32(s[1])*w[1] + weightHalf) >> weightBits)
		}
	case 3:
		for x := range to {
			s, w := row[k.first[x]:][:3], k.weights[3*x:][:3]
			to[x] = clip((int32(s[0])*w[0] + int32(s[1])*w[1] + int32(s[2])*w[2] + weightHalf) >> weightBits)
		}
	case 4:
		for x := range to {
			s, w := row[k.first[x]:][:4], k.weights[4*x:][:4]
			to[x] = clip((int32(s[0])*w[0] + int32(s[1])*w[1] + int32(s[2])*w[2] + int32(s[3])*w[3] + weightHalf) >> weightBits)
		}
	default:
		for x := range to {
			w := k.weights[k.taps*x:][:k.taps]
			s := row[k.first[x]:][:len(w)]
			sum := int32(weightHalf)
			for i := range w {
				sum += int32(s[i]) * w[i]
			}
			to[x] = clip(sum >> weightBits)
		}
	}
}

// clip keeps what a cubic overshoots within a byte.
func clip(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 255 above, 0 below
	}
	return uint8(v)
}
