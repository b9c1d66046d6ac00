package redis

import (
	"os/exec"
	"syscall"
)

// endWithParent lets no child outlive a test process that was killed. SIGKILL, since a paused one would not see SIGTERM.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
