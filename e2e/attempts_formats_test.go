package e2e

import (
	"fmt"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestAttemptsAndFormats: what a route adds to requests, by what depends on the request, on the connection, or on what is there
// already: alike in the further attempts, or not, as the docs say. What it adds to responses by the connection to upstream.
func TestAttemptsAndFormats(t *testing.T) {
	t.Parallel()
	const ifAbsent = corev3.HeaderValueOption_ADD_IF_ABSENT
	rows := []struct {
		name, value string
		action      corev3.HeaderValueOption_HeaderAppendAction
		alike       bool
	}{
		{"x-there", "by route", ifAbsent, true},
		{"x-not-there", "by route", ifAbsent, true},
		{"x-remote", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", appendHeader, true},
		{"x-upstream", "%UPSTREAM_HOST%", appendHeader, true}, // none yet: not added
		{"x-cluster", "%UPSTREAM_CLUSTER%", appendHeader, true},
		{"x-route", "%ROUTE_NAME%", appendHeader, true},
		{"x-request", "%REQ(:path)% %REQ(x-there)%", appendHeader, true},
		{"x-environment", "%HOSTNAME%", appendHeader, true},
		{"x-protocol", "%PROTOCOL%", appendHeader, false},
		{"x-direct", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", appendHeader, false},
		{"x-remote-port", "%DOWNSTREAM_REMOTE_PORT%", appendHeader, false},
		{"x-local", "%DOWNSTREAM_LOCAL_ADDRESS%", appendHeader, false},
		{"x-connection", "%CONNECTION_ID%", appendHeader, false},
		{"x-time", "%START_TIME(%s.%6f)%", appendHeader, false},
	}
	up := upstream.New(t)
	up.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503), upstream.Status(503), upstream.Body("fine"))
	o := options(t, fmt.Sprintf("clusters: {up: {%s}}", retryRules("filter", "jitter: false")), map[string]*upstream.Upstream{"up": up})
	w := startWith(t, o, func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
			for _, row := range rows {
				m.GetRouteConfig().RequestHeadersToAdd = append(m.GetRouteConfig().GetRequestHeadersToAdd(), headerToAdd(row.name, row.value, row.action))
			}
			m.GetRouteConfig().ResponseHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-by", "%UPSTREAM_HOST%", appendHeader)}
		})
	})
	r, id := w.numberedRequest("GET", "up", "/page", "x-there", "by client")
	a := w.do(r)
	if a.status != 200 || a.body != "fine" {
		t.Fatalf("got %+v, want the third response", a)
	}
	attempts := up.Attempts(numberHeader, id)
	if len(attempts) != 3 {
		t.Fatalf("got %d attempts, want 3", len(attempts))
	}
	for _, row := range rows {
		saw := func(i int) string { return fmt.Sprint(attempts[i].Header.Values(row.name)) }
		first, second, third := saw(0), saw(1), saw(2)
		t.Logf("%s %s: %s, %s, %s", row.name, row.value, first, second, third)
		if (first == second && second == third) != row.alike {
			t.Errorf("%s: got %s, %s and %s in the attempts, want them alike: %v", row.value, first, second, third, row.alike)
		}
	}
	if got := a.header.Values("x-by"); len(got) != 2 {
		t.Errorf("got x-by %q, want upstream's address of the first attempt and of the last", got)
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}
