package wechat

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"kfactor/channel/wechat/wire"
)

const (
	bodyTime    = 3 * time.Second // for a push's body; it comes with its head, and the platform waits for five seconds in all
	mostReading = 512             // bodies that are read at once
	readingEach = 8               // of them under one signature: each of the platform's pushes has its own
)

var (
	errSlowBody = errors.New("the body came too slowly")
	errReading  = errors.New("too many bodies are being read")
)

// bodies bounds those that are read at once. Who has seen a signature and sends slowly under it takes few places from
// those who send honestly, and not for long.
type bodies struct {
	mu  sync.Mutex
	all int
	by  map[string]int // signatures under which bodies are read
}

func (b *bodies) enter(signature string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= mostReading || b.by[signature] >= readingEach {
		return false
	}
	if b.by == nil {
		b.by = map[string]int{}
	}
	b.all++
	b.by[signature]++
	return true
}

func (b *bodies) leave(signature string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all--
	if b.by[signature]--; b.by[signature] == 0 {
		delete(b.by, signature)
	}
}

// body reads a push's body within its time, size and place.
func (d *desk) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	q := r.URL.Query()
	signature := q.Get("timestamp") + "\n" + q.Get("nonce") // which it signs
	if !d.bodies.enter(signature) {
		return nil, errReading
	}
	defer d.bodies.leave(signature)
	until := http.NewResponseController(w)
	_ = until.SetReadDeadline(time.Now().Add(bodyTime)) // where it cannot be set there is none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, errSlowBody
	}
	if err == nil {
		_ = until.SetReadDeadline(time.Time{}) // one that passes while the push is worked on would end it
	}
	return body, err
}
