package key

import "strings"

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
	ip, ok := parseIP(text)
	switch {
	case !ok: // a Unix socket, or one of Envoy's internal listeners
		r.b = append(r.b, text...)
	case string(ip[:len(mapped4)]) == mapped4:
		r.masked(ip[len(mapped4):], r.part.IPv4Prefix)
	default:
		r.masked(ip[:], r.part.IPv6Prefix)
	}
}

// masked appends an address with zeros behind its prefix.
func (r *reader) masked(ip []byte, prefix uint8) {
	for i, b := range ip {
		bits := min(max(int(prefix)-8*i, 0), 8)
		r.b = append(r.b, b&^(0xff>>bits))
	}
}

// mapped4 begins an IPv4 address in IPv6's form, ::ffff:192.0.2.1 (RFC 4291, section 2.5.5.2).
const mapped4 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff"

// parseIP reads an address as net/netip does, which a test compares it with: netip would add 131 KB to the module. An IPv4
// address is returned in IPv6's form. A zone is dropped: it names an interface of this machine and not the client.
func parseIP(s string) (ip [16]byte, ok bool) {
	if v4, ok := parse4(s); ok {
		copy(ip[copy(ip[:], mapped4):], v4[:])
		return ip, true
	}
	s, zone, hasZone := strings.Cut(s, "%")
	if hasZone && zone == "" {
		return ip, false
	}
	at, gap := 0, -1 // of the next byte, and of `::`
	if rest, starts := strings.CutPrefix(s, "::"); starts {
		s, gap = rest, 0
	}
	for s != "" || at == 0 && gap < 0 {
		group, rest, more := strings.Cut(s, ":")
		if v4, ok := parse4(group); ok && !more && at <= 12 {
			at += copy(ip[at:], v4[:])
			break
		}
		n, ok := number(group, 16, 4)
		if !ok || at == 16 || more && rest == "" {
			return ip, false
		}
		ip[at], ip[at+1] = byte(n>>8), byte(n)
		at += 2
		if s = rest; strings.HasPrefix(s, ":") {
			if gap >= 0 {
				return ip, false
			}
			s, gap = s[1:], at
		}
	}
	if gap < 0 {
		return ip, at == 16
	}
	tail := at - gap
	copy(ip[16-tail:], ip[gap:at])
	clear(ip[gap : 16-tail])
	return ip, at < 16 // `::` stands for one group at least
}

// parse4 reads four decimal numbers of 0 to 255, without leading zeros.
func parse4(s string) (ip [4]byte, ok bool) {
	for i := range ip {
		part, rest, more := strings.Cut(s, ".")
		n, ok := number(part, 10, 3)
		if !ok || n > 255 || more != (i < 3) || len(part) > 1 && part[0] == '0' {
			return ip, false
		}
		ip[i], s = byte(n), rest
	}
	return ip, true
}

// number reads 1 to most digits of a base. (strconv allocates an error for what is no number.)
func number(s string, base uint, most int) (n uint, ok bool) {
	if s == "" || len(s) > most {
		return 0, false
	}
	for i := range len(s) {
		digit := uint(unhex(s[i]))
		if digit >= base {
			return 0, false
		}
		n = n*base + digit
	}
	return n, true
}
