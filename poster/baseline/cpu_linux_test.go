package baseline

import (
	"runtime"
	"syscall"
	"testing"
	"time"
)

// cpu reports what a benchmark's thread has worked, in nanoseconds an operation: unlike the time on the wall it says
// the same on a busy machine.
func cpu(b *testing.B) (stop func()) {
	runtime.LockOSThread()
	worked := func() time.Duration {
		var use syscall.Rusage
		const thread = 1
		if err := syscall.Getrusage(thread, &use); err != nil {
			b.Fatal(err)
		}
		return time.Duration(use.Utime.Nano() + use.Stime.Nano())
	}
	before := worked()
	return func() {
		b.ReportMetric(float64(worked()-before)/float64(b.N), "cpu-ns/op")
		runtime.UnlockOSThread()
	}
}
