package twin

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

func TestMedia(t *testing.T) {
	t.Parallel()

	t.Run("WhatIsUploadedComesBackForThreeDays", func(t *testing.T) {
		h := open(t, Config{})
		poster := picture(t)
		a := h.wants(0, h.upload("image", poster))
		if a.text("type") != "image" || a["created_at"] != float64(start.Unix()) {
			t.Errorf("answered %v", a)
		}
		get := "/cgi-bin/media/get?media_id=" + a.text("media_id") + "&access_token="
		response, err := http.Get(h.url + get + h.token)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var back bytes.Buffer
		back.ReadFrom(response.Body)
		if !bytes.Equal(back.Bytes(), poster) || response.Header.Get("Content-Type") != "image/jpeg" {
			t.Errorf("%d bytes of %s came back", back.Len(), response.Header.Get("Content-Type"))
		}
		h.later(mediaLife)
		h.wants(40007, h.get(get+h.token))
		h.wants(41006, h.get("/cgi-bin/media/get?access_token="+h.token))
	})

	t.Run("WrongFilesAreRefused", func(t *testing.T) {
		h := open(t, Config{})
		large := append(picture(t), make([]byte, 2<<20)...)
		h.wants(40009, h.upload("image", large))
		h.wants(40005, h.upload("image", []byte("this is no picture")))
		h.wants(44001, h.upload("image", nil))
		h.wants(40004, h.upload("poster", picture(t)))
		h.wants(45001, h.upload("video", make([]byte, 11<<20)))
		h.wants(45001, h.upload("image", make([]byte, 13<<20)))
		h.wants(41005, h.post("/cgi-bin/media/upload?type=image&access_token="+h.token, `{}`))
		body, kind := multipartOf(t, "file", "a.jpg", picture(t))
		a, err := h.do(http.MethodPost, "/cgi-bin/media/upload?type=image&access_token="+h.token, kind, body)
		if err != nil {
			t.Fatal(err)
		}
		h.wants(41005, a)
	})

	t.Run("AThumbIsKnownByAnotherName", func(t *testing.T) {
		h := open(t, Config{})
		if a := h.wants(0, h.upload("thumb", picture(t))); a.text("thumb_media_id") == "" || a.text("media_id") != "" {
			t.Errorf("answered %v", a)
		}
	})

	t.Run("TheOldestPicturesGoWhenThereAreTooManyBytes", func(t *testing.T) {
		var p pictures
		first := p.keep(make([]byte, 60), 100)
		again := p.keep(make([]byte, 60), 100)
		if first != again || p.size != 60 {
			t.Error("the same bytes are kept twice")
		}
		second := p.keep([]byte(strings.Repeat("x", 60)), 100)
		if p.bytes(first) != nil || p.bytes(second) == nil || p.size != 60 {
			t.Errorf("%d bytes are kept", p.size)
		}
	})
}
