package twin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// control mounts the routes that drive the twin: JSON in and out, forms for the pages. See docs/wechat.md for the list.
func (t *Twin) control() {
	routes := map[string]http.HandlerFunc{
		"GET /_twin/{$}":                       t.showFans,
		"GET /_twin/files/{name}":              t.showFile,
		"GET /_twin/pictures/{name}":           t.showPicture,
		"GET /_twin/state":                     t.getState,
		"GET /_twin/statistics":                t.getStatistics,
		"POST /_twin/clock":                    t.moveClock,
		"POST /_twin/callback":                 t.putCallback,
		"POST /_twin/faults":                   t.addFault,
		"DELETE /_twin/faults":                 t.endFaults,
		"POST /_twin/ban":                      t.addBan,
		"DELETE /_twin/ban":                    t.endBan,
		"POST /_twin/tokens/revoke":            t.revoke,
		"POST /_twin/pushes":                   t.bendPushes,
		"POST /_twin/quotas":                   t.putQuota,
		"POST /_twin/templates/fail":           t.failTemplates,
		"GET /_twin/fans":                      t.listFans,
		"POST /_twin/fans":                     t.postFan,
		"GET /_twin/fans/{openid}":             t.showFan,
		"GET /_twin/fans/{openid}/chat":        t.getChat,
		"GET /_twin/fans/{openid}/browser":     t.browse,
		"POST /_twin/fans/{openid}/{verb}":     t.act,
		"GET /_twin/merchant":                  t.getKeys,
		"GET /_twin/bills":                     t.listBills,
		"POST /_twin/bills/{number}/{outcome}": t.endBill,
	}
	// A page on another site must not drive the twin through a browser that can reach it.
	guard := http.NewCrossOriginProtection()
	for pattern, handler := range routes {
		t.mux.Handle(pattern, guard.Handler(handler))
	}
}

// isForm says whether a page sent the request, which then wants a page back.
func isForm(r *http.Request) bool {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data"
}

// take reads a JSON body into a value; an empty body leaves the value as it is.
func take(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
	if err == nil && len(body) > 0 {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		complain(w, http.StatusBadRequest, err)
	}
	return err == nil
}

func complain(w http.ResponseWriter, status int, err error) {
	writeJSON(w, status, map[string]string{"error": strings.TrimPrefix(err.Error(), "twin: ")})
}

// done answers with nothing to say, or with what went wrong.
func done(w http.ResponseWriter, err error) {
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}

func (t *Twin) showPicture(w http.ResponseWriter, r *http.Request) {
	body := t.pictures.bytes(r.PathValue("name"))
	if body == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", contentType(body))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "sandbox")
	w.Write(body)
}

// state is the account and the platform around it as the control routes tell them.
type state struct {
	AppID    string    `json:"appid"`
	Secret   string    `json:"secret"`
	Original string    `json:"original_id"`
	Name     string    `json:"name"`
	Token    string    `json:"token"`
	AESKey   string    `json:"aes_key"`
	Mode     Mode      `json:"mode"`
	BaseURL  string    `json:"base_url"`
	Callback string    `json:"callback"`
	Now      time.Time `json:"now"`
	Running  bool      `json:"running"` // the clock
	Fans     int       `json:"fans"`
	Menu     []Button  `json:"menu"`
	Paths    []string  `json:"paths"`
}

func (t *Twin) getState(w http.ResponseWriter, _ *http.Request) {
	c := t.cfg
	s := state{
		AppID: c.AppID, Secret: c.Secret, Original: c.OriginalID, Name: c.Name, Token: c.Token, AESKey: c.AESKey, Mode: c.Mode,
		BaseURL: t.BaseURL(), Now: t.clock.Now(), Running: t.clock.Running(), Fans: t.fans.size(), Menu: t.Menu(), Paths: t.Paths(),
	}
	if callback := t.callback.Load(); callback != nil {
		s.Callback = *callback
	}
	writeJSON(w, http.StatusOK, s)
}

func (t *Twin) getStatistics(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, t.Statistics())
}

// span is a duration written as "90s" or "1h30m".
type span time.Duration

func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*s = span(d)
	return err
}

func (t *Twin) moveClock(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Advance span      `json:"advance"`
		Set     time.Time `json:"set"`
		Stop    bool      `json:"stop"`
		Run     bool      `json:"run"`
	}
	if isForm(r) {
		if err := asked.Advance.UnmarshalText([]byte(r.FormValue("advance"))); err != nil {
			complain(w, http.StatusBadRequest, err)
			return
		}
	} else if !take(w, r, &asked) {
		return
	}
	if asked.Stop {
		t.clock.Stop()
	}
	if asked.Run {
		t.clock.Run()
	}
	if !asked.Set.IsZero() {
		t.clock.Set(asked.Set)
	}
	t.clock.Advance(time.Duration(asked.Advance))
	if isForm(r) {
		http.Redirect(w, r, "/_twin/", http.StatusSeeOther)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"now": t.clock.Now(), "running": t.clock.Running()})
}

