// Package money counts value in whole minor units of a currency. Nothing here is a
// float, so nothing here rounds.
package money

import (
	"strconv"
	"strings"

	"kfactor/internal/fault"
)

// Points is the commodity of loyalty points: no decimals, no exchange.
const Points = "POINTS"

// MaxMinor bounds every amount from outside (ten trillion units of a two-place currency), so that sums of
// many millions of them stay inside int64.
const MaxMinor = 1_000_000_000_000_000

// places holds the currencies whose number of decimals is not two (ISO 4217 list one).
var places = map[string]int{
	Points: 0,
	"BIF":  0, "CLP": 0, "DJF": 0, "GNF": 0, "ISK": 0, "JPY": 0, "KMF": 0, "KRW": 0, "PYG": 0,
	"RWF": 0, "UGX": 0, "UYI": 0, "VND": 0, "VUV": 0, "XAF": 0, "XOF": 0, "XPF": 0,
	"BHD": 3, "IQD": 3, "JOD": 3, "KWD": 3, "LYD": 3, "OMR": 3, "TND": 3,
}

// Places is the number of decimals of a currency (ISO 4217).
func Places(currency string) int {
	if n, ok := places[currency]; ok {
		return n
	}
	return 2
}

// ValidCurrency says whether the word has the form of an ISO 4217 code.
func ValidCurrency(currency string) bool {
	if len(currency) != 3 {
		return false
	}
	for _, r := range currency {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return true
}

// Parse reads a non-negative decimal amount in major units, such as "10.50", as minor units.
func Parse(decimal, currency string) (int64, error) {
	whole, frac, dotted := strings.Cut(decimal, ".")
	n := Places(currency)
	switch {
	case strings.HasPrefix(decimal, "-"):
		return 0, fault.New(fault.Invalid, "%q is negative; write an amount of zero or more", decimal)
	case whole == "" || !digits(whole) || (dotted && (frac == "" || !digits(frac))):
		return 0, fault.New(fault.Invalid, "%q is not an amount; write it like %q", decimal, Format(1050, currency))
	case len(frac) > n:
		return 0, fault.New(fault.Invalid, "%q has more decimals than %s allows (%d)", decimal, currency, n)
	case len(whole) > 16:
		return 0, fault.New(fault.Invalid, "%q is too large", decimal)
	}
	minor, err := strconv.ParseInt(whole+frac+strings.Repeat("0", n-len(frac)), 10, 64)
	if err != nil || minor > MaxMinor {
		return 0, fault.New(fault.Invalid, "%q is too large", decimal)
	}
	return minor, nil
}

// Format writes minor units as a decimal amount in major units with the currency's own number of places.
func Format(minor int64, currency string) string {
	n := Places(currency)
	sign := ""
	if minor < 0 {
		sign, minor = "-", -minor
	}
	s := strconv.FormatInt(minor, 10)
	if n == 0 {
		return sign + s
	}
	if len(s) <= n {
		s = strings.Repeat("0", n-len(s)+1) + s
	}
	return sign + s[:len(s)-n] + "." + s[len(s)-n:]
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
