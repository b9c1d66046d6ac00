package engine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// Config says what to start. Only Bootstrap is needed.
type Config struct {
	// Bootstrap is started unchanged, but for the ports of its admin and its listeners, which the kernel chooses. It
	// needs an admin address. It is not changed.
	Bootstrap *bootstrapv3.Bootstrap
	// KeepPorts keeps the ports too; FreePort gives some.
	KeepPorts bool
	// Concurrency is the number of worker threads: at least 2, since that is where state is shared; 0 means 2.
	Concurrency int
	// Dir is the folder of Envoy's files, for a bootstrap that names some of them; take it from Dir. Empty: one is
	// made.
	Dir string
	// Files are written into Dir before the start, by name.
	Files map[string][]byte
	// Env is what is added to Envoy's own environment, NAME=VALUE.
	Env []string
	// LogLevel is Envoy's (trace, debug, info, warning, error); empty means info.
	LogLevel string
	// ComponentLogLevel is for some components alone, such as "wasm:debug".
	ComponentLogLevel string
	// AdminOnly makes Start return as soon as the admin interface answers, though Envoy is not ready, for a test about
	// just that.
	AdminOnly bool
}

// Exit is how an Envoy ended that could not start.
type Exit struct {
	Status int
	Logs   string
}

// Dir returns a new folder that any Envoy of this test may use, in either engine. It is removed at the end.
func Dir(t testing.TB) string {
	t.Helper()
	return t.TempDir()
}

// FreePort returns a port that stays free until it is used, for a bootstrap that has to name it.
func FreePort(t testing.TB) uint32 {
	t.Helper()
	return uint32(port.Reserve(t))
}

// Start starts an Envoy and returns when it is ready. It ends with t.
func Start(t testing.TB, c Config) *Envoy {
	t.Helper()
	e := launch(t, c)
	deadline := time.Now().Add(startDeadline)
	for {
		if e.process.Ended() {
			t.Fatalf("Envoy ended before it was ready (status %d)", e.process.ExitStatus())
		}
		state := e.readiness()
		if state == live || (c.AdminOnly && state != silent) {
			return e
		}
		if time.Now().After(deadline) {
			t.Fatalf("Envoy was not ready within %s; its /ready says: %s", startDeadline, state)
		}
		time.Sleep(pollInterval)
	}
}

// StartExpectingFailure starts an Envoy that must not come up, and returns how it ended. The test fails if it gets
// ready.
func StartExpectingFailure(t testing.TB, c Config) Exit {
	t.Helper()
	e := launch(t, c)
	deadline := time.Now().Add(startDeadline)
	for !e.process.Ended() {
		if e.readiness() == live {
			t.Fatal("Envoy is ready, though it must not start")
		}
		if time.Now().After(deadline) {
			t.Fatalf("Envoy neither ended nor got ready within %s", startDeadline)
		}
		time.Sleep(pollInterval)
	}
	return Exit{Status: e.process.ExitStatus(), Logs: e.Logs()}
}

const adminFile = "admin.address"

func launch(t testing.TB, c Config) *Envoy {
	t.Helper()
	chosen, err := chosen()
	if err != nil {
		t.Fatalf("e2e engine: %v", err)
	}
	if c.Dir == "" {
		c.Dir = Dir(t)
	}
	for name, content := range c.Files {
		if err := replace(filepath.Join(c.Dir, name), content); err != nil {
			t.Fatal(err)
		}
	}
	bootstrap := proto.CloneOf(c.Bootstrap)
	if !c.KeepPorts {
		letKernelChoosePorts(bootstrap)
	}
	config, err := protojson.Marshal(bootstrap)
	if err != nil {
		t.Fatalf("bootstrap: %v", err)
	}
	// Several Envoys of a test may share a folder.
	name := fmt.Sprintf("weir-e2e-%d-%d", os.Getpid(), time.Now().UnixNano())
	configPath := filepath.Join(c.Dir, name+".json")
	if err := replace(configPath, config); err != nil {
		t.Fatal(err)
	}
	level := c.LogLevel
	if level == "" {
		level = "info"
	}
	args := []string{
		"--config-path", configPath,
		"--admin-address-path", filepath.Join(c.Dir, name+"."+adminFile),
		"--concurrency", strconv.Itoa(max(2, c.Concurrency)),
		"--log-level", level,
		// No shared memory and no socket by which two Envoys of one machine could meet.
		"--disable-hot-restart",
	}
	if c.ComponentLogLevel != "" {
		args = append(args, "--component-log-level", c.ComponentLogLevel)
	}
	child, err := process.Start(chosen.command(name, c.Dir, c.Env, args), terminateSignal)
	if err != nil {
		t.Fatalf("start Envoy: %v", err)
	}
	e := &Envoy{t: t, engine: chosen, process: child, name: name, dir: c.Dir}
	t.Cleanup(func() {
		e.Stop()
		if t.Failed() {
			t.Logf("log of Envoy %s:\n%s", name, withoutInventory(e.Logs()))
		}
	})
	return e
}

// letKernelChoosePorts works on listeners with a TCP address and on the admin. Envoy binds a port 0 once for all its
// workers.
func letKernelChoosePorts(b *bootstrapv3.Bootstrap) {
	zero := func(a *corev3.Address) {
		if socket := a.GetSocketAddress(); socket != nil {
			socket.PortSpecifier = &corev3.SocketAddress_PortValue{PortValue: 0}
		}
	}
	zero(b.GetAdmin().GetAddress())
	for _, listener := range b.GetStaticResources().GetListeners() {
		zero(listener.GetAddress())
	}
}
