package benchmesh

import "github.com/weir-mesh/weir/e2e/redis"

// What filters a row's requests.
type filter int

const (
	none  filter = iota
	peer         // Envoy's ratelimit filter and envoyproxy/ratelimit
	proxy        // Weir, scope proxy
	mesh         // Weir, scope mesh
)

// row is one Envoy of a table.
type row struct {
	name   string
	filter filter
	// limit is admitted a second.
	limit int
	// cacheBytes is the peer's local cache.
	cacheBytes int
	// bridge is what Weir calls in scope mesh.
	bridge redis.Kind
	// more is added to Weir's rate_limit.
	more string
	// onError is redis.on_error; empty: local.
	onError string
}

// usesRedis returns whether this row's requests use Redis.
func (r row) usesRedis() bool { return r.filter == peer || r.filter == mesh }

// calls are the names of the commands that Redis is sent; a script's own are counted by Redis under their names beside
// them.
func (r row) calls() []string {
	switch r.filter {
	case peer:
		return []string{"incrby", "expire", "get"}
	case mesh:
		return []string{"eval", "evalsha"}
	default:
		return nil
	}
}

// The rows that the budgets speak of.
const (
	noFilter   = "no filter"
	exactPeer  = "envoyproxy/ratelimit"
	scopeProxy = "Weir, scope proxy"
	byBridge   = "Weir, scope mesh, weir bridge"
)

// plenty refuses no request, few refuses nearly all at 5,000 a second.
const (
	plenty    = 1_000_000
	few       = 100
	peerCache = 1 << 20
)

func below() []row {
	return []row{
		{name: noFilter},
		{name: exactPeer, filter: peer, limit: plenty},
		{name: "envoyproxy/ratelimit, local cache", filter: peer, limit: plenty, cacheBytes: peerCache},
		{name: scopeProxy, filter: proxy, limit: plenty},
		{name: "Weir, scope mesh, Webdis", filter: mesh, limit: plenty, bridge: redis.Webdis},
		{name: byBridge, filter: mesh, limit: plenty, bridge: redis.Upstash},
		{name: "Weir, scope mesh, lease.max_tokens: 1", filter: mesh, limit: plenty, bridge: redis.Upstash, more: `, "lease": {"max_tokens": 1}`},
	}
}

func above() []row {
	return []row{
		{name: exactPeer, filter: peer, limit: few},
		{name: "envoyproxy/ratelimit, local cache", filter: peer, limit: few, cacheBytes: peerCache},
		{name: scopeProxy, filter: proxy, limit: few},
		{name: byBridge, filter: mesh, limit: few, bridge: redis.Upstash},
	}
}

func withoutRedis() []row {
	return []row{
		{name: "Weir, on_error: local", filter: mesh, limit: plenty, bridge: redis.Upstash, onError: "local"},
		{name: "Weir, on_error: allow", filter: mesh, limit: plenty, bridge: redis.Upstash, onError: "allow"},
	}
}
