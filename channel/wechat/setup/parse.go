package setup

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"kfactor/internal/document"
)

// Limits of a file. What the platform bounds is in bytes, as the platform counts.
const (
	maxChannels   = 32
	maxWords      = 20
	maxWord       = 30      // characters
	maxReplies    = 200     // of a channel
	maxTriggers   = 20      // of one kind, of one reply
	maxPattern    = 200     // characters
	maxSize       = 10_000  // of a pattern, as sizeOf tells; all of a file are read within a fifth of a second
	maxMatching   = 300_000 // of all patterns of a file
	maxDialogues  = 32
	maxSteps      = 16
	maxAttempts   = 10
	maxText       = 2048 // bytes of a text message
	maxTop        = 3    // buttons
	maxSub        = 5
	maxTopName    = 16 // bytes
	maxSubName    = 60
	maxKey        = 128
	maxURL        = 1024
	maxFields     = 16
	minTimeout    = time.Minute
	maxTimeout    = 48 * time.Hour
	normalTimeout = 10 * time.Minute
)

// The keys of each mapping, in the order they are best written. The JSON Schema lists the same ones.
var (
	fileKeys     = []string{"channels"}
	channelKeys  = []string{"language", "campaign", "menu", "welcome", "moved", "words", "replies", "otherwise", "dialogues", "notices"}
	wordKeys     = []string{string(Poster), string(Progress), string(Ranking), string(Why)}
	replyKeys    = []string{"exact", "prefix", "pattern", "click", "text", "service"}
	otherKeys    = []string{"text", "service"}
	serviceKeys  = []string{"account"}
	dialogueKeys = []string{"start", "click", "steps", "timeout", "cancel", "cancelled", "failed", "done"}
	stepKeys     = []string{"ask", "save", "check", "pattern", "min", "max", "wrong", "attempts"}
	doneKeys     = []string{"event", "text"}
	noticeKinds  = []string{"poster", "reward", "progress", "chatter"}
	noticeKeys   = []string{"template", "page", "fields"}
	jumpKeys     = []string{"app_id", "path", "url"}

	// keyed buttons send their key, the others open or send what they name.
	keyedButtons = []string{"click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select"}
	buttonKeys   = slices.Concat([]string{"name", "click", "view", "miniprogram", "buttons"}, keyedButtons[1:], []string{"media_id", "article_id", "article_view_limited"})
)

var (
	channelForm = document.NewForm(`^[a-z0-9][a-z0-9-]{0,31}$`, "1 to 32 of a-z, 0-9 and -, not beginning with -")
	accountForm = document.NewForm(`^[0-9A-Za-z_.-]{1,32}@[0-9A-Za-z_-]{1,64}$`, "the service account's name as the platform shows it, NAME@ACCOUNT")
	appForm     = document.NewForm(`^wx[0-9a-z]{16}$`, "wx and 16 of 0-9 and a-z, as on the mini-program's settings page")
	idForm      = document.NewForm(`^[0-9A-Za-z_-]{1,128}$`, "the id as the platform gave it")
)

var webAddress = regexp.MustCompile(`^https?://[^\s"<>/]+(/[^\s"<>]*|\?[^\s"<>]*|#[^\s"<>]*)?$`)

// The platform alone tells of these; nobody can say them of themselves.
var platformEvents = []string{"scan", "subscribe", "unsubscribe"}

// noticeNames are the placeholders of notices: what a message tells.
var noticeNames = []string{"name", "text", "time", "nickname", "invitee", "task", "count", "remaining", "tier", "rewards", "reviewing", "waiting", "coupon", "code"}

// File is a whole channels.yaml.
type File struct {
	Channels   []*Channel // in the order of the file
	Unanswered []Unanswered
	sources    map[string]*document.Value
}

// Unanswered is a button whose key nothing in the file answers. A campaign's join.menu_key may.
type Unanswered struct {
	Channel, Key string
	document.Problem
}

// Channel is what the file says of a channel; nil for nothing.
func (f *File) Channel(name string) *Channel {
	for _, c := range f.Channels {
		if c.Name == name {
			return c
		}
	}
	return nil
}

