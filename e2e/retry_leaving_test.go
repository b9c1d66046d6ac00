package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/load"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestRetriesUnderLoad: a storm, clients that leave between two attempts, and upstreams that answer after they were
// given up. The budget holds, each bulkhead is empty afterwards, and each request has one answer.
func TestRetriesUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("one engine is enough for this")
	}
	t.Parallel()
	policy, upstreams := "clusters:\n"+stormy, map[string]*upstream.Upstream{}
	storms := slices.Concat(underBudget, withoutWeir)
	for _, cluster := range storms {
		upstreams[cluster] = failing(t, cluster)
	}
	scenarios := []struct {
		name, rules string
		run         func(*testing.T, *weir, string, *upstream.Upstream)
	}{
		{"waiting", "base_delay: 1s, max_attempts: 2", leftWhileWaiting},
		{"late", "per_try_timeout: 80ms", answersTooLate},
		{"mixed", "per_try_timeout: 80ms, base_delay: 20ms", mixedEndings},
	}
	for _, driver := range drivers {
		for _, s := range scenarios {
			if driver == "filter" {
				s.rules += ", jitter: false"
			}
			cluster := driver + "-" + s.name
			policy += fmt.Sprintf("  %s: {%s, bulkhead: {max_concurrent: %d}}\n", cluster, retryRules(driver, s.rules), places[s.name])
			upstreams[cluster] = upstream.New(t)
		}
	}
	w := startWith(t, options(t, policy, upstreams), func(b *bootstrapv3.Bootstrap) { retryWithoutWeir(t, b) })
	t.Run("storm", func(t *testing.T) {
		for _, cluster := range storms {
			t.Run(cluster, func(t *testing.T) {
				t.Parallel()
				storm(t, w.in(t), cluster, upstreams[cluster])
			})
		}
	})
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			for _, driver := range drivers {
				cluster := driver + "-" + s.name
				t.Run(driver, func(t *testing.T) {
					t.Parallel()
					s.run(t, w.in(t), cluster, upstreams[cluster])
					allPlacesAreFree(t, w.in(t), cluster, places[s.name], upstreams[cluster])
				})
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// places are the bulkheads' by scenario.
var places = map[string]int{"waiting": 6, "late": 8, "mixed": 16}

// leftWhileWaiting: the clients are gone before the next attempt is due, so that there is none. With the router's
// jitter some attempts are due before they go.
func leftWhileWaiting(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	u.Set(upstream.Status(503))
	ctx, leave := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	ids := make([]string, places["waiting"]-1)
	for i := range ids {
		r, id := w.numberedRequest("GET", cluster, "/")
		ids[i] = id
		clients.Go(func() {
			if a := w.do(r.WithContext(ctx)); a.err == nil && strings.HasPrefix(cluster, "filter") {
				t.Errorf("got %+v before the client left, want no response", a)
			}
		})
	}
	u.WaitCount(len(ids))
	u.WaitIdle()
	leave()
	clients.Wait()
	const seen = 100 * time.Millisecond // within which Envoy knows that they are gone
	left := time.Now().Add(seen)
	// Who comes after them and stays is tried again, a second later: by then they would have been, too.
	if err := w.expect(cluster, 503, "RetryExhausted"); err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		attempts := u.Attempts(numberHeader, id)
		if last := attempts[len(attempts)-1].Arrived; last.After(left) || strings.HasPrefix(cluster, "filter") && len(attempts) > 1 {
			t.Errorf("got %d attempts for a client that left, the last one %v after that, want none after", len(attempts), last.Sub(left)+seen)
		}
	}
}

