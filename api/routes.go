package api

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// route is one line of the surface.
type route struct {
	method string
	path   string // as published: {name} stands for a part
	who    roles
	once   bool   // honours Idempotency-Key
	body   int64  // most bytes a body may have; 0: none is read
	query  string // the parameters it knows, with spaces between; other ones are refused where a key is needed
	do     echo.HandlerFunc
}

const (
	smallBody    = 64 * kib
	campaignBody = 256 * kib
	eventsBody   = 5 * mib
	codesBody    = 8 * mib
	assetBody    = 10 * mib
	formBody     = 16 * kib
	callbackBody = 64 * kib
)

// routes is the whole surface on one page. The OpenAPI document says the same, and a test holds them together.
func (s *server) routes() []route {
	const (
		GET, POST, PUT, DELETE = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
		page                   = "limit cursor"
	)
	return []route{
		// campaigns
		{GET, "/v1/campaigns", readers, false, 0, page, s.listCampaigns},
		{POST, "/v1/campaigns", operators, true, campaignBody, "", s.createCampaign},
		{POST, "/v1/campaigns/plan", operators, false, campaignBody, "", s.planCampaign},
		{GET, "/v1/campaigns/{id}", readers, false, 0, "", s.readCampaign},
		{PUT, "/v1/campaigns/{id}", operators, false, campaignBody, "", s.reviseCampaign},
		{POST, "/v1/campaigns/{id}/launch", operators, true, smallBody, "", s.turn("launch")},
		{POST, "/v1/campaigns/{id}/pause", operators, true, smallBody, "", s.turn("pause")},
		{POST, "/v1/campaigns/{id}/resume", operators, true, smallBody, "", s.turn("resume")},
		{POST, "/v1/campaigns/{id}/end", operators, true, smallBody, "", s.turn("end")},
		{PUT, "/v1/campaigns/{id}/assets/{name}", operators, false, assetBody, "", s.putAsset},

		// participants
		{POST, "/v1/campaigns/{id}/participants", bringers, true, smallBody, "", s.join},
		{GET, "/v1/campaigns/{id}/participants/{code}", readers, false, 0, "", s.readParticipant},
		{GET, "/v1/campaigns/{id}/participants/{code}/explain", readers, false, 0, "event", s.explain},
		{POST, "/v1/campaigns/{id}/participants/{code}/block", operators, true, smallBody, "", s.block(true)},
		{POST, "/v1/campaigns/{id}/participants/{code}/unblock", operators, true, smallBody, "", s.block(false)},

		// events
		{POST, "/v1/events", bringers, true, eventsBody, "", s.acceptEvents},
		{GET, "/v1/campaigns/{id}/events", readers, false, 0, page + " system", s.listEvents},
		{GET, "/v1/campaigns/{id}/events/{event}/explain", readers, false, 0, "", s.explainEvent},

		// channels, and whom a shop's members are there
		{GET, "/v1/channels", operators, false, 0, page, s.listChannels},
		{POST, "/v1/channels/{channel}/members", bringers, true, eventsBody, "", s.tieMembers},
		{GET, "/v1/channels/{channel}/members/{member}", operators, false, 0, "", s.readMember},
		{PUT, "/v1/channels/{channel}/members/{member}", bringers, false, smallBody, "", s.tieMember},
		{DELETE, "/v1/channels/{channel}/members/{member}", bringers, false, 0, "", s.untieMember},

		// messages
		{GET, "/v1/campaigns/{id}/messages", operators, false, 0, page + " state", s.listMessages},

		// reports
		{GET, "/v1/campaigns/{id}/funnel", readers, false, 0, "from to by", s.funnel},
		{GET, "/v1/campaigns/{id}/leaderboard", readers, false, 0, page, s.leaderboard},
		{GET, "/v1/campaigns/{id}/rewards", readers, false, 0, page, s.listRewards},
		{POST, "/v1/campaigns/{id}/rewards/{reward}/codes", operators, true, codesBody, "", s.importCodes},

		// grants
		{GET, "/v1/grants", payers, false, 0, page + " campaign user state", s.listGrants},
		{POST, "/v1/grants/{id}/approve", payers, true, smallBody, "", s.decide("approve")},
		{POST, "/v1/grants/{id}/reject", payers, true, smallBody, "", s.decide("reject")},
		{POST, "/v1/grants/{id}/deliver", payers, true, smallBody, "", s.decide("deliver")},
		{POST, "/v1/grants/{id}/revoke", payers, true, smallBody, "", s.decide("revoke")},
		{GET, "/v1/grants/{id}/address", treasury, false, 0, "", s.grantAddress},
		{DELETE, "/v1/grants/{id}/address", treasury, false, 0, "", s.eraseGrantAddress},

		// ledger
		{GET, "/v1/ledger/entries", treasury, false, 0, page + " campaign", s.listEntries},
		{GET, "/v1/ledger/balances", treasury, false, 0, page + " campaign", s.listBalances},
		{GET, "/v1/ledger/verify", treasury, false, 0, "campaign", s.verifyLedger},
		{GET, "/v1/ledger/export", treasury, false, 0, "format campaign from to", s.exportLedger},

		// what people see
		{GET, "/", anyone, false, 0, "", s.index},
		{GET, "/r/{code}", anyone, false, 0, "src", s.landing},
		{POST, "/r/{code}/join", anyone, false, formBody, "", s.joinThroughCode},
		{GET, "/c/{campaign}", anyone, false, 0, "", s.campaignPage},
		{POST, "/c/{campaign}/join", anyone, false, formBody, "", s.joinCampaign},
		{GET, "/me/{campaign}", anyone, false, 0, "", s.asSharer(s.ownPage)},
		{GET, "/me/{campaign}/ranking", anyone, false, 0, "", s.asSharer(s.ranking)},
		{GET, "/me/{campaign}/address/{grant}", anyone, false, 0, "", s.asSharer(s.addressPage)},
		{POST, "/me/{campaign}/address/{grant}", anyone, false, formBody, "", s.asSharer(s.keepAddress)},
		{GET, "/p/{code}.{format}", anyone, false, 0, "v", s.poster},
		{GET, "/q/{code}.{format}", anyone, false, 0, "size", s.qr},

		// what WeChat calls, and where people sign in with it
		{GET, callbackPath, anyone, false, 0, "signature timestamp nonce echostr", s.callback},
		{POST, callbackPath, anyone, false, callbackBody, "signature timestamp nonce encrypt_type msg_signature openid", s.callback},
		{GET, "/wechat/{channel}/enter", anyone, false, 0, "to ask", s.enter},
		{GET, "/wechat/{channel}/back", anyone, false, 0, "to ask code state", s.back},

		// what operations and developers read
		{GET, "/healthz", anyone, false, 0, "", s.healthy},
		{GET, "/readyz", anyone, false, 0, "", s.ready},
		{GET, "/metrics", anyone, false, 0, "", s.showMetrics},
		{GET, "/schema/campaign.json", anyone, false, 0, "", s.campaignSchema},
		{GET, "/openapi.yaml", anyone, false, 0, "", s.openAPI},
		{GET, "/docs", anyone, false, 0, "", s.showDocs},
	}
}