// Parse reads a file from YAML or JSON and says everything that is wrong with it, in the order of the file. filename
// is for the problems only; publicURL is what {{public_url}} stands for. Where there are problems the file is what
// could be read, nil when it is not well-formed.
func Parse(source []byte, filename, publicURL string) (*File, []document.Problem) {
	r := &reader{Reader: document.NewReader(filename), publicURL: publicURL}
	begin := "start with `channels:` and a channel's name below it"
	root := r.Open(source, "a file of channels", begin)
	if root == nil {
		return nil, r.Problems
	}
	f := &File{sources: map[string]*document.Value{}}
	for _, e := range r.Table(r.Object(root, fileKeys).Need("channels", begin), maxChannels, "channels", channelForm) {
		if e.Name == "web" {
			r.Wrong(e.Place(), e.Value.Path, "leave it out", "the channel web says nothing by itself")
			continue
		}
		c := r.channel(e)
		f.Channels = append(f.Channels, c)
		for _, b := range r.clicks {
			if _, ok := c.clicks[b.key]; !ok {
				f.Unanswered = append(f.Unanswered, Unanswered{c.Name, b.key, document.Problem{
					File: filename, Line: b.at.Line, Column: b.at.Column, Field: b.at.Path,
					Message: fmt.Sprintf("nothing answers a tap that sends %s", document.Quote(b.key)),
					Mend:    "write a reply or a dialogue with this click, or give a campaign this join.menu_key",
				}})
			}
		}
		f.sources[e.Name] = e.Value
	}
	return f, r.Sorted()
}

// Of reads one channel's stored source; nil when the source says nothing of it.
func Of(source []byte, name, publicURL string) (*Channel, error) {
	f, problems := Parse(source, name, publicURL)
	if len(problems) > 0 {
		return nil, document.Fault("the channel's set-up", problems)
	}
	return f.Channel(name), nil
}

type reader struct {
	*document.Reader
	publicURL string

	// Of the channel that is being read.
	usual   *usual
	statics map[string]string // what stands for the same in every text
	heard   map[string]string // normal form of what stands for itself → where it was said first
	pressed map[string]string // key → where
	clicks  []click

	matching int // of the file: what its patterns cost so far
}

// click is the key that a button sends.
type click struct {
	key string
	at  *document.Value
}

func (r *reader) channel(e *document.Entry) *Channel {
	o := r.Object(e.Value, channelKeys)
	c := &Channel{Name: e.Name, exact: map[string]Action{}, clicks: map[string]Action{}}
	c.Language = Language(r.Choice(o.Get("language"), string(Chinese), string(English)))
	if r.usual = usuals[c.Language]; r.usual == nil { // told already
		r.usual = usuals[Chinese]
	}
	r.statics = map[string]string{"channel": e.Name, "public_url": r.publicURL}
	r.heard, r.pressed, r.clicks = map[string]string{}, map[string]string{}, nil
	if c.Campaign = r.Word(o.Get("campaign"), document.Slug); c.Campaign != "" {
		r.statics["campaign"] = c.Campaign
	}
	if menu := o.Get("menu"); menu != nil {
		c.HasMenu, c.Menu = true, r.menu(menu, maxTop, maxTopName)
	}
	c.Welcome = r.says(o.Get("welcome"), nil)
	c.Moved = r.says(o.Get("moved"), nil)
	r.words(c, r.Object(o.Get("words"), wordKeys))
	for i, item := range r.Items(o.Get("replies"), maxReplies, "replies") {
		c.Replies = append(c.Replies, Reply{})
		r.reply(c, i, item)
	}
	// The replies stand where they stay from here on.
	for i, told := range c.Replies {
		for _, said := range told.exact {
			c.exact[said] = Action{Reply: &c.Replies[i]}
		}
		for _, key := range told.clicks {
			c.clicks[key] = Action{Reply: &c.Replies[i]}
		}
	}
	if v := o.Get("otherwise"); v != nil {
		c.Otherwise = &Reply{}
		r.answer(c.Otherwise, r.Object(v, otherKeys), v)
	}
	for _, e := range r.Table(o.Get("dialogues"), maxDialogues, "dialogues", document.Name) {
		r.dialogue(c, e)
	}
	r.defaults(c)
	c.Notices = r.notices(r.Object(o.Get("notices"), noticeKinds))
	return c
}

