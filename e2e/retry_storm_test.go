package e2e

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// stormy are the clusters of the storm: two drivers under a budget, upstreams that fail at once and such that take
// their time, and Envoy's own retries without Weir.
const stormy = `
  by-*: {retry: {driver: envoy, base_delay: 10ms, budget: {percent: 20, min_per_second: 1}}}
  by-filter: {retry: {driver: filter, base_delay: 10ms, budget: {percent: 20, min_per_second: 1}}}
  slow-by-router: {retry: {driver: envoy, base_delay: 10ms, budget: {percent: 20, min_per_second: 1}}}
  slow-by-filter: {retry: {driver: filter, base_delay: 10ms, budget: {percent: 20, min_per_second: 1}}}
`

var (
	underBudget = []string{"by-filter", "by-router", "slow-by-filter", "slow-by-router"}
	withoutWeir = []string{"envoy-default", "envoy-raised"}
)

// failing is an upstream of the storm: it fails wholly.
func failing(t *testing.T, cluster string) *upstream.Upstream {
	u := upstream.New(t)
	u.Set(upstream.Status(503))
	if strings.HasPrefix(cluster, "slow") {
		u.Set(upstream.Status(503).After(150 * time.Millisecond))
	}
	return u
}

// storm: upstream fails wholly under load. By its own count it gets at most (1 + percent) x requests and the minimum,
// whoever retries. With Envoy's own retries and no Weir it gets up to three times as many: Envoy's default bound is 3
// retries at one time (max_retries), which those who want retries at all raise.
func storm(t *testing.T, w *weir, name string, u *upstream.Upstream) {
	const share, minPerSecond = 0.20, 1
	const requests, rate = 500, 250
	begun := time.Now()
	answers := load.Run(t, load.Plan{URL: w.url, Host: name, Connections: 64, Requests: requests, Rate: rate})
	u.WaitIdle()
	took := time.Since(begun)
	if failed := answers.Failed(); len(failed) > 0 || len(answers.With(503)) != requests {
		t.Errorf("got statuses %v, failed %v, want 503 alone", answers.Statuses(), failed)
	}
	got := u.Count()
	retries := got - requests
	t.Logf("%s: %d requests within %v, upstream got %d: %.2f for each", name, requests, took.Round(time.Millisecond), got, float64(got)/requests)
	if least, without := map[string]int{"envoy-default": requests * 5 / 4, "envoy-raised": requests * 5 / 2}[name]; without {
		if got < least {
			t.Errorf("without a budget: upstream got %d for %d requests, want a storm", got, requests)
		}
		return
	}
	// The minimum is of 10 s, anew for each 21 half seconds (package policy/retry).
	halfSeconds := math.Ceil(took.Seconds()/0.5) + 1
	minimum := 10 * minPerSecond * math.Ceil(halfSeconds/21)
	if most := share*requests + minimum; float64(retries) > most {
		t.Errorf("got %d retries of %d requests, want at most %.0f", retries, requests, most)
	}
	if least := share * requests / 2; float64(retries) < least {
		t.Errorf("got %d retries of %d requests, want at least %.0f, half of the budget", retries, requests, least)
	}
	w.WaitMetric(`weir_retries_total{cluster="`+name+`"}`, engine.Exactly(float64(retries)))
}

// retryWithoutWeir is what users write without Weir: the router retries the requests of a cluster twice, and as many at
// one time as Envoy lets it (max_retries, 3), or more.
func retryWithoutWeir(t *testing.T, b *bootstrapv3.Bootstrap) {
	changeRoutes(t, b, retryTwice)
	for _, c := range b.GetStaticResources().GetClusters() {
		switch c.GetName() {
		case "envoy-default":
			c.CircuitBreakers = nil
		case "envoy-raised":
			c.CircuitBreakers = &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{MaxRetries: wrapperspb.UInt32(1000)}}}
		}
	}
}

func retryTwice(routes *routev3.RouteConfiguration) {
	for _, host := range routes.GetVirtualHosts() {
		if slices.Contains(withoutWeir, host.GetName()) {
			host.RetryPolicy = &routev3.RetryPolicy{RetryOn: "5xx", NumRetries: wrapperspb.UInt32(2)}
		}
	}
}
