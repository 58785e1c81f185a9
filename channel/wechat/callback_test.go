package wechat_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"kfactor/channel/wechat/twin"
	"kfactor/channel/wechat/wire"
	"kfactor/internal/database/databasetest"
)

// call is a call of the account main, written by hand.
type call struct {
	method    string
	stamp     time.Time
	nonce     string
	token     string // signs
	signature string // in place of the right one
	query     url.Values
	body      []byte
}

// do makes a call and gives status and body.
func (h *house) do(c call) (int, string) {
	h.t.Helper()
	return h.doAt(h.server.URL, c)
}

// doAt makes a call of one of several processes.
func (h *house) doAt(server string, c call) (int, string) {
	h.t.Helper()
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.stamp.IsZero() {
		c.stamp = h.clock.Now()
	}
	if c.nonce == "" {
		c.nonce = "n" + strconv.FormatInt(time.Now().UnixNano(), 10)
	}
	if c.token == "" {
		c.token = h.twins["main"].Config().Token
	}
	stamp := strconv.FormatInt(c.stamp.Unix(), 10)
	if c.signature == "" {
		c.signature = wire.Signature(c.token, stamp, c.nonce)
	}
	q := url.Values{"timestamp": {stamp}, "nonce": {c.nonce}, "signature": {c.signature}}
	for name, values := range c.query {
		q[name] = values
	}
	request, err := http.NewRequestWithContext(h.ctx(), c.method, server+"/wechat/main?"+q.Encode(), bytes.NewReader(c.body))
	if err != nil {
		h.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		h.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// pushed is a push in the open; more are elements beside those that all have.
func (h *house) pushed(from string, more string) []byte {
	return fmt.Appendf(nil, "<xml><ToUserName><![CDATA[%s]]></ToUserName><FromUserName><![CDATA[%s]]></FromUserName><CreateTime>%d</CreateTime>%s</xml>",
		h.twins["main"].Config().OriginalID, from, h.clock.Now().Unix(), more)
}

func text(id int, said string) string {
	return fmt.Sprintf("<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[%s]]></Content><MsgId>%d</MsgId>", said, id)
}

func happened(name, key string) string {
	return fmt.Sprintf("<MsgType><![CDATA[event]]></MsgType><Event><![CDATA[%s]]></Event><EventKey><![CDATA[%s]]></EventKey>", name, key)
}

// seal encrypts a push as the platform does.
func (h *house) seal(body []byte, appID, nonce string) (envelope []byte, query url.Values) {
	h.t.Helper()
	c := h.twins["main"].Config()
	if appID == "" {
		appID = c.AppID
	}
	crypt, err := wire.NewCrypt(c.Token, c.AESKey, appID)
	if err != nil {
		h.t.Fatal(err)
	}
	envelope, err = crypt.Seal(body, h.clock.Now().Unix(), nonce)
	if err != nil {
		h.t.Fatal(err)
	}
	return envelope, url.Values{"encrypt_type": {"aes"}, "msg_signature": {signatureIn(envelope)}}
}

// kept is how many pushes were kept.
func (h *house) kept() int64 {
	h.t.Helper()
	var n int64
	if err := h.db.Table("channel_pushes").Count(&n).Error; err != nil {
		h.t.Fatal(err)
	}
	return n
}

func TestCallback(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t), plain, "main")
	h.launch(definition())
	const alice = "oAlice0000000000000000000001"

	t.Run("TheCheckOfTheAddressIsEchoed", func(t *testing.T) {
		status, body := h.do(call{method: http.MethodGet, query: url.Values{"echostr": {"4711<x>"}}})
		if status != http.StatusOK || body != "4711<x>" {
			t.Errorf("%d %q", status, body)
		}
	})
	t.Run("AForgedCheckIsNot", func(t *testing.T) {
		status, body := h.do(call{method: http.MethodGet, token: "other", query: url.Values{"echostr": {"4711"}}})
		if status != http.StatusForbidden || body != "" {
			t.Errorf("%d %q", status, body)
		}
	})
	t.Run("OtherMethodsAreNotAllowed", func(t *testing.T) {
		if status, _ := h.do(call{method: http.MethodPut}); status != http.StatusMethodNotAllowed {
			t.Error(status)
		}
	})
	t.Run("AnUnknownChannelIsNotThere", func(t *testing.T) {
		answer, err := http.Get(h.server.URL + "/wechat/other")
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusNotFound || h.Callback("other") == nil {
			t.Error(answer.StatusCode)
		}
	})

	refused := []struct {
		name   string
		call   call
		status int
	}{
		{"AWrongSignature", call{token: "other", body: h.pushed(alice, text(1, "领海报"))}, http.StatusForbidden},
		{"NoSignature", call{query: url.Values{"signature": {""}}, body: h.pushed(alice, text(1, "领海报"))}, http.StatusForbidden},
		{"AnOldTimeStamp", call{stamp: began.Add(-301 * time.Second), body: h.pushed(alice, text(1, "领海报"))}, http.StatusForbidden},
		{"ATimeStampToCome", call{stamp: began.Add(301 * time.Second), body: h.pushed(alice, text(1, "领海报"))}, http.StatusForbidden},
		{"TenMegabytes", call{body: bytes.Repeat([]byte("x"), 10<<20)}, http.StatusRequestEntityTooLarge},
		{"NoXML", call{body: []byte(`{"xml":1}`)}, http.StatusBadRequest},
		{"Nothing", call{}, http.StatusBadRequest},
		{"AnEntityBomb", call{body: []byte(`<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><xml><FromUserName>&b;</FromUserName></xml>`)}, http.StatusBadRequest},
		{"ADeepNest", call{body: []byte(strings.Repeat("<a>", 5000) + strings.Repeat("</a>", 5000))}, http.StatusBadRequest},
		{"ALongSender", call{body: h.pushed(strings.Repeat("o", 65), text(1, "hi"))}, http.StatusBadRequest},
		{"AnEncryptedPushToAPlainAccount", call{query: url.Values{"encrypt_type": {"aes"}}, body: []byte("<xml><Encrypt>x</Encrypt></xml>")}, http.StatusForbidden},
		{"AnotherAccountsPush", call{body: bytes.Replace(h.pushed(alice, text(1, "hi")), []byte("gh_"), []byte("gx_"), 1)}, http.StatusForbidden},
	}
	for _, r := range refused {
		t.Run(r.name+"IsRefused", func(t *testing.T) {
			if status, body := h.do(r.call); status != r.status || body != "" {
				t.Errorf("%d %q", status, body)
			}
			if n := h.kept(); n != 0 {
				t.Errorf("%d pushes are kept", n)
			}
		})
	}

	t.Run("ASignatureIsGoodForOneBody", func(t *testing.T) {
		first := call{nonce: "once", body: h.pushed(alice, text(2, "领海报"))}
		status, reply := h.do(first)
		if status != http.StatusOK || !strings.Contains(reply, "专属海报") {
			t.Fatalf("%d %q", status, reply)
		}
		if status, again := h.do(first); status != http.StatusOK || again != reply {
			t.Errorf("the same again: %d %q", status, again)
		}
		if status, _ := h.do(call{nonce: "once", body: h.pushed(alice, text(3, "领海报"))}); status != http.StatusForbidden {
			t.Errorf("another body: %d", status)
		}
		if status, again := h.do(call{nonce: "twice", body: first.body}); status != http.StatusOK || again != reply {
			t.Errorf("the same under another nonce: %d %q", status, again)
		}
		if n := h.kept(); n != 1 {
			t.Errorf("%d pushes are kept", n)
		}
		h.settle()
	})

	t.Run("WhatNobodyKnowsIsAnsweredAndForgotten", func(t *testing.T) {
		before := h.kept()
		for _, more := range []string{
			happened("something_new", "x"), happened("VIEW", "https://x.example"), happened("LOCATION", ""), happened("TEMPLATESENDJOBFINISH", ""),
			"<MsgType>hologram</MsgType><MsgId>99</MsgId>",
		} {
			if status, body := h.do(call{body: h.pushed(alice, more)}); status != http.StatusOK || body != "success" {
				t.Errorf("%s: %d %q", more, status, body)
			}
		}
		if h.kept() != before {
			t.Error("something is kept")
		}
	})

	t.Run("ASceneThatIsNoCodeOfOursIsAPlainFollow", func(t *testing.T) {
		for i, scene := range []string{"qrscene_0", "qrscene_123", "qrscene_ABCDEFGHJK", "qrscene_<script>", "last_trade_no_1", "qrscene_"} {
			if status, _ := h.do(call{body: h.pushed(fmt.Sprintf("oStranger%d", i), happened("subscribe", scene))}); status != http.StatusOK {
				t.Errorf("%s: %d", scene, status)
			}
		}
		h.settle()
		for _, o := range h.outcomes("c") {
			if o != "subscribe no_inviter" {
				t.Error(o)
			}
		}
	})
}

