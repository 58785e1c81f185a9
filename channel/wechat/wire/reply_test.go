package wire

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestReply(t *testing.T) {
	t.Parallel()
	p := Push{To: account, From: person}
	at := time.Unix(1795333202, 0)

	t.Run("ATextIsTheVectorsToTheByte", func(t *testing.T) {
		v := vectors(t)["passive_reply_encrypted"]
		if got := string(TextReply(p, at, "欢迎！你的专属海报正在生成…")); got != v.Plain {
			t.Fatalf("%s\n%s", got, v.Plain)
		}
	})
	head := "<xml><ToUserName><![CDATA[" + person + "]]></ToUserName><FromUserName><![CDATA[" + account + "]]></FromUserName><CreateTime>1795333202</CreateTime>"
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"AnImage":            {ImageReply(p, at, "M-1"), "<MsgType><![CDATA[image]]></MsgType><Image><MediaId><![CDATA[M-1]]></MediaId></Image></xml>"},
		"AHandOver":          {HandOver(p, at, ""), "<MsgType><![CDATA[transfer_customer_service]]></MsgType></xml>"},
		"AHandOverToSomeone": {HandOver(p, at, "kf1@x"), "<MsgType><![CDATA[transfer_customer_service]]></MsgType><TransInfo><KfAccount><![CDATA[kf1@x]]></KfAccount></TransInfo></xml>"},
	} {
		t.Run(name, func(t *testing.T) {
			if string(c.got) != head+c.want {
				t.Fatalf("%s", c.got)
			}
		})
	}

	t.Run("AnyTextArrivesAsItIs", func(t *testing.T) {
		for _, text := range []string{
			"]]>", "a]]>b]]>c", "]]]]>>", "]]", "<![CDATA[x]]>", "</Content></xml>", "a & b < c > d", "第一行\n第二行", `<a href="https://e/?a=1&b=2">看</a>`,
		} {
			root, err := readXML(TextReply(p, at, text), marked)
			if err != nil || root.str("Content") != text || len(root.kids) != 5 {
				t.Errorf("%q came as %q, %v", text, root.str("Content"), err)
			}
		}
	})

	t.Run("WhateverTheTextTheReplyIsWellFormed", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { wellFormed(t, rapid.String().Draw(t, "text")) })
	})
}

// wellFormed checks a reply with the text from outside to inside.
func wellFormed(t rapid.TB, text string) {
	t.Helper()
	root, err := readXML(TextReply(Push{To: account, From: person}, time.Unix(1, 0), text), marked)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if got := root.str("Content"); len(got) > MaxTextBytes || strings.ContainsRune(got, 0) {
		t.Fatalf("%q came as %q", text, got)
	}
	if root.str("ToUserName") != person || len(root.kids) != 5 {
		t.Fatalf("%q changed the reply", text)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	family := "👨‍👩‍👧‍👦" // one picture, seven code points
	for name, c := range map[string]struct{ text, want string }{
		"600 characters stay":         {strings.Repeat("海", 600), strings.Repeat("海", 600)},
		"601 become 599 and a mark":   {strings.Repeat("海", 601), strings.Repeat("海", 599) + "…"},
		"2048 letters stay":           {strings.Repeat("a", 2048), strings.Repeat("a", 2048)},
		"2049 letters are cut":        {strings.Repeat("a", 2049), strings.Repeat("a", 2045) + "…"},
		"no half family":              {strings.Repeat("a", 2040) + family, strings.Repeat("a", 2040) + "…"},
		"no half flag":                {strings.Repeat("a", 2041) + "🇨🇳🇨🇳", strings.Repeat("a", 2041) + "…"},
		"a whole flag stays":          {strings.Repeat("a", 2035) + "🇨🇳🇨🇳", strings.Repeat("a", 2035) + "🇨🇳…"},
		"no lost skin tone":           {strings.Repeat("a", 2040) + "👍🏽 and on", strings.Repeat("a", 2040) + "…"},
		"no lost accent":              {strings.Repeat("a", 2044) + "e\u0301 and on", strings.Repeat("a", 2044) + "…"},
		"no half link":                {strings.Repeat("a", 2000) + ` <a href="https://example.com/c/7?inviter=u1">看这里</a> 好`, strings.Repeat("a", 2000) + "…"},
		"accents without end are cut": {"a" + strings.Repeat("\u0301", 2000), "a" + strings.Repeat("\u0301", 599) + "…"},
		"no space before the mark":    {strings.Repeat("a", 2040) + "      " + strings.Repeat("b", 9), strings.Repeat("a", 2040) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Cut(c.text); got != c.want {
				t.Fatalf("%d bytes, ends %q", len(got), got[max(0, len(got)-30):])
			}
		})
	}

	t.Run("WhatIsCutFitsAndIsWhole", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			text := strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(1, 200).Draw(t, "times"))
			got := Cut(text)
			wide := 0
			for _, r := range got {
				if r >= utf8.RuneSelf {
					wide++
				}
			}
			if len(got) > MaxTextBytes || wide > MaxTextWide || !utf8.ValidString(got) {
				t.Fatalf("%d bytes, %d wide", len(got), wide)
			}
		})
	})
}
