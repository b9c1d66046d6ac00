// Package instructions counts the instructions of a request in a real Envoy, by valgrind's callgrind: nearly the same figure on
// any machine, however busy. One worker, one keep-alive client, GET / answered 200 by an upstream of the test's own process.
// After others that warm up, requests are counted in runs, and the cheapest is taken, when several more were not cheaper: timers
// of Envoy's main thread and ticks of the filter fall into some, and on a busy machine the thread in which V8 optimizes what it
// runs often is late (with eight busy processes on two CPUs, 15,000 instructions of 230,000 more after 600 requests).
package instructions

import (
	"context"
	"encoding/json"
	"errors"
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
	warm     = 600
	counted  = 50 // requests of a run
	settled  = 5  // runs that must not be cheaper by a thousandth
	mostRuns = 60
)

// measurement is one Envoy under callgrind.
type measurement struct {
	envoy  string // the binary
	filter object // before the router; nil: none
	dir    string // for its files

	port, admin int // of Envoy, free
}

// count is the instructions a request.
func (m *measurement) count(ctx context.Context) (perRequest int, err error) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer upstream.Close()
	config, err := json.Marshal(m.bootstrap(upstream.Listener.Addr().(*net.TCPAddr).Port))
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
	envoy := exec.CommandContext(ctx, "valgrind", "--tool=callgrind", "--instr-atstart=no", "--vgdb-poll=200", "--smc-check=all-non-file",
		"--callgrind-out-file="+out, m.envoy, "-c", file, "--concurrency", "1", "--use-dynamic-base-id")
	envoy.Stdout, envoy.Stderr = log, log
	envoy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // valgrind runs Envoy in its own process
	if err := envoy.Start(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cancel(fmt.Errorf("Envoy ended: %w", envoy.Wait())) //nolint:staticcheck // a name
	}()
	defer func() { _ = envoy.Process.Kill(); <-ended }()

	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	if err := live(ctx, client, m.admin); err != nil {
		text, _ := os.ReadFile(log.Name())
		return 0, fmt.Errorf("%w; its log ends with:\n%s", err, text[max(0, len(text)-2000):])
	}
	control := func(command string) error {
		// callgrind_control would let vgdb stop a thread by ptrace where valgrind does not answer within 0.1 s. On a busy
		// machine that was seen to hang for good.
		vgdb := exec.CommandContext(ctx, "vgdb", "--max-invoke-ms=0", "--cmd-time-out=30", fmt.Sprintf("--pid=%d", envoy.Process.Pid), command)
		said, err := vgdb.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%v: %w: %s", vgdb, err, said)
		}
		return nil
	}
	url := fmt.Sprintf("http://127.0.0.1:%d/", m.port)
	if err := ask(client, url, warm); err != nil {
		return 0, err
	}
	if err := control("instrumentation on"); err != nil {
		return 0, err
	}
	least := 0
	for run, since := 1, 0; since < settled; run++ {
		if run > mostRuns {
			return 0, fmt.Errorf("each run of %d requests is cheaper than those before, the last of %d runs: %d instructions", counted, mostRuns, least)
		}
		if err := control("zero"); err != nil {
			return 0, err
		}
		if err := ask(client, url, counted); err != nil {
			return 0, err
		}
		if err := control("dump"); err != nil { // it answers when the file is written
			return 0, err
		}
		total, err := readTotal(fmt.Sprintf("%s.%d", out, run))
		if err != nil {
			return 0, err
		}
		since++
		if least == 0 || total < least-least/1000 {
			since = 0
		}
		if least == 0 || total < least {
			least = total
		}
	}
	return least / counted, nil
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
			return fmt.Errorf("Envoy is not ready: %w", context.Cause(ctx)) //nolint:staticcheck // a name
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// totals is the line of a callgrind file with the sum of its costs.
var totals = regexp.MustCompile(`(?m)^totals: (\d+)`)

func readTotal(file string) (total int, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	found := totals.FindSubmatch(text)
	if found == nil {
		return 0, fmt.Errorf("%s: it has no line \"totals\"", file)
	}
	total, err = strconv.Atoi(string(found[1]))
	if err == nil && total == 0 {
		err = errors.New("callgrind counted nothing")
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", file, err)
	}
	return total, nil
}

// bootstrap is a listener with the filter before the router, and a cluster `up`.
func (m *measurement) bootstrap(upstream int) object {
	address := func(port int) object {
		return object{"socket_address": object{"address": "127.0.0.1", "port_value": port}}
	}
	chain := []object{{"name": "router", "typed_config": object{"@type": filters + "http.router.v3.Router"}}}
	if m.filter != nil {
		chain = append([]object{m.filter}, chain...)
	}
	manager := object{
		"@type": filters + "network.http_connection_manager.v3.HttpConnectionManager", "stat_prefix": "x", "http_filters": chain,
		"route_config": object{"virtual_hosts": []object{{"name": "v", "domains": []string{"*"}, "routes": []object{
			{"match": object{"prefix": "/"}, "route": object{"cluster": "up"}},
		}}}},
	}
	endpoint := object{"lb_endpoints": []object{{"endpoint": object{"address": address(upstream)}}}}
	return object{
		"admin": object{"address": address(m.admin)}, "node": object{"id": "instructions", "cluster": "instructions"},
		"static_resources": object{
			"listeners": []object{{
				"name": "l", "address": address(m.port),
				"filter_chains": []object{{"filters": []object{{"name": "h", "typed_config": manager}}}},
			}},
			"clusters": []object{{
				"name": "up", "type": "STATIC", "connect_timeout": "5s",
				"load_assignment": object{"cluster_name": "up", "endpoints": []object{endpoint}},
			}},
		},
	}
}
