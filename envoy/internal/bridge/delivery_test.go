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

// gate is a Redis that holds each EVAL until open is called, or closes the connection when one arrives.
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
			t.Fatalf("got %d commands in Redis, want %d", g.arrived.Load(), want)
		}
	}
}

const slow = `["EVAL","return 7","0"]`

// A command whose reply is lost is not sent again, since it may have run: single server, cluster, and pipeline.
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
					t.Errorf("got the command %d times, want once", got)
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

// A request above MaxRequests is refused at once.
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

// A command that waits for a connection is dropped when its caller leaves. A command that was sent runs to its end, and
// its connection is used again.
func TestCallerLeaves(t *testing.T) {
	g := newGate(t)
	b := start(t, Options{Redis: g.url(), Connections: 1, Timeout: patience})
	first, leaveFirst := context.WithCancel(t.Context())
	second, leaveSecond := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = try(first, b, "POST", "/", slow) })
	g.await(t, 1)
	all.Go(func() { _, _ = try(second, b, "POST", "/", slow) })
	waitInFlight(t, b, 2)
	leaveSecond()
	waitInFlight(t, b, 1) // before Redis replies
	leaveFirst()
	all.Wait()
	g.open()
	waitInFlight(t, b, 0)
	if got := call(t, b, "POST", "/", `["PING"]`); got != pong {
		t.Errorf("got %v", got)
	}
	if got := g.arrived.Load(); got != 1 {
		t.Errorf("got %d commands in Redis, want 1", got)
	}
	if got := g.redis.TotalConnectionCount(); got != 1 {
		t.Errorf("got %d connections to Redis, want 1", got)
	}
}

func waitInFlight(t *testing.T, b *Bridge, want int) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(b.slots) != want; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %d requests in flight, want %d", len(b.slots), want)
		}
	}
}

// A bridge that stops answers /health with 503, serves new requests during Drain, and lets requests in flight end.
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
			t.Fatal("got a connection after Drain, want the port closed")
		}
	}
	select {
	case err := <-stopped:
		t.Fatalf("got the end of Stop with a request in flight: %v", err)
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

// A request that takes longer than Grace is cut off, and Stop returns an error.
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
		t.Error("got an answer, want an error for the request that was cut off")
	}
}
