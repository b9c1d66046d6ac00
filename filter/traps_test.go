//go:build !wasm

package main

import (
	"strings"
	"testing"
)

// FuzzTraps drives the compiled module as a host does, with whatever a client, an upstream, a bridge or a stranger in shared
// data may send: no callback may trap. In TinyGo's edition a trap costs the worker all requests that it has in flight. In
// official Go's, which `go test` without WEIR_MODULE builds, a panic is recovered and logged, and counts as much here.
//
// The input is a script: its first byte chooses a policy, then each step is an event, whose data it chooses as well.
func FuzzTraps(f *testing.F) {
	for policy := range hostilePolicies {
		for seed := range 6 {
			// A walk through everything, as pseudo-random as it needs to be to differ by seed.
			script, x := []byte{byte(policy)}, uint32(seed)*2654435761+uint32(policy)+1
			for range 1500 {
				x ^= x << 13
				x ^= x >> 17
				x ^= x << 5
				script = append(script, byte(x>>11))
			}
			f.Add(script)
		}
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) == 0 {
			return
		}
		machine, err := machines.take(int(script[0]) % len(hostilePolicies))
		if err != nil {
			t.Fatal(err)
		}
		h := &hostile{script: script[1:], module: machine.module, shared: map[string]sharedValue{}, streams: map[uint32]bool{}, clock: 1 << 40, queue: machine.queue, ticks: machine.ticks}
		for key, value := range machine.shared {
			h.shared[key] = value
		}
		for len(h.script) > 0 && h.failure == nil {
			h.step()
		}
		if h.failure != nil {
			machines.drop()
			t.Fatalf("%v\nafter:\n%s", h.failure, strings.Join(h.done[max(0, len(h.done)-12):], "\n"))
		}
	})
}

// hostilePolicies have every section, between them.
var hostilePolicies = []string{
	`{"clusters": {"a": {
		"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 5, "refill_rate": 3, "headers": "all"},
		"circuit_breaker": {"failure_threshold": 2, "recovery_timeout": "1s", "timeout": "2s", "failure_rate": {}, "slow_calls": {}},
		"bulkhead": {"max_concurrent": 3}, "fallback": {"default_data": {"body": {"a": 1}}, "degraded": {}}, "retry": {"driver": "envoy"}},
		"b*": {"rate_limit": {"algorithm": "adaptive", "requests": 5, "window_size": "1s", "key": ["client_ip", {"header": "x-api-key"}, {"query": "user"}, {"cookie": "sid"}, {"header": "authorization"}]},
			"circuit_breaker": {}}}}`,
	`{"clusters": {"a": {
		"rate_limit": {"requests": 5, "window_size": "1s", "key": [{"client_ip": {"ipv4_prefix": 24, "ipv6_prefix": 64}}], "max_keys": 64},
		"circuit_breaker": {"failure_threshold": 1, "recovery_timeout": "100ms"}, "fallback": {"fallback_data_ttl": "2s", "shared": true},
		"retry": {"driver": "filter", "via": "weir_attempts"}}, "b": {"fallback": {}, "failover": {"to": ["a"]}, "circuit_breaker": {"failure_threshold": 1}}}}`,
	`{"clusters": {"a": {"rate_limit": {"requests": 5, "window_size": "1s", "scope": "mesh"}, "circuit_breaker": {}},
		"b": {"rate_limit": {"algorithm": "token_bucket", "burst_capacity": 5, "refill_rate": 3, "scope": "mesh", "key": [{"header": "x-api-key"}]}}},
		"redis": {"cluster": "redis", "dialect": "webdis", "on_error": "local"}}`,
	`{"clusters": {"a": {"rate_limit": {"algorithm": "adaptive", "requests": 5, "window_size": "1s", "scope": "mesh"}, "retry": {"driver": "filter", "via": "weir_attempts"}}},
		"redis": {"cluster": "redis", "dialect": "upstash", "token": "t", "on_error": "allow"}}`,
	`{"admin": {}}`,
	`{"attempts": {}}`,
}
