package twin

import (
	"maps"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// tally counts the answers of one API.
type tally struct {
	mu      sync.Mutex
	calls   int64
	refused int64
	codes   map[int]int64
}

func (t *tally) add(code int, refused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	if !refused {
		return
	}
	t.refused++
	if t.codes == nil {
		t.codes = map[int]int64{}
	}
	t.codes[code]++
}

// stats counts what the twin did besides answering calls.
type stats struct {
	answers    atomic.Int64 // refused ones, for their ids
	pushes     atomic.Int64
	deliveries atomic.Int64
	repeats    atomic.Int64
	replied    atomic.Int64
	unanswered atomic.Int64
	wrong      atomic.Int64
	took       times
}

// times keeps how long answers took in buckets that double from 64 µs on, four to a doubling.
type times struct {
	buckets [96]atomic.Int64
	longest atomic.Int64
}

const firstBucket = 64 * time.Microsecond

func (t *times) add(took time.Duration) {
	for {
		before := t.longest.Load()
		if int64(took) <= before || t.longest.CompareAndSwap(before, int64(took)) {
			break
		}
	}
	t.buckets[min(bucket(took), len(t.buckets)-1)].Add(1)
}

func bucket(took time.Duration) int {
	units := uint64(4 * took / firstBucket) // in quarters of the first bucket
	if units < 4 {
		return int(units)
	}
	doublings := bits.Len64(units) - 3
	return 4*doublings + int(units>>doublings)
}

// end is the upper end of a bucket.
func end(bucket int) time.Duration {
	if bucket < 4 {
		return firstBucket * time.Duration(bucket+1) / 4
	}
	doublings := bucket/4 - 1
	return firstBucket / 4 * time.Duration((bucket%4+5)<<doublings)
}

// quantile gives a time that the share of all answers did not exceed, to a fifth.
func (t *times) quantile(share float64) time.Duration {
	var all int64
	for i := range t.buckets {
		all += t.buckets[i].Load()
	}
	left := int64(share*float64(all) + 0.5)
	for i := range t.buckets {
		if left -= t.buckets[i].Load(); left <= 0 && all > 0 {
			return min(end(i), time.Duration(t.longest.Load()))
		}
	}
	return time.Duration(t.longest.Load())
}

// Statistics is what has happened since the twin was made.
type Statistics struct {
	APIs       map[string]APIStatistics `json:"apis"`
	Fans       int                      `json:"fans"`
	Pushes     int64                    `json:"pushes"`     // things pushed, each counted once
	Deliveries int64                    `json:"deliveries"` // tries, repeats and duplicates included
	Repeats    int64                    `json:"repeats"`    // tries after the first
	Replied    int64                    `json:"replied"`    // pushes answered with a message
	Unanswered int64                    `json:"unanswered"` // pushes given up
	Wrong      int64                    `json:"wrong"`      // answers that were not understood
	MedianMS   float64                  `json:"median_ms"`  // of the time an answer took
	P99MS      float64                  `json:"p99_ms"`
	P999MS     float64                  `json:"p999_ms"`
	LongestMS  float64                  `json:"longest_ms"`
}

// APIStatistics is what has happened to one API.
type APIStatistics struct {
	Calls   int64         `json:"calls"`
	Refused int64         `json:"refused"`
	Codes   map[int]int64 `json:"codes,omitempty"` // refusals by errcode
	Limit   int64         `json:"limit"`           // calls a day; 0: none
	Used    int64         `json:"used"`            // of today's
}

// Statistics counts what has happened.
func (t *Twin) Statistics() Statistics {
	now := t.clock.Now()
	s := Statistics{
		APIs: map[string]APIStatistics{}, Fans: t.fans.size(),
		Pushes: t.stats.pushes.Load(), Deliveries: t.stats.deliveries.Load(), Repeats: t.stats.repeats.Load(),
		Replied: t.stats.replied.Load(), Unanswered: t.stats.unanswered.Load(), Wrong: t.stats.wrong.Load(),
		MedianMS: milliseconds(t.stats.took.quantile(0.5)), P99MS: milliseconds(t.stats.took.quantile(0.99)),
		P999MS: milliseconds(t.stats.took.quantile(0.999)), LongestMS: milliseconds(time.Duration(t.stats.took.longest.Load())),
	}
	for path, a := range t.apis {
		a.count.mu.Lock()
		one := APIStatistics{Calls: a.count.calls, Refused: a.count.refused, Codes: maps.Clone(a.count.codes)}
		a.count.mu.Unlock()
		one.Limit, one.Used, _ = a.quota.state(now)
		s.APIs[path] = one
	}
	t.pay.count.mu.Lock()
	defer t.pay.count.mu.Unlock()
	s.APIs[billsPath] = APIStatistics{Calls: t.pay.count.calls, Refused: t.pay.count.refused, Codes: maps.Clone(t.pay.count.codes)}
	return s
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