// answersTooLate: each attempt is given up before upstream answers it. What it answers then reaches nobody, over
// connections that go on being used.
func answersTooLate(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	late := upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
		// An upstream that does not notice whether its client has left.
		time.Sleep(120 * time.Millisecond)
		_, _ = rw.Write([]byte("late for " + r.Header.Get(numberHeader)))
	})
	inTime := upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = rw.Write([]byte("in time for " + r.Header.Get(numberHeader)))
	})
	u.ScriptAttempts(numberHeader, upstream.Path("/never"), late)
	u.ScriptAttempts(numberHeader, upstream.Path("/second"), late, inTime)
	u.ScriptAttempts(numberHeader, upstream.Path("/first"), inTime)
	var clients sync.WaitGroup
	for range places["late"] / 2 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			for _, path := range []string{"/second", "/never", "/first", "/second"} {
				r, id := w.numberedRequest("GET", cluster, path)
				a := send(client, r)
				answeredOnce(t, a)
				if path == "/never" {
					if a.status != 504 || a.errorOf() != "RetryExhausted" || strings.Contains(a.body, "late for") {
						t.Errorf("%s %s: %+v, want 504", id, path, a)
					}
				} else if a.status != 200 || a.body != "in time for "+id {
					t.Errorf("%s %s: %+v, want the answer in time", id, path, a)
				}
				attempts := map[string]int{"/second": 2, "/never": 3, "/first": 1}[path]
				if got := len(u.Attempts(numberHeader, id)); got != attempts {
					t.Errorf("%s %s: %d attempts, want %d", id, path, got, attempts)
				}
			}
		})
	}
	clients.Wait()
}

// mixedEndings is a load in which all of it happens, and clients leave in any state.
func mixedEndings(t *testing.T, w *weir, cluster string, u *upstream.Upstream) {
	endings := []upstream.Behaviour{
		upstream.Body("fine"), upstream.Status(503), upstream.Reset(), upstream.Delay(120 * time.Millisecond), upstream.Hang(), upstream.HalfBody(100),
	}
	for _, e := range endings {
		u.When(func(*http.Request) bool { return rand.IntN(len(endings)) == 0 }, e)
	}
	u.Set(upstream.Body("fine"))
	const requests = 200
	for _, leave := range []float64{0.4, 0} {
		before := w.answered(cluster)
		answers := load.Run(t, load.Plan{
			URL: w.url, Host: cluster, Connections: 32, Requests: requests, Rate: 150,
			LeaveEarly: leave, LeaveAfter: 250 * time.Millisecond, Seed: 1,
		})
		u.WaitIdle()
		if leave > 0 {
			continue
		}
		whole, refused := 0, 0
		for _, a := range answers {
			switch {
			case a.Err != nil: // half a body; there is no other end to it
			case len(a.Header.Values("x-weir-source")) != 1 || a.Status == 200 && a.Body != "fine" && a.Body != "":
				t.Errorf("got %d %v %q, want one source, and the whole body with 200", a.Status, a.Header, a.Body)
			case a.Header.Get("x-weir-reason") == "bulkhead_full":
				refused++
			default:
				whole++
			}
		}
		eventually(t, func() error {
			if got := w.answered(cluster) - before; got != requests {
				return fmt.Errorf("got %v counted responses for %d requests, want one each", got, requests)
			}
			return nil
		})
		t.Logf("%s: %d whole answers, %d refused by the bulkhead, %d broke off; upstream got %d", cluster, whole, refused, requests-whole-refused, u.Count())
	}
}

// answered is how many answers of a cluster were counted, from any source.
func (w *weir) answered(cluster string) (n float64) {
	for name, value := range w.Prometheus() {
		if strings.HasPrefix(name, `weir_responses_total{cluster="`+cluster+`"`) {
			n += value
		}
	}
	return n
}

// allPlacesAreFree fills a bulkhead to the last place.
func allPlacesAreFree(t *testing.T, w *weir, cluster string, n int, u *upstream.Upstream) {
	t.Helper()
	u.WaitIdle()
	u.When(upstream.Any, upstream.Delay(40*time.Millisecond))
	eventually(t, func() error {
		u.Forget()
		answers := load.Run(t, load.Plan{URL: w.url, Host: cluster, Connections: n, Requests: n})
		if _, most := u.InFlight(); len(answers.With(200)) != n || most != n {
			return fmt.Errorf("of %d places that must be free %d were taken: statuses %v", n, most, answers.Statuses())
		}
		return nil
	})
}
