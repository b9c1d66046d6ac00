package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	readyTimeout = 30 * time.Second      // default of Config.ReadyTimeout
	readyPoll    = 20 * time.Millisecond // between two looks at /ready
	readyRequest = 2 * time.Second       // for one answer of /ready
	stopGrace    = 5 * time.Second       // default of Config.StopGrace
)

// Config says how Envoy is started. Binary and Bootstrap are needed.
type Config struct {
	Binary            string        // path of Envoy
	Bootstrap         string        // path of the bootstrap, .yaml or .json; it has an admin address
	Dir               string        // working directory, what relative paths in the bootstrap hang on; "" = this process's
	Env               []string      // NAME=VALUE, added to this process's environment
	Concurrency       int           // worker threads; 0 = Envoy's own choice, one a CPU
	LogLevel          string        // trace, debug, info, warning, error; "" = info
	ComponentLogLevel string        // such as "wasm:debug"; "" = none
	Log               io.Writer     // Envoy's standard output and error; nil = dropped
	ReadyTimeout      time.Duration // until the admin's /ready says LIVE; 0 = 30 s
	StopGrace         time.Duration // between SIGTERM and SIGKILL; 0 = 5 s
}

// Process is a running Envoy.
type Process struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	admin  string
	tail   *tail
	done   chan struct{} // closed once the process has ended

	stopped atomic.Bool // Stop was called
}

// ExitError says that Envoy ended on its own.
type ExitError struct {
	Status int    // exit status; -1 when a signal ended it
	Tail   string // the last lines of its log
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("envoy exited with status %d; its last words:\n%s", e.Status, e.Tail)
}

// Start runs Envoy and waits until its admin says that it is ready. The error is an *ExitError if Envoy ended
// before that. The process ends by Stop, or when ctx does, and on Linux never outlives this process.
func Start(ctx context.Context, c Config) (*Process, error) {
	if c.ReadyTimeout == 0 {
		c.ReadyTimeout = readyTimeout
	}
	if c.StopGrace == 0 {
		c.StopGrace = stopGrace
	}
	dir, err := os.MkdirTemp("", "weir-envoy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	adminFile := filepath.Join(dir, "admin")

	running, cancel := context.WithCancel(ctx)
	p := &Process{cancel: cancel, tail: &tail{limit: tailBytes}, done: make(chan struct{})}
	p.cmd = command(running, c, adminFile)
	output := io.Writer(p.tail)
	if c.Log != nil {
		output = io.MultiWriter(c.Log, p.tail)
	}
	p.cmd.Stdout, p.cmd.Stderr = output, output

	if err := p.spawn(); err != nil {
		cancel()
		return nil, err
	}
	if err := p.awaitReady(running, adminFile, c.ReadyTimeout); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func command(ctx context.Context, c Config, adminFile string) *exec.Cmd {
	args := []string{
		"--config-path", c.Bootstrap,
		// Two Envoys on one machine must not meet in one shared memory region.
		"--use-dynamic-base-id",
		// The kernel may choose the admin's port; this file is where Envoy says which.
		"--admin-address-path", adminFile,
	}
	if c.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(c.Concurrency))
	}
	if c.LogLevel != "" {
		args = append(args, "--log-level", c.LogLevel)
	}
	if c.ComponentLogLevel != "" {
		args = append(args, "--component-log-level", c.ComponentLogLevel)
	}
	cmd := exec.CommandContext(ctx, c.Binary, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = c.StopGrace // then SIGKILL
	dieWithParent(cmd)
	return cmd
}

// spawn starts the process and follows it to its end, all on one OS thread that lives as long: the kernel counts
// as the child's parent the thread that forked it, and sends the death signal when that thread is gone.
func (p *Process) spawn() error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err != nil {
			return
		}
		// How it ended is in ProcessState; Wait's own error repeats that, or says that ctx is over.
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return <-started
}

func (p *Process) awaitReady(ctx context.Context, adminFile string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	poll := time.NewTicker(readyPoll)
	defer poll.Stop()
	client := &http.Client{Timeout: readyRequest}
	last := errors.New("the admin's address was never written")
	for {
		select {
		case <-p.done:
			return p.exitError()
		case <-ctx.Done():
			return fmt.Errorf("envoy was not ready after %s: %w; its last words:\n%s", timeout, last, p.tail)
		case <-poll.C:
		}
		if p.admin == "" {
			written, err := os.ReadFile(adminFile)
			if err != nil || len(written) == 0 {
				continue
			}
			p.admin = strings.TrimSpace(string(written))
		}
		err := ready(ctx, client, p.admin)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil { // else it only says that the time is over
			last = err
		}
	}
}

// ready is nil when the admin answers 200 to /ready.
// https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--ready
func ready(ctx context.Context, client *http.Client, admin string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/ready", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/ready says %s", response.Status)
	}
	return nil
}

// Admin is host:port of the admin interface.
func (p *Process) Admin() string { return p.admin }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed once the process has ended, for whatever reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the process ended on its own, with the last of its log; nil while it runs and after Stop.
func (p *Process) Err() error {
	select {
	case <-p.done:
	default:
		return nil
	}
	if p.stopped.Load() {
		return nil
	}
	return p.exitError()
}

// LastWords is the end of what Envoy has logged so far.
func (p *Process) LastWords() string { return p.tail.String() }

// Stop sends SIGTERM, after StopGrace SIGKILL, and returns when the process is gone. The error says that it
// had to be killed. Stopping what has ended already is no error.
func (p *Process) Stop() error {
	p.stopped.Store(true)
	p.cancel()
	<-p.done
	if p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return fmt.Errorf("envoy %d did not end by SIGTERM within %s and was killed", p.PID(), p.cmd.WaitDelay)
	}
	return nil
}

func (p *Process) exitError() error {
	return &ExitError{Status: p.cmd.ProcessState.ExitCode(), Tail: p.tail.String()}
}
