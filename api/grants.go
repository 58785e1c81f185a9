package api

import (
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
)

// grantStates are the states that grants can be asked for by.
var grantStates = []string{"review", "granted", "waitlisted", "delivered", "rejected", "revoked"}

func (s *server) listGrants(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	q := engine.GrantQuery{Campaign: c.QueryParam("campaign"), User: c.QueryParam("user"), State: c.QueryParam("state")}
	if q.State != "" && !slices.Contains(grantStates, q.State) {
		return badQuery("state", "must be "+oneOf(grantStates))
	}
	list, err := s.engine.Grants(c.Request().Context(), q, page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

// decide moves a grant on: approve, reject, deliver, revoke.
func (s *server) decide(verb string) echo.HandlerFunc {
	return func(c echo.Context) error {
		var reason string
		if err := readObject(c, false, map[string]any{"reason": &reason}); err != nil {
			return err
		}
		v, err := s.engine.Decide(c.Request().Context(), param(c, "id"), verb, reason, by(c))
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK, v)
	}
}

// grantAddress is where a grant is sent. Who pays for it may know, and nobody else.
func (s *server) grantAddress(c echo.Context) error {
	v, err := s.engine.GrantAddress(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// eraseGrantAddress forgets where a grant is sent or was.
func (s *server) eraseGrantAddress(c echo.Context) error {
	id := param(c, "id")
	if err := s.engine.EraseAddress(c.Request().Context(), id); err != nil {
		return err
	}
	s.log.Info("an address was erased", "request", requestID(c), "grant", id, "by", by(c))
	return c.NoContent(http.StatusNoContent)
}
