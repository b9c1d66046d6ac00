package policy

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// defaults is what everySection must decode to: each default, once.
func defaults() *Document {
	return &Document{
		Clusters: []Cluster{{Pattern: "NAME", Policy: &Policy{
			Mode: ModeEnforce,
			RateLimit: &RateLimit{
				Algorithm:          SlidingWindow,
				Requests:           100,
				Window:             time.Minute,
				Burst:              20,
				Refill:             100.0 / 60,
				AdaptiveThreshold:  0.8,
				BackoffFactor:      0.7,
				RecoveryFactor:     1.2,
				AdaptiveInterval:   10 * time.Second,
				AdaptiveMinSamples: 10,
				Scope:              ScopeProxy,
				Lease:              Lease{MaxTokens: 0, TTL: 500 * time.Millisecond},
				MaxKeys:            1024,
				Shards:             1,
				Headers:            HeadersRefused,
			},
			CircuitBreaker: &CircuitBreaker{
				FailureThreshold:   5,
				RecoveryTimeout:    time.Minute,
				SuccessThreshold:   3,
				HalfOpenMaxCalls:   3,
				Timeout:            30 * time.Second,
				FailureRate:        &FailureRate{Threshold: 0.5, Window: 30 * time.Second, MinCalls: 20},
				SlowCalls:          &SlowCalls{SlowerThan: 2 * time.Second, Threshold: 0.8, Window: 30 * time.Second, MinCalls: 20},
				MaxRecoveryTimeout: time.Minute,
				MinClientDeadline:  time.Second,
				ExpectedFailures: failures(500, 599, func(f *Failures) {
					f.Reset, f.ConnectFailure, f.Timeout = true, true, true
					f.GRPC[4], f.GRPC[13], f.GRPC[14] = true, true, true
				}),
			},
			Retry: &Retry{
				MaxAttempts:     3,
				BaseDelay:       time.Second,
				MaxDelay:        time.Minute,
				ExponentialBase: 2,
				Jitter:          true,
				RetryOn:         failures(500, 599, func(f *Failures) { f.Reset, f.ConnectFailure, f.Timeout = true, true, true }),
				Methods:         []string{"GET", "HEAD", "OPTIONS", "PUT", "DELETE"},
				Budget:          RetryBudget{Percent: 20, MinPerSecond: 3},
				Driver:          DriverEnvoy,
				MaxBodyBytes:    65536,
			},
			Fallback: &Fallback{
				EnableCache:    true,
				TTL:            300 * time.Second,
				Staleness:      3600 * time.Second,
				MaxEntries:     256,
				MaxBodyBytes:   65536,
				EnableDefault:  true,
				Default:        &DefaultData{Status: 200},
				DefaultByPath:  []PathDefault{{"/PATH", &DefaultData{Status: 200}}},
				EnableDegraded: true,
				DegradedStatus: 503,
				Methods:        []string{"GET", "HEAD"},
				On:             Reasons{CircuitOpen: true, UpstreamFailure: true, BulkheadFull: true},
			},
			Bulkhead: &Bulkhead{MaxConcurrent: 100},
			Failover: &Failover{To: []string{"other"}, Header: "x-weir-cluster"},
		}}},
		Default: &Policy{},
		Redis: &Redis{
			Cluster:   "redis_http",
			Dialect:   DialectWebdis,
			Timeout:   50 * time.Millisecond,
			KeyPrefix: "weir:", ExpectedProxies: 1,
			OnError: OnErrorLocal,
		},
	}
}

// failures is the set of the statuses from first to last, and of what more adds.
func failures(first, last int, more func(*Failures)) Failures {
	var f Failures
	for status := first; status <= last; status++ {
		f.Statuses.Add(status)
	}
	more(&f)
	return f
}

