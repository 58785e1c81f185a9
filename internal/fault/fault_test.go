package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"kfactor/internal/fault"
)

func TestKindOf(t *testing.T) {
	t.Parallel()
	inner := fault.New(fault.Conflict, "campaign %q is live", "c")
	for want, err := range map[fault.Kind]error{
		fault.Conflict:    fmt.Errorf("launch: %w", inner),
		fault.Unavailable: fault.Wrap(fault.Unavailable, io.EOF, "later"),
		fault.Internal:    io.EOF,
		fault.Invalid:     fault.Fields("bad", fault.Field{Field: "a", Message: "b"}),
	} {
		if got := fault.KindOf(err); got != want {
			t.Errorf("%v is %s, not %s", err, got, want)
		}
	}
	if err := fault.Wrap(fault.Unavailable, io.EOF, "later"); !errors.Is(err, io.EOF) || err.Error() != "later" {
		t.Error("the cause is lost, or it shows:", err)
	}
	if got := fault.Fields("two are wrong", fault.Field{Field: "a", Message: "b"}, fault.Field{Field: "c", Message: "d"}).Error(); got != "two are wrong: a: b; c: d" {
		t.Error(got)
	}
}
