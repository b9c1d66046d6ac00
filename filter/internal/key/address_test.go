package key

import (
	"net/netip"
	"testing"
)

func TestParseIP(t *testing.T) {
	for _, s := range []string{
		"192.0.2.1", "0.0.0.0", "255.255.255.255", "256.0.0.1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.", "1..2.3", "",
		"::", "::1", "1::", "2001:db8::1", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6:7", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8",
		"1:2:3:4:5:6:7:8::", "1::2::3", ":1", "1:", ":::", "12345::", "g::", "::ffff:192.0.2.1", "::ffff:192.0.2.1:1",
		"64:ff9b::192.0.2.33", "1:2:3:4:5:6:192.0.2.1", "1:2:3:4:5:6:7:192.0.2.1", "fe80::1%eth0", "fe80::1%", "%eth0", "192.0.2.1%eth0",
		"+1::", "0x1::", "1_0::", "/run/socket", "envoy_internal",
	} {
		checkIP(t, s)
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add("2001:db8::1%eth0")
	f.Add("::ffff:192.0.2.1")
	f.Fuzz(checkIP)
}

// checkIP compares parseIP with net/netip.
func checkIP(t *testing.T, s string) {
	want, err := netip.ParseAddr(s)
	got, ok := parseIP(s)
	if ok != (err == nil) || ok && got != want.As16() {
		t.Errorf("parseIP(%q) = %v, %v, want %v, %v", s, got, ok, want, err)
	}
}
