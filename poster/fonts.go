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
	emoji
	faceCount

	noFace faceID = 255
)

// The orders in which fonts are looked through for a character.
var (
	lightOrder = [...]faceID{regular, bold}
	heavyOrder = [...]faceID{bold, regular}
)

var fontNames = [faceCount]string{
	regular: "fonts/NotoSansSC-Regular.ttf",
	bold:    "fonts/NotoSansSC-Bold.ttf",
	emoji:   "fonts/NotoColorEmoji.ttf",
}

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
