package engine

import (
	"encoding/base64"

	"kfactor/internal/fault"
)

// limit is how many items the page holds.
func (p Page) limit() int {
	if p.Limit <= 0 {
		return 100
	}
	return min(p.Limit, 1000)
}

// after reads the key that the page begins after; "" for the first page.
func (p Page) after() (string, error) {
	key, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil || len(key) > 300 {
		return "", badCursor()
	}
	return string(key), nil
}

func badCursor() error {
	return fault.Fields("the page cannot be found",
		fault.Field{Field: "cursor", Message: "is none of ours; begin without one and pass on what `next` says"})
}

// cutPage takes the item beyond the page off, and gives the cursor that leads to it.
func cutPage[T any](rows []T, page Page, key func(T) string) ([]T, string) {
	n := page.limit()
	if len(rows) <= n {
		return rows, ""
	}
	return rows[:n], base64.RawURLEncoding.EncodeToString([]byte(key(rows[n-1])))
}
