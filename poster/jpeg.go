package poster

import (
	"image"
	"sync"

	"kfactor/poster/baseline"
)

// jpegForm is what a press prints JPEG files with.
type jpegForm struct {
	press   *Press
	quality int
	ratio   baseline.Ratio
	source  *image.RGBA // until the form is made
	sample  Person
	once    sync.Once
	err     error

	base   *baseline.Planes // without what static layers draw above others
	plate  *baseline.Plate
	sheets sync.Pool // of *jpegSheet
}

// jpegSheet is what one goroutine prints on.
type jpegSheet struct {
	planesCanvas
	brush painter
}

// make draws and encodes what all posters share.
func (f *jpegForm) make() error {
	f.once.Do(func() { f.err = f.fit() })
	return f.err
}

func (f *jpegForm) fit() error {
	f.base, f.source = baseline.FromRGBA(f.source, f.ratio), nil
	f.sheets.New = func() any { return f.sheet() }
	static, s := f.base, f.sheet()
	if f.press.overlaid() { // the poster that nobody's part touches is not the base
		static = f.base.Clone()
		if err := f.press.paint(&s.brush, newPlanesCanvas(static), nil); err != nil {
			return err
		}
	}
	var samples []*baseline.Planes
	if err := f.press.paint(&s.brush, s, &f.sample); err == nil {
		samples = append(samples, s.Planes)
	}
	plate, err := baseline.NewPlate(static, f.quality, samples...)
	if err != nil {
		return err
	}
	f.plate = plate
	s.restore(f.base)
	f.sheets.Put(s)
	return nil
}

func (f *jpegForm) sheet() *jpegSheet {
	s := &jpegSheet{planesCanvas: *newPlanesCanvas(f.base.Clone()), brush: painter{cache: f.press.cache}}
	s.changed = s.NewUnits()
	return s
}

// append appends a person's poster.
func (f *jpegForm) append(dst []byte, person Person) ([]byte, error) {
	if err := f.make(); err != nil {
		return dst, err
	}
	s := f.sheets.Get().(*jpegSheet) //nolint:forcetypeassert // nothing else is pooled
	err := f.press.paintFor(&s.brush, s, person)
	if err == nil {
		dst = f.plate.Append(dst, s.Planes, s.changed)
	}
	s.restore(f.base)
	f.sheets.Put(s)
	return dst, err
}
