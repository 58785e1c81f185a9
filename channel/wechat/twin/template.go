package twin

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Template is a message template of the account, of either kind: its content holds {{key.DATA}} where values go, a line
// each, as in "活动：{{thing1.DATA}}".
type Template struct {
	ID      string `json:"template_id"`
	Title   string `json:"title"`
	Content string `json:"content"`
}

var slot = regexp.MustCompile(`([^\n{}]*)\{\{([A-Za-z_]+[0-9]*)\.DATA\}\}`)

// fields gives the template's keys with what stands before each.
func (t Template) fields() []Item {
	var out []Item
	for _, m := range slot.FindAllStringSubmatch(t.Content, -1) {
		// The old opening and closing words no longer show.
		if m[2] != "first" && m[2] != "remark" {
			out = append(out, Item{ID: m[2], Name: strings.TrimRight(strings.TrimSpace(m[1]), ":： ")})
		}
	}
	return out
}

// templateJobs remembers what the platform must not send twice, and how the next jobs end.
type templateJobs struct {
	mu     sync.Mutex
	sent   map[string]time.Time // by client_msg_id
	failed []string
}

const (
	reentryGuard = 10 * time.Minute
	maxGuarded   = 100_000
)

// FailTemplates lets the next template messages end with the statuses, such as "failed: system failed".
func (t *Twin) FailTemplates(statuses ...string) {
	t.jobs.mu.Lock()
	defer t.jobs.mu.Unlock()
	t.jobs.failed = append(t.jobs.failed, statuses...)
}

func (j *templateJobs) status() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.failed) == 0 {
		return "success"
	}
	status := j.failed[0]
	j.failed = j.failed[1:]
	return status
}

