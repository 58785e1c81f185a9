package twin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"
	"unicode/utf8"
)

// Transfers that the receiver confirms: https://pay.weixin.qq.com/doc/v3/merchant/4012716434.
const (
	billsPath    = "/v3/fund-app/mch-transfer/transfer-bills"
	billLife     = 24 * time.Hour // to confirm in
	billsQueried = 30 * 24 * time.Hour
	maxBills     = 100_000
	smallest     = 10      // cents
	namedFrom    = 200_000 // cents, from which on the receiver's name is asked for
	namedNot     = 30      // cents, below which it may not be given
	marketing    = "1000"  // the scene whose reports are fixed
)

// The states of a bill.
const (
	Accepted     = "ACCEPTED"
	Processing   = "PROCESSING"
	WaitConfirm  = "WAIT_USER_CONFIRM"
	Transferring = "TRANSFERING" //nolint:misspell // as the platform spells it
	Succeeded    = "SUCCESS"
	Failed       = "FAIL"
	Canceling    = "CANCELING"
	Cancelled    = "CANCELLED"
)

// overdue is the reason of a bill that nobody confirmed in time.
const overdue = "OVERDUE_CLOSE"

// order is what a merchant asks for.
type order struct {
	AppID      string `json:"appid"`
	OutNo      string `json:"out_bill_no"`
	Scene      string `json:"transfer_scene_id"`
	OpenID     string `json:"openid"`
	UserName   string `json:"user_name"`
	Amount     int64  `json:"transfer_amount"`
	Remark     string `json:"transfer_remark"`
	NotifyURL  string `json:"notify_url"`
	Perception string `json:"user_recv_perception"`
	Reports    []struct {
		Type    string `json:"info_type"`
		Content string `json:"info_content"`
	} `json:"transfer_scene_report_infos"`
	Style struct {
		Type string `json:"type"`
	} `json:"user_recv_style"`
}

