package wire

import (
	"bytes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOpen(t *testing.T) {
	t.Parallel()
	v := vectors(t)["incoming_encrypted_1"]
	c := v.crypt(t)
	c.Random = nil

	envelope := func(text string) []byte {
		return []byte("<xml><ToUserName><![CDATA[gh_0123456789ab]]></ToUserName><Encrypt><![CDATA[" + text + "]]></Encrypt></xml>")
	}
	// resigned opens a text that carries a true signature, as only the platform could make it.
	resigned := func(text string) ([]byte, error) {
		return c.Open(Signature(v.Token, v.Timestamp, v.Nonce, text), v.Timestamp, v.Nonce, envelope(text))
	}
	// sealed encrypts raw as it is, for what an honest sender would never make.
	sealed := func(raw []byte) string {
		out := bytes.Clone(raw)
		cipher.NewCBCEncrypter(c.block, c.key[:16]).CryptBlocks(out, out)
		return base64.StdEncoding.EncodeToString(out)
	}
	raw := func(size uint32, message, appID string, pad func(missing int) []byte) []byte {
		b := binary.BigEndian.AppendUint32(bytes.Repeat([]byte("r"), 16), size)
		b = append(append(b, message...), appID...)
		return append(b, pad(padBlock-len(b)%padBlock)...)
	}
	honest := func(missing int) []byte { return bytes.Repeat([]byte{byte(missing)}, missing) }

	t.Run("ATextChangedAtAnyByteIsRefused", func(t *testing.T) {
		body := []byte(v.Body)
		start := strings.Index(v.Body, v.Encrypt)
		for i := start; i < start+len(v.Encrypt); i++ {
			for _, bit := range []byte{0x01, 0x20, 0x80, 0xFF} {
				forged := bytes.Clone(body)
				forged[i] ^= bit
				if plain, err := c.Open(v.MsgSignature, v.Timestamp, v.Nonce, forged); err == nil {
					t.Fatalf("byte %d with %#x: opened %q", i, bit, plain)
				}
			}
		}
	})

	t.Run("AnythingSlippedIntoTheTextIsRefused", func(t *testing.T) {
		for _, extra := range []string{"\x01", "\n", " ", "=", "\x00", "&#10;", "<!-- -->", "]]><![CDATA[ ]]><![CDATA["} {
			text := v.Encrypt[:40] + extra + v.Encrypt[40:]
			if plain, err := c.Open(v.MsgSignature, v.Timestamp, v.Nonce, envelope(text)); err == nil {
				t.Errorf("%q: opened %q", extra, plain)
			}
		}
	})

	t.Run("TheOtherSignedValuesChangedAreRefused", func(t *testing.T) {
		for _, q := range [][3]string{
			{"", v.Timestamp, v.Nonce},
			{strings.ToUpper(v.MsgSignature), v.Timestamp, v.Nonce},
			{v.QuerySig, v.Timestamp, v.Nonce},
			{v.MsgSignature + "0", v.Timestamp, v.Nonce},
			{v.MsgSignature, "1795333202", v.Nonce},
			{v.MsgSignature, v.Timestamp, "904172336"},
			{v.MsgSignature, v.Timestamp, ""},
		} {
			if _, err := c.Open(q[0], q[1], q[2], []byte(v.Body)); !errors.Is(err, ErrForged) {
				t.Errorf("%v: %v", q, err)
			}
		}
	})

	t.Run("SignedRubbishIsRefusedWithOneError", func(t *testing.T) {
		zeros := func(missing int) []byte { return make([]byte, missing) }
		tooMuch := func(missing int) []byte { return bytes.Repeat([]byte{33}, missing) }
		unlike := func(missing int) []byte {
			b := honest(missing)
			b[0] ^= 1
			return b
		}
		for name, text := range map[string]string{
			"another app id":       sealed(raw(3, "abc", "wx0123456789abcdee", honest)),
			"no app id":            sealed(raw(3, "abc", "", honest)),
			"a longer app id":      sealed(raw(3, "abc", v.AppID+"0", honest)),
			"a length beyond":      sealed(raw(4000, "abc", v.AppID, honest)),
			"the largest length":   sealed(raw(1<<32-1, "abc", v.AppID, honest)),
			"a length into the id": sealed(raw(4, "abc", v.AppID, honest)),
			"padding of zeros":     sealed(raw(3, "abc", v.AppID, zeros)),
			"padding beyond":       sealed(raw(3, "abc", v.AppID, tooMuch)),
			"unlike padding":       sealed(raw(3, "abc", v.AppID, unlike)),
			"padding and no more":  sealed(bytes.Repeat([]byte{32}, 32)),
			"half a block":         base64.StdEncoding.EncodeToString(make([]byte, 16)),
			"nothing":              "",
			"no base64":            "!!!!",
		} {
			if plain, err := resigned(text); err != ErrForged { //nolint:errorlint // the very same error, with nothing wrapped around it
				t.Errorf("%s: %q, %v", name, plain, err)
			}
		}
		if plain, err := resigned(sealed(raw(3, "abc", v.AppID, honest))); err != nil || string(plain) != "abc" {
			t.Fatalf("the honest one: %q, %v", plain, err)
		}
	})

	t.Run("ASignedTextWithAnyByteChangedNeverOpensAsTheSame", func(t *testing.T) {
		cipherText, _ := base64.StdEncoding.DecodeString(v.Encrypt)
		for i := range cipherText {
			changed := bytes.Clone(cipherText)
			changed[i] ^= 0x01
			plain, err := resigned(base64.StdEncoding.EncodeToString(changed))
			if err == nil && i >= 16 && string(plain) == v.Plain {
				t.Fatalf("byte %d changed nothing", i)
			}
		}
	})

	t.Run("InCompatibleModeOnlyTheSealedPartIsBelieved", func(t *testing.T) {
		both := strings.Replace(v.Body, "<Encrypt>", "<FromUserName>oSomebodyElse</FromUserName><MsgType>text</MsgType><Content>\x02]</Content><Encrypt>", 1)
		plain, err := c.Open(v.MsgSignature, v.Timestamp, v.Nonce, []byte(both))
		if err != nil || string(plain) != v.Plain {
			t.Fatalf("%q, %v", plain, err)
		}
	})

	t.Run("AnEnvelopeWithoutOneTextIsMalformed", func(t *testing.T) {
		for _, body := range []string{
			v.Plain, "", "{}", "<xml/>",
			"<xml><Encrypt>" + v.Encrypt + "</Encrypt><Encrypt>" + v.Encrypt + "</Encrypt></xml>",
			"<xml><a><Encrypt>" + v.Encrypt + "</Encrypt></a></xml>",
		} {
			if _, err := c.Open(v.MsgSignature, v.Timestamp, v.Nonce, []byte(body)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%.60q: %v", body, err)
			}
		}
	})

	t.Run("SpaceAroundTheTextDoesNotMatter", func(t *testing.T) {
		spaced := "<xml>\n <Encrypt>\n  <![CDATA[" + v.Encrypt + "]]>\n </Encrypt>\n</xml>\n"
		if _, err := c.Open(v.MsgSignature, v.Timestamp, v.Nonce, []byte(spaced)); err != nil {
			t.Fatal(err)
		}
	})
}

