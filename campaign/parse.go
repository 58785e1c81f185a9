package campaign

import (
	"slices"
	"strings"
	"time"

	"kfactor/internal/document"
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
	messageKeys     = []string{"joined", "credited", "tier_reached", "revoked", "welcome", "delivered", "rejected"}

	defaultFunnel = []string{"expose", "scan", "subscribe", "bind", "purchase"}
)

// Parse reads a definition from YAML or JSON and says everything that is wrong with it, in the order of the file.
// filename is for the problems only. Where there are problems the definition is what could be read, good for
// nothing but looking for more of them; it is nil when the source is not well-formed or not a mapping.
func Parse(source []byte, filename string) (*Definition, *Source, []Problem) {
	r := &reader{document.NewReader(filename)}
	root := r.Open(source, "a campaign file", "start with `campaign: a-name`")
	if root == nil {
		return nil, r.Source, r.Problems
	}
	d := r.definition(r.Object(root, definitionKeys))
	return d, r.Source, r.Sorted()
}

func (r *reader) definition(o *document.Object) *Definition {
	d := &Definition{
		ID:       r.Word(o.Need("campaign", "write `campaign: spring-2026`, the name in addresses and files"), document.Slug),
		Name:     r.Label(o.Need("name", "write `name:` with what people call the campaign"), maxTitle),
		Channel:  "web",
		QR:       r.Choice(o.Get("qr"), ChannelInQR, LinkInQR),
		Schedule: r.schedule(r.Object(o.Need("schedule", "write `schedule:` with starts and ends"), scheduleKeys)),
		Join:     r.join(r.Object(o.Get("join"), joinKeys)),
		Poster:   r.poster(r.Object(o.Need("poster", "write `poster:` with size, background and layers"), posterKeys)),
		Welcome:  Welcome{},
		Limits:   r.limits(r.Object(o.Get("limits"), limitsKeys)),
		Funnel:   r.funnel(o.Get("funnel")),
		Messages: r.messages(r.Object(o.Get("messages"), messageKeys)),
		// Money is read in the budget's currency, so the budget comes before the rewards.
		Budget: r.budget(o.Get("budget")),
	}
	if v := o.Get("channel"); v != nil {
		d.Channel = r.Word(v, document.Name)
	}
	d.Attribution.Window = r.Span(r.Object(o.Get("attribution"), attributionKeys).Get("window"), 7*day, time.Second, maxWindow)
	d.Tasks = r.tasks(o.Need("tasks", "write `tasks:` with at least one"), d.Schedule.location)
	d.Rewards = r.rewards(o.Get("rewards"), d.Currency())

	named := names{tasks: keysOf(o.Get("tasks")), rewards: keysOf(o.Get("rewards"))}
	d.Tiers = r.tiers(o.Get("tiers"), named)
	d.Welcome.Rewards = r.rewardNames(r.Object(o.Get("welcome"), welcomeKeys).Get("rewards"), named)
	return d
}

// names are the tasks and rewards that a file defines, well or badly, so that one mistake is told once.
type names struct{ tasks, rewards []string }

func keysOf(v *document.Value) []string {
	var keys []string
	if v != nil {
		for _, e := range v.Entries {
			keys = append(keys, e.Name)
		}
	}
	return keys
}

func (r *reader) schedule(o *document.Object) Schedule {
	s := Schedule{
		Starts:   r.moment(o.Need("starts", "write it like 2026-09-01T09:00:00+08:00")),
		Ends:     r.moment(o.Need("ends", "write it like 2026-09-15T23:59:59+08:00")),
		Timezone: defaultZone,
	}
	if !s.Starts.IsZero() && !s.Ends.IsZero() && !s.Ends.After(s.Starts) {
		r.Bad(o.Get("ends"), "write a time after "+o.Get("starts").Text, "the campaign ends before it starts")
	}
	v := o.Get("timezone")
	if said := r.Text(v, 64, false); said != "" {
		s.Timezone = said
	}
	location, err := time.LoadLocation(s.Timezone)
	// "Local" is the machine's own zone, which is not the campaign's to name.
	if err != nil || s.Timezone == "Local" {
		r.Bad(v, "write an IANA name, like Asia/Shanghai or UTC", "%s is not a time zone", document.Quote(s.Timezone))
		location = time.UTC
	}
	s.location = location
	return s
}

