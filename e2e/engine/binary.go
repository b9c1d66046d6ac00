package engine

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/run"
)

// binary runs the Envoy that envoy/run finds, as a child of the test's process.
type binary struct {
	found   run.Binary
	version string
	root    string
}

func newBinary() (engine, error) {
	root, err := repo.Root()
	if err != nil {
		return nil, err
	}
	found, err := run.FindFrom(root)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	version, err := found.Version(ctx)
	if err != nil {
		return nil, err
	}
	return binary{found: found, version: version, root: root}, nil
}

func (b binary) String() string {
	return fmt.Sprintf("binary, Envoy %s, %s (from %s)", b.version, b.found.Path, b.found.Source)
}

func (b binary) command(_, _ string, env, args []string) *exec.Cmd {
	cmd := exec.Command(b.found.Path, args...)
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), env...)
	return cmd
}

func (b binary) kill(_ string, pid int) error      { return signal(pid, os.Kill) }
func (b binary) terminate(_ string, pid int) error { return signal(pid, terminateSignal) }
func (b binary) remove(string)                     {}

func signal(pid int, s os.Signal) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Signal(s)
}