// begin calls the account main, signed by a token, and sends half of the body.
func (h *house) begin(token, nonce string, body []byte) net.Conn {
	h.t.Helper()
	conn, err := new(net.Dialer).DialContext(h.ctx(), "tcp", h.server.Listener.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	stamp := strconv.FormatInt(h.clock.Now().Unix(), 10)
	_, err = fmt.Fprintf(conn, "POST /wechat/main?timestamp=%s&nonce=%s&signature=%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s",
		stamp, nonce, wire.Signature(token, stamp, nonce), len(body), body[:len(body)/2])
	if err != nil {
		h.t.Fatal(err)
	}
	return conn
}

func TestSlowSenders(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t), plain, "main")
	h.launch(definition())
	push := h.pushed("oMallory00000000000000000001", text(1, "领海报"))
	const slow = 40
	began := time.Now()
	answers := make(chan int, slow)
	for range slow {
		conn := h.begin(h.twins["main"].Config().Token, "seen", push)
		go func() {
			_ = conn.SetReadDeadline(began.Add(20 * time.Second))
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				answers <- 0
				return
			}
			answer.Body.Close()
			answers <- answer.StatusCode
		}()
	}
	// Who signs wrongly is answered before the body has come.
	unsigned := h.begin("guessed", "wrong", push)
	_ = unsigned.SetReadDeadline(began.Add(20 * time.Second))
	if answer, err := http.ReadResponse(bufio.NewReader(unsigned), nil); err != nil || answer.StatusCode != http.StatusForbidden || !answer.Close {
		t.Errorf("%+v %v", answer, err)
	} else {
		answer.Body.Close()
	}
	// Most of them are sent away at once, and none keeps an honest push.
	statuses := map[int]int{}
	for range slow - 8 {
		statuses[<-answers]++
	}
	if statuses[http.StatusServiceUnavailable] != slow-8 {
		t.Errorf("%v, where all but 8 are answered 503", statuses)
	}
	for n := range 20 {
		body := h.pushed(fmt.Sprintf("oAnn%024d", n), text(100+n, "领海报"))
		if status, reply := h.do(call{nonce: fmt.Sprint("honest", n), body: body}); status != http.StatusOK || !strings.Contains(reply, "专属海报") {
			t.Errorf("%d %q", status, reply)
		}
	}
	clear(statuses)
	for range 8 {
		statuses[<-answers]++
	}
	if statuses[http.StatusRequestTimeout] != 8 {
		t.Errorf("%v, where 8 are given up", statuses)
	}
	if status, _ := h.do(call{nonce: "seen", body: push}); status != http.StatusOK {
		t.Errorf("%d under the signature that they have left", status)
	}
}

