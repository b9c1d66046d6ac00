package admin

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkStatus1000 is what the page costs once a second, with 1,000 clusters, in pieces.
func BenchmarkStatus1000(b *testing.B) {
	var document strings.Builder
	document.WriteString(`{"clusters": {"c": {}`)
	for i := range 1000 {
		fmt.Fprintf(&document, `, "c%d": {"circuit_breaker": {}, "rate_limit": {}, "retry": {}, "fallback": {}, "bulkhead": {}}`, i)
	}
	document.WriteString("}}")
	f := newFixture(b, document.String())
	for b.Loop() {
		f.handler.DropKept()
		if r := f.request("GET", "/status"); r.Status != 200 {
			b.Fatalf("got %d %s, want 200", r.Status, r.Body)
		}
	}
}
