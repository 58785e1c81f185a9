package engine_test

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
	"kfactor/internal/fetch"
)

func TestPoster(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	h.Avatars = fetch.New(1<<20, 1<<20, ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8")))
	id := h.launch(definition("", `    - qr: {at: [235, 900], size: 280}`,
		`    - qr: {at: [235, 900], size: 280}
    - avatar: {at: [100, 100], size: 200, shape: square}
    - image: {source: badge.png, at: [500, 100]}`), file{"badge.png", onePixels(40, color.RGBA{0, 0, 255, 255})})

	green := color.RGBA{0, 200, 0, 255}
	pictures := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/a.png" {
			w.Write(onePixels(132, green))
			return
		}
		http.NotFound(w, r)
	}))
	defer pictures.Close()
	join := func(user, avatar string) engine.ParticipantView {
		v, _, err := h.Join(h.ctx(), id, engine.Joining{User: user, Nickname: user, AvatarURL: avatar})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	draw := func(code string) (string, image.Image) {
		tag, print, err := h.Poster(h.ctx(), code, "", "png")
		if err != nil {
			t.Fatal(err)
		}
		file, err := print(nil)
		if err != nil {
			t.Fatal(err)
		}
		img, err := png.Decode(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		return tag, img
	}

	t.Run("ItHoldsThePersonsOwnLinkAndFiles", func(t *testing.T) {
		v := join("ann", "")
		_, img := draw(v.Code)
		bitmap, err := gozxing.NewBinaryBitmapFromImage(img)
		if err != nil {
			t.Fatal(err)
		}
		read, err := qrcode.NewQRCodeReader().Decode(bitmap, nil)
		if err != nil || read.GetText() != v.InviteURL {
			t.Errorf("%v %v", read, err)
		}
		if r, g, b, _ := img.At(520, 120).RGBA(); r>>8 != 0 || g>>8 != 0 || b>>8 != 255 {
			t.Errorf("the badge is %d %d %d", r>>8, g>>8, b>>8)
		}
	})
	t.Run("AnAvatarIsFetchedAndOneThatIsGoneIsReplaced", func(t *testing.T) {
		_, img := draw(join("ben", pictures.URL+"/a.png").Code)
		if got := color.RGBAModel.Convert(img.At(200, 200)); got != green {
			t.Errorf("the avatar is %v", got)
		}
		_, img = draw(join("cid", pictures.URL+"/none.png").Code)
		if got := color.RGBAModel.Convert(img.At(110, 110)); got == green || got == (color.RGBA{255, 255, 255, 255}) {
			t.Errorf("nothing stands in: %v", got)
		}
	})
	t.Run("TheTagChangesWithThePicture", func(t *testing.T) {
		v := join("dan", "")
		before, _ := draw(v.Code)
		again, _ := draw(v.Code)
		if before != again {
			t.Error("the same poster has two tags")
		}
		if _, _, err := h.Join(h.ctx(), id, engine.Joining{User: "dan", Nickname: "Daniel"}); err != nil {
			t.Fatal(err)
		}
		renamed, _ := draw(v.Code)
		if _, err := h.PutAsset(h.ctx(), id, "badge.png", onePixels(40, green)); err != nil {
			t.Fatal(err)
		}
		refiled, img := draw(v.Code)
		if renamed == before || refiled == renamed {
			t.Error("the tag stayed")
		}
		if got := color.RGBAModel.Convert(img.At(520, 120)); got != green {
			t.Errorf("the old badge is printed: %v", got)
		}
	})
	t.Run("AnUnknownCodeHasNoPoster", func(t *testing.T) {
		if _, _, err := h.Poster(h.ctx(), "00000000", "", ""); fault.KindOf(err) != fault.NotFound {
			t.Error(err)
		}
	})
}

// onePixels is a square PNG of one colour.
func onePixels(size int, c color.RGBA) []byte {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	for i := 0; i < len(img.Pix); i += 4 {
		img.Pix[i], img.Pix[i+1], img.Pix[i+2], img.Pix[i+3] = c.R, c.G, c.B, c.A
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err)
	}
	return out.Bytes()
}

func TestVariants(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	id := h.launch(definition("", `    - qr: {at: [235, 900], size: 280}`, `    - qr: {at: [235, 900], size: 280}
  variants:
    b: {background: "#00C800", layers: [{qr: {at: [10, 10], size: 280}}]}`))
	corner, box := color.RGBA{0, 200, 0, 255}, image.Pt(20, 1300)
	count := map[string]int{}
	for i := range 24 {
		v, _, err := h.Join(h.ctx(), id, engine.Joining{User: "fan-" + strconv.Itoa(i)})
		if err != nil {
			t.Fatal(err)
		}
		count[v.Variant]++
		for variant, green := range map[string]bool{"": v.Variant == "b", "a": false, "b": true} {
			if variant != "" && i > 0 {
				continue
			}
			_, print, err := h.Poster(h.ctx(), v.Code, variant, "png")
			if err != nil {
				t.Fatal(err)
			}
			file, err := print(nil)
			if err != nil {
				t.Fatal(err)
			}
			img, err := png.Decode(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			if is := color.RGBAModel.Convert(img.At(box.X, box.Y)) == corner; is != green {
				t.Errorf("variant %q of one who has %q is green: %v", variant, v.Variant, is)
			}
		}
		receipt, err := h.Accept(h.ctx(), []engine.Incoming{{ID: "s-" + v.Code, Campaign: id, Type: "scan", User: "friend-" + strconv.Itoa(i), Code: v.Code}})
		if err != nil || receipt.Accepted != 1 {
			t.Fatal(receipt, err)
		}
	}
	if count["a"] == 0 || count["b"] == 0 || len(count) != 2 {
		t.Fatalf("the shares are %v", count)
	}
	h.settled(id)
	f, err := h.Funnel(h.ctx(), id, engine.FunnelQuery{By: "variant"})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Groups {
		for _, s := range g.Stages {
			if s.Stage == "scan" && s.Users != int64(count[g.Group]) {
				t.Errorf("%d users scanned through variant %q, %d were made to", s.Users, g.Group, count[g.Group])
			}
			if s.Stage == "scan" {
				delete(count, g.Group)
			}
		}
	}
	if len(count) > 0 {
		t.Errorf("the funnel does not tell of %v", count)
	}
}
