package api

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/labstack/echo/v4"

	"kfactor/campaign"
	"kfactor/engine"
	"kfactor/internal/code"
	"kfactor/internal/fault"
)

// index says what this is.
func (s *server) index(c echo.Context) error {
	return s.render(c, http.StatusOK, "index", view{})
}

// landing is the page behind a code: what a friend who scanned it sees. Seeing it is a scan.
func (s *server) landing(c echo.Context) error {
	v, err := s.visit(c, param(c, "code"))
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store") // a channel's code on it is a fresh one each time
	if counts(c.Request()) && v.Campaign.Status != campaign.Draft && v.Campaign.Status != campaign.Ended {
		s.scanned(c, v)
	}
	return s.showCampaign(c, http.StatusOK, view{Campaign: v.Campaign, Definition: v.Definition, Code: v.Code, Nickname: v.Nickname})
}

// visit is what stands behind a code from an address. Trying unknown codes is limited.
func (s *server) visit(c echo.Context, said string) (engine.Visit, error) {
	known, ok := code.Parse(said)
	if !ok {
		return engine.Visit{}, s.guessed(c, fault.New(fault.NotFound, "nobody has this code"))
	}
	v, err := s.engine.Visit(c.Request().Context(), known)
	if fault.KindOf(err) == fault.NotFound {
		return engine.Visit{}, s.guessed(c, err)
	}
	return v, err
}

// guessed is a miss, or too many of them.
func (s *server) guessed(c echo.Context, miss error) error {
	if err := s.guesses.spend(c.RealIP()); err != nil {
		return err
	}
	return miss
}

// scanned tells the campaign that its page was seen through the code.
func (s *server) scanned(c echo.Context, v engine.Visit) {
	kind, visitor := "scan", ""
	if v.Campaign.Channel != engine.WebChannel {
		visitor = s.userOn(c, v.Campaign.Channel)
	}
	if visitor == "" {
		visitor = s.visitor(c)
		if v.Campaign.Channel != engine.WebChannel { // on the channel they are somebody else, and scan the code on this page
			kind = "expose"
		}
	}
	s.setCookie(c, codeCookie, v.Code, codeAge)
	if err := s.scans.spend(c.RealIP()); err != nil {
		s.log.Debug("scan not counted: too many from one address", "request", requestID(c), "campaign", v.Campaign.ID)
		return
	}
	ev := engine.Incoming{ID: engine.NewEventID(kind), Campaign: v.Campaign.ID, Type: kind, User: visitor, Code: v.Code}
	if src := c.QueryParam("src"); src != "" {
		ev.Data, _ = json.Marshal(map[string]string{"source": clip(src, 64)})
	}
	receipt, err := s.engine.Accept(c.Request().Context(), []engine.Incoming{ev})
	if err == nil && len(receipt.Rejected) > 0 {
		err = errors.New(receipt.Rejected[0].Error)
	}
	if err != nil { // the page is worth more than the count
		s.log.Warn("scan not counted", "request", requestID(c), "campaign", v.Campaign.ID, "err", err)
	}
}

// previewers fetch pages to show a picture of them in a chat; nobody has seen the page by that.
var previewers = []string{
	"bot", "crawler", "spider", "preview", "facebookexternalhit", "whatsapp/", "slack-imgproxy", "skypeuripreview",
	"embedly", "headlesschrome-lighthouse", "mastodon/",
}

// counts says whether a person sees the page.
func counts(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for _, h := range []string{"Sec-Purpose", "Purpose", "X-Moz"} {
		if strings.Contains(strings.ToLower(r.Header.Get(h)), "prefetch") {
			return false
		}
	}
	agent := strings.ToLower(r.UserAgent())
	for _, p := range previewers {
		if strings.Contains(agent, p) {
			return false
		}
	}
	return true
}

// campaignPage is the page for those who come without a code.
func (s *server) campaignPage(c echo.Context) error {
	v, err := s.openCampaign(c)
	if err != nil {
		return err
	}
	return s.showCampaign(c, http.StatusOK, v)
}

// openCampaign is the campaign named in the address, with the friend whose code was remembered if it is theirs.
func (s *server) openCampaign(c echo.Context) (view, error) {
	id := param(c, "campaign")
	ctx := c.Request().Context()
	if remembered, ok := code.Parse(s.signed(c, codeCookie)); ok {
		if v, err := s.engine.Visit(ctx, remembered); err == nil && v.Campaign.ID == id {
			return view{Campaign: v.Campaign, Definition: v.Definition, Code: v.Code, Nickname: v.Nickname}, nil
		}
	}
	v, err := s.engine.Campaign(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return view{}, s.guessed(c, err)
	}
	if err != nil {
		return view{}, err
	}
	def, err := s.engine.Definition(ctx, id)
	return view{Campaign: v, Definition: def}, err
}

