package api

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"kfactor/campaign"
	"kfactor/channel/wechat"
	"kfactor/engine"
	"kfactor/internal/fault"
	"kfactor/poster"
)

// The cookies of signing in.
const (
	userCookie  = "kf_wx_"   // followed by a channel: who this browser is there
	enterCookie = "kf_enter" // ties a sign-in to the browser that began it
)

const (
	userAge  = 30 * 24 * time.Hour
	enterAge = 10 * time.Minute // from the sign-in's beginning to its end
)

// callbackPath is where the platform calls. What it is told is small, and it waits for five seconds only, so its calls
// neither queue behind visitors nor take from what is theirs.
const callbackPath = "/wechat/{channel}"

// callback hands a call of the platform's to its channel.
func (s *server) callback(c echo.Context) error {
	if s.wechat == nil {
		return fault.New(fault.NotFound, "no channel is configured")
	}
	leave, err := s.callbacks.enter(c.Request().Context())
	if err != nil {
		return err
	}
	defer leave()
	s.wechat.Callback(param(c, "channel")).ServeHTTP(c.Response(), c.Request())
	return nil
}

// inWeChat says whether the page is opened in WeChat, where people can be signed in. WeChat for companies is another
// program with accounts of its own.
func inWeChat(c echo.Context) bool {
	agent := c.Request().UserAgent()
	return strings.Contains(agent, "MicroMessenger") && !strings.Contains(agent, "wxwork")
}

// userOn is who this browser is on a channel, "" where it has not signed in.
func (s *server) userOn(c echo.Context, channel string) string {
	user, err := base64.RawURLEncoding.DecodeString(s.signed(c, userCookie+channel))
	if err != nil {
		return ""
	}
	return string(user)
}

// ownOn is the code that the visitor owns in a campaign: by the browser's own cookie, or as who they are on its channel.
func (s *server) ownOn(c echo.Context, v engine.CampaignView) (string, error) {
	if own := s.ownCode(c, v.ID); own != "" || v.Channel == engine.WebChannel {
		return own, nil
	}
	user := s.userOn(c, v.Channel)
	if user == "" {
		return "", nil
	}
	return s.engine.CodeOfUser(c.Request().Context(), v.ID, user)
}

// askedBack are the pages that a sign-in may lead to: our own, and nothing else.
var askedBack = regexp.MustCompile(`^/(?:me|c|r)/([0-9A-Za-z-]{1,64})(?:/[0-9a-z]{1,20}){0,2}$`)

// enterURL is where a browser is sent to be signed in and come back to a page. ask "profile" has WeChat ask them for
// their name and picture too.
func enterURL(channel, to, ask string) string {
	q := url.Values{"to": {to}}
	if ask != "" {
		q.Set("ask", ask)
	}
	return "/wechat/" + url.PathEscape(channel) + "/enter?" + q.Encode()
}

// signIn is one sign-in under way.
type signIn struct {
	channel string
	to      string // a path of ours
	ask     string // "" or askProfile
	browser string // that began it
}

const askProfile = "profile"

// state is what the platform hands back with the code: until when, and a signature over all the rest. It holds letters
// and digits alone, as the platform asks.
func (s *server) state(in signIn, until time.Time) string {
	end := fmt.Sprintf("%010x", until.Unix())
	mac := hmac.New(sha256.New, s.cookieKey[:])
	for _, part := range []string{"sign-in", in.channel, in.to, in.ask, in.browser, end} {
		fmt.Fprintf(mac, "%d %s", len(part), part)
	}
	return end + hex.EncodeToString(mac.Sum(nil)[:16])
}

// began says whether a sign-in was begun here, in this browser, a moment ago.
func (s *server) began(in signIn, state string, now time.Time) bool {
	if len(state) < 10 || in.browser == "" {
		return false
	}
	end, err := strconv.ParseInt(state[:10], 16, 64)
	if err != nil || now.Unix() > end {
		return false
	}
	return hmac.Equal([]byte(s.state(in, time.Unix(end, 0))), []byte(state))
}

// readSignIn reads from an address where a sign-in leads to.
func (s *server) readSignIn(c echo.Context) (signIn, error) {
	in := signIn{channel: param(c, "channel"), to: c.QueryParam("to"), ask: c.QueryParam("ask")}
	if s.wechat == nil {
		return in, fault.New(fault.NotFound, "no channel is configured")
	}
	if !askedBack.MatchString(in.to) || in.ask != "" && in.ask != askProfile {
		return in, fault.New(fault.Invalid, "this sign-in leads nowhere")
	}
	return in, nil
}

// enter sends the browser to WeChat to be told who it is.
func (s *server) enter(c echo.Context) error {
	in, err := s.readSignIn(c)
	if err != nil {
		return err
	}
	if in.browser = s.signed(c, enterCookie); in.browser == "" {
		in.browser = rand.Text()
	}
	s.setCookie(c, enterCookie, in.browser, enterAge)
	scope, back := wechat.ScopeBase, url.Values{"to": {in.to}}
	if in.ask == askProfile {
		scope = wechat.ScopeUserInfo
		back.Set("ask", in.ask)
	}
	address, err := s.wechat.SignInURL(c.Request().Context(), in.channel, scope,
		s.publicURL+"/wechat/"+in.channel+"/back?"+back.Encode(), s.state(in, time.Now().Add(enterAge)))
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	return c.Redirect(http.StatusFound, address)
}

