package poster

import (
	"fmt"
	"image"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"kfactor/internal/fault"
)

// What a template may ask for.
const (
	minSide, maxSide         = 200, 4096
	minQuality, maxQuality   = 60, 95
	maxLayers                = 64
	minTextSize, maxTextSize = 8, 512
	maxValue                 = 500 // characters of a text
	maxLines                 = 20
	minLineHeight            = 0.8
	maxLineHeight            = 3
	maxOutline               = 32 // pixels
	maxShadow, maxBlur       = 64, 64
	minAvatar, maxAvatar     = 16, 1024
	maxLinkLength            = 1000
	maxVariables             = 64
)

// A QR code's modules are judged at the width at which phones show a poster.
const (
	shownWidth = 1080
	minModule  = 4 // less does not survive what chat programs do to pictures
	goodModule = 6 // still reads when the poster was shrunk to 40 %
)

// minContrast is between a QR code's colours, as WCAG counts it.
const minContrast = 4

// Check finds what is wrong with a template as far as it can be seen without its assets. Fields are paths within
// the poster, such as "size" or "layers[1].qr.size".
func Check(t Template) []fault.Field {
	c := checker{t: &t}
	if t.Width < minSide || t.Width > maxSide || t.Height < minSide || t.Height > maxSide {
		c.add("size", "%d x %d cannot be printed: each side must be %d to %d pixels", t.Width, t.Height, minSide, maxSide)
	}
	if strings.HasPrefix(t.Background, "#") {
		c.color("background", t.Background, false)
	}
	if t.Format != "" && t.Format != "jpeg" && t.Format != "png" {
		c.add("format", "%q is not printed here: write jpeg or png", t.Format)
	}
	if t.Quality != 0 && (t.Quality < minQuality || t.Quality > maxQuality) {
		c.add("quality", "%d is out of range: write %d to %d, 85 is usual", t.Quality, minQuality, maxQuality)
	}
	c.oneOf("chroma", t.Chroma, halfChroma, fullChroma)
	if t.LinkLength < 0 || t.LinkLength > maxLinkLength {
		c.add("link_length", "%d is out of range: write 1 to %d", t.LinkLength, maxLinkLength)
	}
	if len(t.Variables) > maxVariables {
		c.add("variables", "%d are too many: at most %d", len(t.Variables), maxVariables)
	}
	if len(t.Layers) > maxLayers {
		c.add("layers", "%d layers are too many: at most %d", len(t.Layers), maxLayers)
		return c.problems
	}
	for i, l := range t.Layers {
		c.layer(fmt.Sprintf("layers[%d]", i), l)
	}
	return c.problems
}

// Warnings finds what can be printed but may disappoint.
func Warnings(t Template) []fault.Field {
	if len(Check(t)) > 0 {
		return nil
	}
	c := checker{t: &t}
	for i, l := range t.Layers {
		if l.QR == nil {
			continue
		}
		path := fmt.Sprintf("layers[%d].qr", i)
		n, _ := expectedModules(t.linkLength(), l.QR.level())
		if module := moduleSize(l.QR.Size, n, t.Width); module*shownWidth < goodModule*t.Width {
			c.add(path+".size", "modules are %.1f pixels at %d pixels of poster width; older phones want %d: make it %d",
				shown(module, t.Width), shownWidth, goodModule, sizeFor(goodModule, n, t.Width))
		}
		box := square(l.QR.X, l.QR.Y, l.QR.Size)
		for j, above := range t.Layers[i+1:] {
			if above.box(&t).Overlaps(box) {
				c.add(path, "layers[%d] is drawn over the code, which may then not read", i+1+j)
			}
		}
	}
	return c.problems
}

// checker gathers problems.
type checker struct {
	t        *Template
	problems []fault.Field
}

func (c *checker) add(field, format string, args ...any) {
	c.problems = append(c.problems, fault.Field{Field: field, Message: fmt.Sprintf(format, args...)})
}

