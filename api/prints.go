package api

import (
	"context"
	"errors"
	"sync"
)

// prints shares what is being printed and sent: whoever asks for the same picture meanwhile is given the same bytes.
// A picture is held only as long as somebody reads it, so there are at most as many as visits (Limits.Visits).
type prints struct {
	mu    sync.Mutex
	now   map[string]*print
	files sync.Pool // of *[]byte
}

// print is one picture and those who hold it.
type print struct {
	name    string
	done    chan struct{}
	file    *[]byte
	err     error
	holders int // guarded by prints.mu
}

// mostKept is the largest buffer that is kept for the next picture, in bytes.
const mostKept = 4 * mib

var errNotPrinted = errors.New("printing did not end")

// get gives the picture of that name, made by make where nobody else makes it; make appends to what it is given.
// done has to be called when the bytes are not read any more. Who made it makes it to the end whatever becomes of
// their own request, since others may wait.
func (p *prints) get(ctx context.Context, name string, make func(context.Context, []byte) ([]byte, error)) (body []byte, done func(), err error) {
	one, mine := p.hold(name)
	done = func() { p.letGo(one) }
	if mine {
		p.run(context.WithoutCancel(ctx), one, make)
	} else {
		select {
		case <-one.done:
		case <-ctx.Done():
			done()
			return nil, nil, ctx.Err()
		}
	}
	if one.err != nil {
		err = one.err
		done()
		return nil, nil, err
	}
	return *one.file, done, nil
}

// hold finds what has this name, or begins it.
func (p *prints) hold(name string) (one *print, mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one = p.now[name]; one == nil {
		mine = true
		one = &print{name: name, done: make(chan struct{}), err: errNotPrinted}
		if p.now == nil {
			p.now = map[string]*print{}
		}
		p.now[name] = one
	}
	one.holders++
	return one, mine
}

// run makes the picture; a panic leaves it unmade, and those who wait are told so.
func (p *prints) run(ctx context.Context, one *print, make func(context.Context, []byte) ([]byte, error)) {
	file, ok := p.files.Get().(*[]byte)
	if !ok {
		file = new([]byte)
	}
	one.file = file
	defer func() {
		if one.err != nil { // the next one tries again
			p.mu.Lock()
			delete(p.now, one.name)
			p.mu.Unlock()
		}
		close(one.done)
	}()
	*file, one.err = make(ctx, (*file)[:0])
}

// letGo ends one's holding; the last one gives the buffer to the next picture.
func (p *prints) letGo(one *print) {
	p.mu.Lock()
	one.holders--
	last := one.holders == 0
	if last && p.now[one.name] == one {
		delete(p.now, one.name)
	}
	p.mu.Unlock()
	if last && cap(*one.file) <= mostKept {
		p.files.Put(one.file)
	}
}
