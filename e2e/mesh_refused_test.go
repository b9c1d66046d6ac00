package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// TestMeshWithRefusals: what a node of a Redis Cluster or a Redis in trouble says is named on the status, by the command
// and in the log, with what to do. on_error decides meanwhile for whom it concerns, with a few calls a second and no
// more, and other limits are counted as before.
func TestMeshWithRefusals(t *testing.T) {
	t.Parallel()
	for _, kind := range redis.Kinds(t) {
		server, _ := redis.Start(t, kind)
		if server == nil {
			t.Skip("redis-server is not installed (apt-get install redis-server)")
		}
		refuser := redis.NewRefuser(t, server)
		bridge := redis.NewBridge(t, kind, refuser.Server())
		u := upstream.New(t)
		o := options(t, fmt.Sprintf(`
redis: {dialect: %s, token: %q, timeout: 500ms, on_error: deny}
clusters:
  aws:   {rate_limit: {scope: mesh, requests: 100000, window_size: 600s, lease: {max_tokens: 1}}}
  other: {rate_limit: {scope: mesh, requests: 100000, window_size: 600s, lease: {max_tokens: 1}}}
`, bridge.Dialect(), meshToken), map[string]*upstream.Upstream{"aws": u, "other": u})
		o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
		withAdmin(&o)
		w := startWith(t, o)
		streak := func(cluster string, status int) { // of requests over new connections, so of both workers
			t.Helper()
			n := 0
			eventually(t, func() error {
				a := w.get(cluster, "/")
				if n++; a.status != status {
					n = 0
				}
				if n < 6 {
					return fmt.Errorf("%s: got %d %v %q, want 6 answers in a row with %d", cluster, a.status, a.err, a.body, status)
				}
				return nil
			})
		}
		for _, tc := range []struct {
			says     string
			ofLimit  bool // it concerns the limit of aws only
			name, do string
		}{
			{"MOVED 3999 10.9.8.7:6381", true, "MOVED", "give it the whole cluster"},
			{"ASK 3999 10.9.8.7:6381", true, "ASK", "give it the whole cluster"},
			{"CLUSTERDOWN Hash slot not served", true, "CLUSTERDOWN", "assign the slot"},
			{"CLUSTERDOWN The cluster is down", false, "CLUSTERDOWN", "has lost nodes"},
			{"MISCONF Errors writing to the AOF file: No space left on device", false, "MISCONF", "free disk space"},
			{"LOADING Redis is loading the dataset in memory", false, "LOADING", "ends by itself"},
			{"NOAUTH Authentication required.", false, "NOAUTH", "put user and password into the bridge's configuration"},
			{"READONLY You can't write against a read only replica.", false, "READONLY", "talk to the primary"},
		} {
			t.Run(string(kind)+"/"+tc.says, func(t *testing.T) {
				about := ""
				if tc.ofLimit {
					about = "{aws}"
				}
				streak("aws", 200)
				streak("other", 200)
				logged := len(w.Logs())
				refuser.Refuse(tc.says, about)
				streak("aws", 429)
				before, began, n := refuser.Refused(), time.Now(), 0
				for ; time.Since(began) < time.Second; n++ {
					if a := w.get("aws", "/"); a.status != 429 {
						t.Fatalf("aws: got %d %q, want 429 by on_error", a.status, a.body)
					}
					if a := w.get("other", "/"); tc.ofLimit && a.status != 200 {
						t.Fatalf("other: got %d %q, want 200: only the limit of aws is refused", a.status, a.body)
					}
				}
				// Each worker probes after 100, 200, 400 and 500 ms, with both limits; READONLY is sent three times by the bridge.
				if calls := refuser.Refused() - before; n < 40 || calls > 60 {
					t.Errorf("got %d calls for %d requests in a second, want at most 60", calls, n)
				}
				c := w.console()
				eventually(t, func() error {
					w.get("aws", "/")
					s := c.status()
					name, advice := s.at("redis.last_error.name"), fmt.Sprint(s.at("redis.last_error.advice"))
					if s.at("redis.state") != "trouble" || name != tc.name || !strings.HasSuffix(fmt.Sprint(s.at("redis.last_error.message")), tc.says) || (s.at("redis.last_error.cluster") == "aws") != tc.ofLimit || !strings.Contains(advice, tc.do) {
						return fmt.Errorf("got %v, want trouble by %s with %q", s.at("redis"), tc.says, tc.do)
					}
					for line := range strings.Lines(w.Logs()[logged:]) {
						if strings.Contains(line, "weir: redis: ") && strings.Contains(line, tc.says) && strings.Contains(line, tc.do) {
							return nil
						}
					}
					return fmt.Errorf("got no log line with %q and %q, want one", tc.says, tc.do)
				})
				if got := runWeir(t, "status", c.url); got.status != 0 || !strings.Contains(got.out, tc.name) || !strings.Contains(got.out, tc.do) {
					t.Errorf("weir status: got %+v, want %s and %q", got, tc.name, tc.do)
				}
				refuser.Refuse("", "")
				streak("aws", 200)
			})
		}
		eventually(t, func() error {
			w.get("aws", "/")
			if s := w.console().status(); s.at("redis.state") != "ok" {
				return fmt.Errorf("got %v, want state ok once Redis is well", s.at("redis"))
			}
			return nil
		})
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}
