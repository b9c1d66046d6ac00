package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// sharedLimits are pairs of limits that plugins hold for one cluster. What is counted begins with the first; nothing of
// it expires or is refilled while a test runs.
var sharedLimits = []struct {
	cluster    string
	a, b       string // rate_limit
	mostA      int    // requests of the shared count that a plugin with limit a admits, and so on
	mostB      int
	leastAfter int // that b admits after a was used up: what is left, or less where b remembers further back than a did
}{
	{"window", "requests: 5, window_size: 600s", "requests: 50, window_size: 600s", 5, 50, 45},
	{"window-to-subwindows", "requests: 5, window_size: 600s", "requests: 513, window_size: 600s", 5, 513, 55},
	{"window-of-another-length", "requests: 5, window_size: 600s", "requests: 50, window_size: 300s", 5, 50, 45},
	{"bucket", "algorithm: token_bucket, burst_capacity: 5, refill_rate: 0.0001", "algorithm: token_bucket, burst_capacity: 50, refill_rate: 0.001", 5, 50, 45},
	{"window-and-bucket", "requests: 5, window_size: 600s", "algorithm: token_bucket, burst_capacity: 50, refill_rate: 0.001", 5, 50, 0},
	{"adaptive", "algorithm: adaptive, requests: 5, window_size: 600s", "algorithm: adaptive, requests: 50, window_size: 600s, adaptive_threshold: 0.1", 5, 50, 45},
}

// sharedPolicies are the two policies: each pair of limits as one of the cluster, and by key. More is added to the second.
func sharedPolicies(more string) (a, b string, upstreams map[string]*upstream.Upstream) {
	upstreams = map[string]*upstream.Upstream{}
	var first, second strings.Builder
	for _, l := range sharedLimits {
		for _, key := range []string{"", ", key: [client_ip]"} {
			name := l.cluster
			if key != "" {
				name += "-by-key"
			}
			upstreams[name] = nil
			fmt.Fprintf(&first, "  %s: {rate_limit: {%s%s}}\n", name, l.a, key)
			fmt.Fprintf(&second, "  %s: {rate_limit: {%s%s}%s}\n", name, l.b, key, more)
		}
	}
	return "clusters:\n" + first.String(), "clusters:\n" + second.String(), upstreams
}

// clusters are those of sharedPolicies, with one upstream for all.
func clustersOf(t *testing.T, upstreams map[string]*upstream.Upstream) []string {
	u := upstream.New(t)
	for name := range upstreams {
		upstreams[name] = u
	}
	return slices.Sorted(maps.Keys(upstreams))
}

// limitOf is the pair of limits of a cluster.
func limitOf(cluster string) (mostA, mostB, leastAfter int) {
	for _, l := range sharedLimits {
		if l.cluster == strings.TrimSuffix(cluster, "-by-key") {
			return l.mostA, l.mostB, l.leastAfter
		}
	}
	panic(cluster)
}

// count is how many of n requests each of the plugins admits, asked in turn.
func count(t *testing.T, n int, plugins ...func() answer) (admitted []int) {
	t.Helper()
	admitted = make([]int, len(plugins))
	for range n {
		for i, ask := range plugins {
			switch a := ask(); a.status {
			case 200:
				admitted[i]++
			case 429:
			default:
				t.Fatalf("got %d, %v, want 200 or 429", a.status, a.err)
			}
		}
	}
	return admitted
}

// at asks a listener for a cluster, on a new connection each time.
func (w *weir) at(listener, cluster string) func() answer {
	address := "http://" + w.Addr(listener)
	return func() answer {
		r := w.request(w.t.Context(), http.MethodGet, cluster, "/")
		r.URL.Host = strings.TrimPrefix(address, "http://")
		return w.do(r)
	}
}

// withListener adds the traffic listener of another policy, under another name, in the same VM.
func withListener(t *testing.T, name string, o render.Options) func(*bootstrapv3.Bootstrap) {
	other, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	return func(b *bootstrapv3.Bootstrap) {
		l := proto.Clone(other.GetStaticResources().GetListeners()[0]).(*listenerv3.Listener)
		l.Name = name
		b.StaticResources.Listeners = append(b.StaticResources.Listeners, l)
	}
}

