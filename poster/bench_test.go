//go:build linux

package poster_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
	"unsafe"

	"github.com/fogleman/gg"
	"github.com/skip2/go-qrcode"
	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"

	"kfactor/poster"
)

// large is the autumn poster on a canvas of the usual size.
func large() poster.Template {
	template := autumn()
	template.Width, template.Height = 1080, 1920
	return template
}

// photo looks like one to an encoder: soft shapes in layers, and the grain of a sensor.
func photo(w, h int, sky, land color.RGBA, ridges int, noise float64, seed uint64) *image.RGBA {
	random := rand.New(rand.NewPCG(seed, 1))
	phases := make([]float64, 4*ridges)
	for i := range phases {
		phases[i] = random.Float64() * 2 * math.Pi
	}
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			shade := 1 - 0.5*float64(y)/float64(h)
			c, depth := sky, 0.0
			for i := range ridges {
				p, f := phases[4*i:], 2*math.Pi/float64(w)
				top := float64(h)*(0.25+0.7*float64(i)/float64(ridges)) +
					60*math.Sin(f*float64(x)*(1+float64(i))+p[0]) + 25*math.Sin(f*float64(x)*(5+float64(i))+p[1]) + 9*math.Sin(f*float64(x)*31+p[2])
				if float64(y) > top {
					c, depth = land, float64(i+1)/float64(ridges)
					shade = 0.55 + 0.45*depth + 0.1*math.Sin(float64(y)/7+float64(x)/11+p[3])
				}
			}
			grain := random.NormFloat64() * noise * (0.4 + depth)
			tone := func(v uint8) uint8 { return uint8(max(0, min(255, float64(v)*shade+grain))) }
			m.SetRGBA(x, y, color.RGBA{R: tone(c.R), G: tone(c.G), B: tone(c.B), A: 255})
		}
	}
	return m
}

// The two photos: of both the poster is about 300 KB at quality 85.
var photos = map[string]func() *image.RGBA{
	"hills": func() *image.RGBA {
		return photo(1080, 1920, color.RGBA{R: 120, G: 170, B: 225}, color.RGBA{R: 70, G: 130, B: 60}, 6, 5.2, 1)
	},
	"dusk": func() *image.RGBA {
		return photo(1080, 1920, color.RGBA{R: 250, G: 150, B: 90}, color.RGBA{R: 70, G: 50, B: 110}, 3, 5.5, 2)
	},
}

// people are so many with pictures of their own: of those, faces differ in what they show, all in their bytes.
func people(n, faces int) []poster.Person {
	random := rand.New(rand.NewPCG(3, 3))
	pictures := make([][]byte, faces)
	for i := range pictures {
		ground := color.RGBA{R: uint8(random.IntN(256)), G: uint8(random.IntN(256)), B: uint8(random.IntN(256)), A: 255}
		m := photo(132, 132, ground, color.RGBA{R: 220, G: 180, B: 150, A: 255}, 2+i%3, 6, uint64(i))
		var b bytes.Buffer
		if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}); err != nil {
			panic(err)
		}
		pictures[i] = b.Bytes()
	}
	hanzi := []rune("小林晓明阳光灿烂的日子王建国李思雨陈星河周末愉快张三丰一二四五六七八九十春夏秋冬梅兰竹菊")
	tails := []string{"", "", "", "🎉", "Anna", " Lee", "🌸", "2026", "_hk", "❤️"}
	all := make([]poster.Person, n)
	for i := range all {
		var name strings.Builder
		for range 2 + random.IntN(6) {
			name.WriteRune(hanzi[random.IntN(len(hanzi))])
		}
		name.WriteString(tails[random.IntN(len(tails))])
		code := make([]byte, 10)
		for j := range code {
			code[j] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"[random.IntN(32)]
		}
		picture := pictures[i%faces]
		if n > faces { // a comment makes it a file of its own
			note := fmt.Sprintf("\xff\xfe\x00\x0a%08d", i)
			picture = slices.Concat(picture[:2], []byte(note), picture[2:])
		}
		all[i] = poster.Person{
			Nickname: name.String(), Code: string(code), Link: "https://share.example.com/r/" + string(code), Avatar: picture,
		}
	}
	return all
}

// contender prints posters in one way.
type contender struct {
	name   string
	rounds int // posters in one round
	warm   int // posters before the first
	people []poster.Person
	print  func(dst []byte, person *poster.Person) []byte
	than   int // the one it is compared with

	seconds   []float64       // CPU of a poster, by round
	latencies []time.Duration // of the thread's CPU, by poster
	waits     []time.Duration // on the clock
	allocs    float64
	bytes     int
	next      int
}

