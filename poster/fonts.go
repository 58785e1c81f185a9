package poster

import (
	"bytes"
	"embed"
	"fmt"
	"strings"
	"sync"

	"github.com/go-text/typesetting/font"

	"kfactor/internal/fault"
	"kfactor/poster/typeface"
)

//go:embed fonts/*.ttf
var fontFiles embed.FS

// faceID names one of the embedded fonts, or from faceCount on one of the template's own.
type faceID uint8

const (
	regular faceID = iota
	bold
	latin // what regular lacks of Latin, Greek and Cyrillic
	latinBold
	korean
	emoji
	faceCount

	noFace faceID = 255
)

// The orders in which fonts are looked through for a character.
var (
	lightOrder = [...]faceID{regular, latin, bold, korean}
	heavyOrder = [...]faceID{bold, latinBold, regular, latin, korean}
)

var fontNames = [faceCount]string{
	regular:   "fonts/NotoSansSC-Regular.ttf",
	bold:      "fonts/NotoSansSC-Bold.ttf",
	latin:     "fonts/PosterLatin-Regular.ttf",
	latinBold: "fonts/PosterLatin-Bold.ttf",
	korean:    "fonts/NotoSansKR-Regular.ttf",
	emoji:     "fonts/NotoColorEmoji.ttf",
}

// faceScale brings the fonts to one size: an emoji becomes as wide as a hanzi, the font of Latin letters, from which
// those beside the hanzi were made, as large as those.
var faceScale = [faceCount]float64{regular: 1, bold: 1, latin: 1.117, latinBold: 1.117, korean: 1, emoji: emojiScale}

// Bounds of the fonts that a template brings along. They stay in memory as long as the press does.
const (
	maxOwnFonts = 4
	maxOwnBytes = 20 << 20 // together
)

// fontSet holds the parsed fonts, which are safe to share, and the typesetters over them, of which each takes
// nearly a megabyte and serves one goroutine at a time.
type fontSet struct {
	fonts       [faceCount]*font.Font
	typesetters *sync.Pool // of *typesetter
	pairs       *pairs     // of the embedded fonts

	own      []*typeface.Font // the template's own
	ownNames []string
}

func (s *fontSet) borrow() *typesetter {
	if ts, ok := s.typesetters.Get().(*typesetter); ok {
		ts.fonts = s
		ts.memory.reset()
		return ts
	}
	return newTypesetter(s)
}

// with adds the fonts that a template names. A font that is missing or broken gives a fault that names its field.
func (s *fontSet) with(t *Template, assets Assets) (*fontSet, error) {
	all := *s
	for i, l := range t.Layers {
		if l.Text == nil || l.Text.Font == "" || all.named(l.Text.Font) != noFace {
			continue
		}
		field, name := fmt.Sprintf("layers[%d].text.font", i), l.Text.Font
		if len(all.own) == maxOwnFonts {
			return nil, problem(field, fault.New(fault.TooLarge, "%s is one font too many; a poster takes at most %d", name, maxOwnFonts))
		}
		file, err := read(assets, name)
		if err != nil {
			return nil, problem(field, err)
		}
		own, failure := readFont(name, file)
		if failure != nil {
			return nil, problem(field, failure)
		}
		all.own, all.ownNames = append(all.own, own), append(all.ownNames, name)
		if all.ownBytes() > maxOwnBytes {
			return nil, problem(field, fault.New(fault.TooLarge,
				"%s and the fonts before it take more than %d MiB together; make subsets with the characters you need", name, maxOwnBytes>>20))
		}
	}
	if len(all.own) == 0 {
		return s, nil
	}
	return &all, nil
}

// readFont reads an uploaded font.
func readFont(name string, file []byte) (*typeface.Font, *fault.Error) {
	if len(file) > AssetLimits.Bytes {
		return nil, fault.New(fault.TooLarge, "%s has %.1f MiB; fonts may have %d: make a subset with the characters you need",
			name, float64(len(file))/(1<<20), AssetLimits.Bytes>>20)
	}
	own, err := typeface.Parse(file)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "%s: %v", name, err)
	}
	return own, nil
}

// isFont says whether a name is a font's.
func isFont(name string) bool {
	lower := strings.ToLower(name)
	return strings.HasSuffix(lower, ".ttf") || strings.HasSuffix(lower, ".otf")
}

// named finds a font of the template's own, noFace for none.
func (s *fontSet) named(name string) faceID {
	for i, own := range s.ownNames {
		if own == name {
			return faceCount + faceID(i)
		}
	}
	return noFace
}

// ownBytes is how much memory the template's own fonts take.
func (s *fontSet) ownBytes() int {
	n := 0
	for _, own := range s.own {
		n += own.Bytes()
	}
	return n
}

// isOwn says whether a font is one of the template's own.
func (f faceID) isOwn() bool { return f >= faceCount && f != noFace }

func (s *fontSet) giveBack(ts *typesetter) {
	ts.fonts = nil // which may be a press's own
	s.typesetters.Put(ts)
}

// loadFonts parses the embedded fonts when the first press is compiled: programs that print nothing do not pay.
var loadFonts = sync.OnceValues(func() (*fontSet, error) {
	set := &fontSet{typesetters: &sync.Pool{}, pairs: &pairs{}}
	for id, name := range fontNames {
		file, err := fontFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		face, err := font.ParseTTF(bytes.NewReader(file))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		set.fonts[id] = face.Font
	}
	return set, nil
})

// has says whether the font has a glyph for the character.
func (s *fontSet) has(id faceID, r rune) bool {
	if id.isOwn() {
		_, ok := s.own[id-faceCount].Glyph(r)
		return ok
	}
	gid, ok := s.fonts[id].NominalGlyph(r)
	return ok && gid != 0
}
