package poster

import (
	"bytes"
	"image"
	"image/png"
	"math"

	"github.com/go-text/typesetting/font"
	ot "github.com/go-text/typesetting/font/opentype"
	"golang.org/x/image/draw"
	"golang.org/x/image/math/fixed"
	"golang.org/x/image/vector"
)

// glyphCacheBytes bounds the glyph pictures that a press keeps.
const glyphCacheBytes = 4 << 20

// glyphKey names a glyph's picture. Letters have four, a quarter of a pixel apart.
type glyphKey struct {
	face    faceID
	id      font.GID
	size    fixed.Int26_6
	quarter uint8
	effect  effect
}

// picture is a glyph's: one of the two is set, its rectangle counted from the glyph's origin on the baseline. Both
// are nil for a glyph that shows nothing.
type picture struct {
	mask  *image.Alpha // to be drawn in the text's colour
	image *stamp       // has its own colours
}

func (p picture) bytes() int {
	const bookkeeping = 200
	switch {
	case p.mask != nil:
		return len(p.mask.Pix) + bookkeeping
	case p.image != nil:
		return p.image.bytes() + bookkeeping
	}
	return bookkeeping
}

// glyphCache keeps the pictures of glyphs.
type glyphCache = cache[glyphKey, picture]

// drawLine draws a line whose baseline begins at x, y, within clip.
func (p *painter) drawLine(to canvas, clip image.Rectangle, l line, x, y int, k *ink) {
	for _, g := range l.glyphs {
		pic, at := p.shown(g, effect{}, x, y)
		switch {
		case pic.mask != nil:
			to.touch(pic.mask.Rect.Add(at).Intersect(clip))
			to.mask(pic.mask, at, clip, k)
		case pic.image != nil:
			to.touch(pic.image.rgba.Rect.Add(at).Intersect(clip))
			to.stamp(pic.image, at, clip)
		}
	}
}

// drawMask draws a shape in a colour, within clip; none draws nothing.
func (p *painter) drawMask(to canvas, clip image.Rectangle, mask *image.Alpha, k *ink) {
	if mask == nil {
		return
	}
	to.touch(mask.Rect.Intersect(clip))
	to.mask(mask, image.Point{}, clip, k)
}

// picture draws a glyph, or the shape of one with an effect.
func (ts *typesetter) picture(key glyphKey) picture {
	if key.face.isOwn() {
		own := ts.fonts.own[key.face-faceCount]
		return key.picture(own.Outline(uint16(key.id)), own.UnitsPerEm())
	}
	face := ts.faces[key.face]
	if key.face == emoji {
		img := colorGlyph(face, key)
		switch {
		case img == nil:
			return picture{}
		case key.effect != effect{}:
			return picture{mask: key.effect.apply(silhouetteOf(img))}
		}
		return picture{image: newStamp(img)}
	}
	outline, _ := face.GlyphDataOutline(key.id)
	return key.picture(outline.Segments, int(face.Upem()))
}

// picture draws an outline of so many units per em.
func (k glyphKey) picture(outline []ot.Segment, unitsPerEm int) picture {
	if len(outline) == 0 {
		return picture{}
	}
	scale := float32(k.size) / 64 / float32(unitsPerEm)
	return picture{mask: k.effect.apply(fill(outline, scale, float32(k.quarter)/4))}
}

// silhouetteOf is what a picture covers.
func silhouetteOf(img *image.RGBA) *image.Alpha {
	mask := image.NewAlpha(img.Rect)
	draw.Draw(mask, mask.Rect, img, img.Rect.Min, draw.Src)
	return mask
}

// fill draws an outline, scaled and moved to the right by a part of a pixel.
func fill(segments []ot.Segment, scale, shift float32) *image.Alpha {
	minX, minY := float32(math.Inf(1)), float32(math.Inf(1))
	maxX, maxY := float32(math.Inf(-1)), float32(math.Inf(-1))
	at := func(p ot.SegmentPoint) (x, y float32) { return p.X*scale + shift, -p.Y * scale }
	for i := range segments {
		for _, p := range segments[i].ArgsSlice() {
			x, y := at(p)
			minX, maxX = min(minX, x), max(maxX, x)
			minY, maxY = min(minY, y), max(maxY, y)
		}
	}
	box := image.Rect(int(math.Floor(float64(minX))), int(math.Floor(float64(minY))),
		int(math.Ceil(float64(maxX))), int(math.Ceil(float64(maxY))))
	const tooLarge = 2 * maxSide // no glyph of a checked template gets there
	if box.Empty() || box.Dx() > tooLarge || box.Dy() > tooLarge {
		return nil
	}
	dx, dy := float32(-box.Min.X), float32(-box.Min.Y)
	local := func(p ot.SegmentPoint) (x, y float32) { x, y = at(p); return x + dx, y + dy }
	z := vector.NewRasterizer(box.Dx(), box.Dy())
	for i := range segments {
		s := &segments[i]
		switch s.Op {
		case ot.SegmentOpMoveTo:
			z.ClosePath()
			z.MoveTo(local(s.Args[0]))
		case ot.SegmentOpLineTo:
			z.LineTo(local(s.Args[0]))
		case ot.SegmentOpQuadTo:
			x1, y1 := local(s.Args[0])
			x2, y2 := local(s.Args[1])
			z.QuadTo(x1, y1, x2, y2)
		case ot.SegmentOpCubeTo:
			x1, y1 := local(s.Args[0])
			x2, y2 := local(s.Args[1])
			x3, y3 := local(s.Args[2])
			z.CubeTo(x1, y1, x2, y2, x3, y3)
		}
	}
	z.ClosePath()
	mask := image.NewAlpha(box.Sub(box.Min))
	z.DrawOp = draw.Src
	z.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	mask.Rect = box
	return mask
}

// colorGlyph scales an emoji's bitmap and centres it on the hanzi beside it. The bitmap's own height above the
// baseline is meant for Latin and would hang too low.
func colorGlyph(face *font.Face, key glyphKey) *image.RGBA {
	bitmap, ok := face.GlyphDataBitmap(key.id)
	if !ok || bitmap.Format != font.PNG {
		return nil
	}
	img, err := png.Decode(bytes.NewReader(bitmap.Data))
	if err != nil {
		return nil
	}
	size := float64(key.size) / 64
	perPixel := size / emojiPixels
	w := int(math.Round(float64(img.Bounds().Dx()) * perPixel))
	h := int(math.Round(float64(img.Bounds().Dy()) * perPixel))
	if w <= 0 || h <= 0 {
		return nil
	}
	scaled := image.NewRGBA(image.Rect(0, 0, w, h))
	scale(scaled, scaled.Rect, img, img.Bounds())
	const middle = ascent - 0.5 // of a hanzi, above the baseline
	top := -int(math.Round(size/emojiScale*middle + float64(h)/2))
	scaled.Rect = scaled.Rect.Add(image.Pt(0, top))
	return scaled
}

// emojiPixels is the size that the emoji font's bitmaps are drawn for.
const emojiPixels = 109
