package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"testing"
	"time"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/bootstrap/internal_listener/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_to_metadata/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/jwt_authn/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/internal_upstream/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/raw_buffer/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/e2e/upstream"
)

// TestCacheUnseenIdentity: who asks may be known to Envoy, and to the upstream by headers that a route adds behind Weir,
// while the request headers that Weir sees say nothing of it (case E12). One client's answer never reaches another.
func TestCacheUnseenIdentity(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	who := func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "of "+r.Header.Get("x-who")) }
	u.When(healthy, upstream.Func(who))
	u.When(asked("/public"), upstream.Func(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("cache-control", "public")
		who(w, r)
	}))
	signer, pki := newSigner(t), newPKI(t)
	w := startWith(t, options(t, `
clusters:
  up: {fallback: {default_data: {body: "not in the cache"}}}
`, map[string]*upstream.Upstream{"up": u}), func(b *bootstrapv3.Bootstrap) {
		listenAs(t, b, "jwt", "%DYNAMIC_METADATA(envoy.filters.http.jwt_authn:payload:sub)%", fmt.Sprintf(`{"name": "jwt", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
			"providers": {"p": {"forward": false, "payload_in_metadata": "payload", "local_jwks": {"inline_string": %q}}},
			"rules": [{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [{"provider_name": "p"}, {"allow_missing": {}}]}}}]}}`, signer.jwks()))
		listenAs(t, b, "lua", "%DYNAMIC_METADATA(own:user)%", `{"name": "lua", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua", "default_source_code": {"inline_string":
			"function envoy_on_request(h)\n local u = h:headers():get('x-user')\n if u then h:streamInfo():dynamicMetadata():set('own', 'user', u) h:headers():remove('x-user') end\nend"}}}`)
		listenAs(t, b, "header_to_metadata", "%DYNAMIC_METADATA(envoy.lb:user)%", `{"name": "header_to_metadata", "typed_config": {
			"@type": "type.googleapis.com/envoy.extensions.filters.http.header_to_metadata.v3.Config",
			"request_rules": [{"header": "x-user", "on_header_present": {"metadata_namespace": "envoy.lb", "key": "user"}, "remove": true}]}}`)
		listenAs(t, b, "certificate", "%DOWNSTREAM_PEER_SUBJECT%").FilterChains[0].TransportSocket = pki.acceptor(t)
		addInternalListener(t, b, pki)
	})
	plain := func(listener string, headers func(user string) []string) func(user, path string, more ...string) answer {
		return func(user, path string, more ...string) answer {
			w := &weir{Envoy: w.Envoy, t: t, url: "http://" + w.Addr(listener)}
			if user != "" {
				more = append(more, headers(user)...)
			}
			return w.send("GET", "up", path, more...)
		}
	}
	overTLS := func(listener string) func(user, path string, more ...string) answer {
		return func(user, path string, more ...string) answer {
			w := &weir{Envoy: w.Envoy, t: t, url: "https://" + w.Addr(listener)}
			r := w.request(t.Context(), http.MethodGet, "up", path)
			setAll(r, more)
			// With `connection: close` the internal listener's close cuts the answer off.
			transport := &http.Transport{TLSClientConfig: pki.client(t, user)}
			defer transport.CloseIdleConnections()
			return w.doBy(transport, r)
		}
	}
	byHeader := func(user string) []string { return []string{"x-user", user} }
	for _, tc := range []struct {
		name string
		ask  func(user, path string, more ...string) answer // user "": nobody in particular
		// Answers to nobody in particular are not kept either: who asks can't be seen at all.
		blind bool
	}{
		{"jwt", plain("jwt", func(user string) []string { return []string{"authorization", "Bearer " + signer.token(t, user)} }), false},
		{"lua", plain("lua", byHeader), false},
		{"header_to_metadata", plain("header_to_metadata", byHeader), false},
		{"certificate", overTLS("certificate"), false},
		{"internal listener", overTLS("outer"), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			// The answer to one is kept for nobody, not even for the same client: its next answer may come by another route.
			if a := fill(t, tc.ask("alice", "/1")); !tc.blind && a.body == "of " {
				t.Errorf("upstream does not see who asks: got %+v", a)
			}
			for _, user := range []string{"bob", "alice", ""} {
				miss(t, "alice's answer, to "+user, tc.ask(user, "/1", failHeader, "500"))
			}
			// What was kept for nobody in particular is not for one whom upstream knows.
			fill(t, tc.ask("", "/2"))
			miss(t, "nobody's answer, to alice", tc.ask("alice", "/2", failHeader, "500"))
			if a := tc.ask("", "/2", failHeader, "500"); tc.blind {
				miss(t, "nobody's answer, to nobody", a)
			} else {
				hit(t, "nobody's answer, to nobody", a, "cache", "of ")
			}
			// One client's 404 does not remove what others get.
			if !tc.blind {
				u.When(upstream.Path("/2"), upstream.Status(404))
				tc.ask("alice", "/2")
				u.When(upstream.Path("/2"), upstream.Status(500))
				hit(t, "after alice's 404", tc.ask("", "/2"), "cache", "of ")
				u.When(upstream.Path("/2"), upstream.Func(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get(failHeader) != "" {
						w.WriteHeader(500)
						return
					}
					who(w, r)
				}))
			}
			if a := tc.ask("bob", "/public", failHeader, "500"); a.source() == "default" {
				fill(t, tc.ask("alice", "/public"))
				a = tc.ask("bob", "/public", failHeader, "500")
				if a.source() != "cache" {
					t.Errorf("a public answer: got %+v, want it from the cache", a)
				}
			}
		})
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// TestCacheRoutes: routes of one cluster share no kept answer, nor do listeners of different directions.
func TestCacheRoutes(t *testing.T) {
	t.Parallel()
	u := upstream.New(t)
	u.Set(upstream.Status(500))
	u.When(healthy, upstream.Func(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "by "+r.Header.Get("x-who")) }))
	routes := func(listener *listenerv3.Listener, who string, named bool) {
		changeManagerOf(t, listener, func(m *hcmv3.HttpConnectionManager) {
			for _, host := range m.GetRouteConfig().GetVirtualHosts() {
				rest := host.GetRoutes()[0]
				matched := proto.CloneOf(rest)
				matched.Match.Headers = []*routev3.HeaderMatcher{{Name: "user-agent", HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}}
				rest.RequestHeadersToAdd = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-who", Value: who}}}
				matched.RequestHeadersToAdd = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-who", Value: who + " matched"}}}
				matched.Name = "matched"
				if !named {
					matched.Name, rest.Name = "", ""
				}
				host.Routes = []*routev3.Route{matched, rest}
			}
		})
	}
	w := startWith(t, options(t, `
clusters:
  plain: {fallback: {default_data: {body: "not in the cache"}}}
  shared: {fallback: {shared: true, default_data: {body: "not in the cache"}}}
`, map[string]*upstream.Upstream{"plain": u, "shared": u}), func(b *bootstrapv3.Bootstrap) {
		unnamed, inbound := listenAs(t, b, "unnamed", ""), listenAs(t, b, "inbound", "")
		inbound.TrafficDirection = corev3.TrafficDirection_INBOUND
		routes(b.GetStaticResources().GetListeners()[0], "first", true)
		routes(inbound, "inbound", true)
		routes(unnamed, "unnamed", false)
	})
	first := w.url
	ask := func(url, cluster, agent string, more ...string) answer {
		w := &weir{Envoy: w.Envoy, t: t, url: url}
		return w.send("GET", cluster, "/", append(more, "user-agent", agent)...) // "" sends none
	}
	for _, cluster := range []string{"plain", "shared"} {
		inbound := "http://" + w.Addr("inbound")
		fill(t, ask(first, cluster, "x"))
		miss(t, cluster+": another route", ask(first, cluster, "", failHeader, "500"))
		hit(t, cluster+": the same route", ask(first, cluster, "x", failHeader, "500"), "cache", "by first matched")
		miss(t, cluster+": another direction", ask(inbound, cluster, "x", failHeader, "500"))
		time.Sleep(1100 * time.Millisecond) // a worker keeps an answer of one key once a second, whatever the route
		fill(t, ask(first, cluster, ""))
		hit(t, cluster+": each route its own", ask(first, cluster, "", failHeader, "500"), "cache", "by first")
		hit(t, cluster+": each route its own", ask(first, cluster, "x", failHeader, "500"), "cache", "by first matched")
		// Envoy says nothing by which a filter could tell apart two routes without a name, so only `shared: true` keeps.
		unnamed := "http://" + w.Addr("unnamed")
		time.Sleep(1100 * time.Millisecond)
		fill(t, ask(unnamed, cluster, "x"))
		if byOther := ask(unnamed, cluster, "", failHeader, "500"); cluster == "plain" {
			miss(t, "unnamed routes", byOther)
			miss(t, "an unnamed route", ask(unnamed, cluster, "x", failHeader, "500"))
		} else {
			hit(t, "unnamed routes, shared", byOther, "cache", "by unnamed matched")
		}
	}
	w.WaitMetric("weir_faults_total", engine.Exactly(0))
}

