package api

import (
	"context"
	_ "embed"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/campaign"
	"kfactor/internal/fault"
)

//go:embed openapi.yaml
var openAPIDocument []byte

// status is the answer of the health checks.
type status struct {
	Status string `json:"status"`
}

// healthy says that the process answers.
func (s *server) healthy(c echo.Context) error { return answer(c, http.StatusOK, status{"ok"}) }

// ready says whether the process can do its work.
func (s *server) ready(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), 2*time.Second)
	defer cancel()
	if err := s.engine.Ready(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "not ready yet: what it stands on does not answer")
	}
	return answer(c, http.StatusOK, status{"ready"})
}

func (s *server) showMetrics(c echo.Context) error {
	if s.metrics == nil {
		return fault.New(fault.NotFound, "this server keeps no metrics")
	}
	s.metrics.Handler().ServeHTTP(c.Response(), c.Request())
	return nil
}

func (s *server) campaignSchema(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
	return c.Blob(http.StatusOK, "application/schema+json", campaign.Schema())
}

func (s *server) openAPI(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
	return c.Blob(http.StatusOK, "application/yaml", openAPIDocument)
}
