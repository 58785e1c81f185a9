//go:build crashpoints

// Package crash names the moments at which losing the process would hurt most, so that tests can lose it there. In
// this build CRASH_AT=name:N in the environment has the process die at the Nth passing of a point, as by a power cut.
package crash

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// Variable names the point and how often it is passed first.
const Variable = "CRASH_AT"

var (
	at     = read(os.Getenv(Variable))
	passed atomic.Int64
)

type moment struct {
	name string
	n    int64
}

func read(text string) moment {
	name, count, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if text != "" && err != nil {
		panic(Variable + " is not name:N: " + text)
	}
	return moment{name, n}
}

// Point is a moment with a name. The process does not outlive the one that was asked for.
func Point(name string) {
	if name != at.name || passed.Add(1) != at.n {
		return
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // nothing more may happen until the signal is here
}
