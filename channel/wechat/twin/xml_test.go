package twin

import (
	"encoding/xml"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestXML(t *testing.T) {
	t.Parallel()

	t.Run("RealLifeIsRead", func(t *testing.T) {
		for body, want := range map[string]string{
			"<xml><A>plain &lt;&#38;&#x4e00;&gt;</A></xml>":                          "plain <&一>",
			"<xml>\n  <A> <![CDATA[ kept ]]> </A>\n</xml>":                           " kept ",
			"\ufeff<?xml version=\"1.0\"?><!-- hi --><xml><A>x<!-- y -->z</A></xml>": "xz",
			"<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>":                        "a]]>b",
			"<xml><A/></xml>":                              "",
			"<xml><A>\n</A></xml>":                         "",
			"<xml lang='x'><B>1</B><A>2</A><A>3</A></xml>": "2",
		} {
			root, err := readXML([]byte(body))
			if err != nil || root.value("A") != want {
				t.Errorf("%s is read as %+v (%v)", body, root, err)
			}
		}
	})

	t.Run("TricksAreRefused", func(t *testing.T) {
		for _, body := range []string{
			"", "hello", "<xml>", "<xml></yml>", "<xml/><xml/>", "<xml/>x", `{"a":1}`, "<a b>", "<xml>&bomb;</xml>", "<xml>&</xml>", "<xml>&#0;</xml>", "<xml>&#xD800;</xml>",
			`<!DOCTYPE x [<!ENTITY bomb "boom">]><xml>&bomb;</xml>`, strings.Repeat("<a>", 20), "<xml>" + strings.Repeat("<a/>", 300) + "</xml>", "<xml><![CDATA[x</xml>", "\xff<xml/>", "<1/>", "</xml>",
		} {
			if root, err := readXML([]byte(body)); err == nil {
				t.Errorf("%q is read as %+v", body, root)
			}
		}
	})

	t.Run("WhatIsWrittenIsReadAlikeByBothReaders", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			value := rapid.StringMatching(`[ -~一-龥\n]{0,30}(\]\]>)?[ -~]{0,5}`).Draw(t, "value")
			number := rapid.Int64().Draw(t, "number")
			var d document
			d.open("xml")
			d.text("A", value)
			d.number("N", number)
			d.close("xml")
			root, err := readXML(d.Bytes())
			if err != nil || root.value("A") != value || root.value("N") != nth(number) {
				t.Fatalf("%s is read as %+v (%v)", d.Bytes(), root, err)
			}
			var std struct {
				A string
				N int64
			}
			if err := xml.Unmarshal(d.Bytes(), &std); err != nil || std.A != value || std.N != number {
				t.Fatalf("%s is read as %+v (%v) by the other", d.Bytes(), std, err)
			}
		})
	})
}

func FuzzXML(f *testing.F) {
	f.Add([]byte("<xml><A><![CDATA[x]]></A><B>1&lt;</B><C/></xml>"))
	f.Add([]byte("<!DOCTYPE x><xml/>"))
	f.Fuzz(func(t *testing.T, body []byte) {
		root, err := readXML(body)
		if err != nil {
			return
		}
		var depth func(e *element) int
		depth = func(e *element) int {
			most := 0
			for _, k := range e.kids {
				most = max(most, depth(k))
			}
			return most + 1
		}
		if root.name == "" || depth(root) > maxDepth+1 {
			t.Errorf("%q is read as %+v", body, root)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("<xml><ToUserName>o</ToUserName><MsgType>text</MsgType><Content>x</Content></xml>"), true)
	f.Add([]byte("<xml><Encrypt>AAAA</Encrypt><MsgSignature>x</MsgSignature><TimeStamp>1</TimeStamp><Nonce>n</Nonce></xml>"), false)
	tw := newTwin(f, Config{Mode: Compatible})
	fan := tw.AddFan("小王")
	f.Fuzz(func(t *testing.T, body []byte, sealed bool) {
		if sealed {
			var d document
			encrypted := tw.box.seal(make([]byte, 16), body)
			d.open("xml")
			d.text("Encrypt", encrypted)
			d.text("MsgSignature", sign(tw.cfg.Token, "1", "n", encrypted))
			d.number("TimeStamp", 1)
			d.text("Nonce", "n")
			d.close("xml")
			body = d.Bytes()
		}
		if m, err := tw.readReply(fan, body); err == nil && m.By != ByAccount {
			t.Errorf("%q is read as %+v", body, m)
		}
	})
}

func FuzzOpen(f *testing.F) {
	tw := newTwin(f, Config{})
	f.Add(tw.box.seal(make([]byte, 16), []byte("hello")))
	f.Fuzz(func(t *testing.T, sealed string) {
		if msg, err := tw.box.open(sealed); err == nil && len(msg) > len(sealed) {
			t.Errorf("%d bytes came out of %d", len(msg), len(sealed))
		}
	})
}
