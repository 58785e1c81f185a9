package campaign

import (
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// Facts are read and written for every person that a batch touches, more than anything else is, so they have a way of
// their own to and from JSON, several times as fast as the general one. What it writes is byte for byte what the
// general one writes; what it does not understand at once the general one reads.

// AppendJSON appends the facts as JSON to dst.
func (f Facts) AppendJSON(dst []byte) []byte {
	w := factsWriter{out: append(dst, '{')}
	w.text("variant", f.Variant)
	w.truth("blocked", f.Blocked)
	if len(f.Touches) > 0 {
		w.key("touches")
		w.list(len(f.Touches), func(i int) {
			w.out = append(w.out, `{"o":`...)
			w.out = strconv.AppendInt(w.out, f.Touches[i].Owner, 10)
			w.out = append(w.out, `,"t":`...)
			w.out = strconv.AppendInt(w.out, f.Touches[i].At, 10)
			w.out = append(w.out, '}')
		})
	}
	w.number("first_touch", f.FirstTouch)
	w.number("first_follow", f.FirstFollow)
	tallyMember(&w, "left", f.Left)
	tallyMember(&w, "counts", f.Counts)
	tallyMember(&w, "held", f.Held)
	tallyMember(&w, "issued", f.Issued)
	if len(f.Reached) > 0 {
		w.key("reached")
		w.list(len(f.Reached), func(i int) { w.quote(f.Reached[i]) })
	}
	w.truth("welcomed", f.Welcomed)
	w.number("invited", int64(f.Invited))
	if f.Seen != 0 {
		w.key("seen")
		w.out = strconv.AppendUint(w.out, f.Seen, 10)
	}
	tallyMember(&w, "used", f.Used)
	if len(f.Orphans) > 0 {
		w.key("orphans")
		text, _ := json.Marshal(f.Orphans) // rare, and holds only texts, numbers and truths
		w.out = append(w.out, text...)
	}
	tallyMember(&w, "came", f.Came)
	return append(w.out, '}')
}

// factsWriter writes members of an object, those that are zero left out.
type factsWriter struct{ out []byte }

func (w *factsWriter) key(name string) {
	if w.out[len(w.out)-1] != '{' {
		w.out = append(w.out, ',')
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, name...)
	w.out = append(w.out, '"', ':')
}

func (w *factsWriter) list(n int, each func(i int)) {
	w.out = append(w.out, '[')
	for i := range n {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		each(i)
	}
	w.out = append(w.out, ']')
}

func (w *factsWriter) text(name, value string) {
	if value != "" {
		w.key(name)
		w.quote(value)
	}
}

func (w *factsWriter) truth(name string, value bool) {
	if value {
		w.key(name)
		w.out = append(w.out, "true"...)
	}
}

func (w *factsWriter) number(name string, value int64) {
	if value != 0 {
		w.key(name)
		w.out = strconv.AppendInt(w.out, value, 10)
	}
}

// quote appends a text; one that needs escapes is left to the general way.
func (w *factsWriter) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			text, _ := json.Marshal(s)
			w.out = append(w.out, text...)
			return
		}
	}
	w.out = append(w.out, '"')
	w.out = append(w.out, s...)
	w.out = append(w.out, '"')
}

func appendTally[N int | int64](w *factsWriter, t Tally[N]) {
	w.out = append(w.out, '{')
	for i, e := range t {
		if i > 0 {
			w.out = append(w.out, ',')
		}
		w.quote(e.Name)
		w.out = append(w.out, ':')
		w.out = strconv.AppendInt(w.out, int64(e.N), 10)
	}
	w.out = append(w.out, '}')
}

func tallyMember[N int | int64](w *factsWriter, name string, t Tally[N]) {
	if len(t) > 0 {
		w.key(name)
		appendTally(w, t)
	}
}

// ReadJSON reads the facts from JSON; what was there before is gone.
func (f *Facts) ReadJSON(text []byte) error {
	r := factsReader{text: text}
	*f = Facts{}
	if r.facts(f); !r.lost && r.at == len(text) {
		return nil
	}
	*f = Facts{}
	return json.Unmarshal(text, f)
}

