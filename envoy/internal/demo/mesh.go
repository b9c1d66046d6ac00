package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/weir-mesh/weir/envoy/examples"
	"github.com/weir-mesh/weir/envoy/internal/bridge"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/policy"
)

// showMesh starts two more Envoys, and a Redis with its bridge inside this process, and lets them share one limit.
func showMesh(ctx context.Context, a *account, binary, wasm, upstreamAddress, dir string, up *upstream) (err error) {
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
	m := &mesh{account: a, limit: document.For(examples.QuickstartCluster).RateLimit, upstream: up}
	for _, p := range processes {
		address, err := trafficAddress(ctx, p.Admin())
		if err != nil {
			return err
		}
		m.bases = append(m.bases, "http://"+address)
	}
	return m.share(ctx)
}

// renderMesh writes a bootstrap with the mesh's policy, which any number of Envoys can be started with.
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

// mesh is proxies that share a limit.
type mesh struct {
	bases    []string
	limit    *policy.RateLimit
	upstream *upstream
	account  *account
}

// share asks each proxy in turn, for more than the limit in all.
func (m *mesh) share(ctx context.Context) error {
	m.account.say("Both enforce requests: %d for each window of %s, scope: mesh. Each is asked in turn.", m.limit.Requests, m.limit.Window)
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
			return m.account.check(false, "200 or 429; got %s", got)
		}
	}
	if last.header != nil {
		m.account.answer(last)
	}
	reached := m.upstream.count() - before
	return m.account.check(all == m.limit.Requests && reached == all && !slices.Contains(admitted, 0),
		"%s of %d were admitted, %d in all, and %d reached the upstream", join(admitted), 2*m.limit.Requests, all, reached)
}

// join is "7 + 13".
func join(list []int64) (text string) {
	for i, n := range list {
		if i > 0 {
			text += " + "
		}
		text += fmt.Sprint(n)
	}
	return text
}
