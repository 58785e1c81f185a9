package client

import (
	"context"
	"net/url"
	"strings"
)

const (
	pathExchange = "/sns/oauth2/access_token"
	pathProfile  = "/sns/userinfo"

	// ScopeBase tells who somebody is, without asking them.
	ScopeBase = "snsapi_base"
	// ScopeUserInfo asks them for their name and picture as well.
	ScopeUserInfo = "snsapi_userinfo"
)

// Grant is what somebody's sign-in gives.
type Grant struct {
	OpenID      string
	UnionID     string // where the account is bound to an Open Platform account
	Scope       string
	AccessToken string // of this person, for Profile; nothing to do with the account's
	Snapshot    bool   // WeChat showed the page in snapshot mode: the ids are not anybody's, never bind them
}

// Profile is what somebody agreed to tell.
type Profile struct {
	OpenID    string
	UnionID   string
	Nickname  string
	AvatarURL string // "" where they have none
}

// AuthorizeURL is where a page sends somebody to sign in: redirect is where they come back
// to with code and state (letters and digits, at most 128). Order and fragment are part of
// the contract (page "Web page authorization").
func (c *Client) AuthorizeURL(redirect, scope, state string) string {
	var b strings.Builder
	b.WriteString(c.openURL + "/connect/oauth2/authorize")
	b.WriteString("?appid=" + url.QueryEscape(c.appID))
	b.WriteString("&redirect_uri=" + url.QueryEscape(redirect))
	b.WriteString("&response_type=code")
	b.WriteString("&scope=" + url.QueryEscape(scope))
	b.WriteString("&state=" + url.QueryEscape(state))
	b.WriteString("#wechat_redirect")
	return b.String()
}

// Exchange turns the code that somebody came back with into who they are (page "Web page
// authorization"). A code works once, so that the call is never repeated: CodeInvalidCode
// and CodeCodeUsed mean that they must sign in again.
func (c *Client) Exchange(ctx context.Context, code string) (Grant, error) {
	r := get(pathExchange, url.Values{
		"appid": {c.appID}, "secret": {c.secret}, "code": {code}, "grant_type": {"authorization_code"},
	})
	r.open, r.repeat, r.secrets = true, false, []string{code}
	var got struct {
		AccessToken string `json:"access_token"`
		OpenID      string `json:"openid"`
		UnionID     string `json:"unionid"`
		Scope       string `json:"scope"`
		Snapshot    int    `json:"is_snapshotuser"`
	}
	if err := c.call(ctx, r, &got); err != nil {
		return Grant{}, err
	}
	if got.OpenID == "" || got.AccessToken == "" {
		return Grant{}, malformed(pathExchange)
	}
	return Grant{
		OpenID: got.OpenID, UnionID: got.UnionID, Scope: got.Scope,
		AccessToken: got.AccessToken, Snapshot: got.Snapshot != 0,
	}, nil
}

// Profile asks for the name and picture of somebody who agreed to ScopeUserInfo (page "Web
// page authorization"; 50,000 a minute).
func (c *Client) Profile(ctx context.Context, g Grant) (Profile, error) {
	r := get(pathProfile, url.Values{"access_token": {g.AccessToken}, "openid": {g.OpenID}, "lang": {"zh_CN"}})
	r.open, r.secrets = true, []string{g.AccessToken}
	var got struct {
		OpenID    string `json:"openid"`
		UnionID   string `json:"unionid"`
		Nickname  string `json:"nickname"`
		AvatarURL string `json:"headimgurl"`
	}
	if err := c.call(ctx, r, &got); err != nil {
		return Profile{}, err
	}
	if got.OpenID != g.OpenID {
		return Profile{}, malformed(pathProfile)
	}
	return Profile{OpenID: got.OpenID, UnionID: got.UnionID, Nickname: got.Nickname, AvatarURL: got.AvatarURL}, nil
}