func (r *reader) join(o *document.Object) Join {
	j := Join{OnSubscribe: r.Flag(o.Get("on_subscribe")), MenuKey: r.Label(o.Get("menu_key"), 128)}
	for _, item := range r.Items(o.Get("keywords"), maxKeywords, "keywords") {
		keyword := r.Label(item, 30)
		if keyword == "" {
			continue
		}
		if slices.Contains(j.Keywords, keyword) {
			r.Bad(item, "keep it once", "the keyword %s stands twice", document.Quote(keyword))
		}
		j.Keywords = append(j.Keywords, keyword)
	}
	return j
}

func (r *reader) tasks(v *document.Value, location *time.Location) []Task {
	if v != nil && v.Kind == document.Mapping && len(v.Entries) == 0 {
		r.Bad(v, "write at least one, like `invite: {on: subscribe}`", "there are no tasks")
	}
	var tasks []Task
	for _, e := range r.Table(v, maxTasks, "tasks", document.Name) {
		o := r.Object(e.Value, taskKeys)
		t := Task{
			Name:         e.Name,
			Title:        r.Label(o.Get("title"), maxTitle),
			On:           r.Word(o.Need("on", "write the event that counts, like `on: subscribe`"), document.Word),
			Credit:       r.Choice(o.Get("credit"), Inviter, Actor),
			NewUsersOnly: r.Flag(o.Get("new_users_only")),
			RevokeOn:     r.Word(o.Get("revoke_on"), document.Word),
			Hold:         r.Span(o.Get("hold"), 0, 0, maxHold),
			PerDay:       int(r.Whole(o.Get("per_day"), 0, 1, maxTarget)),
			When:         r.Text(o.Get("when"), maxWhen, true),
			location:     location,
		}
		if t.Title == "" {
			t.Title = t.Name
		}
		if t.RevokeOn != "" && t.RevokeOn == t.On {
			r.Bad(o.Get("revoke_on"), "write another event, like unsubscribe or refund", "the event that counts cannot take its own credit back")
		}
		if t.When != "" {
			program, err := compile(t.When)
			if err != nil {
				r.badWhen(o.Get("when"), err)
			}
			t.program = program
		}
		tasks = append(tasks, t)
	}
	return tasks
}

// badWhen points into the condition where that is possible: where it stands on one line as written.
func (r *reader) badWhen(v *document.Value, err error) {
	message, offset := whenProblem(v.Text, err)
	at := v.At
	if !v.Block && !strings.Contains(v.Text, "\n") && offset <= document.Characters(v.Text) {
		at.Column += offset
		if v.Quoted {
			at.Column++
		}
	}
	mend := "write a condition over data, type and time that is true or false, like `data.amount >= 9900`"
	if strings.Contains(message, "EOF") && !v.Quoted && !v.Block {
		mend = "finish it; put it in quotes where it holds a #, or YAML takes the rest for a comment"
	}
	r.Wrong(at, v.Path, mend, "%s", message)
}

func (r *reader) tiers(v *document.Value, named names) []Tier {
	var tiers []Tier
	for _, item := range r.Items(v, maxTiers, "tiers") {
		o := r.Object(item, tierKeys)
		t := Tier{
			Name:     r.Label(o.Need("name", "write the tier's name, like `name: 铜牌`"), 64),
			Requires: r.requires(o.Need("requires", "write what it takes, like `requires: {invite: 3}`"), named.tasks),
			Rewards:  r.rewardNames(o.Get("rewards"), named),
		}
		if t.Name != "" && slices.ContainsFunc(tiers, func(other Tier) bool { return other.Name == t.Name }) {
			r.Bad(o.Get("name"), "give each tier its own name", "another tier is called %s already", document.Quote(t.Name))
		}
		tiers = append(tiers, t)
	}
	return tiers
}

