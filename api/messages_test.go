package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"kfactor/engine"
	"kfactor/notify"
)

func TestMessages(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.ask("operator", "POST", "/v1/campaigns", strings.Replace(spring, "channel: web", "channel: main", 1), "Content-Type", "application/yaml").must(http.StatusCreated)
	for n := range 5 {
		due := engine.Due{Campaign: "spring", User: fmt.Sprint("friend-", n), Kind: notify.Poster, Word: "joined", Source: "follow"}
		if err := h.engine.Owe(t.Context(), []engine.Due{due}); err != nil {
			t.Fatal(err)
		}
	}
	owed, err := h.engine.TakeOwed(t.Context(), "main", 2, 1<<40)
	if err != nil || len(owed) != 2 {
		t.Fatal(owed, err)
	}
	err = h.engine.SettleOwed(t.Context(), []engine.Settled{
		{No: owed[0].No, Taker: owed[0].Taker, State: notify.Sent, Way: "image"}, {No: owed[1].No, Taker: owed[1].Taker, State: notify.Waiting, Reason: notify.NoWindow},
	})
	if err != nil {
		t.Fatal(err)
	}

	t.Run("AreListedPageByPage", func(t *testing.T) {
		h := h.in(t)
		var users []string
		for next := ""; ; {
			var list engine.List[engine.MessageView]
			h.ask("operator", "GET", "/v1/campaigns/spring/messages?limit=2&cursor="+next, "").must(http.StatusOK).into(&list)
			for _, m := range list.Items {
				users = append(users, m.User)
			}
			if next = list.Next; next == "" {
				break
			}
		}
		if got := strings.Join(users, " "); got != "friend-0 friend-1 friend-2 friend-3 friend-4" {
			t.Errorf("they are %s", got)
		}
	})

	t.Run("SayWhyTheyStandWhereTheyStand", func(t *testing.T) {
		h := h.in(t)
		for state, want := range map[string]string{"owed": "friend-2", "sent": "friend-0", "waiting": "friend-1", "merged": ""} {
			var list engine.List[engine.MessageView]
			h.ask("owner", "GET", "/v1/campaigns/spring/messages?state="+state, "").must(http.StatusOK).into(&list)
			if want == "" {
				if len(list.Items) != 0 {
					t.Errorf("%s: %+v", state, list.Items)
				}
				continue
			}
			if len(list.Items) == 0 || list.Items[0].User != want || list.Items[0].Why == "" || list.Items[0].WhyZH == "" {
				t.Errorf("%s: %+v", state, list.Items)
			}
		}
	})

	t.Run("AreForThoseWhoRunTheCampaign", func(t *testing.T) {
		h := h.in(t)
		for _, role := range []string{"viewer", "reviewer", "finance", "ingest"} {
			h.ask(role, "GET", "/v1/campaigns/spring/messages", "").problem(http.StatusForbidden)
		}
		h.ask("operator", "GET", "/v1/campaigns/nowhere/messages", "").problem(http.StatusNotFound)
		h.ask("operator", "GET", "/v1/campaigns/spring/messages?state=lost", "").problem(http.StatusUnprocessableEntity)
		h.ask("operator", "GET", "/v1/campaigns/spring/messages?cursor=eHh4", "").problem(http.StatusUnprocessableEntity)
	})
}