// menu is a row of buttons, at the top or below one there.
func (r *reader) menu(v *document.Value, most, maxName int) []Button {
	if v.Kind == document.List && len(v.Items) > most {
		r.Bad(v, fmt.Sprintf("keep %d", most), "there are %d buttons here; the platform shows %d", len(v.Items), most)
		return nil
	}
	var buttons []Button
	for _, item := range r.Items(v, most, "buttons") {
		buttons = append(buttons, r.button(item, maxName))
	}
	return buttons
}

func (r *reader) button(item *document.Value, maxName int) Button {
	keys := buttonKeys
	if maxName == maxSubName {
		keys = slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "buttons" })
	}
	o := r.Object(item, keys)
	b := Button{Name: r.Label(o.Need("name", "write what the button says, like `name: 我的海报`"), maxName)}
	r.bytes(o.Get("name"), b.Name, maxName, fmt.Sprintf("write up to %d Chinese characters, or %d letters", maxName/3, maxName))
	var does []string
	for _, key := range keys[1:] {
		if o.Get(key) != nil {
			does = append(does, key)
		}
	}
	if len(does) != 1 {
		if o.Given() && (len(does) > 1 || o.Len() == len(item.Entries)) { // an unknown key is told already
			r.Bad(item, "give it one of "+document.OrList(keys[1:]), "a button does exactly one thing, this one %s", count(len(does)))
		}
		return b
	}
	v := o.Get(does[0])
	switch b.Type = does[0]; b.Type {
	case "buttons":
		b.Type = ""
		if b.Buttons = r.menu(v, maxSub, maxSubName); v.Kind == document.List && len(v.Items) == 0 {
			r.Bad(v, "write up to 5, or let it do something itself", "this button opens nothing")
		}
	case "view":
		b.URL = r.address(v)
	case "miniprogram":
		jump := r.Object(v, jumpKeys)
		b.AppID = r.Word(jump.Need("app_id", "write the mini-program's id, like wx0123456789abcdef"), appForm)
		b.Path = r.bounded(jump.Need("path", "write the page, like pages/index/index"), maxURL)
		b.URL = r.address(jump.Need("url", "write the page that old versions of WeChat open instead"))
	case "media_id":
		b.MediaID = r.Word(v, idForm)
	case "article_id", "article_view_limited":
		b.ArticleID = r.Word(v, idForm)
	default:
		b.Key = r.bounded(v, maxKey)
		if b.Type == "click" && b.Key != "" {
			r.clicks = append(r.clicks, click{b.Key, v})
		}
	}
	return b
}

func count(n int) string {
	if n == 0 {
		return "nothing"
	}
	return fmt.Sprintf("%d", n)
}

// words are the built-in words as the channel calls them.
func (r *reader) words(c *Channel, o *document.Object) {
	c.Words = map[Word][]string{}
	for _, key := range wordKeys {
		word := Word(key)
		r.pressed[key], c.clicks[key] = "the built-in word "+key, Action{Word: word}
		v := o.Get(key)
		if v == nil {
			continue
		}
		c.Words[word] = r.phrases(v, maxWords)
		for _, said := range c.Words[word] {
			c.exact[Normal(said)] = Action{Word: word}
		}
	}
}

// defaults gives the built-in words that the file does not name their usual ones, where nothing else is called so.
func (r *reader) defaults(c *Channel) {
	for _, key := range wordKeys {
		if _, named := c.Words[Word(key)]; named {
			continue
		}
		for _, said := range r.usual.words[Word(key)] {
			if _, taken := c.exact[Normal(said)]; !taken {
				c.Words[Word(key)] = append(c.Words[Word(key)], said)
				c.exact[Normal(said)] = Action{Word: Word(key)}
			}
		}
	}
}

// phrases are texts that stand for themselves: each of them belongs to one thing alone.
func (r *reader) phrases(v *document.Value, most int) []string {
	var phrases []string
	for _, item := range r.some(v, most) {
		said := r.Label(item, maxWord)
		if said == "" {
			continue
		}
		normal := Normal(said)
		if first, taken := r.heard[normal]; taken {
			r.Bad(item, "keep one of them", "%s is asked for at %s already", document.Quote(said), first)
			continue
		}
		r.heard[normal] = item.Path
		phrases = append(phrases, said)
	}
	return phrases
}

