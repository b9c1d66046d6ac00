package e2e

import (
	"fmt"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// spelled sends a GET as a client may write it: a target and, behind |, header lines.
func (w *weir) spelled(cluster, spelling string) answer {
	w.t.Helper()
	target, lines, found := strings.Cut(spelling, "|")
	if found {
		lines += "\r\n"
	}
	return w.raw("GET", "GET "+target+" HTTP/1.1\r\nhost: "+cluster+"\r\nconnection: close\r\n"+lines+"\r\n")
}

// TestKeysSpelledInManyWays: a client whose limit is used up gets no fresh ones by sending its key beside another
// value, or in another spelling. All that is ambiguous shares one limit.
func TestKeysSpelledInManyWays(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	cases := []struct {
		cluster, key, other string
		same                []string // the same key, though written in another way
		ambiguous           []string // # is a number that differs from request to request
	}{
		{
			"header", "/|x-api-key: K", "/|x-api-key: L",
			[]string{"/|X-API-KEY: K", "/|x-api-key: \tK "},
			[]string{
				"/|x-api-key: K\r\nx-api-key: #", "/|x-api-key: #\r\nx-api-key: K", "/|x-api-key: #\r\ny: z\r\nX-Api-Key: K",
				"/|x-api-key: K, #", "/|x-api-key: #,K", "/|x-api-key: #\r\nx_api_key: K",
				"/|x_api_key: K#", "/|x-api-key: #\r\nx_api-key: K",
			},
		},
		{
			"credential", "/|authorization: Bearer K", "/|authorization: Bearer L",
			[]string{"/|authorization: bearer K", "/|Authorization: BEARER  K"},
			[]string{"/|authorization: Bearer K\r\nauthorization: Bearer #", "/|authorization: Bearer #, Bearer K"},
		},
		{
			"query", "/?api_key=K", "/?api_key=L",
			[]string{"/?%61pi_key=%4B", "/x?a=b&api_key=K"},
			[]string{
				"/?api_key=K&api_key=#", "/?api_key=#&api_key=K", "/?api_key=#&%61pi_key=K",
				"/?api_key=#;api_key=K", "/?x=#;api_key=K", "/?api_key=K;x=#",
				"/?api_key[]=K&x=#", "/?api_key=#&api_key[0]=K", "/?api_key=#&api_key%5B%5D=K",
				"/?api_key=#&api.key=K", "/?api_key=#&API_KEY=K",
			},
		},
		{
			"cookie", "/|cookie: sid=K", "/|cookie: sid=L",
			[]string{
				"/|cookie: a=b; sid=K", `/|cookie: sid="K"; c=d`, "/|cookie:   sid= K ;c=d",
				"/|cookie: a=b\r\ncookie: sid=%4B",
			},
			[]string{
				"/|cookie: sid=K; sid=#", "/|cookie: sid=#; sid=K", "/|cookie: sid=#\r\ncookie: sid=K",
				"/|cookie: a=#, sid=K", "/|cookie: sid=#; sid =K",
				"/|cookie: sid=#; =sid=K", "/|cookie: sid=#; %73id=K", `/|cookie: sid="K#`, "/|cookie: sid=#; sid[]=K",
			},
		},
	}
	const limit = 5
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	for cluster, part := range map[string]string{
		"header": "header: x-api-key", "credential": "header: authorization",
		"query": "query: api_key", "cookie": "cookie: sid",
	} {
		policy += fmt.Sprintf("  %s: {rate_limit: {requests: %d, window_size: 1h, key: [{%s}]}}\n", cluster, limit, part)
		upstreams[cluster] = u
	}
	w := start(t, policy, upstreams)
	for _, tc := range cases {
		t.Run(tc.cluster, func(t *testing.T) {
			w := w.in(t)
			for i := range limit + 1 {
				want := 200
				if i == limit {
					want = 429
				}
				if a := w.spelled(tc.cluster, tc.key); a.status != want {
					t.Fatalf("request %d of key K: got %d (%v), want %d", i+1, a.status, a.err, want)
				}
			}
			for _, spelling := range tc.same {
				if a := w.spelled(tc.cluster, spelling); a.status != 429 {
					t.Errorf("%q: got %d (%v), want 429: the limit of K is used up", spelling, a.status, a.err)
				}
			}
			admitted, junk := map[string]int{}, 0
			for range 4 {
				for _, spelling := range tc.ambiguous {
					junk++
					switch a := w.spelled(tc.cluster, strings.ReplaceAll(spelling, "#", fmt.Sprint("junk", junk))); a.status {
					case 200:
						admitted[spelling]++
					case 429:
					default:
						t.Errorf("%q: got %d (%v), want 200 or 429", spelling, a.status, a.err)
					}
				}
			}
			total := 0
			for _, n := range admitted {
				total += n
			}
			if total != limit {
				t.Errorf("ambiguous requests: got %d of %d admitted, want %d: %v", total, junk, limit, admitted)
			}
			if a := w.spelled(tc.cluster, tc.other); a.status != 200 {
				t.Errorf("another client's key: got %d (%v), want 200", a.status, a.err)
			}
			if a := w.spelled(tc.cluster, "/"); a.status != 200 {
				t.Errorf("a request without a key: got %d (%v), want 200", a.status, a.err)
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestKeysByNetwork: with prefixes, a client has one limit for all addresses of its network.
func TestKeysByNetwork(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	w := startWith(t, options(t, `
clusters:
  net24:    {rate_limit: {requests: 2, window_size: 1h, key: [{client_ip: {ipv4_prefix: 24}}]}}
  defaults: {rate_limit: {requests: 1, window_size: 1h, key: [{client_ip: {}}]}}
  whole:    {rate_limit: {requests: 1, window_size: 1h, key: [client_ip]}}
`, map[string]*upstream.Upstream{"net24": u, "defaults": u, "whole": u}), func(b *bootstrapv3.Bootstrap) {
		changeManager(t, b, func(m *hcmv3.HttpConnectionManager) { m.XffNumTrustedHops = 1 })
	})
	for _, tc := range []struct {
		cluster, ip string
		forwarded   string // the address that a trusted proxy in front says
		want        int
	}{
		{"net24", "127.0.0.2", "", 200},
		{"net24", "127.0.0.77", "", 200},
		{"net24", "127.0.0.200", "", 429},
		{"net24", "127.0.1.2", "", 200},
		{"net24", "127.0.0.1", "127.0.1.3", 200},
		{"net24", "127.0.0.1", "::ffff:127.0.1.4", 429},
		{"defaults", "127.0.0.1", "192.0.2.1", 200},
		{"defaults", "127.0.0.1", "192.0.2.2", 200},
		{"defaults", "127.0.0.1", "192.0.2.1", 429},
		{"defaults", "127.0.0.1", "2001:db8:0:1::1", 200},
		{"defaults", "127.0.0.1", "2001:db8:0:1:ffff::2", 429},
		{"defaults", "127.0.0.1", "2001:db8:0:2::1", 200},
		{"whole", "127.0.0.1", "2001:db8::1", 200},
		{"whole", "127.0.0.1", "2001:db8::2", 200},
		{"whole", "127.0.0.1", "2001:db8::1", 429},
	} {
		r := w.request(t.Context(), "GET", tc.cluster, "/")
		if tc.forwarded != "" {
			r.Header.Set("x-forwarded-for", tc.forwarded)
		}
		if a := w.from(tc.ip, r); a.status != tc.want {
			t.Errorf("%+v: got %d (%v), want %d", tc, a.status, a.err, tc.want)
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