func (c *checker) layer(path string, l Layer) {
	set := 0
	for _, is := range []bool{l.Text != nil, l.QR != nil, l.Avatar != nil, l.Image != nil, l.Rect != nil} {
		if is {
			set++
		}
	}
	switch {
	case set != 1:
		c.add(path, "has %d kinds: write exactly one of text, qr, avatar, image and rect", set)
	case l.Text != nil:
		c.text(path+".text", l.Text)
	case l.QR != nil:
		c.qr(path+".qr", l.QR)
	case l.Avatar != nil:
		c.avatar(path+".avatar", l.Avatar)
	case l.Image != nil:
		c.image(path+".image", l.Image)
	case l.Rect != nil:
		c.rect(path+".rect", l.Rect)
	}
}

func (c *checker) text(path string, t *Text) {
	switch n := utf8.RuneCountInString(t.Value); {
	case strings.TrimSpace(t.Value) == "":
		c.add(path+".value", "is empty: write what to print, such as {{nickname}}")
	case n > maxValue:
		c.add(path+".value", "has %d characters; a line takes at most %d", n, maxValue)
	default:
		c.variables(path+".value", t.Value)
	}
	c.color(path+".color", t.Color, true)
	c.oneOf(path+".align", t.Align, "left", "center", "right")
	c.oneOf(path+".weight", t.Weight, "regular", "bold")
	if !(t.Size >= minTextSize && t.Size <= maxTextSize) { // not a number is neither
		c.add(path+".size", "%v is out of range: write %d to %d pixels", t.Size, minTextSize, maxTextSize)
		return
	}
	if t.MaxWidth < 0 || t.MaxWidth > maxSide {
		c.add(path+".max_width", "%d is out of range: write the pixels the line may take, or leave it out", t.MaxWidth)
		return
	}
	if !c.effects(path, t) {
		return
	}
	height := int(math.Ceil(t.Size))
	if t.X < 0 || t.X > c.t.Width || t.Y < 0 || t.Y > c.t.Height-height {
		c.add(path+".at", "[%d, %d] with size %v leaves the canvas of %d x %d", t.X, t.Y, t.Size, c.t.Width, c.t.Height)
		return
	}
	if t.Y > c.t.Height-t.height() {
		c.add(path+".lines", "%d lines of size %v take %d pixels, which at [%d, %d] leave the canvas of %d x %d; allow fewer or set them closer",
			t.lines(), t.Size, t.height(), t.X, t.Y, c.t.Width, c.t.Height)
		return
	}
	switch left := align(t.Align, t.X, t.MaxWidth); {
	case t.MaxWidth > 0 && t.MaxWidth < height:
		c.add(path+".max_width", "%d is less than one character of size %v", t.MaxWidth, t.Size)
	case t.MaxWidth > 0 && (left < 0 || left+t.MaxWidth > c.t.Width):
		c.add(path+".max_width", "a line of %d pixels at %d leaves the canvas, which is %d wide", t.MaxWidth, t.X, c.t.Width)
	case t.room(c.t.Width) < height:
		c.add(path+".at", "leaves %d pixels up to the edge, less than one character of size %v", t.room(c.t.Width), t.Size)
	}
}