// keys are what buttons send; each belongs to one thing alone.
func (r *reader) keys(v *document.Value, most int) []string {
	var keys []string
	for _, item := range r.some(v, most) {
		key := r.bounded(item, maxKey)
		if key == "" {
			continue
		}
		if first, taken := r.pressed[key]; taken {
			r.Bad(item, "give each its own key", "the key %s belongs to %s", document.Quote(key), first)
			continue
		}
		r.pressed[key] = item.Path
		keys = append(keys, key)
	}
	return keys
}

// some are the items of a list, or the one thing that is written without one.
func (r *reader) some(v *document.Value, most int) []*document.Value {
	if v != nil && v.Kind != document.List {
		return []*document.Value{v}
	}
	return r.Items(v, most, "texts")
}

func (r *reader) reply(c *Channel, i int, item *document.Value) {
	o := r.Object(item, replyKeys)
	told := &c.Replies[i]
	for _, said := range r.phrases(o.Get("exact"), maxTriggers) {
		told.exact = append(told.exact, Normal(said))
	}
	told.clicks = r.keys(o.Get("click"), maxTriggers)
	for _, v := range r.some(o.Get("prefix"), maxTriggers) {
		if prefix := r.Label(v, maxWord); prefix != "" {
			told.prefixes = append(told.prefixes, Normal(prefix))
		}
	}
	told.pattern = r.pattern(o.Get("pattern"))
	if o.Given() && o.Get("exact") == nil && o.Get("prefix") == nil && o.Get("pattern") == nil && o.Get("click") == nil {
		r.Bad(item, "write what it answers: exact, prefix, pattern or click", "nothing asks for this reply")
	}
	r.answer(told, o, item)
}

// answer is what a reply does.
func (r *reader) answer(told *Reply, o *document.Object, v *document.Value) {
	said, service := o.Get("text"), o.Get("service")
	if o.Given() && (said == nil) == (service == nil) {
		r.Bad(v, "write one of text and service", "a reply either says a text or hands over to customer service")
	}
	told.Text = r.says(said, nil)
	if service == nil {
		return
	}
	if service.Kind == document.Mapping {
		account := r.Object(service, serviceKeys)
		told.Service, told.Account = true, r.Word(account.Need("account", "write NAME@ACCOUNT, or service: true for whoever is free"), accountForm)
		return
	}
	if told.Service = r.Flag(service); !told.Service && service.Kind == document.Boolean {
		r.Bad(service, "write true, or remove the key", "this hands nobody over")
	}
}

// pattern is a regular expression of the kind whose time is bounded by the length of the text (RE2).
func (r *reader) pattern(v *document.Value) *regexp.Regexp {
	said := r.Text(v, maxPattern, false)
	if said == "" {
		return nil
	}
	if r.matching > maxMatching {
		return nil // told already
	}
	r.matching += costOf(said)
	parsed, err := syntax.Parse(said, syntax.Perl)
	if err == nil {
		n := sizeOf(parsed)
		if r.matching += min(n, maxSize); n > maxSize {
			r.Bad(v, "repeat less in it, or write several", "this pattern is too large: written out it has %d parts, more than %d", n, maxSize)
			return nil
		}
	}
	if r.matching > maxMatching {
		r.Bad(v, "leave some out, or write prefixes", "the patterns of this file up to here are too large together")
		return nil
	}
	var p *regexp.Regexp
	if err == nil {
		p, err = regexp.Compile(said)
	}
	if err != nil {
		reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
		mend := "write it as on github.com/google/re2/wiki/Syntax"
		if strings.Contains(reason, "invalid or unsupported Perl syntax") {
			mend = "leave out look-around and back-references, which have no bounded time"
		}
		r.Bad(v, mend, "this is no regular expression: %s", reason)
		return nil
	}
	if p.MatchString("") {
		r.Bad(v, "write ^ and $ around what the text must be", "this matches any text, even an empty one")
		return nil
	}
	return p
}

