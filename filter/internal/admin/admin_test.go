package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-mesh/weir/filter/adminapi"
	"github.com/weir-mesh/weir/filter/internal/admin/page"
	"github.com/weir-mesh/weir/filter/internal/replay"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/filter/version"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/policy/bulkhead"
	"github.com/weir-mesh/weir/policy/fallback"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/cache"
	"github.com/weir-mesh/weir/sharedstate/redis"
	"github.com/weir-mesh/weir/sharedstate/registry"
)

const second = int64(1e9)

// fakeMetric is a metric that a test sets.
type fakeMetric struct{ value uint64 }

func (m *fakeMetric) Value() (uint64, error) { return m.value, nil }

// fakeMetrics are all metrics by name.
type fakeMetrics struct {
	metrics map[string]*fakeMetric
	lookups int // by name
}

func (m *fakeMetrics) Counter(name string) Metric { return m.lookup(name) }
func (m *fakeMetrics) Gauge(name string) Metric   { return m.lookup(name) }

func (m *fakeMetrics) lookup(name string) *fakeMetric {
	m.lookups++
	if m.metrics[name] == nil {
		m.metrics[name] = &fakeMetric{}
	}
	return m.metrics[name]
}

func (m *fakeMetrics) set(value uint64, name string) { m.lookup(name).value = value }

// fakeAuditLog keeps the lines.
type fakeAuditLog struct{ lines []string }

func (l *fakeAuditLog) Transition(cluster string, from, to breaker.Status) {
	l.lines = append(l.lines, fmt.Sprintf("%s: %v -> %v", cluster, from, to))
}

func (l *fakeAuditLog) Action(cluster, action string) { l.lines = append(l.lines, cluster+": "+action) }

func (l *fakeAuditLog) Error(err error) { l.lines = append(l.lines, "error: "+err.Error()) }

// fixture is a handler with all that it needs.
type fixture struct {
	testing.TB
	store   *sharedstate.Memory
	metrics *fakeMetrics
	audit   fakeAuditLog
	handler *Handler
	now     Instant
}

// newFixture publishes the clusters of a policy document.
func newFixture(t testing.TB, document string) *fixture {
	t.Helper()
	f := &fixture{
		TB: t, store: sharedstate.NewMemory(), metrics: &fakeMetrics{metrics: map[string]*fakeMetric{}},
		now: Instant{Monotonic: 1000 * second, Wall: 1_700_000_000 * second},
	}
	f.handler = NewHandler(f.store, [2]uint64{1, 2}, []string{"Weir.example.com."}, adminapi.Envoy{Node: "edge-1", Version: "1.40.0"}, f.metrics, &f.audit, func(string) bulkhead.Shown { return nil })
	f.publish(document)
	return f
}

// publish gives a document a heartbeat.
func (f *fixture) publish(document string) {
	f.Helper()
	d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		f.Fatal(err)
	}
	p := registry.NewPublisher(f.store, d.Hash, d.Redis != nil)
	for _, c := range d.Clusters {
		if !strings.Contains(c.Pattern, "*") {
			p.Add(registry.Entry{Cluster: c.Pattern, Policy: *c.Policy}.WithRedis(d.Redis))
		}
	}
	if _, err := p.Heartbeat(f.now.Monotonic); err != nil {
		f.Fatal(err)
	}
}

func (f *fixture) request(method, target string, change ...func(r *Request)) Response {
	f.Helper()
	r := &Request{Method: method, Target: target, Host: "127.0.0.1:9902", Ended: true}
	for _, c := range change {
		c(r)
	}
	response := f.handler.Handle(r, f.now)
	for waits := response.Waits; waits != 0 && response.Waits != 0; {
		if done, later := f.handler.Continue(f.now); done == waits {
			response = later
		}
	}
	return response
}

// get decodes GET /status, or GET /status/CLUSTER.
func get[T adminapi.Status | adminapi.Cluster](f *fixture, target string) (got T) {
	f.Helper()
	r := f.request("GET", target)
	if err := json.Unmarshal(r.Body, &got); err != nil || r.Status != 200 {
		f.Fatalf("GET %s: got %d %s, error %v; want 200 with JSON", target, r.Status, r.Body, err)
	}
	return got
}

