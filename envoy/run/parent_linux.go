package run

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the thread that forked it ends. See spawn.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
