package campaign

import (
	"fmt"

	"kfactor/internal/fault"
)

// Problem is one thing wrong with a definition file: where, what, and what to write instead.
type Problem struct {
	File    string
	Line    int    // from 1
	Column  int    // in characters, from 1
	Field   string // such as tasks.order.when or tiers[1].requires.invite; "" for the file as a whole
	Message string
	Mend    string
}

// String is the problem as compilers write them, so that editors can jump to it.
func (p Problem) String() string {
	place := fmt.Sprintf("%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Field != "" {
		place += p.Field + ": "
	}
	return place + p.sentence()
}

func (p Problem) sentence() string {
	if p.Mend == "" {
		return p.Message
	}
	return p.Message + "; " + p.Mend
}

// Fault is the problem as a field of bad input.
func (p Problem) Fault() fault.Field {
	return fault.Field{Field: p.Field, Message: p.sentence(), Line: p.Line, Column: p.Column}
}

// ProblemsError is bad input with all the problems, nil when there are none.
func ProblemsError(problems []Problem) *fault.Error {
	if len(problems) == 0 {
		return nil
	}
	fields := make([]fault.Field, len(problems))
	for i, p := range problems {
		fields[i] = p.Fault()
	}
	said := "the campaign file has 1 problem"
	if len(fields) > 1 {
		said = fmt.Sprintf("the campaign file has %d problems", len(fields))
	}
	return fault.Fields(said, fields...)
}
