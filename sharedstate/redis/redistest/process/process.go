// Package process runs the programs that a test needs as child processes, none of which outlives the test.
//
//	Process    one run of a command: its output, its end
//	Program    a server that a test starts, pauses, kills and starts again; it is up once it listens
//	CPUTime    what a process has used so far
package process

import (
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

// Process is a started command.
type Process struct {
	cmd    *exec.Cmd
	output output
	done   chan struct{} // closed once the child was waited for
}

// Start starts a command and collects its standard output and error. On Linux the child gets the signal onParentDeath
// when the test process dies.
//
// One OS thread is kept for the child's whole life. Linux takes the thread that forked a child for its parent, and
// sends the signal when that thread ends, which may be long before the process does.
func Start(cmd *exec.Cmd, onParentDeath syscall.Signal) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	signalOnParentDeath(cmd, onParentDeath)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // cmd.ProcessState has what its error says
		close(p.done)
	}()
	return p, <-started
}

// PID is the child's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the child has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Ended says whether the child has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// ExitStatus is the exit status of a child that has ended; -1 when a signal ended it.
func (p *Process) ExitStatus() int { return p.cmd.ProcessState.ExitCode() }

// Output is what the child has written so far.
func (p *Process) Output() string { return p.output.String() }

// Kill ends the child with SIGKILL, also a paused one, and waits for its end.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // fails when the child has ended already
	<-p.done
}

// output collects what a child writes.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
