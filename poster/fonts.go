package poster

import (
	"bytes"
	"embed"
	"fmt"
	"sync"

	"github.com/go-text/typesetting/font"
)

//go:embed fonts/*.ttf
var fontFiles embed.FS

// faceID names one of the embedded fonts.
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

// fontSet holds the parsed fonts, which are safe to share, and the typesetters over them, of which each takes
// nearly a megabyte and serves one goroutine at a time.
type fontSet struct {
	fonts       [faceCount]*font.Font
	typesetters sync.Pool // of *typesetter
}

func (s *fontSet) borrow() *typesetter {
	if ts, ok := s.typesetters.Get().(*typesetter); ok {
		return ts
	}
	return newTypesetter(s)
}

func (s *fontSet) giveBack(ts *typesetter) { s.typesetters.Put(ts) }

// loadFonts parses the embedded fonts when the first press is compiled: programs that print nothing do not pay.
var loadFonts = sync.OnceValues(func() (*fontSet, error) {
	set := &fontSet{}
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
	gid, ok := s.fonts[id].NominalGlyph(r)
	return ok && gid != 0
}
