package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"kfactor/internal/fault"
)

// definition is the body as a definition's source, and the name it goes by in problems.
func definition(c echo.Context) (source []byte, filename string, err error) {
	form, err := mediaType(c, "application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml", echo.MIMEApplicationJSON)
	if err != nil {
		return nil, "", err
	}
	source = withoutMark(bodyOf(c))
	filename = "campaign.yaml"
	if form == echo.MIMEApplicationJSON {
		filename = "campaign.json"
	}
	return source, filename, nil
}

func (s *server) createCampaign(c echo.Context) error {
	source, filename, err := definition(c)
	if err != nil {
		return err
	}
	v, err := s.engine.CreateCampaign(c.Request().Context(), source, filename, by(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusCreated, v)
}

func (s *server) reviseCampaign(c echo.Context) error {
	source, filename, err := definition(c)
	if err != nil {
		return err
	}
	v, err := s.engine.ReviseCampaign(c.Request().Context(), param(c, "id"), source, filename, by(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

func (s *server) planCampaign(c echo.Context) error {
	source, filename, err := definition(c)
	if err != nil {
		return err
	}
	plan, err := s.engine.PlanCampaign(c.Request().Context(), source, filename)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, plan)
}

func (s *server) listCampaigns(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	list, err := s.engine.Campaigns(c.Request().Context(), page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

func (s *server) readCampaign(c echo.Context) error {
	v, err := s.engine.Campaign(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// turn moves a campaign through its life: launch, pause, resume, end.
func (s *server) turn(verb string) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := readObject(c, false, nil); err != nil {
			return err
		}
		v, err := s.engine.Turn(c.Request().Context(), param(c, "id"), verb, by(c))
		if err != nil {
			return err
		}
		return answer(c, http.StatusOK, v)
	}
}

func (s *server) putAsset(c echo.Context) error {
	name := param(c, "name")
	if name == "" || len(name) > 128 || strings.ContainsAny(name, "/\\\x00") || strings.HasPrefix(name, ".") {
		return fault.Fields("the file's name does not fit", fault.Field{
			Field: "name", Message: "must be a plain file name of up to 128 bytes, without slashes and no dot in front",
		})
	}
	body := bodyOf(c)
	if len(body) == 0 {
		return fault.New(fault.Invalid, "the body is empty; send the file's bytes")
	}
	// The upload is whole: a caller who leaves now changes nothing.
	v, err := s.engine.PutAsset(context.WithoutCancel(c.Request().Context()), param(c, "id"), name, body)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}
