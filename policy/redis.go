package policy

import "time"

// decodeRedis reads `redis`.
func decodeRedis(s *section) *Redis {
	if s == nil {
		return nil
	}
	r := &Redis{
		Cluster:   s.text("cluster", "cluster", "redis_http", clusterName),
		Dialect:   Dialect(s.choice("dialect", "webdis", "upstash")),
		Token:     s.text("token", "printable ASCII", "", printable),
		Timeout:   s.duration("timeout", 50*time.Millisecond, shortest, time.Minute),
		KeyPrefix: s.text("key_prefix", "printable ASCII", "weir:", printable),
		OnError:   OnError(s.choice("on_error", "local", "allow", "deny")),

		ExpectedProxies: s.whole("expected_proxies", 1, 1, 1_000_000),
	}
	s.end()
	return r
}
