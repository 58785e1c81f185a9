// Package seal keeps what identifies people unreadable without the server's secret: values are encrypted, and
// looked up by a keyed hash.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// KeySize is the size of the server's secret in bytes.
const KeySize = 32

// Sealer encrypts and hashes with keys drawn from the server's secret. It is safe for many goroutines.
type Sealer struct {
	aead    cipher.AEAD
	hashKey []byte
}

// New makes a sealer from a secret of KeySize bytes.
func New(secret []byte) (*Sealer, error) {
	if len(secret) != KeySize {
		return nil, fmt.Errorf("the secret key has %d bytes, it needs %d", len(secret), KeySize)
	}
	derive := func(purpose string) ([]byte, error) {
		return hkdf.Key(sha256.New, secret, nil, "kfactor "+purpose, KeySize)
	}
	sealKey, err1 := derive("seal 1")
	hashKey, err2 := derive("hash 1")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Sealer{aead: aead, hashKey: hashKey}, nil
}

// Seal encrypts a text (AES-256-GCM, a fresh nonce in front). An empty text stays empty.
func (s *Sealer) Seal(text string) []byte {
	if text == "" {
		return nil
	}
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(text)+s.aead.Overhead())
	rand.Read(nonce)
	return s.aead.Seal(nonce, nonce, []byte(text), nil)
}

// Open decrypts what Seal made; an error says that the secret is another or the bytes were changed.
func (s *Sealer) Open(sealed []byte) (string, error) {
	if len(sealed) == 0 {
		return "", nil
	}
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return "", errors.New("a sealed value is too short")
	}
	text, err := s.aead.Open(nil, sealed[:n], sealed[n:], nil)
	if err != nil {
		return "", errors.New("a sealed value does not open with this secret key")
	}
	return string(text), nil
}

// LookupSize is the size of a lookup key in bytes.
const LookupSize = 16

// Lookup is the keyed hash (HMAC-SHA-256, cut to LookupSize) by which a value of a scope is found again.
func (s *Sealer) Lookup(scope int64, value string) [LookupSize]byte {
	mac := hmac.New(sha256.New, s.hashKey)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(scope)))
	mac.Write([]byte(value))
	return [LookupSize]byte(mac.Sum(nil)[:LookupSize])
}
