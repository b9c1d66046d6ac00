package policy

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestBothFormsMeanTheSame: a random valid document decodes to the same Document in both forms.
func TestBothFormsMeanTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := marshal(t, validDocument(t))
		fromJSON, err := Decode(text, noVariables)
		if err != nil {
			t.Fatalf("%s\ngot %v, want no mistake", text, err)
		}
		fromStruct, err := Decode(structBytes(t, text), noVariables)
		if err != nil {
			t.Fatalf("%s\ngot %v, want no mistake", text, err)
		}
		if diff := cmp.Diff(fromJSON, fromStruct); diff != "" {
			t.Fatalf("%s\nJSON (-) and Struct (+):\n%s", text, diff)
		}
	})
}

// TestBothFormsHaveTheSameMistakes: known keys with values of any kind give the same mistakes in both forms.
func TestBothFormsHaveTheSameMistakes(t *testing.T) {
	keys := []string{"mode", "rate_limit", "circuit_breaker", "retry", "fallback", "default_data", "headers", "body", "on", "key", "to", "failover", "timeout", "requests", "a b"}
	words := []any{"${A}", "${A:-5}", "$${", "${", "5s", "5xx", "token_bucket"}
	rapid.Check(t, func(t *rapid.T) {
		text := marshal(t, map[string]any{"clusters": map[string]any{"a": anything(keys, words, 5).Draw(t, "a")}, "default": anything(keys, words, 5).Draw(t, "default")})
		_, fromJSON := Decode(text, noVariables)
		_, fromStruct := Decode(structBytes(t, text), noVariables)
		if diff := cmp.Diff(lines(fromJSON), lines(fromStruct)); diff != "" {
			t.Fatalf("%s\nJSON (-) and Struct (+):\n%s", text, diff)
		}
	})
}

