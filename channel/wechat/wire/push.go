package wire

import (
	"fmt"
	"strconv"
	"strings"
)

// Kinds of messages (Push.MsgType), in lower case.
const (
	MsgText       = "text"
	MsgImage      = "image"
	MsgVoice      = "voice"
	MsgVideo      = "video"
	MsgShortVideo = "shortvideo"
	MsgLocation   = "location"
	MsgLink       = "link"
	MsgEvent      = "event"
)

// Kinds of events (Push.Event). The platform mixes cases; here they are all lower.
const (
	EventSubscribe      = "subscribe"
	EventUnsubscribe    = "unsubscribe"
	EventScan           = "scan"
	EventLocation       = "location"
	EventClick          = "click"
	EventView           = "view"
	EventMiniProgram    = "view_miniprogram"
	EventScanCode       = "scancode_push"
	EventScanCodeWait   = "scancode_waitmsg"
	EventPhoto          = "pic_sysphoto"
	EventPhotoOrAlbum   = "pic_photo_or_album"
	EventAlbum          = "pic_weixin"
	EventLocationSelect = "location_select"
	EventTemplateSent   = "templatesendjobfinish"
	EventMassSent       = "masssendjobfinish"
	EventPublished      = "publishjobfinish"
	EventNoticePopup    = "subscribe_msg_popup_event"
	EventNoticeChange   = "subscribe_msg_change_event"
	EventNoticeSent     = "subscribe_msg_sent_event"
)

// Push is what the platform tells: a message of a person or an event. Fields that a
// kind does not have are empty. What is not known is there all the same, with its
// MsgType and Event, so that it can be answered with Success.
// (Pages "Receiving standard messages", "Receiving event pushes", "Custom menu event pushes".)
type Push struct {
	To         string // original id of the account, gh_…
	From       string // openid of the person
	CreateTime int64  // Unix seconds
	MsgType    string // in lower case
	Event      string // in lower case; "" for messages

	// Messages.
	MsgID        string // of a message; unique within the account
	MsgDataID    string // the article a text was written under
	Idx          string // and which of the articles
	Content      string // text
	BizMsgMenuID string // the item of a menu message that was tapped; Content is its words
	MediaID      string // image, voice, video: can be downloaded for three days
	MediaID16K   string // voice, at 16 kHz
	ThumbMediaID string // video
	PicURL       string // image
	Format       string // voice: amr, speex
	Recognition  string // voice, in words, where speech recognition is on
	Title        string // link
	Description  string // link
	URL          string // link

	// Events.
	EventKey string // scene, menu key, address or path, by event
	Ticket   string // of the code that was scanned
	MenuID   string // of the menu that was tapped
	JobID    string // MsgID of a template message or mass job
	Status   string // of a job: success, failed:user block, send success, err(30003) …

	Place    *Place    // message location; events LOCATION, location_select
	ScanCode *ScanCode // scancode_push, scancode_waitmsg
	Pictures []string  // MD5 of pictures chosen from a menu, in hex
	Notices  []Notice  // the three subscribe_msg events, one for each template
	Mass     *MassJob  // MASSSENDJOBFINISH
	Publish  *Publish  // PUBLISHJOBFINISH
}

// Place is where somebody is or points to, in degrees (GCJ-02 in China).
type Place struct {
	Latitude, Longitude float64
	Precision           float64 // event LOCATION: metres
	Scale               float64 // of the map that was shown
	Label               string  // address
	Name                string  // location_select: of the point of interest
}

// ScanCode is what somebody's camera read from a menu.
type ScanCode struct {
	Type   string // qrcode, barcode
	Result string
}

// Notice is one template of a subscribe_msg event.
type Notice struct {
	TemplateID  string
	Status      string // popup and change: accept or reject
	Scene       string // popup: 1 on a page, 2 in an article
	MsgID       string // sent
	ErrorCode   int64  // sent: 0 when it arrived
	ErrorStatus string // sent: success, or what was wrong
}

// Article is one of a mass job or publication.
type Article struct {
	Index int64 // from 1
	URL   string
}

// MassJob is how a mass message went.
type MassJob struct {
	Total, Filtered, Sent, Failed int64
	Copyright                     []Copyright
	CheckState                    int64
	Articles                      []Article
}

// Copyright is the platform's judgement of one article in a mass job.
type Copyright struct {
	Index                                          int64
	UserDeclareState, AuditState                   int64
	OriginalURL                                    string
	OriginalType                                   int64
	CanReprint, NeedReplaceContent, NeedShowSource bool
}

// Publish is how a publication went.
type Publish struct {
	ID        string
	Status    int64 // 0 done, 1 at work, 2 and more: failed
	ArticleID string
	Articles  []Article
	Failed    []int64 // indexes of the articles that failed
}

// Parse reads a plain push. Order, space around values, cases of the event and elements
// nobody knows do not matter; numbers that cannot be read are 0, but there must be a
// sender, a receiver, a time and a kind. The errors are ErrMalformed and ErrSealed.
func Parse(body []byte) (Push, error) {
	root, err := readXML(body, left)
	if err != nil {
		return Push{}, err
	}
	p := Push{
		To:           root.str("ToUserName"),
		From:         root.str("FromUserName"),
		CreateTime:   root.num("CreateTime"),
		MsgType:      strings.ToLower(root.str("MsgType")),
		MsgDataID:    root.str("MsgDataId"),
		Idx:          root.str("Idx"),
		Content:      root.str("Content"),
		BizMsgMenuID: root.str("bizmsgmenuid", "BizMsgMenuId"),
		MediaID:      root.str("MediaId"),
		MediaID16K:   root.str("MediaId16K"),
		ThumbMediaID: root.str("ThumbMediaId"),
		PicURL:       root.str("PicUrl"),
		Format:       root.str("Format"),
		Recognition:  root.str("Recognition"),
		Title:        root.str("Title"),
		Description:  root.str("Description"),
		URL:          root.str("Url"),
	}
	if p.MsgType == "" && root.first("Encrypt") != nil {
		return Push{}, ErrSealed
	}
	if p.To == "" || p.From == "" || p.MsgType == "" || p.CreateTime <= 0 {
		return Push{}, fmt.Errorf("%w: without sender, receiver, time or kind", ErrMalformed)
	}
	switch p.MsgType {
	case MsgEvent:
		p.event(root)
	case MsgLocation:
		p.MsgID, p.Place = root.str("MsgId", "MsgID"), place(root)
	default:
		p.MsgID = root.str("MsgId", "MsgID")
	}
	return p, nil
}

// Key is the same for a push and its repetitions, and for no other push of the account:
// the message's id, and for events, which have none, who, when and what. Their time is in
// whole seconds, so that the platform's own advice (who and when) would lose the second
// of two events in one second.
func (p Push) Key() string {
	if p.MsgID != "" {
		return p.MsgID
	}
	parts := []string{p.From, strconv.FormatInt(p.CreateTime, 10)}
	if p.MsgType != MsgEvent {
		return strings.Join(append(parts, p.MsgType, p.MediaID, p.Content), "|")
	}
	if p.JobID != "" {
		parts = append(parts, p.JobID)
	}
	return strings.Join(append(parts, p.Event, p.EventKey), "|")
}

// Scene is what the scanned code of ours holds, "" where no code was scanned.
func (p Push) Scene() string {
	switch p.Event {
	case EventSubscribe:
		scene, ok := strings.CutPrefix(p.EventKey, "qrscene_")
		if !ok {
			return "" // followed from elsewhere: the key is not a scene
		}
		return scene
	case EventScan:
		return p.EventKey
	}
	return ""
}