func (r *reader) requires(v *document.Value, tasks []string) []Requirement {
	if v != nil && v.Kind == document.Mapping && len(v.Entries) == 0 {
		r.Bad(v, "write what it takes, like `{invite: 3}`", "this tier requires nothing")
	}
	var requires []Requirement
	for _, e := range r.Table(v, maxTasks, "targets", document.Anything) {
		if !slices.Contains(tasks, e.Name) {
			r.Wrong(e.Place(), e.Value.Path, known("tasks", e.Name, tasks), "there is no task %s", document.Quote(e.Name))
		}
		requires = append(requires, Requirement{Task: e.Name, Count: int(r.Whole(e.Value, 1, 1, maxTarget))})
	}
	return requires
}

func (r *reader) rewardNames(v *document.Value, named names) []string {
	var rewards []string
	for _, item := range r.Items(v, maxRewards, "rewards") {
		reward := r.Text(item, 200, false)
		if reward == "" {
			continue
		}
		switch {
		case !slices.Contains(named.rewards, reward):
			r.Bad(item, known("rewards", reward, named.rewards), "there is no reward %s", document.Quote(reward))
		case slices.Contains(rewards, reward):
			r.Bad(item, "keep it once", "the reward %s stands twice", document.Quote(reward))
		default:
			rewards = append(rewards, reward)
		}
	}
	return rewards
}

// known says which of the defined names was probably meant, and otherwise where to define the new one.
func known(where, got string, defined []string) string {
	if hint := document.Suggest(got, defined); strings.HasPrefix(hint, "did you mean") {
		return hint
	}
	return "define it under " + where
}

