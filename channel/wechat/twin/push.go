package twin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// unavailable is the line that fans see when the account's answer did not come or made no sense.
const unavailable = "该公众号提供的服务出现故障，请稍后再试"

const (
	maxAnswer   = 64 << 10
	longestHold = 2 * time.Second
)

// push is one thing to tell the account. What was written into inner stays the same in every delivery.
type push struct {
	fan    *Fan
	at     time.Time
	no     int64    // of the fan's doings
	inner  document // all elements but the first
	silent bool     // the fan sees nothing of how it ends
}

// push delivers a push and lets the fan see what comes of it. It returns early when ctx ends; the push is then over, as if
// the platform had gone down.
func (t *Twin) push(ctx context.Context, p *push) {
	if t.callback.Load() == nil {
		return
	}
	t.stats.pushes.Add(1)
	duplicate, hold := t.faults.mischief()
	if hold {
		t.hold(p)
		return
	}
	t.deliver(ctx, p)
	if duplicate {
		// As when the platform did not see the first answer; a second one shows nothing.
		t.stats.repeats.Add(1)
		if _, err := t.try(ctx, p, 1); err != nil {
			t.log.Debug("twin: duplicate", "err", err)
		}
	}
	t.release()
}

// pushLater delivers a push that no fan waits for.
func (t *Twin) pushLater(p *push) {
	p.silent = true
	t.background(func() { t.push(t.running, p) })
}

// background runs work that Close waits for, a bounded number at a time.
func (t *Twin) background(work func()) {
	t.spawn(func() {
		select {
		case t.slots <- struct{}{}:
			defer func() { <-t.slots }()
			work()
		case <-t.running.Done():
		}
	})
}

// hold delivers a push after the one that follows it.
func (t *Twin) hold(p *push) {
	t.faults.mu.Lock()
	if t.faults.released == nil {
		t.faults.released = make(chan struct{})
	}
	released := t.faults.released
	t.faults.mu.Unlock()
	t.background(func() {
		timer := time.NewTimer(longestHold)
		defer timer.Stop()
		select {
		case <-released:
		case <-timer.C:
		case <-t.running.Done():
		}
		t.deliver(t.running, p)
	})
}

func (t *Twin) release() {
	t.faults.mu.Lock()
	defer t.faults.mu.Unlock()
	if t.faults.released != nil {
		close(t.faults.released)
		t.faults.released = nil
	}
}

// deliver tries a push until it is answered or given up. Every try carries the same MsgId and CreateTime.
// https://developers.weixin.qq.com/doc/subscription/guide/product/message/Passive_user_reply_message.html
func (t *Twin) deliver(ctx context.Context, p *push) {
	for n := range t.cfg.Deliveries {
		if n > 0 {
			t.stats.repeats.Add(1)
		}
		began := time.Now()
		body, err := t.try(ctx, p, n)
		if err == nil {
			t.answered(p, body)
			return
		}
		t.log.Debug("twin: push", "openid", p.fan.OpenID, "try", n+1, "err", err)
		if n+1 == t.cfg.Deliveries || !pause(ctx, t.running, t.cfg.PushGap-time.Since(began)) {
			break
		}
	}
	t.stats.unanswered.Add(1)
	t.apologise(p)
}

// pause waits in real time; it reports whether there is reason to go on.
func pause(ctx, running context.Context, d time.Duration) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		case <-running.Done():
		}
	}
	return ctx.Err() == nil && running.Err() == nil
}

func (t *Twin) apologise(p *push) {
	if !p.silent {
		p.fan.display(Message{By: BySystem, Type: "text", Text: unavailable})
	}
}

// answered shows the fan what the account answered.
func (t *Twin) answered(p *push, body []byte) {
	m, err := t.readReply(p.fan, body)
	switch {
	case errors.Is(err, errNothingSaid):
	case err != nil:
		t.stats.wrong.Add(1)
		t.log.Warn("twin: the answer to a push is wrong", "openid", p.fan.OpenID, "err", err)
		t.apologise(p)
	default:
		t.stats.replied.Add(1)
		if p.fan.Following() && !p.silent {
			p.fan.display(m)
		}
	}
}

// try delivers a push once and gives the answer's body.
func (t *Twin) try(ctx context.Context, p *push, n int) ([]byte, error) {
	callback := t.callback.Load()
	if callback == nil {
		return nil, errors.New("there is no callback")
	}
	ctx, cancel := context.WithTimeout(ctx, t.cfg.PushTimeout)
	defer cancel()
	defer context.AfterFunc(t.running, cancel)()
	at := p.at
	if !t.cfg.FreshNonces {
		n = 0
	} else if n > 0 {
		at = t.clock.Now()
	}
	query, body := t.envelope(p, nth(at.Unix()), n)
	joint := "?"
	if strings.Contains(*callback, "?") {
		joint = "&"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, *callback+joint+query, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "text/xml")
	request.Header.Set("User-Agent", "Mozilla/4.0")
	t.stats.deliveries.Add(1)
	began := time.Now()
	answer, err := t.outgoing.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	t.stats.took.add(time.Since(began))
	switch {
	case err != nil:
		return nil, err
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", answer.StatusCode)
	case len(said) > maxAnswer:
		return nil, errors.New("the answer is too long")
	}
	return said, nil
}

// envelope writes a push as the account's mode has it, and the query that signs it.
func (t *Twin) envelope(p *push, timestamp string, try int) (query string, body []byte) {
	openid := p.fan.OpenID
	nonce := nth(t.ids.number("nonce", openid, nth(p.no), nth(int64(try))) % 1e10)
	query = "signature=" + sign(t.cfg.Token, timestamp, nonce) + "&timestamp=" + timestamp + "&nonce=" + nonce + "&openid=" + openid

	var open, sealed document
	open.open("xml")
	open.text("ToUserName", t.cfg.OriginalID)
	open.Write(p.inner.Bytes())
	if t.cfg.Mode == Plain {
		open.close("xml")
		return query, open.Bytes()
	}
	plain := append(bytes.Clone(open.Bytes()), "</xml>"...)
	encrypted := t.box.seal(t.ids.sum("random", openid, nth(p.no), nth(int64(try))), plain)
	query += "&encrypt_type=aes&msg_signature=" + sign(t.cfg.Token, timestamp, nonce, encrypted)
	if t.cfg.Mode == Compatible {
		open.text("Encrypt", encrypted)
		open.close("xml")
		return query, open.Bytes()
	}
	sealed.open("xml")
	sealed.text("ToUserName", t.cfg.OriginalID)
	sealed.text("Encrypt", encrypted)
	sealed.close("xml")
	return query, sealed.Bytes()
}
