package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
	"github.com/weir-mesh/weir/envoy/render"
)

// everyManager changes the connection managers of the traffic, of withListener's and of the filter's attempts alike.
func everyManager(t *testing.T, b *bootstrapv3.Bootstrap, change func(listener string, m *hcmv3.HttpConnectionManager)) {
	t.Helper()
	for _, l := range b.GetStaticResources().GetListeners() {
		if name := l.GetName(); name != "traffic" && name != "second" && name != render.AttemptsName {
			continue
		}
		filter := l.GetFilterChains()[0].GetFilters()[0]
		manager := &hcmv3.HttpConnectionManager{}
		if err := filter.GetTypedConfig().UnmarshalTo(manager); err != nil {
			t.Fatal(err)
		}
		change(l.GetName(), manager)
		if err := filter.GetTypedConfig().MarshalFrom(manager); err != nil {
			t.Fatal(err)
		}
	}
}

// routeChange is what a route does to a request or its response.
type routeChange struct {
	name   string
	change func(*routev3.VirtualHost, *routev3.RouteAction)
	saw    string // what upstream saw in each attempt: "host path", then headers
}

func headerToAdd(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: action}
}

const appendHeader = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD

func routeChanges() []routeChange {
	return []routeChange{
		{"nothing", func(*routev3.VirtualHost, *routev3.RouteAction) {}, "nothing /page?a=b [mallory]"},
		{"removed-header", func(h *routev3.VirtualHost, _ *routev3.RouteAction) {
			h.RequestHeadersToRemove = []string{"x-internal-user"}
		}, "removed-header /page?a=b []"},
		{"overwritten-header", func(h *routev3.VirtualHost, _ *routev3.RouteAction) {
			h.RequestHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-internal-user", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD)}
		}, "overwritten-header /page?a=b [127.0.0.1]"},
		{"appended-header", func(h *routev3.VirtualHost, _ *routev3.RouteAction) {
			h.RequestHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-internal-user", "%REQ(:path)%", appendHeader)}
		}, "appended-header /page?a=b [mallory /page?a=b]"},
		{"prefix", func(_ *routev3.VirtualHost, a *routev3.RouteAction) { a.PrefixRewrite = "/v2/" }, "prefix /v2/page?a=b [mallory]"},
		{"regex", func(_ *routev3.VirtualHost, a *routev3.RouteAction) {
			a.RegexRewrite = &matcherv3.RegexMatchAndSubstitute{Pattern: &matcherv3.RegexMatcher{Regex: "^/(.*)$"}, Substitution: `/twice/\1/\1`}
		}, "regex /twice/page/page?a=b [mallory]"},
		{"host", func(_ *routev3.VirtualHost, a *routev3.RouteAction) {
			a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: "inner.example"}
			a.AppendXForwardedHost = true
		}, "inner.example /page?a=b [mallory]"},
		{"own-retries", func(_ *routev3.VirtualHost, a *routev3.RouteAction) {
			a.RetryPolicy = &routev3.RetryPolicy{RetryOn: "5xx", NumRetries: wrapperspb.UInt32(3)}
		}, "own-retries /page?a=b [mallory]"},
		{"response", func(h *routev3.VirtualHost, _ *routev3.RouteAction) {
			h.ResponseHeadersToRemove = []string{"x-secret"}
			h.ResponseHeadersToAdd = []*corev3.HeaderValueOption{
				headerToAdd("x-appended", "by route", appendHeader), headerToAdd("via", "1.1 route", appendHeader),
				headerToAdd("x-overwritten", "by route", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
				headerToAdd("x-overwritten-if-there", "by route", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS),
				headerToAdd("x-added-if-absent", "by route", corev3.HeaderValueOption_ADD_IF_ABSENT),
				headerToAdd("x-time", "%START_TIME(%s.%6f)%", corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD),
				headerToAdd("set-cookie", "c=3", appendHeader),
			}
			h.GetRoutes()[0].ResponseHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-appended", "by one route", appendHeader)}
		}, "response /page?a=b [mallory]"},
	}
}

