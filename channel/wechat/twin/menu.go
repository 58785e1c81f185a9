package twin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
)

// The bounds of a menu: https://developers.weixin.qq.com/doc/service/api/custommenu/api_createcustommenu.
const (
	maxButtons  = 3
	maxSub      = 5
	maxTopName  = 16 // bytes
	maxSubName  = 60 // bytes
	maxKey      = 128
	maxButtonTo = 1024 // bytes of an address
)

// Button is one button of the account's menu.
type Button struct {
	Type      string   `json:"type,omitempty"`
	Name      string   `json:"name"`
	Key       string   `json:"key,omitempty"`
	URL       string   `json:"url,omitempty"`
	AppID     string   `json:"appid,omitempty"`
	PagePath  string   `json:"pagepath,omitempty"`
	MediaID   string   `json:"media_id,omitempty"`
	ArticleID string   `json:"article_id,omitempty"`
	Sub       []Button `json:"sub_button"`
}

// menu is the account's menu.
type menu struct {
	mu      sync.RWMutex
	id      int64
	created int64
	buttons []Button
}

// Menu gives the account's menu as fans see it, empty when there is none. A new one shows at once; on a phone it would
// take up to five minutes.
func (t *Twin) Menu() []Button {
	t.menu.mu.RLock()
	defer t.menu.mu.RUnlock()
	return t.menu.buttons
}

