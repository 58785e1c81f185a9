package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/internal/fault"
)

// pool is the memory that bodies may take: all of them together, and those of one sender, so that nobody takes it
// from everybody else.
type pool struct {
	all, each int64 // bytes

	mu   sync.Mutex
	held int64
	by   map[string]int64 // senders that hold something
}

func newPool(all, each int64) *pool {
	return &pool{all: all, each: min(each, all), by: map[string]int64{}}
}

// take gives n bytes to a sender, or none.
func (p *pool) take(who string, n int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held+n > p.all || p.by[who]+n > p.each {
		return fault.New(fault.Unavailable, "too many large bodies at once; try again")
	}
	p.held += n
	p.by[who] += n
	return nil
}

func (p *pool) give(who string, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held -= n
	if p.by[who] -= n; p.by[who] <= 0 {
		delete(p.by, who)
	}
}

const (
	firstRoom = 4 * kib  // what a body of unknown or of any larger size gets to begin with, in bytes
	slowest   = 32 * kib // bytes in a second by which a body earns itself more time
)

// errSlow is a body that did not come in time.
var errSlow = errors.New("the body came too slowly")

const bodyKey = "kfactor.body"

// receive reads the whole body into memory. It refuses one that says it is too large before a byte of it is read,
// and stops reading one that does not say so. Memory is taken from the pool as bytes arrive, not as they are
// announced, and is held until release is called.
func (s *server) receive(c echo.Context, most int64, from *pool, who string) (release func(), err error) {
	r := c.Request()
	if most == 0 {
		r.Body = http.NoBody
		return func() {}, nil
	}
	var held int64
	release = func() { from.give(who, held) }
	defer func() {
		if err != nil {
			release()
			release = nil
			c.Response().Header().Set(echo.HeaderConnection, "close") // the rest is not going to be read
		}
	}()
	if r.ContentLength > most {
		return release, fault.New(fault.TooLarge, "the body has %s; this takes up to %s", bytesText(r.ContentLength), bytesText(most))
	}
	if coding := r.Header.Get(echo.HeaderContentEncoding); coding != "" && !strings.EqualFold(coding, "identity") {
		return release, fault.New(fault.Unsupported, "compressed bodies are not read; send it as it is")
	}

	body := http.MaxBytesReader(c.Response().Writer, r.Body, most)
	until := http.NewResponseController(c.Response())
	began := time.Now()
	var raw []byte
	for {
		if len(raw) == cap(raw) {
			room := max(firstRoom, 2*int64(cap(raw)))
			if announced := r.ContentLength; announced >= int64(len(raw)) {
				room = min(room, announced+1) // with one to spare the end is seen without growing
			}
			room = min(room, most+1)
			if err := from.take(who, room); err != nil {
				return release, err
			}
			from.give(who, held)
			held = room
			raw = append(make([]byte, 0, room), raw...)
		}
		earned := time.Duration(len(raw)) * time.Second / slowest
		_ = until.SetReadDeadline(began.Add(s.bodyTime + earned)) // where it cannot be set there is none
		n, err := body.Read(raw[len(raw):cap(raw)])
		raw = raw[:len(raw)+n]
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return release, brokenOff(err)
		}
	}
	_ = until.SetReadDeadline(time.Time{}) // one that passes while the answer is made would end the request
	c.Set(bodyKey, raw)
	return release, nil
}

// brokenOff is why a body ended early.
func brokenOff(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errSlow
	}
	return fault.Wrap(fault.Invalid, err, "the body broke off")
}

// bodyOf is the whole body, which is within the route's limit.
func bodyOf(c echo.Context) []byte {
	raw, _ := c.Get(bodyKey).([]byte)
	return raw
}
