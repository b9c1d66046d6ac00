package fallbackcache

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-mesh/weir/policy/fallback"
)

// TestCaptures checks that whatever comes when, a capture has the bytes that were added, the bounds hold, and what is
// lent is what the captures hold.
func TestCaptures(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type running struct {
			*Capture
			want []byte
		}
		captures := NewCaptures()
		var all []running
		now := int64(1)
		t.Repeat(map[string]func(*rapid.T){
			"start": func(t *rapid.T) {
				head := bytes.Repeat([]byte{'h'}, rapid.IntRange(1, 9000).Draw(t, "head"))
				limit := rapid.IntRange(1, 1<<20).Draw(t, "limit")
				declared := rapid.Int64Range(-1, 2<<20).Draw(t, "declared")
				c := captures.start(head, limit, declared, now)
				if c == nil {
					if lent := captures.pool.Lent(); declared <= int64(limit) && lent+2*(len(head)+limit) <= maxCapturing {
						t.Fatalf("start(%d, %d, %d) with %d bytes lent: got nil, want a capture", len(head), limit, declared, lent)
					}
					return
				}
				all = append(all, running{c, head})
			},
			"add": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				c := &all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
				piece := bytes.Repeat([]byte{byte(len(c.want))}, rapid.IntRange(0, 300<<10).Draw(t, "piece"))
				goesOn := c.Add(piece)
				c.want = append(bytes.Clone(c.want), piece...)
				if goesOn != (c.buf != nil) {
					t.Fatalf("Add(%d bytes) = %v, want %v", len(piece), goesOn, c.buf != nil)
				}
				if c.buf != nil && len(c.want)-c.head > c.limit {
					t.Fatalf("got a body of %d bytes captured, want at most %d", len(c.want)-c.head, c.limit)
				}
			},
			"drop": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				i := rapid.IntRange(0, len(all)-1).Draw(t, "which")
				all[i].Drop(fallback.CutOff)
				all[i].Drop(fallback.CutOff)
				all = append(all[:i], all[i+1:]...)
			},
			"time": func(t *rapid.T) {
				now += int64(rapid.IntRange(0, 40).Draw(t, "seconds")) * int64(time.Second)
				captures.Expire(now)
			},
			"": func(t *rapid.T) {
				held, live := 0, 0
				for _, c := range all {
					if c.buf == nil {
						continue
					}
					live++
					if !bytes.Equal(c.buf, c.want) {
						t.Fatalf("got %d captured bytes, want the %d that were added", len(c.buf), len(c.want))
					}
					if age := now - c.began; age > int64(captureExpiry) {
						t.Fatalf("got a capture of %v, want at most %v", time.Duration(age), captureExpiry)
					}
					held += cap(c.buf)
				}
				lent := captures.pool.Lent()
				if held != lent || held > maxCapturing || len(captures.running) != live {
					t.Fatalf("got %d bytes held in %d captures, %d lent and %d captures running; want the same and at most %d bytes",
						held, live, lent, len(captures.running), maxCapturing)
				}
			},
		})
	})
}
