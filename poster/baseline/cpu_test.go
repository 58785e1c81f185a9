//go:build !linux

package baseline

import "testing"

// cpu reports nothing where a thread's work is not told.
func cpu(*testing.B) (stop func()) { return func() {} }
