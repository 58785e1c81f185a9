package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"kfactor/internal/document"
)

// member is one key of a JSON object whose order matters.
type member struct {
	key   string
	value any // string, int64, float64, bool, []any or members
}

type members []member

// MarshalJSON keeps the order of the members.
func (m members) MarshalJSON() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, each := range m {
		if i > 0 {
			out.WriteByte(',')
		}
		for j, part := range []any{each.key, each.value} {
			if j > 0 {
				out.WriteByte(':')
			}
			encoder := json.NewEncoder(&out)
			encoder.SetEscapeHTML(false)
			if err := encoder.Encode(part); err != nil {
				return nil, err
			}
			out.Truncate(out.Len() - 1) // the encoder's line break
		}
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// set adds a member.
func (m *members) set(key string, value any) { *m = append(*m, member{key, value}) }

// some adds a member that is left out where it is zero, because that is how a file says it.
func some[T comparable](m *members, key string, value T) {
	var zero T
	if value != zero {
		m.set(key, value)
	}
}

// MarshalJSON is the definition as the JSON that Parse reads back to an equal one: every default written out, so
// that a stored revision keeps its meaning when a default changes.
func (d Definition) MarshalJSON() ([]byte, error) { return d.tree().MarshalJSON() }

// Canonical is the one JSON form of the definition: equal definitions have equal bytes.
func (d *Definition) Canonical() []byte {
	out, err := d.MarshalJSON()
	if err != nil {
		panic(fmt.Sprintf("campaign: a definition does not marshal: %v", err)) // it holds only text, numbers and booleans
	}
	return out
}

// Equal says whether two definitions mean the same.
func (d *Definition) Equal(other *Definition) bool {
	if d == nil || other == nil {
		return d == other
	}
	return bytes.Equal(d.Canonical(), other.Canonical())
}

func (d *Definition) tree() members {
	m := members{
		{"campaign", d.ID},
		{"name", d.Name},
		{"channel", d.Channel},
		{"schedule", members{
			{"starts", d.Schedule.Starts.Format(time.RFC3339Nano)},
			{"ends", d.Schedule.Ends.Format(time.RFC3339Nano)},
			{"timezone", d.Schedule.Timezone},
		}},
	}
	if d.QR != ChannelInQR {
		m.set("qr", d.QR)
	}
	join := members{{"on_subscribe", d.Join.OnSubscribe}}
	if len(d.Join.Keywords) > 0 {
		join.set("keywords", anys(d.Join.Keywords))
	}
	some(&join, "menu_key", d.Join.MenuKey)
	m.set("join", join)
	m.set("attribution", members{{"window", document.FormatSpan(d.Attribution.Window)}})
	m.set("poster", d.Poster.tree())

	tasks := members{}
	for _, t := range d.Tasks {
		tasks.set(t.Name, t.tree())
	}
	m.set("tasks", tasks)
	if len(d.Tiers) > 0 {
		tiers := []any{}
		for _, t := range d.Tiers {
			tiers = append(tiers, t.tree())
		}
		m.set("tiers", tiers)
	}
	if len(d.Welcome.Rewards) > 0 {
		m.set("welcome", members{{"rewards", anys(d.Welcome.Rewards)}})
	}
	if len(d.Rewards) > 0 {
		rewards := members{}
		for _, w := range d.Rewards {
			rewards.set(w.Name, d.rewardTree(w))
		}
		m.set("rewards", rewards)
	}
	if b := d.Budget; b != nil {
		m.set("budget", members{
			{"currency", d.Currency()},
			{"limit", d.amount(b.Limit)},
			{"on_exhausted", b.OnExhausted},
		})
	}
	limits := members{}
	some(&limits, "participants", d.Limits.Participants)
	some(&limits, "invites_per_inviter_per_hour", int64(d.Limits.InvitesPerInviterPerHour))
	if len(limits) > 0 {
		m.set("limits", limits)
	}
	if len(d.Funnel) > 0 {
		m.set("funnel", anys(d.Funnel))
	}
	messages := members{}
	for _, key := range messageKeys {
		some(&messages, key, d.Messages[key])
	}
	if len(messages) > 0 {
		m.set("messages", messages)
	}
	return m
}

func (t Task) tree() members {
	m := members{
		{"title", t.Title},
		{"on", t.On},
		{"credit", t.Credit},
		{"new_users_only", t.NewUsersOnly},
	}
	some(&m, "revoke_on", t.RevokeOn)
	m.set("hold", document.FormatSpan(t.Hold))
	some(&m, "per_day", int64(t.PerDay))
	some(&m, "when", t.When)
	return m
}

func (t Tier) tree() members {
	requires := members{}
	for _, r := range t.Requires {
		requires.set(r.Task, int64(r.Count))
	}
	m := members{{"name", t.Name}, {"requires", requires}}
	if len(t.Rewards) > 0 {
		m.set("rewards", anys(t.Rewards))
	}
	return m
}

func (d *Definition) rewardTree(w Reward) members {
	m := members{{"kind", w.Kind}, {"title", w.Title}, {"unit_cost", d.amount(w.UnitCost)}}
	if w.Kind == Cash {
		m.set("amount", d.amount(w.Amount))
	}
	some(&m, "points", w.Points)
	m.set("stock", w.Stock)
	m.set("review", w.Review)
	m.set("needs_address", w.NeedsAddress)
	return m
}

func (p Poster) tree() members {
	m := members{{"size", pixels(p.Size[0], p.Size[1])}, {"background", p.Background}, {"format", p.Format}, {"quality", int64(p.Quality)}}
	m.set("layers", layersTree(p.Layers))
	variants := members{}
	for _, v := range p.Variants {
		var each members
		some(&each, "background", v.Background)
		if v.Layers != nil {
			each.set("layers", layersTree(v.Layers))
		}
		variants.set(v.Name, each)
	}
	if len(variants) > 0 {
		m.set("variants", variants)
	}
	return m
}

func layersTree(layers []Layer) []any {
	out := []any{}
	for _, l := range layers {
		out = append(out, l.tree())
	}
	return out
}

func (l Layer) tree() members {
	switch {
	case l.Text != nil:
		m := members{{"value", l.Text.Value}, {"at", pixels(l.Text.X, l.Text.Y)}, {"size", l.Text.Size}, {"color", l.Text.Color}}
		some(&m, "max_width", int64(l.Text.MaxWidth))
		m.set("align", l.Text.Align)
		m.set("weight", l.Text.Weight)
		some(&m, "font", l.Text.Font)
		m.set("lines", int64(l.Text.Lines))
		m.set("line_height", l.Text.LineHeight)
		if l.Text.OutlineWidth != 0 {
			m.set("outline", members{{"color", l.Text.OutlineColor}, {"width", l.Text.OutlineWidth}})
		}
		if l.Text.ShadowColor != "" {
			m.set("shadow", members{
				{"color", l.Text.ShadowColor},
				{"offset", pixels(l.Text.ShadowX, l.Text.ShadowY)},
				{"blur", int64(l.Text.ShadowBlur)},
			})
		}
		return members{{"text", m}}
	case l.QR != nil:
		m := members{{"at", pixels(l.QR.X, l.QR.Y)}, {"size", int64(l.QR.Size)}, {"level", l.QR.Level}}
		some(&m, "logo", l.QR.Logo)
		m.set("dark", l.QR.Dark)
		m.set("light", l.QR.Light)
		return members{{"qr", m}}
	case l.Avatar != nil:
		return members{{"avatar", members{{"at", pixels(l.Avatar.X, l.Avatar.Y)}, {"size", int64(l.Avatar.Size)}, {"shape", l.Avatar.Shape}}}}
	case l.Image != nil:
		m := members{{"source", l.Image.Source}, {"at", pixels(l.Image.X, l.Image.Y)}}
		if l.Image.Width != 0 || l.Image.Height != 0 {
			m.set("size", pixels(l.Image.Width, l.Image.Height))
		}
		return members{{"image", m}}
	case l.Rect != nil:
		return members{{"rect", members{
			{"at", pixels(l.Rect.X, l.Rect.Y)},
			{"size", pixels(l.Rect.Width, l.Rect.Height)},
			{"color", l.Rect.Color},
			{"radius", int64(l.Rect.Radius)},
		}}}
	}
	return members{}
}

func pixels(a, b int) []any { return []any{int64(a), int64(b)} }

func anys(texts []string) []any {
	out := make([]any, len(texts))
	for i, t := range texts {
		out[i] = t
	}
	return out
}

// Change is one field that differs between two definitions. From is "" for what is new, To for what is gone.
type Change struct {
	Field string `json:"field"` // tiers and variants by name: tiers[铜牌].requires.invite
	From  string `json:"from"`
	To    string `json:"to"`
}

// Changes are the fields in which new differs from old: those of new in its order, then what is gone. A nil old
// makes everything new.
func Changes(old, new *Definition) []Change {
	before, was := leaves(old)
	after, is := leaves(new)
	var changes []Change
	for _, field := range after {
		if from, to := was[field], is[field]; from != to {
			changes = append(changes, Change{field, from, to})
		}
	}
	for _, field := range before {
		if _, stays := is[field]; !stays {
			changes = append(changes, Change{field, was[field], ""})
		}
	}
	return changes
}

// leaves are a definition's fields in order, and what each says.
func leaves(d *Definition) ([]string, map[string]string) {
	var fields []string
	said := map[string]string{}
	var walk func(field string, v any)
	walk = func(field string, v any) {
		switch v := v.(type) {
		case members:
			for _, m := range v {
				at := m.key
				if field != "" {
					at = field + "." + m.key
				}
				walk(at, m.value)
			}
			return
		case []any:
			if len(v) > 0 {
				if _, composed := v[0].(members); composed {
					for i, item := range v {
						walk(field+"["+label(item, i)+"]", item)
					}
					return
				}
			}
		}
		fields = append(fields, field)
		said[field] = show(v)
	}
	if d != nil {
		walk("", d.tree())
	}
	return fields, said
}

// label is a list item's name where it has one (tiers), else its number.
func label(item any, i int) string {
	if m, ok := item.(members); ok && len(m) > 0 && m[0].key == "name" {
		return fmt.Sprint(m[0].value)
	}
	return strconv.Itoa(i)
}

func show(v any) string {
	if list, ok := v.([]any); ok {
		out := "["
		for i, item := range list {
			if i > 0 {
				out += ", "
			}
			out += show(item)
		}
		return out + "]"
	}
	return fmt.Sprint(v)
}
