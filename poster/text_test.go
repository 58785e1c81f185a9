package poster

import (
	"image"
	"testing"

	"golang.org/x/image/math/fixed"
)

// FuzzLine lays any name out beside other words: the line stays within its room, and something of the name stays.
func FuzzLine(f *testing.F) {
	for _, name := range []string{
		"小林🎉Анна", "\u202eabc", "👨‍👩‍👧‍👦🇨🇳👍🏽", "a\u0301\u0301\u0301\u0301", "🏴\U000e0067\U000e0062\u200d", "\xff\x00",
		"🏴\U000e7067\U000e0362\u200d", "\u200d\ufe0f", "1\ufe0f\u20e3\u20e3", "🇨", "\u3000x\u00a0", "한글 مرحبا ไทย", "ﷺ﷽", "½Ⅷ㍿",
	} {
		f.Add(name, uint16(300))
	}
	fonts, err := loadFonts()
	if err != nil {
		f.Fatal(err)
	}
	types := newTypesetter(fonts)
	brush := &painter{types: types, cache: newCache[glyphKey, picture](glyphCacheBytes)}
	canvas := image.NewRGBA(image.Rect(0, 0, 400, 60))
	f.Fuzz(func(t *testing.T, name string, room uint16) {
		text := Text{Value: "我是{{nickname}},来吧", Size: 20, MaxWidth: 20 + int(room)%400, Weight: "bold"}
		layer := newTextLayer(&text, 400, types, noFace)
		l := layer.set(types, &Person{Nickname: name})[0]
		if l.width > fixed.I(text.MaxWidth) {
			t.Errorf("%q takes %v of %d", name, l.width, text.MaxWidth)
		}
		if len(l.glyphs) == 0 {
			t.Errorf("%q leaves nothing", name)
		}
		for _, g := range l.glyphs {
			if g.id == 0 {
				t.Errorf("%q shows an empty box", name)
			}
		}
		brush.drawLine(newRGBACanvas(canvas), canvas.Rect, l, 0, 20, newInk(black))
		text.Lines, text.ShadowColor, text.ShadowBlur, text.OutlineWidth = 1+int(room)%5, "#00000080", int(room)%9, float64(room%7)/2
		layer = newTextLayer(&text, 400, types, noFace)
		lines := layer.set(types, &Person{Nickname: name})
		if len(lines) > text.Lines {
			t.Errorf("%q takes %d lines of %d", name, len(lines), text.Lines)
		}
		for _, l := range lines {
			if l.width > fixed.I(text.MaxWidth) {
				t.Errorf("%q takes %v of %d in several lines", name, l.width, text.MaxWidth)
			}
			for _, e := range layer.casts {
				if mask := brush.halo(l, 0, 20, e.effect, image.Rect(0, 0, 400, 60)); mask != nil && !mask.Rect.In(image.Rect(0, 0, 400, 60)) {
					t.Errorf("the effect on %q reaches %v", name, mask.Rect)
				}
			}
		}
	})
}

// TestGlyphCache holds the cache to its bound.
func TestGlyphCache(t *testing.T) {
	cache := newCache[glyphKey, picture](glyphCacheBytes)
	for i := range 100_000 {
		cache.put(glyphKey{size: fixed.Int26_6(i)}, picture{mask: image.NewAlpha(image.Rect(0, 0, 10, 10))})
		if _, ok := cache.get(glyphKey{}); !ok {
			t.Fatalf("what is used all the time is gone after %d glyphs", i)
		}
	}
	kept := 0
	for _, half := range []map[glyphKey]picture{cache.young, cache.old} {
		for _, p := range half {
			kept += p.bytes()
		}
	}
	if kept > glyphCacheBytes {
		t.Errorf("keeps %d bytes, more than %d", kept, glyphCacheBytes)
	}
}
