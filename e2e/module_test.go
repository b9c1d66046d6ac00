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

	"github.com/weir-mesh/weir/e2e/repo"
)

// Wasm modules that only tests need, each made once, when the first test asks for it.
var (
	storeModule = made("store")
	crashModule = made("crash")
	tierModule  = made("tier")
)

// made has make build a package of filter/internal/testmodules, if it is not there yet: by the toolchain of the edition under
// test, and finished as the filter is, so that what crashes is what users run.
func made(name string) func() ([]byte, error) {
	return sync.OnceValues(func() ([]byte, error) {
		file := repo.ModuleFile(name)
		cmd := exec.Command("make", "--no-print-directory", file)
		cmd.Dir = ".."
		cmd.Env = append(os.Environ(), "MAKEFLAGS=") // those of a make that runs these tests are not for this one
		if output, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", cmd, err, output)
		}
		return os.ReadFile(filepath.Join("..", file))
	})
}

// moduleBytes is a module, or the end of the test.
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
