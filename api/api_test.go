package api_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image"
	_ "image/jpeg"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kfactor/api"
	"kfactor/engine"
)

func TestRoles(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")
	fill := strings.NewReplacer("{id}", "spring", "{code}", code, "{reward}", "coupon", "{name}", "a.png")
	for _, r := range api.Routes() {
		if len(r.Roles) == 0 || strings.HasSuffix(r.Path, "/end") || strings.HasSuffix(r.Path, "/pause") {
			continue
		}
		path := fill.Replace(r.Path)
		t.Run(r.Method+" "+r.Path, func(t *testing.T) {
			h := h.in(t)
			p := h.ask("", r.Method, path, "").problem(http.StatusUnauthorized)
			if !strings.Contains(p.Detail, "Bearer KEY") {
				t.Errorf("no key: %q does not say what to send", p.Detail)
			}
			for role := range h.keys {
				got := h.ask(role, r.Method, path, "")
				if allowed := slices.Contains(r.Roles, role); allowed == (got.Status == http.StatusForbidden) {
					t.Errorf("%s: allowed is %v, and the status %d", role, allowed, got.Status)
				}
				if got.Status == http.StatusUnauthorized || got.Status >= 500 {
					t.Errorf("%s: status %d: %s", role, got.Status, got.Body)
				}
			}
		})
	}

	t.Run("AForgedKeyIsNoKey", func(t *testing.T) {
		h := h.in(t)
		for _, header := range []string{
			"Bearer kf_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "Bearer " + h.keys["owner"] + "x", "Basic " + h.keys["owner"],
			"Bearer", "Bearer " + strings.Repeat("x", 5000), h.keys["owner"],
		} {
			got := h.ask("", "GET", "/v1/campaigns", "", "Authorization", header)
			got.problem(http.StatusUnauthorized)
			if !strings.HasPrefix(got.Header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("WWW-Authenticate is %q", got.Header.Get("WWW-Authenticate"))
			}
		}
	})

	t.Run("AViewerSeesNobodysName", func(t *testing.T) {
		h := h.in(t)
		h.follow(code, "friend-1")
		h.until("the friend counts", func() bool { return h.count(code) == 1 })
		h.ask("operator", "POST", "/v1/campaigns/spring/participants/"+code+"/block", `{"reason":"call 13800138000"}`).must(http.StatusOK)
		for _, path := range []string{
			"/participants/" + code, "/participants/" + code + "/explain", "/events?system=true", "/leaderboard",
			"/participants/" + code + "/explain?event=follow-friend-1",
		} {
			path = "/v1/campaigns/spring" + path
			seen := h.ask("operator", "GET", path, "").must(http.StatusOK).Body
			blank := h.ask("viewer", "GET", path, "").must(http.StatusOK).Body
			if !strings.Contains(seen, "小明") && !strings.Contains(seen, "owner-1") {
				t.Errorf("%s: an operator sees no name in %s", path, seen)
			}
			for _, name := range []string{"小明", "owner-1", "\"friend-1\"", "13800138000"} {
				if strings.Contains(blank, name) {
					t.Errorf("%s: a viewer sees %s in %s", path, name, blank)
				}
			}
		}
	})
}

