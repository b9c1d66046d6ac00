package redis

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/weir-mesh/weir/e2e/repo"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/port"
	"github.com/weir-mesh/weir/sharedstate/redis/redistest/process"
)

// Kind is a program that speaks HTTP for Redis. Its text is what `redis.dialect` of a policy says for it.
type Kind string

// The kinds.
const (
	Webdis  Kind = "webdis"  // Debian's webdis
	Upstash Kind = "upstash" // `weir bridge`
)

// Kinds are those that can run here; the test's log says which cannot, and why.
func Kinds(t testing.TB) []Kind {
	t.Helper()
	switch {
	case !redistest.Installed("redis-server"):
		t.Logf("redis-server is not installed (apt-get install redis-server webdis): only `weir bridge --embedded` is tested, with a miniredis inside")
		return []Kind{Upstash}
	case !redistest.Installed("webdis"):
		t.Logf("webdis is not installed (apt-get install webdis): only `weir bridge` is tested")
		return []Kind{Upstash}
	default:
		return []Kind{Webdis, Upstash}
	}
}

// Bridge is a child process that Envoy's cluster `redis.cluster` points to.
type Bridge struct {
	process.Program
	Kind Kind
	Port int
	// Token is `redis.token`. Webdis has none.
	Token string
}

// Dialect is `redis.dialect`.
func (b *Bridge) Dialect() string { return string(b.Kind) }

// Start starts a Redis and a bridge of a kind to it. Without redis-server the Server is nil and Redis is inside the
// bridge.
func Start(t testing.TB, kind Kind) (*redistest.Server, *Bridge) {
	t.Helper()
	if kind == Upstash && !redistest.Installed("redis-server") {
		t.Logf("redis-server is not installed: `weir bridge --embedded`, with a miniredis inside")
		return nil, NewBridge(t, kind, nil)
	}
	server := redistest.NewServer(t)
	return server, NewBridge(t, kind, server)
}

// NewBridge starts a bridge to a server. More than one may lead to the same.
func NewBridge(t testing.TB, kind Kind, server *redistest.Server) *Bridge {
	t.Helper()
	switch {
	case kind == Webdis:
		return newWebdis(t, server)
	case server == nil:
		return newUpstash(t, "--embedded")
	default:
		return newUpstash(t, "--redis", server.URL())
	}
}

// NewClusterBridge starts `weir bridge` to the Redis Cluster of a server.
func NewClusterBridge(t testing.TB, server *redistest.Server) *Bridge {
	t.Helper()
	return newUpstash(t, "--redis", "redis+cluster://"+server.Address)
}

// newUpstash starts `weir bridge`.
func newUpstash(t testing.TB, redis ...string) *Bridge {
	t.Helper()
	binary, err := repo.Built("weir", "weir")
	if err != nil {
		t.Fatalf("the bridge: %v", err)
	}
	b := &Bridge{Kind: Upstash, Port: port.Reserve(t), Token: "e2e-token"}
	b.Program = process.Program{
		Path:    binary,
		Args:    append([]string{"bridge", "--listen", fmt.Sprintf("127.0.0.1:%d", b.Port)}, redis...),
		Env:     []string{"WEIR_BRIDGE_TOKEN=" + b.Token},
		Address: fmt.Sprintf("127.0.0.1:%d", b.Port),
	}
	b.Start(t)
	return b
}

// newWebdis starts webdis with what the filter needs and no more. Its version 0.1.9 wants the configuration in a file.
// https://github.com/nicolasff/webdis#configuration
func newWebdis(t testing.TB, server *redistest.Server) *Bridge {
	t.Helper()
	if !redistest.Installed("webdis") {
		t.Skip("webdis is not installed (apt-get install webdis)")
	}
	b := &Bridge{Kind: Webdis, Port: port.Reserve(t)}
	config, err := json.Marshal(map[string]any{
		"redis_host": "127.0.0.1", "redis_port": server.Port, "database": 0,
		"http_host": "127.0.0.1", "http_port": b.Port, "http_max_request_size": 1 << 20,
		"threads": 2, "pool_size": 8, "daemonize": false, "websockets": false,
		"verbosity": 0, "logfile": os.DevNull,
		"acl": []map[string]any{{"disabled": []string{"*"}}, {"enabled": []string{"EVAL", "EVALSHA", "PING"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "webdis-"+strconv.Itoa(b.Port)+".json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	b.Program = process.Program{Path: "webdis", Args: []string{path}, Address: fmt.Sprintf("127.0.0.1:%d", b.Port)}
	b.Start(t)
	return b
}
