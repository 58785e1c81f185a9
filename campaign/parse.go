package campaign

import (
	"slices"
	"strings"
	"time"

	"kfactor/internal/money"
)

// Limits of a definition. They are far above what campaigns need and low enough that nothing grows without bound.
const (
	maxTasks     = 32
	maxTiers     = 32
	maxRewards   = 64
	maxLayers    = 64
	maxVariants  = 8
	maxStages    = 16
	maxKeywords  = 20
	minCanvas    = 200 // pixels of a side
	maxCanvas    = 4096
	maxAvatar    = 1024
	maxTextLines = 20 // of a text on a poster
	maxOutline   = 32 // pixels
	maxShadow    = 64
	maxTarget    = 1000000 // of a tier
	maxStock     = 1000000000
	maxPoints    = 1000000000 // of one grant
	maxMessage   = 600        // characters
	maxTitle     = 100
	maxWindow    = 365 * day
	maxHold      = 90 * day
	day          = 24 * time.Hour
	defaultZone  = "Asia/Shanghai"
	defaultBlack = "#000000"
	defaultWhite = "#FFFFFF"
)

// The keys of each mapping, in the order they are best written. The JSON Schema lists the same ones.
var (
	definitionKeys  = []string{"campaign", "name", "channel", "qr", "schedule", "join", "attribution", "poster", "tasks", "tiers", "welcome", "rewards", "budget", "limits", "funnel", "messages"}
	scheduleKeys    = []string{"starts", "ends", "timezone"}
	joinKeys        = []string{"on_subscribe", "keywords", "menu_key"}
	attributionKeys = []string{"window"}
	posterKeys      = []string{"size", "background", "format", "quality", "layers", "variants"}
	variantKeys     = []string{"background", "layers"}
	layerKeys       = []string{"text", "qr", "avatar", "image", "rect"}
	textKeys        = []string{"value", "at", "size", "color", "max_width", "align", "weight", "font", "lines", "line_height", "outline", "shadow"}
	outlineKeys     = []string{"color", "width"}
	shadowKeys      = []string{"color", "offset", "blur"}
	qrKeys          = []string{"at", "size", "level", "logo", "dark", "light"}
	avatarKeys      = []string{"at", "size", "shape"}
	imageKeys       = []string{"source", "at", "size"}
	rectKeys        = []string{"at", "size", "color", "radius"}
	taskKeys        = []string{"title", "on", "credit", "new_users_only", "revoke_on", "hold", "per_day", "when"}
	tierKeys        = []string{"name", "requires", "rewards"}
	welcomeKeys     = []string{"rewards"}
	rewardKeys      = []string{"kind", "title", "unit_cost", "amount", "points", "stock", "review", "needs_address"}
	budgetKeys      = []string{"currency", "limit", "on_exhausted"}
	limitsKeys      = []string{"participants", "invites_per_inviter_per_hour"}
	messageKeys     = []string{"joined", "credited", "tier_reached", "revoked"}

	defaultFunnel = []string{"expose", "scan", "subscribe", "bind", "purchase"}
)

