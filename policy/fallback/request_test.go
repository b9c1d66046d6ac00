package fallback

import (
	"strings"
	"testing"
	"time"
)

// pairs are a message's headers in a test.
type pairs [][2]string

func (p pairs) All(yield func(name, value string) bool) {
	for _, h := range p {
		if !yield(h[0], h[1]) {
			return
		}
	}
}

// get is a GET as Envoy hands it over, with more headers.
func get(more ...string) pairs { return method("GET", more...) }

func method(m string, more ...string) pairs {
	p := pairs{
		{":authority", "prices.example"},
		{":path", "/v1/prices?region=eu"},
		{":method", m},
		{":scheme", "http"},
		{"user-agent", "curl/8.5.0"},
		{"accept", "*/*"},
		{"x-forwarded-for", "192.0.2.1"},
		{"x-forwarded-proto", "http"},
		{"x-envoy-internal", "true"},
		{"x-envoy-expected-rq-timeout-ms", "15000"},
		{"x-request-id", "7d1c6f8e-8c1e-4c0e-9a53-0a4b8e1d5b52"},
	}
	for i := 0; i < len(more); i += 2 {
		p = append(p, [2]string{more[i], more[i+1]})
	}
	return p
}

func rules(keyHeaders ...string) *CacheRules {
	return NewCacheRules(300*time.Second, time.Hour, keyHeaders, false)
}

