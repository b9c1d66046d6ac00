package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-mesh/weir/envoy/examples"
	"github.com/weir-mesh/weir/envoy/internal/bridge"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/policy"
)

// showMesh starts two more Envoys, which share one limit through a bridge with an embedded Redis in this process.
func showMesh(ctx context.Context, a *printer, binary, wasm, upstreamAddress, dir string, up *upstream) (err error) {
	a.step("Two Envoys, one limit")
	token := rand.Text()
	redis, err := bridge.Start(bridge.Options{Listen: "127.0.0.1:0", Embedded: true, Token: token})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Stop()) }()
	document, bootstrap, err := renderMesh(wasm, upstreamAddress, redis.Addr(), token, dir)
	if err != nil {
		return err
	}
	const proxies = 2
	started := make(chan error, proxies)
	processes := make([]*run.Process, proxies)
	for i := range processes {
		go func() {
			var err error
			processes[i], err = run.Start(ctx, run.Config{
				Binary: binary, Bootstrap: bootstrap, Concurrency: workers, LogLevel: "warning", ReadyTimeout: readyTimeout,
			})
			started <- err
		}()
	}
	for range processes {
		err = errors.Join(err, <-started)
	}
	defer func() {
		for _, p := range processes {
			if p != nil {
				err = errors.Join(err, p.Stop())
			}
		}
	}()
	if err != nil {
		return err
	}
	m := &mesh{out: a, limit: document.For(examples.QuickstartCluster).RateLimit, upstream: up}
	for _, p := range processes {
		address, err := trafficAddress(ctx, p.Admin())
		if err != nil {
			return err
		}
		m.bases = append(m.bases, "http://"+address)
	}
	return m.share(ctx)
}

// renderMesh writes a bootstrap with the mesh policy, for any number of Envoys.
func renderMesh(wasm, upstreamAddress, redisAddress, token, dir string) (d *policy.Document, bootstrap string, err error) {
	env := map[string]string{"WEIR_BRIDGE_TOKEN": token}
	d, asJSON, err := example(examples.MeshPolicy, render.Options{Env: env}.Getenv)
	if err != nil {
		return nil, "", err
	}
	upstream, err := render.NewUpstream(examples.QuickstartCluster, upstreamAddress)
	if err != nil {
		return nil, "", err
	}
	redis, err := render.NewUpstream(d.Redis.Cluster, redisAddress)
	if err != nil {
		return nil, "", err
	}
	bootstrap = filepath.Join(dir, "mesh.yaml")
	return d, bootstrap, writeBootstrap(render.Options{
		Policy: asJSON, Upstreams: []render.Upstream{upstream}, Redis: &redis, Env: env,
	}, wasm, bootstrap)
}

// mesh has the proxies that share a limit.
type mesh struct {
	bases    []string
	limit    *policy.RateLimit
	upstream *upstream
	out      *printer
}

// share sends requests to the proxies in turn, in total twice the limit.
func (m *mesh) share(ctx context.Context) error {
	m.out.note("Both enforce requests: %d for each window of %s, scope: mesh. Requests go to them in turn.", m.limit.Requests, m.limit.Window)
	before := m.upstream.count()
	admitted := make([]int64, len(m.bases))
	var all int64
	var last answer
	for i := range int(2 * m.limit.Requests) {
		got, err := get(ctx, m.bases[i%len(m.bases)], prices)
		if err != nil {
			return err
		}
		switch {
		case got.isUpstreams():
			admitted[i%len(m.bases)]++
			all++
		case got.isRefused():
			last = got
		default:
			return m.out.check(false, "200 or 429; got %s", got)
		}
	}
	if last.header != nil {
		m.out.answer(last)
	}
	reached := m.upstream.count() - before
	return m.out.check(all == m.limit.Requests && reached == all && !slices.Contains(admitted, 0),
		"%s of %d requests were admitted, %d in total, and %d reached the upstream", sum(admitted), 2*m.limit.Requests, all, reached)
}

// sum is "7 + 13".
func sum(list []int64) string {
	terms := make([]string, len(list))
	for i, n := range list {
		terms[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(terms, " + ")
}