// Parse reads a definition from YAML or JSON and says everything that is wrong with it, in the order of the file.
// filename is for the problems only. Where there are problems the definition is what could be read, good for
// nothing but looking for more of them; it is nil when the source is not well-formed or not a mapping.
func Parse(source []byte, filename string) (*Definition, *Source, []Problem) {
	r := &reader{source: &Source{File: filename, places: map[string]place{}}}
	root, problem := tree(source)
	if problem != nil {
		problem.File = filename
		return nil, r.source, []Problem{*problem}
	}
	root.at = place{root.line, root.column}
	if root.kind != mapping {
		r.wrong(root.at, "", "start with `campaign: a-name`", "a campaign file is a mapping, not %s", root.kind)
		return nil, r.source, r.problems
	}
	d := r.definition(r.object(root, definitionKeys))
	slices.SortStableFunc(r.problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return d, r.source, r.problems
}

func (r *reader) definition(o *object) *Definition {
	d := &Definition{
		ID:       r.word(o.need("campaign", "write `campaign: spring-2026`, the name in addresses and files"), slug),
		Name:     r.label(o.need("name", "write `name:` with what people call the campaign"), maxTitle),
		Channel:  "web",
		QR:       r.choice(o.get("qr"), ChannelInQR, LinkInQR),
		Schedule: r.schedule(r.object(o.need("schedule", "write `schedule:` with starts and ends"), scheduleKeys)),
		Join:     r.join(r.object(o.get("join"), joinKeys)),
		Poster:   r.poster(r.object(o.need("poster", "write `poster:` with size, background and layers"), posterKeys)),
		Welcome:  Welcome{},
		Limits:   r.limits(r.object(o.get("limits"), limitsKeys)),
		Funnel:   r.funnel(o.get("funnel")),
		Messages: r.messages(r.object(o.get("messages"), messageKeys)),
		// Money is read in the budget's currency, so the budget comes before the rewards.
		Budget: r.budget(o.get("budget")),
	}
	if v := o.get("channel"); v != nil {
		d.Channel = r.word(v, name)
	}
	d.Attribution.Window = r.span(r.object(o.get("attribution"), attributionKeys).get("window"), 7*day, time.Second, maxWindow)
	d.Tasks = r.tasks(o.need("tasks", "write `tasks:` with at least one"), d.Schedule.location)
	d.Rewards = r.rewards(o.get("rewards"), d.Currency())

	named := names{tasks: keysOf(o.get("tasks")), rewards: keysOf(o.get("rewards"))}
	d.Tiers = r.tiers(o.get("tiers"), named)
	d.Welcome.Rewards = r.rewardNames(r.object(o.get("welcome"), welcomeKeys).get("rewards"), named)
	return d
}

// names are the tasks and rewards that a file defines, well or badly, so that one mistake is told once.
type names struct{ tasks, rewards []string }

func keysOf(v *value) []string {
	var keys []string
	if v != nil {
		for _, e := range v.entries {
			keys = append(keys, e.name)
		}
	}
	return keys
}

func (r *reader) schedule(o *object) Schedule {
	s := Schedule{
		Starts:   r.moment(o.need("starts", "write it like 2026-09-01T09:00:00+08:00")),
		Ends:     r.moment(o.need("ends", "write it like 2026-09-15T23:59:59+08:00")),
		Timezone: defaultZone,
	}
	if !s.Starts.IsZero() && !s.Ends.IsZero() && !s.Ends.After(s.Starts) {
		r.bad(o.get("ends"), "write a time after "+o.get("starts").text, "the campaign ends before it starts")
	}
	v := o.get("timezone")
	if said := r.text(v, 64, false); said != "" {
		s.Timezone = said
	}
	location, err := time.LoadLocation(s.Timezone)
	// "Local" is the machine's own zone, which is not the campaign's to name.
	if err != nil || s.Timezone == "Local" {
		r.bad(v, "write an IANA name, like Asia/Shanghai or UTC", "%s is not a time zone", quote(s.Timezone))
		location = time.UTC
	}
	s.location = location
	return s
}

func (r *reader) join(o *object) Join {
	j := Join{OnSubscribe: r.flag(o.get("on_subscribe")), MenuKey: r.label(o.get("menu_key"), 128)}
	for _, item := range r.items(o.get("keywords"), maxKeywords, "keywords") {
		keyword := r.label(item, 30)
		if keyword == "" {
			continue
		}
		if slices.Contains(j.Keywords, keyword) {
			r.bad(item, "keep it once", "the keyword %s stands twice", quote(keyword))
		}
		j.Keywords = append(j.Keywords, keyword)
	}
	return j
}

func (r *reader) tasks(v *value, location *time.Location) []Task {
	if v != nil && v.kind == mapping && len(v.entries) == 0 {
		r.bad(v, "write at least one, like `invite: {on: subscribe}`", "there are no tasks")
	}
	var tasks []Task
	for _, e := range r.table(v, maxTasks, "tasks", name) {
		o := r.object(e.value, taskKeys)
		t := Task{
			Name:         e.name,
			Title:        r.label(o.get("title"), maxTitle),
			On:           r.word(o.need("on", "write the event that counts, like `on: subscribe`"), word),
			Credit:       r.choice(o.get("credit"), Inviter, Actor),
			NewUsersOnly: r.flag(o.get("new_users_only")),
			RevokeOn:     r.word(o.get("revoke_on"), word),
			Hold:         r.span(o.get("hold"), 0, 0, maxHold),
			PerDay:       int(r.whole(o.get("per_day"), 0, 1, maxTarget)),
			When:         r.text(o.get("when"), maxWhen, true),
			location:     location,
		}
		if t.Title == "" {
			t.Title = t.Name
		}
		if t.RevokeOn != "" && t.RevokeOn == t.On {
			r.bad(o.get("revoke_on"), "write another event, like unsubscribe or refund", "the event that counts cannot take its own credit back")
		}
		if t.When != "" {
			program, err := compile(t.When)
			if err != nil {
				r.badWhen(o.get("when"), err)
			}
			t.program = program
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// badWhen points into the condition where that is possible: where it stands on one line as written.
func (r *reader) badWhen(v *value, err error) {
	message, offset := whenProblem(v.text, err)
	at := v.at
	if !v.block && !strings.Contains(v.text, "\n") && offset <= characters(v.text) {
		at.column += offset
		if v.quoted {
			at.column++
		}
	}
	mend := "write a condition over data, type and time that is true or false, like `data.amount >= 9900`"
	if strings.Contains(message, "EOF") && !v.quoted && !v.block {
		mend = "finish it; put it in quotes where it holds a #, or YAML takes the rest for a comment"
	}
	r.wrong(at, v.path, mend, "%s", message)
}

func (r *reader) tiers(v *value, named names) []Tier {
	var tiers []Tier
	for _, item := range r.items(v, maxTiers, "tiers") {
		o := r.object(item, tierKeys)
		t := Tier{
			Name:     r.label(o.need("name", "write the tier's name, like `name: 铜牌`"), 64),
			Requires: r.requires(o.need("requires", "write what it takes, like `requires: {invite: 3}`"), named.tasks),
			Rewards:  r.rewardNames(o.get("rewards"), named),
		}
		if t.Name != "" && slices.ContainsFunc(tiers, func(other Tier) bool { return other.Name == t.Name }) {
			r.bad(o.get("name"), "give each tier its own name", "another tier is called %s already", quote(t.Name))
		}
		tiers = append(tiers, t)
	}
	return tiers
}

func (r *reader) requires(v *value, tasks []string) []Requirement {
	if v != nil && v.kind == mapping && len(v.entries) == 0 {
		r.bad(v, "write what it takes, like `{invite: 3}`", "this tier requires nothing")
	}
	var requires []Requirement
	for _, e := range r.table(v, maxTasks, "targets", anything) {
		if !slices.Contains(tasks, e.name) {
			r.wrong(place{e.line, e.column}, e.value.path, known("tasks", e.name, tasks), "there is no task %s", quote(e.name))
		}
		requires = append(requires, Requirement{Task: e.name, Count: int(r.whole(e.value, 1, 1, maxTarget))})
	}
	return requires
}

func (r *reader) rewardNames(v *value, named names) []string {
	var rewards []string
	for _, item := range r.items(v, maxRewards, "rewards") {
		reward := r.text(item, 200, false)
		if reward == "" {
			continue
		}
		switch {
		case !slices.Contains(named.rewards, reward):
			r.bad(item, known("rewards", reward, named.rewards), "there is no reward %s", quote(reward))
		case slices.Contains(rewards, reward):
			r.bad(item, "keep it once", "the reward %s stands twice", quote(reward))
		default:
			rewards = append(rewards, reward)
		}
	}
	return rewards
}

// known says which of the defined names was probably meant, and otherwise where to define the new one.
func known(where, got string, defined []string) string {
	if hint := suggest(got, defined); strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	return "define it under " + where
}

func (r *reader) rewards(v *value, currency string) []Reward {
	var rewards []Reward
	for _, e := range r.table(v, maxRewards, "rewards", name) {
		o := r.object(e.value, rewardKeys)
		kinds := []string{Coupon, Cash, Physical, Points}
		w := Reward{
			Name:         e.name,
			Kind:         r.choice(o.need("kind", "write "+orList(kinds)), kinds...),
			Title:        r.label(o.get("title"), maxTitle),
			UnitCost:     r.amount(o.get("unit_cost"), currency),
			Amount:       r.amount(o.get("amount"), currency),
			Points:       r.whole(o.get("points"), 0, 1, maxPoints),
			Stock:        r.whole(o.need("stock", "write how many there are, like `stock: 1000`"), 0, 0, maxStock),
			Review:       r.flag(o.get("review")),
			NeedsAddress: r.flag(o.get("needs_address")),
		}
		if w.Title == "" {
			w.Title = w.Name
		}
		r.worth(o, &w)
		rewards = append(rewards, w)
	}
	return rewards
}

// worth checks that a reward is worth what its kind says, and that all of it together can be counted.
func (r *reader) worth(o *object, w *Reward) {
	if k := o.get("kind"); k == nil || k.text != w.Kind {
		return // without a kind nothing more can be said
	}
	if amount := o.get("amount"); w.Kind != Cash && amount != nil {
		r.bad(amount, "remove it, or write kind: cash", "a %s has no amount", w.Kind)
	} else if w.Kind == Cash {
		amount = o.need("amount", `write what each person gets, like amount: "2.00"`)
		if amount != nil && amount.kind == text && w.Amount == 0 && strings.Trim(amount.text, "0.") == "" {
			r.bad(amount, `write more than zero, like "2.00"`, "nobody gets anything")
		}
		if o.get("unit_cost") == nil {
			w.UnitCost = w.Amount
		}
	}
	if points := o.get("points"); w.Kind != Points && points != nil {
		r.bad(points, "remove it, or write kind: points", "a %s has no points", w.Kind)
	} else if w.Kind == Points {
		o.need("points", "write how many each person gets, like points: 500")
	}
	if w.Stock > 0 && max(w.UnitCost, w.Amount, w.Points) > money.MaxMinor/w.Stock {
		r.bad(o.get("stock"), "write a lower stock", "the whole stock is worth more than can be counted")
	}
}

func (r *reader) budget(v *value) *Budget {
	if v == nil || v.kind == null {
		return nil
	}
	o := r.object(v, budgetKeys)
	b := &Budget{Currency: defaultCurrency, OnExhausted: r.choice(o.get("on_exhausted"), Waitlist, Reject)}
	if said := r.text(o.get("currency"), 200, false); said != "" {
		if money.ValidCurrency(said) {
			b.Currency = said
		} else {
			r.bad(o.get("currency"), "write three capitals, like CNY", "%s is not a currency", quote(said))
		}
	}
	b.Limit = r.amount(o.need("limit", `write how much may be promised, like limit: "5000.00"`), b.Currency)
	return b
}

func (r *reader) limits(o *object) Limits {
	return Limits{
		Participants:             r.whole(o.get("participants"), 0, 1, 1_000_000_000),
		InvitesPerInviterPerHour: int(r.whole(o.get("invites_per_inviter_per_hour"), 0, 1, maxTarget)),
	}
}

func (r *reader) funnel(v *value) []string {
	if v == nil {
		return slices.Clone(defaultFunnel)
	}
	if v.kind == list && len(v.items) == 0 {
		r.bad(v, "write its stages, like [scan, subscribe], or remove the key", "the funnel has no stages")
	}
	var stages []string
	for _, item := range r.items(v, maxStages, "stages") {
		stage := r.word(item, word)
		if stage == "" {
			continue
		}
		if slices.Contains(stages, stage) {
			r.bad(item, "keep it once", "the stage %s stands twice", quote(stage))
		}
		stages = append(stages, stage)
	}
	return stages
}

func (r *reader) messages(o *object) map[string]string {
	var messages map[string]string
	for _, key := range messageKeys {
		if said := r.text(o.get(key), maxMessage, true); said != "" {
			if messages == nil {
				messages = map[string]string{}
			}
			messages[key] = said
		}
	}
	return messages
}

func (r *reader) poster(o *object) Poster {
	p := Poster{
		Background: r.background(o.need("background", `write a picture's name or a colour, like "#FFF4E0"`)),
		Format:     r.choice(o.get("format"), "jpeg", "png"),
		Quality:    int(r.whole(o.get("quality"), 85, 60, 95)),
	}
	p.Size, _ = r.pair(o.need("size", "write [width, height], like [1080, 1920]"), minCanvas, maxCanvas, "[1080, 1920]")
	p.Layers = r.layers(o.need("layers", "write its layers, one of them a qr"))
	for _, e := range r.table(o.get("variants"), maxVariants, "variants", name) {
		if e.name == MainVariant {
			r.wrong(place{e.line, e.column}, e.value.path, "name the others b, c and so on", "the poster itself is variant a")
			continue
		}
		vo := r.object(e.value, variantKeys)
		v := Variant{Name: e.name, Background: r.background(vo.get("background"))}
		if layers := vo.get("layers"); layers != nil {
			v.Layers = r.layers(layers)
		}
		if vo.members != nil && len(e.value.entries) == 0 {
			r.bad(e.value, "give it a background or layers of its own", "this variant changes nothing")
		}
		p.Variants = append(p.Variants, v)
	}
	return p
}

// background is a colour or a picture.
func (r *reader) background(v *value) string {
	if v != nil && strings.HasPrefix(v.text, "#") {
		return r.color(v, "")
	}
	return r.picture(v)
}

func (r *reader) layers(v *value) []Layer {
	var layers []Layer
	codes := 0
	for _, item := range r.items(v, maxLayers, "layers") {
		o := r.object(item, layerKeys)
		if len(o.members) > 1 || (o.members != nil && len(item.entries) == 0) {
			r.bad(item, "write each as a layer of its own, with one of "+orList(layerKeys), "a layer is exactly one thing")
		}
		if o.get("qr") != nil {
			if codes++; codes == 2 {
				r.bad(o.get("qr"), "keep one", "a poster has one qr")
			}
		}
		layers = append(layers, r.layer(o))
	}
	if v != nil && v.kind == list && len(v.items) <= maxLayers && codes == 0 {
		r.bad(v, "add a layer like `qr: {at: [235, 900], size: 280}`", "a poster without a qr brings nobody")
	}
	return layers
}

func (r *reader) layer(o *object) Layer {
	switch {
	case o.get("text") != nil:
		return Layer{Text: r.words(r.object(o.get("text"), textKeys))}
	case o.get("qr") != nil:
		q := r.object(o.get("qr"), qrKeys)
		x, y := r.corner(q)
		levels := []string{"M", "L", "Q", "H"}
		if q.get("logo") != nil {
			levels = []string{"Q", "H", "L", "M"} // what a logo covers must be recoverable
		}
		return Layer{QR: &QR{
			X: x, Y: y,
			Size:  r.side(q, maxCanvas),
			Level: r.choice(q.get("level"), levels...),
			Logo:  r.picture(q.get("logo")),
			Dark:  r.color(q.get("dark"), defaultBlack),
			Light: r.color(q.get("light"), defaultWhite),
		}}
	case o.get("avatar") != nil:
		a := r.object(o.get("avatar"), avatarKeys)
		x, y := r.corner(a)
		return Layer{Avatar: &Avatar{X: x, Y: y, Size: r.side(a, maxAvatar), Shape: r.choice(a.get("shape"), "circle", "rounded", "square")}}
	case o.get("image") != nil:
		i := r.object(o.get("image"), imageKeys)
		x, y := r.corner(i)
		size, _ := r.pair(i.get("size"), 1, maxCanvas, "[200, 80]")
		return Layer{Image: &Image{Source: r.picture(i.need("source", "write the picture's name, like badge.png")), X: x, Y: y, Width: size[0], Height: size[1]}}
	case o.get("rect") != nil:
		b := r.object(o.get("rect"), rectKeys)
		x, y := r.corner(b)
		size, _ := r.pair(b.need("size", "write [width, height], like [200, 80]"), 1, maxCanvas, "[200, 80]")
		return Layer{Rect: &Rect{
			X: x, Y: y, Width: size[0], Height: size[1],
			Color:  r.tint(b.need("color", `write it like "#FFFFFF"`), defaultBlack),
			Radius: int(r.whole(b.get("radius"), 0, 0, maxCanvas)),
		}}
	}
	return Layer{}
}

// words are a layer of text.
func (r *reader) words(o *object) *Text {
	x, y := r.corner(o)
	t := &Text{
		X: x, Y: y,
		Size:       r.number(o.get("size"), 32, 8, 512),
		Color:      r.tint(o.get("color"), defaultBlack),
		MaxWidth:   int(r.whole(o.get("max_width"), 0, 1, maxCanvas)),
		Align:      r.choice(o.get("align"), "left", "center", "right"),
		Weight:     r.choice(o.get("weight"), "regular", "bold"),
		Font:       r.file(o.get("font"), "a font", "ttf", "otf"),
		Lines:      int(r.whole(o.get("lines"), 1, 1, maxTextLines)),
		LineHeight: r.number(o.get("line_height"), 1.4, 0.8, 3),
	}
	t.Value = r.text(o.need("value", `write what it says, like "{{nickname}}"`), 500, t.Lines > 1)
	if v := o.get("outline"); v != nil {
		outline := r.object(v, outlineKeys)
		t.OutlineColor = r.tint(outline.get("color"), defaultWhite)
		t.OutlineWidth = r.number(outline.get("width"), 2, 0.5, maxOutline)
	}
	if v := o.get("shadow"); v != nil {
		shadow := r.object(v, shadowKeys)
		t.ShadowColor = r.tint(shadow.get("color"), "#00000099")
		t.ShadowBlur = int(r.whole(shadow.get("blur"), 6, 0, maxShadow))
		t.ShadowX, t.ShadowY = 0, 2
		if at, ok := r.pair(shadow.get("offset"), -maxShadow, maxShadow, "[0, 2]"); ok {
			t.ShadowX, t.ShadowY = at[0], at[1]
		}
	}
	return t
}

// corner is where a layer's upper left corner stands; outside the poster is for the poster itself to refuse.
func (r *reader) corner(o *object) (x, y int) {
	at, _ := r.pair(o.need("at", "write [x, y] of its upper left corner, like [60, 120]"), -maxCanvas, maxCanvas, "[60, 120]")
	return at[0], at[1]
}

// side is a square's side.
func (r *reader) side(o *object, most int64) int {
	return int(r.whole(o.need("size", "write its side in pixels, like 280"), 0, 16, most))
}
