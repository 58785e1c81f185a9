package client

import (
	"context"
	"time"

	"kfactor/internal/fault"
)

const pathQR = "/cgi-bin/qrcode/create"

// Limits of codes (page "Generating parametric QR codes").
const (
	MaxScene  = 64                  // bytes of a scene
	MaxQRLife = 30 * 24 * time.Hour // of a temporary code
)

// QR is a code of the account.
type QR struct {
	Ticket  string
	URL     string    // what the picture holds, byte for byte
	Expires time.Time // zero for a permanent code
}

type qrBody struct {
	ExpireSeconds int64  `json:"expire_seconds,omitempty"`
	ActionName    string `json:"action_name"`
	ActionInfo    struct {
		Scene struct {
			Str string `json:"scene_str"`
		} `json:"scene"` // without this wrapper the platform makes codes for scene 0 and says nothing
	} `json:"action_info"`
}

// CreateQR makes a temporary code that holds the scene, at most MaxScene letters, digits
// and ._- , for at most MaxQRLife (page "Generating parametric QR codes").
func (c *Client) CreateQR(ctx context.Context, scene string, expire time.Duration) (QR, error) {
	if expire < time.Second || expire > MaxQRLife {
		return QR{}, fault.New(fault.Invalid, "a temporary code lives from a second to 30 days, not %s", expire)
	}
	body := qrBody{ExpireSeconds: int64(expire / time.Second), ActionName: "QR_STR_SCENE"}
	return c.createQR(ctx, scene, body)
}

// CreatePermanentQR makes a code for ever, of which an account has 100,000 in all.
func (c *Client) CreatePermanentQR(ctx context.Context, scene string) (QR, error) {
	return c.createQR(ctx, scene, qrBody{ActionName: "QR_LIMIT_STR_SCENE"})
}

func (c *Client) createQR(ctx context.Context, scene string, body qrBody) (QR, error) {
	if !validScene(scene) {
		return QR{}, fault.New(fault.Invalid, "a scene is 1 to %d of the characters a-z A-Z 0-9 . _ -", MaxScene)
	}
	body.ActionInfo.Scene.Str = scene
	asked := c.now()
	var got struct {
		Ticket  string `json:"ticket"`
		URL     string `json:"url"`
		Seconds int64  `json:"expire_seconds"`
	}
	// A permanent code that was made twice would count twice for ever.
	if err := c.post(ctx, pathQR, body, &got, body.ExpireSeconds > 0); err != nil {
		return QR{}, err
	}
	if got.Ticket == "" || got.URL == "" || got.Seconds < 0 || got.Seconds > int64(MaxQRLife/time.Second) {
		return QR{}, malformed(pathQR)
	}
	qr := QR{Ticket: got.Ticket, URL: got.URL}
	if body.ExpireSeconds > 0 {
		seconds := got.Seconds
		if seconds == 0 {
			seconds = body.ExpireSeconds
		}
		qr.Expires = asked.Add(time.Duration(seconds) * time.Second)
	}
	return qr, nil
}

func validScene(scene string) bool {
	if scene == "" || len(scene) > MaxScene {
		return false
	}
	for _, r := range []byte(scene) {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '_', r == '-':
		default:
			return false
		}
	}
	return true
}
