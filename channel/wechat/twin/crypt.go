package twin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

// sign is the platform's signature: SHA-1 over the sorted strings, written one after another. See
// https://developers.weixin.qq.com/doc/oplatform/Third-party_Platforms/2.0/api/Before_Develop/Technical_Plan.html.
func sign(parts ...string) string {
	sorted := slices.Sorted(slices.Values(parts))
	sum := sha1.New()
	for _, p := range sorted {
		sum.Write([]byte(p))
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// signJS is the signature of a page that wants the platform's script:
// https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/JS-SDK.html, appendix 1.
func signJS(ticket, nonce, timestamp, address string) string {
	return sign("jsapi_ticket=" + ticket + "&noncestr=" + nonce + "&timestamp=" + timestamp + "&url=" + address)
}

// cipherBlock is what the message cipher pads to: 32 bytes, twice the block of AES.
const cipherBlock = 32

// box encrypts and decrypts messages: AES-256-CBC, the IV being the first half of the key, over
// 16 random bytes, the length in 4 bytes big endian, the message, and the appid.
type box struct {
	block cipher.Block
	iv    []byte
	appID string
}

// newBox makes a box from an EncodingAESKey of 43 characters. The last one may carry spare bits, so the decoder is lenient.
func newBox(key, appID string) (*box, error) {
	if len(key) != 43 {
		return nil, fmt.Errorf("the AES key has %d characters, not 43", len(key))
	}
	raw, err := base64.StdEncoding.DecodeString(key + "=")
	if err != nil {
		return nil, fmt.Errorf("the AES key is not base64: %w", err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	return &box{block: block, iv: raw[:aes.BlockSize], appID: appID}, nil
}

// seal encrypts a message with 16 bytes that should look random.
func (b *box) seal(random, msg []byte) string {
	plain := make([]byte, 0, 16+4+len(msg)+len(b.appID)+cipherBlock)
	plain = append(plain, random[:16]...)
	plain = binary.BigEndian.AppendUint32(plain, uint32(len(msg)))
	plain = append(plain, msg...)
	plain = append(plain, b.appID...)
	pad := cipherBlock - len(plain)%cipherBlock
	for range pad {
		plain = append(plain, byte(pad))
	}
	cipher.NewCBCEncrypter(b.block, b.iv).CryptBlocks(plain, plain)
	return base64.StdEncoding.EncodeToString(plain)
}

var errSealed = errors.New("the message cannot be decrypted")

// open decrypts a message and checks that it was meant for this account.
func (b *box) open(sealed string) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil || len(data) == 0 || len(data)%cipherBlock != 0 {
		return nil, errSealed
	}
	cipher.NewCBCDecrypter(b.block, b.iv).CryptBlocks(data, data)
	pad := int(data[len(data)-1])
	if pad < 1 || pad > cipherBlock {
		return nil, errSealed
	}
	for _, c := range data[len(data)-pad:] {
		if int(c) != pad {
			return nil, errSealed
		}
	}
	data = data[:len(data)-pad]
	if len(data) < 20 {
		return nil, errSealed
	}
	length := int64(binary.BigEndian.Uint32(data[16:20]))
	if length > int64(len(data)-20) {
		return nil, errSealed
	}
	msg, appID := data[20:20+length], data[20+length:]
	if string(appID) != b.appID {
		return nil, fmt.Errorf("the message is for %q", appID)
	}
	return msg, nil
}
