package render

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

func address(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       host,
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

// socketAddress reads host:port of a socket that Envoy binds. The host is an IP address, since Envoy binds no names;
// with port 0 the kernel chooses the port.
func socketAddress(hostPort string) (*corev3.Address, error) {
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, fmt.Errorf("want HOST:PORT: %w", err)
	}
	if _, err := netip.ParseAddr(host); err != nil {
		return nil, fmt.Errorf("host must be an IP address such as 127.0.0.1 or 0.0.0.0, got %q", host)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("port must be between 0 and 65535, got %q", portText)
	}
	return address(host, uint32(port)), nil
}

// overlap says that one socket would get connections that are meant for the other: both have the same port, on the same
// address or with one of them on all addresses. Envoy binds with SO_REUSEPORT, so the kernel would not report it.
func overlap(a, b *corev3.Address) bool {
	x, y := a.GetSocketAddress(), b.GetSocketAddress()
	if x.GetPortValue() != y.GetPortValue() || x.GetPortValue() == 0 {
		return false
	}
	m, mErr := netip.ParseAddr(x.GetAddress())
	n, nErr := netip.ParseAddr(y.GetAddress())
	return mErr == nil && nErr == nil && (m.Unmap() == n.Unmap() || m.IsUnspecified() || n.IsUnspecified())
}

func hostPort(a *corev3.Address) string {
	s := a.GetSocketAddress()
	return net.JoinHostPort(s.GetAddress(), strconv.FormatUint(uint64(s.GetPortValue()), 10))
}
