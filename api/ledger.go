package api

import (
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
)

func (s *server) listEntries(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	list, err := s.engine.LedgerEntries(c.Request().Context(), c.QueryParam("campaign"), page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

func (s *server) listBalances(c echo.Context) error {
	page, err := pageOf(c)
	if err != nil {
		return err
	}
	balances, err := s.engine.Balances(c.Request().Context(), c.QueryParam("campaign"))
	if err != nil {
		return err
	}
	list, err := slice(balances, page)
	if err != nil {
		return err
	}
	return sendList(c, list)
}

func (s *server) verifyLedger(c echo.Context) error {
	report, err := s.engine.VerifyLedger(c.Request().Context(), c.QueryParam("campaign"))
	if err != nil {
		return err
	}
	if report.Problems == nil {
		report.Problems = []string{}
	}
	return answer(c, http.StatusOK, report)
}

// exportTypes are the media types of the export's formats.
var exportTypes = map[string]string{
	"csv":     "text/csv; charset=utf-8",
	"xlsx":    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"parquet": "application/vnd.apache.parquet",
}

// exportLedger streams the ledger as a file. An export that fails on its way is cut off, so that no half of one
// is taken for the books.
func (s *server) exportLedger(c echo.Context) error {
	format := c.QueryParam("format")
	if format == "" {
		format = "csv"
	}
	mime, ok := exportTypes[format]
	if !ok {
		return badQuery("format", "must be csv, xlsx or parquet")
	}
	q := engine.ExportQuery{Campaign: c.QueryParam("campaign")}
	which, zone := "all", time.UTC
	var err error
	if q.Campaign != "" {
		which = q.Campaign
		if zone, err = s.zone(c, q.Campaign); err != nil {
			return err
		}
	}
	if q.From, _, err = moment(c, "from", zone); err != nil {
		return err
	}
	var day bool
	if q.To, day, err = moment(c, "to", zone); err != nil {
		return err
	}
	if day { // the last day is part of it
		q.To = q.To.AddDate(0, 0, 1)
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return badQuery("to", "is not after from")
	}
	// The head goes out with the first bytes, so a failure before them is still told as one.
	out := &patient{c: c, out: http.NewResponseController(c.Response()), head: func(h http.Header) {
		h.Set(echo.HeaderContentType, mime)
		h.Set(echo.HeaderContentDisposition, fmt.Sprintf(`attachment; filename="ledger-%s.%s"`, which, format))
		h.Set(echo.HeaderCacheControl, "no-store")
	}}
	err = s.engine.ExportLedger(c.Request().Context(), out, format, q)
	switch {
	case err != nil && c.Response().Committed:
		s.abort(c, err)
	case err != nil:
		return err
	}
	_, err = out.Write(nil) // an empty export still has a head
	return err
}

// patient writes an answer that may take longer than the server allows others, as long as each part of it gets
// through within a minute.
type patient struct {
	c    echo.Context
	out  *http.ResponseController
	head func(http.Header)
	till time.Time
}

func (p *patient) Write(b []byte) (int, error) {
	if !p.c.Response().Committed {
		p.head(p.c.Response().Header())
	}
	if now := time.Now(); now.Add(30 * time.Second).After(p.till) {
		p.till = now.Add(time.Minute)
		_ = p.out.SetWriteDeadline(p.till) // where it cannot be set there is none
	}
	return p.c.Response().Write(b)
}
