package poster

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
)

// What a mend says first.
const (
	smaller  = "make it smaller, twice the poster's size is plenty"
	eightBit = "save it as 8-bit and without interlacing, or " + smaller
	noScans  = "save it as a baseline JPEG, not a progressive one, or " + smaller
)

// needs gives how many bytes of memory the decoder holds at once for a picture, and what to do if that is too much.
// Where the header leaves it open it is the most that the picture can take.
func needs(b []byte, format string, cfg image.Config) (memory int64, mend string) {
	pixels := int64(cfg.Width) * int64(cfg.Height)
	switch format {
	case "png":
		perPixel := int64(4)
		if kind := b[25]; kind == 3 || kind == 0 && !bytes.Contains(b, []byte("tRNS")) { // a palette, or greys
			perPixel = 1
		}
		if b[24] == 16 {
			perPixel *= 2
		}
		if b[28] != 0 { // interlaced: its last pass is half of the picture, and lies beside it
			return pixels*perPixel + pixels*perPixel/2, eightBit
		}
		return pixels * perPixel, eightBit
	case "jpeg":
		f := jpegFrame(b)
		samples := pixels * int64(f.samples) / int64(f.perPixel)
		memory, mend = samples, smaller
		if f.progressive { // every coefficient of the whole picture is kept, four bytes each
			memory, mend = memory+4*samples, noScans
		}
		if cfg.ColorModel == color.CMYKModel || cfg.ColorModel == color.RGBAModel {
			memory += 4 * pixels // converted into a picture of its own
		}
		if exifOrientation(b) > 1 {
			memory += 4 * pixels // turned into one of its own
		}
		return memory, mend
	case "gif":
		return pixels, smaller
	default:
		return 4 * pixels, smaller
	}
}

// frame is what a JPEG's frame header says of its samples: so many on every so many pixels.
type frame struct {
	progressive       bool
	samples, perPixel int
}

// jpegFrame finds the frame header; one that it cannot find is taken for the worst.
func jpegFrame(b []byte) frame {
	worst := frame{progressive: true, samples: 4, perPixel: 1}
	for b = b[2:]; len(b) >= 4; {
		if b[0] != 0xff {
			return worst
		}
		if b[1] == 0xff { // filling
			b = b[1:]
			continue
		}
		size := int(binary.BigEndian.Uint16(b[2:]))
		if b[1] == 0 || b[1] >= 0xd0 && b[1] <= 0xd9 || size < 2 || len(b) < 2+size { // no segment
			return worst
		}
		marker, segment := b[1], b[4:2+size]
		b = b[2+size:]
		if marker < 0xc0 || marker > 0xc2 {
			continue
		}
		if len(segment) < 6 || len(segment) < 6+3*int(segment[5]) {
			return worst
		}
		f, widest, highest := frame{progressive: marker == 0xc2}, 1, 1
		for i := range int(segment[5]) {
			h, v := int(segment[7+3*i]>>4), int(segment[7+3*i]&15)
			f.samples += h * v
			widest, highest = max(widest, h), max(highest, v)
		}
		f.perPixel = widest * highest
		return f
	}
	return worst
}

// deflateMost is how many bytes one compressed byte can stand for at most.
// Source: zlib's technical notes.
const deflateMost = 1032

// plausible says whether a PNG has enough bytes to hold its pixels at all. A few bytes that claim a large picture
// would otherwise take its memory before they are found out.
func plausible(b []byte, cfg image.Config) bool {
	samples := map[byte]int64{0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[b[25]]
	return int64(cfg.Width)*int64(cfg.Height)*samples*int64(b[24])/8/deflateMost <= int64(len(b))
}
