package remote

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kfactor/internal/fault"
)

// answering is a server that gives these answers in turn, the last one for ever.
func answering(t *testing.T, answers ...func(http.ResponseWriter)) (*Server, *int) {
	t.Helper()
	asked := new(int)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		at := min(*asked, len(answers)-1)
		*asked++
		answers[at](w)
	}))
	t.Cleanup(web.Close)
	s, err := New(web.URL+"/", "key", nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, asked
}

func problem(status int, detail, errors string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"title": "No", "detail": %q, "errors": [%s]}`, detail, errors)
	}
}

func campaign(w http.ResponseWriter) { fmt.Fprint(w, `{"id": "spring", "status": "live"}`) }

func TestServer(t *testing.T) {
	t.Parallel()

	t.Run("WhatItRefusesComesBackInOurWords", func(t *testing.T) {
		t.Parallel()
		s, _ := answering(t, problem(422, "the file has 1 problem", `{"field": "tiers[0]", "message": "no rewards", "line": 3, "column": 4}`))
		_, err := s.CreateCampaign(t.Context(), []byte("x"), "x.yaml", "")
		said, ok := err.(*fault.Error)
		if !ok || said.Kind != fault.Invalid || len(said.Fields) != 1 || said.Fields[0].Line != 3 || !strings.Contains(said.Message, "1 problem") {
			t.Errorf("got %#v", err)
		}
	})

	t.Run("AskedTooEarlyItIsAskedAgain", func(t *testing.T) {
		t.Parallel()
		s, asked := answering(t, problem(503, "not now", ""), problem(429, "too often", ""), campaign)
		if c, err := s.Campaign(t.Context(), "spring"); err != nil || c.ID != "spring" || *asked != 3 {
			t.Errorf("got %v, %v after %d calls", c, err, *asked)
		}
	})

	t.Run("AskedTooEarlyForTooLongItIsGivenUp", func(t *testing.T) {
		t.Parallel()
		s, asked := answering(t, problem(503, "not now", ""))
		if _, err := s.Campaign(t.Context(), "spring"); fault.KindOf(err) != fault.Unavailable || *asked != mostTries {
			t.Errorf("got %v after %d calls", err, *asked)
		}
	})

	t.Run("SomethingElseThanAServerOfOursIsNoticed", func(t *testing.T) {
		t.Parallel()
		s, _ := answering(t, func(w http.ResponseWriter) { fmt.Fprint(w, "<html>welcome</html>") })
		if _, err := s.Campaign(t.Context(), "spring"); err == nil || !strings.Contains(err.Error(), "kfactor server") {
			t.Errorf("got %v", err)
		}
		s, _ = answering(t, func(w http.ResponseWriter) { http.Error(w, "<html>", http.StatusBadGateway) })
		if _, err := s.Campaign(t.Context(), "spring"); err == nil || !strings.Contains(err.Error(), "502") {
			t.Errorf("got %v", err)
		}
	})

	t.Run("AnAddressMustBeOne", func(t *testing.T) {
		t.Parallel()
		for _, address := range []string{"", "here", "ftp://here", "http://"} {
			if _, err := New(address, "key", nil); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q gives %v", address, err)
			}
		}
	})
}
