package process

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// readyTimeout is how long a program may take to listen, on a machine that is busy with other tests.
const readyTimeout = 20 * time.Second

// Program is a server that can be started again after its end. It ends with the test that started it.
type Program struct {
	Path    string   // a name on PATH, or a path
	Args    []string // without the program's own name
	Env     []string // NAME=VALUE, added to the test's own environment
	Address string   // host:port where it listens when it is ready

	process *Process
}

// Start starts the program and returns when it listens.
func (p *Program) Start(t testing.TB) {
	t.Helper()
	cmd := exec.Command(p.Path, p.Args...)
	cmd.Env = append(os.Environ(), p.Env...)
	// SIGKILL: a paused program would not get SIGTERM.
	process, err := Start(cmd, syscall.SIGKILL)
	if err != nil {
		t.Fatalf("start %s: %v", p.Path, err)
	}
	p.process = process
	t.Cleanup(process.Kill)
	for deadline := time.Now().Add(readyTimeout); ; {
		if c, err := net.DialTimeout("tcp", p.Address, time.Second); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-process.Done():
			t.Fatalf("%s ended before it listened: %v\n%s", p.Path, cmd.ProcessState, process.Output())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s after %v:\n%s", p.Path, p.Address, readyTimeout, process.Output())
		}
	}
}

// PID is the child's process id. Another child has another one after Restart.
func (p *Program) PID() int { return p.process.PID() }

// Output is what the child has written so far.
func (p *Program) Output() string { return p.process.Output() }

// Kill ends the child with SIGKILL.
func (p *Program) Kill() { p.process.Kill() }

// Restart ends the child, if it still runs, and starts another one on the same port, with no data.
func (p *Program) Restart(t testing.TB) {
	t.Helper()
	p.Kill()
	p.Start(t)
}

// Terminate sends SIGTERM and returns the exit status.
func (p *Program) Terminate(t testing.TB) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	<-p.process.Done()
	return p.process.ExitStatus()
}

// Pause stops the child (SIGSTOP). The kernel still accepts connections and takes bytes for it, but nothing is
// answered.
func (p *Program) Pause(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	// The signal takes effect when the scheduler gets to it.
	stat := fmt.Sprintf("/proc/%d/stat", p.PID())
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(stat)
		if err != nil {
			t.Fatalf("pause %s: %v", p.Path, err)
		}
		if _, rest, _ := strings.Cut(string(text), ") "); strings.HasPrefix(rest, "T") {
			return
		}
	}
	t.Fatalf("pause %s: it still runs after %v", p.Path, readyTimeout)
}

// Continue ends a pause. The child answers now what was sent in the meantime.
func (p *Program) Continue(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
}

func (p *Program) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.process.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v to %s: %v", s, p.Path, err)
	}
}

// CPU is what the child has used so far. After Restart it begins at 0.
func (p *Program) CPU(t testing.TB) time.Duration {
	t.Helper()
	used, err := CPUTime(p.PID())
	if err != nil {
		t.Fatalf("CPU time of %s: %v", p.Path, err)
	}
	return used
}
