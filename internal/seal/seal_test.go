package seal_test

import (
	"bytes"
	"strings"
	"testing"

	"kfactor/internal/seal"
)

func sealer(t *testing.T, fill byte) *seal.Sealer {
	t.Helper()
	s, err := seal.New(bytes.Repeat([]byte{fill}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealer(t *testing.T) {
	t.Parallel()
	s, other := sealer(t, 1), sealer(t, 2)

	t.Run("WhatIsSealedOpensAgainAndDoesNotShow", func(t *testing.T) {
		for _, text := range []string{"", "小明😀", strings.Repeat("x", 5000)} {
			sealed := s.Seal(text)
			opened, err := s.Open(sealed)
			if err != nil || opened != text {
				t.Errorf("%q opens as %q, %v", text, opened, err)
			}
			if text != "" && (bytes.Contains(sealed, []byte(text)) || bytes.Equal(sealed, s.Seal(text))) {
				t.Errorf("%q shows", text)
			}
		}
	})
	t.Run("AnotherKeyOrAChangedByteDoesNotOpen", func(t *testing.T) {
		sealed := s.Seal("openid_A")
		if _, err := other.Open(sealed); err == nil {
			t.Error("another key opened it")
		}
		for i := range sealed {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1
			if _, err := s.Open(changed); err == nil {
				t.Errorf("it opens with byte %d changed", i)
			}
		}
		if _, err := s.Open(sealed[:5]); err == nil {
			t.Error("a stub opened")
		}
	})
	t.Run("ALookupIsStableInItsScopeAndKey", func(t *testing.T) {
		k := s.Lookup(1, "openid_A")
		if k != s.Lookup(1, "openid_A") || k == s.Lookup(2, "openid_A") || k == s.Lookup(1, "openid_B") || k == other.Lookup(1, "openid_A") {
			t.Error("lookups are mixed up")
		}
	})
	t.Run("AShortSecretIsRefused", func(t *testing.T) {
		if _, err := seal.New(make([]byte, 31)); err == nil {
			t.Error("31 bytes were taken")
		}
	})
}
