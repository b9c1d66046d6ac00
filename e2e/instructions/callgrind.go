// Package instructions counts the instructions of a request in a real Envoy, by valgrind's callgrind: nearly the same figure on
// any machine, however busy. One worker, one keep-alive client, GET / answered 200 by an upstream of the test's own process.
// Counting is on while a few hundred requests run, after others that warm up.
package instructions

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

const (
	warm    = 600
	counted = 300
)

// measurement is one Envoy under callgrind.
type measurement struct {
	envoy  string // the binary
	module string // "": no filter
	policy any
	dir    string // for its files
}

// count is the instructions a request.
func (m *measurement) count(ctx context.Context) (perRequest int, err error) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer upstream.Close()
	port, admin, err := freePorts()
	if err != nil {
		return 0, err
	}
	config, err := json.Marshal(m.bootstrap(port, admin, upstream.Listener.Addr().(*net.TCPAddr).Port))
	if err != nil {
		return 0, err
	}
	file, out := filepath.Join(m.dir, "envoy.json"), filepath.Join(m.dir, "callgrind")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return 0, err
	}
	log, err := os.Create(filepath.Join(m.dir, "log"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = log.Close() }()
	envoy := exec.CommandContext(ctx, "valgrind", "--tool=callgrind", "--instr-atstart=no", "--smc-check=all-non-file",
		"--callgrind-out-file="+out, m.envoy, "-c", file, "--concurrency", "1", "--use-dynamic-base-id")
	envoy.Stdout, envoy.Stderr = log, log
	envoy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // valgrind runs Envoy in its own process
	if err := envoy.Start(); err != nil {
		return 0, err
	}
	defer func() { _ = envoy.Process.Kill(); _ = envoy.Wait() }()

	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	if err := live(ctx, client, admin); err != nil {
		text, _ := os.ReadFile(log.Name())
		return 0, fmt.Errorf("%w: Envoy's log ends with:\n%s", err, text[max(0, len(text)-2000):])
	}
	control := func(args ...string) error {
		said, err := exec.CommandContext(ctx, "callgrind_control", append(args, strconv.Itoa(envoy.Process.Pid))...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("callgrind_control %v: %w: %s", args, err, said)
		}
		return nil
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/", port)
	if err := ask(client, url, warm); err != nil {
		return 0, err
	}
	if err := control("-i", "on"); err != nil {
		return 0, err
	}
	if err := ask(client, url, counted); err != nil {
		return 0, err
	}
	if err := control("-i", "off"); err != nil {
		return 0, err
	}
	if err := control("-d"); err != nil { // it answers when the file is written
		return 0, err
	}
	total, err := totalOf(out)
	return total / counted, err
}

func ask(client *http.Client, url string, n int) error {
	for range n {
		response, err := client.Get(url)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != 200 {
			return fmt.Errorf("GET %s: got status %d and error %v, want 200", url, response.StatusCode, err)
		}
	}
	return nil
}

// live waits until Envoy serves.
func live(ctx context.Context, client *http.Client, admin int) error {
	for {
		response, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/ready", admin))
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode == 200 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("Envoy is not ready: %w", ctx.Err()) //nolint:staticcheck // a name
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// totals is the line of a callgrind file with the sum of its costs.
var totals = regexp.MustCompile(`^(?:totals|summary): (\d+)`)

// totalOf is the largest sum of the files that callgrind wrote: NAME, NAME.1, …, of which all but one are empty.
func totalOf(name string) (largest int, err error) {
	files, err := filepath.Glob(name + "*")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		lines := bufio.NewScanner(f)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if found := totals.FindStringSubmatch(lines.Text()); found != nil {
				n, _ := strconv.Atoi(found[1])
				largest = max(largest, n)
			}
		}
		_ = f.Close()
		if err := lines.Err(); err != nil {
			return 0, err
		}
	}
	if largest == 0 {
		return 0, fmt.Errorf("%s: callgrind counted nothing in %d files", name, len(files))
	}
	return largest, nil
}

func freePorts() (a, b int, err error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}

type object = map[string]any

const filters = "type.googleapis.com/envoy.extensions.filters."

// bootstrap is a listener with the filter before the router, and a cluster `up`.
func (m *measurement) bootstrap(port, admin, upstream int) object {
	address := func(port int) object {
		return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
	}
	chain := []object{{"name": "router", "typed_config": object{"@type": filters + "http.router.v3.Router"}}}
	if m.module != "" {
		policy, _ := json.Marshal(m.policy)
		chain = append([]object{{"name": "weir", "typed_config": object{"@type": filters + "http.wasm.v3.Wasm", "config": object{
			"name": "weir", "root_id": "weir", "failure_policy": "FAIL_RELOAD",
			"configuration": object{"@type": "type.googleapis.com/google.protobuf.StringValue", "value": string(policy)},
			"vm_config":     object{"vm_id": "weir", "runtime": "envoy.wasm.runtime.v8", "code": object{"local": object{"filename": m.module}}},
		}}}}, chain...)
	}
	manager := object{
		"@type": filters + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x", "http_filters": chain,
		"route_config": object{"virtual_hosts": []object{{"name": "v", "domains": []string{"*"}, "routes": []object{
			{"match": object{"prefix": "/"}, "route": object{"cluster": "up"}},
		}}}},
	}
	endpoint := object{"lb_endpoints": []object{{"endpoint": object{"address": address(upstream)}}}}
	return object{
		"admin": object{"address": address(admin)}, "node": object{"id": "instructions", "cluster": "instructions"},
		"static_resources": object{
			"listeners": []object{{
				"name": "l", "address": address(port),
				"filter_chains": []object{{"filters": []object{{"name": "h", "typed_config": manager}}}},
			}},
			"clusters": []object{{
				"name": "up", "type": "STATIC", "connect_timeout": "5s",
				"load_assignment": object{"cluster_name": "up", "endpoints": []object{endpoint}},
			}},
		},
	}
}
