package e2e

import (
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/weir-mesh/weir/e2e/engine"
	"github.com/weir-mesh/weir/envoy/render"
	"github.com/weir-mesh/weir/envoy/render/rendertest"
)

// startSecure starts a server with TLS, whose certificate is for example.com and 127.0.0.1. It answers with what it was asked.
func startSecure(t *testing.T, http2 bool) (s *httptest.Server, port uint32) {
	t.Helper()
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s sni %q", r.Proto, r.Host, r.TLS.ServerName)
	}))
	s.EnableHTTP2 = http2
	s.StartTLS()
	t.Cleanup(s.Close)
	address, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseUint(address.Port(), 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	return s, uint32(n)
}

// TestUpstreamsByTLS: what `weir render envoy` writes for https:// reaches a real server by TLS with its own name, and no server
// whose certificate has another name or another issuer.
func TestUpstreamsByTLS(t *testing.T) {
	t.Parallel()
	server, port := startSecure(t, false)
	_, port2 := startSecure(t, true)
	o := options(t, `{default: {circuit_breaker: {failure_threshold: 3}}}`, nil)
	dir := engine.Dir(t)
	ca, strangers := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "strangers.pem")
	for name, u := range map[string]struct {
		address, tls, ca string
	}{
		"named":   {fmt.Sprintf("https://127.0.0.1:%d", port), "example.com", ca},
		"address": {fmt.Sprintf("https://127.0.0.1:%d", port), "", ca},
		"http2":   {fmt.Sprintf("https://127.0.0.1:%d", port2), "example.com", ca},
		"dns":     {fmt.Sprintf("https://localhost:%d", port), "example.com", ca},
		"logical": {fmt.Sprintf("https://localhost:%d", port), "example.com", ca},
		"two":     {fmt.Sprintf("https://127.0.0.1:%d,127.0.0.1:%d", port, port2), "example.com", ca},
		"other":   {fmt.Sprintf("https://127.0.0.1:%d", port), "other.example", ca},
		"issuer":  {fmt.Sprintf("https://127.0.0.1:%d", port), "example.com", strangers},
		"plain":   {fmt.Sprintf("127.0.0.1:%d", port), "", ""},
	} {
		upstream, err := render.NewUpstream(name, u.address)
		if err != nil {
			t.Fatal(err)
		}
		if upstream.TLS != nil {
			upstream.TLS.Name, upstream.TLS.CA = u.tls, u.ca
		}
		upstream.LogicalDNS = name == "logical"
		o.Upstreams = append(o.Upstreams, upstream)
	}
	bootstrap, err := render.Bootstrap(o)
	if err != nil {
		t.Fatal(err)
	}
	issuer := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	e := engine.Start(t, engine.Config{Bootstrap: bootstrap, Dir: dir, Files: map[string][]byte{"ca.pem": issuer, "strangers.pem": rendertest.Authority(t)}})
	w := &weir{Envoy: e, t: t, url: e.URL()}
	host := fmt.Sprintf("example.com:%d", port)
	for name, want := range map[string]string{
		"named":   fmt.Sprintf(`HTTP/1.1 %s sni "example.com"`, host),
		"address": fmt.Sprintf(`HTTP/1.1 127.0.0.1:%d sni ""`, port),
		"http2":   fmt.Sprintf(`HTTP/2.0 example.com:%d sni "example.com"`, port2),
		"dns":     fmt.Sprintf(`HTTP/1.1 %s sni "example.com"`, host),
		"logical": fmt.Sprintf(`HTTP/1.1 %s sni "example.com"`, host),
	} {
		eventually(t, func() error { // names are resolved after the start
			if a := w.get(name, "/"); a.status != 200 || a.body != want {
				return fmt.Errorf("%s: got %+v, want 200 %q", name, a, want)
			}
			return nil
		})
	}
	seen := map[string]bool{}
	for range 8 {
		seen[w.get("two", "/").body] = true
	}
	if !seen[fmt.Sprintf(`HTTP/1.1 %s sni "example.com"`, host)] || !seen[fmt.Sprintf(`HTTP/2.0 %s sni "example.com"`, host)] {
		t.Errorf("8 requests to two hosts: got %v, want answers of both", seen)
	}
	for _, name := range []string{"other", "issuer"} {
		if a := w.get(name, "/"); a.status != 503 || a.reason() != "upstream_failure" {
			t.Errorf("%s: got %+v, want 503, since the certificate is not to be trusted", name, a)
		}
	}
	if a := w.get("plain", "/"); a.status == 200 {
		t.Errorf("a server with TLS asked without: got %+v, want no 200", a)
	}
}
