package poster

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"io"
	"slices"
	"strings"
	"sync"

	"kfactor/internal/fault"
)

// Press prints the posters of one template. It does not change once compiled, and any number of goroutines may
// print at the same time.
//
// What is the same on every poster is drawn and encoded once. For a person only the layers that name a variable are
// drawn, and what they touched is encoded and spliced into the rest (docs/posters.md).
type Press struct {
	format string
	layers []placed
	cache  *glyphCache
	fonts  *fontSet
	files  sync.Pool // of *[]byte

	jpeg jpegForm
	png  pngForm
}

// layer draws one thing.
type layer interface {
	static() bool         // the same for everybody
	box() image.Rectangle // draws nothing outside
	draw(p *painter, to canvas, person *Person) error
}

// placed is a layer that is drawn for every poster: one that differs, or a static one above such layers.
type placed struct {
	layer
	parts []image.Rectangle // where a static layer lies above others; nil for one that differs
}

// painter is what one goroutine needs to draw posters, one at a time.
type painter struct {
	types *typesetter
	cache *glyphCache
	dark  darkroom
	code  modules
	name  []byte

	// Of the person whose poster it is:
	person  Person
	hashed  bool
	sum     [32]byte    // of the picture's file
	decoded bool        // the picture has been looked at
	picture image.Image // nil for none that can be shown
}

// Compile makes a press: it checks the template, reads the assets it names and draws what is the same on every
// poster. A template with problems gives a fault with the fields of Check; so do assets that are missing or broken.
func Compile(t Template, assets Assets) (*Press, error) {
	if problems := Check(t); len(problems) > 0 {
		return nil, fault.Fields("the poster cannot be printed", problems...)
	}
	fonts, err := loadFonts()
	if err != nil {
		return nil, fmt.Errorf("embedded fonts: %w", err)
	}
	if fonts, err = fonts.with(&t, assets); err != nil {
		return nil, err
	}
	p := &Press{format: t.format(), cache: newCache[glyphKey, picture](glyphCacheBytes), fonts: fonts}
	p.files.New = func() any { return new([]byte) }

	brush := &painter{types: fonts.borrow(), cache: p.cache}
	defer fonts.giveBack(brush.types)
	base, err := p.lay(&t, assets, brush)
	if err != nil {
		return nil, err
	}
	sample := sampleOf(&t)
	p.jpeg = jpegForm{press: p, quality: t.quality(), ratio: t.ratio(), sample: sample, source: base}
	p.png = pngForm{press: p, sample: sample, base: base}
	// The other format's form is made when somebody asks for it: many never do, and its pixels take much memory.
	if p.format == "png" {
		return p, p.png.make()
	}
	if p.png.packed, err = pack(base); err != nil {
		return nil, err
	}
	p.png.base = nil
	return p, p.jpeg.make()
}

