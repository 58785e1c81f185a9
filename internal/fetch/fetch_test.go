package fetch_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"code.dny.dev/ssrf"

	"kfactor/internal/fetch"
)

func TestGet(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch r.URL.Path {
		case "/small":
			w.Write([]byte("picture"))
		case "/large":
			w.Write(make([]byte, 2000))
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	here := []ssrf.Option{ssrf.WithAnyPort(), ssrf.WithAllowedV4Prefixes(netip.MustParsePrefix("127.0.0.0/8"))}

	t.Run("PrivateNetworksAreOutOfReach", func(t *testing.T) {
		if _, err := fetch.New(1000, 1<<20).Get(t.Context(), server.URL+"/small"); err == nil {
			t.Error("a loopback address was read")
		}
	})
	t.Run("AFileIsAskedForOnce", func(t *testing.T) {
		f := fetch.New(1000, 1<<20, here...)
		before := asked.Load()
		for range 3 {
			body, err := f.Get(t.Context(), server.URL+"/small")
			if err != nil || string(body) != "picture" {
				t.Fatal(string(body), err)
			}
		}
		if n := asked.Load() - before; n != 1 {
			t.Errorf("it was asked for %d times", n)
		}
	})
	t.Run("WhatIsTooLargeMissingOrEndlessIsRefused", func(t *testing.T) {
		f := fetch.New(1000, 1<<20, here...)
		for path, said := range map[string]string{"/large": "larger than", "/none": "404", "/loop": "redirects"} {
			if _, err := f.Get(t.Context(), server.URL+path); err == nil || !strings.Contains(err.Error(), said) {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
}
