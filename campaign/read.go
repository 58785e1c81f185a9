package campaign

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

	"kfactor/internal/money"
	"kfactor/internal/spelling"
)

// maxProblems bounds what is said about one file.
const maxProblems = 100

// place is a spot in a file, from 1.
type place struct{ line, column int }

// Source remembers where in its file each field of a definition stands.
type Source struct {
	File   string
	places map[string]place
}

// Position is where a field such as poster.layers[2].qr.size stands: a value where it begins, a mapping or list at
// its key. For a field the file does not have it is the nearest one around it, 1:1 for the file as a whole.
func (s *Source) Position(field string) (line, column int) {
	for field != "" {
		if at, ok := s.places[field]; ok {
			return at.line, at.column
		}
		field = field[:max(strings.LastIndexAny(field, ".["), 0)]
	}
	return 1, 1
}

// reader turns values into a definition's fields and collects every problem on the way. Its methods give the zero
// value for what is missing or wrong, so that reading goes on.
type reader struct {
	source   *Source
	problems []Problem
}

func (r *reader) wrong(at place, field, mend, message string, args ...any) {
	if len(r.problems) >= maxProblems {
		return
	}
	r.problems = append(r.problems, Problem{
		File: r.source.File, Line: at.line, Column: at.column, Field: field,
		Message: fmt.Sprintf(message, args...), Mend: mend,
	})
}

func (r *reader) bad(v *value, mend, message string, args ...any) {
	r.wrong(v.at, v.path, mend, message, args...)
}

// settle gives a value its field and place.
func (r *reader) settle(v *value, path string, key place) {
	v.path, v.at = path, place{v.line, v.column}
	if v.kind == mapping || v.kind == list || v.kind == null {
		v.at = key
	}
	r.source.places[path] = v.at
}

// object is a mapping whose keys are known beforehand.
type object struct {
	reader  *reader
	value   *value
	known   []string
	members map[string]*value // nil when the value is no mapping: then nothing is said about what is missing
}

func (r *reader) object(v *value, known []string) *object {
	o := &object{reader: r, value: v, known: known}
	if v == nil || v.kind == null {
		return o
	}
	if v.kind != mapping {
		r.bad(v, "write it as keys with values: "+strings.Join(known, ", "), "this must be a mapping, not %s", v.kind)
		return o
	}
	o.members = make(map[string]*value, len(v.entries))
	for _, e := range r.entries(v) {
		if !slices.Contains(known, e.name) {
			if len(r.problems) >= maxProblems {
				continue // nobody would hear what was probably meant
			}
			r.wrong(place{e.line, e.column}, e.value.path, suggest(e.name, known), "there is no key %s here", quote(e.name))
			continue
		}
		if e.value.kind == null {
			r.bad(e.value, "give it one or remove the key", "this key has no value")
		}
		o.members[e.name] = e.value
	}
	return o
}

// entries are a mapping's entries with their fields settled; the second of one name is a problem and left out.
func (r *reader) entries(v *value) []*entry {
	seen := make(map[string]int, len(v.entries))
	var kept []*entry
	for _, e := range v.entries {
		path := e.name
		if v.path != "" {
			path = v.path + "." + e.name
		}
		at := place{e.line, e.column}
		if line, twice := seen[e.name]; twice {
			r.wrong(at, path, "keep one of them", "the key %s stands twice, first on line %d", quote(e.name), line)
			continue
		}
		seen[e.name] = e.line
		r.settle(e.value, path, at)
		kept = append(kept, e)
	}
	return kept
}

// items are a list's items with their fields settled, at most limit; empty ones are a problem and left out.
func (r *reader) items(v *value, limit int, what string) []*value {
	if v == nil || v.kind == null {
		return nil
	}
	if v.kind != list {
		r.bad(v, "write it as [a, b] or as lines that begin with a dash", "this must be a list of %s, not %s", what, v.kind)
		return nil
	}
	if len(v.items) > limit {
		r.bad(v, "leave some out", "there are %d %s, more than %d", len(v.items), what, limit)
		return nil
	}
	var kept []*value
	for i, item := range v.items {
		r.settle(item, fmt.Sprintf("%s[%d]", v.path, i), place{item.line, item.column})
		if item.kind == null {
			r.bad(item, "write it or remove it", "this item is empty")
			continue
		}
		kept = append(kept, item)
	}
	return kept
}

