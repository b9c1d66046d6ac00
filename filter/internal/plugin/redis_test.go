package plugin

import "testing"

func TestAuthority(t *testing.T) {
	for cluster, want := range map[string]string{
		"redis_http":                         "redis_http",
		"outbound|7379||bridge.shop.svc":     "bridge.shop.svc",
		"outbound|7379|v2|bridge.shop.svc":   "bridge.shop.svc",
		"inbound|7379||":                     "inbound|7379||",
		"outbound_.7379_._.bridge.shop.svc":  "outbound_.7379_._.bridge.shop.svc",
		"redis-http.example.com:7379|a|b|c ": "c ",
	} {
		if got := authority(cluster); got != want {
			t.Errorf("authority(%q) = %q, want %q", cluster, got, want)
		}
	}
}
