package key

import (
	"testing"

	"github.com/weir-mesh/weir/policy"
	"github.com/weir-mesh/weir/policy/header"
)

// BenchmarkFingerprint hashes a browser's request by each kind of part.
func BenchmarkFingerprint(b *testing.B) {
	var request header.Headers = pairs{
		{":authority", "api.example.com"},
		{":method", "GET"},
		{":scheme", "https"},
		{":path", "/v1/prices?region=eu-west-1&instance=m5.large&user=al%69ce&page=3"},
		{"accept", "application/json"},
		{"accept-encoding", "gzip, deflate, br"},
		{"accept-language", "en-GB,en;q=0.9"},
		{"cookie", "theme=dark; consent=yes; sid=0123456789abcdef0123456789abcdef; lang=en"},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"},
		{"x-api-key", "0123456789abcdef"},
		{"x-forwarded-for", "192.0.2.1"},
		{"x-forwarded-proto", "https"},
		{"x-request-id", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"},
	}
	for name, part := range map[string]policy.KeyPart{
		"header":    {Kind: policy.KeyHeader, Name: "x-api-key"},
		"query":     {Kind: policy.KeyQuery, Name: "user"},
		"cookie":    {Kind: policy.KeyCookie, Name: "sid"},
		"client_ip": {Kind: policy.KeyClientIP},
		"path":      {Kind: policy.KeyPath},
	} {
		b.Run(name, func(b *testing.B) {
			h := NewHasher([]policy.KeyPart{part}, [2]uint64{1, 2})
			b.ReportAllocs()
			for b.Loop() {
				h.Fingerprint(request, "192.0.2.1")
			}
		})
	}
}
