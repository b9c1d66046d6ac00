package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

// TestMeshWithErrorsOfRedis: whatever a real Redis replies instead of tokens, on_error decides, the error is counted
// and logged as one line, and once Redis is repaired, tokens come from it. A key that holds what Weir did not write is
// repaired by a reset, and does not disturb another limit.
func TestMeshWithErrorsOfRedis(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		breaks func(ctx context.Context, s *redistest.Server) error
		repair func(ctx context.Context, s *redistest.Server) error // nil: by a reset of the cluster
		log    string                                               // "": Redis replies with tokens
	}{
		{name: "READONLY", log: "READONLY", breaks: do("REPLICAOF", "127.0.0.1", "1"), repair: do("REPLICAOF", "NO", "ONE")},
		{name: "OOM", log: "OOM", breaks: do("CONFIG", "SET", "maxmemory", "1"), repair: do("CONFIG", "SET", "maxmemory", "0")},
		{name: "NOPERM", log: "NOPERM", breaks: do("ACL", "SETUSER", "default", "-evalsha", "-eval"), repair: do("ACL", "SETUSER", "default", "+@all")},
		{name: "BUSY", log: "BUSY", breaks: runForever, repair: do("SCRIPT", "KILL")},
		{name: "NOSCRIPT", breaks: do("SCRIPT", "FLUSH")},
		{name: "a string", log: "WRONGTYPE", breaks: do("EVAL", "redis.call('DEL', KEYS[1]) redis.call('SET', KEYS[1], 'x')", "1", "weir:{aws}:2:w600000000:e")},
		{name: "a list of proxies", log: "WRONGTYPE", breaks: do("EVAL", "redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x')", "1", "weir:{aws}:2:p")},
		{name: "counts that are no numbers", log: "ERR", breaks: do("HSET", "weir:{aws}:2:w600000000:n", "t", "x")},
		{name: "a key without expiry", breaks: do("PERSIST", "weir:{aws}:2:w600000000:n")},
	}
	for _, kind := range redis.Kinds(t) {
		server, bridge := redis.Start(t, kind) // of its own, since a test breaks it
		if server == nil {
			t.Skip("redis-server is not installed (apt-get install redis-server)")
		}
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
		for _, tc := range cases {
			t.Run(string(kind)+"/"+tc.name, func(t *testing.T) {
				streak := func(cluster string, status, want int) {
					t.Helper()
					n := 0
					eventually(t, func() error {
						a := w.get(cluster, "/")
						if a.status == status {
							n++
						} else {
							n = 0
						}
						if n < want {
							return fmt.Errorf("%s: got %d %v %q, want %d answers in a row with %d", cluster, a.status, a.err, a.body, want, status)
						}
						return nil
					})
				}
				streak("aws", 200, 4)
				logged, before, calls := len(w.Logs()), w.redisCalls()["refused"], w.redisCalls()["ok"]
				if err := tc.breaks(t.Context(), server); err != nil {
					t.Fatal(err)
				}
				if tc.log == "" {
					streak("aws", 200, 10)
					if got := w.redisCalls(); got["refused"] != before || got["ok"] < calls+10 {
						t.Errorf("got calls %v, want 10 more that succeeded and none that was refused", got)
					}
					return
				}
				streak("aws", 429, 4)
				w.WaitMetric(`weir_redis_calls_total{result="refused"}`, engine.AtLeast(before+2))
				eventually(t, func() error { // the log has one line of Redis a second
					w.get("aws", "/")
					for line := range strings.Lines(w.Logs()[logged:]) {
						if strings.Contains(line, "weir: redis: refused: "+tc.log) {
							return nil
						}
					}
					return fmt.Errorf("got no log line with `weir: redis: refused: %s`, want one", tc.log)
				})
				if tc.repair != nil {
					if err := tc.repair(t.Context(), server); err != nil {
						t.Fatal(err)
					}
				} else {
					if want := "a key of the limit of aws holds what Weir did not write: reset aws to delete it"; !strings.Contains(w.Logs()[logged:], want) {
						t.Errorf("got no log line with %q, want one", want)
					}
					for range 4 { // while the calls for aws fail
						w.get("aws", "/")
						if a := w.get("other", "/"); a.status != 200 {
							t.Errorf("other: got %d %q, want 200: only the limit of aws is broken", a.status, a.body)
						}
					}
					w.console().post("/reset/aws")
				}
				streak("aws", 200, 6)
			})
		}
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
	}
}

// do is a command of Redis.
func do(words ...any) func(ctx context.Context, s *redistest.Server) error {
	return func(ctx context.Context, s *redistest.Server) error {
		err := s.Client.Do(ctx, words...).Err()
		if err != nil && strings.Contains(err.Error(), "nil") {
			return nil // a script without a reply
		}
		return err
	}
}

// runForever makes Redis run a script that does not end.
func runForever(ctx context.Context, s *redistest.Server) error {
	if err := s.Client.ConfigSet(ctx, "busy-reply-threshold", "1").Err(); err != nil {
		return err
	}
	go s.Client.Eval(context.WithoutCancel(ctx), "while true do end", nil)
	for range 1000 {
		if err := s.Client.Ping(ctx).Err(); err != nil && strings.HasPrefix(err.Error(), "BUSY") {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("the script does not run")
}
