package instructions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/envoy/run"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
)

// The policies of the table.
const (
	bucket  = `"rate_limit": {"algorithm": "token_bucket", "requests": 1000000, "window_size": "1s", "burst_capacity": 1000000, "refill_rate": 1000000, "headers": "none"}`
	window  = `"rate_limit": {"algorithm": "sliding_window", "requests": 1000000, "window_size": "1s", "headers": "none"}`
	byKey   = `"rate_limit": {"algorithm": "token_bucket", "requests": 1000000, "window_size": "1s", "burst_capacity": 1000000, "refill_rate": 1000000, "headers": "none", "key": [{"header": "user-agent"}]}`
	breaker = `"circuit_breaker": {}`
)

func up(sections string) json.RawMessage {
	return json.RawMessage(`{"clusters": {"up": {` + sections + `}}}`)
}

// BenchmarkFilters counts the instructions that filters cost a request, prints them as a table, and draws them into
// build/benchmarks.svg. A module that is not built is left out, and named.
func BenchmarkFilters(b *testing.B) {
	envoy, err := run.FindFrom("../..")
	if err != nil {
		b.Fatal(err)
	}
	version, err := envoy.Version(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	root, err := repo.Root()
	if err != nil {
		b.Fatal(err)
	}
	nothing := json.RawMessage(`{"clusters": {"other": {"circuit_breaker": {}}}}`)
	rows := []struct {
		name   string
		filter object // nil, and no module: without a filter
		module string // in build/
		policy json.RawMessage
	}{
		{name: "no filter"},
		{name: "local_ratelimit", filter: localRateLimit()},
		{name: "admission_control", filter: admissionControl()},
		{name: "Lua, reads two headers", filter: lua()},
		{name: "empty Rust filter", module: "empty-rust.wasm"},
		{name: "empty filter by official Go", module: "empty.wasm"},
		{name: "Weir: no policy for the cluster", module: "weir.wasm", policy: nothing},
		{name: "Weir: breaker", module: "weir.wasm", policy: up(breaker)},
		{name: "Weir: token bucket", module: "weir.wasm", policy: up(bucket)},
		{name: "Weir: sliding window", module: "weir.wasm", policy: up(window)},
		{name: "Weir: token bucket by header", module: "weir.wasm", policy: up(byKey)},
		{name: "Weir: bulkhead", module: "weir.wasm", policy: up(`"bulkhead": {"max_concurrent": 1000}`)},
		{name: "Weir: token bucket, breaker, default data", module: "weir.wasm", policy: up(bucket + "," + breaker + `, "fallback": {"enable_cache_fallback": false}`)},
		{name: "Weir: all sections, responses kept", module: "weir.wasm", policy: up(bucket + "," + breaker +
			`, "fallback": {}, "bulkhead": {"max_concurrent": 1000}, "retry": {"driver": "filter", "via": "up"}`)},
		{name: "Weir by official Go: breaker", module: "weir-go.wasm", policy: up(breaker)},
	}
	none, bars := 0, []Bar{}
	fmt.Printf("\ninstructions a request, one worker, Envoy %s under callgrind\n\n| filter | all | over none |\n| --- | ---: | ---: |\n", version)
	for _, row := range rows {
		m := measurement{envoy: envoy.Path, filter: row.filter, dir: b.TempDir(), port: port.Reserve(b), admin: port.Reserve(b)}
		if row.module != "" {
			file := filepath.Join(root, "build", row.module)
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				fmt.Printf("| %s | not counted: build/%s is not built | |\n", row.name, row.module)
				continue
			}
			if row.policy == nil {
				row.policy = json.RawMessage(`{}`)
			}
			m.filter = module(file, row.policy)
		}
		ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
		count, err := m.count(ctx)
		cancel()
		if err != nil {
			b.Fatalf("%s: %v", row.name, err)
		}
		if none == 0 {
			none = count
			fmt.Printf("| %s | %d | |\n", row.name, count)
			continue
		}
		fmt.Printf("| %s | %d | %d |\n", row.name, count, count-none)
		bars = append(bars, Bar{row.name, count - none})
	}
	plot, err := os.Create(filepath.Join(root, "build", "benchmarks.svg"))
	if err != nil {
		b.Fatal(err)
	}
	err = errors.Join(Plot(plot, fmt.Sprintf("Instructions a request, over the %s of an Envoy without the filter", thousands(none)), bars), plot.Close())
	if err != nil {
		b.Fatal(err)
	}
	fmt.Println("\nbuild/benchmarks.svg shows it")
}
