package redis

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// readyTimeout is how long a child may take to listen, on a machine that is busy with other tests.
const readyTimeout = 20 * time.Second

// process is a program that can be started again after its end.
type process struct {
	program   string
	arguments []string
	address   string // listens there when it is ready
	environ   []string

	cmd  *exec.Cmd
	logs *logs
	done chan struct{} // closed once cmd was waited for
}

// start returns when the program listens.
func (p *process) start(t testing.TB) {
	t.Helper()
	p.cmd = exec.Command(p.program, p.arguments...)
	p.logs, p.done = &logs{}, make(chan struct{})
	p.cmd.Stdout, p.cmd.Stderr = p.logs, p.logs
	p.cmd.Env = append(os.Environ(), p.environ...)
	endWithParent(p.cmd)
	cmd, done, started := p.cmd, p.done, make(chan error)
	go func() {
		// The kernel takes the thread that forked a child for its parent. See e2e/engine/process.go.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // what it says stands in cmd.ProcessState
		close(done)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", p.program, err)
	}
	t.Cleanup(func() { end(cmd, done) })
	for deadline := time.Now().Add(readyTimeout); ; {
		if c, err := net.DialTimeout("tcp", p.address, time.Second); err == nil {
			_ = c.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended: %v\n%s", p.program, cmd.ProcessState, p.logs)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s after %v:\n%s", p.program, p.address, readyTimeout, p.logs)
		}
	}
}

// end kills a child, also a paused one, and waits for it.
func end(cmd *exec.Cmd, done <-chan struct{}) {
	_ = cmd.Process.Kill() // an error says that it has ended
	<-done
}

// Pid is the child's, which another one has after Restart.
func (p *process) Pid() int { return p.cmd.Process.Pid }

// Kill ends it with SIGKILL.
func (p *process) Kill() { end(p.cmd, p.done) }

// Restart ends it, if that has not happened yet, and starts it anew on the same port, with nothing in it.
func (p *process) Restart(t testing.TB) {
	t.Helper()
	p.Kill()
	p.start(t)
}

// Terminate asks it to end with SIGTERM, and returns its exit status once it has.
func (p *process) Terminate(t testing.TB) int {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	<-p.done
	return p.cmd.ProcessState.ExitCode()
}

// Pause stops it (SIGSTOP): the kernel goes on to accept connections and to take bytes for it, but nothing is answered.
func (p *process) Pause(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGSTOP)
	// The signal takes effect when the scheduler gets to it.
	stat := fmt.Sprintf("/proc/%d/stat", p.Pid())
	for deadline := time.Now().Add(readyTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile(stat)
		if err != nil {
			t.Fatalf("pause %s: %v", p.program, err)
		}
		if _, rest, _ := strings.Cut(string(text), ") "); strings.HasPrefix(rest, "T") {
			return
		}
	}
	t.Fatalf("pause %s: it still runs", p.program)
}

// Continue ends a pause. What was sent meanwhile is answered now.
func (p *process) Continue(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGCONT)
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("%v to %s: %v", s, p.program, err)
	}
}

// Logs are what the child wrote.
func (p *process) Logs() string { return p.logs.String() }

// CPU is what the child has used so far, user and system, on all its threads, from the scheduler's own nanoseconds. After
// Restart it begins at 0. https://docs.kernel.org/scheduler/sched-stats.html
func (p *process) CPU(t testing.TB) time.Duration {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", p.Pid()))
	if err != nil || len(tasks) == 0 {
		t.Fatalf("CPU time of %s: no /proc/%d/task/*/schedstat (%v)", p.program, p.Pid(), err)
	}
	var sum time.Duration
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue // the thread ended
		}
		if err != nil {
			t.Fatalf("CPU time of %s: %v", p.program, err)
		}
		running, _, _ := strings.Cut(string(text), " ")
		nanoseconds, err := strconv.ParseInt(running, 10, 64)
		if err != nil {
			t.Fatalf("CPU time of %s: %s: %v", p.program, path, err)
		}
		sum += time.Duration(nanoseconds)
	}
	return sum
}

// logs collects what a child writes.
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
