package render

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	"github.com/weir-mesh/weir/policy"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// connectTimeout bounds the time that Envoy waits for a connection to an upstream. It is short, so that the breaker
// counts a dead host soon; Envoy's default is 5 s.
const connectTimeout = time.Second

// httpProtocolOptions is the key of a cluster's HTTP options.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/upstreams/http/v3/http_protocol_options.proto
const httpProtocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

// Upstream is one upstream cluster.
type Upstream struct {
	Name   string // the cluster's name: the key under `clusters` in the policy
	Host   string // an IP address, or a name that Envoy keeps resolving (STRICT_DNS, see LogicalDNS)
	Port   uint32
	Others []Host // more hosts, of the same kind
	HTTP2  bool   // speak HTTP/2 without TLS (h2c), as gRPC upstreams do
	TLS    *TLS   // nil: no TLS
	// LogicalDNS connects to the address that the name has when a connection is needed, and keeps the old ones (LOGICAL_DNS), for
	// names that lead to another of many addresses each time. It takes one host.
	LogicalDNS bool
	// HealthPath is the path of active health checks, such as `/healthz`. If it is empty, they only connect. Upstreams
	// whose policy has no circuit_breaker are not checked.
	HealthPath string
}

// Host is where one of an upstream's servers is.
type Host struct {
	Host string
	Port uint32
}

// ParseUpstream reads NAME=ADDRESS as NewUpstream does.
func ParseUpstream(s string) (Upstream, error) {
	name, address, found := strings.Cut(s, "=")
	if !found {
		return Upstream{}, fmt.Errorf("upstream %q: want NAME=HOST:PORT or NAME=https://HOST", s)
	}
	u, err := NewUpstream(name, address)
	if err != nil {
		return Upstream{}, fmt.Errorf("upstream %q: %w", s, err)
	}
	return u, nil
}

// NewUpstream reads the address of the cluster with that name: HOST:PORT, h2://HOST:PORT or https://HOST[:PORT], and more hosts
// behind commas. An IPv6 address is in brackets.
func NewUpstream(name, address string) (Upstream, error) {
	u := Upstream{Name: name}
	hosts, http2 := strings.CutPrefix(address, "h2://")
	hosts, secure := strings.CutPrefix(hosts, "https://")
	u.HTTP2 = http2
	if http2 && secure {
		return u, errors.New("want h2:// or https://, not both: over TLS the two sides agree on HTTP/2 themselves")
	}
	if secure {
		u.TLS = &TLS{}
	}
	for i, text := range strings.Split(hosts, ",") {
		host, err := parseHost(text, secure)
		if err != nil {
			return Upstream{}, err
		}
		if i == 0 {
			u.Host, u.Port = host.Host, host.Port
		} else {
			u.Others = append(u.Others, host)
		}
	}
	return u, u.check()
}

// parseHost reads HOST:PORT, over TLS also HOST, whose port is 443.
func parseHost(text string, secure bool) (Host, error) {
	if secure && !strings.Contains(text[strings.LastIndexByte(text, ']')+1:], ":") {
		text += ":443"
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return Host{}, fmt.Errorf("want HOST:PORT, h2://HOST:PORT or https://HOST[:PORT], more hosts behind commas: %w", err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return Host{}, fmt.Errorf("port must be between 1 and 65535, got %q", portText)
	}
	return Host{host, uint32(port)}, nil
}

// hosts are all of the upstream's.
func (u Upstream) hosts() []Host { return append([]Host{{u.Host, u.Port}}, u.Others...) }

// CheckName returns why an upstream cannot have this name, or nil.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case strings.ContainsAny(name, "*=;,/ \t\r\n"):
		// `*` would make a wildcard domain, `;` and `=` would end the name inside a metric.
		return fmt.Errorf("the name %q must not contain any of `*` `=` `;` `,` `/` or white space", name)
	case unprintable(name):
		return fmt.Errorf("the name %q must be UTF-8 without control characters", name)
	}
	return nil
}

