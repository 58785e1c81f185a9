//go:build unix

package strips_test

import (
	"bytes"
	"image"
	"image/png"
	"syscall"
	"testing"
	"time"
)

// BenchmarkAppend writes the posters of a few guests, 1080 x 1920 on a photo, and image/png writes the same ones
// beside it. All is counted in CPU time of the process, so that it says something on a busy machine too.
func BenchmarkAppend(b *testing.B) {
	static, boxes := postcard(1080, 1920)
	before := spent(b)
	p := plate(b, static, boxes, guest(static, boxes, 100))
	making := spent(b) - before
	var canvases [4]*image.RGBA
	for i := range canvases {
		canvases[i] = guest(static, boxes, i)
	}
	dst := make([]byte, 0, p.Bound())
	b.ReportAllocs()
	before = spent(b)
	n := 0
	for b.Loop() {
		dst = p.Append(dst[:0], canvases[n%len(canvases)])
		n++
	}
	each := (spent(b) - before) / time.Duration(n)

	encode := func(level png.CompressionLevel) (time.Duration, int) {
		var file bytes.Buffer
		before := spent(b)
		if err := (&png.Encoder{CompressionLevel: level}).Encode(&file, canvases[0]); err != nil {
			b.Fatal(err)
		}
		return spent(b) - before, file.Len()
	}
	quick, quickBytes := encode(png.BestSpeed)
	usual, usualBytes := encode(png.DefaultCompression)
	b.ReportMetric(float64(time.Second)/float64(each), "posters/cpu-s")
	b.ReportMetric(float64(usual)/float64(each), "x/default")
	b.ReportMetric(float64(quick)/float64(each), "x/speed")
	b.ReportMetric(float64(len(dst)), "B/file")
	b.ReportMetric(float64(usualBytes), "B/default")
	b.ReportMetric(float64(quickBytes), "B/speed")
	b.ReportMetric(float64(p.Size()), "B/plate")
	b.ReportMetric(float64(making.Milliseconds()), "cpu-ms/plate")
}

// spent is the CPU time of the process so far.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
