package demo

import (
	"bytes"
	"fmt"
	"image"
	_ "image/jpeg" // posters are JPEG
	_ "image/png"  // or PNG

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// readQR reads the QR code in a picture, with a library that has nothing to do with the one that drew it. That
// library takes patterns within the data for a corner in about three of a thousand codes, which other readers read
// well; held another way the same code reads, so it is tried like a phone that is turned.
func readQR(picture []byte) (string, error) {
	img, _, err := image.Decode(bytes.NewReader(picture))
	if err != nil {
		return "", fmt.Errorf("not a picture: %w", err)
	}
	if light := brightness(img); light != nil {
		bitmap, err := gozxing.NewBinaryBitmap(gozxing.NewHybridBinarizer(light))
		if err != nil {
			return "", fmt.Errorf("not a picture: %w", err)
		}
		if result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil); err == nil {
			return result.GetText(), nil
		}
	}
	bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		return "", fmt.Errorf("not a picture: %w", err)
	}
	for turn := 0; ; turn++ {
		result, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err == nil {
			return result.GetText(), nil
		}
		if turn == 3 {
			return "", fmt.Errorf("no QR code can be read in the picture: %w", err)
		}
		if bitmap, err = bitmap.RotateCounterClockwise(); err != nil {
			return "", err
		}
	}
}

// brightness is a JPEG's own plane of it, which spares asking for the colour of every pixel; nil for other pictures.
func brightness(img image.Image) gozxing.LuminanceSource {
	p, ok := img.(*image.YCbCr)
	if !ok {
		return nil
	}
	r := p.Rect
	light, err := gozxing.NewPlanarYUVLuminanceSource(p.Y[p.YOffset(r.Min.X, r.Min.Y):], p.YStride, r.Dy(), 0, 0, r.Dx(), r.Dy(), false)
	if err != nil {
		return nil
	}
	return light
}
