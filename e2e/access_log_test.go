package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3" // so that fromYAML knows it
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// formatOfDocs is the log format in the block of docs/operating.md that begins with these words, in YAML.
func formatOfDocs(t *testing.T, begin string) string {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "```yaml\n"+begin)
	block, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("docs/operating.md has no block of YAML that begins with %s", begin)
	}
	return begin + block
}

// TestAccessLog: what was decided stands in Envoy's own access log, by the formats of docs/operating.md: for requests that are
// admitted, refused, decided in shadow, or wait for Redis. What the policy does not ask for, and a cluster without a policy, have -.
func TestAccessLog(t *testing.T) {
	t.Parallel()
	_, bridge := redis.Start(t, redis.Kinds(t)[0])
	u, broken := upstream.New(t), upstream.New(t)
	broken.Set(upstream.Status(500))
	// In shadow nothing waits for Redis: the decision is noted if it comes before upstream's response.
	u.When(func(r *http.Request) bool { return r.URL.Path == "/shadow-of-redis" }, upstream.Delay(time.Second))
	const policy = `
clusters:
  limited:  {rate_limit: {requests: 2, window_size: 1h, key: [{header: x-api-key}]}}
  broken:   {circuit_breaker: {failure_threshold: 1, recovery_timeout: 1h}, fallback: {enable_degraded_mode: false, default_data: {status: 203, body: sorry}}}
  shadowed: {mode: shadow, rate_limit: {requests: 1, window_size: 1h}, circuit_breaker: {}}
  mesh:     {rate_limit: {requests: 1, window_size: 1h, scope: mesh, key: [{header: x-api-key}]}}
  meshadow: {mode: shadow, rate_limit: {requests: 1, window_size: 1h, scope: mesh}}
`
	run := func(t *testing.T, wanted string) (text, jsonLines []string) {
		t.Helper()
		up := map[string]*upstream.Upstream{"limited": u, "broken": broken, "shadowed": u, "mesh": u, "meshadow": u, "plain": u}
		o := options(t, policy+wanted+"\nredis: {dialect: "+bridge.Dialect()+", token: "+meshToken+", timeout: 2s, key_prefix: \""+t.Name()+"\"}\n", up)
		o.Redis = &render.Upstream{Name: "redis_http", Host: "127.0.0.1", Port: uint32(bridge.Port)}
		bootstrap, err := render.Bootstrap(o)
		if err != nil {
			t.Fatal(err)
		}
		dir := engine.Dir(t)
		withAccessLogs(t, bootstrap, dir)
		e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir})
		w := &weir{Envoy: e, t: t, url: e.URL()}
		for _, r := range []struct{ cluster, path, key string }{
			{"limited", "/first", "K1"},
			{"limited", "/second", "K1"},
			{"limited", "/third", "K1"},
			{"broken", "/fails", ""},
			{"broken", "/open", ""},
			{"shadowed", "/passes", ""},
			{"shadowed", "/would-not", ""},
			{"mesh", "/waits", "K1"},
			{"mesh", "/waits-in-vain", "K1"},
			{"meshadow", "/shadow-of-redis", ""},
			{"plain", "/without", ""},
		} {
			request := w.request(t.Context(), http.MethodGet, r.cluster, r.path)
			if r.key != "" {
				request.Header.Set("x-api-key", r.key)
			}
			if a := w.do(request); a.err != nil {
				t.Fatal(a.err)
			}
		}
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
		w.Stop() // which writes the rest of the log
		return linesOf(t, filepath.Join(dir, "text")), linesOf(t, filepath.Join(dir, "json"))
	}

	t.Run("all", func(t *testing.T) {
		text, jsonLines := run(t, "access_log: [decision, key, remaining, breaker]")
		hash := ""
		want := []string{
			"GET /first 200 allowed HASH 1 - - upstream",
			"GET /second 200 allowed HASH 0 - - upstream",
			"GET /third 429 rate_limited HASH 0 - rate_limited error",
			"GET /fails 203 allowed - - closed upstream_failure default",
			"GET /open 203 circuit_open - - open circuit_open default",
			"GET /passes 200 allowed - 0 closed - upstream",
			"GET /would-not 200 shadow_rate_limited - 0 closed shadow_rate_limited upstream",
			"GET /waits 200 allowed OTHER 0 - - upstream",
			"GET /waits-in-vain 429 rate_limited OTHER 0 - rate_limited error",
			"GET /shadow-of-redis 200 allowed - 0 - - upstream",
			"GET /without 200 - - - - - -",
		}
		if len(text) != len(want) || len(jsonLines) != len(want) {
			t.Fatalf("got %d lines of text and %d of JSON, want %d:\n%s", len(text), len(jsonLines), len(want), strings.Join(text, "\n"))
		}
		hashes := regexp.MustCompile(`\b[0-9a-f]{16}\b`)
		others := ""
		for i, line := range text {
			if i < 3 {
				hash = hashes.FindString(line)
			}
			if i == 7 || i == 8 {
				others = hashes.FindString(line)
			}
			got := line
			if hash != "" {
				got = strings.ReplaceAll(got, hash, "HASH")
			}
			if others != "" {
				got = strings.ReplaceAll(got, others, "OTHER")
			}
			if got != want[i] {
				t.Errorf("line %d of the text:\n got %s\nwant %s", i+1, got, want[i])
			}
			var fields map[string]any
			if err := json.Unmarshal([]byte(jsonLines[i]), &fields); err != nil {
				t.Fatal(err)
			}
			for j, name := range []string{"method", "path", "status", "weir_decision", "weir_key", "weir_remaining", "weir_breaker", "weir_reason", "weir_source"} {
				column := strings.Fields(line)[j]
				asText := "-"
				switch v := fields[name].(type) {
				case string:
					asText = v
				case float64:
					asText = column // the status is a number there
				}
				if asText != column {
					t.Errorf("line %d of JSON: got %s %v, want %s as in the text; the line is %s", i+1, name, fields[name], column, jsonLines[i])
				}
			}
		}
	})
	t.Run("only the decision", func(t *testing.T) {
		text, _ := run(t, "access_log: [decision]")
		if len(text) < 3 || text[2] != "GET /third 429 rate_limited - - - rate_limited error" {
			t.Errorf("got %q, want the decision alone", text)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		text, _ := run(t, "")
		if len(text) < 3 || text[2] != "GET /third 429 - - - - rate_limited error" {
			t.Errorf("got %q, want nothing noted", text)
		}
	})
}

// withAccessLogs adds a log of each format to all listeners.
func withAccessLogs(t *testing.T, b *bootstrapv3.Bootstrap, dir string) {
	t.Helper()
	everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
		for name, begin := range map[string]string{"text": "text_format_source:", "json": "json_format:"} {
			log := &accesslogv3.AccessLog{}
			format := strings.ReplaceAll(formatOfDocs(t, begin), "\n", "\n    ")
			fromYAML(t, "name: file\ntyped_config:\n  \"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog\n  path: "+
				filepath.Join(dir, name)+"\n  log_format:\n    "+format, log)
			m.AccessLog = append(m.GetAccessLog(), log)
		}
	})
}

func linesOf(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}
