package poster

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"sync"

	"golang.org/x/image/draw"

	"kfactor/poster/strips"
)

// pngForm is what a press prints PNG files with.
type pngForm struct {
	press  *Press
	packed []byte // the base as long as nobody asked for a PNG: a quarter of its size
	sample Person
	once   sync.Once
	err    error

	base   *image.RGBA // without what static layers draw above others
	plate  *strips.Plate
	sheets sync.Pool // of *pngSheet
}

// pngSheet is what one goroutine prints on.
type pngSheet struct {
	rgbaCanvas
	brush painter
}

// pack compresses pixels, fast rather than well.
func pack(m *image.RGBA) ([]byte, error) {
	var b bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := encoder.Encode(&b, m); err != nil {
		return nil, err
	}
	return bytes.Clone(b.Bytes()), nil
}

func unpack(packed []byte) (*image.RGBA, error) {
	img, err := png.Decode(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	if m, ok := img.(*image.RGBA); ok {
		return m, nil
	}
	m := image.NewRGBA(img.Bounds())
	draw.Draw(m, m.Rect, img, m.Rect.Min, draw.Src)
	return m, nil
}

// make draws and encodes what all posters share.
func (f *pngForm) make() error {
	f.once.Do(func() { f.err = f.fit() })
	return f.err
}

func (f *pngForm) fit() error {
	if f.base == nil {
		base, err := unpack(f.packed)
		if err != nil {
			return fmt.Errorf("the base of the poster: %w", err)
		}
		f.base, f.packed = base, nil
	}
	f.sheets.New = func() any { return f.sheet() }
	static, s := f.base, f.sheet()
	if f.press.overlaid() { // the poster that nobody's part touches is not the base
		static = clone(f.base)
		if err := f.press.paint(&s.brush, newRGBACanvas(static), nil); err != nil {
			return err
		}
	}
	var boxes []image.Rectangle
	for _, l := range f.press.layers {
		if l.parts == nil {
			boxes = append(boxes, l.box())
		}
	}
	var samples []*image.RGBA
	if err := f.press.paint(&s.brush, s, &f.sample); err == nil {
		samples = append(samples, s.img)
	}
	plate, err := strips.NewPlate(static, boxes, samples...)
	if err != nil {
		return err
	}
	f.plate = plate
	s.restore(f.base)
	f.sheets.Put(s)
	return nil
}

func (f *pngForm) sheet() *pngSheet {
	return &pngSheet{rgbaCanvas: *newRGBACanvas(clone(f.base)), brush: painter{cache: f.press.cache}}
}

func clone(m *image.RGBA) *image.RGBA {
	c := *m
	c.Pix = bytes.Clone(m.Pix)
	return &c
}

// append appends a person's poster.
func (f *pngForm) append(dst []byte, person Person) ([]byte, error) {
	if err := f.make(); err != nil {
		return dst, err
	}
	s := f.sheets.Get().(*pngSheet) //nolint:forcetypeassert // nothing else is pooled
	err := f.press.paintFor(&s.brush, s, person)
	if err == nil {
		dst = f.plate.Append(dst, s.img)
	}
	s.restore(f.base)
	f.sheets.Put(s)
	return dst, err
}
