package bridge

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
)

// gate is a Redis whose EVALs wait until they are let go, or whose connection ends when one arrives.
type gate struct {
	redis   *miniredis.Miniredis
	arrived atomic.Int64
	release chan struct{}
	hangUp  atomic.Bool
}

func newGate(t *testing.T) *gate {
	t.Helper()
	g := &gate{redis: miniredis.NewMiniRedis(), release: make(chan struct{})}
	if err := g.redis.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.redis.Close)
	t.Cleanup(g.open)
	g.redis.Server().SetPreHook(func(peer *server.Peer, command string, _ ...string) bool {
		if command != "EVAL" {
			return false
		}
		g.arrived.Add(1)
		if g.hangUp.Load() {
			peer.Close()
			return true
		}
		<-g.release
		return false
	})
	return g
}

func (g *gate) open() {
	select {
	case <-g.release:
	default:
		close(g.release)
	}
}

func (g *gate) url() string { return "redis://" + g.redis.Addr() }

// await waits until as many EVALs have reached Redis.
func (g *gate) await(t *testing.T, want int64) {
	t.Helper()
	for deadline := time.Now().Add(patience); g.arrived.Load() != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d commands reached Redis, want %d", g.arrived.Load(), want)
		}
	}
}

const slow = `["EVAL","return 7","0"]`

// A command whose reply is lost is not sent again: it may have run. By a single server, by a cluster, and in a pipeline.
func TestSentOnce(t *testing.T) {
	for _, form := range []string{"redis://", "redis+cluster://"} {
		for path, body := range map[string]string{"/": slow, "/pipeline": "[" + slow + "]"} {
			t.Run(form+path, func(t *testing.T) {
				g := newGate(t)
				g.hangUp.Store(true)
				b := start(t, Options{Redis: form + g.redis.Addr()})
				until(t, b, "/", pong)
				if got := call(t, b, "POST", path, body); got.status != 503 {
					t.Errorf("got %v", got)
				}
				if got := g.arrived.Load(); got != 1 {
					t.Errorf("it was sent %d times", got)
				}
				until(t, b, "/", pong)
			})
		}
	}
}

func TestCluster(t *testing.T) {
	g := newGate(t)
	g.open()
	b := start(t, Options{Redis: "redis+cluster://" + g.redis.Addr(), Allow: []string{"SET", "GET"}})
	if got := call(t, b, "POST", "/", `["EVAL","return redis.call('SET',KEYS[1],ARGV[1])","1","{k}a","v"]`); got != (reply{200, `{"result":"OK"}`}) {
		t.Errorf("got %v", got)
	}
	if got := call(t, b, "POST", "/pipeline", `[["GET","{k}a"],["SET","b","w"],["GET","b"],["GET"]]`); !strings.HasPrefix(got.body, `[{"result":"v"},{"result":"OK"},{"result":"w"},{"error":"ERR wrong number`) {
		t.Errorf("got %v", got)
	}
	until(t, b, "/health", reply{200, `{"status":"ok"}`})
}

// One more request than may be under way is told so at once.
func TestOverload(t *testing.T) {
	g := newGate(t)
	b := start(t, Options{Redis: g.url(), MaxRequests: 3, Timeout: patience})
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if got, err := try(t.Context(), b, "POST", "/", slow); got != (reply{200, `{"result":7}`}) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	g.await(t, 3)
	if got := call(t, b, "POST", "/", `["PING"]`); got != (reply{503, `{"error":"ERR overloaded: 3 requests are in flight, retry later"}`}) {
		t.Errorf("got %v", got)
	}
	if got := call(t, b, "GET", "/health", ""); got.status != 200 {
		t.Errorf("health: got %v", got)
	}
	g.open()
	all.Wait()
	if got := call(t, b, "POST", "/", slow); got.status != 200 {
		t.Errorf("afterwards: got %v", got)
	}
}

// Who leaves while its command waits for a connection has not sent it; what was sent runs to its end, and its connection
// is used further.
func TestCallerLeaves(t *testing.T) {
	g := newGate(t)
	b := start(t, Options{Redis: g.url(), Connections: 1, Timeout: patience})
	first, leaveFirst := context.WithCancel(t.Context())
	second, leaveSecond := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = try(first, b, "POST", "/", slow) })
	g.await(t, 1)
	all.Go(func() { _, _ = try(second, b, "POST", "/", slow) })
	waitUnderWay(t, b, 2)
	leaveSecond()
	waitUnderWay(t, b, 1) // without any word from Redis
	leaveFirst()
	all.Wait()
	g.open()
	waitUnderWay(t, b, 0)
	if got := call(t, b, "POST", "/", `["PING"]`); got != pong {
		t.Errorf("got %v", got)
	}
	if got := g.arrived.Load(); got != 1 {
		t.Errorf("%d commands reached Redis, want 1", got)
	}
	if got := g.redis.TotalConnectionCount(); got != 1 {
		t.Errorf("%d connections to Redis, want 1", got)
	}
}

func waitUnderWay(t *testing.T, b *Bridge, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(b.slots) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d requests are under way, want %d", len(b.slots), want)
		}
	}
}

// A bridge that stops says so to /health, serves what comes meanwhile, and lets what is under way end.
func TestStop(t *testing.T) {
	g := newGate(t)
	b := start(t, Options{Redis: g.url(), Timeout: patience, Drain: 300 * time.Millisecond, Grace: patience})
	answer := make(chan reply)
	go func() {
		got, err := try(t.Context(), b, "POST", "/", slow)
		if err != nil {
			t.Error(err)
		}
		answer <- got
	}()
	g.await(t, 1)
	stopped := make(chan error)
	go func() { stopped <- b.Stop() }()
	until(t, b, "/health", reply{503, `{"status":"draining"}`})
	if got := call(t, b, "POST", "/", `["PING"]`); got != pong {
		t.Errorf("while draining: got %v", got)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) { // it no longer listens
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Get("http://" + b.Addr() + "/health")
		if err != nil {
			break
		}
		_ = response.Body.Close()
		if time.Now().After(deadline) {
			t.Fatal("it listens on")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("stopped with a request under way: %v", err)
	default:
	}
	g.open()
	if got := <-answer; got != (reply{200, `{"result":7}`}) {
		t.Errorf("got %v", got)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// What takes longer than Grace is cut off, and told.
func TestStopCutsOff(t *testing.T) {
	g := newGate(t)
	b := start(t, Options{Redis: g.url(), Timeout: patience, Grace: 20 * time.Millisecond})
	failed := make(chan error)
	go func() {
		_, err := try(t.Context(), b, "POST", "/", slow)
		failed <- err
	}()
	g.await(t, 1)
	if err := b.Stop(); err == nil || err.Error() != fmt.Sprintf("1 requests were still in flight after %v and were cut off", 20*time.Millisecond) {
		t.Errorf("got %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}
