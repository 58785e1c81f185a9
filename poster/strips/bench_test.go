package strips_test

import (
	"bytes"
	"image/png"
	"testing"
	"time"
)

// BenchmarkAppend writes the posters of a few guests, 1080 x 1920 on a photo, and beside it image/png the same ones.
func BenchmarkAppend(b *testing.B) {
	static, boxes := postcard(1080, 1920)
	began := time.Now()
	p := plate(b, static, boxes, guest(static, boxes, 100))
	making := time.Since(began)
	canvas := guest(static, boxes, 1)
	encode := func(level png.CompressionLevel) (time.Duration, int) {
		var file bytes.Buffer
		began := time.Now()
		if err := (&png.Encoder{CompressionLevel: level}).Encode(&file, canvas); err != nil {
			b.Fatal(err)
		}
		return time.Since(began), file.Len()
	}
	dst := make([]byte, 0, p.Bound())
	b.ReportAllocs()
	for b.Loop() {
		dst = p.Append(dst[:0], canvas)
	}
	each := b.Elapsed() / time.Duration(b.N)
	quick, quickBytes := encode(png.BestSpeed)
	usual, usualBytes := encode(png.DefaultCompression)
	b.ReportMetric(float64(time.Second)/float64(each), "posters/s")
	b.ReportMetric(float64(len(dst)), "B/file")
	b.ReportMetric(float64(usualBytes), "B/png-default")
	b.ReportMetric(float64(quickBytes), "B/png-speed")
	b.ReportMetric(float64(usual)/float64(each), "x/png-default")
	b.ReportMetric(float64(quick)/float64(each), "x/png-speed")
	b.ReportMetric(float64(p.Size()), "B/plate")
	b.ReportMetric(float64(making.Milliseconds()), "ms/plate")
}