// showCampaign is the invitation, or how the campaign stands when nobody can join.
func (s *server) showCampaign(c echo.Context, status int, v view) error {
	own, err := s.ownOn(c, v.Campaign)
	if err != nil {
		return err
	}
	v.Own, v.State = own, stateOf(v, time.Now())
	v.WeChat = inWeChat(c)
	v.Follow = v.State == "elsewhere" && v.Code != "" && v.Own == ""
	v.Words = v.Definition.Join.Keywords
	return s.render(c, status, "campaign", v)
}

// stateOf is why a campaign takes nobody in by its page, "" when it does.
func stateOf(v view, now time.Time) string {
	switch {
	case v.Campaign.Status == campaign.Ended || !now.Before(v.Campaign.Ends):
		return "ended"
	case v.Campaign.Status == campaign.Draft:
		return "draft"
	case v.Campaign.Status == campaign.Paused:
		return "paused"
	case now.Before(v.Campaign.Starts):
		return "early"
	case v.Campaign.Channel != "web":
		return "elsewhere"
	}
	return ""
}

// joinThroughCode is the form of the page behind a code.
func (s *server) joinThroughCode(c echo.Context) error {
	form, err := s.form(c)
	if err != nil {
		return err
	}
	v, err := s.visit(c, param(c, "code"))
	if err != nil {
		return err
	}
	return s.takeIn(c, form, view{Campaign: v.Campaign, Definition: v.Definition, Code: v.Code, Nickname: v.Nickname})
}

// joinCampaign is the form of a campaign's page.
func (s *server) joinCampaign(c echo.Context) error {
	form, err := s.form(c)
	if err != nil {
		return err
	}
	v, err := s.openCampaign(c)
	if err != nil {
		return err
	}
	return s.takeIn(c, form, v)
}

// form is what a page sent: from our own pages only, and not too often from one address.
func (s *server) form(c echo.Context) (url.Values, error) {
	r := c.Request()
	if err := s.origins.Check(r); err != nil {
		return nil, fault.Wrap(fault.Forbidden, err, "this form was sent from another site")
	}
	if t, _, _ := mime.ParseMediaType(r.Header.Get(echo.HeaderContentType)); t != echo.MIMEApplicationForm {
		return nil, fault.New(fault.Unsupported, "a form is sent as %s", echo.MIMEApplicationForm)
	}
	if err := s.joins.spend(c.RealIP()); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(bodyOf(c)))
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the form is not well formed")
	}
	return form, nil
}

// takeIn makes the visitor a participant. On the web joining is following, so the campaign is told of both.
func (s *server) takeIn(c echo.Context, form url.Values, v view) error {
	v.Name = oneDirection(form.Get("name"))
	if stateOf(v, time.Now()) != "" {
		return s.showCampaign(c, http.StatusConflict, v)
	}
	if n := utf8.RuneCountInString(v.Name); n == 0 || n > mostNameRunes || !utf8.ValidString(v.Name) {
		v.Name = clip(v.Name, 120)
		return s.badName(c, v)
	}
	ctx := context.WithoutCancel(c.Request().Context()) // half a join is worse than one nobody waits for
	visitor := s.visitor(c)
	me, _, err := s.engine.Join(ctx, v.Campaign.ID, engine.Joining{User: visitor, Nickname: v.Name, InvitedBy: v.Code})
	if about(err, "nickname") {
		return s.badName(c, v)
	}
	if err != nil {
		return err
	}
	// Its id is the same each time: sending the form again follows no second time.
	receipt, err := s.engine.Accept(ctx, []engine.Incoming{
		{ID: s.idOnce("join", v.Campaign.ID, visitor), Campaign: v.Campaign.ID, Type: "subscribe", User: visitor, Code: v.Code},
	})
	if err == nil && len(receipt.Rejected) > 0 {
		err = errors.New("following was rejected: " + receipt.Rejected[0].Error)
	}
	if err != nil {
		return err
	}
	s.setCookie(c, ownCookie+v.Campaign.ID, me.Code, visitorAge)
	return c.Redirect(http.StatusSeeOther, "/me/"+url.PathEscape(v.Campaign.ID))
}

// oneDirection is a name without the characters that turn the direction of what stands around it.
func oneDirection(name string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Bidi_Control, r) {
			return -1
		}
		return r
	}, name))
}

// mostNameRunes is how long a name may be on the page; the poster shortens what it cannot hold.
const mostNameRunes = 40

func (s *server) badName(c echo.Context, v view) error {
	v.Problem = "bad_name"
	return s.showCampaign(c, http.StatusUnprocessableEntity, v)
}

// about says whether a failure names the field.
func about(err error, field string) bool {
	said, ok := errors.AsType[*fault.Error](err)
	if !ok || said.Kind != fault.Invalid {
		return false
	}
	for _, f := range said.Fields {
		if f.Field == field {
			return true
		}
	}
	return false
}