// effects looks at a text's lines, outline, shadow and font.
func (c *checker) effects(path string, t *Text) bool {
	before := len(c.problems)
	if t.Lines < 0 || t.Lines > maxLines {
		c.add(path+".lines", "%d is out of range: write 1 to %d", t.Lines, maxLines)
	}
	if t.LineHeight != 0 && !(t.LineHeight >= minLineHeight && t.LineHeight <= maxLineHeight) {
		c.add(path+".line_height", "%v is out of range: write %v to %d, %v is usual", t.LineHeight, minLineHeight, maxLineHeight, defaultLineHeight)
	}
	c.color(path+".outline.color", t.OutlineColor, true)
	if !(t.OutlineWidth >= 0 && t.OutlineWidth <= maxOutline) {
		c.add(path+".outline.width", "%v is out of range: write up to %d pixels", t.OutlineWidth, maxOutline)
	}
	c.color(path+".shadow.color", t.ShadowColor, true)
	if t.ShadowX < -maxShadow || t.ShadowX > maxShadow || t.ShadowY < -maxShadow || t.ShadowY > maxShadow {
		c.add(path+".shadow.offset", "[%d, %d] is out of range: up to %d pixels to any side", t.ShadowX, t.ShadowY, maxShadow)
	}
	if t.ShadowBlur < 0 || t.ShadowBlur > maxBlur {
		c.add(path+".shadow.blur", "%d is out of range: write up to %d pixels", t.ShadowBlur, maxBlur)
	}
	if t.Font != "" && !isFont(t.Font) {
		c.add(path+".font", "%q is no font: write the name of an uploaded .ttf or .otf", t.Font)
	}
	return len(c.problems) == before
}

// variables asks that every {{variable}} is known and none is left open.
func (c *checker) variables(field, value string) {
	for _, p := range parts(value) {
		switch {
		case p.variable == "" && (strings.Contains(p.literal, "{{") || strings.Contains(p.literal, "}}")):
			c.add(field, "has a brace too many or too few: variables are written {{nickname}}")
		case p.variable != "" && !c.t.knows(p.variable):
			known := append([]string{varNickname, varCode, varLink}, c.t.Variables...)
			c.add(field, "{{%s}} is not known: write one of {{%s}}", p.variable, strings.Join(known, "}}, {{"))
		}
	}
}

func (c *checker) qr(path string, q *QR) {
	dark, light := colorOr(q.Dark, black), colorOr(q.Light, white)
	switch {
	case !c.color(path+".dark", q.Dark, false) || !c.color(path+".light", q.Light, false):
	case contrast(dark, light) < 1:
		c.add(path+".dark", "is lighter than light; many readers want dark on light: exchange the two")
	case contrast(dark, light) < minContrast:
		c.add(path+".dark", "has a contrast of %.1f to light; readers want at least %d: make it darker", contrast(dark, light), minContrast)
	}
	level := q.level()
	if !c.oneOf(path+".level", q.Level, "L", "M", "Q", "H") {
		return
	}
	if q.Logo != "" && level != "Q" && level != "H" {
		c.add(path+".level", "%s cannot make up for the logo's modules: write Q or H", level)
	}
	if !c.inside(path+".at", q.X, q.Y, q.Size) {
		return
	}
	n, err := expectedModules(c.t.linkLength(), level)
	if err != nil {
		c.add(path+".level", "%s holds no link of %d characters: take a lower level or shorter links", level, c.t.linkLength())
		return
	}
	if module := moduleSize(q.Size, n, c.t.Width); module*shownWidth < minModule*c.t.Width {
		c.add(path+".size",
			"%d is too small to be read: a code for %d characters has %d modules a side with its margin, each would be %.1f pixels at %d pixels of poster width, less than %d; make it at least %d",
			q.Size, c.t.linkLength(), n+2*quietZone, shown(module, c.t.Width), shownWidth, minModule,
			sizeFor(minModule, n, c.t.Width))
	}
}

// shown is how wide a module of whole pixels is when the poster is shown.
func shown(module, width int) float64 { return float64(module) * shownWidth / float64(max(1, width)) }

// sizeFor is the smallest size of a code of n modules a side that are at least module pixels when shown.
func sizeFor(module, n, width int) int {
	return (module*width + shownWidth - 1) / shownWidth * (n + 2*quietZone)
}

func (c *checker) avatar(path string, a *Avatar) {
	c.oneOf(path+".shape", a.Shape, "circle", "rounded", "square")
	if a.Size < minAvatar || a.Size > maxAvatar {
		c.add(path+".size", "%d is out of range: write %d to %d pixels", a.Size, minAvatar, maxAvatar)
		return
	}
	c.inside(path+".at", a.X, a.Y, a.Size)
}

