package api

import (
	"github.com/labstack/echo/v4"

	"kfactor/channel/wechat"
)

// listChannels tells operators how the accounts stand: what was called, what is left of the quotas, what is wrong.
func (s *server) listChannels(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	var all []wechat.AccountStatus
	if s.wechat != nil {
		if all, err = s.wechat.Status(c.Request().Context()); err != nil {
			return err
		}
	}
	list, err := slice(all, page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}
