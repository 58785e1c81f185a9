package twin

import "time"

// jsTicket gives the ticket that pages are signed with, the same one while it lives:
// https://developers.weixin.qq.com/doc/offiaccount/OA_Web_Apps/JS-SDK.html.
func (c *call) jsTicket() (any, error) {
	if kind := c.query("type"); kind != "jsapi" && kind != "wx_card" {
		return nil, refuse(40035)
	}
	t := &c.tokens
	t.mu.Lock()
	defer t.mu.Unlock()
	kind := c.query("type")
	current := t.latest[kind]
	if current == nil || !c.now.Before(current.expires) {
		t.made++
		current = &issued{value: c.ids.letters(jsTicketChars, kind, nth(t.made)), expires: c.now.Add(jsTicketLife)}
		t.latest[kind] = current
	}
	return struct {
		ok
		Ticket  string `json:"ticket"`
		Expires int64  `json:"expires_in"`
	}{fine, current.value, int64(current.expires.Sub(c.now) / time.Second)}, nil
}

// CheckJS says whether a page's signature would satisfy the platform's script: made with the ticket that lives now, over
// the address as the browser shows it, up to the #.
func (t *Twin) CheckJS(signature, nonce, timestamp, address string) bool {
	now := t.clock.Now()
	t.tokens.mu.Lock()
	defer t.tokens.mu.Unlock()
	current := t.tokens.latest["jsapi"]
	return current != nil && now.Before(current.expires) && signature == signJS(current.value, nonce, timestamp, address)
}