// pattern is the path as the router has it. The router knows no two parts within one segment, so a file name
// such as {code}.{format} is one part there.
func (r route) pattern() string {
	p := strings.ReplaceAll(r.path, "{code}.{format}", ":file")
	return strings.NewReplacer("{", ":", "}", "").Replace(p)
}

// page says whether the route answers a visitor with a page about something that is stored.
func (r route) page() bool {
	return r.who == anyone && strings.Contains(r.path, "{") && !strings.HasSuffix(r.path, "{format}") && r.path != callbackPath
}

// gate bounds the calls under way of a route's kind: those with a key, and those of visitors that ask the database. What
// operations read is always let in.
func (s *server) gate(r route) *gate {
	switch {
	case r.who != anyone:
		return s.calls
	case strings.Contains(r.path, "{"):
		return s.visits
	}
	return nil
}

// guard is the way into a route: the key, the parameters and the body's size before anything is read, and a place
// among the calls under way once all of it is. Until then a caller takes from their own share alone.
func (s *server) guard(r route) echo.HandlerFunc {
	if r.path == callbackPath { // its signature comes before its body
		return r.do
	}
	do := r.do
	if r.once {
		do = s.once(do)
	}
	known, places := strings.Fields(r.query), s.gate(r)
	return func(c echo.Context) error {
		bodies, who := s.forms, ""
		if r.page() {
			asPage(c)
		}
		if r.who != anyone {
			if err := s.authenticate(c, r.who); err != nil {
				return err
			}
			if err := onlyQuery(c, known); err != nil {
				return err
			}
			bodies, who = s.bodies, caller(c).ID
			leave, err := s.share(who).enter(c.Request().Context())
			if err != nil {
				return err
			}
			defer leave()
		} else if r.body > 0 { // a form
			who = network(c.RealIP())
		}
		release, err := s.receive(c, r.body, bodies, who)
		if err != nil {
			return err
		}
		defer release()
		if places != nil {
			leave, err := places.enter(c.Request().Context())
			if err != nil {
				return err
			}
			defer leave()
		}
		return do(c)
	}
}
