package e2e

import (
	"encoding/json"
	"strings"
)

func (a *administered) testBadInput() {
	t := a.testing()
	host := strings.TrimPrefix(a.console.url, "http://")
	json := []string{"content-type", "application/json"}
	for _, tc := range []struct {
		method, path, body string
		headers            []string
		status             int
	}{
		{"GET", "/status/none", "", nil, 404},
		{"GET", "/status/%zz", "", nil, 400},
		{"GET", "/status/lim%69ted", "", nil, 200},
		{"GET", "/nowhere", "", nil, 404},
		{"GET", "/status/", "", nil, 200},
		{"HEAD", "/status", "", nil, 200},
		{"HEAD", "/", "", []string{"accept-encoding", "gzip"}, 200},
		{"GET", "/", "", []string{"accept-encoding", "br, gzip;q=0"}, 406},
		{"OPTIONS", "/reset/limited", "", nil, 204},
		{"GET", "/reset/limited", "", nil, 405},
		{"PUT", "/reset/limited", "{}", json, 405},
		{"DELETE", "/status", "", nil, 405},
		{"PATCH", "/", "", nil, 405},
		{"POST", "/status", "", nil, 405},
		{"POST", "/reset/none", "", nil, 404},
		{"POST", "/reset/" + strings.Repeat("a", 8000), "", nil, 404},
		{"POST", "/breaker/limited/open", "", nil, 400},
		{"POST", "/breaker/unused/ajar", "", nil, 404},
		{"POST", "/cache/invalidate?cluster=unused", "", nil, 400},
		{"POST", "/cache/invalidate", "", nil, 400},
		{"POST", "/reset/unused", "{}", json, 200},
		{"POST", "/reset/unused", "{}", []string{"content-type", "text/plain"}, 415},
		{"POST", "/reset/unused", "a=b", []string{"content-type", "application/x-www-form-urlencoded"}, 415},
		{"POST", "/reset/unused", strings.Repeat("x", 4097), json, 413},
		{"POST", "/reset/unused", strings.Repeat("x", 4<<20), json, 413},
		{"POST", "/reset/unused", "", []string{"origin", "http://" + host}, 200},
		{"POST", "/reset/unused", "", []string{"origin", "http://evil.example"}, 403},
		{"POST", "/reset/unused", "", []string{"origin", "null"}, 403},
		{"POST", "/reset/unused", "", []string{"sec-fetch-site", "cross-site"}, 403},
		{"POST", "/reset/unused", "", []string{"sec-fetch-site", "same-origin", "origin", "http://" + host}, 200},
		{"POST", "/reset/unused", "", []string{"Host", "evil.example", "origin", "http://evil.example"}, 403},
		{"GET", "/status", "", []string{"Host", "evil.example"}, 403},
		{"GET", "/status", "", []string{"Host", "localhost"}, 200},
	} {
		got := a.ask(tc.method, tc.path, tc.body, tc.headers...)
		if got.err != nil || got.status != tc.status {
			t.Errorf("%s %.40s %q: %d %.200s %v, want %d", tc.method, tc.path, tc.headers, got.status, got.body, got.err, tc.status)
			continue
		}
		if tc.method != "HEAD" && tc.status >= 400 && !isError(got.body) {
			t.Errorf("%s %.40s: got %q, want a body with a reason", tc.method, tc.path, got.body)
		}
		if (tc.method == "HEAD" || tc.method == "OPTIONS") && got.body != "" {
			t.Errorf("%s %.40s: got body %q, want none", tc.method, tc.path, got.body)
		}
		if got.header.Get("cache-control") != "no-store" || got.header.Get("x-content-type-options") != "nosniff" {
			t.Errorf("%s %.40s: got headers %v, want cache-control no-store and x-content-type-options nosniff", tc.method, tc.path, got.header)
		}
		if (tc.status == 405 || tc.method == "OPTIONS") != (got.header.Get("allow") != "") {
			t.Errorf("%s %.40s: got allow %q, want it with a 405 or for OPTIONS, and else absent", tc.method, tc.path, got.header.Get("allow"))
		}
	}
}

// isError returns whether a body has a reason.
func isError(body string) bool {
	var e struct{ Error string }
	return json.Unmarshal([]byte(body), &e) == nil && e.Error != ""
}
