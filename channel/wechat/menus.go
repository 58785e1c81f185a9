package wechat

import (
	"context"
	"slices"

	"kfactor/channel/wechat/client"
	"kfactor/channel/wechat/setup"
	"kfactor/engine"
	"kfactor/internal/fault"
)

// Menu is the menu that an account has on the platform; empty where it has none.
func (a *Accounts) Menu(ctx context.Context, account string) ([]setup.Button, error) {
	s, err := a.account(account)
	if err != nil {
		return nil, err
	}
	menu, err := s.client.Menu(ctx)
	return fromPlatform(menu.Buttons), err
}

// SetMenu gives an account a menu, or with no buttons takes it away. Fans see it within minutes.
func (a *Accounts) SetMenu(ctx context.Context, account string, buttons []setup.Button) error {
	s, err := a.account(account)
	if err != nil {
		return err
	}
	if len(buttons) == 0 {
		return s.client.DeleteMenu(ctx)
	}
	return s.client.CreateMenu(ctx, client.Menu{Buttons: toPlatform(buttons)})
}

// Check fetches an account's access token, if there is none that is valid, and gives what it may send today. What
// fails is a *client.Error or a *client.Unreachable.
func (a *Accounts) Check(ctx context.Context, account string) (client.Quota, error) {
	s, err := a.account(account)
	if err != nil {
		return client.Quota{}, err
	}
	return s.client.Quota(ctx, string(apiSend))
}

func fromPlatform(buttons []client.Button) []setup.Button {
	var menu []setup.Button
	for _, b := range buttons {
		menu = append(menu, setup.Button{
			Name: b.Name, Type: b.Type, Key: b.Key, URL: b.URL, AppID: b.AppID, Path: b.PagePath, MediaID: b.MediaID, ArticleID: b.ArticleID, Buttons: fromPlatform(b.Sub),
		})
	}
	return menu
}

func toPlatform(menu []setup.Button) []client.Button {
	var buttons []client.Button
	for _, b := range menu {
		buttons = append(buttons, client.Button{
			Name: b.Name, Type: b.Type, Key: b.Key, URL: b.URL, AppID: b.AppID, PagePath: b.Path, MediaID: b.MediaID, ArticleID: b.ArticleID, Sub: toPlatform(b.Buttons),
		})
	}
	return buttons
}

// AnswersTap says whether a campaign that runs on an account does something when a button with this key is tapped.
func (c *Channels) AnswersTap(ctx context.Context, account, key string) (bool, error) {
	d := c.desks[account]
	if d == nil {
		return false, fault.New(fault.NotFound, "there is no channel %q", account)
	}
	moved, err := d.accounts.moved(ctx)
	if err != nil {
		return false, err
	}
	running, err := d.running(ctx, moved)
	return slices.ContainsFunc(running, func(r engine.Running) bool {
		return r.Definition.Join.MenuKey == key || r.Definition.Listens("click")
	}), err
}
