package twin

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// merchant calls the pay paths with its own signatures and checks those of the answers.
type merchant struct {
	*house
	keys     Keys
	private  *rsa.PrivateKey
	platform *rsa.PublicKey
	notify   string
	heard    chan map[string]any // what callbacks decrypt to
	deaf     int                 // callbacks still to be refused
}

func (h *house) merchant(t *testing.T) *merchant {
	t.Helper()
	keys, err := h.Keys()
	if err != nil {
		t.Fatal(err)
	}
	m := &merchant{house: h, keys: keys, heard: make(chan map[string]any, 10)}
	block, _ := pem.Decode([]byte(keys.PrivateKey))
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode([]byte(keys.PlatformPublic))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	m.private, m.platform = private.(*rsa.PrivateKey), public.(*rsa.PublicKey)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		m.verify(t, r.Header, body)
		if m.deaf > 0 {
			m.deaf--
			w.WriteHeader(http.StatusInternalServerError)
			m.heard <- nil
			return
		}
		var notice struct {
			EventType string `json:"event_type"`
			Resource  struct{ Ciphertext, Nonce, Associated_data string }
		}
		if err := json.Unmarshal(body, &notice); err != nil || notice.EventType != "MCHTRANSFER.BILL.FINISHED" {
			t.Errorf("heard %s (%v)", body, err)
		}
		sealed, _ := base64.StdEncoding.DecodeString(notice.Resource.Ciphertext)
		block, err := aes.NewCipher([]byte(keys.APIv3Key))
		if err != nil {
			t.Error(err)
			return
		}
		aead, _ := cipher.NewGCM(block)
		plain, err := aead.Open(nil, []byte(notice.Resource.Nonce), sealed, []byte(notice.Resource.Associated_data))
		if err != nil {
			t.Error(err)
			return
		}
		var told map[string]any
		if err := json.Unmarshal(plain, &told); err != nil {
			t.Error(err)
		}
		m.heard <- told
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(server.Close)
	m.notify = server.URL + "/paid"
	return m
}

func (m *merchant) verify(t *testing.T, header http.Header, body []byte) {
	t.Helper()
	signature, _ := base64.StdEncoding.DecodeString(header.Get("Wechatpay-Signature"))
	sum := sha256.Sum256([]byte(header.Get("Wechatpay-Timestamp") + "\n" + header.Get("Wechatpay-Nonce") + "\n" + string(body) + "\n"))
	if err := rsa.VerifyPKCS1v15(m.platform, crypto.SHA256, sum[:], signature); err != nil || header.Get("Wechatpay-Serial") != m.keys.PlatformKeyID {
		t.Errorf("the platform's signature: %v, serial %s", err, header.Get("Wechatpay-Serial"))
	}
}

