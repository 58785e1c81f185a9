package api

import (
	"bytes"
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
	zone, err := s.zone(c, param(c, "id"))
	if err != nil {
		return err
	}
	if q.From, _, err = moment(c, "from", zone); err != nil {
		return err
	}
	if q.To, _, err = moment(c, "to", zone); err != nil {
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

// zone is the time zone in which a campaign has its days.
func (s *server) zone(c echo.Context, id string) (*time.Location, error) {
	def, err := s.engine.Definition(c.Request().Context(), id)
	if err != nil {
		return nil, err
	}
	return def.Schedule.Location(), nil
}

// moment is a parameter that is a day, of which it is the beginning, or a time; zero when it is not given.
func moment(c echo.Context, name string, zone *time.Location) (t time.Time, day bool, err error) {
	said := c.QueryParam(name)
	if said == "" {
		return time.Time{}, false, nil
	}
	if t, err = time.ParseInLocation(time.DateOnly, said, zone); err == nil {
		day = true
	} else {
		t, err = time.Parse(time.RFC3339Nano, said)
	}
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}, false, badQuery(name,
			"must be a day such as 2026-03-02 or a time such as 2026-03-02T10:00:00+08:00 (in an address + is written %2B)")
	}
	return t, day, nil
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
	v, err := s.engine.ImportCoupons(c.Request().Context(), param(c, "id"), param(c, "reward"), bytes.NewReader(bodyOf(c)), by(c))
	if err != nil {
		return err
	}
	return answer(c, http.StatusOK, v)
}