func TestEncryptedCallback(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t), nil, "main")
	h.launch(definition())
	push := h.pushed("oAlice0000000000000000000001", text(1, "领海报"))
	envelope, query := h.seal(push, "", "n1")

	t.Run("AChangedByteAnywhereIsRefused", func(t *testing.T) {
		for at := range envelope {
			changed := bytes.Clone(envelope)
			if changed[at] ^= 1; changed[at] == '\n' {
				continue
			}
			// What is changed outside the cipher text may leave the push as it was.
			status, body := h.do(call{nonce: "n1", query: query, body: changed})
			inside := at > bytes.Index(envelope, []byte("CDATA["))+5 && at < bytes.Index(envelope, []byte("]]>"))
			if inside && status == http.StatusOK {
				t.Fatalf("byte %d: %d %q", at, status, body)
			}
		}
	})
	t.Run("AnotherAccountInsideIsRefused", func(t *testing.T) {
		other, q := h.seal(push, "wx00000000000000ff", "n2")
		if status, _ := h.do(call{nonce: "n2", query: q, body: other}); status != http.StatusForbidden {
			t.Error(status)
		}
	})
	t.Run("AnotherMessageSignatureIsRefused", func(t *testing.T) {
		q := url.Values{"encrypt_type": {"aes"}, "msg_signature": {strings.Repeat("0", 40)}}
		if status, _ := h.do(call{nonce: "n1", query: q, body: envelope}); status != http.StatusForbidden {
			t.Error(status)
		}
	})
	t.Run("APushInTheOpenIsRefused", func(t *testing.T) {
		if status, _ := h.do(call{body: push}); status != http.StatusForbidden {
			t.Error(status)
		}
	})
	t.Run("InCompatibleModeTheEncryptedPartCounts", func(t *testing.T) {
		both := bytes.Replace(envelope, []byte("<xml>"), []byte("<xml><ToUserName>gh_x</ToUserName><FromUserName>oMallory</FromUserName><MsgType>text</MsgType><Content>x</Content>"), 1)
		status, reply := h.do(call{nonce: "n1", query: query, body: both})
		if status != http.StatusOK || !strings.Contains(reply, "<Encrypt>") || strings.Contains(reply, "Mallory") {
			t.Errorf("%d %q", status, reply)
		}
	})
}

func TestCompatibleMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []twin.Mode{twin.Plain, twin.Compatible, twin.Secure} {
		t.Run(string(mode), func(t *testing.T) {
			h := open(t, databasetest.SQLite(t), func(_ string, c *twin.Config) { c.Mode = mode }, "main")
			h.launch(definition())
			ann := h.twins["main"].AddFan("安")
			h.follow(ann, "")
			equal(t, seen(t, ann), []string{"reply text 这是你的专属海报。"})
		})
	}
}
