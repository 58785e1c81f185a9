package poster

import (
	"image"
	"strings"
	"testing"
	"time"
)

// undrawn are the characters of a text of which nothing is drawn.
func undrawn(t *testing.T, types *typesetter, text string, order []faceID) (missing []string) {
	t.Helper()
	p := &painter{types: types, cache: newCache[glyphKey, picture](glyphCacheBytes)}
	cleaned := clean(text, asName)
	graphemes := types.fonts.graphemes(&types.seg, cleaned)
	clusters := types.fonts.clusters(&types.seg, cleaned, order, 0)
	if len(clusters) != len(graphemes) {
		missing = append(missing, text)
	}
	for _, c := range clusters {
		types.memory.reset()
		l := types.shape([]cluster{c}, 40)
		drawn := c.isSpace()
		for _, g := range l.glyphs {
			pic, _ := p.shown(g, effect{}, 0, 40)
			drawn = drawn || pic.mask != nil || pic.image != nil
			if g.id == 0 {
				drawn = false
				break
			}
		}
		if !drawn || (len(l.glyphs) == 0) {
			missing = append(missing, string(c.runes))
		}
		if c.face == emoji && len(l.glyphs) != 1 {
			missing = append(missing, "joined "+string(c.runes))
		}
	}
	return missing
}

func TestNames(t *testing.T) {
	types := embedded(t)
	for script, text := range map[string]string{
		"Simplified":  "简体中文赵钱孙李周吴郑王镕喆堃淼䶮㛃㙍",
		"Traditional": "繁體中文趙錢孫鄭龍鳳鷹學國臺灣灣鬱",
		"Latin":       "Ångström Łódź İşık Žižek Þór Ñandú ðæœß Ǆ Șț",
		"Vietnamese":  "Nguyễn Thị Hường Đặng Ước Ơ ữ ậ",
		"Cyrillic":    "Съешь ещё Київ Ґалаґан Ўладзь Ђорђе Қазақ Өмір Үкі",
		"Greek":       "Ξεσκεπάζω ψυχή Ώρα ϊΰ ᾧ ἄνθρωπος",
		"Kana":        "ひらがな カタカナ ー ヴァイオリン ぱぴぷ ヽヾ",
		"Hangul":      "한글 안녕하세요 김민준 이서연 ㅋㅋ",
		"Bopomofo":    "ㄅㄆㄇㄈㄉ ˊˇˋ",
		"Emoji":       "😀🥹🫠🎉❤️⭐☕⚡🌈🀄🈚㊗️",
		"Families":    "👨‍👩‍👧‍👦 👩‍❤️‍💋‍👨 🧑🏿‍🤝‍🧑🏻 👩🏽‍🚀 🏳️‍🌈 🏴‍☠️ ❤️‍🔥",
		"Flags":       "🇨🇳🇭🇰🇲🇴🇯🇵🇰🇷🇺🇦🇧🇷 🏴󠁧󠁢󠁥󠁮󠁧󠁿🏴󠁧󠁢󠁳󠁣󠁴󠁿",
		"Keycaps":     "0️⃣1️⃣9️⃣#️⃣*️⃣",
		"SkinTones":   "👍🏻👍🏼👍🏽👍🏾👍🏿 🧑🏽 ✌🏿",
		"Signs":       "，。！？；：（）【】《》「」『』“”‘’、…—～·￥¥$€£%‰℃№™©®①②③→←★☆♥♪",
	} {
		t.Run(script+"IsDrawn", func(t *testing.T) {
			for _, order := range [][]faceID{lightOrder[:], heavyOrder[:]} {
				if missing := undrawn(t, types, text, order); len(missing) > 0 {
					t.Errorf("not drawn: %q", missing)
				}
			}
		})
	}

	t.Run("WhatNoFontHasIsLeftOutOrReplaced", func(t *testing.T) {
		for text, want := range map[string]string{
			"ไทย":           "",
			"مرحبا":         "",
			"שלום":          "",
			"नमस्ते":        "",
			"a\U000e0fffb":  "ab",
			"𝓐𝓫":            "Ab",
			"Ａ１":            "Ａ１",
			"\ufffdx\ufffc": "x",
			"Ǡ":             "A\u0307\u0304",
			"ﬁ":             "fi",
			"\u2002x":       "x",
		} {
			var got strings.Builder
			for _, c := range tidy(types.fonts.clusters(&types.seg, clean(text, asName), lightOrder[:], 0)) {
				got.WriteString(string(c.runes))
			}
			if got.String() != want {
				t.Errorf("%q is drawn as %q, want %q", text, got.String(), want)
			}
		}
	})

	t.Run("WhatTurnsOrHidesTextIsLeftOut", func(t *testing.T) {
		for _, hidden := range "\u200b\u200c\u200e\u200f\u061c\u2028\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u206f\ufeff\u00ad\u180e\u3164\u115f\u2800\u034f\ufff9\U000e0001\U000e0061\ue000\x00\x1b\x7f\u0085" {
			if got := string(clean("a"+string(hidden)+"b", asName)); got != "ab" && got != "a b" {
				t.Errorf("%U is kept: %q", hidden, got)
			}
		}
	})

	t.Run("MarksPileUpToThree", func(t *testing.T) {
		if got := clean("a"+strings.Repeat("\u0308", 200)+"b", asName); len(got) > 2+maxMarks {
			t.Errorf("%d characters are kept", len(got))
		}
	})

	t.Run("EndlessTextTakesNoTime", func(t *testing.T) {
		text := Text{Value: "{{nickname}}邀请你", Size: 20, MaxWidth: 300, Lines: 4}
		for _, unit := range []string{"长", "W", "👨‍👩‍👧‍👦", "a\u0301", "x ", "\u0301", "ﷺ", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"} {
			person := &Person{Nickname: strings.Repeat(unit, 10_000)}
			layer := newTextLayer(&text, 1080, types, noFace)
			layer.set(types, person)
			began := time.Now()
			lines := layer.set(types, person)
			if took := time.Since(began); took > 100*time.Millisecond {
				t.Errorf("10,000 of %q take %v", unit, took)
			}
			if len(lines) == 0 || len(lines[0].glyphs) == 0 {
				t.Errorf("10,000 of %q leave nothing", unit)
			}
		}
	})
}

