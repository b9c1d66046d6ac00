package bench

import (
	"fmt"
	"io"
	"net/http"
	"testing"
	"text/tabwriter"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	httpwasmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/wasm/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/render"
)

// publishingBudget is what counting requests and publishing how clusters stand may cost a request.
const publishingBudget = 500 * time.Nanosecond

// publishingClusters are the numbers of clusters, each with every section that has something to show, and each used.
var publishingClusters = []int{1, 10, 100, 1000}

const published = `{"rate_limit": {"requests": 1000000, "window_size": "1s"}, "circuit_breaker": {}, "bulkhead": {"max_concurrent": 1000}, "retry": {"driver": "envoy"}}`

// timed is what the benchmark's build of the filter measured so far. See filter/internal/testmodules/timed.
type timed struct {
	counted, told   time.Duration
	requests, times float64
}

func readTimed(e *engine.Envoy) timed {
	metrics := e.Prometheus()
	return timed{
		counted:  time.Duration(metrics["weir_timed_counted_ns_total"]),
		requests: metrics["weir_timed_requests_total"],
		told:     time.Duration(metrics["weir_timed_told_ns_total"]),
		times:    metrics["weir_timed_told_total"],
	}
}

func (t timed) since(u timed) timed {
	return timed{t.counted - u.counted, t.told - u.told, t.requests - u.requests, t.times - u.times}
}

// publishingLine is a line of the table: what was measured with so many clusters in so long.
type publishingLine struct {
	clusters int
	took     time.Duration
	timed
}

func (l publishingLine) counting() time.Duration { return per(l.counted, l.requests) }
func (l publishingLine) telling() time.Duration  { return per(l.told, l.requests) }

func per(d time.Duration, n float64) time.Duration { return time.Duration(float64(d) / n) }

// writePublishing prints a line for each number of clusters, and last what their sum is of the budget.
func writePublishing(w io.Writer, lines []publishingLine) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "clusters\trequests/s\tcounting ns/request\tone tick us\ttelling ns/request\tboth ns/request\tof the budget\t")
	for _, l := range lines {
		both := l.counting() + l.telling()
		_, _ = fmt.Fprintf(table, "%d\t%.0f\t%d\t%.1f\t%d\t%d\t%.2f\t\n", l.clusters, l.requests/l.took.Seconds(),
			l.counting().Nanoseconds(), float64(per(l.told, l.times).Nanoseconds())/1000, l.telling().Nanoseconds(), both.Nanoseconds(),
			float64(both)/float64(publishingBudget))
	}
	return table.Flush()
}

// startPublishing starts an Envoy with the benchmark's build of the filter and a policy of n clusters, and uses each of
// them in both workers.
func startPublishing(t testing.TB, upstream render.Upstream, n int) *engine.Envoy {
	t.Helper()
	policy, upstreams := `"`+Cluster+`": `+published, []render.Upstream{upstream}
	for i := 1; i < n; i++ {
		u := upstream
		u.Name = fmt.Sprintf("%s_%d", Cluster, i)
		upstreams = append(upstreams, u)
		policy += fmt.Sprintf(`, %q: %s`, u.Name, published)
	}
	bootstrap, err := render.Bootstrap(render.Options{Policy: []byte(`{"clusters": {` + policy + `}}`), Upstreams: upstreams})
	if err != nil {
		t.Fatal(err)
	}
	ChangeManager(t, bootstrap, func(manager *hcmv3.HttpConnectionManager) {
		var filter httpwasmv3.Wasm
		if err := manager.GetHttpFilters()[1].GetTypedConfig().UnmarshalTo(&filter); err != nil {
			t.Fatal(err)
		}
		filter.GetConfig().GetVmConfig().GetCode().GetLocal().Specifier = &corev3.DataSource_Filename{Filename: repo.ModuleFile("timed")}
		manager.HttpFilters[1] = HTTPFilter(t, "weir", &filter)
	})
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, LogLevel: "warning"})
	for _, u := range upstreams {
		// One connection goes to one worker: with 12 new ones each worker is met, but for one time in two thousand.
		for range 12 {
			ask(t, e.URL(), u.Name)
		}
	}
	return e
}

// ask sends one request to a cluster on a connection of its own, and wants it answered 200.
func ask(t testing.TB, url, cluster string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host, request.Close = cluster, true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: got %s, want 200", cluster, answer.Status)
	}
}
