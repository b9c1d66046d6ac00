package bench

import (
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
)

// cachedRows are answers of 4 KB, and of 64 KB, from a healthy upstream and from the cache.
func cachedRows() []row {
	kept := rules(`"circuit_breaker": {"failure_threshold": 1, "recovery_timeout": "24h"}, "fallback": {"cache_staleness_threshold": "24h"}`)
	notKept := rules(`"circuit_breaker": {"failure_threshold": 1, "recovery_timeout": "24h"}, "fallback": {"enable_cache_fallback": false}`)
	return []row{
		{name: noFilter, filter: none, path: "/4k"},
		{name: emptyFilter, filter: empty, path: "/4k", verify: isEmptyFilter},
		{name: "Weir: breaker, 4 KB", filter: weir, policy: notKept, path: "/4k", verify: isWeir, saw: allowed},
		{name: "Weir: breaker, 4 KB kept", filter: weir, policy: kept, path: "/4k", verify: isWeir, saw: allowed},
		{name: "Weir: breaker open, 4 KB from the cache", filter: weir, policy: kept, path: "/4k", before: openBreaker("/4k"), verify: isCached, saw: fromCache},
		{name: "no filter, 64 KB", filter: none, path: "/64k"},
		{name: "Weir: breaker, 64 KB kept", filter: weir, policy: kept, path: "/64k", verify: isWeir, saw: allowed},
		{name: "Weir: breaker open, 64 KB from the cache", filter: weir, policy: kept, path: "/64k", before: openBreaker("/64k"), verify: isCached, saw: fromCache},
	}
}

// openBreaker lets an answer be kept and then upstream fail.
func openBreaker(path string) func(testing.TB, string) {
	return func(t testing.TB, url string) {
		for _, p := range []string{path, "/fail"} {
			answer, err := http.Get(url + p)
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.Copy(io.Discard, answer.Body)
			if err = errors.Join(err, answer.Body.Close()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func isCached(t testing.TB, _ *engine.Envoy, answer *http.Response) {
	t.Helper()
	if got := answer.Header.Get("x-weir-source") + ", " + answer.Header.Get("x-weir-reason"); got != "cache, circuit_open" && got != "stale_cache, circuit_open" {
		t.Fatalf("answer: got %s, want one from the cache while the breaker is open", got)
	}
}

// fromCache counts by Weir's own metric.
func fromCache(e *engine.Envoy) float64 {
	stats := e.Prometheus()
	return stats[`weir_responses_total{cluster="`+Cluster+`",source="cache"}`] + stats[`weir_responses_total{cluster="`+Cluster+`",source="stale_cache"}`]
}