// same says whether two orders ask for the same; a name is encrypted anew each time, so its text cannot tell.
func (o order) same(other order) bool {
	o.UserName, other.UserName = "", ""
	a, errA := json.Marshal(o)
	b, errB := json.Marshal(other)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// Bill is one transfer as the pay paths and the control routes tell of it.
type Bill struct {
	MerchantID string    `json:"mch_id"`
	OutNo      string    `json:"out_bill_no"`
	No         string    `json:"transfer_bill_no"`
	AppID      string    `json:"appid"`
	State      string    `json:"state"`
	Amount     int64     `json:"transfer_amount"` // cents
	Remark     string    `json:"transfer_remark"`
	Reason     string    `json:"fail_reason,omitempty"`
	OpenID     string    `json:"openid"`
	Created    time.Time `json:"create_time"`
	Updated    time.Time `json:"update_time"`
}

type bill struct {
	Bill
	order  order
	parcel string // what the fan's phone confirms with
	told   bool   // the callback is under way
}

type bills struct {
	mu       sync.Mutex
	byOut    map[string]*bill
	byNo     map[string]*bill
	open     []*bill // in the order in which they run out
	closing  bool    // something waits for the first of them
	spent    int64
	received map[string]int64 // cents by openid
}

// payError is a refusal of the pay paths.
type payError struct {
	status int
	code   string
	text   string
}

func (e *payError) Error() string { return e.code + " " + e.text }

func payRefusal(status int, code, format string, args ...any) *payError {
	return &payError{status, code, fmt.Sprintf(format, args...)}
}

func (t *Twin) payRoutes() {
	t.mux.HandleFunc("POST "+billsPath, t.paying(t.createBill))
	t.mux.HandleFunc("GET "+billsPath+"/out-bill-no/{number}", t.paying(t.queryBill))
	t.mux.HandleFunc("GET "+billsPath+"/transfer-bill-no/{number}", t.paying(t.queryBill))
	t.mux.HandleFunc("POST "+billsPath+"/out-bill-no/{number}/cancel", t.paying(t.cancelBill))
}

// paying serves a pay path: the merchant's signature is checked, the answer carries the platform's.
func (t *Twin) paying(serve func(r *http.Request, body []byte, now time.Time) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		now := t.clock.Now()
		fault := t.faults.take(billsPath, now)
		if fault != nil && !t.suffer(fault, &t.pay.count, w, r) {
			return
		}
		status, code := http.StatusOK, 0
		answer, err := t.serveBill(w, r, now, fault, serve)
		if err != nil {
			var no *payError
			if !errors.As(err, &no) {
				t.log.Error("twin: pay", "err", err)
				no = payRefusal(http.StatusInternalServerError, "SYSTEM_ERROR", "系统异常，请稍后重试")
			}
			status, code = no.status, no.status
			answer = map[string]string{"code": no.code, "message": no.text}
		}
		t.pay.count.add(code, err != nil)
		if fault != nil && fault.Failure == Lost {
			panic(http.ErrAbortHandler)
		}
		body, err := json.Marshal(answer)
		if err == nil {
			err = t.signPay(w.Header(), body, now, nth(t.stats.answers.Add(1)))
		}
		if err != nil {
			http.Error(w, "the answer cannot be signed", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(status)
		w.Write(body)
	}
}

func (t *Twin) serveBill(w http.ResponseWriter, r *http.Request, now time.Time, fault *Fault, serve func(*http.Request, []byte, time.Time) (any, error)) (any, error) {
	if _, err := t.Keys(); err != nil {
		return nil, err
	}
	if fault != nil && fault.Failure == Refuse {
		if fault.Code == http.StatusTooManyRequests {
			return nil, payRefusal(fault.Code, "FREQUENCY_LIMITED", "频率超限")
		}
		return nil, payRefusal(http.StatusInternalServerError, "SYSTEM_ERROR", "系统异常，请稍后重试")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxJSON))
	if err != nil {
		return nil, payRefusal(http.StatusRequestEntityTooLarge, "PARAM_ERROR", "请求体过大")
	}
	if err := t.checkMerchant(r, body, now); err != nil {
		return nil, payRefusal(http.StatusUnauthorized, "SIGN_ERROR", "%v", err)
	}
	return serve(r, body, now)
}

var outNumber = regexp.MustCompile(`^[0-9A-Za-z]{1,32}$`)

func invalid(format string, args ...any) error {
	return payRefusal(http.StatusBadRequest, "PARAM_ERROR", format, args...)
}

// checkOrder refuses what the platform refuses.
func (t *Twin) checkOrder(o order) error {
	switch {
	case o.AppID != t.cfg.AppID:
		return payRefusal(http.StatusForbidden, "NO_AUTH", "商户号与appid没有绑定关系")
	case !outNumber.MatchString(o.OutNo):
		return invalid("out_bill_no只能由数字、大小写字母组成，1至32位")
	case o.Scene == "" || len(o.Scene) > 36:
		return invalid("transfer_scene_id不能为空")
	case o.OpenID == "":
		return invalid("openid不能为空")
	case o.Remark == "" || utf8.RuneCountInString(o.Remark) > 32:
		return invalid("transfer_remark应为1至32个字符")
	case len(o.NotifyURL) > 256:
		return invalid("notify_url过长")
	case len(o.Reports) == 0 || o.Scene == marketing && (len(o.Reports) != 2 || o.Reports[0].Type != "活动名称" || o.Reports[1].Type != "奖励说明"):
		return invalid("需传入转账场景报备信息，请检查")
	case o.Amount < smallest || o.Amount > t.cfg.Merchant.Largest:
		return payRefusal(http.StatusBadRequest, "INVALID_REQUEST", "超过单笔转账上下限")
	case o.Amount >= namedFrom && o.UserName == "":
		return invalid("明细转账金额大于等于2000元时，收款用户姓名必填")
	case o.Amount < namedNot && o.UserName != "":
		return invalid("转账金额低于0.3元时，不允许填写收款用户姓名")
	case t.Fan(o.OpenID) == nil:
		return payRefusal(http.StatusBadRequest, "INVALID_REQUEST", "openid与商户appid不匹配")
	}
	for _, one := range o.Reports {
		if n := utf8.RuneCountInString(one.Content); utf8.RuneCountInString(one.Type) > 15 || n == 0 || n > 32 {
			return invalid("转账场景报备信息的内容应为1至32个字符")
		}
	}
	if o.UserName != "" {
		if _, err := t.openName(o.UserName); err != nil {
			return invalid("user_name解密失败")
		}
	}
	return nil
}

type billAnswer struct {
	OutNo   string    `json:"out_bill_no"`
	No      string    `json:"transfer_bill_no"`
	Created time.Time `json:"create_time"`
	State   string    `json:"state"`
	Reason  string    `json:"fail_reason,omitempty"`
	Package string    `json:"package_info,omitempty"`
}

func (b *bill) answer() billAnswer {
	a := billAnswer{OutNo: b.OutNo, No: b.No, Created: b.Created, State: b.State, Reason: b.Reason}
	if b.State == WaitConfirm {
		a.Package = b.parcel
	}
	return a
}

// createBill accepts an order once; the same order again is answered with how its bill stands.
func (t *Twin) createBill(_ *http.Request, body []byte, now time.Time) (any, error) {
	var asked order
	if json.Unmarshal(body, &asked) != nil {
		return nil, invalid("请求体不是合法的JSON")
	}
	all := &t.pay.bills
	all.mu.Lock()
	defer all.mu.Unlock()
	if known := all.byOut[asked.OutNo]; known != nil {
		if !known.order.same(asked) {
			return nil, payRefusal(http.StatusBadRequest, "INVALID_REQUEST", "单号已存在但信息不一致，请检查")
		}
		t.settle(known, now)
		return known.answer(), nil
	}
	if err := t.checkOrder(asked); err != nil {
		return nil, err
	}
	if balance := t.cfg.Merchant.Balance; balance > 0 && all.spent+asked.Amount > balance {
		return nil, payRefusal(http.StatusForbidden, "NOT_ENOUGH", "资金不足")
	}
	if len(all.byOut) >= maxBills {
		return nil, payRefusal(http.StatusTooManyRequests, "FREQUENCY_LIMITED", "单据过多")
	}
	if all.byOut == nil {
		all.byOut, all.byNo, all.received = map[string]*bill{}, map[string]*bill{}, map[string]int64{}
	}
	at := now.In(china).Truncate(time.Second)
	made := &bill{order: asked, parcel: t.ids.letters(64, "package", asked.OutNo), Bill: Bill{
		MerchantID: t.cfg.Merchant.ID, OutNo: asked.OutNo, No: fmt.Sprintf("1330000%s%s%019d", t.cfg.Merchant.ID, at.Format("20060102"), t.ids.number("bill", asked.OutNo)),
		AppID: asked.AppID, State: Accepted, Amount: asked.Amount, Remark: asked.Remark, OpenID: asked.OpenID, Created: at, Updated: at,
	}}
	all.byOut[made.OutNo], all.byNo[made.No] = made, made
	all.spent += made.Amount
	all.open = append(all.open, made)
	if !all.closing {
		all.closing = true
		t.spawn(t.closeBills)
	}
	t.settle(made, now)
	return made.answer(), nil
}

func final(state string) bool { return state == Succeeded || state == Failed || state == Cancelled }

// settle brings a bill to the state that time has given it. The bills' lock is held.
func (t *Twin) settle(b *bill, now time.Time) {
	accepts := t.cfg.Merchant.Accepts
	switch age := now.Sub(b.Created); b.State {
	case Accepted, Processing, WaitConfirm:
		switch {
		case age >= billLife:
			t.end(b, Failed, overdue, now)
		case b.State == WaitConfirm || age >= accepts:
			t.turn(b, WaitConfirm, now)
		case age >= accepts/2:
			t.turn(b, Processing, now)
		}
	}
}

func (t *Twin) turn(b *bill, state string, now time.Time) {
	if b.State != state {
		b.State, b.Updated = state, now.In(china).Truncate(time.Second)
	}
}

// end gives a bill its last state and tells the merchant. The bills' lock is held.
func (t *Twin) end(b *bill, state, reason string, now time.Time) {
	t.turn(b, state, now)
	b.Reason = reason
	if state == Succeeded {
		t.pay.bills.received[b.OpenID] += b.Amount
	} else {
		t.pay.bills.spent -= b.Amount
	}
	if b.order.NotifyURL != "" && !b.told {
		b.told = true
		ended, to := b.Bill, b.order.NotifyURL
		t.spawn(func() { t.notifyBill(ended, to) })
	}
}

// closeBills closes what nobody confirms, one bill after another as they run out, until none is left.
func (t *Twin) closeBills() {
	all := &t.pay.bills
	for {
		all.mu.Lock()
		for len(all.open) > 0 && final(all.open[0].State) {
			all.open = all.open[1:]
		}
		if len(all.open) == 0 {
			all.closing = false
			all.mu.Unlock()
			return
		}
		first := all.open[0]
		all.mu.Unlock()
		if t.clock.until(t.running, first.Created.Add(billLife)) != nil {
			return
		}
		all.mu.Lock()
		t.settle(first, t.clock.Now())
		all.open = all.open[1:]
		all.mu.Unlock()
	}
}

func (t *Twin) findBill(number string, now time.Time) (*bill, error) {
	all := &t.pay.bills
	found := all.byOut[number]
	if found == nil {
		found = all.byNo[number]
	}
	if found == nil || now.Sub(found.Created) >= billsQueried {
		return nil, payRefusal(http.StatusNotFound, "NOT_FOUND", "记录不存在")
	}
	t.settle(found, now)
	return found, nil
}

func (t *Twin) queryBill(r *http.Request, _ []byte, now time.Time) (any, error) {
	t.pay.bills.mu.Lock()
	defer t.pay.bills.mu.Unlock()
	found, err := t.findBill(r.PathValue("number"), now)
	if err != nil {
		return nil, err
	}
	return found.Bill, nil
}

// cancelBill takes back what was not confirmed yet; it is under way when the answer is given, and done soon after.
func (t *Twin) cancelBill(r *http.Request, _ []byte, now time.Time) (any, error) {
	all := &t.pay.bills
	all.mu.Lock()
	defer all.mu.Unlock()
	found, err := t.findBill(r.PathValue("number"), now)
	if err != nil {
		return nil, err
	}
	switch found.State {
	case Accepted, Processing, WaitConfirm:
		t.turn(found, Canceling, now)
		t.spawn(func() {
			all.mu.Lock()
			defer all.mu.Unlock()
			t.end(found, Cancelled, "", t.clock.Now())
		})
	case Canceling, Cancelled:
	default:
		return nil, payRefusal(http.StatusBadRequest, "INVALID_REQUEST", "当前单据状态不支持撤销")
	}
	return struct {
		OutNo   string    `json:"out_bill_no"`
		No      string    `json:"transfer_bill_no"`
		State   string    `json:"state"`
		Updated time.Time `json:"update_time"`
	}{found.OutNo, found.No, found.State, found.Updated}, nil
}

// Bills lists all bills, the oldest first.
func (t *Twin) Bills() []Bill {
	all := &t.pay.bills
	now := t.clock.Now()
	all.mu.Lock()
	defer all.mu.Unlock()
	list := make([]Bill, 0, len(all.byOut))
	for _, b := range all.byOut {
		t.settle(b, now)
		list = append(list, b.Bill)
	}
	slices.SortFunc(list, func(a, b Bill) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.OutNo, b.OutNo))
	})
	return list
}

