package poster

import (
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"sync"

	"kfactor/internal/fault"
)

// Press prints the posters of one template. It does not change once compiled, and any number of goroutines may
// print at the same time.
type Press struct {
	format   string
	quality  int
	base     *image.RGBA // what is the same on every poster
	layers   []layer     // what is not, and what lies above that
	cache    *glyphCache
	fonts    *fontSet
	canvases sync.Pool // of *image.RGBA
	buffers  pngBuffers
}

// layer draws one thing.
type layer interface {
	static() bool         // the same for everybody
	box() image.Rectangle // draws nothing outside
	draw(p *painter, to *image.RGBA, person *Person) error
}

// painter is what one goroutine needs to draw one poster.
type painter struct {
	types   *typesetter
	cache   *glyphCache
	decoded bool        // the person's picture has been looked at
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
	p := &Press{
		format:  t.format(),
		quality: t.quality(),
		cache:   &glyphCache{},
		fonts:   fonts,
	}
	p.canvases.New = func() any { return image.NewRGBA(image.Rect(0, 0, t.Width, t.Height)) }

	brush := &painter{types: fonts.borrow(), cache: p.cache}
	defer fonts.giveBack(brush.types)
	studio := &studio{template: &t, assets: assets, canvas: image.Rect(0, 0, t.Width, t.Height), layers: map[int]layer{}}
	if p.base, err = studio.background(); err != nil {
		return nil, err
	}
	for i := range t.Layers {
		made, err := studio.layer(i, brush)
		if err != nil {
			return nil, err
		}
		if made.static() && !p.covers(made.box()) {
			if err := made.draw(brush, p.base, nil); err != nil {
				return nil, err
			}
			continue
		}
		p.layers = append(p.layers, made)
	}
	return p, nil
}

// covers says whether something that differs between posters may lie below the box.
func (p *Press) covers(box image.Rectangle) bool {
	for _, l := range p.layers {
		if l.box().Overlaps(box) {
			return true
		}
	}
	return false
}

// Print writes a person's poster. The format is "jpeg" or "png", "" is the template's own. A missing name or
// picture is made up for; a link that the QR code cannot hold is a fault.
func (p *Press) Print(w io.Writer, format string, person Person) error {
	if format == "" {
		format = p.format
	}
	if format != "jpeg" && format != "png" {
		return fault.New(fault.Unsupported, "posters are printed as jpeg or png, not as %q", format)
	}
	canvas := p.canvases.Get().(*image.RGBA) //nolint:forcetypeassert // nothing else is pooled
	defer p.canvases.Put(canvas)
	if err := p.paint(canvas, &person); err != nil {
		return err
	}
	if format == "png" {
		// The best compression takes five times as long for a tenth of the bytes.
		encoder := png.Encoder{CompressionLevel: png.BestSpeed, BufferPool: &p.buffers}
		return encoder.Encode(w, canvas)
	}
	return jpeg.Encode(w, canvas, &jpeg.Options{Quality: p.quality})
}

// paint draws a person's poster over whatever the canvas held.
func (p *Press) paint(canvas *image.RGBA, person *Person) error {
	brush := &painter{types: p.fonts.borrow(), cache: p.cache}
	defer p.fonts.giveBack(brush.types)
	copy(canvas.Pix, p.base.Pix)
	for _, l := range p.layers {
		if err := l.draw(brush, canvas, person); err != nil {
			return err
		}
	}
	return nil
}

// pngBuffers keeps the PNG encoder's scratch memory.
type pngBuffers struct{ pool sync.Pool }

func (b *pngBuffers) Get() *png.EncoderBuffer {
	buffer, _ := b.pool.Get().(*png.EncoderBuffer)
	return buffer
}

func (b *pngBuffers) Put(buffer *png.EncoderBuffer) { b.pool.Put(buffer) }
