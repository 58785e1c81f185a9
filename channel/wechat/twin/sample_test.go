package twin

import (
	"bytes"
	"image"
	"image/color"
	"io"
	"mime/multipart"
	"regexp"
	"testing"
)

var ridPattern = regexp.MustCompile(` rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}$`)

// picture is a small JPEG.
func picture(t testing.TB) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 40, 60))
	for i := range 40 {
		img.Set(i, i, color.White)
	}
	return asJPEG(img)
}

func multipartOf(t testing.TB, field, name string, file []byte) (body io.Reader, contentType string) {
	t.Helper()
	var out bytes.Buffer
	form := multipart.NewWriter(&out)
	part, err := form.CreateFormFile(field, name)
	if err != nil {
		t.Fatal(err)
	}
	part.Write(file)
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return &out, form.FormDataContentType()
}
