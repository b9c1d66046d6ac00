package key

import (
	"strings"
	"testing"

	"github.com/weir-mesh/weir/policy"
)

func TestText(t *testing.T) {
	apiKey := policy.KeyPart{Kind: policy.KeyHeader, Name: "x-api-key"}
	for _, tc := range []struct {
		name        string
		parts       []policy.KeyPart
		request     pairs
		ip          string
		plain, hash string // what is shown
	}{
		{"a header", []policy.KeyPart{apiKey}, pairs{{"x-api-key", "K1"}}, "", "x-api-key=K1", ""},
		{"no header", []policy.KeyPart{apiKey}, nil, "", "(none)", "(none)"},
		{"two headers", []policy.KeyPart{apiKey}, pairs{{"x-api-key", "K1"}, {"x-api-key", "K2"}}, "", "(ambiguous)", "(ambiguous)"},
		{"an empty one", []policy.KeyPart{apiKey}, pairs{{"x-api-key", ""}}, "", "x-api-key=", ""},
		{"two parts", []policy.KeyPart{apiKey, {Kind: policy.KeyClientIP}}, nil, "192.0.2.1", "x-api-key=(none) client_ip=192.0.2.1", ""},
		{"a network", []policy.KeyPart{{Kind: policy.KeyClientIP, IPv4Prefix: 24, IPv6Prefix: 64}}, nil, "192.0.2.77", "client_ip=192.0.2.0/24", ""},
		{"an IPv6 network", []policy.KeyPart{{Kind: policy.KeyClientIP, IPv4Prefix: 24, IPv6Prefix: 64}}, nil, "2001:db8:1:2:3::4", "client_ip=2001:db8:1:2::/64", ""},
		{"an IPv6 address", []policy.KeyPart{{Kind: policy.KeyClientIP, IPv4Prefix: 32, IPv6Prefix: 128}}, nil, "2001:db8::4", "client_ip=2001:db8:0:0:0:0:0:4/128", ""},
		{"method and path", []policy.KeyPart{{Kind: policy.KeyMethod}, {Kind: policy.KeyPath}}, pairs{{":method", "GET"}, {":path", "/a?b"}}, "", "method=GET path=/a", ""},
		{"characters without room", []policy.KeyPart{apiKey}, pairs{{"x-api-key", "a\u200bb\u2066c\ufeffd\u061ce\u00adf\U000e0041g é"}}, "", "x-api-key=a?b?c?d?e?f?g é", ""},
		{"a forged line", []policy.KeyPart{{Kind: policy.KeyQuery, Name: "q"}}, pairs{{":path", "/?q=a%0A%1B%5B31mb%FF%E2%80%AE"}}, "", "q=a??[31mb??", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := NewHasher(tc.parts, [2]uint64{1, 2})
			h.Fingerprint(tc.request, tc.ip)
			if got := h.Text(true); got != tc.plain {
				t.Errorf("Text(true) = %q, want %q", got, tc.plain)
			}
			if got := h.Text(false); got != tc.hash {
				t.Errorf("Text(false) = %q, want %q", got, tc.hash)
			}
		})
	}
	if got := NewHasher([]policy.KeyPart{apiKey}, [2]uint64{}).Text(true); got != absentText {
		t.Errorf("before any request: Text(true) = %q, want %q", got, absentText)
	}
}

// TestTextOfALongKey: a client may send 60 KB, and each refusal asks for the text.
func TestTextOfALongKey(t *testing.T) {
	parts := []policy.KeyPart{{Kind: policy.KeyHeader, Name: "x-api-key"}, {Kind: policy.KeyMethod}}
	for size, want := range map[int]string{
		246:    "x-api-key=" + strings.Repeat("k", 246) + "…",
		60_000: "x-api-key=" + strings.Repeat("k", 246) + "…",
		200:    "x-api-key=" + strings.Repeat("k", 200) + " method=GET",
	} {
		h := NewHasher(parts, [2]uint64{1, 2})
		h.Fingerprint(pairs{{"x-api-key", strings.Repeat("k", size)}, {":method", "GET"}}, "")
		if got := h.Text(true); got != want {
			t.Errorf("of %d bytes: Text(true) = %q, want %q", size, got, want)
		}
		if n := testing.AllocsPerRun(10, func() { h.Text(false) }); n != 0 {
			t.Errorf("of %d bytes: Text(false) made %g allocations, want 0", size, n)
		}
	}
}

func TestAppendHash(t *testing.T) {
	for hash, want := range map[uint64]string{0: "0000000000000000", 0xab: "00000000000000ab", 1<<64 - 1: "ffffffffffffffff"} {
		if got := string(AppendHash(nil, hash)); got != want {
			t.Errorf("AppendHash(%x) = %s, want %s", hash, got, want)
		}
	}
}
