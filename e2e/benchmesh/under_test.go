package benchmesh

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/bench"
	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// under is a row with its processes and what they did.
type under struct {
	row
	envoy   *engine.Envoy
	pid     int
	service interface {
		CPU(t testing.TB) time.Duration
	} // the bridge or the peer; nil: there is none
	server *redistest.Server
	gone   bool           // the server was killed
	turns  map[int][]turn // by rate
}

// start starts a row's service and Envoy. number keeps its keys in Redis apart from other rows'.
func start(t testing.TB, number int, r row, upstream render.Upstream, server *redistest.Server) *under {
	t.Helper()
	u := &under{row: r, server: server, turns: map[int][]turn{}}
	prefix := fmt.Sprintf("row%d:", number)
	options := render.Options{Policy: []byte(`{"clusters": {}}`), Upstreams: []render.Upstream{upstream}, Wasm: repo.ModuleFile("weir")}
	// Options.Redis is a cluster to which no route leads, so it does for the peer's service as well.
	switch r.filter {
	case peer:
		service, port := newRateLimit(t, server, r.limit, r.cacheBytes, prefix)
		u.service = service
		options.Redis = &render.Upstream{Name: ratelimitCluster, Host: "127.0.0.1", Port: port, HTTP2: true}
	case proxy:
		options.Policy = policy(r, "proxy", "")
	case mesh:
		bridge := redis.NewBridge(t, r.bridge, server)
		u.service = bridge
		options.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
		onError := r.onError
		if onError == "" {
			onError = "local"
		}
		options.Policy = policy(r, "mesh", fmt.Sprintf(`, "redis": {"dialect": %q, "token": %q, "key_prefix": %q, "on_error": %q}`,
			bridge.Dialect(), bridge.Token, prefix, onError))
	case none:
	}
	bootstrap, err := render.Bootstrap(options)
	if err != nil {
		t.Fatal(err)
	}
	switch r.filter {
	case none:
		bench.ChangeManager(t, bootstrap, func(m *hcmv3.HttpConnectionManager) { bench.SetFilters(m) })
	case peer:
		bench.ChangeManager(t, bootstrap, func(m *hcmv3.HttpConnectionManager) { useRateLimit(t, m) })
	case proxy, mesh:
	}
	u.envoy = engine.Start(t, engine.Config{Bootstrap: bootstrap, LogLevel: "warning"})
	u.pid = u.envoy.PID()
	return u
}

func policy(r row, scope, redisSection string) []byte {
	return fmt.Appendf(nil, `{"clusters": {%q: {"rate_limit": {"requests": %d, "window_size": "1s", "scope": %q%s}}}%s}`,
		bench.Cluster, r.limit, scope, r.more, redisSection)
}

// turn puts the row under load, measures it and checks that it was what we think it was.
func (u *under) turn(t testing.TB, rate, seconds int) turn {
	t.Helper()
	u.server.ResetCalls(t)
	this := u.turnAnyway(t, rate, seconds)
	u.count(t, &this)
	if u.usesRedis() != (this.calls > 0) {
		t.Fatalf("%s: got %d calls to Redis, want some only from a row that uses Redis; commands: %v", u.name, this.calls, u.server.Calls(t))
	}
	return this
}

// turnAnyway is turn without a look at Redis, which may be gone.
func (u *under) turnAnyway(t testing.TB, rate, seconds int) turn {
	t.Helper()
	u.checkOne(t)
	sawBefore, errorsBefore := u.asked()
	before := u.cpu(t)
	this := turn{load: load(t, u.envoy.URL(), rate, seconds)}
	after := u.cpu(t)
	this.requests = float64(len(this.load))
	this.envoy, this.service, this.redis = after[0]-before[0], after[1]-before[1], after[2]-before[2]
	saw := sawBefore
	if u.filter != none {
		saw = bench.Counted(sawBefore+this.requests, func() float64 { saw, _ := u.asked(); return saw })
	}
	_, errors := u.asked()
	this.errors = errors - errorsBefore

	admitted, refused, err := this.load.counts()
	switch {
	case err != nil:
		t.Fatalf("%s: %v", u.name, err)
	case u.limit == few && refused <= admitted:
		t.Fatalf("%s: %d admitted and %d refused, want most refused", u.name, admitted, refused)
	case u.limit != few && refused > 0:
		t.Fatalf("%s: got %d of %d refused, want none by a limit of %d", u.name, refused, len(this.load), u.limit)
	case u.filter != none && saw-sawBefore < this.requests:
		t.Fatalf("%s: got of %v requests %v decided by the filter, want all", u.name, this.requests, saw-sawBefore)
	}
	return this
}

// cpu is what Envoy, the service and Redis used so far.
func (u *under) cpu(t testing.TB) (used [3]time.Duration) {
	t.Helper()
	var err error
	if used[0], err = process.CPUTime(u.pid); err != nil {
		t.Fatal(err)
	}
	if u.service != nil {
		used[1] = u.service.CPU(t)
	}
	if u.usesRedis() && !u.gone {
		used[2] = u.server.CPU(t)
	}
	return used
}

// count reads what Redis did since ResetCalls, without the commands of this package itself.
func (u *under) count(t testing.TB, this *turn) {
	t.Helper()
	for name, n := range u.server.Calls(t) {
		if slices.Contains(u.calls(), name) {
			this.calls += n
		}
		if own := name == "info" || strings.HasPrefix(name, "config|"); !own {
			this.commands += n
		}
	}
}

// asked is how many requests the filter decided so far, by its own metrics, and how many of its calls failed.
func (u *under) asked() (decided, errors float64) {
	switch u.filter {
	case peer:
		prefix := "cluster." + bench.Cluster + ".ratelimit."
		stats := u.envoy.Stats()
		return stats[prefix+"ok"] + stats[prefix+"over_limit"], stats[prefix+"error"]
	case proxy, mesh:
		for name, value := range u.envoy.Prometheus() {
			switch {
			case strings.HasPrefix(name, "weir_requests_total{"):
				decided += value
			case strings.HasPrefix(name, "weir_redis_calls_total{") && !strings.Contains(name, `result="ok"`):
				errors += value
			}
		}
	case none:
	}
	return decided, errors
}

// checkOne looks at one answer.
func (u *under) checkOne(t testing.TB) {
	t.Helper()
	answer, err := http.Get(u.envoy.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	want := ""
	if u.filter == proxy || u.filter == mesh {
		want = "upstream"
		if answer.StatusCode == http.StatusTooManyRequests {
			want = "error"
		}
	}
	if got := answer.Header.Get("x-weir-source"); got != want || (answer.StatusCode != http.StatusOK && u.limit != few) {
		t.Fatalf("%s: answered %s with x-weir-source %q, want %q", u.name, answer.Status, got, want)
	}
}