// listenAs adds a listener like the first one, with filters before Weir, whose routes tell upstream in x-who who asks.
func listenAs(t *testing.T, b *bootstrapv3.Bootstrap, name, who string, filters ...string) *listenerv3.Listener {
	t.Helper()
	l := proto.CloneOf(b.GetStaticResources().GetListeners()[0])
	l.Name = name
	changeManagerOf(t, l, func(m *hcmv3.HttpConnectionManager) {
		for _, text := range filters {
			f := new(hcmv3.HttpFilter)
			if err := protojson.Unmarshal([]byte(text), f); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			m.HttpFilters = append([]*hcmv3.HttpFilter{f}, m.GetHttpFilters()...)
		}
		if who == "" {
			return
		}
		for _, host := range m.GetRouteConfig().GetVirtualHosts() {
			host.RequestHeadersToAdd = []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-who", Value: who}}}
		}
	})
	b.StaticResources.Listeners = append(b.GetStaticResources().GetListeners(), l)
	return l
}

// addInternalListener adds a listener "outer", which takes TLS off and passes the bytes on to an internal listener, which
// has Weir.
func addInternalListener(t *testing.T, b *bootstrapv3.Bootstrap, pki *pki) {
	t.Helper()
	inner := listenAs(t, b, "inner", "")
	outer := proto.CloneOf(inner)
	inner.Address, inner.ListenerSpecifier = nil, &listenerv3.Listener_InternalListener{InternalListener: &listenerv3.Listener_InternalListenerConfig{}}
	outer.Name = "outer"
	outer.FilterChains[0].TransportSocket = pki.acceptor(t)
	unmarshal(t, `{"name": "tcp", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
		"stat_prefix": "outer", "cluster": "inner"}}`, outer.FilterChains[0].Filters[0])
	b.StaticResources.Listeners = append(b.GetStaticResources().GetListeners(), outer)
	cluster, extension := new(clusterv3.Cluster), new(corev3.TypedExtensionConfig)
	unmarshal(t, `{"name": "inner", "connect_timeout": "5s", "load_assignment": {"cluster_name": "inner", "endpoints": [{"lb_endpoints": [
		{"endpoint": {"address": {"envoy_internal_address": {"server_listener_name": "inner", "endpoint_id": "1"}}}}]}]},
		"transport_socket": {"name": "internal_upstream", "typed_config": {"@type":
		"type.googleapis.com/envoy.extensions.transport_sockets.internal_upstream.v3.InternalUpstreamTransport",
		"transport_socket": {"name": "raw_buffer", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"}}}}}`, cluster)
	b.StaticResources.Clusters = append(b.GetStaticResources().GetClusters(), cluster)
	unmarshal(t, `{"name": "internal_listener", "typed_config": {"@type":
		"type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener"}}`, extension)
	b.BootstrapExtensions = append(b.GetBootstrapExtensions(), extension)
}

