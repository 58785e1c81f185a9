package twin

import (
	"context"
	"slices"
	"time"
)

// The sides of a chat.
const (
	ByFan     = "fan"
	ByAccount = "account"
	BySystem  = "system"
)

// The ways a message of the account comes.
const (
	ViaReply    = "reply"    // the answer to a push
	ViaCustom   = "custom"   // a customer-service message
	ViaTemplate = "template" // a template message
	ViaNotice   = "notice"   // a subscription notice
)

// Message is one bubble of a chat as the fan sees it.
type Message struct {
	No       int64     `json:"no"` // in this chat, from 1 on
	At       time.Time `json:"at"`
	By       string    `json:"by"`
	Way      string    `json:"way,omitempty"` // of the account's messages
	Type     string    `json:"type"`          // text, image, voice, video, music, news, menu, card, notice
	Text     string    `json:"text,omitempty"`
	Image    []byte    `json:"-"`                   // of an image, as it was uploaded; nil when it is no longer kept
	ImageURL string    `json:"image_url,omitempty"` // where the twin serves it

	Title    string `json:"title,omitempty"`
	Note     string `json:"note,omitempty"` // a description, or what stands below a menu
	URL      string `json:"url,omitempty"`
	PicURL   string `json:"pic_url,omitempty"`
	AppID    string `json:"appid,omitempty"` // of a mini-program
	PagePath string `json:"pagepath,omitempty"`
	MediaID  string `json:"media_id,omitempty"`
	Items    []Item `json:"items,omitempty"` // of a menu or a notice

	picture string
}

// Item is a line of a menu message or of a notice.
type Item struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

// show adds a message to the fan's chat. The fan's lock is held.
func (f *Fan) show(m Message, at time.Time) {
	f.shown++
	m.No, m.At = f.shown, at
	if most := f.t.cfg.MaxMessages; len(f.chat) >= most {
		f.chat = slices.Delete(f.chat, 0, len(f.chat)-most+1)
	}
	f.chat = append(f.chat, m)
	close(f.news)
	f.news = make(chan struct{})
}

// display adds a message to the fan's chat.
func (f *Fan) display(m Message) {
	at := f.t.clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.show(m, at)
}

// Chat gives what the fan sees, oldest first: the last messages, their pictures included.
func (f *Fan) Chat() []Message {
	f.mu.Lock()
	chat := slices.Clone(f.chat)
	f.mu.Unlock()
	for i := range chat {
		f.t.dress(&chat[i])
	}
	return chat
}

func (t *Twin) dress(m *Message) {
	if m.picture != "" {
		m.Image = t.pictures.bytes(m.picture)
		m.ImageURL = t.BaseURL() + "/_twin/pictures/" + m.picture
	}
}

// Await waits for a message that fits, looking first at those the fan already sees.
func (f *Fan) Await(ctx context.Context, fits func(Message) bool) (Message, error) {
	var seen int64
	for {
		f.mu.Lock()
		news, chat := f.news, f.chat
		for _, m := range chat {
			if m.No <= seen {
				continue
			}
			seen = m.No
			if f.t.dress(&m); fits(m) {
				f.mu.Unlock()
				return m, nil
			}
		}
		f.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
			return Message{}, ctx.Err()
		}
	}
}