func (c *call) createMenu() (any, error) {
	if strings.Contains(string(c.body), `\u`) {
		return nil, refuse(40033)
	}
	var asked struct {
		Buttons []Button `json:"button"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	if len(asked.Buttons) < 1 || len(asked.Buttons) > maxButtons {
		return nil, refuse(40016)
	}
	for i := range asked.Buttons {
		b := &asked.Buttons[i]
		if b.Name == "" || len(b.Name) > maxTopName {
			return nil, refuse(40018)
		}
		if len(b.Sub) == 0 {
			b.Sub = []Button{}
			if err := c.checkButton(b, topCodes); err != nil {
				return nil, err
			}
			continue
		}
		if len(b.Sub) > maxSub {
			return nil, refuse(40023)
		}
		*b = Button{Name: b.Name, Sub: b.Sub}
		for j := range b.Sub {
			s := &b.Sub[j]
			if s.Name == "" || len(s.Name) > maxSubName {
				return nil, refuse(40025)
			}
			if len(s.Sub) > 0 {
				return nil, refuse(40024)
			}
			s.Sub = []Button{}
			if err := c.checkButton(s, subCodes); err != nil {
				return nil, err
			}
		}
	}
	c.menu.mu.Lock()
	defer c.menu.mu.Unlock()
	c.menu.created++
	c.menu.id, c.menu.buttons = c.ids.number("menu", nth(c.menu.created))%1e9, asked.Buttons
	return fine, nil
}

// buttonCodes are the refusals of a button, which differ by where it stands.
type buttonCodes struct{ kind, key, url, domain int }

var (
	topCodes = buttonCodes{40017, 40019, 40020, 40055}
	subCodes = buttonCodes{40024, 40026, 40027, 40054}
)

func (c *call) checkButton(b *Button, codes buttonCodes) error {
	address := func() error {
		if b.URL == "" || len(b.URL) > maxButtonTo {
			return refuse(codes.url)
		}
		if u, err := url.Parse(b.URL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return refuse(codes.domain)
		}
		return nil
	}
	switch b.Type {
	case "click", "scancode_push", "scancode_waitmsg", "pic_sysphoto", "pic_photo_or_album", "pic_weixin", "location_select":
		if b.Key == "" || len(b.Key) > maxKey {
			return refuse(codes.key)
		}
		return nil
	case "view":
		return address()
	case "miniprogram":
		if err := address(); err != nil {
			return err
		}
		if b.AppID == "" || !c.linked(b.AppID) {
			return refuse(45064)
		}
		if b.PagePath == "" {
			return refuse(40165)
		}
		return nil
	case "media_id", "view_limited":
		_, err := c.media.find(b.MediaID, c.now)
		return err
	case "article_id", "article_view_limited":
		if b.ArticleID == "" {
			return refuse(40035)
		}
		return nil
	default:
		return refuse(codes.kind)
	}
}

func (c *call) getMenu() (any, error) {
	c.menu.mu.RLock()
	defer c.menu.mu.RUnlock()
	if c.menu.buttons == nil {
		return nil, refuse(46003)
	}
	return map[string]any{"menu": map[string]any{"button": c.menu.buttons, "menuid": c.menu.id}}, nil
}

func (c *call) deleteMenu() (any, error) {
	c.menu.mu.Lock()
	defer c.menu.mu.Unlock()
	c.menu.buttons = nil
	return fine, nil
}

// shownButton is a button as the menu's other reading gives it, with its children in a list of their own.
type shownButton struct {
	Button
	Sub *shownButtons `json:"sub_button,omitempty"`
}

type shownButtons struct {
	List []shownButton `json:"list"`
}

func shown(buttons []Button) []shownButton {
	var out []shownButton
	for _, b := range buttons {
		one := shownButton{Button: b}
		if len(b.Sub) > 0 {
			one.Sub = &shownButtons{shown(b.Sub)}
		}
		out = append(out, one)
	}
	return out
}

func (c *call) currentMenu() (any, error) {
	c.menu.mu.RLock()
	defer c.menu.mu.RUnlock()
	if c.menu.buttons == nil {
		return map[string]any{"is_menu_open": 0}, nil
	}
	return map[string]any{"is_menu_open": 1, "selfmenu_info": map[string]any{"button": shown(c.menu.buttons)}}, nil
}

// Tapped is what a tap on a menu button opens on the fan's phone.
type Tapped struct {
	Type     string `json:"type"`
	URL      string `json:"url,omitempty"` // to give to Open
	AppID    string `json:"appid,omitempty"`
	PagePath string `json:"pagepath,omitempty"`
}

// find gives the button of a name, a key, or a path such as 活动/进度.
func (m *menu) find(which string) (Button, int64, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, b := range m.buttons {
		if len(b.Sub) == 0 && (b.Name == which || b.Key == which) {
			return b, m.id, true
		}
		for _, s := range b.Sub {
			if s.Name == which || s.Key == which || b.Name+"/"+s.Name == which {
				return s, m.id, true
			}
		}
	}
	return Button{}, 0, false
}

// Tap taps the menu button of a name, a key, or a path such as 活动/进度. input is what the fan then gives: the scanned
// text of a scan button, "latitude,longitude,label" of a place, how many pictures. The events are those of
// https://developers.weixin.qq.com/doc/service/guide/product/menu/Custom_Menu_Push_Events.html.
func (f *Fan) Tap(ctx context.Context, button string, input ...string) (Tapped, error) {
	b, menuID, found := f.t.menu.find(button)
	if !found {
		return Tapped{}, fmt.Errorf("twin: the menu has no button %q", button)
	}
	given := strings.Join(input, " ")
	result := Tapped{Type: b.Type}
	now := f.t.clock.Now()
	f.mu.Lock()
	if !f.follows {
		f.mu.Unlock()
		return Tapped{}, errNotFollowing
	}
	var p *push
	opens := false
	switch b.Type {
	case "click":
		opens = true
		p = f.event("CLICK", now, func(d *document) { d.text("EventKey", b.Key) })
	case "view":
		result.URL = b.URL
		f.silent = now.Add(silentAfterChat)
		p = f.event("VIEW", now, func(d *document) {
			d.text("EventKey", b.URL)
			d.number("MenuId", menuID)
		})
	case "miniprogram":
		result.AppID, result.PagePath = b.AppID, b.PagePath
		p = f.event("view_miniprogram", now, func(d *document) {
			d.text("EventKey", b.PagePath)
			d.number("MenuId", menuID)
		})
	case "scancode_push", "scancode_waitmsg":
		opens = true
		p = f.event(b.Type, now, func(d *document) {
			d.text("EventKey", b.Key)
			d.open("ScanCodeInfo")
			d.text("ScanType", "qrcode")
			d.text("ScanResult", given)
			d.close("ScanCodeInfo")
		})
	case "pic_sysphoto", "pic_photo_or_album", "pic_weixin":
		p = f.event(b.Type, now, func(d *document) {
			d.text("EventKey", b.Key)
			d.open("SendPicsInfo")
			d.number("Count", 1)
			d.open("PicList")
			d.open("item")
			d.text("PicMd5Sum", f.t.ids.hex(32, "photo", given))
			d.close("item")
			d.close("PicList")
			d.close("SendPicsInfo")
		})
	case "location_select":
		place := strings.SplitN(given+",,", ",", 3)
		p = f.event(b.Type, now, func(d *document) {
			d.text("EventKey", b.Key)
			d.open("SendLocationInfo")
			d.text("Location_X", place[0])
			d.text("Location_Y", place[1])
			d.text("Scale", "15")
			d.text("Label", strings.Trim(place[2], ","))
			d.text("Poiname", "")
			d.close("SendLocationInfo")
		})
	default:
		f.mu.Unlock()
		return result, nil // the platform itself shows what the button holds
	}
	p.silent = b.Type == "view" || b.Type == "miniprogram"
	if opens {
		f.allowed.open(tapped, now, f.t.cfg.SeparateWindows)
	}
	f.mu.Unlock()
	f.t.push(ctx, p)
	return result, ctx.Err()
}

// Choose taps an item of a menu message in the chat, by the item's id or text. The platform counts it as a tap on the menu,
// though it comes as a text.
func (f *Fan) Choose(ctx context.Context, item string) error {
	chat := f.Chat()
	for i := len(chat) - 1; i >= 0; i-- {
		if chat[i].Type != "menu" {
			continue
		}
		for _, one := range chat[i].Items {
			if one.ID == item || one.Text == item {
				return f.choose(ctx, one)
			}
		}
	}
	return errors.New("twin: no menu message in the chat has this item")
}

func (f *Fan) choose(ctx context.Context, item Item) error {
	return f.send(ctx, tapped, Message{Type: "text", Text: item.Text}, func(d *document) {
		d.text("Content", item.Text)
		d.text("bizmsgmenuid", item.ID)
	})
}

// silentAfterChat is how long after a tap in the chat or the menu signing in asks nothing.
const silentAfterChat = time.Minute