// BenchmarkPosters prints the posters of two photos in several ways, in turn, on one core. What counts is the CPU time,
// of user and system, because other work may be on the machine; ratios are taken round by round, and medians given.
func BenchmarkPosters(b *testing.B) {
	runtime.GOMAXPROCS(1)
	defer runtime.GOMAXPROCS(runtime.NumCPU())
	crowd, few := people(2048, 64), people(32, 32)
	for _, name := range []string{"hills", "dusk"} {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			ground := photos[name]()
			file := encodePNG(ground)
			press, err := poster.Compile(share("photo.png"), func(string) ([]byte, error) { return file, nil })
			if err != nil {
				b.Fatal(err)
			}
			must := func(file []byte, err error) []byte {
				if err != nil {
					b.Fatal(err)
				}
				return file
			}
			rival := newRival(b, ground)
			ours := func(format string) func([]byte, *poster.Person) []byte {
				return func(dst []byte, person *poster.Person) []byte { return must(press.Append(dst, format, *person)) }
			}
			all := []*contender{
				{name: "JPEG, each avatar decoded", rounds: 200, warm: 200, people: crowd, print: ours("jpeg")},
				{name: "JPEG, avatars kept", rounds: 200, warm: 200, people: few, than: 1, print: ours("jpeg")},
				{name: "JPEG, each avatar decoded, without splicing", rounds: 8, warm: 2, people: crowd, print: func(dst []byte, person *poster.Person) []byte {
					return must(press.AppendWhole(dst, *person))
				}},
				{name: "JPEG, avatars kept, without splicing", rounds: 8, warm: 40, people: few, than: 1, print: func(dst []byte, person *poster.Person) []byte {
					return must(press.AppendWhole(dst, *person))
				}},
				{name: "JPEG, gg with care, image/jpeg", rounds: 4, warm: 1, people: crowd, print: func(dst []byte, person *poster.Person) []byte {
					return rival.jpeg(dst, rival.careful(person))
				}},
				{name: "JPEG, gg as it comes, image/jpeg", rounds: 2, warm: 1, people: crowd, print: func(dst []byte, person *poster.Person) []byte {
					return rival.jpeg(dst, rival.naive(person))
				}},
				{name: "PNG, each avatar decoded", rounds: 40, warm: 20, than: 6, people: crowd, print: ours("png")},
				{name: "PNG, gg with care, image/png", rounds: 1, warm: 0, than: 6, people: crowd, print: func(dst []byte, person *poster.Person) []byte {
					return rival.png(dst, rival.careful(person))
				}},
			}
			for b.Loop() {
				for range 5 {
					for _, c := range all {
						c.round()
					}
				}
			}
			report(b, all)
		})
	}
}

// round prints some posters and notes what they took.
func (c *contender) round() {
	file := make([]byte, 0, 4<<20)
	draw := func() {
		person := &c.people[c.next%len(c.people)]
		c.next++
		c.bytes = len(c.print(file[:0], person))
	}
	if c.latencies == nil {
		for range c.warm {
			draw()
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := cpuTime()
	for range c.rounds {
		began, cpu := time.Now(), threadTime()
		draw()
		c.latencies = append(c.latencies, threadTime()-cpu)
		c.waits = append(c.waits, time.Since(began))
	}
	c.seconds = append(c.seconds, (cpuTime()-cpu).Seconds()/float64(c.rounds))
	runtime.ReadMemStats(&after)
	c.allocs = float64(after.Mallocs-before.Mallocs) / float64(c.rounds)
}

// cpuTime is what the process has used, on all cores.
func cpuTime() time.Duration {
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		panic(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// threadTime is what the thread has used, without what others did meanwhile.
func threadTime() time.Duration {
	const clockThreadCPU = 3 // CLOCK_THREAD_CPUTIME_ID
	var now syscall.Timespec
	if _, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&now)), 0); failed != 0 {
		panic(failed)
	}
	return time.Duration(now.Nano())
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// quantile is in milliseconds.
func quantile(all []time.Duration, share float64) float64 {
	slices.Sort(all)
	return float64(all[int(share*float64(len(all)-1))].Microseconds()) / 1000
}

// report prints a table.
func report(b *testing.B, all []*contender) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "posters per CPU second\tCPU p50 ms\tp99\twall p99\tallocations\tKB\ttimes ours\t\t")
	for _, c := range all {
		first := all[c.than]
		ratios := make([]float64, len(c.seconds))
		for i := range ratios {
			ratios[i] = c.seconds[i] / first.seconds[i]
		}
		fmt.Fprintf(table, "%.1f\t%.2f\t%.2f\t%.2f\t%.0f\t%d\t%.1f\t  %s\t\n", 1/median(c.seconds),
			quantile(c.latencies, 0.5), quantile(c.latencies, 0.99), quantile(c.waits, 0.99), c.allocs, c.bytes/1000, median(ratios), c.name)
	}
	table.Flush()
	b.Log("\n" + text.String())
	b.ReportMetric(1/median(all[0].seconds), "posters/CPU-s")
}

