package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/redis"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// liar is a proxy between Envoy and a bridge. It passes Redis's replies on, unless the test makes it lie.
type liar struct {
	*httptest.Server
	bridge string
	change func(body []byte) []byte // of each request to the bridge; nil: as it is

	mu   sync.Mutex
	lie  func(w http.ResponseWriter, status int, truth []byte) // nil: the truth
	lies int
}

func newLiar(t *testing.T, b *redis.Bridge) *liar {
	t.Helper()
	l := &liar{bridge: fmt.Sprintf("http://127.0.0.1:%d", b.Port)}
	l.Server = httptest.NewServer(l)
	t.Cleanup(l.Close)
	return l
}

func (l *liar) port(t *testing.T) int {
	t.Helper()
	port, err := strconv.Atoi(l.URL[strings.LastIndexByte(l.URL, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// say makes it lie from now on, or no longer.
func (l *liar) say(lie func(http.ResponseWriter, int, []byte)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie, l.lies = lie, 0
}

func (l *liar) lieCount() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lies
}

func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	lie := l.lie
	if lie != nil {
		l.lies++
	}
	l.mu.Unlock()
	status, truth, err := l.ask(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	if lie == nil {
		lie = plainly
	}
	lie(w, status, truth)
}

func (l *liar) ask(r *http.Request) (status int, truth []byte, err error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, nil, err
	}
	if l.change != nil {
		body = l.change(body)
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, l.bridge+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = r.Header.Clone()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	truth, err = io.ReadAll(response.Body)
	return response.StatusCode, truth, err
}

func plainly(w http.ResponseWriter, status int, body []byte) {
	w.WriteHeader(status)
	_, _ = w.Write(body) // Envoy may have given up by now
}

var numbers = regexp.MustCompile(`\[\d+(,\d+)*\]`)

// twisted lies about the nine numbers of each answer.
func twisted(twist func(n []string) []string) func(http.ResponseWriter, int, []byte) {
	return func(w http.ResponseWriter, status int, truth []byte) {
		plainly(w, status, numbers.ReplaceAllFunc(truth, func(list []byte) []byte {
			return []byte("[" + strings.Join(twist(strings.Split(string(list[1:len(list)-1]), ",")), ",") + "]")
		}))
	}
}

// twistedAt lies about one of them.
func twistedAt(i int, to string) func(http.ResponseWriter, int, []byte) {
	return twisted(func(n []string) []string {
		if i < len(n) {
			n[i] = to
		}
		return n
	})
}

// always answers the same.
func always(status int, body string) func(http.ResponseWriter, int, []byte) {
	return func(w http.ResponseWriter, _ int, _ []byte) { plainly(w, status, []byte(body)) }
}

// TestMeshWithALyingBridge: a reply that is not Redis's admits nothing, is counted, and does no harm. on_error is deny
// and each request needs a call to Redis, so only a lie that the filter believes is admitted.
func TestMeshWithALyingBridge(t *testing.T) {
	t.Parallel()
	const timeout = 150 * time.Millisecond
	lies := []struct {
		name   string
		lie    func(http.ResponseWriter, int, []byte)
		result string // how it is counted
	}{
		{"500", always(500, `{"error":"ERR internal"}`), "unavailable"},
		{"401, a wrong token", always(401, `{"error":"Unauthorized"}`), "unavailable"},
		{"204", always(204, ""), "unavailable"},
		{"302", always(302, "elsewhere"), "unavailable"},
		{"nothing", always(200, ""), "malformed"},
		{"HTML", always(200, "<html>Welcome to the hotel's Wi-Fi</html>"), "malformed"},
		{"null", always(200, "null"), "malformed"},
		{"a false yes", always(200, `{"result":"OK"}`), "malformed"},
		{"a refusal of Redis", always(200, `{"error":"READONLY You can't write against a read only replica."}`), ""}, // of which kind depends on the dialect
		{"cut short", func(w http.ResponseWriter, s int, truth []byte) { plainly(w, s, truth[:len(truth)-3]) }, "malformed"},
		{"twice", func(w http.ResponseWriter, s int, truth []byte) { plainly(w, s, append(truth, truth...)) }, "malformed"},
		{"seven numbers", twisted(func(n []string) []string { return n[:len(n)-1] }), "malformed"},
		{"nine numbers", twisted(func(n []string) []string { return append(n, "0") }), "malformed"},
		{"no numbers", twisted(func([]string) []string { return []string{`"a"`, `"b"`} }), "malformed"},
		{"nested", twisted(func(n []string) []string { return []string{"[" + strings.Join(n, ",") + "]"} }), "malformed"},
		{"of another call", twistedAt(0, "1000000000"), "malformed"},
		{"grants more than asked", twistedAt(2, "1000"), "malformed"},
		{"grants less than nothing", twistedAt(2, "-1"), "malformed"},
		{"grants half a token", twistedAt(2, "0.5"), "malformed"},
		{"grants very much", twistedAt(2, "99999999999999999999"), "malformed"},
		{"another limit", twistedAt(5, "100001"), "malformed"},
		{"no proxies", twistedAt(6, "0"), "malformed"},
		{"huge", always(200, `{"result":[`+strings.Repeat("1,", 500_000)+"1]}"), "too_large"},
		{"slow", func(w http.ResponseWriter, s int, truth []byte) {
			time.Sleep(timeout + 100*time.Millisecond) // the lie
			plainly(w, s, truth)
		}, "unavailable"},
		{"cut off", func(http.ResponseWriter, int, []byte) { panic(http.ErrAbortHandler) }, "unavailable"},
	}
	m := newMesh(t)
	for _, bridge := range m.bridges {
		l := newLiar(t, bridge)
		u := upstream.New(t)
		w := joinThrough(t, bridge.Dialect(), l.port(t), `
clusters:
  aws: {rate_limit: {requests: 100000, window_size: 60s, scope: mesh, lease: {max_tokens: 1}}}
`, fmt.Sprintf("timeout: %v, on_error: deny", timeout), map[string]*upstream.Upstream{"aws": u})
		honest := func() {
			t.Helper()
			l.say(nil)
			streak := 0 // of requests over new connections, so of both workers
			eventually(t, func() error {
				a := w.get("aws", "/")
				if a.status == 200 {
					streak++
				} else {
					streak = 0
				}
				if streak < 6 {
					return fmt.Errorf("got %+v, want it admitted, as Redis says", a)
				}
				return nil
			})
		}
		honest()
		for _, lie := range lies {
			t.Run(string(bridge.Kind)+"/"+lie.name, func(t *testing.T) {
				result := lie.result
				before, passed := w.redisCalls(), u.Count()
				l.say(lie.lie)
				eventually(t, func() error {
					if a := w.get("aws", "/"); a.err != nil || a.status != 429 || a.reason() != "rate_limited" {
						t.Fatalf("admitted by a false reply: got %+v, want status 429", a)
					}
					if n := l.lieCount(); n < 3 {
						return fmt.Errorf("got %d false replies, want 3", n)
					}
					return nil
				})
				if n := u.Count() - passed; n != 0 {
					t.Errorf("%d requests reached the upstream, want 0", n)
				}
				if result != "" {
					w.WaitMetric(fmt.Sprintf("weir_redis_calls_total{result=%q}", result), engine.AtLeast(before[result]+2))
				}
				honest()
			})
		}
		w.WaitMetric("weir_faults_total", engine.Exactly(0))
		t.Logf("%s: %v", bridge.Kind, w.redisCalls())
	}
}

// TestErrorOfRedisIsOneLogLine: an error's text that breaks the line and steers a terminal is escaped in Envoy's log.
func TestErrorOfRedisIsOneLogLine(t *testing.T) {
	t.Parallel()
	m := newMesh(t)
	for _, bridge := range m.bridges {
		if bridge.Kind != redis.Upstash {
			continue
		}
		l := newLiar(t, bridge)
		w := joinThrough(t, bridge.Dialect(), l.port(t), `
clusters:
  aws: {rate_limit: {requests: 100, window_size: 60s, scope: mesh, lease: {max_tokens: 1}}}
`, "on_error: deny", map[string]*upstream.Upstream{"aws": upstream.New(t)})
		l.say(always(200, `{"error":"ERR a\n[critical] forged\u001b[31m"}`))
		eventually(t, func() error {
			w.get("aws", "/") // the log has one line of Redis a second
			if want := `weir: redis: refused: ERR a\n[critical] forged\x1b[31m`; !strings.Contains(w.Logs(), want) {
				return fmt.Errorf("got no log line with %s, want one", want)
			}
			return nil
		})
		if strings.Contains(w.Logs(), "\n[critical] forged") || strings.Contains(w.Logs(), "\x1b[31m") {
			t.Errorf("got a raw line break or escape of Redis in the log, want it escaped:\n%s", w.Logs())
		}
	}
}
