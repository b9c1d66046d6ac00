// Package engine runs a real Envoy for a test, in a Docker container or as a plain process, through one function:
//
//	bootstrap, err := render.Bootstrap(render.Options{…})
//	envoy := engine.Start(t, engine.Config{Bootstrap: bootstrap})
//	http.Get(envoy.URL() + "/prices")
//	envoy.WaitMetric(`weir_requests_total{cluster="aws",decision="allowed"}`, engine.Exactly(1))
//
// Every listener and the admin interface get ports that the kernel chooses, so nothing can be taken by somebody else.
// An Envoy ends with its test, whatever became of it, and its log is printed only if the test failed.
//
// E2E_ENGINE says which engine runs it: docker, binary, or auto (the default), which is docker where an engine answers,
// else binary. The binary is found by envoy/run. The Docker image is E2E_ENVOY_IMAGE, else one built here from that
// same binary. Nothing is ever pulled.
package engine

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// engine is one way to run Envoy.
type engine interface {
	// String names the engine, its version and what it runs, for people.
	String() string
	// command is Envoy with these arguments, not started. name is the caller's own for this Envoy, dir the folder it
	// may write, env NAME=VALUE pairs.
	command(name, dir string, env, args []string) *exec.Cmd
	// kill ends the named Envoy at once, by SIGKILL to its process alone.
	kill(name string, pid int) error
	// terminate sends it SIGTERM.
	terminate(name string, pid int) error
	// remove takes away what may be left of it.
	remove(name string)
}

// chosen is the engine of this process. It cannot change in the meantime, so it is found out once.
var chosen = sync.OnceValues(func() (engine, error) { return choose(os.Getenv("E2E_ENGINE")) })

func choose(want string) (engine, error) {
	switch want {
	case "docker":
		return newDocker()
	case "binary":
		return newBinary()
	case "", "auto":
		if _, err := dockerVersion(); err == nil {
			return newDocker()
		}
		return newBinary()
	}
	return nil, fmt.Errorf("E2E_ENGINE: want auto, docker or binary, got %q", want)
}

// Main is for TestMain: it says on standard output which engine the tests of this process use, and runs them.
//
//	func TestMain(m *testing.M) { os.Exit(engine.Main(m)) }
func Main(m *testing.M) int {
	Announce(os.Stdout)
	return m.Run()
}

// Announce writes the one line that Main prints. Without any engine the line says what to install, and Start fails.
func Announce(w io.Writer) {
	e, err := chosen()
	if err != nil {
		_, _ = fmt.Fprintf(w, "e2e engine: none: %v\n", err)
		return
	}
	_, _ = fmt.Fprintf(w, "e2e engine: %s\n", e)
}

// terminateSignal ends Envoy in order. It is also the signal for when the test process dies: Docker's client passes it
// on.
const terminateSignal = syscall.SIGTERM

// output runs a command and returns what it printed; its error holds what it said on standard error.
func output(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(string(out)), nil
}
