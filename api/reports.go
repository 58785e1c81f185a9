package api

import (
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
)

func (s *server) funnel(c echo.Context) error {
	q := engine.FunnelQuery{By: c.QueryParam("by")}
	if !slices.Contains([]string{"", "day", "variant", "depth", "source"}, q.By) {
		return badQuery("by", "must be day, variant, depth or source")
	}
	var err error
	if q.From, err = moment(c, "from"); err != nil {
		return err
	}
	if q.To, err = moment(c, "to"); err != nil {
		return err
	}
	if !q.From.IsZero() && !q.To.IsZero() && q.To.Before(q.From) {
		return badQuery("to", "is before from")
	}
	v, err := s.engine.Funnel(c.Request().Context(), param(c, "id"), q)
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}

// moment is a parameter that is a day or a time; zero when it is not given. A day is its midnight in UTC.
func moment(c echo.Context, name string) (time.Time, error) {
	said := c.QueryParam(name)
	if said == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339Nano} {
		if t, err := time.Parse(layout, said); err == nil && t.Year() >= 1970 && t.Year() <= 9000 {
			return t, nil
		}
	}
	return time.Time{}, badQuery(name, "must be a day such as 2026-03-02 or a time such as 2026-03-02T10:00:00+08:00 (with + written as %2B)")
}

func (s *server) leaderboard(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	ranks, err := s.engine.Leaderboard(c.Request().Context(), param(c, "id"), 1000, names(c))
	if err != nil {
		return err
	}
	list, err := slice(ranks, page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

func (s *server) listRewards(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	rewards, err := s.engine.Rewards(c.Request().Context(), param(c, "id"))
	if err != nil {
		return err
	}
	list, err := slice(rewards, page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

func (s *server) importCodes(c echo.Context) error {
	if _, err := mediaType(c, "text/csv", echo.MIMETextPlain); err != nil {
		return err
	}
	v, err := s.engine.ImportCoupons(c.Request().Context(), param(c, "id"), param(c, "reward"), c.Request().Body, by(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}
