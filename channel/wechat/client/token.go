package client

import (
	"context"
	"time"
)

const (
	pathToken = "/cgi-bin/stable_token"

	maxToken   = 1024             // bytes of a token; the pages advise to reserve 512
	earlier    = 4 * time.Minute  // renewed before its end: the platform gives a new one in the last five minutes, and takes both
	forceEvery = 10 * time.Minute // the platform forces 20 times a day
)

// token is the account's access token, another one than stale.
func (c *Client) token(ctx context.Context, stale string) (string, error) {
	t, err := c.vault.Token(ctx, TokenName, stale, func(ctx context.Context) (Token, error) {
		return c.fetchToken(ctx, stale)
	})
	return t.Value, err
}

// fetchToken asks for the stable token (page "Get stable access token"). It is the same for
// all who ask, and asking does not end the one in use. Where the platform insists on the
// stale one, it is made to draw another, now and then.
func (c *Client) fetchToken(ctx context.Context, stale string) (Token, error) {
	t, err := c.stableToken(ctx, false)
	if err != nil || t.Value != stale || !c.mayForce() {
		return t, err
	}
	c.log.WarnContext(ctx, "the platform refuses the access token that it gives; asking for another")
	return c.stableToken(ctx, true)
}

func (c *Client) mayForce() bool {
	c.force.Lock()
	defer c.force.Unlock()
	now := c.now()
	if !c.forcedAt.IsZero() && now.Sub(c.forcedAt) < forceEvery {
		return false
	}
	c.forcedAt = now
	return true
}

func (c *Client) stableToken(ctx context.Context, force bool) (Token, error) {
	r, err := post(pathToken, struct {
		GrantType string `json:"grant_type"`
		AppID     string `json:"appid"`
		Secret    string `json:"secret"`
		Force     bool   `json:"force_refresh"`
	}{"client_credential", c.appID, c.secret, force})
	if err != nil {
		return Token{}, err
	}
	r.open, r.repeat = true, !force
	asked := c.now()
	var got struct {
		Value   string `json:"access_token"`
		Seconds int64  `json:"expires_in"`
	}
	if err := c.call(ctx, r, &got); err != nil {
		return Token{}, err
	}
	return lasting(pathToken, got.Value, got.Seconds, asked)
}

// lasting is a token that the platform takes for so many seconds from when it was asked for.
func lasting(path, value string, seconds int64, asked time.Time) (Token, error) {
	if value == "" || len(value) > maxToken || seconds <= 0 || seconds > 30*24*3600 {
		return Token{}, malformed(path)
	}
	life := time.Duration(seconds) * time.Second
	return Token{Value: value, Expires: asked.Add(life - min(earlier, life/4))}, nil
}
