package twin

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
)

// avatarSizes are the sizes that an avatar's address may end in, with their pixels.
var avatarSizes = map[string]int{"0": 640, "46": 46, "64": 64, "96": 96, "132": 132}

func (t *Twin) avatarURL(whose string) string {
	return t.BaseURL() + "/mmopen/vi_32/" + t.ids.letters(40, "avatar", whose) + "/132"
}

// showAvatar serves a fan's picture, drawn from its name: PNG for some, JPEG for others.
func (t *Twin) showAvatar(w http.ResponseWriter, r *http.Request) {
	size, known := avatarSizes[r.PathValue("size")]
	name := r.PathValue("name")
	if !known || len(name) != 40 {
		http.NotFound(w, r)
		return
	}
	drawn := t.ids.sum("face", name)
	face := drawFace(drawn, size)
	if drawn[31]%2 == 0 {
		w.Header().Set("Content-Type", "image/jpeg")
		w.Write(asJPEG(face))
		return
	}
	var out bytes.Buffer
	if err := png.Encode(&out, face); err != nil {
		http.Error(w, "the picture cannot be drawn", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	w.Write(out.Bytes())
}

// drawFace draws seven by seven fields, the left mirrored on the right, in two colours of the seed's choosing.
func drawFace(seed []byte, size int) image.Image {
	ground := color.RGBA{200 + seed[0]%56, 200 + seed[1]%56, 200 + seed[2]%56, 255}
	ink := color.RGBA{seed[3] % 160, seed[4] % 160, seed[5] % 160, 255}
	img := image.NewPaletted(image.Rect(0, 0, size, size), color.Palette{ground, ink})
	const fields = 7
	for y := range size {
		for x := range size {
			column, row := x*fields/size, y*fields/size
			if column > fields/2 {
				column = fields - 1 - column
			}
			if row > 0 && row < fields-1 && column > 0 && seed[6+row*4+column-4]%2 == 0 {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	return img
}
