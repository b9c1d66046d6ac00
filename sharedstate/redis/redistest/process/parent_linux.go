package process

import (
	"os/exec"
	"syscall"
)

// signalOnParentDeath keeps a child from outliving a test process that was killed.
func signalOnParentDeath(cmd *exec.Cmd, s syscall.Signal) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: s}
}
