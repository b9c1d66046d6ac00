package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/browser"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// object is a JSON object of the status that a false admin listener sends. A cluster's counters grow with each
// response.
type object map[string]any

// words are the page's texts for one cluster. {N} in a status becomes ten times the number of the response, {MODE} shadow in the first
// one and enforce from the second on, and {ENFORCED} 0 and 5000.
var words = []struct {
	name, status string
	word, says   string // a part of what it says
}{
	{"00-absent", `{"mode": "enforce"}`, "OK", "All requests are admitted."},
	{"01-null", `{"mode": "enforce", "circuit_breaker": {"state": "closed", "forced": "auto", "since": null, "opened_at": null}, "rate_limit": {"requests_per_minute": 60,
		"configured_requests_per_minute": 60, "remaining": null, "success_rate": null, "keyed": true}, "requests": {"allowed": {N}}}`, "OK", "All requests are admitted."},
	{
		"02-open", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "since": "2026-01-02T03:04:05Z", "retry_after": 71.2}, "requests": {"circuit_open": {N}}}`,
		"Open", "since 03:04:05 (1\u00a0h 1\u00a0min); next probe in 1\u00a0min 12\u00a0s.",
	},
	{"03-open, over", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "since": "2026-01-02T03:04:05Z", "retry_after": 0}}`, "Open", "the next request is the probe."},
	{"04-open, in a row", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "consecutive_failures", "failure_threshold": 5, "retry_after": 2}}`, "Open", "is open, opened by 5 failures in a row; next probe in 2\u00a0s."},
	{"041-open, at once", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "consecutive_failures", "failure_threshold": 1, "retry_after": 2}}`, "Open", ", opened by a failure; next"},
	{"042-open, a rate", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "failure_rate", "failure_rate_threshold": 0.5}}`, "Open", ", opened by a failure rate of 50\u202f% or more; the next"},
	{"043-open, slow", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "slow_calls", "slow_calls_threshold": null}}`, "Open", ", opened by its share of slow calls; the next"},
	{"044-open, a probe", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "failed_probe"}}`, "Open", ", opened by a failed probe; the next"},
	{"0441-open, a slow probe", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "slow_probe"}}`, "Open", ", opened by a slow probe; the next"},
	{"0442-open, left alone", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "cause": "operator"}}`, "Open", ", opened by an operator; the next"},
	{"0443-closed by probes", `{"mode": "enforce", "circuit_breaker": {"state": "closed", "forced": "auto", "since": "2026-01-02T03:04:05Z", "cause": "probes_succeeded"}}`, "OK", "since 03:04:05, by successful probes."},
	{"045-yesterday", `{"mode": "enforce", "circuit_breaker": {"state": "closed", "forced": "auto", "since": "2026-01-01T03:04:05Z"}}`, "OK", "closed since 1 Jan 03:04:05."},
	{"05-forced open", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "open", "since": "2026-01-02T03:04:05Z"}}`, "Forced open", "An operator forced the circuit breaker open; it is open since "},
	{"06-forced closed", `{"mode": "enforce", "circuit_breaker": {"state": "closed", "forced": "closed"}}`, "Forced closed", "its requests pass, however many fail"},
	{"07-failover", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "retry_after": 5}, "failover": {"to": ["eu", "us"], "to_total": {N}}}`, "Failed over", "its requests go to eu or us."},
	{"075-failover, full", `{"mode": "enforce", "circuit_breaker": {"state": "open", "forced": "auto", "retry_after": 5}, "failover": {"to": ["eu"], "to_total": {N}}, "requests": {"circuit_open": {N}}}`, "Open", "its requests go to eu."},
	{"08-half-open", `{"mode": "enforce", "circuit_breaker": {"state": "half_open", "forced": "auto", "success_count": 1, "success_threshold": 3}}`, "Half-open", "1 of 3 successes seen"},
	{"09-no host", `{"mode": "enforce", "upstream": {"no_healthy_host": true}}`, "No host", "no healthy host"},
	{"10-bulkhead", `{"mode": "enforce", "bulkhead": {"in_flight": 8, "max_concurrent": 8, "rejected_total": {N}}, "requests": {"bulkhead_full": {N}}}`, "Full", "8 of 8 requests in flight; "},
	{"11-limit", `{"mode": "enforce", "rate_limit": {"requests_per_minute": 30, "configured_requests_per_minute": 30, "remaining": 0}, "requests": {"rate_limited": {N}}}`, "Limited", "Its limit of 30/min is used up; "},
	{"12-limit by key", `{"mode": "enforce", "rate_limit": {"requests_per_minute": 30, "configured_requests_per_minute": 30, "keyed": true}, "requests": {"rate_limited": {N}}}`, "Limited", "Its limit of 30/min for each key is used up"},
	{"13-lowered", `{"mode": "enforce", "rate_limit": {"requests_per_minute": 34.3, "configured_requests_per_minute": 100, "success_rate": 0.62}, "requests": {"allowed": {N}}}`, "Lowered", "lowered to 34 of 100/min: 62"},
	{"14-fallback", `{"mode": "enforce", "requests": {"allowed": {N}}, "answers": {"upstream": 3, "cache": {N}}}`, "Watch", "in the last minute: upstream failed."},
	{"141-fallback, full", `{"mode": "enforce", "bulkhead": {"in_flight": 1, "max_concurrent": 8, "rejected_total": {N}}, "requests": {"allowed": {N}, "bulkhead_full": {N}}, "answers": {"upstream": {N}, "cache": {N}}}`, "Full", "Fallbacks answer 50"},
	{"142-fallback, a key", `{"mode": "enforce", "requests": {"allowed": {N}, "rate_limited": {N}}, "answers": {"upstream": {N}, "cache": {N}}}`, "Watch", " over the limit."},
	{"143-failing", `{"mode": "enforce", "requests": {"allowed": {N}}, "upstream": {"failed_total": {N}}}`, "Failing", "failed in the last minute, 100\u202f% of those admitted."},
	{"144-denied", `{"mode": "enforce", "rate_limit": {"window": 10, "without_redis": {"since": "2026-01-02T04:05:05Z", "on_error": "deny", "proxies": 3}}}`, "Denied", "on_error is deny, so nothing is admitted."},
	{
		"145-without Redis", `{"mode": "enforce", "rate_limit": {"window": 10, "keyed": true, "without_redis": {"since": "2026-01-02T04:05:05Z", "on_error": "local", "proxies": 3, "requests_per_minute": 120}}}`,
		"Without Redis", "on_error is local, so each of 3 proxies admits 20/10s for each key by itself.",
	},
	{
		"146-alone", `{"mode": "enforce", "rate_limit": {"algorithm": "token_bucket", "window": 5, "without_redis": {"since": "2026-01-02T04:05:05Z", "on_error": "local", "proxies": 1, "requests_per_minute": 100.2}}}`,
		"Without Redis", "so this proxy admits 1.67/s with bursts of 8 by itself.",
	},
	{"147-no limit", `{"mode": "enforce", "rate_limit": {"without_redis": {"since": "2026-01-02T04:05:05Z", "on_error": "allow", "proxies": 1, "requests_per_minute": null}}}`, "Without Redis", "on_error is allow, so there is no limit."},
	{"15-errors", `{"mode": "enforce", "requests": {"allowed": {N}}, "answers": {"error": {N}}}`, "Watch", "got an error in the last minute"},
	{"16-retries", `{"mode": "enforce", "retry": {"attempts_total": {N}, "exhausted_total": {N}, "budget_remaining": 0}}`, "Watch", "Retries did not help "},
	{"17-shadow", `{"mode": "shadow", "circuit_breaker": {"state": "open", "forced": "auto", "retry_after": 5}}`, "Shadow", "enforced it would say: The circuit breaker is open"},
	{"171-enforced again", `{"mode": "{MODE}", "rate_limit": {"requests_per_minute": 30, "configured_requests_per_minute": 30}, "requests": {"rate_limited": {ENFORCED}}}`, "OK", "All requests are admitted."},
	{"18-off", `{"mode": "off"}`, "Off", "untouched"},
	{"19-<img src=x onerror=alert(1)>&amp;<script>alert(1)</script>", `{"mode": "enforce", "requests": {"allowed": {N}}}`, "OK", "All requests are admitted."},
}

// TestPageWords checks the page's texts for each state with a false admin listener, among hundreds of clusters.
func TestPageWords(t *testing.T) {
	p := browser.Start(t)
	o := options(t, `{clusters: {aws: {circuit_breaker: {}}}}`, map[string]*upstream.Upstream{"aws": upstream.New(t)})
	withAdmin(&o)
	page := startWith(t, o).console().page()
	checkPage(t, page)
	const more = 400
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			w.Header().Set("content-type", page.header.Get("content-type"))
			w.Header().Set("content-security-policy", page.header.Get("content-security-policy"))
			_, _ = w.Write([]byte(page.body))
			return
		}
		n := asked.Add(1)
		clusters := object{}
		for _, c := range words {
			mode, enforced := "shadow", 0
			if n > 1 {
				mode, enforced = "enforce", 5000
			}
			clusters[c.name] = json.RawMessage(strings.NewReplacer("{N}", fmt.Sprint(10*n), "{MODE}", mode, "{ENFORCED}", fmt.Sprint(enforced)).Replace(c.status))
		}
		for i := range more {
			clusters[fmt.Sprintf("outbound|8080||service-%03d.shop.svc.cluster.local", i)] = object{"mode": "enforce", "requests": object{"allowed": n * int64(i)}}
		}
		now := time.Date(2026, 1, 2, 4, 5, 6, 0, time.UTC).Add(time.Duration(n) * time.Second)
		if err := json.NewEncoder(w).Encode(object{
			"time": now.Format(time.RFC3339Nano), "clusters": clusters,
			"redis": object{
				"state": "trouble", "calls_total": 1204, "errors_total": 3,
				"last_error": object{"name": "OOM", "message": "OOM <img src=x>", "advice": "raise maxmemory", "cluster": "aws"},
			},
		}); err != nil {
			t.Logf("the page is gone: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	p.Timezone("UTC")
	p.Open(server.URL + "/")
	p.Wait("all clusters", fmt.Sprintf(`document.querySelectorAll(".cluster").length === %d`, more+len(words)))
	p.Wait("Redis's trouble", `document.querySelector("#redis.trouble")?.innerText.includes("in trouble, 3 errors in 1,204 calls")`)
	p.Wait("its reason", `document.querySelector("#redis-why").textContent === "Redis, OOM for the limit of aws: OOM <img src=x>; raise maxmemory."`)
	p.Wait("two more answers", inRow("11-limit", ".badge")+`.textContent === "Limited"`)
	for _, c := range words {
		got := browser.Eval[[]string](p, fmt.Sprintf(`(r => [r.querySelector(".badge").textContent, r.querySelector(".why").textContent])(%s)`, row(c.name)))
		if got[0] != c.word || !strings.Contains(got[1], c.says) {
			t.Errorf("%s: %q, want %s and %q in it", c.name, got, c.word, c.says)
		}
	}
	// First are those from which clients suffer, then the worst; the page's headline and title count the unavailable.
	want := []string{"02-open", "075-failover, full", "10-bulkhead", "141-fallback, full", "11-limit", "12-limit by key", "143-failing", "142-fallback, a key", "03-open, over", "04-open, in a row", "041-open, at once", "042-open, a rate", "043-open, slow", "044-open, a probe", "0441-open, a slow probe", "0442-open, left alone", "05-forced open", "09-no host", "144-denied", "08-half-open"}
	if got := browser.Eval[[]string](p, `[...document.querySelectorAll("h3 button")].slice(0, 20).map(b => b.textContent)`); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("first are %q, want %q", got, want)
	}
	if got := browser.Eval[string](p, `document.title`); got != fmt.Sprintf("(13) 13 of %d clusters are unavailable · Weir", more+len(words)) {
		t.Errorf("got the title %q", got)
	}
	if n := browser.Eval[int](p, `document.querySelectorAll("#list img, #list script").length`); n != 0 {
		t.Errorf("got %d elements made from a name, want 0", n)
	}
	// Rows out of sight are not drawn, and unchanged texts are not written again.
	changes := browser.Eval[string](p, `(() => { window.written = 0; window.watch = new MutationObserver(l => { written += l.length }); watch.observe(document.querySelector("#list"), {subtree: true, childList: true, characterData: true, attributes: true}); return "on" })()`)
	from := asked.Load()
	eventually(t, func() error {
		if n := asked.Load() - from; n < 3 {
			return fmt.Errorf("watching is %s, and the page has asked %d times, want 3", changes, n)
		}
		return nil
	})
	if n := browser.Eval[int](p, `written`); n == 0 || n > 2*(more+len(words)) {
		t.Errorf("%d changes of the document with three answers, want some and at most two for each of %d clusters", n, more+len(words))
	}
	p.Look(browser.Look{Name: "hundreds", Width: 1280, Height: 1100})
	checkConsole(t, p)
}
