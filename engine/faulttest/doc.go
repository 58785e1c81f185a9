// Package faulttest holds the tests that hurt a running server: real processes of cmd/kfactor over real stores are
// killed, cut off and starved under load, and afterwards every promise is checked from outside. Nothing else is here.
//
// A short round belongs to the ordinary tests; `make fault` goes through everything and prints a table.
package faulttest
