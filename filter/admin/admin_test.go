package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weir-mesh/weir/filter/admin/page"
	"github.com/weir-mesh/weir/filter/flow"
	"github.com/weir-mesh/weir/filter/metric"
	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/breaker"
	"github.com/weir-mesh/weir/sharedstate"
	"github.com/weir-mesh/weir/sharedstate/directory"
)

const second = int64(1e9)

// number is a metric that a test sets.
type number struct{ n uint64 }

func (v *number) Value() (uint64, error) { return v.n, nil }

// numbers are all metrics.
type numbers map[string]*number

// named is a metric that tells how often any was asked for by its name.
const named = "named"

func (m numbers) Counter(name string) Metric { m.at(named).n++; return m.at(name) }
func (m numbers) Gauge(name string) Metric   { m.at(named).n++; return m.at(name) }

func (m numbers) at(name string) *number {
	if m[name] == nil {
		m[name] = &number{}
	}
	return m[name]
}

func (m numbers) set(n uint64, name, cluster string, labels ...[2]string) {
	m.at(metric.Of(name, cluster, labels...)).n = n
}

// diary is a journal.
type diary struct{ lines []string }

func (d *diary) Transition(cluster string, from, to breaker.Status) {
	d.lines = append(d.lines, fmt.Sprintf("%s: %v -> %v", cluster, from, to))
}
func (d *diary) Done(cluster, what string) { d.lines = append(d.lines, cluster+": "+what) }
func (d *diary) Fault(err error)           { d.lines = append(d.lines, "fault: "+err.Error()) }

// office is a desk with all that it knows.
type office struct {
	*testing.T
	store   *sharedstate.Memory
	metrics numbers
	diary   diary
	desk    *Desk
	now     Moment
}

func newOffice(t *testing.T, document string) *office {
	t.Helper()
	o := &office{T: t, store: sharedstate.NewMemory(), metrics: numbers{}, now: Moment{Now: 1000 * second, Wall: 1_700_000_000 * second}}
	o.desk = NewDesk(o.store, nil, []string{"Weir.example.com."}, o.metrics, &o.diary)
	o.beat(document)
	return o
}

func (o *office) ask(method, target string, change ...func(r *Request)) Answer {
	o.Helper()
	r := &Request{Method: method, Target: target, Host: "127.0.0.1:9902", Ended: true}
	for _, c := range change {
		c(r)
	}
	return o.desk.Answer(r, o.now)
}

func (a *Answer) header(name string) string {
	for _, h := range a.Headers {
		if h[0] == name {
			return h[1]
		}
	}
	return ""
}

// errorOf is what an answer says no with.
func errorOf(t *testing.T, a Answer) string {
	t.Helper()
	var e struct{ Error string }
	if err := json.Unmarshal(a.Body, &e); err != nil {
		t.Fatalf("%s: %v", a.Body, err)
	}
	return e.Error
}

