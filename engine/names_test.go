package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"kfactor/engine"
	"kfactor/internal/database/databasetest"
	"kfactor/internal/fault"
)

// phoneBook is a channel that knows people by names such as tel:5, and how often it was asked.
type phoneBook struct {
	noCodes
	asked *[]string
	users map[string]string
	err   error
}

func (p phoneBook) Users(_ context.Context, names []string) ([]engine.Who, error) {
	*p.asked = append(*p.asked, strings.Join(names, " "))
	all := make([]engine.Who, len(names))
	for i, name := range names {
		if all[i].User = p.users[name]; all[i].User == "" {
			all[i].Err = fault.New(fault.NotFound, "nobody has the number")
		}
	}
	return all, p.err
}

func TestNames(t *testing.T) {
	t.Parallel()
	h := open(t, databasetest.SQLite(t))
	var asked []string
	book := phoneBook{asked: &asked, users: map[string]string{"tel:1": "ann", "tel:2": "bob", "tel:3": strings.Repeat("x", 129)}}
	h.Channels = map[string]engine.Channel{"main": book}
	id, web := h.launch(channelled(friendly)), h.launch(definition(spring, "campaign: ", "campaign: web-"))
	in := func(campaign, event, user string) engine.Incoming {
		return engine.Incoming{ID: event, Campaign: campaign, Type: "scan", User: user}
	}
	accept := func(events ...engine.Incoming) string {
		t.Helper()
		r, err := h.Accept(h.ctx(), events)
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(r.Accepted, " ", r.Duplicates)
		for _, no := range r.Rejected {
			said += fmt.Sprint(", ", no.Index, " ", no.ID, " ", no.Error)
		}
		return said
	}

	t.Run("ABatchAsksOnceAndWhomNobodyKnowsIsRejectedAlone", func(t *testing.T) {
		said := accept(
			in(id, "1", "tel:1"), in(id, "2", "tel:9"), in("nothing", "3", "x"), in(id, "4", "carl"), in(id, "5", "tel:2"), in(id, "6", "tel:3"), in(web, "7", "tel:9"))
		if said != `4 0, 1 2 nobody has the number; then send the event again, which is safe with the same id, `+
			`2 3 there is no campaign "nothing", 5 6 user must have 1 to 128 characters without control characters` {
			t.Error(said)
		}
		if fmt.Sprint(asked) != "[tel:1 tel:9 tel:2 tel:3]" {
			t.Errorf("asked %q", asked)
		}
		h.sweep()
		var users []string
		for _, e := range append(h.events(id, false, 100), h.events(web, false, 100)...) {
			users = append(users, e.User)
		}
		if fmt.Sprint(users) != "[ann carl bob tel:9]" {
			t.Errorf("the journals have %q", users)
		}
	})

	t.Run("PlainUsersAreNotAskedAbout", func(t *testing.T) {
		asked = nil
		if said := accept(in(id, "8", "dora"), in(id, "9", "emil")); said != "2 0" || asked != nil {
			t.Errorf("%s, asked %q", said, asked)
		}
	})

	t.Run("AJoinByANameIsTheUsers", func(t *testing.T) {
		if v := h.join(id, "tel:2"); v.User != "bob" || v.Code != h.join(id, "bob").Code {
			t.Errorf("%+v", v)
		}
		for _, user := range []string{"tel:9", "tel:3", "tel:" + strings.Repeat("5", 200)} {
			_, _, err := h.Join(h.ctx(), id, engine.Joining{User: user})
			if said, ok := errors.AsType[*fault.Error](err); !ok || said.Kind != fault.Invalid || len(said.Fields) != 1 || said.Fields[0].Field != "user" {
				t.Errorf("%.20s: %v", user, err)
			}
		}
	})

	t.Run("WhenNothingCanBeToldNothingIsTaken", func(t *testing.T) {
		book.err = errors.New("the line is dead")
		h.Channels["main"] = book
		if _, err := h.Accept(h.ctx(), []engine.Incoming{in(id, "10", "dora"), in(id, "11", "tel:1")}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
		if _, _, err := h.Join(h.ctx(), id, engine.Joining{User: "tel:1"}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("got %v", err)
		}
		delete(h.Channels, "main") // the settings name it no more
		if said := accept(in(id, "10", "dora"), in(id, "11", "tel:1")); !strings.HasPrefix(said, `1 0, 1 11 channel "main" is not configured`) {
			t.Error(said)
		}
	})
}