// table is a mapping whose keys are names the author gives; those with bad names or without a value are left out.
func (r *reader) table(v *value, limit int, what string, form *regexp.Regexp) []*entry {
	if v == nil || v.kind == null {
		return nil
	}
	if v.kind != mapping {
		r.bad(v, "write it as names with what belongs to each", "this must be a mapping of %s, not %s", what, v.kind)
		return nil
	}
	if len(v.entries) > limit {
		r.bad(v, "leave some out", "there are %d %s, more than %d", len(v.entries), what, limit)
		return nil
	}
	var kept []*entry
	for _, e := range r.entries(v) {
		if !form.MatchString(e.name) {
			r.wrong(place{e.line, e.column}, e.value.path, "use "+forms[form], "%s cannot be a name here", quote(e.name))
			continue
		}
		if e.value.kind == null {
			r.bad(e.value, "write it or remove the key", "nothing is said about %s", quote(e.name))
			continue
		}
		kept = append(kept, e)
	}
	return kept
}

// get is a key's value, nil when it is absent.
func (o *object) get(key string) *value {
	if !slices.Contains(o.known, key) {
		panic("campaign: the parser asks for a key that it does not know: " + key)
	}
	return o.members[key]
}

// need is a key's value; its absence is a problem.
func (o *object) need(key, mend string) *value {
	v := o.get(key)
	if v == nil && o.members != nil {
		field := key
		if o.value.path != "" {
			field = o.value.path + "." + key
		}
		o.reader.wrong(o.value.at, field, mend, "this key is missing")
	}
	return v
}

