// Package demo shows Weir at work: a real Envoy with the quickstart policy, a small upstream that fails on command,
// real requests, and an account of each step with a check.
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
	workers      = 2                // limits and breaker hold over all of Envoy's workers; show it with more than one
	slack        = 10 * time.Second // how late a step may come on a busy machine
	readyTimeout = 90 * time.Second // compiling the module takes seconds, more on a busy machine
)

// Options says how the demo runs.
type Options struct {
	Wasm  string // path of weir.wasm
	Keep  bool   // leave everything running after the last step, until ctx ends
	Color bool   // ANSI colours in what is printed
	Out   io.Writer
}

// Run shows the demo. The error is nil only if each step was seen.
func Run(ctx context.Context, o Options) (err error) {
	account := &account{out: o.Out, color: o.Color}
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

	account.printf("%s\n", account.paint(bold, "Weir in Envoy "+version))
	account.say("Envoy:     %s (%s), %d workers", binary.Path, binary.Source, workers)
	account.say("bootstrap: %s", setting.why)
	account.say("upstream:  %s, inside this process", listener.Addr())
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
	account.say("traffic:   %s   metrics: http://%s/stats/prometheus", base, process.Admin())

	s := &story{base: base, upstream: up, policy: document.For(examples.QuickstartCluster), account: account, slack: slack}
	if err := s.tell(ctx); err != nil {
		return withLog(err, process)
	}
	if err := showMesh(ctx, account, binary.Path, o.Wasm, listener.Addr().String(), dir, up); err != nil {
		return err
	}
	if err := showRegions(ctx, account, binary.Path, o.Wasm, listener.Addr().String(), dir, up); err != nil {
		return err
	}
	if err := showMetrics(ctx, account, process.Admin()); err != nil {
		return err
	}
	account.printf("\n%s\n", account.paint(green, fmt.Sprintf("All %d steps were seen.", account.steps)))
	if o.Keep {
		return keep(ctx, account, base, listener.Addr().String(), process)
	}
	return nil
}

// setting is what Envoy is started with.
type setting struct {
	bootstrap string
	why       string // for people
}

// prepare takes the quickstart as it is committed, where its ports are free and it is there, or else renders the same
// policy in dir on ports that the kernel chooses. It gives the upstream's listener too.
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
		why:       fmt.Sprintf("the same policy as %s, rendered on free ports (%v)", examples.QuickstartPath, obstacle),
	}, listener, nil
}

// quickstartObstacle says why the committed files cannot be used here; nil if they can.
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

// trafficAddress asks Envoy where its traffic goes in.
func trafficAddress(ctx context.Context, admin string) (string, error) {
	return listenerAddress(ctx, admin, "traffic")
}

// listenerAddress asks Envoy where a listener is.
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
	return "", fmt.Errorf("envoy has no listener %s", name)
}

// showMetrics prints the counters that went up on the way.
func showMetrics(ctx context.Context, a *account, admin string) error {
	body, err := fetch(ctx, "http://"+admin+"/stats/prometheus")
	if err != nil {
		return err
	}
	a.printf("\n%s\n", a.paint(bold, "What Envoy's metrics say"))
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "weir_") {
			a.say("%s", a.paint(dim, strings.TrimSpace(line)))
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

// withLog adds what Envoy has logged to a step that was not seen.
func withLog(err error, process *run.Process) error {
	if exit := process.Err(); exit != nil {
		return errors.Join(err, exit)
	}
	if log := process.LastWords(); log != "" {
		return fmt.Errorf("%w\nEnvoy's log:\n%s", err, log)
	}
	return err
}

// keep prints what to try by hand and waits until ctx ends or Envoy does.
func keep(ctx context.Context, a *account, base, upstream string, process *run.Process) error {
	a.printf("\n%s\n", a.paint(bold, "Left running; Ctrl-C ends it. Try"))
	for _, line := range []string{
		"curl -i " + base + catalogue,
		"for i in $(seq 8); do curl -s -o /dev/null -w '%{http_code} ' " + base + prices + "; done   # some 429",
		"curl -X POST http://" + upstream + "/fail   # the upstream fails from now on",
		"curl -X POST http://" + upstream + "/heal   # and is healthy again",
		"curl -s http://" + process.Admin() + "/stats/prometheus | grep ^weir_",
	} {
		a.say("%s", line)
	}
	select {
	case <-ctx.Done():
		return nil
	case <-process.Done():
		return process.Err()
	}
}
