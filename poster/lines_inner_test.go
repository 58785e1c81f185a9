package poster

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/image/math/fixed"
	"pgregory.net/rapid"
)

// set is a typesetter over the embedded fonts.
func embedded(t testing.TB) *typesetter {
	t.Helper()
	fonts, err := loadFonts()
	if err != nil {
		t.Fatal(err)
	}
	return newTypesetter(fonts)
}

// laid lays a text out and gives the characters of each line, as far as they can be told from what was laid out.
func laid(types *typesetter, text Text, name string) []string {
	layer := newTextLayer(&text, 4000, types, noFace)
	person := Person{Nickname: name}
	var all []cluster
	for i, p := range layer.pieces {
		if p.variable == "" {
			all = append(all, p.clusters...)
		} else {
			all = layer.value(types, all, p.variable, i+1, &person)
		}
	}
	s := setting{clusters: all, order: layer.order, size: text.Size, limit: layer.room, shorten: layer.shorten}
	full := types.shape(s.clusters, s.size)
	clusters, spans, fits := types.fit(s, full, fixed.I(layer.room), text.lines())
	if !fits {
		clusters = all
		spans, _ = breakLines(all, full.advances, types.chances(all), fixed.I(layer.room), text.lines())
	}
	var lines []string
	for _, at := range spans {
		var b strings.Builder
		for _, c := range clusters[at.from:at.to] {
			b.WriteString(string(c.runes))
		}
		lines = append(lines, b.String())
	}
	return lines
}

func TestLineBreaks(t *testing.T) {
	types := embedded(t)
	breaks := func(value, name string, ems float64, lines int) []string {
		return laid(types, Text{Value: value, Size: 20, MaxWidth: int(ems * 20), Lines: lines}, name)
	}
	for what, each := range map[string]struct {
		value, name string
		ems         float64
		lines       int
		want        []string
	}{
		"HanziBreakAnywhere":                 {"和我一起把秋天领回家", "", 4, 5, []string{"和我一起", "把秋天领", "回家"}},
		"NoClosingPunctuationBeginsALine":    {"和我一起\uff0c把秋天领回家\u3002", "", 4, 5, []string{"和我一", "起\uff0c把秋", "天领回", "家\u3002"}},
		"NoOpeningPunctuationEndsALine":      {"我们说\u300a秋天\u300b好", "", 4, 5, []string{"我们说", "\u300a秋天\u300b", "好"}},
		"CurlyQuotationMarksStayWithTheirs":  {"我们说\u201c秋天\u201d好的", "", 4, 5, []string{"我们说", "\u201c秋天\u201d", "好的"}},
		"LatinWordsStayWhole":                {"join us for autumn", "", 4, 5, []string{"join us", "for", "autumn"}},
		"AWordWiderThanALineIsBroken":        {"antidisestablishmentarianism", "", 4, 9, nil},
		"NumbersStayWithTheirSigns":          {"立减\uffe5100元", "", 4, 5, []string{"立减", "\uffe5100元"}},
		"DashesAndDotsStayTogether":          {"秋天来了\u2026\u2026好", "", 5, 5, []string{"秋天来", "了\u2026\u2026好"}},
		"SmallKanaDoNotBeginALine":           {"いろはきゃく", "", 4, 5, []string{"いろは", "きゃく"}},
		"AFeedStartsALine":                   {"秋天\n来了", "", 9, 5, []string{"秋天", "来了"}},
		"FeedsMayLeaveALineEmpty":            {"秋\n\n天", "", 9, 5, []string{"秋", "", "天"}},
		"SpacesAtTheEndOfALineAreLeftOut":    {"ab cd   ef", "", 3, 5, []string{"ab cd", "ef"}},
		"ANameIsShortenedWhenAllOfItIsMuch":  {"{{nickname}}邀请你领好礼", "一二三四五六七八九十", 6, 2, []string{"一二三四五\u2026", "邀请你领好礼"}},
		"ANameThatFitsIsWhole":               {"{{nickname}}邀请你", "一二三四五六七八九", 6, 2, []string{"一二三四五六", "七八九邀请你"}},
		"EmojiAreNotCut":                     {"{{nickname}}", "👨‍👩‍👧‍👦👨‍👩‍👧‍👦👨‍👩‍👧‍👦", 2.3, 5, []string{"👨‍👩‍👧‍👦👨‍👩‍👧‍👦", "👨‍👩‍👧‍👦"}},
		"WhatIsWholeInOneLineIsNotTakenDown": {"秋天", "", 2, 5, []string{"秋天"}},
	} {
		t.Run(what, func(t *testing.T) {
			got := breaks(each.value, each.name, each.ems, each.lines)
			if each.want == nil {
				if strings.Join(got, "") != each.value {
					t.Errorf("%q", got)
				}
				return
			}
			if !slices.Equal(got, each.want) {
				t.Errorf("%q, want %q", got, each.want)
			}
		})
	}

	t.Run("WhatIsTooMuchEndsInAnEllipsis", func(t *testing.T) {
		text := Text{Value: strings.Repeat("秋天", 30), Size: 20, MaxWidth: 100, Lines: 3}
		lines := newTextLayer(&text, 4000, types, noFace).set(types, nil)
		if len(lines) != 3 {
			t.Fatalf("%d lines", len(lines))
		}
		dots := types.shape(types.dots(setting{order: lightOrder[:]}), 20).glyphs
		last := lines[2].glyphs
		if last[len(last)-1].id != dots[0].id || len(lines[2].glyphs) != 5 {
			t.Errorf("the last line ends in glyph %v", last[len(last)-1])
		}
	})

	t.Run("AnyTextKeepsItsRoomAndItsCharacters", func(t *testing.T) {
		alphabet := []rune("一二三。，、“”（）《》ab cd-,.!?%¥1éЖλあっー한🎉👍🏽\u0301\u200d\ufe0f🇨🇳")
		rapid.Check(t, func(t *rapid.T) {
			value := string(rapid.SliceOfN(rapid.SampledFrom(alphabet), 1, 60).Draw(t, "value"))
			text := Text{
				Value: "致{{nickname}}\n再见", Size: float64(rapid.IntRange(8, 60).Draw(t, "size")), Lines: rapid.IntRange(1, 6).Draw(t, "lines"),
			}
			text.MaxWidth = int(text.Size) * rapid.IntRange(1, 20).Draw(t, "ems")
			lines := newTextLayer(&text, 4000, types, noFace).set(types, &Person{Nickname: value})
			if len(lines) > text.Lines || len(lines) == 0 {
				t.Fatalf("%d lines of %d", len(lines), text.Lines)
			}
			for _, l := range lines {
				if l.width > fixed.I(text.MaxWidth) {
					t.Errorf("a line takes %v of %d", l.width, text.MaxWidth)
				}
				for _, g := range l.glyphs {
					if g.id == 0 {
						t.Error("an empty box")
					}
				}
			}
		})
	})
}