var (
	slug     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	word     = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)
	name     = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	anything = regexp.MustCompile(``)
	filename = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	span     = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})([smhd])$`)
	digits   = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	numeral  = regexp.MustCompile(`^[+-]?[0-9][0-9_]*([eE][+-]?[0-9]+)?$`)
	decimals = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

// forms say what matches, for people.
var forms = map[*regexp.Regexp]string{
	slug: "1 to 63 of a-z, 0-9 and -, not beginning with -",
	word: "a lower-case word: up to 32 of a-z, 0-9 and _, beginning with a letter",
	name: "up to 32 of a-z, 0-9, _ and -, beginning with a letter",
}

// text is what v says, between 1 and most characters; lines only where they are allowed.
func (r *reader) text(v *value, most int, lines bool) string {
	if v == nil || v.kind == null {
		return ""
	}
	if v.kind != text {
		mend := "write text here"
		if v.text != "" {
			mend = fmt.Sprintf("write it in quotes: %q", v.text)
		}
		r.bad(v, mend, "this must be text, not %s", v.kind)
		return ""
	}
	said := v.text
	if v.block {
		said = strings.TrimRight(said, "\n") // the line break a block ends with is not meant
	}
	switch {
	case strings.TrimSpace(said) == "":
		r.bad(v, "write something or remove the key", "this is empty")
		return ""
	case characters(said) > most:
		r.bad(v, "shorten it", "this has %d characters, more than %d", characters(said), most)
		return ""
	}
	for _, c := range said {
		if c == '\n' && lines {
			continue
		}
		if unicode.IsControl(c) || c == '\u2028' || c == '\u2029' {
			r.bad(v, "remove it", "this holds a control character (%U)", c)
			return ""
		}
	}
	return said
}

// label is text by which people know something: it stands alone on posters, in lists and in reports. Two that look
// the same must be the same, so it has no spaces around it and nothing in it that cannot be seen.
func (r *reader) label(v *value, most int) string {
	said := r.text(v, most, false)
	if trimmed := strings.TrimSpace(said); trimmed != said {
		r.bad(v, fmt.Sprintf("write %q", trimmed), "this begins or ends with a space")
		return ""
	}
	if c, ok := hidden(said); ok {
		r.bad(v, "remove it", "this holds a character that cannot be seen (%U)", c)
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

// word is text of a form.
func (r *reader) word(v *value, form *regexp.Regexp) string {
	said := r.text(v, 200, false)
	if said != "" && !form.MatchString(said) {
		r.bad(v, "use "+forms[form], "%s does not have the right form", quote(said))
		return ""
	}
	return said
}

// choice is one of the words; the first is what stands when v is absent.
func (r *reader) choice(v *value, words ...string) string {
	if v == nil || v.kind == null {
		return words[0]
	}
	if v.kind == text && slices.Contains(words, v.text) {
		return v.text
	}
	said := v.text
	if v.kind == list || v.kind == mapping {
		said = v.kind.String()
	}
	r.bad(v, "write "+orList(words), "%s is not known here", quote(said))
	return words[0]
}

// whole is a whole number between least and most; absent gives otherwise.
func (r *reader) whole(v *value, otherwise, least, most int64) int64 {
	if v == nil || v.kind == null {
		return otherwise
	}
	mend := fmt.Sprintf("write a whole number from %d to %d", least, most)
	switch {
	case (v.kind == integer || !v.quoted && numeral.MatchString(v.text)) && !digits.MatchString(v.text):
		// YAML has more ways to write a number, and people who write 010 or 1_000 do not agree on what they mean.
		if v.kind == integer && v.whole >= least && v.whole <= most && strings.Trim(v.text, "+_0123456789") == "" && !leadingZero(v.text) {
			mend = fmt.Sprintf("write %d", v.whole)
		}
		r.bad(v, mend, "%s is not written in plain digits", quote(v.text))
	case v.kind == text && digits.MatchString(v.text):
		r.bad(v, "write it without quotes: "+v.text, "this must be a whole number, not text")
	case v.kind != integer:
		r.bad(v, mend, "this must be a whole number, not %s", v.kind)
	case v.whole < least || v.whole > most:
		r.bad(v, mend, "%d is out of bounds", v.whole)
	default:
		return v.whole
	}
	return otherwise
}

// number is a number between least and most; absent gives otherwise.
func (r *reader) number(v *value, otherwise, least, most float64) float64 {
	if v == nil || v.kind == null {
		return otherwise
	}
	mend := fmt.Sprintf("write a number from %g to %g", least, most)
	got := float64(v.whole)
	if v.kind == decimal {
		parsed, err := strconv.ParseFloat(v.text, 64)
		if err != nil {
			parsed = math.NaN()
		}
		got = parsed
	}
	switch {
	case v.kind != integer && v.kind != decimal:
		r.bad(v, mend, "this must be a number, not %s", v.kind)
	case !decimals.MatchString(v.text):
		r.bad(v, mend, "%s is not written in plain digits", quote(v.text))
	case !(got >= least && got <= most): // so that NaN is out of bounds too
		r.bad(v, mend, "%s is out of bounds", v.text)
	default:
		return got
	}
	return otherwise
}

// pair is two whole numbers, each between least and most.
func (r *reader) pair(v *value, least, most int64, like string) (pair [2]int, ok bool) {
	if v == nil || v.kind == null {
		return pair, false
	}
	if v.kind != list || len(v.items) != 2 {
		r.bad(v, "write it like "+like, "this must be a list of two whole numbers")
		return pair, false
	}
	ok = true
	for i, item := range r.items(v, 2, "numbers") {
		before := len(r.problems)
		pair[i] = int(r.whole(item, 0, least, most))
		ok = ok && len(r.problems) == before
	}
	return pair, ok
}

// flag is true or false; absent is false.
func (r *reader) flag(v *value) bool {
	if v == nil || v.kind == null {
		return false
	}
	if v.kind != boolean {
		r.bad(v, "write true or false, without quotes", "this must be true or false, not %s", v.kind)
		return false
	}
	return v.text == "true"
}

// span is a duration between least and most; absent gives otherwise.
func (r *reader) span(v *value, otherwise, least, most time.Duration) time.Duration {
	if v == nil || v.kind == null {
		return otherwise
	}
	parts := span.FindStringSubmatch(v.text)
	if v.kind != text || parts == nil {
		r.bad(v, "write a whole number with its unit: 90s, 30m, 24h or 7d", "%s is not a length of time", quote(v.text))
		return otherwise
	}
	n, _ := strconv.ParseInt(parts[1], 10, 64)
	unit := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[parts[2]]
	if n > int64(most/unit) || time.Duration(n)*unit < least {
		r.bad(v, fmt.Sprintf("write %s to %s", formatSpan(least), formatSpan(most)), "%s is out of bounds", v.text)
		return otherwise
	}
	return time.Duration(n) * unit
}

// formatSpan writes a duration of whole seconds the way span reads it.
func formatSpan(d time.Duration) string {
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

// moment is a time with its zone.
func (r *reader) moment(v *value) time.Time {
	if v == nil || v.kind == null {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, v.text)
	if v.kind != text || err != nil {
		r.bad(v, "write it like 2026-09-01T09:00:00+08:00", "%s is not a time with its zone", quote(v.text))
		return time.Time{}
	}
	if year := t.UTC().Year(); year < 2000 || year > 2199 {
		r.bad(v, "write a year from 2000 to 2199", "%s is out of bounds", v.text)
		return time.Time{}
	}
	return t.Truncate(time.Millisecond)
}

// amount is money in minor units; absent is 0.
func (r *reader) amount(v *value, currency string) int64 {
	if v == nil || v.kind == null {
		return 0
	}
	if v.kind == integer || v.kind == decimal {
		like := money.Format(1000, currency)
		if minor, err := money.Parse(v.text, currency); err == nil {
			like = money.Format(minor, currency)
		}
		if strings.HasPrefix(v.text, "-") {
			r.bad(v, fmt.Sprintf("write an amount of zero or more, in quotes: %q", like), "%s is negative", v.text)
			return 0
		}
		r.bad(v, fmt.Sprintf("write it in quotes: %q", like), "amounts of money are text, so that no digit is lost")
		return 0
	}
	said := r.text(v, 40, false)
	if said == "" {
		return 0
	}
	minor, err := money.Parse(said, currency)
	if err != nil {
		message, mend, _ := strings.Cut(err.Error(), "; ")
		if mend == "" {
			mend = fmt.Sprintf("write it like %q", money.Format(1050, currency))
		}
		r.bad(v, mend, "%s", message)
	}
	return minor
}

// color is "#RRGGBB"; absent gives otherwise.
func (r *reader) color(v *value, otherwise string) string {
	said := r.text(v, 200, false)
	if said == "" {
		return otherwise
	}
	if !isColor(said) {
		r.bad(v, `write it like "#1A1A1A"`, "%s is not a colour", quote(said))
		return otherwise
	}
	return said
}

// tint is a colour that may let the ground through, "#RRGGBB" or "#RRGGBBAA"; absent gives otherwise.
func (r *reader) tint(v *value, otherwise string) string {
	said := r.text(v, 200, false)
	if said == "" {
		return otherwise
	}
	if !isColor(said) && (len(said) != 9 || !isColor(said[:7]) || !isColor("#000"+said[6:])) {
		r.bad(v, `write it like "#1A1A1A"`, "%s is not a colour", quote(said))
		return otherwise
	}
	return said
}

// picture is the name of an uploaded picture.
func (r *reader) picture(v *value) string { return r.file(v, "a picture", "jpg", "jpeg", "png") }

// file is the name of an uploaded file, which is a thing of a kind by its ending.
func (r *reader) file(v *value, kind string, endings ...string) string {
	said := r.text(v, 200, false)
	if said == "" {
		return ""
	}
	_, ending, _ := strings.Cut(said[max(strings.LastIndexByte(said, '.'), 0):], ".")
	switch {
	case !filename.MatchString(said) || strings.Contains(said, "..") || said[0] == '.':
		r.bad(v, "use up to 100 of A-Z, a-z, 0-9, dot, - and _, without folders", "%s cannot be the name of a file", quote(said))
		return ""
	case !slices.Contains(endings, strings.ToLower(ending)):
		r.bad(v, "use a ."+strings.Join(endings[:len(endings)-1], ", .")+" or ."+endings[len(endings)-1], "%s is not %s by its name", quote(said), kind)
		return ""
	}
	return said
}

// suggest says which known key was probably meant.
func suggest(got string, known []string) string {
	if meant, ok := spelling.Nearest(got, known); ok {
		return fmt.Sprintf("did you mean %s?", meant)
	}
	return "keys here are " + strings.Join(known, ", ")
}

// quote shows what somebody wrote, shortened.
func quote(s string) string {
	if characters(s) > 60 {
		s = string([]rune(s)[:60]) + "…"
	}
	return strconv.Quote(s)
}

func orList(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

// leadingZero says whether digits begin with a zero that some read as octal.
func leadingZero(s string) bool {
	s = strings.TrimLeft(s, "+-_")
	return len(s) > 1 && s[0] == '0'
}