func lines(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func marshal(t *rapid.T, document any) []byte {
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// validDocument draws a valid document: each key is there or not.
func validDocument(t *rapid.T) map[string]any {
	cluster := rapid.StringMatching(`[a-z*|][a-z*|._-]{0,10}`)
	document := map[string]any{"clusters": rapid.MapOfN(cluster, rapid.Custom(validPolicy), 0, 4).Draw(t, "clusters")}
	some(t, document, "default", rapid.Custom(validPolicy))
	document["redis"] = map[string]any{"dialect": rapid.SampledFrom([]string{"webdis", "upstash"}).Draw(t, "dialect")}
	return document
}

func validPolicy(t *rapid.T) any {
	p := map[string]any{}
	some(t, p, "mode", rapid.SampledFrom([]any{"enforce", "shadow", "off", false}))
	some(t, p, "rate_limit", rapid.Custom(validRateLimit))
	some(t, p, "circuit_breaker", rapid.Custom(validCircuitBreaker))
	some(t, p, "retry", rapid.Custom(validRetry))
	some(t, p, "fallback", rapid.Custom(validFallback))
	some(t, p, "bulkhead", rapid.Just(map[string]any{"max_concurrent": 7}))
	some(t, p, "failover", rapid.Just(map[string]any{"to": []string{"THE_OTHER"}, "header": "X-To"}))
	return p
}

func validRateLimit(t *rapid.T) any {
	r := map[string]any{}
	some(t, r, "algorithm", rapid.SampledFrom([]string{"sliding_window", "token_bucket", "adaptive"}))
	some(t, r, rapid.SampledFrom([]string{"requests", "requests_per_minute"}).Draw(t, "which"), rapid.IntRange(1, 1000))
	some(t, r, "window_size", rapid.SampledFrom([]any{"100ms", 1.5, "1m30s", 3600}))
	some(t, r, "refill_rate", rapid.Float64Range(0.001, 1000))
	some(t, r, "backoff_factor", rapid.Float64Range(0.001, 0.999))
	some(t, r, "scope", rapid.SampledFrom([]string{"proxy", "mesh"}))
	some(t, r, "lease", rapid.Just(map[string]any{"ttl": 0.2}))
	some(t, r, "key", rapid.Just([]any{"path", map[string]any{"header": "X-A"}}))
	return r
}

func validCircuitBreaker(t *rapid.T) any {
	b := map[string]any{}
	some(t, b, "failure_threshold", rapid.IntRange(1, 100))
	some(t, b, "recovery_timeout", validDuration())
	some(t, b, "max_recovery_timeout", rapid.Just("24h"))
	some(t, b, "timeout", validDuration())
	some(t, b, "min_client_deadline", rapid.Just("1ms"))
	some(t, b, "failure_rate", rapid.Just(map[string]any{}))
	some(t, b, "slow_calls", rapid.Just(map[string]any{"threshold": 1}))
	some(t, b, "expected_failures", validFailures())
	return b
}

func validRetry(t *rapid.T) any {
	r := map[string]any{}
	some(t, r, "max_attempts", rapid.IntRange(1, 10))
	retried := []any{"5xx", "4xx", "429", 503, "reset", "connect_failure", "timeout"}
	some(t, r, "per_try_timeout", validDuration())
	some(t, r, "budget", rapid.Just(map[string]any{"percent": 12.5}))
	if rapid.Bool().Draw(t, "filter") {
		r["driver"], r["via"] = "filter", "weir_attempts"
		some(t, r, "exponential_base", rapid.Float64Range(1, 10))
		some(t, r, "jitter", rapid.Bool())
	} else {
		retried = append(retried, "grpc:unavailable", "grpc:1")
	}
	some(t, r, "retry_on", rapid.SliceOfN(rapid.SampledFrom(retried), 0, 5))
	return r
}

func validFallback(t *rapid.T) any {
	f := map[string]any{}
	some(t, f, "enable_cache_fallback", rapid.Bool())
	some(t, f, "fallback_data_ttl", rapid.IntRange(0, 3600))
	some(t, f, "cache_key_headers", rapid.Just([]string{"Accept-Language"}))
	some(t, f, "on", rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"circuit_open", "upstream_failure", "bulkhead_full", "rate_limited"}), 0, 4, rapid.ID))
	if rapid.Bool().Draw(t, "default data") {
		data := map[string]any{"headers": map[string]any{"X-B": "1", "x-a": "é"}}
		some(t, data, "status", rapid.SampledFrom([]int{200, 203, 503}))
		some(t, data, "body", anything([]string{"b", "a", "<c>"}, []any{"$${", "5s", "<&>"}, 4))
		f["default_data"] = data
	}
	return f
}

func validDuration() *rapid.Generator[any] {
	return rapid.SampledFrom([]any{"1ms", 0.25, "1.5s", 10, "1h30m", 86400, "24h"})
}

func validFailures() *rapid.Generator[[]any] {
	return rapid.SliceOfN(rapid.SampledFrom([]any{"5xx", "4xx", "429", 503, "reset", "connect_failure", "timeout", "grpc:aborted", "grpc:1"}), 0, 5)
}

// some puts a key into an object, or doesn't.
func some[T any](t *rapid.T, object map[string]any, name string, values *rapid.Generator[T]) {
	if rapid.Bool().Draw(t, "has "+name) {
		object[name] = values.Draw(t, name)
	}
}

// anything draws any JSON with the given keys, and the given words among its strings. Its numbers are whole, because a
// Struct does not keep the notation of fractions.
func anything(keys []string, words []any, depth int) *rapid.Generator[any] {
	scalars := []*rapid.Generator[any]{
		rapid.Just[any](nil),
		rapid.Bool().AsAny(),
		rapid.Int32().AsAny(),
		rapid.StringMatching(`[^$]{0,5}`).AsAny(),
		rapid.SampledFrom(words),
	}
	if depth == 0 {
		return rapid.OneOf(scalars...)
	}
	return rapid.OneOf(append(
		scalars,
		rapid.Deferred(func() *rapid.Generator[any] { return rapid.SliceOfN(anything(keys, words, depth-1), 0, 3).AsAny() }),
		rapid.Deferred(func() *rapid.Generator[any] {
			return rapid.MapOfN(rapid.SampledFrom(keys), anything(keys, words, depth-1), 0, 4).AsAny()
		}),
	)...)
}
