package client

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// answering is a platform that says the same to everybody.
type answering string

func (a answering) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(a)))}, nil
}

// FuzzAnswer lets every interface read the same answer: none may panic, and none may take
// for a success what lacks its essentials.
func FuzzAnswer(f *testing.F) {
	for _, body := range []string{
		"", "{}", "null", "[]", `"ok"`, "not json", `{"errcode":0,"errmsg":"ok"}`, `{"errcode":40001,"errmsg":"x rid: 6921a0c3-1b2c3d4e-0a1b2c3d"}`, `{"errcode":"0"}`, `{"errcode":-1}`, `{"errcode":1e99}`,
		`{"access_token":"T","expires_in":7200}`, `{"ticket":"t","expires_in":1,"url":"u","expire_seconds":60}`, `{"media_id":"m"}`, `{"openid":"o1","access_token":"t"}`,
		`{"total":1,"count":1,"data":{"openid":["o1"]},"next_openid":"o1"}`, `{"menu":{"button":[{"name":"x","sub_button":[{}]}]}}`, `{"quota":{"daily_limit":1}}`, `{"user_info_list":[{"subscribe":1,"tagid_list":[1]}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		// The first call of a kind must not wait for more tries.
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		c, err := New(Config{AppID: appID, Secret: secret, HTTP: &http.Client{Transport: answering(body)}, Vault: fixedVault{}})
		if err != nil {
			t.Fatal(err)
		}
		check := func(err error, whole bool) {
			t.Helper()
			if err == nil && !whole {
				t.Fatalf("%q was taken", body)
			}
			if err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r\x00") || len(err.Error()) > 600) {
				t.Fatalf("%q", err)
			}
		}
		token, err := c.stableToken(ctx, true)
		check(err, token.Value != "" && !token.Expires.IsZero())
		qr, err := c.CreatePermanentQR(ctx, "a")
		check(err, qr.Ticket != "" && qr.URL != "")
		grant, err := c.Exchange(ctx, "code")
		check(err, grant.OpenID != "" && grant.AccessToken != "")
		check(c.SendText(ctx, "o1", "hi"), true)
		_, err = c.SendTemplate(ctx, TemplateMessage{})
		check(err, true)

		// Reads are tried again: a context that has ended keeps them to one.
		cancel()
		user, err := c.UserInfo(ctx, "o1")
		check(err, user.OpenID != "")
		for _, r := range []request{{path: "/a"}, {path: "/b", file: true}} {
			a := answer{body: []byte(body)}
			failed := a.failure(r, c.hider())
			if failed != nil {
				check(failed, true)
				continue
			}
			check(a.decode(r.path, &userInfo{}), true)
			check(a.decode(r.path, &struct {
				Menu Menu `json:"menu"`
			}{}), true)
		}
	})
}

// FuzzJSON: whatever the text, it is sent as valid JSON, without escapes the platform
// refuses, and nothing but control characters is lost.
func FuzzJSON(f *testing.F) {
	for _, text := range []string{"", "活动", "<a&b>", "\u2028", "\x00\x1f\x7f", `\u0041`, `\\u2028`, "\xff", `\`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) { sentAsItIs(t, text) })
}
