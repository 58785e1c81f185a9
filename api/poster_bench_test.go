//go:build unix

package api_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kfactor/engine"
)

const (
	benchFans    = 10_000 // people, each of whose posters is printed once
	benchReaders = 32     // connections
)

// hillside is a background such as campaigns have: soft shapes, and the grain of a sensor.
func hillside(w, h int) []byte {
	m, random := image.NewRGBA(image.Rect(0, 0, w, h)), rand.New(rand.NewPCG(1, 1))
	for y := range h {
		for x := range w {
			shade, grain := 200-y*90/h, int(random.NormFloat64()*5)
			if (x+y/2)/190%2 == 0 {
				shade -= 25
			}
			tone := func(v int) uint8 { return uint8(max(0, min(255, v+grain))) }
			m.SetRGBA(x, y, color.RGBA{tone(shade), tone(shade - 20), tone(shade / 2), 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 90}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// BenchmarkPosterHTTP fetches the poster of ten thousand people, each once: JPEG, 1080 by 1920, a code, a circle with
// an initial and two lines over a photo. The client is in the same process.
func BenchmarkPosterHTTP(b *testing.B) {
	eachEdge(b, true, func(b *testing.B, s *edge) {
		codes := s.fans()
		var size sizes
		fetch := func(l *line, i int) error {
			n, err := l.drain("/p/" + codes[i] + ".jpg")
			size.add(int(n))
			return err
		}
		s.rate(200, benchReaders, fetch) // the press is compiled, the caches are warm
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		used, began := processorTime(), time.Now()
		rate := s.rate(len(codes), benchReaders, fetch)
		took := time.Since(began)
		used = processorTime() - used
		runtime.ReadMemStats(&after)
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(rate, "posters/s")
		b.ReportMetric(float64(used.Microseconds())/float64(len(codes)), "cpu-µs/poster") // the client's among it
		b.ReportMetric(used.Seconds()/took.Seconds(), "cores")
		b.ReportMetric(float64(len(codes))/used.Seconds(), "posters/core-s")
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(len(codes))/1024, "KiB-allocated/poster")
		b.ReportMetric(size.mean()/1024, "KiB/poster")
	})
}

// drain fetches a file and lets it go, which costs the client less than keeping it.
func (l *line) drain(path string) (int64, error) {
	if _, err := io.WriteString(l, "GET "+path+" HTTP/1.1\r\n"+l.head+"\r\n"); err != nil {
		return 0, err
	}
	res, err := http.ReadResponse(l.answers, nil)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", res.StatusCode)
	}
	return n, err
}

// fans has a campaign with a poster and ten thousand people, and gives their codes.
func (s *edge) fans() []string {
	s.b.Helper()
	ctx := context.Background()
	file := strings.NewReplacer("campaign: spring", "campaign: hills").Replace(spring)
	head, rest, _ := strings.Cut(file, "poster:\n")
	_, tail, _ := strings.Cut(rest, "\ntasks:")
	file = head + `poster:
  size: [1080, 1920]
  background: hills.jpg
  layers:
    - avatar: {at: [80, 1560], size: 140}
    - text: {value: "{{nickname}}", at: [250, 1570], size: 46, max_width: 440}
    - text: {value: "invites you: {{code}}", at: [250, 1640], size: 32, max_width: 440}
    - qr: {at: [736, 1552], size: 296}

tasks:` + tail
	if _, err := s.engine.CreateCampaign(ctx, []byte(file), "hills.yaml", "bench"); err != nil {
		s.b.Fatal(err)
	}
	if _, err := s.engine.PutAsset(ctx, "hills", "hills.jpg", hillside(1080, 1920)); err != nil {
		s.b.Fatal(err)
	}
	if _, err := s.engine.Turn(ctx, "hills", "launch", "bench"); err != nil {
		s.b.Fatal(err)
	}
	codes := make([]string, benchFans)
	var joining sync.WaitGroup
	turn := make(chan struct{}, 256)
	for i := range codes {
		turn <- struct{}{}
		joining.Go(func() {
			defer func() { <-turn }()
			v, _, err := s.engine.Join(ctx, "hills", engine.Joining{User: "fan-" + strconv.Itoa(i), Nickname: fmt.Sprintf("小林 %d Anna", i)})
			if err != nil {
				s.b.Error(err)
				return
			}
			codes[i] = v.Code
		})
	}
	joining.Wait()
	if s.b.Failed() {
		s.b.FailNow()
	}
	return codes
}

// sizes is how large files are in the mean.
type sizes struct {
	mu       sync.Mutex
	sum, all int64
}

func (s *sizes) add(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sum, s.all = s.sum+int64(n), s.all+1
}

func (s *sizes) mean() float64 { return float64(s.sum) / float64(max(1, s.all)) }