// Collect lets the fan confirm a transfer with its package_info, as the page that requestMerchantTransfer opens does.
func (f *Fan) Collect(packageInfo string) error {
	return f.t.conclude(func(b *bill) bool { return b.parcel == packageInfo && b.OpenID == f.OpenID }, Succeeded, "")
}

// Received sums what the fan confirmed, in cents.
func (f *Fan) Received() int64 {
	f.t.pay.bills.mu.Lock()
	defer f.t.pay.bills.mu.Unlock()
	return f.t.pay.bills.received[f.OpenID]
}

// ConfirmBill lets the receiver of a bill confirm it.
func (t *Twin) ConfirmBill(outNo string) error {
	return t.conclude(func(b *bill) bool { return b.OutNo == outNo }, Succeeded, "")
}

// FailBill lets a transfer fail for a reason such as PAYEE_ACCOUNT_ABNORMAL.
func (t *Twin) FailBill(outNo, reason string) error {
	return t.conclude(func(b *bill) bool { return b.OutNo == outNo }, Failed, reason)
}

func (t *Twin) conclude(fits func(*bill) bool, state, reason string) error {
	all := &t.pay.bills
	now := t.clock.Now()
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, b := range all.byOut {
		if !fits(b) {
			continue
		}
		if t.settle(b, now); b.State != WaitConfirm {
			return fmt.Errorf("twin: the bill %s is %s, not %s", b.OutNo, b.State, WaitConfirm)
		}
		t.turn(b, Transferring, now)
		t.end(b, state, reason, now)
		return nil
	}
	return errors.New("twin: there is no such bill")
}

