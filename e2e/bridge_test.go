package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// bridgePatience bounds how long a change in Redis may take to show in the bridge's answers.
const bridgePatience = 20 * time.Second

// bridge is a `weir bridge` without a token, in front of a real Redis.
type bridge struct {
	*process.Program
	url string
}

func newBridge(t *testing.T, redisURL string, flags ...string) bridge {
	t.Helper()
	if _, err := os.Stat(weirCommand); err != nil {
		t.Fatalf("%v: run `make weir` first", err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", port.Reserve(t))
	arguments := append([]string{"bridge", "--redis", redisURL, "--listen", address, "--drain", "0s"}, flags...)
	program := &process.Program{Path: weirCommand, Args: arguments, Address: address}
	program.Start(t)
	return bridge{program, "http://" + address}
}

// bridgeReply is an answer of the bridge.
type bridgeReply struct {
	status int
	body   string
}

var pong = bridgeReply{200, `{"result":"PONG"}`}

// post sends a command to / or a pipeline to /pipeline.
func (b bridge) post(t *testing.T, path, body string) bridgeReply {
	t.Helper()
	got, err := b.send(t, http.MethodPost, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func (b bridge) send(t *testing.T, method, path, body string) (bridgeReply, error) {
	request, err := http.NewRequestWithContext(t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		return bridgeReply{}, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return bridgeReply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return bridgeReply{response.StatusCode, strings.TrimSpace(string(text))}, err
}

// awaitPong polls until PING gets PONG.
func (b bridge) awaitPong(t *testing.T) {
	t.Helper()
	b.await(t, http.MethodPost, "/", `["PING"]`, pong)
}

// awaitHealth polls until /health answers as wanted.
func (b bridge) awaitHealth(t *testing.T, want bridgeReply) {
	t.Helper()
	b.await(t, http.MethodGet, "/health", "", want)
}

func (b bridge) await(t *testing.T, method, path, body string, want bridgeReply) {
	t.Helper()
	var got bridgeReply
	var err error
	for deadline := time.Now().Add(bridgePatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got, err = b.send(t, method, path, body); err == nil && got == want {
			return
		}
	}
	t.Fatalf("%s %s: got %v, %v, want %v", method, path, got, err, want)
}

// TestBridgeReplies has the replies that come from Redis itself; envoy/internal/bridge tests them with miniredis.
func TestBridgeReplies(t *testing.T) {
	b := newBridge(t, redistest.NewServer(t).URL(), "--allow", "SET,GET,INCR,LPUSH,LRANGE", "--max-commands", "5")
	const noscript = "NOSCRIPT No matching script. Please use EVAL."
	for _, test := range []struct {
		name, path, body string
		want             bridgeReply
	}{
		{"a command", "/", `["PING"]`, pong},
		{"an integer", "/", `["EVAL","return -7",0]`, bridgeReply{200, `{"result":-7}`}},
		{"an array", "/", `["EVAL","return {1,{2,false,'x'}}","0"]`, bridgeReply{200, `{"result":[1,[2,null,"x"]]}`}},
		{"nil", "/", `["GET","none"]`, bridgeReply{200, `{"result":null}`}},
		{"text", "/", `["EVAL","return ARGV[1]","0","é\"\u0001"]`, bridgeReply{200, `{"result":"é\"\u0001"}`}},
		{"no such script", "/", `["EVALSHA","ffffffffffffffffffffffffffffffffffffffff","0"]`, bridgeReply{400, `{"error":"` + noscript + `"}`}},
		{"a script's own error", "/", `["EVAL","return redis.error_reply('MINE x')","0"]`, bridgeReply{400, `{"error":"MINE x"}`}},
		{"a number of arguments", "/", `["GET"]`, bridgeReply{400, `{"error":"ERR wrong number of arguments for 'get' command"}`}},
		{
			"a pipeline with errors inside", "/pipeline",
			`[["SET","a","x"],["INCR","a"],["EVALSHA","ffffffffffffffffffffffffffffffffffffffff","0"],["LRANGE","none",0,-1],["GET","a"]]`,
			bridgeReply{200, `[{"result":"OK"},{"error":"ERR value is not an integer or out of range"},{"error":"` + noscript + `"},{"result":[]},{"result":"x"}]`},
		},
		{"a pipeline with a forbidden command", "/pipeline", `[["SET","b","1"],["CONFIG","GET","*"]]`, bridgeReply{403, `{"error":"NOPERM `}},
		{"which ran none of its commands", "/", `["GET","b"]`, bridgeReply{200, `{"result":null}`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := b.post(t, test.path, test.body)
			if got.status != test.want.status || !strings.HasPrefix(got.body, test.want.body) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestBridgeRedisGoneAndBack(t *testing.T) {
	server := redistest.NewServer(t)
	b := newBridge(t, server.URL(), "--timeout", "300ms")
	b.awaitPong(t)

	server.Kill()
	for range 20 {
		if got, want := b.post(t, "/", `["PING"]`), (bridgeReply{503, `{"error":"ERR Redis cannot be used"}`}); got != want {
			t.Fatalf("Redis killed: got %v, want %v", got, want)
		}
	}
	if got := b.post(t, "/pipeline", `[["PING"],["PING"]]`); got.status != 503 {
		t.Errorf("Redis killed: got %v for a pipeline, want status 503", got)
	}
	b.awaitHealth(t, bridgeReply{503, `{"status":"redis cannot be used"}`})
	server.Restart(t)
	b.awaitPong(t)
	b.awaitHealth(t, bridgeReply{200, `{"status":"ok"}`})

	server.Pause(t)
	began := time.Now()
	if got, want := b.post(t, "/", `["PING"]`), (bridgeReply{504, `{"error":"ERR no reply from Redis within 300ms"}`}); got != want {
		t.Errorf("Redis paused: got %v, want %v", got, want)
	}
	if took := time.Since(began); took < 200*time.Millisecond || took > 5*time.Second {
		t.Errorf("Redis paused: got an answer after %v, want 300ms", took)
	}
	b.awaitHealth(t, bridgeReply{503, `{"status":"redis does not answer in time"}`})
	server.Continue(t)
	b.awaitPong(t)

	for _, line := range []string{`msg="Redis does not answer"`, `msg="Redis answers again"`} {
		eventually(t, func() error { // the log comes through a pipe
			if got := strings.Count(b.Output(), line); got != 2 {
				return fmt.Errorf("got %d log lines with %s, want 2:\n%s", got, line, b.Output())
			}
			return nil
		})
	}
}

// A reply that comes late never becomes the answer of another request.
func TestBridgeLateReplies(t *testing.T) {
	server := redistest.NewServer(t)
	b := newBridge(t, server.URL(), "--timeout", "100ms", "--connections", "2")
	echo := func(text string) (bridgeReply, error) {
		return b.send(t, http.MethodPost, "/", `["EVAL","return ARGV[1]","0","`+text+`"]`)
	}
	for round := range 5 {
		b.awaitPong(t)
		server.Pause(t)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				if got, err := echo(fmt.Sprintf("late %d %d", round, i)); err != nil || got.status == 200 {
					t.Errorf("Redis paused: got %v, %v, want an error status", got, err)
				}
			})
		}
		all.Wait()
		server.Continue(t)
		b.awaitPong(t)
		for i := range 20 {
			text := fmt.Sprintf("new %d %d", round, i)
			got, err := echo(text)
			if want := (bridgeReply{200, `{"result":"` + text + `"}`}); err != nil || got != want {
				t.Fatalf("got %v, %v, want %v", got, err, want)
			}
		}
	}
}

func TestBridgeFailover(t *testing.T) {
	master, replica := redistest.NewServer(t), redistest.NewServer(t)
	replica.Follow(t, master)
	sentinel := redistest.NewSentinel(t, master)
	b := newBridge(t, sentinel.URL(), "--allow", "SET")
	set := func() bridgeReply { return b.post(t, "/", `["SET","key","value"]`) }
	if got := set(); got.status != 200 {
		t.Fatalf("got %v, want status 200", got)
	}
	sentinel.Failover(t)
	var got bridgeReply
	for deadline := time.Now().Add(bridgePatience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if got = set(); got.status == 200 && replica.Calls(t)["set"] > 1 { // one SET was replicated
			return
		}
	}
	t.Fatalf("got %v and calls %v of the new master, want status 200 and two SETs", got, replica.Calls(t))
}

// READONLY says that nothing ran: the bridge tries other connections too, and returns the error when all say the same.
func TestBridgeReadOnly(t *testing.T) {
	master, replica := redistest.NewServer(t), redistest.NewServer(t)
	replica.Follow(t, master)
	b := newBridge(t, replica.URL(), "--allow", "SET")
	for path, body := range map[string]string{"/": `["SET","key","value"]`, "/pipeline": `[["PING"],["SET","key","value"]]`} {
		if got := b.post(t, path, body); !strings.Contains(got.body, `"error":"READONLY`) {
			t.Errorf("%s: got %v, want READONLY", path, got)
		}
	}
	if got, err := b.send(t, http.MethodGet, "/health", ""); err != nil || got.status != 200 {
		t.Errorf("/health: got %v, %v, want status 200", got, err)
	}
	replica.Lead(t)
	if got, want := b.post(t, "/", `["SET","key","value"]`), (bridgeReply{200, `{"result":"OK"}`}); got != want {
		t.Errorf("a master again: got %v, want %v", got, want)
	}
}
