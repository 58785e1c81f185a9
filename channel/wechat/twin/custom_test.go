package twin

import (
	"strings"
	"testing"
	"time"
)

func TestCustomMessages(t *testing.T) {
	t.Parallel()

	t.Run("EveryKindIsShownOrRefused", func(t *testing.T) {
		h := open(t, Config{MiniPrograms: []string{"wx1111111111111111"}})
		image := h.wants(0, h.upload("image", picture(t))).text("media_id")
		thumb := h.wants(0, h.upload("thumb", picture(t))).text("thumb_media_id")
		voice := h.wants(0, h.upload("voice", []byte("#!AMR\nxxxx"))).text("media_id")
		video := h.wants(0, h.upload("video", append([]byte("\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom"), make([]byte, 64)...))).text("media_id")
		for _, one := range []struct {
			body string
			code int
			kind string // of the bubble
		}{
			{`"msgtype":"text","text":{"content":"你好"}`, 0, "text"},
			{`"msgtype":"text","text":{"content":""}`, 44004, ""},
			{`"msgtype":"text","text":{"content":"` + strings.Repeat("好", 682) + `"}`, 0, "text"},
			{`"msgtype":"text","text":{"content":"` + strings.Repeat("好", 683) + `"}`, 45002, ""},
			{`"msgtype":"image","image":{"media_id":"` + image + `"}`, 0, "image"},
			{`"msgtype":"image","image":{"media_id":"` + voice + `"}`, 40007, ""},
			{`"msgtype":"image","image":{}`, 41006, ""},
			{`"msgtype":"voice","voice":{"media_id":"` + voice + `"}`, 0, "voice"},
			{`"msgtype":"video","video":{"media_id":"` + video + `","title":"片"}`, 0, "video"},
			{`"msgtype":"music","music":{"title":"歌","musicurl":"https://example.com/a.mp3","thumb_media_id":"` + thumb + `"}`, 0, "music"},
			{`"msgtype":"news","news":{"articles":[{"title":"文","url":"https://example.com"}]}`, 0, "news"},
			{`"msgtype":"news","news":{"articles":[{"title":"文"},{"title":"文"}]}`, 45008, ""},
			{`"msgtype":"news","news":{"articles":[]}`, 44003, ""},
			{`"msgtype":"mpnews","mpnews":{"media_id":"x"}`, 40007, ""},
			{`"msgtype":"mpnewsarticle","mpnewsarticle":{"article_id":"x"}`, 0, "news"},
			{`"msgtype":"msgmenu","msgmenu":{"head_content":"h","list":[{"id":101,"content":"一"}],"tail_content":"t"}`, 0, "menu"},
			{`"msgtype":"msgmenu","msgmenu":{}`, 40035, ""},
			{`"msgtype":"wxcard","wxcard":{"card_id":"c"}`, 0, "card"},
			{`"msgtype":"miniprogrampage","miniprogrampage":{"title":"商城","appid":"wx1111111111111111","pagepath":"p","thumb_media_id":"` + image + `"}`, 0, "card"},
			{`"msgtype":"miniprogrampage","miniprogrampage":{"title":"商城","appid":"wx2222222222222222","pagepath":"p","thumb_media_id":"` + image + `"}`, 40013, ""},
			{`"msgtype":"gossip"`, 40008, ""},
		} {
			f := h.follower("小王")
			h.wants(one.code, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`",`+one.body+`}`))
			if one.kind != "" {
				if m := lastOf(t, f); m.Type != one.kind || m.Way != ViaCustom {
					t.Errorf("%s shows as %+v", one.body, m)
				}
			}
		}
		h.wants(40003, h.call("/cgi-bin/message/custom/send", `{"touser":"o","msgtype":"text","text":{"content":"a"}}`))
	})

	t.Run("EscapesShowAsTheyAreWritten", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		h.wants(0, h.call("/cgi-bin/message/custom/send", `{"touser":"`+f.OpenID+`","msgtype":"text","text":{"content":"a\u0026b \\u \n<c>"}}`))
		if m := lastOf(t, f); m.Text != "a\\u0026b \\u \n<c>" {
			t.Errorf("it shows %q", m.Text)
		}
	})

	t.Run("TypingNeedsSomeoneWhoJustActed", func(t *testing.T) {
		h := open(t, Config{})
		f := h.follower("小王")
		typing := func(command string) answered {
			return h.call("/cgi-bin/message/custom/typing", `{"touser":"`+f.OpenID+`","command":"`+command+`"}`)
		}
		h.wants(0, typing("Typing"))
		if !f.State().Typing {
			t.Error("nothing shows")
		}
		h.wants(45081, typing("Typing"))
		h.wants(0, h.sendText(f, "hi"))
		if f.State().Typing {
			t.Error("it shows on after a message")
		}
		h.wants(0, typing("Typing"))
		h.wants(0, typing("CancelTyping"))
		h.wants(45072, typing("Dance"))
		h.clock.Advance(31 * time.Second)
		h.wants(45080, typing("Typing"))
	})
}
