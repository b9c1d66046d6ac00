package engine

import (
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
)

const terminateSignal = syscall.SIGTERM

// process is a child with its output and its end.
type process struct {
	cmd  *exec.Cmd
	logs *logs
	done chan struct{} // closed once the child was waited for
}

// start keeps one OS thread for the child's whole life: the kernel takes the thread that forked it for the parent, and the
// child is to end with this process and not with some thread of it.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, logs: &logs{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.logs, p.logs
	endWithParent(cmd)
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // what it says stands in cmd.ProcessState
		close(p.done)
	}()
	return p, <-started
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

// logs collects what the child writes.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
