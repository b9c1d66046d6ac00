package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// The tests of retries share one way of asking: each request has a number of its own in a header that means nothing to
// Weir, by which its upstream knows the request that an attempt belongs to.
const numberHeader = load.NumberHeader

// drivers are those that send a request again: Envoy's router, and this filter.
var drivers = []string{"envoy", "filter"}

// lastNumber gives each request of this process another one.
var lastNumber atomic.Int64

// numberedRequest is a request with a number of its own, and headers, name and value in turn.
func (w *weir) numberedRequest(method, cluster, path string, headers ...string) (r *http.Request, id string) {
	w.t.Helper()
	r = w.request(w.t.Context(), method, cluster, path)
	setAll(r, headers)
	id = strconv.FormatInt(lastNumber.Add(1), 10)
	r.Header.Set(numberHeader, id)
	return r, id
}

// many sends n requests, rate a second, and returns when all are answered. It fails the test with the first of those
// that were not answered as they should.
func many(t *testing.T, n int, rate float64, send func(i int) error) {
	t.Helper()
	begun := time.Now()
	wrong := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		time.Sleep(time.Until(begun.Add(time.Duration(float64(i) / rate * float64(time.Second))))) // the load's own pace
		all.Go(func() { wrong[i] = send(i) })
	}
	all.Wait()
	wrong = slices.DeleteFunc(wrong, func(err error) bool { return err == nil })
	if len(wrong) > 0 {
		t.Errorf("%d of %d requests failed: %v, …", len(wrong), n, wrong[0])
	}
}

// expect sends a request and returns an error when the response is another one than wanted.
func (w *weir) expect(cluster string, status int, reports string) error {
	r, id := w.numberedRequest("GET", cluster, "/")
	if a := w.do(r); a.err != nil || a.status != status || a.errorOf() != reports {
		return fmt.Errorf("request %s to %s: %+v, want %d %s", id, cluster, a, status, reports)
	}
	return nil
}

// byNumber are the attempts of each request, in the order of their arrival.
func byNumber(u *upstream.Upstream) map[string][]upstream.Request {
	attempts := map[string][]upstream.Request{}
	for _, r := range u.Requests() {
		id := r.Header.Get(numberHeader)
		attempts[id] = append(attempts[id], r)
	}
	return attempts
}

// retryRules is a section `retry` of a driver with short delays and a budget that is never used up, unless rules say
// otherwise.
func retryRules(driver, rules string) string {
	section := "driver: " + driver
	for _, usual := range []string{"base_delay: 10ms", "max_delay: 60s", "budget: {percent: 100, min_per_second: 1000}"} {
		if name, _, _ := strings.Cut(usual, " "); !strings.Contains(rules, name) {
			section += ", " + usual
		}
	}
	if rules != "" {
		section += ", " + rules
	}
	return "retry: {" + section + "}"
}

// retries waits until the metrics of a cluster say how many retries there were, and how many requests ran out of them.
func (w *weir) retries(cluster string, made, exhausted int) {
	w.t.Helper()
	eventually(w.t, func() error {
		metrics := w.Prometheus()
		gotMade := metrics[fmt.Sprintf(`weir_retries_total{cluster="%s"}`, cluster)]
		gotExhausted := metrics[fmt.Sprintf(`weir_retries_exhausted_total{cluster="%s"}`, cluster)]
		if gotMade != float64(made) || gotExhausted != float64(exhausted) {
			return fmt.Errorf("%s: %v retries are counted and %v requests that ran out of them, want %d and %d", cluster, gotMade, gotExhausted, made, exhausted)
		}
		return nil
	})
}

// errorOf is a response's header x-weir-error.
func (a answer) errorOf() string { return a.header.Get("x-weir-error") }

// answeredOnce checks that an answer is whole and the only one.
func answeredOnce(t *testing.T, a answer) {
	t.Helper()
	if sources := a.header.Values("x-weir-source"); a.err != nil || len(sources) != 1 {
		t.Errorf("answered with %+v, want one answer with one source", a)
	}
}

// withHTTP2 lets Envoy speak HTTP/2 to the clusters whose names end in it.
func withHTTP2(o render.Options) render.Options {
	for i := range o.Upstreams {
		if strings.HasSuffix(o.Upstreams[i].Name, "http2") {
			o.Upstreams[i].HTTP2 = true
		}
	}
	return o
}
