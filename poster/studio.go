package poster

import (
	"fmt"
	"image"
	"strings"

	"golang.org/x/image/draw"

	"kfactor/internal/fault"
)

// maxDrawn bounds what the picture layers of a template cover together, in pixels: some of them stay in memory as
// long as the press does. Four of the largest canvas are fewer.
const maxDrawn = 4 * maxSide * maxSide

// studio makes the layers of a template. A decoded asset may be a hundred times as large as what of it is printed, so
// each is decoded once, everything that shows it is made from it, and it is let go before the next one.
type studio struct {
	template *Template
	assets   Assets
	canvas   image.Rectangle
	layers   map[int]layer // made ahead, because an earlier layer or the background shows the same asset
	drawn    int           // pixels of picture layers so far
	avatars  int
}

// background draws the lowest layer.
func (s *studio) background() (*image.RGBA, error) {
	t := s.template
	if t.Background == "" || strings.HasPrefix(t.Background, "#") {
		base := image.NewRGBA(s.canvas)
		draw.Draw(base, base.Rect, image.NewUniform(colorOr(t.Background, white)), image.Point{}, draw.Src)
		return base, nil
	}
	img, err := s.load("background", t.Background)
	if err != nil {
		return nil, err
	}
	if err := s.show(t.Background, img); err != nil {
		return nil, err
	}
	return cover(img, t.Width, t.Height, white), nil
}

// layer makes the layer of that number, each once.
func (s *studio) layer(i int, brush *painter) (layer, error) {
	if field, name := s.picture(i); name != "" && s.layers[i] == nil {
		img, err := s.load(field, name)
		if err != nil {
			return nil, err
		}
		if err := s.show(name, img); err != nil {
			return nil, err
		}
	}
	if made := s.layers[i]; made != nil {
		delete(s.layers, i)
		return made, nil
	}
	switch l := s.template.Layers[i]; {
	case l.Text != nil:
		return newTextLayer(l.Text, s.canvas.Dx(), brush.types, brush.types.fonts.named(l.Text.Font)), nil
	case l.QR != nil:
		return newQRLayer(l.QR, nil), nil
	case l.Avatar != nil:
		return newAvatarLayer(l.Avatar, s.avatars), nil
	default:
		return newRectLayer(l.Rect), nil
	}
}

// picture names the asset that a layer shows, "" for none, and the field that says so.
func (s *studio) picture(i int) (field, name string) {
	switch l := s.template.Layers[i]; {
	case l.QR != nil:
		return fmt.Sprintf("layers[%d].qr.logo", i), l.QR.Logo
	case l.Image != nil:
		return fmt.Sprintf("layers[%d].image.source", i), l.Image.Source
	}
	return "", ""
}

// show makes all layers that show the asset.
func (s *studio) show(name string, img image.Image) error {
	for i, l := range s.template.Layers {
		if field, shown := s.picture(i); shown == name && l.Image != nil {
			area := l.Image.place(img).Intersect(s.canvas)
			if s.drawn += area.Dx() * area.Dy(); s.drawn > maxDrawn {
				return problem(field, fault.New(fault.TooLarge,
					"the pictures on the poster cover more than %d megapixels together; use fewer or smaller ones", maxDrawn/1_000_000))
			}
		}
	}
	for i, l := range s.template.Layers {
		switch _, shown := s.picture(i); {
		case shown != name:
		case l.QR != nil:
			s.layers[i] = newQRLayer(l.QR, img)
		default:
			s.layers[i] = newImageLayer(l.Image, img, s.canvas)
		}
	}
	return nil
}

// load reads a picture among the assets; field is named when that fails.
func (s *studio) load(field, name string) (image.Image, error) {
	file, failure := read(s.assets, name)
	if failure != nil {
		return nil, problem(field, failure)
	}
	img, err := DecodeImage(file, AssetLimits)
	if err != nil {
		return nil, problem(field, fault.Wrap(fault.KindOf(err), err, "%s: %v", name, err))
	}
	return img, nil
}

// read gives the bytes of an asset.
func read(assets Assets, name string) ([]byte, *fault.Error) {
	if assets == nil {
		return nil, fault.New(fault.NotFound, "%s is missing: upload it", name)
	}
	file, err := assets(name)
	if err != nil {
		return nil, fault.Wrap(fault.KindOf(err), err, "%s cannot be had: %v", name, err)
	}
	return file, nil
}

// problem names the field of the template that a failure belongs to.
func problem(field string, failure *fault.Error) *fault.Error {
	named := fault.Wrap(failure.Kind, failure, "the poster cannot be printed")
	named.Fields = []fault.Field{{Field: field, Message: failure.Message}}
	return named
}