func (t *Twin) putCallback(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		URL string `json:"url"`
	}
	if take(w, r, &asked) {
		done(w, t.SetCallback(r.Context(), asked.URL))
	}
}

func (t *Twin) addFault(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Fault
		Delay span `json:"delay"`
		For   span `json:"for"` // of the twin's time
	}
	if !take(w, r, &asked) {
		return
	}
	asked.Fault.Delay = time.Duration(asked.Delay)
	if asked.For > 0 {
		asked.Until = t.clock.Now().Add(time.Duration(asked.For))
	}
	done(w, t.Inject(asked.Fault))
}

func (t *Twin) endFaults(w http.ResponseWriter, _ *http.Request) {
	t.Heal()
	done(w, nil)
}

func (t *Twin) addBan(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Paths []string `json:"paths"`
	}
	if take(w, r, &asked) {
		t.Ban(asked.Paths...)
		done(w, nil)
	}
}

func (t *Twin) endBan(w http.ResponseWriter, _ *http.Request) {
	t.Unban()
	done(w, nil)
}

func (t *Twin) revoke(w http.ResponseWriter, _ *http.Request) {
	t.RevokeTokens()
	done(w, nil)
}

func (t *Twin) bendPushes(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Duplicate int `json:"duplicate"`
		Hold      int `json:"hold"`
	}
	if take(w, r, &asked) {
		t.DuplicatePushes(asked.Duplicate)
		t.HoldPushes(asked.Hold)
		done(w, nil)
	}
}

func (t *Twin) putQuota(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Path  string `json:"path"`
		Daily int64  `json:"daily"`
	}
	if !take(w, r, &asked) {
		return
	}
	if !t.SetQuota(asked.Path, asked.Daily) {
		complain(w, http.StatusNotFound, fmt.Errorf("the twin does not serve %q", asked.Path))
		return
	}
	done(w, nil)
}

func (t *Twin) failTemplates(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Statuses []string `json:"statuses"`
	}
	if take(w, r, &asked) {
		t.FailTemplates(asked.Statuses...)
		done(w, nil)
	}
}

// FanState is a fan as the control routes tell of them.
type FanState struct {
	OpenID    string    `json:"openid"`
	UnionID   string    `json:"unionid,omitempty"`
	Name      string    `json:"name"`
	Following bool      `json:"following"`
	Since     time.Time `json:"since,omitzero"`
	Scene     string    `json:"scene,omitempty"`    // of the last follow
	Looking   string    `json:"looking,omitempty"`  // the scene of the profile page that is open
	Typing    bool      `json:"typing,omitempty"`   // the account is shown typing
	Messages  int64     `json:"messages"`           // ever shown
	Allowed   int       `json:"allowed"`            // messages the account may still send
	Until     time.Time `json:"until,omitzero"`     // and until when
	Received  int64     `json:"received,omitempty"` // cents of transfers
}

// State is how the fan stands to the account.
func (f *Fan) State() FanState {
	now, received := f.t.clock.Now(), f.Received()
	f.mu.Lock()
	defer f.mu.Unlock()
	s := FanState{
		OpenID: f.OpenID, UnionID: f.UnionID, Name: f.Name, Following: f.follows, Since: f.since, Scene: f.scene,
		Typing: now.Before(f.typing), Messages: f.shown, Received: received,
	}
	if f.looking != nil {
		s.Looking = f.looking.scene
	}
	s.Allowed, s.Until = f.allowed.state(now)
	return s
}

func (t *Twin) listFans(w http.ResponseWriter, _ *http.Request) {
	fans := []FanState{}
	for _, f := range t.Fans() {
		fans = append(fans, f.State())
	}
	writeJSON(w, http.StatusOK, map[string]any{"fans": fans})
}

const maxName = 32

func (t *Twin) postFan(w http.ResponseWriter, r *http.Request) {
	var asked struct {
		Name string `json:"name"`
	}
	if isForm(r) {
		r.Body = http.MaxBytesReader(w, r.Body, maxJSON)
		asked.Name = r.FormValue("name")
	} else if !take(w, r, &asked) {
		return
	}
	switch name := []rune(asked.Name); {
	case len(name) == 0 || len(name) > maxName:
		complain(w, http.StatusBadRequest, fmt.Errorf("a name has 1 to %d characters", maxName))
	case t.fans.size() >= t.cfg.MaxFans:
		complain(w, http.StatusConflict, fmt.Errorf("there are %d fans already, which is the most", t.cfg.MaxFans))
	default:
		f := t.AddFan(asked.Name)
		if isForm(r) {
			http.Redirect(w, r, "/_twin/fans/"+f.OpenID, http.StatusSeeOther)
			return
		}
		writeJSON(w, http.StatusCreated, f.State())
	}
}

// named finds the fan that a route names, or says that there is none.
func (t *Twin) named(w http.ResponseWriter, r *http.Request) *Fan {
	f := t.Fan(r.PathValue("openid"))
	if f == nil {
		complain(w, http.StatusNotFound, errors.New("there is no such fan"))
	}
	return f
}

const longestWait = 30 * time.Second

