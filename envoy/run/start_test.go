package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// role makes this test binary act as another program: an Envoy with some behaviour, or the parent of one.
const role = "WEIR_RUN_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "ready":
		playEnvoy(http.StatusOK, false)
	case "never ready":
		playEnvoy(http.StatusServiceUnavailable, false)
	case "stubborn":
		playEnvoy(http.StatusOK, true)
	case "refuses its configuration":
		fmt.Fprintln(os.Stderr, "clusters.a.b: must be at least 1, got 0")
		os.Exit(1)
	case "parent":
		playParent()
	}
}

// playEnvoy does what Start sees of an Envoy: it writes its admin address and answers /ready.
func playEnvoy(ready int, stubborn bool) {
	if stubborn {
		signal.Ignore(syscall.SIGTERM)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	file := os.Args[slices.Index(os.Args, "--admin-address-path")+1]
	if err := os.WriteFile(file, []byte(listener.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	fmt.Println("listening")
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(ready) })))
}

// playParent starts an Envoy, prints its PID, and waits to be killed.
func playParent() {
	process, err := Start(context.Background(), envoyWith("ready"))
	if err != nil {
		panic(err)
	}
	fmt.Println(process.PID())
	<-process.Done()
}

func envoyWith(behaviour string) Config {
	return Config{Binary: os.Args[0], Bootstrap: "none.yaml", Env: []string{role + "=" + behaviour}}
}

func TestStartAndStop(t *testing.T) {
	var log bytes.Buffer
	c := envoyWith("ready")
	c.Log = &log
	process, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Get("http://" + process.Admin() + "/ready")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if err := process.Stop(); err != nil {
		t.Error(err)
	}
	if got := log.String(); got != "listening\n" {
		t.Errorf("log: got %q, want one line", got)
	}
	if err := process.Err(); err != nil {
		t.Errorf("Err after Stop: got %v, want nil", err)
	}
	if err := process.Stop(); err != nil {
		t.Errorf("a second Stop: got %v, want nil", err)
	}
}

func TestStartRefused(t *testing.T) {
	_, err := Start(t.Context(), envoyWith("refuses its configuration"))
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Status != 1 || exit.Tail != "clusters.a.b: must be at least 1, got 0" {
		t.Errorf("got %v, want an ExitError with status 1 and the log", err)
	}
}

func TestStartNeverReady(t *testing.T) {
	c := envoyWith("never ready")
	c.ReadyTimeout = 2 * time.Second // enough for one answer on a busy machine
	_, err := Start(t.Context(), c)
	if err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v, want the last answer of /ready", err)
	}
}

func TestStartWithoutABinary(t *testing.T) {
	if _, err := Start(t.Context(), Config{Binary: "/no/such/envoy"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the file is not there", err)
	}
}

func TestContextEndsTheProcess(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	process, err := Start(ctx, envoyWith("ready"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-process.Done():
	case <-time.After(10 * time.Second):
		t.Error("got a running process after ctx ended, want its end")
	}
}

func TestStopKillsAfterGrace(t *testing.T) {
	c := envoyWith("stubborn")
	c.StopGrace = 100 * time.Millisecond
	process, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Stop(); err == nil || !strings.Contains(err.Error(), "was killed") {
		t.Errorf("got %v, want that it was killed", err)
	}
}

func TestExitWithoutStopIsReported(t *testing.T) {
	process, err := Start(t.Context(), envoyWith("ready"))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(process.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-process.Done()
	var exit *ExitError
	if err := process.Err(); !errors.As(err, &exit) || exit.Status != -1 {
		t.Errorf("got %v, want an ExitError with status -1", err)
	}
}

// An Envoy does not outlive a parent that is killed and cannot stop it.
func TestDiesWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has a parent death signal")
	}
	parent := exec.Command(os.Args[0])
	parent.Env = append(os.Environ(), role+"=parent")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 32)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(line[:n])))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("got no child while its parent runs: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// The error says that it was killed.
	_ = parent.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); {
		if time.Now().After(deadline) {
			t.Fatalf("child %d outlived its parent", pid)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// alive is false for a process that has ended, also while it is a zombie that its new parent has not reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func TestTailKeepsWholeLines(t *testing.T) {
	kept := &tail{limit: 12}
	for _, line := range []string{"first line\n", "second\n", "third\n"} {
		if n, err := kept.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatalf("Write(%q) = %d, %v, want all of it", line, n, err)
		}
	}
	if got := kept.String(); got != "third" {
		t.Errorf("got %q, want the last whole line", got)
	}
}
