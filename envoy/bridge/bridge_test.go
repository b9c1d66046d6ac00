package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
)

const patience = 20 * time.Second

// start runs a bridge on a port of its own until the test ends.
func start(t *testing.T, o Options) *Bridge {
	t.Helper()
	o.Listen = "127.0.0.1:0"
	b, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Stop() })
	return b
}

// anyRedis is a real redis-server where it is installed.
func anyRedis(t *testing.T, o Options) Options {
	t.Helper()
	if redistest.Installed("redis-server") {
		o.Redis = redistest.NewServer(t).URL()
	} else {
		t.Logf("redis-server is not installed: the embedded miniredis stands in")
		o.Embedded = true
	}
	return o
}

type reply struct {
	status int
	body   string
}

// call sends one request; headers are name, value, name, value.
func call(t *testing.T, b *Bridge, method, path, body string, headers ...string) reply {
	t.Helper()
	got, err := try(t.Context(), b, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func try(ctx context.Context, b *Bridge, method, path, body string, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+b.Addr()+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, strings.TrimSpace(string(text))}, err
}

// until asks until the answer is as wanted.
func until(t *testing.T, b *Bridge, path string, want reply) {
	t.Helper()
	var got reply
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if path == "/" {
			got, err = try(t.Context(), b, "POST", path, `["PING"]`)
		} else {
			got, err = try(t.Context(), b, "GET", path, "")
		}
		if err == nil && got == want {
			return
		}
	}
	t.Fatalf("%s: got %v, %v, want %v", path, got, err, want)
}

var pong = reply{200, `{"result":"PONG"}`}

