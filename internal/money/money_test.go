package money_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kfactor/internal/fault"
	"kfactor/internal/money"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, currency string
		minor          int64
		said           string // of the error
	}{
		{"10.50", "CNY", 1050, ""},
		{"10", "CNY", 1000, ""},
		{"0.05", "CNY", 5, ""},
		{"0", "CNY", 0, ""},
		{"1050", "JPY", 1050, ""},
		{"1.234", "KWD", 1234, ""},
		{"500", money.Points, 500, ""},
		{"-1", "CNY", 0, "negative"},
		{"1.005", "CNY", 0, "more decimals"},
		{"1.5", "JPY", 0, "more decimals"},
		{"", "CNY", 0, "not an amount"},
		{"1.", "CNY", 0, "not an amount"},
		{".5", "CNY", 0, "not an amount"},
		{"1,000", "CNY", 0, "not an amount"},
		{"1e3", "CNY", 0, "not an amount"},
		{"99999999999999999999", "CNY", 0, "too large"},
		{"10000000000000.01", "CNY", 0, "too large"},
	} {
		minor, err := money.Parse(c.text, c.currency)
		switch {
		case c.said == "" && (err != nil || minor != c.minor):
			t.Errorf("%s %s: %d %v", c.text, c.currency, minor, err)
		case c.said != "" && (fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.said)):
			t.Errorf("%s %s: %v", c.text, c.currency, err)
		}
	}
}

func TestFormatIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(0, money.MaxMinor).Draw(t, "minor")
		currency := rapid.SampledFrom([]string{"CNY", "JPY", "KWD", money.Points}).Draw(t, "currency")
		text := money.Format(minor, currency)
		back, err := money.Parse(text, currency)
		if err != nil || back != minor {
			t.Fatalf("%d %s is written %s and read %d, %v", minor, currency, text, back, err)
		}
		if minor != 0 && money.Format(-minor, currency) != "-"+text {
			t.Fatalf("-%s is written %s", text, money.Format(-minor, currency))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("10.50", "CNY")
	f.Fuzz(func(t *testing.T, text, currency string) {
		minor, err := money.Parse(text, currency)
		if err == nil && (minor < 0 || minor > money.MaxMinor) {
			t.Errorf("%q is %d", text, minor)
		}
	})
}
