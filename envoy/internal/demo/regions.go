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

// regions is one Envoy in front of an upstream and another one that stands in for it, with Weir's admin listener.
type regions struct {
	base, admin string
	home, other *upstream
	policy      *policy.Policy
	account     *account
}

// showRegions starts an Envoy with the example policy of two regions, and shows retries, failover, and what an operator sees
// and does.
func showRegions(ctx context.Context, a *account, binary, wasm, homeAddress, dir string, home *upstream) (err error) {
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
	r := &regions{home: home, other: other, policy: document.For(examples.QuickstartCluster), account: a}
	for name, at := range map[string]*string{"traffic": &r.base, "weir_admin": &r.admin} {
		address, err := listenerAddress(ctx, process.Admin(), name)
		if err != nil {
			return err
		}
		*at = "http://" + address
	}
	for _, step := range []func(context.Context) error{r.triedAgain, r.failedOver, r.operated} {
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

// triedAgain: one failure, of which the client sees nothing.
func (r *regions) triedAgain(ctx context.Context) error {
	r.account.step("Tried again, in the other region")
	wait := r.policy.Retry.BaseDelay
	r.account.say("The upstream answers 503 once. driver: filter, base_delay: %s, no jitter; failover names a second region.", wait)
	home, other := r.home.count(), r.other.count()
	r.home.failOnce()
	got, err := get(ctx, r.base, prices)
	if err != nil {
		return err
	}
	r.account.answer(got)
	return r.account.check(got.isUpstreams() && r.home.count()-home == 1 && r.other.count()-other == 1 && got.took >= wait,
		"200 after %s: %d try at home, %d in the other region", got.took.Round(time.Millisecond), r.home.count()-home, r.other.count()-other)
}

// failedOver: the breaker opens, requests go elsewhere at once, and come back.
func (r *regions) failedOver(ctx context.Context) error {
	r.account.step("Failed over, and back")
	r.account.say("Now the first region fails for good; its breaker opens after %d failures in a row.", r.policy.CircuitBreaker.FailureThreshold)
	r.home.fail()
	for range r.policy.CircuitBreaker.FailureThreshold {
		if got, err := get(ctx, r.base, prices); err != nil {
			return err
		} else if !got.isUpstreams() {
			return r.account.check(false, "200 from the other region; got %s", got)
		}
	}
	home := r.home.count()
	got, err := get(ctx, r.base, prices)
	if err != nil {
		return err
	}
	r.account.answer(got)
	if err := r.account.check(got.isUpstreams() && r.home.count() == home,
		"200 after %s from the other region; the first one was not asked", got.took.Round(time.Millisecond)); err != nil {
		return err
	}
	r.home.heal()
	healed := time.Now()
	for r.home.count() == home {
		if time.Since(healed) > r.policy.CircuitBreaker.RecoveryTimeout+2*slack {
			return r.account.check(false, "the first region is asked again after recovery_timeout")
		}
		if got, err = get(ctx, r.base, prices); err != nil {
			return err
		}
		if !got.isUpstreams() {
			return r.account.check(false, "200 all the while; got %s", got)
		}
		time.Sleep(pollEvery)
	}
	return r.account.check(true, "after recovery_timeout a probe went home, and requests with it")
}

// operated: what an operator sees of it, and does.
func (r *regions) operated(ctx context.Context) error {
	r.account.step("Seen and steered")
	r.account.say("%s is Weir's own listener: a live page at /, JSON at /status, `weir status`.", r.admin)
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
	if err := r.account.check(state == "open" && got.isUpstreams() && r.home.count() == home,
		"POST /breaker/%s/open: the status says %s, and requests go to the other region", examples.QuickstartCluster, state); err != nil {
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
	return r.account.check(state == "closed" && got.isUpstreams() && r.home.count() == home+1,
		"POST /reset/%s: the status says %s, and requests go home again", examples.QuickstartCluster, state)
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

// breaker is what the status says of the first region's.
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