// costOf is what a pattern costs before its size is known: classes such as \pL are long lists, and made each time.
func costOf(pattern string) int {
	const class = 500
	return len(pattern) + class*(strings.Count(pattern, `\p`)+strings.Count(pattern, `\P`))
}

// sizeOf is how much a pattern is when its repetitions are written out, which is what making it and matching it take.
func sizeOf(p *syntax.Regexp) int {
	n := 1 + len(p.Rune)
	for _, sub := range p.Sub {
		n += sizeOf(sub)
	}
	if p.Op == syntax.OpRepeat {
		n *= max(p.Min+1, p.Max)
	}
	return n
}

func (r *reader) dialogue(c *Channel, e *document.Entry) {
	o := r.Object(e.Value, dialogueKeys)
	d := Dialogue{Name: e.Name, Timeout: r.Span(o.Get("timeout"), normalTimeout, minTimeout, maxTimeout)}
	starts := r.phrases(o.Get("start"), maxTriggers)
	for _, said := range starts {
		c.exact[Normal(said)] = Action{Dialogue: d.Name}
	}
	keys := r.keys(o.Get("click"), maxTriggers)
	for _, key := range keys {
		c.clicks[key] = Action{Dialogue: d.Name}
	}
	if o.Given() && o.Get("start") == nil && o.Get("click") == nil {
		r.Bad(e.Value, "write start: [绑定], or click: with a button's key", "nothing begins this dialogue")
	}
	cancel := o.Get("cancel")
	for _, item := range r.some(cancel, maxTriggers) {
		if said := r.Label(item, maxWord); said != "" {
			d.Cancel = append(d.Cancel, said)
		}
	}
	if cancel == nil {
		d.Cancel = r.usual.cancel
	}
	saved := r.steps(&d, o)
	again := ""
	if len(starts) > 0 {
		again = fmt.Sprintf(r.usual.again, starts[0])
	}
	d.Cancelled = r.saysOr(o.Get("cancelled"), nil, r.usual.cancelled+again)
	d.Failed = r.saysOr(o.Get("failed"), nil, r.usual.failed+again)

	done := r.Object(o.Need("done", "write what it leads to, like `done: {event: bind, text: 绑定成功}`"), doneKeys)
	event := done.Need("event", "write the event that it leads to, like `event: bind`")
	if d.Event = r.Word(event, document.Word); slices.Contains(platformEvents, d.Event) {
		r.Bad(event, "write another event, like bind or checkin", "only the platform tells of %s", d.Event)
	}
	d.Text = r.saysOr(done.Get("text"), saved, r.usual.done)
	c.Dialogues = append(c.Dialogues, d)
}

// steps reads a dialogue's steps and gives the names that they save.
func (r *reader) steps(d *Dialogue, o *document.Object) (saved []string) {
	v := o.Need("steps", "write what is asked, like `- {ask: 请输入手机号, save: phone, check: phone}`")
	if v != nil && v.Kind == document.List && len(v.Items) == 0 {
		r.Bad(v, "write at least one", "this dialogue asks nothing")
	}
	for _, item := range r.Items(v, maxSteps, "steps") {
		so := r.Object(item, stepKeys)
		s := Step{
			Ask:      r.says(so.Need("ask", "write the question"), saved),
			Save:     r.Word(so.Need("save", "write the answer's name, like `save: phone`"), document.Word),
			Check:    Check(r.Choice(so.Get("check"), string(CheckText), string(CheckPhone), string(CheckNumber))),
			Attempts: int(r.Whole(so.Get("attempts"), 3, 1, maxAttempts)),
			pattern:  r.pattern(so.Get("pattern")),
			min:      r.bound(so.Get("min")),
			max:      r.bound(so.Get("max")),
		}
		s.Wrong = r.saysOr(so.Get("wrong"), saved, r.usual.wrong[s.Check])
		r.fits(s, so)
		_, static := r.statics[s.Save]
		if slices.Contains(saved, s.Save) || static {
			r.Bad(so.Get("save"), "give each answer its own name", "%s is the name of something else already", s.Save)
		}
		if s.Save != "" {
			saved = append(saved, s.Save)
		}
		d.Steps = append(d.Steps, s)
	}
	return saved
}