func TestCampaigns(t *testing.T) {
	t.Parallel()

	t.Run("ADefinitionBecomesADraftAndLives", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		var v engine.CampaignView
		h.ask("operator", "POST", "/v1/campaigns", spring, "Content-Type", "application/yaml").must(http.StatusCreated).into(&v)
		if v.ID != "spring" || v.Revision != 1 || v.Status != "draft" {
			t.Fatalf("got %+v", v)
		}
		h.ask("operator", "POST", "/v1/campaigns", spring, "Content-Type", "text/yaml; charset=utf-8").problem(http.StatusConflict)
		h.ask("operator", "POST", "/v1/campaigns/spring/resume", "").problem(http.StatusConflict)
		for _, step := range []struct{ verb, status string }{{"launch", "live"}, {"pause", "paused"}, {"resume", "live"}, {"end", "ended"}} {
			h.ask("operator", "POST", "/v1/campaigns/spring/"+step.verb, "").must(http.StatusOK).into(&v)
			if string(v.Status) != step.status {
				t.Fatalf("after %s it is %s", step.verb, v.Status)
			}
		}
		h.ask("operator", "POST", "/v1/campaigns/spring/launch", "{}").problem(http.StatusConflict)
		h.ask("viewer", "GET", "/v1/campaigns/nobody", "").problem(http.StatusNotFound)
	})

	t.Run("EveryProblemIsToldWithItsPlace", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		bad := strings.NewReplacer("on: subscribe", "onn: subscribe", "stock: 2,", "stock: -2,", "invite: 1", "invit: 1").Replace(spring)
		got := h.ask("operator", "POST", "/v1/campaigns", bad, "Content-Type", "application/yaml")
		if p := got.problem(http.StatusUnprocessableEntity); len(p.Errors) < 3 {
			t.Fatalf("got %s", got.Body)
		}
		if !contains(got.Body, `"line":`, `"column":`, "tasks.invite") {
			t.Fatalf("no places in %s", got.Body)
		}
		h.ask("operator", "POST", "/v1/campaigns", "{", "Content-Type", "application/yaml").problem(http.StatusUnprocessableEntity)
		h.ask("operator", "POST", "/v1/campaigns", "[1,2]").problem(http.StatusUnprocessableEntity)
	})

	t.Run("ALivePromiseIsKept", func(t *testing.T) {
		t.Parallel()
		h := live(t)
		harder := strings.Replace(spring, "requires: {invite: 2}", "requires: {invite: 20}", 1)
		var plan engine.Plan
		h.ask("operator", "POST", "/v1/campaigns/plan", harder, "Content-Type", "application/yaml").must(http.StatusOK).into(&plan)
		if len(plan.Changes) == 0 || len(plan.Refused) == 0 {
			t.Fatalf("got %+v", plan)
		}
		p := h.ask("operator", "PUT", "/v1/campaigns/spring", harder, "Content-Type", "application/yaml").problem(http.StatusConflict)
		if len(p.Errors) == 0 || !strings.Contains(p.Errors[0].Field, "tiers[1].requires.invite") {
			t.Fatalf("got %+v", p)
		}
		more := strings.Replace(spring, "stock: 2,", "stock: 20,", 1)
		var v engine.CampaignView
		h.ask("operator", "PUT", "/v1/campaigns/spring", more, "Content-Type", "application/yaml").must(http.StatusOK).into(&v)
		if v.Revision < 2 {
			t.Fatalf("got %+v", v)
		}
	})

	t.Run("AFileIsUploadedAndSizedUp", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		withFile := strings.Replace(spring, `background: "#FFF4E0"`, "background: sky.png", 1)
		var v engine.CampaignView
		h.ask("operator", "POST", "/v1/campaigns", withFile, "Content-Type", "application/yaml").must(http.StatusCreated).into(&v)
		if !slices.Equal(v.Missing, []string{"sky.png"}) {
			t.Fatalf("got %+v", v)
		}
		if p := h.ask("operator", "POST", "/v1/campaigns/spring/launch", "").problem(http.StatusConflict); !strings.Contains(p.Detail+fmt.Sprint(p.Errors), "sky.png") {
			t.Fatalf("got %+v", p)
		}
		h.ask("operator", "PUT", "/v1/campaigns/spring/assets/sky.png", "not a picture", "Content-Type", "image/png").problem(http.StatusUnsupportedMediaType)
		h.ask("operator", "PUT", "/v1/campaigns/spring/assets/..%2Fsky.png", "x", "Content-Type", "image/png").problem(http.StatusUnprocessableEntity)
		h.ask("operator", "PUT", "/v1/campaigns/spring/assets/sky.png", "").problem(http.StatusBadRequest)
		h.ask("operator", "PUT", "/v1/campaigns/spring/assets/sky.png", picture(750, 1334), "Content-Type", "application/octet-stream").must(http.StatusOK)
		h.ask("operator", "POST", "/v1/campaigns/spring/launch", "").must(http.StatusOK)
	})
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")
	const participants = "/v1/campaigns/spring/participants"

	cases := map[string]struct {
		method, path, body string
		headers            []string
		status             int
		says               string
	}{
		"NoJSON":               {"POST", participants, "{user", nil, 400, "line 1, column 2"},
		"TwoDocuments":         {"POST", participants, `{"user":"a"}{"user":"b"}`, nil, 400, "not JSON"},
		"AnArray":              {"POST", participants, `["a"]`, nil, 400, "JSON object"},
		"AnEmptyBody":          {"POST", participants, "", nil, 400, "empty"},
		"AnUnknownName":        {"POST", participants, `{"user":"a","nick":"b"}`, nil, 422, "nick"},
		"AWrongType":           {"POST", participants, `{"user":7}`, nil, 422, "must be a string"},
		"AForm":                {"POST", participants, "user=a", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "application/json"},
		"AnotherCharset":       {"POST", participants, `{"user":"a"}`, []string{"Content-Type", "application/json; charset=gbk"}, 415, "UTF-8"},
		"ACompressedBody":      {"POST", participants, `{"user":"a"}`, []string{"Content-Encoding", "gzip"}, 415, "compressed"},
		"ANameWithControls":    {"POST", participants, `{"user":"a","nickname":"a\u0000b"}`, nil, 422, "nickname"},
		"ANameOf10000":         {"POST", participants, `{"user":"a","nickname":"` + strings.Repeat("名", 10_000) + `"}`, nil, 422, "nickname"},
		"ADeepOne":             {"POST", participants, strings.Repeat(`{"user":`, 3000) + strings.Repeat("}", 3000), nil, 400, "deeper"},
		"ALimitOfNothing":      {"GET", "/v1/campaigns?limit=0", "", nil, 422, "limit"},
		"ALimitBeyond":         {"GET", "/v1/campaigns?limit=1001", "", nil, 422, "limit"},
		"ALimitThatIsNone":     {"GET", "/v1/campaigns?limit=many", "", nil, 422, "limit"},
		"AnInventedCursor":     {"GET", "/v1/campaigns?cursor=%21%21", "", nil, 422, "cursor"},
		"AnUnknownParameter":   {"GET", "/v1/grants?campain=spring", "", nil, 422, "campain"},
		"AParameterTwice":      {"GET", "/v1/grants?campaign=a&campaign=b", "", nil, 422, "campaign"},
		"ABrokenQuery":         {"GET", "/v1/grants?campaign=%zz", "", nil, 400, "query"},
		"AnUnknownState":       {"GET", "/v1/grants?state=lost", "", nil, 422, "delivered"},
		"AnUnknownGrouping":    {"GET", "/v1/campaigns/spring/funnel?by=moon", "", nil, 422, "variant"},
		"ADayThatIsNone":       {"GET", "/v1/campaigns/spring/funnel?from=2026-02-30", "", nil, 422, "from"},
		"AnEndBeforeTheStart":  {"GET", "/v1/campaigns/spring/funnel?from=2026-03-02&to=2026-03-01", "", nil, 422, "to"},
		"AnUnknownFormat":      {"GET", "/v1/ledger/export?format=doc", "", nil, 422, "parquet"},
		"AFlagThatIsNone":      {"GET", "/v1/campaigns/spring/events?system=perhaps", "", nil, 422, "system"},
		"AnUnknownGrant":       {"POST", "/v1/grants/spring.99/approve", "", nil, 404, ""},
		"AnUnknownReward":      {"POST", "/v1/campaigns/spring/rewards/moon/codes", "A", []string{"Content-Type", "text/csv"}, 404, "moon"},
		"CodesForAMug":         {"POST", "/v1/campaigns/spring/rewards/mug/codes", "A", []string{"Content-Type", "text/csv"}, 409, "mug"},
		"AnUnknownCode":        {"GET", participants + "/ZZZZZZZZZZ", "", nil, 404, ""},
		"AnAddressOfNothing":   {"GET", "/v1/nothing", "", nil, 404, "/docs"},
		"AnotherMethod":        {"DELETE", "/v1/campaigns/spring", "", nil, 405, "Allow"},
		"AnEmptyIdempotencyID": {"POST", participants, `{"user":"a"}`, []string{"Idempotency-Key", strings.Repeat("x", 256)}, 422, "Idempotency-Key"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := h.in(t)
			got := h.ask("owner", c.method, c.path, c.body, c.headers...)
			got.problem(c.status)
			if !strings.Contains(got.Body, c.says) {
				t.Errorf("%q is not in %s", c.says, got.Body)
			}
		})
	}

	t.Run("TheAllowHeaderListsTheMethods", func(t *testing.T) {
		h := h.in(t)
		if allow := h.ask("owner", "DELETE", "/v1/campaigns/spring", "").Header.Get("Allow"); !contains(allow, "GET", "PUT") {
			t.Errorf("Allow is %q", allow)
		}
	})

	t.Run("ACodeIsReadInAnyCase", func(t *testing.T) {
		h := h.in(t)
		h.ask("viewer", "GET", participants+"/"+strings.ToLower(code), "").must(http.StatusOK)
	})

	t.Run("ABodyOf100MegabytesIsRefusedEarly", func(t *testing.T) {
		h := h.in(t)
		const announced = 100 << 20
		conn, err := net.Dial("tcp", h.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
			h.keys["ingest"], announced)
		got, err := io.ReadAll(conn) // not a byte of the body is sent: the answer comes, and the connection ends
		if err != nil || !contains(string(got), "HTTP/1.1 413", "5 MiB", "Connection: close") {
			t.Fatalf("got %s, %v", got, err)
		}
	})

	t.Run("ABodyThatDoesNotSayItsSizeIsCutOff", func(t *testing.T) {
		h := h.in(t)
		for path, most := range map[string]int{"/v1/events": 5 << 20, participants: 64 << 10, "/v1/campaigns": 256 << 10} {
			r, err := http.NewRequestWithContext(t.Context(), "POST", h.URL+path, struct{ io.Reader }{strings.NewReader(strings.Repeat(" ", most+1))})
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+h.keys["owner"])
			h.send(r).problem(http.StatusRequestEntityTooLarge)
		}
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")
	event := func(id, user, more string) string {
		return `{"id":"` + id + `","campaign":"spring","type":"subscribe","user":"` + user + `","code":"` + code + `"` + more + `}`
	}
	type receipt struct {
		Accepted, Duplicates int
		Rejected             []engine.Rejection
	}
	post := func(t *testing.T, body string, headers ...string) (r receipt) {
		t.Helper()
		h.in(t).ask("ingest", "POST", "/v1/events", body, headers...).must(http.StatusAccepted).into(&r)
		return r
	}

	t.Run("OneBadEventDoesNotSpoilTheOthers", func(t *testing.T) {
		ahead := time.Now().Add(time.Hour).Format(time.RFC3339)
		body := `{"events":[` + strings.Join([]string{
			event("e-1", "friend-1", ""),
			event("e-2", "friend-2", `,"usr":"x"`),
			event("e-1", "friend-1", ""),
			event("e-3", "friend-3", `,"time":"2099-01-01T00:00:00Z"`),
			event("e-4", "friend-4", `,"time":"`+ahead+`"`),
			event("e-5", "friend-5", `,"data":{"a":"`+strings.Repeat("x", 9<<10)+`"}`),
			event("e-6", "friend-6", `,"data":[1]`),
			strings.Replace(event("e-7", "friend-7", ""), "spring", "autumn", 1),
			"17",
			event("e-8", "friend-8", `,"data":{"a":1}`),
		}, ",") + `]}`
		got := post(t, body)
		var places []int
		for _, r := range got.Rejected {
			places = append(places, r.Index)
			if r.Error == "" {
				t.Errorf("nothing is said of %+v", r)
			}
		}
		if got.Accepted != 2 || got.Duplicates != 1 || !slices.Equal(places, []int{1, 3, 4, 5, 6, 7, 8}) {
			t.Fatalf("got %+v", got)
		}
		if got.Rejected[0].ID != "e-2" || got.Rejected[3].ID != "e-5" {
			t.Fatalf("got %+v", got.Rejected)
		}
	})

	t.Run("OneEventALineIsTaken", func(t *testing.T) {
		got := post(t, event("l-1", "line-1", "")+"\n\n"+event("l-2", "line-2", "")+"\n{\n", "Content-Type", "application/x-ndjson")
		if got.Accepted != 2 || len(got.Rejected) != 1 || got.Rejected[0].Index != 2 {
			t.Fatalf("got %+v", got)
		}
	})

	t.Run("ASingleEventIsToldLikeMany", func(t *testing.T) {
		h := h.in(t)
		if got := post(t, event("s-1", "single-1", "")); got.Accepted != 1 || got.Rejected == nil {
			t.Fatalf("got %+v", got)
		}
		if got := post(t, event("s-1", "single-1", "")); got.Duplicates != 1 {
			t.Fatalf("got %+v", got)
		}
		if got := post(t, event("s-2", "single-2", `,"time":"2099-01-01T00:00:00Z"`)); got.Accepted != 0 || len(got.Rejected) != 1 {
			t.Fatalf("got %+v", got)
		}
		h.ask("ingest", "POST", "/v1/events", event("s-3", "single-3", `,"usr":1`)).problem(http.StatusUnprocessableEntity)
	})

	t.Run("AThousandAndOneAreTooMany", func(t *testing.T) {
		h := h.in(t)
		many := strings.Repeat(event("m-1", "many-1", "")+",", 1000)
		h.ask("ingest", "POST", "/v1/events", `{"events":[`+many+event("m-1", "many-1", "")+`]}`).problem(http.StatusRequestEntityTooLarge)
	})

	t.Run("TheJournalIsReadInPages", func(t *testing.T) {
		h := h.in(t)
		h.until("all is applied", func() bool { return h.count(code) == 5 })
		type page struct {
			Items []engine.EventView
			Next  string
		}
		var whole page
		h.ask("viewer", "GET", "/v1/campaigns/spring/events", "").must(http.StatusOK).into(&whole)
		if len(whole.Items) != 5 || whole.Next != "" {
			t.Fatalf("got %+v", whole)
		}
		var ids []string
		for cursor := ""; ; {
			var p page
			h.ask("viewer", "GET", "/v1/campaigns/spring/events?limit=2&cursor="+cursor, "").must(http.StatusOK).into(&p)
			for _, e := range p.Items {
				ids = append(ids, e.ID)
				if e.Outcome != "credited" || e.Seq == nil {
					t.Errorf("got %+v", e)
				}
			}
			if cursor = p.Next; cursor == "" {
				break
			}
		}
		if !slices.Equal(ids, []string{"e-1", "e-8", "l-1", "l-2", "s-1"}) {
			t.Fatalf("got %v", ids)
		}
	})

	t.Run("WhatIsAcceptedIsInTheJournalAtOnce", func(t *testing.T) {
		h := h.in(t)
		for i := range 60 { // each is looked for while it is being applied
			id := fmt.Sprintf("at-once-%d", i)
			post(t, event(id, id, ""))
			if got := h.ask("viewer", "GET", "/v1/campaigns/spring/events?limit=1000", "").must(http.StatusOK); !strings.Contains(got.Body, `"`+id+`"`) {
				t.Fatalf("%s is not in the journal", id)
			}
		}
	})
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	h := live(t)
	const path = "/v1/campaigns/spring/participants"

	t.Run("TheSameAgainGetsTheSameAnswer", func(t *testing.T) {
		h := h.in(t)
		first := h.ask("ingest", "POST", path, `{"user":"a"}`, "Idempotency-Key", "k-1").must(http.StatusCreated)
		again := h.ask("ingest", "POST", path, `{"user":"a"}`, "Idempotency-Key", "k-1").must(http.StatusCreated)
		if again.Body != first.Body || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
			t.Fatalf("first %s, again %s (%v)", first.Body, again.Body, again.Header)
		}
		if again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Fatalf("got %v", again.Header)
		}
		h.ask("ingest", "POST", path, `{"user":"a"}`).must(http.StatusOK)
	})

	t.Run("AnotherBodyIsRefused", func(t *testing.T) {
		h := h.in(t)
		h.ask("ingest", "POST", path, `{"user":"b"}`, "Idempotency-Key", "k-2").must(http.StatusCreated)
		h.ask("ingest", "POST", path, `{"user":"c"}`, "Idempotency-Key", "k-2").problem(http.StatusUnprocessableEntity)
	})

	t.Run("AnotherKeyHolderIsNotConcerned", func(t *testing.T) {
		h := h.in(t)
		h.ask("ingest", "POST", path, `{"user":"d"}`, "Idempotency-Key", "k-3").must(http.StatusCreated)
		h.ask("operator", "POST", path, `{"user":"e"}`, "Idempotency-Key", "k-3").must(http.StatusCreated)
	})

	t.Run("AFailureIsNotKept", func(t *testing.T) {
		h := h.in(t)
		h.ask("ingest", "POST", path, `{"user":""}`, "Idempotency-Key", "k-4").problem(http.StatusUnprocessableEntity)
		h.ask("ingest", "POST", path, `{"user":"f"}`, "Idempotency-Key", "k-4").must(http.StatusCreated)
	})

	t.Run("ManyAtOnceAreOne", func(t *testing.T) {
		h := h.in(t)
		var wait sync.WaitGroup
		answers := make([]answer, 8)
		for i := range answers {
			wait.Go(func() {
				body := `{"id":"once","campaign":"spring","type":"scan","user":"g"}`
				answers[i] = h.ask("ingest", "POST", "/v1/events", body, "Idempotency-Key", "k-5")
			})
		}
		wait.Wait()
		for _, a := range answers {
			switch a.Status {
			case http.StatusAccepted:
				if !strings.Contains(a.Body, `"accepted":1`) {
					t.Errorf("got %s", a.Body)
				}
			case http.StatusConflict:
			default:
				t.Errorf("status %d: %s", a.Status, a.Body)
			}
		}
	})
}