// lay draws the static layers on the base and keeps the others. Where a static layer lies above one that differs it
// is kept too, and drawn for every poster.
func (p *Press) lay(t *Template, assets Assets, brush *painter) (*image.RGBA, error) {
	room := image.Rect(0, 0, t.Width, t.Height)
	studio := &studio{template: t, assets: assets, canvas: room, layers: map[int]layer{}}
	for _, l := range t.Layers {
		if l.Avatar != nil {
			studio.avatars++
		}
	}
	base, err := studio.background()
	if err != nil {
		return nil, err
	}
	to, differs := newRGBACanvas(base), newMosaic(room)
	add := func(l layer) error {
		if !l.static() {
			p.layers = append(p.layers, placed{layer: l})
			differs.take(l.box())
			return nil
		}
		above := differs.parts(l.box(), true)
		below := []image.Rectangle{room}
		if len(above) > 0 {
			below = differs.parts(l.box(), false)
			l = lasting(l, above)
			p.layers = append(p.layers, placed{layer: l, parts: above})
		}
		for _, part := range below {
			to.window(part)
			if err := l.draw(brush, to, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range t.Layers {
		made, err := studio.layer(i, brush)
		if err != nil {
			return nil, err
		}
		if code, ok := made.(*qrLayer); ok {
			if err := add(code.ground()); err != nil {
				return nil, err
			}
		}
		if err := add(made); err != nil {
			return nil, err
		}
	}
	return base, nil
}

// Print writes a person's poster. The format is "jpeg" or "png", "" is the template's own. A missing name or
// picture is made up for; a link that the QR code cannot hold is a fault.
func (p *Press) Print(w io.Writer, format string, person Person) error {
	file := p.files.Get().(*[]byte) //nolint:forcetypeassert // nothing else is pooled
	defer p.files.Put(file)
	printed, err := p.Append((*file)[:0], format, person)
	if err != nil {
		return err
	}
	*file = printed
	_, err = w.Write(printed)
	return err
}

// Append appends the file that Print writes, and returns both as append does.
func (p *Press) Append(dst []byte, format string, person Person) ([]byte, error) {
	if format == "" {
		format = p.format
	}
	switch format {
	case "jpeg":
		return p.jpeg.append(dst, person)
	case "png":
		return p.png.append(dst, person)
	}
	return dst, fault.New(fault.Unsupported, "posters are printed as jpeg or png, not as %q", format)
}

// paint draws the layers that are drawn for every poster. Without a person it draws the static ones alone.
func (p *Press) paint(brush *painter, to canvas, person *Person) error {
	brush.types = p.fonts.borrow()
	brush.hashed, brush.decoded, brush.picture = false, false, nil
	defer p.fonts.giveBack(brush.types)
	for _, l := range p.layers {
		if l.parts == nil {
			if person == nil {
				continue
			}
			if err := l.draw(brush, to, person); err != nil {
				return err
			}
			continue
		}
		to.above(true)
		for _, part := range l.parts {
			to.window(part)
			if err := l.draw(brush, to, person); err != nil {
				return err
			}
		}
		to.window(to.bounds())
		to.above(false)
	}
	return nil
}

// paintFor paints a person's poster. The person lies with the brush meanwhile, or each would be a piece of memory anew.
func (p *Press) paintFor(brush *painter, to canvas, person Person) error {
	brush.person = person
	err := p.paint(brush, to, &brush.person)
	brush.person = Person{}
	return err
}

// overlaid says whether static layers lie above others.
func (p *Press) overlaid() bool {
	return slices.ContainsFunc(p.layers, func(l placed) bool { return l.parts != nil })
}

// lasting makes a static layer ready to be drawn for every poster, in these parts only.
func lasting(l layer, parts []image.Rectangle) layer {
	if picture, ok := l.(*imageLayer); ok {
		var all image.Rectangle
		for _, part := range parts {
			all = all.Union(part)
		}
		return picture.trimmed(all)
	}
	return l
}

// sampleOf is somebody whose poster is like most, to fit the codes of the files to.
func sampleOf(t *Template) Person {
	sample := Person{Code: "7K2M9QX4TB", Nickname: "小林 Anna", Avatar: sampleAvatar(), Fields: map[string]string{}}
	sample.Link = ("https://example.cn/r/" + strings.Repeat("7K2M9QX4TB", t.linkLength()/10+1))[:t.linkLength()]
	for _, name := range t.Variables {
		sample.Fields[name] = "示例 Sample"
	}
	return sample
}

// sampleAvatar is a picture with soft and sharp parts.
var sampleAvatar = sync.OnceValue(func() []byte {
	const side = 132
	m := image.NewRGBA(image.Rect(0, 0, side, side))
	noise := uint32(1)
	for y := range side {
		for x := range side {
			noise = noise*1664525 + 1013904223
			grain := int(noise>>29) - 4
			v := 96 + x/2 + y/4 + grain
			if (x-66)*(x-66)+(y-56)*(y-56) < 36*36 {
				v += 60 - y/3
			}
			m.SetRGBA(x, y, color.RGBA{R: clip(int32(v + 30)), G: clip(int32(v)), B: clip(int32(v - 24)), A: 255})
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 85}); err != nil {
		return nil // the initial does as well
	}
	return b.Bytes()
})
