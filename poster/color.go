package poster

import (
	"image/color"
	"math"
	"strconv"
)

var (
	black = color.NRGBA{A: 0xff}
	white = color.NRGBA{R: 0xff, G: 0xff, B: 0xff, A: 0xff}
)

// parseColor reads "#RRGGBB" or "#RRGGBBAA".
func parseColor(s string) (color.NRGBA, bool) {
	if (len(s) != 7 && len(s) != 9) || s[0] != '#' {
		return color.NRGBA{}, false
	}
	v, err := strconv.ParseUint(s[1:], 16, 32)
	if err != nil {
		return color.NRGBA{}, false
	}
	if len(s) == 7 {
		v = v<<8 | 0xff
	}
	return color.NRGBA{R: uint8(v >> 24), G: uint8(v >> 16), B: uint8(v >> 8), A: uint8(v)}, true
}

// colorOr reads a colour, with another for "" and for what is none.
func colorOr(s string, otherwise color.NRGBA) color.NRGBA {
	if c, ok := parseColor(s); ok {
		return c
	}
	return otherwise
}

// luminance is the relative luminance of an sRGB colour, 0 to 1, as WCAG 2 defines it.
func luminance(c color.NRGBA) float64 {
	linear := func(v uint8) float64 {
		x := float64(v) / 255
		if x <= 0.04045 {
			return x / 12.92
		}
		return math.Pow((x+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// contrast is the WCAG contrast of dark on light, 1 to 21; below 1 when dark is the lighter one.
func contrast(dark, light color.NRGBA) float64 {
	return (luminance(light) + 0.05) / (luminance(dark) + 0.05)
}
