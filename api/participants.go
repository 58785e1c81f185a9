package api

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
)

func (s *server) join(c echo.Context) error {
	var j engine.Joining
	err := readObject(c, true, map[string]any{
		"user": &j.User, "nickname": &j.Nickname, "avatar_url": &j.AvatarURL, "invited_by": &j.InvitedBy,
	})
	if err != nil {
		return err
	}
	v, created, err := s.engine.Join(c.Request().Context(), param(c, "id"), j)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return answer(c, status, v)
}

func (s *server) readParticipant(c echo.Context) error {
	v, err := s.engine.Participant(c.Request().Context(), param(c, "id"), param(c, "code"), names(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// explain tells why a participant stands where they stand; of their events all, or the one that is asked for.
func (s *server) explain(c echo.Context) error {
	ctx, id, code := c.Request().Context(), param(c, "id"), param(c, "code")
	var v engine.ExplainView
	var err error
	if c.QueryParams().Has("event") {
		v, err = s.engine.ExplainTouch(ctx, id, code, c.QueryParam("event"), names(c))
	} else {
		v, err = s.engine.Explain(ctx, id, code, names(c))
	}
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// block keeps a participant from earning, or lets them earn again.
func (s *server) block(blocked bool) echo.HandlerFunc {
	return func(c echo.Context) error {
		var reason string
		if err := readObject(c, false, map[string]any{"reason": &reason}); err != nil {
			return err
		}
		v, err := s.engine.Block(c.Request().Context(), param(c, "id"), param(c, "code"), blocked, reason, by(c))
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK, v)
	}
}