// TestTwoListenersShareACount: two listeners whose policies hold different numbers for one cluster, asked in turn. Each
// admits at most its own number of the shared count. The second policy has sections that the first has not.
func TestTwoListenersShareACount(t *testing.T) {
	t.Parallel()
	first, second, upstreams := sharedPolicies(", circuit_breaker: {}, bulkhead: {max_concurrent: 100}")
	clusters := clustersOf(t, upstreams)
	w := startWith(t, options(t, first, upstreams), withListener(t, "second", options(t, second, upstreams)))
	for _, cluster := range clusters {
		t.Run(cluster, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			mostA, mostB, _ := limitOf(cluster)
			got := count(t, 60, w.at("second", cluster), w.at("traffic", cluster))
			b, a := got[0], got[1]
			shared := min(mostB, 60+mostA/2)
			if a < mostA/2 || a > mostA || a+b != shared {
				t.Errorf("got %d and %d of 60 each admitted, want at most %d of the shared count, and %d in all", a, b, mostA, shared)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestReloadSharesACount: the old policy's limit is used up; then the policy is replaced in the watched file (ECDS). The
// new one admits what is left of its own number.
func TestReloadSharesACount(t *testing.T) {
	t.Parallel()
	first, second, upstreams := sharedPolicies("")
	clusters := clustersOf(t, upstreams)
	w := startWatched(t, first, upstreams)
	for _, cluster := range clusters {
		mostA, _, _ := limitOf(cluster)
		if got := count(t, 10, w.at("traffic", cluster)); got[0] != mostA {
			t.Errorf("%s before the reload: got %d of 10 admitted, want %d", cluster, got[0], mostA)
		}
	}
	w.replace(second, "config_reload")
	for _, cluster := range clusters {
		t.Run(cluster, func(t *testing.T) { // not parallel: it would wait for other tests, until the windows are over
			mostA, mostB, least := limitOf(cluster)
			if got := count(t, 55, w.in(t).at("traffic", cluster)); got[0] < least || got[0] > mostB-mostA {
				t.Errorf("got %d of 55 admitted after the reload, want %d to %d", got[0], least, mostB-mostA)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestDrainingListenerSharesACount: the listener is replaced (LDS), and its open connections stay with the old one. Asked
// in turn, the old and the new admit at most their own numbers of the shared count.
func TestDrainingListenerSharesACount(t *testing.T) {
	t.Parallel()
	first, second, upstreams := sharedPolicies("")
	clusters := clustersOf(t, upstreams)
	upstreams["unlimited"] = upstreams[clusters[0]]
	dir := engine.Dir(t)
	listen := fmt.Sprintf("127.0.0.1:%d", engine.FreePort(t))
	listeners := func(policy string) (render.Options, []byte) {
		o := options(t, policy, upstreams)
		o.Listen = listen
		o.LDS = filepath.Join(dir, "listeners.yaml")
		list, err := render.LDS(o)
		return o, asFile(t, list, err)
	}
	o, file := listeners(first)
	_, changed := listeners(second)
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: map[string][]byte{"listeners.yaml": file}})
	w := &weir{Envoy: e, t: t, url: e.URL()}

	// A request on a draining connection may end it (`connection: close`), seldom so soon: there are some more.
	var open []*http.Client
	for range 8 {
		connection, err := net.Dial("tcp", listen)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		dialed := false
		open = append(open, &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			if dialed {
				return nil, errors.New("this connection has ended")
			}
			dialed = true
			return connection, nil
		}}})
		send(open[len(open)-1], w.request(t.Context(), http.MethodGet, "unlimited", "/"))
	}
	old := func(cluster string) func() answer {
		return func() answer {
			a := send(open[0], w.request(t.Context(), http.MethodGet, cluster, "/"))
			for a.err != nil && len(open) > 1 {
				open = open[1:]
				a = send(open[0], w.request(t.Context(), http.MethodGet, cluster, "/"))
			}
			return a
		}
	}
	before := w.Stats()["listener_manager.listener_in_place_updated"] + w.Stats()["listener_manager.listener_modified"]
	w.ReplaceFile(o.LDS, changed)
	eventually(t, func() error {
		s := w.Stats()
		if s["listener_manager.listener_in_place_updated"]+s["listener_manager.listener_modified"] == before || s["listener_manager.total_listeners_warming"] > 0 {
			return fmt.Errorf("the listener is not replaced yet")
		}
		return nil
	})
	for _, cluster := range clusters {
		mostA, mostB, _ := limitOf(cluster)
		// The new one is asked first, so that both are there before a is used up.
		got := count(t, 60, w.at("traffic", cluster), old(cluster))
		b, a := got[0], got[1]
		shared := min(mostB, 60+mostA/2)
		if a < mostA/2 || a > mostA || a+b != shared {
			t.Errorf("%s: got %d of 60 admitted by the old and %d by the new, want at most %d, and %d in all", cluster, a, b, mostA, shared)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