func (m *merchant) ask(t *testing.T, method, path, body string) (int, answered) {
	t.Helper()
	stamp, nonce := nth(m.clock.Now().Unix()), "ABCDEF"
	sum := sha256.Sum256([]byte(method + "\n" + path + "\n" + stamp + "\n" + nonce + "\n" + body + "\n"))
	signature, err := rsa.SignPKCS1v15(nil, m.private, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return m.askSigned(t, method, path, body, scheme+`mchid="`+m.keys.MerchantID+`",nonce_str="`+nonce+`",timestamp="`+stamp+`",serial_no="`+m.keys.Serial+`",signature="`+base64.StdEncoding.EncodeToString(signature)+`"`)
}

func (m *merchant) askSigned(t *testing.T, method, path, body, authorization string) (int, answered) {
	t.Helper()
	request, err := http.NewRequestWithContext(m.ctx, method, m.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", authorization)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	read, _ := io.ReadAll(response.Body)
	m.verify(t, response.Header, read)
	a := answered{}
	if err := json.Unmarshal(read, &a); err != nil {
		t.Fatalf("answered %s", read)
	}
	return response.StatusCode, a
}

func (m *merchant) order(f *Fan, no, more string) string {
	return `{"appid":"` + m.cfg.AppID + `","out_bill_no":"` + no + `","transfer_scene_id":"1000","openid":"` + f.OpenID + `","transfer_amount":100,"transfer_remark":"邀请奖励","notify_url":"` + m.notify +
		`","transfer_scene_report_infos":[{"info_type":"活动名称","info_content":"邀请有礼"},{"info_type":"奖励说明","info_content":"邀请3人达标奖励"}]` + more + `}`
}

func (m *merchant) hears(t *testing.T) map[string]any {
	t.Helper()
	select {
	case told := <-m.heard:
		return told
	case <-m.ctx.Done():
		t.Fatal("the merchant heard nothing")
		return nil
	}
}

func (m *merchant) state(t *testing.T, no string) answered {
	t.Helper()
	_, a := m.ask(t, http.MethodGet, billsPath+"/out-bill-no/"+no, "")
	return a
}

func TestTransfers(t *testing.T) {
	t.Parallel()

	t.Run("ABillWaitsForTheFanAndTheMerchantHearsOfIt", func(t *testing.T) {
		m := open(t, Config{}).merchant(t)
		f := m.AddFan("小王")
		status, a := m.ask(t, http.MethodPost, billsPath, m.order(f, "C7U1", ""))
		if status != http.StatusOK || a.text("state") != WaitConfirm || a.text("package_info") == "" || a.text("create_time") != "2026-11-22T10:00:00+08:00" {
			t.Fatalf("answered %d %v", status, a)
		}
		if err := m.AddFan("小李").Collect(a.text("package_info")); err == nil {
			t.Error("somebody else collected it")
		}
		if err := f.Collect(a.text("package_info")); err != nil {
			t.Fatal(err)
		}
		told := m.hears(t)
		if told["state"] != Succeeded || told["out_bill_no"] != "C7U1" || told["transfer_amount"] != 100.0 || told["openid"] != f.OpenID || f.Received() != 100 {
			t.Errorf("heard %v", told)
		}
		if a := m.state(t, "C7U1"); a.text("state") != Succeeded {
			t.Errorf("it stands as %v", a)
		}
		if status, a := m.ask(t, http.MethodGet, billsPath+"/transfer-bill-no/"+told["transfer_bill_no"].(string), ""); status != http.StatusOK || a.text("out_bill_no") != "C7U1" {
			t.Errorf("by its other number: %d %v", status, a)
		}
		if status, a := m.ask(t, http.MethodPost, billsPath+"/out-bill-no/C7U1/cancel", ""); status != http.StatusBadRequest || a.text("code") != "INVALID_REQUEST" {
			t.Errorf("cancelling it: %d %v", status, a)
		}
	})

	t.Run("TheSameNumberIsTheSameBillOrRefused", func(t *testing.T) {
		m := open(t, Config{}).merchant(t)
		f := m.AddFan("小王")
		_, first := m.ask(t, http.MethodPost, billsPath, m.order(f, "C7U1", ""))
		_, again := m.ask(t, http.MethodPost, billsPath, m.order(f, "C7U1", ""))
		if first.text("transfer_bill_no") == "" || again.text("transfer_bill_no") != first.text("transfer_bill_no") || len(m.Bills()) != 1 {
			t.Errorf("made %v and %v", first, again)
		}
		status, a := m.ask(t, http.MethodPost, billsPath, strings.Replace(m.order(f, "C7U1", ""), `"transfer_amount":100`, `"transfer_amount":101`, 1))
		if status != http.StatusBadRequest || a.text("code") != "INVALID_REQUEST" {
			t.Errorf("with another amount: %d %v", status, a)
		}
	})

	t.Run("AfterADayItCloses", func(t *testing.T) {
		m := open(t, Config{Merchant: Merchant{Balance: 100}}).merchant(t)
		f := m.AddFan("小王")
		m.ask(t, http.MethodPost, billsPath, m.order(f, "A1", ""))
		if status, a := m.ask(t, http.MethodPost, billsPath, m.order(f, "A2", "")); status != http.StatusForbidden || a.text("code") != "NOT_ENOUGH" {
			t.Errorf("more than there is: %d %v", status, a)
		}
		m.clock.Advance(billLife)
		if told := m.hears(t); told["state"] != Failed || told["fail_reason"] != overdue {
			t.Errorf("heard %v", told)
		}
		if status, a := m.ask(t, http.MethodPost, billsPath, m.order(f, "A2", "")); status != http.StatusOK {
			t.Errorf("the money did not come back: %d %v", status, a)
		}
		if err := m.ConfirmBill("A1"); err == nil {
			t.Error("a closed bill was confirmed")
		}
		m.clock.Advance(billsQueried)
		if status, _ := m.ask(t, http.MethodGet, billsPath+"/out-bill-no/A1", ""); status != http.StatusNotFound {
			t.Errorf("after a month it is answered %d", status)
		}
	})

	t.Run("ItCanBeCancelledAndFail", func(t *testing.T) {
		m := open(t, Config{}).merchant(t)
		f := m.AddFan("小王")
		m.ask(t, http.MethodPost, billsPath, m.order(f, "A1", ""))
		if status, a := m.ask(t, http.MethodPost, billsPath+"/out-bill-no/A1/cancel", ""); status != http.StatusOK || a.text("state") != Canceling {
			t.Errorf("cancelled as %d %v", status, a)
		}
		if told := m.hears(t); told["state"] != Cancelled {
			t.Errorf("heard %v", told)
		}
		m.ask(t, http.MethodPost, billsPath, m.order(f, "A2", ""))
		if err := m.FailBill("A2", "PAYEE_ACCOUNT_ABNORMAL"); err != nil {
			t.Fatal(err)
		}
		if told := m.hears(t); told["state"] != Failed || told["fail_reason"] != "PAYEE_ACCOUNT_ABNORMAL" {
			t.Errorf("heard %v", told)
		}
	})

	t.Run("ItTakesTheTimeItTakes", func(t *testing.T) {
		m := open(t, Config{Merchant: Merchant{Accepts: 10 * time.Second}}).merchant(t)
		f := m.AddFan("小王")
		_, a := m.ask(t, http.MethodPost, billsPath, m.order(f, "A1", ""))
		if a.text("state") != Accepted || a.text("package_info") != "" {
			t.Errorf("answered %v", a)
		}
		for _, want := range []string{Processing, WaitConfirm} {
			m.clock.Advance(5 * time.Second)
			if a := m.state(t, "A1"); a.text("state") != want {
				t.Errorf("it stands as %v, not %s", a, want)
			}
		}
	})

	t.Run("ADeafMerchantIsToldAgain", func(t *testing.T) {
		m := open(t, Config{}).merchant(t)
		m.deaf = 2
		f := m.AddFan("小王")
		m.ask(t, http.MethodPost, billsPath, m.order(f, "A1", ""))
		if err := m.ConfirmBill("A1"); err != nil {
			t.Fatal(err)
		}
		for {
			select {
			case told := <-m.heard:
				if told != nil {
					return
				}
			case <-m.ctx.Done():
				t.Fatal("it was not told again")
			case <-time.After(time.Millisecond):
				m.clock.Advance(15 * time.Second)
			}
		}
	})

	t.Run("WrongOrdersAndSignaturesAreRefused", func(t *testing.T) {
		m := open(t, Config{Merchant: Merchant{Largest: 3000_00}}).merchant(t)
		f := m.AddFan("小王")
		right := m.order(f, "A1", "")
		for _, one := range []struct {
			old, new string
			status   int
			code     string
		}{
			{`"transfer_amount":100`, `"transfer_amount":9`, 400, "INVALID_REQUEST"},
			{`"transfer_amount":100`, `"transfer_amount":300001`, 400, "INVALID_REQUEST"},
			{`"transfer_amount":100`, `"transfer_amount":200000`, 400, "PARAM_ERROR"},
			{`"transfer_amount":100`, `"transfer_amount":20,"user_name":"x"`, 400, "PARAM_ERROR"},
			{`"transfer_amount":100`, `"transfer_amount":100,"user_name":"x"`, 400, "PARAM_ERROR"},
			{`"奖励说明"`, `"其他"`, 400, "PARAM_ERROR"},
			{`"A1"`, `"A-1"`, 400, "PARAM_ERROR"},
			{f.OpenID, "oNobody", 400, "INVALID_REQUEST"},
			{m.cfg.AppID, "wx0", 403, "NO_AUTH"},
			{`"邀请奖励"`, `""`, 400, "PARAM_ERROR"},
			{`{`, `[`, 400, "PARAM_ERROR"},
		} {
			if status, a := m.ask(t, http.MethodPost, billsPath, strings.Replace(right, one.old, one.new, 1)); status != one.status || a.text("code") != one.code {
				t.Errorf("%s instead of %s is answered %d %v", one.new, one.old, status, a)
			}
		}
		name, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, m.platform, []byte("王小明"), nil)
		if err != nil {
			t.Fatal(err)
		}
		named := strings.Replace(right, `"transfer_amount":100`, `"transfer_amount":200000,"user_name":"`+base64.StdEncoding.EncodeToString(name)+`"`, 1)
		if status, a := m.ask(t, http.MethodPost, billsPath, named); status != http.StatusOK {
			t.Errorf("with a name: %d %v", status, a)
		}
		for _, header := range []string{"", "Bearer x", scheme + `mchid="1"`, scheme + `mchid="` + m.keys.MerchantID + `",nonce_str="n",timestamp="` + nth(start.Unix()) + `",serial_no="` + m.keys.Serial + `",signature="AAAA"`} {
			if status, a := m.askSigned(t, http.MethodPost, billsPath, right, header); status != http.StatusUnauthorized || a.text("code") != "SIGN_ERROR" {
				t.Errorf("%q is answered %d %v", header, status, a)
			}
		}
		if err := m.Inject(Fault{Path: billsPath, Code: http.StatusTooManyRequests, Times: 1}); err != nil {
			t.Fatal(err)
		}
		if status, a := m.ask(t, http.MethodPost, billsPath, right); status != http.StatusTooManyRequests || a.text("code") != "FREQUENCY_LIMITED" {
			t.Errorf("answered %d %v", status, a)
		}
	})

	t.Run("TheVectorsHold", func(t *testing.T) {
		v := vectorOf[struct {
			Key        string `json:"apiv3_key"`
			Nonce      string `json:"nonce"`
			Associated string `json:"associated_data"`
			Plain      string `json:"plaintext"`
			Sealed     string `json:"ciphertext_base64"`
		}](t, "pay_v3_notify_aes_gcm")
		if got, err := sealPay(v.Key, v.Nonce, v.Associated, []byte(v.Plain)); err != nil || got != v.Sealed {
			t.Errorf("sealed as %s (%v)", got, err)
		}
		s := vectorOf[struct {
			Method  string `json:"method"`
			URL     string `json:"canonical_url"`
			Stamp   string `json:"timestamp"`
			Nonce   string `json:"nonce_str"`
			Body    string `json:"body"`
			Message string `json:"message"`
		}](t, "pay_v3_sign_message")
		if got := payMessage(s.Method, s.URL, s.Stamp, s.Nonce, s.Body); got != s.Message || !bytes.HasSuffix([]byte(got), []byte("}\n")) {
			t.Errorf("signed over %q", got)
		}
	})
}