// fits checks that a step's bounds belong to its check.
func (r *reader) fits(s Step, o *document.Object) {
	if v := o.Get("pattern"); v != nil && s.Check != CheckText {
		r.Bad(v, "remove it, or write check: text", "a %s has no pattern", s.Check)
	}
	for _, key := range []string{"min", "max"} {
		if v := o.Get(key); v != nil && s.Check != CheckNumber {
			r.Bad(v, "remove it, or write check: number", "only a number has a %s", key)
		}
	}
	if s.min != nil && s.max != nil && *s.min > *s.max {
		r.Bad(o.Get("max"), "write a max that is not below the min", "no number is in these bounds")
	}
}

func (r *reader) bound(v *document.Value) *float64 {
	if v == nil || v.Kind == document.Null {
		return nil
	}
	n := r.Number(v, 0, -1e15, 1e15)
	return &n
}

func (r *reader) notices(o *document.Object) map[string]Notice {
	var notices map[string]Notice
	for _, kind := range noticeKinds {
		v := o.Get(kind)
		if v == nil {
			continue
		}
		no := r.Object(v, noticeKeys)
		n := Notice{
			Template: r.Word(no.Need("template", "write the template's id from the platform's page"), idForm),
			Fields:   map[string]string{},
		}
		if page := no.Get("page"); page != nil {
			n.Page = r.address(page)
		}
		fields := no.Need("fields", "write what stands in the template's fields, like `thing1: \"{{text}}\"`")
		for _, e := range r.Table(fields, maxFields, "fields", document.Anything) {
			if fieldLimit(e.Name) == 0 {
				r.Wrong(e.Place(), e.Value.Path, "write it as the template does, like thing1, time2 or character_string3", "%s is not a field of any template", document.Quote(e.Name))
				continue
			}
			n.Fields[e.Name] = r.says(e.Value, noticeNames)
		}
		if notices == nil {
			notices = map[string]Notice{}
		}
		notices[kind] = n
	}
	return notices
}

// says is a text that people are sent. What stands for the same always is put in; names are the placeholders that
// are filled in later.
func (r *reader) says(v *document.Value, names []string) string {
	said := r.static(v, r.Text(v, maxText, true), names)
	r.bytes(v, said, maxText, fmt.Sprintf("shorten it to about %d Chinese characters", maxText/3))
	return said
}

func (r *reader) saysOr(v *document.Value, names []string, otherwise string) string {
	if v == nil {
		return otherwise
	}
	return r.says(v, names)
}

// address is a web page.
func (r *reader) address(v *document.Value) string {
	said := r.static(v, r.Text(v, maxURL, false), nil)
	if said == "" {
		return ""
	}
	if webAddress.MatchString(said) {
		r.bytes(v, said, maxURL, "shorten it")
		return said
	}
	r.Bad(v, "write one like https://fans.example.com/me, or begin with {{public_url}}", "%s is not a web address", document.Quote(said))
	return ""
}

// bounded is a plain text of so many bytes.
func (r *reader) bounded(v *document.Value, most int) string {
	said := r.static(v, r.Label(v, most), nil)
	r.bytes(v, said, most, "shorten it")
	return said
}

func (r *reader) bytes(v *document.Value, said string, most int, mend string) {
	if v != nil && len(said) > most {
		r.Bad(v, mend, "this has %d bytes (a Chinese character has 3), more than the %d that the platform takes", len(said), most)
	}
}

// static fills in what stands for the same in every text, and checks that every other name is one of names.
func (r *reader) static(v *document.Value, said string, names []string) string {
	if said == "" {
		return ""
	}
	for _, found := range placeholder.FindAllStringSubmatch(said, -1) {
		name := found[1]
		if _, static := r.statics[name]; static || slices.Contains(names, name) {
			continue
		}
		if name == "campaign" {
			r.Bad(v, "write `campaign: spring-2026` in this channel", "{{campaign}} stands for nothing here")
			continue
		}
		known := append([]string{"public_url", "channel", "campaign"}, names...)
		r.Bad(v, strings.Replace(document.Suggest(name, known), "keys here", "they", 1), "%s is no placeholder here", document.Quote(found[0]))
	}
	if !utf8.ValidString(said) {
		return ""
	}
	return Fill(said, r.statics)
}