func TestEffects(t *testing.T) {
	dot := image.NewAlpha(image.Rect(0, 0, 1, 1))
	dot.Pix[0] = 255

	t.Run("AnOutlineIsAsWideAsItSays", func(t *testing.T) {
		for _, width := range []float64{0.5, 1, 2.5, 8, 32} {
			text := Text{OutlineWidth: width}
			mask := text.effects()[0].apply(dot)
			covered := 0.0
			for _, v := range mask.Pix {
				covered += float64(v) / 255
			}
			// A disc around the middle of the dot, half a pixel wider.
			if want := 3.1416 * (width + 0.5) * (width + 0.5); covered < want*0.9-1 || covered > want*1.1+1 {
				t.Errorf("%v covers %.1f pixels, want %.1f", width, covered, want)
			}
			if reach := text.effects()[0].reach(); mask.Rect.Min.X < -reach || mask.Rect.Max.X > 1+reach {
				t.Errorf("%v reaches %v, further than %d", width, mask.Rect, reach)
			}
		}
	})

	t.Run("AShadowKeepsWhatItFades", func(t *testing.T) {
		block := image.NewAlpha(image.Rect(-10, -20, 30, 20))
		for i := range block.Pix {
			block.Pix[i] = 255
		}
		for _, blur := range []int{0, 1, 6, 20, 64} {
			text := Text{ShadowColor: "#000000", ShadowBlur: blur}
			mask := text.effects()[0].apply(block)
			sum := 0
			for _, v := range mask.Pix {
				sum += int(v)
			}
			if want := len(block.Pix) * 255; sum < want*95/100 || sum > want*105/100 {
				t.Errorf("%d leaves %d of %d", blur, sum, want)
			}
			if reach := text.effects()[0].reach(); !mask.Rect.In(block.Rect.Inset(-reach)) {
				t.Errorf("%d reaches %v, further than %d", blur, mask.Rect, reach)
			}
		}
	})

	t.Run("OverlappingLettersMakeOneShape", func(t *testing.T) {
		types := embedded(t)
		p := &painter{types: types, cache: newCache[glyphKey, picture](glyphCacheBytes)}
		l := types.shape(types.fonts.clusters(&types.seg, []rune("WAVA"), heavyOrder[:], 0), 40)
		mask := p.halo(l, 20, 60, effect{spread: 8 * eighths}, image.Rect(0, 0, 400, 100))
		if v := mask.AlphaAt(60, 50).A; v != 255 {
			t.Errorf("between letters it covers %d", v)
		}
		if p.halo(l, 20, 60, effect{spread: 8}, image.Rect(1000, 0, 1100, 100)) != nil {
			t.Error("something lies outside")
		}
	})
}
