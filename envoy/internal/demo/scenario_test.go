package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/envoy/examples"
	"github.com/weir-mesh/weir/policy"
)

// proxy is a small model of Envoy with Weir. fault makes it do one thing wrong.
type proxy struct {
	policy *policy.Policy
	to     *httputil.ReverseProxy
	fault  string

	mu        sync.Mutex
	tokens    float64
	refilled  time.Time
	failures  int
	successes int
	openUntil time.Time
	state     string
	kept      string // the catalogue
	keptAt    time.Time
}

func newProxy(t *testing.T, p *policy.Policy, upstream, fault string) *proxy {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{
		policy: p, to: httputil.NewSingleHostReverseProxy(target), fault: fault,
		tokens: float64(p.RateLimit.Burst), refilled: time.Now(), state: "closed",
	}
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.state == "open" && now.After(p.openUntil) && p.fault != "never half-open" {
		p.state, p.successes = "half-open", 0
	}
	if p.state == "open" {
		if p.fault == "requests leak while open" {
			p.to.ServeHTTP(httptest.NewRecorder(), r)
		}
		p.fallback(w, r, "circuit_open")
		return
	}
	p.tokens = min(float64(p.policy.RateLimit.Burst), p.tokens+now.Sub(p.refilled).Seconds()*p.policy.RateLimit.Refill)
	p.refilled = now
	if p.tokens < 1 && p.fault != "no rate limit" {
		if p.fault != "no Retry-After" {
			w.Header().Set("Retry-After", "1")
		}
		w.Header().Set("X-Weir-Source", "error")
		w.Header().Set("X-Weir-Reason", "rate_limited")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	p.tokens--
	p.forward(w, r, now)
}

func (p *proxy) forward(w http.ResponseWriter, r *http.Request, now time.Time) {
	got := httptest.NewRecorder()
	p.to.ServeHTTP(got, r)
	if got.Code < 500 {
		p.failures = 0
		p.successes++
		if p.state == "half-open" && p.successes >= p.policy.CircuitBreaker.SuccessThreshold && p.fault != "never closed" {
			p.state = "closed"
		}
		w.Header().Set("X-Weir-Source", "upstream")
		if r.URL.Path == catalogue && p.fault != "no cache" {
			p.kept, p.keptAt = got.Body.String(), now
		}
		fmt.Fprint(w, got.Body)
		return
	}
	p.failures++
	if (p.state == "half-open" || p.failures >= p.policy.CircuitBreaker.FailureThreshold) && p.fault != "never open" {
		p.state, p.failures, p.openUntil = "open", 0, now.Add(p.policy.CircuitBreaker.RecoveryTimeout)
		if p.fault == "half-open too early" {
			p.openUntil = now.Add(p.policy.CircuitBreaker.RecoveryTimeout * 3 / 4)
		}
	}
	if p.fault == "no fallback" {
		http.Error(w, "upstream's own answer", got.Code)
		return
	}
	p.fallback(w, r, "upstream_failure")
}

func (p *proxy) fallback(w http.ResponseWriter, r *http.Request, reason string) {
	age := time.Since(p.keptAt)
	if r.URL.Path == catalogue && p.kept != "" && (age <= p.policy.Fallback.Staleness || p.fault == "stale for ever") {
		w.Header().Set("Age", fmt.Sprint(int(age.Seconds())))
		w.Header().Set("Cache-Status", "weir; hit")
		w.Header().Set("X-Weir-Reason", reason)
		w.Header().Set("X-Weir-Source", "cache")
		if age > p.policy.Fallback.TTL {
			w.Header().Set("X-Weir-Source", "stale_cache")
			if p.fault != "no warning" {
				w.Header().Set("Warning", `110 weir "Response is Stale"`)
			}
		}
		fmt.Fprint(w, p.kept)
		return
	}
	w.Header().Set("X-Weir-Source", "default")
	w.Header().Set("X-Weir-Reason", reason)
	fmt.Fprint(w, `{"degraded":true}`)
}

func TestScenario(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for recovery timeouts")
	}
	for _, test := range []struct {
		fault string
		want  string // in the error; "" for none
	}{
		{"", ""},
		{"no rate limit", "step 2: check failed: 429"},
		{"no Retry-After", "step 2: check failed: 429"},
		{"no fallback", "step 3: check failed: default data instead of failure 1"},
		{"never open", "step 4: check failed: default data while the breaker is open"},
		{"requests leak while open", "step 4: check failed: 5 requests were answered, 5 reached"},
		{"half-open too early", "step 5: check failed: 1 probe reached"},
		{"never half-open", "step 5: check failed"},
		{"no cache", "step 8: check failed: the cached response, up to"},
		{"no warning", "step 8: check failed: the cached response with a warning"},
		{"stale for ever", "step 8: check failed: the default data"},
		{"never closed", "step 7: check failed: after a single failure"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			t.Parallel()
			printed, got := runScenario(t, test.fault)
			if test.want == "" {
				if got != nil {
					t.Errorf("got %v, want no error\n%s", got, printed)
				}
				return
			}
			if got == nil || !strings.Contains(got.Error(), test.want) {
				t.Errorf("got %v, want %q\n%s", got, test.want, printed)
			}
		})
	}
}

