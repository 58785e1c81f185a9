package client

import "context"

const (
	pathCustom    = "/cgi-bin/message/custom/send"
	pathTyping    = "/cgi-bin/message/custom/typing"
	pathTemplate  = "/cgi-bin/message/template/send"
	pathSubscribe = "/cgi-bin/message/subscribe/bizsend"
)

// Messages are never repeated by the client when nobody knows whether they arrived: whoever
// keeps the list of what is owed decides that.

// Article is a picture with words that leads to an address.
type Article struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	URL         string `json:"url"`
	PicURL      string `json:"picurl"`
}

// MenuMessage is a text with items to tap; a tap comes back as a text push with the item's id.
type MenuMessage struct {
	Head  string     `json:"head_content"`
	Items []MenuItem `json:"list"`
	Tail  string     `json:"tail_content"`
}

// MenuItem is one thing to tap in a menu message.
type MenuItem struct {
	ID      string `json:"id"`
	Content string `json:"content"`
}

// MiniProgramCard opens a mini program that is linked to the account.
type MiniProgramCard struct {
	Title        string `json:"title"`
	AppID        string `json:"appid"`
	Path         string `json:"pagepath"`
	ThumbMediaID string `json:"thumb_media_id"`
}

// MiniProgram is where a template message or notice leads.
type MiniProgram struct {
	AppID string `json:"appid"`
	Path  string `json:"pagepath,omitempty"`
}

// TemplateMessage is a service notice; where URL and MiniProgram are both given, the mini
// program wins.
type TemplateMessage struct {
	To          string // openid
	TemplateID  string
	URL         string
	MiniProgram *MiniProgram
	ClientMsgID string            // the platform drops a second message with the same id within minutes
	Data        map[string]string // by the template's keys, such as thing1
}

// SubscriptionMessage is a notice that the person agreed to get once.
type SubscriptionMessage struct {
	To          string // openid
	TemplateID  string
	Page        string // address it opens
	MiniProgram *MiniProgram
	Data        map[string]string // by the template's keys, such as thing1
}

// SendText sends a customer-service text (page "Send customer service message"; so the
// other Sends). The platform takes at most 2048 bytes: CodeTextTooLong.
func (c *Client) SendText(ctx context.Context, openid, text string) error {
	return c.custom(ctx, openid, "text", struct {
		Content string `json:"content"`
	}{text})
}

// SendImage sends a picture that was uploaded.
func (c *Client) SendImage(ctx context.Context, openid, mediaID string) error {
	return c.custom(ctx, openid, "image", struct {
		MediaID string `json:"media_id"`
	}{mediaID})
}

// SendNews sends one article; the platform takes no more than one.
func (c *Client) SendNews(ctx context.Context, openid string, article Article) error {
	return c.custom(ctx, openid, "news", struct {
		Articles []Article `json:"articles"`
	}{[]Article{article}})
}

// SendMenuMessage sends a text with items to tap.
func (c *Client) SendMenuMessage(ctx context.Context, openid string, menu MenuMessage) error {
	return c.custom(ctx, openid, "msgmenu", menu)
}

// SendMiniProgram sends a card of a mini program.
func (c *Client) SendMiniProgram(ctx context.Context, openid string, card MiniProgramCard) error {
	return c.custom(ctx, openid, "miniprogrampage", card)
}

func (c *Client) custom(ctx context.Context, openid, kind string, content any) error {
	return c.post(ctx, pathCustom, map[string]any{"touser": openid, "msgtype": kind, kind: content}, nil, false)
}

// Typing shows for 15 seconds that an answer is being written (page "Customer service
// typing status"). It works within 30 seconds of something the person did.
func (c *Client) Typing(ctx context.Context, openid string) error {
	return c.post(ctx, pathTyping, struct {
		To      string `json:"touser"`
		Command string `json:"command"`
	}{openid, "Typing"}, nil, false)
}

type value struct {
	Value string `json:"value"`
}

func values(data map[string]string) map[string]value {
	all := make(map[string]value, len(data))
	for key, text := range data {
		all[key] = value{text}
	}
	return all
}

// SendTemplate sends a service notice and gives the id under which its delivery is reported
// later (page "Template message interface").
func (c *Client) SendTemplate(ctx context.Context, m TemplateMessage) (int64, error) {
	var got struct {
		ID int64 `json:"msgid"`
	}
	err := c.post(ctx, pathTemplate, struct {
		To          string           `json:"touser"`
		TemplateID  string           `json:"template_id"`
		URL         string           `json:"url,omitempty"`
		MiniProgram *MiniProgram     `json:"miniprogram,omitempty"`
		ClientMsgID string           `json:"client_msg_id,omitempty"`
		Data        map[string]value `json:"data"`
	}{m.To, m.TemplateID, m.URL, m.MiniProgram, m.ClientMsgID, values(m.Data)}, &got, false)
	return got.ID, err
}

// SendSubscription sends a notice that the person agreed to (page "Send subscription
// notice", bizsend; the mini programs' send is another). CodeRefusedNotice: no consent is left.
func (c *Client) SendSubscription(ctx context.Context, m SubscriptionMessage) error {
	return c.post(ctx, pathSubscribe, struct {
		To          string           `json:"touser"`
		TemplateID  string           `json:"template_id"`
		Page        string           `json:"page,omitempty"`
		MiniProgram *MiniProgram     `json:"miniprogram,omitempty"`
		Data        map[string]value `json:"data"`
	}{m.To, m.TemplateID, m.Page, m.MiniProgram, values(m.Data)}, nil, false)
}