func unmarshal(t *testing.T, text string, m proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
}

// changeManagerOf lets a test change the HTTP connection manager of a listener.
func changeManagerOf(t *testing.T, l *listenerv3.Listener, change func(*hcmv3.HttpConnectionManager)) {
	t.Helper()
	filter := l.GetFilterChains()[0].GetFilters()[0]
	m := new(hcmv3.HttpConnectionManager)
	if err := filter.GetTypedConfig().UnmarshalTo(m); err != nil {
		t.Fatal(err)
	}
	change(m)
	config, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	filter.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: config}
}

// signer signs tokens (RFC 7519, RS256).
type signer struct{ key *rsa.PrivateKey }

func newSigner(t *testing.T) *signer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key}
}

func base64url(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (s *signer) jwks() string {
	e := big.NewInt(int64(s.key.E)).Bytes()
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","alg":"RS256","use":"sig","kid":"k","n":"%s","e":"%s"}]}`, base64url(s.key.N.Bytes()), base64url(e))
}

func (s *signer) token(t *testing.T, sub string) string {
	t.Helper()
	claims, err := json.Marshal(map[string]any{"sub": sub, "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	text := base64url([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + base64url(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64url(signature)
}

// pki makes certificates.
type pki struct {
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{}
	der, key := p.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "ca"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p.ca, p.caKey = ca, key
	return p
}

// issue signs a certificate by the CA, or by itself where there is none yet.
func (p *pki) issue(t *testing.T, c *x509.Certificate) (der []byte, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, by := p.ca, p.caKey
	if parent == nil {
		parent, by = c, key
	}
	if der, err = x509.CreateCertificate(rand.Reader, c, parent, key.Public(), by); err != nil {
		t.Fatal(err)
	}
	return der, key
}

// client is the TLS configuration of a client with a certificate in that name, or without one for "".
func (p *pki) client(t *testing.T, name string) *tls.Config {
	t.Helper()
	config := &tls.Config{InsecureSkipVerify: true} // the server is not under test
	if name != "" {
		der, key := p.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	}
	return config
}

// acceptor is a listener's TLS, which asks for a client certificate and requires none.
func (p *pki) acceptor(t *testing.T) *corev3.TransportSocket {
	t.Helper()
	der, key := p.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"up"}})
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	socket := new(corev3.TransportSocket)
	unmarshal(t, fmt.Sprintf(`{"name": "tls", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
		"common_tls_context": {"tls_certificates": [{"certificate_chain": {"inline_string": %q}, "private_key": {"inline_string": %q}}],
		"validation_context": {"trusted_ca": {"inline_string": %q}}}}}`,
		text("CERTIFICATE", der), text("EC PRIVATE KEY", private), text("CERTIFICATE", p.ca.Raw)), socket)
	return socket
}
