package poster

import (
	"bytes"
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

// Encoded gives the units of a person's poster that are encoded for it, the others being copied.
func (p *Press) Encoded(person Person) (units []image.Rectangle, err error) {
	err = p.onPlanes(person, func(s *jpegSheet) {
		static := p.jpeg.plate.Static()
		for u := range s.changed.Len() {
			r := s.changed.Rect(u)
			if s.changed.Has(u) && !equalIn(s.Planes, static, r) {
				units = append(units, r)
			}
		}
	})
	return units, err
}

func equalIn(a, b *baseline.Planes, r image.Rectangle) bool {
	for y := r.Min.Y; y < r.Max.Y; y++ {
		if i := y*a.YStride + r.Min.X; !bytes.Equal(a.Y[i:i+r.Dx()], b.Y[i:i+r.Dx()]) {
			return false
		}
	}
	for y := r.Min.Y / 2; y < r.Max.Y/2; y++ {
		i := y*a.CStride + r.Min.X/2
		if n := r.Dx() / 2; !bytes.Equal(a.Cb[i:i+n], b.Cb[i:i+n]) || !bytes.Equal(a.Cr[i:i+n], b.Cr[i:i+n]) {
			return false
		}
	}
	return true
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
