package render

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// DefaultCA is the file with the roots that the system trusts, where Debian, Alpine and Envoy's own images have it.
// Red Hat's is /etc/pki/tls/certs/ca-bundle.crt.
const DefaultCA = "/etc/ssl/certs/ca-certificates.crt"

// TLS is how an upstream is reached by https. Its certificate is verified: Envoy's default is to take any.
type TLS struct {
	// Name is the name that the certificate must have. It is sent as SNI, and as the host of requests. Empty: the upstream's host,
	// where all of its hosts have one name.
	Name string
	// CA is the file with the trusted roots, as Envoy opens it. Empty: DefaultCA.
	CA string
}

// tlsName is the name, or the address, that the certificate must have.
func (u Upstream) tlsName() string {
	if u.TLS.Name != "" {
		return u.TLS.Name
	}
	return u.Host
}

func (u Upstream) checkTLS() error {
	if name := u.TLS.Name; strings.ContainsAny(name, "/:* ") || unprintable(name) {
		return fmt.Errorf("the name of the certificate must be a host name without a port, got %q", name)
	}
	return nil
}

// checkHosts finds hosts whose certificates have no name in common. It is apart from check: the name is said after the hosts.
func (u Upstream) checkHosts() error {
	if u.TLS == nil {
		return nil
	}
	for _, h := range u.Others {
		if u.TLS.Name == "" && h.Host != u.Host {
			return fmt.Errorf("the hosts %s and %s have different names: say by --tls-name %s=NAME which name their certificates have", u.Host, h.Host, u.Name)
		}
	}
	return nil
}

// secure has the cluster speak TLS, and verify the upstream's certificate.
func (u Upstream) secure(c *clusterv3.Cluster) error {
	name, ca := u.tlsName(), u.TLS.CA
	if ca == "" {
		ca = DefaultCA
	}
	san := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
	}
	socket := &tlsv3.UpstreamTlsContext{
		Sni: name,
		CommonTlsContext: &tlsv3.CommonTlsContext{
			ValidationContextType: &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: &tlsv3.CertificateValidationContext{
				TrustedCa:                 &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: ca}},
				MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san},
			}},
		},
	}
	if isAddress(name) { // SNI has names only (RFC 6066)
		socket.Sni, san.SanType = "", tlsv3.SubjectAltNameMatcher_IP_ADDRESS
	} else if c.GetType() != clusterv3.Cluster_STATIC {
		// With Envoy's default, AUTO, a name that has an IPv6 address can't be reached from a machine that has none.
		c.DnsLookupFamily = clusterv3.Cluster_V4_PREFERRED
	}
	typed, err := anypb.New(socket)
	if err != nil {
		return err
	}
	c.TransportSocket = &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed},
	}
	return nil
}

// rewriteHost has a route to the upstream send its name as the host of requests: what a client calls the cluster is no name that a
// public server knows.
func rewriteHost(action *routev3.RouteAction, u *Upstream) {
	if u == nil || u.TLS == nil {
		return
	}
	host := u.tlsName()
	if u.Port != 443 {
		host = net.JoinHostPort(host, strconv.Itoa(int(u.Port)))
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	action.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: host}
}

// upstream finds one by name, nil where there is none.
func (o Options) upstream(name string) *Upstream {
	for i := range o.Upstreams {
		if o.Upstreams[i].Name == name {
			return &o.Upstreams[i]
		}
	}
	return nil
}
