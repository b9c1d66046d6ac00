// Package e2e holds Weir's promises against a real Envoy with two workers: one file a promise. The harness is in its
// sub-packages: engine (Envoy), upstream (servers that misbehave), load (clients), check (measures).
package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	"github.com/weir-mesh/weir/envoy/policyfile"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/filter/version"
)

func TestMain(m *testing.M) {
	fmt.Printf("e2e module: %s\n", repo.ModuleFile("weir"))
	os.Exit(engine.Main(m))
}

// TestEdition: the module says by which toolchain it was built, and that is the edition that this run is to test.
func TestEdition(t *testing.T) {
	t.Parallel()
	w := start(t, "clusters: {aws: {circuit_breaker: {}}}", map[string]*upstream.Upstream{"aws": upstream.New(t)})
	want := version.Version + "+" + repo.Edition()
	w.WaitMetric(`weir_build_info{version="`+want+`"}`, engine.Exactly(1))
	w.WaitLog("weir: version " + want + ": policy ")
	w.WaitLog(" of 1 clusters and patterns is in force")
}

// options is the input of `weir render envoy`: a policy in YAML and an upstream for each cluster.
func options(t *testing.T, policy string, upstreams map[string]*upstream.Upstream) render.Options {
	t.Helper()
	document, err := policyfile.JSON([]byte(policy))
	if err != nil {
		t.Fatal(err)
	}
	module, err := repo.Module("weir")
	if err != nil {
		t.Fatal(err)
	}
	o := render.Options{Policy: document, Wasm: module}
	for name, u := range upstreams {
		o.Upstreams = append(o.Upstreams, render.Upstream{Name: name, Host: "127.0.0.1", Port: u.Port(), HTTP2: strings.HasPrefix(name, "grpc")})
	}
	return o
}

// weir is an Envoy with the filter in it.
type weir struct {
	*engine.Envoy
	t   *testing.T
	url string
}

// start starts an Envoy with a policy (YAML) and an upstream for each cluster; a request goes to the cluster that its
// host names. Clusters whose name begins with grpc speak HTTP/2.
func start(t *testing.T, policy string, upstreams map[string]*upstream.Upstream) *weir {
	t.Helper()
	return startWith(t, options(t, policy, upstreams))
}

// startWith starts an Envoy whose bootstrap a test may change first.
func startWith(t *testing.T, o render.Options, changes ...func(*bootstrapv3.Bootstrap)) *weir {
	t.Helper()
	return startWithLog(t, o, "", changes...)
}

// startWithLog is startWith with a level of Envoy's log for some components: "wasm:debug".
func startWithLog(t *testing.T, o render.Options, level string, changes ...func(*bootstrapv3.Bootstrap)) *weir {
	t.Helper()
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(bootstrap)
	}
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, ComponentLogLevel: level})
	return &weir{Envoy: e, t: t, url: e.URL()}
}

// answer is what a client saw.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func (a answer) source() string { return a.header.Get("x-weir-source") }
func (a answer) reason() string { return a.header.Get("x-weir-reason") }

// get sends a GET to a cluster.
func (w *weir) get(cluster, path string) answer {
	w.t.Helper()
	return w.do(w.request(w.t.Context(), http.MethodGet, cluster, path))
}

// leave sends a GET to a cluster and closes the connection after d.
func (w *weir) leave(cluster, path string, d time.Duration) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	defer cancel()
	return w.do(w.request(ctx, http.MethodGet, cluster, path))
}

func (w *weir) request(ctx context.Context, method, cluster, path string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = cluster
	return r
}

// do sends a request over a connection of its own, so that Envoy's kernel-balanced workers both get some.
func (w *weir) do(r *http.Request) answer {
	w.t.Helper()
	return w.doBy(&http.Transport{DisableKeepAlives: true, DisableCompression: true}, r)
}

func (w *weir) doBy(transport *http.Transport, r *http.Request) answer {
	w.t.Helper()
	return send(&http.Client{
		Transport:     transport,
		Timeout:       30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, r)
}

// eventually polls until done answers nil, and fails with its last word.
func eventually(t *testing.T, done func() error) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}
