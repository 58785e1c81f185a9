package wire

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

const (
	saltSize = 16 // random bytes before each sealed message
	padBlock = 32 // the padding's block, twice that of the cipher
	keyChars = 43 // characters of an EncodingAESKey
)

// Crypt checks and seals what passes between the platform and one account
// (page "Message encryption and decryption").
// It may be used by several goroutines at once.
type Crypt struct {
	// Random is where the 16 bytes before each sealed message come from; crypto/rand
	// where nil. Only tests that expect known bytes set it.
	Random io.Reader

	token string
	appID string
	key   []byte // nil in plain mode
	block cipher.Block
}

// NewCrypt makes the crypt of the account with this server token, EncodingAESKey and
// app id. An empty aesKey means plain mode: signatures are checked and nothing is sealed.
func NewCrypt(token, aesKey, appID string) (*Crypt, error) {
	if token == "" || appID == "" {
		return nil, fmt.Errorf("a callback needs the account's token and app id")
	}
	c := &Crypt{token: token, appID: appID}
	if aesKey == "" {
		return c, nil
	}
	if len(aesKey) != keyChars {
		return nil, fmt.Errorf("the EncodingAESKey has %d characters; copy all %d from the account's page", len(aesKey), keyChars)
	}
	// 43 characters carry two bits more than the key has. The console draws them at
	// random and so they need not be zero: a strict decoder refuses good keys.
	key, err := base64.StdEncoding.DecodeString(aesKey + "=")
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("the EncodingAESKey holds something else than letters and digits")
	}
	c.key = key
	c.block, err = aes.NewCipher(key)
	return c, err
}

// Encrypted reports whether the account's pushes must be sealed.
func (c *Crypt) Encrypted() bool { return c.key != nil }

// Signed reports whether signature is the account's for the timestamp and nonce. Every
// request of the platform carries one, in plain and in encrypted mode. An echostr
// may be sent back only when it is.
func (c *Crypt) Signed(signature, timestamp, nonce string) bool {
	return same(Signature(c.token, timestamp, nonce), signature)
}

// Open gives the XML inside a sealed push: body is the request's, the others come from
// its query. In the compatible mode, where the push is there twice, only the sealed one
// is believed. In plain mode the body is given back as it is: Signed is all there is to check.
//
// The errors are ErrMalformed for a body that is no envelope and ErrForged for everything else.
func (c *Crypt) Open(msgSignature, timestamp, nonce string, body []byte) ([]byte, error) {
	if !c.Encrypted() {
		return body, nil
	}
	root, err := readXML(body, marked) // a cipher text with something slipped in is another one
	if err != nil {
		return nil, err
	}
	sealed := root.all("Encrypt")
	if len(sealed) != 1 {
		return nil, fmt.Errorf("%w: %d Encrypt elements where one belongs", ErrMalformed, len(sealed))
	}
	text := sealed[0].text
	if !same(Signature(c.token, timestamp, nonce, text), msgSignature) {
		return nil, ErrForged
	}
	return c.decrypt(text)
}

func (c *Crypt) decrypt(text string) ([]byte, error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) == 0 || len(raw)%padBlock != 0 {
		return nil, ErrForged
	}
	cipher.NewCBCDecrypter(c.block, c.key[:aes.BlockSize]).CryptBlocks(raw, raw)

	pad := int(raw[len(raw)-1])
	if pad < 1 || pad > padBlock {
		return nil, ErrForged
	}
	plain, padding := raw[:len(raw)-pad], raw[len(raw)-pad:]
	if subtle.ConstantTimeCompare(padding, bytes.Repeat([]byte{byte(pad)}, pad)) != 1 {
		return nil, ErrForged
	}
	if len(plain) < saltSize+4 {
		return nil, ErrForged
	}
	size := int64(binary.BigEndian.Uint32(plain[saltSize:]))
	rest := plain[saltSize+4:]
	if size > int64(len(rest)) {
		return nil, ErrForged
	}
	message, appID := rest[:size], rest[size:]
	if subtle.ConstantTimeCompare(appID, []byte(c.appID)) != 1 {
		return nil, ErrForged
	}
	return message, nil
}

// Seal wraps a passive reply for the account: timestamp in Unix seconds and a nonce
// of our own, both signed. Success and the empty answer are never sealed and, like
// everything in plain mode, given back as they are.
func (c *Crypt) Seal(plain []byte, timestamp int64, nonce string) ([]byte, error) {
	if !c.Encrypted() || len(plain) == 0 || string(plain) == Success {
		return plain, nil
	}
	text, err := c.encrypt(plain)
	if err != nil {
		return nil, err
	}
	at := strconv.FormatInt(timestamp, 10)
	var b bytes.Buffer
	b.WriteString("<xml>")
	element(&b, "Encrypt", text)
	element(&b, "MsgSignature", Signature(c.token, at, nonce, text))
	b.WriteString("<TimeStamp>" + at + "</TimeStamp>")
	element(&b, "Nonce", nonce)
	b.WriteString("</xml>")
	return b.Bytes(), nil
}

func (c *Crypt) encrypt(message []byte) (string, error) {
	random := c.Random
	if random == nil {
		random = rand.Reader
	}
	if len(message) > MaxBody {
		return "", fmt.Errorf("a reply of %d bytes is more than the %d that fit", len(message), MaxBody)
	}
	raw := make([]byte, saltSize, saltSize+4+len(message)+len(c.appID)+padBlock)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("random bytes for a sealed reply: %w", err)
	}
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(message)))
	raw = append(raw, message...)
	raw = append(raw, c.appID...)
	pad := padBlock - len(raw)%padBlock
	raw = append(raw, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(c.block, c.key[:aes.BlockSize]).CryptBlocks(raw, raw)
	return base64.StdEncoding.EncodeToString(raw), nil
}