func (r *reader) rewards(v *document.Value, currency string) []Reward {
	var rewards []Reward
	for _, e := range r.Table(v, maxRewards, "rewards", document.Name) {
		o := r.Object(e.Value, rewardKeys)
		kinds := []string{Coupon, Cash, Physical, Points}
		w := Reward{
			Name:         e.Name,
			Kind:         r.Choice(o.Need("kind", "write "+document.OrList(kinds)), kinds...),
			Title:        r.Label(o.Get("title"), maxTitle),
			UnitCost:     r.amount(o.Get("unit_cost"), currency),
			Amount:       r.amount(o.Get("amount"), currency),
			Points:       r.Whole(o.Get("points"), 0, 1, maxPoints),
			Stock:        r.Whole(o.Need("stock", "write how many there are, like `stock: 1000`"), 0, 0, maxStock),
			Review:       r.Flag(o.Get("review")),
			NeedsAddress: r.Flag(o.Get("needs_address")),
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
func (r *reader) worth(o *document.Object, w *Reward) {
	if k := o.Get("kind"); k == nil || k.Text != w.Kind {
		return // without a kind nothing more can be said
	}
	if amount := o.Get("amount"); w.Kind != Cash && amount != nil {
		r.Bad(amount, "remove it, or write kind: cash", "a %s has no amount", w.Kind)
	} else if w.Kind == Cash {
		amount = o.Need("amount", `write what each person gets, like amount: "2.00"`)
		if amount != nil && amount.Kind == document.Text && w.Amount == 0 && strings.Trim(amount.Text, "0.") == "" {
			r.Bad(amount, `write more than zero, like "2.00"`, "nobody gets anything")
		}
		if o.Get("unit_cost") == nil {
			w.UnitCost = w.Amount
		}
	}
	if points := o.Get("points"); w.Kind != Points && points != nil {
		r.Bad(points, "remove it, or write kind: points", "a %s has no points", w.Kind)
	} else if w.Kind == Points {
		o.Need("points", "write how many each person gets, like points: 500")
	}
	if w.Stock > 0 && max(w.UnitCost, w.Amount, w.Points) > money.MaxMinor/w.Stock {
		r.Bad(o.Get("stock"), "write a lower stock", "the whole stock is worth more than can be counted")
	}
}

func (r *reader) budget(v *document.Value) *Budget {
	if v == nil || v.Kind == document.Null {
		return nil
	}
	o := r.Object(v, budgetKeys)
	b := &Budget{Currency: defaultCurrency, OnExhausted: r.Choice(o.Get("on_exhausted"), Waitlist, Reject)}
	if said := r.Text(o.Get("currency"), 200, false); said != "" {
		if money.ValidCurrency(said) {
			b.Currency = said
		} else {
			r.Bad(o.Get("currency"), "write three capitals, like CNY", "%s is not a currency", document.Quote(said))
		}
	}
	b.Limit = r.amount(o.Need("limit", `write how much may be promised, like limit: "5000.00"`), b.Currency)
	return b
}

func (r *reader) limits(o *document.Object) Limits {
	return Limits{
		Participants:             r.Whole(o.Get("participants"), 0, 1, 1_000_000_000),
		InvitesPerInviterPerHour: int(r.Whole(o.Get("invites_per_inviter_per_hour"), 0, 1, maxTarget)),
	}
}

func (r *reader) funnel(v *document.Value) []string {
	if v == nil {
		return slices.Clone(defaultFunnel)
	}
	if v.Kind == document.List && len(v.Items) == 0 {
		r.Bad(v, "write its stages, like [scan, subscribe], or remove the key", "the funnel has no stages")
	}
	var stages []string
	for _, item := range r.Items(v, maxStages, "stages") {
		stage := r.Word(item, document.Word)
		if stage == "" {
			continue
		}
		if slices.Contains(stages, stage) {
			r.Bad(item, "keep it once", "the stage %s stands twice", document.Quote(stage))
		}
		stages = append(stages, stage)
	}
	return stages
}

func (r *reader) messages(o *document.Object) map[string]string {
	var messages map[string]string
	for _, key := range messageKeys {
		if said := r.Text(o.Get(key), maxMessage, true); said != "" {
			if messages == nil {
				messages = map[string]string{}
			}
			messages[key] = said
		}
	}
	return messages
}

func (r *reader) poster(o *document.Object) Poster {
	p := Poster{
		Background: r.background(o.Need("background", `write a picture's name or a colour, like "#FFF4E0"`)),
		Format:     r.Choice(o.Get("format"), "jpeg", "png"),
		Quality:    int(r.Whole(o.Get("quality"), 85, 60, 95)),
	}
	p.Size, _ = r.Pair(o.Need("size", "write [width, height], like [1080, 1920]"), minCanvas, maxCanvas, "[1080, 1920]")
	p.Layers = r.layers(o.Need("layers", "write its layers, one of them a qr"))
	for _, e := range r.Table(o.Get("variants"), maxVariants, "variants", document.Name) {
		if e.Name == MainVariant {
			r.Wrong(e.Place(), e.Value.Path, "name the others b, c and so on", "the poster itself is variant a")
			continue
		}
		vo := r.Object(e.Value, variantKeys)
		v := Variant{Name: e.Name, Background: r.background(vo.Get("background"))}
		if layers := vo.Get("layers"); layers != nil {
			v.Layers = r.layers(layers)
		}
		if vo.Given() && len(e.Value.Entries) == 0 {
			r.Bad(e.Value, "give it a background or layers of its own", "this variant changes nothing")
		}
		p.Variants = append(p.Variants, v)
	}
	return p
}

// background is a colour or a picture.
func (r *reader) background(v *document.Value) string {
	if v != nil && strings.HasPrefix(v.Text, "#") {
		return r.color(v, "")
	}
	return r.picture(v)
}

func (r *reader) layers(v *document.Value) []Layer {
	var layers []Layer
	codes := 0
	for _, item := range r.Items(v, maxLayers, "layers") {
		o := r.Object(item, layerKeys)
		if o.Len() > 1 || (o.Given() && len(item.Entries) == 0) {
			r.Bad(item, "write each as a layer of its own, with one of "+document.OrList(layerKeys), "a layer is exactly one thing")
		}
		if o.Get("qr") != nil {
			if codes++; codes == 2 {
				r.Bad(o.Get("qr"), "keep one", "a poster has one qr")
			}
		}
		layers = append(layers, r.layer(o))
	}
	if v != nil && v.Kind == document.List && len(v.Items) <= maxLayers && codes == 0 {
		r.Bad(v, "add a layer like `qr: {at: [235, 900], size: 280}`", "a poster without a qr brings nobody")
	}
	return layers
}

func (r *reader) layer(o *document.Object) Layer {
	switch {
	case o.Get("text") != nil:
		return Layer{Text: r.words(r.Object(o.Get("text"), textKeys))}
	case o.Get("qr") != nil:
		q := r.Object(o.Get("qr"), qrKeys)
		x, y := r.corner(q)
		levels := []string{"M", "L", "Q", "H"}
		if q.Get("logo") != nil {
			levels = []string{"Q", "H", "L", "M"} // what a logo covers must be recoverable
		}
		return Layer{QR: &QR{
			X: x, Y: y,
			Size:  r.side(q, maxCanvas),
			Level: r.Choice(q.Get("level"), levels...),
			Logo:  r.picture(q.Get("logo")),
			Dark:  r.color(q.Get("dark"), defaultBlack),
			Light: r.color(q.Get("light"), defaultWhite),
		}}
	case o.Get("avatar") != nil:
		a := r.Object(o.Get("avatar"), avatarKeys)
		x, y := r.corner(a)
		return Layer{Avatar: &Avatar{X: x, Y: y, Size: r.side(a, maxAvatar), Shape: r.Choice(a.Get("shape"), "circle", "rounded", "square")}}
	case o.Get("image") != nil:
		i := r.Object(o.Get("image"), imageKeys)
		x, y := r.corner(i)
		size, _ := r.Pair(i.Get("size"), 1, maxCanvas, "[200, 80]")
		return Layer{Image: &Image{Source: r.picture(i.Need("source", "write the picture's name, like badge.png")), X: x, Y: y, Width: size[0], Height: size[1]}}
	case o.Get("rect") != nil:
		b := r.Object(o.Get("rect"), rectKeys)
		x, y := r.corner(b)
		size, _ := r.Pair(b.Need("size", "write [width, height], like [200, 80]"), 1, maxCanvas, "[200, 80]")
		return Layer{Rect: &Rect{
			X: x, Y: y, Width: size[0], Height: size[1],
			Color:  r.tint(b.Need("color", `write it like "#FFFFFF"`), defaultBlack),
			Radius: int(r.Whole(b.Get("radius"), 0, 0, maxCanvas)),
		}}
	}
	return Layer{}
}

// words are a layer of text.
func (r *reader) words(o *document.Object) *Text {
	x, y := r.corner(o)
	t := &Text{
		X: x, Y: y,
		Size:       r.Number(o.Get("size"), 32, 8, 512),
		Color:      r.tint(o.Get("color"), defaultBlack),
		MaxWidth:   int(r.Whole(o.Get("max_width"), 0, 1, maxCanvas)),
		Align:      r.Choice(o.Get("align"), "left", "center", "right"),
		Weight:     r.Choice(o.Get("weight"), "regular", "bold"),
		Font:       r.file(o.Get("font"), "a font", "ttf", "otf"),
		Lines:      int(r.Whole(o.Get("lines"), 1, 1, maxTextLines)),
		LineHeight: r.Number(o.Get("line_height"), 1.4, 0.8, 3),
	}
	t.Value = r.Text(o.Need("value", `write what it says, like "{{nickname}}"`), 500, t.Lines > 1)
	if v := o.Get("outline"); v != nil {
		outline := r.Object(v, outlineKeys)
		t.OutlineColor = r.tint(outline.Get("color"), defaultWhite)
		t.OutlineWidth = r.Number(outline.Get("width"), 2, 0.5, maxOutline)
	}
	if v := o.Get("shadow"); v != nil {
		shadow := r.Object(v, shadowKeys)
		t.ShadowColor = r.tint(shadow.Get("color"), "#00000099")
		t.ShadowBlur = int(r.Whole(shadow.Get("blur"), 6, 0, maxShadow))
		t.ShadowX, t.ShadowY = 0, 2
		if at, ok := r.Pair(shadow.Get("offset"), -maxShadow, maxShadow, "[0, 2]"); ok {
			t.ShadowX, t.ShadowY = at[0], at[1]
		}
	}
	return t
}

// corner is where a layer's upper left corner stands; outside the poster is for the poster itself to refuse.
func (r *reader) corner(o *document.Object) (x, y int) {
	at, _ := r.Pair(o.Need("at", "write [x, y] of its upper left corner, like [60, 120]"), -maxCanvas, maxCanvas, "[60, 120]")
	return at[0], at[1]
}

// side is a square's side.
func (r *reader) side(o *document.Object, most int64) int {
	return int(r.Whole(o.Need("size", "write its side in pixels, like 280"), 0, 16, most))
}