func TestRequests(t *testing.T) {
	b := start(t, anyRedis(t, Options{Allow: []string{"SET", "GET", "INCR", "LPUSH", "LRANGE"}, MaxBody: 300, MaxCommands: 5}))
	const noscript = "NOSCRIPT No matching script. Please use EVAL."
	for _, test := range []struct {
		name, method, path, body string
		headers                  []string
		want                     reply // the body's beginning
	}{
		{"a command", "POST", "/", `["PING"]`, nil, pong},
		{"an integer", "POST", "/", `["EVAL","return -7",0]`, nil, reply{200, `{"result":-7}`}},
		{"an array", "POST", "/", `["EVAL","return {1,{2,false,'x'}}","0"]`, nil, reply{200, `{"result":[1,[2,null,"x"]]}`}},
		{"nothing", "POST", "/", `["GET","none"]`, nil, reply{200, `{"result":null}`}},
		{"text", "POST", "/", `["EVAL","return ARGV[1]","0","é\"\u0001"]`, nil, reply{200, `{"result":"é\"\u0001"}`}},
		{"text, base64", "POST", "/", `["EVAL","return '\\255'","0"]`, []string{"Upstash-Encoding", "base64"}, reply{200, `{"result":"/w=="}`}},
		{"no such script", "POST", "/", `["EVALSHA","ffffffffffffffffffffffffffffffffffffffff","0"]`, nil, reply{400, `{"error":"` + noscript + `"}`}},
		{"a script's own error", "POST", "/", `["EVAL","return redis.error_reply('MINE x')","0"]`, nil, reply{400, `{"error":"MINE x"}`}},
		{"a number of arguments", "POST", "/", `["GET"]`, nil, reply{400, `{"error":"ERR wrong number of arguments for 'get' command"}`}},
		{
			"a pipeline with errors inside", "POST", "/pipeline",
			`[["SET","a","x"],["INCR","a"],["EVALSHA","ffffffffffffffffffffffffffffffffffffffff","0"],["LRANGE","none",0,-1],["GET","a"]]`, nil,
			reply{200, `[{"result":"OK"},{"error":"ERR value is not an integer or out of range"},{"error":"` + noscript + `"},{"result":[]},{"result":"x"}]`},
		},
		{"a pipeline too long", "POST", "/pipeline", `[["PING"],["PING"],["PING"],["PING"],["PING"],["PING"]]`, nil, reply{413, `{"error":"ERR more than 5 commands in a pipeline"}`}},
		{"a command in the pipeline's place", "POST", "/pipeline", `["PING"]`, nil, reply{400, `{"error":"ERR malformed JSON at byte 1`}},
		{"a forbidden command", "POST", "/", `["FLUSHALL"]`, nil, reply{403, `{"error":"NOPERM the bridge lets through EVAL, EVALSHA, GET,`}},
		{"one in a pipeline", "POST", "/pipeline", `[["SET","b","1"],["CONFIG","GET","*"]]`, nil, reply{403, `{"error":"NOPERM `}},
		{"of which nothing was run", "POST", "/", `["GET","b"]`, nil, reply{200, `{"result":null}`}},
		{"malformed", "POST", "/", `["PING"`, nil, reply{400, `{"error":"ERR malformed JSON at byte 7: want a comma or the array's end"}`}},
		{"empty", "POST", "/", ``, nil, reply{400, `{"error":"ERR malformed JSON at byte 0: want an array"}`}},
		{"the largest body", "POST", "/", `["PING","` + strings.Repeat("x", 300-11) + `"]`, nil, reply{200, `{"result":"xxx`}},
		{"one byte more", "POST", "/", `["PING","` + strings.Repeat("x", 300-10) + `"]`, nil, reply{413, `{"error":"ERR the body is larger than 300 bytes"}`}},
		{"another method", "GET", "/", "", nil, reply{405, `{"error":"ERR use POST"}`}},
		{"another path", "POST", "/multi-exec", `[]`, nil, reply{404, `{"error":"ERR no such path`}},
		{"health", "GET", "/health", "", nil, reply{200, `{"status":"ok"}`}},
		{"health, by the wrong method", "POST", "/health", "", nil, reply{405, `{"error":"ERR use GET"}`}},
		{"metrics", "GET", "/metrics", "", nil, reply{200, "# TYPE weir_bridge_requests_total counter\nweir_bridge_requests_total{status=\"2xx\"} "}},
		{"a web page's", "POST", "/", `["PING"]`, []string{"Origin", "http://evil.example"}, reply{403, `{"error":"ERR not for web pages`}},
		{"a token where none is asked for", "POST", "/", `["PING"]`, []string{"Authorization", "Bearer x"}, pong},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := call(t, b, test.method, test.path, test.body, test.headers...)
			if got.status != test.want.status || !strings.HasPrefix(got.body, test.want.body) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	b := start(t, Options{Embedded: true, Token: "s3cret"})
	refused := reply{401, `{"error":"WRONGPASS invalid or missing auth token"}`}
	for header, want := range map[string]reply{
		"Bearer s3cret":  pong,
		"bearer s3cret":  pong,
		"":               refused,
		"Bearer":         refused,
		"Bearer ":        refused,
		"Bearer s3cre":   refused,
		"Bearer s3crets": refused,
		"Basic s3cret":   refused,
		"s3cret":         refused,
	} {
		if got := call(t, b, "POST", "/", `["PING"]`, "Authorization", header); got != want {
			t.Errorf("%q: got %v, want %v", header, got, want)
		}
	}
	if got := call(t, b, "GET", "/metrics", ""); got != refused {
		t.Errorf("metrics without the token: got %v", got)
	}
	if got := call(t, b, "GET", "/health", ""); got.status != 200 {
		t.Errorf("health without the token: got %v", got)
	}
}

// Many requests come by one connection of HTTP/2 without TLS, at the same time.
func TestHTTP2(t *testing.T) {
	b := start(t, anyRedis(t, Options{}))
	var dials atomic.Int64
	transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	ask := func(i int) {
		body := fmt.Sprintf(`["EVAL","return tonumber(ARGV[1])","0","%d"]`, i)
		response, err := (&http.Client{Transport: transport}).Post("http://"+b.Addr()+"/", "application/json", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		if want := fmt.Sprintf(`{"result":%d}`, i); string(text) != want || err != nil || response.ProtoMajor != 2 {
			t.Errorf("got %s %s %v, want HTTP/2 and %s", response.Proto, text, err, want)
		}
	}
	ask(0) // Go's client only knows afterwards that it may share the connection
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() { ask(i) })
	}
	all.Wait()
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestRedisGoneAndBack(t *testing.T) {
	server := redistest.NewServer(t)
	var log lines
	b := start(t, Options{Redis: server.URL(), Timeout: 300 * time.Millisecond, Log: &log})
	until(t, b, "/", pong)

	server.Kill()
	for range 20 {
		if got := call(t, b, "POST", "/", `["PING"]`); got != (reply{503, `{"error":"ERR Redis cannot be used"}`}) {
			t.Fatalf("Redis killed: got %v", got)
		}
	}
	if got := call(t, b, "POST", "/pipeline", `[["PING"],["PING"]]`); got.status != 503 {
		t.Errorf("Redis killed: got %v for a pipeline", got)
	}
	until(t, b, "/health", reply{503, `{"status":"redis cannot be used"}`})
	server.Restart(t)
	until(t, b, "/", pong)
	until(t, b, "/health", reply{200, `{"status":"ok"}`})

	server.Pause(t)
	began := time.Now()
	if got := call(t, b, "POST", "/", `["PING"]`); got != (reply{504, `{"error":"ERR no reply from Redis within 300ms"}`}) {
		t.Errorf("Redis paused: got %v", got)
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("that took %v", took)
	}
	until(t, b, "/health", reply{503, `{"status":"redis does not answer in time"}`})
	server.Continue(t)
	until(t, b, "/", pong)

	if got := log.count("does not answer: "); got != 2 {
		t.Errorf("trouble was told %d times, want 2:\n%s", got, log.text())
	}
	if got := log.count("answers again"); got != 2 {
		t.Errorf("its end was told %d times, want 2:\n%s", got, log.text())
	}
}

// A reply that comes late never becomes the answer of another request.
func TestLateReplies(t *testing.T) {
	server := redistest.NewServer(t)
	b := start(t, Options{Redis: server.URL(), Timeout: 100 * time.Millisecond, Connections: 2})
	echo := func(text string) reply {
		return call(t, b, "POST", "/", `["EVAL","return ARGV[1]","0","`+text+`"]`)
	}
	for round := range 5 {
		until(t, b, "/", pong)
		server.Pause(t)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if got := echo(fmt.Sprintf("late %d %d", round, i)); got.status == 200 {
					t.Errorf("Redis paused: got %v", got)
				}
			})
		}
		all.Wait()
		server.Continue(t)
		until(t, b, "/", pong)
		for i := range 20 {
			text := fmt.Sprintf("new %d %d", round, i)
			if got, want := echo(text), (reply{200, `{"result":"` + text + `"}`}); got != want {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	}
}

