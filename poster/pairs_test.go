package poster

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestPairs holds the remembered characters to what the shaper makes of whole texts.
func TestPairs(t *testing.T) {
	fonts, err := loadFonts()
	if err != nil {
		t.Fatal(err)
	}
	alphabets := []string{
		"小林晓明阳光灿烂的日子王国李思雨陈星河末张镕喆堃䶮龍鳳", "あいうえおかがきぎーっゃゅょ", "アイウカガキギーッャュョ", "한글을쓰는사람뷁",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyzfiflffi", "0123456789", "АБВГДЕЖЗИЙКЛМНОПабвгдежзийклмнопрстуфхцчшщъыьэюя",
		"ΑΒΓΔΕΖαβγδεζηθς", "ÄÖÜßéèêñçŁąęđĐăơưẤếỗ", " .,:;!?-_~@#&*()[]'\"/\\+=%$", "，。、：；！？…—「」《》“”·～￥",
	}
	pictures := []string{"🎉", "🌸", "⭐", "👍", "👍🏽", "❤️", "🇨🇳", "🇳🇨", "👨‍👩‍👧", "1️⃣"}
	rapid.Check(t, func(t *rapid.T) {
		var text []rune
		for range rapid.IntRange(1, 3).Draw(t, "parts") {
			if rapid.IntRange(0, 9).Draw(t, "kind") == 0 {
				text = append(text, []rune(strings.Join(rapid.SliceOfN(rapid.SampledFrom(pictures), 1, 4).Draw(t, "pictures"), ""))...)
				continue
			}
			alphabet := []rune(rapid.SampledFrom(alphabets).Draw(t, "alphabet"))
			text = append(text, rapid.SliceOfN(rapid.SampledFrom(alphabet), 1, 6).Draw(t, "letters")...)
		}
		order, size := lightOrder[:], float64(rapid.IntRange(8, 90).Draw(t, "size"))
		if rapid.Bool().Draw(t, "heavy") {
			order = heavyOrder[:]
		}
		quick := newTypesetter(fonts)
		clusters := quick.clusters(text, order, 0)
		got := quick.shape(clusters, size)
		slow := newTypesetter(fonts)
		slow.whole = true
		want := slow.shape(clusters, size)
		if !slices.Equal(got.glyphs, want.glyphs) || !slices.Equal(got.advances, want.advances) || got.width != want.width {
			for i, g := range want.glyphs {
				if i >= len(got.glyphs) || got.glyphs[i] != g {
					t.Errorf("glyph %d is %+v, want %+v", i, got.glyphs[min(i, len(got.glyphs)-1)], g)
				}
			}
			t.Fatalf("%q: widths %v and %v", string(text), got.width, want.width)
		}
	})
}
