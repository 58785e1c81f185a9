package client

import (
	"context"
	"errors"
)

const (
	pathMenuGet    = "/cgi-bin/menu/get"
	pathMenuCreate = "/cgi-bin/menu/create"
	pathMenuDelete = "/cgi-bin/menu/delete"
)

// Menu is the account's menu (page "Create custom menu"): at most three buttons, each with
// at most five below it.
type Menu struct {
	Buttons []Button `json:"button"`
}

// Button is one of a menu; one with others below it has no Type.
type Button struct {
	Type      string   `json:"type,omitempty"` // click, view, miniprogram, scancode_push, scancode_waitmsg …
	Name      string   `json:"name"`
	Key       string   `json:"key,omitempty"` // comes back in the push
	URL       string   `json:"url,omitempty"` // of view; of miniprogram for old phones
	AppID     string   `json:"appid,omitempty"`
	PagePath  string   `json:"pagepath,omitempty"`
	MediaID   string   `json:"media_id,omitempty"`
	ArticleID string   `json:"article_id,omitempty"`
	Sub       []Button `json:"sub_button,omitempty"`
}

// Menu is the menu as the platform has it, empty where there is none (page "Query custom
// menu").
func (c *Client) Menu(ctx context.Context) (Menu, error) {
	var got struct {
		Menu Menu `json:"menu"`
	}
	err := c.call(ctx, get(pathMenuGet, nil), &got)
	var said *Error
	if errors.As(err, &said) && said.Code == CodeNoMenu {
		return Menu{}, nil
	}
	return got.Menu, err
}

// CreateMenu replaces the menu (page "Create custom menu"; 1,000 times a day). Phones show it
// within five minutes.
func (c *Client) CreateMenu(ctx context.Context, menu Menu) error {
	return c.post(ctx, pathMenuCreate, menu, nil, true)
}

// DeleteMenu takes away the menu and every conditional one (page "Delete custom menu").
func (c *Client) DeleteMenu(ctx context.Context) error {
	return c.call(ctx, get(pathMenuDelete, nil), nil)
}
