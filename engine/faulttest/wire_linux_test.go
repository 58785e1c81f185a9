package faulttest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// wire is a TCP connection point between the servers and a store that can be cut, at will or in the middle of a
// commit, and frozen.
type wire struct {
	listener net.Listener
	target   string

	mu     sync.Mutex
	pairs  map[*pair]bool
	frozen chan struct{} // nil while bytes flow
	refuse bool
	cuts   []commitCut // to be made at the next commits
}

// commitCut is when a connection that commits is cut.
type commitCut int

const (
	beforeCommit commitCut = iota // the store never hears of it
	afterCommit                   // the store has committed, and its answer is lost
	silentCommit                  // the store has committed, and nobody hears anything more
)

type pair struct {
	client, store net.Conn
	buried        atomic.Bool // both ends hold on to it, and nothing arrives any more
}

func (p *pair) cut() {
	_ = p.client.Close()
	_ = p.store.Close()
}

func newWire(t testing.TB, target string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l, target: target, pairs: map[*pair]bool{}}
	go w.accept()
	t.Cleanup(func() {
		_ = l.Close()
		w.thaw()
		w.cutAll()
	})
	return w
}

func (w *wire) addr() string { return w.listener.Addr().String() }

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		go w.carry(client)
	}
}

func (w *wire) carry(client net.Conn) {
	w.mu.Lock()
	refuse := w.refuse
	w.mu.Unlock()
	if refuse {
		_ = client.Close()
		return
	}
	store, err := net.Dial("tcp", w.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p := &pair{client: client, store: store}
	w.mu.Lock()
	w.pairs[p] = true
	w.mu.Unlock()
	var both sync.WaitGroup
	lost := make(chan struct{}, 1) // set when the store's next answer must not arrive
	both.Go(func() { w.pump(p, client, store, lost, true) })
	both.Go(func() { w.pump(p, store, client, lost, false) })
	both.Wait()
	w.mu.Lock()
	delete(w.pairs, p)
	w.mu.Unlock()
}

// commitPacket is the whole of MySQL's packet for it: three bytes of length, a number, the command, the text.
var commitPacket = []byte("\x07\x00\x00\x00\x03COMMIT")

func (w *wire) pump(p *pair, from, to net.Conn, lost chan struct{}, fromClient bool) {
	defer p.cut()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		w.mu.Lock()
		frozen := w.frozen
		w.mu.Unlock()
		if frozen != nil {
			<-frozen
		}
		if p.buried.Load() {
			continue
		}
		if fromClient && bytes.Equal(buffer[:n], commitPacket) {
			switch cut, any := w.nextCut(); {
			case any && cut == beforeCommit:
				return
			case any && cut == afterCommit:
				lost <- struct{}{}
			case any:
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
				p.buried.Store(true)
				continue
			}
		}
		if !fromClient && len(lost) > 0 {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func (w *wire) nextCut() (commitCut, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.cuts) == 0 {
		return 0, false
	}
	cut := w.cuts[0]
	w.cuts = w.cuts[1:]
	return cut, true
}

// cutCommits has the next commits' connections cut.
func (w *wire) cutCommits(cuts ...commitCut) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cuts = append(w.cuts, cuts...)
}

// left is how many commits are still to be cut.
func (w *wire) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.cuts)
}

// cutAll cuts every connection there is.
func (w *wire) cutAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.pairs {
		p.cut()
	}
}

// bury has every connection there is end without a word, as a firewall that forgot them would.
func (w *wire) bury() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for p := range w.pairs {
		p.buried.Store(true)
	}
}

// lock refuses connections from now on, or takes them again.
func (w *wire) lock(refuse bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = refuse
}

// freeze keeps every byte back, and thaw lets them go on.
func (w *wire) freeze() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen == nil {
		w.frozen = make(chan struct{})
	}
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen != nil {
		close(w.frozen)
		w.frozen = nil
	}
}