func TestRewardsAndBooks(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")

	var imported engine.CouponImport
	h.ask("operator", "POST", "/v1/campaigns/spring/rewards/coupon/codes", "AB-1\nAB-2\nAB-1\n", "Content-Type", "text/csv").must(http.StatusOK).into(&imported)
	if imported.Imported != 2 || imported.Duplicates != 1 {
		t.Fatalf("got %+v", imported)
	}
	h.follow(code, "friend-1", "friend-2")

	type grants struct {
		Items []engine.GrantView
		Next  string
	}
	var list grants
	h.until("two rewards are granted", func() bool {
		h.ask("finance", "GET", "/v1/grants?campaign=spring&user=owner-1", "").must(http.StatusOK).into(&list)
		return len(list.Items) == 2
	})
	mug := list.Items[1]
	if mug.Reward != "mug" || mug.State != "review" || mug.Code != code || mug.User != "owner-1" {
		t.Fatalf("got %+v", list.Items)
	}

	t.Run("AGrantGoesItsWay", func(t *testing.T) {
		h := h.in(t)
		h.ask("reviewer", "GET", "/v1/grants?state=review&limit=1", "").must(http.StatusOK).into(&list)
		if len(list.Items) != 1 || list.Items[0].ID != mug.ID {
			t.Fatalf("got %+v", list)
		}
		for _, step := range []struct{ verb, state string }{{"approve", "granted"}, {"deliver", "delivered"}} {
			var g engine.GrantView
			h.ask("finance", "POST", "/v1/grants/"+mug.ID+"/"+step.verb, `{"reason":"checked"}`).must(http.StatusOK).into(&g)
			if g.State != step.state {
				t.Fatalf("after %s it is %+v", step.verb, g)
			}
		}
		h.ask("reviewer", "POST", "/v1/grants/"+mug.ID+"/approve", "").problem(http.StatusConflict)
		h.ask("reviewer", "POST", "/v1/grants/"+mug.ID+"/reject", `{"why":"x"}`).problem(http.StatusUnprocessableEntity)
	})

	t.Run("TheBooksBalance", func(t *testing.T) {
		h := h.in(t)
		var balances struct{ Items []engine.BalanceView }
		h.ask("finance", "GET", "/v1/ledger/balances?campaign=spring", "").must(http.StatusOK).into(&balances)
		var sum int64
		for _, b := range balances.Items {
			sum += b.Balance
		}
		if len(balances.Items) == 0 || sum != 0 {
			t.Fatalf("got %+v", balances)
		}
		var report engine.LedgerReport
		h.ask("finance", "GET", "/v1/ledger/verify", "").must(http.StatusOK).into(&report)
		if !report.OK || report.Entries == 0 {
			t.Fatalf("got %+v", report)
		}
		var entries struct {
			Items []engine.EntryView
			Next  string
		}
		h.ask("finance", "GET", "/v1/ledger/entries?campaign=spring&limit=2", "").must(http.StatusOK).into(&entries)
		if len(entries.Items) != 2 || entries.Next == "" {
			t.Fatalf("got %+v", entries)
		}
		h.ask("finance", "GET", "/v1/ledger/entries?campaign=nobody", "").problem(http.StatusNotFound)
	})

	t.Run("TheExportIsAFile", func(t *testing.T) {
		h := h.in(t)
		got := h.ask("finance", "GET", "/v1/ledger/export?format=csv&campaign=spring", "").must(http.StatusOK)
		text, bom := strings.CutPrefix(got.Body, "\uFEFF")
		rows, err := csv.NewReader(strings.NewReader(text)).ReadAll()
		if err != nil || !bom || len(rows) < 3 || strings.Join(rows[0], ",") != "seq,posted_at,transaction,kind,campaign,account,user,reward,grant,event,debit,credit,currency,memo,hash" {
			t.Fatalf("got %v, %.500s", err, got.Body)
		}
		if got.Header.Get("Content-Disposition") != `attachment; filename="ledger-spring.csv"` {
			t.Fatalf("got %v", got.Header)
		}
		for _, format := range []string{"xlsx", "parquet"} {
			if got := h.ask("finance", "GET", "/v1/ledger/export?format="+format, "").must(http.StatusOK); len(got.Body) < 100 {
				t.Fatalf("%s has %d bytes", format, len(got.Body))
			}
		}
		today := time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateOnly)
		got = h.ask("finance", "GET", "/v1/ledger/export?campaign=spring&from="+today+"&to="+today, "").must(http.StatusOK)
		if strings.Count(got.Body, "\n") != len(rows) {
			t.Fatalf("today's entries are not all there: %s", got.Body)
		}
		got = h.ask("finance", "GET", "/v1/ledger/export?campaign=spring&to=2026-01-01", "").must(http.StatusOK)
		if strings.Count(got.Body, "\n") != 1 {
			t.Fatalf("got %s", got.Body)
		}
		h.ask("finance", "GET", "/v1/ledger/export?campaign=nobody", "").problem(http.StatusNotFound)
	})

	t.Run("TheFunnelAndTheStockAreTold", func(t *testing.T) {
		h := h.in(t)
		var f engine.FunnelView
		today := time.Now().In(time.FixedZone("", 8*3600)).Format(time.DateOnly)
		h.ask("viewer", "GET", "/v1/campaigns/spring/funnel?by=day&from="+today+"&to="+today, "").must(http.StatusOK).into(&f)
		if len(f.Stages) == 0 || f.Stages[2].Users != 2 || len(f.Groups) != 1 {
			t.Fatalf("got %+v", f)
		}
		h.ask("viewer", "GET", "/v1/campaigns/spring/funnel", "").must(http.StatusOK)
		var rewards struct{ Items []engine.RewardView }
		h.ask("viewer", "GET", "/v1/campaigns/spring/rewards?limit=1", "").must(http.StatusOK).into(&rewards)
		if len(rewards.Items) != 1 || rewards.Items[0].Granted != 1 || rewards.Items[0].Remaining != 99 {
			t.Fatalf("got %+v", rewards)
		}
	})

	t.Run("ABlockedOneIsBlockedAndCanComeBack", func(t *testing.T) {
		h := h.in(t)
		var p engine.ParticipantView
		h.ask("operator", "POST", "/v1/campaigns/spring/participants/"+code+"/block", `{"reason":"looks odd"}`).must(http.StatusOK).into(&p)
		if !p.Blocked {
			t.Fatalf("got %+v", p)
		}
		p = engine.ParticipantView{}
		h.ask("operator", "POST", "/v1/campaigns/spring/participants/"+code+"/unblock", "").must(http.StatusOK).into(&p)
		if p.Blocked {
			t.Fatalf("got %+v", p)
		}
	})
}

