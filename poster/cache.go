package poster

import "sync"

// cache keeps what was used lately within a number of bytes, in two halves: when the young one is full it becomes the
// old one, and what is used again moves up. That keeps what is in use at the cost of a map look-up.
type cache[K comparable, V interface{ bytes() int }] struct {
	limit      int
	mu         sync.RWMutex
	young, old map[K]V
	used       int // bytes of the young half
}

func newCache[K comparable, V interface{ bytes() int }](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.RLock()
	v, ok := c.young[key]
	if ok {
		c.mu.RUnlock()
		return v, true
	}
	v, ok = c.old[key]
	c.mu.RUnlock()
	if ok {
		c.put(key, v)
	}
	return v, ok
}

// put keeps a value, unless it alone would take too much of the room.
func (c *cache[K, V]) put(key K, v V) {
	size := v.bytes()
	if size > c.limit/8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.young[key]; ok {
		return
	}
	if c.young == nil || c.used+size > c.limit/2 {
		c.old, c.young, c.used = c.young, make(map[K]V), 0
	}
	c.young[key] = v
	c.used += size
}
