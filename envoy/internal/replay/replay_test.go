package replay

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/weir-mesh/weir/envoy/internal/replay/accesslog"
	"github.com/weir-mesh/weir/envoy/internal/replay/replaytest"
	"github.com/weir-mesh/weir/envoy/policyfile"
	"github.com/weir-mesh/weir/policy"
)

var update = flag.Bool("update", false, "write the golden files")

func prepare(t testing.TB, yaml string) *Prepared {
	t.Helper()
	asJSON, err := policyfile.JSON([]byte(yaml))
	if err != nil {
		t.Fatal(err)
	}
	document, err := policy.Decode(asJSON, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	p, err := Prepare(document, asJSON, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// line is a line of a log: a request to `up` that begins at some time, lasts, and is answered.
type line struct {
	at, took time.Duration
	status   int
	more     string // further members
}

// cache compiles the module once for all tests.
var cache = wazero.NewCompilationCache()

const epoch = 1796119200 // 2026-12-01T10:00:00Z

func write(lines []line) string {
	var b strings.Builder
	for _, l := range lines {
		at := time.Unix(epoch, 0).UTC().Add(l.at)
		if l.status == 0 && !strings.Contains(l.more, "details") {
			l.status = 200
		}
		if !strings.Contains(l.more, "upstream_cluster") {
			l.more += `,"upstream_cluster":"up"`
		}
		fmt.Fprintf(&b, `{"start_time":%q,"duration":%d,"response_code":%d,"method":"GET","authority":"a"%s}`+"\n",
			at.Format("2006-01-02T15:04:05.000Z"), l.took.Milliseconds(), l.status, l.more)
	}
	return b.String()
}

func read(t testing.TB, text string, p ...*Prepared) *Log {
	t.Helper()
	reads := ReadsOf(p...)
	l, err := Read(strings.NewReader(text), ReadOptions{Log: accesslog.Options{Headers: reads.Headers}, Paths: reads.Paths})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func run(t testing.TB, l *Log, p *Prepared) *Decisions {
	t.Helper()
	wasm, err := os.ReadFile(replaytest.Module(t))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Run(context.Background(), l, p, RunOptions{Wasm: wasm, Cache: cache})
	if err != nil {
		t.Fatal(err)
	}
	if len(d.Faults) > 0 {
		t.Errorf("faults: %q", d.Faults)
	}
	return d
}

// letters of decisions.
const letters = ".ALCB"

func lettersOf(d *Decisions) string {
	b := make([]byte, len(d.Of))
	for i, decision := range d.Of {
		b[i] = letters[decision]
	}
	return string(b)
}

const (
	ms = time.Millisecond
	s  = time.Second
)

func TestRun(t *testing.T) {
	const (
		perSecond = `clusters: {up: {rate_limit: {requests: 2, window_size: 1s}}}`
		byKey     = `clusters: {up: {rate_limit: {requests: 1, window_size: 1s, key: [%s]}}}`
		breaker   = `clusters: {up: {circuit_breaker: {failure_threshold: 2, recovery_timeout: 10s, success_threshold: 1}}}`
		bulkhead  = `clusters: {up: {bulkhead: {max_concurrent: 2}}}`
	)
	details := func(d string) string { return fmt.Sprintf(`,"response_code_details":%q`, d) }
	for _, test := range []struct {
		name, policy string
		lines        []line
		want         string // by start: . not asked, A admitted, L by the limit, C by the breaker, B by the bulkhead
		transitions  []string
	}{
		{name: "a limit, on the log's clock", policy: perSecond, lines: []line{{at: 0}, {at: 1 * ms}, {at: 2 * ms}, {at: 999 * ms}, {at: 1001 * ms}, {at: 400 * s}}, want: "AALLAA"},
		{name: "lines come in the order of their ends", policy: perSecond, lines: []line{{at: 5 * ms}, {at: 6 * ms}, {at: 1 * ms, took: 60 * s}}, want: "AAL"},
		{name: "another cluster has no policy", policy: perSecond, lines: []line{{at: 0}, {at: 1 * ms, more: `,"upstream_cluster":"other"`}, {at: 2 * ms}, {at: 3 * ms}}, want: "A.AL"},
		{
			name: "a mesh limit counts the log as the mesh", policy: `{redis: {cluster: redis}, default: {mode: shadow, rate_limit: {requests: 1, scope: mesh}}}`,
			lines: []line{{at: 0}, {at: 1 * ms}}, want: "AL",
		},
		{
			name: "by header", policy: fmt.Sprintf(byKey, "{header: x-api-key}"),
			lines: []line{{at: 0, more: `,"x-api-key":"a"`}, {at: 1 * ms, more: `,"x_api_key":"b"`}, {at: 2 * ms, more: `,"x-api-key":"a"`}, {at: 3 * ms}}, want: "AALA",
		},
		{
			name: "by address, its port aside", policy: fmt.Sprintf(byKey, "client_ip"),
			lines: []line{
				{at: 0, more: `,"downstream_remote_address":"192.0.2.1:1"`},
				{at: 1 * ms, more: `,"downstream_remote_address":"192.0.2.1:2"`},
				{at: 2 * ms, more: `,"downstream_remote_address":"[2001:db8::1]:1"`},
				{at: 3 * ms, more: `,"downstream_remote_address":"2001:db8::1"`},
				{at: 4 * ms, more: `,"x_forwarded_for":"192.0.2.7, 192.0.2.1"`},
			}, want: "ALALL",
		},
		{
			name: "by query and path", policy: fmt.Sprintf(byKey, "{query: user}, path"),
			lines: []line{{at: 0, more: `,"path":"/x?user=a"`}, {at: 1 * ms, more: `,"path":"/x?user=%61&y=1"`}, {at: 2 * ms, more: `,"path":"/y?user=a"`}}, want: "ALA",
		},
		{
			name: "the breaker learns at the end", policy: breaker,
			lines:       []line{{at: 0, took: 100 * ms, status: 503}, {at: 10 * ms, took: 50 * ms, status: 503}, {at: 99 * ms, took: 30 * s}, {at: 100 * ms}, {at: 10099 * ms}, {at: 10100 * ms}, {at: 10101 * ms}},
			want:        "AAACCAA",
			transitions: []string{"100ms open", "10.1s half_open", "10.1s closed"},
		},
		{
			name: "a success between", policy: breaker,
			lines: []line{{at: 0, status: 500}, {at: 1 * ms}, {at: 2 * ms, status: 500}, {at: 3 * ms, more: `,"upstream_service_time":"0"`}, {at: 4 * ms}}, want: "AAAAA",
		},
		{
			name: "flags in place of details", policy: breaker,
			lines: []line{{at: 0, status: 503, more: `,"response_flags":"UF,URX"`}, {at: 1 * ms, status: 504, more: `,"response_flags":"UT"`}, {at: 2 * ms}}, want: "AAC",
			transitions: []string{"1ms open"},
		},
		{
			name: "what is no failure of upstream", policy: breaker,
			lines: []line{
				{at: 0, status: 503, more: details("weir_circuit_open")},
				{at: 1 * ms, status: 403, more: `,"response_flags":"UAEX"`},
				{at: 2 * ms, status: 503, more: `,"response_flags":"UO"`},
				{at: 3 * ms, more: details("downstream_remote_disconnect")},
				{at: 4 * ms, status: 503, more: details("local_rate_limited")},
				{at: 5 * ms},
			}, want: "AAAAAA",
		},
		{
			name: "a 503 without the upstream's time, in a log that has it", policy: breaker,
			lines: []line{{at: 0, more: `,"upstream_service_time":"0"`}, {at: 1 * ms, status: 503}, {at: 2 * ms, status: 503}, {at: 3 * ms}}, want: "AAAA",
		},
		{
			name: "the same in a log without", policy: breaker,
			lines: []line{{at: 0}, {at: 1 * ms, status: 503}, {at: 2 * ms, status: 503}, {at: 3 * ms}}, want: "AAAC", transitions: []string{"2ms open"},
		},
		{
			name: "a gRPC status", policy: `clusters: {up: {circuit_breaker: {failure_threshold: 1, expected_failures: ["grpc:unavailable"]}}}`,
			lines: []line{{at: 0, more: `,"grpc_status":"OK"`}, {at: 1 * ms, more: `,"grpc_status":"Unavailable"`}, {at: 2 * ms}}, want: "AAC", transitions: []string{"1ms open"},
		},
		{
			name: "slow calls by the response's headers, not its end", policy: `clusters: {up: {circuit_breaker: {slow_calls: {slower_than: 100ms, threshold: 0.5, window: 10s, min_calls: 2}}}}`,
			lines: []line{
				{at: 0, took: 500 * ms, more: `,"upstream_service_time":"20"`},
				{at: 1 * ms, took: 500 * ms, more: `,"upstream_service_time":"20"`},
				{at: 600 * ms},
				{at: 1000 * ms, took: 300 * ms},
				{at: 1001 * ms, took: 300 * ms},
				{at: 1002 * ms, took: 300 * ms},
				{at: 2000 * ms},
			}, want: "AAAAAAC", transitions: []string{"1.302s open"},
		},
		{
			name: "the bulkhead, by what is in flight", policy: bulkhead,
			lines: []line{{at: 0, took: 100 * ms}, {at: 1 * ms, took: 10 * ms}, {at: 2 * ms, took: 1 * ms}, {at: 11 * ms, took: 20 * s}, {at: 12 * ms}, {at: 100 * ms}, {at: 19 * s, took: 2 * s}, {at: 19500 * ms}},
			want:  "AABABAAB",
		},
		{
			name: "the bulkhead, after hours without a request", policy: bulkhead,
			lines: []line{{at: 0, took: 3 * time.Hour}, {at: 0, took: 1 * s}, {at: time.Hour}, {at: 2 * time.Hour}, {at: 9 * time.Hour}, {at: 9 * time.Hour, took: s}, {at: 9 * time.Hour, took: s}, {at: 9 * time.Hour}},
			want:  "AAAAAAAB",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := prepare(t, test.policy)
			d := run(t, read(t, write(test.lines), p), p)
			if got := lettersOf(d); got != test.want {
				t.Errorf("got decisions %s, want %s", got, test.want)
			}
			var got []string
			for _, x := range d.Transitions {
				got = append(got, fmt.Sprintf("%v %s", x.At.Sub(time.Unix(epoch, 0)), x.To))
				if x.Cluster != "up" || x.Cause == "" {
					t.Errorf("got transition %+v, want one of up with its cause", x)
				}
			}
			if !slices.Equal(got, test.transitions) {
				t.Errorf("got transitions %q, want %q", got, test.transitions)
			}
		})
	}
}

// TestReport compares a whole report with testdata, as JSON and as text. -update writes both.
func TestReport(t *testing.T) {
	var lines []line
	for i := range 200 { // four in 100 ms; key a has half, and b fails for a second
		l := line{at: time.Duration(i/4*100)*ms + 59*s, took: 30 * ms, more: fmt.Sprintf(`,"x-api-key":"%s"`, []string{"a", "b", "a", `c\u001b[31m`}[i%4])}
		if l.at > 61*s && l.at < 62*s {
			l.status = 503
		}
		lines = append(lines, l)
	}
	lines = append(
		lines, line{at: 70 * s, more: `,"upstream_cluster":"other"`}, line{at: 70 * s, more: `,"upstream_cluster":"-"`},
		line{at: 71 * s, status: 429, more: `,"response_code_details":"weir_rate_limited"`},
	)
	text := write(lines) + "starting\n"
	first := prepare(t, `{redis: {cluster: redis}, clusters: {up: {rate_limit: {requests: 10, window_size: 1s, scope: mesh, key: [{header: x-api-key}]},
  circuit_breaker: {failure_threshold: 3, recovery_timeout: 1s}, bulkhead: {max_concurrent: 3}, fallback: {}}}}`)
	second := prepare(t, `{clusters: {up: {rate_limit: {algorithm: token_bucket, burst_capacity: 5, refill_rate: 20}}}}`)
	l := read(t, text, first, second)
	one, other := run(t, l, first), run(t, l, second)
	report := Report{
		Log:         ReportLog(l),
		Policies:    []PolicyReport{Summarize("policy.yaml", l, first, one), Summarize("next.yaml", l, second, other)},
		Differences: Compare(l, one, other),
	}
	asJSON, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var asText bytes.Buffer
	Text(&asText, &report)
	for file, got := range map[string][]byte{"testdata/report.json": append(asJSON, '\n'), "testdata/report.txt": asText.Bytes()} {
		if *update {
			if err := os.WriteFile(file, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
		}
	}
}

func TestNeed(t *testing.T) {
	at := func(moments ...time.Duration) (starts []int64) {
		for _, m := range moments {
			starts = append(starts, int64(m))
		}
		return starts
	}
	minute := at(0, 1*s, 59900*ms, 60*s, 61*s)
	if got := needWindow(time.Minute, minute); got != 3 {
		t.Errorf("needWindow(1m, %v) = %d, want 3", minute, got)
	}
	burst := at(0, 0, 0, 1*s, 1*s, 10*s)
	if got := needBurst(1, burst); got != 4 { // 3, one comes back, then 2 more
		t.Errorf("needBurst(1, %v) = %d, want 4", burst, got)
	}
	if got := mostConcurrent(at(0, 0, 5, 10), at(10, 0, 20, 12)); got != 2 { // the second one is over when the third begins
		t.Errorf("mostConcurrent = %d, want 2", got)
	}
	if got := mostConcurrent(at(0, 5, 10), at(10, 11, 10)); got != 2 {
		t.Errorf("mostConcurrent = %d, want 2: what ends when another begins is over", got)
	}
}
