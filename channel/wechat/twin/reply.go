package twin

import (
	"bytes"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// errNothingSaid is the answer that says nothing: "success" or an empty body.
var errNothingSaid = errors.New("the account says nothing")

const maxPassiveText = 2048 // bytes

// readReply reads the answer to a push: nothing, a passive reply in the open, or an encrypted one, as the mode allows.
func (t *Twin) readReply(f *Fan, body []byte) (Message, error) {
	body = bytes.TrimSpace(body)
	if len(body) == 0 || string(body) == "success" {
		return Message{}, errNothingSaid
	}
	root, err := readXML(body)
	if err != nil {
		return Message{}, err
	}
	switch sealed := root.has("Encrypt"); {
	case sealed && t.cfg.Mode == Plain:
		return Message{}, errors.New("an encrypted answer in plain mode")
	case !sealed && t.cfg.Mode == Secure:
		return Message{}, errors.New("an answer in the open in secure mode")
	case sealed:
		if root, err = t.unseal(root); err != nil {
			return Message{}, err
		}
	}
	return t.readMessage(f, root)
}

// unseal checks and decrypts an encrypted answer's envelope.
func (t *Twin) unseal(envelope *element) (*element, error) {
	encrypted := envelope.value("Encrypt")
	if _, err := strconv.ParseInt(envelope.value("TimeStamp"), 10, 64); err != nil {
		return nil, errors.New("the TimeStamp is not a number")
	}
	ours := sign(t.cfg.Token, envelope.value("TimeStamp"), envelope.value("Nonce"), encrypted)
	if subtle.ConstantTimeCompare([]byte(ours), []byte(envelope.value("MsgSignature"))) != 1 {
		return nil, errors.New("the MsgSignature is wrong")
	}
	plain, err := t.box.open(encrypted)
	if err != nil {
		return nil, err
	}
	return readXML(plain)
}

// readMessage reads a passive reply: https://developers.weixin.qq.com/doc/subscription/guide/product/message/Passive_user_reply_message.html
func (t *Twin) readMessage(f *Fan, e *element) (Message, error) {
	m := Message{By: ByAccount, Way: ViaReply}
	if e.value("ToUserName") != f.OpenID || e.value("FromUserName") != t.cfg.OriginalID {
		return m, errors.New("ToUserName and FromUserName are not the fan and the account")
	}
	if _, err := strconv.ParseInt(e.value("CreateTime"), 10, 64); err != nil {
		return m, errors.New("the CreateTime is not a number")
	}
	now := t.clock.Now()
	m.Type = e.value("MsgType")
	switch m.Type {
	case "text":
		m.Text = e.value("Content")
		if m.Text == "" || len(m.Text) > maxPassiveText {
			return m, fmt.Errorf("a Content of %d bytes", len(m.Text))
		}
		return m, nil
	case "image":
		return m, t.attach(&m, e.child("Image").value("MediaId"), "image", now)
	case "voice":
		return m, t.attach(&m, e.child("Voice").value("MediaId"), "voice", now)
	case "video":
		in := e.child("Video")
		m.Title, m.Note = in.value("Title"), in.value("Description")
		return m, t.attach(&m, in.value("MediaId"), "video", now)
	case "music":
		in := e.child("Music")
		m.Title, m.Note, m.URL = in.value("Title"), in.value("Description"), in.value("MusicUrl")
		return m, t.attach(&m, in.value("ThumbMediaId"), "thumb", now)
	case "news":
		count, err := strconv.Atoi(e.value("ArticleCount"))
		items := e.child("Articles").kids
		if err != nil || count != 1 || len(items) != 1 || items[0].name != "item" {
			return m, errors.New("news of not exactly one article")
		}
		m.Title, m.Note = items[0].value("Title"), items[0].value("Description")
		m.PicURL, m.URL = items[0].value("PicUrl"), items[0].value("Url")
		return m, nil
	case "transfer_customer_service":
		f.handOver(e.child("TransInfo").value("KfAccount"))
		return m, errNothingSaid
	default:
		return m, fmt.Errorf("a MsgType %q", m.Type)
	}
}

// attach gives a message a medium.
func (t *Twin) attach(m *Message, id, kind string, at time.Time) error {
	found, err := t.media.find(id, at)
	if err != nil {
		return err
	}
	if found.kind != kind {
		return refuse(40007)
	}
	m.MediaID, m.picture = id, found.picture
	return nil
}
