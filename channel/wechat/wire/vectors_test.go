package wire

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
)

// vector is one of testdata/vectors.json: computed with other tools than this package's.
type vector struct {
	Token        string `json:"token"`
	AESKey       string `json:"encoding_aes_key"`
	KeyHex       string `json:"aes_key_hex"`
	AppID        string `json:"appid"`
	Random       string `json:"random_16_ascii"`
	Timestamp    string `json:"timestamp"`
	Nonce        string `json:"nonce"`
	Signature    string `json:"signature"`
	QuerySig     string `json:"signature_query"`
	MsgSignature string `json:"msg_signature"`
	Plain        string `json:"plaintext_xml"`
	Encrypt      string `json:"encrypt_base64"`
	Target       string `json:"http_request_target"`
	Body         string `json:"http_body_secure_mode"`
	Response     string `json:"http_response_body"`
}

func vectors(t testing.TB) map[string]vector {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]vector
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func (v vector) crypt(t testing.TB) *Crypt {
	t.Helper()
	c, err := NewCrypt(v.Token, v.AESKey, v.AppID)
	if err != nil {
		t.Fatal(err)
	}
	if v.Random != "" {
		c.Random = strings.NewReader(v.Random)
	}
	return c
}

func TestVectors(t *testing.T) {
	t.Parallel()
	all := vectors(t)

	t.Run("TheHandshakeIsSigned", func(t *testing.T) {
		v := all["url_verification"]
		if got := Signature(v.Token, v.Timestamp, v.Nonce); got != v.Signature {
			t.Fatalf("signature %s, want %s", got, v.Signature)
		}
		c, err := NewCrypt(v.Token, "", "wx0123456789abcdef")
		if err != nil {
			t.Fatal(err)
		}
		if !c.Signed(v.Signature, v.Timestamp, v.Nonce) {
			t.Fatal("the vector's handshake is refused")
		}
		if c.Signed(v.Signature, v.Timestamp, v.Nonce+"1") || c.Signed("", v.Timestamp, v.Nonce) {
			t.Fatal("another handshake is taken")
		}
	})

	for _, name := range []string{"incoming_encrypted_1", "incoming_encrypted_2"} {
		v := all[name]
		t.Run("APushIsOpened/"+name, func(t *testing.T) {
			c := v.crypt(t)
			if hex.EncodeToString(c.key) != v.KeyHex {
				t.Fatalf("key %x, want %s", c.key, v.KeyHex)
			}
			target, err := url.Parse(v.Target)
			if err != nil {
				t.Fatal(err)
			}
			q := target.Query()
			if !c.Signed(q.Get("signature"), q.Get("timestamp"), q.Get("nonce")) {
				t.Fatal("the request's signature is refused")
			}
			plain, err := c.Open(q.Get("msg_signature"), q.Get("timestamp"), q.Get("nonce"), []byte(v.Body))
			if err != nil || string(plain) != v.Plain {
				t.Fatalf("%q, %v", plain, err)
			}
			p, err := Parse(plain)
			if err != nil || p.From != q.Get("openid") {
				t.Fatalf("%+v, %v", p, err)
			}
		})
		t.Run("APlainPushIsReadInPlainMode/"+name, func(t *testing.T) {
			c, err := NewCrypt(v.Token, "", v.AppID)
			if err != nil {
				t.Fatal(err)
			}
			if c.Encrypted() || !c.Signed(v.QuerySig, v.Timestamp, v.Nonce) {
				t.Fatal("the request's signature is refused")
			}
			plain, err := c.Open("", v.Timestamp, v.Nonce, []byte(v.Plain))
			if err != nil || string(plain) != v.Plain {
				t.Fatalf("%q, %v", plain, err)
			}
			if _, err := Parse([]byte(v.Body)); !errors.Is(err, ErrSealed) {
				t.Fatalf("a sealed push in plain mode: %v", err)
			}
		})
	}

	for name, v := range all {
		if v.Encrypt == "" {
			continue
		}
		t.Run("SealingGivesTheSameBytes/"+name, func(t *testing.T) {
			text, err := v.crypt(t).encrypt([]byte(v.Plain))
			if err != nil || text != v.Encrypt {
				t.Fatalf("%s, %v", text, err)
			}
			plain, err := v.crypt(t).decrypt(v.Encrypt)
			if err != nil || string(plain) != v.Plain {
				t.Fatalf("%q, %v", plain, err)
			}
			if v.MsgSignature != "" && Signature(v.Token, v.Timestamp, v.Nonce, v.Encrypt) != v.MsgSignature {
				t.Fatal("another msg_signature")
			}
		})
	}

	t.Run("AReplyIsSealedToTheByte", func(t *testing.T) {
		v := all["passive_reply_encrypted"]
		at, _ := strconv.ParseInt(v.Timestamp, 10, 64)
		got, err := v.crypt(t).Seal([]byte(v.Plain), at, v.Nonce)
		if err != nil || string(got) != v.Response {
			t.Fatalf("%s, %v", got, err)
		}
		plain, err := v.crypt(t).Open(v.MsgSignature, v.Timestamp, v.Nonce, got)
		if err != nil || string(plain) != v.Plain {
			t.Fatalf("%q, %v", plain, err)
		}
	})
}
