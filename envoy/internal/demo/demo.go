// Package demo demonstrates Weir: a real Envoy with the quickstart policy, a small upstream that fails on command, real
// requests, and for each step a printed description and a check.
//
//	scenario (quickstart policy)    get ──► Envoy ──► upstream
//	mesh     (shared limit)         get ──► Envoy, Envoy ──► upstream; both ──► bridge with an embedded Redis
//	regions  (retries, failover)    get ──► Envoy ──► two upstreams
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/weir-mesh/weir/envoy/examples"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
)

const (
	workers      = 2                // more than one, since limits and breaker are shared by all of Envoy's workers
	slack        = 10 * time.Second // how late a step may be on a busy machine
	readyTimeout = 90 * time.Second // compiling the module takes seconds, more on a busy machine
)

// Options configures the demo.
type Options struct {
	Wasm  string // path of weir.wasm
	Keep  bool   // keep everything running after the last step, until ctx ends
	Color bool   // ANSI colours in what is printed
	Out   io.Writer
}

// Run runs the demo. The error is nil only if every check passed.
func Run(ctx context.Context, o Options) (err error) {
	out := &printer{out: o.Out, color: o.Color}
	if _, err := os.Stat(o.Wasm); err != nil {
		return fmt.Errorf("the filter is not built: %w; run `make wasm` (it needs Go 1.24 or later)", err)
	}
	binary, err := run.Find()
	if err != nil {
		return err
	}
	document, asJSON, err := example(examples.QuickstartPolicy, noVariables)
	if err != nil {
		return err
	}
	version, err := binary.Version(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "weir-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	setting, listener, err := prepare(ctx, o.Wasm, asJSON, dir)
	if err != nil {
		return err
	}
	up := &upstream{}
	stopUpstream := up.serve(listener)
	defer func() { err = errors.Join(err, stopUpstream()) }()

	out.printf("%s\n", out.paint(bold, "Weir in Envoy "+version))
	out.note("Envoy:     %s (%s), %d workers", binary.Path, binary.Source, workers)
	out.note("bootstrap: %s", setting.why)
	out.note("upstream:  %s, inside this process", listener.Addr())
	process, err := run.Start(ctx, run.Config{
		Binary: binary.Path, Bootstrap: setting.bootstrap, Concurrency: workers, LogLevel: "warning", ReadyTimeout: readyTimeout,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()

	traffic, err := trafficAddress(ctx, process.Admin())
	if err != nil {
		return err
	}
	base := "http://" + traffic
	out.note("traffic:   %s   metrics: http://%s/stats/prometheus", base, process.Admin())

	s := &scenario{base: base, upstream: up, policy: document.For(examples.QuickstartCluster), out: out, slack: slack}
	if err := s.run(ctx); err != nil {
		return withLog(err, process)
	}
	if err := showMesh(ctx, out, binary.Path, o.Wasm, listener.Addr().String(), dir, up); err != nil {
		return err
	}
	if err := showRegions(ctx, out, binary.Path, o.Wasm, listener.Addr().String(), dir, up); err != nil {
		return err
	}
	if err := showMetrics(ctx, out, process.Admin()); err != nil {
		return err
	}
	out.printf("\n%s\n", out.paint(green, fmt.Sprintf("All %d steps passed.", out.steps)))
	if o.Keep {
		return keep(ctx, out, base, listener.Addr().String(), process)
	}
	return nil
}

// setting is what Envoy is started with.
type setting struct {
	bootstrap string
	why       string // of this bootstrap, for the output
}

// prepare uses the committed quickstart if its files exist and its ports are free. Otherwise it renders the same policy
// into dir, with ports that the kernel chooses. It also returns the upstream's listener.
func prepare(ctx context.Context, wasm string, policyJSON []byte, dir string) (setting, net.Listener, error) {
	obstacle := quickstartObstacle(ctx, wasm)
	if obstacle == nil {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", examples.QuickstartUpstream)
		if err == nil {
			return setting{bootstrap: examples.QuickstartPath, why: examples.QuickstartPath + ", as committed"}, listener, nil
		}
		obstacle = err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return setting{}, nil, err
	}
	bootstrap, err := renderOnFreePorts(wasm, policyJSON, dir, listener.Addr().String())
	if err != nil {
		return setting{}, nil, errors.Join(err, listener.Close())
	}
	return setting{
		bootstrap: bootstrap,
		why:       fmt.Sprintf("the policy of %s, rendered with free ports (%v)", examples.QuickstartPath, obstacle),
	}, listener, nil
}

// quickstartObstacle returns why the committed files cannot be used here, or nil.
func quickstartObstacle(ctx context.Context, wasm string) error {
	for _, file := range []string{examples.QuickstartPath, render.WatchedPath(examples.QuickstartPath)} {
		if _, err := os.Stat(file); err != nil {
			return err
		}
	}
	if filepath.Clean(wasm) != render.DefaultWasm {
		return fmt.Errorf("it opens %s, not %s", render.DefaultWasm, wasm)
	}
	for _, address := range []string{render.DefaultListen, render.DefaultEnvoyAdmin} {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return err
		}
		if err := listener.Close(); err != nil {
			return err
		}
	}
	return nil
}

func renderOnFreePorts(wasm string, policyJSON []byte, dir, upstreamAddress string) (bootstrap string, err error) {
	upstream, err := render.NewUpstream(examples.QuickstartCluster, upstreamAddress)
	if err != nil {
		return "", err
	}
	bootstrap = filepath.Join(dir, "quickstart.yaml")
	return bootstrap, writeBootstrap(render.Options{Policy: policyJSON, Upstreams: []render.Upstream{upstream}}, wasm, bootstrap)
}

// trafficAddress is the address of Envoy's traffic listener.
func trafficAddress(ctx context.Context, admin string) (string, error) {
	return listenerAddress(ctx, admin, "traffic")
}

// listenerAddress asks Envoy for a listener's address.
// https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--listeners
func listenerAddress(ctx context.Context, admin, name string) (string, error) {
	body, err := fetch(ctx, "http://"+admin+"/listeners?format=json")
	if err != nil {
		return "", err
	}
	var listeners struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &listeners); err != nil {
		return "", fmt.Errorf("envoy's /listeners: %w", err)
	}
	for _, l := range listeners.Statuses {
		if l.Name == name {
			return net.JoinHostPort(l.Local.Socket.Address, fmt.Sprint(l.Local.Socket.Port)), nil
		}
	}
	return "", fmt.Errorf("envoy has no listener %s; see /listeners of its admin interface", name)
}

// showMetrics prints Weir's metrics.
func showMetrics(ctx context.Context, a *printer, admin string) error {
	body, err := fetch(ctx, "http://"+admin+"/stats/prometheus")
	if err != nil {
		return err
	}
	a.printf("\n%s\n", a.paint(bold, "Metrics of Envoy"))
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "weir_") {
			a.note("%s", a.paint(dim, strings.TrimSpace(line)))
		}
	}
	return nil
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}

// withLog adds Envoy's log to the error of a failed step.
func withLog(err error, process *run.Process) error {
	if exit := process.Err(); exit != nil {
		return errors.Join(err, exit)
	}
	if log := process.LogTail(); log != "" {
		return fmt.Errorf("%w\nEnvoy's log:\n%s", err, log)
	}
	return err
}

// keep prints commands to try, and waits until ctx or Envoy ends.
func keep(ctx context.Context, a *printer, base, upstream string, process *run.Process) error {
	a.printf("\n%s\n", a.paint(bold, "Envoy keeps running; Ctrl-C ends it. Try"))
	for _, line := range []string{
		"curl -i " + base + catalogue,
		"for i in $(seq 8); do curl -s -o /dev/null -w '%{http_code} ' " + base + prices + "; done   # some 429",
		"curl -X POST http://" + upstream + "/fail   # makes the upstream fail",
		"curl -X POST http://" + upstream + "/heal   # makes it healthy again",
		"curl -s http://" + process.Admin() + "/stats/prometheus | grep ^weir_",
	} {
		a.note("%s", line)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-process.Done():
		return process.Err()
	}
}
