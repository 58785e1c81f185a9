package twin

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// Merchant is the pay side of the account. Zero values are made up, the keys when they are first asked for.
type Merchant struct {
	ID       string        // ten digits
	Serial   string        // of the merchant's certificate
	APIv3Key string        // 32 characters, which callbacks are encrypted with
	Balance  int64         // cents; 0: as much as is needed
	Largest  int64         // cents of one bill; 200 yuan when 0
	Accepts  time.Duration // of the twin's time, from a bill's arrival until it waits for the fan
}

// Keys is what a merchant needs to call the pay paths and to trust their answers.
type Keys struct {
	MerchantID     string `json:"merchant_id"`
	Serial         string `json:"serial"`
	PrivateKey     string `json:"private_key"` // the merchant's, PKCS #8 in PEM
	APIv3Key       string `json:"apiv3_key"`
	PlatformKeyID  string `json:"platform_key_id"`     // in Wechatpay-Serial
	PlatformPublic string `json:"platform_public_key"` // PKIX in PEM
}

// counter is the pay side's own state: its keys, made once, and its bills.
type counter struct {
	once     sync.Once
	merchant *rsa.PrivateKey
	platform *rsa.PrivateKey
	keys     Keys
	err      error
	bills    bills
	count    tally
}

const (
	keyBits      = 2048
	clockLenient = 5 * time.Minute // between a request's time stamp and the twin's
)

// Keys gives the merchant's keys. They do not follow from the seed: nothing random may be guessed about keys.
func (t *Twin) Keys() (Keys, error) {
	p := &t.pay
	p.once.Do(func() {
		if p.merchant, p.err = rsa.GenerateKey(rand.Reader, keyBits); p.err != nil {
			return
		}
		if p.platform, p.err = rsa.GenerateKey(rand.Reader, keyBits); p.err != nil {
			return
		}
		private, err := x509.MarshalPKCS8PrivateKey(p.merchant)
		if err != nil {
			p.err = err
			return
		}
		public, err := x509.MarshalPKIXPublicKey(&p.platform.PublicKey)
		if err != nil {
			p.err = err
			return
		}
		m := t.cfg.Merchant
		p.keys = Keys{
			MerchantID: m.ID, Serial: m.Serial, APIv3Key: m.APIv3Key, PlatformKeyID: "PUB_KEY_ID_" + nth(t.ids.number("platform key")),
			PrivateKey:     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
			PlatformPublic: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		}
	})
	return p.keys, p.err
}

var authorization = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

const scheme = "WECHATPAY2-SHA256-RSA2048 "

// checkMerchant verifies a request's signature: https://pay.weixin.qq.com/doc/v3/merchant/4012365342.
func (t *Twin) checkMerchant(r *http.Request, body []byte, now time.Time) error {
	header := r.Header.Get("Authorization")
	if len(header) < len(scheme) || header[:len(scheme)] != scheme {
		return errors.New("Authorization头的认证类型不正确")
	}
	said := map[string]string{}
	for _, m := range authorization.FindAllStringSubmatch(header[len(scheme):], -1) {
		said[m[1]] = m[2]
	}
	seconds, err := strconv.ParseInt(said["timestamp"], 10, 64)
	switch {
	case err != nil || now.Sub(time.Unix(seconds, 0)).Abs() >= clockLenient:
		return errors.New("请求时间戳超出允许的范围")
	case said["mchid"] != t.cfg.Merchant.ID:
		return errors.New("商户号不正确")
	case said["serial_no"] != t.cfg.Merchant.Serial:
		return errors.New("商户证书序列号有误")
	case said["nonce_str"] == "":
		return errors.New("请求随机串为空")
	}
	signature, err := base64.StdEncoding.DecodeString(said["signature"])
	if err != nil {
		return errors.New("签名值无法解码")
	}
	sum := sha256.Sum256([]byte(payMessage(r.Method, r.URL.RequestURI(), said["timestamp"], said["nonce_str"], string(body))))
	if rsa.VerifyPKCS1v15(&t.pay.merchant.PublicKey, crypto.SHA256, sum[:], signature) != nil {
		return errors.New("签名错误")
	}
	return nil
}

// payMessage is what pay signatures are made over: every part with a line's end.
func payMessage(parts ...string) string {
	out := ""
	for _, p := range parts {
		out += p + "\n"
	}
	return out
}

// signPay puts the platform's signature over a body into headers.
func (t *Twin) signPay(header http.Header, body []byte, now time.Time, what string) error {
	stamp, nonce := nth(now.Unix()), t.ids.letters(32, "pay nonce", what)
	sum := sha256.Sum256([]byte(payMessage(stamp, nonce, string(body))))
	signature, err := rsa.SignPKCS1v15(nil, t.pay.platform, crypto.SHA256, sum[:])
	if err != nil {
		return err
	}
	header.Set("Wechatpay-Timestamp", stamp)
	header.Set("Wechatpay-Nonce", nonce)
	header.Set("Wechatpay-Serial", t.pay.keys.PlatformKeyID)
	header.Set("Wechatpay-Signature", base64.StdEncoding.EncodeToString(signature))
	return nil
}

// sealPay encrypts a callback's resource: AES-256-GCM under the APIv3 key,
// https://pay.weixin.qq.com/doc/v3/merchant/4012071382.
func sealPay(key, nonce, associated string, plain []byte) (string, error) {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		return "", err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return "", err
	}
	if len(nonce) != aead.NonceSize() {
		return "", fmt.Errorf("a nonce of %d bytes", len(nonce))
	}
	return base64.StdEncoding.EncodeToString(aead.Seal(nil, []byte(nonce), plain, []byte(associated))), nil
}

// openName decrypts a field that the merchant encrypted for the platform.
func (t *Twin) openName(sealed string) (string, error) {
	data, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return "", err
	}
	name, err := rsa.DecryptOAEP(sha1.New(), nil, t.pay.platform, data, nil)
	return string(name), err
}
