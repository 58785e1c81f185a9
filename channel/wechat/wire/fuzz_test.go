package wire

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add([]byte(v.Plain))
		f.Add([]byte(v.Body))
	}
	f.Add(event("subscribe_msg_popup_event", "<SubscribeMsgPopupEvent><List><TemplateId>A</TemplateId></List></SubscribeMsgPopupEvent>"))
	f.Add(event("PUBLISHJOBFINISH", "<PublishEventInfo><fail_idx>1</fail_idx></PublishEventInfo>"))
	f.Add([]byte("<!DOCTYPE x [<!ENTITY a 'b'>]><xml>&a;</xml>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := Parse(body)
		if err != nil {
			return
		}
		if p.From == "" || p.To == "" || p.MsgType == "" || p.CreateTime <= 0 || p.Key() == "" || len(body) > MaxBody {
			t.Fatalf("%+v", p)
		}
		if p.Scene() != "" && p.MsgType != MsgEvent {
			t.Fatalf("a message with a scene: %+v", p)
		}
	})
}

func FuzzOpen(f *testing.F) {
	v := vectors(f)["incoming_encrypted_1"]
	c := v.crypt(f)
	f.Add([]byte(v.Body), v.MsgSignature, v.Encrypt)
	f.Add([]byte(vectors(f)["incoming_encrypted_2"].Body), v.MsgSignature, vectors(f)["padding_edge"].Encrypt)
	f.Fuzz(func(t *testing.T, body []byte, signature, text string) {
		plain, err := c.Open(signature, v.Timestamp, v.Nonce, body)
		if err == nil && (signature != v.MsgSignature || !bytes.Equal(plain, []byte(v.Plain))) {
			t.Fatalf("opened %q with the signature %q", plain, signature)
		}
		// What only somebody with the token could send must do no harm either.
		if plain, err := c.decrypt(text); err == nil && len(plain) > len(text) {
			t.Fatalf("%d bytes out of %d", len(plain), len(text))
		}
	})
}

func FuzzTextReply(f *testing.F) {
	for _, text := range []string{"", "]]>", "活动", "\x00\xff", `<a href="x">`, "e\u0301"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { wellFormed(t, text) })
}
