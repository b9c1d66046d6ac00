package redis

import (
	"fmt"
	"strings"
	"testing"
)

// TestSlot compares with the Redis Cluster specification's test vector, and with what CLUSTER KEYSLOT says.
func TestSlot(t *testing.T) {
	for _, tc := range []struct {
		tag  string
		want uint16
	}{{"123456789", 0x31c3}, {"foo", 12182}, {"user1000", 3443}, {"", 0}} {
		if got := slot(tc.tag); got != tc.want {
			t.Errorf("slot(%q): got %d, want %d", tc.tag, got, tc.want)
		}
	}
}

// TestShardPlaces: each shard is in its own part of the slots, whatever the cluster's name, and no two have one name.
func TestShardPlaces(t *testing.T) {
	seen := map[string]string{}
	for _, cluster := range []string{"", "a", "aws_pricing", "a%", "{a}", "a%part0of2.0", strings.Repeat("x", 200)} {
		for n := 1; n <= 64; n++ {
			for i := range n {
				p := NewShardPlace("weir:", cluster, i, n)
				tag := p.tag[strings.IndexByte(p.tag, '{')+1 : strings.IndexByte(p.tag, '}')]
				if got := int(slot(tag)) * n / slots; n > 1 && got != i {
					t.Fatalf("%q, shard %d of %d: got %s in part %d of the slots, want part %d", cluster, i, n, p.tag, got, i)
				}
				what := fmt.Sprintf("%q, shard %d of %d", cluster, i, n)
				if other, ok := seen[p.tag]; ok {
					t.Fatalf("%s and %s: got one name, %s, want two", what, other, p.tag)
				}
				seen[p.tag] = what
			}
		}
	}
	if got, want := NewShardPlace("weir:", "a", 0, 1).tag, NewPlace("weir:", "a").tag; got != want {
		t.Errorf("a limit that is not split: got %s, want %s", got, want)
	}
}
