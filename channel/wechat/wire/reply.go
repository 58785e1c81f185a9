package wire

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// What a text may have (page "Passive user reply message"): the platform refuses or cuts
// longer ones, and the customer-service interface answers 45002.
const (
	MaxTextBytes = 2048
	MaxTextWide  = 600 // characters outside ASCII
)

// TextReply answers p with a text, cut where it is too long.
func TextReply(p Push, at time.Time, text string) []byte {
	return reply(p, at, MsgText, func(b *bytes.Buffer) { element(b, "Content", Cut(text)) })
}

// ImageReply answers p with a picture that the platform has.
func ImageReply(p Push, at time.Time, mediaID string) []byte {
	return reply(p, at, MsgImage, func(b *bytes.Buffer) {
		b.WriteString("<Image>")
		element(b, "MediaId", mediaID)
		b.WriteString("</Image>")
	})
}

// HandOver passes p on to customer service: to the account such as name@wxid, or with
// "" to whoever is free.
func HandOver(p Push, at time.Time, account string) []byte {
	return reply(p, at, "transfer_customer_service", func(b *bytes.Buffer) {
		if account == "" {
			return
		}
		b.WriteString("<TransInfo>")
		element(b, "KfAccount", account)
		b.WriteString("</TransInfo>")
	})
}

// reply is a passive reply to the sender of p.
func reply(p Push, at time.Time, msgType string, payload func(*bytes.Buffer)) []byte {
	var b bytes.Buffer
	b.WriteString("<xml>")
	element(&b, "ToUserName", p.From)
	element(&b, "FromUserName", p.To)
	b.WriteString("<CreateTime>" + strconv.FormatInt(at.Unix(), 10) + "</CreateTime>")
	element(&b, "MsgType", msgType)
	payload(&b)
	b.WriteString("</xml>")
	return b.Bytes()
}

// element writes a value as CDATA, with what XML cannot hold left out. The end mark
// inside a value is cut in two, each half in a section of its own.
func element(b *bytes.Buffer, name, value string) {
	value = string(readable([]byte(value), left))
	value = strings.ReplaceAll(value, "]]>", "]]]]><![CDATA[>")
	b.WriteString("<" + name + "><![CDATA[" + value + "]]></" + name + ">")
}

// Cut shortens a text to what the platform takes, at the end of a whole character as a
// person sees it (no half emoji) and not inside a link, and ends it with an ellipsis.
func Cut(text string) string {
	const ellipsis = "…"
	text = strings.ToValidUTF8(text, "\ufffd")
	if fits(text, MaxTextBytes, MaxTextWide) == len(text) {
		return text
	}
	short := text[:whole(text, fits(text, MaxTextBytes-len(ellipsis), MaxTextWide-1))]
	if link := strings.LastIndex(short, "<a "); link >= 0 && !strings.Contains(short[link:], "</a>") {
		short = short[:link]
	}
	return strings.TrimRightFunc(short, unicode.IsSpace) + ellipsis
}
