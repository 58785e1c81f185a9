package setup

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// maxAnswer bounds an answer, in characters.
const maxAnswer = 200

// Talk is where somebody stands in a dialogue: a small JSON value. Saved may hold personal data.
type Talk struct {
	Dialogue string            `json:"dialogue"`
	Step     int               `json:"step"` // from 0
	Tries    int               `json:"tries,omitempty"`
	Saved    map[string]string `json:"saved,omitempty"`
	Until    int64             `json:"until"` // UTC milliseconds; forgotten after
}

// Turn is what a text did to a dialogue.
type Turn struct {
	Taken bool   // the text belonged to the dialogue; where it did not, it is answered as any other
	Talk  *Talk  // where the dialogue stands now; nil when there is none, or none any longer
	Reply string // what is said, "" for nothing
	Done  *Event // what the dialogue led to, when this was its last answer
}

// Begin is the first turn of a dialogue. It is not taken when there is no dialogue of that name.
func (c *Channel) Begin(name string, now time.Time) Turn {
	d := c.dialogue(name)
	if d == nil {
		return Turn{}
	}
	return Turn{Taken: true, Talk: &Talk{Dialogue: name, Until: now.Add(d.Timeout).UnixMilli()}, Reply: d.Steps[0].Ask}
}

// Step takes the next text of somebody who stands at talk, nil when they are in no dialogue. A dialogue that has timed
// out, or that the file no longer holds, is over without a word. A text that asks for something else, exactly, and is
// no answer to the question, is not taken and leaves the dialogue where it stands.
func (c *Channel) Step(talk *Talk, text string, now time.Time) Turn {
	d, step := c.standing(talk, now)
	if step == nil {
		if a, ok := c.itself(Normal(text)); ok && a.Dialogue != "" {
			return c.Begin(a.Dialogue, now)
		}
		return Turn{}
	}
	said := Normal(text)
	for _, cancel := range d.Cancel {
		if said == Normal(cancel) {
			return Turn{Taken: true, Reply: d.Cancelled}
		}
	}
	next := *talk
	answer, ok := step.accept(text)
	if other, exact := c.itself(said); exact && (!ok || !step.strict()) {
		if other.Dialogue != "" {
			return c.Begin(other.Dialogue, now)
		}
		return Turn{Talk: talk}
	}
	if !ok {
		if next.Tries++; next.Tries >= step.Attempts {
			return Turn{Taken: true, Reply: d.Failed}
		}
		next.Until = now.Add(d.Timeout).UnixMilli()
		return Turn{Taken: true, Talk: &next, Reply: spoken(step.Wrong, next.Saved)}
	}
	next.Saved = maps.Clone(talk.Saved)
	if next.Saved == nil {
		next.Saved = map[string]string{}
	}
	next.Saved[step.Save] = answer
	next.Step, next.Tries = talk.Step+1, 0
	next.Until = now.Add(d.Timeout).UnixMilli()
	if next.Step < len(d.Steps) {
		return Turn{Taken: true, Talk: &next, Reply: spoken(d.Steps[next.Step].Ask, next.Saved)}
	}
	return Turn{Taken: true, Reply: spoken(d.Text, next.Saved), Done: d.event(next.Saved)}
}

// standing is the dialogue and the step at which a talk stands, nil when it stands at none.
func (c *Channel) standing(talk *Talk, now time.Time) (*Dialogue, *Step) {
	if talk == nil || now.UnixMilli() > talk.Until {
		return nil, nil
	}
	d := c.dialogue(talk.Dialogue)
	if d == nil || talk.Step < 0 || talk.Step >= len(d.Steps) {
		return nil, nil
	}
	// What was asked before may have changed since; an answer to a question that was never put is not made up.
	for _, earlier := range d.Steps[:talk.Step] {
		if _, ok := talk.Saved[earlier.Save]; !ok {
			return nil, nil
		}
	}
	return d, &d.Steps[talk.Step]
}

// spoken is a text with the answers in it, no longer than the platform takes: answers may be long.
func spoken(text string, saved map[string]string) string {
	said := Fill(text, saved)
	if len(said) > maxText {
		said = strings.ToValidUTF8(said[:maxText], "")
	}
	return said
}

func (c *Channel) dialogue(name string) *Dialogue {
	for i := range c.Dialogues {
		if c.Dialogues[i].Name == name {
			return &c.Dialogues[i]
		}
	}
	return nil
}

// event is what the dialogue leads to; what earlier versions of it have asked is left out.
func (d *Dialogue) event(saved map[string]string) *Event {
	e := &Event{Type: d.Event, Data: map[string]string{}}
	for _, step := range d.Steps {
		e.Data[step.Save] = saved[step.Save]
		if step.Check == CheckPhone {
			e.Personal = append(e.Personal, step.Save)
		}
	}
	return e
}

// strict says whether an answer that is accepted can hardly have been meant as something else.
func (s *Step) strict() bool { return s.Check != CheckText || s.pattern != nil }

var (
	mainland      = regexp.MustCompile(`^(?:\+?86)?(1[3-9][0-9]{9})$`)
	international = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)
	plainNumber   = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`)
)

// accept is an answer as it is saved; false when it does not pass the step's check.
func (s *Step) accept(text string) (string, bool) {
	if !utf8.ValidString(text) {
		return "", false
	}
	answer := strings.TrimSpace(width.Fold.String(text))
	switch s.Check {
	case CheckPhone:
		answer = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || strings.ContainsRune("-()", r) || unicode.Is(unicode.Cf, r) {
				return -1
			}
			return r
		}, answer)
		if m := mainland.FindStringSubmatch(answer); m != nil {
			return m[1], true
		}
		return answer, international.MatchString(answer)
	case CheckNumber:
		n, err := strconv.ParseFloat(answer, 64)
		return answer, plainNumber.MatchString(answer) && err == nil && (s.min == nil || n >= *s.min) && (s.max == nil || n <= *s.max)
	}
	answer = strings.TrimSpace(text)
	return answer, answer != "" && utf8.RuneCountInString(answer) <= maxAnswer && !strings.ContainsFunc(answer, unprintable) &&
		(s.pattern == nil || s.pattern.MatchString(answer))
}

func unprintable(r rune) bool { return unicode.IsControl(r) && r != '\n' }
