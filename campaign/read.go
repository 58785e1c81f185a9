package campaign

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"kfactor/internal/document"
	"kfactor/internal/fault"
	"kfactor/internal/money"
)

// Source remembers where in its file each field of a definition stands.
type Source = document.Source

// Problem is one thing wrong with a definition file: where, what, and what to write instead.
type Problem = document.Problem

// ProblemsError is bad input with all the problems, nil when there are none.
func ProblemsError(problems []Problem) *fault.Error {
	return document.Fault("the campaign file", problems)
}

// reader reads what is a definition's own beside what every file holds.
type reader struct{ *document.Reader }

var filename = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// moment is a time with its zone.
func (r *reader) moment(v *document.Value) time.Time {
	if v == nil || v.Kind == document.Null {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.Text)
	if v.Kind != document.Text || err != nil {
		r.Bad(v, "write it like 2026-09-01T09:00:00+08:00", "%s is not a time with its zone", document.Quote(v.Text))
		return time.Time{}
	}
	if year := t.UTC().Year(); year < 2000 || year > 2199 {
		r.Bad(v, "write a year from 2000 to 2199", "%s is out of bounds", v.Text)
		return time.Time{}
	}
	return t.Truncate(time.Millisecond)
}

// amount is money in minor units; absent is 0.
func (r *reader) amount(v *document.Value, currency string) int64 {
	if v == nil || v.Kind == document.Null {
		return 0
	}
	if v.Kind == document.Integer || v.Kind == document.Decimal {
		like := money.Format(1000, currency)
		if minor, err := money.Parse(v.Text, currency); err == nil {
			like = money.Format(minor, currency)
		}
		if strings.HasPrefix(v.Text, "-") {
			r.Bad(v, fmt.Sprintf("write an amount of zero or more, in quotes: %q", like), "%s is negative", v.Text)
			return 0
		}
		r.Bad(v, fmt.Sprintf("write it in quotes: %q", like), "amounts of money are text, so that no digit is lost")
		return 0
	}
	said := r.Text(v, 40, false)
	if said == "" {
		return 0
	}
	minor, err := money.Parse(said, currency)
	if err != nil {
		message, mend, _ := strings.Cut(err.Error(), "; ")
		if mend == "" {
			mend = fmt.Sprintf("write it like %q", money.Format(1050, currency))
		}
		r.Bad(v, mend, "%s", message)
	}
	return minor
}

// color is "#RRGGBB"; absent gives otherwise.
func (r *reader) color(v *document.Value, otherwise string) string {
	said := r.Text(v, 200, false)
	if said == "" {
		return otherwise
	}
	if !isColor(said) {
		r.Bad(v, `write it like "#1A1A1A"`, "%s is not a colour", document.Quote(said))
		return otherwise
	}
	return said
}

// tint is a colour that may let the ground through, "#RRGGBB" or "#RRGGBBAA"; absent gives otherwise.
func (r *reader) tint(v *document.Value, otherwise string) string {
	said := r.Text(v, 200, false)
	if said == "" {
		return otherwise
	}
	if !isColor(said) && (len(said) != 9 || !isColor(said[:7]) || !isColor("#000"+said[6:])) {
		r.Bad(v, `write it like "#1A1A1A"`, "%s is not a colour", document.Quote(said))
		return otherwise
	}
	return said
}

// picture is the name of an uploaded picture.
func (r *reader) picture(v *document.Value) string {
	return r.file(v, "a picture", "jpg", "jpeg", "png")
}

// file is the name of an uploaded file, which is a thing of a kind by its ending.
func (r *reader) file(v *document.Value, kind string, endings ...string) string {
	said := r.Text(v, 200, false)
	if said == "" {
		return ""
	}
	_, ending, _ := strings.Cut(said[max(strings.LastIndexByte(said, '.'), 0):], ".")
	switch {
	case !filename.MatchString(said) || strings.Contains(said, "..") || said[0] == '.':
		r.Bad(v, "use up to 100 of A-Z, a-z, 0-9, dot, - and _, without folders", "%s cannot be the name of a file", document.Quote(said))
		return ""
	case !slices.Contains(endings, strings.ToLower(ending)):
		r.Bad(v, "use a ."+strings.Join(endings[:len(endings)-1], ", .")+" or ."+endings[len(endings)-1], "%s is not %s by its name", document.Quote(said), kind)
		return ""
	}
	return said
}
