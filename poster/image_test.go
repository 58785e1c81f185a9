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
	"runtime"
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

// chunk is one of a PNG's.
func chunk(kind string, body ...byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	b = append(append(b, kind...), body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// claiming is a PNG whose header claims what it is, with a few bytes of pixels.
func claiming(w, h uint32, depth, kind, interlaced byte) []byte {
	body := binary.BigEndian.AppendUint32(nil, w)
	body = append(binary.BigEndian.AppendUint32(body, h), depth, kind, 0, 0, interlaced)
	return bytes.Join([][]byte{
		[]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", body...),
		chunk("IDAT", 0x78, 0x9c, 1, 2, 3, 4, 5, 6, 7, 8), chunk("IEND"),
	}, nil)
}

// framed is the beginning of a JPEG up to its frame header: three components, the first with the sampling.
func framed(w, h uint16, marker, sampling byte) []byte {
	b := []byte{0xff, 0xd8, 0xff, marker, 0, 17, 8}
	b = binary.BigEndian.AppendUint16(b, h)
	b = binary.BigEndian.AppendUint16(b, w)
	return append(b, 3, 1, sampling, 0, 2, 0x11, 0, 3, 0x11, 0, 0xff, 0xda, 0, 2)
}

func TestDecodeImage(t *testing.T) {
	t.Run("MemoryIsCountedByTheHeaderAlone", func(t *testing.T) {
		for name, heavy := range map[string]struct {
			file []byte
			says string
		}{
			"16 bit":                      {claiming(5000, 5000, 16, 6, 0), "191 MiB of memory, more than 160; save it as 8-bit"},
			"16 bit greys that show":      {claiming(9000, 4000, 16, 4, 0), "save it as 8-bit"},
			"interlaced":                  {claiming(6000, 6000, 8, 6, 1), "without interlacing"},
			"progressive":                 {framed(6000, 4000, 0xc2, 0x22), "172 MiB of memory, more than 160; save it as a baseline JPEG"},
			"progressive, nothing halved": {framed(4000, 3000, 0xc2, 0x11), "baseline"},
			"a JPEG of many pixels":       {framed(60000, 60000, 0xc0, 0x22), "megapixels"},
		} {
			used := testing.AllocsPerRun(2, func() {
				_, err := poster.DecodeImage(heavy.file, poster.AssetLimits)
				if fault.KindOf(err) != fault.TooLarge || !strings.Contains(err.Error(), heavy.says) {
					t.Errorf("%s gives %v, which does not say %q", name, err, heavy.says)
				}
			})
			if used > 100 {
				t.Errorf("%s took %v allocations", name, used)
			}
		}
		for name, light := range map[string][]byte{
			"8 bit": claiming(8000, 5000, 8, 6, 0), "16 bit greys": claiming(8000, 5000, 16, 0, 0),
			"baseline": framed(8000, 5000, 0xc0, 0x11), "progressive": framed(4000, 4000, 0xc2, 0x22),
		} {
			// They hold nothing, which is another failure.
			if _, err := poster.DecodeImage(light, poster.AssetLimits); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s gives %v", name, err)
			}
		}
	})

	t.Run("AFewBytesThatClaimALargePictureTakeNoMemory", func(t *testing.T) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := poster.DecodeImage(claiming(5000, 5000, 8, 6, 0), poster.AssetLimits)
		runtime.ReadMemStats(&after)
		if used := after.TotalAlloc - before.TotalAlloc; fault.KindOf(err) != fault.Invalid || used > 10<<20 {
			t.Errorf("gives %v and takes %d bytes", err, used)
		}
	})

	t.Run("OfMovingPicturesTheFirstFrameCounts", func(t *testing.T) {
		still := encodePNG(gradient(8, 8))
		moving := bytes.Join([][]byte{
			still[:33], chunk("acTL", 0, 0, 0, 2, 0, 0, 0, 0), chunk("fcTL", make([]byte, 26)...),
			still[33 : len(still)-12], chunk("fcTL", make([]byte, 26)...), chunk("fdAT", make([]byte, 30)...), chunk("IEND"),
		}, nil)
		img, err := poster.DecodeImage(moving, poster.AssetLimits)
		if err != nil || !same(img, gradient(8, 8)) {
			t.Errorf("gives %v, %v", img, err)
		}
	})

	t.Run("ThePrintersColoursComeOutRight", func(t *testing.T) {
		// Red, green, and white above black, in inverted YCCK as graphics programs write it.
		file, err := os.ReadFile("testdata/cmyk.jpg")
		if err != nil {
			t.Fatal(err)
		}
		img, err := poster.DecodeImage(file, poster.AssetLimits)
		if err != nil {
			t.Fatal(err)
		}
		for at, want := range map[image.Point]color.RGBA{
			{8, 8}: {255, 0, 0, 255}, {24, 8}: {0, 255, 0, 255}, {40, 3}: {255, 255, 255, 255}, {40, 12}: {0, 0, 0, 255},
		} {
			if got := img.At(at.X, at.Y); distance(got, want) > 40 {
				t.Errorf("at %v is %v, want %v", at, got, want)
			}
		}
		unmarked := append([]byte{0xff, 0xd8}, file[2+16:]...) // without the segment that says how the colours are meant
		if err := poster.CheckAsset("a.jpg", unmarked); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "save it as RGB") {
			t.Errorf("unmarked gives %v", err)
		}
	})

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
	spoilt := func(at int) []byte {
		b := bytes.Clone(picture)
		b[at] ^= 0x55
		return b
	}
	photo := encodeJPEG(gradient(64, 64))
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
		{"autumn.png", picture[:len(picture)/2], fault.Invalid},
		{"autumn.png", picture[:len(picture)-12], fault.Invalid}, // no end
		{"autumn.png", picture[:33], fault.Invalid},              // a header and nothing else
		{"autumn.png", spoilt(30), fault.Invalid},                // the header's checksum
		{"autumn.png", spoilt(60), fault.Invalid},                // a pixel
		{"autumn.png", spoilt(len(picture) - 1), fault.Invalid},  // the end's checksum
		{"autumn.png", spoilt(len(picture) - 14), fault.Invalid}, // the pixels' checksum
		{"autumn.png", claiming(5000, 5000, 8, 6, 0), fault.Invalid},
		{"autumn.png", claiming(5000, 5000, 16, 6, 0), fault.TooLarge},
		{"autumn.jpg", photo[:len(photo)/2], fault.Invalid},
		{"autumn.jpg", photo[:len(photo)-2], fault.Invalid},
	} {
		err := poster.CheckAsset(asset.name, asset.file)
		if got := fault.KindOf(err); (asset.kind == "") != (err == nil) || (err != nil && got != asset.kind) {
			t.Errorf("%s of %d bytes gives %v, want %q", asset.name, len(asset.file), err, asset.kind)
		}
		if err != nil && (strings.Contains(err.Error(), "runtime error") || strings.Contains(err.Error(), "EOF")) {
			t.Errorf("%v is not for people", err)
		}
	}
}
