package twin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fan is one person with WeChat in their hand. Its verbs do what the person does, push what the platform would push, and
// return when the push was answered or given up; what came of it is in the chat.
type Fan struct {
	OpenID  string
	UnionID string // empty without Config.OpenPlatform
	Name    string

	t  *Twin
	no int

	mu       sync.Mutex
	follows  bool
	since    time.Time // the last follow
	cameBy   string
	scene    string // of the last follow, as the push told it
	number   int64  // and as a number, where it is one
	remark   string
	looking  *code // the code whose profile page is open
	allowed  allowances
	acted    time.Time // the last thing sent to the account
	typing   time.Time // until when the account is shown typing
	muted    bool
	blocked  bool
	acts     int64 // numbers what the fan sends
	chat     []Message
	shown    int64
	news     chan struct{} // closed and made anew with every message
	consents map[string]int
	silent   time.Time // until when signing in asks nothing
	refuses  bool
	snapshot bool
	faceless bool
	signIns  int64
	browser  *http.Client
	handed   []string // to whom conversations were handed over; "" is anybody
}

// roster holds the fans.
type roster struct {
	mu     sync.RWMutex
	byID   map[string]*Fan
	order  []*Fan
	people map[string]int64 // fans of the same name
}

func (r *roster) find(openid string) *Fan {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[openid]
}

func (r *roster) all() []*Fan {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.order)
}

func (r *roster) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.order)
}

// AddFan makes a person who does not follow the account yet. The n-th person of a name is the same person on every twin
// that shares an OpenPlatform.
func (t *Twin) AddFan(name string) *Fan {
	r := &t.fans
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.byID == nil {
		r.byID, r.people = map[string]*Fan{}, map[string]int64{}
	}
	r.people[name]++
	which := nth(r.people[name])
	f := &Fan{
		OpenID: "o" + t.ids.letters(27, "openid", name, which), Name: name,
		t: t, no: len(r.order) + 1, news: make(chan struct{}), consents: map[string]int{},
	}
	if t.cfg.OpenPlatform != "" {
		f.UnionID = "u" + newIDs(0, t.cfg.OpenPlatform).letters(27, "unionid", name, which)
	}
	r.byID[f.OpenID] = f
	r.order = append(r.order, f)
	return f
}

// Fan finds a fan by openid, nil when there is none.
func (t *Twin) Fan(openid string) *Fan { return t.fans.find(openid) }

// Fans lists all fans in the order in which they were added.
func (t *Twin) Fans() []*Fan { return t.fans.all() }

// Following says whether the fan follows the account.
func (f *Fan) Following() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.follows
}

// Allowance is how many customer-service messages the account may still send this fan, and until when.
func (f *Fan) Allowance() (left int, until time.Time) {
	now := f.t.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed.state(now)
}

// Mute lets the fan switch the account's messages off or on: 48002.
func (f *Fan) Mute(muted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.muted = muted
}

// HandedOver lists the customer-service accounts that the fan was handed over to, "" being whoever is free.
func (f *Fan) HandedOver() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.handed)
}

const maxHandovers = 100

func (f *Fan) handOver(account string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.handed) < maxHandovers {
		f.handed = append(f.handed, account)
	}
}

// Block puts the fan on the account's blacklist or takes them off it: 43019.
func (f *Fan) Block(blocked bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blocked = blocked
}

// The pages that a scanned code opens.
const (
	ProfilePage = "profile" // of the account, with a button to follow
	ChatPage    = "chat"    // with the account
	ExpiredPage = "expired" // this code is out of date
	WebPage     = "web"     // an address: give it to Open
	TextPage    = "text"    // anything else is shown as text
)

// Seen is what a fan sees after scanning a code.
type Seen struct {
	Page  string `json:"page"`
	Scene string `json:"scene,omitempty"` // of the account's own codes
	URL   string `json:"url,omitempty"`
	Text  string `json:"text,omitempty"`
}

var (
	errNotFollowing = errors.New("twin: the fan does not follow the account")
	errFollowing    = errors.New("twin: the fan follows the account already")
)

// Scan opens what a picture's code holds. One of the account's codes opens the chat for a follower, with a SCAN push, and
// the profile page for everybody else: Follow then subscribes through the code. A code that has run out shows a page and
// pushes nothing. See https://developers.weixin.qq.com/doc/service/Account_Management/Generating_a_Parametric_QR_Code.html.
func (f *Fan) Scan(ctx context.Context, content string) (Seen, error) {
	found := f.t.codes.ofURL(content)
	now := f.t.clock.Now()
	switch {
	case found == nil && ownCode(content):
		return Seen{Page: ExpiredPage, URL: content}, nil
	case found == nil && (strings.HasPrefix(content, "http://") || strings.HasPrefix(content, "https://")):
		return Seen{Page: WebPage, URL: content}, nil
	case found == nil:
		return Seen{Page: TextPage, Text: content}, nil
	case found.expired(now):
		return Seen{Page: ExpiredPage, URL: content, Scene: found.scene}, nil
	}
	f.mu.Lock()
	if !f.follows {
		f.looking = found
		f.mu.Unlock()
		return Seen{Page: ProfilePage, Scene: found.scene, URL: content}, nil
	}
	f.allowed.open(scanned, now, f.t.cfg.SeparateWindows)
	p := f.event("SCAN", now, func(d *document) {
		d.text("EventKey", found.scene)
		d.text("Ticket", found.ticket)
	})
	f.mu.Unlock()
	f.t.push(ctx, p)
	return Seen{Page: ChatPage, Scene: found.scene, URL: content}, ctx.Err()
}