func TestRequests(t *testing.T) {
	const both, lookup, store, neither, public = "lookup, store", "lookup", "store", "", "lookup, store, public"
	for _, tc := range []struct {
		name    string
		headers pairs
		keyed   []string
		want    string
	}{
		{"GET", get(), nil, both},
		{"HEAD", method("HEAD"), nil, both},
		{"POST", method("POST"), nil, neither},
		{"OPTIONS", method("OPTIONS"), nil, neither},
		{"CONNECT", method("CONNECT"), nil, neither},
		{"get, which is another method", method("get"), nil, neither},
		{"no method", pairs{{":path", "/"}}, nil, neither},

		{"a browser", get("sec-fetch-user", "?1", "sec-ch-ua", `"Chromium";v="120"`, "upgrade-insecure-requests", "1", "dnt", "1",
			"accept-language", "de", "referer", "http://prices.example/", "origin", "http://a.example", "priority", "u=0, i"), nil, both},
		{"a mesh", get("x-b3-traceid", "1", "x-b3-sampled", "1", "traceparent", "00-1-2-01", "x-envoy-attempt-count", "1",
			"x-envoy-decorator-operation", "prices", "via", "1.1 a"), nil, both},
		{"who calls, in a mesh", get("x-envoy-peer-metadata-id", "x"), nil, public},
		{"a name of one's own in Envoy's family", get("x-envoy-token", "a"), nil, public},
		{"in that of client hints", get("sec-ch-token", "a"), nil, public},
		{"in that of fetch metadata", get("sec-fetch-as", "a"), nil, public},
		{"in that of conditions", get("if-user", "a"), nil, public},
		{"in that of Datadog", get("x-datadog-user", "a"), nil, public},
		{"in that of B3", get("x-b3-user", "a"), nil, public},
		{"a balancer", get("x-real-ip", "192.0.2.1", "x-forwarded-port", "443", "x-forwarded-host", "a", "x-forwarded-scheme", "https",
			"x-scheme", "https", "x-original-forwarded-for", "192.0.2.1", "x-amzn-trace-id", "Root=1", "x-forwarded-server", "b"), nil, both},

		{"authorization", get("authorization", "Bearer a"), nil, neither},
		{"authorization, empty", get("authorization", ""), nil, neither},
		{"authorization in the key", get("authorization", "Bearer a"), []string{"authorization"}, both},
		{"authorization in the key, and a cookie", get("authorization", "Bearer a", "cookie", "a=b"), []string{"authorization"}, neither},
		{"cookie", get("cookie", "theme=dark"), nil, neither},
		{"cookie in the key", get("cookie", "theme=dark"), []string{"cookie"}, both},
		{"cookie before the method", append(pairs{{"cookie", "a=b"}}, get()...), nil, neither},
		{"proxy-authorization", get("proxy-authorization", "Basic a"), nil, neither},
		{"x-api-key", get("x-api-key", "a"), nil, public},
		{"api-key", get("api-key", "a"), nil, public},
		{"apikey", get("apikey", "a"), nil, public},
		{"ocp-apim-subscription-key", get("ocp-apim-subscription-key", "a"), nil, public},
		{"x-auth-token", get("x-auth-token", "a"), nil, public},
		{"x-access-token", get("x-access-token", "a"), nil, public},
		{"x-acme-accesstoken", get("x-acme-accesstoken", "a"), nil, public},
		{"x_user_id", get("x_user_id", "a"), nil, public},
		{"private_token", get("private_token", "a"), nil, public},
		{"x-amz-security-token", get("x-amz-security-token", "a"), nil, public},
		{"x-forwarded-client-cert", get("x-forwarded-client-cert", "Hash=1"), nil, public},
		{"x-forwarded-client-cert in the key", get("x-forwarded-client-cert", "Hash=1"), []string{"x-forwarded-client-cert"}, both},
		{"x-forwarded-tls-client-cert", get("x-forwarded-tls-client-cert", "a"), nil, public},
		{"client-cert", get("client-cert", ":a:"), nil, public},
		{"x-goog-iap-jwt-assertion", get("x-goog-iap-jwt-assertion", "a"), nil, public},
		{"x-goog-authenticated-user-email", get("x-goog-authenticated-user-email", "a"), nil, public},
		{"x-amzn-oidc-data", get("x-amzn-oidc-data", "a"), nil, public},
		{"x-ms-client-principal", get("x-ms-client-principal", "a"), nil, public},
		{"x-forwarded-user", get("x-forwarded-user", "a"), nil, public},
		{"x-forwarded-email", get("x-forwarded-email", "a"), nil, public},
		{"x-forwarded-groups", get("x-forwarded-groups", "a"), nil, public},
		{"remote-user", get("remote-user", "a"), nil, public},
		{"x-userid", get("x-userid", "a"), nil, public},
		{"x-consumer-username", get("x-consumer-username", "a"), nil, public},
		{"x-tenant-id", get("x-tenant-id", "a"), nil, public},
		{"x-session-id", get("x-session-id", "a"), nil, public},
		{"x-csrf-token", get("x-csrf-token", "a"), nil, public},
		{"impersonate-user", get("impersonate-user", "a"), nil, public},
		{"signature", get("signature", "sig1=:a:"), nil, public},
		{"x-tenantid", get("x-tenantid", "a"), nil, public},
		{"x-sub", get("x-sub", "a"), nil, public},
		{"baggage", get("baggage", "user=a"), nil, public},
		{"x-envoy-downstream-service-cluster", get("x-envoy-downstream-service-cluster", "a"), nil, public},
		{"in the key, spelled otherwise", get("x_tenant_id", "a"), []string{"x-tenant-id"}, both},
		{"in the key with _", get("x-tenant-id", "a"), []string{"x_tenant_id"}, both},
		{"x_forwarded_host, which is in the key", get("x_forwarded_host", "a"), nil, both},
		{"proxy_authorization", get("proxy_authorization", "a"), nil, neither},
		{"x_original_url", get("x_original_url", "a"), nil, neither},

		{"forwarded", get("forwarded", "host=evil.example"), nil, neither},
		{"x-host", get("x-host", "evil.example"), nil, neither},
		{"x-original-host", get("x-original-host", "evil.example"), nil, neither},
		{"x-original-url", get("x-original-url", "/admin"), nil, neither},
		{"x-original-url in the key", get("x-original-url", "/admin"), []string{"x-original-url"}, both},
		{"x-rewrite-url", get("x-rewrite-url", "/admin"), nil, neither},
		{"x-http-method-override", get("x-http-method-override", "POST"), nil, neither},
		{"x-http-method", get("x-http-method", "POST"), nil, neither},
		{"x-method-override", get("x-method-override", "POST"), nil, neither},
		{"x-http-destinationurl", get("x-http-destinationurl", "http://evil.example"), nil, neither},

		{"upgrade", get("upgrade", "websocket", "connection", "upgrade"), nil, neither},
		{"upgrade, even in the key", get("upgrade", "websocket"), []string{"upgrade"}, neither},
		{"gRPC", get("content-type", "application/grpc"), nil, neither},
		{"gRPC in another case", get("content-type", "Application/gRPC+proto"), nil, neither},
		{"gRPC-web", get("content-type", "application/grpc-web-text"), nil, neither},
		{"another content-type", get("content-type", "application/json"), nil, both},

		{"no-store", get("cache-control", "no-store"), nil, lookup},
		{"No-Store, among others", get("cache-control", "max-age=0 ,No-Store"), nil, lookup},
		{"no-store in a second header", get("cache-control", "max-age=0", "cache-control", "no-store"), nil, lookup},
		{"no-store, and then another", get("cache-control", "no-store", "cache-control", "max-age=0"), nil, lookup},
		{"malformed cache-control", get("cache-control", "no-cache; no-store"), nil, lookup},
		{"no-cache is a preference", get("cache-control", "no-cache", "pragma", "no-cache"), nil, both},
		{"max-age=0 is a preference", get("cache-control", "max-age=0"), nil, both},
		{"range", get("range", "bytes=0-9"), nil, both},
		{"if-match", get("if-match", `"a"`), nil, store},
		{"if-unmodified-since", get("if-unmodified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), nil, store},
		{"if-modified-since", get("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), nil, both},
	} {
		q := rules(tc.keyed...).Request(tc.headers, true)
		var got []string
		if q.Lookup {
			got = append(got, "lookup")
		}
		if q.Store {
			got = append(got, "store")
		}
		if q.PublicOnly {
			got = append(got, "public")
		}
		if got := strings.Join(got, ", "); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	if q := rules().Request(get(), false); q.Lookup || q.Store {
		t.Errorf("a GET with a body: got %+v, want neither Lookup nor Store", q)
	}
	if !rules().Request(method("HEAD"), true).Head || rules().Request(get(), true).Head {
		t.Error("got the wrong Head, want true for HEAD and false for GET")
	}
}

// TestRequestsAreIndependent: nothing of one request is left for the next one.
func TestRequestsAreIndependent(t *testing.T) {
	r := rules()
	r.Request(get("if-none-match", `"a"`, "accept-encoding", "gzip", "cache-control", "no-store", "if-match", "*"), true)
	q := r.Request(get(), true)
	if want := (Request{Lookup: true, Store: true, Codings: Identity}); q != want {
		t.Errorf("got %+v, want %+v", q, want)
	}
	if q := r.Request(get("if-none-match", `"a"`, "cookie", "a=b"), true); q != (Request{Obstacle: Credential}) {
		t.Errorf("a refused request: got %+v, want nothing but the obstacle", q)
	}
}

func TestIfNoneMatchIsCopiedAndBounded(t *testing.T) {
	value := []byte(`"a"`)
	r := rules()
	q := r.Request(aliased{get(), "if-none-match", value}, true)
	value[1] = 'x'
	if q.IfNoneMatch != `"a"` {
		t.Errorf("got %s, want a copy", q.IfNoneMatch)
	}
	if q := r.Request(get("if-none-match", `"a"`, "if-none-match", `W/"b"`), true); q.IfNoneMatch != `"a", W/"b"` {
		t.Errorf("two headers: got %s, want both", q.IfNoneMatch)
	}
	long := `"` + strings.Repeat("a", maxIfNoneMatch) + `"`
	if q := r.Request(get("if-none-match", long), true); q.IfNoneMatch != "" || !q.Lookup {
		t.Errorf("a long one: got %d bytes, lookup %v, want 0, true", len(q.IfNoneMatch), q.Lookup)
	}
}

func TestAnOrdinaryRequestAllocatesNothing(t *testing.T) {
	r := rules("authorization")
	var headers Headers = get("accept-encoding", "gzip, br;q=0.9, *;q=0", "cache-control", "max-age=0, no-cache", "x-custom-thing", "a", "authorization", "b")
	buf := make([]byte, 0, 1024)
	r.Request(headers, true)
	buf = r.AppendKey(buf)
	if n := testing.AllocsPerRun(100, func() {
		if q := r.Request(headers, true); !q.Lookup {
			t.Fatal("got no Lookup, want it")
		}
		buf = r.AppendKey(buf[:0])
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	r := rules()
	var headers Headers = get("accept-encoding", "gzip, deflate, br, zstd")
	buf := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if q := r.Request(headers, true); q.Lookup {
			buf = r.AppendKey(buf[:0])
		}
	}
}