func (r *Response) header(name string) string {
	for _, h := range r.Headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// errorOf is the message of an error response.
func errorOf(t *testing.T, r Response) string {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal(r.Body, &e); err != nil {
		t.Fatalf("got body %s, %v, want JSON", r.Body, err)
	}
	return e.Error
}

// record changes a cluster's record as requests would.
// keep keeps one answer of a cluster and returns how many bytes that takes.
func (f *fixture) keep(cluster string) (bytes float64) {
	f.Helper()
	now := f.now.Monotonic
	head, ok := cache.AppendHead(nil, &cache.Meta{
		Key: sharedstate.Fingerprint{Hi: 1, Lo: 2}, Path: 3, Stored: now, Status: 200, Lifetime: cache.None, StaleIfError: cache.None,
	}, func(func(name, value string) bool) {})
	answer := append(head, "kept"...)
	if stored, _, err := cache.New(f.store, cluster, 256).Put(answer, now, now); !ok || !stored || err != nil {
		f.Fatalf("kept: %t, %t, %v; want it kept", ok, stored, err)
	}
	return float64(len(answer))
}

func (f *fixture) record(cluster string, change func(r *sharedstate.Record)) {
	f.Helper()
	var r sharedstate.Record
	_, err := sharedstate.NewCell(f.store, sharedstate.ClusterKey(cluster), &r).Update(func() bool { change(&r); return true })
	if err != nil {
		f.Fatal(err)
	}
}

const everything = `{"clusters": {
	"aws": {
		"circuit_breaker": {"failure_threshold": 3, "recovery_timeout": "30s", "failure_rate": {"threshold": 0.25}},
		"rate_limit": {"requests": 16, "window_size": "10s"},
		"retry": {"budget": {"percent": 0, "min_per_second": 2}},
		"fallback": {},
		"bulkhead": {"max_concurrent": 7},
		"failover": {"to": ["b", "c"]}},
	"b/2 <x>": {"mode": "shadow", "rate_limit": {"algorithm": "token_bucket", "burst_capacity": 5, "refill_rate": 0.5, "key": [{"header": "x-tenant"}]}},
	"bare": {"mode": "off"},
	"*.pattern": {}}}`

func TestStatusShowsARefusedPolicy(t *testing.T) {
	f := newFixture(t, `{"default": {}}`)
	refused := registry.Refused{At: f.now.Monotonic, Reasons: []string{"clusters.aws.retry.via: missing", `default: got "<b>"`}}
	for _, want := range []string{
		`"policy_refused":{"at":"2023-11-14T22:13:20.000Z","reasons":["clusters.aws.retry.via: missing","default: got \"\u003cb\u003e\""]}`, "",
	} {
		if want == "" {
			refused = registry.Refused{} // another one started
		}
		if err := registry.PublishRefused(f.store, refused); err != nil {
			t.Fatal(err)
		}
		got := string(f.request("GET", "/status").Body)
		if shown := strings.Contains(got, "policy_refused"); shown != (want != "") || !strings.Contains(got, want) {
			t.Errorf("with %+v: got %s, want %q", refused, got, want)
		}
	}
}

func TestStatusOfAFreshCluster(t *testing.T) {
	f := newFixture(t, everything)
	r := f.request("GET", "/status")
	want := `{"time":"2023-11-14T22:13:20.000Z","version":"` + version.Module + `","envoy":{"node":"edge-1","version":"1.40.0","since":null},"clusters":{` +
		`"aws":{"mode":"enforce","unseen":true,"circuit_breaker":{"state":"closed","forced":"auto","since":null,"cause":null,"failure_count":0,"success_count":0,"opened_at":null,` +
		`"retry_after":0,"opens_total":0,"failure_threshold":3,"success_threshold":3,"recovery_timeout":30,"failure_rate_threshold":0.25,"slow_calls_threshold":null},` +
		`"rate_limit":{"algorithm":"sliding_window","scope":"proxy","requests_per_minute":96,"configured_requests_per_minute":96,"remaining":16,"success_rate":null,"limited_total":0,"keyed":false,"window":10},` +
		`"requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},` +
		`"fallback":{"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},"cache":{"entries":0,"max_entries":256,"bytes":0,"hits":0,"misses":0,"not_kept":{},"not_used":{}},` +
		`"retry":{"attempts_total":0,"exhausted_total":0,"budget_remaining":20},` +
		`"bulkhead":{"in_flight":0,"rejected_total":0,"max_concurrent":7},` +
		`"upstream":{"no_healthy_host":false,"failed_total":0,"success_rate":null},"failover":{"to":["b","c"],"to_total":0}},` +
		`"b/2 \u003cx\u003e":{"mode":"shadow","unseen":true,"rate_limit":{"algorithm":"token_bucket","scope":"proxy","requests_per_minute":30,"configured_requests_per_minute":30,` +
		`"remaining":null,"success_rate":null,"limited_total":0,"keyed":true,"window":10},` +
		`"requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},"upstream":{"no_healthy_host":false,"failed_total":0,"success_rate":null}},` +
		`"bare":{"mode":"off","requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},"upstream":{"no_healthy_host":false,"failed_total":0,"success_rate":null}}},` +
		`"redis":{"state":"off","calls_total":0,"errors_total":0},` +
		`"policies":[{"version":4093553111,"since":"2023-11-14T22:13:19.989Z"}],"transitions":[]}` + "\n"
	if r.Status != 200 || string(r.Body) != want {
		t.Errorf("got %d\n%s, want 200\n%s", r.Status, r.Body, want)
	}
	if r.header("content-type") != "application/json" || r.header("cache-control") != "no-store" ||
		r.header("x-content-type-options") != "nosniff" {
		t.Errorf("got headers %q, want JSON, no-store and nosniff", r.Headers)
	}
}

// TestStatusAndReset: the status shows what the metrics and the record say; after a reset, what was counted since.
func TestStatusAndReset(t *testing.T) {
	f := newFixture(t, everything)
	count := func(n uint64) {
		for i, decision := range []string{"allowed", "rate_limited", "circuit_open", "bulkhead_full"} {
			f.metrics.set(n+1+uint64(i), metric.RequestsTotal.With("aws", decision))
		}
		for i, source := range []string{"upstream", "cache", "stale_cache", "default", "degraded", "error"} {
			f.metrics.set(n+5+uint64(i), metric.ResponsesTotal.With("aws", source))
		}
		f.metrics.set(n/2, metric.UpstreamFailuresTotal.With("aws"))
		f.metrics.set(n+11, metric.RetriesTotal.With("aws"))
		f.metrics.set(n+12, metric.RetriesExhaustedTotal.With("aws"))
		f.metrics.set(n+13, metric.FailoversTotal.With("aws", "b"))
		f.metrics.set(0, metric.FailoversTotal.With("aws", "c"))
		f.metrics.set(n+14, metric.CacheNotKeptTotal.With("aws", "set_cookie"))
		f.metrics.set(n+15, metric.CacheNotUsedTotal.With("aws", "too_old"))
		f.metrics.set(n+16, metric.AttemptsUncarriedTotal.With("aws", "metadata"))
		f.metrics.set(n+17, metric.AttemptsUncarriedTotal.With("aws", "other_cluster"))
	}
	obstacles := registry.CacheObstacles{NotKept: 1<<fallback.SetCookie | 1<<fallback.Private, NotUsed: 1 << fallback.TooOld}
	if err := registry.NoteCacheObstacles(f.store, "aws", obstacles); err != nil {
		t.Fatal(err)
	}
	uncarried := registry.Uncarried(1<<replay.Metadata | 1<<replay.OtherCluster | 1<<replay.WentElsewhere | 1<<replay.GRPC)
	if err := registry.NoteUncarried(f.store, "aws", uncarried); err != nil {
		t.Fatal(err)
	}
	f.metrics.set(1, metric.NoHealthyHost.With("aws"))
	c := breaker.Config{FailureThreshold: 3, Recovery: 30e9, MaxRecovery: 30e9}
	f.record("aws", func(r *sharedstate.Record) {
		for range 3 {
			v := r.Breaker.Admit(&c, f.now.Monotonic)
			r.Breaker.Settle(&c, v.Ticket, breaker.Call{Outcome: breaker.Failure}, f.now.Monotonic)
		}
		r.Bulkhead.Heartbeat(9, 4, f.now.Monotonic)
	})
	f.now = Instant{Monotonic: f.now.Monotonic + 12*second, Wall: f.now.Wall + 12*second}
	f.publish(everything)
	status := func() (c adminapi.Cluster) {
		t.Helper()
		if c = get[adminapi.Cluster](f, "/status/%61ws"); c.Name != "aws" {
			t.Fatalf("got cluster %q, want aws", c.Name)
		}
		return c
	}
	kept := f.keep("aws")
	opened, reset := adminapi.Time(1_700_000_000_000), adminapi.Time(1_700_000_012_000)
	for _, n := range []float64{0, 100} {
		count(uint64(n))
		want := adminapi.Cluster{
			Name: "aws", Mode: "enforce",
			Breaker: &adminapi.Breaker{
				State: "open", Forced: "auto", Since: &opened, Cause: new("consecutive_failures"), OpenedAt: &opened, RetryAfter: 18, OpensTotal: 1,
				FailureThreshold: 3, SuccessThreshold: 3, RecoveryTimeout: 30, FailureRateThreshold: new(0.25),
			},
			RateLimit: &adminapi.RateLimit{
				Algorithm: "sliding_window", Scope: "proxy", PerMinute: 96, ConfiguredPerMinute: 96, Remaining: new(16.0), LimitedTotal: n + 2, Window: 10,
			},
			Requests: &adminapi.Requests{Allowed: n + 1, RateLimited: n + 2, CircuitOpen: n + 3, BulkheadFull: n + 4},
			Answers: &adminapi.Answers{Upstream: n + 5, Fallback: adminapi.Fallback{
				Cache: n + 6, StaleCache: n + 7, Default: n + 8, Degraded: n + 9, Error: n + 10,
			}},
			Cache: &adminapi.Cache{
				Entries: 1, MaxEntries: 256, Bytes: kept, Hits: 2*n + 13, Misses: n + 15,
				NotKept: map[string]float64{"set_cookie": n + 14}, NotUsed: map[string]float64{"too_old": n + 15},
			},
			Retry: &adminapi.Retry{AttemptsTotal: n + 11, ExhaustedTotal: n + 12, BudgetRemaining: new(20.0), Uncarried: map[string]adminapi.Uncarried{
				"metadata": {Count: n + 16, Advice: replay.Metadata.Advice()}, "other_cluster": {Count: n + 17, Advice: replay.WentElsewhere.Advice()},
			}},
			Bulkhead: &adminapi.Bulkhead{RejectedTotal: n + 4, MaxConcurrent: 7}, // worker 9 was silent for more than 5 s
			Upstream: &adminapi.Upstream{NoHealthyHost: true, FailedTotal: n / 2, SuccessRate: new(1 - n/2/(3*n+36))},
			Failover: &adminapi.Failover{To: []string{"b", "c"}, ToTotal: n + 13},
		}
		want.Fallback = &want.Answers.Fallback
		if diff := cmp.Diff(want, status()); diff != "" {
			t.Fatalf("got (+), want (-):\n%s", diff)
		}
	}
	if r := f.request("POST", "/reset/aws"); r.Status != 200 || string(r.Body) != `{"cluster":"aws","done":"reset"}`+"\n" {
		t.Fatalf("got %d %s, want 200 and done: reset", r.Status, r.Body)
	}
	got := status()
	if *got.Upstream != (adminapi.Upstream{NoHealthyHost: true}) || got.Cache.Hits+got.Cache.Misses != 0 || got.Cache.Entries != 1 {
		t.Fatalf("after the reset: got upstream %+v and cache %+v, want counts of 0, and the kept answer", got.Upstream, got.Cache)
	}
	if *got.Requests != (adminapi.Requests{}) || *got.Answers != (adminapi.Answers{}) || got.Retry.AttemptsTotal != 0 ||
		len(got.Cache.NotKept)+len(got.Cache.NotUsed)+len(got.Retry.Uncarried) > 0 ||
		got.Failover.ToTotal != 0 {
		t.Fatalf("after the reset: got counts %+v, want 0", got)
	}
	want := &adminapi.Breaker{
		State: "closed", Forced: "auto", Since: &reset, Cause: new("operator"),
		FailureThreshold: 3, SuccessThreshold: 3, RecoveryTimeout: 30, FailureRateThreshold: new(0.25),
	}
	if diff := cmp.Diff(want, got.Breaker); diff != "" {
		t.Fatalf("after the reset: got (+), want (-):\n%s", diff)
	}
	count(200)
	counted := adminapi.Requests{Allowed: 100, RateLimited: 100, CircuitOpen: 100, BulkheadFull: 100}
	if got := *status().Requests; got != counted {
		t.Fatalf("since the reset: got %+v, want %+v", got, counted)
	}
	if got, want := strings.Join(f.audit.lines, ", "), "aws: open -> closed, aws: reset"; got != want {
		t.Errorf("audit log: got %q, want %q", got, want)
	}
}

// TestResetInShadow: decisions of mode shadow are not subtracted from those of mode enforce; what counts in both modes is.
func TestResetInShadow(t *testing.T) {
	document := func(mode string) string {
		return `{"clusters": {"aws": {"mode": "` + mode + `", "rate_limit": {}}}}`
	}
	f := newFixture(t, document("shadow"))
	allowed := func(name string, want float64) {
		t.Helper()
		if got := get[adminapi.Cluster](f, "/status/aws").Requests.Allowed; got != want {
			t.Errorf("%s: got %v allowed, want %v", name, got, want)
		}
	}
	f.metrics.set(100, metric.RequestsTotal.With("aws", "shadow_allowed"))
	f.metrics.set(40, metric.ResponsesTotal.With("aws", "upstream"))
	allowed("shadow", 100)
	f.request("POST", "/reset/aws")
	f.metrics.set(101, metric.RequestsTotal.With("aws", "shadow_allowed"))
	allowed("shadow, since the reset", 1)
	f.publish(document("enforce"))
	f.metrics.set(150, metric.RequestsTotal.With("aws", "allowed"))
	f.metrics.set(45, metric.ResponsesTotal.With("aws", "upstream"))
	allowed("enforce", 150)
	if got := get[adminapi.Cluster](f, "/status/aws").Answers.Upstream; got != 5 {
		t.Errorf("enforce: got %v answers of upstream, want 5 since the reset", got)
	}
}

func TestForce(t *testing.T) {
	f := newFixture(t, everything)
	for _, tc := range []struct{ action, state, forced, audit string }{
		{"open", "open", "open", "aws: closed -> open, aws: breaker open"},
		{"open", "open", "open", "aws: breaker open"},
		{"close", "closed", "closed", "aws: open -> closed, aws: breaker close"},
		{"auto", "closed", "auto", "aws: breaker auto"},
	} {
		f.audit.lines = nil
		if r := f.request("POST", "/breaker/aws/"+tc.action); r.Status != 200 ||
			string(r.Body) != `{"cluster":"aws","done":"`+tc.action+`"}`+"\n" {
			t.Fatalf("%s: got %d %s, want 200 and done: %s", tc.action, r.Status, r.Body, tc.action)
		}
		if b := get[adminapi.Cluster](f, "/status/aws").Breaker; b.State != tc.state || b.Forced != tc.forced {
			t.Errorf("%s: got %s, forced %s, want %s, forced %s", tc.action, b.State, b.Forced, tc.state, tc.forced)
		}
		if got := strings.Join(f.audit.lines, ", "); got != tc.audit {
			t.Errorf("%s: audit log: got %q, want %q", tc.action, got, tc.audit)
		}
	}
}

func TestPage(t *testing.T) {
	f := newFixture(t, everything)
	for _, method := range []string{"GET", "HEAD"} {
		r := f.request(method, "/", func(r *Request) { r.Encodings = "gzip" })
		if r.Status != 200 || string(r.Body) != page.Gzip {
			t.Errorf("%s: got %d, %d bytes, want 200 and the page's %d", method, r.Status, len(r.Body), len(page.Gzip))
		}
		for name, want := range map[string]string{
			"content-type": page.ContentType, "content-security-policy": page.CSP, "content-encoding": "gzip",
		} {
			if got := r.header(name); got != want {
				t.Errorf("%s: got %s %q, want %q", method, name, got, want)
			}
		}
	}
}

// TestPageIsCompressed: only who accepts gzip gets it.
func TestPageIsCompressed(t *testing.T) {
	f := newFixture(t, everything)
	for _, tc := range []struct {
		encodings string
		want      int
	}{
		{"gzip, deflate, br, zstd", 200},
		{"br;q=1.0, GZIP;q=0.1", 200},
		{"*", 200},
		{",deflate,gzip", 200},
		{"gzip;q=0, *", 406},
		{"gzip; q=0.000", 406},
		{"*;q=0", 406},
		{"identity", 406},
		{"", 406},
	} {
		r := f.request("GET", "/", func(r *Request) { r.Encodings = tc.encodings })
		if r.Status != tc.want {
			t.Errorf("accept-encoding %q: got %d, want %d", tc.encodings, r.Status, tc.want)
		}
		if tc.want == 406 && (r.header("content-encoding") != "" || !strings.Contains(string(r.Body), "curl --compressed")) {
			t.Errorf("accept-encoding %q: got %q, want a text that says what to do", tc.encodings, r.Body)
		}
	}
}

// TestMetricsAreLookedUpOnce, however many clusters there are: Envoy allocates an id each time a metric is looked up,
// and frees it only with the VM. The state of clusters that are no longer listed is dropped.
func TestMetricsAreLookedUpOnce(t *testing.T) {
	document := func(clusters int) string {
		var b strings.Builder
		b.WriteString(`{"clusters": {"a0": {}`)
		for i := 1; i < clusters; i++ {
			fmt.Fprintf(&b, `, "a%d": {}`, i)
		}
		return b.String() + "}}"
	}
	f := newFixture(t, document(5000))
	listed := func(want int) {
		t.Helper()
		if got := len(get[adminapi.Status](f, "/status").Clusters); got != want {
			t.Fatalf("got %d clusters, want %d", got, want)
		}
	}
	listed(5000)
	f.now.Monotonic += 2 * second // or the status is the kept one
	f.publish(document(5000))
	before := f.metrics.lookups
	listed(5000)
	if got := f.metrics.lookups - before; got != 0 {
		t.Errorf("a second time: got %d metrics looked up, want 0", got)
	}
	f.now.Monotonic += 10 * second
	f.publish(document(3))
	listed(3)
	if got := len(f.handler.clusters); got != 3 {
		t.Errorf("got %d clusters kept, want 3", got)
	}
}

// TestRedisState: what the plugins publish about Redis.
func TestRedisState(t *testing.T) {
	const document = `{"clusters": {"aws": {"rate_limit": {"scope": "mesh", "requests": 100}}}, "redis": {"token": "s3cret"}}`
	f := newFixture(t, document)
	decoded, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	for result, n := range map[string]uint64{"ok": 7, "unavailable": 2, "too_large": 1} {
		f.metrics.set(n, metric.RedisCallsTotal.With(result))
	}
	status := func() adminapi.Status {
		t.Helper()
		if body := string(f.request("GET", "/status").Body); strings.Contains(body, "s3cret") {
			t.Fatalf("got %s, want no token", body)
		}
		return get[adminapi.Status](f, "/status")
	}
	got := status()
	if want := (adminapi.Redis{State: "ok", CallsTotal: 10, ErrorsTotal: 3}); *got.Redis != want {
		t.Errorf("got Redis %+v, want %+v", *got.Redis, want)
	}
	if remaining := *got.Clusters["aws"].RateLimit.Remaining; remaining != 100 {
		t.Errorf("before Redis replied: got %v remaining, want 100", remaining)
	}
	failed := registry.CallsSince{Failed: &registry.RedisFailure{Kind: uint8(redis.Refused), Cluster: "aws", Detail: "MOVED 7 10.0.0.1:6379"}}
	if err := failed.Publish(f.store, f.now.Monotonic); err != nil {
		t.Fatal(err)
	}
	view := registry.RedisView{
		PublishedAt: f.now.Monotonic, RedisTime: 5, Limit: 50, Remaining: 20, SuccessRatio: 0.5,
		SuccessRatioKnown: true,
	}
	if err := view.Publish(f.store, "aws", decoded.For("aws").RateLimit); err != nil {
		t.Fatal(err)
	}
	got = status()
	last := got.Redis.LastError
	if got.Redis.State != "trouble" || last == nil || last.Name != "MOVED" || last.Message != "MOVED 7 10.0.0.1:6379" || last.Cluster != "aws" ||
		!strings.Contains(last.Advice, "redis+cluster://") || last.At == nil {
		t.Errorf("after a failed call: got state %s, last error %+v, want trouble and MOVED for aws with its advice", got.Redis.State, last)
	}
	if err := f.store.Set(sharedstate.LiveKey("aws"), []byte{7, 0, 0, 0, 0, 0, 0, 0}, 0); err != nil {
		t.Fatal(err)
	}
	got = status()
	want := &adminapi.RateLimit{
		WithoutRedis: &adminapi.WithoutRedis{Since: got.Time, OnError: "local", Proxies: 7, PerMinute: new(14.0)},
		Algorithm:    "sliding_window", Scope: "mesh", PerMinute: 50, ConfiguredPerMinute: 100, Remaining: new(20.0), SuccessRate: new(0.5), Window: 60,
	}
	if diff := cmp.Diff(want, got.Clusters["aws"].RateLimit); diff != "" {
		t.Errorf("after a reply: got (+), want (-):\n%s", diff)
	}
	for name, end := range map[string]registry.CallsSince{
		"another limit's failure": {Failed: &registry.RedisFailure{Kind: uint8(redis.Refused), Cluster: "gcp", Detail: "WRONGTYPE"}},
		"success":                 {Succeeded: true},
	} {
		f.now.Monotonic += 3 * second
		f.publish(document)
		if err := end.Publish(f.store, f.now.Monotonic); err != nil {
			t.Fatal(err)
		}
		if l := get[adminapi.Cluster](f, "/status/aws").RateLimit; l.WithoutRedis != nil {
			t.Errorf("after %s: got %+v, want Redis to decide", name, *l.WithoutRedis)
		}
	}
}

// TestOnError: what a limit of scope mesh does while calls to Redis fail.
func TestOnError(t *testing.T) {
	for onError, want := range map[string]*float64{"local": new(96.0), "allow": nil, "deny": nil} {
		f := newFixture(t, `{"clusters": {"aws": {"rate_limit": {"scope": "mesh", "requests": 49, "window_size": "15s"}}, "gcp": {"rate_limit": {}}},
			"redis": {"on_error": "`+onError+`", "expected_proxies": 2}}`)
		failed := registry.CallsSince{Failed: &registry.RedisFailure{Kind: uint8(redis.Unavailable)}}
		for range 2 { // the trouble began with the first failure
			if err := failed.Publish(f.store, f.now.Monotonic); err != nil {
				t.Fatal(err)
			}
			f.now = Instant{Monotonic: f.now.Monotonic + second, Wall: f.now.Wall + second}
		}
		f.now.Monotonic, f.now.Wall = f.now.Monotonic+2*second, f.now.Wall+2*second
		clusters := get[adminapi.Status](f, "/status").Clusters
		expected := &adminapi.WithoutRedis{Since: 1_700_000_000_000, OnError: onError, Proxies: 2, PerMinute: want}
		if diff := cmp.Diff(expected, clusters["aws"].RateLimit.WithoutRedis); diff != "" {
			t.Errorf("%s: got (+), want (-):\n%s", onError, diff)
		}
		if w := clusters["gcp"].RateLimit.WithoutRedis; w != nil {
			t.Errorf("%s: of a limit of scope proxy: got %+v, want nothing", onError, *w)
		}
	}
}

// TestSuccessRateOverModes: failures are of both modes, and so is what they are divided by.
func TestSuccessRateOverModes(t *testing.T) {
	for _, mode := range []string{"enforce", "shadow"} {
		f := newFixture(t, `{"clusters": {"aws": {"mode": "`+mode+`", "rate_limit": {}}}}`)
		for decision, n := range map[string]uint64{"allowed": 10, "rate_limited": 4, "circuit_open": 1, "shadow_allowed": 80, "shadow_rate_limited": 10} {
			f.metrics.set(n, metric.RequestsTotal.With("aws", decision))
		}
		f.metrics.set(95, metric.ResponsesTotal.With("aws", "upstream"))
		f.metrics.set(6, metric.ResponsesTotal.With("aws", "default")) // to one that was refused, and to 5 that failed
		f.metrics.set(4, metric.ResponsesTotal.With("aws", "error"))
		f.metrics.set(25, metric.UpstreamFailuresTotal.With("aws"))
		if got := get[adminapi.Cluster](f, "/status/aws").Upstream.SuccessRate; got == nil || *got != .75 {
			t.Errorf("%s: got %v, want 0.75 of 100 requests", mode, got)
		}
	}
	f := newFixture(t, `{"clusters": {"aws": {}}}`)
	f.metrics.set(5, metric.RequestsTotal.With("aws", "shadow_allowed"))
	f.metrics.set(5, metric.ResponsesTotal.With("aws", "upstream"))
	if c := get[adminapi.Cluster](f, "/status/aws"); c.Unseen {
		t.Error("after requests in shadow: got a cluster to which no request went")
	}
}

// TestTransitions: all clusters' changes are shown, the newest first, and a cluster's own beside it.
func TestTransitions(t *testing.T) {
	f := newFixture(t, `{"clusters": {"aws": {"circuit_breaker": {}}, "gcp": {"circuit_breaker": {}}, "none": {}}}`)
	for i := range 40 {
		c := registry.Change{At: f.now.Monotonic + int64(i)*second, From: breaker.Closed, To: breaker.Open, Cluster: "aws", Cause: strings.Repeat("x", 300)}
		if i == 38 {
			c.Cluster, c.From, c.To, c.Cause = "gcp", breaker.Open, breaker.HalfOpen, "recovery_timeout"
		}
		if err := c.Publish(f.store); err != nil {
			t.Fatal(err)
		}
	}
	all := get[adminapi.Status](f, "/status").Transitions
	if len(all) != registry.MaxChanges {
		t.Fatalf("got %d transitions, want %d", len(all), registry.MaxChanges)
	}
	want := adminapi.Transition{At: adminapi.Time(1_700_000_038_000), Cluster: "gcp", From: "open", To: "half_open", Cause: "recovery_timeout"}
	if all[1] != want || all[0].Cause != strings.Repeat("x", 255) || all[31].At != adminapi.Time(1_700_000_008_000) {
		t.Errorf("got %+v, %+v … %+v, want %+v as the second", all[0], all[1], all[31], want)
	}
	for cluster, n := range map[string]int{"aws": 31, "gcp": 1, "none": 0} {
		if got := get[adminapi.Cluster](f, "/status/"+cluster).Transitions; len(got) != n {
			t.Errorf("%s: got %d transitions, want %d", cluster, len(got), n)
		}
	}
}

// TestEnvoy: which proxy answers, and since when it counts.
func TestEnvoy(t *testing.T) {
	f := newFixture(t, everything)
	for range 2 { // the first worker's start counts
		if err := sharedstate.MarkStart(f.store, f.now.Monotonic); err != nil {
			t.Fatal(err)
		}
		f.now = Instant{Monotonic: f.now.Monotonic + 9*second, Wall: f.now.Wall + 9*second}
	}
	want := &adminapi.Envoy{Node: "edge-1", Version: "1.40.0", Since: new(adminapi.Time(1_700_000_000_000))}
	if diff := cmp.Diff(want, get[adminapi.Status](f, "/status").Envoy); diff != "" {
		t.Errorf("got (+), want (-):\n%s", diff)
	}
}

// brokenStore fails to read.
type brokenStore struct{ *sharedstate.Memory }

func (brokenStore) Get(string) ([]byte, uint32, error) { return nil, 0, errors.New("host failed") }

func TestInternalErrors(t *testing.T) {
	f := newFixture(t, everything)
	f.handler.store = brokenStore{f.store}
	for _, tc := range [][2]string{
		{"GET", "/status"},
		{"GET", "/status/aws"},
		{"POST", "/reset/aws"},
		{"POST", "/breaker/aws/open"},
		{"POST", "/cache/invalidate?cluster=aws"},
	} {
		f.audit.lines = nil
		r := f.request(tc[0], tc[1])
		if got := errorOf(t, r); r.Status != 500 || got != "host failed" {
			t.Errorf("%s %s: got %d %q, want 500 \"host failed\"", tc[0], tc[1], r.Status, got)
		}
		if got := strings.Join(f.audit.lines, ", "); got != "error: host failed" {
			t.Errorf("%s %s: audit log: got %q, want the error once", tc[0], tc[1], got)
		}
	}
}

// FuzzHandle: every request gets a response of the API, and only a POST that no browser sent for another site changes
// anything.
func FuzzHandle(f *testing.F) {
	f.Add("GET", "/status", "localhost", "", "")
	f.Add("POST", "/breaker/aws/open", "localhost", "http://localhost", "same-origin")
	f.Add("POST", "/cache/invalidate?cluster=aws&path=%2f", "[::1]:1", "null", "")
	f.Fuzz(func(t *testing.T, method, target, host, origin, site string) {
		f := newFixture(t, everything)
		r := f.handler.Handle(&Request{Method: method, Target: target, Host: host, Origin: origin, FetchSite: site, Ended: true}, f.now)
		if r.Status < 200 || r.Status >= 500 || r.header("cache-control") != "no-store" {
			t.Fatalf("got %d %q, want 200 to 499 and no-store", r.Status, r.Headers)
		}
		if r.header("content-type") == "application/json" && !json.Valid(r.Body) {
			t.Fatalf("got %q, want JSON", r.Body)
		}
		if len(f.audit.lines) > 0 && (method != "POST" || (site != "" && site != "same-origin" && site != "none")) {
			t.Fatalf("%s by %q from %q: got %q done, want nothing", method, site, origin, f.audit.lines)
		}
	})
}
