package twin

import (
	"encoding/json"
	"time"
)

const maxText = 2048 // bytes of a text message

// customMessage is the body of a customer-service message:
// https://developers.weixin.qq.com/doc/service/api/customer/message/api_sendcustommessage.
type customMessage struct {
	To   string `json:"touser"`
	Type string `json:"msgtype"`
	Text *struct {
		Content string `json:"content"`
	} `json:"text"`
	Image  *mediaBody `json:"image"`
	Voice  *mediaBody `json:"voice"`
	MPNews *mediaBody `json:"mpnews"`
	Video  *mediaBody `json:"video"`
	Music  *mediaBody `json:"music"`
	News   *struct {
		Articles []struct {
			Title       string `json:"title"`
			Description string `json:"description"`
			URL         string `json:"url"`
			PicURL      string `json:"picurl"`
		} `json:"articles"`
	} `json:"news"`
	Article *struct {
		ID string `json:"article_id"`
	} `json:"mpnewsarticle"`
	Menu *struct {
		Head string `json:"head_content"`
		List []struct {
			ID      text   `json:"id"`
			Content string `json:"content"`
		} `json:"list"`
		Tail string `json:"tail_content"`
	} `json:"msgmenu"`
	Card *struct {
		ID string `json:"card_id"`
	} `json:"wxcard"`
	MiniProgram *struct {
		Title    string `json:"title"`
		AppID    string `json:"appid"`
		PagePath string `json:"pagepath"`
		Thumb    string `json:"thumb_media_id"`
	} `json:"miniprogrampage"`
}

type mediaBody struct {
	MediaID     string `json:"media_id"`
	Thumb       string `json:"thumb_media_id"`
	Title       string `json:"title"`
	Description string `json:"description"`
	MusicURL    string `json:"musicurl"`
}

// text is a string that some callers write as a number.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(t))
	}
	*t = text(b)
	return nil
}

// sendCustom sends a customer-service message within what the fan has allowed.
func (c *call) sendCustom() (any, error) {
	c.body = literal(c.body)
	var asked customMessage
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	f, err := c.fan(asked.To)
	if err != nil {
		return nil, err
	}
	m, err := c.compose(&asked)
	if err != nil {
		return nil, err
	}
	m.By, m.Way = ByAccount, ViaCustom
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.follows:
		return nil, refuse(43004)
	case f.blocked:
		return nil, refuse(43019)
	case f.muted:
		return nil, refuse(48002)
	}
	if err := f.allowed.take(c.now); err != nil {
		return nil, err
	}
	f.typing = time.Time{}
	f.show(m, c.now)
	return fine, nil
}

// compose makes of the body what the fan will see.
func (c *call) compose(asked *customMessage) (Message, error) {
	m := Message{Type: asked.Type}
	missing := refuse(40035)
	media := func(in *mediaBody, kind string) error {
		if in == nil || in.MediaID == "" {
			return refuse(41006)
		}
		m.Title, m.Note = in.Title, in.Description
		return c.attach(&m, in.MediaID, kind, c.now)
	}
	switch asked.Type {
	case "text":
		if asked.Text == nil || asked.Text.Content == "" {
			return m, refuse(44004)
		}
		if len(asked.Text.Content) > maxText {
			return m, refuse(45002)
		}
		m.Text = asked.Text.Content
		return m, nil
	case "image":
		return m, media(asked.Image, "image")
	case "voice":
		return m, media(asked.Voice, "voice")
	case "video":
		return m, media(asked.Video, "video")
	case "mpnews":
		// Articles are permanent material, of which the twin has none.
		return m, media(asked.MPNews, "news")
	case "music":
		if asked.Music == nil {
			return m, missing
		}
		m.Title, m.Note, m.URL = asked.Music.Title, asked.Music.Description, asked.Music.MusicURL
		return m, c.attach(&m, asked.Music.Thumb, "thumb", c.now)
	case "news":
		if asked.News == nil || len(asked.News.Articles) == 0 {
			return m, refuse(44003)
		}
		if len(asked.News.Articles) > 1 {
			return m, refuse(45008)
		}
		a := asked.News.Articles[0]
		m.Title, m.Note, m.URL, m.PicURL = a.Title, a.Description, a.URL, a.PicURL
		return m, nil
	case "mpnewsarticle":
		if asked.Article == nil || asked.Article.ID == "" {
			return m, missing
		}
		m.Type, m.Title = "news", asked.Article.ID
		return m, nil
	case "msgmenu":
		if asked.Menu == nil || len(asked.Menu.List) == 0 {
			return m, missing
		}
		m.Type, m.Text, m.Note = "menu", asked.Menu.Head, asked.Menu.Tail
		for _, one := range asked.Menu.List {
			m.Items = append(m.Items, Item{ID: string(one.ID), Text: one.Content})
		}
		return m, nil
	case "wxcard":
		if asked.Card == nil || asked.Card.ID == "" {
			return m, missing
		}
		m.Type, m.Title = "card", asked.Card.ID
		return m, nil
	case "miniprogrampage":
		in := asked.MiniProgram
		if in == nil || in.AppID == "" || in.PagePath == "" {
			return m, missing
		}
		if !c.linked(in.AppID) {
			return m, refuse(40013)
		}
		m.Type, m.Title, m.AppID, m.PagePath = "card", in.Title, in.AppID, in.PagePath
		// The card's picture may be of either kind.
		if err := c.attach(&m, in.Thumb, "image", c.now); err != nil {
			return m, c.attach(&m, in.Thumb, "thumb", c.now)
		}
		return m, nil
	default:
		return m, refuse(40008)
	}
}

// linked says whether a mini-program may be opened from this account.
func (t *Twin) linked(appID string) bool {
	for _, one := range t.cfg.MiniPrograms {
		if one == appID {
			return true
		}
	}
	return len(t.cfg.MiniPrograms) == 0
}

// literal keeps the escapes \uXXXX of a JSON body as they are written, which is how the platform shows them to fans.
func literal(body []byte) []byte {
	out := make([]byte, 0, len(body))
	for i := 0; i < len(body); i++ {
		if body[i] != '\\' || i+1 == len(body) {
			out = append(out, body[i])
			continue
		}
		if body[i+1] == 'u' {
			out = append(out, '\\')
		}
		out = append(out, '\\', body[i+1])
		i++
	}
	return out
}

const (
	typingShown = 15 * time.Second
	typingAfter = 30 * time.Second // of the fan's last act
)

// typing shows the fan that somebody is writing.
func (c *call) typing() (any, error) {
	var asked struct {
		To      string `json:"touser"`
		Command string `json:"command"`
	}
	if err := c.read(&asked); err != nil {
		return nil, err
	}
	f, err := c.fan(asked.To)
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.follows {
		return nil, refuse(43004)
	}
	switch asked.Command {
	case "CancelTyping":
		f.typing = time.Time{}
		return fine, nil
	case "Typing":
	default:
		return nil, refuse(45072)
	}
	switch {
	case c.now.Sub(f.acted) > typingAfter:
		return nil, refuse(45080)
	case c.now.Before(f.typing):
		return nil, refuse(45081)
	}
	f.typing = c.now.Add(typingShown)
	return fine, nil
}
