package wire

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth    = 12  // elements within elements; the deepest push has six
	maxElements = 600 // elements in all; a mass job's report of eight articles has about a hundred
)

// node is one element: its text without the space around it, and the elements in it.
type node struct {
	name string
	text string
	kids []*node
}

// readXML reads the one <xml> element of a push. Document types, processing beyond the
// declaration, entities other than XML's own five and numeric ones, and anything over a
// limit are refused. Attributes and comments mean nothing and are passed over. Characters
// that XML cannot hold become instead, or go where it is -1.
func readXML(body []byte, instead rune) (*node, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("%w: %d bytes are more than %d", ErrMalformed, len(body), MaxBody)
	}
	in := xml.NewDecoder(bytes.NewReader(readable(body, instead)))
	var (
		top  node // holds the root
		open = []*node{&top}
		text = []*strings.Builder{{}}
		seen int
	)
	for {
		token, err := in.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s", ErrMalformed, reason(err))
		}
		within := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			seen++
			if len(open) > maxDepth || seen > maxElements {
				return nil, fmt.Errorf("%w: more than %d elements, or deeper than %d", ErrMalformed, maxElements, maxDepth)
			}
			kid := &node{name: t.Name.Local}
			within.kids = append(within.kids, kid)
			open, text = append(open, kid), append(text, &strings.Builder{})
		case xml.EndElement:
			if within == &top || within.name != t.Name.Local {
				return nil, fmt.Errorf("%w: an element ends that has not begun", ErrMalformed)
			}
			within.text = strings.TrimSpace(text[len(text)-1].String())
			open, text = open[:len(open)-1], text[:len(text)-1]
		case xml.CharData:
			if within == &top && len(bytes.TrimSpace(t)) > 0 {
				return nil, fmt.Errorf("%w: text outside the element", ErrMalformed)
			}
			text[len(text)-1].Write(t)
		case xml.Directive:
			return nil, fmt.Errorf("%w: a document type", ErrMalformed)
		case xml.ProcInst:
			if t.Target != "xml" || seen > 0 {
				return nil, fmt.Errorf("%w: a processing instruction", ErrMalformed)
			}
		}
	}
	if len(open) != 1 || len(top.kids) != 1 || top.kids[0].name != "xml" {
		return nil, fmt.Errorf("%w: not one whole xml element", ErrMalformed)
	}
	return top.kids[0], nil
}

// reason is where a syntax error is. Its own words quote the push, which may be somebody's text.
func reason(err error) string {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Sprintf("line %d: not well-formed", syntax.Line)
	}
	return "not well-formed"
}

const (
	left   = -1       // characters that XML cannot hold are left out
	marked = '\ufffd' // or show that they were there
)

// readable does away with what XML cannot hold. Phones do send control characters, the
// platform passes them on, and somebody's odd text is still a text.
func readable(body []byte, instead rune) []byte {
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	if utf8.Valid(body) && bytes.IndexFunc(body, func(r rune) bool { return !allowed(r) }) < 0 {
		return body
	}
	return bytes.Map(func(r rune) rune {
		if !allowed(r) {
			return instead
		}
		return r
	}, body)
}

// allowed reports whether XML 1.0 may hold the character.
func allowed(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000
}

// first is the first element of that name in n, nil where there is none; nil's is nil.
func (n *node) first(name string) *node {
	if n == nil {
		return nil
	}
	for _, kid := range n.kids {
		if kid.name == name {
			return kid
		}
	}
	return nil
}

// all is every element of that name in n.
func (n *node) all(name string) []*node {
	if n == nil {
		return nil
	}
	var found []*node
	for _, kid := range n.kids {
		if kid.name == name {
			found = append(found, kid)
		}
	}
	return found
}

// str is the text of the first element with one of the names, "" where there is none.
func (n *node) str(names ...string) string {
	for _, name := range names {
		if kid := n.first(name); kid != nil {
			return kid.text
		}
	}
	return ""
}

// num is a whole number, 0 where there is none that can be read.
func (n *node) num(name string) int64 { return n.first(name).whole() }

// whole is the element's own text as a whole number, 0 where it is none.
func (n *node) whole() int64 {
	if n == nil {
		return 0
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// real is a number with a fraction, 0 where there is none that can be read.
func (n *node) real(name string) float64 {
	v, err := strconv.ParseFloat(n.str(name), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}
