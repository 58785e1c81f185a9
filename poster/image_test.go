package poster_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"os"
	"strings"
	"testing"

	"kfactor/internal/fault"
	"kfactor/poster"
)

// header is a PNG that claims a size and has nothing to show for it.
func header(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
	b = binary.BigEndian.AppendUint32(b, w)
	b = binary.BigEndian.AppendUint32(b, h)
	b = append(b, 8, 2, 0, 0, 0)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
}

// turned is a JPEG, red on its left half, with an EXIF orientation.
func turned(orientation uint16) []byte {
	img := image.NewRGBA(image.Rect(0, 0, 64, 32))
	for y := range 32 {
		for x := range 64 {
			img.SetRGBA(x, y, color.RGBA{B: 255, A: 255})
			if x < 32 {
				img.SetRGBA(x, y, color.RGBA{R: 255, A: 255})
			}
		}
	}
	plain := encodeJPEG(img)
	exif := []byte("Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01")
	exif = binary.BigEndian.AppendUint16(exif, orientation)
	exif = append(exif, 0, 0, 0, 0, 0, 0)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe1}, uint16(len(exif)+2))
	return bytes.Join([][]byte{plain[:2], segment, exif, plain[2:]}, nil)
}

func TestDecodeImage(t *testing.T) {
	t.Run("AFiftyMegapixelPictureIsRefusedByItsHeader", func(t *testing.T) {
		huge := header(10000, 5000)
		used := testing.AllocsPerRun(5, func() {
			_, err := poster.DecodeImage(huge, poster.AssetLimits)
			if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "50.0 megapixels") {
				t.Errorf("got %v", err)
			}
		})
		if used > 50 {
			t.Errorf("took %v allocations", used)
		}
		template := spring()
		template.Background = "huge.png"
		_, err := poster.Compile(template, func(string) ([]byte, error) { return huge, nil })
		if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), "background: huge.png") {
			t.Errorf("as a background it gives %v", err)
		}
	})

	t.Run("TheRightWayUp", func(t *testing.T) {
		// Where the red half is to be: left, right, right, left, top, top, bottom, bottom.
		red := []image.Point{{8, 16}, {56, 16}, {56, 16}, {8, 16}, {16, 8}, {16, 8}, {16, 56}, {16, 56}}
		for i, at := range red {
			img, err := poster.DecodeImage(turned(uint16(i+1)), poster.AvatarLimits)
			if err != nil {
				t.Fatal(err)
			}
			if distance(img.At(at.X, at.Y), color.RGBA{R: 255, A: 255}) > 20 {
				t.Errorf("orientation %d: %v at %v of %v", i+1, img.At(at.X, at.Y), at, img.Bounds())
			}
		}
	})

	t.Run("ReadsWhatPeopleHave", func(t *testing.T) {
		var animated bytes.Buffer
		frame := image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.White, color.Black})
		if err := gif.EncodeAll(&animated, &gif.GIF{Image: []*image.Paletted{frame, frame}, Delay: []int{1, 1}}); err != nil {
			t.Fatal(err)
		}
		webp, err := base64.StdEncoding.DecodeString("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==") // one pixel
		if err != nil {
			t.Fatal(err)
		}
		for name, file := range map[string][]byte{
			"png": encodePNG(gradient(8, 8)), "jpeg": encodeJPEG(gradient(8, 8)), "gif": animated.Bytes(), "webp": webp,
			"grey": encodeJPEG(image.NewGray(image.Rect(0, 0, 8, 8))), "16 bit": encodePNG(image.NewNRGBA64(image.Rect(0, 0, 8, 8))),
		} {
			if _, err := poster.DecodeImage(file, poster.AvatarLimits); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	})

	t.Run("SaysWhatIsWrong", func(t *testing.T) {
		whole := encodePNG(gradient(64, 64))
		scans := append(encodeJPEG(gradient(8, 8)), bytes.Repeat([]byte{0xff, 0xda}, 100)...)
		for name, bad := range map[string]struct {
			file []byte
			kind fault.Kind
		}{
			"nothing":    {nil, fault.Unsupported},
			"text":       {[]byte("GIF9 hello"), fault.Unsupported},
			"a page":     {[]byte("<html>"), fault.Unsupported},
			"cut":        {whole[:len(whole)/2], fault.Invalid},
			"no pixels":  {header(0, 0), fault.Invalid},
			"much":       {make([]byte, 11<<20), fault.TooLarge},
			"many scans": {scans, fault.Invalid},
		} {
			if _, err := poster.DecodeImage(bad.file, poster.AssetLimits); fault.KindOf(err) != bad.kind {
				t.Errorf("%s gives %v, want %s", name, err, bad.kind)
			}
		}
	})
}

func TestCheckAsset(t *testing.T) {
	font, err := os.ReadFile("fonts/NotoSansSC-Bold.ttf")
	if err != nil {
		t.Fatal(err)
	}
	picture := encodePNG(gradient(64, 64))
	for _, asset := range []struct {
		name string
		file []byte
		kind fault.Kind // "" for fine
	}{
		{"autumn.png", picture, ""},
		{"秋.JPG", encodeJPEG(gradient(64, 64)), ""},
		{"brand.ttf", font, ""},
		{"brand.otf", font[:2000], fault.Invalid},
		{"brand.ttf", picture, fault.Invalid},
		{"autumn.png", font, fault.Unsupported},
		{"autumn.gif", []byte("GIF89a"), fault.Unsupported},
		{"autumn.jpg", []byte("GIF89a"), fault.Invalid},
		{"autumn.svg", []byte("<svg/>"), fault.Unsupported},
		{"autumn.png", header(10000, 5000), fault.TooLarge},
		{"autumn.png", make([]byte, 10<<20+1), fault.TooLarge},
		{"autumn.png", nil, fault.Unsupported},
	} {
		err := poster.CheckAsset(asset.name, asset.file)
		if got := fault.KindOf(err); (asset.kind == "") != (err == nil) || (err != nil && got != asset.kind) {
			t.Errorf("%s of %d bytes gives %v, want %q", asset.name, len(asset.file), err, asset.kind)
		}
	}
}
