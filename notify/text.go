package notify

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The bounds of a text, in characters.
const (
	MaxText  = 600 // of a whole one
	MaxName  = 32  // of a person's name in it
	MaxValue = 200 // of any other value in it
)

// The languages that messages have texts in.
const (
	Chinese = "zh"
	English = "en"
)

var defaultTexts = map[string]map[string]string{
	Chinese: {
		Joined:    "{{nickname}}，这是你的专属海报，分享给好友，好友扫码关注即为你助力。",
		Welcome:   "{{nickname}}，送你一份新人礼：{{rewards}}。",
		Delivered: "你的奖励「{{rewards}}」已发放，兑换码：{{coupon}}。",
		Rejected:  "很抱歉，你的奖励「{{rewards}}」未能通过审核。",
	},
	English: {
		Joined:    "Here is your own poster, {{nickname}}. Share it: each friend who scans it and follows counts for you.",
		Welcome:   "You get a welcome gift: {{rewards}}.",
		Delivered: "Your reward \"{{rewards}}\" has been handed out, its code is {{coupon}}.",
		Rejected:  "We are sorry: your reward \"{{rewards}}\" was not approved.",
	},
}

// DefaultText is the text of a word for which a campaign has none; "" where nothing is said then. The same words have
// texts in every language.
func DefaultText(language, word string) string {
	texts, ok := defaultTexts[language]
	if !ok {
		texts = defaultTexts[Chinese]
	}
	return texts[word]
}

var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z_]+)\s*\}\}`)

// figures are what a part of a sentence is about: where there is no value it says nothing. Without a name it still does.
var figures = map[string]bool{"count": true, "remaining": true, "coupon": true, "reviewing": true, "waiting": true}

// Fill puts values where a template names them, like {{nickname}}. What has no value leaves no trace: a name goes with
// the punctuation around it, a figure with its part of the sentence. Values are cut, freed from control characters and
// not read again. The text has at most MaxText characters; it is empty where nothing is left to say.
func Fill(template string, values map[string]string) string {
	template = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, strings.ToValidUTF8(template, ""))
	var said strings.Builder
	end := "" // of the part before
	for _, p := range parts(template) {
		text, whole := p.fill(values)
		if whole {
			said.WriteString(end)
			said.WriteString(text)
			end = p.end
			continue
		}
		// The sentence that lost its last part ends where it did.
		if said.Len() > 0 && ends(p.end) && !ends(end) {
			end = p.end
		}
	}
	said.WriteString(end)
	return cut(strings.TrimSpace(said.String()), MaxText)
}

// part is a piece of a template up to a comma or the end of a sentence, with what ends it.
type part struct{ text, end string }

// parts takes a template apart at its punctuation, except within brackets.
func parts(template string) []part {
	var list []part
	depth, from := 0, 0
	for i := 0; i < len(template); {
		if at := placeholder.FindStringIndex(template[i:]); at != nil && at[0] == 0 {
			i += at[1]
			continue
		}
		r, size := utf8.DecodeRuneInString(template[i:])
		switch {
		case strings.ContainsRune(opening, r):
			depth++
		case strings.ContainsRune(closing, r):
			depth = max(depth-1, 0)
		}
		end := i
		if depth == 0 {
			end += separators(template[i:])
		}
		if end == i {
			i += size
			continue
		}
		list = append(list, part{template[from:i], template[i:end]})
		i, from = end, end
	}
	return append(list, part{text: template[from:]})
}

// Those of full width are written as numbers: beside their twins of half width nobody tells them apart.
const (
	opening = "「『《【(\uff08“[\uff3b<〈"
	closing = "」』》】)\uff09”]\uff3d>〉"
	commas  = "、,;\uff0c\uff1b"
	stops   = "。…!~\n\uff01\uff1f\uff5e"
)

// separators is the length in bytes of the punctuation at the beginning of a text, with the spaces behind it.
func separators(text string) int {
	n := 0
	for i, r := range text {
		next, _ := utf8.DecodeRuneInString(text[i+utf8.RuneLen(r):])
		// These also stand inside addresses and numbers.
		digit := next >= '0' && next <= '9'
		inside := r == ',' && digit || (r == '.' || r == '?') && (digit || next == '/' || next < utf8.RuneSelf && unicode.IsLetter(next))
		switch {
		case (strings.ContainsRune(commas+stops, r) || r == '.' || r == '?') && !inside, n > 0 && r == ' ':
			n = i + utf8.RuneLen(r)
		default:
			return n
		}
	}
	return n
}

// ends says whether punctuation ends a sentence; so does the template's own end.
func ends(punctuation string) bool {
	return punctuation == "" || strings.ContainsAny(punctuation, stops+".?")
}

// fill puts values into a part. It is false where the part says nothing without those that are missing.
func (p part) fill(values map[string]string) (string, bool) {
	missing := false
	for _, found := range placeholder.FindAllStringSubmatch(p.text, -1) {
		if Value(found[1], values) != "" {
			continue
		}
		if figures[found[1]] {
			return "", false
		}
		missing = true
	}
	if !missing {
		return p.put(values), true
	}
	bare := placeholder.ReplaceAllStringFunc(p.text, func(found string) string {
		if name := placeholder.FindStringSubmatch(found)[1]; Value(name, values) != "" {
			return found
		}
		return gap
	})
	for before := ""; before != bare; {
		before = bare
		bare = emptied.ReplaceAllString(bare, gap)
	}
	bare = spaced.ReplaceAllString(bare, " ")
	bare = strings.TrimLeft(strings.Trim(strings.ReplaceAll(bare, gap, ""), " :\uff1a-—·|"), ",.")
	if !strings.ContainsFunc(bare, func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || r > 0x2000 && unicode.IsSymbol(r)
	}) {
		return "", false
	}
	return part{text: bare}.put(values), true
}

// gap stands where a value is missing; by now no template holds one.
const gap = "\x00"

var (
	emptied = regexp.MustCompile(`[` + regexp.QuoteMeta(opening) + `"'‘] *\x00+ *[` + regexp.QuoteMeta(closing) + `"'’]`)
	spaced  = regexp.MustCompile(` +\x00+ +`)
)

func (p part) put(values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(p.text, func(found string) string {
		return Value(placeholder.FindStringSubmatch(found)[1], values)
	})
}

// Value is a value as a text shows it: on one line, without control characters, and cut.
func Value(name string, values map[string]string) string {
	most := MaxValue
	if name == "nickname" || name == "invitee" {
		most = MaxName
	}
	clean := strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r == '<': // WeChat makes links of what looks like HTML
			return '＜'
		case r == '>':
			return '＞'
		case unicode.IsControl(r), turns(r), r == utf8.RuneError:
			return -1
		}
		return r
	}, values[name])
	return cut(strings.Join(strings.Fields(clean), " "), most)
}

// turns says whether a character changes the direction of the text behind it.
func turns(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}

// cut keeps the first characters, the last of them an ellipsis where something is left out.
func cut(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	short := string([]rune(s)[:most-1])
	return strings.TrimRight(short, " \u200d\ufe0f") + "…" // no half of a joined emoji
}
