package services

import (
	"os/exec"
	"syscall"
)

// dieWithParent has the kernel kill the child when this program ends, and keeps
// an interrupt at the terminal from reaching the child first.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
