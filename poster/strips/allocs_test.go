//go:build !race

package strips_test

import "testing"

// The race detector makes pools forget. Counting allocations suffers no other test beside it.
func TestAllocations(t *testing.T) {
	t.Run("NothingIsAllocatedWhereThereIsRoom", func(t *testing.T) {
		static, boxes := postcard(180, 320)
		p := plate(t, static, boxes)
		canvas := person(static, boxes, 1, 1)
		dst := make([]byte, 0, p.Bound())
		if n := testing.AllocsPerRun(50, func() { dst = p.Append(dst[:0], canvas) }); n > 0 {
			t.Fatalf("%v allocations", n)
		}
	})
}
