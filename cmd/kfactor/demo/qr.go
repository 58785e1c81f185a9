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
