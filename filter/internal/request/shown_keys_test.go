package request_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// ask begins a request of a user.
func ask(p *requesttest.Proxy, stream uint32, user string) {
	p.Begin(request.Incoming{Stream: stream, Key: p.Cluster.Key().Fingerprint(requesttest.Headers{{"x-user", user}}, "")})
}

// TestRefusedKeysAreReported: each key that is refused, or would be in shadow, as the policy's show_keys says. The hash is the
// same each time, and not that by which limits find the key.
func TestRefusedKeysAreReported(t *testing.T) {
	const limit = `"requests":1,"window_size":"1h","key":[{"header":"x-user"}]`
	for _, tc := range []struct {
		name, rules string
		want        []string // texts
	}{
		{"hash", `{"rate_limit":{` + limit + `}}`, []string{"", "", ""}},
		{"plain", `{"rate_limit":{` + limit + `,"show_keys":"plain"}}`, []string{"x-user=bob", "x-user=bob", "x-user=eve"}},
		{"off", `{"rate_limit":{` + limit + `,"show_keys":"off"}}`, nil},
		{"shadow", `{"mode":"shadow","rate_limit":{` + limit + `,"show_keys":"plain"}}`, []string{"x-user=bob", "x-user=bob", "x-user=eve"}},
		{"not refused", `{"rate_limit":{"requests":9,"key":[{"header":"x-user"}]}}`, nil},
		{"not by key", `{"rate_limit":{"requests":1,"window_size":"1h"}}`, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := requesttest.Start(t, tc.rules)
			for _, user := range []string{"bob", "bob", "bob", "eve", "eve"} {
				if p.Cluster.Key() == nil {
					p.Begin(request.Incoming{})
					continue
				}
				ask(p, 0, user)
			}
			var hashes, texts []string
			for _, k := range p.Observer.Keys {
				hash, text, _ := strings.Cut(k, " ")
				hashes, texts = append(hashes, hash), append(texts, text)
			}
			if !slices.Equal(texts, tc.want) {
				t.Errorf("got texts %q, want %q", texts, tc.want)
			}
			if len(hashes) == 3 && (hashes[0] != hashes[1] || hashes[1] == hashes[2]) {
				t.Errorf("got hashes %v, want one for bob and another for eve", hashes)
			}
			if len(hashes) > 0 && !strings.Contains(p.Observer.Explanation, ", key "+hashes[len(hashes)-1]) {
				t.Errorf("the log at debug says %q, want the hash %s in it", p.Observer.Explanation, hashes[len(hashes)-1])
			}
			if said := p.Observer.Explanation; strings.Contains(said, "eve") != (len(tc.want) > 0 && tc.want[0] != "") {
				t.Errorf("the log at debug says %q, which must name the key only with show_keys: plain", said)
			}
		})
	}
}

// TestKeysOfWaitingRequests: other requests' keys are read while one waits for Redis. Two proxies, which must count alike, show
// one key by different hashes: what is the same everywhere could be computed by anybody.
func TestKeysOfWaitingRequests(t *testing.T) {
	const rules = `{"rate_limit":{"requests":1,"window_size":"1h","scope":"mesh","key":[{"header":"x-user"}],"show_keys":"plain"}}`
	for _, mode := range []string{"enforce", "shadow"} {
		t.Run(mode, func(t *testing.T) {
			server, keys := miniredis.RunT(t), [2][]string{}
			for i := range keys {
				m := requesttest.JoinMesh(t, server, `{"mode":"`+mode+`",`+rules[1:], "")
				ask(m.Proxy, 1, "bob")
				ask(m.Proxy, 2, "eve")
				ask(m.Proxy, 3, "bob")
				m.Client.MakeCalls(m.Now)
				m.Answer()
				m.Now += int64(time.Second)
				keys[i] = m.Observer.Keys
			}
			first, second := keys[0], keys[1]
			if len(first) != 1 || !strings.HasSuffix(first[0], " x-user=bob") {
				t.Fatalf("got keys %q, want bob's", first)
			}
			if len(second) != 3 || !slices.ContainsFunc(second, func(k string) bool { return strings.HasSuffix(k, " x-user=eve") }) {
				t.Fatalf("the second proxy has keys %q, want two of bob and one of eve", second)
			}
			if slices.Contains(second, first[0]) {
				t.Errorf("got %q by two proxies, want other hashes", first[0])
			}
		})
	}
}
