package api

import (
	"crypto/rand"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

const requestIDKey = "kfactor.request"

// requestID names the request in the log and in its answer.
func requestID(c echo.Context) string {
	id, _ := c.Get(requestIDKey).(string)
	return id
}

// observe names each request, and logs how it went: the route's pattern and never the path, which holds codes;
// no address and no names.
func (s *server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !saneID(id) {
			id = rand.Text()
		}
		c.Set(requestIDKey, id)
		c.Response().Header().Set(echo.HeaderXRequestID, id)

		whole := false
		defer func() {
			level := slog.LevelInfo
			if c.Response().Status >= 500 || !whole && !gone(c) {
				level = slog.LevelWarn
			}
			attrs := []slog.Attr{
				slog.String("method", method(c.Request().Method)),
				slog.String("route", c.Path()),
				slog.Int("status", c.Response().Status),
				slog.Float64("ms", float64(time.Since(start).Microseconds())/1000),
				slog.Int64("bytes", c.Response().Size),
				slog.String("request", id),
			}
			route := c.Path()
			if route == "" {
				route = "unknown"
			}
			s.metrics.Request(c.Request().Method, route, c.Response().Status, time.Since(start))
			if key := caller(c).ID; key != "" {
				attrs = append(attrs, slog.String("key", key))
			}
			if !whole {
				attrs = append(attrs, slog.Bool("aborted", true))
			}
			s.log.LogAttrs(c.Request().Context(), level, "request", attrs...)
		}()
		if err := next(c); err != nil {
			c.Error(err)
		}
		whole = true
		return nil
	}
}

// method keeps invented methods out of the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions:
		return m
	}
	return "other"
}

// saneID says whether an id from outside may go into our log: 8 to 64 letters, digits, '-', '_', '.' and ':'.
func saneID(id string) bool {
	if len(id) < 8 || len(id) > 64 {
		return false
	}
	for i := 0; i < len(id); i++ {
		switch b := id[i]; {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b == '-', b == '_', b == '.', b == ':':
		default:
			return false
		}
	}
	return true
}

// secureHeaders are what every answer says to browsers; pages say more (see page).
func secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		h := c.Response().Header()
		h.Set(echo.HeaderXContentTypeOptions, "nosniff")
		h.Set(echo.HeaderReferrerPolicy, "same-origin")
		h.Set(echo.HeaderContentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'")
		h.Set(echo.HeaderXFrameOptions, "DENY")
		return next(c)
	}
}

// abort cuts an answer off that went wrong after its head was sent, so that nobody takes half of it for whole.
func (s *server) abort(c echo.Context, err error) {
	level := slog.LevelError
	if gone(c) {
		level = slog.LevelDebug
	}
	s.log.Log(c.Request().Context(), level, "answer cut off", "request", requestID(c), "route", c.Path(), "err", err)
	panic(http.ErrAbortHandler)
}
