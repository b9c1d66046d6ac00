package engine

import (
	"os/exec"
	"syscall"
)

// endWithParent lets no Envoy outlive a test process that was killed. SIGTERM, since Docker's client hands that one on.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