// back is where WeChat sends a browser that it has signed in.
func (s *server) back(c echo.Context) error {
	in, err := s.readSignIn(c)
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	if err := s.joins.spend(c.RealIP()); err != nil {
		return err
	}
	in.browser = s.signed(c, enterCookie)
	if !s.began(in, c.QueryParam("state"), time.Now()) {
		return s.signInAgain(c, http.StatusForbidden, in, "sign_in_stale")
	}
	code := c.QueryParam("code")
	if code == "" || len(code) > 512 { // they would rather not
		if in.ask == askProfile {
			return c.Redirect(http.StatusSeeOther, in.to)
		}
		return s.signInAgain(c, http.StatusForbidden, in, "sign_in_declined")
	}
	who, err := s.wechat.SignedIn(c.Request().Context(), in.channel, code)
	if fault.KindOf(err) == fault.Invalid { // used before, or too old
		return s.signInAgain(c, http.StatusForbidden, in, "sign_in_stale")
	}
	if err == nil && who.User == "" && !who.Snapshot {
		err = errors.New("it gave nobody")
	}
	if err != nil {
		s.log.Warn("sign-in failed", "request", requestID(c), "channel", in.channel, "err", err)
		return s.signInAgain(c, http.StatusServiceUnavailable, in, "sign_in_failed")
	}
	if who.Snapshot { // not anybody's id: nothing is bound to it
		w := words[languageOf(c)]
		return s.render(c, http.StatusOK, "message", view{Title: w["snapshot"], Message: w["snapshot_hint"]})
	}
	s.setCookie(c, userCookie+in.channel, base64.RawURLEncoding.EncodeToString([]byte(who.User)), userAge)
	if in.ask == askProfile {
		s.dress(c, askedBack.FindStringSubmatch(in.to)[1], who)
	}
	return c.Redirect(http.StatusSeeOther, in.to)
}

// signInAgain says why a sign-in came to nothing, with a way to begin anew.
func (s *server) signInAgain(c echo.Context, status int, in signIn, why string) error {
	w := words[languageOf(c)]
	return s.render(c, status, "message", view{Title: w["sign_in"], Message: w[why], Onward: in.to, OnwardText: w["try_again"]})
}

// dress keeps the name and picture that somebody let us have, for their own poster.
func (s *server) dress(c echo.Context, campaign string, who wechat.Visitor) {
	name := strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, oneDirection(strings.ToValidUTF8(who.Nickname, ""))))
	if runes := []rune(name); len(runes) > mostNameRunes {
		name = strings.TrimSpace(string(runes[:mostNameRunes]))
	}
	err := s.engine.Profile(context.WithoutCancel(c.Request().Context()), campaign, who.User, name, who.AvatarURL)
	if err != nil && fault.KindOf(err) != fault.NotFound { // the page is worth more than the picture
		s.log.Warn("name and picture not kept", "request", requestID(c), "campaign", campaign, "err", err)
	}
}

// entrance is how somebody who is not signed in gets to a page of a campaign on a channel.
func (s *server) entrance(c echo.Context, v engine.CampaignView) error {
	to := "/me/" + url.PathEscape(v.ID)
	if r := c.Request(); r.Method == http.MethodGet && askedBack.MatchString(r.URL.Path) {
		to = r.URL.Path
	}
	if s.wechat != nil && inWeChat(c) {
		return c.Redirect(http.StatusFound, enterURL(v.Channel, to, ""))
	}
	var code strings.Builder
	if err := poster.QRSVG(&code, s.publicURL+to); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "elsewhere", view{Campaign: v, Picture: template.HTML(code.String())}) //nolint:gosec // drawn by us, of our own address
}

// share is what a page needs so that WeChat shows a card of it when it is passed on.
type share struct {
	wechat.ShareConfig
	Title, About, Link string
}

// maxShared is the longest address of a page that is signed for a card, in bytes.
const maxShared = 2 * kib

// shareTime bounds how long a page waits for its signature.
const shareTime = 800 * time.Millisecond

// shareCard is the card of a participant's own page, which leads to their invitation; nil where WeChat shows none. Its
// words are the campaign's name and no reward: platforms forbid to lure people into sharing.
func (s *server) shareCard(c echo.Context, v view) *share {
	if s.wechat == nil || v.Campaign.Channel == engine.WebChannel || !inWeChat(c) || v.Campaign.Status != campaign.Live {
		return nil
	}
	address := s.publicURL + c.Request().URL.RequestURI() // as the browser has it: WeChat adds parameters of its own
	if len(address) > maxShared {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), shareTime)
	defer cancel()
	signed, err := s.wechat.Share(ctx, v.Campaign.Channel, address)
	if err != nil {
		s.log.Warn("no share card", "request", requestID(c), "campaign", v.Campaign.ID, "err", err)
		return nil
	}
	w := words[languageOf(c)]
	return &share{ShareConfig: signed, Title: v.Campaign.Name, About: w["card_about"], Link: v.Me.InviteURL}
}
