package api

import (
	"slices"

	"github.com/labstack/echo/v4"

	"kfactor/notify"
)

// listMessages is what people of a campaign are and were owed to hear.
func (s *server) listMessages(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	state := c.QueryParam("state")
	if state != "" && !slices.Contains(notify.States, notify.State(state)) {
		words := make([]string, 0, len(notify.States))
		for _, s := range notify.States {
			words = append(words, string(s))
		}
		return badQuery("state", "must be "+oneOf(words))
	}
	list, err := s.engine.Messages(c.Request().Context(), param(c, "id"), state, page, names(c))
	if err != nil {
		return err
	}
	return sendList(c, list)
}
