package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/weir-mesh/weir/envoy/examples"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/policy"
)

// regions is one Envoy with an upstream, a second upstream for failover, and Weir's admin listener.
type regions struct {
	base, admin string
	home, other *upstream
	policy      *policy.Policy
	out         *printer
}

// showRegions starts an Envoy with the example policy of two regions, and shows retries, failover, and the operator's
// interface.
func showRegions(ctx context.Context, a *printer, binary, wasm, homeAddress, dir string, home *upstream) (err error) {
	other := &upstream{}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	stopOther := other.serve(listener)
	defer func() { err = errors.Join(err, stopOther()) }()
	document, bootstrap, err := renderRegions(wasm, homeAddress, listener.Addr().String(), dir)
	if err != nil {
		return err
	}
	process, err := run.Start(ctx, run.Config{
		Binary: binary, Bootstrap: bootstrap, Concurrency: workers, LogLevel: "warning", ReadyTimeout: readyTimeout,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, process.Stop()) }()
	r := &regions{home: home, other: other, policy: document.For(examples.QuickstartCluster), out: a}
	for name, at := range map[string]*string{"traffic": &r.base, "weir_admin": &r.admin} {
		address, err := listenerAddress(ctx, process.Admin(), name)
		if err != nil {
			return err
		}
		*at = "http://" + address
	}
	for _, step := range []func(context.Context) error{r.retried, r.failedOver, r.operated} {
		if err := step(ctx); err != nil {
			return withLog(err, process)
		}
	}
	return nil
}

// renderRegions writes a bootstrap with the policy of two regions, and Weir's admin listener.
func renderRegions(wasm, home, other, dir string) (d *policy.Document, bootstrap string, err error) {
	d, asJSON, err := example(examples.RegionsPolicy, noVariables)
	if err != nil {
		return nil, "", err
	}
	first, err := render.NewUpstream(examples.QuickstartCluster, home)
	if err != nil {
		return nil, "", err
	}
	second, err := render.NewUpstream(examples.QuickstartCluster+"_eu", other)
	if err != nil {
		return nil, "", err
	}
	bootstrap = filepath.Join(dir, "regions.yaml")
	return d, bootstrap, writeBootstrap(render.Options{
		Policy: asJSON, Upstreams: []render.Upstream{first, second}, Admin: "127.0.0.1:0",
	}, wasm, bootstrap)
}

// retried checks that one failure is retried in the other region, so that the client gets 200.
func (r *regions) retried(ctx context.Context) error {
	r.out.step("Retried in the other region")
	wait := r.policy.Retry.BaseDelay
	r.out.note("The upstream answers 503 once. driver: filter, base_delay: %s, no jitter; failover names a second region.", wait)
	home, other := r.home.count(), r.other.count()
	r.home.failOnce()
	got, err := get(ctx, r.base, prices)
	if err != nil {
		return err
	}
	r.out.answer(got)
	return r.out.check(got.isUpstreams() && r.home.count()-home == 1 && r.other.count()-other == 1 && got.took >= wait,
		"200 after %s: %d attempt in the first region, %d in the other", got.took.Round(time.Millisecond), r.home.count()-home, r.other.count()-other)
}

// failedOver checks that the breaker opens, requests go to the other region at once, and return after recovery.
func (r *regions) failedOver(ctx context.Context) error {
	r.out.step("Failed over, and back")
	r.out.note("The first region now fails every request; its breaker opens after %d consecutive failures.", r.policy.CircuitBreaker.FailureThreshold)
	r.home.fail()
	for range r.policy.CircuitBreaker.FailureThreshold {
		if got, err := get(ctx, r.base, prices); err != nil {
			return err
		} else if !got.isUpstreams() {
			return r.out.check(false, "200 from the other region; got %s", got)
		}
	}
	home := r.home.count()
	got, err := get(ctx, r.base, prices)
	if err != nil {
		return err
	}
	r.out.answer(got)
	if err := r.out.check(got.isUpstreams() && r.home.count() == home,
		"200 after %s from the other region; the first region got no request", got.took.Round(time.Millisecond)); err != nil {
		return err
	}
	r.home.heal()
	healed := time.Now()
	for r.home.count() == home {
		if time.Since(healed) > r.policy.CircuitBreaker.RecoveryTimeout+2*slack {
			return r.out.check(false, "the first region gets a request after recovery_timeout")
		}
		if got, err = get(ctx, r.base, prices); err != nil {
			return err
		}
		if !got.isUpstreams() {
			return r.out.check(false, "200 during the recovery; got %s", got)
		}
		time.Sleep(pollEvery)
	}
	return r.out.check(true, "after recovery_timeout a probe succeeded in the first region, and requests go there again")
}

// operated checks the admin interface: status, forcing a breaker open, reset.
func (r *regions) operated(ctx context.Context) error {
	r.out.step("The operator's interface")
	r.out.note("%s is Weir's admin listener: a live page at /, JSON at /status, also used by `weir status`.", r.admin)
	if err := r.post(ctx, "/breaker/"+examples.QuickstartCluster+"/open"); err != nil {
		return err
	}
	state, err := r.breaker(ctx)
	if err != nil {
		return err
	}
	home := r.home.count()
	got, err := get(ctx, r.base, prices)
	if err != nil {
		return err
	}
	if err := r.out.check(state == "open" && got.isUpstreams() && r.home.count() == home,
		"POST /breaker/%s/open: the breaker's state is %s, and requests go to the other region", examples.QuickstartCluster, state); err != nil {
		return err
	}
	if err := r.post(ctx, "/reset/"+examples.QuickstartCluster); err != nil {
		return err
	}
	if state, err = r.breaker(ctx); err != nil {
		return err
	}
	if got, err = get(ctx, r.base, prices); err != nil {
		return err
	}
	return r.out.check(state == "closed" && got.isUpstreams() && r.home.count() == home+1,
		"POST /reset/%s: the breaker's state is %s, and requests go to the first region again", examples.QuickstartCluster, state)
}

func (r *regions) post(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.admin+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("POST %s: %s", path, response.Status)
	}
	return nil
}

// breaker is the state of the first region's breaker in the status.
func (r *regions) breaker(ctx context.Context) (state string, err error) {
	body, err := fetch(ctx, r.admin+"/status/"+examples.QuickstartCluster)
	if err != nil {
		return "", err
	}
	var status struct {
		Breaker struct {
			State string `json:"state"`
		} `json:"circuit_breaker"`
	}
	err = json.Unmarshal(body, &status)
	return status.Breaker.State, err
}
