package registry

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy"
)

func anyEntry(t *rapid.T) Entry {
	number := func(name string) int64 { return rapid.Int64Range(0, 1<<40).Draw(t, name) }
	float := func(name string) float64 { return rapid.Float64Range(0, 1e6).Draw(t, name) }
	has := func(name string) bool { return rapid.Bool().Draw(t, name) }
	e := Entry{Cluster: rapid.String().Draw(t, "cluster"), Named: rapid.String().Draw(t, "policy")}
	p := &e.Policy
	p.Mode = policy.Mode(rapid.IntRange(0, 2).Draw(t, "mode"))
	if has("rate_limit") {
		p.RateLimit = &policy.RateLimit{
			Algorithm: policy.Algorithm(rapid.IntRange(0, 2).Draw(t, "algorithm")),
			Scope:     policy.Scope(rapid.IntRange(0, 1).Draw(t, "scope")),
			Requests:  number("requests"), Window: time.Duration(number("window")),
			Burst: number("burst"), Refill: float("refill"),
			AdaptiveThreshold: float("threshold"), BackoffFactor: float("backoff"), RecoveryFactor: float("recovery"),
			AdaptiveInterval: time.Duration(number("interval")), AdaptiveMinSamples: int(number("samples")), MaxKeys: int(number("keys")),
			Show: policy.ShowKeys(rapid.IntRange(0, 2).Draw(t, "show")),
		}
		if p.RateLimit.Scope == policy.ScopeMesh {
			e.OnError, e.Proxies = policy.OnError(rapid.IntRange(0, 2).Draw(t, "on_error")), number("proxies")
		}
		for range rapid.IntRange(0, 8).Draw(t, "parts") {
			p.RateLimit.Key = append(p.RateLimit.Key, policy.KeyPart{Kind: policy.KeyKind(rapid.IntRange(0, 5).Draw(t, "kind"))})
		}
	}
	if has("circuit_breaker") {
		p.CircuitBreaker = &policy.CircuitBreaker{
			FailureThreshold: int(number("failures")), SuccessThreshold: int(number("successes")), HalfOpenMaxCalls: int(number("probes")),
			RecoveryTimeout: time.Duration(number("recovery")), MaxRecoveryTimeout: time.Duration(number("longest")),
		}
		if has("failure_rate") {
			p.CircuitBreaker.FailureRate = &policy.FailureRate{Threshold: 0.25}
		}
		if has("slow_calls") {
			p.CircuitBreaker.SlowCalls = &policy.SlowCalls{Threshold: 1}
		}
	}
	if has("retry") {
		p.Retry = &policy.Retry{MaxAttempts: int(number("attempts")), Budget: policy.RetryBudget{Percent: float("percent"), MinPerSecond: float("a second")}}
	}
	if has("fallback") {
		p.Fallback = &policy.Fallback{EnableCache: has("cache"), MaxEntries: int(number("entries"))}
	}
	if has("bulkhead") {
		p.Bulkhead = &policy.Bulkhead{MaxConcurrent: int(number("most"))}
	}
	if has("failover") {
		p.Failover = &policy.Failover{To: rapid.SliceOfN(rapid.String(), 0, 5).Draw(t, "to")}
	}
	return e
}

func difference(a, b Entry) string { return cmp.Diff(a, b, cmpopts.EquateEmpty()) }

func TestEntryRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, got := anyEntry(t), anyEntry(t)
		packed := want.AppendTo(nil)
		if !got.Unpack(packed) || difference(want, got) != "" {
			t.Fatalf("got (+), want (-):\n%s", difference(want, got))
		}
		if cut := rapid.IntRange(0, len(packed)-1).Draw(t, "cut"); got.Unpack(packed[:cut]) || difference(want, got) != "" {
			t.Fatalf("got an entry from %d of %d bytes, want none and the entry before unchanged", cut, len(packed))
		}
	})
}

// TestEntryHasNoSecrets: the packed form has only the fields that Entry lists.
func TestEntryHasNoSecrets(t *testing.T) {
	e := Entry{Cluster: "a", Policy: policy.Policy{
		RateLimit: &policy.RateLimit{Key: []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x-secret"}}},
		Fallback:  &policy.Fallback{CacheKeyHeaders: []string{"x-secret"}, Default: &policy.DefaultData{Body: []byte("secret")}},
	}}
	var got Entry
	if !got.Unpack(e.AppendTo(nil)) {
		t.Fatal("got no entry from its packed form")
	}
	if got.Policy.RateLimit.Key[0].Name != "" || got.Policy.Fallback.CacheKeyHeaders != nil || got.Policy.Fallback.Default != nil {
		t.Errorf("got %+v, want no names, no headers and no body", got.Policy)
	}
}

func FuzzEntryUnpack(f *testing.F) {
	f.Add([]byte(nil))
	for _, e := range []Entry{
		{},
		{Cluster: "aws", Policy: policy.Policy{RateLimit: &policy.RateLimit{Key: []policy.KeyPart{{Kind: policy.KeyPath}}}}},
		{Cluster: "b", Policy: policy.Policy{CircuitBreaker: &policy.CircuitBreaker{}, Failover: &policy.Failover{To: []string{"c", ""}}}},
	} {
		f.Add(e.AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var e, again Entry
		if !e.Unpack(b) {
			return
		}
		if !again.Unpack(e.AppendTo(nil)) || difference(e, again) != "" {
			t.Fatalf("%x: packed again, got (+), want (-):\n%s", b, difference(e, again))
		}
	})
}

func FuzzClusterList(f *testing.F) {
	f.Add([]byte(nil))
	l := clusterList{claim: 3}
	l.add((&Entry{Cluster: "a"}).AppendTo(nil))
	l.add((&Entry{Cluster: "b"}).AppendTo(nil))
	f.Add(l.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var l clusterList
		l.Unpack(b)
		n := 0
		l.all(func(*Entry) bool { n++; return true })
		if 5*n > len(b) {
			t.Fatalf("got %d entries from %d bytes, want at most %d", n, len(b), len(b)/5)
		}
	})
}

func FuzzDocumentTable(f *testing.F) {
	f.Add([]byte(nil))
	var t documentTable
	t.claim(7, true, 1)
	f.Add(t.AppendTo(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again documentTable
		if r.Unpack(b) {
			if !again.Unpack(r.AppendTo(nil)) || r != again {
				t.Fatalf("%x: packed again, got %+v, want %+v", b, again, r)
			}
		} else if r != (documentTable{}) {
			t.Fatalf("%x: got %+v, want the empty table", b, r)
		}
	})
}
