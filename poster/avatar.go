package poster

import (
	"crypto/sha256"
	"hash/fnv"
	"image"
	"image/color"
	"unicode"
	"unicode/utf8"

	"github.com/fogleman/gg"
	"golang.org/x/image/draw"
)

// initialColors lie behind the white initials of people without a picture.
var initialColors = [...]color.NRGBA{
	{0xe5, 0x73, 0x73, 0xff},
	{0xf0, 0x62, 0x92, 0xff},
	{0xba, 0x68, 0xc8, 0xff},
	{0x79, 0x86, 0xcb, 0xff},
	{0x42, 0xa5, 0xf5, 0xff},
	{0x26, 0xa6, 0x9a, 0xff},
	{0x66, 0xbb, 0x6a, 0xff},
	{0xff, 0x8a, 0x65, 0xff},
	{0xa1, 0x88, 0x7f, 0xff},
	{0x78, 0x90, 0x9c, 0xff},
}

// avatarLayer prints a person's picture.
type avatarLayer struct {
	area           image.Rectangle
	mask           *image.Alpha // the shape, of the area's size
	planes, pixels album        // for JPEG and for PNG
}

// newAvatarLayer makes one of so many such layers of a poster.
func newAvatarLayer(a *Avatar, of int) *avatarLayer {
	limit := albumBytes / max(1, of)
	return &avatarLayer{
		area:   square(a.X, a.Y, a.Size),
		mask:   shape(a.Shape, a.Size),
		planes: album{limit: limit},
		pixels: album{limit: limit},
	}
}

func (a *avatarLayer) static() bool         { return false }
func (a *avatarLayer) box() image.Rectangle { return a.area }

// draw prints the picture, or what stands in for it: no poster fails for want of one.
func (a *avatarLayer) draw(p *painter, to canvas, person *Person) error {
	p.dark.print.shape(a.area.Dx(), to.form(a.area.Min))
	a.portray(p, person)
	to.touch(a.area)
	to.print(&p.dark.print, a.area.Min, a.mask)
	return nil
}

// portray makes the portrait in the darkroom's print.
func (a *avatarLayer) portray(p *painter, person *Person) {
	to, from := &p.dark.print, &a.planes
	if to.form.chroma == chromaRGB {
		from = &a.pixels
	}
	if len(person.Avatar) > 0 && p.portray(from, person) {
		return
	}
	first, ok := initial(p.types.fonts.clusters(&p.types.seg, clean(person.Nickname, asName), heavyOrder[:], 0))
	if !ok {
		first = cluster{}
	}
	tint := initialColor(person.Nickname)
	// Whose initial it is does not matter, only what it looks like.
	of := append(p.name[:0], 'i', tint.R, tint.G, tint.B, byte(first.face))
	for _, r := range first.runes {
		of = utf8.AppendRune(of, r)
	}
	p.name = of
	sum := sha256.Sum256(of)
	if known, _ := from.find(&sum, to); known {
		return
	}
	if ok {
		to.take(p.initial(first, tint, a.area.Dx()))
	} else {
		to.take(silhouette(a.area.Dx()))
	}
	from.keep(&sum, to, len(to.pix))
}

// portray makes the portrait from the person's picture. It reports false for one that cannot be shown.
func (p *painter) portray(from *album, person *Person) bool {
	to := &p.dark.print
	if !p.hashed {
		p.sum, p.hashed = sha256.Sum256(person.Avatar), true
	}
	if known, nothing := from.find(&p.sum, to); known {
		return !nothing
	}
	if !p.decoded {
		p.decoded = true
		// A picture that cannot be read is as good as none.
		p.picture, _ = DecodeImage(person.Avatar, AvatarLimits)
	}
	if p.picture == nil {
		from.keep(&p.sum, nil, len(to.pix))
		return false
	}
	p.dark.develop(p.picture, to)
	from.keep(&p.sum, to, len(to.pix))
	return true
}

// initial draws a character on a coloured ground.
func (p *painter) initial(first cluster, tint color.NRGBA, side int) *image.RGBA {
	ground := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(ground, ground.Rect, image.NewUniform(tint), image.Point{}, draw.Src)
	size := float64(side) * 0.5
	l := p.types.shape([]cluster{first}, size)
	top := float64(side) * 0.25
	p.drawLine(newRGBACanvas(ground), ground.Rect, l, (side-l.width.Round())/2, int(top+size*ascent+0.5), newInk(white))
	return ground
}

// initial is the character that stands for a name: its first letter or emoji, in upper case.
func initial(name []cluster) (cluster, bool) {
	for _, c := range name {
		r := c.runes[0]
		if c.face == emoji || unicode.IsLetter(r) || unicode.IsDigit(r) {
			if len(c.runes) == 1 {
				c.runes = []rune{unicode.ToUpper(r)}
			}
			return c, true
		}
	}
	return cluster{}, false
}

// initialColor is always the same for a name.
func initialColor(name string) color.NRGBA {
	h := fnv.New32a()
	h.Write([]byte(name))
	return initialColors[h.Sum32()%uint32(len(initialColors))]
}

// shape is a mask that lets a circle, a square or a square with round corners through.
func shape(kind string, size int) *image.Alpha {
	dc, side := gg.NewContext(size, size), float64(size)
	switch kind {
	case "square":
		dc.DrawRectangle(0, 0, side, side)
	case "rounded":
		dc.DrawRoundedRectangle(0, 0, side, side, side*0.18)
	default:
		dc.DrawCircle(side/2, side/2, side/2)
	}
	dc.Fill()
	return dc.AsMask()
}

// silhouette is a head and shoulders in grey, for people of whom nothing can be shown.
func silhouette(size int) *image.RGBA {
	dc, side := gg.NewContext(size, size), float64(size)
	dc.SetRGB255(0xc3, 0xc9, 0xd1)
	dc.Clear()
	dc.SetRGB255(0xf1, 0xf3, 0xf5)
	dc.DrawCircle(side*0.5, side*0.39, side*0.19)
	dc.Fill()
	dc.DrawEllipse(side*0.5, side*0.98, side*0.36, side*0.35)
	dc.Fill()
	img, _ := dc.Image().(*image.RGBA)
	return img
}
