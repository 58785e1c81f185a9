package poster

import (
	"slices"
	"testing"

	"golang.org/x/image/math/fixed"
	"pgregory.net/rapid"
)

// plain are the characters that stand for themselves, most of them seldom seen.
func plainAlphabet(types *typesetter) []rune {
	var all []rune
	for r := rune(0x20); r <= 0x323af; r++ {
		if _, ok := types.faces[regular].NominalGlyph(r); isPlain(r) && ok && (r < 0x4e00 || r%17 == 0) {
			all = append(all, r)
		}
	}
	return all
}

func TestShape(t *testing.T) {
	types := embedded(t)
	everything := plainAlphabet(types)
	usual := []rune("AVATAR To. We, LT Ya fi ffi fl ft 1234567890 邀请码 “你好”，。… éöÅ Київ Łódź Ελλάδα ひらがな 한글")

	t.Run("WhatIsPlainIsShapedAsTheShaperWould", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(usual), rapid.SampledFrom(everything)), 1, 40).Draw(t, "text")
			order := rapid.SampledFrom([][]faceID{lightOrder[:], heavyOrder[:]}).Draw(t, "order")
			size := float64(rapid.IntRange(16, 200).Draw(t, "half size")) / 2
			clusters := types.fonts.clusters(&types.seg, text, order, 0)
			types.memory.reset()
			quick := types.shape(clusters, size)
			slow := line{advances: make([]fixed.Int26_6, len(clusters))}
			first := len(types.memory.glyphs)
			for i := 0; i < len(clusters); {
				j := i + 1
				for j < len(clusters) && clusters[j].face == clusters[i].face && clusters[j].script == clusters[i].script {
					j++
				}
				types.shapeRun(&slow, clusters, i, j, size)
				i = j
			}
			slow.glyphs = types.memory.glyphs[first:]
			if quick.width != slow.width || !slices.Equal(quick.glyphs, slow.glyphs) || !slices.Equal(quick.advances, slow.advances) {
				t.Errorf("%q is set as\n%v\nnot as\n%v", string(text), quick.glyphs, slow.glyphs)
			}
		})
	})

	t.Run("WhatStandsAloneIsOneCharacterToReaders", func(t *testing.T) {
		alphabet := slices.Concat(usual, []rune("🎉👍🧑❤⭐\u0301\u200d\ufe0f🇨🇳🏽각각พ้"))
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(alphabet), rapid.SampledFrom(everything)), 1, 12).Draw(t, "text")
			if cut := types.fonts.graphemes(&types.seg, text); standAlone(text) && len(cut) != len(text) {
				t.Errorf("%q is %d characters to readers, not %d", string(text), len(cut), len(text))
			}
		})
	})

	t.Run("NoNameAllocates", func(t *testing.T) {
		text := Text{Value: "{{nickname}}，邀请码 {{code}}", Size: 40, MaxWidth: 900}
		layer := newTextLayer(&text, 1080, types, noFace)
		person := &Person{Nickname: "清风明月 Anna 🎉", Code: "7K2M9QX4TB"}
		if n := testing.AllocsPerRun(100, func() { layer.set(types, person) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// BenchmarkText sets a nickname and a line with a code.
func BenchmarkText(b *testing.B) {
	types := embedded(b)
	for name, text := range map[string]Text{
		"nickname": {Value: "{{nickname}}", Size: 40, MaxWidth: 600},
		"code":     {Value: "邀请码 {{code}}", Size: 30},
		"family":   {Value: "👨‍👩‍👧‍👦 {{nickname}}", Size: 40, MaxWidth: 600},
		"lines":    {Value: "{{nickname}}邀请你一起，把秋天领回家", Size: 40, MaxWidth: 400, Lines: 3},
	} {
		layer := newTextLayer(&text, 1080, types, noFace)
		person := &Person{Nickname: "清风明月小林🎉", Code: "7K2M9QX4TB"}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				layer.set(types, person)
			}
		})
	}
}

// BenchmarkEffect makes the outline and the shadow of a hanzi of 46 pixels, as is done once for each.
func BenchmarkEffect(b *testing.B) {
	types := embedded(b)
	id, _ := types.faces[regular].NominalGlyph('鹰')
	for name, e := range map[string]effect{"outline": {spread: 3 * eighths}, "shadow": {blur: 8}, "both": {spread: 3 * eighths, blur: 8}} {
		mask := types.picture(glyphKey{face: regular, id: id, size: 46 * 64}).mask
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				e.apply(mask)
			}
		})
	}
}
