// Package fault gives failures the words a caller can act on. Rooms return them,
// the HTTP room alone turns them into statuses, and what nobody named is an
// internal failure: logged in full, shown as nothing.
package fault

import (
	"errors"
	"fmt"
	"strings"
)

// Kind is what a caller can do about a failure.
type Kind string

const (
	Invalid      Kind = "invalid"      // the input is wrong; mend it and try again
	NotFound     Kind = "not_found"    // there is no such thing
	Conflict     Kind = "conflict"     // the thing's state does not allow it
	Unauthorized Kind = "unauthorized" // no valid key
	Forbidden    Kind = "forbidden"    // a valid key whose role may not
	TooLarge     Kind = "too_large"    // more bytes, pixels or items than the limit
	Unsupported  Kind = "unsupported"  // a media type nobody here reads
	Limited      Kind = "limited"      // too often; wait and try again
	Unavailable  Kind = "unavailable"  // not now; trying again may help
	Internal     Kind = "internal"     // a failure nobody named
)

// Field is one thing that is wrong with the input.
type Field struct {
	Field   string `json:"field"`            // path in the input, such as tasks.invite.on
	Message string `json:"message"`          // what is wrong and what to write instead
	Line    int    `json:"line,omitempty"`   // 1-based; 0 when unknown
	Column  int    `json:"column,omitempty"` // 1-based; 0 when unknown
}

// Error is a failure with its kind, a sentence for a person, and for bad input every field that is wrong.
type Error struct {
	Kind    Kind
	Message string
	Fields  []Field
	cause   error
}

func (e *Error) Error() string {
	if len(e.Fields) == 0 {
		return e.Message
	}
	said := make([]string, 0, len(e.Fields))
	for _, f := range e.Fields {
		said = append(said, f.Field+": "+f.Message)
	}
	return e.Message + ": " + strings.Join(said, "; ")
}

// Unwrap gives the failure below, where there is one.
func (e *Error) Unwrap() error { return e.cause }

// New is a failure of the kind; format and args say what to do about it.
func New(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap is a failure of the kind with the failure that led to it kept for the log.
func Wrap(kind Kind, cause error, format string, args ...any) *Error {
	e := New(kind, format, args...)
	e.cause = cause
	return e
}

// Fields is bad input with every field that is wrong.
func Fields(message string, fields ...Field) *Error {
	return &Error{Kind: Invalid, Message: message, Fields: fields}
}

// KindOf gives the kind of the first fault in err's chain, Internal when nobody named it.
func KindOf(err error) Kind {
	var f *Error
	if errors.As(err, &f) {
		return f.Kind
	}
	return Internal
}
