package wechat

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"regexp"
	"strings"

	"kfactor/channel/wechat/client"
	"kfactor/internal/fault"
)

// Visitor is somebody who signed in on a page.
type Visitor struct {
	User      string // as campaigns on the channel know them; "" for a snapshot
	Nickname  string // where they agreed to tell it
	AvatarURL string
	Snapshot  bool // WeChat showed the page without them: these are nobody's ids, and nothing may be bound to them
}

// The scopes of a sign-in.
const (
	ScopeBase     = client.ScopeBase     // who somebody is, without asking them
	ScopeUserInfo = client.ScopeUserInfo // their name and picture too, which they are asked for
)

var stateForm = regexp.MustCompile(`^[A-Za-z0-9]{1,128}$`)

// SignInURL is where a page on the channel sends somebody to sign in. They come back to redirect, a page under the public
// address, with a code and the state, which is 1 to 128 letters and digits.
func (c *Channels) SignInURL(ctx context.Context, name, scope, redirect, state string) (string, error) {
	s, err := c.serving(ctx, name)
	if err != nil {
		return "", err
	}
	switch {
	case scope != ScopeBase && scope != ScopeUserInfo:
		return "", fault.New(fault.Invalid, "the scope is %s or %s", ScopeBase, ScopeUserInfo)
	case !stateForm.MatchString(state):
		return "", fault.New(fault.Invalid, "the state is 1 to 128 letters and digits")
	case !c.ours(redirect):
		return "", fault.New(fault.Invalid, "people come back to pages under %s only", c.PublicURL)
	}
	return s.client.AuthorizeURL(redirect, scope, state), nil
}

// ours says whether an address is under the public one.
func (c *Channels) ours(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Opaque != "" {
		return false
	}
	public, err := url.Parse(c.PublicURL)
	return err == nil && u.Scheme == public.Scheme && strings.EqualFold(u.Host, public.Host) && public.Host != ""
}

// SignedIn finds out who came back with a code. A code works once, for five minutes: fault.Invalid says that they have to
// sign in again.
func (c *Channels) SignedIn(ctx context.Context, name, code string) (Visitor, error) {
	const maxCode = 512 // bytes
	s, err := c.serving(ctx, name)
	if err != nil {
		return Visitor{}, err
	}
	if code == "" || len(code) > maxCode {
		return Visitor{}, fault.New(fault.Invalid, "the sign-in came back without a code; sign in again")
	}
	if err := s.health.may(c.Now()); err != nil {
		return Visitor{}, s.named(err, "nobody can sign in with WeChat now")
	}
	grant, err := s.client.Exchange(ctx, code)
	if err != nil {
		return Visitor{}, s.notSignedIn(err)
	}
	if grant.Snapshot {
		return Visitor{Snapshot: true}, nil
	}
	v, union := Visitor{}, grant.UnionID
	if grant.Scope == ScopeUserInfo {
		profile, err := s.client.Profile(ctx, grant)
		if err != nil { // who they are is known all the same
			c.Log.Info("a profile", "channel", s.name, "err", err)
		} else {
			v.Nickname, v.AvatarURL = profile.Nickname, profile.AvatarURL
			if union == "" {
				union = profile.UnionID
			}
		}
	}
	v.User, err = c.desks[s.name].greet(ctx, name, grant.OpenID, union)
	return v, err
}

// notSignedIn gives a failed sign-in the word that callers know.
func (s *station) notSignedIn(err error) error {
	var said *client.Error
	if errors.As(err, &said) && said.Class() == client.Final {
		return fault.Wrap(fault.Invalid, err, "this sign-in is used up or too old; sign in again")
	}
	return s.named(err, "nobody can sign in with WeChat now")
}

// greet gives the user that the campaigns of a channel know somebody as who signed in, and writes down who they are: a
// sign-in is where a unionid comes by itself.
func (d *desk) greet(ctx context.Context, channel, openid, union string) (string, error) {
	const tries = 3
	for try := 1; ; try++ {
		r := reading{openKey: d.accounts.openKey(d.name, openid)}
		if err := d.reads.do(ctx, &r); err != nil {
			return "", err
		}
		v := d.visitor(openid, &r)
		if r.fan == nil {
			v.fan.OpenEnc = nil // nothing can be sent to those who do not follow
		}
		learns := union != "" && !v.fan.united()
		if learns {
			v.fan.meet(d.accounts.unionKey(union), d.accounts.sealer.Seal(openid))
		}
		if r.fan == nil || learns {
			// Known by the same when they come again, and when they follow.
			c := change{fresh: v.fan, alter: func(f *fan) error {
				if f.No != v.fan.No || learns && f.united() && r.fan != nil {
					return errStale // somebody has written them down meanwhile
				}
				if learns {
					f.meet(v.fan.UnionKey, d.accounts.sealer.Seal(openid))
				}
				return nil
			}}
			if err := d.writes.do(ctx, &c); err != nil {
				return "", err
			}
			if c.err != nil && try < tries {
				continue
			}
		}
		moved, err := d.accounts.moved(ctx)
		if err != nil {
			return "", err
		}
		if v.kin, err = d.recognise(ctx, &v.fan, openid, moved.movedTo(d.name)); err != nil {
			return "", err
		}
		return v.user(channel), nil
	}
}

// meet gives a fan their union key. By the openid they are known again where they do not follow.
func (f *fan) meet(union, openid []byte) {
	f.UnionKey = union
	if !f.Follows {
		f.UserEnc = openid
	}
}

// ShareConfig is what a page needs to use the JS-SDK: the arguments of wx.config.
type ShareConfig struct {
	AppID     string   `json:"appId"`
	Timestamp int64    `json:"timestamp"` // Unix seconds
	NonceStr  string   `json:"nonceStr"`
	Signature string   `json:"signature"`
	APIs      []string `json:"jsApiList"`
	OpenTags  []string `json:"openTagList"`
}

// Share signs a page for share cards. page is its address as the browser has it, under the public address; what comes
// after # does not count.
func (c *Channels) Share(ctx context.Context, name, page string) (ShareConfig, error) {
	const maxPage = 2048 // bytes
	s, err := c.serving(ctx, name)
	if err != nil {
		return ShareConfig{}, err
	}
	if len(page) > maxPage || !c.ours(page) {
		return ShareConfig{}, fault.New(fault.Invalid, "only pages under %s are signed", c.PublicURL)
	}
	if err := s.health.may(c.Now()); err != nil {
		return ShareConfig{}, s.named(err, "WeChat signs nothing now")
	}
	ticket, err := s.client.JSTicket(ctx)
	if err != nil {
		return ShareConfig{}, s.named(err, "WeChat signs nothing now")
	}
	share := ShareConfig{
		AppID: s.settings.AppID, Timestamp: c.Now().Unix(), NonceStr: rand.Text(),
		APIs: []string{"updateAppMessageShareData", "updateTimelineShareData"}, OpenTags: []string{"wx-open-subscribe", "wx-open-launch-weapp"},
	}
	share.Signature = client.JSSignature(ticket, share.NonceStr, share.Timestamp, page)
	return share, nil
}
