package render

import (
	"fmt"
	"strings"
	"testing"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// TestUpstreamAddresses: what an address of --upstream becomes.
func TestUpstreamAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"10.0.0.1:80":                     "STATIC [10.0.0.1:80]",
		"a.example:80":                    "STRICT_DNS [a.example:80]",
		"10.0.0.1:80,10.0.0.2:81":         "STATIC [10.0.0.1:80 10.0.0.2:81]",
		"10.0.0.1:80,a.example:81":        "STRICT_DNS [10.0.0.1:80 a.example:81]",
		"h2://[::1]:80,[::2]:80":          "STATIC [::1:80 ::2:80]",
		"https://a.example":               "STRICT_DNS [a.example:443] sni a.example, verifies a.example by " + DefaultCA + ", host a.example",
		"https://a.example:8443":          "STRICT_DNS [a.example:8443] sni a.example, verifies a.example by " + DefaultCA + ", host a.example:8443",
		"https://10.0.0.1":                "STATIC [10.0.0.1:443] sni , verifies 10.0.0.1 by " + DefaultCA + ", host 10.0.0.1",
		"https://[::1]":                   "STATIC [::1:443] sni , verifies ::1 by " + DefaultCA + ", host [::1]",
		"https://a.example,a.example:444": "STRICT_DNS [a.example:443 a.example:444] sni a.example, verifies a.example by " + DefaultCA + ", host a.example",
		"https://a.example,b.example":     "the hosts a.example and b.example have different names: say by --tls-name up=NAME",
		"10.0.0.1:80,10.0.0.1:80":         "the host 10.0.0.1:80 is given twice",
		"a.example":                       "want HOST:PORT",
		"10.0.0.1:80,":                    "want HOST:PORT",
		"h2://https://a.example":          "want h2:// or https://, not both",
		"https://a.example/path":          "not a host",
		"http://a.example:80":             "want HOST:PORT",
	} {
		u, err := NewUpstream("up", address)
		if err == nil {
			err = checkUpstreams([]Upstream{u})
		}
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got error %v, want %s", address, err, want)
			}
			continue
		}
		if got := shown(t, u); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

func TestTLSOptions(t *testing.T) {
	named := Upstream{Name: "up", Host: "10.0.0.1", Port: 443, Others: []Host{{"10.0.0.2", 443}}, TLS: &TLS{Name: "a.example", CA: "ca.pem"}}
	if got, want := shown(t, named), "STATIC [10.0.0.1:443 10.0.0.2:443] sni a.example, verifies a.example by ca.pem, host a.example"; got != want {
		t.Errorf("--tls-name and --ca: got %s, want %s", got, want)
	}
	logical := Upstream{Name: "up", Host: "a.example", Port: 443, TLS: &TLS{}, LogicalDNS: true}
	if got := shown(t, logical); !strings.HasPrefix(got, "LOGICAL_DNS [a.example:443]") {
		t.Errorf("--logical-dns: got %s, want LOGICAL_DNS", got)
	}
	for _, u := range []Upstream{
		{Name: "up", Host: "10.0.0.1", Port: 443, LogicalDNS: true},
		{Name: "up", Host: "a.example", Port: 443, Others: []Host{{"b.example", 443}}, LogicalDNS: true},
		{Name: "up", Host: "a.example", Port: 443, TLS: &TLS{Name: "a:443"}},
	} {
		if err := u.check(); err == nil {
			t.Errorf("%+v: got no error, want one", u)
		}
	}
}

// shown is what a cluster and its route say, in short.
func shown(t *testing.T, u Upstream) string {
	t.Helper()
	b, err := Bootstrap(Options{Policy: []byte(`{"clusters": {}}`), Upstreams: []Upstream{u}})
	if err != nil {
		t.Fatalf("%+v: %v", u, err)
	}
	c := b.GetStaticResources().GetClusters()[0]
	var hosts []string
	for _, e := range c.GetLoadAssignment().GetEndpoints()[0].GetLbEndpoints() {
		a := e.GetEndpoint().GetAddress().GetSocketAddress()
		hosts = append(hosts, fmt.Sprintf("%s:%d", a.GetAddress(), a.GetPortValue()))
	}
	text := fmt.Sprintf("%s %v", c.GetType(), hosts)
	if socket := c.GetTransportSocket(); socket != nil {
		var tls tlsv3.UpstreamTlsContext
		if err := socket.GetTypedConfig().UnmarshalTo(&tls); err != nil {
			t.Fatal(err)
		}
		validation := tls.GetCommonTlsContext().GetValidationContext()
		text += fmt.Sprintf(" sni %s, verifies %s by %s", tls.GetSni(),
			validation.GetMatchTypedSubjectAltNames()[0].GetMatcher().GetExact(), validation.GetTrustedCa().GetFilename())
	}
	config := routes(Options{Upstreams: []Upstream{u}})
	all := config.GetVirtualHosts()[0].GetRoutes()
	if host := all[0].GetRoute().GetHostRewriteLiteral(); host != "" {
		text += ", host " + host
	}
	return text
}
