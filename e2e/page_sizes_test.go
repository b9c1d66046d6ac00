package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/browser"
)

// sized is the status of so many clusters with names as Istio's, n seconds after the first: some are in trouble, most are well.
func sized(clusters, n int) object {
	all := object{}
	start := time.Date(2026, 11, 28, 2, 0, 0, 0, time.UTC)
	now := start.Add(time.Duration(n) * time.Second)
	ago := func(d time.Duration) string { return now.Add(-d).Format(time.RFC3339Nano) }
	opened := start.Add(-83 * time.Second).Format(time.RFC3339Nano)
	services := []string{"payments", "checkout", "catalog-recommendations", "identity-and-access-management", "search", "shipping-rates-eu-central", "stock", "ledger"}
	names := make([]string, clusters)
	for i := range clusters {
		namespace := "prod"
		if i >= len(services) {
			namespace = fmt.Sprintf("team-%02d", i/len(services))
		}
		names[i] = fmt.Sprintf("outbound|443||%s.%s.svc.cluster.local", services[i%len(services)], namespace)
		rate := 3 + i*37%211
		c := object{
			"mode":     "enforce",
			"requests": object{"allowed": n * rate, "rate_limited": 0, "circuit_open": 0, "bulkhead_full": 0},
			"answers":  object{"upstream": n * rate, "cache": 0, "stale_cache": 0, "default": 0, "degraded": 0, "error": 0},
			"upstream": object{"no_healthy_host": false, "failed_total": 0, "success_rate": 1},
			"circuit_breaker": object{
				"state": "closed", "forced": "auto", "since": nil, "opens_total": 0, "failure_threshold": 5, "success_threshold": 3, "recovery_timeout": 60,
			},
		}
		limit := object{
			"algorithm": "sliding_window", "scope": "proxy", "requests_per_minute": 12000, "configured_requests_per_minute": 12000, "remaining": 7412, "window": 60,
			"success_rate": nil, "limited_total": 0, "keyed": false,
		}
		c["rate_limit"] = limit
		switch i % 61 {
		case 0: // open, with fallbacks
			c["circuit_breaker"] = object{
				"state": "open", "forced": "auto", "since": opened, "opened_at": opened, "cause": "consecutive_failures", "retry_after": 37.2,
				"opens_total": 2, "failure_threshold": 5, "success_threshold": 3, "recovery_timeout": 120,
			}
			c["requests"] = object{"allowed": 1204, "circuit_open": n * rate}
			c["answers"] = object{"upstream": 1204, "stale_cache": n * rate / 3, "degraded": n * rate * 2 / 3}
			c["fallback"] = c["answers"]
			c["cache"] = object{
				"entries": 41, "max_entries": 256, "bytes": 181_223, "hits": n * rate / 3, "misses": n * rate * 2 / 3,
				"not_kept": object{"set_cookie": 12, "private": 3}, "not_used": object{"nothing_kept": n * rate * 2 / 3},
			}
			c["upstream"] = object{"failed_total": 17, "success_rate": 0.986}
		case 1: // limited by key
			c["requests"] = object{"allowed": n * 20, "rate_limited": n * 7}
			c["answers"] = object{"upstream": n * 20, "error": n * 7}
			c["rate_limit"] = object{
				"algorithm": "sliding_window", "scope": "proxy", "requests_per_minute": 96, "configured_requests_per_minute": 96, "remaining": nil, "window": 10,
				"limited_total": n * 7, "keyed": true,
				"refused_keys": object{"since": ago(time.Minute), "last": ago(0), "total": n * 7, "keys": []object{
					{"key": "9f86d081884c7d65", "at_least": n * 4, "at_most": n * 4}, {"key": "0c2f6a1b9e3d4c5f", "text": "(none)", "at_least": n * 3, "at_most": n * 3},
				}},
			}
		case 2: // without Redis
			c["rate_limit"] = object{
				"algorithm": "token_bucket", "scope": "mesh", "requests_per_minute": 4000, "configured_requests_per_minute": 4000, "remaining": 180, "window": 3,
				"without_redis": object{"since": start.Add(-12 * time.Second).Format(time.RFC3339Nano), "on_error": "local", "proxies": 40, "requests_per_minute": 100},
			}
		case 3: // failing
			c["upstream"] = object{"failed_total": n * rate / 4, "success_rate": 0.75}
		case 4: // lowered
			limit["algorithm"], limit["requests_per_minute"], limit["success_rate"] = "adaptive", 6400, 0.71
		case 5:
			c["mode"], c["requests"] = "shadow", object{"allowed": n * 30, "rate_limited": n * 3}
		case 6:
			c["requests"], c["answers"], c["unseen"] = object{}, object{}, true
		}
		all[names[i]] = c
	}
	return object{
		"time": now.Format(time.RFC3339Nano), "version": "0.2.0+tinygo", "clusters": all,
		"envoy":    object{"node": "sidecar~10.42.7.19~storefront-6d4cf56db6-x2x7q.prod~prod.svc.cluster.local", "version": "1.40.0", "since": start.Add(-31 * time.Hour).Format(time.RFC3339Nano)},
		"policies": []object{{"version": 2804519113, "since": ago(3 * time.Hour)}},
		"transitions": []object{
			{"at": opened, "cluster": names[0], "from": "half_open", "to": "open", "cause": "failed_probe, status 503"},
			{"at": start.Add(-143 * time.Second).Format(time.RFC3339Nano), "cluster": names[0], "from": "closed", "to": "open", "cause": "consecutive_failures, status 503"},
		},
		"redis": object{"state": "trouble", "calls_total": 120_412, "errors_total": 31, "last_error": object{
			"name": "unavailable", "message": "status 503: no healthy upstream", "advice": "see whether the bridge is up, and whether it reaches Redis (weir bridge: GET /health)",
		}},
	}
}

