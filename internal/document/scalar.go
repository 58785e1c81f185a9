package document

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Form is how a name must look.
type Form struct {
	pattern *regexp.Regexp
	says    string // what matches, for people
}

// NewForm is a form by its pattern and how it is told to people, as in "use …".
func NewForm(pattern, says string) Form { return Form{regexp.MustCompile(pattern), says} }

// Match says whether s has the form.
func (f Form) Match(s string) bool { return f.pattern.MatchString(s) }

// The forms of names that people give.
var (
	Slug     = NewForm(`^[a-z0-9][a-z0-9-]{0,62}$`, "1 to 63 of a-z, 0-9 and -, not beginning with -")
	Word     = NewForm(`^[a-z][a-z0-9_]{0,31}$`, "a lower-case word: up to 32 of a-z, 0-9 and _, beginning with a letter")
	Name     = NewForm(`^[a-z][a-z0-9_-]{0,31}$`, "up to 32 of a-z, 0-9, _ and -, beginning with a letter")
	Anything = NewForm(``, "")
)

var (
	span     = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})([smhd])$`)
	digits   = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	numeral  = regexp.MustCompile(`^[+-]?[0-9][0-9_]*([eE][+-]?[0-9]+)?$`)
	decimals = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

// Text is what v says, between 1 and most characters; lines only where they are allowed.
func (r *Reader) Text(v *Value, most int, lines bool) string {
	if v == nil || v.Kind == Null {
		return ""
	}
	if v.Kind != Text {
		mend := "write text here"
		if v.Text != "" {
			mend = fmt.Sprintf("write it in quotes: %q", v.Text)
		}
		r.Bad(v, mend, "this must be text, not %s", v.Kind)
		return ""
	}
	said := v.Text
	if v.Block {
		said = strings.TrimRight(said, "\n") // the line break a block ends with is not meant
	}
	switch {
	case strings.TrimSpace(said) == "":
		r.Bad(v, "write something or remove the key", "this is empty")
		return ""
	case Characters(said) > most:
		r.Bad(v, "shorten it", "this has %d characters, more than %d", Characters(said), most)
		return ""
	}
	for _, c := range said {
		if c == '\n' && lines {
			continue
		}
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			r.Bad(v, "remove it", "this holds a control character (%U)", c)
			return ""
		}
	}
	return said
}

// Label is text by which people know something: it stands alone on posters, in lists and in reports. Two that look
// the same must be the same, so it has no spaces around it and nothing in it that cannot be seen.
func (r *Reader) Label(v *Value, most int) string {
	said := r.Text(v, most, false)
	if trimmed := strings.TrimSpace(said); trimmed != said {
		r.Bad(v, fmt.Sprintf("write %q", trimmed), "this begins or ends with a space")
		return ""
	}
	if c, ok := hidden(said); ok {
		r.Bad(v, "remove it", "this holds a character that cannot be seen (%U)", c)
		return ""
	}
	return said
}

// hidden finds a character that shows nothing and changes the direction, the joining or the spelling of what is
// around it. What emoji are made of is fine: the joiner and variation selectors, and the tags that spell a flag.
func hidden(s string) (rune, bool) {
	const joiner, blackFlag = '\u200d', '\U0001f3f4'
	flag, seen := false, false
	for _, c := range s {
		tag := c >= '\U000e0020' && c <= '\U000e007f'
		switch {
		case c == joiner, flag && tag:
			continue
		case unicode.Is(unicode.Cf, c), blank(c):
			return c, true
		case unicode.Is(unicode.Variation_Selector, c):
			continue
		}
		flag, seen = c == blackFlag, true
	}
	first, _ := utf8.DecodeRuneInString(s)
	return first, !seen && s != ""
}

// blank says whether a letter is drawn as nothing.
func blank(c rune) bool {
	return c == '\u115f' || c == '\u1160' || c == '\u3164' || c == '\uffa0' || c == '\u2800'
}

// Word is text of a form.
func (r *Reader) Word(v *Value, form Form) string {
	said := r.Text(v, 200, false)
	if said != "" && !form.Match(said) {
		r.Bad(v, "use "+form.says, "%s does not have the right form", Quote(said))
		return ""
	}
	return said
}

// Choice is one of the words; the first is what stands when v is absent.
func (r *Reader) Choice(v *Value, words ...string) string {
	if v == nil || v.Kind == Null {
		return words[0]
	}
	if v.Kind == Text && slices.Contains(words, v.Text) {
		return v.Text
	}
	said := v.Text
	if v.Kind == List || v.Kind == Mapping {
		said = v.Kind.String()
	}
	r.Bad(v, "write "+OrList(words), "%s is not known here", Quote(said))
	return words[0]
}

// Whole is a whole number between least and most; absent gives otherwise.
func (r *Reader) Whole(v *Value, otherwise, least, most int64) int64 {
	if v == nil || v.Kind == Null {
		return otherwise
	}
	mend := fmt.Sprintf("write a whole number from %d to %d", least, most)
	switch {
	case (v.Kind == Integer || !v.Quoted && numeral.MatchString(v.Text)) && !digits.MatchString(v.Text):
		// YAML has more ways to write a number, and people who write 010 or 1_000 do not agree on what they mean.
		if v.Kind == Integer && v.Whole >= least && v.Whole <= most && strings.Trim(v.Text, "+_0123456789") == "" && !leadingZero(v.Text) {
			mend = fmt.Sprintf("write %d", v.Whole)
		}
		r.Bad(v, mend, "%s is not written in plain digits", Quote(v.Text))
	case v.Kind == Text && digits.MatchString(v.Text):
		r.Bad(v, "write it without quotes: "+v.Text, "this must be a whole number, not text")
	case v.Kind != Integer:
		r.Bad(v, mend, "this must be a whole number, not %s", v.Kind)
	case v.Whole < least || v.Whole > most:
		r.Bad(v, mend, "%d is out of bounds", v.Whole)
	default:
		return v.Whole
	}
	return otherwise
}

// Number is a number between least and most; absent gives otherwise.
func (r *Reader) Number(v *Value, otherwise, least, most float64) float64 {
	if v == nil || v.Kind == Null {
		return otherwise
	}
	mend := fmt.Sprintf("write a number from %g to %g", least, most)
	got := float64(v.Whole)
	if v.Kind == Decimal {
		parsed, err := strconv.ParseFloat(v.Text, 64)
		if err != nil {
			parsed = math.NaN()
		}
		got = parsed
	}
	switch {
	case v.Kind != Integer && v.Kind != Decimal:
		r.Bad(v, mend, "this must be a number, not %s", v.Kind)
	case !decimals.MatchString(v.Text):
		r.Bad(v, mend, "%s is not written in plain digits", Quote(v.Text))
	case !(got >= least && got <= most): // so that NaN is out of bounds too
		r.Bad(v, mend, "%s is out of bounds", v.Text)
	default:
		return got
	}
	return otherwise
}

// Pair is two whole numbers, each between least and most.
func (r *Reader) Pair(v *Value, least, most int64, like string) (pair [2]int, ok bool) {
	if v == nil || v.Kind == Null {
		return pair, false
	}
	if v.Kind != List || len(v.Items) != 2 {
		r.Bad(v, "write it like "+like, "this must be a list of two whole numbers")
		return pair, false
	}
	ok = true
	for i, item := range r.Items(v, 2, "numbers") {
		before := len(r.Problems)
		pair[i] = int(r.Whole(item, 0, least, most))
		ok = ok && len(r.Problems) == before
	}
	return pair, ok
}

// Flag is true or false; absent is false.
func (r *Reader) Flag(v *Value) bool {
	if v == nil || v.Kind == Null {
		return false
	}
	if v.Kind != Boolean {
		r.Bad(v, "write true or false, without quotes", "this must be true or false, not %s", v.Kind)
		return false
	}
	return v.Text == "true"
}

// Span is a duration between least and most; absent gives otherwise.
func (r *Reader) Span(v *Value, otherwise, least, most time.Duration) time.Duration {
	if v == nil || v.Kind == Null {
		return otherwise
	}
	parts := span.FindStringSubmatch(v.Text)
	if v.Kind != Text || parts == nil {
		r.Bad(v, "write a whole number with its unit: 90s, 30m, 24h or 7d", "%s is not a length of time", Quote(v.Text))
		return otherwise
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]]
	if n > int64(most/unit) || time.Duration(n)*unit < least {
		r.Bad(v, fmt.Sprintf("write %s to %s", FormatSpan(least), FormatSpan(most)), "%s is out of bounds", v.Text)
		return otherwise
	}
	return time.Duration(n) * unit
}

// FormatSpan writes a duration of whole seconds the way Span reads it.
func FormatSpan(d time.Duration) string {
	for _, unit := range []struct {
		length time.Duration
		letter string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}} {
		if d >= unit.length && d%unit.length == 0 {
			return fmt.Sprintf("%d%s", d/unit.length, unit.letter)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// leadingZero says whether digits begin with a zero that some read as octal.
func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-_")
	return len(s) > 1 && s[0] == '0'
}
