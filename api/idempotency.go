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
		stored, err := s.engine.Remembered(ctx, scope, key, mark)
		if err != nil {
			return err
		}
		if stored != nil {
			c.Response().Header().Set("Idempotency-Replayed", "true")
			c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
			return c.Blob(stored.Status, stored.ContentType, stored.Body)
		}

		tape := &tape{ResponseWriter: c.Response().Writer}
		c.Response().Writer = tape
		// Whatever comes, the call ends: with its answer, or forgotten so that it can be made again. That must
		// not depend on a caller who may be gone.
		kept := engine.StoredAnswer{}
		defer func() {
			if err := s.engine.Remember(context.WithoutCancel(ctx), scope, key, mark, kept); err != nil {
				s.log.Error("answer not kept for its Idempotency-Key", "request", requestID(c), "err", err)
			}
			c.Response().Writer = tape.ResponseWriter
			if kept.Status != 0 {
				tape.play()
			}
		}()
		if err := do(c); err != nil {
			return err
		}
		kept = engine.StoredAnswer{
			Status:      tape.status,
			ContentType: tape.Header().Get(echo.HeaderContentType),
			Body:        tape.body.Bytes(),
		}
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