// guard refuses an id that was used a short while ago.
func (j *templateJobs) guard(id string, now time.Time) error {
	if id == "" {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if at, has := j.sent[id]; has && now.Sub(at) < reentryGuard {
		return refuse(45065)
	}
	if j.sent == nil || len(j.sent) >= maxGuarded {
		j.sent = map[string]time.Time{}
	}
	j.sent[id] = now
	return nil
}

type notice struct {
	To          string `json:"touser"`
	Template    string `json:"template_id"`
	URL         string `json:"url"`
	Page        string `json:"page"`
	ClientID    string `json:"client_msg_id"`
	MiniProgram *struct {
		AppID    string `json:"appid"`
		PagePath string `json:"pagepath"`
	} `json:"miniprogram"`
	Data map[string]struct {
		Value text `json:"value"`
	} `json:"data"`
}

// composeNotice checks a notice and makes of it what the fan will see.
func (c *call) composeNotice(asked *notice) (*Fan, Message, error) {
	m := Message{By: ByAccount, Type: "notice", URL: asked.URL}
	if err := c.read(asked); err != nil {
		return nil, m, err
	}
	f, err := c.fan(asked.To)
	if err != nil {
		return nil, m, err
	}
	at := slices.IndexFunc(c.cfg.Templates, func(t Template) bool { return t.ID == asked.Template })
	if at < 0 {
		return nil, m, refuse(40037)
	}
	template := c.cfg.Templates[at]
	m.Title, m.URL = template.Title, asked.URL+asked.Page
	for _, field := range template.fields() {
		field.Text = string(asked.Data[field.ID].Value)
		if !fitsParameter(field.ID, field.Text) {
			return nil, m, refusef(47003, "argument invalid! data.%s.value invalid", field.ID)
		}
		m.Items = append(m.Items, field)
	}
	if jump := asked.MiniProgram; jump != nil && jump.AppID != "" {
		if !c.linked(jump.AppID) {
			return nil, m, refuse(40013)
		}
		m.URL, m.AppID, m.PagePath = "", jump.AppID, jump.PagePath
	}
	return f, m, nil
}

// sendTemplate sends a template message: https://developers.weixin.qq.com/doc/service/api/notify/template/api_sendtemplatemessage.md.
// How it ends is told later by an event.
func (c *call) sendTemplate() (any, error) {
	var asked notice
	f, m, err := c.composeNotice(&asked)
	if err != nil {
		return nil, err
	}
	if !f.Following() {
		return nil, refuse(43004)
	}
	if err := c.jobs.guard(asked.ClientID, c.now); err != nil {
		return nil, err
	}
	status := c.jobs.status()
	m.Way = ViaTemplate
	f.mu.Lock()
	if f.muted && status == "success" {
		status = "failed:user block"
	}
	if status == "success" {
		f.show(m, c.now)
	}
	var id int64
	p := f.told("TEMPLATESENDJOBFINISH", c.now, func(d *document) {
		id = c.ids.number("job", f.OpenID, nth(f.acts)) >> 20
		d.number("MsgID", id)
		d.text("Status", status)
	})
	f.mu.Unlock()
	c.pushLater(p)
	return struct {
		ok
		ID int64 `json:"msgid"`
	}{fine, id}, nil
}

// sendNotice sends a subscription notice for one of the fan's consents:
// https://developers.weixin.qq.com/doc/service/en/guide/product/subscription_messages/push.html.
func (c *call) sendNotice() (any, error) {
	var asked notice
	f, m, err := c.composeNotice(&asked)
	if err != nil {
		return nil, err
	}
	m.Way = ViaNotice
	f.mu.Lock()
	if f.consents[asked.Template] == 0 {
		f.mu.Unlock()
		return nil, refuse(43101)
	}
	f.consents[asked.Template]--
	f.show(m, c.now)
	p := f.told("subscribe_msg_sent_event", c.now, func(d *document) {
		d.open("SubscribeMsgSentEvent")
		d.open("List")
		d.text("TemplateId", asked.Template)
		d.number("MsgID", c.ids.number("notice", f.OpenID, nth(f.acts))>>20)
		d.number("ErrorCode", 0)
		d.text("ErrorStatus", "success")
		d.close("List")
		d.close("SubscribeMsgSentEvent")
	})
	f.mu.Unlock()
	c.pushLater(p)
	return fine, nil
}

// Consents gives how many notices of a template the fan still allows.
func (f *Fan) Consents(template string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.consents[template]
}

// Accept answers a page's question for notices with yes: one of each template may then be sent.
func (f *Fan) Accept(ctx context.Context, templates ...string) error {
	return f.popup(ctx, "accept", 1, templates)
}

// Reject answers a page's question for notices with no.
func (f *Fan) Reject(ctx context.Context, templates ...string) error {
	return f.popup(ctx, "reject", 0, templates)
}

func (f *Fan) popup(ctx context.Context, status string, grants int, templates []string) error {
	return f.consent(ctx, "subscribe_msg_popup_event", "SubscribeMsgPopupEvent", status, true, templates, func(id string) { f.consents[id] += grants })
}

// Withdraw takes back every consent to the templates in the fan's settings.
func (f *Fan) Withdraw(ctx context.Context, templates ...string) error {
	return f.consent(ctx, "subscribe_msg_change_event", "SubscribeMsgChangeEvent", "reject", false, templates, func(id string) { delete(f.consents, id) })
}

func (f *Fan) consent(ctx context.Context, event, element, status string, scene bool, templates []string, change func(id string)) error {
	now := f.t.clock.Now()
	f.mu.Lock()
	for _, id := range templates {
		change(id)
	}
	p := f.told(event, now, func(d *document) {
		d.open(element)
		for _, id := range templates {
			d.open("List")
			d.text("TemplateId", id)
			d.text("SubscribeStatusString", status)
			if scene {
				d.text("PopupScene", "1")
			}
			d.close("List")
		}
		d.close(element)
	})
	f.mu.Unlock()
	f.t.push(ctx, p)
	return ctx.Err()
}

func (c *call) templates() (any, error) {
	return map[string]any{"template_list": append([]Template{}, c.cfg.Templates...)}, nil
}

func (c *call) noticeTemplates() (any, error) {
	data := []map[string]any{}
	for _, one := range c.cfg.Templates {
		data = append(data, map[string]any{"priTmplId": one.ID, "title": one.Title, "content": one.Content, "example": "", "type": 2})
	}
	return map[string]any{"errcode": 0, "errmsg": "ok", "data": data}, nil
}

var (
	timeValue   = regexp.MustCompile(`^[0-9年月日:/\-.T ~时分秒]*[0-9][0-9年月日:/\-.T ~时分秒]*$`)
	amountValue = regexp.MustCompile(`^[¥￥$€£]?[0-9]{1,10}(\.[0-9]+)?元?$`)
	numberValue = regexp.MustCompile(`^[0-9.]+$`)
)

// fitsParameter checks a value by the kind that its key names:
// https://developers.weixin.qq.com/doc/service/en/guide/product/subscription_messages/push.html.
func fitsParameter(key, value string) bool {
	length := utf8.RuneCountInString(value)
	switch kind := strings.TrimRight(key, "0123456789"); kind {
	case "thing":
		return length >= 1 && length <= 20 && !strings.ContainsAny(value, "\r\n")
	case "number":
		return length <= 32 && numberValue.MatchString(value)
	case "letter":
		return length >= 1 && length <= 32 && only(value, unicode.IsLetter) && only(value, ascii)
	case "symbol":
		return length >= 1 && length <= 5 && only(value, func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	case "character_string":
		return length >= 1 && length <= 32 && only(value, ascii)
	case "time", "date":
		return length <= 64 && timeValue.MatchString(value)
	case "amount":
		return amountValue.MatchString(value)
	case "phone_number":
		return length >= 1 && length <= 17 && only(value, ascii)
	case "car_number":
		return length >= 1 && length <= 8
	case "name":
		return length >= 1 && (length <= 10 || length <= 20 && only(value, ascii))
	case "phrase":
		return length >= 1 && length <= 5 && only(value, func(c rune) bool { return unicode.Is(unicode.Han, c) })
	default:
		return length >= 1 && length <= 200
	}
}

func only(value string, is func(rune) bool) bool {
	return strings.IndexFunc(value, func(c rune) bool { return !is(c) }) < 0
}

func ascii(c rune) bool { return c >= ' ' && c < unicode.MaxASCII }
