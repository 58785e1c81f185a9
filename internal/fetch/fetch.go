// Package fetch gets small files from addresses that strangers name. It dials public networks only, so that nobody
// can look into ours through it, and it bounds bytes, time and redirects.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"code.dny.dev/ssrf"
	"golang.org/x/sync/singleflight"
)

const (
	timeout      = 3 * time.Second
	maxRedirects = 3
	keepBad      = time.Minute      // how long a failure is believed
	keepGood     = 30 * time.Minute // how long bytes are believed
)

// Fetcher gets files and keeps them for a while, within a bound on bytes. It is safe for many goroutines.
type Fetcher struct {
	client   *http.Client
	maxBytes int64 // of one file
	maxKept  int64 // of all that are kept
	flights  singleflight.Group

	mu   sync.Mutex
	kept map[string]kept
	size int64
}

type kept struct {
	body  []byte
	err   error
	until time.Time
}

// New makes a fetcher for files of at most maxBytes that keeps at most maxKept bytes. options loosen or tighten
// which networks it may dial; without any, only public ones on ports 80 and 443.
func New(maxBytes, maxKept int64, options ...ssrf.Option) *Fetcher {
	dialer := &net.Dialer{Timeout: timeout, Control: ssrf.New(options...).Safe}
	return &Fetcher{
		maxBytes: maxBytes, maxKept: maxKept, kept: map[string]kept{},
		client: &http.Client{
			Timeout:   timeout,
			Transport: &http.Transport{Proxy: nil, DialContext: dialer.DialContext, MaxIdleConns: 50, IdleConnTimeout: 30 * time.Second, TLSHandshakeTimeout: timeout, MaxResponseHeaderBytes: 64 << 10},
			CheckRedirect: func(_ *http.Request, via []*http.Request) error {
				if len(via) > maxRedirects {
					return errors.New("too many redirects")
				}
				return nil
			},
		},
	}
}

// Get gives the bytes at an address. Many callers of one address share one request, and a failure is not tried again
// for a minute.
func (f *Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	f.mu.Lock()
	k, ok := f.kept[address]
	f.mu.Unlock()
	if ok && time.Now().Before(k.until) {
		return k.body, k.err
	}
	answer := f.flights.DoChan(address, func() (any, error) {
		body, err := f.request(context.WithoutCancel(ctx), address)
		f.keep(address, body, err)
		return body, err
	})
	select {
	case a := <-answer:
		body, _ := a.Val.([]byte)
		return body, a.Err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Fetcher) request(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	res, err := f.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the address answers %s", res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, f.maxBytes+1))
	if err == nil && int64(len(body)) > f.maxBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", f.maxBytes)
	}
	return body, err
}

// overhead is what an address and its entry take beside the bytes, roughly.
const overhead = 1 << 10

// keep remembers an answer. When there is no more room everything is forgotten: that costs a request each, and
// needs no bookkeeping.
func (f *Fetcher) keep(address string, body []byte, err error) {
	long := keepGood
	if err != nil {
		long = keepBad
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.kept[address]; ok {
		f.size -= int64(len(old.body)) + overhead
	}
	if f.size += int64(len(body)) + overhead; f.size > f.maxKept {
		clear(f.kept)
		f.size = int64(len(body)) + overhead
	}
	f.kept[address] = kept{body: body, err: err, until: time.Now().Add(long)}
}