// rival draws the same poster with gg.
type rival struct {
	ground, flat *image.RGBA
	card         image.Image
	face, small  font.Face
}

func newRival(b *testing.B, ground *image.RGBA) *rival {
	file, err := os.ReadFile("fonts/NotoSansSC-Regular.ttf")
	if err != nil {
		b.Fatal(err)
	}
	parsed, err := opentype.Parse(file)
	if err != nil {
		b.Fatal(err)
	}
	face := func(size float64) font.Face {
		f, err := opentype.NewFace(parsed, &opentype.FaceOptions{Size: size, DPI: 72})
		if err != nil {
			b.Fatal(err)
		}
		return f
	}
	r := &rival{ground: ground, face: face(40), small: face(36)}
	card := gg.NewContext(1080, 1920)
	card.SetRGB(1, 1, 1)
	card.SetFontFace(face(96))
	card.DrawStringAnchored("金秋福利 一起领", 540, 300, 0.5, 0)
	card.SetFontFace(face(48))
	card.DrawStringAnchored("邀请三位好友,免费领取一份", 540, 400, 0.5, 0)
	card.DrawRoundedRectangle(48, 1424, 984, 432, 32)
	card.Fill()
	card.SetRGB(0.4, 0.4, 0.4)
	card.SetFontFace(face(32))
	card.DrawString("长按识别二维码", 96, 1740)
	r.card = card.Image()
	r.flat = image.NewRGBA(ground.Rect)
	draw.Draw(r.flat, r.flat.Rect, ground, image.Point{}, draw.Src)
	draw.Draw(r.flat, r.flat.Rect, r.card, image.Point{}, draw.Over)
	return r
}

// careful copies what is the same on all posters.
func (r *rival) careful(person *poster.Person) image.Image {
	m := image.NewRGBA(r.flat.Rect)
	copy(m.Pix, r.flat.Pix)
	dc := gg.NewContextForRGBA(m)
	r.person(dc, person)
	return m
}

// naive draws the decoded pictures with gg.
func (r *rival) naive(person *poster.Person) image.Image {
	dc := gg.NewContext(1080, 1920)
	dc.DrawImage(r.ground, 0, 0)
	dc.DrawImage(r.card, 0, 0)
	r.person(dc, person)
	return dc.Image()
}

func (r *rival) person(dc *gg.Context, person *poster.Person) {
	code, err := qrcode.New(person.Link, qrcode.Medium)
	if err != nil {
		panic(err)
	}
	dc.DrawImage(code.Image(296), 688, 1472)
	dc.SetRGB(1, 1, 1)
	dc.SetFontFace(r.face)
	dc.DrawString(person.Nickname, 240, 1335)
	dc.SetRGB(0.1, 0.1, 0.1)
	dc.SetFontFace(r.small)
	dc.DrawString("邀请码 "+person.Code, 96, 1536)
	avatar, err := jpeg.Decode(bytes.NewReader(person.Avatar))
	if err != nil {
		panic(err)
	}
	scaled := image.NewRGBA(image.Rect(0, 0, 120, 120))
	draw.CatmullRom.Scale(scaled, scaled.Rect, avatar, avatar.Bounds(), draw.Src, nil)
	dc.DrawCircle(96+60, 1264+60, 60)
	dc.Clip()
	dc.DrawImage(scaled, 96, 1264)
	dc.ResetClip()
}

func (r *rival) jpeg(dst []byte, m image.Image) []byte {
	b := bytes.NewBuffer(dst)
	if err := jpeg.Encode(b, m, &jpeg.Options{Quality: 85}); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func (r *rival) png(dst []byte, m image.Image) []byte {
	b := bytes.NewBuffer(dst)
	if err := png.Encode(b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// BenchmarkCompile makes a press; the first one in a program also parses the fonts.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if _, err := poster.Compile(large(), assets); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPrint prints one poster after another; for a profile.
func BenchmarkPrint(b *testing.B) {
	crowd, few := people(2048, 64), people(32, 32)
	file := encodePNG(photos["hills"]())
	press, err := poster.Compile(share("photo.png"), func(string) ([]byte, error) { return file, nil })
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name, format string
		people       []poster.Person
	}{{"decoded", "jpeg", crowd}, {"kept", "jpeg", few}, {"png", "png", crowd}} {
		b.Run(way.name, func(b *testing.B) {
			b.ReportAllocs()
			buffer := make([]byte, 0, 4<<20)
			i := 0
			for b.Loop() {
				if _, err := press.Append(buffer, way.format, way.people[i%len(way.people)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}