func (c *checker) image(path string, m *Image) {
	if m.Source == "" {
		c.add(path+".source", "is missing: write the name of an uploaded picture")
	}
	if m.Width < 0 || m.Height < 0 || m.Width > maxSide || m.Height > maxSide {
		c.add(path+".size", "%d x %d is out of range: up to %d pixels each, 0 for the picture's own", m.Width, m.Height, maxSide)
		return
	}
	// A picture may hang over the edge, and its own size is not known yet: its corner decides.
	c.touches(path+".at", m.X, m.Y, max(1, m.Width), max(1, m.Height))
}

func (c *checker) rect(path string, r *Rect) {
	if r.Color == "" {
		c.add(path+".color", "is missing: write one such as \"#FFFFFF\"")
	}
	c.color(path+".color", r.Color, true)
	if r.Width < 1 || r.Height < 1 || r.Width > maxSide || r.Height > maxSide {
		c.add(path+".size", "%d x %d is out of range: each side must be 1 to %d pixels", r.Width, r.Height, maxSide)
		return
	}
	if r.Radius < 0 || 2*r.Radius > min(r.Width, r.Height) {
		c.add(path+".radius", "%d is out of range: up to half the shorter side, %d", r.Radius, min(r.Width, r.Height)/2)
	}
	c.touches(path+".at", r.X, r.Y, r.Width, r.Height)
}

// color reports a colour that cannot be read; "" stands for the default.
func (c *checker) color(field, s string, alpha bool) bool {
	if s == "" {
		return true
	}
	if _, ok := parseColor(s); !ok || (!alpha && len(s) != 7) {
		c.add(field, "%q is no colour: write one such as \"#1A1A1A\"", s)
		return false
	}
	return true
}

// oneOf reports a word that is not among the known ones; "" stands for the default.
func (c *checker) oneOf(field, s string, known ...string) bool {
	if s == "" || slices.Contains(known, s) {
		return true
	}
	c.add(field, "%q is not known: write one of %s", s, strings.Join(known, ", "))
	return false
}

// inside asks for a square that lies on the canvas with all of its area.
func (c *checker) inside(field string, x, y, size int) bool {
	if size < 1 || size > maxSide || x < 0 || y < 0 || x > c.t.Width-size || y > c.t.Height-size {
		c.add(field, "[%d, %d] with size %d leaves the canvas of %d x %d", x, y, size, c.t.Width, c.t.Height)
		return false
	}
	return true
}

// touches asks for a rectangle that shows at least in part.
func (c *checker) touches(field string, x, y, w, h int) {
	if x >= c.t.Width || y >= c.t.Height || x <= -w || y <= -h {
		c.add(field, "[%d, %d] lies outside the canvas of %d x %d", x, y, c.t.Width, c.t.Height)
	}
}

func square(x, y, size int) image.Rectangle { return image.Rect(x, y, x+size, y+size) }

// box is where the layer draws; a picture of its own size counts as a point.
func (l Layer) box(t *Template) image.Rectangle {
	switch {
	case l.Text != nil:
		return l.Text.box(t.Width)
	case l.QR != nil:
		return square(l.QR.X, l.QR.Y, l.QR.Size)
	case l.Avatar != nil:
		return square(l.Avatar.X, l.Avatar.Y, l.Avatar.Size)
	case l.Image != nil:
		return image.Rect(l.Image.X, l.Image.Y, l.Image.X+max(1, l.Image.Width), l.Image.Y+max(1, l.Image.Height))
	case l.Rect != nil:
		return image.Rect(l.Rect.X, l.Rect.Y, l.Rect.X+l.Rect.Width, l.Rect.Y+l.Rect.Height)
	}
	return image.Rectangle{}
}
