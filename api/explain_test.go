package api_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"kfactor/engine"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	h := live(t)
	code := h.join("owner-1", "小明", "")
	const odd = "a/b%2F?c#d e+ü"
	body := `{"campaign":"spring","type":"subscribe","user":"friend-13800138000","code":"` + code + `","id":`
	long := strings.Repeat("长", 128)
	for _, id := range []string{odd, long, "plain"} {
		h.ask("ingest", "POST", "/v1/events", body+`"`+id+`"}`).must(http.StatusAccepted)
	}
	h.until("all are applied", func() bool {
		var x engine.ExplainedEvent
		h.ask("viewer", "GET", "/v1/campaigns/spring/events/plain/explain", "").must(http.StatusOK).into(&x)
		return x.Outcome != ""
	})

	t.Run("AnEventIsFoundWhateverItsIDHolds", func(t *testing.T) {
		h := h.in(t)
		for _, id := range []string{odd, long, "plain"} {
			var x engine.ExplainedEvent
			h.ask("viewer", "GET", "/v1/campaigns/spring/events/"+url.PathEscape(id)+"/explain", "").must(http.StatusOK).into(&x)
			if x.ID != id || x.Why == "" || x.WhyZH == "" || len(x.Chains) != 1 || len(x.Chains[0].Steps) != 8 {
				t.Errorf("%s: %+v", id, x)
			}
			var v engine.ExplainView
			h.ask("viewer", "GET", "/v1/campaigns/spring/participants/"+code+"/explain?event="+url.QueryEscape(id), "").must(http.StatusOK).into(&v)
			if len(v.Events) != 1 || v.Events[0].ID != id || len(v.Tiers) == 0 || len(v.Chains) != len(v.Tiers) {
				t.Errorf("%s: %+v", id, v)
			}
		}
	})

	t.Run("AnUnknownEventIsNotFound", func(t *testing.T) {
		h := h.in(t)
		for _, id := range []string{"nothing", strings.Repeat("x", 400), "%"} {
			for _, path := range []string{"events/" + url.PathEscape(id) + "/explain", "participants/" + code + "/explain?event=" + url.QueryEscape(id)} {
				if p := h.ask("viewer", "GET", "/v1/campaigns/spring/"+path, "").problem(http.StatusNotFound); !strings.Contains(p.Detail, "has no event") {
					t.Errorf("%s: %s", path, p.Detail)
				}
			}
		}
		h.ask("viewer", "GET", "/v1/campaigns/nowhere/events/plain/explain", "").problem(http.StatusNotFound)
		h.ask("viewer", "GET", "/v1/campaigns/spring/participants/"+code+"/explain?event=", "").problem(http.StatusNotFound)
		h.ask("viewer", "GET", "/v1/campaigns/spring/participants/"+code+"/explain?evnt=plain", "").problem(http.StatusUnprocessableEntity)
	})

	t.Run("AViewerSeesNobody", func(t *testing.T) {
		h := h.in(t)
		const path = "/v1/campaigns/spring/events/plain/explain"
		if seen := h.ask("operator", "GET", path, "").must(http.StatusOK).Body; !strings.Contains(seen, "13800138000") {
			t.Errorf("an operator sees nobody in %s", seen)
		}
		if seen := h.ask("viewer", "GET", path, "").must(http.StatusOK).Body; strings.Contains(seen, "13800138000") {
			t.Errorf("a viewer sees %s", seen)
		}
	})
}
