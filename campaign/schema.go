package campaign

import (
	_ "embed"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (2020-12) of campaign files, for editors. It knows every key and most limits; what
// one field says about another (names, times, conditions) only Parse checks.
func Schema() []byte { return slices.Clone(schema) }
