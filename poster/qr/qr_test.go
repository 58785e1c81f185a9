package qr

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
	reference "github.com/skip2/go-qrcode"
	"pgregory.net/rapid"
)

const link = "https://kf.example.com/r/7k2m9qx4tb-ab" // 38 bytes

var levels = []Level{L, M, Q, H}

// rows writes a code as text, a line for each row.
func rows(dark func(x, y int) bool, n int) string {
	var b strings.Builder
	for y := range n {
		for x := range n {
			if dark(x, y) {
				b.WriteByte('#')
			} else {
				b.WriteByte('.')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (m *Matrix) String() string { return rows(m.Dark, m.size) }

// letters is a text that no encoder writes but by bytes: digits and capitals are too few in a row to pay.
func letters(t *rapid.T, n int) string {
	return string(rapid.SliceOfN(rapid.SampledFrom([]byte("abcdefghijklmnopqrstuvwxyz~_&=?#")), n, n).Draw(t, "text"))
}

// plain is the standard's arithmetic for tests, once more and slowly.
func plainPenalty(m *Matrix) (total int) {
	n := m.size
	at := func(x, y int, turned bool) bool {
		if turned {
			x, y = y, x
		}
		return x >= 0 && y >= 0 && x < n && y < n && m.Dark(x, y)
	}
	dark := 0
	for y := range n {
		for x := range n {
			if m.Dark(x, y) {
				dark++
			}
			if c := m.Dark(x, y); x+1 < n && y+1 < n && m.Dark(x+1, y) == c && m.Dark(x, y+1) == c && m.Dark(x+1, y+1) == c {
				total += 3
			}
		}
	}
	for _, turned := range []bool{false, true} {
		for y := range n {
			for x, run := 0, 0; x < n; x++ {
				if run++; x+1 < n && at(x, y, turned) == at(x+1, y, turned) {
					continue
				}
				if run >= 5 {
					total += 3 + run - 5
				}
				run = 0
			}
			for x := range n - 6 {
				like := true
				for i, want := range []bool{true, false, true, true, true, false, true} {
					like = like && at(x+i, y, turned) == want
				}
				before, after := true, true
				for i := range 4 {
					before = before && !at(x-4+i, y, turned)
					after = after && !at(x+7+i, y, turned)
				}
				if like && (before || after) {
					total += 40
				}
			}
		}
	}
	share := 100 * float64(dark) / float64(n*n)
	return total + 10*int(max(share-50, 50-share)/5)
}

// rival is what go-qrcode takes off. It departs from the standard in two places: runs count from six modules instead of
// five, and after something like a finder the next must begin anew, with the light modules on one side and within the code.
func rival(dark func(x, y int) bool, n int) (total int) {
	count := 0
	for y := range n {
		for x := range n {
			if dark(x, y) {
				count++
			}
			if c := dark(x, y); x > 0 && y > 0 && dark(x-1, y) == c && dark(x, y-1) == c && dark(x-1, y-1) == c {
				total += 3
			}
		}
	}
	for _, at := range []func(x, y int) bool{dark, func(x, y int) bool { return dark(y, x) }} {
		for y := range n {
			for x, run := 0, 0; x < n; x++ {
				if run++; x+1 < n && at(x, y) == at(x+1, y) {
					continue
				}
				if run >= 6 {
					total += 3 + run - 5
				}
				run = 0
			}
			seen := uint16(0)
			for x := range n {
				seen <<= 1
				if at(x, y) {
					seen |= 1
				}
				if s := seen & 0x7ff; s == 0x05d || s == 0x5d0 || x == n-1 && seen&0x7f == 0x5d {
					total += 40
					seen = 0xff
				}
			}
		}
	}
	off := n*n/2 - count
	return total + 10*(max(off, -off)/(n*n/20))
}

// withMask is the code of a text with a mask that is not its own choice.
func withMask(t rapid.TB, text string, level Level, mask int) *Matrix {
	t.Helper()
	v := version(len(text), level)
	if v == 0 {
		t.Fatalf("%d bytes do not fit", len(text))
	}
	var data, codewords [maxCodewords]byte
	frame(data[:capacity(v, level)], text, v)
	var plain, masked field
	ground := grounds[v]()
	ground.place(&plain, interleave(&codewords, data[:capacity(v, level)], v, level))
	ground.masked(&masked, &plain, level, mask)
	m := &Matrix{size: ground.size, mask: mask}
	copy(m.rows[:], masked[margin:])
	return m
}

func encode(t rapid.TB, text string, level Level) *Matrix {
	t.Helper()
	m := &Matrix{}
	if err := Encode(m, text, level); err != nil {
		t.Fatalf("%d bytes at level %v: %v", len(text), level, err)
	}
	return m
}

// decoded gives the bytes that gozxing finds in a code; errors are corrected, so it reads what is damaged too.
func decoded(m *Matrix) ([]byte, error) {
	bits, err := gozxing.NewSquareBitMatrix(m.size)
	if err != nil {
		return nil, err
	}
	for y := range m.size {
		for x := range m.size {
			if m.Dark(x, y) {
				bits.Set(x, y)
			}
		}
	}
	result, err := decoder.NewDecoder().Decode(bits, nil)
	if err != nil {
		return nil, err
	}
	return bytes.Join(result.GetByteSegments(), nil), nil
}

func TestStandard(t *testing.T) {
	t.Run("FormatsAreThoseOfItsTable", func(t *testing.T) {
		// ISO/IEC 18004, annex C: the 32 words after masking, by the two bits of the level and the mask.
		table := []uint16{
			0x5412, 0x5125, 0x5e7c, 0x5b4b, 0x45f9, 0x40ce, 0x4f97, 0x4aa0,
			0x77c4, 0x72f3, 0x7daa, 0x789d, 0x662f, 0x6318, 0x6c41, 0x6976,
			0x1689, 0x13be, 0x1ce7, 0x19d0, 0x0762, 0x0255, 0x0d0c, 0x083b,
			0x355f, 0x3068, 0x3f31, 0x3a06, 0x24b4, 0x2183, 0x2eda, 0x2bed,
		}
		for word, level := range []Level{M, L, H, Q} {
			for mask := range 8 {
				if got, want := formats[level][mask], table[word*8+mask]; got != want {
					t.Errorf("level %v, mask %d: %#04x, want %#04x", level, mask, got, want)
				}
			}
		}
	})

	t.Run("VersionsAreThoseOfItsTable", func(t *testing.T) {
		// Annex D.
		for v, want := range map[int]uint32{7: 0x07c94, 8: 0x085bc, 9: 0x09a99, 10: 0x0a4d3} {
			if got := versionBits(v); got != want {
				t.Errorf("version %d: %#05x, want %#05x", v, got, want)
			}
		}
	})

	t.Run("CapacitiesAreThoseOfItsTable", func(t *testing.T) {
		// Table 7: bytes in byte mode, by version and level.
		for i, want := range [][4]int{
			{17, 14, 11, 7},
			{32, 26, 20, 14},
			{53, 42, 32, 24},
			{78, 62, 46, 34},
			{106, 84, 60, 44},
			{134, 106, 74, 58},
			{154, 122, 86, 64},
			{192, 152, 108, 84},
			{230, 180, 130, 98},
			{271, 213, 151, 119},
		} {
			if cells := len(grounds[i+1]().order); cells != total[i+1]*8 {
				t.Errorf("version %d has room for %d bits, not for %d codewords", i+1, cells, total[i+1])
			}
			for _, level := range levels {
				if got := capacity(i+1, level) - overhead(i+1); got != want[level] {
					t.Errorf("%d-%v takes %d bytes, want %d", i+1, level, got, want[level])
				}
			}
		}
	})

	t.Run("GeneratorsAreThoseOfItsTable", func(t *testing.T) {
		// Annex A: exponents of 2, from the highest but one coefficient down.
		exponents := map[int][]int{
			7:  {87, 229, 146, 149, 238, 102, 21},
			10: {251, 67, 46, 61, 118, 70, 64, 94, 32, 45},
			13: {74, 152, 176, 100, 86, 100, 106, 104, 130, 218, 206, 140, 78},
			15: {8, 183, 61, 91, 202, 37, 51, 58, 58, 237, 140, 124, 5, 99, 105},
			16: {120, 104, 107, 109, 102, 161, 76, 3, 91, 191, 147, 169, 182, 194, 225, 120},
			17: {43, 139, 206, 78, 43, 239, 123, 206, 214, 147, 24, 99, 150, 39, 243, 163, 136},
		}
		for degree, want := range exponents {
			got := generator(degree)
			for i, e := range want {
				power := byte(1)
				for range e {
					power = times(power, 2)
				}
				if got[i] != power {
					t.Errorf("degree %d: coefficient %d is %d, want %d", degree, i, got[i], power)
				}
			}
		}
	})

	t.Run("ItsExampleComesOut", func(t *testing.T) {
		// Annex I: "01234567" in digits as 1-M, the codewords given; the standard chooses mask 2.
		data := []byte{0x10, 0x20, 0x0c, 0x56, 0x61, 0x80, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11, 0xec, 0x11}
		want := []byte{0xa5, 0x24, 0xd4, 0xc1, 0xed, 0x36, 0xc7, 0x87, 0x2c, 0x55}
		var codewords [maxCodewords]byte
		all := interleave(&codewords, data, 1, M)
		if !bytes.Equal(all, slices.Concat(data, want)) {
			t.Fatalf("the codewords are % x", all)
		}
		var m Matrix
		draw(&m, 1, M, all)
		if m.mask != 2 {
			t.Errorf("it has mask %d", m.mask)
		}
		bits, _ := gozxing.NewSquareBitMatrix(m.size)
		for y := range m.size {
			for x := range m.size {
				if m.Dark(x, y) {
					bits.Set(x, y)
				}
			}
		}
		result, err := decoder.NewDecoder().Decode(bits, nil)
		if err != nil || result.GetText() != "01234567" {
			t.Errorf("it reads %v, %v\n%v", result, err, &m)
		}
	})

	t.Run("PublishedCheckBytesComeOut", func(t *testing.T) {
		// thonky.com's QR code tutorial: HELLO WORLD as 1-M, and a text of bytes as 5-Q in four blocks.
		data := []byte{32, 91, 11, 120, 209, 114, 220, 77, 67, 64, 236, 17, 236, 17, 236, 17}
		want := []byte{196, 35, 39, 119, 235, 215, 231, 226, 93, 23}
		var codewords [maxCodewords]byte
		if all := interleave(&codewords, data, 1, M); !bytes.Equal(all[16:], want) {
			t.Errorf("HELLO WORLD has % d", all[16:])
		}
		data = make([]byte, capacity(5, Q))
		frame(data, `There\'s a frood who really knows where his towel is!`, 5)
		want = []byte{
			67, 246, 182, 70, 85, 246, 230, 247, 70, 66, 247, 118, 134, 7, 119, 86, 87, 118, 50, 194, 38, 134, 7, 6,
			85, 242, 118, 151, 194, 7, 134, 50, 119, 38, 87, 16, 50, 86, 38, 236, 6, 22, 82, 17, 18, 198, 6, 236,
			6, 199, 134, 17, 103, 146, 151, 236, 38, 6, 50, 17, 7, 236,
			213, 87, 148, 235, 199, 204, 116, 159, 11, 96, 177, 5, 45, 60, 212, 173, 115, 202, 76, 24, 247, 182, 133, 147,
			241, 124, 75, 59, 223, 157, 242, 33, 229, 200, 238, 106, 248, 134, 76, 40, 154, 27, 195, 255, 117, 129, 230, 172,
			154, 209, 189, 82, 111, 17, 10, 2, 86, 163, 108, 131, 161, 163, 240, 32, 111, 120, 192, 178, 39, 133, 141, 236,
		}
		if got := interleave(&codewords, data, 5, Q); !bytes.Equal(got, want) {
			t.Errorf("5-Q has\n% d, want\n% d", got, want)
		}
	})
}

func TestEncode(t *testing.T) {
	t.Run("EveryVersionLevelAndLengthIsRead", func(t *testing.T) {
		random := "q8#Zk~é0_%\x00\xff§ yW&=/漢" // bytes of every sort
		for _, level := range levels {
			versions := map[int]bool{}
			for n := 1; n <= capacity(maxVersion, level)-overhead(maxVersion); n++ {
				text := strings.Repeat(random, n/len(random)+2)[n%7 : n%7+n]
				m := encode(t, text, level)
				versions[m.Version()] = true
				if size, ok := Fit(n, level); !ok || size != m.Size() {
					t.Fatalf("%d bytes at level %v were to have %d modules and have %d", n, level, size, m.Size())
				}
				if got, err := decoded(m); err != nil || string(got) != text {
					t.Fatalf("%d bytes at level %v read %q, %v", n, level, got, err)
				}
			}
			if len(versions) != maxVersion {
				t.Errorf("level %v: only versions %v", level, versions)
			}
		}
	})

	t.Run("IsTheCodeOfTwoOtherEncoders", func(t *testing.T) {
		// gozxing reads the rules as the standard has them: the same mask, the same modules. go-qrcode weighs masks by
		// rules of its own: with the mask it takes the modules are the same, and by its rules that mask is the best.
		names := map[Level]decoder.ErrorCorrectionLevel{
			L: decoder.ErrorCorrectionLevel_L, M: decoder.ErrorCorrectionLevel_M, Q: decoder.ErrorCorrectionLevel_Q, H: decoder.ErrorCorrectionLevel_H,
		}
		recovery := map[Level]reference.RecoveryLevel{L: reference.Low, M: reference.Medium, Q: reference.High, H: reference.Highest}
		codes, alike := 0, 0
		rapid.Check(t, func(t *rapid.T) {
			level := rapid.SampledFrom(levels).Draw(t, "level")
			text := letters(t, rapid.IntRange(1, capacity(maxVersion, level)-overhead(maxVersion)).Draw(t, "bytes"))
			m := encode(t, text, level)
			codes++

			other, err := encoder.Encoder_encodeWithoutHint(text, names[level])
			if err != nil {
				t.Fatal(err)
			}
			matrix := other.GetMatrix()
			if got := rows(func(x, y int) bool { return matrix.Get(x, y) == 1 }, matrix.GetWidth()); got != m.String() || other.GetMaskPattern() != m.mask {
				t.Errorf("gozxing, mask %d:\n%sours, mask %d:\n%s", other.GetMaskPattern(), got, m.mask, m)
			}

			theirs, failure := reference.New(text, recovery[level])
			if failure != nil {
				t.Fatal(failure)
			}
			theirs.DisableBorder = true
			bitmap := theirs.Bitmap()
			dark := func(x, y int) bool { return bitmap[y][x] }
			mask := slices.IndexFunc([]int{0, 1, 2, 3, 4, 5, 6, 7}, func(mask int) bool {
				return withMask(t, text, level, mask).String() == rows(dark, len(bitmap))
			})
			if mask < 0 {
				t.Fatalf("go-qrcode's is none of the eight:\n%s", rows(dark, len(bitmap)))
			}
			if mask == m.mask {
				alike++
			}
			for other := range 8 {
				one := withMask(t, text, level, other)
				if p, least := rival(one.Dark, one.size), rival(dark, len(bitmap)); p < least || p == least && other < mask {
					t.Fatalf("go-qrcode's mask %d has %d by its rules, %d has %d: its choice is not explained", mask, least, other, p)
				}
			}
		})
		t.Logf("go-qrcode has the same mask in %d of %d", alike, codes)
	})

	t.Run("TakesTheMaskThatTheRulesPrefer", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			level := rapid.SampledFrom(levels).Draw(t, "level")
			text := letters(t, rapid.IntRange(1, 119).Draw(t, "bytes"))
			m := encode(t, text, level)
			best, least := -1, 0
			for mask := range 8 {
				one := withMask(t, text, level, mask)
				p := plainPenalty(one)
				var f field
				copy(f[margin:], one.rows[:])
				if got := penalty(&f, one.size, 1<<30); got != p {
					t.Fatalf("mask %d is weighed %d, want %d\n%s", mask, got, p, one)
				}
				if best < 0 || p < least {
					best, least = mask, p
				}
			}
			if m.mask != best {
				t.Errorf("it took mask %d, mask %d has %d", m.mask, best, least)
			}
		})
	})

	t.Run("AsMuchAsTheLevelSaysMayBeLost", func(t *testing.T) {
		// A square in the lower right corner, where there is nothing but codewords.
		for level, lost := range map[Level]int{L: 5, M: 9, Q: 12, H: 14} {
			m := encode(t, link, level)
			for y := m.size - lost; y < m.size; y++ {
				m.rows[y] |= (1<<lost - 1) << (m.size - lost)
			}
			if got, err := decoded(m); err != nil || string(got) != link {
				t.Errorf("level %v with %d x %d modules covered reads %q, %v", level, lost, lost, got, err)
			}
		}
	})

	t.Run("WhatDoesNotFitLeavesTheMatrixAsItWas", func(t *testing.T) {
		m := encode(t, link, M)
		before := *m
		for _, level := range levels {
			if err := Encode(m, strings.Repeat("x", capacity(maxVersion, level)-overhead(maxVersion)+1), level); err != ErrTooLong {
				t.Errorf("too long a text at level %v gives %v", level, err)
			}
			if err := Encode(m, "", level); err != ErrEmpty {
				t.Errorf("no text gives %v", err)
			}
		}
		if err := Encode(m, link, H+1); err == nil {
			t.Error("a fifth level is taken")
		}
		if *m != before {
			t.Error("the matrix was written to")
		}
	})

	t.Run("NothingIsLeftOfAnEarlierCode", func(t *testing.T) {
		m := encode(t, strings.Repeat("x", 200), M)
		if err := Encode(m, "a", L); err != nil || *m != *encode(t, "a", L) {
			t.Errorf("%v\n%s", err, m)
		}
	})

	t.Run("TakesNoMemory", func(t *testing.T) {
		var m Matrix
		if n := testing.AllocsPerRun(100, func() { _ = Encode(&m, link, Q) }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})

	t.Run("ZbarReadsThem", func(t *testing.T) {
		program, err := exec.LookPath("zbarimg")
		if err != nil {
			t.Skip("zbarimg is not installed")
		}
		var files, want []string
		dir := t.TempDir()
		for _, level := range levels {
			for n := 5; n <= 119; n += 19 {
				text := strings.Repeat("q8-k_0zw&=/", 11)[:n]
				path := filepath.Join(dir, fmt.Sprintf("%v%d.png", level, n))
				if err := os.WriteFile(path, picture(t, encode(t, text, level)), 0o600); err != nil {
					t.Fatal(err)
				}
				files, want = append(files, path), append(want, text)
			}
		}
		out, err := exec.Command(program, append([]string{"-q", "--raw"}, files...)...).Output()
		if got := strings.Fields(string(out)); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: read %d of %d: %q", err, len(got), len(want), got)
		}
	})
}

// picture is a PNG of a code, four pixels a module.
func picture(t *testing.T, m *Matrix) []byte {
	t.Helper()
	const module, quiet = 4, 4
	side := (m.size + 2*quiet) * module
	img := image.NewGray(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			i, j := x/module-quiet, y/module-quiet
			if i < 0 || j < 0 || i >= m.size || j >= m.size || !m.Dark(i, j) {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzEncode(f *testing.F) {
	f.Add(link, uint8(1))
	f.Add("", uint8(0))
	f.Add("\x00\xff", uint8(3))
	f.Add(strings.Repeat("a", 213), uint8(1))
	f.Add(strings.Repeat("a", 272), uint8(0))
	f.Fuzz(func(t *testing.T, text string, level uint8) {
		var m Matrix
		if err := Encode(&m, text, Level(level)); err != nil {
			if _, ok := Fit(len(text), Level(level)); ok || m != (Matrix{}) {
				t.Errorf("%d bytes at level %d: %v", len(text), level, err)
			}
			return
		}
		if got, err := decoded(&m); err != nil || string(got) != text {
			t.Errorf("%q reads %q, %v", text, got, err)
		}
	})
}

// BenchmarkEncode makes the code of a link of 38 bytes at level M, beside go-qrcode.
func BenchmarkEncode(b *testing.B) {
	var m Matrix
	b.Run("here", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := Encode(&m, link, M); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("go-qrcode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			code, err := reference.New(link, reference.Medium)
			if err != nil {
				b.Fatal(err)
			}
			code.DisableBorder = true
			code.Bitmap()
		}
	})
}