// notifyGaps are the waits between the tries of a callback, of the twin's time.
var notifyGaps = []time.Duration{
	15 * time.Second, 15 * time.Second, 30 * time.Second, 3 * time.Minute, 10 * time.Minute, 20 * time.Minute, 30 * time.Minute,
	30 * time.Minute, 30 * time.Minute, time.Hour, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour, 6 * time.Hour, 6 * time.Hour,
}

// notifyBill tells the merchant how a bill ended until they say that they heard it.
func (t *Twin) notifyBill(b Bill, to string) {
	for n := 0; ; n++ {
		err := t.tellMerchant(b, to, n)
		if err == nil || n == len(notifyGaps) {
			return
		}
		t.log.Warn("twin: the merchant's callback", "bill", b.OutNo, "try", n+1, "err", err)
		if t.clock.until(t.running, t.clock.Now().Add(notifyGaps[n])) != nil {
			return
		}
	}
}

func (t *Twin) tellMerchant(b Bill, to string, try int) error {
	select {
	case t.slots <- struct{}{}:
		defer func() { <-t.slots }()
	case <-t.running.Done():
		return t.running.Err()
	}
	plain, err := json.Marshal(b)
	if err != nil {
		return err
	}
	now := t.clock.Now()
	nonce := t.ids.letters(12, "resource", b.OutNo)
	sealed, err := sealPay(t.cfg.Merchant.APIv3Key, nonce, "mch_payment", plain)
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]any{
		"id": t.ids.letters(36, "notice", b.OutNo), "create_time": b.Updated, "event_type": "MCHTRANSFER.BILL.FINISHED",
		"resource_type": "encrypt-resource", "summary": "商家转账单据终态通知",
		"resource": map[string]string{"original_type": "mch_payment", "algorithm": "AEAD_AES_256_GCM", "ciphertext": sealed, "associated_data": "mch_payment", "nonce": nonce},
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.running, t.cfg.PushTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	if err := t.signPay(request.Header, body, now, b.OutNo+" "+nth(int64(try))); err != nil {
		return err
	}
	answer, err := t.outgoing.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	// What the body says does not matter; reading it lets the connection be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, maxAnswer))
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusNoContent {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}

func (t *Twin) getKeys(w http.ResponseWriter, _ *http.Request) {
	keys, err := t.Keys()
	if err != nil {
		complain(w, http.StatusInternalServerError, err)
		return
	}
	writeJSON(w, http.StatusOK, keys)
}

func (t *Twin) listBills(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"bills": t.Bills()})
}

func (t *Twin) endBill(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Reason string `json:"reason"`
	}
	if !take(w, r, &asked) {
		return
	}
	switch r.PathValue("outcome") {
	case "confirm":
		done(w, t.ConfirmBill(r.PathValue("number")))
	case "fail":
		done(w, t.FailBill(r.PathValue("number"), asked.Reason))
	default:
		complain(w, http.StatusNotFound, errors.New("a bill can be confirmed or fail"))
	}
}
