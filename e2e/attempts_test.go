package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
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

// everyManager changes the connection managers of the traffic and of the filter's attempts alike.
func everyManager(t *testing.T, b *bootstrapv3.Bootstrap, change func(listener string, m *hcmv3.HttpConnectionManager)) {
	t.Helper()
	for _, l := range b.GetStaticResources().GetListeners() {
		if name := l.GetName(); name != "traffic" && name != render.AttemptsName {
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
			h.ResponseHeadersToAdd = []*corev3.HeaderValueOption{headerToAdd("x-by-route", "once", appendHeader)}
			h.ResponseHeadersToRemove = []string{"x-secret"}
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
				upstream.Body("fine").Header("X-Secret", "1").Header("Set-Cookie", "a=1").Header("Set-Cookie", "b=2").Header("Server", "own"))
			upstreams[name] = u
		}
	}
	w := startWith(t, withHTTP2(options(t, policy, upstreams)), func(b *bootstrapv3.Bootstrap) {
		everyManager(t, b, func(listener string, m *hcmv3.HttpConnectionManager) {
			for _, host := range m.GetRouteConfig().GetVirtualHosts() {
				for _, c := range changes {
					if strings.HasPrefix(host.GetName(), c.name+"-") {
						c.change(host, host.GetRoutes()[0].GetRoute())
					}
					// Envoy adds to Weir's reply what the traffic's route adds to responses.
					if listener == render.AttemptsName {
						host.ResponseHeadersToAdd = nil
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
	if cookies := a.header.Values("set-cookie"); !slices.Equal(cookies, []string{"a=1", "b=2"}) {
		t.Errorf("got cookies %q, want upstream's", cookies)
	}
	secret, byRoute := a.header.Values("x-secret"), a.header.Values("x-by-route")
	// The reply to a HEAD takes the place of the first response, and Envoy adds nothing to it.
	if wanted := c.name == "response"; method != "HEAD" && (wanted != (len(secret) == 0) || wanted != slices.Equal(byRoute, []string{"once"})) {
		t.Errorf("got x-secret %q and x-by-route %q, want what the route does, once", secret, byRoute)
	}
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
