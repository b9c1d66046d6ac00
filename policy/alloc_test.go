package policy

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// TestDecodeAllocates: each worker reads the whole document again with each reload, and what is garbage then makes its
// heap grow for good. So texts about a key are made only where they are shown.
func TestDecodeAllocates(t *testing.T) {
	const clusters = 100
	var text strings.Builder
	text.WriteString(`{"clusters": {`)
	for i := range clusters {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `"cluster-%d": {"circuit_breaker": {"failure_threshold": 7}, "rate_limit": {"requests": 100, "window_size": "60s"},
			"retry": {"driver": "envoy"}, "fallback": {"default_data": {"body": "none"}}}`, i)
	}
	text.WriteString("}}")
	var fields structpb.Struct
	if err := json.Unmarshal([]byte(text.String()), &fields); err != nil {
		t.Fatal(err)
	}
	wire, err := proto.Marshal(&fields)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		form string
		raw  []byte
		most float64 // allocations a cluster
	}{
		{"a Struct", wire, 60},
		{"JSON", []byte(text.String()), 60},
	} {
		got := testing.AllocsPerRun(5, func() {
			if _, err := Decode(tc.raw, func(string) (string, bool) { return "", false }); err != nil {
				t.Fatal(err)
			}
		}) / clusters
		if got > tc.most {
			t.Errorf("Decode(%s of %d clusters) allocates %.0f times a cluster, want at most %.0f", tc.form, clusters, got, tc.most)
		}
		t.Logf("%s: %.1f allocations a cluster", tc.form, got)
	}
}
