package admin

import (
	"strings"
	"testing"
)

func TestRefusedRequests(t *testing.T) {
	host := func(h string) func(r *Request) { return func(r *Request) { r.Host = h } }
	origin := func(s string) func(r *Request) { return func(r *Request) { r.Origin = s } }
	site := func(s string) func(r *Request) { return func(r *Request) { r.FetchSite = s } }
	body := func(contentType, length string) func(r *Request) {
		return func(r *Request) { r.ContentType, r.Length, r.Ended = contentType, length, false }
	}
	f := newFixture(t, everything)
	for _, tc := range []struct {
		method, target string
		change         func(r *Request)
		status         int
		message        string // a part of the error, or the header allow
	}{
		{"GET", "/status/none", nil, 404, "none"},
		{"GET", "/status/aws", nil, 200, ""},
		{"GET", "/status/", nil, 200, ""},
		{"GET", "/status?x=y", nil, 200, ""},
		{"GET", "/status/b/2%20%3Cx%3E", nil, 200, ""},
		{"GET", "/status/b%2F2%20%3cx%3e?x", nil, 200, ""},
		{"GET", "/status/b%2F2+%3cx%3e", nil, 404, "no cluster"},
		{"GET", "/status/%zz", nil, 400, "encoded"},
		{"GET", "/status/%6", nil, 400, "encoded"},
		{"GET", "/status/%ff", nil, 400, "encoded"},
		{"GET", "/status/a%00b", nil, 400, "encoded"},
		{"GET", "/status/" + strings.Repeat("a", 5000), nil, 404, "aaa"},
		{"GET", "/nowhere", nil, 404, "no such path"},
		{"GET", "", nil, 404, "no such path"},
		{"GET", "/STATUS", nil, 404, "no such path"},
		{"GET", "//status", nil, 404, "no such path"},

		{"GET", "/reset/aws", nil, 405, "POST, OPTIONS"},
		{"HEAD", "/reset/aws", nil, 405, "POST, OPTIONS"},
		{"PUT", "/reset/aws", nil, 405, "POST, OPTIONS"},
		{"POST", "/status", nil, 405, "GET, HEAD, OPTIONS"},
		{"POST", "/", nil, 405, "GET, HEAD, OPTIONS"},
		{"DELETE", "/status/aws", nil, 405, "GET, HEAD, OPTIONS"},
		{"get", "/status", nil, 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/status", nil, 204, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/reset/aws", nil, 204, "POST, OPTIONS"},
		{"OPTIONS", "/nowhere", nil, 404, "no such path"},

		{"POST", "/reset/none", nil, 404, "none"},
		{"POST", "/reset/", nil, 400, "name is missing"},
		{"POST", "/reset", nil, 404, "no such path"},
		{"POST", "/reset/%", nil, 400, "encoded"},
		{"POST", "/breaker/aws", nil, 404, "/open, /close or /auto"},
		{"POST", "/breaker/aws/", nil, 404, "/open, /close or /auto"},
		{"POST", "/breaker/aws/ajar", nil, 404, "/open, /close or /auto"},
		{"POST", "/breaker//open", nil, 400, "name is missing"},
		{"POST", "/breaker/none/open", nil, 404, "none"},
		{"POST", "/breaker/bare/open", nil, 400, "no circuit_breaker"},
		{"POST", "/breaker/b/2%20%3Cx%3E/open", nil, 400, "no circuit_breaker"},

		{"POST", "/cache/invalidate", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=aws&cluster=b", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=aws&all=1", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=aws&path=prices", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=aws&path=", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=%", nil, 400, "cluster=NAME"},
		{"POST", "/cache/invalidate?cluster=none", nil, 404, "none"},
		{"POST", "/cache/invalidate?cluster=bare", nil, 400, "has no cache"},
		{"POST", "/cache/invalidate?cluster=aws", nil, 200, ""},
		{"POST", "/cache/invalidate?cluster=aws&path=%2Fprices", nil, 200, ""},
		{"GET", "/cache/invalidate?cluster=aws", nil, 405, "POST, OPTIONS"},

		{"POST", "/reset/aws", body("", "0"), 200, ""},
		{"POST", "/reset/aws", body("application/json", "2"), 200, ""},
		{"POST", "/reset/aws", body("Application/JSON; charset=utf-8", "2"), 200, ""},
		{"POST", "/reset/aws", body("", "2"), 415, "JSON"}, // a browser sends this for another site's page, without a preflight
		{"POST", "/reset/aws", body("text/plain", "2"), 415, "JSON"},
		{"POST", "/reset/aws", body("application/x-www-form-urlencoded", "2"), 415, "JSON"},
		{"POST", "/reset/aws", body("multipart/form-data; boundary=x", "2"), 415, "JSON"},
		{"POST", "/reset/aws", body("application/json", "4096"), 200, ""},
		{"POST", "/reset/aws", body("application/json", "4097"), 413, "4097"},
		{"POST", "/reset/aws", body("application/json", strings.Repeat("0", 9000)+"4097"), 413, "has 4097 bytes"},
		{"POST", "/reset/aws", body("application/json", "99999999999999999999"), 400, "Content-Length"},
		{"POST", "/reset/aws", body("application/json", "-1"), 400, "Content-Length"},
		{"POST", "/reset/aws", body("application/json", ""), 411, "Content-Length"},
		{"GET", "/status", body("text/plain", "99999"), 200, ""},

		{"POST", "/reset/aws", origin("http://127.0.0.1:9902"), 200, ""},
		{"POST", "/reset/aws", origin("https://127.0.0.1:9902"), 200, ""},
		{"POST", "/reset/aws", origin("http://127.0.0.1:9903"), 403, "another site"},
		{"POST", "/reset/aws", origin("http://127.0.0.1"), 403, "another site"},
		{"POST", "/reset/aws", origin("https://evil.example"), 403, "another site"},
		{"POST", "/reset/aws", origin("null"), 403, "another site"},
		{"POST", "/reset/aws", site("same-origin"), 200, ""},
		{"POST", "/reset/aws", site("none"), 200, ""},
		{"POST", "/reset/aws", site("same-site"), 403, "another site"},
		{"POST", "/reset/aws", site("cross-site"), 403, "another site"},
		{"GET", "/", func(r *Request) { r.FetchSite, r.Encodings = "cross-site", "gzip" }, 200, ""}, // a link that was followed

		{"GET", "/status", host("localhost:9902"), 200, ""},
		{"GET", "/status", host("LOCALHOST."), 200, ""},
		{"GET", "/status", host("[::1]:9902"), 200, ""},
		{"GET", "/status", host("[::1]"), 200, ""},
		{"GET", "/status", host("10.1.2.3"), 200, ""},
		{"GET", "/status", host("weir-admin"), 200, ""},
		{"GET", "/status", host("weir.mesh.svc.cluster.local:80"), 200, ""},
		{"GET", "/status", host("weir.mesh.svc"), 200, ""},
		{"GET", "/status", host("Weir.Example.com:443"), 200, ""}, // admin.hosts
		{"GET", "/status", host("evil.example.com"), 403, "public name"},
		{"GET", "/status", host("127.0.0.1.evil.example"), 403, "public name"},
		{"GET", "/status", host("localhost.evil.example:9902"), 403, "public name"},
		{"GET", "/status", host(""), 403, "public name"},
		{"GET", "/status", host("localhost:"), 200, ""},
		{"GET", "/status", host("weir_admin-1:80"), 200, ""},
		{"GET", "/status", host("[fe80::1%25eth0]:80"), 200, ""},
		{"GET", "/status", host("127.0.0.1:80,evil.example"), 403, "public name"}, // two Host headers, as Envoy joins them
		{"GET", "/status", host("localhost,evil.example:80"), 403, "public name"},
		{"GET", "/status", host("localhost:evil.example"), 403, "public name"},
		{"GET", "/status", host("evil.example:80:1"), 403, "public name"},
		{"GET", "/status", host("evil.example@127.0.0.1"), 403, "public name"},
		{"GET", "/status", host("evil.example/.local"), 403, "public name"},
		{"GET", "/status", host("[evil.example]"), 403, "public name"},
		{"GET", "/status", host("[::1].evil.example"), 403, "public name"},
		{"GET", "/status", host("[::1]evil:80"), 403, "public name"},
		{"GET", "/status", host("[]"), 403, "public name"},
		{"GET", "/status", host("."), 403, "public name"},
		{"GET", "/", host("evil.example.com"), 403, "public name"},
		{
			"POST", "/reset/aws", func(r *Request) { r.Host, r.Origin = "evil.example.com:9902", "http://evil.example.com:9902" },
			403, "public name",
		},
	} {
		var change []func(r *Request)
		if tc.change != nil {
			change = append(change, tc.change)
		}
		r := f.request(tc.method, tc.target, change...)
		message := r.header("allow")
		if r.Status >= 400 && r.Status != 405 {
			message = errorOf(t, r)
		}
		if r.Status != tc.status || !strings.Contains(message, tc.message) {
			t.Errorf("%s %.60s: got %d %q, want %d %q", tc.method, tc.target, r.Status, message, tc.status, tc.message)
		}
		if r.header("cache-control") != "no-store" || r.header("x-content-type-options") != "nosniff" ||
			r.header("content-security-policy") == "" ||
			r.header("access-control-allow-origin") != "" {
			t.Errorf("%s %.60s: got headers %q, want no-store, nosniff, a policy and no allowed origin", tc.method, tc.target, r.Headers)
		}
		if len(r.Body) > 300 && r.Status >= 400 {
			t.Errorf("%s %.60s: got an error of %d bytes, want at most 300", tc.method, tc.target, len(r.Body))
		}
	}
}
