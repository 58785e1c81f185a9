package twin

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// document writes a push the way the platform does: one <xml> element, strings in CDATA, numbers bare.
type document struct{ bytes.Buffer }

func (d *document) open(name string)  { d.WriteString("<" + name + ">") }
func (d *document) close(name string) { d.WriteString("</" + name + ">") }

func (d *document) number(name string, n int64) {
	d.open(name)
	d.WriteString(strconv.FormatInt(n, 10))
	d.close(name)
}

func (d *document) text(name, value string) {
	d.open(name)
	d.WriteString("<![CDATA[")
	d.WriteString(strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>"))
	d.WriteString("]]>")
	d.close(name)
}

// The bounds of what an account may answer.
const (
	maxDepth    = 8
	maxElements = 200
)

// element is one element of an account's answer.
type element struct {
	name string
	text string // of the element itself, its children's left out
	kids []*element
}

// child finds the first child of a name; an element that is missing reads as empty.
func (e *element) child(name string) *element {
	for _, k := range e.kids {
		if k.name == name {
			return k
		}
	}
	return &element{}
}

// value is the text of a child.
func (e *element) value(name string) string { return e.child(name).text }

// has says whether there is a child of a name.
func (e *element) has(name string) bool { return e.child(name).name != "" }

var errXML = errors.New("this is not the XML of an answer")

// readXML reads the little XML that answers are made of: elements, text, CDATA, comments, and the five entities beside
// numeric ones. It knows no DTD and no attributes that matter, and refuses a document type.
func readXML(body []byte) (*element, error) {
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: not UTF-8", errXML)
	}
	r := &reader{left: strings.TrimPrefix(string(body), "\ufeff")}
	root := &element{}
	if err := r.fill(root, 0); err != nil {
		return nil, err
	}
	if len(root.kids) != 1 || strings.TrimSpace(root.text) != "" {
		return nil, fmt.Errorf("%w: one element is expected", errXML)
	}
	return root.kids[0], nil
}

type reader struct {
	left  string
	count int
}

// cut takes what stands before mark and leaves what stands after it.
func (r *reader) cut(mark string) (string, error) {
	before, after, found := strings.Cut(r.left, mark)
	if !found {
		return "", fmt.Errorf("%w: %q is missing", errXML, mark)
	}
	r.left = after
	return before, nil
}

// fill reads the inside of an element up to its end tag; depth 0 is the document.
func (r *reader) fill(into *element, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: too deep", errXML)
	}
	var text strings.Builder
	for {
		at := strings.IndexByte(r.left, '<')
		if at < 0 {
			if depth > 0 {
				return fmt.Errorf("%w: <%s> does not end", errXML, into.name)
			}
			at = len(r.left)
		}
		// White space between elements and around CDATA is how people indent, not what they say.
		if raw := r.left[:at]; strings.TrimSpace(raw) != "" {
			plain, err := unescape(raw)
			if err != nil {
				return err
			}
			text.WriteString(plain)
		}
		r.left = r.left[at:]
		into.text = text.String()

		switch {
		case r.left == "":
			return nil
		case strings.HasPrefix(r.left, "<![CDATA["):
			r.left = r.left[len("<![CDATA["):]
			data, err := r.cut("]]>")
			if err != nil {
				return err
			}
			text.WriteString(data)
		case strings.HasPrefix(r.left, "<!--"):
			r.left = r.left[len("<!--"):]
			if _, err := r.cut("-->"); err != nil {
				return err
			}
		case strings.HasPrefix(r.left, "<?"):
			if _, err := r.cut("?>"); err != nil {
				return err
			}
		case strings.HasPrefix(r.left, "<!"):
			return fmt.Errorf("%w: a document type", errXML)
		case strings.HasPrefix(r.left, "</"):
			r.left = r.left[2:]
			name, err := r.cut(">")
			if err != nil {
				return err
			}
			if depth == 0 || strings.TrimSpace(name) != into.name {
				return fmt.Errorf("%w: </%s> ends <%s>", errXML, name, into.name)
			}
			return nil
		default:
			if err := r.element(into, depth); err != nil {
				return err
			}
		}
	}
}

// element reads a start tag and what belongs to it.
func (r *reader) element(into *element, depth int) error {
	r.left = r.left[1:]
	tag, err := r.cut(">")
	if err != nil {
		return err
	}
	tag, empty := strings.CutSuffix(tag, "/")
	name, _, _ := strings.Cut(strings.TrimSpace(tag), " ")
	if !named(name) {
		return fmt.Errorf("%w: <%s>", errXML, name)
	}
	if r.count++; r.count > maxElements {
		return fmt.Errorf("%w: too many elements", errXML)
	}
	kid := &element{name: name}
	into.kids = append(into.kids, kid)
	if empty {
		return nil
	}
	return r.fill(kid, depth+1)
}

func named(name string) bool {
	for i, c := range name {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '-' && c != '.') {
			return false
		}
	}
	return name != ""
}

var entities = map[string]string{"lt": "<", "gt": ">", "amp": "&", "quot": `"`, "apos": "'"}

func unescape(text string) (string, error) {
	if !strings.Contains(text, "&") {
		return text, nil
	}
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "&")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, rest, ended := strings.Cut(after, ";")
		if !ended || len(name) > 10 {
			return "", fmt.Errorf("%w: a lone &", errXML)
		}
		text = rest
		if plain, known := entities[name]; known {
			out.WriteString(plain)
			continue
		}
		digits, numeric := strings.CutPrefix(name, "#")
		base := 10
		if hex, isHex := strings.CutPrefix(digits, "x"); isHex {
			digits, base = hex, 16
		}
		code, err := strconv.ParseUint(digits, base, 21)
		if !numeric || err != nil || !utf8.ValidRune(rune(code)) || code == 0 {
			return "", fmt.Errorf("%w: &%s;", errXML, name)
		}
		out.WriteRune(rune(code))
	}
}
