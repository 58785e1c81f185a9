package setup

import (
	_ "embed"
	"slices"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (2020-12) of channels.yaml, for editors. It knows every key and most limits; what is
// counted in bytes, and what one key says about another, only Parse checks.
func Schema() []byte { return slices.Clone(schema) }
