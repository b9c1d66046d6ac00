package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3" // so that fromYAML knows it
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// logs are the access logs that each Envoy of TestReplay writes. Envoy's default text has no cluster, and no details.
var logs = map[string]string{
	"json.log": `{json_format: {start_time: "%START_TIME%", method: "%REQ(:METHOD)%", path: "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
  response_code: "%RESPONSE_CODE%", response_flags: "%RESPONSE_FLAGS%", response_code_details: "%RESPONSE_CODE_DETAILS%",
  duration: "%DURATION%", upstream_service_time: "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%", authority: "%REQ(:AUTHORITY)%",
  upstream_cluster: "%UPSTREAM_CLUSTER%", downstream_remote_address: "%DOWNSTREAM_REMOTE_ADDRESS%", x-api-key: "%REQ(X-API-KEY)%"}}`,
	"text.log": "",
}

// replayedClusters is what the test reads of `weir replay --json`.
type replayedClusters struct {
	Log struct {
		Requests   int `json:"requests"`
		Unreadable int `json:"unreadable"`
		Refused    int `json:"refused_by_weir"`
	} `json:"log"`
	Policies []struct {
		Clusters []struct {
			Cluster      string `json:"cluster"`
			Admitted     int    `json:"admitted"`
			RateLimited  int    `json:"rate_limited"`
			CircuitOpen  int    `json:"circuit_open"`
			BulkheadFull int    `json:"bulkhead_full"`
		} `json:"clusters"`
		Transitions []struct {
			Cluster string `json:"cluster"`
			To      string `json:"to"`
		} `json:"transitions"`
	} `json:"policies"`
}

// TestReplay: what `weir replay` says about the log of an Envoy without a policy is what an Envoy with the policy decides about
// the same requests in the same order; and about that Envoy's own log it says the same again.
func TestReplay(t *testing.T) {
	t.Parallel()
	const policy = `
clusters:
  limited:  {rate_limit: {requests: 2, window_size: 1h, key: [{header: x-api-key}]}}
  broken:   {circuit_breaker: {failure_threshold: 3, recovery_timeout: 1h}}
  crowded:  {bulkhead: {max_concurrent: 2}}
`
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	without, _ := logged(t, "clusters: {other: {circuit_breaker: {}}}")
	with, decided := logged(t, policy)
	want := map[string][4]int{"limited": {6, 3, 0, 0}, "broken": {7, 0, 2, 0}, "crowded": {3, 0, 0, 1}}
	for name, counts := range want {
		if decided[name] != counts {
			t.Errorf("%s: Envoy admitted and refused %v, want %v", name, decided[name], counts)
		}
	}
	module, err := repo.Module("weir")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, log string
		args      []string
		without   string // a cluster that the log can't decide about
		refused   int
	}{
		{name: "the log without a policy", log: without + "/json.log"},
		{name: "its own log", log: with + "/json.log", refused: 6},
		{
			name: "Envoy's default text", log: without + "/text.log", without: "limited", // no x-api-key
			args: []string{"--cluster-of=limited=limited", "--cluster-of=broken=broken", "--cluster-of=crowded=crowded"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			said := runWeir(t, append([]string{"replay", "-f", file, test.log, "--json", "--wasm", module}, test.args...)...)
			var got replayedClusters
			if err := json.Unmarshal([]byte(said.out), &got); err != nil || said.status != 0 {
				t.Fatalf("weir replay: %v, got %+v", err, said)
			}
			if got.Log.Requests != 22 || got.Log.Unreadable != 0 || got.Log.Refused != test.refused {
				t.Errorf("got %+v, want 22 requests that can be read, of which %d had been refused", got.Log, test.refused)
			}
			seen := 0
			for _, c := range got.Policies[0].Clusters {
				counts := [4]int{c.Admitted, c.RateLimited, c.CircuitOpen, c.BulkheadFull}
				if seen++; c.Cluster != test.without && counts != want[c.Cluster] {
					t.Errorf("%s: got admitted and refused %v, want %v", c.Cluster, counts, want[c.Cluster])
				}
			}
			if seen != len(want) {
				t.Errorf("got %d clusters, want %d", seen, len(want))
			}
			if tr := got.Policies[0].Transitions; len(tr) != 1 || tr[0].Cluster != "broken" || tr[0].To != "open" {
				t.Errorf("got transitions %+v, want that of broken to open", tr)
			}
		})
	}
}

// logged sends the same requests to an Envoy with some policy, and returns the folder of its access logs and by cluster how many
// it admitted, and refused by the limit, the breaker, and the bulkhead.
func logged(t *testing.T, policy string) (dir string, decided map[string][4]int) {
	t.Helper()
	up := map[string]*upstream.Upstream{}
	for _, name := range []string{"limited", "broken", "crowded"} {
		up[name] = upstream.New(t)
		up[name].When(func(r *http.Request) bool { return r.URL.Path == "/fails" }, upstream.Status(503))
		up[name].When(func(r *http.Request) bool { return r.URL.Path == "/slow" }, upstream.Delay(500*time.Millisecond))
	}
	bootstrap, err := render.Bootstrap(options(t, policy, up))
	if err != nil {
		t.Fatal(err)
	}
	dir = engine.Dir(t)
	everyManager(t, bootstrap, func(_ string, m *hcmv3.HttpConnectionManager) {
		for name, format := range logs {
			log := &accesslogv3.AccessLog{}
			if format != "" {
				format = ", log_format: " + format
			}
			fromYAML(t, `{name: file, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: `+
				filepath.Join(dir, name)+format+`}}`, log)
			m.AccessLog = append(m.GetAccessLog(), log)
		}
	})
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir})
	w := &weir{Envoy: e, t: t, url: e.URL()}
	decided = map[string][4]int{}
	note := func(cluster string, a answer) {
		counts := decided[cluster]
		for i, reason := range []string{"", "rate_limited", "circuit_open", "bulkhead_full"} {
			if got := a.reason(); got == reason || i == 0 && got == "upstream_failure" {
				counts[i]++
			}
		}
		decided[cluster] = counts
		time.Sleep(2 * time.Millisecond) // the log's times have milliseconds
	}
	for _, key := range strings.Fields("a a a b a b b - -") {
		r := w.request(t.Context(), http.MethodGet, "limited", "/?x=1")
		if key != "-" {
			r.Header.Set("x-api-key", key)
		}
		note("limited", w.do(r))
	}
	for _, path := range strings.Fields("/ /fails /fails / /fails /fails /fails / /fails") {
		note("broken", w.get("broken", path))
	}
	slow := make(chan answer)
	for range 2 {
		go func() { slow <- w.get("crowded", "/slow") }()
	}
	up["crowded"].Wait("two requests in flight", func() bool { now, _ := up["crowded"].InFlight(); return now == 2 })
	// The log has milliseconds: of requests that begin in one of them, the first to end counts as the first.
	for both := time.Now().UnixMilli(); time.Now().UnixMilli() < both+2; {
		runtime.Gosched()
	}
	note("crowded", w.get("crowded", "/"))
	note("crowded", <-slow)
	note("crowded", <-slow)
	note("crowded", w.get("crowded", "/"))
	e.Stop() // which writes the logs
	return dir, decided
}
