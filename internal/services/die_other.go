//go:build !linux

package services

import "os/exec"

// dieWithParent has no counterpart here: a server may outlive a test that was killed.
func dieWithParent(*exec.Cmd) {}
