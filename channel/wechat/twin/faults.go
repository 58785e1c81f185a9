package twin

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Failure is a way in which the platform fails.
type Failure string

const (
	Refuse  Failure = "refuse"  // answers Code
	Hang    Failure = "hang"    // never answers, until the caller gives up
	Slow    Failure = "slow"    // answers rightly, after Delay of real time
	Cut     Failure = "cut"     // the connection breaks before the answer
	Garbage Failure = "garbage" // status 502 and a page of HTML
	Lost    Failure = "lost"    // does what was asked; the connection breaks before the answer
)

// Fault is a failure on demand.
type Fault struct {
	Path    string        `json:"path"`            // of the API, "*" for all; the transfers share the path that makes them
	Failure Failure       `json:"failure"`         // refuse when empty
	Code    int           `json:"code,omitempty"`  // of refuse: errcode; for transfers a status
	Delay   time.Duration `json:"delay,omitempty"` // of slow, in nanoseconds
	After   int           `json:"after,omitempty"` // calls that pass first
	Times   int           `json:"times,omitempty"` // calls that suffer; 0: all until cleared
	Until   time.Time     `json:"until,omitzero"`  // of the twin's time; zero: until cleared
}

func (f *Fault) refusal() error {
	if f == nil || f.Failure != Refuse {
		return nil
	}
	return refuse(f.Code)
}

const maxFaults = 1000

type faults struct {
	mu      sync.Mutex
	planned []*Fault
	bans    map[string]bool

	duplicates int           // pushes to come that are delivered twice
	held       int           // pushes to come that wait for the one after them
	released   chan struct{} // closed when the held ones may go; nil: none wait
}

// Inject lets calls fail. Faults are tried in the order they were injected; the first that fits is suffered.
func (t *Twin) Inject(f Fault) error {
	if f.Failure == "" {
		f.Failure = Refuse
	}
	switch f.Failure {
	case Refuse, Hang, Slow, Cut, Garbage, Lost:
	default:
		return errors.New("twin: failure is one of refuse, hang, slow, cut, garbage and lost")
	}
	if _, known := t.apis[f.Path]; !known && f.Path != "*" && f.Path != billsPath {
		return errors.New("twin: path is * or the path of a call that the twin serves")
	}
	if f.Failure == Refuse && f.Code == 0 {
		return errors.New("twin: a refusal has a code other than 0")
	}
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	if len(t.faults.planned) >= maxFaults {
		return errors.New("twin: there are too many faults; clear them first")
	}
	t.faults.planned = append(t.faults.planned, &f)
	return nil
}

// Down cuts every call for a while of the twin's time.
func (t *Twin) Down(for_ time.Duration) error {
	return t.Inject(Fault{Path: "*", Failure: Cut, Until: t.clock.Now().Add(for_)})
}

// Heal ends all faults, bans and mischief with pushes.
func (t *Twin) Heal() {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.planned, t.faults.bans, t.faults.duplicates, t.faults.held = nil, nil, 0, 0
}

// Ban lets the platform answer 48004 to the paths, or to every call that carries a token when none is named.
func (t *Twin) Ban(paths ...string) {
	if len(paths) == 0 {
		paths = []string{"*"}
	}
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	if t.faults.bans == nil {
		t.faults.bans = map[string]bool{}
	}
	for _, p := range paths {
		t.faults.bans[p] = true
	}
}

// Unban ends every ban.
func (t *Twin) Unban() {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.bans = nil
}

// DuplicatePushes delivers the next n pushes twice.
func (t *Twin) DuplicatePushes(n int) {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.duplicates = n
}

// HoldPushes lets each of the next n pushes wait until the push after it has been delivered, at most two seconds of real
// time; the fan's verb does not wait for a push that is held.
func (t *Twin) HoldPushes(n int) {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	t.faults.held = n
}

func (f *faults) banned(path string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bans[path] || f.bans["*"]
}

// take finds the fault that a call suffers, nil for none.
func (f *faults) take(path string, now time.Time) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.planned = slices.DeleteFunc(f.planned, func(p *Fault) bool { return !p.Until.IsZero() && !now.Before(p.Until) })
	for i, p := range f.planned {
		if p.Path != path && p.Path != "*" {
			continue
		}
		if p.After > 0 {
			p.After--
			continue
		}
		suffered := *p
		if p.Times > 0 {
			if p.Times--; p.Times == 0 {
				f.planned = slices.Delete(f.planned, i, i+1)
			}
		}
		return &suffered
	}
	return nil
}

// mischief says what happens to the next push.
func (f *faults) mischief() (duplicate, hold bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if duplicate = f.duplicates > 0; duplicate {
		f.duplicates--
	}
	if hold = f.held > 0; hold {
		f.held--
	}
	return duplicate, hold
}

// suffer lets a call suffer a fault; it reports whether the call is still answered. What breaks the connection does not
// return.
func (t *Twin) suffer(f *Fault, count *tally, w http.ResponseWriter, r *http.Request) bool {
	switch f.Failure {
	case Refuse, Lost:
		return true
	case Slow:
		t.wait(r, time.After(f.Delay))
		return true
	}
	count.add(0, true)
	switch f.Failure {
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body></body></html>"))
		return false
	case Hang:
		// Only with its body read does the server notice that the caller went away.
		_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxUpload))
		t.wait(r, nil)
	}
	panic(http.ErrAbortHandler)
}

func (t *Twin) wait(r *http.Request, done <-chan time.Time) {
	select {
	case <-done:
	case <-r.Context().Done():
	case <-t.running.Done():
	}
}
