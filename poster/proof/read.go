package proof

import (
	"fmt"
	"image"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// small is how wide a picture may be that is read enlarged as well, as phones do when they look closer.
const small = 480

// read says whether a reader that had no part in drawing the code finds this text in the picture. A phone looks many
// times a second and never quite the same way: here the picture is looked at in two ways of telling dark from light,
// turned, since the reader takes patterns within the data for a corner in about three of a thousand codes, and enlarged.
func read(m *image.Gray, text string) bool {
	look := func(m *image.Gray) bool {
		return attempt(m, gozxing.NewHybridBinarizer, text) || attempt(m, gozxing.NewGlobalHistgramBinarizer, text)
	}
	if look(m) || look(rotated(m)) || look(blurred(m)) {
		return true
	}
	if m.Rect.Dx() > small {
		return false
	}
	large := resized(m, 2*m.Rect.Dx(), 2*m.Rect.Dy())
	return look(large) || look(rotated(large))
}

// attempt reads once. A reader that panics has not read.
func attempt(m *image.Gray, binarizer func(gozxing.LuminanceSource) gozxing.Binarizer, text string) (read bool) {
	defer func() {
		if recover() != nil {
			read = false
		}
	}()
	found, err := decode(m, binarizer)
	return err == nil && found == text
}

func decode(m *image.Gray, binarizer func(gozxing.LuminanceSource) gozxing.Binarizer) (string, error) {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	source, err := gozxing.NewPlanarYUVLuminanceSource(m.Pix, m.Stride, h, 0, 0, w, h, false)
	if err != nil {
		return "", fmt.Errorf("a picture of %d x %d: %w", w, h, err)
	}
	bitmap, err := gozxing.NewBinaryBitmap(binarizer(source))
	if err != nil {
		return "", err
	}
	result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
	if err != nil {
		return "", err
	}
	return result.GetText(), nil
}
