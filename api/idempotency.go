package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
	"kfactor/internal/fault"
)

const idempotencyKey = "Idempotency-Key"

// once gives a request that is sent again under its Idempotency-Key the answer it got the first time.
func (s *server) once(do echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		key := c.Request().Header.Get(idempotencyKey)
		if key == "" {
			return do(c)
		}
		if !printable(key) || len(key) > 255 {
			return fault.Fields("the request does not fit",
				fault.Field{Field: idempotencyKey, Message: "must be 1 to 255 printable ASCII characters"})
		}
		ctx := c.Request().Context()
		scope, mark := caller(c).ID+" "+c.Request().Method+" "+c.Path(), fingerprint(c.Request(), bodyOf(c))
		tape := &tape{ResponseWriter: c.Response().Writer}
		a, repeated, err := s.engine.Once(ctx, scope, key, mark, func(held context.Context) (engine.StoredAnswer, error) {
			request := c.Request()
			c.SetRequest(request.WithContext(held))
			c.Response().Writer = tape
			defer func() {
				c.Response().Writer = tape.ResponseWriter
				c.SetRequest(request)
			}()
			err := do(c)
			return engine.StoredAnswer{
				Status: tape.status, ContentType: tape.Header().Get(echo.HeaderContentType), Body: tape.body.Bytes(),
			}, err
		})
		switch {
		case err != nil:
			return err
		case repeated:
			c.Response().Header().Set("Idempotency-Replayed", "true")
			c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
			return c.Blob(a.Status, a.ContentType, a.Body)
		}
		tape.play()
		return nil
	}
}

// fingerprint tells one request from another under the same key.
func fingerprint(r *http.Request, body []byte) []byte {
	h := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get(echo.HeaderContentType)} {
		io.WriteString(h, part)
		h.Write([]byte{0})
	}
	h.Write(body)
	return h.Sum(nil)
}

// tape holds an answer back until it is remembered.
type tape struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (t *tape) WriteHeader(status int) { t.status = status }

func (t *tape) Write(b []byte) (int, error) { return t.body.Write(b) }

func (t *tape) play() {
	t.ResponseWriter.WriteHeader(t.status)
	t.ResponseWriter.Write(t.body.Bytes()) // a caller who is gone may ask again
}

func printable(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
