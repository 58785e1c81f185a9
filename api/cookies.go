package api

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/internal/code"
)

// The cookies of the public pages. Each is signed: a visitor is a user of the campaigns they join, and nobody may
// become another by writing down their id.
const (
	visitorCookie = "kf_visitor" // who this browser is
	codeCookie    = "kf_code"    // the code it came through last
	ownCookie     = "kf_me_"     // followed by a campaign: the code it owns there
)

const (
	visitorAge = 365 * 24 * time.Hour
	codeAge    = 90 * 24 * time.Hour
)

// sign ties a value to the cookie it stands in.
func (s *server) sign(cookie, value string) string {
	mac := hmac.New(sha256.New, s.cookieKey[:])
	io.WriteString(mac, cookie+"\x00"+value)
	return value + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// idOnce is the id of what a visitor causes once in a campaign: the same each time, and by it nobody can tell who it
// was, nor that they were in another campaign too.
func (s *server) idOnce(what, campaign, visitor string) string {
	mac := hmac.New(sha256.New, s.cookieKey[:])
	io.WriteString(mac, "id of an event\x00"+what+"\x00"+campaign+"\x00"+visitor)
	return what + "-" + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}

// signed is the value of a cookie that was signed here, "" where there is none or somebody else wrote it.
func (s *server) signed(c echo.Context, cookie string) string {
	got, err := c.Cookie(cookie)
	if err != nil {
		return ""
	}
	value, _, found := strings.Cut(got.Value, ".")
	if !found || !hmac.Equal([]byte(s.sign(cookie, value)), []byte(got.Value)) {
		return ""
	}
	return value
}

func (s *server) setCookie(c echo.Context, cookie, value string, age time.Duration) {
	c.SetCookie(&http.Cookie{
		Name: cookie, Value: s.sign(cookie, value), Path: "/", MaxAge: int(age / time.Second),
		HttpOnly: true, Secure: s.secure, SameSite: http.SameSiteLaxMode,
	})
}

// visitor is who this browser is, made up when it has not been here before.
func (s *server) visitor(c echo.Context) string {
	if known := s.signed(c, visitorCookie); known != "" {
		return known
	}
	id := "web_" + rand.Text()[:22]
	s.setCookie(c, visitorCookie, id, visitorAge)
	return id
}

// ownCode is the code that this browser owns in a campaign, "" when it has not joined.
func (s *server) ownCode(c echo.Context, campaign string) string {
	own, _ := code.Parse(s.signed(c, ownCookie+campaign))
	return own
}
