// Package poster is the room where share posters are made: a template and a person go in, a JPEG or PNG comes out.
// Compile turns a template into a press once, the press prints any number of people. There is no database, no
// network and no clock here: the same input gives the same bytes.
package poster

import (
	"regexp"
	"slices"
	"strings"

	"kfactor/poster/baseline"
)

// Template is what this room needs of a campaign's poster. Lengths are pixels from the top left corner.
type Template struct {
	Width, Height int
	Background    string   // "#RRGGBB", or the asset that covers the canvas; "" is white
	Format        string   // "jpeg" or "png"; "" is jpeg
	Quality       int      // of a JPEG, 60 to 95; 0 is 85
	Chroma        string   // of a JPEG: "4:2:0", or "4:4:4" for thin coloured text at some 40 % more bytes; "" is 4:2:0
	Layers        []Layer  // drawn in this order
	Variables     []string // names that texts may use besides nickname, code and link: keys of Person.Fields
	LinkLength    int      // characters of the longest link that QR codes must hold; 0 is 60
}

// Layer is one thing on the poster; exactly one field is set.
type Layer struct {
	Text   *Text
	QR     *QR
	Avatar *Avatar
	Image  *Image
	Rect   *Rect
}

// Text is one line, or several. Y is the top of the first: hanzi fill Y to Y+Size, letters such as g hang a little
// lower. X is the left end of each line, its centre or its right end, as Align says.
type Text struct {
	Value    string  // may hold {{nickname}}, {{code}}, {{link}} and Template.Variables; "\n" starts a line where there may be several
	X, Y     int     //
	Size     float64 // height of a hanzi, 8 to 512
	Color    string  // "#RRGGBB", or "#RRGGBBAA"; "" is black
	MaxWidth int     // of a line; 0 is up to the edge of the canvas
	Align    string  // "left", "center" or "right"; "" is left
	Weight   string  // "regular" or "bold"; "" is regular
	Font     string  // asset, a .ttf or .otf; "" is the embedded one, which also draws what this lacks

	Lines      int     // at most so many, up to 20; what is longer is shortened with an ellipsis, names first; 0 is 1
	LineHeight float64 // distance of two lines as a factor of Size, 0.8 to 3; 0 is 1.4

	OutlineColor string  // "#RRGGBB", or "#RRGGBBAA"; "" is white
	OutlineWidth float64 // pixels around each letter, up to 32; 0 for none

	ShadowColor      string // "#RRGGBB", or "#RRGGBBAA"; "" for no shadow
	ShadowX, ShadowY int    // how far it lies to the right and below, -64 to 64
	ShadowBlur       int    // how far it fades, up to 64
}

// QR is the code of the person's link in a square, quiet zone included.
type QR struct {
	X, Y, Size  int
	Level       string // "L", "M", "Q" or "H"; "" is M, and Q below a logo
	Logo        string // asset in the middle; "" for none
	Dark, Light string // "#RRGGBB"; "" is black on white
}

// Avatar is the person's picture; where there is none, the first character of the name stands in.
type Avatar struct {
	X, Y, Size int
	Shape      string // "circle", "rounded" or "square"; "" is circle
}

// Image is a picture that is the same on every poster.
type Image struct {
	Source              string // asset
	X, Y, Width, Height int    // a width or height of 0 follows from the other, both 0 are the picture's own
}

// Rect is a plain rectangle.
type Rect struct {
	X, Y, Width, Height int
	Color               string // "#RRGGBB", or "#RRGGBBAA"
	Radius              int    // of the corners
}

// Assets gives the bytes of a named asset.
type Assets func(name string) ([]byte, error)

// Person is whose poster is printed.
type Person struct {
	Code, Link, Nickname string
	Avatar               []byte            // PNG, JPEG, WebP or GIF; nil for none
	Fields               map[string]string // values of Template.Variables
}

// Names for what a template leaves out.
const (
	defaultQuality    = 85
	defaultLinkLength = 60
	defaultLineHeight = 1.4
	defaultNickname   = "好友" // a friend, for people whose name is unknown or cannot be drawn
)

// How often a JPEG keeps colour.
const (
	halfChroma = "4:2:0"
	fullChroma = "4:4:4"
)

// Variables every template knows.
const (
	varNickname = "nickname"
	varCode     = "code"
	varLink     = "link"
)

func (t *Template) format() string {
	if t.Format == "" {
		return "jpeg"
	}
	return t.Format
}

func (t *Template) quality() int {
	if t.Quality == 0 {
		return defaultQuality
	}
	return t.Quality
}

// ratio is how often a JPEG keeps colour.
func (t *Template) ratio() baseline.Ratio {
	if t.Chroma == fullChroma {
		return baseline.Ratio444
	}
	return baseline.Ratio420
}

func (t *Template) linkLength() int {
	if t.LinkLength == 0 {
		return defaultLinkLength
	}
	return t.LinkLength
}

func (t *Template) knows(variable string) bool {
	switch variable {
	case varNickname, varCode, varLink:
		return true
	}
	return slices.Contains(t.Variables, variable)
}

// part is a stretch of a text: literal characters, or the value of a variable.
type part struct {
	literal  string
	variable string // "" for a literal
}

var placeholder = regexp.MustCompile(`\{\{\s*([^{}]*?)\s*\}\}`)

// parts cuts a text at its {{variables}}.
func parts(value string) []part {
	var cut []part
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(value, -1) {
		if m[0] > at {
			cut = append(cut, part{literal: value[at:m[0]]})
		}
		cut = append(cut, part{variable: value[m[2]:m[3]]})
		at = m[1]
	}
	if at < len(value) {
		cut = append(cut, part{literal: value[at:]})
	}
	return cut
}

// isStatic says whether a text is the same for everybody.
func isStatic(value string) bool { return !strings.Contains(value, "{{") }
