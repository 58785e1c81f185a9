package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/internal/code"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// file is the code and the format in a name such as 7K2M9QX4TB.png.
func file(c echo.Context) (said, format string) {
	said, format, _ = strings.Cut(param(c, "file"), ".")
	return said, format
}

var errOutside = fault.New(fault.Invalid, "the range is outside the picture; Content-Range says how many bytes it has")

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
	etag, print, err := s.engine.Poster(c.Request().Context(), known, variant, format)
	if fault.KindOf(err) == fault.NotFound {
		return s.guessed(c, err)
	}
	if err != nil {
		return err
	}
	return s.picture(c, "image/"+format, "public, max-age=60", etag, func(ctx context.Context, dst []byte) ([]byte, error) {
		leave, err := s.renders.enter(ctx)
		if err != nil {
			return dst, err
		}
		defer leave()
		return print(dst)
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
	known, ok := code.Parse(said)
	if !ok {
		return s.guessed(c, noPicture)
	}
	link, _, err := s.engine.CodeLink(c.Request().Context(), known)
	if fault.KindOf(err) == fault.NotFound {
		return s.guessed(c, err)
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(link + "\x00" + ending + strconv.Itoa(size)))
	mime := "image/png"
	if ending == "svg" {
		mime = "image/svg+xml"
	}
	keep := "public, max-age=60"
	if link != s.engine.InviteLink(known) { // a channel's codes run out, and its account may be another tomorrow
		keep = "no-store"
	}
	return s.picture(c, mime, keep, hex.EncodeToString(sum[:16]), func(_ context.Context, dst []byte) ([]byte, error) {
		into := bytes.NewBuffer(dst)
		if ending == "svg" {
			err := poster.QRSVG(into, link)
			return into.Bytes(), err
		}
		err := poster.QRPNG(into, link, size)
		return into.Bytes(), err
	})
}

// picture sends a picture or a part of it, or says that the one the caller has is still the same. sum names the
// picture's bytes: everything that goes into it. Only who is sent some of it has it drawn, so HEAD tells no length.
func (s *server) picture(c echo.Context, mime, keep, sum string, draw func(context.Context, []byte) ([]byte, error)) error {
	r, head, etag := c.Request(), c.Response().Header(), `"`+sum+`"`
	head.Set("ETag", etag)
	head.Set(echo.HeaderCacheControl, keep)
	head.Set("Accept-Ranges", "bytes")
	if matches(r.Header.Get("If-None-Match"), etag) {
		return c.NoContent(http.StatusNotModified)
	}
	head.Set(echo.HeaderContentType, mime)
	if r.Method == http.MethodHead {
		c.Response().WriteHeader(http.StatusOK)
		return nil
	}
	body, done, err := s.prints.get(r.Context(), sum, draw)
	if err != nil {
		return err
	}
	defer done()
	if someParts.MatchString(r.Header.Get("Range")) {
		return sendPart(c, body)
	}
	head.Set(echo.HeaderContentLength, strconv.Itoa(len(body)))
	return c.Blob(http.StatusOK, mime, body)
}

// someParts are the ranges that are looked at, eight at most: each costs an answer a head of its own. Whoever asks in
// other words is sent the whole picture, as RFC 9110, section 14.2, allows.
var someParts = regexp.MustCompile(`^bytes=` + onePart + `(?:, *` + onePart + `){0,7}$`)

const onePart = `(?:[0-9]{1,15}-[0-9]{0,15}|-[1-9][0-9]{0,14})`

// sendPart answers a request for parts of a file, which Range and If-Range name (RFC 9110, section 14).
func sendPart(c echo.Context, body []byte) error {
	part := &partWriter{ResponseWriter: c.Response()}
	r := c.Request().Clone(c.Request().Context())
	r.Header.Del("If-Modified-Since") // there is no time, the tag has been looked at
	http.ServeContent(part, r, "", time.Time{}, bytes.NewReader(body))
	if part.outside {
		return errOutside
	}
	return nil
}

// partWriter keeps the library from saying in its own words that a range is outside the file.
type partWriter struct {
	http.ResponseWriter
	outside bool
}

func (w *partWriter) WriteHeader(status int) {
	if w.outside = status == http.StatusRequestedRangeNotSatisfiable; !w.outside {
		w.ResponseWriter.WriteHeader(status)
	}
}

func (w *partWriter) Write(b []byte) (int, error) {
	if w.outside {
		return len(b), nil
	}
	return w.ResponseWriter.Write(b)
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
