package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/labstack/echo/v4"

	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// pictures are what posters are drawn into before a byte of them is sent, so that a failure is told as one.
var pictures = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// mostKept is the largest buffer that is kept for the next picture, in bytes.
const mostKept = 4 * mib

// file is the code and the format in a name such as 7K2M9QX4TB.png.
func file(c echo.Context) (said, format string) {
	said, format, _ = strings.Cut(param(c, "file"), ".")
	return said, format
}

var noPicture = fault.New(fault.NotFound, "there is no such picture; posters end in .jpg or .png, QR codes in .png or .svg")

// poster is a participant's share poster.
func (s *server) poster(c echo.Context) error {
	said, ending := file(c)
	format, ok := map[string]string{"jpg": "jpeg", "png": "png"}[ending]
	if !ok {
		return s.guessed(c, noPicture)
	}
	variant := c.QueryParam("v")
	if len(variant) > 64 {
		return s.guessed(c, noPicture)
	}
	known, ok := code.Parse(said)
	if !ok {
		return s.guessed(c, noPicture)
	}
	etag, render, err := s.engine.Poster(c.Request().Context(), known, variant, format)
	if fault.KindOf(err) == fault.NotFound {
		return s.guessed(c, err)
	}
	if err != nil {
		return err
	}
	return s.picture(c, "image/"+format, etag, func(ctx context.Context, w io.Writer) error {
		leave, err := s.renders.enter(ctx)
		if err != nil {
			return err
		}
		defer leave()
		return render(w)
	})
}

// qr is the bare code.
func (s *server) qr(c echo.Context) error {
	said, ending := file(c)
	if ending != "png" && ending != "svg" {
		return s.guessed(c, noPicture)
	}
	size := 512
	if asked := c.QueryParam("size"); asked != "" {
		n, err := strconv.Atoi(asked)
		if err != nil || n < 128 || n > 1024 {
			return badQuery("size", "must be a whole number of pixels from 128 to 1024")
		}
		size = n
	}
	v, err := s.visit(c, said)
	if err != nil {
		return err
	}
	link := s.engine.InviteLink(v.Code)
	sum := sha256.Sum256([]byte(link + "\x00" + ending + strconv.Itoa(size)))
	etag, mime := `"`+hex.EncodeToString(sum[:12])+`"`, "image/png"
	if ending == "svg" {
		mime = "image/svg+xml"
	}
	return s.picture(c, mime, etag, func(_ context.Context, w io.Writer) error {
		if ending == "svg" {
			return poster.QRSVG(w, link)
		}
		return poster.QRPNG(w, link, size)
	})
}

// picture sends a picture, or says that the one the caller has is still the same.
func (s *server) picture(c echo.Context, mime, etag string, draw func(context.Context, io.Writer) error) error {
	if !strings.HasSuffix(etag, `"`) {
		etag = `"` + etag + `"`
	}
	head := c.Response().Header()
	head.Set("ETag", etag)
	head.Set(echo.HeaderCacheControl, "public, max-age=60")
	if matches(c.Request().Header.Get("If-None-Match"), etag) {
		return c.NoContent(http.StatusNotModified)
	}
	head.Set(echo.HeaderContentType, mime)
	if c.Request().Method == http.MethodHead {
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	into := pictures.Get().(*bytes.Buffer)
	defer func() {
		if into.Cap() <= mostKept {
			into.Reset()
			pictures.Put(into)
		}
	}()
	if err := draw(c.Request().Context(), into); err != nil {
		return err
	}
	head.Set(echo.HeaderContentLength, strconv.Itoa(into.Len()))
	return c.Blob(http.StatusOK, mime, into.Bytes())
}

// matches says whether an If-None-Match names the tag (RFC 9110, section 13.1.2: compared weakly).
func matches(header, etag string) bool {
	for one := range strings.SplitSeq(header, ",") {
		one = strings.TrimPrefix(strings.TrimSpace(one), "W/")
		if one == "*" || one == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}