func (u Upstream) check() error {
	if err := CheckName(u.Name); err != nil {
		return err
	}
	for i, h := range u.hosts() {
		switch {
		case h.Host == "":
			return errors.New("the host is empty")
		case strings.ContainsAny(h.Host, "/ ") || unprintable(h.Host):
			return fmt.Errorf("%q is not a host; write HOST:PORT without a path, and before it nothing but h2:// or https://", h.Host)
		case h.Port < 1 || h.Port > 65535:
			return fmt.Errorf("port must be between 1 and 65535, got %d", h.Port)
		case slices.Contains(u.hosts()[:i], h):
			return fmt.Errorf("the host %s is given twice", net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port))))
		}
	}
	switch {
	case u.LogicalDNS && (len(u.Others) > 0 || isAddress(u.Host)):
		return errors.New("logical DNS takes one host, which is a name")
	case u.TLS != nil:
		if err := u.checkTLS(); err != nil {
			return err
		}
	}
	switch {
	case u.HealthPath != "" && !strings.HasPrefix(u.HealthPath, "/"):
		return fmt.Errorf("the health path %q must begin with /", u.HealthPath)
	case strings.ContainsFunc(u.HealthPath, func(r rune) bool { return r <= ' ' || r > '~' }):
		// The path becomes part of the request line unchanged.
		return fmt.Errorf("the health path %q must be visible ASCII characters; percent-encode others, a space as %%20", u.HealthPath)
	}
	return nil
}

// isAddress says that a host is an IP address and no name.
func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// unprintable says that a text is not UTF-8, or has a character that ends a line or controls a terminal.
func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

func checkUpstreams(upstreams []Upstream) error {
	if len(upstreams) == 0 {
		return errors.New("at least one upstream is needed")
	}
	seen := make(map[string]bool, len(upstreams))
	for _, u := range upstreams {
		if err := errors.Join(u.check(), u.checkHosts()); err != nil {
			return fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		// Names become virtual hosts' domains, which Envoy compares without regard to case.
		folded := strings.ToLower(u.Name)
		if seen[folded] {
			return fmt.Errorf("upstream %q is given twice", u.Name)
		}
		seen[folded] = true
	}
	return nil
}

// checkRedis returns a mistake in the bridge's cluster.
func checkRedis(o Options) error {
	if o.Redis == nil {
		return nil
	}
	if err := o.Redis.check(); err != nil {
		return fmt.Errorf("redis cluster %q: %w", o.Redis.Name, err)
	}
	if slices.ContainsFunc(o.Upstreams, func(u Upstream) bool { return strings.EqualFold(u.Name, o.Redis.Name) }) {
		return fmt.Errorf("redis cluster %q has the name of an upstream; choose another redis.cluster in the policy", o.Redis.Name)
	}
	return nil
}

// Cluster renders an upstream without a policy, such as the bridge to Redis, for a control plane.
func Cluster(u Upstream) (*clusterv3.Cluster, error) { return u.cluster(&policy.Policy{}) }

// cluster renders the upstream, with health checks if its policy has a circuit_breaker.
func (u Upstream) cluster(p *policy.Policy) (*clusterv3.Cluster, error) {
	discovery := clusterv3.Cluster_STRICT_DNS
	var endpoints []*endpointv3.LbEndpoint
	for _, h := range u.hosts() {
		endpoints = append(endpoints, &endpointv3.LbEndpoint{
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: address(h.Host, h.Port)}},
		})
	}
	switch {
	case u.LogicalDNS:
		discovery = clusterv3.Cluster_LOGICAL_DNS
	case !slices.ContainsFunc(u.hosts(), func(h Host) bool { return !isAddress(h.Host) }):
		discovery = clusterv3.Cluster_STATIC
	}
	c := &clusterv3.Cluster{
		Name:                 u.Name,
		ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: discovery},
		ConnectTimeout:       durationpb.New(connectTimeout),
		CircuitBreakers:      unlimitedRetries(),
		LoadAssignment: &endpointv3.ClusterLoadAssignment{
			ClusterName: u.Name,
			Endpoints:   []*endpointv3.LocalityLbEndpoints{{LbEndpoints: endpoints}},
		},
	}
	if u.TLS != nil {
		if err := u.secure(c); err != nil {
			return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
	}
	options := &httpv3.HttpProtocolOptions{}
	if p.CircuitBreaker != nil {
		u.watchHealth(c, p.CircuitBreaker)
		options.OutlierDetection = errorMatcher(&p.CircuitBreaker.ExpectedFailures)
	}
	switch {
	case u.TLS != nil: // by ALPN
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_AutoConfig{AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{}}
	case !u.HTTP2 && options.GetOutlierDetection() == nil:
		return c, nil // HTTP/1.1, which is Envoy's default
	default:
		options.UpstreamProtocolOptions = &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{ExplicitHttpConfig: u.protocol()}
	}
	typed, err := anypb.New(options)
	if err != nil {
		return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
	}
	c.TypedExtensionProtocolOptions = map[string]*anypb.Any{httpProtocolOptions: typed}
	return c, nil
}

func (u Upstream) protocol() *httpv3.HttpProtocolOptions_ExplicitHttpConfig {
	if u.HTTP2 {
		return &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
			ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
				Http2ProtocolOptions: &corev3.Http2ProtocolOptions{},
			},
		}
	}
	return &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
		ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
			HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
		},
	}
}
