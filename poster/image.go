package poster

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"

	"kfactor/internal/fault"
)

// Limits bound an image from outside.
type Limits struct {
	Bytes  int
	Pixels int
	Memory int // bytes that decoding may hold at once
}

// AssetLimits bound backgrounds, logos and pictures; AvatarLimits what people show of themselves.
var (
	AssetLimits  = Limits{Bytes: 10 << 20, Pixels: 40_000_000, Memory: 160 << 20}
	AvatarLimits = Limits{Bytes: 5 << 20, Pixels: 16_000_000, Memory: 64 << 20}
)

// maxScans bounds the scans of a JPEG. A progressive one needs about ten; each costs a pass over the whole picture
// and next to no bytes, so thousands of them would keep a processor busy for minutes.
const maxScans = 64

// codec reads one image format.
type codec struct {
	config func([]byte) (image.Config, error)
	decode func([]byte) (image.Image, error)
}

func codecOf(b []byte) (codec, string) {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return codec{
			func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) },
		}, "png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return codec{
			func(b []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) },
			decodeJPEG,
		}, "jpeg"
	case len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return codec{
			func(b []byte) (image.Config, error) { return webp.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(b)) },
		}, "webp"
	case bytes.HasPrefix(b, []byte("GIF8")):
		return codec{
			func(b []byte) (image.Config, error) { return gif.DecodeConfig(bytes.NewReader(b)) },
			func(b []byte) (image.Image, error) { return gif.Decode(bytes.NewReader(b)) },
		}, "gif"
	}
	return codec{}, ""
}

// DecodeImage reads a PNG, JPEG, WebP or GIF (of moving ones the first frame) the right way up. Bytes, pixels and
// memory are held against the limits by the header alone, before memory is taken for the picture. Beyond them the
// fault is TooLarge, for other formats Unsupported, for broken files Invalid.
func DecodeImage(b []byte, limits Limits) (img image.Image, err error) {
	c, format, _, err := inspect(b, limits)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, unreadable(format, fmt.Errorf("decoding panicked: %v", r))
		}
	}()
	img, err = c.decode(b)
	if err != nil {
		return nil, unreadable(format, err)
	}
	if size := img.Bounds(); size.Dx() <= 0 || size.Dy() <= 0 || size.Dx()*size.Dy() > limits.Pixels {
		return nil, fault.New(fault.Invalid, "the %s has no sensible size", strings.ToUpper(format))
	}
	return img, nil
}

// unreadable says what is wrong with a picture and what to do about it.
func unreadable(format string, cause error) *fault.Error {
	if strings.Contains(cause.Error(), "4-component JPEG") {
		return fault.Wrap(fault.Invalid, cause, "the JPEG is in CMYK, the colours of printing presses, and does not say how; save it as RGB")
	}
	return fault.Wrap(fault.Invalid, cause, "the %s is cut short or damaged; save it again, or send the whole file", strings.ToUpper(format))
}

