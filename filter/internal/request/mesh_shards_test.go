package request_test

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"

	"github.com/weir-mesh/weir/filter/internal/requesttest"
)

// TestMeshShards: a limit of 10 in 4 shards of 3, 3, 2 and 2 admits 10, by requests of which some are refused by a shard or two
// before another one has a token.
func TestMeshShards(t *testing.T) {
	server := miniredis.RunT(t)
	m := requesttest.JoinMesh(t, server, `{"rate_limit":{"requests":10,"window_size":"60s","scope":"mesh","shards":4}}`, "")
	admit := func() (admitted, refused int) {
		for stream := uint32(1); stream <= 14; stream++ {
			_, got := m.BeginStream(stream)
			for len(m.Calls) > 0 || got == "paused" {
				m.Client.MakeCalls(m.Now)
				m.Answer()
				if len(m.Resumed) > 0 {
					got = strings.Fields(m.Resumed[0])[1]
					m.Resumed = nil
				}
			}
			switch got {
			case "continue":
				admitted++
			case "429":
				refused++
			default:
				t.Fatalf("request %d: got %s", stream, got)
			}
			m.Now += ms
		}
		return admitted, refused
	}
	if admitted, refused := admit(); admitted != 10 || refused != 4 {
		t.Fatalf("got %d admitted, %d refused, want 10, 4", admitted, refused)
	}
	records := 0
	for _, key := range server.Keys() {
		if strings.HasPrefix(key, "weir:{aws%part") && strings.HasSuffix(key, ":n") {
			records++
		}
	}
	if records != 4 {
		t.Errorf("got %d records in %q, want one of each shard", records, server.Keys())
	}
}
