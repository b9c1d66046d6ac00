package e2e

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// retryCase is a request that upstream fails, and the wanted result.
type retryCase struct {
	name      string // of the cluster, behind the driver's
	rules     string // of the section retry
	beside    string // other sections, and mode
	method    string // GET where empty; one with a body has "payload"
	answers   []upstream.Behaviour
	refuse    bool // no connection, instead of answers
	attempts  int  // that reach the upstream
	envoy     int  // the same with driver envoy, where it differs; -1: not for it
	status    int
	body      string
	exhausted bool // the last answer says RetryExhausted
	ranOut    bool // it does not, for a fallback answers
	source    string
}

func retryCases() []retryCase {
	is := func(all ...upstream.Behaviour) []upstream.Behaviour { return all }
	failed, ok := upstream.Status(500).Body("sorry"), upstream.Body("fine")
	return []retryCase{
		{name: "second", answers: is(failed, ok), attempts: 2, status: 200, body: "fine"},
		{name: "third", answers: is(failed, upstream.Status(502), ok), attempts: 3, status: 200, body: "fine"},
		{name: "none", answers: is(ok), attempts: 1, status: 200, body: "fine"},
		{name: "all-failed", answers: is(failed, upstream.Status(502), upstream.Status(503).Body("last")), attempts: 3, status: 503, body: "last", exhausted: true},
		{name: "five", rules: "max_attempts: 5", answers: is(failed), attempts: 5, status: 500, body: "sorry", exhausted: true},
		{name: "two", rules: "max_attempts: 2", answers: is(failed, failed, ok), attempts: 2, status: 500, body: "sorry", exhausted: true},
		{name: "one", rules: "max_attempts: 1", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "then-unlisted", answers: is(failed, upstream.Status(404).Body("no")), attempts: 2, status: 404, body: "no"},

		{name: "unlisted", answers: is(upstream.Status(404).Body("no"), ok), attempts: 1, status: 404, body: "no"},
		{name: "class", rules: "retry_on: [4xx]", answers: is(upstream.Status(404), upstream.Status(499), ok), attempts: 3, status: 200, body: "fine"},
		{name: "class-other", rules: "retry_on: [4xx]", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "status", rules: `retry_on: ["429"]`, answers: is(upstream.Status(429), ok), attempts: 2, status: 200, body: "fine"},
		{name: "status-other", rules: `retry_on: ["503"]`, answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "reset", rules: "retry_on: [reset]", answers: is(upstream.Reset(), ok), attempts: 2, status: 200, body: "fine"},
		{name: "reset-other", rules: `retry_on: [connect_failure, "503"]`, answers: is(upstream.Reset(), ok), attempts: 1, status: 503},
		{name: "resets", answers: is(upstream.Reset()), attempts: 3, status: 503, exhausted: true},
		{name: "refused", rules: "retry_on: [connect_failure]", refuse: true, attempts: 3, status: 503, exhausted: true},
		{name: "refused-other", rules: "retry_on: [5xx]", refuse: true, attempts: 1, status: 503},
		// The router's `reset` is whatever brings no answer, a refused connection too.
		{name: "refused-no-reset", rules: "retry_on: [reset]", refuse: true, attempts: 1, envoy: -1, status: 503},
		{name: "timeout", rules: "retry_on: [timeout], per_try_timeout: 150ms", answers: is(upstream.Hang(), ok), attempts: 2, status: 200, body: "fine"},
		{name: "timeout-other", rules: "retry_on: [connect_failure], per_try_timeout: 150ms", answers: is(upstream.Hang(), ok), attempts: 1, status: 504},
		{name: "timeouts", rules: "per_try_timeout: 100ms", answers: is(upstream.Hang()), attempts: 3, status: 504, exhausted: true},
		// A byte of it went to the client: it breaks off, and there is no retry.
		{name: "half-body", answers: is(upstream.HalfBody(1000), ok), attempts: 1},

		{name: "head", method: "HEAD", answers: is(failed, ok), attempts: 2, status: 200},
		{name: "put", method: "PUT", answers: is(failed, ok), attempts: 2, status: 200, body: "fine"},
		{name: "delete", method: "DELETE", answers: is(failed, ok), attempts: 2, status: 200, body: "fine"},
		{name: "options", method: "OPTIONS", answers: is(failed, ok), attempts: 2, status: 200, body: "fine"},
		{name: "post", method: "POST", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "patch", method: "PATCH", answers: is(upstream.Reset(), ok), attempts: 1, status: 503},
		{
			name: "patch-default", method: "PATCH", beside: "fallback: {enable_cache_fallback: false, methods: [GET, PATCH], default_data: {body: instead}}",
			answers: is(upstream.Reset()), attempts: 1, status: 200, body: "instead", source: "default",
		},
		// No breaker learns from these, and yet their fallback and their retry depend on when upstream had all of the request.
		{
			name: "patch-late", method: "PATCH", rules: "per_try_timeout: 150ms",
			beside:  "fallback: {enable_cache_fallback: false, methods: [GET, PATCH], default_data: {body: instead}}",
			answers: is(upstream.Hang()), attempts: 1, status: 200, body: "instead", source: "default",
		},
		{name: "post-timeout", method: "POST", rules: "methods: [POST], per_try_timeout: 150ms", answers: is(upstream.Hang(), ok), attempts: 2, status: 200, body: "fine"},
		{name: "post-listed", method: "POST", rules: "methods: [POST]", answers: is(failed, ok), attempts: 2, status: 200, body: "fine"},
		{name: "get-unlisted", rules: "methods: [POST]", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},

		{name: "shadow", beside: "mode: shadow", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "off", beside: "mode: off", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry"},
		{name: "no-budget", rules: "budget: {percent: 0, min_per_second: 0}", answers: is(failed, ok), attempts: 1, status: 500, body: "sorry", exhausted: true},
		{name: "one-in-budget", rules: "max_attempts: 5, budget: {percent: 0, min_per_second: 0.1}", answers: is(failed), attempts: 2, status: 500, body: "sorry", exhausted: true},
		{
			name: "fallback", beside: "fallback: {enable_cache_fallback: false, default_data: {body: instead}}",
			answers: is(failed), attempts: 3, status: 200, body: "instead", ranOut: true, source: "default",
		},
		{
			name: "fallback-unneeded", beside: "fallback: {enable_cache_fallback: false, default_data: {body: instead}}",
			answers: is(failed, ok), attempts: 2, status: 200, body: "fine",
		},
		// Each attempt of the filter is an outcome of its own and spends from the limits; the router's attempts are
		// one.
		{
			name: "breaker-opens", rules: "max_attempts: 5", beside: "circuit_breaker: {failure_threshold: 2, recovery_timeout: 1h}",
			answers: is(failed, upstream.Status(502).Body("last")), attempts: 2, envoy: 5, status: 502, body: "last", exhausted: true,
		},
		{
			name: "limit-spent", rules: "max_attempts: 5", beside: "rate_limit: {algorithm: token_bucket, burst_capacity: 2, refill_rate: 0.0001}",
			answers: is(failed, upstream.Status(502).Body("last")), attempts: 2, envoy: 5, status: 502, body: "last", exhausted: true,
		},
		// The next attempt would come when the request's time is over.
		{
			name: "deadline", rules: "max_attempts: 5, base_delay: 200ms, jitter: false", beside: "circuit_breaker: {failure_threshold: 1000, timeout: 400ms}",
			answers: is(failed), attempts: 2, envoy: -1, status: 500, body: "sorry", exhausted: true,
		},
	}
}

// TestRetryConditions: what is sent again and what is not, by each driver.
func TestRetryConditions(t *testing.T) {
	t.Parallel()
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	cases := retryCases()
	for _, driver := range drivers {
		for _, c := range cases {
			if c.by(driver) == 0 {
				continue
			}
			sections := retryRules(driver, c.rules)
			if c.beside != "" {
				sections += ", " + c.beside
			}
			policy += fmt.Sprintf("  %s-%s: {%s}\n", driver, c.name, sections)
			upstreams[driver+"-"+c.name] = c.upstream(t)
		}
		policy += fmt.Sprintf("  %s-half-open: {%s, circuit_breaker: {failure_threshold: 1, recovery_timeout: 200ms}}\n", driver, retryRules(driver, ""))
		upstreams[driver+"-half-open"] = upstream.New(t)
	}
	grpcCases := retryGRPCCases()
	for _, c := range grpcCases {
		policy += fmt.Sprintf("  %s: {%s}\n", c.name, retryRules("envoy", c.rules+`, methods: [POST]`))
		upstreams[c.name] = upstream.New(t)
		upstreams[c.name].Script(c.answers...)
	}
	policy += fmt.Sprintf("  by-way: {%s}\n", retryRules("filter", "jitter: false"))
	upstreams["by-way"] = upstream.New(t)
	w := start(t, policy, upstreams)
	t.Run("log", func(t *testing.T) { retriesAreLogged(t, w.in(t), upstreams["by-way"]) })
	for _, driver := range drivers {
		for _, c := range cases {
			if c.by(driver) != 0 {
				t.Run(driver+"/"+c.name, func(t *testing.T) {
					c.check(t, w.in(t), driver, upstreams[driver+"-"+c.name])
				})
			}
		}
		t.Run(driver+"/half-open", func(t *testing.T) {
			probesAreNotRetried(t, w.in(t), driver+"-half-open", upstreams[driver+"-half-open"])
		})
	}
	t.Run("metrics", func(t *testing.T) { counted(w.in(t), cases) })
	for _, c := range grpcCases {
		t.Run(c.name, func(t *testing.T) {
			if err := w.in(t).grpc(c.name); status.Code(err) != c.code {
				t.Errorf("the client saw %v, want %v", err, c.code)
			}
			if got := upstreams[c.name].Count(); got != c.attempts {
				t.Errorf("%d attempts, want %d", got, c.attempts)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// by is how many attempts a driver makes, 0 for a case that is not for it.
func (c retryCase) by(driver string) int {
	switch {
	case driver == "filter" || c.envoy == 0:
		return c.attempts
	case c.envoy > 0:
		// The router makes them whatever the breaker does: it got its retry policy before.
		return c.envoy
	default:
		return 0
	}
}

func (c retryCase) upstream(t *testing.T) *upstream.Upstream {
	u := upstream.New(t)
	if c.refuse {
		u.Refuse()
	} else {
		u.Script(c.answers...)
	}
	return u
}

func (c retryCase) check(t *testing.T, w *weir, driver string, u *upstream.Upstream) {
	cluster := driver + "-" + c.name
	method := c.method
	if method == "" {
		method = "GET"
	}
	r, _ := w.numberedRequest(method, cluster, "/page?a=b")
	if method == "PUT" || method == "POST" || method == "PATCH" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("payload")), int64(len("payload"))
	}
	a := w.do(r)
	attempts := c.by(driver)
	if c.status == 0 {
		if a.err == nil {
			t.Errorf("got %+v, want a response that breaks off", a)
		}
	} else if a.err != nil || a.status != c.status || c.body != "" && a.body != c.body {
		t.Errorf("answered with %+v, want %d %q", a, c.status, c.body)
	}
	if !c.refuse && u.Count() != attempts {
		t.Errorf("%d attempts, want %d", u.Count(), attempts)
	}
	for i, attempt := range u.Requests() {
		if attempt.Method != method || attempt.Host != cluster || attempt.Path != "/page?a=b" || r.ContentLength != attempt.BodySize {
			t.Errorf("attempt %d: got %+v, want the request as it was sent", i, attempt)
		}
	}
	if want := map[bool]string{true: "RetryExhausted"}[c.exhausted]; a.errorOf() != want {
		t.Errorf("x-weir-error %q, want %q", a.errorOf(), want)
	}
	if strings.Contains(c.beside, "mode: off") {
		return
	}
	if c.status != 0 {
		answeredOnce(t, a)
	}
	if c.source != "" && a.source() != c.source {
		t.Errorf("it came from %q, want %q", a.source(), c.source)
	}
}

// counted holds the metrics of all cases to what they say.
func counted(w *weir, cases []retryCase) {
	w.t.Helper()
	metrics := w.Prometheus()
	for _, driver := range drivers {
		for _, c := range cases {
			attempts := c.by(driver)
			if attempts == 0 || strings.Contains(c.beside, "mode: off") {
				continue
			}
			label := fmt.Sprintf(`{cluster="%s-%s"}`, driver, c.name)
			retries, ranOut := metrics["weir_retries_total"+label], metrics["weir_retries_exhausted_total"+label]
			if retries != float64(attempts-1) || (ranOut == 1) != (c.exhausted || c.ranOut) || ranOut > 1 {
				w.t.Errorf("%s-%s: got %v counted retries and %v exhausted requests after %d attempts", driver, c.name, retries, ranOut, attempts)
			}
		}
	}
}

// probesAreNotRetried: while the breaker is half-open, a request is tried once.
func probesAreNotRetried(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	u.Set(upstream.Status(500).Body("sorry"))
	w.get(cluster, "/")
	w.WaitMetric(fmt.Sprintf(`weir_breaker_transitions_total{cluster="%s",to="open"}`, cluster), engine.Exactly(1))
	var a answer
	u.Forget()
	eventually(t, func() error {
		if a = w.get(cluster, "/"); a.reason() == "circuit_open" {
			return fmt.Errorf("got %+v, want an admitted probe", a)
		}
		return nil
	})
	if u.Count() != 1 || a.status != 500 || a.body != "sorry" || a.errorOf() != "" {
		t.Errorf("probe: got %d attempts and %+v, want 1 and upstream's 500", u.Count(), a)
	}
}

// retriesAreLogged: at debug the log has each attempt with its number, delay and cause.
func retriesAreLogged(t *testing.T, w *weir, u *upstream.Upstream) {
	u.Script(upstream.Status(500), upstream.OK())
	w.get("by-way", "/")
	if line := "weir: by-way: retry "; strings.Contains(w.Logs(), line) {
		t.Errorf("got %q in the log, want it at debug level alone", line)
	}
	w.AdminPost("/logging?wasm=debug")
	eventually(t, func() error {
		u.Script(upstream.Status(500), upstream.Status(503), upstream.OK())
		w.get("by-way", "/")
		for _, line := range []string{"weir: by-way: retry 1 of 2 after 10ms to by-way (status 500)", "weir: by-way: retry 2 of 2 after 20ms to by-way (status 503)"} {
			if !strings.Contains(w.Logs(), line) {
				return fmt.Errorf("got no %q in the log yet", line)
			}
		}
		return nil
	})
	w.AdminPost("/logging?wasm=info")
}

type retryGRPCCase struct {
	name, rules string
	answers     []upstream.Behaviour
	attempts    int
	code        codes.Code
}

func retryGRPCCases() []retryGRPCCase {
	return []retryGRPCCase{
		{"grpc-listed", `retry_on: ["grpc:unavailable"]`, []upstream.Behaviour{upstream.GRPC(14, false), upstream.GRPC(0, true)}, 2, codes.OK},
		{"grpc-unlisted", `retry_on: ["grpc:unavailable"]`, []upstream.Behaviour{upstream.GRPC(13, false), upstream.GRPC(0, true)}, 1, codes.Internal},
		{"grpc-reset", `retry_on: [reset]`, []upstream.Behaviour{upstream.Reset(), upstream.GRPC(0, true)}, 2, codes.OK},
		// The status stands behind a message that went to the client.
		{"grpc-late", `retry_on: ["grpc:unavailable"]`, []upstream.Behaviour{upstream.GRPC(14, true), upstream.GRPC(0, true)}, 1, codes.Unavailable},
	}
}