func runScenario(t *testing.T, fault string) (printed string, err error) {
	t.Helper()
	document, _, err := example(examples.QuickstartPolicy, noVariables)
	if err != nil {
		t.Fatal(err)
	}
	p := document.For("aws_pricing")
	p.CircuitBreaker.RecoveryTimeout = 400 * time.Millisecond
	p.Fallback.TTL, p.Fallback.Staleness = 400*time.Millisecond, 800*time.Millisecond
	p.RateLimit.Refill = 10
	up := &upstream{}
	behind := httptest.NewServer(up)
	defer behind.Close()
	front := httptest.NewServer(newProxy(t, p, behind.URL, fault))
	defer front.Close()
	var out bytes.Buffer
	s := &scenario{base: front.URL, upstream: up, policy: p, out: &printer{out: &out}, slack: 2 * time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = s.run(ctx)
	return out.String(), err
}

func TestColoursAreOptional(t *testing.T) {
	for _, color := range []bool{true, false} {
		var out bytes.Buffer
		a := &printer{out: &out, color: color}
		if err := a.check(true, "seen"); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(out.String(), "\x1b["); got != color {
			t.Errorf("color %t: got %q", color, out.String())
		}
	}
}

func TestMesh(t *testing.T) {
	for _, test := range []struct {
		fault string
		limit int64 // what each of two proxies admits by itself
		want  string
	}{
		{"", 0, ""},
		{"each its own limit", 20, "40 reached the upstream"},
		{"too few", 9, "18 in total"},
	} {
		up := &upstream{}
		behind := httptest.NewServer(up)
		defer behind.Close()
		target, err := url.Parse(behind.URL)
		if err != nil {
			t.Fatal(err)
		}
		to := httputil.NewSingleHostReverseProxy(target)
		var shared int64
		m := &mesh{upstream: up, out: &printer{out: &bytes.Buffer{}}, limit: &policy.RateLimit{Requests: 20, Window: time.Second}}
		for range 2 {
			var own int64
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				own++
				shared++
				if test.limit == 0 && shared > 20 || test.limit > 0 && own > test.limit {
					w.Header().Set("X-Weir-Reason", "rate_limited")
					w.WriteHeader(http.StatusTooManyRequests)
					return
				}
				w.Header().Set("X-Weir-Source", "upstream")
				to.ServeHTTP(w, r)
			}))
			defer front.Close()
			m.bases = append(m.bases, front.URL)
		}
		err = m.share(t.Context())
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: got %v, want %q", test.fault, err, test.want)
		}
	}
}