func TestDefaults(t *testing.T) {
	for form, encode := range forms {
		t.Run(form, func(t *testing.T) {
			got, err := Decode(encode(t, []byte(everySection)), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(defaults(), got, cmpopts.IgnoreFields(Document{}, "Hash")); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestWholeDocument decodes a document that writes every key: with its default, or a value if it has none.
func TestWholeDocument(t *testing.T) {
	want := defaults()
	cluster := &want.Clusters[0]
	cluster.Pattern = "aws_pricing"
	p := cluster.Policy
	p.RateLimit.Refill = 1.67
	p.CircuitBreaker.TimeoutWritten = true
	p.CircuitBreaker.MaxRecoveryTimeout = 300 * time.Second
	p.Retry.PerTryTimeout = 10 * time.Second
	p.Fallback.CacheKeyHeaders = []string{}
	p.Fallback.Default.Headers = [][2]string{{"content-type", "application/json"}}
	p.Fallback.Default.Body = []byte(`{"degraded":true,"services":[]}`)
	regions := &DefaultData{Status: 200, Headers: p.Fallback.Default.Headers, Body: []byte(`[]`)}
	p.Fallback.DefaultByPath = []PathDefault{{"/v1/regions", regions}}
	p.Fallback.DegradedWritten = true
	p.Fallback.Limitations = []string{"prices may be missing"}
	p.Failover.To = []string{"aws_pricing_eu"}
	for form, encode := range forms {
		t.Run(form, func(t *testing.T) {
			got, err := Decode(encode(t, readFile(t, "testdata/good/everything.yaml")), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Document{}, "Hash")); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestAdminDocument(t *testing.T) {
	for form, encode := range forms {
		t.Run(form, func(t *testing.T) {
			got, err := Decode(encode(t, []byte("admin: {}")), noVariables)
			if diff := cmp.Diff(&Document{Admin: true}, got, cmpopts.IgnoreFields(Document{}, "Hash")); err != nil || diff != "" {
				t.Errorf("error %v; want (-), got (+):\n%s", err, diff)
			}
		})
	}
}

// TestPlainOnAndOff: in YAML 1.1 both words without quotes are booleans.
func TestPlainOnAndOff(t *testing.T) {
	for _, document := range []string{
		"default: {mode: off, fallback: {on: [rate_limited]}}",
		`default: {mode: "off", fallback: {"on": [rate_limited]}}`,
	} {
		for form, encode := range forms {
			t.Run(form+"/"+document, func(t *testing.T) {
				got, err := Decode(encode(t, []byte(document)), noVariables)
				if err != nil {
					t.Fatal(err)
				}
				if got.Default.Mode != ModeOff || got.Default.Fallback.On != (Reasons{RateLimited: true}) {
					t.Errorf("got mode %d, on %+v, want %d, only RateLimited", got.Default.Mode, got.Default.Fallback.On, ModeOff)
				}
			})
		}
	}
}

func TestRequestsOfAWindow(t *testing.T) {
	tests := []struct {
		section  string
		requests int64
		refill   float64
	}{
		{"{}", 100, 100.0 / 60},
		{"{requests_per_minute: 60, window_size: 1s}", 1, 1},
		{"{requests_per_minute: 119, window_size: 1s}", 1, 1},                        // rounded down
		{"{requests_per_minute: 10, window_size: 1s}", 1, 1},                         // at least 1
		{"{requests_per_minute: 90, window_size: 2m}", 180, 1.5},                     // more than a minute
		{"{requests: 7, window_size: 2s}", 7, 3.5},                                   // instead of a minute's
		{"{requests_per_minute: 6944, window_size: 24h}", 9_999_360, 6944.0 / 60},    // a product of 2^59
		{"{requests_per_minute: 10000000, window_size: 60s}", 10_000_000, 1e7 / 60},  // the largest
		{"{requests_per_minute: 10, refill_rate: 0.25, window_size: 60s}", 10, 0.25}, // written
	}
	for _, test := range tests {
		t.Run(test.section, func(t *testing.T) {
			r := decodeYAML(t, "default: {rate_limit: "+test.section+"}").Default.RateLimit
			if r.Requests != test.requests || r.Refill != test.refill {
				t.Errorf("got %d and %v, want %d and %v", r.Requests, r.Refill, test.requests, test.refill)
			}
		})
	}
}

func TestLeaseIsATenthOfTheWindow(t *testing.T) {
	for section, want := range map[string]time.Duration{
		"{}":                                    500 * time.Millisecond,
		"{window_size: 1s}":                     100 * time.Millisecond,
		"{window_size: 1s, lease: {ttl: 2s}}":   100 * time.Millisecond,
		"{window_size: 1s, lease: {ttl: 50ms}}": 50 * time.Millisecond,
	} {
		if got := decodeYAML(t, "default: {rate_limit: "+section+"}").Default.RateLimit.Lease.TTL; got != want {
			t.Errorf("%s: got %s, want %s", section, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	got := decodeYAML(t, `default: {rate_limit: {key: [{header: X-User}, {query: User}, {cookie: sid}, client_ip, path, method]}}`)
	want := []KeyPart{
		{Kind: KeyHeader, Name: "x-user"},
		{Kind: KeyQuery, Name: "User"},
		{Kind: KeyCookie, Name: "sid"},
		{Kind: KeyClientIP},
		{Kind: KeyPath},
		{Kind: KeyMethod},
	}
	if diff := cmp.Diff(want, got.Default.RateLimit.Key); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestKeyClientIP(t *testing.T) {
	for part, want := range map[string]KeyPart{
		"client_ip":                                     {Kind: KeyClientIP},
		"{client_ip: {}}":                               {Kind: KeyClientIP, IPv4Prefix: 32, IPv6Prefix: 64},
		"{client_ip: {ipv4_prefix: 24}}":                {Kind: KeyClientIP, IPv4Prefix: 24, IPv6Prefix: 64},
		"{client_ip: {ipv6_prefix: 128}}":               {Kind: KeyClientIP, IPv4Prefix: 32, IPv6Prefix: 128},
		"{client_ip: {ipv4_prefix: 1, ipv6_prefix: 1}}": {Kind: KeyClientIP, IPv4Prefix: 1, IPv6Prefix: 1},
		`{client_ip: {ipv6_prefix: "${WIDTH:-56}"}}`:    {Kind: KeyClientIP, IPv4Prefix: 32, IPv6Prefix: 56},
	} {
		got := decodeYAML(t, "default: {rate_limit: {key: ["+part+"]}}").Default.RateLimit.Key
		if diff := cmp.Diff([]KeyPart{want}, got); diff != "" {
			t.Errorf("%s: want (-), got (+):\n%s", part, diff)
		}
	}
}

func TestFailures(t *testing.T) {
	tests := []struct {
		list string
		want Failures
	}{
		{"[]", Failures{}},
		{"[4xx]", failures(400, 499, func(*Failures) {})},
		{`["429", 503]`, failures(429, 429, func(f *Failures) { f.Statuses.Add(503) })},
		{"[reset, connect_failure, timeout]", Failures{Reset: true, ConnectFailure: true, Timeout: true}},
		{`["grpc:cancelled", "grpc:unauthenticated", "grpc:14"]`, Failures{GRPC: [17]bool{1: true, 14: true, 16: true}}},
	}
	for _, test := range tests {
		t.Run(test.list, func(t *testing.T) {
			got := decodeYAML(t, "default: {circuit_breaker: {expected_failures: "+test.list+"}}").Default.CircuitBreaker.ExpectedFailures
			if got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestDefaultData(t *testing.T) {
	tests := []struct {
		name, json string
		want       DefaultData
	}{
		{"nothing", `{}`, DefaultData{Status: 200}},
		{"no body", `{"status": 204, "headers": {"X-A": "a\tb"}}`, DefaultData{204, [][2]string{{"x-a", "a\tb"}}, nil}},
		{"an object", `{"body": {"b": [1.50, 1e3, 12345678901234567890], "a": null, "c": "<&>\u2028\""}}`, DefaultData{
			200, [][2]string{{"content-type", "application/json"}}, []byte(`{"b":[1.50,1e3,12345678901234567890],"a":null,"c":"<&>\u2028\""}`),
		}},
		{"a string", `{"body": "{\"a\":  1}"}`, DefaultData{200, [][2]string{{"content-type", "text/plain; charset=utf-8"}}, []byte(`{"a":  1}`)}},
		{"an empty string", `{"body": ""}`, DefaultData{Status: 200, Body: []byte{}}},
		{"a type of its own", `{"headers": {"x-b": "1", "Content-Type": "text/html", "x-a": "2"}, "body": "<p>"}`, DefaultData{
			200, [][2]string{{"x-b", "1"}, {"content-type", "text/html"}, {"x-a", "2"}}, []byte("<p>"),
		}},
		{"null", `{"body": null}`, DefaultData{200, [][2]string{{"content-type", "application/json"}}, []byte("null")}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			doc, err := Decode([]byte(`{"default": {"fallback": {"default_data": `+test.json+`}}}`), noVariables)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, doc.Default.Fallback.Default); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// TestDefaultDataOfAStruct: a Struct keeps neither the order of keys nor the notation of numbers.
func TestDefaultDataOfAStruct(t *testing.T) {
	raw := structBytes(t, []byte(`{"default": {"fallback": {"default_data": {
		"headers": {"x-b": "1", "x-a": "2"}, "body": {"b": [1.50, 1e3, 1e21, 1e-7, true], "a": {}}}}}}`))
	doc, err := Decode(raw, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	want := &DefaultData{
		Status:  200,
		Headers: [][2]string{{"x-a", "2"}, {"x-b", "1"}, {"content-type", "application/json"}},
		Body:    []byte(`{"a":{},"b":[1.5,1000,1e+21,1e-7,true]}`),
	}
	if diff := cmp.Diff(want, doc.Default.Fallback.Default); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"300ms": 300 * time.Millisecond, "60s": time.Minute, "1h": time.Hour, "1m30s": 90 * time.Second,
		"5": 5 * time.Second, "0.25": 250 * time.Millisecond, "1.5s": 1500 * time.Millisecond, "86400": 24 * time.Hour,
	} {
		if got := decodeYAML(t, "default: {circuit_breaker: {timeout: "+text+"}}").Default.CircuitBreaker.Timeout; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}
