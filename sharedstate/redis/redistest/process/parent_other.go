//go:build !linux

package process

import (
	"os/exec"
	"syscall"
)

// signalOnParentDeath does nothing: only Linux can tell a child of its parent's death. t.Cleanup ends the child unless
// the test process itself was killed.
func signalOnParentDeath(*exec.Cmd, syscall.Signal) {}
