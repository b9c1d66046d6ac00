package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Wasm modules that only tests need, each built once, when the first test asks for it.
var (
	storeModule = built(asLinked, "./filter/internal/testmodules/store")
	crashModule = built(finished, "./filter/internal/testmodules/crash")
	tierModule  = built(asLinked, "./filter/internal/testmodules/tier")
)

// A finished module went through filter/postlink as build/weir.wasm does, so that what crashes is what users run.
const finished, asLinked = true, false

// built builds a package of the product's module.
func built(finish bool, pkg string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		out, err := os.MkdirTemp("", "weir-e2e-module")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(out) }()
		wasm := filepath.Join(out, "linked.wasm")
		env := []string{"GOOS=wasip1", "GOARCH=wasm", "CGO_ENABLED=0"}
		if err := runGo(env, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", wasm, pkg); err != nil {
			return nil, err
		}
		if finish {
			linked := wasm
			wasm = filepath.Join(out, "finished.wasm")
			if err := runGo(nil, "run", "./filter/postlink", linked, wasm); err != nil {
				return nil, err
			}
		}
		return os.ReadFile(wasm)
	})
}

// runGo runs the go command in the product's module, which this one cannot build packages of. env is added to the test's
// environment.
func runGo(env []string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = ".."
	cmd.Env = append(os.Environ(), env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd, err, output)
	}
	return nil
}

// bytesOf is a module, or the end of the test.
func moduleBytes(t *testing.T, module func() ([]byte, error)) []byte {
	t.Helper()
	start := time.Now()
	wasm, err := module()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the module, %d KB, was there after %v", len(wasm)/1024, time.Since(start).Round(time.Millisecond))
	return wasm
}

// vmHeader is where the test modules tell which VM an answer came from: a worker has one at a time.
const vmHeader = "weir-test-vm"

// connection is a client with one connection, so that one of Envoy's workers serves all its requests. When that ends,
// so does the client: another connection might be another worker's.
func connection(t *testing.T) *http.Client {
	var dialed atomic.Bool
	transport := &http.Transport{
		MaxConnsPerHost:    1,
		DisableCompression: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if dialed.Swap(true) {
				return nil, errors.New("the one connection has ended")
			}
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// send sends a request over a given client.
func send(client *http.Client, r *http.Request) answer {
	response, err := client.Do(r)
	if err != nil {
		return answer{err: err, header: http.Header{}}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, header: response.Header, body: string(body), err: err}
}

// workers opens connections until it has one to each of Envoy's two workers. ask sends a request and returns the VM
// that answered.
func workers(t *testing.T, ask func(*http.Client) (vm string)) (clients [2]*http.Client, vms [2]string) {
	t.Helper()
	eventually(t, func() error {
		client := connection(t)
		vm := ask(client)
		switch {
		case vm == "":
			return errors.New("an answer does not tell its VM")
		case clients[0] == nil:
			clients[0], vms[0] = client, vm
		case vm != vms[0]:
			clients[1], vms[1] = client, vm
			return nil
		}
		return errors.New("all connections went to one worker")
	})
	return clients, vms
}
