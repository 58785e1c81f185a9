package engine_test

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"
	"testing"

	"gorm.io/gorm"

	"kfactor/campaign"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

func TestAPosterThatNoPhoneReads(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		covered := definition(spring, "    - qr: {at: [235, 900], size: 280}\n",
			"    - qr: {at: [235, 900], size: 280}\n    - rect: {at: [235, 900], size: [150, 150], color: \"#FF0000\"}\n")
		if _, err := h.CreateCampaign(h.ctx(), []byte(covered), "c.yaml", "t"); err != nil {
			t.Fatal(err)
		}
		_, err := h.Turn(h.ctx(), "c", "launch", "t")
		var refused *fault.Error
		if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Field != "poster.layers[0].qr" {
			t.Fatalf("a covered code was launched: %v", err)
		}
		if advice := refused.Fields[0].Message; !strings.Contains(advice, "layers[1]") {
			t.Errorf("the layer in the way is not named: %s", advice)
		}

		if _, err := h.ReviseCampaign(h.ctx(), "c", []byte(definition(spring)), "c.yaml", "t"); err != nil {
			t.Fatal(err)
		}
		if v, err := h.Turn(h.ctx(), "c", "launch", "t"); err != nil || v.Status != campaign.Live {
			t.Errorf("mended, it is %s: %v", v.Status, err)
		}
		if _, err := h.ReviseCampaign(h.ctx(), "c", []byte(covered), "c.yaml", "t"); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a live campaign was given a covered code: %v", err)
		}
	})
}

func TestAFileThatHidesTheCode(t *testing.T) {
	t.Parallel()
	databasetest.Each(t, func(t *testing.T, db *gorm.DB) {
		h := open(t, db)
		with := definition(spring, "    - qr: {at: [235, 900], size: 280}\n",
			"    - qr: {at: [235, 900], size: 280}\n    - image: {source: top.png, at: [235, 900], size: [280, 280]}\n")
		if _, err := h.CreateCampaign(h.ctx(), []byte(with), "c.yaml", "t"); err != nil {
			t.Fatal(err)
		}
		plain := func(c color.NRGBA) []byte {
			img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
			draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
			var file bytes.Buffer
			if err := png.Encode(&file, img); err != nil {
				t.Fatal(err)
			}
			return file.Bytes()
		}
		if _, err := h.PutAsset(h.ctx(), "c", "top.png", plain(color.NRGBA{})); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Turn(h.ctx(), "c", "launch", "t"); err != nil {
			t.Fatal(err)
		}
		if _, err := h.PutAsset(h.ctx(), "c", "top.png", plain(color.NRGBA{A: 255})); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a live campaign was given a picture that hides its code: %v", err)
		}
		if _, err := h.PutAsset(h.ctx(), "c", "top.png", plain(color.NRGBA{G: 255, A: 1})); err != nil {
			t.Error(err)
		}
	})
}