// TestPageSizes looks at the page with one cluster to a thousand on each screen, in both schemes. Nothing is wider than the screen, rows stay
// where they are, and what is well is folded where there is much.
func TestPageSizes(t *testing.T) {
	t.Parallel()
	document := pageDocument(t)
	var clusters, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("content-type", pageContentType)
			w.Header().Set("content-security-policy", pagePolicyHeader(document))
			_, _ = w.Write([]byte(document))
			return
		}
		if err := json.NewEncoder(w).Encode(sized(int(clusters.Load()), 10*int(asked.Add(1)))); err != nil {
			t.Logf("the page is gone: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	p := browser.Start(t)
	p.Timezone("UTC")
	sizes := []int64{12, 1000}
	if os.Getenv("E2E_SCREENSHOTS") != "" { // for somebody who looks at them: twice the time
		sizes = []int64{1, 12, 80, 1000}
	}
	for _, n := range sizes {
		clusters.Store(n)
		asked.Store(0)
		p.As(browser.Look{Width: 1440, Height: 1000})
		p.Open(server.URL + "/")
		p.Wait("all clusters", fmt.Sprintf(`document.querySelectorAll(".cluster").length === %d`, n))
		p.Wait("rates", `document.querySelector(".rate b").textContent.endsWith("/s")`)
		const order = `[...document.querySelectorAll("h3 button")].map(b => b.textContent).join()`
		eventually(t, func() error {
			if got := asked.Load(); got < 3 {
				return fmt.Errorf("the page has asked %d times, want 3", got)
			}
			return nil
		})
		before, at := browser.Eval[string](p, order), asked.Load()
		eventually(t, func() error {
			if got := asked.Load(); got < at+2 {
				return fmt.Errorf("the page has asked %d times, want %d", got, at+2)
			}
			return nil
		})
		if after := browser.Eval[string](p, order); after != before {
			t.Errorf("%d clusters: rows have changed places: first were\n%.400s, and then\n%.400s", n, before, after)
		}
		if shown := browser.Eval[int64](p, `[...document.querySelectorAll(".cluster")].filter(c => !c.hidden).length`); shown > max(40, n/8) {
			t.Errorf("%d clusters: %d are shown, want those folded that are well", n, shown)
		}
		for _, screen := range []browser.Look{
			{Name: "desktop", Width: 1440, Height: 1000}, {Name: "tablet", Width: 768, Height: 1024}, {Name: "phone", Width: 390, Height: 844, Phone: true},
		} {
			for _, screen.Dark = range []bool{false, true} {
				scheme := map[bool]string{false: "light", true: "dark"}[screen.Dark]
				look := screen
				look.Name = fmt.Sprintf("size-%04d-%s-%s", n, screen.Name, scheme)
				p.Look(look)
				if wide := browser.Eval[int64](p, `document.documentElement.scrollWidth`); wide > screen.Width {
					t.Errorf("%s: got a page %d pixels wide, want no more than the screen", look.Name, wide)
				}
				const cut = `[...document.querySelectorAll(".cluster:not([hidden]) .rate, .cluster:not([hidden]) .badge, .feeds, .chip")].filter(e => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0).map(e => e.className + ": " + e.textContent)`
				eventually(t, func() error { // rows that come into sight are laid out a moment later
					if off := browser.Eval[[]string](p, cut); len(off) > 0 {
						return fmt.Errorf("%s: cut off are %.300s", look.Name, strings.Join(off, ", "))
					}
					return nil
				})
			}
		}
	}
	p.As(browser.Look{Width: 1440, Height: 1000})
	browser.Eval[bool](p, `(scrollTo(0, document.body.scrollHeight), true)`)
	p.Look(browser.Look{Name: "size-1000-bottom", Width: 1440, Height: 1000})
	folded := browser.Eval[string](p, `document.querySelector("#rest").textContent`)
	p.Click("#rest")
	if shown := browser.Eval[int64](p, `[...document.querySelectorAll(".cluster")].filter(c => !c.hidden).length`); shown != 1000 {
		t.Errorf("after %q: %d clusters are shown, want all 1,000", folded, shown)
	}
	browser.Eval[bool](p, `(scrollTo(0, 0), true)`)
	p.Click("#byname")
	p.Wait("order by name", `[...document.querySelectorAll("h3 button")].every((b, i, all) => i === 0 || all[i - 1].textContent < b.textContent)`)
	filtered(p, "payments.team-61")
	p.Wait("the one that fits", `[...document.querySelectorAll(".cluster")].filter(c => !c.hidden).length === 1`)
	checkConsole(t, p)
}
