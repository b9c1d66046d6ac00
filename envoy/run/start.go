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

// Config says how to start Envoy. Binary and Bootstrap are required.
type Config struct {
	Binary            string        // path of Envoy
	Bootstrap         string        // path of the bootstrap, .yaml or .json; it has an admin address
	Dir               string        // working directory, for relative paths in the bootstrap; "" = this process's
	Env               []string      // NAME=VALUE, added to this process's environment
	Concurrency       int           // worker threads; 0 = Envoy's default, one for each CPU
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

// ExitError says that Envoy exited without Stop.
type ExitError struct {
	Status int    // exit status; -1 when a signal ended it
	Tail   string // the last lines of its log
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("envoy exited with status %d; the end of its log:\n%s", e.Status, e.Tail)
}

// Start runs Envoy and waits until its admin interface reports that it is ready. The error is an *ExitError if Envoy
// exited before that. Stop or the end of ctx ends the process; on Linux it never outlives this process.
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
		// Two Envoys on one machine must not use the same shared memory region.
		"--use-dynamic-base-id",
		// The kernel may choose the admin port; Envoy writes it to this file.
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

// spawn starts the process and waits for its end, on one OS thread: the kernel takes the thread that forked a child as
// its parent, and sends the death signal when that thread ends.
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
		// ProcessState has the outcome; Wait's error repeats it, or says that ctx has ended.
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
	last := errors.New("it has not written its admin address")
	for {
		select {
		case <-p.done:
			return p.exitError()
		case <-ctx.Done():
			return fmt.Errorf("envoy was not ready after %s: %w; the end of its log:\n%s", timeout, last, p.tail)
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
		if ctx.Err() == nil { // otherwise err only says that the time is over
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
		return fmt.Errorf("/ready answers %s", response.Status)
	}
	return nil
}

// Admin is host:port of Envoy's admin interface.
func (p *Process) Admin() string { return p.admin }

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended, for any reason.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is an *ExitError if the process ended without Stop; nil while it runs and after Stop.
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

// LogTail is the end of Envoy's log so far, at most 8 KiB of whole lines.
func (p *Process) LogTail() string { return p.tail.String() }

// Stop sends SIGTERM, after StopGrace SIGKILL, and returns when the process has ended. The error says that SIGKILL was
// needed. It is nil for a process that had ended before.
func (p *Process) Stop() error {
	p.stopped.Store(true)
	p.cancel()
	<-p.done
	if p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return fmt.Errorf("envoy %d did not end within %s of SIGTERM and was killed", p.PID(), p.cmd.WaitDelay)
	}
	return nil
}

func (p *Process) exitError() error {
	return &ExitError{Status: p.cmd.ProcessState.ExitCode(), Tail: p.tail.String()}
}