func TestPictures(t *testing.T) {
	t.Parallel()
	h := live(t, func(c *api.Config) { c.Limits.GuessesPerMinute = 5 })
	code := h.join("owner-1", "<b>小明</b> 🎉", "")

	for path, kind := range map[string]string{
		"/p/" + code + ".jpg": "image/jpeg", "/p/" + code + ".png": "image/png", "/q/" + strings.ToLower(code) + ".png": "image/png",
		"/q/" + code + ".svg": "image/svg+xml",
	} {
		t.Run("AnEtagSavesTheWay"+path[len(path)-4:]+path[:2], func(t *testing.T) {
			h := h.in(t)
			got := h.ask("", "GET", path, "").must(http.StatusOK)
			etag := got.Header.Get("ETag")
			if got.Header.Get("Content-Type") != kind || etag == "" || !strings.Contains(got.Header.Get("Cache-Control"), "max-age") {
				t.Fatalf("got %v", got.Header)
			}
			if kind != "image/svg+xml" {
				if _, _, err := image.Decode(strings.NewReader(got.Body)); err != nil {
					t.Fatal(err)
				}
			}
			for _, match := range []string{etag, `"x", W/` + etag, "*"} {
				if again := h.ask("", "GET", path, "", "If-None-Match", match).must(http.StatusNotModified); again.Body != "" {
					t.Error("a 304 has a body")
				}
			}
			h.ask("", "GET", path, "", "If-None-Match", `"x"`).must(http.StatusOK)
			if head := h.ask("", "HEAD", path, "").must(http.StatusOK); head.Body != "" || head.Header.Get("ETag") != etag {
				t.Errorf("HEAD gave %v", head.Header)
			}
		})
	}

	for _, path := range []string{"/p/" + code + ".jpg", "/q/" + code + ".png"} {
		t.Run("APartOfItIsSent"+path[:2], func(t *testing.T) {
			h := h.in(t)
			whole := h.ask("", "GET", path, "").must(http.StatusOK)
			etag, size := whole.Header.Get("ETag"), len(whole.Body)
			if whole.Header.Get("Accept-Ranges") != "bytes" || whole.Header.Get("Content-Length") != strconv.Itoa(size) {
				t.Errorf("got %v", whole.Header)
			}
			part := h.ask("", "GET", path, "", "Range", "bytes=100-299", "If-Range", etag).must(http.StatusPartialContent)
			if part.Body != whole.Body[100:300] || part.Header.Get("Content-Range") != fmt.Sprintf("bytes 100-299/%d", size) ||
				part.Header.Get("ETag") != etag || part.Header.Get("Content-Type") != whole.Header.Get("Content-Type") {
				t.Errorf("a part is %d bytes, %v", len(part.Body), part.Header)
			}
			if end := h.ask("", "GET", path, "", "Range", "bytes=-50").must(http.StatusPartialContent); end.Body != whole.Body[size-50:] {
				t.Error("the end is another")
			}
			if other := h.ask("", "GET", path, "", "Range", "bytes=100-299", "If-Range", `"another"`).must(http.StatusOK); other.Body != whole.Body {
				t.Error("a part of another picture is answered with less than the whole")
			}
			far := h.ask("", "GET", path, "", "Range", "bytes=90000000-")
			far.problem(http.StatusRequestedRangeNotSatisfiable)
			if far.Header.Get("Content-Range") != fmt.Sprintf("bytes */%d", size) || far.Header.Get("ETag") != "" {
				t.Errorf("got %v", far.Header)
			}
			h.ask("", "GET", path, "", "Range", "bytes=100-299", "If-None-Match", etag).must(http.StatusNotModified)
		})
	}

	t.Run("AFileThatIsGoneIsNoFaultOfTheVisitor", func(t *testing.T) {
		h := h.in(t)
		file := strings.NewReplacer("campaign: spring", "campaign: gone", `background: "#FFF4E0"`, "background: bg.png").Replace(spring)
		h.ask("operator", "POST", "/v1/campaigns", file, "Content-Type", "application/yaml").must(http.StatusCreated)
		h.ask("operator", "PUT", "/v1/campaigns/gone/assets/bg.png", picture(750, 1334), "Content-Type", "image/png").must(http.StatusOK)
		h.ask("operator", "POST", "/v1/campaigns/gone/launch", "").must(http.StatusOK)
		var p engine.ParticipantView
		h.ask("ingest", "POST", "/v1/campaigns/gone/participants", `{"user":"u"}`).must(http.StatusCreated).into(&p)
		// Another file takes the place of the first, and goes: the poster has to be made again.
		h.ask("operator", "PUT", "/v1/campaigns/gone/assets/bg.png", picture(751, 1334), "Content-Type", "image/png").must(http.StatusOK)
		if err := os.RemoveAll(filepath.Join(h.data, "assets")); err != nil {
			t.Fatal(err)
		}
		got := h.ask("", "GET", "/p/"+p.Code+".png", "")
		got.problem(http.StatusInternalServerError)
		if strings.Contains(got.Body, "bg.png") || strings.Contains(got.Body, h.data) {
			t.Errorf("a visitor is told of the file: %s", got.Body)
		}
	})

	t.Run("GuessingCodesIsLimitedAndKnownOnesStillCome", func(t *testing.T) {
		h := h.in(t)
		limited := false
		for i := range 12 {
			path := []string{"/p/ZZZZZZZZZ%d.png", "/q/ZZZZZZZZZ%d.svg", "/r/ZZZZZZZZZ%d", "/p/%d.gif"}[i%4]
			got := h.ask("", "GET", fmt.Sprintf(path, i%10), "")
			switch got.Status {
			case http.StatusNotFound:
			case http.StatusTooManyRequests:
				limited = true
				if got.Header.Get("Retry-After") == "" {
					t.Error("no Retry-After")
				}
			default:
				t.Fatalf("%s: status %d", path, got.Status)
			}
		}
		if !limited {
			t.Error("nothing was limited")
		}
		h.ask("", "GET", "/p/"+code+".jpg", "").must(http.StatusOK)
	})
}

