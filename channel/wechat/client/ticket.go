package client

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
)

const pathTicket = "/cgi-bin/ticket/getticket"

// JSTicket is the account's ticket for pages that use the JS-SDK, kept in the vault
// (page "JS-SDK documentation", appendix 1).
func (c *Client) JSTicket(ctx context.Context) (string, error) {
	t, err := c.vault.Token(ctx, TicketName, "", func(ctx context.Context) (Token, error) {
		asked := c.now()
		var got struct {
			Ticket  string `json:"ticket"`
			Seconds int64  `json:"expires_in"`
		}
		if err := c.call(ctx, get(pathTicket, url.Values{"type": {"jsapi"}}), &got); err != nil {
			return Token{}, err
		}
		return lasting(pathTicket, got.Ticket, got.Seconds, asked)
	})
	return t.Value, err
}

// JSSignature signs a page for the JS-SDK: page is its address as the browser has it, whose
// fragment is not signed; at is in Unix seconds. The values go in as they are, without
// escaping (page "JS-SDK documentation", appendix 1).
func JSSignature(ticket, nonce string, at int64, page string) string {
	page, _, _ = strings.Cut(page, "#")
	sum := sha1.Sum([]byte("jsapi_ticket=" + ticket + "&noncestr=" + nonce + "&timestamp=" + strconv.FormatInt(at, 10) + "&url=" + page))
	return hex.EncodeToString(sum[:])
}
