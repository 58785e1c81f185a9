package poster

import (
	"hash/fnv"
	"image"
	"image/color"
	"unicode"

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
	area       image.Rectangle
	mask       *image.Alpha // the shape, of the area's size
	silhouette *image.RGBA  // for people of whom nothing can be shown
}

func newAvatarLayer(a *Avatar) *avatarLayer {
	return &avatarLayer{
		area:       square(a.X, a.Y, a.Size),
		mask:       shape(a.Shape, a.Size),
		silhouette: silhouette(a.Size),
	}
}

func (a *avatarLayer) static() bool         { return false }
func (a *avatarLayer) box() image.Rectangle { return a.area }

// draw prints the picture, or what stands in for it: no poster fails for want of one.
func (a *avatarLayer) draw(p *painter, to *image.RGBA, person *Person) error {
	draw.DrawMask(to, a.area, a.portrait(p, person), image.Point{}, a.mask, image.Point{}, draw.Over)
	return nil
}

func (a *avatarLayer) portrait(p *painter, person *Person) *image.RGBA {
	side := a.area.Dx()
	if !p.decoded {
		p.decoded = true
		// A picture that cannot be read is as good as none.
		p.picture, _ = DecodeImage(person.Avatar, AvatarLimits)
	}
	if p.picture != nil {
		return cover(p.picture, side, side, white)
	}
	first, ok := initial(p.types.fonts.clusters(&p.types.seg, clean(person.Nickname, asName), heavyOrder[:], 0))
	if !ok {
		return a.silhouette
	}
	ground := image.NewRGBA(image.Rect(0, 0, side, side))
	draw.Draw(ground, ground.Rect, image.NewUniform(initialColor(person.Nickname)), image.Point{}, draw.Src)
	size := float64(side) * 0.5
	l := p.types.shape([]cluster{first}, size)
	top := float64(side) * 0.25
	p.drawLine(ground, ground.Rect, l, (side-l.width.Round())/2, int(top+size*ascent+0.5), white)
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

// silhouette is a head and shoulders in grey.
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
