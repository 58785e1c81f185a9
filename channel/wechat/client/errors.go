package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode"
)

// Class is what can be done about a failure (page "Global return codes").
type Class string

const (
	Retry   Class = "retry"   // the same call may do better later
	Refresh Class = "refresh" // the access token is no longer good, and a new one did not help: later
	Pause   Class = "pause"   // nothing of this interface, or of the account, until a day or an operator has passed
	Final   Class = "final"   // this call will never do
)

// Codes that callers decide by (page "Global return codes").
const (
	CodeBusy             = -1
	CodeBadCredential    = 40001
	CodeInvalidOpenID    = 40003
	CodeInvalidMedia     = 40007
	CodeInvalidAppID     = 40013
	CodeInvalidToken     = 40014
	CodeInvalidCode      = 40029
	CodeInvalidTemplate  = 40037
	CodeInvalidQR        = 40053
	CodeInvalidSecret    = 40125
	CodeCodeUsed         = 40163
	CodeIPNotAllowed     = 40164
	CodeSecretFrozen     = 40243
	CodeTokenExpired     = 42001
	CodeNotFollowing     = 43004
	CodeBlacklisted      = 43019
	CodeRefusedNotice    = 43101
	CodeTextTooLong      = 45002
	CodeDailyQuota       = 45009
	CodeMinuteQuota      = 45011
	CodeWindowClosed     = 45015
	CodeTooManyCodes     = 45029
	CodeAllowanceUsed    = 45047
	CodeTypingTooLate    = 45080
	CodeTypingAlready    = 45081
	CodeNoMenu           = 46003
	CodeBadArgument      = 47003
	CodeUnauthorized     = 48001
	CodeMessagesOff      = 48002
	CodeForbidden        = 48004
	CodeNoMoreClearing   = 48006
	CodeIPWaits          = 89501
	CodeIPNeedsConfirm   = 89503
	CodeIPRefusedForDay  = 89506
	CodeIPRefusedForHour = 89507
)

// Error is a failure in the platform's own words.
type Error struct {
	Path    string // of the interface, without its query
	Code    int    // errcode
	Message string // errmsg, without the request id
	RID     string // the platform's id of the request, which its staff ask for; may be empty
}

func (e *Error) Error() string {
	said := fmt.Sprintf("WeChat %s: %d %s", e.Path, e.Code, e.Message)
	if e.RID != "" {
		said += " (rid " + e.RID + ")"
	}
	return said
}

// Class is what can be done about it. What concerns the account and not the one call, such
// as an address that is not on its list, is a Pause: what is owed then waits for an operator.
func (e *Error) Class() Class {
	switch e.Code {
	case CodeBusy, CodeMinuteQuota:
		return Retry
	case CodeDailyQuota, CodeForbidden,
		CodeInvalidAppID, CodeInvalidSecret, CodeIPNotAllowed, CodeSecretFrozen,
		CodeIPWaits, CodeIPNeedsConfirm, CodeIPRefusedForDay, CodeIPRefusedForHour:
		return Pause
	case CodeBadCredential, CodeInvalidToken, CodeTokenExpired:
		if e.Path == pathToken {
			return Pause // it is the secret that is wrong
		}
		return Refresh
	}
	if e.Path == pathToken {
		return Pause // without a token nothing goes, whatever the reason
	}
	return Final
}

// Unreachable is a call that the platform did not answer, or that somebody else answered.
type Unreachable struct {
	Path    string // of the interface, without its query
	Status  int    // HTTP status; 0 where there was no answer
	Message string
	cause   error // context.Canceled, context.DeadlineExceeded or nil
}

func (e *Unreachable) Error() string {
	if e.Status != 0 && e.Status != 200 {
		return fmt.Sprintf("WeChat %s: HTTP %d: %s", e.Path, e.Status, e.Message)
	}
	return fmt.Sprintf("WeChat %s: %s", e.Path, e.Message)
}

// Unwrap is the context's error where the call ended because of it. Other causes are not
// given, since they hold the address with the token in it.
func (e *Unreachable) Unwrap() error { return e.cause }

// Class is Retry: nobody said that the call was wrong.
func (e *Unreachable) Class() Class { return Retry }

// ClassOf is the class of err: Retry for a failure that is not the platform's, such as a
// vault's, "" for nil.
func ClassOf(err error) Class {
	if err == nil {
		return ""
	}
	var classed interface{ Class() Class }
	if errors.As(err, &classed) {
		return classed.Class()
	}
	return Retry
}

// CodeOf is the errcode of err, NoAnswer where it has none, 0 for nil.
func CodeOf(err error) int {
	if err == nil {
		return 0
	}
	var said *Error
	if errors.As(err, &said) {
		return said.Code
	}
	return NoAnswer
}

// lost is a call without an answer, in words that hold no secret.
func lost(path string, err error, hide *strings.Replacer) error {
	e := &Unreachable{Path: path}
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			e.cause = end
		}
	}
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err // without the address
	}
	e.Message = clean(hide.Replace(err.Error()))
	return e
}

// hider replaces the account's secret and the given ones, as they are and as they look in an address.
func (c *Client) hider(secrets ...string) *strings.Replacer {
	var pairs []string
	for _, s := range append(secrets, c.secret) {
		if s == "" {
			continue
		}
		pairs = append(pairs, s, "…")
		if escaped := url.QueryEscape(s); escaped != s {
			pairs = append(pairs, escaped, "…")
		}
	}
	return strings.NewReplacer(pairs...)
}

var inQuery = regexp.MustCompile(`(?i)\b(access_token|refresh_token|secret|appsecret|code|ticket)=[^&\s"']+`)

// clean makes words from outside fit for a log line: one line, of bounded length, without
// what an address may hold.
func clean(message string) string {
	const most = 300 // bytes
	message = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(message, "\ufffd"))
	message = inQuery.ReplaceAllString(message, "$1=…")
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "…"
	}
	return message
}
