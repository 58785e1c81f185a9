package proof

import (
	"fmt"
	"strings"

	"kfactor/poster"
)

// Bounds on what is tried.
const (
	quiet     = 8  // modules of light margin on both sides together
	maxModule = 24 // pixels
	maxTried  = 8  // layers looked at one by one, sizes
)

// trial looks for what has to change for a person's code to stand all ordinary treatments, by changing it and looking
// again.
type trial struct {
	template *poster.Template
	assets   poster.Assets
	layer    int
	person   poster.Person
}

// advice is the first single change that helps: to the layers over the code, its colours, level, size or logo.
func (t *trial) advice() string {
	if advice := t.overlays(); advice != "" {
		return advice
	}
	q := t.template.Layers[t.layer].QR
	if q.Dark != "" || q.Light != "" {
		other := *q
		if other.Dark, other.Light = "", ""; t.stands(&other) {
			return "more contrast: take black on white"
		}
	}
	for _, level := range []string{"Q", "M"} {
		other := *q
		if other.Level = level; q.Logo != "" && level == "M" || other.Modules(t.template) >= q.Modules(t.template) {
			continue
		}
		if t.stands(&other) {
			return fmt.Sprintf("take level %s: a code of that size then has fewer and larger modules", level)
		}
	}
	if size := t.largeEnough(q); size > 0 {
		return fmt.Sprintf("make the code %d px or more", size)
	}
	if q.Logo != "" {
		other := *q
		if other.Logo, other.Level = "", "M"; t.stands(&other) {
			return "leave the logo out and take level M"
		}
	}
	return "no single change helps: make the code larger, black on white, and keep all else off it"
}

// overlays tells of layers that lie over the code and break it, "" when there are none that do.
func (t *trial) overlays() string {
	q, above := t.template.Layers[t.layer].QR, t.template.Layers[t.layer+1:]
	if len(above) == 0 || !t.stands(q) {
		return ""
	}
	var broken []string
	for i, l := range above[:min(len(above), maxTried)] {
		if !t.stands(q, l) {
			broken = append(broken, fmt.Sprintf("layers[%d]", t.layer+1+i))
		}
	}
	switch len(broken) {
	case 0:
		return "move the layers that lie over it"
	case 1:
		return fmt.Sprintf("move %s, which lies over it", broken[0])
	}
	return fmt.Sprintf("move %s, which lie over it", strings.Join(broken, ", "))
}

// largeEnough is the smallest size that helps, around the same middle as far as the canvas allows; 0 for none.
func (t *trial) largeEnough(q *poster.QR) int {
	side := q.Modules(t.template) + quiet
	tried := 0
	for module := 1; module <= maxModule && tried < maxTried; module++ {
		size := module * side
		if size <= q.Size || size > min(t.template.Width, t.template.Height) {
			continue
		}
		tried++
		larger := *q
		larger.Size = size
		larger.X = min(max(0, q.X+(q.Size-size)/2), t.template.Width-size)
		larger.Y = min(max(0, q.Y+(q.Size-size)/2), t.template.Height-size)
		if t.stands(&larger) {
			return size
		}
	}
	return 0
}

// stands says whether a code stands all ordinary treatments, with nothing but these layers over it.
func (t *trial) stands(q *poster.QR, above ...poster.Layer) bool {
	alone := *t.template
	alone.Background = "#808080"
	alone.Layers = append([]poster.Layer{{QR: q}}, above...)
	press, err := poster.Compile(alone, t.assets)
	if err != nil {
		return false
	}
	picture, err := shown(press, t.person)
	if err != nil {
		return false
	}
	code := around(picture, q, alone.Width)
	for _, treatment := range treatments {
		if treatment.Ordinary && !read(treatment.apply(code), t.person.Link) {
			return false
		}
	}
	return true
}
