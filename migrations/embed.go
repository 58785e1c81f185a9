// Package migrations holds the schema: numbered SQL files, a folder for each
// store, kept in step with each other.
package migrations

import "embed"

// FS holds the folders "mysql" and "sqlite".
//
//go:embed mysql/*.sql sqlite/*.sql
var FS embed.FS