func TestOperations(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-secret-id", "小明", "")

	t.Run("HealthIsTold", func(t *testing.T) {
		h := h.in(t)
		h.ask("", "GET", "/healthz", "").must(http.StatusOK)
		h.ask("", "GET", "/readyz", "").must(http.StatusOK)
	})
	t.Run("MetricsAreTold", func(t *testing.T) {
		h := h.in(t)
		got := h.ask("", "GET", "/metrics", "").must(http.StatusOK)
		if !contains(got.Body, "kfactor_events_in_total", `kfactor_http_requests_total{method="POST",route="/v1/campaigns/:id/participants",status="201"} 1`) {
			t.Fatalf("got %s", got.Body)
		}
	})
	t.Run("TheDocumentsAreServed", func(t *testing.T) {
		h := h.in(t)
		if got := h.ask("", "GET", "/openapi.yaml", "").must(http.StatusOK); !strings.HasPrefix(got.Body, "openapi: 3.1") {
			t.Fatalf("got %.100s", got.Body)
		}
		var schema map[string]any
		h.ask("", "GET", "/schema/campaign.json", "").must(http.StatusOK).into(&schema)
		docs := h.ask("", "GET", "/docs", "").must(http.StatusOK)
		for _, r := range api.Routes() {
			if !contains(docs.Body, ">"+r.Method+"</span> <code>"+r.Path+"</code>") {
				t.Errorf("%s %s is not on /docs", r.Method, r.Path)
			}
		}
		if !contains(docs.Body, `id="problem-conflict"`, "Who: owner, operator, ingest") {
			t.Error("the docs say nothing of problems or roles")
		}
	})
	t.Run("EveryAnswerIsGuarded", func(t *testing.T) {
		h := h.in(t)
		for _, path := range []string{"/", "/healthz", "/docs", "/r/" + code, "/q/" + code + ".svg", "/nothing"} {
			got := h.ask("", "GET", path, "")
			if got.Header.Get("X-Content-Type-Options") != "nosniff" || !contains(got.Header.Get("Content-Security-Policy"), "default-src 'none'", "frame-ancestors 'none'") ||
				got.Header.Get("Referrer-Policy") == "" || got.Header.Get("X-Request-Id") == "" {
				t.Errorf("%s: %v", path, got.Header)
			}
		}
	})
	t.Run("ARequestIdFromOutsideIsKeptIfItIsSane", func(t *testing.T) {
		h := h.in(t)
		if got := h.ask("", "GET", "/healthz", "", "X-Request-Id", "abc-12345").Header.Get("X-Request-Id"); got != "abc-12345" {
			t.Errorf("got %q", got)
		}
		for _, bad := range []string{"x", `"><script>`, strings.Repeat("x", 100)} {
			if got := h.ask("", "GET", "/healthz", "", "X-Request-Id", bad).Header.Get("X-Request-Id"); got == bad || len(got) < 20 {
				t.Errorf("got %q", got)
			}
		}
	})
	t.Run("TheLogNamesNobody", func(t *testing.T) {
		h := h.in(t)
		h.ask("", "GET", "/r/"+code+"?src=secret-source", "").must(http.StatusOK)
		h.ask("", "GET", "/nothing/secret-path", "").must(http.StatusNotFound)
		log := h.log.String()
		for _, private := range []string{code, "owner-secret-id", "小明", "127.0.0.1", "secret-source", "secret-path", h.keys["ingest"]} {
			if strings.Contains(log, private) {
				t.Errorf("%q is in the log", private)
			}
		}
		if !contains(log, `"route":"/r/:code"`, `"status":404`, `"key":"key_`, `"request":"`) {
			t.Errorf("got %s", log)
		}
	})
	t.Run("AProxyNobodyTrustsSaysNothing", func(t *testing.T) {
		h := live(t, func(c *api.Config) { c.Limits.GuessesPerMinute = 1 })
		h.ask("", "GET", "/r/ZZZZZZZZZZ", "", "X-Forwarded-For", "1.2.3.4").must(http.StatusNotFound)
		h.ask("", "GET", "/r/ZZZZZZZZZZ", "", "X-Forwarded-For", "1.2.3.5").must(http.StatusTooManyRequests)
	})
}

func picture(w, h int) string {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		panic(err)
	}
	return b.String()
}