// inspect looks at the header only.
func inspect(b []byte, limits Limits) (c codec, format string, cfg image.Config, err error) {
	if len(b) > limits.Bytes {
		return c, "", cfg, fault.New(fault.TooLarge, "the file has %.1f MiB; at most %.0f MiB are taken",
			float64(len(b))/(1<<20), float64(limits.Bytes)/(1<<20))
	}
	c, format = codecOf(b)
	if format == "" {
		return c, "", cfg, fault.New(fault.Unsupported, "this is no PNG, JPEG, WebP or GIF image")
	}
	defer func() {
		if r := recover(); r != nil {
			err = unreadable(format, fmt.Errorf("decoding panicked: %v", r))
		}
	}()
	cfg, err = c.config(b)
	if err != nil {
		return c, format, cfg, unreadable(format, err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 {
		return c, format, cfg, fault.New(fault.Invalid, "the %s is empty", strings.ToUpper(format))
	}
	if pixels := int64(cfg.Width) * int64(cfg.Height); pixels > int64(limits.Pixels) {
		return c, format, cfg, fault.New(fault.TooLarge,
			"the image is %d x %d, %.1f megapixels; at most %.0f are taken: make it smaller, twice the poster's size is plenty",
			cfg.Width, cfg.Height, float64(pixels)/1e6, float64(limits.Pixels)/1e6)
	}
	if format == "png" && !bytes.HasPrefix(b[12:], []byte("IHDR")) {
		return c, format, cfg, unreadable(format, errors.New("its header is not first"))
	}
	memory, mend := needs(b, format, cfg)
	if memory > int64(limits.Memory) {
		return c, format, cfg, fault.New(fault.TooLarge, "decoding the image takes %d MiB of memory, more than %d; %s",
			(memory+1<<20-1)>>20, limits.Memory>>20, mend)
	}
	if format == "png" && !plausible(b, cfg) {
		return c, format, cfg, unreadable(format, io.ErrUnexpectedEOF)
	}
	if format == "jpeg" && bytes.Count(b, []byte("\xff\xda")) > maxScans {
		return c, format, cfg, fault.New(fault.Invalid, "the JPEG has more than %d scans; save it again as an ordinary one", maxScans)
	}
	return c, format, cfg, nil
}

// CheckAsset says whether a file may be uploaded under the name: a PNG or JPEG within AssetLimits, or a TTF or OTF
// font within the same number of bytes. Both are decoded in full, so that what is taken can be printed.
func CheckAsset(name string, b []byte) error {
	if len(b) > AssetLimits.Bytes {
		return fault.New(fault.TooLarge, "%s has %.1f MiB; at most %d MiB are taken",
			name, float64(len(b))/(1<<20), AssetLimits.Bytes>>20)
	}
	if isFont(name) {
		if _, failure := readFont(name, b); failure != nil {
			return failure
		}
		return nil
	}
	lower := strings.ToLower(name)
	if !strings.HasSuffix(lower, ".png") && !strings.HasSuffix(lower, ".jpg") && !strings.HasSuffix(lower, ".jpeg") {
		return fault.New(fault.Unsupported, "%s: name it .png, .jpg, .jpeg, .ttf or .otf, as what it is", name)
	}
	_, format, _, err := inspect(b, AssetLimits)
	if err != nil {
		return fault.Wrap(fault.KindOf(err), err, "%s: %v", name, err)
	}
	if format != "png" && format != "jpeg" {
		return fault.New(fault.Unsupported, "%s is a %s; save it as PNG or JPEG", name, strings.ToUpper(format))
	}
	if _, err := DecodeImage(b, AssetLimits); err != nil {
		return fault.Wrap(fault.KindOf(err), err, "%s: %v", name, err)
	}
	return nil
}

// decodeJPEG reads a JPEG and turns it as its EXIF orientation says: phones store pictures as the sensor lay.
func decodeJPEG(b []byte) (image.Image, error) {
	img, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return orient(img, exifOrientation(b)), nil
}

// orient turns a picture by an EXIF orientation, 1 to 8.
func orient(img image.Image, orientation int) image.Image {
	if orientation <= 1 || orientation > 8 {
		return img
	}
	b := img.Bounds()
	w, h := b.Dx(), b.Dy()
	tw, th := w, h
	if orientation >= 5 {
		tw, th = h, w
	}
	to := image.NewRGBA(image.Rect(0, 0, tw, th))
	from := image.NewRGBA(image.Rect(0, 0, w, 1)) // a row at a time: a whole copy would be as large again
	for y := range h {
		draw.Draw(from, from.Rect, img, image.Pt(b.Min.X, b.Min.Y+y), draw.Src)
		for x := range w {
			tx, ty := x, y
			switch orientation {
			case 2:
				tx = w - 1 - x
			case 3:
				tx, ty = w-1-x, h-1-y
			case 4:
				ty = h - 1 - y
			case 5:
				tx, ty = y, x
			case 6:
				tx, ty = h-1-y, x
			case 7:
				tx, ty = h-1-y, w-1-x
			case 8:
				tx, ty = y, w-1-x
			}
			copy(to.Pix[ty*to.Stride+tx*4:][:4], from.Pix[x*4:][:4])
		}
	}
	return to
}

// cover scales the picture until it covers w x h, cuts what sticks out evenly on both sides, and lays it on the
// ground colour.
func cover(img image.Image, w, h int, ground color.Color) *image.RGBA {
	b := img.Bounds()
	source := b
	if b.Dx()*h > b.Dy()*w { // too wide
		part := max(1, b.Dy()*w/h)
		source.Min.X += (b.Dx() - part) / 2
		source.Max.X = source.Min.X + part
	} else {
		part := max(1, b.Dx()*h/w)
		source.Min.Y += (b.Dy() - part) / 2
		source.Max.Y = source.Min.Y + part
	}
	to := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(to, to.Rect, image.NewUniform(ground), image.Point{}, draw.Src)
	scale(to, to.Rect, img, source)
	return to
}

// maxScratch bounds what one of the better kernels takes beside the picture, in bytes: 32 for each column that is
// drawn of each row that is read, which for large pictures is many times the picture itself.
const maxScratch = 32 << 20

// scale draws a part of a picture into a rectangle.
func scale(to *image.RGBA, into image.Rectangle, img image.Image, part image.Rectangle) {
	if into.Size() == part.Size() {
		draw.Draw(to, into, img, part.Min, draw.Over)
		return
	}
	if into.Dx()*part.Dy()*32 > maxScratch {
		// Four neighbours are enough where less than every second pixel is left out.
		if nx, ny := part.Dx()/into.Dx(), part.Dy()/into.Dy(); nx > 1 || ny > 1 {
			small := averaged(img, part, max(1, nx), max(1, ny))
			img, part = small, small.Rect
		}
		draw.ApproxBiLinear.Scale(to, into, img, part, draw.Over, nil)
		return
	}
	kernel := draw.CatmullRom
	if part.Dx() > 2*into.Dx() {
		kernel = draw.BiLinear // averages just as well when much smaller, at half the work
	}
	kernel.Scale(to, into, img, part, draw.Over, nil)
}

// averaged makes one pixel of every nx x ny; what is left over at the right and bottom, less than one, goes.
func averaged(img image.Image, part image.Rectangle, nx, ny int) *image.RGBA {
	to := image.NewRGBA(image.Rect(0, 0, part.Dx()/nx, part.Dy()/ny))
	row := image.NewRGBA(image.Rect(0, 0, to.Rect.Dx()*nx, 1))
	sums := make([]uint32, to.Rect.Dx()*4)
	for y := range to.Rect.Dy() {
		clear(sums)
		for i := range ny {
			draw.Draw(row, row.Rect, img, image.Pt(part.Min.X, part.Min.Y+y*ny+i), draw.Src)
			for x := range row.Rect.Dx() {
				for c := range 4 {
					sums[x/nx*4+c] += uint32(row.Pix[x*4+c])
				}
			}
		}
		n := uint32(nx * ny)
		for i, sum := range sums {
			to.Pix[y*to.Stride+i] = uint8((sum + n/2) / n)
		}
	}
	return to
}

// fit gives the size of a picture that is to have the width and height, of which 0 follows from the other and both
// 0 mean its own.
func fit(own image.Point, w, h int) image.Point {
	switch {
	case w == 0 && h == 0:
		return own
	case w == 0:
		w = max(1, own.X*h/own.Y)
	case h == 0:
		h = max(1, own.Y*w/own.X)
	}
	return image.Pt(w, h)
}
