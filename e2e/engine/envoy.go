package engine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

const (
	startDeadline = 60 * time.Second // to be ready, with a Wasm module to compile on a busy machine
	waitDeadline  = 15 * time.Second // for everything that is waited for later
	stopDeadline  = 10 * time.Second // between SIGTERM and SIGKILL
	pollInterval  = 10 * time.Millisecond
)

// Envoy is a running Envoy. Its methods fail the test that started it when something is wrong.
type Envoy struct {
	t       testing.TB
	engine  engine
	process *process.Process
	name    string
	dir     string
	admin   string // host:port
}

// withoutInventory drops the list of everything compiled in that Envoy begins its log with, thousands of characters a
// line.
func withoutInventory(log string) string {
	var kept strings.Builder
	for line := range strings.Lines(log) {
		if _, text, _ := strings.Cut(line, "[source/server/server.cc:"); !strings.Contains(text, "]   ") {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

// Dir is the folder of its files.
func (e *Envoy) Dir() string { return e.dir }

// Logs is all that Envoy wrote so far.
func (e *Envoy) Logs() string { return e.process.Output() }

// WaitLog waits until the log contains text.
func (e *Envoy) WaitLog(text string) {
	e.t.Helper()
	e.wait(func() error {
		if !strings.Contains(e.Logs(), text) {
			return fmt.Errorf("the log has no %q", text)
		}
		return nil
	})
}

// URL is the base address of the first listener, without a slash at its end.
func (e *Envoy) URL() string {
	e.t.Helper()
	return "http://" + e.Addr("")
}

// Addr is host:port of the listener of that name, or of the first one for "".
func (e *Envoy) Addr(listener string) string {
	e.t.Helper()
	var answer struct {
		Statuses []struct {
			Name    string `json:"name"`
			Address struct {
				Socket struct {
					Address string `json:"address"`
					Port    uint32 `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	text := e.Admin("/listeners?format=json")
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		e.t.Fatalf("/listeners: %v in %q", err, text)
	}
	for _, l := range answer.Statuses {
		if listener == "" || l.Name == listener {
			host := l.Address.Socket.Address
			if ip := net.ParseIP(host); ip.IsUnspecified() {
				host = "127.0.0.1"
			}
			return net.JoinHostPort(host, strconv.FormatUint(uint64(l.Address.Socket.Port), 10))
		}
	}
	e.t.Fatalf("no listener %q in %s", listener, text)
	return ""
}

// ReplaceFile puts content in the place of a file by rename, which is what Envoy's file watcher waits for. A relative
// path is one in Dir.
func (e *Envoy) ReplaceFile(path string, content []byte) {
	e.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(e.dir, path)
	}
	if err := replace(path, content); err != nil {
		e.t.Fatal(err)
	}
}

func replace(path string, content []byte) error {
	next := path + ".next"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// Running says whether the process is still there.
func (e *Envoy) Running() bool { return !e.process.Ended() }

// PID is Envoy's process id on this machine, also when it runs in a container, for accounting by /proc. It needs Linux.
func (e *Envoy) PID() int {
	e.t.Helper()
	// Its own command line has a file name that no other process knows but the Docker client's.
	commandLines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		e.t.Fatal(err)
	}
	for _, path := range commandLines {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended in the meantime
		}
		argv := bytes.Split(text, []byte{0})
		if filepath.Base(string(argv[0])) == "envoy" && slices.ContainsFunc(argv, func(a []byte) bool {
			return string(a) == filepath.Join(e.dir, e.name+".json")
		}) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				e.t.Fatal(err)
			}
			return pid
		}
	}
	e.t.Fatal("got no process of Envoy in /proc; is the Docker engine on another machine?")
	return 0
}

// Kill9 ends Envoy by SIGKILL, as a crash does, and returns when it is gone.
func (e *Envoy) Kill9() {
	e.t.Helper()
	if err := e.engine.kill(e.name, e.process.PID()); err != nil {
		e.t.Fatalf("kill -9: %v", err)
	}
	<-e.process.Done()
}

// Stop ends Envoy by SIGTERM, after 10 s by SIGKILL, and returns when it is gone. It may be called again.
func (e *Envoy) Stop() {
	defer e.engine.remove(e.name)
	if e.process.Ended() {
		return
	}
	_ = e.engine.terminate(e.name, e.process.PID()) // fails when it has just ended
	select {
	case <-e.process.Done():
	case <-time.After(stopDeadline):
		e.t.Errorf("Envoy did not end by SIGTERM within %s", stopDeadline)
		_ = e.engine.kill(e.name, e.process.PID())
		e.engine.remove(e.name)
		<-e.process.Done()
	}
}

func (e *Envoy) wait(done func() error) {
	e.t.Helper()
	deadline := time.Now().Add(waitDeadline)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			e.t.Fatalf("waited %s: %v", waitDeadline, err)
		}
		time.Sleep(pollInterval)
	}
}
