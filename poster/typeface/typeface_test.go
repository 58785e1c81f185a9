package typeface_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	ot "github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/math/fixed"

	"kfactor/internal/fault"
	"kfactor/poster/typeface"
)

func file(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// samples are fonts of every kind: TrueType with parts and kerning, PostScript with subroutines, hanzi.
func samples(t testing.TB) map[string][]byte {
	return map[string][]byte{
		"go":     goregular.TTF,
		"brand":  file(t, "testdata/brand.otf"),
		"latin":  file(t, "../fonts/PosterLatin-Bold.ttf"),
		"hangul": file(t, "../fonts/NotoSansKR-Regular.ttf"),
	}
}

// area is what a shape encloses, positive to one side.
func area(shape []ot.Segment) float64 {
	var sum, x, y, startX, startY float64
	to := func(nx, ny float64) { sum, x, y = sum+x*ny-nx*y, nx, ny }
	for _, s := range shape {
		var p [3][2]float64
		for i, a := range s.Args {
			p[i] = [2]float64{float64(a.X), float64(a.Y)}
		}
		bx, by := x, y
		for i := 1; i <= 8; i++ {
			f := float64(i) / 8
			g := 1 - f
			switch s.Op {
			case ot.SegmentOpQuadTo:
				to(g*g*bx+2*f*g*p[0][0]+f*f*p[1][0], g*g*by+2*f*g*p[0][1]+f*f*p[1][1])
			case ot.SegmentOpCubeTo:
				to(g*g*g*bx+3*g*g*f*p[0][0]+3*g*f*f*p[1][0]+f*f*f*p[2][0], g*g*g*by+3*g*g*f*p[0][1]+3*g*f*f*p[1][1]+f*f*f*p[2][1])
			}
		}
		switch s.Op {
		case ot.SegmentOpMoveTo:
			to(startX, startY)
			x, y, startX, startY = p[0][0], p[0][1], p[0][0], p[0][1]
		case ot.SegmentOpLineTo:
			to(p[0][0], p[0][1])
		}
	}
	to(startX, startY)
	return sum / 2
}

func TestFont(t *testing.T) {
	for name, b := range samples(t) {
		f, err := typeface.Parse(b)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		other, err := font.ParseTTF(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}

		t.Run("DrawsWhatTheGeneralLibraryDraws/"+name, func(t *testing.T) {
			drawn := 0
			for r := rune(' '); r < 0xd7a4; r++ {
				want, has := other.NominalGlyph(r)
				got, ok := f.Glyph(r)
				if ok != has || font.GID(got) != want {
					t.Fatalf("%q is glyph %d, want %d", r, got, want)
				}
				if !ok {
					continue
				}
				if got, want := f.Advance(got), other.HorizontalAdvance(want); got != int(want) {
					t.Errorf("%q moves on by %d, want %v", r, got, want)
				}
				outline, _ := other.GlyphDataOutline(want)
				if got, want := area(f.Outline(got)), area(outline.Segments); math.Abs(got-want) > 1e-3*math.Abs(want)+30 {
					t.Errorf("%q covers %v, want %v", r, got, want)
				}
				if len(outline.Segments) > 0 {
					drawn++
				}
			}
			if drawn < 90 {
				t.Errorf("only %d letters were compared", drawn)
			}
		})

		t.Run("KernsAsTheGeneralLibraryDoes/"+name, func(t *testing.T) {
			var shaper shaping.HarfbuzzShaper
			closer := 0
			for _, pair := range []string{"AV", "To", "We", "LT", "Ya", "P.", "11", "ox", "rt", "Va", "T,"} {
				text := []rune(pair)
				left, ok := f.Glyph(text[0])
				right, ok2 := f.Glyph(text[1])
				if !ok || !ok2 {
					continue
				}
				shaped := shaper.Shape(shaping.Input{
					Text: text, RunEnd: 2, Direction: di.DirectionLTR, Face: other, Size: fixed.I(f.UnitsPerEm()),
					Script: language.Latin, Language: "en",
				})
				kern := f.Kern(left, right)
				if got, want := f.Advance(left)+f.Advance(right)+kern, shaped.Advance.Round(); got != want {
					t.Errorf("%s takes %d, want %d", pair, got, want)
				}
				if kern != 0 {
					closer++
				}
			}
			if (name == "brand" || name == "latin") && closer < 4 {
				t.Errorf("only %d pairs are kerned", closer)
			}
		})
	}
}

// with is a font with one table replaced; nil takes it away.
func with(t testing.TB, b []byte, name string, table []byte) []byte {
	t.Helper()
	ld, err := ot.NewLoader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	var tables []ot.Table
	found := false
	for _, tag := range ld.Tables() {
		content, err := ld.RawTable(tag)
		if err != nil {
			t.Fatal(err)
		}
		if tag == ot.MustNewTag(name) {
			if content, found = table, true; table == nil {
				continue
			}
		}
		tables = append(tables, ot.Table{Tag: tag, Content: content})
	}
	if !found {
		t.Fatalf("there is no %s table", name)
	}
	return ot.WriteTTF(tables)
}

// table gives a font's table.
func table(t testing.TB, b []byte, name string) []byte {
	t.Helper()
	ld, err := ot.NewLoader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	content, err := ld.RawTable(ot.MustNewTag(name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// changed is a copy with a number written into it.
func changed(b []byte, at int, to uint16) []byte {
	b = bytes.Clone(b)
	binary.BigEndian.PutUint16(b[at:], to)
	return b
}

// nested makes every glyph of a font of that many out of two of the one before.
func nested(t testing.TB, b []byte) []byte {
	var glyf []byte
	n := int(binary.BigEndian.Uint16(table(t, b, "maxp")[4:]))
	loca := make([]byte, 4, 4*n+4)
	for i := range n {
		part := func(more uint16) {
			glyf = binary.BigEndian.AppendUint16(glyf, 2|more)
			glyf = binary.BigEndian.AppendUint16(glyf, uint16(max(0, i-1)))
			glyf = append(glyf, 0, 0)
		}
		if i > 0 {
			glyf = append(glyf, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0)
			for range 500 {
				part(32)
			}
			part(0)
		}
		loca = binary.BigEndian.AppendUint32(loca, uint32(len(glyf)))
	}
	return with(t, with(t, with(t, b, "glyf", glyf), "loca", loca), "head", changed(table(t, b, "head"), 50, 1))
}

// calling is a PostScript font whose letters call subroutines that call each other thousands of times.
func calling(t testing.TB) []byte {
	list := func(items ...[]byte) []byte { // with offsets of four bytes
		b := binary.BigEndian.AppendUint16(nil, uint16(len(items)))
		b = append(b, 4)
		at := uint32(1)
		b = binary.BigEndian.AppendUint32(b, at)
		for _, item := range items {
			at += uint32(len(item))
			b = binary.BigEndian.AppendUint32(b, at)
		}
		return append(b, bytes.Join(items, nil)...)
	}
	brand := file(t, "testdata/brand.otf")
	n := int(binary.BigEndian.Uint16(table(t, brand, "maxp")[4:]))
	var subroutines, glyphs [][]byte
	for i := range 9 {
		subroutines = append(subroutines, append(bytes.Repeat([]byte{byte(139 - 107 + i + 1), 29}, 20000), 11))
	}
	subroutines = append(subroutines, []byte{11})
	for range n {
		glyphs = append(glyphs, []byte{139 - 107, 29, 14})
	}
	head := []byte{1, 0, 4, 4}
	names, strings, global := list([]byte("x")), []byte{0, 0}, list(subroutines...)
	const topSize = 6 // a number of four bytes and its operator
	at := len(head) + len(names) + len(list(make([]byte, topSize))) + len(strings) + len(global)
	top := append(binary.BigEndian.AppendUint32([]byte{29}, uint32(at)), 17)
	cff := bytes.Join([][]byte{head, names, list(top), strings, global, list(glyphs...)}, nil)
	return with(t, brand, "CFF ", cff)
}

func TestParse(t *testing.T) {
	brand := file(t, "testdata/brand.otf")
	t.Run("WhatIsWrongIsSaid", func(t *testing.T) {
		cmap := table(t, goregular.TTF, "cmap")
		for name, bad := range map[string]struct {
			file []byte
			says string
			kind fault.Kind
		}{
			"nothing":         {nil, "no TTF or OTF", fault.Invalid},
			"a picture":       {[]byte("\x89PNG\r\n\x1a\n and more of it"), "no TTF or OTF", fault.Invalid},
			"cut":             {goregular.TTF[:5000], "send the whole file", fault.Invalid},
			"a collection":    {append([]byte("ttcf"), goregular.TTF[4:]...), "collection", fault.Unsupported},
			"a web font":      {append([]byte("wOF2"), goregular.TTF[4:]...), "convert it", fault.Unsupported},
			"no characters":   {with(t, goregular.TTF, "cmap", nil), "cmap table is missing", fault.Invalid},
			"no widths":       {with(t, goregular.TTF, "hmtx", nil), "hmtx table is missing", fault.Invalid},
			"no outlines":     {with(t, goregular.TTF, "glyf", nil), "no outlines", fault.Unsupported},
			"few widths":      {with(t, goregular.TTF, "hmtx", make([]byte, 8)), "widths", fault.Invalid},
			"no size":         {with(t, goregular.TTF, "head", changed(table(t, goregular.TTF, "head"), 18, 0)), "units per em", fault.Invalid},
			"short loca":      {with(t, goregular.TTF, "loca", make([]byte, 8)), "loca", fault.Invalid},
			"empty letters":   {with(t, goregular.TTF, "loca", make([]byte, 4000)), "shows nothing", fault.Invalid},
			"damaged letters": {with(t, goregular.TTF, "glyf", table(t, goregular.TTF, "glyf")[:20000]), "damaged", fault.Invalid},
			"wrong cmap":      {with(t, goregular.TTF, "cmap", cmap[:len(cmap)/2]), "cmap", fault.Invalid},
			"damaged CFF":     {with(t, brand, "CFF ", table(t, brand, "CFF ")[:300]), "CFF", fault.Invalid},
			"nested":          {nested(t, goregular.TTF), "too complicated", fault.TooLarge},
			"calling":         {calling(t), "too complicated", fault.TooLarge},
		} {
			began := time.Now()
			_, err := typeface.Parse(bad.file)
			if err == nil || !strings.Contains(err.Error(), bad.says) || fault.KindOf(err) != bad.kind {
				t.Errorf("%s: %v, want %s of kind %s", name, err, bad.says, bad.kind)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%s takes %v", name, took)
			}
		}
	})

	t.Run("AFileThatClaimsGigabytesTakesNone", func(t *testing.T) {
		b := bytes.Clone(goregular.TTF)
		binary.BigEndian.PutUint32(b[12+12:], 0xfffffff0) // the length of the first table
		allocated := testing.AllocsPerRun(1, func() {
			if _, err := typeface.Parse(b); fault.KindOf(err) != fault.Invalid {
				t.Errorf("gives %v", err)
			}
		})
		if allocated > 100 {
			t.Errorf("%v allocations", allocated)
		}
	})

	t.Run("ItsMemoryIsCounted", func(t *testing.T) {
		f, err := typeface.Parse(goregular.TTF)
		if err != nil {
			t.Fatal(err)
		}
		if n := f.Bytes(); n < len(goregular.TTF) || n > len(goregular.TTF)*11/10 {
			t.Errorf("%d bytes of a file of %d", n, len(goregular.TTF))
		}
	})
}

// FuzzFont reads anything as a font and draws what it has: an error or letters, never a panic, and soon.
func FuzzFont(f *testing.F) {
	f.Add(file(f, "testdata/brand.otf"))
	small := file(f, "testdata/small.ttf")
	f.Add(small)
	f.Add(with(f, small, "cmap", []byte("\x00\x00\x00\x01\x00\x03\x00\x0a\x00\x00\x00\x0c\x00\x0c\x00\x00\x00\x00\x00\x1c\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x20\x00\x10\xff\xff\x00\x00\x00\x03")))
	f.Fuzz(func(t *testing.T, b []byte) {
		began := time.Now()
		f, err := typeface.Parse(b)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("reading takes %v", took)
		}
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Errorf("an unnamed failure: %v", err)
			}
			return
		}
		var before uint16
		for r := rune(' '); r < 0x180; r++ {
			glyph, ok := f.Glyph(r)
			if !ok {
				continue
			}
			for _, s := range f.Outline(glyph) {
				for _, p := range s.ArgsSlice() {
					if !(math.Abs(float64(p.X)) <= float64(4*f.UnitsPerEm())) {
						t.Fatalf("%q reaches %v", r, p)
					}
				}
			}
			if f.Advance(glyph) < 0 || f.Kern(before, glyph) > 2*f.UnitsPerEm() {
				t.Errorf("%q moves back", r)
			}
			before = glyph
		}
	})
}
