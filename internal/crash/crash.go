//go:build !crashpoints

// Package crash names the moments at which losing the process would hurt most, so that tests can lose it there. A
// program that is not built with the tag crashpoints passes them without doing anything.
package crash

// Point is a moment with a name.
func Point(string) {}