func TestFailover(t *testing.T) {
	master, replica := redistest.NewServer(t), redistest.NewServer(t)
	replica.Follow(t, master)
	sentinel := redistest.NewSentinel(t, master)
	b := start(t, Options{Redis: sentinel.URL(), Allow: []string{"SET"}})
	set := func() reply { return call(t, b, "POST", "/", `["SET","key","value"]`) }
	if got := set(); got.status != 200 {
		t.Fatalf("got %v", got)
	}
	sentinel.Failover(t)
	var got reply
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = set(); got.status == 200 && replica.Calls(t)["set"] > 1 { // one was replicated
			return
		}
	}
	t.Fatalf("got %v, and the new master has %v", got, replica.Calls(t))
}

// READONLY says that nothing ran: it is tried by other connections too, and told when all say the same.
func TestReadOnly(t *testing.T) {
	master, replica := redistest.NewServer(t), redistest.NewServer(t)
	replica.Follow(t, master)
	b := start(t, Options{Redis: replica.URL(), Allow: []string{"SET"}})
	for _, path := range []string{"/", "/pipeline"} {
		body := map[string]string{"/": `["SET","key","value"]`, "/pipeline": `[["PING"],["SET","key","value"]]`}[path]
		if got := call(t, b, "POST", path, body); !strings.Contains(got.body, `"error":"READONLY`) {
			t.Errorf("%s: got %v", path, got)
		}
	}
	if got := call(t, b, "GET", "/health", ""); got.status != 200 {
		t.Errorf("health: got %v", got)
	}
	replica.Lead(t)
	if got := call(t, b, "POST", "/", `["SET","key","value"]`); got != (reply{200, `{"result":"OK"}`}) {
		t.Errorf("a master again: got %v", got)
	}
}

// lines is a log that a test may read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count(part string) int { return strings.Count(l.text(), part) }

func TestRunLogs(t *testing.T) {
	var log lines
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- Run(ctx, Options{Embedded: true, Listen: "127.0.0.1:0", Token: "s3cret", Log: &log}) }()
	for deadline := time.Now().Add(patience); log.count("answers") == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"listens on http://127.0.0.1:", "with a token; Redis: inside this process (miniredis)", "lets through EVAL, EVALSHA, PING\n", "miniredis) answers\n", "stops: 0 requests under way\n", "stopped\n"} {
		if log.count(want) != 1 {
			t.Errorf("%q is not there once:\n%s", want, log.text())
		}
	}
	if log.count("s3cret") != 0 || log.count("redis://") != 0 {
		t.Errorf("a secret in the log:\n%s", log.text())
	}
}

func TestListenTaken(t *testing.T) {
	first := start(t, Options{Embedded: true})
	if _, err := Start(Options{Embedded: true, Listen: first.Addr()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v", err)
	}
	if err := Run(t.Context(), Options{}); err == nil {
		t.Error("no error without a Redis")
	}
	if err := errors.Join(first.Stop(), first.Stop()); err != nil {
		t.Errorf("stopped twice: %v", err)
	}
}