// factsReader reads what AppendJSON writes. At anything else it is lost, which is no error yet.
type factsReader struct {
	text []byte
	at   int
	lost bool
}

func (r *factsReader) facts(f *Facts) {
	r.object(func(key []byte) {
		switch string(key) {
		case "variant":
			f.Variant = r.string()
		case "blocked":
			f.Blocked = r.truth()
		case "touches":
			r.list(func() {
				var t Touch
				r.object(func(key []byte) {
					switch string(key) {
					case "o":
						t.Owner = r.number()
					case "t":
						t.At = r.number()
					default:
						r.lost = true
					}
				})
				f.Touches = append(f.Touches, t)
			})
		case "first_touch":
			f.FirstTouch = r.number()
		case "first_follow":
			f.FirstFollow = r.number()
		case "left":
			f.Left = tally[int64](r)
		case "counts":
			f.Counts = tally[int](r)
		case "held":
			f.Held = tally[int](r)
		case "issued":
			f.Issued = tally[int](r)
		case "reached":
			r.list(func() { f.Reached = append(f.Reached, r.string()) })
		case "welcomed":
			f.Welcomed = r.truth()
		case "invited":
			f.Invited = int(r.number())
		case "seen":
			f.Seen = r.digits()
		case "used":
			f.Used = tally[int](r)
		case "came":
			f.Came = tally[int64](r)
		default: // orphans are rare
			r.lost = true
		}
	})
}

// take goes past a character if it is the next.
func (r *factsReader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *factsReader) need(c byte) {
	if !r.take(c) {
		r.lost = true
	}
}

// object reads members; each reads the value that follows the key.
func (r *factsReader) object(each func(key []byte)) {
	r.need('{')
	if r.take('}') {
		return
	}
	for !r.lost {
		key := r.plain()
		r.need(':')
		if !r.lost {
			each(key)
		}
		if !r.take(',') {
			r.need('}')
			return
		}
	}
}

func (r *factsReader) list(each func()) {
	r.need('[')
	for !r.lost {
		each()
		if !r.take(',') {
			r.need(']')
			return
		}
	}
}

// plain reads a text without escapes.
func (r *factsReader) plain() []byte {
	r.need('"')
	for from := r.at; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[from : r.at-1]
		case c == '\\', c < ' ', c >= utf8.RuneSelf:
			r.lost = true
			return nil
		}
	}
	r.lost = true
	return nil
}

func (r *factsReader) string() string { return string(r.plain()) }

func (r *factsReader) truth() bool {
	const yes = "true"
	if len(r.text)-r.at < len(yes) || string(r.text[r.at:r.at+len(yes)]) != yes {
		r.lost = true
		return false
	}
	r.at += len(yes)
	return true
}

// mostDigits is how many digits fit a number without a look at what they are.
const mostDigits = 18

func (r *factsReader) number() int64 {
	negative := r.take('-')
	from := r.at
	n := int64(r.digits())
	if r.at-from > mostDigits {
		r.lost = true
	}
	if negative {
		return -n
	}
	return n
}

func (r *factsReader) digits() uint64 {
	from := r.at
	var n uint64
	for r.at < len(r.text) && r.text[r.at] >= '0' && r.text[r.at] <= '9' {
		n = n*10 + uint64(r.text[r.at]-'0')
		r.at++
	}
	if length := r.at - from; length == 0 || length > mostDigits || length > 1 && r.text[from] == '0' {
		r.lost = true
	}
	return n
}

// tally reads names in order, each once, as they are written.
func tally[N int | int64](r *factsReader) Tally[N] {
	t := make(Tally[N], 0, 2)
	r.object(func(key []byte) {
		if n := len(t); n > 0 && t[n-1].Name >= string(key) {
			r.lost = true
		}
		t = append(t, Entry[N]{string(key), N(r.number())})
	})
	if len(t) == 0 {
		return nil
	}
	return t
}
