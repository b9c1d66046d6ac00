package e2e

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// endWithGroup makes the end of a command's context end all processes that it started.
func endWithGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
}

// eventuallyIn polls until done answers nil, and fails with its last word.
func eventuallyIn(t *testing.T, most time.Duration, done func() error) {
	t.Helper()
	for deadline := time.Now().Add(most); ; time.Sleep(20 * time.Millisecond) {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