// record changes a cluster's record as requests would.
func (o *office) record(cluster string, change func(r *sharedstate.Record)) {
	o.Helper()
	var r sharedstate.Record
	_, err := sharedstate.NewCell(o.store, sharedstate.ClusterKey(cluster), &r).Update(func() bool { change(&r); return true })
	if err != nil {
		o.Fatal(err)
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

func TestStatusOfAFreshCluster(t *testing.T) {
	o := newOffice(t, everything)
	a := o.ask("GET", "/status")
	want := `{"time":"2023-11-14T22:13:20.000Z","clusters":{` +
		`"aws":{"mode":"enforce","circuit_breaker":{"state":"closed","forced":"auto","since":null,"cause":null,"failure_count":0,"success_count":0,"opened_at":null,` +
		`"retry_after":0,"opens_total":0,"failure_threshold":3,"success_threshold":3,"recovery_timeout":30,"failure_rate_threshold":0.25,"slow_calls_threshold":null},` +
		`"rate_limit":{"algorithm":"sliding_window","scope":"proxy","requests_per_minute":96,"configured_requests_per_minute":96,"remaining":16,"success_rate":null,"limited_total":0,"keyed":false,"window":10},` +
		`"requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},` +
		`"fallback":{"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},` +
		`"retry":{"attempts_total":0,"exhausted_total":0,"budget_remaining":20},` +
		`"bulkhead":{"in_flight":0,"rejected_total":0,"max_concurrent":7},` +
		`"upstream":{"no_healthy_host":false},"failover":{"to":["b","c"],"to_total":0}},` +
		`"b/2 \u003cx\u003e":{"mode":"shadow","rate_limit":{"algorithm":"token_bucket","scope":"proxy","requests_per_minute":30,"configured_requests_per_minute":30,` +
		`"remaining":null,"success_rate":null,"limited_total":0,"keyed":true,"window":10},` +
		`"requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},"upstream":{"no_healthy_host":false}},` +
		`"bare":{"mode":"off","requests":{"allowed":0,"rate_limited":0,"circuit_open":0,"bulkhead_full":0},` +
		`"answers":{"upstream":0,"cache":0,"stale_cache":0,"default":0,"degraded":0,"error":0},"upstream":{"no_healthy_host":false}}},` +
		`"redis":{"state":"off","calls_total":0,"errors_total":0}}` + "\n"
	if a.Status != 200 || string(a.Body) != want {
		t.Errorf("%d\n%s, want\n%s", a.Status, a.Body, want)
	}
	if a.header("content-type") != "application/json" || a.header("cache-control") != "no-store" || a.header("x-content-type-options") != "nosniff" {
		t.Errorf("headers: %q", a.Headers)
	}
}

// TestStatusAndReset: what the metrics and the record say is what is shown; after a reset, what came since.
func TestStatusAndReset(t *testing.T) {
	o := newOffice(t, everything)
	decision := func(n uint64, name string) {
		o.metrics.set(n, "weir_requests_total", "aws", [2]string{"decision", name})
	}
	source := func(n uint64, name string) {
		o.metrics.set(n, "weir_responses_total", "aws", [2]string{"source", name})
	}
	count := func(n uint64) {
		decision(n+1, "allowed")
		decision(n+2, "rate_limited")
		decision(n+3, "circuit_open")
		decision(n+4, "bulkhead_full")
		source(n+5, "upstream")
		source(n+6, "cache")
		source(n+7, "stale_cache")
		source(n+8, "default")
		source(n+9, "degraded")
		source(n+10, "error")
		o.metrics.set(n+11, "weir_retries_total", "aws")
		o.metrics.set(n+12, "weir_retries_exhausted_total", "aws")
		o.metrics.set(n+13, "weir_failovers_total", "aws", [2]string{"to", "b"})
		o.metrics.set(0, "weir_failovers_total", "aws", [2]string{"to", "c"})
	}
	o.metrics.set(1, "weir_no_healthy_host", "aws")
	c := breaker.Config{FailureThreshold: 3, Recovery: 30e9, MaxRecovery: 30e9}
	o.record("aws", func(r *sharedstate.Record) {
		for range 3 {
			v := r.Breaker.Admit(&c, o.now.Now)
			r.Breaker.Settle(&c, v.Ticket, breaker.Call{Outcome: breaker.Failure}, o.now.Now)
		}
		r.Bulkhead.Heartbeat(9, 4, o.now.Now)
	})
	o.now = Moment{Now: o.now.Now + 12*second, Wall: o.now.Wall + 12*second}
	o.beat(everything)
	read := func() Cluster {
		t.Helper()
		var got Cluster
		a := o.ask("GET", "/status/%61ws")
		if err := json.Unmarshal(a.Body, &got); err != nil || a.Status != 200 || got.Name != "aws" {
			t.Fatalf("%d %s %v", a.Status, a.Body, err)
		}
		return got
	}
	for _, n := range []uint64{0, 100} {
		count(n)
		got := read()
		if got.Requests != (Requests{n + 1, n + 2, n + 3, n + 4}) ||
			got.Answers != (Answers{n + 5, Fallback{n + 6, n + 7, n + 8, n + 9, n + 10}}) || *got.Fallback != got.Answers.Fallback ||
			got.Retry.Attempts != n+11 || got.Retry.Exhausted != n+12 || got.Failover.Total != n+13 ||
			got.RateLimit.Limited != n+2 || got.Bulkhead.Rejected != n+4 || !got.Upstream.NoHealthyHost {
			t.Fatalf("%+v", got)
		}
		b := got.Breaker
		if b.State != "open" || b.OpensTotal != 1 || *b.Since != "2023-11-14T22:13:20.000Z" || *b.OpenedAt != *b.Since || b.RetryAfter != 18 ||
			*b.Cause != "consecutive_failures" || *b.FailureRate != 0.25 || b.SlowCalls != nil {
			t.Fatalf("%+v", b)
		}
	}
	if a := o.ask("POST", "/reset/aws"); a.Status != 200 || string(a.Body) != `{"cluster":"aws","done":"reset"}`+"\n" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	got := read()
	b := got.Breaker
	if got.Requests != (Requests{}) || got.Answers != (Answers{}) || got.Retry.Attempts != 0 || got.Failover.Total != 0 ||
		b.State != "closed" || b.OpensTotal != 0 || b.FailureCount != 0 || b.OpenedAt != nil || *b.Since != "2023-11-14T22:13:32.000Z" || *b.Cause != "operator" {
		t.Fatalf("after a reset: %+v %+v", got, b)
	}
	count(200)
	if got := read(); got.Requests != (Requests{100, 100, 100, 100}) {
		t.Fatalf("since the reset: %+v", got.Requests)
	}
	if want := "aws: open -> closed, aws: reset"; strings.Join(o.diary.lines, ", ") != want {
		t.Errorf("journal: %q", o.diary.lines)
	}
}

// TestResetInShadow: what was counted in shadow is no baseline for what is counted in earnest.
func TestResetInShadow(t *testing.T) {
	document := func(mode string) string {
		return `{"clusters": {"aws": {"mode": "` + mode + `", "rate_limit": {}}}}`
	}
	o := newOffice(t, document("shadow"))
	allowed := func() uint64 {
		t.Helper()
		var got Cluster
		if err := json.Unmarshal(o.ask("GET", "/status/aws").Body, &got); err != nil {
			t.Fatal(err)
		}
		return got.Requests.Allowed
	}
	o.metrics.set(100, "weir_requests_total", "aws", [2]string{"decision", "shadow_allowed"})
	if n := allowed(); n != 100 {
		t.Errorf("in shadow: %d", n)
	}
	o.ask("POST", "/reset/aws")
	o.metrics.set(101, "weir_requests_total", "aws", [2]string{"decision", "shadow_allowed"})
	if n := allowed(); n != 1 {
		t.Errorf("in shadow, since the reset: %d", n)
	}
	o.beat(document("enforce"))
	o.metrics.set(150, "weir_requests_total", "aws", [2]string{"decision", "allowed"})
	if n := allowed(); n != 150 {
		t.Errorf("in earnest: %d", n)
	}
}

// beat gives a document a sign of life.
func (o *office) beat(document string) {
	o.Helper()
	d, err := policy.Decode([]byte(document), func(string) (string, bool) { return "", false })
	if err != nil {
		o.Fatal(err)
	}
	worker, err := flow.NewWorker(o.store, [16]byte{1})
	if err != nil {
		o.Fatal(err)
	}
	if _, err := flow.NewPublication(worker, []byte(document), d, nil).Beat(o.now.Now); err != nil {
		o.Fatal(err)
	}
	o.desk.worker = worker
}

func TestForce(t *testing.T) {
	o := newOffice(t, everything)
	for _, tc := range []struct{ word, state, forced, journal string }{
		{"open", "open", "open", "aws: closed -> open"},
		{"open", "open", "open", ""},
		{"close", "closed", "closed", "aws: open -> closed"},
		{"auto", "closed", "auto", ""},
	} {
		o.diary.lines = nil
		if a := o.ask("POST", "/breaker/aws/"+tc.word); a.Status != 200 || string(a.Body) != `{"cluster":"aws","done":"`+tc.word+`"}`+"\n" {
			t.Fatalf("%s: %d %s", tc.word, a.Status, a.Body)
		}
		var got Cluster
		if err := json.Unmarshal(o.ask("GET", "/status/aws").Body, &got); err != nil || got.Breaker.State != tc.state || got.Breaker.Forced != tc.forced {
			t.Errorf("%s: %+v %v", tc.word, got.Breaker, err)
		}
		want := "aws: breaker " + tc.word
		if tc.journal != "" {
			want = tc.journal + ", " + want
		}
		if got := strings.Join(o.diary.lines, ", "); got != want {
			t.Errorf("%s: journal %q, want %q", tc.word, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	o := newOffice(t, everything)
	for _, method := range []string{"GET", "HEAD"} {
		a := o.ask(method, "/")
		if a.Status != 200 || string(a.Body) != string(page.HTML) || a.header("content-type") != page.ContentType || a.header("content-security-policy") != page.CSP {
			t.Errorf("%s: %d %q", method, a.Status, a.Headers)
		}
	}
}

// TestMetricsAreNamedOnce, however many clusters there are: Envoy keeps something of each time that one is named until the VM is
// gone. What is kept of clusters that are gone is let go.
func TestMetricsAreNamedOnce(t *testing.T) {
	document := func(clusters int) string {
		var b strings.Builder
		b.WriteString(`{"clusters": {"a0": {}`)
		for i := 1; i < clusters; i++ {
			fmt.Fprintf(&b, `, "a%d": {}`, i)
		}
		return b.String() + "}}"
	}
	o := newOffice(t, document(5000))
	shown := func() int {
		t.Helper()
		var s Status
		if err := json.Unmarshal(o.ask("GET", "/status").Body, &s); err != nil {
			t.Fatal(err)
		}
		return len(s.Clusters)
	}
	if n := shown(); n != 5000 {
		t.Fatalf("%d clusters", n)
	}
	before := o.metrics.at(named).n
	if n := shown(); n != 5000 || o.metrics.at(named).n != before {
		t.Errorf("%d clusters, for which %d metrics were named again", n, o.metrics.at(named).n-before)
	}
	o.now.Now += 10 * second
	o.beat(document(3))
	if n := shown(); n != 3 || len(o.desk.clusters) != 3 {
		t.Errorf("%d clusters are shown, %d are kept", n, len(o.desk.clusters))
	}
}

// TestRedisState: what the plugins publish of Redis.
func TestRedisState(t *testing.T) {
	o := newOffice(t, `{"clusters": {"aws": {"rate_limit": {"scope": "mesh", "requests": 100}}}, "redis": {"token": "s3cret"}}`)
	result := func(n uint64, name string) {
		o.metrics.at(metric.Name("weir_redis_calls_total", [2]string{"result", name})).n = n
	}
	result(7, "ok")
	result(2, "unavailable")
	result(1, "too_large")
	status := func() Status {
		t.Helper()
		var s Status
		a := o.ask("GET", "/status")
		if err := json.Unmarshal(a.Body, &s); err != nil || strings.Contains(string(a.Body), "s3cret") {
			t.Fatalf("%s %v", a.Body, err)
		}
		return s
	}
	if got := status(); got.Redis != (Redis{"ok", 10, 3}) || *got.Clusters["aws"].RateLimit.Remaining != 100 {
		t.Errorf("%+v %+v", got.Redis, got.Clusters["aws"].RateLimit)
	}
	if err := directory.PublishCall(o.store, true, o.now.Now); err != nil {
		t.Fatal(err)
	}
	told := directory.Told{At: o.now.Now, Asked: 5, Limit: 50, Remaining: 20, Ratio: 0.5, RatioKnown: true}
	if err := told.Publish(o.store, "aws"); err != nil {
		t.Fatal(err)
	}
	got := status()
	l := got.Clusters["aws"].RateLimit
	if got.Redis.State != "trouble" || *l.Remaining != 20 || l.PerMinute != 50 || l.Configured != 100 || *l.SuccessRate != 0.5 {
		t.Errorf("%+v %+v", got.Redis, l)
	}
}

// broken fails.
type broken struct{ *sharedstate.Memory }

func (broken) Get(string) ([]byte, uint32, error) { return nil, 0, errors.New("host on fire") }

func TestFaults(t *testing.T) {
	o := newOffice(t, everything)
	o.desk.store = broken{o.store}
	for _, tc := range [][2]string{{"GET", "/status"}, {"GET", "/status/aws"}, {"POST", "/reset/aws"}, {"POST", "/breaker/aws/open"}, {"POST", "/cache/invalidate?cluster=aws"}} {
		o.diary.lines = nil
		if a := o.ask(tc[0], tc[1]); a.Status != 500 || errorOf(t, a) != "host on fire" || len(o.diary.lines) != 1 {
			t.Errorf("%s: %d %s, journal %q", tc[1], a.Status, a.Body, o.diary.lines)
		}
	}
}

// FuzzAnswer: whatever is asked for, the answer is one of ours, and only a POST without a browser's mark changes anything.
func FuzzAnswer(f *testing.F) {
	f.Add("GET", "/status", "localhost", "", "")
	f.Add("POST", "/breaker/aws/open", "localhost", "http://localhost", "same-origin")
	f.Add("POST", "/cache/invalidate?cluster=aws&path=%2f", "[::1]:1", "null", "")
	f.Fuzz(func(t *testing.T, method, target, host, origin, site string) {
		o := newOffice(t, everything)
		a := o.desk.Answer(&Request{Method: method, Target: target, Host: host, Origin: origin, FetchSite: site, Ended: true}, o.now)
		if a.Status < 200 || a.Status > 500 || a.Status == 500 || a.header("cache-control") != "no-store" {
			t.Fatalf("%d %q", a.Status, a.Headers)
		}
		if a.header("content-type") == "application/json" && !json.Valid(a.Body) {
			t.Fatalf("%q", a.Body)
		}
		if len(o.diary.lines) > 0 && (method != "POST" || (site != "" && site != "same-origin" && site != "none")) {
			t.Fatalf("%s by %q from %q did %q", method, site, origin, o.diary.lines)
		}
	})
}
