package spelling

import "testing"

func TestNearest(t *testing.T) {
	t.Parallel()
	known := []string{"revoke_on", "per_day", "on", "hold"}
	for word, want := range map[string]string{
		"revok_on": "revoke_on", "revoke-on": "revoke_on", "pre_day": "per_day", "HOLD": "hold", "no": "on", "colour": "",
	} {
		if got, _ := Nearest(word, known); got != want {
			t.Errorf("%q: %q, not %q", word, got, want)
		}
	}
}
