package key

import "net/netip"

// address appends the client's address, or the network that it belongs to: with an ipv6_prefix of 64 all of
// 2001:db8:1:2::/64, of which one client usually has every address.
func (r *reader) address(text string) {
	if text == "" {
		return
	}
	r.state = found
	if r.part.IPv4Prefix == 0 {
		r.b = append(r.b, text...)
		return
	}
	ip, err := netip.ParseAddr(text)
	if err != nil { // a Unix socket, or one of Envoy's internal listeners
		r.b = append(r.b, text...)
		return
	}
	// ::ffff:192.0.2.1 is IPv4. As16 drops the zone, which names an interface of this machine and not the client.
	ip = ip.Unmap()
	if ip.Is4() {
		network := ip.As4()
		r.masked(network[:], r.part.IPv4Prefix)
		return
	}
	network := ip.As16()
	r.masked(network[:], r.part.IPv6Prefix)
}

// masked appends an address with zeros behind its prefix.
func (r *reader) masked(ip []byte, prefix uint8) {
	for i, b := range ip {
		bits := min(max(int(prefix)-8*i, 0), 8)
		r.b = append(r.b, b&^(0xff>>bits))
	}
}
