package e2e

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestInvalidatedInFlight: what upstream read before an unsafe request and answers after it is not kept, also where nothing was
// kept of the path when that came.
func TestInvalidatedInFlight(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  kept: {fallback: {"+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	for _, tc := range []struct {
		name, posted, location string
		before                 bool // something is kept
		kept                   bool
	}{
		{name: "of a path that is kept", posted: "/kept", before: true},
		{name: "of a path that is not kept", posted: "/unkept"},
		{name: "by location", posted: "/posted", location: "/located"},
		{name: "of another path", posted: "/another", location: "/this", kept: true},
	} {
		path := tc.posted
		if tc.location != "" {
			path = tc.location
		}
		asked, goOn := make(chan struct{}), make(chan struct{})
		u.When(upstream.Any, upstream.Body("old"))
		if tc.before {
			fill(t, w.get("kept", path))
			time.Sleep(1100 * time.Millisecond) // an answer is stored at most once a second
		}
		u.When(upstream.Any, upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				close(asked)
				<-goOn
				_, _ = io.WriteString(rw, "old")
			} else if tc.location != "" && !tc.kept {
				rw.Header().Set("location", tc.location)
			}
		}))
		var got answer
		var getting sync.WaitGroup
		getting.Go(func() { got = w.get("kept", path) })
		<-asked
		fill(t, w.send(http.MethodPost, "kept", tc.posted))
		close(goOn)
		getting.Wait()
		fill(t, got)
		u.When(upstream.Any, upstream.Reset())
		if a := w.get("kept", path); tc.kept {
			hit(t, tc.name, a, "cache", "old")
		} else {
			miss(t, tc.name, a)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestInvalidatedByAttempt: a further attempt of an unsafe request that upstream answers well invalidates what is kept, also where
// Weir can't pass its response on.
func TestInvalidatedByAttempt(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := start(t, "clusters:\n  kept: {"+retryRules("filter", "methods: [PUT], max_attempts: 2")+", fallback: {on: [circuit_open, upstream_failure], "+onMiss+"}}",
		map[string]*upstream.Upstream{"kept": u})
	for _, tc := range []struct {
		name    string
		second  http.HandlerFunc
		removes bool
	}{
		{"carried", ok, true},
		{"an event stream", drip("text/event-stream"), true},
		{"refused", http.NotFound, false},
	} {
		path := "/" + strings.NewReplacer(" ", "-", ",", "").Replace(tc.name)
		u.When(upstream.Any, upstream.Body("old"))
		fill(t, w.get("kept", path))
		var puts atomic.Int32
		u.When(upstream.Any, upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
			if puts.Add(1) == 1 {
				rw.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			tc.second(rw, r)
		}))
		w.send(http.MethodPut, "kept", path)
		if puts.Load() != 2 {
			t.Errorf("%s: got %d attempts, want 2", tc.name, puts.Load())
		}
		u.When(upstream.Any, upstream.Reset())
		if a := w.get("kept", path); tc.removes {
			miss(t, tc.name, a)
		} else {
			hit(t, tc.name, a, "cache", "old")
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestInvalidationLeavesTheRest: 100 requests a second that change something, beside 400 that read 500 paths, of an upstream that
// takes 100 ms: what was not changed since it was read is kept, and nothing that was.
func TestInvalidationLeavesTheRest(t *testing.T) {
	t.Parallel()
	const paths, took, lasts = 500, 100 * time.Millisecond, 4 * time.Second
	var versions [paths]atomic.Int64
	u := upstream.New(t)
	number := func(path string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(path, "/"))
		return n
	}
	u.Set(upstream.Status(500))
	u.When(healthy, upstream.Func(func(rw http.ResponseWriter, r *http.Request) {
		version := &versions[number(r.URL.Path)]
		if r.Method == http.MethodPost {
			version.Add(1)
			return
		}
		read := version.Load()
		time.Sleep(took)
		_, _ = io.WriteString(rw, strconv.FormatInt(read, 10))
	}))
	w := start(t, "clusters:\n  kept: {fallback: {max_entries: 1024, "+onMiss+"}}", map[string]*upstream.Upstream{"kept": u})
	var mu sync.Mutex
	var readAfter [paths]bool // a read began after the last change was answered, and was answered well
	var changed [paths]int64  // how often, by changes that were answered
	var changes [paths]int    // that were begun
	at := func(rate float64, do func(n int, client *http.Client)) {
		var clients sync.WaitGroup
		begun := time.Now()
		const connections = 40
		for c := range connections {
			clients.Go(func() {
				client := connection(t)
				random := rand.New(rand.NewPCG(uint64(rate), uint64(c)))
				for i := c; ; i += connections {
					next := time.Duration(float64(i) / rate * float64(time.Second))
					if next > lasts {
						return
					}
					time.Sleep(time.Until(begun.Add(next)))
					do(random.IntN(paths), client)
				}
			})
		}
		clients.Wait()
	}
	var both sync.WaitGroup
	both.Go(func() {
		at(400, func(n int, client *http.Client) {
			mu.Lock()
			before := changes[n]
			mu.Unlock()
			a := w.sendOver(client, "kept", fmt.Sprint("/", n))
			mu.Lock()
			defer mu.Unlock()
			if a.status == 200 && changes[n] == before && changed[n] == int64(before) {
				readAfter[n] = true
			}
		})
	})
	both.Go(func() {
		at(100, func(n int, client *http.Client) {
			mu.Lock()
			changes[n]++
			mu.Unlock()
			r := w.request(t.Context(), http.MethodPost, "kept", fmt.Sprint("/", n))
			a := send(client, r)
			mu.Lock()
			defer mu.Unlock()
			if a.status != 200 {
				t.Errorf("POST /%d: got %+v, want status 200", n, a)
			}
			readAfter[n] = false
			changed[n]++
		})
	})
	both.Wait()
	kept, want, outdated := 0, 0, 0
	for n := range paths {
		a := w.sendFailing("GET", "kept", fmt.Sprint("/", n))
		if a.source() == "cache" || a.source() == "stale_cache" {
			if version, err := strconv.ParseInt(a.body, 10, 64); err != nil || version < changed[n] {
				outdated++
				t.Errorf("/%d: got version %s kept, want %d or later", n, a.body, changed[n])
			}
		}
		if readAfter[n] {
			want++
			if a.source() == "cache" {
				kept++
			}
		}
	}
	t.Logf("kept %d of %d paths that were read since their last change; outdated: %d", kept, want, outdated)
	if want < 200 || kept < want*97/100 {
		t.Errorf("got %d of %d paths kept, want 97 %%", kept, want)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