// getChat gives the chat from behind a message on, waiting for one if asked to.
func (t *Twin) getChat(w http.ResponseWriter, r *http.Request) {
	f := t.named(w, r)
	if f == nil {
		return
	}
	after, _ := strconv.ParseInt(r.URL.Query().Get("after"), 10, 64)
	if wait, err := time.ParseDuration(r.URL.Query().Get("wait")); err == nil && wait > 0 {
		ctx, cancel := context.WithTimeout(r.Context(), min(wait, longestWait))
		// Nothing new in time is an answer too: an empty list.
		_, _ = f.Await(ctx, func(m Message) bool { return m.No > after })
		cancel()
	}
	messages := []Message{}
	for _, m := range f.Chat() {
		if m.No > after {
			messages = append(messages, m)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"messages": messages})
}

// doing is what a fan is asked to do, with what that takes.
type doing struct {
	Content   string   `json:"content"` // scan
	Text      string   `json:"text"`    // say
	Button    string   `json:"button"`  // tap: a name, key or path
	Input     string   `json:"input"`
	Item      string   `json:"item"`  // choose
	Image     []byte   `json:"image"` // image, as base64
	URL       string   `json:"url"`   // open
	Templates []string `json:"templates"`

	Kind     string    `json:"kind"`  // send
	Event    string    `json:"event"` // raise
	Elements []Element `json:"elements"`

	Consenting *bool `json:"consenting"` // settings
	Snapshot   *bool `json:"snapshot"`
	Muted      *bool `json:"muted"`
	Blocked    *bool `json:"blocked"`
	Faceless   *bool `json:"faceless"`
}

// opened is a page as the control routes tell of it.
type opened struct {
	Page
	Body string `json:"body"`
}

// after is how the fan stands after doing something.
func (f *Fan) after(err error) (any, error) { return f.State(), err }

var verbs = map[string]func(context.Context, *Fan, *doing) (any, error){
	"scan":     func(ctx context.Context, f *Fan, d *doing) (any, error) { return f.Scan(ctx, d.Content) },
	"follow":   func(ctx context.Context, f *Fan, _ *doing) (any, error) { return f.after(f.Follow(ctx)) },
	"unfollow": func(ctx context.Context, f *Fan, _ *doing) (any, error) { return f.after(f.Unfollow(ctx)) },
	"leave":    func(_ context.Context, f *Fan, _ *doing) (any, error) { f.Leave(); return f.State(), nil },
	"say": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		if d.Text == "" || len(d.Text) > maxText {
			return nil, fmt.Errorf("a text has 1 to %d bytes", maxText)
		}
		return f.after(f.Say(ctx, d.Text))
	},
	"tap":    func(ctx context.Context, f *Fan, d *doing) (any, error) { return f.Tap(ctx, d.Button, d.Input) },
	"choose": func(ctx context.Context, f *Fan, d *doing) (any, error) { return f.after(f.Choose(ctx, d.Item)) },
	"image": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		if len(d.Image) == 0 || len(d.Image) > mediaKinds["image"].limit || !strings.HasPrefix(contentType(d.Image), "image/") {
			return nil, errors.New("this is no picture of at most 2 MB")
		}
		return f.after(f.SendImage(ctx, d.Image))
	},
	"open": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		page, err := f.Open(ctx, d.URL)
		return opened{page, string(page.Body)}, err
	},
	"accept": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		return f.after(f.Accept(ctx, d.Templates...))
	},
	"reject": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		return f.after(f.Reject(ctx, d.Templates...))
	},
	"withdraw": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		return f.after(f.Withdraw(ctx, d.Templates...))
	},
	"send": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		return f.after(f.Send(ctx, d.Kind, d.Elements...))
	},
	"raise": func(ctx context.Context, f *Fan, d *doing) (any, error) {
		return f.after(f.Raise(ctx, d.Event, d.Elements...))
	},
	"settings": func(_ context.Context, f *Fan, d *doing) (any, error) {
		for _, one := range []struct {
			asked *bool
			set   func(bool)
		}{{d.Consenting, f.Consenting}, {d.Snapshot, f.Snapshot}, {d.Muted, f.Mute}, {d.Blocked, f.Block}, {d.Faceless, f.Faceless}} {
			if one.asked != nil {
				one.set(*one.asked)
			}
		}
		return f.State(), nil
	},
}

// act lets a fan do something and answers with what they then see, or with how they stand.
func (t *Twin) act(w http.ResponseWriter, r *http.Request) {
	f := t.named(w, r)
	if f == nil {
		return
	}
	verb, known := verbs[r.PathValue("verb")]
	if !known {
		complain(w, http.StatusNotFound, fmt.Errorf("a fan cannot %q", r.PathValue("verb")))
		return
	}
	if isForm(r) {
		t.actOnPage(w, r, f, verb)
		return
	}
	var asked doing
	if !take(w, r, &asked) {
		return
	}
	result, err := verb(r.Context(), f, &asked)
	if err != nil {
		complain(w, http.StatusConflict, err)
		return
	}
	writeJSON(w, http.StatusOK, result)
}
