package api

import (
	"strings"

	"github.com/labstack/echo/v4"

	"kfactor/engine"
	"kfactor/internal/fault"
)

// roles is the set of roles that may use a route.
type roles uint8

const (
	owner    roles = 1 << iota // everything
	operator                   // campaigns, posters, participants
	reviewer                   // the review queue
	finance                    // grants, ledger, exports
	viewer                     // reads, without personal data
	ingest                     // may only bring participants and events
)

const (
	anyone    roles = 0 // no key
	operators       = owner | operator
	readers         = owner | operator | reviewer | finance | viewer
	bringers        = owner | operator | ingest
	payers          = owner | reviewer | finance
	treasury        = owner | finance
)

// roleNames are the roles by the names that keys carry.
var roleNames = map[string]roles{
	"owner": owner, "operator": operator, "reviewer": reviewer, "finance": finance, "viewer": viewer, "ingest": ingest,
}

const callerKey = "kfactor.caller"

// authenticate lets a request through when its key's role is among who.
func (s *server) authenticate(c echo.Context, who roles) error {
	secret, err := bearer(c.Request().Header.Get(echo.HeaderAuthorization))
	if err != nil {
		return err
	}
	key, err := s.engine.Authenticate(c.Request().Context(), secret)
	if err != nil {
		return err
	}
	c.Set(callerKey, key)
	if roleNames[key.Role]&who == 0 {
		return fault.New(fault.Forbidden, "a key with the role %s may not do this", key.Role)
	}
	return nil
}

func bearer(header string) (string, error) {
	scheme, secret, _ := strings.Cut(header, " ")
	secret = strings.TrimSpace(secret)
	switch {
	case header == "":
		return "", fault.New(fault.Unauthorized, "this needs a key; send Authorization: Bearer KEY")
	case !strings.EqualFold(scheme, "Bearer") || secret == "" || len(secret) > 256:
		return "", fault.New(fault.Unauthorized, "the Authorization header is not of the form Bearer KEY")
	}
	return secret, nil
}

// caller is the key that the request came with, the zero key where none is needed.
func caller(c echo.Context) engine.KeyView {
	key, _ := c.Get(callerKey).(engine.KeyView)
	return key
}

// names says whether the caller may see who people are.
func names(c echo.Context) bool {
	return roleNames[caller(c).Role]&(owner|operator|reviewer|finance) != 0
}

// by is how the caller is named in the records of what they did.
func by(c echo.Context) string {
	key := caller(c)
	if key.Name != "" {
		return key.Name
	}
	return key.ID
}