func ownCode(content string) bool {
	return strings.HasPrefix(content, "http://weixin.qq.com/q/") || strings.HasPrefix(content, "https://weixin.qq.com/q/")
}

// Follow follows the account: through the code whose profile page is open, else through a search.
func (f *Fan) Follow(ctx context.Context) error {
	now := f.t.clock.Now()
	f.mu.Lock()
	if f.follows {
		f.mu.Unlock()
		return errFollowing
	}
	through := f.looking
	f.follows, f.since, f.looking, f.scene, f.number, f.cameBy = true, now, nil, "", 0, "ADD_SCENE_SEARCH"
	if through != nil {
		f.scene, f.number, f.cameBy = through.scene, through.number, "ADD_SCENE_QR_CODE"
	}
	f.allowed = nil
	f.allowed.open(followed, now, f.t.cfg.SeparateWindows)
	p := f.event("subscribe", now, func(d *document) {
		if through == nil {
			d.text("EventKey", "")
			return
		}
		d.text("EventKey", "qrscene_"+through.scene)
		d.text("Ticket", through.ticket)
	})
	f.mu.Unlock()
	f.t.push(ctx, p)
	return ctx.Err()
}

// Leave closes the profile page without following.
func (f *Fan) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looking = nil
}

// Unfollow ends following; nothing can be sent to the fan from then on.
func (f *Fan) Unfollow(ctx context.Context) error {
	now := f.t.clock.Now()
	f.mu.Lock()
	if !f.follows {
		f.mu.Unlock()
		return errNotFollowing
	}
	f.follows, f.allowed, f.typing = false, nil, time.Time{}
	p := f.event("unsubscribe", now, func(d *document) { d.text("EventKey", "") })
	p.silent = true
	f.mu.Unlock()
	f.t.push(ctx, p)
	return ctx.Err()
}

// Say writes a text to the account.
func (f *Fan) Say(ctx context.Context, text string) error {
	return f.send(ctx, wrote, Message{Type: "text", Text: text}, func(d *document) { d.text("Content", text) })
}

// SendImage sends a picture to the account.
func (f *Fan) SendImage(ctx context.Context, picture []byte) error {
	kept := f.t.keepMedia("image", "image.jpg", picture, f.t.clock.Now())
	m := Message{Type: "image", MediaID: kept.id, picture: kept.picture}
	return f.send(ctx, wrote, m, func(d *document) {
		d.text("PicUrl", f.t.BaseURL()+"/_twin/pictures/"+kept.picture)
		d.text("MediaId", kept.id)
	})
}

// Element is one element of a push.
type Element struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

func fillWith(elements []Element) func(*document) {
	return func(d *document) {
		for _, e := range elements {
			d.text(e.Name, e.Text)
		}
	}
}

// Send sends a message of any kind that has no verb of its own, such as voice, location or link, with its elements.
func (f *Fan) Send(ctx context.Context, kind string, elements ...Element) error {
	if !elementsFit(elements) {
		return errElement
	}
	return f.send(ctx, wrote, Message{Type: kind, Title: kind}, fillWith(elements))
}

// Raise pushes an event of any name, known to the platform or not, with its elements.
func (f *Fan) Raise(ctx context.Context, event string, elements ...Element) error {
	if !elementsFit(elements) {
		return errElement
	}
	now := f.t.clock.Now()
	f.mu.Lock()
	p := f.told(event, now, fillWith(elements))
	f.mu.Unlock()
	p.silent = true
	f.t.push(ctx, p)
	return ctx.Err()
}

var errElement = errors.New("twin: an element has a name of letters and digits")

func elementsFit(elements []Element) bool {
	return !slices.ContainsFunc(elements, func(e Element) bool { return !named(e.Name) })
}

// send shows a message of the fan in the chat and pushes it: https://developers.weixin.qq.com/doc/service/guide/product/message/Receiving_standard_messages.html
func (f *Fan) send(ctx context.Context, opens trigger, m Message, fill func(*document)) error {
	now := f.t.clock.Now()
	f.mu.Lock()
	if !f.follows {
		f.mu.Unlock()
		return errNotFollowing
	}
	f.allowed.open(opens, now, f.t.cfg.SeparateWindows)
	f.acted = now
	m.By = ByFan
	f.show(m, now)
	p := f.pushed(m.Type, now, func(d *document) {
		fill(d)
		d.number("MsgId", f.t.ids.number("message", f.OpenID, nth(f.acts)))
	})
	f.mu.Unlock()
	f.t.push(ctx, p)
	return ctx.Err()
}

// event makes a push of something that the fan did. The fan's lock is held.
func (f *Fan) event(name string, now time.Time, fill func(*document)) *push {
	f.acted = now
	return f.told(name, now, fill)
}

// told makes a push of something that happened to the fan. The fan's lock is held.
func (f *Fan) told(name string, now time.Time, fill func(*document)) *push {
	return f.pushed("event", now, func(d *document) {
		d.text("Event", name)
		fill(d)
	})
}

// pushed makes a push. The fan's lock is held.
func (f *Fan) pushed(kind string, now time.Time, fill func(*document)) *push {
	f.acts++
	p := &push{fan: f, at: now, no: f.acts}
	p.inner.text("FromUserName", f.OpenID)
	p.inner.number("CreateTime", now.Unix())
	p.inner.text("MsgType", kind)
	fill(&p.inner)
	return p
}
