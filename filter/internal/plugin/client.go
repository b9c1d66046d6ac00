package plugin

import (
	"strings"

	"github.com/weir-mesh/weir/filter/internal/host"
	"github.com/weir-mesh/weir/filter/internal/request"
	"github.com/weir-mesh/weir/policy/ascii"
	"github.com/weir-mesh/weir/policy/header"
	"github.com/weir-mesh/weir/sharedstate"
)

// fingerprint hashes a request for a cluster's limit by key.
func (s *stream) fingerprint(c *request.Cluster, headers header.Headers) sharedstate.Fingerprint {
	ip := ""
	if c.Key().ByClientIP() {
		ip = clientIP()
	}
	return c.Key().Fingerprint(headers, ip)
}

// clientIP is the client's address, "" if Envoy has none.
func clientIP() string {
	address, err := host.Text(host.SourceAddress)
	if err != nil {
		return ""
	}
	return withoutPort(address)
}

// withoutPort cuts the port off 192.0.2.1:80 and [2001:db8::1]:80.
func withoutPort(address string) string {
	if end := strings.LastIndexByte(address, ':'); end >= 0 {
		address = address[:end]
	}
	return ascii.Trim(address, "[]")
}
