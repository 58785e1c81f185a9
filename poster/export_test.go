package poster

import (
	"image"

	"kfactor/poster/baseline"
)

// AppendWhole is Append without splicing: the same layers on the same planes, and all of them encoded.
func (p *Press) AppendWhole(dst []byte, person Person) ([]byte, error) {
	err := p.onPlanes(person, func(s *jpegSheet) { dst = p.jpeg.plate.Encoder().Encode(dst, s.Planes) })
	return dst, err
}

// Planes gives a copy of the planes of a person's poster.
func (p *Press) Planes(person Person) (planes *baseline.Planes, err error) {
	err = p.onPlanes(person, func(s *jpegSheet) { planes = s.Clone() })
	return planes, err
}

// Pixels gives a copy of the pixels of a person's poster.
func (p *Press) Pixels(person Person) (*image.RGBA, error) {
	if err := p.png.make(); err != nil {
		return nil, err
	}
	s := p.png.sheet()
	err := p.paint(&s.brush, s, &person)
	return s.img, err
}

// onPlanes draws a person's poster and does something with it.
func (p *Press) onPlanes(person Person, do func(s *jpegSheet)) error {
	if err := p.jpeg.make(); err != nil {
		return err
	}
	s := p.jpeg.sheets.Get().(*jpegSheet)
	defer p.jpeg.sheets.Put(s)
	defer s.restore(p.jpeg.base)
	if err := p.paint(&s.brush, s, &person); err != nil {
		return err
	}
	do(s)
	return nil
}
