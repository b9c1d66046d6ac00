package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/weir-mesh/weir/e2e/browser"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// markup is the name of a cluster that must never become markup.
const markup = `<img>`

const pagePolicy = `
clusters:
  aws_pricing:
    rate_limit: {requests_per_minute: 6000}
    circuit_breaker: {failure_threshold: 5, recovery_timeout: 300s, timeout: 5s}
    bulkhead: {max_concurrent: 50}
    retry: {max_attempts: 2, base_delay: 10ms}
    fallback: {default_data: {body: {services: []}}}
  azure_pricing:
    rate_limit: {requests_per_minute: 20}
    circuit_breaker: {}
  gcp_pricing:
    rate_limit: {algorithm: token_bucket, requests_per_minute: 60000, burst_capacity: 1000}
    circuit_breaker: {}
  catalog:
    mode: shadow
    rate_limit: {requests_per_minute: 10}
  "<img>":
    circuit_breaker: {}
`

// operated is an Envoy with the admin listener, under load: aws_pricing fails, azure_pricing is over its limit, the
// others are well.
type operated struct {
	*weir
	admin string // address of the admin listener
	aws   *upstream.Upstream
}

func startOperated(t *testing.T) *operated {
	t.Helper()
	well, aws := upstream.New(t), upstream.New(t)
	aws.Set(upstream.Status(500))
	o := options(t, pagePolicy, map[string]*upstream.Upstream{"aws_pricing": aws, "azure_pricing": well, "gcp_pricing": well, "catalog": well, markup: well})
	o.Admin = "127.0.0.1:9902"
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		changeRoutes(t, b, func(routes *routev3.RouteConfiguration) { // a host can't have such a name
			for _, host := range routes.GetVirtualHosts() {
				host.Domains = slices.DeleteFunc(host.GetDomains(), func(d string) bool { return strings.Contains(d, markup) })
				if len(host.GetDomains()) == 0 {
					host.Domains = []string{"markup"}
				}
			}
		})
	})
	var running sync.WaitGroup
	t.Cleanup(running.Wait) // t.Context, which ends it, is over before
	for cluster, rate := range map[string]float64{"aws_pricing": 30, "azure_pricing": 4, "gcp_pricing": 25, "catalog": 3, "markup": 2} {
		running.Go(func() {
			load.Run(t, load.Plan{URL: w.url, Host: cluster, Connections: 2, Rate: rate, Duration: 10 * time.Minute})
		})
	}
	return &operated{weir: w, admin: "http://" + w.Addr("weir_admin"), aws: aws}
}

// clusterStatus is the part of GET /status/CLUSTER that this test reads.
type clusterStatus struct {
	Breaker struct {
		State  string
		Forced string
		Since  time.Time
		Opens  int `json:"opens_total"`
	} `json:"circuit_breaker"`
	Requests map[string]int
}

func (o *operated) status(cluster string) (s clusterStatus) {
	o.t.Helper()
	r, err := http.Get(o.admin + "/status/" + url.PathEscape(cluster))
	if err != nil {
		o.t.Fatal(err)
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&s); err != nil || r.StatusCode != 200 {
		o.t.Fatalf("status of %s: got %d, %v", cluster, r.StatusCode, err)
	}
	return s
}

// row is a JavaScript expression for a cluster's element in the list.
func row(cluster string) string {
	return fmt.Sprintf(`[...document.querySelectorAll(".cluster")].find(c => c.querySelector("h3 button").textContent === %q)`, cluster)
}

// inRow is a JavaScript expression for what a selector finds in it.
func inRow(cluster, selector string) string {
	return fmt.Sprintf(`(%s)?.querySelector(%q)`, row(cluster), selector)
}

func checkConsole(t *testing.T, p *browser.Page) {
	t.Helper()
	if said := p.Console(); len(said) > 0 {
		t.Errorf("got on the console, want nothing:\n%s", strings.Join(said, "\n"))
	}
}
