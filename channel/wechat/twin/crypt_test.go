package twin

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"pgregory.net/rapid"
)

// vector is one entry of testdata/vectors.json: numbers computed apart from this code.
type vector struct {
	Token     string `json:"token"`
	AESKey    string `json:"encoding_aes_key"`
	AppID     string `json:"appid"`
	Random    string `json:"random_16_ascii"`
	Timestamp string `json:"timestamp"`
	Nonce     string `json:"nonce"`
	Plain     string `json:"plaintext_xml"`
	Encrypted string `json:"encrypt_base64"`
	Signature string `json:"signature_query"`
	Message   string `json:"msg_signature"`
	Target    string `json:"http_request_target"`
	Secure    string `json:"http_body_secure_mode"`
	Reply     string `json:"http_response_body"`
}

func vectors(t *testing.T) map[string]json.RawMessage {
	t.Helper()
	body, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(body, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func vectorOf[T any](t *testing.T, name string) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(vectors(t)[name], &v); err != nil {
		t.Fatal(name, err)
	}
	return v
}

func TestCrypt(t *testing.T) {
	t.Parallel()

	t.Run("TheHandshakeIsSignedAsThePlatformSignsIt", func(t *testing.T) {
		v := vectorOf[struct{ Token, Timestamp, Nonce, Signature string }](t, "url_verification")
		if got := sign(v.Token, v.Timestamp, v.Nonce); got != v.Signature {
			t.Errorf("got %s, not %s", got, v.Signature)
		}
	})

	for _, name := range []string{"incoming_encrypted_1", "incoming_encrypted_2", "passive_reply_encrypted", "padding_edge", "tencent_public_sample"} {
		t.Run("TheVectorHoldsBothWays/"+name, func(t *testing.T) {
			v := vectorOf[vector](t, name)
			b, err := newBox(v.AESKey, v.AppID)
			if err != nil {
				t.Fatal(err)
			}
			sealed := b.seal([]byte(v.Random), []byte(v.Plain))
			if sealed != v.Encrypted {
				t.Errorf("sealed as %s, not %s", sealed, v.Encrypted)
			}
			opened, err := b.open(v.Encrypted)
			if err != nil || string(opened) != v.Plain {
				t.Errorf("opened as %s (%v)", opened, err)
			}
			if v.Signature != "" && sign(v.Token, v.Timestamp, v.Nonce) != v.Signature {
				t.Error("the signature differs")
			}
			if v.Message != "" && sign(v.Token, v.Timestamp, v.Nonce, v.Encrypted) != v.Message {
				t.Error("the message's signature differs")
			}
		})
	}

	t.Run("AnEncryptedReplyIsReadFromItsEnvelope", func(t *testing.T) {
		v := vectorOf[vector](t, "passive_reply_encrypted")
		tw := newTwin(t, Config{AppID: v.AppID, Token: v.Token, AESKey: v.AESKey, OriginalID: "gh_0123456789ab", Mode: Secure})
		f := tw.AddFan("小王")
		f.OpenID = "oFissionUser0001AbCdEfGhIjKl"
		m, err := tw.readReply(f, []byte(v.Reply))
		if err != nil || m.Text != "欢迎！你的专属海报正在生成…" {
			t.Errorf("read %+v (%v)", m, err)
		}
	})

	t.Run("AnyChangedByteIsNoticed", func(t *testing.T) {
		v := vectorOf[vector](t, "passive_reply_encrypted")
		tw := newTwin(t, Config{AppID: v.AppID, Token: v.Token, AESKey: v.AESKey, OriginalID: "gh_0123456789ab", Mode: Secure})
		f := tw.AddFan("小王")
		f.OpenID = "oFissionUser0001AbCdEfGhIjKl"
		from, to := bytes.Index([]byte(v.Reply), []byte("[CDATA[")), bytes.LastIndex([]byte(v.Reply), []byte("]]>"))
		for i := from + 7; i < to; i++ {
			changed := []byte(v.Reply)
			changed[i] ^= 1
			if m, err := tw.readReply(f, changed); err == nil {
				t.Fatalf("byte %d changed and read all the same: %+v", i, m)
			}
		}
	})

	t.Run("WhateverIsSealedOpens", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			b, err := newBox(rapid.StringMatching(`[A-Za-z0-9]{43}`).Draw(t, "key"), "wx0123456789abcdef")
			if err != nil {
				t.Fatal(err)
			}
			msg := rapid.SliceOf(rapid.Byte()).Draw(t, "msg")
			random := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "random")
			opened, err := b.open(b.seal(random, msg))
			if err != nil || !bytes.Equal(opened, msg) {
				t.Fatalf("opened as %q (%v)", opened, err)
			}
		})
	})

	t.Run("AMessageForAnotherAccountStaysShut", func(t *testing.T) {
		v := vectorOf[vector](t, "incoming_encrypted_1")
		b, err := newBox(v.AESKey, "wxffffffffffffffff")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.open(v.Encrypted); err == nil {
			t.Error("it opened")
		}
	})
}
