package wechat

import (
	"hash/maphash"
	"sync"
	"time"
)

// nonces remembers which body came under a time stamp and a nonce. In plain mode the signature does not cover the
// body, so whoever has seen one call could send others under its signature. Repetitions of the same body pass.
type nonces struct {
	seed maphash.Seed
	most int // of a generation

	mu         sync.Mutex
	young, old map[uint64]uint64 // hash of time stamp and nonce → hash of the body
	turned     time.Time
}

// nonceGeneration is how long a generation gathers: two of them cover the time in which a time stamp is taken.
const (
	nonceGeneration = 2 * stampWindow
	mostNonces      = 1 << 19 // of a generation, about 20 MB
)

func newNonces(most int) *nonces {
	return &nonces{seed: maphash.MakeSeed(), most: most, young: map[uint64]uint64{}}
}

// taken says whether a body may come under these: nobody came, or the same body did.
func (n *nonces) taken(stamp, nonce string, body []byte, now time.Time) bool {
	key := maphash.String(n.seed, stamp+"\n"+nonce)
	sum := maphash.Bytes(n.seed, body)
	n.mu.Lock()
	defer n.mu.Unlock()
	if now.Sub(n.turned) > nonceGeneration || len(n.young) >= n.most {
		n.young, n.old, n.turned = map[uint64]uint64{}, n.young, now
	}
	before, known := n.young[key]
	if !known {
		before, known = n.old[key]
	}
	if known {
		return before == sum
	}
	n.young[key] = sum
	return true
}