func TestSeal(t *testing.T) {
	t.Parallel()
	v := vectors(t)["incoming_encrypted_1"]
	c := v.crypt(t)
	c.Random = nil

	t.Run("WhatIsSealedOpensAgain", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) {
			message := rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "message")
			nonce := rapid.StringMatching(`[A-Za-z0-9]{1,16}`).Draw(t, "nonce")
			if string(message) == Success {
				return
			}
			body, err := c.Seal(message, 1795333201, nonce)
			if err != nil {
				t.Fatal(err)
			}
			root, err := readXML(body, marked)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Open(root.str("MsgSignature"), root.str("TimeStamp"), root.str("Nonce"), body)
			if err != nil || !bytes.Equal(got, message) {
				t.Fatalf("%q, %v", got, err)
			}
		})
	})

	t.Run("TheSameReplyIsSealedDifferentlyEachTime", func(t *testing.T) {
		one, _ := c.Seal([]byte("<xml/>"), 1, "n")
		two, _ := c.Seal([]byte("<xml/>"), 1, "n")
		if bytes.Equal(one, two) {
			t.Fatal("no random bytes")
		}
	})

	t.Run("SuccessAndNothingAreNeverSealed", func(t *testing.T) {
		for _, plain := range []string{Success, ""} {
			if got, err := c.Seal([]byte(plain), 1, "n"); err != nil || string(got) != plain {
				t.Errorf("%q, %v", got, err)
			}
		}
	})

	t.Run("InPlainModeNothingIsSealed", func(t *testing.T) {
		open, err := NewCrypt("t", "", "wx1")
		if err != nil {
			t.Fatal(err)
		}
		if got, err := open.Seal([]byte("<xml/>"), 1, "n"); err != nil || string(got) != "<xml/>" {
			t.Fatalf("%q, %v", got, err)
		}
	})

	t.Run("NoReplyIsSealedWithoutRandomBytes", func(t *testing.T) {
		short := v.crypt(t)
		short.Random = strings.NewReader("too few")
		if got, err := short.Seal([]byte("<xml/>"), 1, "n"); err == nil {
			t.Fatalf("sealed %q", got)
		}
	})
}

func TestNewCrypt(t *testing.T) {
	t.Parallel()
	good := "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
	for name, account := range map[string][3]string{
		"no token":      {"", good, "wx1"},
		"no app id":     {"t", good, ""},
		"a short key":   {"t", good[1:], "wx1"},
		"a long key":    {"t", good + "=", "wx1"},
		"a key with _":  {"t", "_" + good[1:], "wx1"},
		"a broken line": {"t", good[:42] + "\n", "wx1"},
	} {
		if _, err := NewCrypt(account[0], account[1], account[2]); err == nil {
			t.Errorf("%s is taken", name)
		} else if strings.Contains(err.Error(), good[2:20]) {
			t.Errorf("%s: the error shows the key", name)
		}
	}
}

func TestFresh(t *testing.T) {
	t.Parallel()
	now := time.Unix(1795333200, 0)
	for stamp, want := range map[string]bool{
		"1795333200": true, "1795332900": true, "1795333500": true,
		"1795332899": false, "1795333501": false,
		"": false, "-1": false, "x": false, "99999999999999999999": false, "9223372036854775807": false,
	} {
		if got := Fresh(stamp, now, Window); got != want {
			t.Errorf("%q: %v", stamp, got)
		}
	}
}
