package wechat

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"kfactor/channel/wechat/wire"
	"kfactor/internal/fault"
)

const (
	// stampWindow is how far a call's time stamp may be from our clock: an old call that somebody kept is refused, and a
	// clock may be off a little.
	stampWindow = 5 * time.Minute
	// hearTimeout is when a push that is not on disk yet is given up; the platform waits for five seconds and comes again.
	hearTimeout = 4500 * time.Millisecond
	maxNonce    = 64  // bytes
	maxEcho     = 256 // bytes
)

// Callback answers the platform on the channel of that name: mount it for GET and POST at /wechat/NAME.
func (c *Channels) Callback(name string) http.Handler {
	d := c.desks[name]
	if d == nil {
		return http.NotFoundHandler()
	}
	return d
}

// ServeHTTP answers one call of the platform's.
func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet:
		d.verify(w, r)
	case http.MethodPost:
		d.listen(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		refuse(w, http.StatusMethodNotAllowed)
	}
}

// refuse answers with a status and nothing else: who forges calls learns nothing from it.
func refuse(w http.ResponseWriter, status int) { w.WriteHeader(status) }

// refusal is why a call is not the platform's, for the log and the metrics.
type refusal string

const (
	badSignature refusal = "signature"
	badStamp     refusal = "timestamp"
	badNonce     refusal = "nonce" // used for another body
	badBody      refusal = "body"
	tooLarge     refusal = "too_large"
	tooSlow      refusal = "too_slow"
	tooMany      refusal = "too_many" // bodies that are being read
	badMode      refusal = "mode"     // plain where the account encrypts
	badAccount   refusal = "account"
)

func (d *desk) refused(w http.ResponseWriter, status int, why refusal, err error) {
	d.health.refusePush(string(why))
	d.channels.Metrics.ChannelPush(d.name, "refused_"+string(why))
	d.channels.Log.Info("a callback was refused", "channel", d.name, "why", string(why), "err", err)
	w.Header().Set("Connection", "close") // or the server would wait for the body before it answers
	refuse(w, status)
}

// signed says why a call does not carry the account's signature of these minutes, "" when it does.
func (d *desk) signed(q url.Values) refusal {
	stamp, nonce := q.Get("timestamp"), q.Get("nonce")
	if len(stamp) > 20 || nonce == "" || len(nonce) > maxNonce || !d.crypt.Signed(q.Get("signature"), stamp, nonce) {
		return badSignature
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	now := d.channels.Now()
	if err != nil || at < now.Add(-stampWindow).Unix() || at > now.Add(stampWindow).Unix() {
		return badStamp
	}
	return ""
}

// verify answers the check that the platform makes when the address is entered at the account's console.
func (d *desk) verify(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if why := d.signed(q); why != "" {
		d.refused(w, http.StatusForbidden, why, nil)
		return
	}
	echo := q.Get("echostr")
	if echo == "" || len(echo) > maxEcho {
		d.refused(w, http.StatusBadRequest, badBody, nil)
		return
	}
	d.answer(w, "text/plain; charset=utf-8", []byte(echo))
}

func (d *desk) answer(w http.ResponseWriter, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		d.channels.Log.Debug("the platform went away", "channel", d.name, "err", err)
	}
}

// listen takes a push.
func (d *desk) listen(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	q := r.URL.Query()
	if why := d.signed(q); why != "" {
		d.refused(w, http.StatusForbidden, why, nil)
		return
	}
	if r.ContentLength > wire.MaxBody {
		d.refused(w, http.StatusRequestEntityTooLarge, tooLarge, nil)
		return
	}
	body, err := d.body(w, r)
	if err != nil {
		var large *http.MaxBytesError
		switch {
		case errors.Is(err, errReading):
			d.refused(w, http.StatusServiceUnavailable, tooMany, nil)
		case errors.Is(err, errSlowBody):
			d.refused(w, http.StatusRequestTimeout, tooSlow, nil)
		case errors.As(err, &large):
			d.refused(w, http.StatusRequestEntityTooLarge, tooLarge, nil)
		default:
			d.refused(w, http.StatusBadRequest, badBody, err)
		}
		return
	}
	p, why, err := d.open(q, body)
	if why != "" {
		status := http.StatusForbidden
		if why == badBody {
			status = http.StatusBadRequest
		}
		d.refused(w, status, why, err)
		return
	}
	d.health.heard(d.channels.Now())
	ctx, cancel := context.WithTimeout(r.Context(), hearTimeout)
	defer cancel()
	reply, result, err := d.hear(ctx, p)
	if err != nil {
		// No answer: the platform comes again in five seconds, and nothing counts twice.
		d.channels.Metrics.ChannelPush(d.name, "failed")
		d.channels.Log.Error("a push was not taken", "channel", d.name, "type", p.MsgType, "event", p.Event, "err", err)
		refuse(w, http.StatusServiceUnavailable)
		return
	}
	d.channels.Metrics.ChannelPush(d.name, result)
	d.channels.Metrics.ChannelPushTook(time.Since(began))
	d.reply(w, reply)
}

// open checks a signed body and reads it.
func (d *desk) open(q url.Values, body []byte) (wire.Push, refusal, error) {
	sealed := q.Get("encrypt_type") == "aes"
	switch {
	case d.crypt.Encrypted() && !sealed:
		// Its signature says nothing of the body: anybody who has seen one could write it.
		return wire.Push{}, badMode, errors.New("the account encrypts, and this push is not; set the console to the secure or the compatible mode, or leave aes_key out of the settings")
	case !d.crypt.Encrypted() && sealed:
		return wire.Push{}, badMode, wire.ErrSealed
	case !sealed && !d.nonces.taken(q.Get("timestamp"), q.Get("nonce"), body, d.channels.Now()):
		return wire.Push{}, badNonce, nil
	}
	plain, err := d.crypt.Open(q.Get("msg_signature"), q.Get("timestamp"), q.Get("nonce"), body)
	if errors.Is(err, wire.ErrForged) {
		return wire.Push{}, badSignature, err
	}
	if err != nil {
		return wire.Push{}, badBody, err
	}
	p, err := wire.Parse(plain)
	if errors.Is(err, wire.ErrSealed) {
		return p, badMode, err
	}
	if err != nil {
		return p, badBody, err
	}
	if len(p.From) > maxOpenID {
		return p, badBody, fault.New(fault.Invalid, "a sender of %d bytes", len(p.From))
	}
	if id := d.settings.OriginalID; id != "" && id != p.To {
		return p, badAccount, fault.New(fault.Invalid, "the push is for %.32q, and original_id in the settings is %q", p.To, id)
	}
	return p, "", nil
}

// maxOpenID is more than an openid has: 28 characters.
const maxOpenID = 64

// reply answers a push: nil says nothing to the fan.
func (d *desk) reply(w http.ResponseWriter, reply []byte) {
	if len(reply) == 0 {
		d.answer(w, "text/plain; charset=utf-8", []byte(wire.Success))
		return
	}
	sealed, err := d.crypt.Seal(reply, d.channels.Now().Unix(), rand.Text())
	if err != nil {
		d.channels.Log.Error("a reply was not sealed", "channel", d.name, "err", err)
		d.answer(w, "text/plain; charset=utf-8", []byte(wire.Success))
		return
	}
	d.answer(w, "text/xml; charset=utf-8", sealed)
}
