package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/internal/fault"
)

// problem is a failure as RFC 9457 has it.
type problem struct {
	Type      string        `json:"type"`
	Title     string        `json:"title"`
	Status    int           `json:"status"`
	Detail    string        `json:"detail,omitempty"`
	Errors    []fault.Field `json:"errors,omitempty"`
	RequestID string        `json:"request_id,omitempty"`
}

// failure is what the words for failures are in HTTP.
type failure struct {
	status int
	title  string
	wait   time.Duration // when trying again may help
}

var failures = map[fault.Kind]failure{
	fault.Invalid:      {http.StatusBadRequest, "The request is not right", 0},
	fault.NotFound:     {http.StatusNotFound, "There is no such thing", 0},
	fault.Conflict:     {http.StatusConflict, "The state of things does not allow it", 0},
	fault.Unauthorized: {http.StatusUnauthorized, "A valid key is needed", 0},
	fault.Forbidden:    {http.StatusForbidden, "This key may not do that", 0},
	fault.TooLarge:     {http.StatusRequestEntityTooLarge, "Too large", 0},
	fault.Unsupported:  {http.StatusUnsupportedMediaType, "Nobody here reads that media type", 0},
	fault.Limited:      {http.StatusTooManyRequests, "Too often", 10 * time.Second},
	fault.Unavailable:  {http.StatusServiceUnavailable, "Not now", 2 * time.Second},
	fault.Internal:     {http.StatusInternalServerError, "Something went wrong here", 0},
}

// errMethod is a known address asked in a way it does not answer.
var errMethod = errors.New("method not allowed")

// later is a failure with the time after which trying again may help.
type later struct {
	error
	wait time.Duration
}

func (l later) Unwrap() error { return l.error }

// asProblem turns a failure into what the caller is shown. What nobody named is shown as nothing.
func asProblem(err error) (kind fault.Kind, p problem, wait time.Duration) {
	err = named(err)
	kind = fault.KindOf(err)
	if errors.Is(err, errMethod) {
		return fault.Invalid, problem{
			Type: "/docs#problem-method", Title: "Another method", Status: http.StatusMethodNotAllowed,
			Detail: "this address does not answer that method; the Allow header lists those it answers",
		}, 0
	}
	if errors.Is(err, errSlow) {
		return fault.Invalid, problem{
			Type: "/docs#problem-slow", Title: "Too slow", Status: http.StatusRequestTimeout,
			Detail: "the body did not arrive in time; send it at once, or in smaller parts",
		}, 0
	}
	f := failures[kind]
	p = problem{Type: "/docs#problem-" + string(kind), Title: f.title, Status: f.status}
	var said *fault.Error
	if kind != fault.Internal && errors.As(err, &said) {
		p.Detail, p.Errors = said.Message, said.Fields
		if kind == fault.Invalid && len(said.Fields) > 0 {
			p.Status = http.StatusUnprocessableEntity
		}
	}
	if p.Detail == "" {
		p.Detail = "it is written in the log under this request id"
	}
	if errors.Is(err, errOutside) {
		p.Status = http.StatusRequestedRangeNotSatisfiable
	}
	wait = f.wait
	if l, ok := errors.AsType[later](err); ok {
		wait = l.wait
	}
	return kind, p, wait
}

// named gives failures of the libraries below their words.
func named(err error) error {
	if fault.KindOf(err) != fault.Internal {
		return err
	}
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fault.Wrap(fault.TooLarge, err, "the body has more than %s", bytesText(tooLarge.Limit))
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return fault.New(fault.NotFound, "nothing is at this address; /docs lists the ones there are")
		case http.StatusMethodNotAllowed:
			return errMethod
		}
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "it took too long; try again")
	}
	return err
}

// answerError is the one place where failures become answers.
func (s *server) answerError(err error, c echo.Context) {
	kind, p, wait := asProblem(err)
	p.RequestID = requestID(c)
	if kind == fault.Internal || kind == fault.Unavailable {
		level, what, below := slog.LevelError, "request failed", err
		if kind == fault.Unavailable {
			level, what, below = slog.LevelWarn, "request put off", cause(err)
		}
		if gone(c) {
			level, what = slog.LevelDebug, "answer not delivered"
		}
		s.log.LogAttrs(c.Request().Context(), level, what,
			slog.String("request", p.RequestID), slog.String("route", c.Path()), slog.Any("err", below))
	}
	if c.Response().Committed {
		return
	}
	head := c.Response().Header()
	if kind == fault.Unauthorized {
		head.Set(echo.HeaderWWWAuthenticate, `Bearer realm="kfactor"`)
	}
	if wait > 0 {
		head.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	head.Set(echo.HeaderCacheControl, "no-store")
	for _, said := range []string{"ETag", "Accept-Ranges", echo.HeaderContentType, echo.HeaderContentDisposition} {
		head.Del(said) // of the answer that is not to be
	}
	if shown, _ := c.Get(pageKey).(bool); shown && s.failurePage(c, kind, p.Status) {
		return
	}
	body := encode(p)
	if err := c.Blob(p.Status, "application/problem+json", body); err != nil {
		s.log.Debug("answer not delivered", "request", p.RequestID, "err", err)
	}
}

// gone says whether the caller hung up or reads no more: then the server ends the request.
func gone(c echo.Context) bool { return c.Request().Context().Err() != nil }

// cause is the failure below a named one, for the log.
func cause(err error) error {
	if below := errors.Unwrap(err); below != nil {
		return below
	}
	return err
}

// encode is v in JSON without escaping what only old browsers mistook.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err) // our own answer types always encode
	}
	return b.Bytes()
}

// answer sends v as JSON.
func answer(c echo.Context, status int, v any) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Blob(status, echo.MIMEApplicationJSON, encode(v))
}

// recover turns a panic into an internal failure: in full in the log, as nothing in the answer.
func (s *server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if err, ok := r.(error); ok && errors.Is(err, http.ErrAbortHandler) { // a half-sent answer is cut off on purpose
				panic(r)
			}
			s.log.Error("panic", "request", requestID(c), "route", c.Path(), "panic", r, "stack", string(debug.Stack()))
			if c.Response().Committed {
				panic(http.ErrAbortHandler)
			}
			err = errors.New("panic")
		}()
		return next(c)
	}
}