// TestAttemptsGoThroughTheRoute: what upstream sees of a further attempt is what it saw of the first, whatever the route
// does to requests, and the client gets what the route makes of responses, once.
func TestAttemptsGoThroughTheRoute(t *testing.T) {
	t.Parallel()
	changes := routeChanges()
	policy, upstreams := "clusters:\n", map[string]*upstream.Upstream{}
	for _, c := range changes {
		for _, protocol := range protocols {
			name := c.name + "-" + protocol
			policy += fmt.Sprintf("  %s: {%s}\n", name, retryRules("filter", "jitter: false"))
			u := upstream.New(t)
			u.ScriptAttempts(numberHeader, upstream.Any, upstream.Status(503).Body("sorry"), upstream.Status(500),
				upstream.Body("fine").Header("X-Appended", "by upstream").Header("Via", "1.1 upstream").Header("X-Overwritten", "by upstream").
					Header("X-Overwritten-If-There", "by upstream").Header("X-Secret", "1").Header("Set-Cookie", "a=1").Header("Set-Cookie", "b=2").Header("Server", "own"))
			upstreams[name] = u
		}
	}
	w := startWith(t, withHTTP2(options(t, policy, upstreams)), func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(_ string, m *hcmv3.HttpConnectionManager) {
			m.GetRouteConfig().ResponseHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-of-all", "1", appendHeader)}
			for _, host := range m.GetRouteConfig().GetVirtualHosts() {
				for _, c := range changes {
					if strings.HasPrefix(host.GetName(), c.name+"-") {
						c.change(host, host.GetRoutes()[0].GetRoute())
					}
				}
			}
		})
	})
	for _, c := range changes {
		for _, protocol := range protocols {
			for _, method := range []string{"GET", "HEAD", "PUT"} {
				t.Run(c.name+"/"+protocol+"/"+method, func(t *testing.T) {
					c.check(t, w.in(t), protocol, method, upstreams[c.name+"-"+protocol])
				})
			}
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

func (c routeChange) check(t *testing.T, w *weir, protocol, method string, u *upstream.Upstream) {
	r, id := w.numberedRequest(method, c.name+"-"+protocol, "/page?a=b")
	const body = "the body"
	if method == "PUT" {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	r.Header = r.Header.Clone()
	for name, value := range map[string]string{
		"X-Internal-User": "mallory", "X-Forwarded-For": "192.0.2.7", "Cookie": "a=1; b=2", "X-Request-Id": "5b28b7a7-aff2-4375-8bb2-5de32ae0dd28",
		"X-Weir-Attempt": "1", "X-Weir-Client": "192.0.2.8", "X-Envoy-Internal": "true", "User-Agent": "test",
	} {
		r.Header.Set(name, value)
	}
	a := w.do(r)
	answeredOnce(t, a)
	if a.status != 200 || method != "HEAD" && a.body != "fine" {
		t.Fatalf("got %+v, want the third response", a)
	}
	c.checkAdded(t, a)
	attempts := u.Attempts(numberHeader, id)
	if len(attempts) != 3 {
		t.Fatalf("got %d attempts, want 3", len(attempts))
	}
	for i, attempt := range attempts {
		saw := strings.TrimSuffix(attempt.Host, "-"+protocol) + " " + attempt.Path + " " + fmt.Sprint(attempt.Header.Values("x-internal-user"))
		if saw != c.saw {
			t.Errorf("attempt %d: got %s, want %s", i+1, saw, c.saw)
		}
		if method == "PUT" && attempt.BodySHA256 != sha256.Sum256([]byte(body)) {
			t.Errorf("attempt %d: got another body of %d bytes", i+1, attempt.BodySize)
		}
		first, later := attempts[0].Header.Clone(), attempt.Header.Clone()
		for _, h := range []http.Header{first, later} { // of the router: how long it waits
			delete(h, "X-Envoy-Expected-Rq-Timeout-Ms")
		}
		if !reflect.DeepEqual(first, later) {
			t.Errorf("attempt %d: got headers %v, want those of the first: %v", i+1, later, first)
		}
	}
}

// checkAdded checks what the route made of the response's headers: each is there once, as in a response that needed no
// further attempt.
func (c routeChange) checkAdded(t *testing.T, a answer) {
	t.Helper()
	want := map[string][]string{
		"x-of-all": {"1"}, "x-appended": {"by upstream"}, "via": {"1.1 upstream"}, "x-overwritten": {"by upstream"},
		"x-overwritten-if-there": {"by upstream"}, "x-added-if-absent": nil, "x-secret": {"1"}, "set-cookie": {"a=1", "b=2"},
	}
	if c.name == "response" {
		maps.Copy(want, map[string][]string{
			"x-appended": {"by one route", "by route", "by upstream"}, "via": {"1.1 route", "1.1 upstream"}, "x-overwritten": {"by route"},
			"x-overwritten-if-there": {"by route"}, "x-added-if-absent": {"by route"}, "x-secret": nil, "set-cookie": {"a=1", "b=2", "c=3"},
		})
		if n := len(a.header.Values("x-time")); n != 1 {
			t.Errorf("got %d headers x-time, want 1", n)
		}
	}
	for name, values := range want {
		var got []string
		for _, line := range a.header.Values(name) {
			got = append(got, strings.Split(line, ",")...)
		}
		slices.Sort(got) // those of the route come first in a local reply
		if !slices.Equal(got, values) {
			t.Errorf("got %s %q, want %q", name, got, values)
		}
	}
}
