package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
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

// until polls until the answer is want.
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

// e2e/bridge_test.go has the rows with Redis's own replies for a real redis-server.
func TestRequests(t *testing.T) {
	b := start(t, Options{Embedded: true, Allow: []string{"SET", "GET", "INCR", "LPUSH", "LRANGE"}, MaxBody: 300, MaxCommands: 5})
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
		{"a command in the pipeline's place", "POST", "/pipeline", `["PING"]`, nil, reply{400, `{"error":"ERR malformed JSON: got string, want an array that is a command"}`}},
		{"a forbidden command", "POST", "/", `["FLUSHALL"]`, nil, reply{403, `{"error":"NOPERM the bridge allows EVAL, EVALSHA, GET,`}},
		{"a pipeline with a forbidden command", "POST", "/pipeline", `[["SET","b","1"],["CONFIG","GET","*"]]`, nil, reply{403, `{"error":"NOPERM `}},
		{"which ran none of its commands", "POST", "/", `["GET","b"]`, nil, reply{200, `{"result":null}`}},
		{"malformed", "POST", "/", `["PING"`, nil, reply{400, `{"error":"ERR malformed JSON: unexpected EOF"}`}},
		{"empty", "POST", "/", ``, nil, reply{400, `{"error":"ERR malformed JSON: unexpected EOF"}`}},
		{"the largest body", "POST", "/", `["PING","` + strings.Repeat("x", 300-11) + `"]`, nil, reply{200, `{"result":"xxx`}},
		{"one byte more", "POST", "/", `["PING","` + strings.Repeat("x", 300-10) + `"]`, nil, reply{413, `{"error":"ERR the body is larger than 300 bytes"}`}},
		{"another method", "GET", "/", "", nil, reply{405, `{"error":"ERR use POST"}`}},
		{"another path", "POST", "/multi-exec", `[]`, nil, reply{404, `{"error":"ERR no such path`}},
		{"health", "GET", "/health", "", nil, reply{200, `{"status":"ok"}`}},
		{"health, by the wrong method", "POST", "/health", "", nil, reply{405, `{"error":"ERR use GET"}`}},
		{"metrics", "GET", "/metrics", "", nil, reply{200, "# TYPE weir_bridge_requests_total counter\nweir_bridge_requests_total{status=\"2xx\"} "}},
		{"a web page's", "POST", "/", `["PING"]`, []string{"Origin", "http://evil.example"}, reply{403, `{"error":"ERR not for web pages`}},
		{"a token where none is needed", "POST", "/", `["PING"]`, []string{"Authorization", "Bearer x"}, pong},
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
			t.Errorf("Authorization %q: got %v, want %v", header, got, want)
		}
	}
	if got := call(t, b, "GET", "/metrics", ""); got != refused {
		t.Errorf("metrics without the token: got %v, want %v", got, refused)
	}
	if got := call(t, b, "GET", "/health", ""); got.status != 200 {
		t.Errorf("health without the token: got %v, want status 200", got)
	}
}

// Many requests come by one connection of HTTP/2 without TLS, at the same time.
func TestHTTP2(t *testing.T) {
	b := start(t, Options{Embedded: true})
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
		t.Errorf("got %d connections, want 1", n)
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
	go func() {
		ended <- Run(ctx, Options{Embedded: true, Listen: "127.0.0.1:0", Token: "s3cret", Log: slog.New(slog.NewTextHandler(&log, nil))})
	}()
	for deadline := time.Now().Add(patience); log.count("Redis answers") == 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		`level=INFO msg="bridge listens" url=http://127.0.0.1:`,
		"token_required=true redis=\"inside this process (miniredis)\" commands=\"EVAL, EVALSHA, PING\"\n",
		"msg=\"Redis answers\" redis=\"inside this process (miniredis)\"\n",
		"msg=\"bridge stops\" requests_in_flight=0\n",
		"msg=\"bridge stopped\"\n",
	} {
		if got := log.count(want); got != 1 {
			t.Errorf("got %q %d times, want once:\n%s", want, got, log.text())
		}
	}
	if log.count("s3cret") != 0 || log.count("redis://") != 0 {
		t.Errorf("got a log with a secret:\n%s", log.text())
	}
}

func TestListenTaken(t *testing.T) {
	first := start(t, Options{Embedded: true})
	if _, err := Start(Options{Embedded: true, Listen: first.Addr()}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("got %v, want that the address is in use", err)
	}
	if err := Run(t.Context(), Options{}); err == nil {
		t.Error("got no error without a Redis")
	}
	if err := errors.Join(first.Stop(), first.Stop()); err != nil {
		t.Errorf("stopped twice: got %v, want no error", err)
	}
}
