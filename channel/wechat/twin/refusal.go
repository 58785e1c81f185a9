package twin

import (
	"fmt"
	"strconv"
)

// refusal is an answer of the platform that says no: its code and the text before the request id.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return strconv.Itoa(r.code) + " " + r.text }

// refuse is the platform's answer for a code, in its usual words.
func refuse(code int) *refusal {
	text, known := refusals[code]
	if !known {
		text = "system error"
	}
	return &refusal{code: code, text: text}
}

func refusef(code int, format string, args ...any) *refusal {
	return &refusal{code: code, text: fmt.Sprintf(format, args...)}
}

// The codes and texts are those of https://developers.weixin.qq.com/doc/oplatform/developers/errCode/errCode.html and of
// the pages of the calls that give them.
var refusals = map[int]string{
	-1:    "system error",
	40001: "invalid credential, access_token is invalid or not latest",
	40002: "invalid grant_type",
	40003: "invalid openid",
	40004: "invalid media type",
	40005: "invalid file type",
	40006: "invalid file size",
	40007: "invalid media_id",
	40008: "invalid message type",
	40009: "invalid image size",
	40013: "invalid appid",
	40014: "invalid access_token",
	40015: "invalid menu type",
	40016: "invalid button size",
	40017: "invalid button type",
	40018: "invalid button name size",
	40019: "invalid button key size",
	40020: "invalid button url size",
	40023: "invalid sub button size",
	40024: "invalid sub button type",
	40025: "invalid sub button name size",
	40026: "invalid sub button key size",
	40027: "invalid sub button url size",
	40029: "invalid code",
	40030: "invalid refresh_token",
	40032: "invalid openid list size",
	40033: "invalid charset. please check your request, if include \\uxxxx will create fail!",
	40035: "invalid parameter",
	40037: "invalid template_id",
	40053: "invalid action info, please check document",
	40054: "invalid sub button url domain",
	40055: "invalid button url domain",
	40066: "invalid url",
	40097: "invalid args",
	40119: "invalid use button type",
	40120: "invalid sub button type",
	40125: "invalid appsecret",
	40163: "code been used",
	40164: "invalid ip, not in whitelist",
	40165: "invalid weapp pagepath",
	41001: "access_token missing",
	41002: "appid missing",
	41003: "refresh_token missing",
	41004: "appsecret missing",
	41005: "media data missing",
	41006: "media_id missing",
	41008: "missing code",
	41009: "missing openid",
	42001: "access_token expired",
	42002: "refresh_token expired",
	42003: "code expired",
	43001: "require GET method",
	43002: "require POST method",
	43004: "require subscribe",
	43019: "require remove blacklist",
	43101: "user refuse to accept the msg",
	44001: "empty media data",
	44002: "empty post data",
	44003: "empty news data",
	44004: "empty content",
	45001: "media size out of limit",
	45002: "content size out of limit",
	45008: "article size out of limit",
	45009: "reach max api daily quota limit",
	45011: "api minute-quota reach limit, must slower, retry next minute",
	45015: "response out of time limit or subscription is canceled",
	45029: "qrcode count out of limit",
	45047: "out of response count limit",
	45064: "menu contains an unlinked mini-program",
	45065: "clientmsgid exist",
	45072: "command invalid",
	45080: "require user interaction in 30 seconds",
	45081: "already in typing state",
	46003: "menu no exist",
	46004: "user no exist",
	47001: "data format error",
	47003: "argument invalid!",
	48001: "api unauthorized",
	48002: "user block receive message",
	48004: "api forbidden for irregularities, view detail on mp.weixin.qq.com",
	48006: "forbid to clear quota because of reaching the limit",
	49003: "not match openid with appid",
	50002: "user limited",
	65301: "no such menu",
	76021: "cgi_path not found, please check",
	76022: "could not use this cgi_path, no permission",
}
